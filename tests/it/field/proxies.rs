//! Proxies on the way to the exchange and to registries.

use std::fs;

use crate::support::{
    authority::Authority,
    fake_registry::{FakeRegistry, Peculiarities},
    hub::Hub,
    image::layout,
    peers::free_port,
    program::Program,
    proxy::Proxy,
    web::Door,
};

/// A publisher of an exchange elsewhere, by way of a proxy.
fn behind(hub: &Hub, proxy: &str) -> Program {
    let mut program = hub.publisher.with("EDGEPOST_EXCHANGE_URL", "https://hub.example:3090/v1");
    program.set("HTTPS_PROXY", proxy);
    program
}

#[test]
fn a_dead_proxy_is_named_and_not_the_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let dead = format!("127.0.0.1:{}", free_port());
    let program = behind(&hub, &format!("http://ann:can@ry#1@{dead}"));
    let outcome = program.run(&["org", "list"]);
    assert_eq!(outcome.code, 5, "{}", outcome.stderr);
    let named = format!("the proxy http://{dead} (by HTTPS_PROXY) cannot be reached");
    assert!(outcome.stderr.contains(&named), "{}", outcome.stderr);
    assert!(
        !outcome.stderr.contains("ry#1") && !outcome.stderr.contains("is the exchange running")
    );

    let outcome = program.run(&["registry", "check", "registry.example"]);
    let outcome_of_copy = program.run(&["image", "copy", "registry.example/a:1", "oci:x"]);
    assert_eq!(outcome.code, 5, "{}", outcome.stderr);
    assert!(outcome_of_copy.stderr.contains(&named), "{}", outcome_of_copy.stderr);
}

#[test]
fn a_password_with_signs_of_an_address_reaches_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let proxy = Proxy::http_for("ann:p@ss#1/?");
    let program = behind(&hub, &format!("http://ann:p@ss#1/?@{}", proxy.address()));
    let outcome = program.run(&["org", "list"]);
    // The proxy accepts the login, and then knows no way to this host.
    assert!(outcome.stderr.contains("makes no connection to it"), "{}", outcome.stderr);
    let wrong = behind(&hub, &format!("http://ann:wrong@{}", proxy.address()));
    let outcome = wrong.run(&["org", "list"]);
    assert!(outcome.stderr.contains("wants another login"), "{}", outcome.stderr);
}

#[test]
fn no_proxy_may_be_a_star_or_a_host_with_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let proxy = Proxy::http();
    for except in ["*", "hub.example:3090", "other, .example"] {
        let program = behind(&hub, &format!("http://{}", proxy.address())).with("NO_PROXY", except);
        let outcome = program.run(&["org", "list"]);
        assert_eq!(outcome.code, 5, "{except}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("proxy http"), "{except}: {}", outcome.stderr);
    }
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[test]
fn the_authority_of_a_proxy_that_reads_tls_counts_for_registries_too() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = folder.path().join("proxy-ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    let registry =
        FakeRegistry::start(Peculiarities::default(), Door::Tls(&authority, &["registry.example"]));
    let proxy = Proxy::http();
    proxy.lead("registry.example:443", registry.host().parse().unwrap());
    let mut program = Program::at_home_in(folder.path());
    program.set("HTTPS_PROXY", format!("http://{}", proxy.address()));
    layout(&folder.path().join("image"), 7, 1, 1000);
    let copy = ["image", "copy", "oci:image", "registry.example/a:1"];
    program.run(&copy).failed(5, "E0502");
    program.with("EDGEPOST_CA_FILE", ca.display()).run(&copy).good();
}
