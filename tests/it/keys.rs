//! Stories of keys: made here, made by OpenSSL, under a passphrase, and Horizon's.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use edgepost::sign::{SigningKey, VerifyingKey, encrypted};

use crate::support::{
    hub::Hub,
    image::publish_hello,
    peers,
    program::{Outcome, Program},
};

const PASSPHRASE: &str = "a quite long sentence";

/// Somebody with a folder of keys, a file with a passphrase, and OpenSSL.
struct Person {
    folder: PathBuf,
    program: Program,
}

impl Person {
    fn in_folder(folder: &Path, program: Program) -> Option<Self> {
        if !peers::has("openssl") {
            return None;
        }
        let person = Self { folder: folder.to_owned(), program };
        person.write("passphrase", &format!("{PASSPHRASE}\n"));
        Some(person)
    }

    /// Writes a file that only its owner may read.
    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    fn key(&self, arguments: &[&str]) -> Outcome {
        self.program.run(&[&["key"], arguments].concat())
    }

    fn with_passphrase(&self, arguments: &[&str]) -> Outcome {
        self.key(&[arguments, &["--passphrase-file", "passphrase"]].concat())
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        peers::run(Command::new("openssl").args(arguments).current_dir(&self.folder))
    }

    /// The id of a key, as the list has it.
    fn id(&self, name: &str) -> Option<String> {
        let list = self.key(&["list", "--json"]).good().json();
        let row = list.as_array()?.iter().find(|row| row["name"] == name)?.clone();
        row["id"].as_str().map(str::to_owned)
    }
}

#[test]
fn every_form_in_which_openssl_writes_a_key_is_taken_and_ours_is_read_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let Some(person) = Person::in_folder(folder.path(), program) else { return };
    person.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "plain.pem"]);
    let by = ["-topk8", "-in", "plain.pem", "-passout", "file:passphrase"];
    for (file, more) in [
        ("pbkdf2.pem", &["-v2", "aes-256-cbc"][..]),
        ("sha512.pem", &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"]),
        ("scrypt.pem", &["-scrypt"]),
    ] {
        person.openssl(&[&["pkcs8"], &by[..], more, &["-out", file]].concat());
    }
    for file in ["plain.pem", "pbkdf2.pem", "sha512.pem", "scrypt.pem"] {
        fs::set_permissions(folder.path().join(file), fs::Permissions::from_mode(0o600)).unwrap();
    }

    person.key(&["import", "plain.pem", "plain"]).good();
    let id = person.id("plain").unwrap();
    for name in ["pbkdf2", "sha512", "scrypt"] {
        person.with_passphrase(&["import", &format!("{name}.pem"), name]).good();
        assert_eq!(person.id(name), Some(id.clone()), "{name}");
        let kept = person.read(&format!("home/keys/{name}.key.pem"));
        assert!(encrypted::is_encrypted(&kept), "it keeps its passphrase");
    }
    let read = ["pkey", "-in", "home/keys/scrypt.key.pem", "-passin", "file:passphrase"];
    assert_eq!(person.openssl(&read), person.read("plain.pem").trim());
    let public = person.openssl(&["pkey", "-in", "plain.pem", "-pubout"]);
    assert_eq!(person.key(&["show", "pbkdf2"]).good().stdout.trim(), public);

    person.write("public.pem", &public);
    person.key(&["import", "public.pem", "anns"]).good();
    assert_eq!(person.id("anns"), Some(id), "a public half alone has the same id");
    person.key(&["import", "plain.pem", "plain"]).failed(7, "E0700");
}

#[test]
fn a_thousand_signatures_hold_at_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let Some(person) = Person::in_folder(folder.path(), program) else { return };
    person.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]);
    let key = SigningKey::from_pem(&person.read("key.pem")).unwrap();
    person.write("public.pem", &key.verifying_key().to_pem());
    let public = VerifyingKey::from_pem(&person.read("public.pem")).unwrap();

    // One shell for all, since starting OpenSSL is what takes the time.
    let mut script = String::from("set -e\n");
    for at in 0..500_u32 {
        // OpenSSL's command has no use for a message of nothing.
        let message = vec![at.to_le_bytes()[0]; usize::try_from(at).unwrap() * 7 + 1];
        fs::write(folder.path().join(format!("m{at}")), &message).unwrap();
        fs::write(folder.path().join(format!("ours{at}")), key.sign(&message)).unwrap();
        for command in [
            format!("-verify -rawin -pubin -inkey public.pem -in m{at} -sigfile ours{at} >>held"),
            format!("-sign -rawin -inkey key.pem -in m{at} -out theirs{at}"),
        ] {
            script.push_str("openssl pkeyutl ");
            script.push_str(&command);
            script.push('\n');
        }
    }
    let mut shell = Command::new("sh");
    shell.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());

    assert_eq!(person.read("held").matches("Signature Verified Successfully").count(), 500);
    let theirs = (0..500).filter(|at| {
        let read = |name: String| fs::read(folder.path().join(name)).unwrap();
        let signature: [u8; 64] = read(format!("theirs{at}")).try_into().unwrap();
        public.verifies(&read(format!("m{at}")), &signature)
    });
    assert_eq!(theirs.count(), 500);
}

#[test]
fn a_key_under_a_passphrase_signs_for_who_knows_it_and_for_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    let Some(person) = Person::in_folder(folder.path(), hub.publisher.clone()) else { return };
    let export = ["export", "default", "--private", "--output", "safe.pem"];
    person.with_passphrase(&export).good();
    person.with_passphrase(&["import", "safe.pem", "safe"]).good();
    person.write("wrong", "another sentence\n");
    person.write("short", "short\n");

    let nobody = publish_hello(&hub, "1.0.0", 1000, &["--key", "safe"]).failed(3, "E0302");
    hub.publisher.set("EDGEPOST_PASSPHRASE_FILE", "wrong");
    let wrong = publish_hello(&hub, "1.0.0", 1000, &["--key", "safe"]).failed(3, "E0302");
    hub.publisher.set("EDGEPOST_PASSPHRASE_FILE", "passphrase");
    publish_hello(&hub, "1.0.0", 1000, &["--key", "safe"]).good();
    let short = ["create", "weak", "--encrypt", "--passphrase-file", "short"];
    person.key(&short).failed(2, "too short");
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(folder.path().join("passphrase"), open).unwrap();
    person.with_passphrase(&["create", "x", "--encrypt"]).failed(3, "chmod 600");

    assert!(nobody.stdout.contains("--passphrase-file"), "{}", nobody.stdout);
    assert!(wrong.stdout.contains("the passphrase is wrong"), "{}", wrong.stdout);
    for told in [&nobody, &wrong] {
        assert!(!told.stdout.contains("sentence") && !told.stderr.contains("sentence"));
    }
    fs::remove_file(folder.path().join("home/keys/safe.public.pem")).unwrap();
    let list = person.key(&["list"]).good().stdout;
    assert!(list.contains("under a passphrase"), "a list asks for none: {list}");
}

#[test]
fn a_key_is_moved_to_another_home_and_never_by_mistake_in_plain() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let Some(person) = Person::in_folder(folder.path(), program) else { return };
    person.key(&["create", "root"]).good();
    let id = person.id("root").unwrap();

    let export = ["export", "root", "--private", "--output"];
    person.key(&[&export[..], &["moved.pem"]].concat()).failed(3, "E0302");
    assert!(!folder.path().join("moved.pem").exists(), "without a passphrase nothing is written");
    person.with_passphrase(&[&export[..], &["moved.pem"]].concat()).good();
    person.with_passphrase(&[&export[..], &["moved.pem"]].concat()).failed(7, "E0700");
    person.key(&["export", "root", "--output", "public.pem"]).good();
    person.key(&[&export[..], &["open.pem", "--plain"]].concat()).good();

    let mode = fs::metadata(folder.path().join("moved.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(encrypted::is_encrypted(&person.read("moved.pem")));
    assert!(SigningKey::from_pem(&person.read("open.pem")).is_ok());
    assert!(VerifyingKey::from_pem(&person.read("public.pem")).is_ok());
    person.with_passphrase(&["import", "moved.pem", "back"]).good();
    assert_eq!(person.id("back"), Some(id));
}

#[test]
fn horizons_keys_are_taken_in_and_the_default_one_signs_for_anax() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let Some(person) = Person::in_folder(folder.path(), hub.publisher.clone()) else { return };
    // As `hzn key create` makes them: PKCS#1, and a certificate of its own.
    person.openssl(&["genrsa", "-traditional", "-out", "service.private.key", "2048"]);
    let own = ["req", "-x509", "-key", "service.private.key", "-subj", "/CN=acme", "-days", "9"];
    person.openssl(&[&own[..], &["-out", "service.public.pem"]].concat());
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.path().join("service.private.key"), mode).unwrap();
    assert!(person.read("service.private.key").starts_with("-----BEGIN RSA PRIVATE KEY-----"));

    person.key(&["import", "service.private.key"]).good();
    person.key(&["import", "service.public.pem", "hzn"]).good();
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let verify = |key: &str| {
        let name = "hello_1.0.0_amd64";
        person.program.run(&["service", "verify", name, "--horizon-key", key, "--json"])
    };

    for key in ["hzn", "default", "service.public.pem"] {
        let held = verify(key).good().json();
        assert_eq!(held["horizonSigned"][0], "deployment", "{key}");
    }
    let list = person.key(&["list", "--json"]).good().json();
    let kinds: Vec<_> = list.as_array().unwrap().iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds, ["ed25519", "rsa", "rsa"]);
    person.openssl(&["genrsa", "-out", "other.key", "2048"]);
    person.openssl(&["rsa", "-in", "other.key", "-pubout", "-out", "other.pem"]);
    verify("other.pem").failed(8, "Horizon's signature");
}
