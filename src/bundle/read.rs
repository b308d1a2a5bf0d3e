//! A bundle that is read.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use tokio::io::AsyncSeekExt as _;

use super::{BundleError, CATALOG, FORMAT, HEAD, Head, STAMP, document_name, trust_name};
use crate::{
    image::{
        BlobReader, ImageError, RawManifest,
        archive::{Slice, TarIndex},
        layout::blob_name,
        manifest::MAX_MANIFEST,
        media_type,
    },
    sign::{Envelope, envelope::MAX_ENVELOPE},
    trust::catalog::MAX_CATALOG,
    types::{Digest, JsonProblem, OrgId},
};

/// More than any head has, in bytes.
const LONGEST_HEAD: u64 = 4096;

/// A bundle, open.
#[derive(Debug)]
pub struct Bundle {
    files: Files,
    head: Head,
}

/// The files of its tar.
#[derive(Debug)]
struct Files {
    path: PathBuf,
    tar: TarIndex,
}

impl Bundle {
    /// Opens the bundle at `path` and finds out where its parts lie.
    pub async fn open(path: &Path) -> Result<Self, BundleError> {
        let (file, origin) = (path.to_owned(), format!("the bundle {}", path.display()));
        // A named pipe would wait for its writer.
        let about = tokio::fs::metadata(path).await.map_err(ImageError::io("open", path))?;
        if !about.is_file() {
            return Err(ImageError::malformed(origin, "it is no plain file").into());
        }
        let stopped = |error| ImageError::malformed("the bundle", format!("{error}"));
        let scan = tokio::task::spawn_blocking(move || TarIndex::scan(&file, &origin));
        let files = Files { path: path.to_owned(), tar: scan.await.map_err(stopped)?? };
        let head: Head = files.json(HEAD, LONGEST_HEAD)?;
        if head.format != FORMAT {
            let (path, found) = (files.path, head.format);
            return Err(BundleError::Form { path, found, known: FORMAT });
        }
        Ok(Self { files, head })
    }

    /// The organization that it says it is of.
    pub fn org(&self) -> &OrgId {
        &self.head.org
    }

    /// The version of the newest trust document that it says it has.
    pub fn newest_trust(&self) -> u64 {
        self.head.trust
    }

    /// A version of the trust document, if it is here.
    pub fn trust(&self, version: u64) -> Result<Option<Envelope>, BundleError> {
        let name = trust_name(version);
        if self.files.tar.find(&name).is_none() {
            return Ok(None);
        }
        self.files.envelope(&name).map(Some)
    }

    /// The stamp.
    pub fn stamp(&self) -> Result<Envelope, BundleError> {
        self.files.envelope(STAMP)
    }

    /// The bytes of the catalog.
    pub fn catalog(&self) -> Result<Vec<u8>, BundleError> {
        self.files.small(CATALOG, MAX_CATALOG as u64)
    }

    /// The document with this payload digest.
    pub fn document(&self, sha256: &Digest) -> Result<Envelope, BundleError> {
        self.files.envelope(&document_name(sha256))
    }

    /// A manifest or index, if it is here.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<RawManifest>, BundleError> {
        let name = blob_name(digest);
        if self.files.tar.find(&name).is_none() {
            return Ok(None);
        }
        let bytes = self.files.small(&name, MAX_MANIFEST)?;
        Ok(Some(RawManifest::new(media_type::of_manifest(&bytes), bytes)))
    }

    /// A configuration or layer as it lies here, not yet verified; `None` if it is not here.
    pub async fn blob(&self, digest: &Digest) -> Result<Option<BlobReader>, BundleError> {
        let Some(Slice { offset, size }) = self.files.tar.find(&blob_name(digest)) else {
            return Ok(None);
        };
        let unreadable = ImageError::io("read", &self.files.path);
        let opened = async {
            let mut file = tokio::fs::File::open(&self.files.path).await?;
            file.seek(SeekFrom::Start(offset)).await?;
            Ok(file)
        };
        Ok(Some(BlobReader::file(opened.await.map_err(unreadable)?, size)))
    }
}

impl Files {
    fn envelope(&self, name: &str) -> Result<Envelope, BundleError> {
        let bytes = self.small(name, MAX_ENVELOPE as u64)?;
        Envelope::from_json(&bytes).map_err(|error| self.malformed(name, &error))
    }

    fn json<T: DeserializeOwned>(&self, name: &str, limit: u64) -> Result<T, BundleError> {
        let bytes = self.small(name, limit)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.malformed(name, &JsonProblem::from(error)))
    }

    /// A file of the bundle, whole.
    fn small(&self, name: &str, limit: u64) -> Result<Vec<u8>, BundleError> {
        let Some(slice) = self.tar.find(name) else {
            return Err(BundleError::Missing { path: self.path.clone(), what: name.to_owned() });
        };
        if slice.size > limit {
            return Err(self.malformed(name, &format!("it is longer than {limit} bytes")));
        }
        self.tar.read(slice).map_err(|error| self.malformed(name, &error))
    }

    fn malformed(&self, name: &str, reason: &impl ToString) -> BundleError {
        let (path, what) = (self.path.clone(), name.to_owned());
        BundleError::Malformed { path, what, reason: reason.to_string() }
    }
}
