//! Authorization of writes: the right to write is decided on the row as it is inside the write transaction.
//!
//! Every method of [`Store`] that writes for a caller takes a [`Permit`]. It begins with [`Store::write_if`], which
//! loads the row and the caller's account in the transaction and runs the decision on both. A right that was decided
//! on an earlier read can therefore not be used: a row that was created, replaced or given to another owner in
//! between, and an account that was removed, demoted or given another password, are seen by the decision.

use std::fmt;

use jiff::Timestamp;

use super::{Store, StoreError, UserRecord, Write};
use crate::types::{Digest, NodeId, OrgId, UserId};

/// The secret by which an account has authenticated, as the exchange stores it.
#[derive(Clone, PartialEq, Eq)]
pub enum AccountProof {
    /// A user's password.
    Password {
        /// The user.
        user: UserId,
        /// The hash that the password was compared with.
        hash: String,
    },
    /// An API key of a user.
    ApiKey {
        /// The user.
        user: UserId,
        /// The digest of the key's value.
        value: Digest,
    },
    /// A node's token.
    Token {
        /// The node.
        node: NodeId,
        /// The hash that the token was compared with.
        hash: String,
    },
}

impl fmt::Debug for AccountProof {
    /// Without hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => f.debug_tuple("Password").field(user).finish(),
            Self::ApiKey { user, .. } => f.debug_tuple("ApiKey").field(user).finish(),
            Self::Token { node, .. } => f.debug_tuple("Token").field(node).finish(),
        }
    }
}

/// An account that has authenticated.
#[derive(Debug, Clone, Copy)]
pub struct CallerAccount<'a> {
    /// Its organization.
    pub org: &'a OrgId,
    /// By what it has authenticated.
    pub proof: &'a AccountProof,
}

/// What an account is inside the transaction.
#[derive(Debug, Clone)]
pub enum AccountState {
    /// A user with these attributes.
    User(UserRecord),
    /// A node.
    Node,
}

type Decide<'a, Row, New, E> =
    Box<dyn FnOnce(&AccountState, Option<Row>) -> Result<New, E> + Send + 'a>;

/// The decision on one write: from the account and the row, both as they are inside the transaction, to what is
/// written, or to the refusal.
#[must_use]
pub struct Permit<'a, Row, New, E>(Decider<'a, Row, New, E>);

enum Decider<'a, Row, New, E> {
    Account(CallerAccount<'a>, Decide<'a, Row, New, E>),
    Server(Box<dyn FnOnce(Option<Row>) -> Result<New, E> + Send + 'a>),
}

impl<'a, Row, New, E> Permit<'a, Row, New, E> {
    /// A write on behalf of `account`. `decide` is given what the account is, and the row if there is one.
    pub fn of(
        account: CallerAccount<'a>,
        decide: impl FnOnce(&AccountState, Option<Row>) -> Result<New, E> + Send + 'a,
    ) -> Self {
        Self(Decider::Account(account, Box::new(decide)))
    }

    /// A write of the server itself, such as its first start. There is no account to authorize.
    pub fn of_server(decide: impl FnOnce(Option<Row>) -> Result<New, E> + Send + 'a) -> Self {
        Self(Decider::Server(Box::new(decide)))
    }
}

impl<Row, New, E> fmt::Debug for Permit<'_, Row, New, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Decider::Account(account, _) => f.debug_tuple("Permit").field(account).finish(),
            Decider::Server(_) => f.write_str("Permit(server)"),
        }
    }
}

/// The name of a row on which a right is decided.
pub(super) trait Guarded: Sync {
    /// What the decision is given of the row.
    type Row: Send;

    /// The row as it is inside the transaction, if there is one.
    fn load(
        &self,
        write: &mut Write,
    ) -> impl Future<Output = Result<Option<Self::Row>, StoreError>> + Send;
}

impl Store {
    /// Begins a transaction in which the permit was decided on the row, and gives what the decision says to write.
    ///
    /// # Errors
    /// [`StoreError::AccountGone`] if the account does not exist any more or its secret was replaced, and the
    /// refusal of the decision.
    pub(super) async fn write_if<K: Guarded, New, E: From<StoreError>>(
        &self,
        row: &K,
        permit: Permit<'_, K::Row, New, E>,
        now: Timestamp,
    ) -> Result<(Write, New), E> {
        Self::admit_write(self.write(now).await?, row, permit).await
    }

    /// The same for deletions, which go through on a full disk as well ([`Store::write_essential`]).
    pub(super) async fn delete_if<K: Guarded, New, E: From<StoreError>>(
        &self,
        row: &K,
        permit: Permit<'_, K::Row, New, E>,
        now: Timestamp,
    ) -> Result<(Write, New), E> {
        Self::admit_write(self.write_essential(now).await?, row, permit).await
    }

    async fn admit_write<K: Guarded, New, E: From<StoreError>>(
        mut write: Write,
        row: &K,
        permit: Permit<'_, K::Row, New, E>,
    ) -> Result<(Write, New), E> {
        let held = row.load(&mut write).await?;
        let new = match permit.0 {
            Decider::Account(account, decide) => {
                let state = write.account_state(account).await?.ok_or(StoreError::AccountGone)?;
                decide(&state, held)?
            }
            Decider::Server(decide) => decide(held)?,
        };
        Ok((write, new))
    }
}

impl Write {
    /// What the account is now; `None` if it is gone, or its secret is not the one by which it authenticated.
    async fn account_state(
        &mut self,
        account: CallerAccount<'_>,
    ) -> Result<Option<AccountState>, StoreError> {
        let org = account.org;
        match account.proof {
            AccountProof::Password { user, hash } => {
                let held = self.user_record(org, user).await?;
                Ok(held.filter(|it| it.password_hash == *hash).map(AccountState::User))
            }
            AccountProof::ApiKey { user, value } => {
                if self.api_key_owner(org, value).await?.as_ref() != Some(user) {
                    return Ok(None);
                }
                Ok(self.user_record(org, user).await?.map(AccountState::User))
            }
            AccountProof::Token { node, hash } => {
                let held = self.node_token_hash(org, node).await?;
                Ok(held.filter(|it| it == hash).map(|_| AccountState::Node))
            }
        }
    }
}
