//! Which CA certificates, and which certificate of our own, are configured for which host.

use std::{collections::BTreeMap, path::PathBuf};

use rustls::pki_types::CertificateDer;

use super::files::{self, BadFile};
use crate::{
    authority::{self, Identity},
    types::Registry,
};

/// What is configured for TLS.
#[derive(Debug, Default)]
pub(in crate::registry::client) struct Authorities {
    /// CA certificates in PEM, each for one host.
    pub(in crate::registry::client) of_host: BTreeMap<Registry, Vec<String>>,
    /// CA certificates in PEM for every host.
    pub(in crate::registry::client) of_all: Vec<String>,
    /// Folders like `/etc/docker/certs.d`.
    pub(in crate::registry::client) certs_dirs: Vec<PathBuf>,
    /// Whether the CA certificates in the folders count.
    pub(in crate::registry::client) ca_of_certs_dirs: bool,
}

impl Authorities {
    /// Whether anything is configured for TLS with `host` by its name.
    pub(super) fn has_any(&self, host: &Registry) -> bool {
        self.of_host.get(host).is_some_and(|pems| !pems.is_empty())
            || self.certs_dirs.iter().any(|dir| files::has_any(dir, host))
    }

    /// The CA certificates that count for every host.
    pub(super) fn of_all(&self) -> Result<Vec<CertificateDer<'static>>, BadFile> {
        read(&self.of_all)
    }

    /// The CA certificates that count for `host`, each once.
    pub(super) fn of(&self, host: &Registry) -> Result<Vec<CertificateDer<'static>>, BadFile> {
        let mut found = match self.of_host.get(host) {
            Some(pems) => read(pems)?,
            None => Vec::new(),
        };
        for dir in self.certs_dirs.iter().filter(|_| self.ca_of_certs_dirs) {
            found.extend(files::authorities(dir, host)?);
        }
        found.extend(self.of_all()?);
        let mut seen = Vec::new();
        found.retain(|it| {
            let is_new = !seen.contains(it);
            seen.push(it.clone());
            is_new
        });
        Ok(found)
    }

    /// Our own certificate for `host`, from the first folder that has one.
    pub(super) fn identity(&self, host: &Registry) -> Result<Option<Identity>, BadFile> {
        for dir in &self.certs_dirs {
            if let Some(identity) = files::identity(dir, host)? {
                return Ok(Some(identity));
            }
        }
        Ok(None)
    }
}

fn read(pems: &[String]) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let mut found = Vec::new();
    for pem in pems {
        found.extend(authority::certificates(pem)?);
    }
    Ok(found)
}
