//! The organization's list of who may sign what.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    sign::{Envelope, KeyId, PayloadType, SigningKey, VerifyingKey},
    trust::{Role, Rule, TrustPin},
    types::{Digest, DocumentKey, DocumentKind, OrgId},
};

/// The largest trust document that is read, in bytes.
pub const MAX_TRUST: usize = 64 * 1024;

/// How long a new trust document holds: a year.
const VALIDITY: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Who may sign what in an organization; the payload of type `trust`, signed by its root keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustDocument {
    /// The organization.
    pub org: OrgId,
    /// Each version is exactly one more than the one before.
    pub version: u64,
    /// When it was made.
    pub issued: Timestamp,
    /// When it must have been replaced.
    pub expires: Timestamp,
    /// Every key that is named below.
    pub keys: BTreeMap<KeyId, VerifyingKey>,
    /// Who may sign the next version; kept offline.
    pub root: Role,
    /// The exchange's online key, or keys while one replaces another. Any one of them signs.
    pub stamp: Role,
    /// Who may sign documents.
    pub rules: Vec<Rule>,
    /// Keys that no longer count, though they may still be named above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Revocation>,
    /// Other organizations whose services may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
}

/// A key that no longer counts, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The key.
    pub keyid: KeyId,
    /// Why.
    pub reason: RevocationReason,
}

/// Why a key no longer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevocationReason {
    /// Somebody else may have it: what it alone vouches for must stop.
    Compromised,
    /// It is no longer used: what it vouches for may go on running, but not be installed anew.
    Retired,
}

/// Another organization, by the hash of its first trust document; none of its keys is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The other organization.
    pub org: OrgId,
    /// Its pin.
    pub sha256: Digest,
    /// Which of its services may be used, by how their names begin.
    pub prefixes: Vec<String>,
}

impl Import {
    /// Whether this document of the other organization may be used.
    pub fn covers(&self, document: &DocumentKey) -> bool {
        document.kind() == DocumentKind::Service
            && self
                .prefixes
                .iter()
                .any(|prefix| Rule::names(DocumentKind::Service, prefix, document))
    }

    /// Its pin.
    pub fn pin(&self) -> TrustPin {
        TrustPin(self.sha256)
    }
}

/// How a trust document contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustProblem {
    /// What may be used of an organization stands in one place.
    #[error("organization {0} is imported from twice, or is this one")]
    ImportTwice(OrgId),
    /// Versions count from 1.
    #[error("version 0 does not exist")]
    VersionZero,
    /// No node would read so much.
    #[error("{0} bytes, more than the 64 KiB allowed")]
    TooLarge(usize),
    /// It ends before it begins.
    #[error("it expires before it is issued")]
    Expiry,
    /// A key stands under an id that is not its own.
    #[error("key {claimed} is really {actual}")]
    KeyId {
        /// The id it stands under.
        claimed: KeyId,
        /// The id it has.
        actual: KeyId,
    },
    /// A role or rule names a key that the document does not hold.
    #[error("{role} names key {keyid}, which is not among the keys")]
    UnknownKey {
        /// Which role or rule.
        role: String,
        /// The key that is missing.
        keyid: KeyId,
    },
    /// A role or rule that nobody could satisfy, or that everybody does.
    #[error("{role} needs {threshold} of {usable} usable keys")]
    Threshold {
        /// Which role or rule.
        role: String,
        /// How many must sign.
        threshold: u32,
        /// How many could.
        usable: usize,
    },
    /// Two rules for the same names: neither would be the only authority.
    #[error("two rules cover {kind} names that begin with `{prefix}`")]
    RuleTwice {
        /// The kind of document.
        kind: DocumentKind,
        /// The prefix that they share.
        prefix: String,
    },
    /// A rule that no name can match.
    #[error("no {kind} name can begin with `{prefix}`")]
    Prefix {
        /// The kind of document.
        kind: DocumentKind,
        /// The prefix.
        prefix: String,
    },
}

impl TrustDocument {
    /// The smallest set-up: one key is root and may sign everything, another one stamps.
    pub fn single_key(
        org: OrgId,
        owner: &VerifyingKey,
        stamp: &VerifyingKey,
        now: Timestamp,
    ) -> Self {
        let root = Role::of(owner.key_id());
        let rule = |kind| Rule {
            kind,
            prefix: String::new(),
            keyids: root.keyids.clone(),
            threshold: root.threshold,
            epoch: 0,
        };
        Self {
            org,
            version: 1,
            issued: now,
            expires: now.saturating_add(VALIDITY).unwrap_or(Timestamp::MAX),
            keys: [owner, stamp].into_iter().map(|key| (key.key_id(), *key)).collect(),
            rules: DocumentKind::KNOWN.map(rule).to_vec(),
            root,
            stamp: Role::of(stamp.key_id()),
            revoked: Vec::new(),
            imports: Vec::new(),
        }
    }

    /// The draft of the next version: the same but for its number and times.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Self {
        Self {
            version: self.version + 1,
            issued: now,
            expires: now.saturating_add(VALIDITY).unwrap_or(Timestamp::MAX),
            ..self.clone()
        }
    }

    /// Checks it and signs it with `keys`. Others may add their signatures to the envelope.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "texts, numbers and text-keyed maps are always JSON"
    )]
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Envelope, TrustProblem> {
        self.check()?;
        let payload = serde_json::to_vec(self).expect("a trust document is JSON");
        if payload.len() > MAX_TRUST {
            return Err(TrustProblem::TooLarge(payload.len()));
        }
        Ok(Envelope::seal(PayloadType::Trust, payload, keys))
    }

    /// Whether it is free of contradictions. Key ids are computed anew.
    pub fn check(&self) -> Result<(), TrustProblem> {
        if self.version == 0 {
            return Err(TrustProblem::VersionZero);
        }
        if self.expires <= self.issued {
            return Err(TrustProblem::Expiry);
        }
        for (claimed, key) in &self.keys {
            let actual = key.key_id();
            if actual != *claimed {
                return Err(TrustProblem::KeyId { claimed: *claimed, actual });
            }
        }
        self.check_role("the root", &self.root.keyids, self.root.threshold, true)?;
        self.check_role("the stamp", &self.stamp.keyids, self.stamp.threshold, true)?;
        let mut prefixes = BTreeSet::new();
        for rule in &self.rules {
            let (kind, prefix) = (rule.kind, rule.prefix.clone());
            let role = format!("the rule for {kind} names that begin with `{prefix}`");
            // A rule whose keys were all revoked stays in force: it keeps its names closed.
            self.check_role(&role, &rule.keyids, rule.threshold, false)?;
            let Some(id_prefix) = rule.id_prefix() else {
                return Err(TrustProblem::Prefix { kind, prefix });
            };
            if !prefixes.insert((kind, id_prefix)) {
                return Err(TrustProblem::RuleTwice { kind, prefix });
            }
        }
        self.check_imports()
    }

    fn check_imports(&self) -> Result<(), TrustProblem> {
        let mut orgs = BTreeSet::from([&self.org]);
        for import in &self.imports {
            if !orgs.insert(&import.org) {
                return Err(TrustProblem::ImportTwice(import.org.clone()));
            }
            let is_prefix = |it: &&String| Rule::is_prefix(DocumentKind::Service, it);
            if let Some(prefix) = import.prefixes.iter().find(|it| !is_prefix(it)) {
                let (kind, prefix) = (DocumentKind::Service, prefix.clone());
                return Err(TrustProblem::Prefix { kind, prefix });
            }
        }
        Ok(())
    }

    fn check_role(
        &self,
        role: &str,
        keyids: &BTreeSet<KeyId>,
        threshold: u32,
        revoked_are_unusable: bool,
    ) -> Result<(), TrustProblem> {
        if let Some(keyid) = keyids.iter().find(|id| !self.keys.contains_key(id)) {
            return Err(TrustProblem::UnknownKey { role: role.to_owned(), keyid: *keyid });
        }
        let is_usable = |id: &&KeyId| !revoked_are_unusable || self.revocation(id).is_none();
        let usable = keyids.iter().filter(is_usable).count();
        if threshold == 0 || threshold as usize > usable {
            return Err(TrustProblem::Threshold { role: role.to_owned(), threshold, usable });
        }
        Ok(())
    }

    /// The one rule that decides who may sign `document`: the one with the longest prefix.
    pub fn authority(&self, document: &DocumentKey) -> Option<&Rule> {
        self.rules
            .iter()
            .filter_map(|rule| rule.covers(document).map(|length| (length, rule)))
            .max_by_key(|(length, _)| *length)
            .map(|(_, rule)| rule)
    }

    /// Why `key` no longer counts, if so. Where several reasons are given, the graver one holds.
    pub fn revocation(&self, key: &KeyId) -> Option<RevocationReason> {
        let reasons = || self.revoked.iter().filter(|it| it.keyid == *key).map(|it| it.reason);
        reasons().find(|it| *it == RevocationReason::Compromised).or_else(|| reasons().next())
    }

    /// Whether stamps of `key` count.
    pub fn may_stamp(&self, key: &KeyId) -> bool {
        self.stamp.keyids.contains(key) && self.revocation(key).is_none()
    }

    /// Those of `keyids` that count.
    pub(super) fn live<'a>(
        &'a self,
        keyids: &'a BTreeSet<KeyId>,
    ) -> impl Iterator<Item = &'a VerifyingKey> {
        self.keys_of(keyids, |revocation| revocation.is_none())
    }

    /// Those of `keyids` that count or were merely retired.
    pub(super) fn live_or_retired<'a>(
        &'a self,
        keyids: &'a BTreeSet<KeyId>,
    ) -> impl Iterator<Item = &'a VerifyingKey> {
        self.keys_of(keyids, |revocation| revocation != Some(RevocationReason::Compromised))
    }

    fn keys_of<'a>(
        &'a self,
        keyids: &'a BTreeSet<KeyId>,
        counts: impl Fn(Option<RevocationReason>) -> bool + 'a,
    ) -> impl Iterator<Item = &'a VerifyingKey> {
        keyids
            .iter()
            .filter(move |id| counts(self.revocation(id)))
            .filter_map(|id| self.keys.get(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{Org, now};

    #[test]
    fn a_document_prints_what_it_reads() {
        let document = Org::new().trust.document().clone();
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<TrustDocument>(&json).unwrap(), document);
    }

    #[test]
    fn the_next_version_is_of_its_own_day_and_holds_for_a_year() {
        let document = Org::new().trust.document().clone();
        let later = now() + SignedDuration::from_hours(1);
        let next = document.next(later);
        assert_eq!((next.version, next.issued), (document.version + 1, later));
        assert_eq!(next.expires, later + SignedDuration::from_hours(365 * 24));
    }

    #[test]
    fn the_graver_reason_holds() {
        let mut document = Org::new().trust.document().clone();
        let keyid = *document.keys.keys().next().unwrap();
        for reason in [RevocationReason::Retired, RevocationReason::Compromised] {
            document.revoked.push(Revocation { keyid, reason });
            assert_eq!(document.revocation(&keyid), Some(reason));
        }
        document.revoked.reverse();
        assert_eq!(document.revocation(&keyid), Some(RevocationReason::Compromised));
    }

    #[test]
    fn what_no_node_would_read_is_not_sealed() {
        let sealed = |size: usize| {
            let mut document = Org::new().trust.document().next(now());
            let (org, sha256) = ("other".parse().unwrap(), Digest::of(b""));
            let prefixes = vec!["x".to_owned()];
            document.imports.push(Import { org, sha256, prefixes });
            let mut missing = size - serde_json::to_vec(&document).unwrap().len();
            while missing > 0 {
                // Two quotes and a comma come with each.
                let taken = if missing < 200 { missing } else { 100 };
                document.imports[0].prefixes.push("x".repeat(taken - 3));
                missing -= taken;
            }
            assert_eq!(serde_json::to_vec(&document).unwrap().len(), size);
            document.seal(&[])
        };
        assert!(sealed(MAX_TRUST).is_ok());
        for size in [MAX_TRUST + 1, MAX_TRUST + 100] {
            assert!(matches!(sealed(size), Err(TrustProblem::TooLarge(_))), "{size}");
        }
    }
}
