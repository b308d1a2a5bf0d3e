//! Answers that do not end: whatever they pretend to be, they are left after what they may be.

use super::{MANIFEST, PASSWORD, Served, Victim, got_away, path_of};
use crate::support::liar::{Answer, Liar};

fn endless(headers: &str, body: &[u8]) -> Answer {
    Answer::Endless(Answer::head("200 OK", headers), body.to_vec())
}

#[test]
fn a_manifest_without_end_is_left() {
    let registry = Liar::new(|_| endless(MANIFEST, b"{\"schemaVersion\":2,"));
    let victim = Victim::of(registry.address());
    got_away(&victim.pull(), "E0503", &["/team/app answers with more than 4194304 bytes"]);

    // One that says how long it is is not even begun.
    let length = format!("{MANIFEST}content-length: 1152921504606846976\r\n");
    let registry = Liar::new(move |_| endless(&length, b"{"));
    let victim = Victim::of(registry.address());
    got_away(&victim.pull(), "E0503", &["/team/app answers with more than 4194304 bytes"]);
}

#[test]
fn a_token_without_end_is_left() {
    let registry = Liar::new(|request| {
        let host = request.lines().find_map(|it| it.strip_prefix("host: ")).unwrap_or_default();
        if path_of(request).starts_with("/token") {
            endless("", b"{\"token\":\"")
        } else {
            let realm = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            Answer::of("401 Unauthorized", &realm, "{}")
        }
    });
    let victim = Victim::of(registry.address());
    got_away(&victim.pull(), "E0503", &["answers with more than 65536 bytes"]);
    assert!(registry.heard().iter().any(|it| it.to_lowercase().contains("authorization: basic")));
    assert!(!registry.heard().iter().any(|it| it.contains(PASSWORD)), "it is encoded");
}

#[test]
fn a_refusal_without_end_is_still_a_refusal() {
    for (status, code, words) in [
        ("404 Not Found", "E0601", "has no manifest 1"),
        ("403 Forbidden", "E0403", "is denied"),
        ("418 I'm a teapot", "E0503", "answered 418"),
    ] {
        for begin in ["<html><title>", "{\"errors\":[{\"code\":\""] {
            let registry = Liar::new(move |_| {
                Answer::Endless(Answer::head(status, ""), begin.as_bytes().to_vec())
            });
            got_away(&Victim::of(registry.address()).pull(), code, &[words]);
        }
    }
}

#[test]
fn a_web_page_without_end_is_no_registry() {
    let registry = Liar::new(|_| endless("content-type: text/html\r\n", b"<html><p>"));
    got_away(&Victim::of(registry.address()).pull(), "E0505", &["no registry"]);
}

/// A registry each of whose pages has `tags`, and names another next one.
fn pages_without_end(tags: String) -> Liar {
    Liar::new(move |request| {
        let at = path_of(request).rsplit_once('=').and_then(|(_, it)| it.parse().ok());
        let next = at.unwrap_or(0_u64) + 1;
        let link = format!("link: </v2/team/app/tags/list?last={next}>; rel=next\r\n");
        Answer::of("200 OK", &link, format!("{{\"tags\":[{tags}]}}"))
    })
}

#[test]
fn a_list_without_end_is_left_as_one_page_and_as_many() {
    let registry = Liar::new(|_| endless("", b"{\"tags\":["));
    got_away(&Victim::of(registry.address()).tags(), "E0503", &["more than 4194304 bytes"]);

    let registry = pages_without_end(String::new());
    got_away(&Victim::of(registry.address()).tags(), "E0503", &["its list does not end"]);
    assert!(registry.heard().len() < 1100, "{}", registry.heard().len());

    // Long pages are fewer.
    let registry = pages_without_end("\"-\",".repeat(1_000_000) + "\"1\"");
    got_away(&Victim::of(registry.address()).tags(), "E0503", &["more than 67108864 bytes"]);

    // Many names are few bytes.
    let registry = pages_without_end("\"a\",".repeat(1_000_000) + "\"1\"");
    got_away(&Victim::of(registry.address()).tags(), "E0503", &["its list has 250000 names"]);

    let registry = Liar::new(|_| {
        Answer::of("200 OK", "link: </v2/team/app/tags/list?n=1>; rel=next\r\n", "{\"tags\":[]}")
    });
    got_away(&Victim::of(registry.address()).tags(), "E0503", &["goes in a circle"]);
}

#[test]
fn a_blob_is_read_no_further_than_its_size() {
    for length in ["", "content-length: 5\r\n", "content-length: 1152921504606846976\r\n"] {
        let served = Served::new(&vec![7; 100_000]);
        let registry = Liar::new(move |request| {
            if served.is_for_layer(request) {
                endless(length, b"more")
            } else {
                served.answer(request)
            }
        });
        let victim = Victim::of(registry.address());
        got_away(&victim.pull(), "E0801", &["should have 100000 bytes"]);
        let left = super::files_below(&victim.path("out"));
        assert!(left.iter().all(|(_, size)| *size <= 100_000), "{left:?}");
    }
    // The same where the layer goes on into another registry.
    let served = Served::new(&vec![7; 100_000]);
    let registry = Liar::new(move |request| match request.split(' ').next() {
        _ if path_of(request).starts_with("/v2/copy/") => match request.split(' ').next() {
            Some("HEAD") => Answer::of("404 Not Found", "", ""),
            Some("POST") => Answer::of("202 Accepted", "location: /v2/copy/upload\r\n", ""),
            _ => Answer::of("201 Created", "", ""),
        },
        _ if served.is_for_layer(request) => endless("", b"more"),
        _ => served.answer(request),
    });
    let victim = Victim::of(registry.address());
    let copy = format!("{}/copy/app:1", registry.address());
    let outcome = victim.program.run(&["image", "copy", &victim.image(), &copy]);
    got_away(&outcome, "E0801", &["should have 100000 bytes"]);
    assert!(!registry.heard().iter().any(|it| it.starts_with("PUT") && it.contains("/manifests/")));
}

#[test]
fn a_configuration_is_read_no_further_than_its_size() {
    let served = Served::new(b"layer");
    let registry = Liar::new(move |request| {
        let path = path_of(request);
        if path.contains("/blobs/") && !served.is_for_layer(request) {
            endless("", b"{\"history\":[")
        } else {
            served.answer(request)
        }
    });
    got_away(&Victim::of(registry.address()).pull(), "E0801", &["should have "]);
    let victim = Victim::of(registry.address());
    let outcome = victim.program.run(&["image", "inspect", &victim.image()]);
    assert_ne!(outcome.code, 0, "{}", outcome.stdout);
    super::unharmed(&outcome);
}

#[test]
fn headers_without_end_are_left() {
    for line in ["x-more: and more\r\n", "and-more-", "\r\n "] {
        let registry = Liar::new(move |_| {
            Answer::Endless(
                "HTTP/1.1 200 OK\r\nx-first: 1\r\nx-".to_owned(),
                line.as_bytes().to_vec(),
            )
        });
        got_away(&Victim::of(registry.address()).pull(), "E0501", &["cannot be reached"]);
    }
}
