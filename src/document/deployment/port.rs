//! Ports of a container, and where they appear on the node.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A port of a container that appears under a fixed port of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedPort {
    /// Both ports, `host:container/protocol`, or one port for both.
    #[serde(rename = "HostPort")]
    pub host_port: PortMapping,
    /// The address of the node it appears on; none or empty is every one.
    #[serde(rename = "HostIP", default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A port of a container that appears under whichever port of the node is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EphemeralPort {
    /// The port of the container.
    pub port_and_protocol: ContainerPort,
    /// Whether it appears on the loopback address alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localhost_only: Option<bool>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What runs over a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// `tcp`, also where nothing is said
    Tcp,
    /// `udp`
    Udp,
    /// `sctp`
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A text that names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a port: expected {1}; ports are 1 to 65535, protocols tcp, udp and sctp")]
pub struct ParsePortError(String, &'static str);

/// `host:container/protocol`, or one port for both. It prints as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"8080:80/tcp",
    extend("pattern" = "^([0-9]+(/[^:]*)?:)?[0-9]+(/(tcp|udp|sctp))?$"),
    extend("patternErrorMessage" = "host:container/protocol, such as 8080:80/tcp, or one port")
)]
pub struct PortMapping {
    text: String,
    host: u16,
    container: u16,
    protocol: Protocol,
}

impl PortMapping {
    /// The port of the node.
    pub fn host(&self) -> u16 {
        self.host
    }

    /// The port of the container.
    pub fn container(&self) -> u16 {
        self.container
    }

    /// What runs over it.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl FromStr for PortMapping {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, ParsePortError> {
        let read = || {
            let (host, inner) = text.split_once(':').unwrap_or((text, text));
            let (container, protocol) = port_and_protocol(inner)?;
            // The protocol may stand behind the host's port as well (Horizon fact).
            let host = port(host.split('/').next()?)?;
            Some(Self { text: text.to_owned(), host, container, protocol })
        };
        read().ok_or_else(|| ParsePortError(text.to_owned(), "host:container/protocol or port"))
    }
}

/// `port/protocol`, or the port alone. It prints as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"80/tcp",
    extend("pattern" = "^[0-9]+(/(tcp|udp|sctp))?$"),
    extend("patternErrorMessage" = "port/protocol, such as 80/tcp, or a port")
)]
pub struct ContainerPort {
    text: String,
    port: u16,
    protocol: Protocol,
}

impl ContainerPort {
    /// The port of the container.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What runs over it.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl FromStr for ContainerPort {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, ParsePortError> {
        let (port, protocol) = port_and_protocol(text)
            .ok_or_else(|| ParsePortError(text.to_owned(), "port/protocol or port"))?;
        Ok(Self { text: text.to_owned(), port, protocol })
    }
}

fn port_and_protocol(text: &str) -> Option<(u16, Protocol)> {
    let (number, protocol) = match text.split_once('/') {
        Some((number, "tcp")) => (number, Protocol::Tcp),
        Some((number, "udp")) => (number, Protocol::Udp),
        Some((number, "sctp")) => (number, Protocol::Sctp),
        Some(_) => return None,
        None => (text, Protocol::Tcp),
    };
    Some((port(number)?, protocol))
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

macro_rules! string_newtype {
    ($name:ident, $error:ident) => {
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.text
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.text)
            }
        }
    };
}

pub(super) use string_newtype;

string_newtype!(PortMapping, ParsePortError);
string_newtype!(ContainerPort, ParsePortError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_in_horizon() {
        for (text, host, container, protocol) in [
            ("5200:6414/tcp", 5200, 6414, Protocol::Tcp),
            ("5200:6414", 5200, 6414, Protocol::Tcp),
            ("8080", 8080, 8080, Protocol::Tcp),
            ("53/udp", 53, 53, Protocol::Udp),
        ] {
            let mapping: PortMapping = text.parse().unwrap();
            assert_eq!(
                (mapping.host(), mapping.container(), mapping.protocol()),
                (host, container, protocol)
            );
            assert_eq!(mapping.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["", "0", "65536", "a", "1:2:3", "1:2/x", ":80", "80:", "+80"] {
            assert!(text.parse::<PortMapping>().is_err(), "{text}");
        }
    }
}
