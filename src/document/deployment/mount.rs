//! Devices and folders of the node that a container sees.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::port::string_newtype;

/// A text that names no device or folder to share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not {1}")]
pub struct ParseMountError(String, &'static str);

/// `host:container[:permissions]`: a device of the node. It prints as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    description = "A device of the node, `host:container[:permissions]`; permissions are of `rwm`.",
    example = &"/dev/video0:/dev/video0",
    extend("pattern" = "^/[^:]*:/[^:]*(:[rwm]{1,3})?$"),
    extend("patternErrorMessage" = "host:container or host:container:rwm, both absolute paths")
)]
pub struct Device {
    text: String,
}

impl Device {
    fn part(&self, index: usize) -> Option<&str> {
        self.text.split(':').nth(index)
    }

    /// Its path on the node.
    pub fn host(&self) -> &str {
        self.part(0).unwrap_or_default()
    }

    /// Its path in the container.
    pub fn container(&self) -> &str {
        self.part(1).unwrap_or_default()
    }

    /// What the container may do: `r`ead, `w`rite, `m`ake; all three where nothing is said.
    pub fn permissions(&self) -> &str {
        self.part(2).unwrap_or("rwm")
    }
}

impl FromStr for Device {
    type Err = ParseMountError;

    fn from_str(text: &str) -> Result<Self, ParseMountError> {
        let parts: Vec<_> = text.split(':').collect();
        let fits = match parts[..] {
            [host, container] => is_path(host) && is_path(container),
            [host, container, permissions] => {
                is_path(host)
                    && is_path(container)
                    && (1..=3).contains(&permissions.len())
                    && permissions.chars().all(|c| "rwm".contains(c))
            }
            _ => false,
        };
        let error = "a device: expected host:container or host:container:rwm, both absolute paths";
        if fits {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(ParseMountError(text.to_owned(), error))
        }
    }
}

/// `source:container[:options]`: a folder of the node, or a named volume. It prints as its author
/// wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    description = "A folder of the node or a named volume, `source:container[:options]`.",
    example = &"/var/data:/data:ro",
    extend("pattern" = "^(/[^:]*|[0-9A-Za-z][0-9A-Za-z_.-]*):/[^:]*(:[A-Za-z]+(,[A-Za-z]+)*)?$"),
    extend("patternErrorMessage" = "path:container or volume:container, with :ro or :rw if you like")
)]
pub struct Bind {
    text: String,
}

impl Bind {
    fn part(&self, index: usize) -> Option<&str> {
        self.text.splitn(3, ':').nth(index)
    }

    /// The path on the node, or the name of the volume.
    pub fn source(&self) -> &str {
        self.part(0).unwrap_or_default()
    }

    /// Whether the source is a path on the node, and not a volume.
    pub fn is_path(&self) -> bool {
        is_path(self.source())
    }

    /// The path in the container.
    pub fn container(&self) -> &str {
        self.part(1).unwrap_or_default()
    }

    /// Its options, as the engine reads them.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.part(2).into_iter().flat_map(|options| options.split(','))
    }

    /// Whether the container may only read.
    pub fn is_read_only(&self) -> bool {
        self.options().any(|it| it == "ro")
    }
}

impl FromStr for Bind {
    type Err = ParseMountError;

    fn from_str(text: &str) -> Result<Self, ParseMountError> {
        let is_volume = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        };
        let is_option =
            |option: &str| !option.is_empty() && option.bytes().all(|b| b.is_ascii_alphabetic());
        let parts: Vec<_> = text.split(':').collect();
        let fits = match parts[..] {
            [source, container] => (is_path(source) || is_volume(source)) && is_path(container),
            [source, container, options] => {
                (is_path(source) || is_volume(source))
                    && is_path(container)
                    && options.split(',').all(is_option)
            }
            _ => false,
        };
        let error =
            "a bind: expected path:container or volume:container, with :ro or :rw if you like";
        if fits {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(ParseMountError(text.to_owned(), error))
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.chars().any(char::is_control)
}

string_newtype!(Device, ParseMountError);
string_newtype!(Bind, ParseMountError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_binds_are_read() {
        let device: Device = "/dev/video0:/dev/video1".parse().unwrap();
        assert_eq!(
            (device.host(), device.container(), device.permissions()),
            ("/dev/video0", "/dev/video1", "rwm")
        );
        let bind: Bind = "/var/tmp:/tmp:ro,rslave".parse().unwrap();
        assert!(bind.is_path() && bind.is_read_only());
        assert_eq!(bind.container(), "/tmp");
        assert!(!"data:/data".parse::<Bind>().unwrap().is_path());
    }

    #[test]
    fn what_shares_nothing_is_refused() {
        for text in ["", "/dev/a", "dev:/dev", "/a:/b:x", "/a:/b:r:w"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
        for text in ["", "/a", "../a:/b", "/a:b", "/a:/b:", "/a:/b:ro:rw", "-v:/b"] {
            assert!(text.parse::<Bind>().is_err(), "{text}");
        }
    }
}
