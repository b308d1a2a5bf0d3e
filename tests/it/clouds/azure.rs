//! Azure Container Registry.

use std::fs;

use super::{Person, is_nowhere_in, step};
use crate::support::{
    cloud::{
        azure::{self, ADMIN, HOST, PRINCIPAL, READER, SCOPED, STORAGE},
        now,
    },
    image::layout,
};

const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

#[test]
fn who_logs_in_by_password_pushes_and_pulls() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    for (user, login) in [("principal", PRINCIPAL), ("scoped", SCOPED), ("admin", ADMIN)] {
        let told = person.log_in(HOST, login).good();
        assert!(told.stdout.contains(login.0), "{user}: {}", told.stdout);
        let place = format!("{HOST}/team/app");
        let checked = person.check(&place, &["--push"]).good();
        assert!(step(&checked, "asks").contains("https://acme.azurecr.io/oauth2/token"));
        assert!(step(&checked, "login").contains(login.0));
        assert!(step(&checked, "push").contains("can be pushed to"));
        person.carry(&format!("{place}:{user}"));
    }
    let blobs: Vec<_> = cloud.web().heard().into_iter().filter(|it| it.host == STORAGE).collect();
    assert!(!blobs.is_empty() && blobs.iter().all(|it| it.header("authorization").is_none()));
}

#[test]
fn a_token_of_the_directory_becomes_a_login_and_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    let claims = serde_json::json!({
        "sub": "ann", "tid": "plant", "iat": now(), "exp": now() + 3600,
    });
    let token = azure::directory().token(&claims);
    let log_in = |more: &[&str]| {
        let own = ["registry", "login", HOST, "--azure-token-stdin", "--json"];
        person.run(&[&own, more].concat(), &token)
    };
    person.hide(&token);

    log_in(&["--tenant", "another"]).failed(4, "E0402");
    let told = log_in(&["--tenant", "plant"]).good();

    assert_eq!(told.json()["username"], TOKEN_USER);
    assert!(told.json()["expires"].is_string(), "{}", told.stdout);
    let kept = person.kept();
    let refresh = kept["auths"][HOST]["identitytoken"].as_str().unwrap();
    person.hide(refresh);
    is_nowhere_in(&kept.to_string(), &token);
    person.carry(&format!("{HOST}/team/app:1"));
    let purchases = cloud.purchases();
    assert!(purchases.iter().all(|it| it.method == "POST"));
    assert!(purchases.iter().all(|it| it.values("service") == [HOST]));
    // Docker writes the same token as the password of this user.
    person.keep_login(HOST, (TOKEN_USER, refresh));
    person.carry(&format!("{HOST}/team/app:2"));
}

#[test]
fn a_token_of_the_directory_goes_to_no_other_registry() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = crate::support::cloud::ibm::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    let token = azure::directory().token_of("ann", 3600);

    let arguments = ["registry", "login", cloud.host(), "--azure-token-stdin"];
    person.program.run_told(&arguments, &token).failed(5, "E0503");

    is_nowhere_in(&cloud.web().everything(), &token);
    assert!(!folder.path().join("docker").exists());
}

#[test]
fn a_login_that_is_refused_is_not_kept_and_the_one_before_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    person.log_in(HOST, PRINCIPAL).good();
    let before = person.kept();

    let told = person.log_in(HOST, (PRINCIPAL.0, "an.old~secret")).failed(4, "E0402");
    let ended = azure::registry().token_of("ann", -5);
    let late = person.log_in(HOST, (TOKEN_USER, &ended)).failed(4, "E0402");

    assert_eq!(person.kept(), before);
    assert!(told.stderr.contains(PRINCIPAL.0), "{}", told.stderr);
    assert!(late.stderr.contains("has ended"), "{}", late.stderr);
    // A password on the command line would be everybody's to read.
    let open = ["registry", "login", HOST, "--username", "u", "--password", "x"];
    person.program.run(&open).failed(2, "--password-file");
    person.program.run(&open[..5]).failed(2, "never taken from the command line");
}

#[test]
fn who_may_only_pull_is_told_what_pushing_needs() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    let image = format!("{HOST}/team/app:1");
    person.log_in(HOST, PRINCIPAL).good();
    person.copy("oci:image", &image, &[]).good();

    person.log_in(HOST, READER).good();
    person.copy(&image, "oci:back", &[]).good();
    let refused = person.copy("oci:image", &format!("{HOST}/team/app:2"), &[]);
    let refused = refused.failed(4, "E0403");
    let checked = person.check(&format!("{HOST}/team/app"), &["--push"]).failed(4, "E0403");

    for told in [&refused.stderr, &checked.stdout] {
        assert!(told.contains("AcrPush") && told.contains("ten minutes"), "{told}");
    }
    person.log_in(HOST, SCOPED).good();
    let other = person.copy("oci:image", &format!("{HOST}/others/app:1"), &[]);
    other.failed(4, "E0403");
}

#[test]
fn tokens_that_end_in_the_middle_of_an_upload_are_bought_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    person.log_in(HOST, PRINCIPAL).good();
    layout(&folder.path().join("long"), 2, 2, 3_000_000);
    cloud.let_tokens_lapse();
    let before = cloud.purchases().len();

    let image = format!("{HOST}/team/app:1");
    let whole = person.copy("oci:long", &image, &["--json"]).good();
    let back = person.copy(&image, "oci:back", &["--json"]).good();
    layout(&folder.path().join("other"), 3, 1, 3_000_000);
    let pieces = format!("{HOST}/team/app:2");
    person.copy("oci:other", &pieces, &["--chunk-size", "300k"]).good();

    assert_eq!(whole.json()["digest"], back.json()["digest"]);
    assert!(cloud.purchases().len() > before + 10, "{}", cloud.purchases().len());
}

#[test]
fn one_token_is_bought_for_a_push_and_one_for_both_ends_of_a_mount() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    person.log_in(HOST, PRINCIPAL).good();
    let logged_in = cloud.purchases().len();

    person.copy("oci:image", &format!("{HOST}/team/app:1"), &[]).good();
    let pushed = cloud.purchases();
    let mounted = person.copy("oci:image", &format!("{HOST}/team/copy:1"), &["--json"]).good();

    let scopes = |from: usize| -> Vec<Vec<String>> {
        cloud.purchases()[from..].iter().map(|it| it.values("scope")).collect()
    };
    let app = ["repository:team/app:pull,push".to_owned()];
    assert_eq!(scopes(logged_in)[..pushed.len() - logged_in], [app.to_vec()]);
    assert_eq!(mounted.json()["bytes"], 0, "{}", mounted.stdout);
    let both = ["repository:team/app:pull", "repository:team/copy:pull,push"].map(str::to_owned);
    assert!(scopes(pushed.len()).contains(&both.to_vec()), "{:?}", scopes(pushed.len()));
    assert!(scopes(pushed.len()).len() <= 2, "{:?}", scopes(pushed.len()));
}

#[test]
fn who_logs_out_is_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    person.keep(&serde_json::json!({
        "auths": {"other.example": {"auth": super::auth(("bob", "bobs"))}}, "psFormat": "table",
    }));
    person.log_in(HOST, PRINCIPAL).good();
    let mode = fs::metadata(folder.path().join("docker/config.json")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    assert!(step(&person.check(HOST, &[]).good(), "access").contains("lets us in"));

    let out = || person.program.run(&["registry", "logout", HOST, "--json"]).good().json();
    assert_eq!(out()["forgottenBy"].as_array().unwrap().len(), 1);
    assert_eq!(out()["forgottenBy"].as_array().unwrap().len(), 0);

    let checked = person.check(HOST, &[]).failed(4, "E0402");
    assert_eq!(step(&checked, "login"), "none, so as nobody");
    let kept = person.kept();
    assert_eq!((&kept["psFormat"], kept["auths"].as_object().unwrap().len()), (&"table".into(), 1));
}
