//! What became of the versions that a pattern or a policy offers one after the other: remembered
//! through restarts, since a version that has failed must not come back because the power was cut.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    agent::folder::{self, FolderError},
    document::{choice::Priority, trial::Trial},
    trust::Catalog,
    types::{Digest, DocumentKey, OrgId, ServiceId},
};

/// The versions that are tried in turn.
#[derive(Debug)]
pub(super) struct Trials {
    path: PathBuf,
    /// By their ids, organization and all.
    kept: BTreeMap<String, Entry>,
    /// How often the engine had to start each of them again, when it was last looked at.
    restarts: BTreeMap<ServiceId, i64>,
}

/// The newest of what is published: by its own organization, and by those that it imports from.
pub(super) trait Catalogs {
    /// The hash under which the catalog of `org` lists `key`.
    fn listed(&self, org: &OrgId, key: &DocumentKey) -> Option<Digest>;

    /// The same for the node's own organization, which alone offers anything.
    fn offered(&self, key: &DocumentKey) -> Option<Digest>;
}

impl Catalogs for Catalog {
    fn listed(&self, org: &OrgId, key: &DocumentKey) -> Option<Digest> {
        self.offered(key).filter(|_| *org == self.org)
    }

    fn offered(&self, key: &DocumentKey) -> Option<Digest> {
        self.entries.get(key).map(|it| it.sha256)
    }
}

/// A version on trial: what is said of it holds only while neither the service nor what offers it
/// has been published anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: ServiceId,
    service: Digest,
    offered_by: DocumentKey,
    offer: Digest,
    #[serde(flatten)]
    trial: Trial,
}

/// A version that has its turn by a priority, and what offers it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    pub(super) offered_by: DocumentKey,
    pub(super) priority: Priority,
}

/// How a service was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: SeenState,
    /// How often the engine has started its containers again.
    pub(super) restarts: i64,
}

/// What a service was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeenState {
    /// All of its containers run.
    Running,
    /// A container of it has ended, or keeps ending.
    Ended,
    /// It has not been started, or is not here any more.
    Absent,
}

impl Trials {
    /// Reads what is remembered. A file that cannot be read is forgotten: every version then has its
    /// chances again.
    pub(super) fn open(path: PathBuf) -> Result<Self, FolderError> {
        let kept = folder::read(&path)?;
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Ok(Self { path, kept, restarts: BTreeMap::new() })
    }

    /// Whether it is the turn of the version behind this one.
    pub(super) fn is_used_up(&self, id: &ServiceId, catalogs: &impl Catalogs) -> bool {
        let kept = self.kept.get(&id.to_string());
        kept.is_some_and(|it| it.is_current(catalogs) && it.trial.is_used_up())
    }

    /// Takes note of how a running version does.
    pub(super) fn look(
        &mut self,
        id: &ServiceId,
        turn: &Turn,
        seen: Seen,
        catalogs: &impl Catalogs,
        now: Timestamp,
    ) {
        let before = self.restarts.remove(id);
        let Some(trial) = self.trial(id, turn, catalogs) else { return };
        let started_again = before.is_some_and(|before| before < seen.restarts);
        // What was found ended at the first look may have ended with the machine.
        let ended = seen.state == SeenState::Ended && trial.is_running();
        if seen.state != SeenState::Absent && (started_again || ended) {
            trial.fails(&turn.priority, now);
        }
        if seen.state == SeenState::Running {
            trial.runs(&turn.priority, now);
        }
        if seen.state != SeenState::Absent {
            self.restarts.insert(id.clone(), seen.restarts);
        }
    }

    /// Takes note that a version has started: from now on it proves itself.
    pub(super) fn started(
        &mut self,
        id: &ServiceId,
        turn: &Turn,
        catalogs: &impl Catalogs,
        now: Timestamp,
    ) {
        if let Some(trial) = self.trial(id, turn, catalogs) {
            trial.runs(&turn.priority, now);
        }
    }

    /// Takes note that a version did not start, or did not stay up.
    pub(super) fn failed(
        &mut self,
        id: &ServiceId,
        turn: &Turn,
        catalogs: &impl Catalogs,
        now: Timestamp,
    ) {
        if let Some(trial) = self.trial(id, turn, catalogs) {
            trial.fails(&turn.priority, now);
            if trial.is_used_up() {
                tracing::warn!(service = %id, "has had its chances; the next version gets its turn");
            }
        }
    }

    /// Writes down what is remembered, without what holds no more.
    pub(super) fn save(&mut self, catalogs: &impl Catalogs) -> Result<(), FolderError> {
        self.kept.retain(|_, it| it.is_current(catalogs));
        let bytes = serde_json::to_vec(&self.kept).unwrap_or_default();
        let written = folder::read(&self.path)?;
        let written = written.as_ref().map_or(b"{}".as_slice(), |it| it.as_slice());
        if written == bytes { Ok(()) } else { folder::write_whole(&self.path, &bytes) }
    }

    /// The trial of a version; a new one where the service or its offer is new.
    fn trial(
        &mut self,
        id: &ServiceId,
        turn: &Turn,
        catalogs: &impl Catalogs,
    ) -> Option<&mut Trial> {
        let fresh = Entry {
            id: id.clone(),
            service: catalogs.listed(&id.org, &DocumentKey::from(id))?,
            offered_by: turn.offered_by.clone(),
            offer: catalogs.offered(&turn.offered_by)?,
            trial: Trial::default(),
        };
        let entry = self.kept.entry(id.to_string()).or_insert_with(|| fresh.clone());
        if (entry.service, &entry.offered_by, entry.offer)
            != (fresh.service, &fresh.offered_by, fresh.offer)
        {
            *entry = fresh;
        }
        Some(&mut entry.trial)
    }
}

impl Entry {
    fn is_current(&self, catalogs: &impl Catalogs) -> bool {
        catalogs.listed(&self.id.org, &DocumentKey::from(&self.id)) == Some(self.service)
            && catalogs.offered(&self.offered_by) == Some(self.offer)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::agent::testing::Publisher;

    /// Two versions of a service, tried in turn; the first must run five minutes to be kept.
    struct Lab {
        publisher: Publisher,
        folder: tempfile::TempDir,
        turn: Turn,
    }

    impl Lab {
        fn new() -> Self {
            let mut publisher = Publisher::new();
            publisher.service("cam", "1.0.0", &json!({}));
            publisher.service("cam", "2.0.0", &json!({}));
            let offered_by = publisher.policy("cameras", "cam", &["2.0.0", "1.0.0"], "");
            let priority = Priority {
                priority_value: 1,
                retries: 2,
                retry_durations: 60,
                verified_durations: 300,
                ..Priority::default()
            };
            let folder = tempfile::tempdir().unwrap();
            Self { publisher, folder, turn: Turn { offered_by, priority } }
        }

        fn trials(&self) -> Trials {
            Trials::open(self.folder.path().join("trials.json")).unwrap()
        }
    }

    fn cam() -> ServiceId {
        ServiceId {
            org: "acme".parse().unwrap(),
            url: "cam".parse().unwrap(),
            version: "2.0.0".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Publisher::now() + SignedDuration::from_secs(second)
    }

    #[test]
    fn failures_are_remembered_through_a_restart() {
        let lab = Lab::new();
        let mut trials = lab.trials();
        trials.failed(&cam(), &lab.turn, &lab.publisher.catalog, at(0));
        assert!(!trials.is_used_up(&cam(), &lab.publisher.catalog));
        trials.save(&lab.publisher.catalog).unwrap();

        let mut trials = lab.trials();
        trials.failed(&cam(), &lab.turn, &lab.publisher.catalog, at(30));
        trials.save(&lab.publisher.catalog).unwrap();

        assert!(lab.trials().is_used_up(&cam(), &lab.publisher.catalog));
    }

    #[test]
    fn a_version_or_an_offer_that_is_published_anew_has_its_chances_again() {
        for anew in ["service", "policy"] {
            let mut lab = Lab::new();
            let mut trials = lab.trials();
            for second in [0, 1] {
                trials.failed(&cam(), &lab.turn, &lab.publisher.catalog, at(second));
            }
            assert!(trials.is_used_up(&cam(), &lab.publisher.catalog));
            match anew {
                "service" => lab.publisher.service("cam", "2.0.0", &json!({"label": "mended"})),
                _ => lab.publisher.policy("cameras", "cam", &["2.0.0", "1.0.0"], "a == b"),
            };
            assert!(!trials.is_used_up(&cam(), &lab.publisher.catalog), "{anew}");
            trials.failed(&cam(), &lab.turn, &lab.publisher.catalog, at(2));
            assert!(!trials.is_used_up(&cam(), &lab.publisher.catalog), "{anew}");
        }
    }

    #[test]
    fn containers_that_end_while_they_run_are_failures() {
        let lab = Lab::new();
        let catalog = &lab.publisher.catalog;
        let seen = |looks: &[(i64, Seen)]| {
            let mut trials = lab.trials();
            for (second, seen) in looks {
                trials.look(&cam(), &lab.turn, *seen, catalog, at(*second));
            }
            trials.is_used_up(&cam(), catalog)
        };
        let running = |restarts| Seen { state: SeenState::Running, restarts };
        let ended = |restarts| Seen { state: SeenState::Ended, restarts };
        let absent = Seen { state: SeenState::Absent, restarts: 0 };
        assert!(seen(&[(0, running(0)), (10, ended(0)), (11, running(0)), (20, ended(0))]));
        assert!(seen(&[(0, running(0)), (10, running(1)), (20, running(4))]));
        assert!(seen(&[(0, ended(1)), (10, ended(2)), (20, ended(3))]), "it keeps ending");
        assert!(!seen(&[(0, running(7)), (10, running(7)), (20, running(7))]));
        assert!(!seen(&[(0, ended(0)), (10, ended(0)), (20, ended(0))]));
        assert!(!seen(&[(0, running(0)), (10, absent), (20, absent)]));
    }

    #[test]
    fn a_version_that_has_proved_itself_is_not_given_up() {
        let lab = Lab::new();
        let catalog = &lab.publisher.catalog;
        let mut trials = lab.trials();
        for second in [0, 100, 300] {
            let seen = Seen { state: SeenState::Running, restarts: 0 };
            trials.look(&cam(), &lab.turn, seen, catalog, at(second));
        }
        for second in [301, 302, 303] {
            trials.failed(&cam(), &lab.turn, catalog, at(second));
        }
        assert!(!trials.is_used_up(&cam(), catalog));
    }

    #[test]
    fn what_is_not_published_any_more_is_forgotten() {
        let lab = Lab::new();
        let mut trials = lab.trials();
        trials.failed(&cam(), &lab.turn, &lab.publisher.catalog, at(0));
        trials.save(&lab.publisher.catalog).unwrap();
        assert!(std::fs::read_to_string(&trials.path).unwrap().contains("cam_2.0.0"));
        trials.save(&Catalog::empty("acme".parse().unwrap())).unwrap();
        assert_eq!(std::fs::read_to_string(&trials.path).unwrap(), "{}");
    }
}
