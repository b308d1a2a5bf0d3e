//! What there is in a registry: its repositories, and their tags.

use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    http::Call,
    pages::Page,
};
use crate::{
    registry::protocol::{MAX_PAGE, RepositoryName, path},
    types::{Registry, Repository, Tag},
};

/// What a registry says of one repository's tags, as far as it is read.
#[derive(Deserialize)]
struct TagList {
    /// Null where there are none.
    tags: Option<Vec<String>>,
}

/// What a registry says of its repositories.
#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

impl RegistryClient {
    /// The tags of a repository, sorted as the registry sorts them, of all its pages. Names that are
    /// no tags by the specification cannot be asked for, so they are left out.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>, RegistryError> {
        let endpoint = self.connections.endpoint(repository.registry())?;
        let first = format!("{}?n={MAX_PAGE}", path::tags(&api_path(repository)));
        let call = Call::new(repository.into(), &endpoint, Method::GET, &first)?
            .asking_for("tags", Scopes::from([Scope::pull(repository)]));
        let place = call.place.clone();
        let mut pages = self.pages(&endpoint, call);
        let mut tags = Vec::new();
        while let Some(page) = pages.next().await? {
            let list: TagList = read(&page, &place, "tags")?;
            tags.extend(list.tags.unwrap_or_default().iter().filter_map(|tag| tag.parse().ok()));
        }
        Ok(tags)
    }

    /// The repositories of a registry that it shows to us, of all its pages. Many registries show
    /// them to nobody but an administrator, and Docker Hub to nobody at all.
    pub async fn repositories(
        &self,
        registry: &Registry,
    ) -> Result<Vec<Repository>, RegistryError> {
        let endpoint = self.connections.endpoint(registry)?;
        let first = format!("{}?n={MAX_PAGE}", path::CATALOG);
        let call = Call::new(registry.into(), &endpoint, Method::GET, &first)?
            .asking_for("list of repositories", Scopes::from([Scope::catalog()]));
        let place = call.place.clone();
        let mut pages = self.pages(&endpoint, call);
        let mut repositories = Vec::new();
        while let Some(page) = pages.next().await? {
            let list: Catalog = read(&page, &place, "repositories")?;
            let names = list.repositories.unwrap_or_default();
            let names = names.iter().filter_map(|name| name.parse::<RepositoryName>().ok());
            repositories.extend(names.filter_map(|name| format!("{registry}/{name}").parse().ok()));
        }
        Ok(repositories)
    }
}

fn read<T: DeserializeOwned>(page: &Page, place: &Place, what: &str) -> Result<T, RegistryError> {
    serde_json::from_slice(&page.body)
        .map_err(|error| RegistryError::protocol(place, format!("its {what}: {error}")))
}
