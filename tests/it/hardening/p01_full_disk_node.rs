//! A full disk under a node: rollback state in memory and on disk stay the same.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use edgepost::{
    agent::{Agent, AgentConfig, End, EngineChoice, Outcome},
    exchange::api::ServiceState,
    types::{Arch, SystemClock},
};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tokio::runtime::Runtime;

use super::record_bound;
use crate::support::{
    disk::SmallDisk,
    enemy::Enemy,
    hub::Hub,
    image::{publish_hello, publish_pattern},
    node::Node,
    program::Running,
    publisher::wait,
    thief,
};

/// The size of the node's disk in KiB: an agent leaves the last 64 MiB to others when it pulls.
const DISK: u64 = 80 << 10;

/// How long something that happens by itself may take on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn id(version: &str) -> String {
    format!("hello_{version}_{}", Arch::of_this_machine())
}

/// What the exchange says of its newest state: a copy to show later.
struct ExchangeCopy {
    seq: u64,
    stamp: Vec<u8>,
    catalog: (String, Vec<u8>),
}

impl ExchangeCopy {
    fn of(hub: &Hub) -> Self {
        let stamp = thief::stamp(hub);
        let path = format!("/edgepost/catalog/{}", stamp.catalog.version);
        let get = |end: &str| hub.get(&format!("/v1/orgs/acme{end}")).1;
        Self { seq: stamp.seq, stamp: get("/edgepost/stamp"), catalog: (path.clone(), get(&path)) }
    }

    fn show(&self, enemy: &Enemy) {
        enemy.says("/edgepost/stamp", &self.stamp);
        enemy.says(&self.catalog.0, &self.catalog.1);
    }
}

/// A hub, and a node that reaches it through a proxy and keeps its data on a small disk.
struct Lab {
    _folder: tempfile::TempDir,
    hub: Hub,
    enemy: Enemy,
    node: Node,
    disk: SmallDisk,
    /// Runs agents within the test, which keep their connections from pass to pass.
    runtime: Runtime,
}

impl Lab {
    /// A node that runs version 1.0.0; none where no disk can be mounted.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let disk = SmallDisk::at(&folder.path().join("n1/data"), DISK)?;
        let hub = Hub::start(folder.path());
        publish(&hub, "1.0.0");
        let enemy = Enemy::before(hub.address());
        let pattern = ["--pattern", "hello-everywhere"];
        let node = Node::register_at(&hub, enemy.address(), "n1", &pattern);
        node.settle().good();
        assert_eq!(node.services(), [format!("acme/{}", id("1.0.0"))]);
        let runtime = Runtime::new().unwrap();
        Some(Self { _folder: folder, hub, enemy, node, disk, runtime })
    }

    fn seq_on_disk(&self) -> u64 {
        seq_on_disk(&self.node.data())
    }

    fn agent(&self) -> Agent {
        let config = AgentConfig::new(self.node.data())
            .engine(EngineChoice::None)
            .watch(Duration::from_millis(20))
            .clock(Arc::new(SystemClock));
        self.runtime.block_on(Agent::open(config)).unwrap()
    }
}

fn publish(hub: &Hub, version: &str) {
    publish_hello(hub, version, 1000, &[]).good();
    publish_pattern(hub, version);
}

/// The number of the newest stamp in the node's file.
fn seq_on_disk(data: &Path) -> u64 {
    let options = SqliteConnectOptions::new().filename(data.join("marks.db"));
    let marks: String = wait(async {
        let mut database = options.connect().await.unwrap();
        let marks = sqlx::query_scalar("SELECT marks FROM counters");
        let marks = marks.fetch_one(&mut database).await.unwrap();
        database.close().await.unwrap();
        marks
    });
    let marks: Value = serde_json::from_str(&marks).unwrap();
    marks["stamp_seq"].as_u64().unwrap()
}

fn running(outcome: &Outcome) -> BTreeSet<String> {
    let services = outcome.status.services.iter();
    let running = services.filter(|it| it.state == ServiceState::Running);
    running.map(|it| it.service.exchange_id()).collect()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what} has not come about");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The disk is full while something is published, and has room again; the agent ends in one way or another.
fn older_exchange_is_refused_after(end: impl FnOnce(Running)) {
    let Some(lab) = Lab::start() else { return };
    let old = ExchangeCopy::of(&lab.hub);
    let agent = lab.node.start();
    wait_until("a pass", || {
        fs::read_to_string(lab.node.log()).unwrap().contains("a pass has ended")
    });
    lab.disk.fill_up_to(0);
    publish(&lab.hub, "2.0.0");
    wait_until("a failure that names the full disk", || {
        fs::read_to_string(lab.node.log()).unwrap().contains("the disk is full")
    });
    assert_eq!(lab.node.services(), [format!("acme/{}", id("1.0.0"))], "what ran goes on");
    assert_eq!(lab.node.status()["stamp_seq"], lab.seq_on_disk());

    lab.disk.free();
    let newest = thief::stamp(&lab.hub).seq;
    wait_until("the newest state in the status", || lab.node.status()["stamp_seq"] == newest);
    assert_eq!(lab.seq_on_disk(), newest);
    lab.node.wait_for(&[&format!("acme/{}", id("2.0.0"))]);
    end(agent);

    assert!(old.seq < newest);
    old.show(&lab.enemy);
    let refused = lab.node.settle().failed(8, "E0800");
    assert!(refused.stderr.contains("rollback"), "{}", refused.stderr);
    assert_eq!(lab.node.services(), [format!("acme/{}", id("2.0.0"))]);
    assert_eq!(lab.seq_on_disk(), newest);
}

#[test]
fn older_exchange_is_refused_after_full_disk_and_sigterm() {
    older_exchange_is_refused_after(|agent| assert_eq!(agent.stop(), 0));
}

#[test]
fn older_exchange_is_refused_after_full_disk_and_sigkill() {
    older_exchange_is_refused_after(Running::kill);
}

#[test]
fn agent_started_on_full_disk_names_it_and_changes_nothing() {
    let Some(lab) = Lab::start() else { return };
    publish(&lab.hub, "2.0.0");
    lab.disk.fill_up_to(0);
    let failed = lab.node.settle().failed(1, "E0100");
    assert!(failed.stderr.contains("the disk is full"), "{}", failed.stderr);
    assert_eq!(lab.node.services(), [format!("acme/{}", id("1.0.0"))]);
    assert_eq!(lab.node.status()["stamp_seq"], lab.seq_on_disk());
    lab.disk.free();
    lab.node.settle().good();
    assert_eq!(lab.node.services(), [format!("acme/{}", id("2.0.0"))]);
}

/// How often the disk becomes full in the random test; `EDGEPOST_TEST_FULL_DISKS` changes it.
const FULL_DISKS: u64 = 6;

fn full_disks() -> u64 {
    std::env::var("EDGEPOST_TEST_FULL_DISKS").map_or(FULL_DISKS, |it| it.parse().unwrap())
}

/// Numbers that are the same in each run (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// What became of all runs.
#[derive(Debug, Default)]
struct Tally {
    /// Passes that could not keep the newest state, and said why.
    full: u64,
    /// Passes in which status and file disagreed.
    untrue: u64,
    /// Restarts after which an older state was taken.
    rollbacks: u64,
    /// Nodes that did not reach the newest state once there was room.
    stuck: u64,
}

#[test]
fn no_rollback_is_accepted_after_disks_were_full_at_random_points() {
    let Some(lab) = Lab::start() else { return };
    let runs = full_disks();
    let (mut tally, mut numbers) = (Tally::default(), Numbers(runs));
    let mut older = ExchangeCopy::of(&lab.hub);
    for run in 1..=runs {
        let old = ExchangeCopy::of(&lab.hub);
        let version = format!("1.0.{run}");
        publish(&lab.hub, &version);
        let shown = if numbers.below(2) == 0 { &older } else { &old };
        run_once(&lab, &version, shown, &mut numbers, &mut tally);
        older = old;
    }
    println!("{runs} runs: {tally:?}");
    assert!(tally.full > runs / 4, "the disk was hardly ever full: {tally:?}");
    assert_eq!((tally.untrue, tally.rollbacks, tally.stuck), (0, 0, 0));
    let figure = format!("{} rollbacks, {} stuck in {runs} runs", tally.rollbacks, tally.stuck);
    record_bound(1, "a node's disk becomes full at a random point", "0 rollbacks, 0 stuck", figure);
}

/// One disk that is full while `version` arrives, free space, a restart, and an older exchange.
fn run_once(
    lab: &Lab,
    version: &str,
    old: &ExchangeCopy,
    numbers: &mut Numbers,
    tally: &mut Tally,
) {
    let newest = thief::stamp(&lab.hub).seq;
    let mut acted_on = lab.seq_on_disk();
    let mut pass = |agent: &mut Agent, tally: &mut Tally| {
        let outcome = lab.runtime.block_on(agent.run_once());
        let seq = outcome.status.stamp_seq;
        tally.untrue += u64::from(seq != lab.seq_on_disk());
        tally.untrue += u64::from(running(&outcome).contains(&id(version)) && seq != newest);
        acted_on = acted_on.max(seq);
        outcome
    };
    let mut agent = lab.agent();
    for _ in 0..=numbers.below(3) {
        // A commit needs some 6 pages: for the first ones of its journal, for all of it, or for the database as well.
        lab.disk.fill_up_to(numbers.below(8) * 4096);
        let outcome = pass(&mut agent, tally);
        let mut problems = outcome.status.problems.iter();
        tally.full += u64::from(problems.any(|it| it.contains("the disk is full")));
    }
    lab.disk.free();
    // The same process goes on, or it has ended before there was room.
    if numbers.below(4) > 0 {
        let outcome = pass(&mut agent, tally);
        tally.stuck += u64::from(outcome.end != End::Settled || outcome.status.stamp_seq != newest);
    }
    drop(agent);

    old.show(&lab.enemy);
    let mut agent = lab.agent();
    let outcome = lab.runtime.block_on(agent.run_once());
    tally.rollbacks += u64::from(outcome.status.stamp_seq < acted_on);
    tally.rollbacks += u64::from(old.seq < acted_on && outcome.end != End::Refused);
    lab.enemy.repents();
    let outcome = lab.runtime.block_on(agent.run_once());
    tally.stuck += u64::from(outcome.status.stamp_seq != newest);
    tally.stuck += u64::from(!running(&outcome).contains(&id(version)));
}
