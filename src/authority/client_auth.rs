//! Whether a server asks for a client certificate.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustls::{ClientConfig, SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};

/// Remembers whether any server asked for a client certificate (`CertificateRequest`, RFC 8446 section
/// 4.3.2) on the connections of one TLS configuration. Clones share what they remember.
///
/// A server that rejects the certificate says so by an alert after the client's part of the handshake. The
/// alert can be lost: the connection may be closed, or the HTTP client may fail, before it is read. That the
/// server asked is known in every case.
#[derive(Debug, Clone, Default)]
pub struct ClientAuthRequests(Arc<AtomicBool>);

impl ClientAuthRequests {
    /// Records the requests that come on connections of `config`.
    pub fn record(config: &mut ClientConfig) -> Self {
        let requests = Self::default();
        let inner = Arc::clone(&config.client_auth_cert_resolver);
        let recorder = RecordingResolver { inner, requests: requests.clone() };
        config.client_auth_cert_resolver = Arc::new(recorder);
        requests
    }

    /// Whether a server has asked for a client certificate.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Passes each request on to the resolver that has the certificate.
#[derive(Debug)]
struct RecordingResolver {
    inner: Arc<dyn ResolvesClientCert>,
    requests: ClientAuthRequests,
}

impl ResolvesClientCert for RecordingResolver {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.requests.0.store(true, Ordering::Relaxed);
        self.inner.resolve(root_hint_subjects, sigschemes)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
