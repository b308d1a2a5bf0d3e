//! How much there may be of each kind of row, and the check of it within the transaction that writes.
//!
//! Triggers keep the table `usage` (`schemas/sql/0018_usage.sql`): one row for each kind and holder. A check
//! is two lookups by its primary key, however many rows there are.

use super::{Store, StoreError, Write};
use crate::types::OrgId;

/// Limits of one kind of row: for each holder, and for an organization as a whole.
#[derive(Debug)]
pub struct Quota {
    /// The kind, as the table `usage` names it.
    kind: &'static str,
    /// What one row is called in messages.
    noun: &'static str,
    /// Of one holder; a kind without holders has the organization's limits alone.
    holder: Limit,
    /// Of one organization.
    org: Limit,
}

/// The most rows, and the most bytes in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) count: i64,
    pub(crate) bytes: i64,
}

/// How many rows a holder has, and how many bytes are in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Usage {
    /// Rows.
    pub count: i64,
    /// Bytes.
    pub bytes: i64,
}

/// What a holder had of a kind before the transaction wrote.
#[derive(Debug)]
pub(super) struct Measured {
    kind: &'static str,
    noun: &'static str,
    holder: String,
    limit: Limit,
    before: Usage,
}

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

const fn limit(count: i64, bytes: i64) -> Limit {
    Limit { count, bytes }
}

impl Quota {
    /// Services, of the user who owns them. Horizon's default is 1,000 for each user.
    pub const SERVICES: Self =
        Self::new("service", "service", limit(1000, 16 * MIB), limit(10_000, 32 * MIB));
    /// Services that other organizations see: all of them are in one catalog.
    pub const PUBLIC_SERVICES: Self =
        Self::of_org("public-service", "public service", limit(2000, 8 * MIB));
    /// Patterns. Horizon's default is 1,000 for each user.
    pub const PATTERNS: Self =
        Self::new("pattern", "pattern", limit(1000, 8 * MIB), limit(5000, 16 * MIB));
    /// Deployment policies. Horizon's default is 5,000 for each user.
    pub const POLICIES: Self =
        Self::new("policy", "policy", limit(5000, 8 * MIB), limit(10_000, 16 * MIB));
    /// Nodes. Horizon's default is 45,000 for each user; fleets here are larger.
    pub const NODES: Self =
        Self::new("node", "node", limit(250_000, 256 * MIB), limit(1_000_000, GIB));
    /// Agreements of a node: an anax node has one for each service that it runs.
    pub const AGREEMENTS: Self =
        Self::new("agreement", "agreement", limit(1000, MIB), limit(2_000_000, GIB));
    /// Policy, status and errors of a node.
    pub const NODE_PARTS: Self = Self::new(
        "node-part",
        "policy, status or error list",
        limit(8, MIB),
        limit(4_000_000, GIB),
    );
    /// Reports of nodes, one for each.
    pub const NODE_REPORTS: Self =
        Self::of_org("node-report", "node report", limit(1_000_000, GIB));
    /// Keys beside a service.
    pub const SERVICE_KEYS: Self =
        Self::new("service-key", "key", limit(100, 256 * KIB), limit(20_000, 16 * MIB));
    /// Keys beside a pattern.
    pub const PATTERN_KEYS: Self =
        Self::new("pattern-key", "key", limit(100, 256 * KIB), limit(20_000, 16 * MIB));
    /// Policies of services, one for each.
    pub const SERVICE_POLICIES: Self =
        Self::of_org("service-policy", "service policy", limit(10_000, 16 * MIB));
    /// Pull credentials of a service.
    pub const CREDENTIALS: Self =
        Self::new("dockauth", "pull credential", limit(1024, MIB), limit(100_000, 64 * MIB));
    /// Users of an organization.
    pub const USERS: Self = Self::of_org("user", "user", limit(10_000, 4 * MIB));
    /// API keys of a user.
    pub const API_KEYS: Self =
        Self::new("api-key", "API key", limit(100, 256 * KIB), limit(20_000, 8 * MIB));
    /// Signed documents, of the user who published them; every version is kept.
    pub const SIGNED_DOCUMENTS: Self = Self::new(
        "signed-document",
        "signed document",
        limit(250_000, 2 * GIB),
        limit(1_000_000, 4 * GIB),
    );
    /// Organizations of an exchange.
    const ORGS: Self = Self::of_org("org", "organization", limit(10_000, 16 * MIB));

    const fn new(kind: &'static str, noun: &'static str, holder: Limit, org: Limit) -> Self {
        Self { kind, noun, holder, org }
    }

    const fn of_org(kind: &'static str, noun: &'static str, org: Limit) -> Self {
        Self { kind, noun, holder: org, org }
    }
}

impl Store {
    /// What an organization has of a kind.
    pub async fn usage_of_org(&self, quota: &Quota, org: &OrgId) -> Result<Usage, StoreError> {
        self.usage_of_holder(quota, org.as_str()).await
    }

    /// How many organizations there are, and how long they are.
    pub async fn usage_of_orgs(&self) -> Result<Usage, StoreError> {
        self.usage_of_holder(&Quota::ORGS, "").await
    }

    /// What a holder (`org/name`) has of a kind.
    pub async fn usage_of_holder(&self, quota: &Quota, holder: &str) -> Result<Usage, StoreError> {
        let query = sqlx::query_as(USAGE).bind(quota.kind).bind(holder);
        Ok(query.fetch_optional(self.read()).await?.unwrap_or_default())
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }
}

const USAGE: &str = "SELECT count, bytes FROM usage WHERE kind = $1 AND holder = $2";

impl Write {
    /// Holds what this transaction writes from here on to the limits of `holder` (`org/name`) and of the
    /// organization. The commit fails where it would leave more than allowed, and more than there was.
    pub(crate) async fn limit(
        &mut self,
        quota: &Quota,
        org: &OrgId,
        holder: impl Into<String>,
    ) -> Result<(), StoreError> {
        self.measure(quota, holder.into(), quota.holder).await?;
        self.limit_of_org(quota, org).await
    }

    /// The same for a kind that an organization as a whole has.
    pub(crate) async fn limit_of_org(
        &mut self,
        quota: &Quota,
        org: &OrgId,
    ) -> Result<(), StoreError> {
        self.measure(quota, org.to_string(), quota.org).await
    }

    /// The same for organizations, which the exchange as a whole has.
    pub(super) async fn limit_orgs(&mut self) -> Result<(), StoreError> {
        self.measure(&Quota::ORGS, String::new(), Quota::ORGS.org).await
    }

    /// How many rows of a kind an organization has.
    pub(super) async fn usage_of_org(
        &mut self,
        quota: &Quota,
        org: &OrgId,
    ) -> Result<Usage, StoreError> {
        self.usage(quota.kind, org.as_str()).await
    }

    async fn measure(
        &mut self,
        quota: &Quota,
        holder: String,
        limit: Limit,
    ) -> Result<(), StoreError> {
        let Quota { kind, noun, .. } = *quota;
        let is_measured = |it: &Measured| it.kind == kind && it.holder == holder;
        if self.measured.iter().any(is_measured) {
            return Ok(());
        }
        let before = self.usage(kind, &holder).await?;
        self.measured.push(Measured { kind, noun, holder, limit, before });
        Ok(())
    }

    async fn usage(&mut self, kind: &str, holder: &str) -> Result<Usage, StoreError> {
        let query = sqlx::query_as(USAGE).bind(kind).bind(holder);
        Ok(query.fetch_optional(self.sql()).await?.unwrap_or_default())
    }

    /// Fails where the transaction would leave more than allowed, and more than there was: what is over a
    /// limit already can shrink.
    pub(super) async fn check_limits(&mut self) -> Result<(), StoreError> {
        for measured in std::mem::take(&mut self.measured) {
            let after = self.usage(measured.kind, &measured.holder).await?;
            measured.check(after)?;
        }
        Ok(())
    }
}

impl Measured {
    fn check(&self, after: Usage) -> Result<(), StoreError> {
        let Self { noun, limit, before, .. } = self;
        let holder = if self.holder.is_empty() { "the exchange" } else { &self.holder };
        let msg = if after.count > limit.count && after.count > before.count {
            format!("{holder} is over the limit of {} for a {noun}", limit.count)
        } else if after.bytes > limit.bytes && after.bytes > before.bytes {
            format!("{holder} is over the limit of {} bytes for each {noun} in all", limit.bytes)
        } else {
            return Ok(());
        };
        Err(StoreError::Limit { msg })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(before: Usage) -> Measured {
        let limit = limit(2, 10);
        Measured { kind: "k", noun: "thing", holder: "A/u".to_owned(), limit, before }
    }

    #[test]
    fn a_holder_over_a_limit_can_only_shrink() {
        let usage = |count, bytes| Usage { count, bytes };
        let cases = [
            (usage(1, 0), usage(2, 10), None),
            (usage(2, 0), usage(3, 0), Some("A/u is over the limit of 2 for a thing")),
            (usage(5, 0), usage(4, 0), None),
            (usage(5, 0), usage(5, 0), None),
            (usage(1, 9), usage(1, 11), Some("of 10 bytes for each thing in all")),
            (usage(1, 99), usage(1, 50), None),
        ];
        for (before, after, expected) in cases {
            let checked = measured(before).check(after);
            match (checked, expected) {
                (Ok(()), None) => (),
                (Err(StoreError::Limit { msg }), Some(text)) => {
                    assert!(msg.contains(text), "{msg}");
                }
                (other, _) => panic!("{before:?} {after:?}: {other:?}"),
            }
        }
    }
}
