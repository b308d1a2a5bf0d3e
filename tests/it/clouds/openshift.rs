//! The registry within an OpenShift cluster.

use std::{fs, os::unix::fs::PermissionsExt as _};

use axum::{Router, http::StatusCode, response::Html};

use super::{Person, step};
use crate::support::{
    authority::Authority,
    cloud::openshift::{self, ADMIN, HOST, NO_ROUTE, PULLER, PUSHER, cluster},
    hub::Hub,
    image::{definition, write},
    web::{Door, Web},
};

const DAY: i64 = 24 * 3600;

#[test]
fn a_service_accounts_token_is_the_password_of_any_user() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = openshift::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    for (number, user) in ["pusher", "serviceaccount", "unused"].into_iter().enumerate() {
        let token = cluster().token_of(PUSHER, 30 * DAY + 60);
        let told = person.log_in(HOST, (user, &token)).good();
        assert!(told.stderr.contains(", in 30 days"), "{}", told.stderr);
        let checked = person.check(&format!("{HOST}/line/app"), &["--push"]).good();
        assert!(step(&checked, "asks").ends_with("/openshift/token"));
        assert!(step(&checked, "login").contains("ends in 30 days"));
        assert!(!checked.stderr.contains("warning"), "{}", checked.stderr);
        person.carry(&format!("{HOST}/line/app:{number}"));
    }
}

#[test]
fn a_token_that_ends_soon_is_warned_about_and_one_that_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = openshift::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);

    person.log_in(HOST, ("pusher", &cluster().token_of(PUSHER, DAY + 60))).good();
    let soon = person.check(HOST, &[]).good();
    let ended = cluster().token_of(PUSHER, -60);
    person.keep_login(HOST, ("pusher", &ended));
    let checked = person.check(HOST, &[]).failed(4, "E0402");
    let pushed = person.copy("oci:image", &format!("{HOST}/line/app:1"), &[]).failed(4, "E0402");

    assert!(soon.stderr.contains("the token of this login ends in 24 hours"), "{}", soon.stderr);
    assert!(checked.stderr.contains("has ended"), "{}", checked.stderr);
    assert!(checked.stdout.contains("oc create token"), "what to do: {}", checked.stdout);
    assert!(pushed.stderr.contains("oc create token"), "what to do: {}", pushed.stderr);
}

#[test]
fn a_project_that_is_missing_or_closed_is_named_as_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = openshift::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    let push = |to: &str| person.copy("oci:image", &format!("{HOST}/{to}"), &[]);

    person.log_in(HOST, ("puller", &cluster().token_of(PULLER, DAY))).good();
    let closed = push("line/app:1").failed(4, "E0403");
    let unseen = push("nowhere/app:1").failed(4, "E0403");
    person.log_in(HOST, ("admin", &cluster().token_of(ADMIN, DAY))).good();
    let missing = push("nowhere/app:1").failed(4, "E0403");
    let checked = person.check(&format!("{HOST}/nowhere/app"), &["--push"]).failed(4, "E0403");

    for told in [&closed.stderr, &unseen.stderr, &missing.stderr, &checked.stdout] {
        assert!(told.contains("oc new-project") && told.contains("system:image-builder"), "{told}");
    }
}

#[test]
fn a_registry_without_a_route_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let page = || async { (StatusCode::SERVICE_UNAVAILABLE, Html(NO_ROUTE)) };
    let router = Web::start(Router::new().fallback(page), Door::Tls(&authority, &[HOST]));
    let person = Person::before(folder.path(), &[]);
    person.proxy.lead(&format!("{HOST}:443"), router.address());
    person.trust(HOST, &authority.pem());
    let token = cluster().token_of(PUSHER, DAY);

    let login = person.log_in(HOST, ("pusher", &token)).failed(5, "E0505");
    let checked = person.check(HOST, &[]).failed(5, "E0505");
    person.keep_login(HOST, ("pusher", &token));
    let pushed = person.copy("oci:image", &format!("{HOST}/line/app:1"), &[]).failed(5, "E0505");

    for told in [&login.stderr, &checked.stdout, &pushed.stderr] {
        assert!(told.contains("defaultRoute"), "{told}");
    }
    super::is_nowhere_in(&router.everything(), &token);
}

#[test]
fn who_publishes_is_told_when_the_token_for_the_nodes_ends() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = openshift::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    let mut hub = Hub::start(folder.path());
    let (pusher, puller) =
        (cluster().token_of(PUSHER, DAY), cluster().token_of(PULLER, 30 * DAY + 60));
    hub.log_in(HOST, "pusher", &pusher);
    hub.publisher.set("HTTPS_PROXY", format!("http://{}", person.proxy.address()));
    let file = write(&hub, "hello.json", &definition("1.0.0", &format!("{HOST}/line/hello:1.0.0")));
    let person = person.as_by(hub.publisher.clone());
    for secret in [&pusher, &puller] {
        person.hide(secret);
    }
    let publish = |login: String, mode: u32| {
        let logins = folder.path().join("logins");
        fs::write(&logins, format!("{login}\n")).unwrap();
        fs::set_permissions(&logins, fs::Permissions::from_mode(mode)).unwrap();
        let from = ["--source", "oci:image", "--registry-token-file", "logins", "--overwrite"];
        person.run(&[&["publish", &file], &from[..]].concat(), "")
    };

    let open = publish(format!("{HOST}:puller:{puller}"), 0o644).failed(1, "E0101");
    let told = publish(format!("{HOST}:puller:{puller}"), 0o600).good();
    let ended = publish(format!("{HOST}:puller:{}", cluster().token_of(PULLER, -60)), 0o600);

    assert!(open.stderr.contains("the file of logins is not private"), "{}", open.stderr);
    assert!(told.stderr.contains(", in 30 days: nodes cannot pull"), "{}", told.stderr);
    assert!(ended.stderr.contains("has ended on"), "{}", ended.stderr);
}
