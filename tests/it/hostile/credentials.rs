//! Registries that want a login, or its token, to be sent elsewhere, or our requests to go where we
//! are and they are not.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
};

use super::{
    BASIC, MANIFEST, Served, TOKEN, Victim, got_away, host_of, only_told, path_of, told, unharmed,
};
use crate::support::{
    liar::{Answer, Liar},
    peers::record_skip,
};

const REGISTRY: &str = "registry.example:5000";

/// A registry elsewhere, reached by a proxy, that says this to whoever has logged in.
fn elsewhere(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (Liar, Victim) {
    let proxy = Liar::new(move |request| {
        let logged_in = request.to_lowercase().contains("authorization: ");
        if host_of(request) == REGISTRY && !logged_in {
            Answer::of("401 Unauthorized", BASIC, "{}")
        } else {
            answer(request)
        }
    });
    let victim = Victim::of(REGISTRY).behind(&proxy);
    (proxy, victim)
}

fn redirect(target: &str) -> Answer {
    Answer::of("307 Temporary Redirect", &format!("location: {target}\r\n"), "")
}

#[test]
fn a_token_server_elsewhere_gets_no_login() {
    for realm in [
        "http://tokens.elsewhere.example/token",
        "https://tokens.elsewhere.example/token",
        "http://registry.example:5001/token",
        "http://registry.example.elsewhere.example:5000/token",
        "http://registry.example:5000@elsewhere.example/token",
        "http://reader:x@registry.example:5000/token",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
    ] {
        let challenge = format!("www-authenticate: Bearer realm=\"{realm}\",service=\"x\"\r\n");
        let proxy = Liar::new(move |_| Answer::of("401 Unauthorized", &challenge, "{}"));
        let victim = Victim::of(REGISTRY).behind(&proxy);
        for outcome in [victim.pull(), victim.push(1000)] {
            got_away(&outcome, "E0503", &["registry.example:5000 points to "]);
        }
        assert!(!proxy.heard().is_empty());
        for request in proxy.heard() {
            assert_eq!(host_of(&request), REGISTRY, "{request}");
            assert!(!told(&request), "{request}");
        }
    }
}

#[test]
fn a_registry_with_tls_is_not_talked_out_of_it() {
    type Lie = fn(&str) -> Answer;
    let lies: [(&str, Lie); 3] = [
        ("realm", |host| {
            let realm = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            Answer::of("401 Unauthorized", &realm, "{}")
        }),
        ("redirect", |host| redirect(&format!("http://{host}/v2/elsewhere"))),
        ("upload", |host| {
            let to = format!("location: http://{host}/upload\r\n");
            Answer::of("202 Accepted", &to, "")
        }),
    ];
    for (name, lie) in lies {
        let plain = Liar::new(|_| Answer::of("200 OK", "", "{\"token\":\"t\"}"));
        let host = plain.address().to_string();
        let (registry, authority) = Liar::with_tls(move |request| {
            if name == "upload" && request.starts_with("HEAD") {
                return Answer::of("404 Not Found", "", "");
            }
            lie(&host)
        });
        let victim = Victim::of(registry.address());
        let mut victim = victim;
        victim.program.set("EDGEPOST_PLAIN_HTTP", "other.example");
        fs::write(victim.path("ca.crt"), authority).unwrap();
        let certificates = victim.path("home/certs.d").join(registry.address().to_string());
        fs::create_dir_all(&certificates).unwrap();
        fs::copy(victim.path("ca.crt"), certificates.join("ca.crt")).unwrap();
        let outcome = if name == "upload" { victim.push(1000) } else { victim.pull() };
        got_away(&outcome, "E0503", &["which is not encrypted"]);
        assert_eq!(plain.heard(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_redirect_is_followed_without_login_and_never_to_this_machine_or_its_link() {
    let thief = Liar::new(|_| Answer::of("200 OK", MANIFEST, "{}"));
    let port = thief.address().port();
    let targets = [
        "169.254.169.254".to_owned(),
        "[fe80::1]".to_owned(),
        "[fd00:ec2::254]".to_owned(),
        "[::ffff:169.254.169.254]".to_owned(),
        "0.0.0.0".to_owned(),
        "100.100.100.200".to_owned(),
        format!("127.0.0.1:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.1:{port}"),
        format!("[::1]:{port}"),
        format!("localhost:{port}"),
        format!("a.localhost:{port}"),
    ];
    for target in targets {
        let to = format!("http://{target}/v2/team/app/manifests/1");
        let (proxy, victim) = elsewhere(move |_| redirect(&to));
        got_away(&victim.pull(), "E0503", &["is an address of this machine or of its link"]);
        only_told(&proxy, REGISTRY);
        assert!(proxy.heard().iter().all(|it| host_of(it) == REGISTRY));
    }
    assert_eq!(thief.heard(), Vec::<String>::new());
}

#[test]
fn a_redirect_with_a_login_of_its_own_or_of_another_scheme_is_refused() {
    for (target, words) in [
        ("http://admin:secret@registry.example:5000/v2/", "holds credentials of its own"),
        ("http://admin@storage.example/v2/", "holds credentials of its own"),
        ("file:///etc/passwd", "is no web address"),
        ("ftp://storage.example/blob", "is no web address"),
        ("http://", "no usable Location"),
    ] {
        let (proxy, victim) = elsewhere(move |_| redirect(target));
        got_away(&victim.pull(), "E0503", &[words]);
        only_told(&proxy, REGISTRY);
    }
    let (_, victim) = elsewhere(|_| redirect("http://registry.example:5000/v2/round"));
    got_away(&victim.pull(), "E0503", &["more than 10 redirects"]);
}

#[test]
fn storage_elsewhere_serves_blobs_and_never_sees_a_login_nor_does_the_way_back() {
    let served = Served::new(b"layer");
    let (proxy, victim) = elsewhere(move |request| match host_of(request) {
        REGISTRY if path_of(request).contains("/back/") => served.answer(request),
        REGISTRY if path_of(request).contains("/blobs/") => {
            redirect(&format!("http://10.1.2.3:9000{}", path_of(request)))
        }
        REGISTRY => served.answer(request),
        "10.1.2.3:9000" => redirect(&format!("http://storage.example/back{}", path_of(request))),
        _ => served.answer(request),
    });
    let outcome = victim.pull().good();
    unharmed(&outcome);
    only_told(&proxy, REGISTRY);
    let heard = proxy.heard();
    assert!(heard.iter().any(|it| host_of(it) == "storage.example"), "{heard:?}");

    // What led away leads back: the login is not said again.
    let served = Served::new(b"layer");
    let (proxy, victim) = elsewhere(move |request| match host_of(request) {
        REGISTRY if path_of(request).starts_with("/back") => served.answer(request),
        REGISTRY => redirect(&format!("http://storage.example{}", path_of(request))),
        _ => redirect(&format!("http://{REGISTRY}/back{}", path_of(request))),
    });
    let _ = victim.pull();
    only_told(&proxy, REGISTRY);
    let back: Vec<String> = proxy.heard();
    let back: Vec<&String> = back.iter().filter(|it| path_of(it).starts_with("/back")).collect();
    assert!(!back.is_empty() && back.iter().all(|it| !told(it)), "{back:?}");
}

#[test]
fn an_upload_to_another_host_goes_without_login() {
    let (proxy, victim) = elsewhere(|request| {
        let path = path_of(request);
        match request.split(' ').next().unwrap_or_default() {
            "HEAD" => Answer::of("404 Not Found", "", ""),
            "POST" => {
                let to = "location: http://storage.example/bucket/upload?signature=abc\r\n";
                Answer::of("202 Accepted", to, "")
            }
            _ if path.contains("/manifests/") || path.contains("/bucket/") => {
                Answer::of("201 Created", "", "")
            }
            _ => Answer::of("404 Not Found", "", ""),
        }
    });
    let outcome = victim.push(3_000_000).good();
    unharmed(&outcome);
    only_told(&proxy, REGISTRY);
    let sent = proxy.heard();
    assert!(sent.iter().any(|it| it.starts_with("PUT http://storage.example/bucket/upload?sig")));
}

#[test]
fn an_upload_that_is_to_go_to_this_machine_stays_here() {
    let thief = Liar::new(|_| Answer::of("201 Created", "", ""));
    let to = format!("location: http://{}/upload\r\n", thief.address());
    let (proxy, victim) = elsewhere(move |request| match request.split(' ').next() {
        Some("HEAD") => Answer::of("404 Not Found", "", ""),
        _ => Answer::of("202 Accepted", &to, ""),
    });
    got_away(&victim.push(1000), "E0503", &["is an address of this machine or of its link"]);
    only_told(&proxy, REGISTRY);
    assert_eq!(thief.heard(), Vec::<String>::new());
}

#[test]
fn a_list_that_goes_on_elsewhere_is_refused() {
    let (proxy, victim) = elsewhere(|_| {
        let link = "link: <http://elsewhere.example/v2/team/app/tags/list>; rel=\"next\"\r\n";
        Answer::of("200 OK", link, "{\"name\":\"team/app\",\"tags\":[\"1\"]}")
    });
    got_away(&victim.tags(), "E0503", &["the next page of its list is elsewhere"]);
    only_told(&proxy, REGISTRY);
    assert!(proxy.heard().iter().all(|it| host_of(it) == REGISTRY));
}

#[test]
fn a_token_server_that_sends_us_on_is_not_followed() {
    for target in ["http://elsewhere.example/token", "http://registry.example:5000/other"] {
        let proxy = Liar::new(move |request| {
            if path_of(request).starts_with("/token") {
                redirect(target)
            } else {
                let realm =
                    format!("www-authenticate: Bearer realm=\"http://{REGISTRY}/token\"\r\n");
                Answer::of("401 Unauthorized", &realm, "{}")
            }
        });
        let victim = Victim::of(REGISTRY).behind(&proxy);
        got_away(&victim.pull(), "E0503", &["307: from its token server"]);
        only_told(&proxy, REGISTRY);
        assert!(proxy.heard().iter().all(|it| !path_of(it).starts_with("/other")));
    }
}

#[test]
fn a_token_is_for_its_registry_alone() {
    let served = Served::new(b"layer");
    let proxy = Liar::new(move |request| match host_of(request) {
        REGISTRY if path_of(request).starts_with("/token") => {
            Answer::of("200 OK", "", format!("{{\"token\":\"{TOKEN}\"}}"))
        }
        REGISTRY if !request.contains(TOKEN) => {
            let realm = format!("www-authenticate: Bearer realm=\"http://{REGISTRY}/token\"\r\n");
            Answer::of("401 Unauthorized", &realm, "{}")
        }
        REGISTRY if path_of(request).contains("/blobs/") => {
            redirect(&format!("http://storage.example{}", path_of(request)))
        }
        _ => served.answer(request),
    });
    let victim = Victim::of(REGISTRY).behind(&proxy);
    let outcome = victim.pull().good();
    unharmed(&outcome);
    only_told(&proxy, REGISTRY);
    assert!(proxy.heard().iter().any(|it| host_of(it) == REGISTRY && it.contains(TOKEN)));
}

/// An address of this machine that is not its loopback.
fn own_address() -> Option<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback()).then_some(SocketAddr::from((own, 0)))
}

/// A name by which this machine calls itself, and that does not say so.
fn name_of_this_machine() -> Option<String> {
    let hosts = fs::read_to_string("/etc/hosts").ok()?;
    let own = hosts.lines().filter(|line| line.starts_with("127.") || line.starts_with("::1"));
    let mut names = own.flat_map(|line| line.split_ascii_whitespace().skip(1));
    names.find(|name| !name.contains("localhost") && !name.starts_with('#')).map(str::to_owned)
}

#[test]
fn a_name_that_means_this_machine_is_not_connected_to() {
    let Some(own) = own_address() else {
        record_skip("this machine has no address but its loopback");
        return;
    };
    let Some(name) = name_of_this_machine() else {
        record_skip("this machine has no name but localhost");
        return;
    };
    let thief = Liar::new(|_| Answer::of("200 OK", MANIFEST, "{}"));
    let to = format!("http://{name}:{}/v2/", thief.address().port());
    let registry = Liar::at(own, move |_| redirect(&to));
    let victim = Victim::of(registry.address());
    got_away(&victim.pull(), "E0501", &["has no address that may be connected to"]);
    assert!(!registry.heard().is_empty());
    assert_eq!(thief.heard(), Vec::<String>::new());
}
