//! The services that a service requires, and those that they require: for each the highest version
//! in range for the same architecture.

use crate::{
    document::service::{RequiredService, ServiceDefinition},
    types::{OrgId, ServiceId, ServiceUrl, VersionRange},
};

/// How deep services may require each other: far beyond any real one, short of a stack's end.
const DEEPEST: usize = 64;

/// More services than any node runs: what requires each other far and wide ends here.
const MOST: usize = 512;

/// A definition, and the organization that publishes it.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The organization.
    pub org: &'a OrgId,
    /// The definition.
    pub definition: &'a ServiceDefinition,
}

impl Published<'_> {
    /// What it is called.
    pub fn id(&self) -> ServiceId {
        self.definition.service_id(self.org)
    }
}

/// What is asked of a lookup.
#[derive(Debug, Clone)]
pub struct Requirement<'a> {
    /// The service that requires.
    pub by: &'a ServiceId,
    /// The organization of what it requires.
    pub org: &'a OrgId,
    /// Its name there.
    pub url: &'a ServiceUrl,
    /// The versions that will do. The architecture is that of [`Requirement::by`].
    pub range: VersionRange,
}

/// What a lookup answers.
#[derive(Debug, Clone)]
pub enum Answer<'a> {
    /// The highest version in range, or another of them that runs anyway.
    Found(Published<'a>),
    /// There is none.
    Nothing,
    /// That cannot be said before something has been fetched.
    NotKnownYet,
    /// There is one, and it cannot be taken: why.
    Refused(String),
}

/// A service with all that it requires.
#[derive(Debug, Clone, Default)]
pub struct Resolution<'a> {
    /// Each behind those that it requires; the last is the one that was asked for.
    pub services: Vec<Resolved<'a>>,
    /// Whether something is not known yet, so that there may be more.
    pub incomplete: bool,
}

/// A service, and those of the others that it requires itself.
#[derive(Debug, Clone)]
pub struct Resolved<'a> {
    /// The service.
    pub service: Published<'a>,
    /// What it requires.
    pub requires: Vec<ServiceId>,
}

impl<'a> Resolution<'a> {
    /// The services beside the one that was asked for.
    pub fn required(&self) -> Vec<Published<'a>> {
        let last = self.services.len().saturating_sub(1);
        self.services[..last].iter().map(|it| it.service).collect()
    }
}

/// Why the services that a service requires cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequiredError {
    /// One of them does not exist.
    #[error("{} requires {what}, and there is none", by.url)]
    Missing {
        /// The service that requires it.
        by: Box<ServiceId>,
        /// Its organization, name, range and architecture.
        what: String,
    },
    /// One of them cannot be taken.
    #[error("{why}")]
    Refused {
        /// The service that requires it.
        by: Box<ServiceId>,
        /// Its organization, name, range and architecture.
        what: String,
        /// Why not.
        why: String,
    },
    /// They require each other.
    #[error("services require each other in a circle: {}", path(.0))]
    Circle(Vec<ServiceUrl>),
    /// They require each other without an end in sight.
    #[error("services require each other more than {DEEPEST} deep, or more than {MOST} in all")]
    TooDeep,
    /// Two of them require a third in versions that differ.
    #[error("{} is wanted in version {} and in version {}", one.url, one.version, other.version)]
    TwoVersions {
        /// It, as one of them wants it.
        one: Box<ServiceId>,
        /// It, as another wants it.
        other: Box<ServiceId>,
    },
    /// A service that runs on devices requires one that runs in clusters alone.
    #[error("{} requires {}, which has no `deployment` and runs in clusters alone", by.url, required.url)]
    ClusterAlone {
        /// The service that requires it.
        by: Box<ServiceId>,
        /// The service that runs in clusters alone.
        required: Box<ServiceId>,
    },
    /// A service that runs in clusters alone requires others, which clusters do not do.
    #[error("{} runs in clusters alone, and services of clusters cannot require others", .0.url)]
    InCluster(Box<ServiceId>),
}

fn path(urls: &[ServiceUrl]) -> String {
    urls.iter().map(ServiceUrl::as_str).collect::<Vec<_>>().join(" → ")
}

/// Finds all that `root` requires. `lookup` says which service serves a requirement; one that has
/// been taken already and is in range is taken again without asking.
pub fn resolve<'a>(
    root: Published<'a>,
    lookup: &mut dyn FnMut(&Requirement<'_>) -> Answer<'a>,
) -> Result<Resolution<'a>, RequiredError> {
    let mut walk = Walk { lookup, path: Vec::new(), resolution: Resolution::default() };
    walk.take(root)?;
    Ok(walk.resolution)
}

/// Looks in a list of definitions: the highest version in range, of those for the same architecture.
pub fn among<'a>(services: &[Published<'a>]) -> impl FnMut(&Requirement<'_>) -> Answer<'a> {
    move |asked| {
        let serves = |it: &&Published<'a>| {
            let definition = it.definition;
            it.org == asked.org
                && definition.url == *asked.url
                && definition.arch == asked.by.arch
                && asked.range.contains(&definition.version)
        };
        let highest = services.iter().filter(serves).max_by_key(|it| &it.definition.version);
        highest.map_or(Answer::Nothing, |it| Answer::Found(*it))
    }
}

/// The way from a service to what it requires.
struct Walk<'a, 'l> {
    lookup: &'l mut dyn FnMut(&Requirement<'_>) -> Answer<'a>,
    /// From the root to what is being taken, to see circles.
    path: Vec<ServiceId>,
    resolution: Resolution<'a>,
}

impl<'a> Walk<'a, '_> {
    /// Takes a service behind those that it requires.
    fn take(&mut self, service: Published<'a>) -> Result<(), RequiredError> {
        let id = service.id();
        if let Some(at) = self.path.iter().position(|it| *it == id) {
            let circle = self.path[at..].iter().chain([&id]).map(|it| it.url.clone());
            return Err(RequiredError::Circle(circle.collect()));
        }
        if let Some(one) = self.path.iter().find(|it| it.org == id.org && it.url == id.url) {
            let one = Box::new(one.clone());
            return Err(RequiredError::TwoVersions { one, other: id.into() });
        }
        if self.path.len() >= DEEPEST || self.resolution.services.len() >= MOST {
            return Err(RequiredError::TooDeep);
        }
        if let Some(taken) = self.taken(&id.org, &id.url) {
            let taken = taken.id();
            return if taken == id {
                Ok(())
            } else {
                Err(RequiredError::TwoVersions { one: taken.into(), other: id.into() })
            };
        }
        let definition = service.definition;
        let in_cluster = !definition.has_deployment() && definition.has_cluster_deployment();
        if in_cluster && let Some(by) = self.path.last() {
            return Err(RequiredError::ClusterAlone { by: by.clone().into(), required: id.into() });
        }
        if in_cluster && !definition.required_services.is_empty() {
            return Err(RequiredError::InCluster(id.into()));
        }
        self.path.push(id.clone());
        let mut requires = Vec::new();
        for required in &definition.required_services {
            match self.find(&id, required)? {
                Some(other) => {
                    requires.push(other.id());
                    self.take(other)?;
                }
                None => self.resolution.incomplete = true,
            }
        }
        self.path.pop();
        self.resolution.services.push(Resolved { service, requires });
        Ok(())
    }

    fn taken(&self, org: &OrgId, url: &ServiceUrl) -> Option<Published<'a>> {
        let services = self.resolution.services.iter().map(|it| it.service);
        services.into_iter().find(|it| it.org == org && it.definition.url == *url)
    }

    /// The service that serves a requirement; nothing if that is not known yet.
    fn find(
        &mut self,
        by: &ServiceId,
        required: &RequiredService,
    ) -> Result<Option<Published<'a>>, RequiredError> {
        let RequiredService { org, url, .. } = required;
        let range = required.versions();
        let taken = self.taken(org, url).filter(|it| range.contains(&it.definition.version));
        if taken.is_some() {
            return Ok(taken);
        }
        let what = what(required, by);
        let by = Box::new(by.clone());
        match (self.lookup)(&Requirement { by: &by, org, url, range }) {
            Answer::Found(service) => Ok(Some(service)),
            Answer::NotKnownYet => Ok(None),
            Answer::Nothing => Err(RequiredError::Missing { by, what }),
            Answer::Refused(why) => Err(RequiredError::Refused { by, what, why }),
        }
    }
}

/// A requirement in people's words.
pub(super) fn what(required: &RequiredService, by: &ServiceId) -> String {
    let RequiredService { org, url, .. } = required;
    format!("{org}/{url} {} for {}", required.versions().expanded(), by.arch)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(url: &str, version: &str, more: Value) -> ServiceDefinition {
        let mut value = json!({"url": url, "version": version, "arch": "amd64",
            "sharable": "multiple", "deployment": {"services": {"a": {"image": "a.b/c:1"}}}});
        let Value::Object(more) = more else { panic!("an object") };
        value.as_object_mut().unwrap().extend(more);
        serde_json::from_value(value).unwrap()
    }

    fn requires(of: &[(&str, &str)]) -> Value {
        let one = |(url, range): &(&str, &str)| json!({"url": url, "org": "acme", "versionRange": range, "arch": "amd64"});
        json!({"requiredServices": of.iter().map(one).collect::<Vec<_>>()})
    }

    /// What the first of the definitions brings, as `url version`, or why not.
    fn resolved(definitions: &[ServiceDefinition]) -> Result<Vec<String>, String> {
        let org: OrgId = "acme".parse().unwrap();
        let services: Vec<_> =
            definitions.iter().map(|definition| Published { org: &org, definition }).collect();
        let resolution =
            resolve(services[0], &mut among(&services)).map_err(|it| it.to_string())?;
        let told = |it: &Resolved<'_>| {
            format!("{} {}", it.service.definition.url, it.service.definition.version)
        };
        Ok(resolution.services.iter().map(told).collect())
    }

    #[test]
    fn the_highest_version_in_range_is_taken_before_the_service_that_requires_it() {
        let other_arch = service("gps", "1.9.0", json!({"arch": "arm64"}));
        let told = resolved(&[
            service("web", "1.0.0", requires(&[("loc", "1.0.0"), ("gps", "[1.0.0,2.0.0)")])),
            service("gps", "1.0.0", json!({})),
            service("gps", "1.4.0", json!({})),
            service("gps", "2.0.0", json!({})),
            other_arch,
            service("loc", "1.0.0", requires(&[("gps", "[1.0.0,1.5.0]")])),
        ]);
        assert_eq!(told.unwrap(), ["gps 1.4.0", "loc 1.0.0", "web 1.0.0"]);
    }

    #[test]
    fn a_circle_is_named() {
        let told = resolved(&[
            service("a", "1.0.0", requires(&[("b", "1.0.0")])),
            service("b", "1.0.0", requires(&[("c", "1.0.0")])),
            service("c", "1.0.0", requires(&[("b", "1.0.0")])),
        ]);
        assert_eq!(told.unwrap_err(), "services require each other in a circle: b → c → b");
    }

    #[test]
    fn what_is_not_there_is_named_with_its_range() {
        let told = resolved(&[
            service("a", "1.0.0", requires(&[("b", "[2.0.0,3.0.0)")])),
            service("b", "1.0.0", json!({})),
        ]);
        assert_eq!(
            told.unwrap_err(),
            "a requires acme/b [2.0.0,3.0.0) for amd64, and there is none"
        );
    }

    #[test]
    fn one_service_cannot_run_in_two_versions() {
        let told = resolved(&[
            service("a", "1.0.0", requires(&[("c", "[1.0.0,2.0.0)"), ("b", "1.0.0")])),
            service("b", "1.0.0", requires(&[("c", "[2.0.0,3.0.0)")])),
            service("c", "1.0.0", json!({})),
            service("c", "2.0.0", json!({})),
        ]);
        assert_eq!(told.unwrap_err(), "c is wanted in version 1.0.0 and in version 2.0.0");
    }

    #[test]
    fn a_service_does_not_require_another_version_of_itself() {
        let told = resolved(&[
            service("a", "1.0.0", requires(&[("b", "1.0.0")])),
            service("b", "1.0.0", requires(&[("a", "[2.0.0,3.0.0)")])),
            service("a", "2.0.0", json!({})),
        ]);
        assert_eq!(told.unwrap_err(), "a is wanted in version 1.0.0 and in version 2.0.0");
    }

    #[test]
    fn services_of_clusters_and_of_devices_do_not_require_each_other() {
        let cluster =
            json!({"deployment": null, "clusterDeployment": {"operatorYamlArchive": "x"}});
        let told = resolved(&[
            service("a", "1.0.0", requires(&[("b", "1.0.0")])),
            service("b", "1.0.0", cluster.clone()),
        ]);
        assert_eq!(
            told.unwrap_err(),
            "a requires b, which has no `deployment` and runs in clusters alone"
        );
        let mut alone = requires(&[("b", "1.0.0")]);
        alone.as_object_mut().unwrap().extend(cluster.as_object().cloned().unwrap());
        let told = resolved(&[service("a", "1.0.0", alone), service("b", "1.0.0", json!({}))]);
        assert_eq!(
            told.unwrap_err(),
            "a runs in clusters alone, and services of clusters cannot require others"
        );
    }

    #[test]
    fn a_long_chain_ends() {
        let name = |at: usize| format!("s{at}");
        let chain: Vec<_> = (0..=DEEPEST)
            .map(|at| service(&name(at), "1.0.0", requires(&[(&name(at + 1), "1.0.0")])))
            .collect();
        assert!(resolved(&chain).unwrap_err().contains("more than 64 deep"));
    }

    #[test]
    fn what_is_not_known_yet_leaves_the_rest_preliminary() {
        let org: OrgId = "acme".parse().unwrap();
        let definition = service("a", "1.0.0", requires(&[("b", "1.0.0")]));
        let root = Published { org: &org, definition: &definition };
        let resolution = resolve(root, &mut |_| Answer::NotKnownYet).unwrap();
        assert!(resolution.incomplete);
        assert!(resolution.required().is_empty());
        let refused = resolve(root, &mut |_| Answer::Refused("no".to_owned())).unwrap_err();
        assert_eq!(refused.to_string(), "no");
    }
}
