//! Nodes whose clocks are wrong, and nodes that hear nothing for weeks: real agents of a real hub, whose time the
//! story tells. What has ended is never taken, and what ran goes on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use edgepost::{
    agent::{Agent, AgentConfig, End, EngineChoice, Outcome},
    exchange::api::ServiceState,
    trust::Stamp,
    types::{Arch, Clock, ManualClock, SystemClock},
};
use jiff::{SignedDuration, Timestamp};

use crate::support::{
    enemy::Enemy,
    hub::Hub,
    image::{publish_hello, publish_pattern},
    node::Node,
    publisher::wait,
    thief,
};

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn id(version: &str) -> String {
    format!("hello_{version}_{}", Arch::of_this_machine())
}

/// A node of version 1, and somebody who shows it the day of version 1 for ever.
struct Story {
    _folder: tempfile::TempDir,
    hub: Hub,
    enemy: Enemy,
    node: Node,
    /// What was honestly said on that day.
    old: (Vec<u8>, String, Vec<u8>),
}

impl Story {
    fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::start(folder.path());
        publish_hello(&hub, "1.0.0", 1000, &[]).good();
        publish_pattern(&hub, "1.0.0");
        let enemy = Enemy::before(hub.address());
        let pattern = ["--pattern", "hello-everywhere"];
        let node = Node::register_at(&hub, enemy.address(), "n1", &pattern);
        node.settle().good();
        publish_hello(&hub, "2.0.0", 1000, &[]).good();
        publish_pattern(&hub, "2.0.0");
        let stamp: Stamp = thief::stamp(&hub);
        let catalog = format!("/edgepost/catalog/{}", stamp.catalog.version);
        let ask = |end: &str| hub.get(&format!("/v1/orgs/acme{end}")).1;
        let old = (ask("/edgepost/stamp"), catalog.clone(), ask(&catalog));
        Self { _folder: folder, hub, enemy, node, old }
    }

    /// From now on the exchange seems to be as it was when version 2 was new, and hides what came after.
    fn stands_still(&self) {
        self.enemy.says("/edgepost/stamp", &self.old.0);
        self.enemy.says(&self.old.1, &self.old.2);
    }

    /// Starts the agent as after a reboot, and lets it do one pass.
    fn reboots(&self, clock: impl Clock + 'static) -> Outcome {
        wait(async {
            let config = AgentConfig::new(self.node.data())
                .engine(EngineChoice::None)
                .watch(std::time::Duration::from_millis(50))
                .clock(Arc::new(clock));
            Agent::open(config).await.unwrap().run_once().await
        })
    }

    /// The same at one moment.
    fn reboots_at(&self, moment: Timestamp) -> Outcome {
        self.reboots(ManualClock::starting_at(moment))
    }
}

fn running(outcome: &Outcome) -> Vec<String> {
    let services = outcome.status.services.iter();
    let running = services.filter(|it| it.state == ServiceState::Running);
    running.map(|it| it.service.exchange_id()).collect()
}

/// Nothing new was taken, for this reason, and version `version` goes on.
#[track_caller]
fn refused(outcome: &Outcome, attack: &str, version: &str) {
    let names: Vec<_> = outcome.status.refusals.iter().map(|it| it.attack.as_str()).collect();
    assert_eq!((outcome.end, names), (End::Refused, vec![attack]), "{outcome:?}");
    assert_eq!(running(outcome), [id(version)]);
}

#[test]
fn a_clock_ten_years_slow_takes_nothing_that_has_ended() {
    let story = Story::begin();
    let slow = now() - YEAR * 10;
    let outcome = story.reboots_at(slow);
    assert_eq!(running(&outcome), [id("2.0.0")], "what is fresh is fresh by any slow clock");
    // A stamp that had ended before the newest thing that the node has seen.
    story.enemy.says("/edgepost/stamp", ended(&story.hub));
    for moment in [slow, Timestamp::UNIX_EPOCH, Timestamp::MIN] {
        refused(&story.reboots_at(moment), "freeze", "2.0.0");
    }
    println!("clock 10 years slow, at 1970, and before all time: 0 stale accepted, 0 stopped");
}

/// A stamp as the exchange made it two days ago, by the number the newest.
fn ended(hub: &Hub) -> Vec<u8> {
    ended_before(hub, hours(48))
}

/// The same of a longer time ago.
fn ended_before(hub: &Hub, age: SignedDuration) -> Vec<u8> {
    let pem = std::fs::read_to_string(hub.data().join("stamp-key.pem")).unwrap();
    let mut stamp = thief::stamp(hub);
    stamp.seq += 1;
    (stamp.issued, stamp.expires) = (stamp.issued - age, stamp.expires - age);
    stamp.seal(&edgepost::sign::SigningKey::from_pem(&pem).unwrap()).to_json()
}

#[test]
fn a_node_without_a_clock_begins_with_nothing_older_than_its_own_program() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let enemy = Enemy::before(hub.address());
    let node = Node::register_at(&hub, enemy.address(), "n1", &["--pattern", "hello-everywhere"]);
    // What a thief of the online key could have kept, or made, of the year before.
    enemy.says("/edgepost/stamp", ended_before(&hub, YEAR));
    let story = Story { _folder: folder, hub, enemy, node, old: Default::default() };
    for moment in [Timestamp::UNIX_EPOCH, Timestamp::MIN] {
        let outcome = story.reboots_at(moment);
        assert_eq!((outcome.end, running(&outcome).len()), (End::Refused, 0), "{outcome:?}");
        assert_eq!(outcome.status.refusals[0].attack, "freeze");
    }
    story.enemy.repents();
    assert_eq!(running(&story.reboots_at(Timestamp::UNIX_EPOCH)), [id("1.0.0")]);
    println!("no clock, first contact: 0 stale accepted");
}

#[test]
fn a_clock_ten_years_fast_stops_nothing_and_a_right_one_goes_on() {
    let story = Story::begin();
    for _ in 0..3 {
        refused(&story.reboots_at(now() + YEAR * 10), "freeze", "1.0.0");
    }
    assert_eq!(running(&story.reboots_at(now())), [id("2.0.0")], "it has left no trace");
    println!("clock 10 years fast: 0 stale accepted, 0 stopped");
}

/// A clock that is another at each look.
#[derive(Debug)]
struct Jumping(Vec<Timestamp>, AtomicUsize);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.0[self.1.fetch_add(1, Ordering::SeqCst) % self.0.len()]
    }
}

#[test]
fn a_clock_that_jumps_in_the_middle_of_an_update_harms_nothing() {
    let right = now();
    let far = [right - YEAR * 10, right + YEAR * 10, right, Timestamp::UNIX_EPOCH];
    for first in 0..far.len() {
        let story = Story::begin();
        let outcome = story.reboots(Jumping(far.to_vec(), AtomicUsize::new(first)));
        let ran = running(&outcome);
        assert!(ran == [id("1.0.0")] || ran == [id("2.0.0")], "{ran:?}");
        story.enemy.says("/edgepost/stamp", ended(&story.hub));
        let outcome = story.reboots(Jumping(far.to_vec(), AtomicUsize::new(first)));
        assert_eq!(running(&outcome), ran, "nothing has ended, nothing stale was taken");
        assert_eq!(outcome.end, End::Refused);
        story.enemy.repents();
        assert_eq!(running(&story.reboots_at(right)), [id("2.0.0")]);
    }
    println!("clock that jumps in mid-update, 4 ways: 0 stale accepted, 0 stopped");
}

#[test]
fn thirty_days_without_the_exchange_and_twenty_reboots_change_nothing() {
    let story = Story::begin();
    let (begin, mut up, mut installed) = (now(), 0, 0);
    let look = |outcome: &Outcome, up: &mut i32, installed: &mut i32| {
        let ran = running(outcome);
        *up += i32::from(ran == [id("1.0.0")]);
        *installed += i32::from(ran.contains(&id("2.0.0")));
    };
    for reboot in 1..=20_i64 {
        let moment = begin + hours(36 * reboot);
        // Away, or shown as it was on the first day: version 2, which the node has never heard of.
        if reboot % 2 == 0 {
            story.enemy.fails("", "500 Internal Server Error");
            let outcome = story.reboots_at(moment);
            assert_eq!(outcome.end, End::Away);
            assert!(outcome.status.stale_since.is_some());
            look(&outcome, &mut up, &mut installed);
        } else {
            story.stands_still();
            let outcome = story.reboots_at(moment);
            refused(&outcome, "freeze", "1.0.0");
            look(&outcome, &mut up, &mut installed);
        }
        story.enemy.repents();
    }
    println!("30 days and 20 reboots without news: up after {up} of 20, {installed} new installs");
    assert_eq!((up, installed), (20, 0));
    assert_eq!(running(&story.reboots_at(begin)), [id("2.0.0")], "the exchange is back");
}
