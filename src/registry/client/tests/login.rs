use super::*;
use crate::registry::protocol::Reference;

const BASIC_BOB: &str = "Basic Ym9iOmNhbmFyeQ==";

fn latest() -> Reference {
    Reference::Tag(crate::types::Tag::latest())
}

#[tokio::test]
async fn a_registry_that_asks_for_basic_gets_the_login() {
    let fake = Fake::start(|request, _| match request.header("authorization") {
        Some(BASIC_BOB) => status(200),
        _ => with(401, &[("www-authenticate", "Basic realm=\"x\"")], b""),
    })
    .await;
    let client = client_of_bob(&fake);
    client.ping(&fake.registry()).await.unwrap();
    client.ping(&fake.registry()).await.unwrap();
    assert_eq!(fake.seen().len(), 3, "the second ping is not challenged again");
}

#[tokio::test]
async fn a_refused_login_is_named_without_its_password() {
    let fake =
        Fake::start(|_, _| with(401, &[("www-authenticate", "Basic realm=\"x\"")], b"")).await;
    let error = client_of_bob(&fake).ping(&fake.registry()).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unauthorized { user: Some(user), .. } if user == "bob")
    );
    assert!(!format!("{error} {error:?}").contains("canary"));
    let error = client().ping(&fake.registry()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { user: None, .. }));
    assert!(!format!("{:?}", client_of_bob(&fake)).contains("canary"));
}

/// A registry and its token server in one; tokens are `t1`, `t2`, …; it takes those that `good` takes.
async fn bearer(good: fn(&str) -> bool) -> Fake {
    let sold = Mutex::new(0);
    Fake::start(move |request, _| {
        if request.uri.path() == "/token" {
            *sold.lock().unwrap() += 1;
            let body = format!(r#"{{"token":"t{}","expires_in":300}}"#, sold.lock().unwrap());
            return body.into_response();
        }
        let token = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        if token.is_some_and(good) {
            return with(200, &[("content-length", "0")], b"");
        }
        let host = request.header("host").unwrap();
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"reg\"");
        with(401, &[("www-authenticate", &challenge)], b"")
    })
    .await
}

#[tokio::test]
async fn a_token_is_bought_once_and_again_when_it_ends() {
    let fake = bearer(|token| token == "t2").await;
    let client = client_of_bob(&fake);
    let digest = layer().digest;
    client.has_blob(&fake.repository(), &digest).await.unwrap_err();
    client.has_blob(&fake.repository(), &digest).await.unwrap();
    client.has_blob(&fake.repository(), &digest).await.unwrap();
    let bought: Vec<Seen> =
        fake.seen().into_iter().filter(|it| it.uri.path() == "/token").collect();
    assert_eq!(bought.len(), 2);
    assert_eq!(bought[0].query()["service"], "reg");
    assert_eq!(bought[0].query()["scope"], "repository:team/app:pull");
    assert_eq!(bought[0].header("authorization"), Some(BASIC_BOB));
}

#[tokio::test]
async fn a_token_that_ends_is_bought_anew_within_one_request() {
    let used = Arc::new(Mutex::new(0));
    let count = Arc::clone(&used);
    let fake = Fake::start(move |request, _| {
        if request.uri.path() == "/token" {
            let mut used = count.lock().unwrap();
            *used += 1;
            return format!(r#"{{"access_token":"t{used}"}}"#).into_response();
        }
        // Every token is good for what was current when the third request came.
        let newest = format!("Bearer t{}", count.lock().unwrap());
        match request.header("authorization") {
            Some(token) if token == newest && newest != "Bearer t0" => status(200),
            _ => {
                let realm = format!("http://{}/token", request.header("host").unwrap());
                with(401, &[("www-authenticate", &format!("Bearer realm=\"{realm}\""))], b"")
            }
        }
    })
    .await;
    let client = client();
    client.ping(&fake.registry()).await.unwrap();
    *used.lock().unwrap() = 5; // the registry forgets the first token
    client.ping(&fake.registry()).await.unwrap();
    assert_eq!(*used.lock().unwrap(), 6);
}

#[tokio::test]
async fn a_good_login_without_the_right_is_denied() {
    let fake = bearer(|_| false).await;
    let error = client_of_bob(&fake).has_blob(&fake.repository(), &layer().digest).await;
    assert!(matches!(error, Err(RegistryError::Denied { .. })), "{error:?}");
}

#[tokio::test]
async fn a_hostile_realm_gets_nothing() {
    let evil = Fake::start(|_, _| r#"{"token":"t"}"#.into_response()).await;
    for realm in [
        "https://evil.example.com/token".to_owned(),
        "http://169.254.169.254/token".to_owned(),
        format!("http://bob@{}/token", evil.address),
        "file:///etc/passwd".to_owned(),
    ] {
        let fake = Fake::start(move |_, _| {
            with(401, &[("www-authenticate", &format!("Bearer realm=\"{realm}\""))], b"")
        })
        .await;
        let error = client_of_bob(&fake).manifest(&fake.repository(), &latest()).await;
        assert!(matches!(error, Err(RegistryError::UnsafeTarget { .. })), "{error:?}");
    }
    assert_eq!(evil.seen().len(), 0);
}

/// What a registry elsewhere may name as its realm: decided without any connection.
#[tokio::test]
async fn a_realm_is_known_or_of_the_same_host() {
    let client = client();
    for (registry, realm, allowed) in [
        ("reg.example.com", "https://reg.example.com/token", true),
        ("reg.example.com:5000", "https://reg.example.com:5000/token", true),
        ("docker.io", "https://auth.docker.io/token", true),
        ("docker.io", "http://auth.docker.io/token", false),
        ("reg.example.com", "https://auth.docker.io/token", false),
        ("reg.example.com", "http://reg.example.com/token", false),
        ("reg.example.com", "https://reg.example.com:8443/token", false),
        ("reg.example.com", "https://reg.example.com.evil.com/token", false),
        ("reg.example.com", "https://127.0.0.1/token", false),
    ] {
        let endpoint = client.connections.endpoint(&registry.parse().unwrap()).unwrap();
        let challenge = [format!("Bearer realm=\"{realm}\"")];
        let scheme = client.auth.scheme_of(&endpoint, &challenge);
        assert_eq!(scheme.is_ok(), allowed, "{registry} {realm}");
    }
}

#[tokio::test]
async fn a_token_request_follows_no_redirect() {
    let evil = Fake::start(|_, _| r#"{"token":"t"}"#.into_response()).await;
    let target = format!("http://{}/token", evil.address);
    let fake = Fake::start(move |request, _| {
        if request.uri.path() == "/token" {
            return with(307, &[("location", &target)], b"");
        }
        let realm = format!("http://{}/token", request.header("host").unwrap());
        with(401, &[("www-authenticate", &format!("Bearer realm=\"{realm}\""))], b"")
    })
    .await;
    client_of_bob(&fake).ping(&fake.registry()).await.unwrap_err();
    assert_eq!(evil.seen().len(), 0);
}

#[tokio::test]
async fn parallel_requests_buy_one_token() {
    let fake = bearer(|_| true).await;
    let client = client_of_bob(&fake);
    let (repository, digest) = (fake.repository(), layer().digest);
    let looks = (0..8).map(|_| client.has_blob(&repository, &digest));
    for look in futures_util::future::join_all(looks).await {
        look.unwrap();
    }
    let bought = fake.seen().iter().filter(|it| it.uri.path() == "/token").count();
    assert_eq!(bought, 1);
}

/// A registry whose token server answers `answer`.
async fn token_server(answer: &'static str) -> Fake {
    Fake::start(move |request, _| {
        if request.uri.path() == "/token" {
            return answer.into_response();
        }
        let realm = format!("http://{}/token", request.header("host").unwrap());
        match request.header("authorization") {
            Some("Bearer t") => status(200),
            _ => with(401, &[("www-authenticate", &format!("Bearer realm=\"{realm}\""))], b""),
        }
    })
    .await
}

#[tokio::test]
async fn a_token_is_taken_whatever_else_its_server_writes() {
    for answer in [
        r#"{"token":"t","expires_in":"300","issued_at":1700000000,"refresh_token":null}"#,
        r#"{"token":"t","expires_in":null,"scope":["a"],"refresh_token":0}"#,
        r#"{"token":null,"access_token":"t","expires_in":{},"errors":[]}"#,
        "\u{feff}{\"access_token\":\"t\",\"expires_in\":-1}",
    ] {
        let fake = token_server(answer).await;
        client_of_bob(&fake).ping(&fake.registry()).await.unwrap_or_else(|error| {
            panic!("{answer}: {error}");
        });
    }
}

#[tokio::test]
async fn a_refusal_inside_a_token_answer_is_passed_on_in_words() {
    for (answer, expected) in [
        (r#"{"errors":[{"code":"DENIED","message":"plan \u001b[2Jexpired"}]}"#, "plan [2Jexpired"),
        (r#"{"error":"invalid_scope","error_description":"no such team"}"#, "no such team"),
        (r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#, "slow down"),
    ] {
        let fake = token_server(answer).await;
        let error = client_of_bob(&fake).ping(&fake.registry()).await.unwrap_err().to_string();
        assert!(error.contains("its token server says: "), "{error}");
        assert!(error.ends_with(expected), "{error}");
    }
}

fn put(path: &std::path::Path, text: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// A login file that names a credential helper that is not installed.
fn with_missing_helper(folder: &std::path::Path) -> RegistryClient {
    let file = folder.join("config.json");
    put(&file, r#"{"credsStore":"edgepost-none","auths":{"other.example":{"auth":"YTpi"}}}"#);
    RegistryClient::new(ClientConfig { logins: Logins::none().and_file(file), ..quick() })
}

#[tokio::test]
async fn a_missing_helper_fails_only_what_needs_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let public = token_server(r#"{"token":"t"}"#).await;
    let client = with_missing_helper(folder.path());
    client.ping(&public.registry()).await.unwrap();
    let private =
        Fake::start(|_, _| with(401, &[("www-authenticate", "Basic realm=\"x\"")], b"")).await;
    let error = client.ping(&private.registry()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Login { .. }), "{error:?}");
}

#[tokio::test]
async fn where_no_login_fits_those_that_there_are_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    put(&file, r#"{"auths":{"https://other.example/v1/":{"auth":"YTpi"}}}"#);
    let fake =
        Fake::start(|_, _| with(401, &[("www-authenticate", "Basic realm=\"x\"")], b"")).await;
    let logins = Logins::none().and_file(file);
    let client = RegistryClient::new(ClientConfig { logins, ..quick() });
    let error = client.ping(&fake.registry()).await.unwrap_err();
    assert!(error.to_string().ends_with("only for other.example"), "{error}");
}
