//! What is signed of a service and of a pattern: images by digest, operators packed, and Horizon's
//! signatures over the exact texts.

use serde_json::{Map, Value, json};

use crate::{
    document::{
        ClusterDeployment, NativeDeployment, Pattern, ServiceBody, ServiceDefinition, ShippedImage,
        VersionChoice,
    },
    publish::{Publisher, error::PublishError, find::FoundImage, order::Order},
    sign::compat::horizon::HorizonPublicKey,
    types::PinnedImage,
};

/// The texts that Horizon signs, each with the field of its signature beside it.
const SIGNED: [(&str, &str); 3] = [
    ("deployment", "deploymentSignature"),
    ("clusterDeployment", "clusterDeploymentSignature"),
    ("deployment_overrides", "deployment_overrides_signature"),
];

impl Publisher {
    /// The statement's body: the definition with its deployments as texts, images pinned.
    pub(super) fn body(
        &self,
        order: &Order,
        found: &[FoundImage],
    ) -> Result<ServiceBody, PublishError> {
        let definition = self.with_containers(order, found)?;
        let definition = self.with_operator(definition, order)?;
        let mut body = ServiceBody {
            definition,
            images: Vec::new(),
            policy: order.policy.clone(),
            registry_ca: order.registry_ca.clone(),
        };
        if body.definition.deployment != NativeDeployment::Absent {
            let deployment = body.deployment().map_err(PublishError::Body)?;
            body.images = deployment
                .services
                .into_iter()
                .filter_map(|(name, container)| shipped(name, &container.image, found))
                .collect();
        }
        Ok(body)
    }

    /// The definition with its containers as a text. One that came as a text stays as it is.
    fn with_containers(
        &self,
        order: &Order,
        found: &[FoundImage],
    ) -> Result<ServiceDefinition, PublishError> {
        let NativeDeployment::Described(deployment) = &order.definition.deployment else {
            return Ok(order.definition.clone());
        };
        let pins = found.iter().map(|it| (it.image.clone(), it.pinned())).collect();
        let pinned = deployment.pin(&pins).map_err(PublishError::Pin)?;
        let signature = self.sign_for_horizon(&pinned.to_canonical())?;
        Ok(order.definition.with_deployment(&pinned, signature))
    }

    /// The definition with its operator as a text. One that came as a text stays as it is.
    fn with_operator(
        &self,
        definition: ServiceDefinition,
        order: &Order,
    ) -> Result<ServiceDefinition, PublishError> {
        let ClusterDeployment::Described(operator) = &definition.cluster_deployment else {
            return Ok(definition);
        };
        let archive = order.operator.as_ref().ok_or(PublishError::NoOperator)?;
        let text = operator.to_canonical(archive);
        let signature = self.sign_for_horizon(&text)?;
        Ok(definition.with_cluster_deployment(text, signature))
    }

    /// The pattern with its deployment overrides as signed texts, where there is a key to sign them.
    pub(super) fn with_signed_overrides(&self, pattern: &Pattern) -> Result<Pattern, PublishError> {
        let mut signed = pattern.clone();
        if self.horizon_key.is_some() {
            for version in signed.services.iter_mut().flat_map(|it| &mut it.service_versions) {
                self.sign_overrides(version)?;
            }
        }
        Ok(signed)
    }

    fn sign_overrides(&self, version: &mut VersionChoice) -> Result<(), PublishError> {
        if let Some(text) = version.overrides_text() {
            version.deployment_overrides_signature = self.sign_for_horizon(&text)?;
            version.deployment_overrides = Value::String(text);
        }
        Ok(())
    }

    /// Horizon's signature over the text; empty where no RSA key was given.
    fn sign_for_horizon(&self, text: &str) -> Result<String, PublishError> {
        match &self.horizon_key {
            Some(key) => key.sign(text).map_err(PublishError::HorizonKey),
            None => Ok(String::new()),
        }
    }

    /// `said` with the signatures of Horizon's kind that `standing` has, where they are this key's
    /// over the same texts: the signature is made anew each time, with other bytes.
    pub(super) fn with_standing_signatures(&self, said: &Value, standing: &Value) -> Value {
        let key = self.horizon_key.as_ref().and_then(|key| key.public_pem().ok());
        let key = key.and_then(|pem| HorizonPublicKey::from_pem(&pem).ok());
        match key {
            Some(key) => adopt(said, standing, &key),
            None => said.clone(),
        }
    }
}

/// The body with the texts that Horizon signs as what they say, without the signatures over them.
pub(super) fn unfolded(body: &Value) -> Value {
    match body {
        Value::Object(members) => {
            let is_signature = |name: &str| SIGNED.iter().any(|(_, it)| *it == name);
            let is_text = |name: &str| SIGNED.iter().any(|(it, _)| *it == name);
            let unfold = |(name, value): (&String, &Value)| {
                let said = value.as_str().filter(|_| is_text(name));
                let said = said.and_then(|it| serde_json::from_str(it).ok());
                (name.clone(), said.unwrap_or_else(|| unfolded(value)))
            };
            members.iter().filter(|(name, _)| !is_signature(name)).map(unfold).collect()
        }
        Value::Array(items) => items.iter().map(unfolded).collect(),
        plain => plain.clone(),
    }
}

fn adopt(said: &Value, standing: &Value, key: &HorizonPublicKey) -> Value {
    match (said, standing) {
        (Value::Object(said), Value::Object(standing)) => {
            let mut adopted: Map<_, _> = said
                .iter()
                .map(|(name, value)| {
                    let counterpart = standing.get(name).unwrap_or(&Value::Null);
                    (name.clone(), adopt(value, counterpart, key))
                })
                .collect();
            for (text, signature) in SIGNED {
                let text = said.get(text).and_then(Value::as_str);
                let holds = |it: &&str| text.is_some_and(|text| key.verifies(text, it));
                if let Some(made) = said.get(signature).and_then(Value::as_str)
                    && let Some(stands) = standing.get(signature).and_then(Value::as_str)
                    && made != stands
                    && [made, stands].iter().all(holds)
                {
                    adopted.insert(signature.to_owned(), json!(stands));
                }
            }
            Value::Object(adopted)
        }
        (Value::Array(said), Value::Array(standing)) => {
            let counterparts = standing.iter().chain(std::iter::repeat(&Value::Null));
            said.iter().zip(counterparts).map(|(said, it)| adopt(said, it, key)).collect()
        }
        _ => said.clone(),
    }
}

/// What a container's image is, as it was found.
fn shipped(name: String, image: &PinnedImage, found: &[FoundImage]) -> Option<ShippedImage> {
    let found = found.iter().find(|it| it.pinned() == *image)?;
    let image = image.clone();
    Some(ShippedImage { name, image, size: found.size, platform: found.platform.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::compat::horizon::HorizonKey;

    #[test]
    fn a_signature_that_stands_counts_if_it_is_of_the_same_key_over_the_same_text() {
        let pem = include_str!("../../tests/fixtures/horizon/pkcs1.pem");
        let key = HorizonKey::from_pem(pem).unwrap();
        let public = HorizonPublicKey::from_pem(&key.public_pem().unwrap()).unwrap();
        let body = |text: &str, signature: String| {
            json!({"definition": {"clusterDeployment": text, "clusterDeploymentSignature": signature},
                "versions": [{"deployment_overrides": text,
                    "deployment_overrides_signature": key.sign(text).unwrap()}]})
        };
        let standing = body("a", key.sign("a").unwrap());
        let same = adopt(&body("a", key.sign("a").unwrap()), &standing, &public);
        assert_eq!(same, standing);
        let other_text = body("b", key.sign("b").unwrap());
        assert_ne!(adopt(&other_text, &standing, &public), standing);
        let forged = body("a", "AAAA".to_owned());
        assert_ne!(adopt(&body("a", key.sign("a").unwrap()), &forged, &public), forged);
    }
}
