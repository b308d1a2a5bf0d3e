//! The ways to a registry: certificates of one's own, proxies, and plain HTTP.

use std::{fs, os::unix::fs::PermissionsExt as _};

use axum::Router;
use edgepost::{
    registry::server::{Access, Account, Password, router, storage::Folder},
    types::Secret,
};

use super::{Person, is_nowhere_in, step};
use crate::support::{
    authority::{Authority, Certified},
    cloud::ibm::{self, API_KEY},
    proxy::Proxy,
    web::{Door, Web},
};

const HOST: &str = "registry.plant.example";
const LOGIN: (&str, &str) = ("pump", "pumps-long-secret-8Q");

/// A registry for one account.
fn registry(folder: &tempfile::TempDir) -> Router {
    let folder = Folder::open(folder.path().join("registry")).unwrap();
    let password = Password::plain(Secret::new(LOGIN.1));
    router(folder, Access::Basic(vec![Account { user: LOGIN.0.to_owned(), password, push: true }]))
}

#[test]
fn a_registry_that_wants_a_certificate_of_ours_gets_it_from_the_certs_folder() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let web = Web::start(registry(&folder), Door::Mutual(&authority, &[HOST, "127.0.0.1"]));
    let person = Person::before(folder.path(), &[]);
    person.proxy.lead(&format!("{HOST}:443"), web.address());
    let local = web.address().to_string();
    let certify = |host: &str, own: &Certified, mode: u32| {
        let certificates = person.certificates_for(host);
        fs::write(certificates.join("client.cert"), &own.certificate).unwrap();
        fs::write(certificates.join("client.key"), &own.key).unwrap();
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(certificates.join("client.key"), mode).unwrap();
    };
    for host in [HOST, &local] {
        person.trust(host, &authority.pem());
        let without = person.log_in(host, LOGIN).failed(5, "E0502");
        assert!(without.stderr.contains("client certificate"), "{}", without.stderr);
        assert!(without.stderr.contains("client.cert"), "what to do: {}", without.stderr);

        let own = authority.client("pump-7");
        certify(host, &own, 0o644);
        let open = person.log_in(host, LOGIN).failed(5, "E0502");
        assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);

        certify(host, &Authority::new().client("pump-7"), 0o600);
        let foreign = person.log_in(host, LOGIN).failed(5, "E0502");
        assert!(foreign.stderr.contains("client certificate"), "{}", foreign.stderr);
        let mixed = Certified { key: authority.client("pump-8").key, ..own.clone() };
        certify(host, &mixed, 0o600);
        person.log_in(host, LOGIN).failed(5, "E0502");

        certify(host, &own, 0o600);
        person.log_in(host, LOGIN).good();
        person.check(&format!("{host}/team/app"), &["--push"]).good();
        person.carry(&format!("{host}/team/app:1"));
    }
    for key in [authority.client("x").key, authority.server(&[HOST]).key] {
        is_nowhere_in(&web.everything(), key.lines().nth(1).unwrap());
    }
}

#[test]
fn every_kind_of_proxy_leads_to_the_registry_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = ibm::start(folder.path());
    let mut person = Person::before(folder.path(), &[&cloud]);
    person.keep_login(ibm::HOST, ("iamapikey", API_KEY));
    person.program.unset("HTTPS_PROXY");
    let secret = "proxys-secret-8Q";
    person.hide(secret);
    let login = format!("site:{secret}");
    for (number, (scheme, proxy, login)) in [
        ("http", Proxy::http(), None),
        ("http", Proxy::http_for(&login), Some(&login)),
        ("socks5h", Proxy::socks(), None),
        ("socks5h", Proxy::socks_for(&login), Some(&login)),
    ]
    .into_iter()
    .enumerate()
    {
        proxy.lead("us.icr.io:443", cloud.web().address());
        let at = |login: &str| format!("{scheme}://{login}{}", proxy.address());
        for name in ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"] {
            let login = login.map(|it| format!("{it}@")).unwrap_or_default();
            let program = person.program.with(name, at(&login));
            let person = person.as_by(program);
            let checked = person.check("us.icr.io/acme/app", &["--push"]).good();
            assert_eq!(step(&checked, "proxy"), at(""), "without what is secret in it");
            person.carry(&format!("us.icr.io/acme/app:{number}"));
        }
        assert!(proxy.asked().iter().all(|it| it == "CONNECT us.icr.io:443"));
        if login.is_some() {
            let wrong = person.as_by(person.program.with("HTTPS_PROXY", at("site:wrong@")));
            let refused = wrong.check("us.icr.io", &[]).failed(5, "E0501");
            assert!(refused.stdout.contains("proxy"), "{}", refused.stdout);
        }
        is_nowhere_in(&proxy.heads(), API_KEY);
    }
}

#[test]
fn what_no_proxy_names_and_this_machine_are_reached_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = ibm::start(folder.path());
    let plain = Web::start(registry(&folder), Door::Plain);
    let person = Person::before(folder.path(), &[&cloud]);
    let own = format!("http://{}", person.proxy.address());
    let person = person.as_by(person.program.with("HTTP_PROXY", &own));
    let local = plain.address().to_string();
    person.log_in(&local, LOGIN).good();
    person.carry(&format!("{local}/team/app:1"));
    for named in ["us.icr.io", ".icr.io", "other.example,icr.io", "*"] {
        let direct = person.as_by(person.program.with("NO_PROXY", named));
        let checked = direct.check("us.icr.io", &[]);
        let told = checked.json();
        let told = told["steps"].as_array().unwrap();
        assert!(told.iter().all(|it| it["step"] != "proxy"), "{named}: {}", checked.stdout);
    }
    assert!(person.proxy.asked().is_empty(), "{:?}", person.proxy.asked());
    person
        .as_by(person.program.with("NO_PROXY", "cr.io"))
        .check("us.icr.io", &[])
        .failed(4, "E0402");
    assert!(!person.proxy.asked().is_empty(), "another name that ends so is none of it");
}

#[test]
fn plain_http_is_spoken_to_those_alone_who_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let web = Web::start(registry(&folder), Door::Plain);
    let person = Person::before(folder.path(), &[]);
    let host = &format!("{HOST}:5000");
    person.proxy.lead(host, web.address());
    let own = format!("http://{}", person.proxy.address());
    let person = person.as_by(person.program.with("HTTP_PROXY", &own));
    person.keep_login(host, LOGIN);
    let image = format!("{host}/team/app:1");

    let refused = person.copy("oci:image", &image, &[]).failed(5, "E0502");
    person.copy("oci:image", &image, &["--plain-http", "other.example:5000"]).failed(5, "E0502");
    person.check(host, &[]).failed(5, "E0502");
    person.log_in(host, LOGIN).failed(5, "E0502");

    assert!(refused.stderr.contains("--plain-http"), "{}", refused.stderr);
    assert!(web.heard().is_empty(), "{:?}", web.heard());
    is_nowhere_in(&person.proxy.heads(), LOGIN.1);
    let login = ["registry", "login", host, "--username", LOGIN.0, "--password-stdin"];
    person.run(&[&login[..], &["--plain-http"]].concat(), LOGIN.1).good();
    person.check(&format!("{host}/team/app"), &["--push", "--plain-http"]).good();
    let flag = ["--plain-http", host];
    person.copy("oci:image", &image, &flag).good();
    person.copy(&image, "oci:back", &flag).good();
    assert!(person.proxy.asked().contains(&format!("GET http://{host}/v2/")));
}
