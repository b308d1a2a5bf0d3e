//! Whether the services are there that a document refers to.
//!
//! The check runs within the transaction that writes the document, while it holds the exchange's only
//! writer. It is one query, whatever the document says: equal references count once, and the number of
//! references is bounded where documents come in (`exchange::api::bounds`).

use std::collections::{BTreeMap, HashSet};

use sqlx::QueryBuilder;

use super::{Db, StoreError, Write};
use crate::{
    exchange::api::UserInput,
    types::{OrgId, ServiceUrl, Version, VersionRange},
};

/// A service that a document refers to: any version in `range`, or any at all.
#[derive(Debug)]
pub(super) struct ServiceReference<'a> {
    pub(super) org: &'a OrgId,
    pub(super) url: &'a ServiceUrl,
    /// Any, if empty or `*`.
    pub(super) arch: &'a str,
    pub(super) range: Option<VersionRange>,
}

/// A service whatever its version: organization, url, architecture.
type Named<'a> = (&'a str, &'a str, &'a str);

impl ServiceReference<'_> {
    fn any_arch(&self) -> bool {
        matches!(self.arch, "" | "*")
    }

    fn named(&self) -> Named<'_> {
        let arch = if self.any_arch() { "*" } else { self.arch };
        (self.org.as_str(), self.url.as_str(), arch)
    }

    /// Whether one of `versions`, in their order, is in the range.
    fn is_served_by(&self, versions: &[Version]) -> bool {
        let Some(range) = &self.range else { return !versions.is_empty() };
        range.contains_any(versions)
    }

    fn missing(&self) -> StoreError {
        let Self { org, url, arch, range } = self;
        let range = range.as_ref().map_or_else(|| "any version".to_owned(), ToString::to_string);
        let msg = format!("there is no service '{url}' of org '{org}', {range}, arch '{arch}'");
        StoreError::Unfit { msg }
    }
}

/// The services whose variables get values.
pub(super) fn references_of(inputs: &[UserInput]) -> Vec<ServiceReference<'_>> {
    let mut references = Vec::with_capacity(inputs.len());
    for it in inputs {
        references.push(ServiceReference {
            org: &it.service_orgid,
            url: &it.service_url,
            arch: it.service_arch.as_deref().unwrap_or_default(),
            range: it.service_version_range.as_ref().and_then(|it| it.parse().ok()),
        });
    }
    references
}

impl Write {
    /// Fails unless every one of these services is there.
    pub(super) async fn check_services(
        &mut self,
        references: Vec<ServiceReference<'_>>,
    ) -> Result<(), StoreError> {
        let references = distinct(references);
        let mut named: Vec<Named<'_>> = references.iter().map(ServiceReference::named).collect();
        named.sort_unstable();
        named.dedup();
        if named.is_empty() {
            return Ok(());
        }
        let versions = self.versions_of(&named).await?;
        let is_served = |it: &&ServiceReference<'_>| {
            named
                .binary_search(&it.named())
                .ok()
                .and_then(|place| versions.get(&place))
                .is_some_and(|versions| it.is_served_by(versions))
        };
        match references.iter().find(|it| !is_served(it)) {
            Some(missing) => Err(missing.missing()),
            None => Ok(()),
        }
    }

    /// The versions of each of these services that there are, in their order, by its place.
    async fn versions_of(
        &mut self,
        named: &[Named<'_>],
    ) -> Result<BTreeMap<usize, Vec<Version>>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("WITH named (place, org, url, arch) AS (");
        query.push_values(named.iter().enumerate(), |mut row, (place, (org, url, arch))| {
            row.push_bind(i64::try_from(place).unwrap_or(i64::MAX));
            row.push_bind((*org).to_owned()).push_bind((*url).to_owned());
            row.push_bind((*arch).to_owned());
        });
        query.push(
            ") SELECT n.place, s.version FROM named n \
             JOIN services s ON s.org = n.org AND s.url = n.url \
             WHERE n.arch = '*' OR s.arch = n.arch",
        );
        let rows: Vec<(i64, String)> = query.build_query_as().fetch_all(self.sql()).await?;
        let mut versions = BTreeMap::<usize, Vec<Version>>::new();
        for (place, version) in rows {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let versions = versions.entry(place).or_default();
            versions.extend(version.parse::<Version>());
        }
        for versions in versions.values_mut() {
            versions.sort_unstable();
        }
        Ok(versions)
    }
}

/// Each reference once.
fn distinct(mut references: Vec<ServiceReference<'_>>) -> Vec<ServiceReference<'_>> {
    let mut seen = HashSet::new();
    references.retain(|it| seen.insert((it.org, it.url, it.arch, it.range.clone())));
    references
}
