//! Registries that want a login to be sent elsewhere.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{Person, is_nowhere_in};
use crate::support::{
    authority::Authority,
    web::{Door, Web},
};

const HOST: &str = "registry.plant.example";
const EVIL: &str = "evil.example";
const LOGIN: (&str, &str) = ("bob", "bobs-long-secret-8Q");

/// A registry that answers by `answer`, a server that takes whatever it is sent, and somebody with a login
/// for the first.
struct Trap {
    registry: Web,
    evil: Web,
    person: Person,
    _folder: tempfile::TempDir,
}

impl Trap {
    fn of(answer: fn(&Request) -> Response) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let registry = Router::new().fallback(async move |request: Request| answer(&request));
        let registry = Web::start(registry, Door::Tls(&authority, &[HOST]));
        let evil = Web::start(Router::new().fallback(take), Door::Tls(&authority, &[EVIL]));
        let person = Person::before(folder.path(), &[]);
        for (host, web) in [(HOST, &registry), (EVIL, &evil)] {
            for port in [80, 443, 8443] {
                person.proxy.lead(&format!("{host}:{port}"), web.address());
            }
            person.trust(host, &authority.pem());
            person.trust(&format!("{host}:8443"), &authority.pem());
        }
        person.keep_login(HOST, LOGIN);
        Self { registry, evil, person, _folder: folder }
    }

    /// Nothing that the other server received, and nothing that went through the proxy in plain, has
    /// anything of the login or of a token.
    #[track_caller]
    fn gave_nothing(&self) {
        let sent = [self.evil.everything(), self.person.proxy.heads()].concat();
        for secret in [LOGIN.1, TOKEN] {
            is_nowhere_in(&sent, secret);
        }
        assert!(!sent.to_lowercase().contains("authorization"), "{sent}");
    }
}

/// A token that the registry's own token server sells.
const TOKEN: &str = "token-of-the-registry-7F";

/// Takes everything, and makes it look like a registry and a token server.
async fn take(request: Request) -> Response {
    match request.uri().path() {
        "/token" => r#"{"token":"stolen"}"#.into_response(),
        _ => Response::builder()
            .status(if request.method() == "GET" { 200 } else { 202 })
            .header("location", "/v2/team/app/blobs/uploads/1")
            .body(Body::from("{}"))
            .unwrap(),
    }
}

fn challenge(realm: &str) -> Response {
    let bearer = format!("Bearer realm=\"{realm}\",service=\"registry\"");
    (StatusCode::UNAUTHORIZED, [("www-authenticate", bearer)]).into_response()
}

fn redirect(to: &str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response()
}

fn path_of(request: &Request) -> &str {
    request.uri().path()
}

fn has_login(request: &Request) -> bool {
    request.headers().contains_key("authorization")
}

/// The login or a token by `Authorization: Basic` or `Bearer`, as it is wanted.
fn basic(request: &Request, then: impl FnOnce(&Request) -> Response) -> Response {
    if has_login(request) {
        then(request)
    } else {
        let basic = [("www-authenticate", "Basic realm=\"registry\"")];
        (StatusCode::UNAUTHORIZED, basic).into_response()
    }
}

#[test]
fn a_foreign_realm_gets_nothing() {
    const REALMS: [fn(&Request) -> Response; 5] = [
        |_| challenge("https://evil.example/token"),
        |_| challenge("http://registry.plant.example/token"),
        |_| challenge("https://registry.plant.example:8443/token"),
        |_| challenge("https://registry.plant.example@evil.example/token"),
        |_| challenge("https://127.0.0.1/token"),
    ];
    for realm in REALMS {
        let trap = Trap::of(realm);
        let image = format!("{HOST}/team/app:1");
        let pushed = trap.person.copy("oci:image", &image, &[]).failed(5, "E0503");
        trap.person.copy(&image, "oci:back", &[]).failed(5, "E0503");
        trap.person.log_in(HOST, LOGIN).failed(5, "E0503");
        trap.person.check(HOST, &[]).failed(5, "E0503");
        trap.gave_nothing();
        assert!(trap.evil.heard().is_empty());
        is_nowhere_in(&trap.registry.everything(), LOGIN.1);
        let could_be_named = pushed.stderr.contains("to https://evil.example, which is not known");
        let how = format!("EDGEPOST_TOKEN_SERVERS={HOST}=evil.example");
        assert_eq!(pushed.stderr.contains(&how), could_be_named, "{}", pushed.stderr);
    }
}

#[test]
fn a_realm_that_was_named_gets_the_login_and_no_other_does() {
    let trap = Trap::of(|request| match request.headers().get("authorization") {
        Some(token) if token == "Bearer stolen" => "{}".into_response(),
        _ => challenge("https://evil.example/token"),
    });
    let login = ["registry", "login", HOST, "--username", "bob", "--password-stdin"];
    let named = |servers: &str| {
        let program = trap.person.program.with("EDGEPOST_TOKEN_SERVERS", servers);
        program.run_told(&login, LOGIN.1)
    };
    named("other.example=evil.example").failed(5, "E0503");
    named(&format!("{HOST}=evil.example.org")).failed(5, "E0503");
    assert!(trap.evil.heard().is_empty());

    named(&format!("{HOST}=evil.example")).good();

    let heard = trap.evil.heard();
    assert!(heard.iter().all(|it| it.path() == "/token" && it.header("authorization").is_some()));
    assert_eq!(heard.len(), 1);
}

#[test]
fn a_token_server_that_points_elsewhere_gets_no_more() {
    let trap = Trap::of(|request| match path_of(request) {
        "/token" => redirect("https://evil.example/token"),
        _ => challenge("https://registry.plant.example/token"),
    });
    trap.person.check(HOST, &[]).failed(5, "E0503");
    trap.person.copy("oci:image", &format!("{HOST}/team/app:1"), &[]).failed(5, "E0503");
    assert!(trap.evil.heard().is_empty());
    trap.gave_nothing();
}

#[test]
fn a_redirect_takes_no_login_along() {
    const WAYS: [fn(&Request) -> Response; 3] = [
        // After a login by Basic…
        |request| basic(request, |it| redirect(&format!("https://evil.example{}", path_of(it)))),
        // …by a token…
        |request| match path_of(request) {
            "/token" => format!("{{\"token\":\"{TOKEN}\"}}").into_response(),
            path if has_login(request) => redirect(&format!("https://evil.example{path}")),
            _ => challenge("https://registry.plant.example/token"),
        },
        // …and to another port of the same host.
        |request| {
            basic(request, |it| {
                redirect(&format!("https://registry.plant.example:8443{}", path_of(it)))
            })
        },
    ];
    for (number, way) in WAYS.into_iter().enumerate() {
        let trap = Trap::of(way);
        let image = format!("{HOST}/team/app:1");
        let pulled = trap.person.copy(&image, "oci:back", &[]);
        let pushed = trap.person.copy("oci:image", &image, &[]);
        assert!(pulled.code != 0 && pushed.code != 0, "{}", pulled.stderr);
        trap.gave_nothing();
        let reached = if number == 2 { trap.registry.heard() } else { trap.evil.heard() };
        assert!(!reached.is_empty(), "the redirect was followed");
        let elsewhere = reached.iter().filter(|it| it.host.ends_with(":8443"));
        assert!(elsewhere.clone().all(|it| it.header("authorization").is_none()));
        assert!(number < 2 || elsewhere.count() > 0);
    }
}

#[test]
fn an_upload_elsewhere_takes_no_login_along() {
    let trap = Trap::of(|request| {
        basic(request, |it| match it.method().as_str() {
            "POST" => Response::builder()
                .status(202)
                .header("location", "https://evil.example/upload?state=1")
                .body(Body::empty())
                .unwrap(),
            _ => StatusCode::NOT_FOUND.into_response(),
        })
    });
    let pushed = trap.person.copy("oci:image", &format!("{HOST}/team/app:1"), &[]);
    assert_ne!(pushed.code, 0);
    assert!(!trap.evil.heard().is_empty(), "the layers go there");
    trap.gave_nothing();
    trap.person.check(&format!("{HOST}/team/app"), &["--push"]).good();
    trap.gave_nothing();
}

#[test]
fn a_registry_that_turns_to_plain_http_is_not_followed() {
    const TURNS: [fn(&Request) -> Response; 2] = [
        |request| basic(request, |_| redirect("http://evil.example/v2/")),
        |request| basic(request, |_| redirect("http://registry.plant.example:8080/v2/")),
    ];
    for turn in TURNS {
        let trap = Trap::of(turn);
        let program = &mut trap.person.program.clone();
        program.set("HTTP_PROXY", format!("http://{}", trap.person.proxy.address()));
        program.run(&["registry", "check", HOST]).failed(5, "E0503");
        program.run(&["image", "copy", &format!("{HOST}/a/b:1"), "oci:back"]).failed(5, "E0503");
        assert!(trap.evil.heard().is_empty());
        assert!(trap.person.proxy.asked().iter().all(|it| *it == format!("CONNECT {HOST}:443")));
        trap.gave_nothing();
    }
}
