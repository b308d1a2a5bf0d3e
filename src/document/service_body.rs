//! What a publisher signs about a service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    document::{
        deployment::{Deployment, ParseDeploymentError},
        policy::ServicePolicy,
        service::{NativeDeployment, ServiceDefinition},
    },
    types::{PinnedImage, Platform, Registry},
};

/// What a publisher signs about a service: everything that a node needs to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceBody {
    /// The definition, its deployment as text.
    pub definition: ServiceDefinition,
    /// The images of the deployment.
    #[serde(default)]
    pub images: Vec<ShippedImage>,
    /// What the service says of itself and asks of nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ServicePolicy>,
    /// The certificate authority (PEM) of a registry, for that registry alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registry_ca: BTreeMap<Registry, String>,
}

/// An image of a service, as it was shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedImage {
    /// The container that runs it.
    pub name: String,
    /// Where it lives; it cannot change there.
    pub image: PinnedImage,
    /// The bytes that a node without any of it downloads.
    pub size: u64,
    /// What it runs on.
    pub platform: Platform,
}

/// Why a service has no containers to run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceBodyError {
    /// It has no deployment for devices.
    #[error("the service has no deployment for devices")]
    Absent,
    /// Its deployment is not the text of one with pinned images.
    #[error("the deployment is not sealed: its images are not pinned in a signed text")]
    NotSealed,
    /// Its text cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ParseDeploymentError),
}

impl ServiceBody {
    /// The containers to run.
    pub fn deployment(&self) -> Result<Deployment<PinnedImage>, ServiceBodyError> {
        match &self.definition.deployment {
            NativeDeployment::Absent => Err(ServiceBodyError::Absent),
            NativeDeployment::Described(_) => Err(ServiceBodyError::NotSealed),
            NativeDeployment::Text(text) => Ok(Deployment::from_text(text)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sealed_deployment_is_run() {
        let definition: ServiceDefinition = serde_json::from_str(
            r#"{"url":"u","version":"1","arch":"amd64","sharable":"multiple",
                "deployment":{"services":{"a":{"image":"a.b/c:1"}}}}"#,
        )
        .unwrap();
        let body = |definition| ServiceBody {
            definition,
            images: Vec::new(),
            policy: None,
            registry_ca: BTreeMap::new(),
        };
        let written = body(definition.clone());
        assert!(matches!(written.deployment(), Err(ServiceBodyError::NotSealed)));

        let NativeDeployment::Described(deployment) = &definition.deployment else { panic!() };
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let image = format!("a.b/c@{digest}").parse().unwrap();
        let pinned =
            deployment.pin(&BTreeMap::from([("a.b/c:1".parse().unwrap(), image)])).unwrap();
        let sealed = body(definition.with_deployment(&pinned, String::new()));
        let text = serde_json::to_string(&sealed).unwrap();
        let read: ServiceBody = serde_json::from_str(&text).unwrap();
        assert_eq!(read, sealed);
        assert_eq!(read.deployment().unwrap(), pinned);
    }
}
