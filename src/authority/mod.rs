//! Which servers are believed to be who they say, over TLS.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
        ServerName, UnixTime,
    },
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;

use crate::{
    text_file::SmallText,
    types::pem::{self, PemProblem},
};

mod client_auth;
mod problem;
mod shown;

pub use client_auth::ClientAuthRequests;
pub use problem::{TlsProblem, tls_problem};
pub use shown::ShownCertificate;

const CERTIFICATE_LABELS: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];
const PRIVATE_KEY_LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// Our own certificate, for servers that want one, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates in a file: those of a PEM text, or the one in DER, as Windows and Java export it (RFC 5280). None at
/// all is an error.
pub fn certificates_of(bytes: Vec<u8>) -> Result<Vec<CertificateDer<'static>>, NoCertificate> {
    let der = CertificateDer::from(bytes.as_slice());
    if ShownCertificate::of(&der).is_some() {
        return Ok(vec![der.into_owned()]);
    }
    let text = SmallText::decode(bytes).map_err(|_| NoCertificate::Binary)?.text;
    Ok(certificates(&text)?)
}

/// The certificates of a PEM text or DER file, as a PEM text.
pub fn to_pem(bytes: Vec<u8>) -> Result<String, NoCertificate> {
    Ok(certificates_of(bytes)?.iter().map(pem_of).collect())
}

/// A certificate in PEM (RFC 7468).
pub fn pem_of(certificate: &CertificateDer<'_>) -> String {
    pem::write("CERTIFICATE", certificate).to_string()
}

/// Why a file holds no certificate. No byte of the file is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificate {
    /// It is a PKCS#7 or PKCS#12 container, or another binary file.
    #[error(
        "it is a binary file that is no X.509 certificate; convert PKCS#7 by `openssl pkcs7 -inform DER -print_certs`, \
         PKCS#12 by `openssl pkcs12 -nokeys`"
    )]
    Binary,
    /// It is a text without a certificate that can be read.
    #[error(transparent)]
    Text(#[from] PemProblem),
}

/// The certificates in a PEM text. None at all is an error.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemProblem> {
    let sections = pem::sections(text)?.into_iter();
    let found: Vec<_> = sections
        .filter(|it| CERTIFICATE_LABELS.contains(&it.label.as_str()))
        .map(|it| CertificateDer::from(it.der.to_vec()))
        .collect();
    if found.is_empty() {
        return Err(PemProblem::Lacks { wanted: "certificate", labels: pem::labels(text) });
    }
    Ok(found)
}

/// The first private key in a PEM text: PKCS#8, PKCS#1 or SEC1, under no passphrase.
pub fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, PemProblem> {
    let section = pem::first_section(text, &PRIVATE_KEY_LABELS)?.ok_or_else(|| {
        let wanted = "private key that is under no passphrase";
        PemProblem::Lacks { wanted, labels: pem::labels(text) }
    })?;
    let der = section.der.to_vec();
    Ok(match section.label.as_str() {
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
        _ => PrivatePkcs8KeyDer::from(der).into(),
    })
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
        assert_eq!(certificates_of(one.to_vec()).unwrap(), std::slice::from_ref(&one));
        assert_eq!(certificates_of(pem.clone().into_bytes()).unwrap(), std::slice::from_ref(&one));
        assert_eq!(to_pem(one.to_vec()).unwrap(), pem);
        let key = KeyPair::generate().unwrap().serialize_pem();
        for (bytes, why) in [
            (&b" \n"[..], "the text is empty"),
            (pem.replace('\n', "").as_bytes(), "has BEGIN CERTIFICATE but no line breaks"),
            (key.as_bytes(), "holds no certificate, but PRIVATE KEY"),
            (&one[..40], "it is a binary file"),
            (b"hello", "the text has no -----BEGIN line"),
        ] {
            let refused = certificates_of(bytes.to_vec()).unwrap_err().to_string();
            assert!(refused.starts_with(why), "{refused}");
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
