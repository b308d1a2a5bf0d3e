//! Services, patterns and deployment policies: what is the same for all of them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    ApiError, AppState,
    answer::{Patch, attribute, listed, patched, written},
    caller::{Caller, Role},
    extract::{Body, Path, Query, check_name, check_new_name},
    lists::{Batches, List, Position, STREAM, members, reserved},
    orgs::Only,
    signed_names::{HorizonWrite, SignedPart, WriteTarget},
};
use crate::{
    exchange::{
        api::{Operation, Reply, Stored},
        store::{HorizonName, Ownership, Posted, RowKey, Shelf, Store, StoreError},
    },
    types::OrgId,
};

/// Something posted, as its paths have it.
pub(super) trait Noun: Posted + 'static {
    /// The field of a list with the entries.
    const LIST: &'static str;
    /// What a list can be narrowed by.
    type Filters: DeserializeOwned + Send + Sync + 'static;

    /// Filters that are columns of the table, and mean just what they say.
    fn columns(_: &Self::Filters) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// What is wrong with the filters, if anything is.
    fn bad_filter(_: &Self::Filters) -> Option<String> {
        None
    }

    /// Whether it fits all filters.
    fn fits(filters: &Self::Filters, id: &str, it: &Stored<Self>) -> bool;

    /// The list as Horizon has it.
    fn container(map: BTreeMap<String, Stored<Self>>) -> impl Serialize;

    /// Fills in what may be left out.
    fn completed(self) -> Self;

    /// What is wrong with it by itself, or under this id, if anything is.
    fn problem(&self, id: &str) -> Option<String>;
}

/// Lists what an organization has; of another organization, what it shows to others.
pub(super) async fn list<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(filters): Query<T::Filters>,
) -> Result<Response, ApiError> {
    let all = caller.org == org || matches!(caller.role, Role::Root(_));
    let shelf = if all { Shelf::Org(org) } else { Shelf::PublicOf(org) };
    on_shelf::<T>(&state, &caller, shelf, filters, List::new(T::LIST)).await
}

/// Lists everything the caller may see. `hzn` takes no 404 here.
pub(super) async fn catalog<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Query(filters): Query<T::Filters>,
) -> Result<Response, ApiError> {
    let shelf = Shelf::Catalog(caller.org.clone());
    let list = List::new(T::LIST).empty_is_ok();
    on_shelf::<T>(&state, &caller, shelf, filters, list).await
}

/// Lists everything that an organization may see.
pub(super) async fn catalog_of<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(filters): Query<T::Filters>,
) -> Result<Response, ApiError> {
    caller.may_read_org(&org)?;
    let all = caller.org == org || matches!(caller.role, Role::Root(_));
    let shelf = if all { Shelf::Catalog(org) } else { Shelf::PublicOf(org) };
    let list = List::new(T::LIST).empty_is_ok();
    on_shelf::<T>(&state, &caller, shelf, filters, list).await
}

/// Tells about one.
pub(super) async fn get<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
    Query(only): Query<Only>,
) -> Result<Response, ApiError> {
    let held = state.store.posted::<T>(&org, &id).await?;
    caller.may_read::<T>(&org, &id, held.as_ref().map(Stored::ownership).as_ref())?;
    let held = held.ok_or_else(|| StoreError::missing(T::NOUN, &org, &id))?;
    if let Some(name) = &only.attribute {
        return Ok(attribute(&held, name)?.into_response());
    }
    Ok(listed(false, T::container(BTreeMap::from([(format!("{org}/{id}"), held)]))))
}

/// Makes one.
pub(super) async fn create<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
    Body(request): Body<T>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    created(&state, &caller, &org, &id, request).await
}

/// Makes one under this id.
pub(super) async fn created<T: Noun>(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    id: &str,
    request: T,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    check_name(id)?;
    check_new_name(id)?;
    let value = sound(request, id)?;
    let permit = caller.permit(|caller, name: Option<HorizonName<Ownership>>| {
        caller.may_post::<T>(org, id)?;
        let is_signed = name.is_some_and(|it| it.is_signed);
        HorizonWrite::Publish.check(&whole::<T>(org, id), is_signed)?;
        Ok(value)
    });
    state.store.create(org, id, &caller.name(), permit, state.clock.now()).await?;
    Ok(written(format!("{} '{org}/{id}' created", T::NOUN)))
}

/// Replaces one.
pub(super) async fn replace<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
    Body(request): Body<T>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let value = sound(request, &id)?;
    let permit = caller.permit(|caller, name| may_replace(caller, &org, &id, name).map(|_| value));
    let operation = Operation::CreatedOrModified;
    state.store.change(&org, &id, operation, permit, state.clock.now()).await?;
    Ok(written(format!("{} '{org}/{id}' updated", T::NOUN)))
}

/// Changes one attribute of one.
pub(super) async fn patch<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
    Body(patch): Body<Patch>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let permit = caller.permit(|caller, name| {
        let held: Stored<T> = may_replace(caller, &org, &id, name)?;
        sound(patched(&held.value, patch)?, &id)
    });
    state.store.change(&org, &id, Operation::Modified, permit, state.clock.now()).await?;
    Ok(written(format!("{} '{org}/{id}' updated", T::NOUN)))
}

/// Removes one, and what hangs on it.
pub(super) async fn delete<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit_horizon::<T>(HorizonWrite::Remove, whole::<T>(&org, &id));
    state.store.remove::<T, _>(&org, &id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn on_shelf<T: Noun>(
    state: &AppState,
    caller: &Caller,
    shelf: Shelf,
    filters: T::Filters,
    list: List,
) -> Result<Response, ApiError> {
    if let Some(problem) = T::bad_filter(&filters) {
        return Err(ApiError::InvalidInput(problem));
    }
    let columns = T::columns(&filters).into_iter().filter(|(_, value)| !value.contains('%'));
    let columns: Vec<_> = columns.map(|(name, value)| (name, value.to_owned())).collect();
    let mut size = state.store.shelf_size::<T>(&shelf, &[]).await?;
    if list.is_too_long(size) && !columns.is_empty() {
        size = state.store.shelf_size::<T>(&shelf, &columns).await?;
    }
    let batches = PostedBatches::<T> {
        store: state.store.clone(),
        shelf,
        columns,
        filters: Arc::new(filters),
        position: Position::Start,
    };
    list.answer(state, caller, size, batches).await
}

/// What is on a shelf, a batch at a time.
struct PostedBatches<T: Noun> {
    store: Store,
    shelf: Shelf,
    columns: Vec<(&'static str, String)>,
    filters: Arc<T::Filters>,
    position: Position,
}

impl<T: Noun> Batches for PostedBatches<T> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let after = match &self.position {
            Position::Start => None,
            Position::After(row) => Some(row),
            Position::End => return Ok(None),
        };
        let batch = self.store.shelf_batch::<T>(&self.shelf, &self.columns, after).await?;
        self.position = Position::from(batch.next.clone());
        let filters = Arc::clone(&self.filters);
        let encode = move || {
            let entries = batch.decode::<T>();
            members(entries.into_iter().filter(|(id, it)| T::fits(&filters, id, it)))
        };
        tokio::task::spawn_blocking(encode).await.map_err(ApiError::internal)?.map(Some)
    }
}

/// Which page of a shelf.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    /// `org/id` of the last entry of the page before.
    marker: Option<String>,
    /// How many entries at most; a page also ends when it has become 128 KiB long.
    limit: Option<usize>,
    /// Whether to list what others show as well.
    #[serde(default)]
    catalog: bool,
}

/// Lists what an organization has, a page at a time; of another organization, what it shows to others.
/// `next` is the marker of the page behind it.
pub(super) async fn page<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    let all = caller.org == org || matches!(caller.role, Role::Root(_));
    let shelf = match (all, page.catalog) {
        (true, false) => Shelf::Org(org),
        (true, true) => Shelf::Catalog(org),
        (false, _) => Shelf::PublicOf(org),
    };
    let bad_marker = || ApiError::InvalidInput("a marker is org/id".to_owned());
    let after = page.marker.as_ref().map(|it| RowKey::parse(it).ok_or_else(bad_marker));
    let after = after.transpose()?;
    let reservation = state.answers.reserve(&caller.name(), STREAM).await?;
    let batch = state.store.shelf_batch::<T>(&shelf, &[], after.as_ref()).await?;
    let mut entries = batch.decode::<T>();
    let mut next = batch.next.map(|it| it.to_string());
    let limit = page.limit.unwrap_or(usize::MAX).max(1);
    if entries.len() > limit {
        entries.truncate(limit);
        next = entries.last().map(|(name, _)| name.clone());
    }
    let mut body = format!("{{\"{}\":{{", T::LIST).into_bytes();
    body.extend(members(entries)?);
    let next = serde_json::to_string(&next).map_err(ApiError::internal)?;
    body.extend(format!("}},\"next\":{next}}}").into_bytes());
    Ok(reserved(body, Some(reservation)))
}

/// What is there, if it is, the caller may change it, and Horizon's API may.
fn may_replace<T: Noun>(
    caller: &Caller,
    org: &OrgId,
    id: &str,
    name: Option<HorizonName<Stored<T>>>,
) -> Result<Stored<T>, ApiError> {
    let (held, is_signed) = name.map_or((None, false), |it| (it.row, it.is_signed));
    caller.may_change::<T>(org, id, held.as_ref().map(Stored::ownership).as_ref())?;
    HorizonWrite::Publish.check(&whole::<T>(org, id), is_signed)?;
    Ok(held.ok_or_else(|| StoreError::missing(T::NOUN, org, id))?)
}

/// What a write by the path of one is about.
fn whole<'a, T: Noun>(org: &'a OrgId, id: &'a str) -> WriteTarget<'a> {
    WriteTarget { org, id, part: SignedPart::Whole(T::KIND) }
}

/// The same, completed, if nothing is wrong with it.
fn sound<T: Noun>(request: T, id: &str) -> Result<T, ApiError> {
    let value = request.completed();
    match value.problem(id) {
        Some(problem) => Err(ApiError::InvalidInput(problem)),
        None => Ok(value),
    }
}
