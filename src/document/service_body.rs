//! What a publisher signs about a service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    document::{
        deployment::{Deployment, ParseDeploymentError},
        policy::ServicePolicy,
        service::{NativeDeployment, ServiceDefinition},
    },
    types::{DocumentBody, OrgId, PinnedImage, Platform, Registry, Subject},
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

impl DocumentBody for ServiceBody {
    /// The definition is of the service that the header names, and the list of images, where there is
    /// one, is of the deployment's.
    fn contradiction(&self, org: &OrgId, subject: &Subject) -> Option<String> {
        let definition = &self.definition;
        let described = Subject::from(&definition.service_id(org));
        if described != *subject {
            return Some(format!("{described} in its definition"));
        }
        if let Some(other) = definition.org.as_ref().filter(|it| *it != org) {
            return Some(format!("{described} of {other} in its definition"));
        }
        // A deployment that cannot be read is for those who run it to refuse.
        let deployment = self.deployment().ok().filter(|_| !self.images.is_empty())?;
        let run: BTreeMap<_, _> =
            deployment.services.iter().map(|(name, it)| (name, &it.image)).collect();
        let listed: BTreeMap<_, _> = self.images.iter().map(|it| (&it.name, &it.image)).collect();
        (run != listed).then(|| "other images in its list than in its deployment".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::types::ServiceId;

    #[test]
    fn a_body_that_speaks_of_something_else_than_its_header_contradicts_it() {
        let image = |digit: &str| format!("a.b/c@sha256:{}", digit.repeat(64));
        let honest = json!({
            "definition": {"url": "u", "org": "acme", "version": "1.0.0", "arch": "amd64", "sharable": "multiple",
                "deployment": json!({"services": {"a": {"image": image("1")}}}).to_string()},
            "images": [{"name": "a", "image": image("1"), "size": 1, "platform": {"os": "linux", "architecture": "amd64"}}],
        });
        let (org, url) = ("acme".parse().unwrap(), "u".parse().unwrap());
        let (version, arch) = ("1.0.0".parse().unwrap(), "amd64".parse().unwrap());
        let id = ServiceId { org, url, version, arch };
        let said = |pointer: &str, value: Value| {
            let mut body = honest.clone();
            *body.pointer_mut(pointer).unwrap() = value;
            let body: ServiceBody = serde_json::from_value(body).unwrap();
            body.contradiction(&id.org, &Subject::from(&id))
        };
        assert_eq!(said("/definition/url", json!("u")), None);
        assert_eq!(said("/images", json!([])), None);
        for (pointer, value) in [
            ("/definition/url", json!("v")),
            ("/definition/version", json!("2.0.0")),
            ("/definition/arch", json!("arm64")),
            ("/definition/org", json!("evil")),
            ("/images/0/image", json!(image("2"))),
            ("/images/0/name", json!("b")),
        ] {
            assert!(said(pointer, value).is_some(), "{pointer}");
        }
    }

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
