//! The first start: organizations `root` and `IBM`, and the user `root/root`.

use aws_lc_rs::rand;

use super::{ApiError, AppState, caller::ROOT};
use crate::{
    exchange::{
        api::{HeartbeatIntervals, ORG_TYPE_IBM, OrgLimits, OrgRequest},
        store::{Permit, StoreError, UserRecord},
    },
    types::{OrgId, Secret, UserId},
};

/// Makes what every exchange has, where it is not there yet. Returns the password of `root/root`
/// if one had to be made up: nobody can ask for it again.
pub(super) async fn bootstrap(
    state: &AppState,
    root_password: Option<&Secret>,
) -> Result<Option<Secret>, ApiError> {
    let root_org = ROOT.parse::<OrgId>().map_err(ApiError::internal)?;
    let ibm = ORG_TYPE_IBM.parse::<OrgId>().map_err(ApiError::internal)?;
    make_org(state, &root_org, "", "Root Org").await?;
    make_org(state, &ibm, ORG_TYPE_IBM, "IBM Org").await?;
    make_root(state, &root_org, root_password).await
}

async fn make_org(
    state: &AppState,
    id: &OrgId,
    org_type: &str,
    label: &str,
) -> Result<(), ApiError> {
    if state.store.org(id).await?.is_some() {
        // A start on a full disk writes nothing.
        return Ok(());
    }
    let request = OrgRequest {
        org_type: org_type.to_owned(),
        label: label.to_owned(),
        description: label.to_owned(),
        tags: None,
        limits: OrgLimits::default(),
        heartbeat_intervals: HeartbeatIntervals::default(),
    };
    let permit = Permit::of_server(|_| Ok(request));
    match state.store.create_org(id, permit, state.clock.now()).await {
        Ok(()) | Err(StoreError::Exists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn make_root(
    state: &AppState,
    org: &OrgId,
    given: Option<&Secret>,
) -> Result<Option<Secret>, ApiError> {
    let id = ROOT.parse::<UserId>().map_err(ApiError::internal)?;
    let name = format!("{org}/{id}");
    let held = state.store.user(org, &id).await?;
    let (password, made) = match (&held, given) {
        (_, Some(given)) => (given.clone(), None),
        (None, None) => {
            let made = Secret::random().map_err(ApiError::internal)?;
            (made.clone(), Some(made))
        }
        (Some(_), None) => return Ok(None),
    };
    if let Some(held) = &held
        && state.passwords.is_hash_of(&password, &held.password_hash).await?
    {
        return Ok(None);
    }
    let user = UserRecord {
        password_hash: state.passwords.hash(&password).await?,
        admin: true,
        hub_admin: true,
        email: String::new(),
    };
    let permit = Permit::of_server(|_| Ok::<_, StoreError>(user));
    state.store.write_user(org, &id, &name, permit, state.clock.now()).await?;
    Ok(made)
}

/// 256 random bits as 64 hex characters.
pub(super) fn random_secret() -> Result<Secret, ApiError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| ApiError::internal("no random numbers"))?;
    Ok(Secret::new(hex::encode(bytes)))
}
