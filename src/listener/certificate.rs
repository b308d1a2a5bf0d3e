//! The certificate of a server, from its files, and again whenever they change.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use rustls::ServerConfig;

use super::ListenError;
use crate::{
    authority,
    private_file::{self, PrivateFileError},
    text_file::{self, LONGEST_TEXT, SmallText},
};

/// The certificate chain and the private key of a server, as PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate and its intermediates.
    pub cert_file: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1. Its owner alone may read it.
    pub key_file: PathBuf,
}

/// The certificate in use. New connections use the newest one that could be loaded.
#[derive(Debug)]
pub(super) struct Certificate {
    tls: Tls,
    config: RwLock<Arc<ServerConfig>>,
    /// The state of the files when they were last loaded, or last failed to load.
    version: Mutex<FilesVersion>,
}

/// What tells one state of the two files from another.
type FilesVersion = [Option<FileVersion>; 2];

/// What changes when a file is written, replaced or given other permissions. Links are followed, so that a link that
/// leads to another file counts as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Certificate {
    pub(super) fn load(tls: &Tls) -> Result<Self, ListenError> {
        // Before the files are read: a change in between is seen as one.
        let version = files_version(tls);
        let config = RwLock::new(server_config(tls)?);
        Ok(Self { tls: tls.clone(), config, version: Mutex::new(version) })
    }

    /// What new connections use.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads the files again. If they cannot be used, the certificate in use stays, and the log says why.
    pub(super) fn reload(&self) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = files_version(&self.tls);
        let file = self.tls.cert_file.display();
        match server_config(&self.tls) {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!(event = "tls.reloaded", %file, "the TLS certificate was loaded");
            }
            Err(error) => tracing::error!(
                event = "tls.reload_failed",
                %file,
                error = &error as &dyn std::error::Error,
                "the TLS certificate was not loaded; the previous one stays in use"
            ),
        }
    }

    /// Loads the files again whenever they change, until the listener ends.
    pub(super) async fn watch(self: Arc<Self>, interval: Duration) {
        let mut turn = tokio::time::interval(interval);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            let certificate = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || certificate.reload_if_changed()).await;
        }
    }

    fn reload_if_changed(&self) {
        let loaded = *self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if files_version(&self.tls) != loaded {
            self.reload();
        }
    }
}

fn files_version(tls: &Tls) -> FilesVersion {
    [&tls.cert_file, &tls.key_file].map(|file| {
        let it = fs::metadata(file).ok()?;
        Some(FileVersion {
            device: it.dev(),
            inode: it.ino(),
            size: it.size(),
            modified: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        })
    })
}

/// The TLS side of a server, from its files.
fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, ListenError> {
    let (cert_file, key_file) = (&tls.cert_file, &tls.key_file);
    let text = |file: &PathBuf, source| ListenError::Text { file: file.clone(), source };
    let pem = |file: &PathBuf, source| ListenError::Pem { file: file.clone(), source };
    let chain = text_file::read(cert_file, LONGEST_TEXT).map_err(|it| text(cert_file, it))?;
    let chain =
        authority::certificates(&chain.noted(cert_file)).map_err(|it| pem(cert_file, it))?;
    let key =
        open_key(key_file).map_err(|source| ListenError::Key { file: key_file.clone(), source })?;
    let key = SmallText::read(key, LONGEST_TEXT).map_err(|it| text(key_file, it))?;
    let key = authority::private_key(&key.noted(key_file)).map_err(|it| pem(key_file, it))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| ListenError::Tls { tls: tls.clone(), why: why_unusable(&error) })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Why a certificate and a key cannot be used, in words of our own.
fn why_unusable(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InconsistentKeys(_) => "the private key is not that of the certificate",
        rustls::Error::InvalidCertificate(_) => "the certificate is damaged",
        _ => "the private key is damaged, or of a kind that TLS does not use",
    }
}

/// Opens a key that its owner alone may read. It may be reached through links, as certificate managers arrange it; the
/// file that they lead to is the one that is judged.
fn open_key(file: &Path) -> Result<fs::File, PrivateFileError> {
    let file = fs::canonicalize(file).map_err(PrivateFileError::Open)?;
    private_file::open(&file)
}
