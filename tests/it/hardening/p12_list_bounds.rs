//! Lists are bounded by count and bytes, and are streamed.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    record_bound,
    server_process::{ServerProcess, service},
};

/// What a hub may have in memory while many large answers are not read, in KiB.
const MOST_MEMORY: u64 = 200 * 1024;

/// An agreement of about `length` bytes.
fn agreement(length: usize) -> Value {
    json!({
        "services": [{"orgid": "A", "url": "svc"}],
        "agreementService": {"orgid": "A", "pattern": "", "url": "svc"},
        "state": "s".repeat(length),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreements_of_a_node_are_limited_by_body_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path()).await;
    server.node("n1").await;
    let put = async |id: usize, length: usize| {
        let path = format!("/orgs/A/nodes/n1/agreements/a{id}");
        server.send("A/n1:tok", Method::PUT, &path, &agreement(length)).await
    };
    assert_eq!(put(0, 1_000_000).await.expect(413)["code"], "invalid-input");
    let mut stored = 0;
    let msg = loop {
        let answer = put(stored, 15 * 1024).await;
        if answer.status == 403 {
            break answer.expect_limit();
        }
        answer.expect(201);
        stored += 1;
        assert!(stored <= 400, "nothing limits the agreements of a node");
    };
    assert!(msg.contains("A/n1 is over the limit of 1048576 bytes"), "{msg}");
    let list = server.get("A/n1:tok", "/orgs/A/nodes/n1/agreements").await;
    assert_eq!(list.expect(200)["agreements"].as_object().unwrap().len(), stored);
    record_bound(12, "agreements of one node until 403", "1.25 MiB", list.body.len());
    assert!(list.body.len() < 1_310_720);
    // What is over a limit can shrink, and what was removed makes room.
    put(0, 10).await.expect(201);
    put(stored, 14 * 1024).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_body_has_its_own_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path()).await;
    server.node("n1").await;
    server.send("A/u1", Method::POST, "/orgs/A/services", &service("svc", 10)).await.expect(201);
    let long = "x".repeat(300 * 1024);
    let node = "/orgs/A/nodes/n1";
    let of_service = "/orgs/A/services/svc_1.0.0_amd64";
    let cases = [
        (
            Method::PUT,
            format!("{node}/status"),
            json!({"services": [], "connectivity": {&long: true}}),
        ),
        (Method::PUT, format!("{node}/errors"), json!({"errors": [{"message": &long}]})),
        (Method::PUT, format!("{node}/policy"), json!({"label": &long})),
        (Method::PATCH, node.to_owned(), json!({"msgEndPoint": &long})),
        (Method::PUT, format!("{of_service}/policy"), json!({"label": &long})),
        (Method::PUT, format!("{of_service}/keys/k.pem"), json!(&long)),
        (Method::POST, format!("{of_service}/dockauths"), json!({"registry": "r", "token": &long})),
        (Method::POST, "/orgs/A/users/u1/apikeys".to_owned(), json!({"label": &long})),
        (Method::PATCH, "/orgs/A/users/u1".to_owned(), json!({"email": &long})),
        (Method::POST, "/orgs/A/changes".to_owned(), json!({"orgList": [&long]})),
    ];
    for (method, path, body) in cases {
        let answer = server.send("A/u1", method, &path, &body).await;
        assert_eq!(answer.status, 413, "{path}");
    }
    record_bound(12, "bodies of 300 KiB that are no definitions", "413", "413 of 10 kinds");
}

/// Asks for `path` and reads only the status line.
pub(super) fn ask_without_reading(
    server: &ServerProcess,
    who: &str,
    path: &str,
) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address()).expect("the hub listens");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout can be set");
    let authorization = server.authorization(who);
    let head =
        format!("GET /v1{path} HTTP/1.1\r\nHost: hub\r\nAuthorization: {authorization}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the request is taken");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer begins");
    (stream, String::from_utf8_lossy(&start).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_answers_hold_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path()).await;
    let mut posted = BTreeSet::new();
    'users: for user in ["A/u1", "A/u2", "root"] {
        for number in 0.. {
            let name = format!("{}-{number}", user.replace('/', "-"));
            let body = service(&name, 900_000);
            let answer = server.send(user, Method::POST, "/orgs/A/services", &body).await;
            if answer.status == 403 {
                let msg = answer.expect_limit();
                if msg.contains("A is over the limit") {
                    break 'users;
                }
                break;
            }
            answer.expect(201);
            posted.insert(format!("A/{name}_1.0.0_amd64"));
            assert!(posted.len() < 100, "nothing limits the services of an organization");
        }
    }
    assert!(posted.len() >= 30, "{}", posted.len());
    server.node("n1").await;
    let before = server.peak_memory();
    let unread: Vec<_> = ["A/u1", "A/u2", "A/n1:tok"]
        .into_iter()
        .flat_map(|who| [who; 4])
        .map(|who| ask_without_reading(&server, who, "/orgs/A/services"))
        .collect();
    for (_, start) in &unread {
        assert_eq!(start, "HTTP/1.1 200");
    }
    // One caller's answers leave room for others, and short answers need none.
    server.get("A/u1", "/orgs/A").await.expect(200);
    let whole = server.get("root", "/orgs/A/services").await.expect(200);
    let names: BTreeSet<_> = whole["services"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, posted);
    let peak = server.peak_memory();
    let figure = format!("{peak} KiB ({before} KiB before)");
    record_bound(12, "12 unread GETs of a list of 32 MiB", format!("{MOST_MEMORY} KiB"), figure);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
    drop(unread);

    // Callers that can page read the same in parts.
    let (mut paged, mut marker, mut longest) = (BTreeSet::new(), String::new(), 0);
    loop {
        let page = server.get("A/u1", &format!("/orgs/A/edgepost/services?limit=3{marker}")).await;
        longest = longest.max(page.body.len());
        let page = page.expect(200);
        let entries = page["services"].as_object().unwrap();
        assert!((1..=3).contains(&entries.len()));
        paged.extend(entries.keys().cloned());
        let Some(next) = page["next"].as_str() else { break };
        marker = format!("&marker={next}");
    }
    assert_eq!(paged, posted);
    record_bound(12, "pages of the same list", "1 MiB", longest);
    assert!(longest < 1 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_organization_adds_little_to_the_catalog_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path()).await;
    let mut public = 0;
    let msg = loop {
        let mut body = service(&format!("public-{public}"), 900_000);
        body["public"] = json!(true);
        let answer = server.send("A/u1", Method::POST, "/orgs/A/services", &body).await;
        if answer.status == 403 {
            break answer.expect_limit();
        }
        answer.expect(201);
        public += 1;
        assert!(public < 100, "nothing limits public services");
    };
    assert!(msg.contains("for each public service"), "{msg}");
    // The same service is taken where others do not see it.
    let private = service(&format!("public-{public}"), 900_000);
    server.send("A/u1", Method::POST, "/orgs/A/services", &private).await.expect(201);
    let path = format!("/orgs/A/services/public-{public}_1.0.0_amd64");
    let shown = json!({"public": true});
    server.send("A/u1", Method::PATCH, &path, &shown).await.expect_limit();
    let catalog = server.get("B/bu", "/catalog/services").await;
    assert_eq!(catalog.expect(200)["services"].as_object().unwrap().len(), public);
    record_bound(12, "catalog with 100 public services of 0.9 MB", "9 MiB", catalog.body.len());
    assert!(catalog.body.len() < 9 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_an_organization_have_few_api_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path()).await;
    let mut keys = 0;
    loop {
        let body = json!({"label": "k"});
        let answer = server.send("A/u1", Method::POST, "/orgs/A/users/u1/apikeys", &body).await;
        if answer.status == 403 {
            answer.expect_limit();
            break;
        }
        answer.expect(201);
        keys += 1;
        assert!(keys < 1000, "nothing limits the API keys of a user");
    }
    let user = server.get("A/u1", "/orgs/A/users/u1").await.expect(200);
    assert_eq!(user["users"]["A/u1"]["apikeys"].as_array().unwrap().len(), keys);
    record_bound(12, "API keys of one user until 403", 100, keys);
    assert_eq!(keys, 100);
}
