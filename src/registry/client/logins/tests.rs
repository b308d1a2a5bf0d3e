use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use super::*;

/// A folder with a login file in it.
struct Home(tempfile::TempDir);

impl Home {
    fn with(text: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        put(&home.file(), text);
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("config.json")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    async fn for_registry(&self, registry: &str) -> Result<Option<FoundLogin>, LoginError> {
        let registry = registry.parse().unwrap();
        Logins::none().and_file(self.file()).for_registry(&registry).await
    }

    async fn for_repository(&self, repository: &str) -> Option<Login> {
        let repository = repository.parse().unwrap();
        let found = Logins::none().and_file(self.file()).for_repository(&repository).await;
        found.unwrap().map(|it| it.login)
    }
}

fn put(path: &Path, text: &str) {
    let mut file = fs::File::create(path).unwrap();
    io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

async fn look_up(text: &str, registry: &str) -> Result<Option<Login>, LoginError> {
    Ok(Home::with(text).for_registry(registry).await?.map(|it| it.login))
}

fn bob() -> Login {
    Login::new("bob", Secret::new("pa:ss"))
}

/// `bob:pa:ss`
const BOB: &str = "Ym9iOnBhOnNz";

#[tokio::test]
async fn the_login_file_of_docker_is_read() {
    let text = format!(
        r#"{{"auths":{{"reg.example.com:5000":{{"auth":"{BOB}"}},
            "https://index.docker.io/v1/":{{"auth":"{BOB}"}},"https://old.example.com/v1/":{{"auth":"{BOB}"}},
            "plain.example.com":{{"username":"bob","password":"pa:ss"}}}},"HttpHeaders":{{"x":"y"}}}}"#
    );
    for registry in [
        "reg.example.com:5000",
        "docker.io",
        "index.docker.io",
        "old.example.com",
        "plain.example.com",
    ] {
        assert_eq!(look_up(&text, registry).await.unwrap(), Some(bob()), "{registry}");
    }
    assert_eq!(look_up(&text, "other.example.com").await.unwrap(), None);
    assert_eq!(look_up(&text, "reg.example.com").await.unwrap(), None);
}

#[tokio::test]
async fn the_longest_key_wins() {
    let entry = |name: &str| {
        let pair = BASE64_STANDARD.encode(format!("{name}:x"));
        format!(r#"{{"auth":"{pair}"}}"#)
    };
    let text = format!(
        r#"{{"auths":{{"h.example":{},"h.example/team":{},"h.example/team/app":{},"h.example/teams":{}}}}}"#,
        entry("host"),
        entry("team"),
        entry("app"),
        entry("teams")
    );
    let home = Home::with(&text);
    for (repository, name) in [
        ("h.example/team/app", "app"),
        ("h.example/team/app/part", "app"),
        ("h.example/team/apple", "team"),
        ("h.example/other", "host"),
    ] {
        let login = home.for_repository(repository).await.unwrap();
        assert_eq!(login.username(), name, "{repository}");
    }
    let found = home.for_registry("h.example").await.unwrap().unwrap();
    assert_eq!(found.login.username(), "host");
    assert_eq!(found.origin.to_string(), format!("`h.example` in {}", home.file().display()));
}

#[tokio::test]
async fn tokens_are_known_by_their_place() {
    let text = r#"{"auths":{"a.azurecr.io":{"auth":"MDA6","identitytoken":"t"},
        "b.example":{"identitytoken":"t"},"c.example":{"registrytoken":"r","auth":"Ym9iOng="}}}"#;
    let token = Secret::new("t");
    let azure = Login::IdentityToken { username: Some("00".to_owned()), token: token.clone() };
    assert_eq!(look_up(text, "a.azurecr.io").await.unwrap(), Some(azure));
    let plain = Login::by_identity_token(token);
    assert_eq!(look_up(text, "b.example").await.unwrap(), Some(plain));
    let ready = Login::RegistryToken(Secret::new("r"));
    assert_eq!(look_up(text, "c.example").await.unwrap(), Some(ready));
}

#[tokio::test]
async fn a_given_login_wins_and_a_missing_file_is_none() {
    let registry: Registry = "a.b".parse().unwrap();
    let logins = Logins::none().and_file("/nowhere/config.json");
    assert_eq!(logins.for_registry(&registry).await.unwrap(), None);
    let logins = logins.with(registry.clone(), bob());
    let found = logins.for_repository(&"a.b/team/app".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(found, FoundLogin { login: bob(), origin: LoginOrigin::Given });
}

#[tokio::test]
async fn garbage_is_told_without_what_is_in_it() {
    for text in [
        "{",
        r#"{"auths":{"a.b":{"auth":"canary!"}}}"#,
        r#"{"auths":{"a.b":{"auth":"Y2FuYXJ5"}}}"#, // no colon in it
        r#"{"auths":{"a.b":{"auth":["canary"]}}}"#,
        r#"{"auths":{"a.b":"canary"}}"#,
    ] {
        let error = look_up(text, "a.b").await.unwrap_err();
        assert!(matches!(error, LoginError::Malformed { .. }), "{text}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

/// A credential helper that a test has written, by the name under which a login file may call it.
fn helper(folder: &Path, script: &str) -> helper::Helper {
    let path = folder.join("docker-credential-test");
    // Written by a process of its own: a file that another thread's child still holds open for writing
    // cannot be run.
    let mut writing = std::process::Command::new("sh")
        .args(["-c", "cat > \"$0\""])
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("#!/bin/sh\n{script}\n");
    io::Write::write_all(&mut writing.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(writing.wait().unwrap().success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    helper::Helper::at(&path)
}

#[tokio::test]
async fn a_helper_is_asked_on_stdin_and_its_answer_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let of = |script: &str| helper(folder.path(), script);
    let get = r#"[ "$1" = get ] || exit 3; read host; echo "{\"Username\":\"bob\",\"Secret\":\"$host\"}""#;
    let login = of(get).get("a.b").await.unwrap();
    assert_eq!(login, Some(Login::new("bob", Secret::new("a.b"))));
    let token = of(r#"echo '{"Username":"<token>","Secret":"t"}'"#).get("a.b").await.unwrap();
    assert_eq!(token, Some(Login::by_identity_token(Secret::new("t"))));
    let unknown = of("echo credentials not found in native keychain; exit 1").get("a.b").await;
    assert_eq!(unknown.unwrap(), None);

    let failed = of("echo canary; exit 1").get("a.b").await.unwrap_err();
    assert!(matches!(failed, HelperProblem::Failed(_)));
    let garbled = of("echo '\"canary'").get("a.b").await.unwrap_err();
    assert!(matches!(garbled, HelperProblem::Answer));
    let endless = of("yes canary").get("a.b").await.unwrap_err();
    assert!(matches!(endless, HelperProblem::Answer));
    let slow = of("echo canary; sleep 30").patient(std::time::Duration::from_millis(200));
    let slow = slow.get("a.b").await.unwrap_err();
    assert!(matches!(slow, HelperProblem::Slow(_)));
    for error in [failed, garbled, endless, slow] {
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_helper_that_is_missing_or_no_name_is_told() {
    for name in ["there-is-no-such-helper", "../../tmp/evil", "a b", ""] {
        for text in [
            format!(r#"{{"credHelpers":{{"a.b":"{name}"}}}}"#),
            format!(r#"{{"credsStore":"{name}"}}"#),
        ] {
            let looked_up = look_up(&text, "a.b").await;
            if name.is_empty() {
                assert_eq!(looked_up.unwrap(), None); // as good as none
            } else {
                assert!(matches!(looked_up, Err(LoginError::Helper { .. })), "{text}");
            }
        }
        // What stands in the file itself is good, whatever has become of the store.
        let text = format!(r#"{{"credsStore":"{name}","auths":{{"a.b":{{"auth":"{BOB}"}}}}}}"#);
        assert_eq!(look_up(&text, "a.b").await.unwrap(), Some(bob()));
    }
}

#[tokio::test]
async fn a_kept_login_is_found_again_and_the_rest_of_the_file_stays() {
    let home = Home::with(
        r#"{"HttpHeaders":{"z":"1","a":"2"},"auths":{"https://a.b/v1/":{"auth":"eDp5","email":"e"},"a.b/team":{"auth":"eDp5"}},"detachKeys":"ctrl-q"}"#,
    );
    let registry: Registry = "a.b".parse().unwrap();
    let kept = keep_login(&home.file(), &registry, &bob()).await.unwrap();

    assert_eq!(kept, Keeper::File(home.file()));
    assert_eq!(home.for_registry("a.b").await.unwrap().unwrap().login, bob());
    assert_eq!(home.for_repository("a.b/team/x").await.unwrap().username(), "x");
    let text: serde_json::Value = serde_json::from_str(&home.text()).unwrap();
    assert_eq!(
        text,
        serde_json::json!({
            "HttpHeaders": {"z": "1", "a": "2"},
            "auths": {"a.b/team": {"auth": "eDp5"}, "a.b": {"email": "e", "auth": BOB}},
            "detachKeys": "ctrl-q",
        })
    );
    assert!(home.text().find("\"z\"") < home.text().find("\"a\""));
    assert_eq!(fs::metadata(home.file()).unwrap().mode() & 0o777, 0o600);

    assert_eq!(forget_login(&home.file(), &registry).await.unwrap(), [kept]);
    assert_eq!(home.for_registry("a.b").await.unwrap(), None);
    assert_eq!(home.for_repository("a.b/team/x").await.unwrap().username(), "x");
    assert_eq!(forget_login(&home.file(), &registry).await.unwrap(), []);
}

#[tokio::test]
async fn every_kind_of_login_survives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/folder/config.json");
    let token = || Secret::new("t");
    for login in [
        bob(),
        Login::by_identity_token(token()),
        Login::IdentityToken { username: Some("00".to_owned()), token: token() },
        Login::RegistryToken(token()),
    ] {
        for registry in ["a.b:5000", "docker.io"] {
            let registry = registry.parse().unwrap();
            keep_login(&file, &registry, &login).await.unwrap();
            let found = Logins::none().and_file(&file).for_registry(&registry).await.unwrap();
            assert_eq!(found.unwrap().login, login);
        }
    }
    assert!(fs::read_to_string(&file).unwrap().contains("https://index.docker.io/v1/"));
}

#[tokio::test]
async fn a_link_to_a_login_file_stays_a_link() {
    let home = Home::with("");
    let link = home.0.path().join("link.json");
    std::os::unix::fs::symlink(home.file(), &link).unwrap();
    keep_login(&link, &"a.b".parse().unwrap(), &bob()).await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(home.text().contains(BOB));
}

#[tokio::test]
async fn logins_kept_at_the_same_time_are_all_kept() {
    let home = Home::with("{}");
    let registries: Vec<Registry> = (1..=12).map(|n| format!("h{n}.b").parse().unwrap()).collect();
    let (file, login) = (home.file(), bob());
    let keeping = registries.iter().map(|registry| keep_login(&file, registry, &login));
    for kept in futures_util::future::join_all(keeping).await {
        kept.unwrap();
    }
    for registry in registries {
        assert_eq!(home.for_registry(registry.as_str()).await.unwrap().unwrap().login, bob());
    }
}

#[tokio::test]
async fn a_file_that_is_none_is_not_overwritten() {
    for text in ["{\"auths\":", "[]", r#"{"auths":[1]}"#] {
        let home = Home::with(text);
        let kept = keep_login(&home.file(), &"a.b".parse().unwrap(), &bob()).await;
        assert!(matches!(kept, Err(LoginError::Malformed { .. })), "{kept:?}");
        assert_eq!(home.text(), text);
    }
}

#[tokio::test]
async fn the_form_before_config_json_is_read() {
    let old = format!(r#"{{"https://r.example/v1/":{{"auth":"{BOB}","email":"b@x"}}}}"#);
    assert_eq!(look_up(&old, "r.example").await.unwrap(), Some(bob()));
    assert_eq!(look_up(&format!("\u{feff}{old}"), "r.example").await.unwrap(), Some(bob()));
    assert_eq!(look_up(&old, "s.example").await.unwrap(), None);
    // Other settings of Docker are no logins.
    assert_eq!(look_up(r#"{"proxies":{"default":{}}}"#, "r.example").await.unwrap(), None);
}
