//! What users post: services, patterns and deployment policies, each one document with an owner.

use std::{future::Future, marker::PhantomData};

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, sqlite::SqliteRow};

use super::{
    Change, Db, Permit, Quota, Store, StoreError, Usage, Write,
    batches::{Batch, RowKey},
    permit::Guarded,
    readable, time,
};
use crate::{
    exchange::api::{Operation, Resource, Stored},
    types::{DocumentKey, DocumentKind, OrgId},
};

/// Something that users post.
pub trait Posted: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// Its word in messages.
    const NOUN: &'static str;
    /// The kind of signed document that it is the projection of.
    const KIND: DocumentKind;
    /// Its table.
    const TABLE: &'static str;
    /// What the change feed calls it.
    const RESOURCE: Resource;
    /// How much of it there may be.
    const QUOTA: Quota;
    /// How much of it other organizations may be shown, where they see any.
    const PUBLIC_QUOTA: Option<Quota> = None;
    /// Whether its answers tell when it was created.
    const TELLS_CREATION: bool = false;

    /// Whether other organizations see it.
    fn is_public(&self) -> bool {
        false
    }

    /// The columns by which it is searched.
    fn searched(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether everything is there that it refers to.
    fn check_references(
        &self,
        org: &OrgId,
        write: &mut Write,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Whose it is, and who else may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// `org/user`.
    pub owner: String,
    /// Whether other organizations see it.
    pub public: bool,
}

/// A name that a write by Horizon's API is about, as it is inside the write transaction.
#[derive(Debug, Clone)]
pub struct HorizonName<Row> {
    /// What Horizon's API shows under the name, if anything.
    pub row: Option<Row>,
    /// Whether an active signed document has the name. Only signed documents change what is shown of it.
    pub is_signed: bool,
}

impl<T: Posted> Stored<T> {
    /// Whose it is, and who else may see it.
    pub fn ownership(&self) -> Ownership {
        Ownership { owner: self.owner.clone(), public: self.value.is_public() }
    }
}

/// Which part of all that is posted.
#[derive(Debug, Clone)]
pub enum Shelf {
    /// All of an organization.
    Org(OrgId),
    /// What an organization shows to others.
    PublicOf(OrgId),
    /// All of an organization, and what any other shows.
    Catalog(OrgId),
}

impl Shelf {
    /// Narrows a query to what is on the shelf and has these values.
    fn narrow(&self, query: &mut QueryBuilder<Db>, columns: &[(&'static str, String)]) {
        match self {
            Self::Org(org) => query.push("org = ").push_bind(org.to_string()),
            Self::PublicOf(org) => query.push("public = 1 AND org = ").push_bind(org.to_string()),
            Self::Catalog(org) => {
                query.push("(public = 1 OR org = ").push_bind(org.to_string()).push(")")
            }
        };
        for (column, value) in columns {
            query.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
    }
}

/// A part of a shelf, not yet decoded.
#[derive(Debug)]
pub struct PostedBatch {
    rows: Vec<SqliteRow>,
    /// Where the next part begins; `None` if this is the last.
    pub next: Option<RowKey>,
}

impl PostedBatch {
    /// What can be read of it, by `org/id`.
    pub fn decode<T: Posted>(&self) -> Vec<(String, Stored<T>)> {
        self.rows.iter().filter_map(|row| readable(T::TABLE, named(row))).collect()
    }
}

impl Store {
    /// The thing of this name, if there is one.
    pub async fn posted<T: Posted>(
        &self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<Stored<T>>, StoreError> {
        let sql = format!("SELECT * FROM {} WHERE org = $1 AND id = $2", T::TABLE);
        let query = sqlx::query(AssertSqlSafe(sql)).bind(org.as_str()).bind(id);
        let row = query.fetch_optional(self.read()).await?;
        row.as_ref().map(stored).transpose()
    }

    /// The next part of a shelf after `after`, of what its columns' values leave.
    pub async fn shelf_batch<T: Posted>(
        &self,
        part: &Shelf,
        columns: &[(&'static str, String)],
        after: Option<&RowKey>,
    ) -> Result<PostedBatch, StoreError> {
        let narrow = |query: &mut QueryBuilder<Db>| part.narrow(query, columns);
        let Batch { rows, next } = self.batch(T::TABLE, narrow, after).await?;
        Ok(PostedBatch { rows, next })
    }

    /// How much is on a shelf, of what its columns' values leave. For all of an organization it is one
    /// lookup, and the values are not asked for.
    pub async fn shelf_size<T: Posted>(
        &self,
        part: &Shelf,
        columns: &[(&'static str, String)],
    ) -> Result<Usage, StoreError> {
        if let (Shelf::Org(org), []) = (part, columns) {
            return self.usage_of_org(&T::QUOTA, org).await;
        }
        let mut query = QueryBuilder::<Db>::new(
            "SELECT COUNT(*) AS count, COALESCE(SUM(octet_length(document)), 0) AS bytes FROM ",
        );
        query.push(T::TABLE).push(" WHERE ");
        part.narrow(&mut query, columns);
        Ok(query.build_query_as().fetch_one(self.read()).await?)
    }

    /// Whose the thing of this name is, if there is one.
    pub async fn ownership<T: Posted>(
        &self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<Ownership>, StoreError> {
        Ok(self.posted::<T>(org, id).await?.as_ref().map(Stored::ownership))
    }

    /// Publishes something new, as the permit decides.
    pub async fn create<T: Posted, E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &str,
        owner: &str,
        permit: Permit<'_, HorizonName<Ownership>, T, E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, new) = self.write_if(&NameRow::<T>::new(org, id), permit, now).await?;
        write.create(org, id, owner, &new).await?;
        Ok(write.commit().await?)
    }

    /// Replaces what is published under this name by what the permit makes of it; its owner stays.
    pub async fn change<T: Posted, E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &str,
        operation: Operation,
        permit: Permit<'_, HorizonName<Stored<T>>, T, E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, new) = self.write_if(&DocumentRow::<T>::new(org, id), permit, now).await?;
        write.replace(org, id, &new, operation).await?;
        Ok(write.commit().await?)
    }

    /// Removes what is published under this name, if the permit allows it.
    pub async fn remove<T: Posted, E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &str,
        permit: Permit<'_, HorizonName<Ownership>, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.delete_if(&NameRow::<T>::new(org, id), permit, now).await?;
        write.remove::<T>(org, id).await?;
        Ok(write.commit().await?)
    }
}

/// The ownership of something posted, as a row on which rights are decided.
pub(super) struct OwnershipRow<'a, T> {
    org: &'a OrgId,
    id: &'a str,
    kind: PhantomData<fn() -> T>,
}

/// A name with the ownership of what is posted under it, as a row on which a write by Horizon's API is decided.
pub(super) struct NameRow<'a, T>(OwnershipRow<'a, T>);

/// A name with all that is posted under it, as a row on which a write by Horizon's API is decided.
struct DocumentRow<'a, T>(OwnershipRow<'a, T>);

impl<'a, T> OwnershipRow<'a, T> {
    pub(super) fn new(org: &'a OrgId, id: &'a str) -> Self {
        Self { org, id, kind: PhantomData }
    }
}

impl<'a, T> NameRow<'a, T> {
    pub(super) fn new(org: &'a OrgId, id: &'a str) -> Self {
        Self(OwnershipRow::new(org, id))
    }
}

impl<'a, T> DocumentRow<'a, T> {
    fn new(org: &'a OrgId, id: &'a str) -> Self {
        Self(OwnershipRow::new(org, id))
    }
}

impl<T: Posted> Guarded for OwnershipRow<'_, T> {
    type Row = Ownership;

    async fn load(&self, write: &mut Write) -> Result<Option<Ownership>, StoreError> {
        write.ownership::<T>(self.org, self.id).await
    }
}

impl<T: Posted> Guarded for NameRow<'_, T> {
    type Row = HorizonName<Ownership>;

    async fn load(&self, write: &mut Write) -> Result<Option<Self::Row>, StoreError> {
        let OwnershipRow { org, id, .. } = self.0;
        let row = write.ownership::<T>(org, id).await?;
        Ok(Some(HorizonName { row, is_signed: write.is_signed::<T>(org, id).await? }))
    }
}

impl<T: Posted> Guarded for DocumentRow<'_, T> {
    type Row = HorizonName<Stored<T>>;

    async fn load(&self, write: &mut Write) -> Result<Option<Self::Row>, StoreError> {
        let OwnershipRow { org, id, .. } = self.0;
        let row = write.posted::<T>(org, id).await?;
        Ok(Some(HorizonName { row, is_signed: write.is_signed::<T>(org, id).await? }))
    }
}

impl Write {
    /// Whether an active signed document has this name within the transaction.
    pub(super) async fn is_signed<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<bool, StoreError> {
        // A name that no document can have was never signed.
        let Ok(key) = format!("{}/{id}", T::KIND).parse::<DocumentKey>() else { return Ok(false) };
        self.is_signed_document(org, &key).await
    }

    /// Whose the thing of this name is within the transaction, if there is one.
    pub(super) async fn ownership<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<Ownership>, StoreError> {
        let sql = format!("SELECT owner, public FROM {} WHERE org = $1 AND id = $2", T::TABLE);
        let query = sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(sql));
        let row = query.bind(org.as_str()).bind(id).fetch_optional(self.sql()).await?;
        Ok(row.map(|(owner, public)| Ownership { owner, public: public == 1 }))
    }

    /// The thing of this name as it is within the transaction.
    pub(crate) async fn posted<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<Stored<T>>, StoreError> {
        let sql = format!("SELECT * FROM {} WHERE org = $1 AND id = $2", T::TABLE);
        let query = sqlx::query(AssertSqlSafe(sql)).bind(org.as_str()).bind(id);
        let row = query.fetch_optional(self.sql()).await?;
        row.as_ref().map(stored).transpose()
    }

    /// Publishes something new.
    pub(crate) async fn create<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
        owner: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        self.limit_posted::<T>(org, owner).await?;
        value.check_references(org, self).await?;
        let now = self.now();
        let searched = value.searched();
        let mut query = QueryBuilder::<Db>::new("INSERT INTO ");
        query.push(T::TABLE).push(" (org, id, owner, public, document, created, last_updated");
        for (column, _) in &searched {
            query.push(", ").push(column);
        }
        query.push(") VALUES (");
        let mut values = query.separated(", ");
        values.push_bind(org.as_str()).push_bind(id).push_bind(owner);
        values.push_bind(i64::from(value.is_public())).push_bind(serde_json::to_string(value)?);
        values.push_bind(now).push_bind(now);
        for (_, text) in &searched {
            values.push_bind(text.as_str());
        }
        query.push(") ON CONFLICT (org, id) DO NOTHING");
        if query.build().execute(self.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::exists(T::NOUN, org, id));
        }
        self.tell::<T>(org, id, Operation::Created, value.is_public()).await
    }

    /// Replaces what is published under this name; its owner stays.
    pub(crate) async fn replace<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
        value: &T,
        operation: Operation,
    ) -> Result<(), StoreError> {
        let sql = format!("SELECT owner FROM {} WHERE org = $1 AND id = $2", T::TABLE);
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(org.as_str()).bind(id);
        let owner: Option<String> = query.fetch_optional(self.sql()).await?;
        let owner = owner.ok_or_else(|| StoreError::missing(T::NOUN, org, id))?;
        self.limit_posted::<T>(org, &owner).await?;
        value.check_references(org, self).await?;
        let now = self.now();
        let mut query = QueryBuilder::<Db>::new("UPDATE ");
        query.push(T::TABLE).push(" SET document = ").push_bind(serde_json::to_string(value)?);
        query.push(", public = ").push_bind(i64::from(value.is_public()));
        query.push(", last_updated = ").push_bind(now);
        for (column, text) in value.searched() {
            query.push(", ").push(column).push(" = ").push_bind(text);
        }
        query.push(" WHERE org = ").push_bind(org.as_str()).push(" AND id = ").push_bind(id);
        if query.build().execute(self.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing(T::NOUN, org, id));
        }
        self.tell::<T>(org, id, operation, value.is_public()).await
    }

    /// Removes what is published under this name, and what hangs on it.
    pub(crate) async fn remove<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<(), StoreError> {
        let sql = format!("DELETE FROM {} WHERE org = $1 AND id = $2 RETURNING public", T::TABLE);
        let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(org.as_str()).bind(id);
        let public = query.fetch_optional(self.sql()).await?;
        let public = public.ok_or_else(|| StoreError::missing(T::NOUN, org, id))? == 1;
        self.tell::<T>(org, id, Operation::Deleted, public).await
    }

    /// Holds what is written to the limits of its owner and of the organization.
    async fn limit_posted<T: Posted>(
        &mut self,
        org: &OrgId,
        owner: &str,
    ) -> Result<(), StoreError> {
        self.limit(&T::QUOTA, org, owner).await?;
        match T::PUBLIC_QUOTA {
            Some(quota) => self.limit_of_org(&quota, org).await,
            None => Ok(()),
        }
    }

    async fn tell<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
        operation: Operation,
        public: bool,
    ) -> Result<(), StoreError> {
        self.record(Change { org, resource: T::RESOURCE, id, operation, public }).await
    }
}

fn named<T: Posted>(row: &SqliteRow) -> Result<(String, Stored<T>), StoreError> {
    let (org, id) = (row.try_get::<&str, _>("org")?, row.try_get::<&str, _>("id")?);
    Ok((format!("{org}/{id}"), stored(row)?))
}

pub(super) fn stored<T: Posted>(row: &SqliteRow) -> Result<Stored<T>, StoreError> {
    let created = if T::TELLS_CREATION { Some(time(row.try_get("created")?)) } else { None };
    Ok(Stored {
        owner: row.try_get("owner")?,
        value: serde_json::from_str(row.try_get("document")?)?,
        created,
        last_updated: time(row.try_get("last_updated")?),
    })
}
