//! What an image is called, and where it lives.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{CopyFlaw, Digest, escape_foreign};

/// The longest name that an error repeats, in characters.
const LONGEST: usize = 300;

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageError {
    /// The registry part is no `host[:port]`.
    #[error("`{}` is not a registry: {}", without_login(.0), registry_flaw(.0))]
    Registry(String),
    /// The repository part breaks the grammar of the OCI distribution-spec.
    #[error(
        "`{0}` is not a repository: lower-case letters and digits, parted by `.`, `_`, `__` or `-`, components by `/`"
    )]
    Repository(String),
    /// The tag breaks the grammar of the OCI distribution-spec.
    #[error(
        "`{0}` is not a tag: 1 to 128 of letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
    )]
    Tag(String),
    /// What follows `@` is no digest.
    #[error("`{0}` is not a digest: expected sha256: and 64 lower-case hexadecimal digits")]
    Digest(String),
    /// A digest is needed, and there is none.
    #[error("`{0}` is not pinned: expected repository@sha256:…")]
    NotPinned(String),
}

/// The text of a registry for a message, without a login that was written before it.
fn without_login(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{}", escape_foreign(host, LONGEST)),
        None => escape_foreign(text, LONGEST),
    }
}

/// What is wrong with a text that should be `host[:port]`.
fn registry_flaw(text: &str) -> String {
    if let Some(flaw) = CopyFlaw::of(text) {
        return flaw.to_string();
    }
    let port = text.rsplit_once(':').map(|(_, port)| port).filter(|it| !it.is_empty());
    if text.contains("://") {
        "leave out the scheme; plain HTTP is an option of its own".to_owned()
    } else if text.contains('@') {
        "a login does not belong into it".to_owned()
    } else if text.contains('/') {
        "leave out the path; it belongs to the image's name".to_owned()
    } else if port
        .is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit()) && it.parse::<u16>().is_err())
    {
        "its port is larger than 65535".to_owned()
    } else {
        "expected host or host:port".to_owned()
    }
}

macro_rules! string_newtype {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = ParseImageError;

            fn try_from(text: String) -> Result<Self, ParseImageError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.to_string()
            }
        }
    };
}

/// A registry: `host` or `host:port`; an IPv6 host stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Registry(String);

impl Registry {
    /// Where an image without a registry lives.
    pub fn docker_hub() -> Self {
        Self("docker.io".to_owned())
    }

    /// `host[:port]`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host alone, without brackets.
    pub fn host(&self) -> &str {
        match self.0.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => self.0.split(':').next().unwrap_or(&self.0),
        }
    }

    /// Whether the host is this machine by its address or as `localhost`: `127.0.0.0/8`, `::1`.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Registry {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        let refuse = || ParseImageError::Registry(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']').ok_or_else(refuse)?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| refuse())?;
                match after {
                    "" => (None, None),
                    _ => (None, Some(after.strip_prefix(':').ok_or_else(refuse)?)),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (Some(host), Some(port)),
                None => (Some(text), None),
            },
        };
        let host_fits = host.is_none_or(|host| {
            !host.is_empty()
                && host.len() <= 253
                && host.split('.').all(|label| {
                    !label.is_empty()
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                })
        });
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if host_fits && port_fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(refuse()) }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_newtype!(Registry);

/// A repository in a registry: `host:port/path/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    registry: Registry,
    path: String,
}

impl Repository {
    /// The repository `path` in `registry`.
    pub fn new(registry: Registry, path: &str) -> Result<Self, ParseImageError> {
        if is_repository_path(path) {
            Ok(Self { registry, path: path.to_owned() })
        } else {
            Err(ParseImageError::Repository(path.to_owned()))
        }
    }

    /// The registry it lives in.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Its name there, as it stands in request paths.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// The grammar of the OCI distribution-spec, "Pulling manifests", with Docker's limit of 255 characters.
pub fn is_repository_path(path: &str) -> bool {
    path.len() <= 255 && path.split('/').all(is_path_component)
}

fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_fit = bytes.first().is_some_and(|b| alphanumeric(*b))
        && bytes.last().is_some_and(|b| alphanumeric(*b));
    ends_fit
        && bytes.split(|b| alphanumeric(*b)).all(|between| {
            matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|b| *b == b'-')
        })
}

impl FromStr for Repository {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        let image: ImageRef = text.parse()?;
        if image.tag.is_some() || image.digest.is_some() {
            return Err(ParseImageError::Repository(text.to_owned()));
        }
        Ok(image.repository)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

string_newtype!(Repository);

/// A tag: a name for a manifest that may move.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// What an image without tag and digest means.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        let fits = (1..=128).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(ParseImageError::Tag(text.to_owned())) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_newtype!(Tag);

/// An image as people write it: `[registry/]path[:tag][@digest]`.
///
/// The first component is a registry only if it has a `.` or a `:` (Horizon fact, vectors
/// `image_path`); without one the image lives in Docker Hub.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"registry.example.com/web:1.0.0",
    extend("pattern" = concat!(
        r"^(([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?/)?", // the registry
        r"[0-9a-z]+((\.|__?|-+|/)[0-9a-z]+)*",                   // the path
        r"(:[0-9A-Za-z_][0-9A-Za-z_.-]*)?(@sha256:[0-9a-f]{64})?$",
    )),
    extend("patternErrorMessage" = "registry/name:tag, such as registry.example.com/web:1.0.0")
)]
pub struct ImageRef {
    /// Where it lives.
    pub repository: Repository,
    /// Its tag, if one is given.
    pub tag: Option<Tag>,
    /// Its digest, if one is given; it wins over the tag.
    pub digest: Option<Digest>,
}

impl FromStr for ImageRef {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        let (name, digest) = match text.rsplit_once('@') {
            Some((name, digest)) => {
                let parsed =
                    digest.parse().map_err(|_| ParseImageError::Digest(digest.to_owned()))?;
                (name, Some(parsed))
            }
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) => (first.parse()?, rest),
            _ => (Registry::docker_hub(), name),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag.parse()?)),
            None => (rest, None),
        };
        Ok(Self { repository: Repository::new(registry, path)?, tag, digest })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

string_newtype!(ImageRef);

/// An image that cannot change under its name: repository and digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinnedImage {
    /// Where it lives.
    pub repository: Repository,
    /// The digest of its manifest or index.
    pub digest: Digest,
}

impl FromStr for PinnedImage {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        let image: ImageRef = text.parse()?;
        match image.digest {
            Some(digest) => Ok(Self { repository: image.repository, digest }),
            None => Err(ParseImageError::NotPinned(text.to_owned())),
        }
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

string_newtype!(PinnedImage);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_all_our_registries_are_read() {
        for text in [
            "us.icr.io/ns/hello_amd64:1.0.0",
            "acme.azurecr.io/a/b/c:latest",
            "127.0.0.1:5000/hello:1",
            "[::1]:5000/hello:1",
            "localhost:5000/img",
            "myreg.example.com/a/b:tag@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_image_without_a_registry_lives_in_docker_hub() {
        let image: ImageRef = "openhorizon/ibm.helloworld_amd64:1.0.0".parse().unwrap();
        assert_eq!(image.repository.registry(), &Registry::docker_hub());
        assert_eq!(image.repository.path(), "openhorizon/ibm.helloworld_amd64");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for text in ["", "UPPER/x", "a//b", "a/b:", "a/b@sha256:00", "host:99999/x", "a/../b", "-a"]
        {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_tag_alone_pins_nothing() {
        assert!(matches!("a.b/c:1".parse::<PinnedImage>(), Err(ParseImageError::NotPinned(_))));
    }

    #[test]
    fn loopback_is_known_by_address() {
        for (text, expected) in
            [("127.8.0.1:5", true), ("[::1]:5", true), ("127.0.0.1.evil.com", false)]
        {
            assert_eq!(text.parse::<Registry>().unwrap().is_loopback(), expected, "{text}");
        }
    }
}
