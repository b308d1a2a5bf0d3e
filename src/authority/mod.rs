//! Which servers are believed to be who they say, over TLS.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;

mod client_auth;
mod problem;
mod shown;

pub use client_auth::ClientAuthRequests;
pub use problem::{TlsProblem, tls_problem};
pub use shown::ShownCertificate;

/// Our own certificate, for servers that want one, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates in a PEM text, or the one in a DER file, as Windows and Java export it (RFC 5280). None
/// at all is an error.
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, NoCertificate> {
    let der = CertificateDer::from(bytes);
    if ShownCertificate::of(&der).is_some() {
        return Ok(vec![der.into_owned()]);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|_| NoCertificate::of(bytes))?;
    if found.is_empty() { Err(NoCertificate::of(bytes)) } else { Ok(found) }
}

/// The certificates of a PEM text or DER file, as a PEM text.
pub fn to_pem(bytes: &[u8]) -> Result<String, NoCertificate> {
    Ok(certificates(bytes)?.iter().map(pem_of).collect())
}

/// A certificate in PEM (RFC 7468).
pub fn pem_of(certificate: &CertificateDer<'_>) -> String {
    let encoded = BASE64_STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, character) in encoded.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}

/// Why a file holds no certificate. No byte of the file is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificate {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It has a PEM section that cannot be read.
    #[error("its BEGIN CERTIFICATE section is damaged: line breaks or letters are missing")]
    Damaged,
    /// It has PEM sections, and none is a certificate.
    #[error("it holds a key or another PEM section, and no BEGIN CERTIFICATE section")]
    OtherSection,
    /// It is a PKCS#7 or PKCS#12 container, or another binary file.
    #[error(
        "it is a binary file that is no X.509 certificate; convert PKCS#7 by `openssl pkcs7 -inform DER -print_certs`, \
         PKCS#12 by `openssl pkcs12 -nokeys`"
    )]
    Binary,
    /// It is a text without any PEM section.
    #[error("it has no BEGIN CERTIFICATE section")]
    NoSection,
}

impl NoCertificate {
    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        if bytes.trim_ascii().is_empty() {
            Self::Empty
        } else if text.contains("BEGIN CERTIFICATE") {
            Self::Damaged
        } else if text.contains("-----BEGIN ") {
            Self::OtherSection
        } else if bytes.first() == Some(&0x30) || bytes.contains(&0) {
            Self::Binary
        } else {
            Self::NoSection
        }
    }
}

/// How to speak TLS with servers that the system's authorities vouch for, or `trusted` ones, or that
/// show one of the `trusted` certificates themselves. `protocols` are told the server (ALPN).
pub fn client_config(
    trusted: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
    protocols: &[&str],
) -> Result<ClientConfig, rustls::Error> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let authorities = Verifier::new_with_extra_roots(trusted.clone(), Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believing { authorities, trusted }));
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    Ok(config)
}

/// Believes authorities, and a server that shows a certificate which was itself given as trusted. Such
/// a certificate signs itself, as `openssl req -x509` makes it for many a registry; the name and the time
/// must still fit, and the handshake proves that the server has its key.
#[derive(Debug)]
struct Believing {
    authorities: Verifier,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.trusted.iter().any(|it| it == shown) {
            return self.authorities.verify_server_cert(shown, others, name, ocsp, now);
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        check_time(shown, now).map_err(rustls::Error::InvalidCertificate)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

fn check_time(shown: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let shown = ShownCertificate::of(shown).ok_or(CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).ok().and_then(|now| Timestamp::from_second(now).ok());
    match now {
        Some(now) if now < shown.begins => Err(CertificateError::NotValidYet),
        Some(now) if now <= shown.ends => Ok(()),
        _ => Err(CertificateError::Expired),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// A certificate that signs itself, as OpenSSL makes it where nothing else is said: that of a CA.
    fn own(name: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verdict(
        trusted: &[&CertificateDer<'static>],
        shown: &CertificateDer<'static>,
        name: &str,
        time: &str,
    ) -> Result<(), String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let trusted: Vec<_> = trusted.iter().map(|it| (*it).clone()).collect();
        let authorities = Verifier::new_with_extra_roots(trusted.clone(), provider).unwrap();
        let seconds = time.parse::<Timestamp>().unwrap().as_second();
        let now = std::time::Duration::from_secs(u64::try_from(seconds).unwrap());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Believing { authorities, trusted }
            .verify_server_cert(shown, &[], &name, &[], UnixTime::since_unix_epoch(now))
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn certificates_are_read_from_pem_and_der_and_other_files_are_named() {
        let one = own("r.example");
        let pem = pem_of(&one);
        assert_eq!(certificates(&one).unwrap(), std::slice::from_ref(&one));
        assert_eq!(certificates(pem.as_bytes()).unwrap(), std::slice::from_ref(&one));
        assert_eq!(to_pem(&one).unwrap(), pem);
        let key = KeyPair::generate().unwrap().serialize_pem();
        for (bytes, why) in [
            (&b" \n"[..], NoCertificate::Empty),
            (pem.replace('\n', "").as_bytes(), NoCertificate::Damaged),
            (key.as_bytes(), NoCertificate::OtherSection),
            (&one[..40], NoCertificate::Binary),
            (b"hello", NoCertificate::NoSection),
        ] {
            assert_eq!(certificates(bytes), Err(why));
        }
    }

    #[test]
    fn a_certificate_that_was_given_is_believed_for_its_own_name_and_time_alone() {
        let (given, other) = (own("r.example"), own("r.example"));
        let at = "2026-06-01T00:00:00Z";
        assert_eq!(verdict(&[&given], &given, "r.example", at), Ok(()));
        let refused = |trusted: &[&CertificateDer<'static>], name, at, why: &str| {
            let error = verdict(trusted, &given, name, at).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(&[&given], "s.example", at, "not valid for name");
        refused(&[&given], "r.example", "2025-12-31T00:00:00Z", "NotValidYet");
        refused(&[&given], "r.example", "2027-01-02T00:00:00Z", "Expired");
        // The same name and another key.
        assert!(verdict(&[&other], &given, "r.example", at).is_err());
        assert!(verdict(&[], &given, "r.example", at).is_err());
    }
}
