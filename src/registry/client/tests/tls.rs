use std::collections::BTreeMap;

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;

/// A registry with TLS, and the CA certificate it is to be trusted by.
pub(super) async fn with_tls(names: &[&str]) -> (Registry, String) {
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test CA");
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);

    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut own = CertificateParams::new(names).unwrap();
    own.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    let key = KeyPair::generate().unwrap();
    let certificate = own.signed_by(&key, &issuer).unwrap();

    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pem = (certificate.pem().into_bytes(), key.serialize_pem().into_bytes());
    let config = RustlsConfig::from_pem(pem.0, pem.1).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(async || "");
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(async move { server.serve(router.into_make_service()).await.unwrap() });
    (address.to_string().parse().unwrap(), ca_pem)
}

fn trusting(registry: &Registry, pem: &str) -> RegistryClient {
    let ca = BTreeMap::from([(registry.clone(), vec![pem.to_owned()])]);
    RegistryClient::new(ClientConfig { ca, ..quick() })
}

async fn problem(client: &RegistryClient, registry: &Registry) -> TlsProblem {
    match client.ping(registry).await {
        Err(RegistryError::Tls { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_for_its_registry_alone() {
    let (registry, pem) = with_tls(&["127.0.0.1"]).await;
    trusting(&registry, &pem).ping(&registry).await.unwrap();

    let (other, other_pem) = with_tls(&["127.0.0.1"]).await;
    let mixed_up = trusting(&registry, &other_pem);
    assert_eq!(problem(&mixed_up, &registry).await, TlsProblem::UnknownIssuer);
    trusting(&other, &other_pem).ping(&other).await.unwrap();
}

#[tokio::test]
async fn an_authority_is_found_in_a_certs_folder() {
    let (registry, pem) = with_tls(&["127.0.0.1"]).await;
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(registry.as_str());
    std::fs::create_dir(&own).unwrap();
    std::io::Write::write_all(
        &mut std::fs::File::create(own.join("ca.crt")).unwrap(),
        pem.as_bytes(),
    )
    .unwrap();
    let config = ClientConfig { certs_dirs: vec![folder.path().to_owned()], ..quick() };
    RegistryClient::new(config).ping(&registry).await.unwrap();
}

#[tokio::test]
async fn a_certificate_without_or_for_another_name_is_told_apart() {
    for (names, expected) in [
        (&[][..], TlsProblem::NoAlternativeName),
        (&["registry.example.com"], TlsProblem::WrongName),
    ] {
        let (registry, pem) = with_tls(names).await;
        assert_eq!(problem(&trusting(&registry, &pem), &registry).await, expected);
    }
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_an_error() {
    let registry: Registry = "127.0.0.1:1".parse().unwrap();
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----"] {
        let client = trusting(&registry, pem);
        assert_eq!(problem(&client, &registry).await, TlsProblem::BadAuthority, "{pem}");
    }
}

#[tokio::test]
async fn a_registry_elsewhere_may_not_point_to_this_machine() {
    let client = client();
    let endpoint = client.connections.endpoint(&"reg.example.com".parse().unwrap()).unwrap();
    for target in [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://169.254.169.254/latest",
        "https://localhost/x",
        "http://storage.example.com/x",
        "https://user:pass@storage.example.com/x",
        "ftp://storage.example.com/x",
    ] {
        assert!(endpoint.check_target(&target.parse().unwrap()).is_err(), "{target}");
    }
    for target in ["https://storage.example.com/x", "https://10.0.0.5:9000/x"] {
        assert!(endpoint.check_target(&target.parse().unwrap()).is_ok(), "{target}");
    }
    // Names are checked when they are resolved: this one is of this machine.
    let url = "https://localhost.localdomain.example.invalid/".parse().unwrap();
    let guarded = client.connections.client(&url, &endpoint).unwrap();
    assert!(guarded.get(url).send().await.is_err());
}

/// A server that answers the first bytes of each connection by `answer`, and nothing else.
fn answering(answer: &'static [u8]) -> Registry {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello);
            let _ = stream.write_all(answer);
            // Read on, so that the answer is not lost by a reset.
            std::thread::spawn(move || while stream.read(&mut hello).is_ok_and(|n| n > 0) {});
        }
    });
    address.to_string().parse().unwrap()
}

#[tokio::test]
async fn a_server_of_tls_1_0_or_1_1_is_named_as_such() {
    // A fatal alert, protocol_version (70), in a record of TLS 1.0.
    const ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
    // A ServerHello that chooses TLS 1.1 and TLS_RSA_WITH_AES_128_CBC_SHA.
    const HELLO: &[u8] = &[
        0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0x2f, 0,
    ];
    let (_, pem) = with_tls(&["127.0.0.1"]).await;
    for answer in [ALERT, HELLO] {
        let registry = answering(answer);
        let client = RegistryClient::new(ClientConfig {
            ca: BTreeMap::from([(registry.clone(), vec![pem.clone()])]),
            retry: RetryPolicy::once(),
            ..quick()
        });
        assert_eq!(problem(&client, &registry).await, TlsProblem::OldVersion);
    }
}
