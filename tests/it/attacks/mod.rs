//! Attacks by name: a folder for each, whose `expected.txt` says for which refusal, or error code, it must be
//! refused. In each a real agent meets a real exchange in the hands of somebody hostile; the refusal is named by
//! the agent, reported, shown here and from afar, nothing that ran stops, and afterwards the node goes on.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use self::scene::{Scene, Stage, service};
use crate::support::{hub::Hub, program::Outcome};

mod lying;
mod middle;
mod scene;
mod split_view;
mod thefts;

/// How many attacks are on at once; most of the time each waits for its node to see that a service stays up.
const AT_ONCE: usize = 8;

/// An attack, by the name of its folder.
struct Attack {
    name: &'static str,
    stage: Stage,
    /// Brings the node to where the attack finds it, and begins the attack.
    begin: fn(&Scene),
    /// What whoever is attacked does.
    meet: fn(&Scene) -> Outcome,
    /// Whether that is the agent of a registered node.
    meets_agent: bool,
    /// Ends the attack, and puts right what it has done.
    end: fn(&Scene),
}

impl Attack {
    /// By somebody between the node and the exchange; it ends with the honest exchange.
    const fn new(name: &'static str, begin: fn(&Scene)) -> Self {
        let meet = |scene: &Scene| scene.settle();
        let end = |scene: &Scene| scene.enemy.repents();
        Self { name, stage: Stage::Shared, begin, meet, meets_agent: true, end }
    }

    /// The same against an organization of its own, which `end` puts right.
    const fn on_its_own(name: &'static str, begin: fn(&Scene), end: fn(&Scene)) -> Self {
        Self { stage: Stage::Own, end, ..Self::new(name, begin) }
    }

    /// The same against somebody who registers a node.
    const fn at_the_door(
        name: &'static str,
        begin: fn(&Scene),
        meet: fn(&Scene) -> Outcome,
    ) -> Self {
        Self { meet, meets_agent: false, ..Self::new(name, begin) }
    }

    fn judged(&self, shared: &Hub, expected: &str) {
        match self.stage {
            Stage::Shared => self.judged_in(&Scene::on(shared, self.name), expected),
            Stage::Own => {
                let folder = tempfile::tempdir().unwrap();
                let mut hub = Hub::start(folder.path());
                Scene::set(&hub);
                let running = hub.take_running();
                let scene = Scene::on(&hub, self.name);
                scene.own(running);
                self.judged_in(&scene, expected);
            }
        }
    }

    fn judged_in(&self, scene: &Scene, expected: &str) {
        let name = self.name;
        (self.begin)(scene);
        let ran = scene.node.services();

        let told = (self.meet)(scene);

        let all = format!("{name}: {}\n{}", told.stdout, told.stderr);
        let exit = if is_code(expected) { &expected[1..3] } else { "08" };
        assert_eq!(format!("{:02}", told.code), exit, "{all}");
        assert!(all.contains(expected) && !all.contains("panicked"), "no {expected}: {all}");
        assert!(told.memory < 300_000, "{name}: {} KiB", told.memory);
        assert_eq!(scene.node.services(), ran, "{name}: what ran goes on");
        assert!(!ran.is_empty(), "{name}: nothing ran");
        if self.meets_agent {
            shown_everywhere(name, scene, expected);
        }

        (self.end)(scene);
        scene.settle().good();
        assert_eq!(scene.node.services(), [service("2.0.0")], "{name}: the node goes on");
        assert_eq!(refused(&scene.status()), [""; 0], "{name}");
        assert_eq!(scene.listed()["refuses"], Value::Null, "{name}");
    }
}

/// Whether the node and the exchange both say by name what was refused.
#[track_caller]
fn shown_everywhere(name: &str, scene: &Scene, expected: &str) {
    let status = scene.status();
    let words = scene.node.program.run(&["agent", "status"]).good().stdout;
    if is_code(expected) {
        assert!(status["stale_since"].is_string(), "{name}: {status}");
        assert!(words.contains("stale since") && words.contains("problem  "), "{name}: {words}");
        return;
    }
    assert_eq!(refused(&status), [expected], "{name}: {status}");
    assert!(words.contains(&format!("refused  {expected} ")), "{name}: {words}");
    let shown = scene.hub.publisher.run(&["node", "show", name]).good().json();
    assert_eq!(refused(&shown["report"]), [expected], "{name}: {shown}");
    assert_eq!(scene.listed()["refuses"][0], expected, "{name}");
    let list = scene.hub.publisher.run(&["node", "list"]).good().stdout;
    let line = list.lines().find(|line| line.contains(&format!("acme/{name} "))).unwrap();
    assert!(line.trim_end().ends_with(expected), "{name}: {line}");
}

/// The names of what was refused, in a status or a report.
fn refused(account: &Value) -> Vec<&str> {
    let refusals = account["refusals"].as_array().map_or(&[][..], Vec::as_slice);
    refusals.iter().filter_map(|it| it["attack"].as_str()).collect()
}

fn is_code(expected: &str) -> bool {
    expected.starts_with('E')
}

/// The folders beside this file, and what is expected of each.
fn folders() -> BTreeMap<String, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/attacks");
    let entries = fs::read_dir(here).unwrap().map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.is_dir());
    folders
        .map(|folder| {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let expected = fs::read_to_string(folder.join("expected.txt"))
                .unwrap_or_else(|error| panic!("attack {name} has no expected.txt: {error}"));
            (name, expected.trim().to_owned())
        })
        .collect()
}

#[test]
fn every_attack_has_a_folder_and_is_refused_by_the_name_that_stands_there() {
    let attacks: Vec<_> = middle::ATTACKS.iter().chain(thefts::ATTACKS).collect();
    let expected = folders();
    let mut names: Vec<_> = attacks.iter().map(|it| it.name).collect();
    names.sort_unstable();
    assert_eq!(expected.keys().collect::<Vec<_>>(), names, "folders and attacks differ");

    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    Scene::set(&hub);
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let judge = || {
            while let Some(attack) = attacks.get(next.fetch_add(1, Ordering::SeqCst)) {
                // A thread of its own, whose name stands before what it says when it fails.
                let thread = thread::Builder::new().name(attack.name.to_owned());
                let judged =
                    thread.spawn_scoped(scope, || attack.judged(&hub, &expected[attack.name]));
                if judged.unwrap().join().is_err() {
                    failed.lock().unwrap().push(attack.name);
                }
            }
        };
        (0..AT_ONCE).for_each(|_| drop(scope.spawn(judge)));
    });
    let failed = failed.into_inner().unwrap();
    println!("{} of {} attacks refused by name", attacks.len() - failed.len(), attacks.len());
    assert_eq!(failed, [""; 0], "these were not refused as they should");
    assert_eq!(attacks.len(), 32);
}
