//! Changes of the list of who may sign what, as people ask for them.

use std::collections::BTreeSet;

use crate::{
    sign::{KeyId, VerifyingKey},
    trust::{Import, Revocation, RevocationReason, Role, Rule, TrustDocument},
    types::{DocumentKind, OrgId},
};

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Nothing would be another than before.
    #[error("{0}, as it is")]
    Unchanged(String),
    /// There is no such rule.
    #[error("no rule is about {kind} names that begin with `{prefix}`")]
    NoRule {
        /// The kind of document.
        kind: DocumentKind,
        /// How the names begin.
        prefix: String,
    },
    /// A key is to be taken out of where it is not.
    #[error("{role} does not name key {keyid}")]
    NotNamed {
        /// The rule, or the root.
        role: String,
        /// The key.
        keyid: KeyId,
    },
    /// The document does not hold the key.
    #[error("no rule or role names key {0}")]
    NoKey(KeyId),
    /// A revoked key is to be given new power.
    #[error("key {0} is revoked, and gets no new power")]
    Revoked(KeyId),
    /// Nothing is imported from there.
    #[error("nothing of organization {0} may be used")]
    NotImported(OrgId),
    /// Removing the rule would bring back documents that its epoch has ended.
    #[error(
        "no other rule covers {kind} names that begin with `{prefix}`, so none would remember epoch {epoch}"
    )]
    EpochLost {
        /// The kind of document.
        kind: DocumentKind,
        /// How the names begin.
        prefix: String,
        /// The epoch that would be forgotten.
        epoch: u64,
    },
}

/// A change of the root keys.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// Keys that become root keys.
    pub add: Vec<VerifyingKey>,
    /// Keys that are root keys no longer.
    pub remove: Vec<KeyId>,
    /// How many must sign from now on; without it, as many as before.
    pub threshold: Option<u32>,
}

impl TrustDocument {
    /// Lets `signers` sign documents of `kind` whose names begin with `prefix`: by the rule for exactly these
    /// names, or by a new one, which alone decides about them. Without `threshold` a rule keeps its own, and a
    /// new one asks for one signature.
    ///
    /// A new rule is of the epoch that held for its names before: what was ended once does not come back.
    pub fn grant(
        &mut self,
        kind: DocumentKind,
        prefix: &str,
        signers: &[VerifyingKey],
        threshold: Option<u32>,
    ) -> Result<(), EditError> {
        let before = self.clone();
        let keyids = self.admit(signers)?;
        if let Some(rule) = self.rule_mut(kind, prefix) {
            rule.keyids.extend(keyids);
            rule.threshold = threshold.unwrap_or(rule.threshold);
        } else {
            let threshold = threshold.unwrap_or(1);
            let mut rule = Rule { kind, prefix: prefix.to_owned(), keyids, threshold, epoch: 0 };
            let highest = || self.rules.iter().map(|rule| rule.epoch).max();
            let covering = self.covering(&rule).map(|rule| rule.epoch);
            rule.epoch = covering.or_else(highest).unwrap_or_default();
            self.rules.push(rule);
        }
        let may = || format!("these keys may sign {kind} names that begin with `{prefix}`");
        self.changed_from(&before, may)
    }

    /// Removes the rule for documents of `kind` whose names begin with `prefix`. What covers the names then
    /// is raised to the epoch of the rule: what it has ended does not come back.
    pub fn remove_rule(&mut self, kind: DocumentKind, prefix: &str) -> Result<(), EditError> {
        let found = self.rules.iter().position(|rule| rule.is_about(kind, prefix));
        let Some(index) = found else {
            return Err(EditError::NoRule { kind, prefix: prefix.to_owned() });
        };
        let removed = self.rules.remove(index);
        let epoch = removed.epoch;
        match self.covering_index(&removed) {
            Some(covering) => {
                let covering = &mut self.rules[covering];
                covering.epoch = covering.epoch.max(epoch);
            }
            None if epoch > 0 => {
                self.rules.insert(index, removed);
                return Err(EditError::EpochLost { kind, prefix: prefix.to_owned(), epoch });
            }
            None => {}
        }
        self.forget_unused_keys();
        Ok(())
    }

    /// Lets services of another organization be used, and no others of it than `import` says.
    pub fn import(&mut self, import: &Import) -> Result<(), EditError> {
        let before = self.clone();
        match self.imports.iter_mut().find(|it| it.org == import.org) {
            Some(held) => *held = import.clone(),
            None => self.imports.push(import.clone()),
        }
        self.changed_from(&before, || format!("services of organization {} are used", import.org))
    }

    /// Lets nothing of another organization be used any more.
    pub fn remove_import(&mut self, org: &OrgId) -> Result<(), EditError> {
        let before = self.imports.len();
        self.imports.retain(|it| it.org != *org);
        if self.imports.len() == before { Err(EditError::NotImported(org.clone())) } else { Ok(()) }
    }

    /// Takes `signers` out of the rule for documents of `kind` whose names begin with `prefix`.
    pub fn remove_signers(
        &mut self,
        kind: DocumentKind,
        prefix: &str,
        signers: &[KeyId],
        threshold: Option<u32>,
    ) -> Result<(), EditError> {
        let Some(rule) = self.rule_mut(kind, prefix) else {
            return Err(EditError::NoRule { kind, prefix: prefix.to_owned() });
        };
        for keyid in signers {
            if !rule.keyids.remove(keyid) {
                let what = format!("the rule for {kind} names that begin with `{prefix}`");
                return Err(EditError::NotNamed { role: what, keyid: *keyid });
            }
        }
        rule.threshold = threshold.unwrap_or(rule.threshold);
        self.forget_unused_keys();
        Ok(())
    }

    /// Says that `keyid` no longer counts anywhere. A graver reason takes the place of a lesser one.
    pub fn revoke(&mut self, keyid: KeyId, reason: RevocationReason) -> Result<(), EditError> {
        if !self.keys.contains_key(&keyid) {
            return Err(EditError::NoKey(keyid));
        }
        match self.revocation(&keyid) {
            Some(RevocationReason::Compromised) => {
                return Err(EditError::Unchanged(format!("key {keyid} is revoked as compromised")));
            }
            Some(known) if known == reason => {
                return Err(EditError::Unchanged(format!("key {keyid} is retired")));
            }
            _ => {}
        }
        self.revoked.retain(|it| it.keyid != keyid);
        self.revoked.push(Revocation { keyid, reason });
        Ok(())
    }

    /// Changes the root keys.
    pub fn rotate(&mut self, rotation: &Rotation) -> Result<(), EditError> {
        let before = self.clone();
        let added = self.admit(&rotation.add)?;
        self.root.keyids.extend(added);
        for keyid in &rotation.remove {
            if !self.root.keyids.remove(keyid) {
                return Err(EditError::NotNamed { role: "the root".to_owned(), keyid: *keyid });
            }
        }
        self.root.threshold = rotation.threshold.unwrap_or(self.root.threshold);
        self.forget_unused_keys();
        self.changed_from(&before, || "these are the root keys and their threshold".to_owned())
    }

    /// Lets `key` alone sign stamps: the exchange's online key of today, in the place of one that was stolen or
    /// lost. Nodes then forget how far the stamps of the old one had counted.
    pub fn stamp_by(&mut self, key: VerifyingKey) -> Result<(), EditError> {
        let before = self.clone();
        let added = self.admit(&[key])?;
        self.stamp = Role { keyids: added, threshold: 1 };
        self.forget_unused_keys();
        self.changed_from(&before, || "the exchange's key of today signs the stamps".to_owned())
    }

    /// Ends the epoch of the rule for documents of `kind` whose names begin with `prefix`: what was signed
    /// by it before no longer counts, and must be published again.
    pub fn raise_epoch(&mut self, kind: DocumentKind, prefix: &str) -> Result<(), EditError> {
        let Some(rule) = self.rule_mut(kind, prefix) else {
            return Err(EditError::NoRule { kind, prefix: prefix.to_owned() });
        };
        rule.epoch = rule.epoch.saturating_add(1);
        Ok(())
    }

    /// Ends the epoch of every rule that names `keyid`: whatever a thief has signed by it, and however high
    /// its numbers, stands in nobody's way.
    pub fn raise_epochs_of(&mut self, keyid: &KeyId) {
        for rule in self.rules.iter_mut().filter(|rule| rule.keyids.contains(keyid)) {
            rule.epoch = rule.epoch.saturating_add(1);
        }
    }

    /// Takes `keys` among those that may be named, unless one is revoked; answers their ids.
    fn admit(&mut self, keys: &[VerifyingKey]) -> Result<BTreeSet<KeyId>, EditError> {
        let mut keyids = BTreeSet::new();
        for key in keys {
            let keyid = key.key_id();
            if self.revocation(&keyid).is_some() {
                return Err(EditError::Revoked(keyid));
            }
            self.keys.insert(keyid, *key);
            keyids.insert(keyid);
        }
        Ok(keyids)
    }

    /// Refuses a change that changes nothing.
    fn changed_from(&self, before: &Self, so: impl FnOnce() -> String) -> Result<(), EditError> {
        if self == before { Err(EditError::Unchanged(so())) } else { Ok(()) }
    }

    fn rule_mut(&mut self, kind: DocumentKind, prefix: &str) -> Option<&mut Rule> {
        self.rules.iter_mut().find(|rule| rule.is_about(kind, prefix))
    }

    /// The rule that decides about the names of `narrow` where there is no rule for exactly them.
    fn covering(&self, narrow: &Rule) -> Option<&Rule> {
        self.covering_index(narrow).map(|index| &self.rules[index])
    }

    fn covering_index(&self, narrow: &Rule) -> Option<usize> {
        let prefix = narrow.id_prefix()?;
        let covers = |(index, rule): (usize, &Rule)| {
            let broad = rule.id_prefix()?;
            let is_broader = rule.kind == narrow.kind && prefix.starts_with(&broad);
            is_broader.then_some((broad.len(), index))
        };
        self.rules.iter().enumerate().filter_map(covers).max().map(|(_, index)| index)
    }

    /// Leaves out the keys that nothing names any more.
    fn forget_unused_keys(&mut self) {
        let roles = [&self.root.keyids, &self.stamp.keyids];
        let named: BTreeSet<_> = roles
            .into_iter()
            .chain(self.rules.iter().map(|rule| &rule.keyids))
            .flatten()
            .copied()
            .collect();
        self.keys.retain(|keyid, _| named.contains(keyid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sign::SigningKey,
        trust::{TrustProblem, testing::Org},
    };

    const SERVICE: DocumentKind = DocumentKind::Service;

    fn document() -> TrustDocument {
        Org::new().trust.document().clone()
    }

    fn epoch(document: &TrustDocument, prefix: &str) -> Option<u64> {
        let rule = document.rules.iter().find(|rule| rule.is_about(SERVICE, prefix));
        rule.map(|rule| rule.epoch)
    }

    #[test]
    fn a_key_is_let_into_a_rule_or_gets_its_own() {
        let mut document = document();
        let (team, other) = (SigningKey::generate(), SigningKey::generate());
        document.grant(SERVICE, "a", &[team.verifying_key()], None).unwrap();
        document.grant(SERVICE, "a", &[other.verifying_key()], Some(2)).unwrap();
        document.check().unwrap();
        let rule = document.rules.last().unwrap();
        assert_eq!((rule.prefix.as_str(), rule.keyids.len(), rule.threshold), ("a", 2, 2));
        let again = document.grant(SERVICE, "a", &[other.verifying_key()], None);
        assert!(matches!(again, Err(EditError::Unchanged(_))));
    }

    #[test]
    fn what_is_used_of_another_organization_stands_in_one_place() {
        let mut document = document();
        let import = |org: &str, prefix: &str| Import {
            org: org.parse().unwrap(),
            sha256: crate::types::Digest::of(b"pin"),
            prefixes: vec![prefix.to_owned()],
        };
        document.import(&import("other", "https://other.com/maps/")).unwrap();
        document.import(&import("other", "other.com/sensors/")).unwrap();
        document.check().unwrap();
        let again = document.import(&import("other", "other.com/sensors/"));
        assert!(matches!(again, Err(EditError::Unchanged(_))));
        let covers = |id: &str| document.imports[0].covers(&id.parse().unwrap());
        assert!(covers("service/other.com-sensors-gps_1.0.0_amd64"));
        assert!(!covers("service/other.com-maps-city_1.0.0_amd64"));
        assert!(!covers("pattern/other.com-sensors-gps"));

        document.remove_import(&"other".parse().unwrap()).unwrap();
        let again = document.remove_import(&"other".parse().unwrap());
        assert!(matches!(again, Err(EditError::NotImported(_))));

        document.imports = vec![import("other", ""), import("other", "a")];
        assert!(matches!(document.check(), Err(TrustProblem::ImportTwice(_))));
        document.imports = vec![import("other", "https://")];
        assert!(matches!(document.check(), Err(TrustProblem::Prefix { .. })));
        document.imports = vec![import(document.org.as_str(), "")];
        assert!(matches!(document.check(), Err(TrustProblem::ImportTwice(_))));
    }

    #[test]
    fn two_spellings_of_a_prefix_are_one_rule() {
        let mut document = document();
        let key = SigningKey::generate().verifying_key();
        document.grant(SERVICE, "https://acme.com/a", &[key], None).unwrap();
        let again = document.grant(SERVICE, "acme.com-a", &[key], None);
        assert!(matches!(again, Err(EditError::Unchanged(_))));
        document.remove_rule(SERVICE, "acme.com-a").unwrap();
        assert_eq!(document.rules.len(), DocumentKind::KNOWN.len());
    }

    #[test]
    fn what_an_epoch_has_ended_does_not_come_back_by_another_rule() {
        let mut document = document();
        let key = SigningKey::generate().verifying_key();
        document.grant(SERVICE, "a", &[key], None).unwrap();
        document.raise_epoch(SERVICE, "a").unwrap();
        document.raise_epoch(SERVICE, "a").unwrap();
        document.grant(SERVICE, "ab", &[key], None).unwrap();
        document.grant(SERVICE, "b", &[key], None).unwrap();
        assert_eq!((epoch(&document, "ab"), epoch(&document, "b")), (Some(2), Some(0)));

        document.remove_rule(SERVICE, "ab").unwrap();
        document.remove_rule(SERVICE, "a").unwrap();
        assert_eq!(epoch(&document, ""), Some(2), "what covers the names now remembers it");
        let last = document.remove_rule(SERVICE, "");
        assert!(matches!(last, Err(EditError::EpochLost { epoch: 2, .. })));
        assert_eq!(epoch(&document, ""), Some(2), "nothing was changed");
    }

    #[test]
    fn a_revoked_key_gets_no_new_power_and_the_graver_reason_stays() {
        use RevocationReason::{Compromised, Retired};
        let mut document = document();
        let key = SigningKey::generate();
        assert_eq!(document.revoke(key.key_id(), Retired), Err(EditError::NoKey(key.key_id())));
        document.grant(SERVICE, "a", &[key.verifying_key()], None).unwrap();
        document.revoke(key.key_id(), Retired).unwrap();
        document.revoke(key.key_id(), Compromised).unwrap();
        assert_eq!(document.revoked.len(), 1);
        for reason in [Retired, Compromised] {
            assert!(matches!(document.revoke(key.key_id(), reason), Err(EditError::Unchanged(_))));
        }
        let revoked = Err(EditError::Revoked(key.key_id()));
        assert_eq!(document.grant(SERVICE, "b", &[key.verifying_key()], None), revoked);
        let rotation = Rotation { add: vec![key.verifying_key()], ..Rotation::default() };
        assert_eq!(document.rotate(&rotation), revoked);
        document.raise_epochs_of(&key.key_id());
        assert_eq!((epoch(&document, "a"), epoch(&document, "")), (Some(1), Some(0)));
    }

    #[test]
    fn a_new_key_signs_stamps_in_the_place_of_the_old_one() {
        let mut document = document();
        let (old, new) = (*document.stamp.keyids.first().unwrap(), SigningKey::generate());
        document.stamp_by(new.verifying_key()).unwrap();
        document.check().unwrap();
        assert!(document.may_stamp(&new.key_id()) && !document.may_stamp(&old));
        assert!(!document.keys.contains_key(&old));
        let again = document.stamp_by(new.verifying_key());
        assert!(matches!(again, Err(EditError::Unchanged(_))));
    }

    #[test]
    fn root_keys_are_exchanged_and_keys_that_nothing_names_are_left_out() {
        let mut document = document();
        let new = [SigningKey::generate(), SigningKey::generate()];
        let add = new.iter().map(SigningKey::verifying_key).collect();
        let old = *document.root.keyids.first().unwrap();
        let stranger = SigningKey::generate().key_id();
        let wrong = Rotation { remove: vec![stranger], ..Rotation::default() };
        assert!(matches!(document.clone().rotate(&wrong), Err(EditError::NotNamed { .. })));
        assert!(matches!(
            document.clone().rotate(&Rotation::default()),
            Err(EditError::Unchanged(_))
        ));
        document.rotate(&Rotation { add, remove: vec![old], threshold: Some(2) }).unwrap();
        document.check().unwrap();
        assert_eq!((document.root.keyids.len(), document.root.threshold), (2, 2));
        assert!(document.keys.contains_key(&old), "rules still name it");
        for kind in DocumentKind::KNOWN {
            document.grant(kind, "", &[new[0].verifying_key()], None).unwrap();
            document.remove_signers(kind, "", &[old], None).unwrap();
        }
        assert!(!document.keys.contains_key(&old));
        document.check().unwrap();
    }
}
