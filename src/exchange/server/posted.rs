//! Services, patterns and deployment policies: what is the same for all of them.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    ApiError, AppState,
    answer::{Patch, attribute, listed, patched, written},
    caller::{Caller, Role},
    extract::{Body, Path, Query, check_name, check_new_name},
    orgs::Only,
};
use crate::{
    exchange::{
        api::{Operation, Reply, Stored},
        store::{Posted, Shelf, StoreError},
    },
    types::OrgId,
};

/// Something posted, as its paths have it.
pub(super) trait Noun: Posted + 'static {
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
    let map = on_shelf::<T>(&state, &shelf, &filters).await?;
    Ok(listed(map.is_empty(), T::container(map)))
}

/// Lists everything the caller may see. `hzn` takes no 404 here.
pub(super) async fn catalog<T: Noun>(
    State(state): State<AppState>,
    caller: Caller,
    Query(filters): Query<T::Filters>,
) -> Result<Response, ApiError> {
    let shelf = Shelf::Catalog(caller.org.clone());
    Ok(listed(false, T::container(on_shelf::<T>(&state, &shelf, &filters).await?)))
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
    Ok(listed(false, T::container(on_shelf::<T>(&state, &shelf, &filters).await?)))
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
    let permit = caller.permit(|caller, _| {
        caller.may_post::<T>(org, id)?;
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
    let permit = caller.permit(|caller, held| may_replace(caller, &org, &id, held).map(|_| value));
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
    let permit = caller.permit(|caller, held| {
        let held: Stored<T> = may_replace(caller, &org, &id, held)?;
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
    let permit = caller.permit_change::<T>(&org, &id);
    state.store.remove::<T, _>(&org, &id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn on_shelf<T: Noun>(
    state: &AppState,
    shelf: &Shelf,
    filters: &T::Filters,
) -> Result<BTreeMap<String, Stored<T>>, ApiError> {
    if let Some(problem) = T::bad_filter(filters) {
        return Err(ApiError::InvalidInput(problem));
    }
    let mut columns = T::columns(filters);
    columns.retain(|(_, value)| !value.contains('%'));
    let mut map = state.store.shelf::<T>(shelf, &columns).await?;
    map.retain(|id, it| T::fits(filters, id, it));
    Ok(map)
}

/// What is there, if it is and the caller may change it.
fn may_replace<T: Noun>(
    caller: &Caller,
    org: &OrgId,
    id: &str,
    held: Option<Stored<T>>,
) -> Result<Stored<T>, ApiError> {
    caller.may_change::<T>(org, id, held.as_ref().map(Stored::ownership).as_ref())?;
    Ok(held.ok_or_else(|| StoreError::missing(T::NOUN, org, id))?)
}

/// The same, completed, if nothing is wrong with it.
fn sound<T: Noun>(request: T, id: &str) -> Result<T, ApiError> {
    let value = request.completed();
    match value.problem(id) {
        Some(problem) => Err(ApiError::InvalidInput(problem)),
        None => Ok(value),
    }
}
