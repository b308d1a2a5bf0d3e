//! A certificate authority of a story's own.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// Signs the certificates of a story's servers and people.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// One that nobody trusts yet.
    pub fn new() -> Self {
        let mut ca = CertificateParams::new(Vec::new()).expect("no names are needed");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("keys can be made");
        Self(CertifiedIssuer::self_signed(ca, key).expect("a CA can be made"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server of these names.
    pub fn server(&self, names: &[&str]) -> Certified {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(&CertificateParams::new(names).expect("these are names"))
    }

    /// A certificate for somebody who connects.
    pub fn client(&self, name: &str) -> Certified {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are needed");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Certified {
        let key = KeyPair::generate().expect("keys can be made");
        let signed = params.signed_by(&key, &self.0).expect("a certificate can be made");
        Certified { certificate: signed.pem(), key: key.serialize_pem() }
    }
}
