//! Claims on the name of a signed document: who owns the row that hzn and anax see, and who signed the name before.

use serde::Deserialize;
use sqlx::AssertSqlSafe;

use super::{Posted, StoreError, Write, bad, permit::Guarded};
use crate::{
    exchange::api::{PatternRequest, PolicyRequest, ServiceRequest},
    sign::Envelope,
    trust::{Header, State},
    types::{DocumentKey, OrgId, Subject},
};

/// Who has a claim on the name of a document that is to be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameClaims {
    row: Option<RowClaim>,
    signed: Option<SignedClaim>,
}

/// The row that hzn and anax see under the name; of a node's policy, the node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RowClaim {
    /// `org/user`.
    owner: String,
    /// Whether the owner administers its organization, or all of them.
    is_of_admin: bool,
    /// When it was created, in milliseconds since 1970. A node is never an unsigned row.
    created: Option<i64>,
}

/// The newest signed document of the name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SignedClaim {
    /// `org/user`, who published it.
    publisher: String,
    /// When it was published, in milliseconds since 1970.
    signed_at: i64,
    /// Whether it was not withdrawn.
    is_active: bool,
}

impl NameClaims {
    /// Who may publish under the name beside administrators, `org/user`; `None` if it is free. An unsigned row of a
    /// plain user is no claim: the name is free, or still belongs to the publisher who signed it before.
    pub fn holder(&self) -> Option<&str> {
        match (&self.row, &self.signed) {
            (Some(row), _) if row.is_of_admin || !self.is_unsigned(row) => Some(&row.owner),
            (_, signed) => signed.as_ref().map(|it| it.publisher.as_str()),
        }
    }

    /// Whether the name is new: there is no row, and no document was ever signed under it.
    pub fn is_new(&self) -> bool {
        self.row.is_none() && self.signed.is_none()
    }

    /// Whether there is a row under the name.
    pub fn has_row(&self) -> bool {
        self.row.is_some()
    }

    /// The owner of the row, if it is unsigned and yields to a signed document of `publisher`.
    pub fn yielding(&self, publisher: &str) -> Option<&str> {
        let row = self.row.as_ref()?;
        let yields = self.is_unsigned(row) && !row.is_of_admin && row.owner != publisher;
        yields.then_some(row.owner.as_str())
    }

    /// Whether no signed document made the row, or took it over when it was there already.
    fn is_unsigned(&self, row: &RowClaim) -> bool {
        let Some(created) = row.created else { return false };
        let is_signed = self.signed.as_ref().is_some_and(|signed| {
            signed.is_active && (signed.publisher == row.owner || created < signed.signed_at)
        });
        !is_signed
    }
}

/// The claims on the name in a header, as a row on which rights are decided.
pub(super) struct ClaimsRow<'a> {
    pub(super) org: &'a OrgId,
    pub(super) header: &'a Header,
}

impl Guarded for ClaimsRow<'_> {
    type Row = NameClaims;

    async fn load(&self, write: &mut Write) -> Result<Option<NameClaims>, StoreError> {
        let (org, key) = (self.org, self.header.key());
        let id = key.id();
        let row = match &self.header.subject {
            Subject::Service { .. } => write.row_claim::<ServiceRequest>(org, id).await?,
            Subject::Pattern(_) => write.row_claim::<PatternRequest>(org, id).await?,
            Subject::Policy(_) => write.row_claim::<PolicyRequest>(org, id).await?,
            Subject::NodePolicy(node) => {
                let owner = write.node_owner(org, node).await?;
                owner.map(|owner| RowClaim { owner, is_of_admin: false, created: None })
            }
        };
        Ok(Some(NameClaims { row, signed: write.signed_claim(org, &key).await? }))
    }
}

impl Write {
    async fn row_claim<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<RowClaim>, StoreError> {
        let sql = format!(
            "SELECT it.owner, u.admin + u.hub_admin, it.created FROM {} it \
             JOIN users u ON u.name = it.owner WHERE it.org = $1 AND it.id = $2",
            T::TABLE
        );
        let query = sqlx::query_as::<_, (String, i64, i64)>(AssertSqlSafe(sql));
        let row = query.bind(org.as_str()).bind(id).fetch_optional(self.sql()).await?;
        Ok(row.map(|(owner, admin, created)| RowClaim {
            owner,
            is_of_admin: admin > 0,
            created: Some(created),
        }))
    }

    /// Whether the newest signed document of this name was not withdrawn.
    pub(super) async fn is_signed_document(
        &mut self,
        org: &OrgId,
        key: &DocumentKey,
    ) -> Result<bool, StoreError> {
        Ok(self.signed_claim(org, key).await?.is_some_and(|it| it.is_active))
    }

    async fn signed_claim(
        &mut self,
        org: &OrgId,
        key: &DocumentKey,
    ) -> Result<Option<SignedClaim>, StoreError> {
        #[derive(Deserialize)]
        struct Claimed {
            header: ClaimedState,
        }
        #[derive(Deserialize)]
        struct ClaimedState {
            state: State,
        }
        let sql = "SELECT owner, last_updated, envelope FROM signed_documents \
                   WHERE org = $1 AND document_key = $2 ORDER BY epoch DESC, seq DESC LIMIT 1";
        let query = sqlx::query_as::<_, (String, i64, Vec<u8>)>(sql);
        let row = query.bind(org.as_str()).bind(key.to_string()).fetch_optional(self.sql()).await?;
        let Some((publisher, signed_at, envelope)) = row else { return Ok(None) };
        let envelope = Envelope::from_json(&envelope).map_err(bad)?;
        let claimed: Claimed = serde_json::from_slice(envelope.payload())?;
        let is_active = claimed.header.state == State::Active;
        Ok(Some(SignedClaim { publisher, signed_at, is_active }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(owner: &str, created: i64) -> RowClaim {
        RowClaim { owner: owner.to_owned(), is_of_admin: owner == "A/ad", created: Some(created) }
    }

    fn signed(publisher: &str, signed_at: i64) -> SignedClaim {
        SignedClaim { publisher: publisher.to_owned(), signed_at, is_active: true }
    }

    /// The row, the signed document, who may publish, and whose row yields to a document of `A/p`.
    type Case = (Option<RowClaim>, Option<SignedClaim>, Option<&'static str>, Option<&'static str>);

    #[test]
    fn unsigned_row_of_a_plain_user_is_no_claim() {
        let withdrawn = SignedClaim { is_active: false, ..signed("A/p", 5) };
        let cases: [Case; 10] = [
            (None, None, None, None),
            (Some(row("A/x", 1)), None, None, Some("A/x")),
            (Some(row("A/p", 1)), None, None, None),
            (Some(row("A/ad", 1)), None, Some("A/ad"), None),
            (None, Some(signed("A/p", 5)), Some("A/p"), None),
            // Its own row.
            (Some(row("A/p", 5)), Some(signed("A/p", 5)), Some("A/p"), None),
            // An administrator signed what a user had posted.
            (Some(row("A/x", 1)), Some(signed("A/ad", 5)), Some("A/x"), None),
            // A row that was posted after the signed one was deleted, or withdrawn.
            (Some(row("A/x", 6)), Some(signed("A/p", 5)), Some("A/p"), Some("A/x")),
            (Some(row("A/x", 4)), Some(withdrawn), Some("A/p"), Some("A/x")),
            (Some(row("A/p", 6)), Some(signed("A/x", 5)), Some("A/x"), None),
        ];
        for (row, signed, holder, yielding) in cases {
            let claims = NameClaims { row, signed };
            assert_eq!(claims.holder(), holder, "{claims:?}");
            assert_eq!(claims.yielding("A/p"), yielding, "{claims:?}");
        }
    }

    #[test]
    fn node_is_never_an_unsigned_row() {
        let node = RowClaim { owner: "A/x".to_owned(), is_of_admin: false, created: None };
        let claims = NameClaims { row: Some(node), signed: Some(signed("A/p", 5)) };
        assert_eq!((claims.holder(), claims.yielding("A/p")), (Some("A/x"), None));
    }
}
