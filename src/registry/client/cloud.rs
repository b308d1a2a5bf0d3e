//! What is known of the registries of clouds: how one logs in there, and what their refusals mean.
//!
//! Pure knowledge, by the registry's name: nothing here talks to anybody.

use std::fmt;

use crate::types::Registry;

/// A cloud, or platform, with a registry of its own ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Azure Container Registry: `NAME.azurecr.io`.
    Azure,
    /// IBM Cloud Container Registry: `icr.io`, `us.icr.io`, `private.de.icr.io`…
    Ibm,
    /// The registry within an `OpenShift` cluster, by its default route or its service.
    OpenShift,
}

impl Cloud {
    /// Whose registry it is, if the name tells.
    pub fn of(registry: &Registry) -> Option<Self> {
        let host = registry.host();
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| host.ends_with(suffix));
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| host.starts_with(prefix));
        if ends(&[".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de"]) {
            Some(Self::Azure)
        } else if host == "icr.io" || ends(&[".icr.io"]) {
            Some(Self::Ibm)
        } else if begins(&[
            "default-route-openshift-image-registry.",
            "image-registry.openshift-image-registry.svc",
            "docker-registry-default.",
            "docker-registry.default.svc",
        ]) {
            Some(Self::OpenShift)
        } else {
            None
        }
    }

    /// How to log in, for who has no login there or whose login is refused.
    pub fn login_advice(self) -> &'static str {
        match self {
            Self::Azure => {
                "log in with a service principal, a repository-scoped token or the admin user; or with a token of your own: \
                 az account get-access-token --query accessToken -o tsv | edgepost registry login HOST --azure-token-stdin"
            }
            Self::Ibm => {
                "log in as `iamapikey` with an API key of a service ID; `iambearer` takes an access token of IAM, which ends \
                 after an hour, `iamrefresh` a refresh token"
            }
            Self::OpenShift => {
                "log in with any user name and a token as password: `oc whoami -t` gives one that ends after a day, \
                 `oc create token SERVICEACCOUNT` one of a service account"
            }
        }
    }

    /// What a refusal to a good login may mean.
    pub fn denied_advice(self) -> &'static str {
        match self {
            Self::Azure => {
                "pulling needs the role AcrPull, pushing AcrPush; a new grant takes up to ten minutes, and counts from the next login on"
            }
            Self::Ibm => {
                "the namespace must exist in this region (ibmcloud cr namespace-add), and IAM must give the service ID Reader to pull, \
                 Writer to push"
            }
            Self::OpenShift => {
                "the project must exist (oc new-project), and the account needs a role in it: system:image-puller to pull, \
                 system:image-builder to push"
            }
        }
    }

    /// What it may mean that a repository is not there.
    pub fn missing_advice(self) -> &'static str {
        match self {
            Self::Azure => "a repository is made by the first push to it",
            Self::Ibm => {
                "names are NAMESPACE/NAME, and the namespace is made by hand: ibmcloud cr namespace-add"
            }
            Self::OpenShift => {
                "names are PROJECT/IMAGE, and the project is made by hand: oc new-project"
            }
        }
    }

    /// How long the cloud's tokens that a login may hold are good, where the tokens do not say it
    /// themselves.
    pub fn token_life(self, username: &str) -> Option<&'static str> {
        match (self, username) {
            (Self::Ibm, "iambearer") => Some("an access token of IAM is good for an hour"),
            (Self::Ibm, "iamrefresh") => Some("a refresh token of IAM is good for 30 days at most"),
            (Self::Azure, super::AZURE_TOKEN_USER) => {
                Some("a refresh token of an Azure registry is good for three hours")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Azure => "Azure Container Registry",
            Self::Ibm => "IBM Cloud Container Registry",
            Self::OpenShift => "the registry of an OpenShift cluster",
        })
    }
}

/// How to give an `OpenShift` cluster the route to its registry that it lacks.
pub const ROUTE_ADVICE: &str = "the cluster has no route to its registry; its administrator makes one: \
    oc patch configs.imageregistry.operator.openshift.io/cluster --type merge --patch '{\"spec\":{\"defaultRoute\":true}}'";

/// Whether an answer is the page of an `OpenShift` router that knows no such route.
pub fn is_missing_route(status: u16, body: &[u8]) -> bool {
    // The page is longer than this, but says it in its first lines.
    let head = body.get(..4096).unwrap_or(body);
    matches!(status, 503 | 404)
        && String::from_utf8_lossy(head).contains("Application is not available")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_is_known_by_the_names_of_its_registries() {
        for (registry, cloud) in [
            ("acme.azurecr.io", Some(Cloud::Azure)),
            ("us.icr.io", Some(Cloud::Ibm)),
            ("private.de.icr.io", Some(Cloud::Ibm)),
            ("default-route-openshift-image-registry.apps.ocp.example.com", Some(Cloud::OpenShift)),
            ("image-registry.openshift-image-registry.svc:5000", Some(Cloud::OpenShift)),
            ("azurecr.io.evil.com", None),
            ("evilazurecr.io", None),
            ("evilicr.io", None),
            ("reg.example.com:5000", None),
        ] {
            assert_eq!(Cloud::of(&registry.parse().unwrap()), cloud, "{registry}");
        }
    }

    #[test]
    fn the_page_of_a_router_without_the_route_is_known() {
        let page = b"<html><head></head><body><h1>Application is not available</h1>";
        assert!(is_missing_route(503, page));
        assert!(!is_missing_route(200, page));
        assert!(!is_missing_route(503, b"busy"));
    }
}
