//! The logins that nodes pull with: as a publisher sends them, as a node gets them, as their owner
//! sees them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    exchange::api::{Hidden, WireSecret},
    sign::sealed::{self, NodeKey, NodePublicKey, OpenError, SealError, Sealed},
    types::{NodeRef, Registry, Secret, ServiceId},
};

/// The user name that Horizon takes where none is given.
pub const DEFAULT_USERNAME: &str = "token";
/// Longer than any registry's token: those are JSON web tokens of a few KiB.
const LONGEST_TOKEN: usize = 16 << 10;
const LONGEST_USERNAME: usize = 255;

/// A login to a registry, good for pulling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CredentialFields", into = "CredentialFields")]
pub struct Credential {
    /// The registry, for which alone it is used.
    pub registry: Registry,
    /// The user name.
    pub username: String,
    /// The password or token.
    pub token: Secret,
}

/// A login that no registry would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the credential for {registry} has {what}")]
pub struct BadCredential {
    registry: Registry,
    what: &'static str,
}

/// The wire form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialFields {
    registry: Registry,
    #[serde(default)]
    username: Option<String>,
    token: WireSecret,
}

impl Credential {
    /// A login; without a user name it is Horizon's `token`.
    ///
    /// # Errors
    /// If the token is empty, or if either part could not travel in a header.
    pub fn new(
        registry: Registry,
        username: Option<String>,
        token: Secret,
    ) -> Result<Self, BadCredential> {
        let username =
            username.filter(|it| !it.is_empty()).unwrap_or_else(|| DEFAULT_USERNAME.to_owned());
        let what = if token.is_empty() {
            "an empty token"
        } else if token.expose().len() > LONGEST_TOKEN || username.len() > LONGEST_USERNAME {
            "a user name or token that is too long"
        } else if username.chars().chain(token.expose().chars()).any(char::is_control) {
            "a control character in its user name or token"
        } else {
            return Ok(Self { registry, username, token });
        };
        Err(BadCredential { registry, what })
    }
}

impl TryFrom<CredentialFields> for Credential {
    type Error = BadCredential;

    fn try_from(fields: CredentialFields) -> Result<Self, BadCredential> {
        Self::new(fields.registry, fields.username, fields.token.0)
    }
}

impl From<Credential> for CredentialFields {
    fn from(Credential { registry, username, token }: Credential) -> Self {
        Self { registry, username: Some(username), token: token.into() }
    }
}

/// A login that only one node can read, as `GET …/edgepost/services/{id}/credentials` gives it to
/// that node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealedCredential {
    /// The registry it is for.
    pub registry: Registry,
    /// The login, sealed to the node's key.
    pub sealed: Sealed,
    /// The exchange's number of it.
    pub id: i64,
    /// How often it has been replaced.
    pub version: u64,
}

/// Why a credential could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Nothing can be sealed to the node's key.
    #[error("the credential for {registry} cannot be sealed")]
    Seal {
        /// The registry it is for.
        registry: Registry,
        /// What is wrong with the key.
        source: SealError,
    },
    /// It is for another node, another service or another key.
    #[error("the credential for {registry} does not open")]
    Open {
        /// The registry it is for.
        registry: Registry,
        /// What the cipher said.
        source: OpenError,
    },
    /// What was sealed is no login for the registry it names.
    #[error("the sealed credential for {registry} holds something else")]
    Content {
        /// The registry it is for.
        registry: Registry,
    },
}

impl SealedCredential {
    /// Seals `credential` of `service` to `node`, whose key is `key`.
    ///
    /// # Errors
    /// If the node's key cannot be sealed to.
    pub fn seal(
        credential: &Credential,
        (id, version): (i64, u64),
        service: &ServiceId,
        node: &NodeRef,
        key: &NodePublicKey,
    ) -> Result<Self, CredentialError> {
        let registry = credential.registry.clone();
        let content = || CredentialError::Content { registry: registry.clone() };
        let plain = Zeroizing::new(serde_json::to_vec(credential).map_err(|_| content())?);
        let sealed = sealed::seal(key, &binding(node, service, id, version), &plain)
            .map_err(|source| CredentialError::Seal { registry: registry.clone(), source })?;
        Ok(Self { registry, sealed, id, version })
    }

    /// Opens it on the node that it is for.
    ///
    /// # Errors
    /// If it is sealed to another key, or for another node or service.
    pub fn open(
        &self,
        service: &ServiceId,
        node: &NodeRef,
        key: &NodeKey,
    ) -> Result<Credential, CredentialError> {
        let binding = binding(node, service, self.id, self.version);
        let plain = sealed::open(key, &binding, &self.sealed)
            .map_err(|source| CredentialError::Open { registry: self.registry.clone(), source })?;
        serde_json::from_slice::<Credential>(&plain)
            .ok()
            .filter(|credential| credential.registry == self.registry)
            .ok_or_else(|| CredentialError::Content { registry: self.registry.clone() })
    }
}

/// What a sealed credential is bound to: node, service, number and version, each part on its own
/// line (none can hold a line break).
fn binding(node: &NodeRef, service: &ServiceId, id: i64, version: u64) -> Vec<u8> {
    format!("{}\n{}\n{service}\n{id}\n{version}", node.org, node.id).into_bytes()
}

/// What `PUT …/edgepost/services/{id}/credentials` takes: each login takes the place of what the
/// service has for its registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCredentials {
    /// The logins, one for each registry.
    pub credentials: Vec<Credential>,
}

/// What became of [`NewCredentials`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCredentials {
    /// Whether anything was changed.
    pub changed: bool,
    /// All logins that the service has now.
    pub credentials: Vec<MaskedCredential>,
}

/// A login as its owner sees it: never its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MaskedCredential {
    /// The exchange's number of it.
    pub id: i64,
    /// The registry it is for.
    pub registry: Registry,
    /// The user name.
    pub username: String,
    /// Stars.
    #[serde(default)]
    pub token: Hidden,
    /// How often it was replaced, from 1 on.
    pub version: u64,
    /// When it was last written.
    pub last_updated: Timestamp,
    /// When it ends, if its token says so. That is the token's word, not the registry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_without_a_user_name_has_horizons() {
        let json = r#"{"registry":"r.example:5000","token":"a:b"}"#;
        let credential: Credential = serde_json::from_str(json).unwrap();
        assert_eq!((credential.username.as_str(), credential.token.expose()), ("token", "a:b"));
    }

    #[test]
    fn a_login_that_would_split_a_header_is_refused() {
        for token in ["", "a\nb"] {
            let json = serde_json::json!({"registry": "r.example", "token": token});
            assert!(serde_json::from_value::<Credential>(json).is_err(), "{token:?}");
        }
    }

    #[test]
    fn a_sealed_login_opens_on_its_node_for_its_service_alone() {
        let credential =
            Credential::new("r.example".parse().unwrap(), None, Secret::new("canary")).unwrap();
        let service = |url: &str| ServiceId {
            org: "acme".parse().unwrap(),
            url: url.parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        };
        let node = |text: &str| text.parse::<NodeRef>().unwrap();
        let (key, other) = (NodeKey::generate(), NodeKey::generate());
        let sealed = SealedCredential::seal(
            &credential,
            (1, 2),
            &service("hello"),
            &node("acme/n1"),
            &key.public(),
        )
        .unwrap();

        assert_eq!(
            sealed.open(&service("hello"), &node("acme/n1"), &key).unwrap().token.expose(),
            "canary"
        );
        assert!(!serde_json::to_string(&sealed).unwrap().contains("canary"));
        assert!(sealed.open(&service("hello"), &node("acme/n1"), &other).is_err());
        assert!(sealed.open(&service("hello"), &node("acme/n2"), &key).is_err());
        assert!(sealed.open(&service("other"), &node("acme/n1"), &key).is_err());
        let newer = SealedCredential { version: 3, ..sealed };
        assert!(newer.open(&service("hello"), &node("acme/n1"), &key).is_err());
    }
}
