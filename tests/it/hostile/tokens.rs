//! Logins that are good for less than they are used for.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::{TOKEN, Victim, got_away, path_of};
use crate::support::liar::{Answer, Liar};

/// A registry whose token server sells `token` whatever it is asked for, and which takes no token.
fn selling(token: String) -> Liar {
    Liar::new(move |request| {
        let host = request.lines().find_map(|it| it.strip_prefix("host: ")).unwrap_or_default();
        if path_of(request).starts_with("/token") {
            Answer::of("200 OK", "", json!({"token": token, "expires_in": 300}).to_string())
        } else {
            let realm = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            Answer::of("401 Unauthorized", &realm, "{}")
        }
    })
}

fn json_web_token(claims: &serde_json::Value) -> String {
    let [head, body] =
        ["{\"alg\":\"ES256\"}".to_owned(), claims.to_string()].map(|it| URL_SAFE_NO_PAD.encode(it));
    format!("{head}.{body}.{TOKEN}")
}

#[test]
fn a_token_that_may_only_pull_is_recognised_and_explained() {
    let access = json!([{"type": "repository", "name": "team/app", "actions": ["pull"]}]);
    let registry = selling(json_web_token(&json!({"access": access, "exp": 4_000_000_000_u64})));
    got_away(
        &Victim::of(registry.address()).push(1000),
        "E0403",
        &[
            "the login of `reader` is good, but its token allows `pull` in team/app, and not `push`",
            "a token that may only pull cannot push: log in with an account that may push",
        ],
    );
}

#[test]
fn a_token_for_another_repository_is_told() {
    let access = json!([
        {"type": "repository", "name": "other", "actions": ["pull", "push"]},
        {"type": "repository", "name": "team/app", "actions": ["\u{1b}[2J", "PULL"]},
    ]);
    let registry = selling(json_web_token(&json!({"access": access})));
    let words = ["its token allows nothing in team/app, and not `pull`"];
    got_away(&Victim::of(registry.address()).pull(), "E0403", &words);
}

#[test]
fn a_token_that_says_nothing_is_not_guessed_at() {
    let odd = [
        json_web_token(&json!({"access": "everything"})),
        json_web_token(&json!({"access": [{"type": 7}]})),
        format!("a.{TOKEN}.b"),
        "a.".repeat(30_000),
    ];
    for token in odd {
        let registry = selling(token);
        let words = ["the login of `reader` is good, but does not allow this"];
        got_away(&Victim::of(registry.address()).push(1000), "E0403", &words);
    }
}

#[test]
fn a_token_that_is_none_is_refused() {
    for body in
        ["{}", "[]", "{\"token\":\"\"}", "{\"token\":\"a\\r\\nx: y\"}", "{\"token\":{}}", "\u{0}"]
    {
        let registry = Liar::new(move |request| {
            let host = request.lines().find_map(|it| it.strip_prefix("host: ")).unwrap_or_default();
            if path_of(request).starts_with("/token") {
                Answer::of("200 OK", "", body)
            } else {
                let realm = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
                Answer::of("401 Unauthorized", &realm, "{}")
            }
        });
        let words = ["its token server's answer holds no token"];
        got_away(&Victim::of(registry.address()).pull(), "E0503", &words);
    }
}
