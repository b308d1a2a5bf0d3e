//! What is known of the registries of clouds: their names, and how one logs in there.
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
        if ends(&[".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de"]) {
            Some(Self::Azure)
        } else if host == "icr.io" || ends(&[".icr.io"]) {
            Some(Self::Ibm)
        } else if host.contains("openshift-image-registry")
            || host.starts_with("docker-registry-default.")
            || host.starts_with("docker-registry.default.svc")
        {
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
                 az account get-access-token --query accessToken -o tsv | edgepost registry login HOST --azure-token-stdin. \
                 A password that was just made takes up to ten minutes to count"
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
}
