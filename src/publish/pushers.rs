//! Whether the logins that nodes get may do more than they need: who can pull should not be able to push.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;

use crate::{
    registry::client::RegistryClient,
    types::{Registry, Repository},
};

/// How long one repository may take to answer: this is advice, and nothing waits for it any longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many are asked at once.
const AT_ONCE: usize = 4;
/// More repositories than a service has; of more than these nothing is asked.
const MOST: usize = 32;

/// Those of `repositories` that the logins of `client` can push to, though they are given to nodes. Only registries
/// in `with_login` are asked: elsewhere there is no login that could be too good. An upload is begun in each, and given
/// up. What cannot be found out is left out.
pub(crate) async fn pushable(
    repositories: impl IntoIterator<Item = Repository>,
    with_login: &BTreeSet<Registry>,
    client: &RegistryClient,
) -> BTreeSet<Repository> {
    let asked: BTreeSet<_> =
        repositories.into_iter().filter(|it| with_login.contains(it.registry())).collect();
    let ask = |repository: Repository| async move {
        match timeout(PATIENCE, client.may_push(&repository)).await {
            Ok(Ok(())) => Some(repository),
            Ok(Err(error)) => {
                tracing::debug!(%repository, %error, "nodes cannot push, as it should be");
                None
            }
            Err(_) => None,
        }
    };
    let answers = stream::iter(asked.into_iter().take(MOST)).map(ask).buffer_unordered(AT_ONCE);
    answers.filter_map(std::future::ready).collect().await
}
