//! Under which keys login files keep a login: the host, prefixes of a repository, and what Docker
//! once wrote in their place.

use crate::{
    registry::client::api_path,
    types::{Registry, Repository},
};

/// Docker Hub's key in Docker's login file.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Docker Hub's hosts.
const HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The names of a registry, or of a repository in it.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The registry's, in plain.
    hosts: Vec<String>,
    path: Option<String>,
}

impl Names {
    pub(super) fn of_registry(registry: &Registry) -> Self {
        let host = registry.as_str();
        let hosts = if HUB_HOSTS.contains(&host) { HUB_HOSTS.to_vec() } else { vec![host] };
        Self { hosts: hosts.into_iter().map(str::to_owned).collect(), path: None }
    }

    pub(super) fn of_repository(repository: &Repository) -> Self {
        let path = Some(api_path(repository));
        Self { path, ..Self::of_registry(repository.registry()) }
    }

    /// The names that are longer than the host's, the longest first.
    pub(super) fn within(&self) -> Vec<String> {
        let path = self.path.as_deref().unwrap_or_default();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut prefixes: Vec<_> = ends.filter(|end| *end > 0).map(|end| &path[..end]).collect();
        prefixes.reverse();
        let under = |prefix| self.hosts.iter().map(move |host| format!("{host}/{prefix}"));
        prefixes.into_iter().flat_map(under).collect()
    }

    /// The key that Docker writes, and asks credential stores for.
    pub(super) fn key(&self) -> &str {
        match self.hosts.as_slice() {
            [one] => one,
            _ => HUB_KEY,
        }
    }

    /// Whether `key` of a login file is the registry's.
    pub(super) fn is_host(&self, key: &str) -> bool {
        self.hosts.contains(&plain(key))
    }
}

/// A key without what old programs wrote round it: `https://host/v1/` is `host`.
pub(super) fn plain(key: &str) -> String {
    let key = key.to_ascii_lowercase();
    let url = ["https://", "http://"].iter().find_map(|scheme| key.strip_prefix(scheme));
    if let Some(rest) = url {
        return rest.split('/').next().unwrap_or(rest).to_owned();
    }
    let key = key.trim_end_matches('/');
    let host = ["/v1", "/v2"].iter().find_map(|version| key.strip_suffix(version));
    host.unwrap_or(key).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_comes_first() {
        let names = Names::of_repository(&"h:5000/a/b/c".parse().unwrap());
        assert_eq!(names.within(), ["h:5000/a/b/c", "h:5000/a/b", "h:5000/a"]);
        assert_eq!(names.key(), "h:5000");
        let hub = Names::of_repository(&"docker.io/busybox".parse().unwrap());
        assert!(hub.within().starts_with(&["docker.io/library/busybox".to_owned()]));
        assert_eq!(hub.key(), HUB_KEY);
        assert!(Names::of_registry(&"h".parse().unwrap()).within().is_empty());
    }

    #[test]
    fn what_old_programs_wrote_is_understood() {
        for key in ["host:5000", "https://HOST:5000", "http://host:5000/v1/", "host:5000/v2/"] {
            assert_eq!(plain(key), "host:5000", "{key}");
        }
        assert_eq!(plain("host/team"), "host/team");
        assert!(Names::of_registry(&"docker.io".parse().unwrap()).is_host(HUB_KEY));
    }
}
