//! One truth: what Horizon's API shows, what the commands judge and what nodes run is one and the same document.

use std::{fs, process::Command};

use edgepost::{sign::compat::horizon::HorizonKey, types::Arch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    image::{definition, pattern, publish_hello, publish_pattern, write},
    peers,
};

const ADMIN: (&str, &str) = ("acme/ann", "ann-secret");

fn hello_id() -> String {
    format!("hello_1.0.0_{}", Arch::of_this_machine())
}

fn policy(label: &str) -> Value {
    json!({"label": label, "constraints": [], "service": {"name": "hello", "org": "acme", "arch": "*",
        "serviceVersions": [{"version": "1.0.0"}]}})
}

#[test]
fn emergency_removal_by_horizons_api_is_refused_with_the_command_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let path = format!("/v1/orgs/acme/services/{}", hello_id());

    let (status, body) = hub.ask_as(ADMIN, Method::DELETE, &path, None);

    let said: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &said["code"]), (403, &json!("access-denied")), "{said}");
    let command = format!("edgepost service remove {}", hello_id());
    assert!(said["msg"].as_str().unwrap().ends_with(&command), "{said}");
    let words: Vec<_> = command.split(' ').skip(1).chain(["--force"]).collect();
    hub.publisher.run(&words).good();
    assert_eq!(hub.get(&path).0, 404);
}

#[test]
fn lists_and_sheets_say_what_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let file = write(&hub, "signed.json", &policy("Signed"));
    hub.publisher.run(&["policy", "publish", "signed", &file]).good();
    let (status, body) = hub.post("/v1/orgs/acme/business/policies/unsigned", &policy("Unsigned"));
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));

    let list = hub.publisher.run(&["policy", "list"]).good().stdout;
    let marks: Vec<_> = list
        .lines()
        .map(|it| it.split_whitespace().collect::<Vec<_>>())
        .map(|it| (it[0].to_owned(), (*it.last().unwrap()).to_owned()))
        .collect();
    let mark = |name: &str, mark: &str| (name.to_owned(), mark.to_owned());
    assert_eq!(
        marks,
        [mark("POLICY", "SIGNED"), mark("acme/signed", "yes"), mark("acme/unsigned", "no")]
    );
    let json = hub.publisher.run(&["policy", "list", "--json"]).good().json();
    assert_eq!(
        (&json["acme/signed"]["signed"], &json["acme/unsigned"]["signed"]),
        (&json!(true), &json!(false))
    );
    let show = |name: &str| hub.publisher.run(&["policy", "show", name]).good().stdout;
    assert!(show("signed").contains("yes, seq 1"), "{}", show("signed"));
    assert!(show("unsigned").contains("Edgepost nodes do not go by it"), "{}", show("unsigned"));

    let node = write(&hub, "node.json", &json!({"properties": [], "constraints": []}));
    let check = |name: &str| {
        let arguments = ["check", "--policy", name, "--node-policy", &node];
        let outcome = hub.publisher.run(&arguments);
        outcome.stdout + &outcome.stderr
    };
    assert!(check("unsigned").contains("unsigned: Edgepost nodes"), "{}", check("unsigned"));
    assert!(!check("signed").contains("unsigned"), "{}", check("signed"));
}

#[test]
fn republishing_says_that_only_the_pull_credentials_changed() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let image = format!("oci:{}", folder.path().join("image-1.0.0").display());
    let publish = |user: &str, password: &str, more: &[&str]| {
        let login = format!("{}:{user}:{password}", hub.registry());
        let arguments = ["publish", "hello-1.0.0.json", "--source", &image, "-r", &login];
        hub.publisher.run(&[&arguments, more].concat()).good()
    };
    let (pull, push) = (hub.pull_password.clone(), hub.push_password.clone());

    assert!(!publish("pull", &pull, &[]).stdout.contains("replaced"));
    let said = publish("push", &push, &[]).stdout;
    assert!(said.contains("unchanged; pull credentials replaced"), "{said}");
    let json = publish("pull", &pull, &["--json"]).json();
    assert_eq!((&json["unchanged"], &json["credentialsReplaced"]), (&json!(true), &json!(true)));
}

#[test]
fn other_content_under_a_version_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let image = format!("{}/acme/hello:1.0.0", hub.registry());
    let mut other = definition("1.0.0", &image);
    other["label"] = json!("Bonjour");
    other["deployment"]["services"]["hello"]["environment"] = json!(["A=b"]);
    let file = write(&hub, "other.json", &other);
    let source = format!("oci:{}", folder.path().join("image-1.0.0").display());

    let outcome = hub.publisher.run(&["publish", &file, "--source", &source]).failed(7, "E0700");

    for line in [
        r#"differs: definition.label: live "Hello", now "Bonjour""#,
        r#"differs: definition.deployment.services.hello.environment: live nothing, now ["A=b"]"#,
    ] {
        assert!(outcome.stderr.contains(line), "no {line} in {}", outcome.stderr);
    }
}

/// An RSA key, whose public half is written to `public.pem`, and that of another one to `other.pem`.
fn horizon_key(hub: &Hub) -> HorizonKey {
    let make = |public: &str| {
        let private = hub.folder().join(public.replace("pem", "key"));
        peers::run(Command::new("openssl").args(["genrsa", "-out"]).arg(&private).arg("2048"));
        let key = HorizonKey::from_pem(&fs::read_to_string(private).unwrap()).unwrap();
        fs::write(hub.folder().join(public), key.public_pem().unwrap()).unwrap();
        key
    };
    make("other.pem");
    make("public.pem")
}

#[test]
fn what_hzn_published_is_verified_by_horizons_key() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let key = horizon_key(&hub);
    let digest = "1".repeat(64);
    let deployment =
        json!({"services": {"hello": {"image": format!("a.b/c@sha256:{digest}")}}}).to_string();
    let mut service = definition("1.0.0", "unused");
    service["deployment"] = json!(deployment);
    service["deploymentSignature"] = json!(key.sign(&deployment).unwrap());
    let (status, body) = hub.post("/v1/orgs/acme/services", &service);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));

    let id = hello_id();
    let verify = |more: &[&str]| hub.publisher.run(&[&["service", "verify", &id], more].concat());
    let unsigned = verify(&[]).failed(8, "E0800").stderr;
    assert!(
        unsigned.contains(&format!("edgepost service verify {id} --horizon-key")),
        "{unsigned}"
    );
    let verified = verify(&["--horizon-key", "public.pem", "--json"]).good().json();
    assert_eq!(verified["horizonSigned"], json!(["deployment"]));
    let wrong = verify(&["--horizon-key", "other.pem"]).failed(8, "E0800").stderr;
    assert!(wrong.contains("this key did not make it"), "{wrong}");
    assert!(!wrong.contains("service verify"), "the advice is not the command itself: {wrong}");
}

#[test]
fn overrides_of_a_pattern_are_verified_by_horizons_key() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let key = horizon_key(&hub);
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let mut overridden = pattern("1.0.0");
    let text = json!({"services": {"hello": {"environment": ["A=b"]}}}).to_string();
    let version = &mut overridden["services"][0]["serviceVersions"][0];
    version["deployment_overrides_signature"] = json!(key.sign(&text).unwrap());
    version["deployment_overrides"] = json!(text);
    let (status, body) = hub.post("/v1/orgs/acme/patterns/by-hzn", &overridden);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));

    let verify = |name: &str, key: &str| {
        hub.publisher.run(&["pattern", "verify", name, "--horizon-key", key, "--json"])
    };
    let verified = verify("by-hzn", "public.pem").good().json();
    assert_eq!(verified["horizonSigned"], json!(["deployment overrides of hello 1.0.0"]));
    verify("by-hzn", "other.pem").failed(8, "E0800");
    publish_pattern(&hub, "1.0.0");
    verify("hello-everywhere", "public.pem").failed(8, "no deployment override");
}

#[test]
fn key_that_others_can_read_is_imported_with_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = crate::support::program::Program::at_home_in(folder.path());
    let fixture = format!("{}/tests/fixtures/horizon/pkcs1.pem", env!("CARGO_MANIFEST_DIR"));
    let file = folder.path().join("service.private.key");
    fs::copy(fixture, &file).unwrap();
    let import = |mode, name: &str| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        program.run(&["key", "import", "service.private.key", name])
    };

    let warned = import(0o644, "one").good().stderr;
    assert!(warned.contains("chmod 600 service.private.key"), "{warned}");
    let copy = folder.path().join("home/keys/one.rsa.pem");
    assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!import(0o600, "two").good().stderr.contains("warning"));
    import(0o666, "three").failed(3, "E0302");
}
