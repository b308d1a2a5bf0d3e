//! Login files of Docker and Podman, and the helpers that they name.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};

use super::{Person, auth, is_nowhere_in, step};
use crate::support::{
    cloud::{
        azure::{self, HOST, PRINCIPAL, SCOPED},
        now,
    },
    peers::{self, DockerRegistry},
};

const WRONG: (&str, &str) = ("nobody", "of-no-use-at-all");

#[test]
fn docker_distribution_takes_the_login_and_skopeo_reads_and_writes_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let Some(registry) = DockerRegistry::start(&folder.path().join("registry")) else { return };
    let host = &registry.address().to_string();
    let person = Person::before(folder.path(), &[]);
    person.trust(host, &fs::read_to_string(registry.ca()).unwrap());

    person.log_in(host, ("pusher", "wrong-password")).failed(4, "E0402");
    let told = person.log_in(host, ("pusher", "push-secret")).good();
    let checked = person.check(&format!("{host}/team/app"), &["--push"]).good();
    person.carry(&format!("{host}/team/app:1"));

    assert!(told.stdout.contains("config.json"), "{}", told.stdout);
    assert_eq!(step(&checked, "asks"), "for name and password (Basic)");
    assert!(step(&checked, "connect").contains(host), "no proxy is for this machine");
    assert!(person.proxy.asked().is_empty());
    if !peers::has("skopeo") {
        return;
    }
    let file = folder.path().join("docker/config.json");
    let skopeo = |arguments: &[&str]| {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(arguments).arg("--authfile").arg(&file);
        skopeo.arg("--cert-dir").arg(person.certificates_for(host));
        skopeo
    };
    peers::run(skopeo(&["inspect", "--raw"]).arg(format!("docker://{host}/team/app:1")));
    assert!(person.run(&["registry", "logout", host], "").good().stdout.contains("forgotten"));
    person.check(host, &[]).failed(4, "E0402");
    let login = ["login", "--username", "puller", "--password", "pull-secret"];
    peers::run(skopeo(&login).arg(host));
    let checked = person.check(host, &[]).good();
    assert!(step(&checked, "login").starts_with("puller, password ****"));
}

#[test]
fn the_longest_key_that_fits_is_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let person = Person::before(folder.path(), &[&cloud]);
    person.hide(SCOPED.1);
    person.keep(&json!({"auths": {
        HOST: {"auth": auth(WRONG)},
        format!("{HOST}/team"): {"auth": auth(PRINCIPAL)},
        format!("{HOST}/team/app"): {"auth": auth(SCOPED)},
        format!("{HOST}/tea"): {"auth": auth(WRONG)},
    }}));
    let who = |place: &str| step(&person.check(&format!("{HOST}/{place}"), &[]), "login");

    person.carry(&format!("{HOST}/team/app:1"));
    person.carry(&format!("{HOST}/team/other:1"));
    person.copy("oci:image", &format!("{HOST}/others/app:1"), &[]).failed(4, "E0402");

    assert!(who("team/app").starts_with(SCOPED.0), "{}", who("team/app"));
    assert!(who("team/app/part").starts_with(SCOPED.0));
    assert!(who("team/apple").starts_with(PRINCIPAL.0));
    assert!(who("teams/app").starts_with(WRONG.0));
    let sold = cloud.purchases();
    let by = |login| format!("Basic {}", auth(login));
    let of = |login, name: &str| {
        let own = sold.iter().filter(|it| it.header("authorization") == Some(&by(login)));
        own.flat_map(|it| it.values("scope")).filter(|it| it.contains(name)).count()
    };
    assert!(of(SCOPED, ":team/app:") > 0 && of(PRINCIPAL, ":team/other:") > 0);
    // What is mounted from elsewhere is read by the login of the repository that it goes to.
    let pushed = of(PRINCIPAL, ":team/app:pull,push");
    assert_eq!((of(SCOPED, "other"), pushed, of(WRONG, ":team/")), (0, 0, 0));
}

#[test]
fn podmans_files_are_read_and_the_one_that_is_named_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let mut person = Person::before(folder.path(), &[&cloud]);
    let write = |name: &str, login: (&str, &str)| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let key = format!("{HOST}/team");
        fs::write(&file, json!({"auths": {key: {"auth": auth(login)}}}).to_string()).unwrap();
        file.display().to_string()
    };
    let place = format!("{HOST}/team/app");
    let who = |person: &Person| step(&person.check(&place, &[]), "login");

    write(".config/containers/auth.json", PRINCIPAL);
    assert!(who(&person).contains(".config/containers/auth.json"), "{}", who(&person));
    person.carry(&format!("{place}:1"));
    write("run/containers/auth.json", SCOPED);
    person.program.set("XDG_RUNTIME_DIR", folder.path().join("run").display());
    assert!(who(&person).starts_with(SCOPED.0), "{}", who(&person));
    person.carry(&format!("{place}:2"));
    let named = write("named.json", PRINCIPAL);
    person.program.set("REGISTRY_AUTH_FILE", &named);
    assert!(who(&person).contains("named.json"), "{}", who(&person));

    // What is kept goes into the one that is named, and what is forgotten is forgotten in all.
    person.log_in(HOST, PRINCIPAL).good();
    let kept: Value = serde_json::from_slice(&fs::read(&named).unwrap()).unwrap();
    assert_eq!(kept["auths"].as_object().unwrap().len(), 2);
    person.keep_login(HOST, SCOPED);
    let out = person.run(&["registry", "logout", HOST, "--json"], "").good().json();
    assert_eq!(out["forgottenBy"].as_array().unwrap().len(), 2, "{out}");
    assert!(who(&person).contains("/team"), "a login for a namespace stays");
}

/// A credential helper that keeps logins in files beside itself, and notes how it was called.
const DRAWER: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
echo "$0 $*" >> called
input=$(cat)
case "$1" in
store) name=$(printf '%s' "$input" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/') ;;
*) name=$input ;;
esac
file="drawer-$(printf '%s' "$name" | tr '/:' '__')"
case "$1" in
store) printf '%s' "$input" > "$file" ;;
get) [ -f "$file" ] || { echo "credentials not found in native keychain"; exit 1; }; cat "$file" ;;
erase) [ -f "$file" ] || { echo "credentials not found in native keychain"; exit 1; }; rm "$file" ;;
esac
"#;

/// Puts a helper on somebody's path.
fn with_helper(person: &mut Person, name: &str, script: &str) {
    let folder = person.folder.join("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join(format!("docker-credential-{name}"));
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    person.program.set("PATH", format!("{}:{path}", folder.display()));
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("bin").join(name)).unwrap_or_default()
}

#[test]
fn a_store_keeps_the_login_and_the_file_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let mut person = Person::before(folder.path(), &[&cloud]);
    with_helper(&mut person, "drawer", DRAWER);
    person.keep(&json!({"credsStore": "drawer"}));

    let told = person.log_in(HOST, PRINCIPAL).good();
    person.carry(&format!("{HOST}/team/app:1"));
    let checked = person.check(HOST, &[]).good();
    let kept = read(folder.path(), &format!("drawer-{HOST}"));
    let out = person.run(&["registry", "logout", HOST, "--json"], "").good().json();

    assert!(told.stdout.contains("docker-credential-drawer"), "{}", told.stdout);
    assert!(step(&checked, "login").contains("from docker-credential-drawer"));
    assert!(kept.contains(PRINCIPAL.1) && kept.contains(HOST), "{kept}");
    is_nowhere_in(&person.kept().to_string(), PRINCIPAL.1);
    is_nowhere_in(&read(folder.path(), "called"), PRINCIPAL.1);
    assert_eq!(out["forgottenBy"], json!(["docker-credential-drawer"]));
    assert_eq!(read(folder.path(), &format!("drawer-{HOST}")), "");
    person.check(HOST, &[]).failed(4, "E0402");
}

#[test]
fn a_helper_for_one_registry_may_keep_an_identity_token() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let mut person = Person::before(folder.path(), &[&cloud]);
    with_helper(&mut person, "drawer", DRAWER);
    person.keep(&json!({
        "auths": {"other.example": {"auth": auth(WRONG)}}, "credHelpers": {HOST: "drawer"},
    }));
    let token = azure::directory().token_of("ann", 3600);
    person.hide(&token);

    person.run(&["registry", "login", HOST, "--azure-token-stdin"], &token).good();
    let kept: Value =
        serde_json::from_str(&read(folder.path(), &format!("drawer-{HOST}"))).unwrap();
    person.hide(kept["Secret"].as_str().unwrap());
    person.carry(&format!("{HOST}/team/app:1"));
    let checked = person.check(HOST, &[]).good();

    assert_eq!(kept["Username"], "<token>");
    assert!(step(&checked, "login").contains("identity token ****"));
    assert!(step(&checked, "login").contains("ends in 2 hours"), "{}", step(&checked, "login"));
    assert!(cloud.purchases().iter().all(|it| it.method == "POST"));
    is_nowhere_in(&person.kept().to_string(), kept["Secret"].as_str().unwrap());
    // The helper changed its mind meanwhile: what it says now counts.
    let (iat, exp) = (now(), now() + 600);
    let claims = json!({"grant_type": "refresh_token", "sub": "bob", "iat": iat, "exp": exp});
    let newer = json!({
        "ServerURL": HOST, "Username": "<token>", "Secret": azure::registry().token(&claims),
    });
    fs::write(folder.path().join(format!("bin/drawer-{HOST}")), newer.to_string()).unwrap();
    assert!(step(&person.check(HOST, &[]).good(), "login").contains("minutes"));
}

#[test]
fn a_helper_that_fails_is_named_and_what_it_prints_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = azure::start(folder.path());
    let mut person = Person::before(folder.path(), &[&cloud]);
    person.hide(PRINCIPAL.1);
    let place = format!("{HOST}/team/app:1");
    let print = format!("echo '{}' | tee /dev/stderr", PRINCIPAL.1);
    for (name, end) in [("broken", "exit 3"), ("odd", "exit 0")] {
        with_helper(&mut person, name, &format!("#!/bin/sh\n{print}\n{end}\n"));
        person.keep(&json!({"credHelpers": {HOST: name}}));
        let program = format!("docker-credential-{name}");
        let failed = person.copy("oci:image", &place, &[]).failed(1, "E0101");
        assert!(failed.stderr.contains(&program), "{}", failed.stderr);
    }
    person.keep(&json!({"credsStore": "missing"}));
    let missing = person.check(HOST, &[]).failed(1, "E0101");
    assert!(missing.stdout.contains("docker-credential-missing"), "{}", missing.stdout);
    person.keep(&json!({"credsStore": "../../bin/evil"}));
    person.check(HOST, &[]).failed(1, "E0101");
    assert!(cloud.purchases().is_empty(), "nobody logs in as somebody else instead");
}
