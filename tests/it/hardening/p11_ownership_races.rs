//! Rights are decided on the row inside the write transaction.
//!
//! Each race has 12 connections: the owner writes on one, and an account without the right sends every verb on the
//! other eleven, from before the object exists until after the owner is done.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use edgepost::{
    sign::{Envelope, PayloadType, SigningKey},
    trust::{Header, State, Statement, TrustDocument},
    types::{ServiceId, SystemClock},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::record_bound;
use crate::support::exchange::{Answer, Session, TestExchange};

/// Connections of one race.
const CONNECTIONS: usize = 12;

/// Races for each kind of object; `EDGEPOST_TEST_RACES` sets another number.
fn races() -> usize {
    let races = std::env::var("EDGEPOST_TEST_RACES").ok();
    races.map_or(4, |races| races.parse().expect("a number of races"))
}

/// A request: verb, path, body.
type Request = (Method, String, Option<Value>);

/// A request with this body; `null` is none.
fn request(method: Method, path: impl Into<String>, body: Value) -> Request {
    (method, path.into(), (!body.is_null()).then_some(body))
}

async fn ask(session: &Session, (method, path, body): &Request) -> Answer {
    session.send(method.clone(), path, body.as_ref()).await
}

/// Sends the owner's requests one after the other, and on eleven connections those of the attacker, again and again.
/// Gives the answers to the owner, and every answer to the attacker that granted a write.
async fn race(
    exchange: &TestExchange,
    (owner, writes): (&str, Vec<Request>),
    (attacker, attacks): (&str, Vec<Request>),
) -> (Vec<Answer>, Vec<String>) {
    let (start, is_over) = (Arc::new(Barrier::new(CONNECTIONS)), Arc::new(AtomicBool::new(false)));
    let attacks = Arc::new(attacks);
    // Logged in before, so that no password is hashed during the race.
    exchange.session(attacker).get("/orgs/A").await;
    exchange.session(owner).get("/orgs/A").await;
    let attackers = (1..CONNECTIONS).map(|number| {
        let (session, attacks) = (exchange.session(attacker), Arc::clone(&attacks));
        let (start, is_over) = (Arc::clone(&start), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut granted = Vec::new();
            start.wait().await;
            for round in 0.. {
                if is_over.load(Ordering::Relaxed) && round > 0 {
                    break;
                }
                let attack = &attacks[(number + round) % attacks.len()];
                let answer = ask(&session, attack).await;
                if answer.status.is_success() {
                    granted.push(format!("{} {}: {}", attack.0, attack.1, answer.body));
                }
            }
            granted
        })
    });
    let attackers: Vec<_> = attackers.collect();
    let session = exchange.session(owner);
    start.wait().await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let mut answers = Vec::new();
    for it in &writes {
        answers.push(ask(&session, it).await);
    }
    is_over.store(true, Ordering::Relaxed);
    let mut granted = Vec::new();
    for attacker in attackers {
        granted.extend(attacker.await.expect("no attacker fails"));
    }
    (answers, granted)
}

fn service(label: &str, url: &str) -> Value {
    json!({
        "label": label, "public": false, "url": url, "version": "1.0.0", "arch": "arm",
        "sharable": "exclusive", "deployment": "{}", "deploymentSignature": "c2ln",
    })
}

fn pattern(label: &str) -> Value {
    json!({"label": label, "services": [{
        "serviceUrl": "base", "serviceOrgid": "A", "serviceArch": "*",
        "serviceVersions": [{"version": "1.0.0"}],
    }]})
}

fn policy(label: &str) -> Value {
    json!({"label": label, "service": {
        "name": "base", "org": "A", "arch": "*", "serviceVersions": [{"version": "1.0.0"}],
    }})
}

fn node(name: &str, token: &str) -> Value {
    json!({
        "token": token, "name": name, "nodeType": "device", "pattern": "", "publicKey": "",
        "arch": "arm", "registeredServices": [],
    })
}

/// A kind of posted document: its collection, where a new one is posted, its id, and its body with a label.
struct PostedKind {
    kind: &'static str,
    container: &'static str,
    body: fn(&str, &str) -> Value,
}

const POSTED: [PostedKind; 3] = [
    PostedKind { kind: "services", container: "services", body: service },
    PostedKind { kind: "patterns", container: "patterns", body: |label, _| pattern(label) },
    PostedKind {
        kind: "business/policies",
        container: "businessPolicy",
        body: |label, _| policy(label),
    },
];

impl PostedKind {
    fn id(&self, name: &str) -> String {
        if self.kind == "services" { format!("{name}_1.0.0_arm") } else { name.to_owned() }
    }

    fn path(&self, name: &str) -> String {
        format!("/orgs/A/{}/{}", self.kind, self.id(name))
    }

    fn creation(&self, name: &str, label: &str) -> Request {
        let path = match self.kind {
            "services" => "/orgs/A/services".to_owned(),
            _ => self.path(name),
        };
        request(Method::POST, path, (self.body)(label, name))
    }

    /// The owner and the label of what is there.
    async fn held(&self, exchange: &TestExchange, name: &str) -> (String, String) {
        let answer = exchange.root().get(&self.path(name)).await.is(200);
        let held = &answer[self.container][format!("A/{}", self.id(name))];
        let text = |name: &str| held[name].as_str().unwrap_or_default().to_owned();
        (text("owner"), text("label"))
    }
}

async fn with_base_service() -> TestExchange {
    let exchange = TestExchange::start().await;
    exchange.root().post("/orgs/A/services", &service("base", "base")).await.is(201);
    exchange
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_user_takes_over_nothing_that_another_posts() {
    let exchange = with_base_service().await;
    let mut takeovers = 0;
    for kind in POSTED {
        for number in 0..races() {
            let name = format!("x{number}");
            let path = kind.path(&name);
            let attacks = vec![
                request(Method::PUT, &path, (kind.body)("mal", &name)),
                request(Method::PATCH, &path, json!({"label": "mal"})),
                request(Method::DELETE, &path, Value::Null),
            ];
            let writes = vec![
                kind.creation(&name, "ann"),
                request(Method::PUT, &path, (kind.body)("ann2", &name)),
                request(Method::PATCH, &path, json!({"label": "ann3"})),
            ];
            let (answers, granted) = race(&exchange, ("A/ann", writes), ("A/mal", attacks)).await;
            for answer in answers {
                answer.is(201);
            }
            takeovers += granted.len();
            assert_eq!(granted, Vec::<String>::new(), "{path}");
            assert_eq!(
                kind.held(&exchange, &name).await,
                ("A/ann".to_owned(), "ann3".to_owned()),
                "{path}"
            );
        }
    }
    record_bound(
        11,
        "a plain user sends PUT, PATCH and DELETE on 11 connections while another posts",
        "0 takeovers",
        takeovers,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_users_who_post_one_name_one_owns_it_with_its_own_content() {
    let exchange = with_base_service().await;
    for kind in POSTED {
        for number in 0..races() {
            let name = format!("y{number}");
            let (answers, granted) = race(
                &exchange,
                ("A/ann", vec![kind.creation(&name, "A/ann")]),
                ("A/mal", vec![kind.creation(&name, "A/mal")]),
            )
            .await;
            let (owner, label) = kind.held(&exchange, &name).await;
            assert_eq!(owner, label, "{}", kind.path(&name));
            let status = answers[0].status.as_u16();
            assert_eq!((status == 201, status == 403), (owner == "A/ann", owner == "A/mal"));
            assert_eq!(granted.len(), usize::from(owner == "A/mal"), "{granted:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn node_has_the_token_of_its_owner() {
    let exchange = TestExchange::start().await;
    // Each registration costs a hash.
    for number in 0..races().div_ceil(2) {
        let path = format!("/orgs/A/nodes/n{number}");
        let attacks = vec![
            request(Method::PUT, &path, node("mal", "mal-token")),
            request(Method::PATCH, &path, json!({"token": "mal-token"})),
            request(Method::PATCH, &path, json!({"arch": "mal"})),
            request(Method::DELETE, &path, Value::Null),
            request(Method::POST, format!("{path}/heartbeat"), Value::Null),
        ];
        let writes = vec![request(Method::PUT, &path, node("ann", "ann-token"))];
        race(&exchange, ("A/ann", writes), ("A/mal", attacks)).await;
        let held = exchange.root().get(&path).await;
        // The attacker may have been first, and may have removed what was its own.
        let Some(held) = held.json()["nodes"].get(format!("A/n{number}")).cloned() else {
            continue;
        };
        let owner = if held["owner"] == "A/ann" { "ann" } else { "mal" };
        let other = if owner == "ann" { "mal" } else { "ann" };
        let name = format!("A/n{number}");
        let as_node = |who: &str| exchange.session_with(&name, &format!("{who}-token"));
        assert_eq!(held["name"], owner);
        as_node(owner).get(&path).await.is(200);
        as_node(other).get(&path).await.is(401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_user_writes_nothing_beside_the_node_of_another() {
    let exchange = TestExchange::start().await;
    let properties = |value: &str| {
        json!({"properties": [{"name": "p", "value": value}], "constraints": [],
            "deployment": {"properties": [], "constraints": []}})
    };
    let agreement = json!({"services": [], "agreementService":
        {"orgid": "A", "pattern": "", "url": "svc"}, "state": "s"});
    for number in 0..races() {
        let path = format!("/orgs/A/nodes/p{number}");
        let at = |part: &str| format!("{path}/{part}");
        let attacks = vec![
            request(Method::PUT, at("policy"), properties("mal")),
            request(Method::DELETE, at("policy"), Value::Null),
            request(Method::PUT, at("errors"), json!({"errors": [{"record_id": "1"}]})),
            request(Method::PUT, at("status"), json!({"connectivity": {}, "services": []})),
            request(Method::PUT, at("agreements/a"), agreement.clone()),
            request(Method::DELETE, at("agreements"), Value::Null),
        ];
        let writes = vec![
            request(Method::PUT, &path, node("ann", "ann-token")),
            request(Method::PUT, at("policy"), properties("ann")),
        ];
        let (answers, granted) = race(&exchange, ("A/ann", writes), ("A/mal", attacks)).await;
        for answer in answers {
            answer.is(201);
        }
        assert_eq!(granted, Vec::<String>::new());
        let held = exchange.root().get(&at("policy")).await.is(200);
        assert_eq!(held["properties"][0]["value"], "ann");
        for part in ["errors", "status", "agreements"] {
            exchange.root().get(&at(part)).await.is(404);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_user_writes_nothing_beside_the_service_of_another() {
    let exchange = TestExchange::start().await;
    let login = |token: &str| json!({"registry": "r.example", "username": token, "token": token});
    let set = |token: &str| json!({"credentials": [login(token)]});
    let properties =
        |value: &str| json!({"properties": [{"name": "p", "value": value}], "constraints": []});
    for number in 0..races() {
        let id = format!("z{number}_1.0.0_arm");
        let at = |part: &str| format!("/orgs/A/services/{id}/{part}");
        let ours = format!("/orgs/A/edgepost/services/{id}/credentials");
        let attacks = vec![
            request(Method::PUT, at("keys/k"), json!("mal")),
            request(Method::DELETE, at("keys"), Value::Null),
            request(Method::POST, at("dockauths"), login("mal")),
            request(Method::DELETE, at("dockauths"), Value::Null),
            request(Method::PUT, &ours, set("mal")),
            request(Method::PUT, at("policy"), properties("mal")),
            request(Method::DELETE, at("policy"), Value::Null),
        ];
        let writes = vec![
            request(Method::POST, "/orgs/A/services", service("ann", &format!("z{number}"))),
            request(Method::PUT, at("keys/k"), json!("ann")),
            request(Method::POST, at("dockauths"), login("ann")),
            request(Method::PUT, at("policy"), properties("ann")),
        ];
        let (answers, granted) = race(&exchange, ("A/ann", writes), ("A/mal", attacks)).await;
        for answer in answers {
            answer.is(201);
        }
        assert_eq!(granted, Vec::<String>::new());
        assert_eq!(exchange.root().get(&at("keys")).await.is(200), json!(["k"]));
        assert_eq!(exchange.root().get(&at("keys/k")).await.body, "ann");
        let logins = exchange.root().get(&at("dockauths")).await.is(200);
        assert_eq!(logins.as_array().map(Vec::len), Some(1), "{logins}");
        assert_eq!(logins[0]["username"], "ann");
        let held = exchange.root().get(&at("policy")).await.is(200);
        assert_eq!(held["properties"][0]["value"], "ann");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hub_administrator_changes_no_plain_user_that_is_being_created() {
    let exchange = TestExchange::start().await;
    let user = |password: &str, admin: bool| json!({"password": password, "admin": admin, "hubAdmin": false, "email": password});
    for number in 0..races() {
        let path = format!("/orgs/A/users/new{number}");
        let attacks = vec![
            request(Method::PATCH, &path, json!({"email": "mal"})),
            request(Method::PATCH, &path, json!({"password": "mal"})),
            request(Method::DELETE, &path, Value::Null),
            request(Method::POST, format!("{path}/apikeys"), json!({"label": "mal"})),
            request(Method::POST, format!("{path}/changepw"), json!({"newPassword": "mal"})),
        ];
        let writes = vec![request(Method::POST, &path, user("ada", false))];
        let (answers, granted) = race(&exchange, ("A/ada", writes), ("root/hub", attacks)).await;
        answers[0].is(201);
        assert_eq!(granted, Vec::<String>::new());
        let name = format!("A/new{number}");
        let held = exchange.root().get(&path).await.is(200)["users"][&name].clone();
        assert_eq!((&held["email"], &held["apikeys"]), (&json!("ada"), &json!([])));
        exchange.session_with(&name, "ada").get(&path).await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn demoted_administrator_writes_nothing_after_its_demotion() {
    let exchange = TestExchange::start().await;
    let user = json!({"password": "pw", "admin": true, "hubAdmin": false, "email": ""});
    exchange.root().post("/orgs/A/users/eve", &user).await.is(201);
    for number in 0..races() {
        exchange.root().patch("/orgs/A/users/eve", &json!({"admin": true})).await.is(201);
        let is_over = Arc::new(AtomicBool::new(false));
        let writers = (1..CONNECTIONS).map(|writer| {
            let (session, is_over) = (exchange.session("A/eve"), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut refused = false;
                for write in 0.. {
                    if is_over.load(Ordering::Relaxed) && refused {
                        break;
                    }
                    let change = json!({"description": format!("{number} {writer} {write}")});
                    refused = session.patch("/orgs/A", &change).await.status.as_u16() == 403;
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        exchange.root().patch("/orgs/A/users/eve", &json!({"admin": false})).await.is(201);
        let after = exchange.root().get("/orgs/A").await.is(200);
        is_over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("no writer fails");
        }
        assert_eq!(exchange.root().get("/orgs/A").await.is(200), after);
    }
}

/// What signs for `A`, and whom its nodes would trust.
struct Signer {
    key: SigningKey,
    clock: SystemClock,
}

impl Signer {
    async fn trusted_by(exchange: &TestExchange) -> Self {
        let signer = Self { key: SigningKey::generate(), clock: SystemClock };
        let ada = exchange.session("A/ada");
        let key = ada.get("/orgs/A/edgepost/stamp-key").await.is(200)["key"].clone();
        let stamp_key = serde_json::from_value(key).expect("a key");
        let org = "A".parse().expect("a name");
        let trust =
            TrustDocument::single_key(org, &signer.key.verifying_key(), &stamp_key, signer.now());
        let payload = serde_json::to_vec(&trust).expect("a document");
        let envelope = Envelope::seal(PayloadType::Trust, payload, &[&signer.key]);
        let envelope = serde_json::to_value(&envelope).expect("an envelope");
        ada.put("/orgs/A/edgepost/trust", &envelope).await.is(201);
        signer
    }

    fn now(&self) -> jiff::Timestamp {
        use edgepost::types::Clock as _;
        self.clock.now()
    }

    /// The publication of a service with this label, with one login.
    fn publication(&self, url: &str, seq: u64, label: &str) -> Value {
        let service = ServiceId {
            org: "A".parse().expect("a name"),
            url: url.parse().expect("a url"),
            version: "1.0.0".parse().expect("a version"),
            arch: "arm".parse().expect("an architecture"),
        };
        let image = format!("r.example/{url}@sha256:{}", "1".repeat(64));
        let deployment = json!({"services": {"main": {"image": image}}}).to_string();
        let definition = json!({
            "label": label, "url": url, "version": "1.0.0", "arch": "arm", "public": false,
            "sharable": "multiple", "requiredServices": [], "deployment": deployment,
        });
        let body = json!({"definition": definition, "images": []});
        let (org, issued) = (service.org.clone(), self.now());
        let header =
            Header { org, subject: (&service).into(), epoch: 0, seq, issued, state: State::Active };
        let envelope = Statement { header, body: &body }.seal(&[&self.key]).expect("it is signed");
        json!({"envelope": envelope, "credentials":
            [{"registry": "r.example", "username": "ann", "token": "t"}]})
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn signed_publish_keeps_its_owner_and_its_pull_credentials() {
    let exchange = TestExchange::start().await;
    let signer = Signer::trusted_by(&exchange).await;
    let mut lost = 0;
    for number in 0..races() {
        let url = format!("s{number}");
        let path = format!("/orgs/A/services/{url}_1.0.0_arm");
        let at = |part: &str| format!("{path}/{part}");
        let login = json!({"registry": "m.example", "username": "mal", "token": "mal"});
        let attacks = vec![
            request(Method::POST, "/orgs/A/services", service("mal", &url)),
            request(Method::PUT, &path, service("mal", &url)),
            request(Method::DELETE, at("dockauths"), Value::Null),
            request(Method::POST, at("dockauths"), login),
            request(Method::PUT, at("keys/mal"), json!("mal")),
            request(Method::DELETE, &path, Value::Null),
        ];
        let publish = |seq: u64| {
            let body = signer.publication(&url, seq, &format!("ann{seq}"));
            request(Method::POST, "/orgs/A/edgepost/publish", body)
        };
        let writes = vec![publish(1), publish(2)];
        let (answers, _) = race(&exchange, ("A/ann", writes), ("A/mal", attacks)).await;
        for answer in answers {
            answer.is(201);
        }
        let held = exchange.root().get(&path).await.is(200);
        let held = &held["services"][format!("A/{url}_1.0.0_arm")];
        assert_eq!((&held["owner"], &held["label"]), (&json!("A/ann"), &json!("ann2")));
        let logins = exchange.root().get(&at("dockauths")).await.json();
        let logins = logins.as_array().cloned().unwrap_or_default();
        let names: Vec<_> = logins.iter().map(|login| login["username"].clone()).collect();
        lost += usize::from(names != ["ann"]);
        assert_eq!(names, ["ann"], "{path}");
        exchange.root().get(&at("keys")).await.is(404);
    }
    record_bound(
        11,
        "a plain user writes and deletes on 11 connections while another publishes what is signed",
        "0 pull credentials lost",
        lost,
    );
}
