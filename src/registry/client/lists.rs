//! What there is in a registry: its repositories, and their tags.

use std::{fmt, marker::PhantomData, str::FromStr};

use reqwest::Method;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, SeqAccess, Visitor},
};

use super::{
    Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    http::Call,
    pages::Page,
};
use crate::{
    registry::protocol::{MAX_PAGE, RepositoryName, path},
    types::{JsonProblem, Registry, Repository, Tag},
};

/// The most names of one list that are read.
const MAX_NAMES: usize = 250_000;

/// What a registry says of one repository's tags, as far as it is read.
#[derive(Deserialize)]
struct TagList {
    /// Null where there are none.
    tags: Option<Names<Tag>>,
}

/// What a registry says of its repositories.
#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Names<RepositoryName>>,
}

/// The names in a list that are some; what is none is not even kept in memory.
struct Names<T>(Vec<T>);

impl<'de, T: FromStr> Deserialize<'de> for Names<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);

        impl<'de, T: FromStr> Visitor<'de> for List<T> {
            type Value = Names<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names<T>, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element::<String>()? {
                    if names.len() < MAX_NAMES {
                        names.extend(name.parse());
                    }
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Takes in the names of a page, unless there are too many.
fn add<T, U>(
    names: &mut Vec<U>,
    page: Option<Names<T>>,
    place: &Place,
    made: impl Fn(T) -> Option<U>,
) -> Result<(), RegistryError> {
    names.extend(page.into_iter().flat_map(|it| it.0).filter_map(made));
    if names.len() < MAX_NAMES {
        return Ok(());
    }
    Err(RegistryError::protocol(place, format!("its list has {MAX_NAMES} names, or more")))
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
            add(&mut tags, list.tags, &place, Some)?;
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
            let whole = |name: RepositoryName| format!("{registry}/{name}").parse().ok();
            add(&mut repositories, list.repositories, &place, whole)?;
        }
        Ok(repositories)
    }
}

fn read<T: DeserializeOwned>(page: &Page, place: &Place, what: &str) -> Result<T, RegistryError> {
    serde_json::from_slice(&page.body).map_err(|error| {
        RegistryError::protocol(place, format!("its {what}: {}", JsonProblem::from(error)))
    })
}
