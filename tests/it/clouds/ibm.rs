//! IBM Cloud Container Registry.

use super::{Person, step};
use crate::support::cloud::ibm::{self, API_KEY, HOST, PROFILE, REFRESH};

#[test]
fn every_kind_of_credential_pushes_and_pulls() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = ibm::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    let bearer = ibm::iam().token_of("iam-ServiceId-1", 3600);
    let logins = [
        ("iamapikey", API_KEY),
        ("iambearer", &bearer),
        ("iamrefresh", REFRESH),
        (PROFILE, API_KEY),
    ];
    for (number, login) in logins.into_iter().enumerate() {
        person.log_in(HOST, login).good();
        let checked = person.check(&format!("{HOST}/acme/app"), &["--push"]).good();
        assert!(step(&checked, "asks").contains("https://us.icr.io/oauth/token"));
        assert!(step(&checked, "push").contains("can be pushed to"));
        person.carry(&format!("{HOST}/acme/app_amd64:1.0.{number}"));
    }
}

#[test]
fn a_credential_that_ends_says_when() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = ibm::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);

    let key = person.log_in(HOST, ("iamapikey", API_KEY)).good();
    let refresh = person.log_in(HOST, ("iamrefresh", REFRESH)).good();
    let bearer = ibm::iam().token_of("iam-ServiceId-1", 1800);
    let bearer = person.log_in(HOST, ("iambearer", &bearer)).good();
    let checked = person.check(HOST, &[]).good();
    let ended = ibm::iam().token_of("iam-ServiceId-1", -60);
    let ended = person.log_in(HOST, ("iambearer", &ended)).failed(4, "E0402");

    assert!(!key.stderr.contains("ends on") && !key.stderr.contains("is good for"));
    assert!(refresh.stderr.contains("30 days"), "{}", refresh.stderr);
    assert!(bearer.stderr.contains("the token ends on"), "{}", bearer.stderr);
    assert!(checked.stderr.contains("ends in 29 minutes"), "{}", checked.stderr);
    assert!(ended.stderr.contains("has ended"), "{}", ended.stderr);
    assert!(ended.stderr.contains("iamapikey"), "what to do: {}", ended.stderr);
}

#[test]
fn a_namespace_that_does_not_exist_is_named_as_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = ibm::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    person.log_in(HOST, ("iamapikey", API_KEY)).good();

    let pushed = person.copy("oci:image", &format!("{HOST}/nobody/app:1"), &[]).failed(4, "E0403");
    let checked = person.check(&format!("{HOST}/nobody/app"), &["--push"]).failed(4, "E0403");

    for told in [&pushed.stderr, &checked.stdout] {
        assert!(told.contains("ibmcloud cr namespace-add"), "{told}");
    }
}
