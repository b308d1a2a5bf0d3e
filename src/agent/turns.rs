//! How the versions do that are tried in turn, as the containers show it.

use crate::agent::{
    Agent, End,
    imports::Known,
    outcome::Notes,
    plan::WantedService,
    runtime::{Container, ContainerState},
    select::Selection,
    trials::{Seen, SeenState, Turn},
};

impl Agent {
    /// Takes note of how the versions do that are tried in turn.
    pub(super) fn look_at_trials(
        &mut self,
        wanted: &[WantedService],
        existing: &[Container],
        selection: &Selection,
        notes: &mut Notes,
    ) {
        let known = Known { own: &self.accepted, imports: &self.imports };
        for service in wanted {
            if let Some(turn) = turn_of(selection, service) {
                self.trials.look(&service.id, turn, seen(service, existing), &known, notes.now);
            }
        }
        self.save_trials(notes);
    }

    /// Writes down what became of them.
    pub(super) fn save_trials(&mut self, notes: &mut Notes) {
        let known = Known { own: &self.accepted, imports: &self.imports };
        if let Err(error) = self.trials.save(&known) {
            notes.problem(End::Failed, &error);
        }
    }
}

/// The turn that a wanted service has among several versions, if any.
pub(super) fn turn_of<'a>(selection: &'a Selection, service: &WantedService) -> Option<&'a Turn> {
    selection.wanted.iter().find(|it| it.id == service.id)?.turn.as_ref()
}

/// How a service was found.
fn seen(service: &WantedService, existing: &[Container]) -> Seen {
    let hash = service.deployment_hash();
    let is_ours = |it: &&Container| {
        it.instance() == service.instance.0 && !it.kept && it.deployment_hash() == hash
    };
    let ours: Vec<_> = existing.iter().filter(is_ours).collect();
    let runs = |name: &str| ours.iter().any(|it| it.name == name);
    let state = if ours.iter().any(|it| it.state != ContainerState::Running) {
        SeenState::Ended
    } else if service.containers.iter().all(|plan| runs(&plan.name)) {
        SeenState::Running
    } else {
        SeenState::Absent
    };
    Seen { state, restarts: ours.iter().map(|it| it.restarts).sum() }
}
