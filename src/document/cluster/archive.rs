//! The archive of an operator: a tar.gz of YAML files, read within bounds.

use std::io::{self, Read as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// The largest archive that is published, in bytes. It travels in base64 inside a document, that
/// again in base64 inside an envelope, and an envelope has at most 1 MiB.
pub const LARGEST_ARCHIVE: usize = 512 * 1024;

/// The most that an archive may hold: hundreds of times what operators have, and no burden to read.
const LARGEST_CONTENT: u64 = 8 * 1024 * 1024;

/// The most files that an archive may hold.
const MOST_FILES: usize = 512;

/// The archive of an operator, whose files are YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorArchive {
    base64: String,
    objects: Vec<String>,
    namespace: String,
}

/// Why bytes are not the archive of an operator.
#[derive(Debug, thiserror::Error)]
pub enum OperatorArchiveError {
    /// It is larger than a document can hold.
    #[error("it has {0} bytes; a document holds {LARGEST_ARCHIVE} at most")]
    TooLarge(usize),
    /// It does not begin as gzip does.
    #[error("it is not packed by gzip")]
    NotGzip,
    /// It breaks off, or is no tar.
    #[error("it is no readable tar.gz")]
    Unreadable(#[source] io::Error),
    /// It holds more than any operator.
    #[error("it holds more than {MOST_FILES} files, or more than {LARGEST_CONTENT} bytes")]
    TooMuch,
    /// One of its files is no text.
    #[error("its file {0} is no text")]
    NotText(String),
    /// One of its files is no YAML.
    #[error("its file {file} is no YAML: {why}")]
    NotYaml {
        /// The file in the archive.
        file: String,
        /// What the reader says, with line and column.
        why: String,
    },
    /// One of its files has something that is no object of Kubernetes.
    #[error("its file {0} holds something without a `kind`, which no cluster takes")]
    NotKubernetes(String),
    /// It has nothing that a cluster could take.
    #[error("it holds no YAML file")]
    Empty,
}

impl OperatorArchive {
    /// Reads the bytes of a tar.gz: every file of it must hold objects of Kubernetes, since the agent
    /// of a cluster reads all of them.
    pub fn read(bytes: &[u8]) -> Result<Self, OperatorArchiveError> {
        use OperatorArchiveError as E;
        if bytes.len() > LARGEST_ARCHIVE {
            return Err(E::TooLarge(bytes.len()));
        }
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(E::NotGzip);
        }
        let mut archive = tar::Archive::new(MultiGzDecoder::new(bytes).take(LARGEST_CONTENT));
        let mut read =
            Self { base64: String::new(), objects: Vec::new(), namespace: String::new() };
        let (mut files, mut content) = (0, 0_u64);
        for entry in archive.entries().map_err(E::Unreadable)? {
            let mut entry = entry.map_err(E::Unreadable)?;
            if entry.header().entry_type().is_dir() {
                continue;
            }
            files += 1;
            content = content.saturating_add(entry.size());
            if files > MOST_FILES || content > LARGEST_CONTENT {
                return Err(E::TooMuch);
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut text = String::new();
            match entry.read_to_string(&mut text) {
                Ok(_) => read.take(&name, &text)?,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(E::NotText(name));
                }
                Err(error) => return Err(E::Unreadable(error)),
            }
        }
        if read.objects.is_empty() {
            return Err(E::Empty);
        }
        read.base64 = BASE64_STANDARD.encode(bytes);
        Ok(read)
    }

    /// Takes the objects of one file. The last `Namespace` names the name space; without one, the
    /// first `Deployment` that is in one (Horizon fact).
    fn take(&mut self, file: &str, text: &str) -> Result<(), OperatorArchiveError> {
        use OperatorArchiveError as E;
        let options = serde_saphyr::options! { with_snippet: false };
        let objects: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|error| E::NotYaml { file: file.to_owned(), why: error.to_string() })?;
        for object in objects {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let Some(kind) = text("/kind") else { return Err(E::NotKubernetes(file.to_owned())) };
            match kind {
                "Namespace" => {
                    text("/metadata/name").unwrap_or_default().clone_into(&mut self.namespace);
                }
                "Deployment" if self.namespace.is_empty() => {
                    text("/metadata/namespace").unwrap_or_default().clone_into(&mut self.namespace);
                }
                _ => (),
            }
            self.objects.push(format!("{kind} {}", text("/metadata/name").unwrap_or_default()));
        }
        Ok(())
    }

    /// Its bytes, in base64.
    pub fn to_base64(&self) -> &str {
        &self.base64
    }

    /// The name space that its files name; empty if they name none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The objects it holds, each by its kind and name.
    pub fn objects(&self) -> &[String] {
        &self.objects
    }
}

#[cfg(test)]
pub(super) mod testing {
    use flate2::{Compression, write::GzEncoder};

    /// A tar.gz of these files.
    pub(in crate::document::cluster) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{testing::archive, *};

    fn namespace(files: &[(&str, &str)]) -> String {
        OperatorArchive::read(&archive(files)).unwrap().namespace().to_owned()
    }

    #[test]
    fn the_name_space_is_found_as_horizon_finds_it() {
        let deployment = "kind: Deployment\nmetadata:\n  name: op\n  namespace: from-deployment\n";
        let space = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
        let role = "kind: Role\nmetadata: {name: r, namespace: other}\n";
        assert_eq!(namespace(&[("role.yaml", role)]), "");
        assert_eq!(namespace(&[("role.yaml", role), ("d.yaml", deployment)]), "from-deployment");
        assert_eq!(namespace(&[("d.yaml", deployment), ("n.yaml", space)]), "shop");
        assert_eq!(namespace(&[("n.yaml", space), ("d.yaml", deployment)]), "shop");
        assert_eq!(namespace(&[("all.yaml", &format!("{role}---\n{space}---\n"))]), "shop");
    }

    #[test]
    fn what_no_cluster_could_read_is_refused_with_its_reason() {
        let refused = |bytes: &[u8]| OperatorArchive::read(bytes).unwrap_err().to_string();
        let of = |file: &str, text: &str| {
            refused(&archive(&[("ok.yaml", "kind: Role\n"), (file, text)]))
        };
        assert!(refused(b"kind: Role").contains("gzip"));
        assert!(refused(&archive(&[])).contains("no YAML file"));
        assert!(refused(&archive(&[("a.yaml", "kind: Role\n")])[..40]).contains("tar.gz"));
        assert!(refused(&vec![0; LARGEST_ARCHIVE + 1]).contains("524288"));
        assert!(
            of("bad.yaml", "a: [1\nb: 2").contains("bad.yaml"),
            "{}",
            of("bad.yaml", "a: [1\nb: 2")
        );
        assert!(of("README.md", "Some words.").contains("README.md"));
        assert!(of("._op.yaml", "\u{0}\u{1}").contains("._op.yaml"));
    }

    #[test]
    fn an_archive_that_unpacks_to_very_much_is_refused() {
        let long = format!("kind: Role\nx: {}\n", "a".repeat(9 << 20));
        let bytes = archive(&[("a.yaml", &long)]);
        assert!(bytes.len() < LARGEST_ARCHIVE);
        assert!(matches!(OperatorArchive::read(&bytes), Err(OperatorArchiveError::TooMuch)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_make_reading_panic(noise in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let mut bytes = archive(&[("a.yaml", "kind: Role\nmetadata: {name: x}\n")]);
            for (index, byte) in noise.iter().enumerate() {
                if let Some(place) = bytes.get_mut(at + index) {
                    *place ^= byte;
                }
            }
            let _ = OperatorArchive::read(&bytes);
        }
    }
}
