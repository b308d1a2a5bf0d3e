//! The parts of an image as Horizon sees them, whether or not they make sense.

/// What Horizon takes for the registry, the path, the tag and the digest of an image; the path is
/// empty if it cannot read the text (vectors `image_path`).
#[derive(Debug, PartialEq, Eq)]
pub struct ImageText<'a> {
    /// The registry, with its port; empty for the engine's own.
    pub domain: &'a str,
    /// The name in the registry; empty if the text cannot be read.
    pub path: &'a str,
    /// The tag; may be empty.
    pub tag: &'a str,
    /// The digest; may be empty.
    pub digest: &'a str,
}

impl<'a> ImageText<'a> {
    /// The parts of an image.
    pub fn of(image: &'a str) -> Self {
        let nothing = Self { domain: "", path: "", tag: "", digest: "" };
        if image.contains(char::is_whitespace) {
            return nothing;
        }
        let (name, digest) = match image.rsplit_once('@') {
            Some((name, digest)) if !digest.is_empty() => (name, digest),
            _ => (image, ""),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.is_empty() && !tag.contains('/') => (name, tag),
            _ => (name, ""),
        };
        let (domain, path) = match name.split_once('/') {
            _ if !name.split('/').next().unwrap_or_default().contains(['.', ':']) => ("", name),
            Some((domain, path)) => (domain, path),
            None => (name, ""),
        };
        Self { domain, path, tag, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_parts_they_have_in_horizon() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/horizon/image_path.jsonl");
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let vector: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| vector[key].as_str().unwrap();
            let expected = ImageText {
                domain: text("domain"),
                path: text("path"),
                tag: text("tag"),
                digest: text("digest"),
            };
            assert_eq!(ImageText::of(text("image")), expected, "{line}");
        }
    }
}
