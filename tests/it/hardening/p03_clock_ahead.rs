//! Clocks that run ahead: on the exchange, and on an administrator's machine.

use std::{fs, path::Path, sync::Arc, time::Duration};

use edgepost::{
    agent::{Agent, AgentConfig, End, EngineChoice, Outcome},
    exchange::api::ServiceState,
    sign::{Envelope, SigningKey},
    trust::{Stamp, Trust, TrustPin},
    types::{Arch, Clock as _, ManualClock, SystemClock},
};
use jiff::{SignedDuration, Timestamp};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::record_bound;
use crate::support::{
    enemy::Enemy,
    hub::Hub,
    image::{pattern, publish_hello, publish_pattern, write},
    node::Node,
    publisher::{self, wait},
    thief,
};

/// How far the exchange's clock was ahead once.
const SPANS: [SignedDuration; 2] =
    [SignedDuration::from_hours(3 * 24), SignedDuration::from_hours(3650 * 24)];

fn now() -> Timestamp {
    SystemClock.now()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

fn id(version: &str) -> String {
    format!("hello_{version}_{}", Arch::of_this_machine())
}

fn publish(hub: &Hub, version: &str) {
    publish_hello(hub, version, 1000, &[]).good();
    publish_pattern(hub, version);
}

fn stamp_key(hub: &Hub) -> SigningKey {
    let pem = fs::read_to_string(hub.data().join("stamp-key.pem")).unwrap();
    SigningKey::from_pem(&pem).unwrap()
}

/// A hub, and a node that runs version 1.0.0 and reaches it through a proxy.
struct Lab {
    _folder: tempfile::TempDir,
    hub: Hub,
    enemy: Enemy,
    node: Node,
}

impl Lab {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::start(folder.path());
        publish(&hub, "1.0.0");
        let enemy = Enemy::before(hub.address());
        let pattern = ["--pattern", "hello-everywhere"];
        let node = Node::register_at(&hub, enemy.address(), "n1", &pattern);
        let lab = Self { _folder: folder, hub, enemy, node };
        assert_eq!(running(&lab.pass(now())), [id("1.0.0")]);
        lab
    }

    /// Starts the agent with its clock at `moment`, for one pass.
    fn pass(&self, moment: Timestamp) -> Outcome {
        wait(async {
            let config = AgentConfig::new(self.node.data())
                .engine(EngineChoice::None)
                .watch(Duration::from_millis(20))
                .clock(Arc::new(ManualClock::starting_at(moment)));
            Agent::open(config).await.unwrap().run_once().await
        })
    }

    /// The exchange makes one stamp by a clock that is `span` ahead; the proxy shows it until it repents.
    fn stamp_once_ahead(&self, span: SignedDuration) -> Stamp {
        let stamp = ahead(thief::stamp(&self.hub), 1, span);
        let envelope = stamp.seal(&stamp_key(&self.hub)).to_json();
        put_stamp(&self.hub.data(), &stamp, &envelope);
        self.enemy.says("/edgepost/stamp", &envelope);
        stamp
    }

    /// A node without a clock has taken a stamp that is `span` ahead. With the right clock it refuses what follows.
    fn frozen(span: SignedDuration) -> Self {
        let lab = Self::start();
        let stamp = lab.stamp_once_ahead(span);
        let outcome = lab.pass(Timestamp::UNIX_EPOCH);
        assert_eq!((outcome.end, outcome.status.stamp_seq), (End::Settled, stamp.seq));
        lab.enemy.repents();
        publish(&lab.hub, "2.0.0");
        assert_refused(&lab.pass(now()), "freeze", "1.0.0");
        lab
    }

    /// The root keys make a next version of the trust by `command`.
    fn change_trust(&self, command: &str) {
        let arguments = ["trust", command, "--trust-sha256", &self.hub.pin];
        self.hub.publisher.run(&arguments).good();
    }

    /// The node, with the right clock, takes what was published last.
    fn assert_recovered(&self, version: &str) {
        let outcome = self.pass(now());
        assert_eq!((outcome.end, running(&outcome)), (End::Settled, vec![id(version)]));
    }
}

/// The same stamp, `steps` numbers later, of a clock that is `span` ahead.
fn ahead(stamp: Stamp, steps: u64, span: SignedDuration) -> Stamp {
    let (issued, expires) = (stamp.issued + span, stamp.expires + span);
    Stamp { seq: stamp.seq + steps, issued, expires, ..stamp }
}

/// Makes `stamp` the newest in the exchange's database.
fn put_stamp(data: &Path, stamp: &Stamp, envelope: &[u8]) {
    let options = SqliteConnectOptions::new().filename(data.join("exchange.db"));
    wait(async {
        let mut database = options.connect().await.unwrap();
        let sql = "UPDATE stamps SET seq = $1, issued = $2, envelope = $3 WHERE org = 'acme'";
        sqlx::query(sql)
            .bind(stamp.seq.cast_signed())
            .bind(stamp.issued.as_millisecond())
            .bind(envelope)
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
    });
}

fn running(outcome: &Outcome) -> Vec<String> {
    let services = outcome.status.services.iter();
    let running = services.filter(|it| it.state == ServiceState::Running);
    running.map(|it| it.service.exchange_id()).collect()
}

/// Nothing new was taken, for this reason, and `version` runs on.
#[track_caller]
fn assert_refused(outcome: &Outcome, attack: &str, version: &str) {
    let names: Vec<_> = outcome.status.refusals.iter().map(|it| it.attack.as_str()).collect();
    assert_eq!((outcome.end, names), (End::Refused, vec![attack]), "{outcome:?}");
    assert_eq!(running(outcome), [id(version)]);
}

#[test]
fn node_with_the_right_clock_refuses_a_stamp_of_the_future_and_goes_on() {
    let lab = Lab::start();
    for (version, span) in [("2.0.0", SPANS[0]), ("3.0.0", SPANS[1])] {
        let before = running(&lab.pass(now()));
        publish(&lab.hub, version);
        lab.stamp_once_ahead(span);
        let outcome = lab.pass(now());
        assert_eq!((outcome.end, running(&outcome)), (End::Refused, before));
        assert_eq!(outcome.status.refusals[0].attack, "fast-forward", "{outcome:?}");
        let words = &outcome.status.refusals[0].detail;
        assert!(words.contains("ahead of the clock here"), "{words}");
        lab.enemy.repents();
        lab.assert_recovered(version);
    }
    record_bound(3, "an exchange once 3 days or 10 years ahead", "0 nodes frozen", "0 of 2");
}

#[test]
fn clock_difference_within_the_tolerance_freezes_nothing() {
    let lab = Lab::start();
    let stamp = lab.stamp_once_ahead(hours(11));
    assert_eq!(lab.pass(now()).status.stamp_seq, stamp.seq);
    // From there no second step is taken.
    lab.stamp_once_ahead(hours(22));
    assert_refused(&lab.pass(now()), "fast-forward", "1.0.0");
    lab.enemy.repents();
    publish(&lab.hub, "2.0.0");
    lab.assert_recovered("2.0.0");
}

#[test]
fn renewed_trust_recovers_a_node_whose_clock_floor_is_in_the_future() {
    for span in SPANS {
        let lab = Lab::frozen(span);
        lab.change_trust("renew");
        lab.assert_recovered("2.0.0");
    }
}

#[test]
fn registering_again_recovers_a_node_whose_clock_floor_is_in_the_future() {
    for span in SPANS {
        let lab = Lab::frozen(span);
        let register = ["agent", "register", "--pattern", "hello-everywhere"];
        lab.node.program.run(&[&register[..], &["--trust-sha256", &lab.hub.pin]].concat()).good();
        lab.assert_recovered("2.0.0");
    }
}

#[test]
fn new_stamp_key_recovers_a_node_from_a_stamp_of_a_stolen_key() {
    for span in SPANS {
        let mut lab = Lab::start();
        let stolen = stamp_key(&lab.hub);
        let forged = ahead(thief::stamp(&lab.hub), 1 << 40, span);
        lab.enemy.says("/edgepost/stamp", forged.seal(&stolen).to_json());
        assert_refused(&lab.pass(now()), "fast-forward", "1.0.0");
        assert_eq!(lab.pass(Timestamp::UNIX_EPOCH).status.stamp_seq, forged.seq);
        lab.enemy.repents();
        publish(&lab.hub, "2.0.0");
        assert_refused(&lab.pass(now()), "freeze", "1.0.0");
        // The floor falls with each newer trust, the numbers only with the key.
        lab.change_trust("renew");
        assert_refused(&lab.pass(now()), "rollback", "1.0.0");

        lab.hub.kill();
        let pem = SigningKey::generate().to_pem();
        fs::write(lab.hub.data().join("stamp-key.pem"), pem.as_bytes()).unwrap();
        lab.hub.restart();
        lab.change_trust("stamp-key");
        lab.assert_recovered("2.0.0");
    }
    record_bound(3, "one far-future stamp of a stolen key", "recovers by stamp-key", "2 of 2");
}

/// The next version of the trust, signed by an administrator whose clock is `span` ahead.
fn trust_ahead(hub: &Hub, span: SignedDuration) -> Envelope {
    let (status, first) = hub.get("/v1/orgs/acme/edgepost/trust/1");
    assert_eq!(status, 200);
    let first = Envelope::from_json(&first).unwrap();
    let trust = Trust::pinned(&first, &TrustPin(first.digest())).unwrap();
    trust.document().next(now() + span).seal(&[&publisher::key(hub)]).unwrap()
}

#[test]
fn trust_of_the_future_freezes_no_node_for_good() {
    let lab = Lab::start();
    let trust = trust_ahead(&lab.hub, hours(300 * 24));
    let body = serde_json::from_slice(&trust.to_json()).unwrap();
    let (status, answer) = lab.hub.put("/v1/orgs/acme/edgepost/trust", &body);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(status >= 400 && answer.contains("ahead of the clock here"), "{status} {answer}");

    // An older exchange has taken it.
    thief::follow(&lab.hub.data(), 2, &trust);
    publish(&lab.hub, "2.0.0");
    assert_refused(&lab.pass(now()), "fast-forward", "1.0.0");
    assert_eq!(running(&lab.pass(Timestamp::UNIX_EPOCH)), [id("2.0.0")]);
    publish(&lab.hub, "3.0.0");
    assert_refused(&lab.pass(now()), "freeze", "2.0.0");
    lab.change_trust("renew");
    lab.assert_recovered("3.0.0");
}

#[test]
fn commands_that_sign_refuse_a_clock_that_is_not_the_exchanges() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish(&hub, "1.0.0");
    let enemy = Enemy::before(hub.address());
    let url = format!("http://{}/v1", enemy.address());
    let program = hub.publisher.with("EDGEPOST_EXCHANGE_URL", url);
    let file = write(&hub, "other.json", &pattern("1.0.0"));
    let renew = ["trust", "renew", "--trust-sha256", &hub.pin];
    program.run(&[&renew[..], &["--draft", "next.draft.json"]].concat()).good();

    // Seen from the exchange, this machine is 300 days ahead, or behind.
    for date in [now() - hours(300 * 24), now() + hours(300 * 24)] {
        let year = date.strftime("%Y-%m-%d").to_string();
        enemy.dates(Some(&date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
        for arguments in [
            &renew[..],
            &["pattern", "publish", &file],
            &["service", "remove", &id("1.0.0"), "--force"],
            &["trust", "publish", "next.draft.json"],
        ] {
            let refused = program.run(arguments).failed(8, "E0804");
            assert!(refused.stderr.contains(&year), "{}", refused.stderr);
            let here = now().strftime("%Y-%m-%d").to_string();
            assert!(refused.stderr.contains(&here), "{}", refused.stderr);
        }
    }
    assert_eq!(hub.get("/v1/orgs/acme/edgepost/trust/2").0, 404);

    enemy.dates(None);
    program.run(&["trust", "publish", "next.draft.json"]).good();
    assert_eq!(hub.get("/v1/orgs/acme/edgepost/trust/2").0, 200);
}
