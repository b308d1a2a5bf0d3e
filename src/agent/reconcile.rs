//! One pass: from what the exchange says to what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    agent::{
        Agent, Attempt, ContainersError, End, EngineChoice, Outcome,
        change_log::AGENT_LOG,
        containers,
        fetch::{self, FetchError},
        imports::Known,
        outcome::Notes,
        plan::{Instance, Step, WantedService, plan},
        runtime::{self, Container, ContainerId, ContainerState, RuntimeError, labels},
        sandbox::{self, RefusedAccess},
        select::{self, Selection, Shelves, select},
        settle::{self, Became, told},
        source::Source,
        trials::Turn,
        turns::turn_of,
        verify::Accepted,
    },
    document::ServiceBody,
    exchange::api::ServiceState,
    trust::Verified,
    types::{DocumentKind, ServiceId},
};

/// The first wait before a service that failed is tried again; doubled each time.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(30);
/// The longest such wait.
const LONGEST_RETRY: SignedDuration = SignedDuration::from_hours(1);
/// How often organizations are asked in one pass because another one's services require theirs.
const ROUNDS: usize = 4;

impl Agent {
    pub(super) async fn pass(&mut self) -> Outcome {
        let mut notes = Notes::at(self.config.clock.now());
        self.left = None;
        self.find_engine().await;
        // While it is not known what is allowed, nothing is started or stopped.
        let refreshed = self.refresh_sandbox().await;
        self.catch_up_with_all(&mut notes).await;
        if self.carried.is_none() {
            self.introduce().await;
        }
        let selection = self.select_from(&self.known().shelves());
        match refreshed {
            Ok(()) => {
                for refused in &selection.refused {
                    notes.host_access(refused);
                }
                if let Err(error) = self.settle(&selection, &mut notes).await {
                    notes.problem(End::Failed, &error);
                }
            }
            Err(error) => {
                notes.problem(End::Failed, &error);
                if let Ok(existing) = self.runtime.list(&self.identity.node).await {
                    note_what_still_runs(&existing, &mut notes);
                }
            }
        }
        if selection.wanted.is_empty() && !selection.unfit.is_empty() && notes.end == End::Settled {
            notes.end = End::NothingFits;
        }
        let end = notes.end;
        let status = self.status(notes, &selection);
        self.tell(&status).await;
        Outcome { end, status }
    }

    /// An engine may come up after the agent: until one has, it is looked for in every pass.
    async fn find_engine(&mut self) {
        let is_settled = self.config.runtime.is_some()
            || self.config.engine != EngineChoice::Auto
            || self.runtime.name() != "none";
        if is_settled {
            return;
        }
        if let Ok(found) = runtime::find(self.config.engine, &self.config.sockets).await {
            self.runtime = found;
        }
    }

    /// Accepts what is newer, until nothing is missing: what one organization has may require what
    /// another has.
    async fn catch_up_with_all(&mut self, notes: &mut Notes) {
        for _ in 0..ROUNDS {
            let before = notes.clone();
            self.catch_up(notes).await;
            // All organizations are asked of one exchange: while that is away, none needs to be.
            if self.carried.is_none() && notes.end != End::Away {
                self.catch_up_imports(notes).await;
            }
            let is_complete = self.select_from(&self.known().shelves()).missing.is_empty();
            if is_complete || notes.end > before.end {
                return;
            }
        }
    }

    /// Accepts what is newer of the own organization: verified as a whole, then committed, then acted on.
    async fn catch_up(&mut self, notes: &mut Notes) {
        if let Err(error) = self.marks.recover(&mut self.accepted).await {
            return notes.not_kept(&error);
        }
        let newer = {
            let org = &self.identity.node.org;
            let needs = |own: &Accepted| {
                let known = Known { own, imports: &self.imports };
                self.select_from(&known.shelves()).of(org)
            };
            let (source, freshness) = match &self.carried {
                Some(it) => (Source::Bundle(&it.bundle), it.freshness),
                None => (Source::Exchange(&self.exchange), notes.now.into()),
            };
            fetch::newer(source, &self.accepted, freshness, needs).await
        };
        match newer {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                if let Err(error) = self.marks.accept(&mut self.accepted, accepted).await {
                    notes.not_kept(&error);
                }
            }
            Err(error) => {
                if let FetchError::Exchange(_) = error {
                    tracing::info!("the exchange is away; what runs goes on");
                }
                notes.not_newer(&error);
            }
        }
    }

    pub(super) fn select_from(&self, shelves: &Shelves<'_>) -> Selection {
        let known = self.known();
        let used_up = |service: &ServiceId| self.trials.is_used_up(service, &known);
        let node = select::Node {
            name: &self.identity.node,
            pattern: self.identity.pattern.as_ref(),
            policy: &self.policy,
            facts: &self.facts,
            used_up: &used_up,
            refuses: &|needs| self.sandbox.refused(needs),
        };
        select(&node, shelves)
    }

    /// Leads what runs to what was selected.
    async fn settle(
        &mut self,
        selection: &Selection,
        notes: &mut Notes,
    ) -> Result<(), RuntimeError> {
        let mut leave = BTreeSet::new();
        let mut wanted = self.wanted(selection, &mut leave, notes);
        let existing = match self.runtime.list(&self.identity.node).await {
            Ok(existing) => existing,
            Err(error) => {
                for service in &wanted {
                    let detail = Some(told(&error));
                    notes.service(&service.id, &service.images, ServiceState::Unknown, detail);
                }
                return Err(error);
            }
        };
        self.keep_what_may_go_on(selection, &existing, &mut leave);
        for service in &wanted {
            let state = state_of(service, &existing);
            notes.service(&service.id, &service.images, state.0, state.1);
        }
        note_what_still_runs(&existing, notes);
        self.provide_all(selection, &mut wanted, &existing, &mut leave, notes).await;

        self.look_at_trials(&wanted, &existing, selection, notes);
        let steps = plan(&wanted, &existing, &leave);
        if steps.is_empty() {
            self.left = Some(standing(&existing));
            return Ok(());
        }
        let runtime = Arc::clone(&self.runtime);
        let node = self.identity.node.clone();
        self.acting.send_replace(true);
        let begun = settle::begin(&*runtime, &node, steps).await;
        self.acting.send_replace(false);
        for service in wanted.iter().filter(|it| begun.young().any(|young| *young == it.instance)) {
            notes.service(&service.id, &service.images, ServiceState::Starting, None);
        }
        let interim = self.status(notes.clone(), selection);
        self.tell(&interim).await;
        self.acting.send_replace(true);
        let became = settle::judge(&*runtime, &node, begun, self.config.watch).await;
        self.acting.send_replace(false);
        for service in &wanted {
            if let Some(became) = became.get(&service.instance) {
                let turn = turn_of(selection, service);
                self.note(service, became, turn, notes);
            }
        }
        self.save_trials(notes);
        for (instance, became) in &became {
            if let Became::Failed(detail) = became
                && !wanted.iter().any(|it| it.instance == *instance)
            {
                notes.problem_text(End::Failed, format!("{}: {detail}", instance.0));
            }
        }
        // What was noted before the steps may have gone with them.
        notes.services.retain(|it| wanted.iter().any(|service| service.id == it.service));
        let existing = self.runtime.list(&self.identity.node).await?;
        note_what_still_runs(&existing, notes);
        self.left = Some(standing(&existing));
        Ok(())
    }

    /// Returns when the engine no longer has what the last pass left in it: a container has ended or
    /// gone, or the engine itself, or it answers again.
    pub(super) async fn drift(&self) {
        loop {
            tokio::time::sleep(self.config.look).await;
            let seen = self.runtime.list(&self.identity.node).await;
            if seen.ok().map(|it| standing(&it)) != self.left {
                tracing::info!(
                    engine = self.runtime.name(),
                    "the containers are not as they were left"
                );
                return;
            }
        }
    }

    /// The selected services as containers. One that cannot be made into any is left as it is.
    fn wanted(
        &self,
        selection: &Selection,
        leave: &mut BTreeSet<Instance>,
        notes: &mut Notes,
    ) -> Vec<WantedService> {
        let mut wanted = Vec::new();
        for chosen in &selection.wanted {
            let Some(document) = self.known().service(&chosen.id) else {
                continue;
            };
            let made = containers::wanted(chosen, document, &self.identity, &self.machine);
            match made.and_then(|service| self.confined(service, document)) {
                Ok(service) => wanted.push(service),
                Err(error) => {
                    let (org, url) = (&chosen.id.org, &chosen.id.url);
                    leave.insert(Instance::of(&self.identity.node, org, url));
                    notes.not_made(&chosen.id, &error);
                }
            }
        }
        wanted
    }

    /// The service as the engine gets it: judged once more by the document that its containers are made
    /// from, with the paths of the host resolved.
    fn confined(
        &self,
        mut service: WantedService,
        document: &Verified<ServiceBody>,
    ) -> Result<WantedService, ContainersError> {
        let needs = self.sandbox.refused(&document.body().deployment()?.host_access());
        if !needs.is_empty() {
            let refused = RefusedAccess { service: service.id, needs };
            return Err(ContainersError::Refused(refused.describe()));
        }
        for plan in &mut service.containers {
            sandbox::resolve_paths(plan).map_err(ContainersError::Path)?;
        }
        Ok(service)
    }

    /// What runs although it was not selected, and may: while it is not known what should run, what is
    /// vouched for by keys that have merely been retired, and what a version replaces that needs more of
    /// the host than is allowed. What uses more of the host itself than the owner allows now, may not.
    fn keep_what_may_go_on(
        &self,
        selection: &Selection,
        existing: &[Container],
        leave: &mut BTreeSet<Instance>,
    ) {
        let selected: BTreeSet<_> = selection
            .wanted
            .iter()
            .map(|it| Instance::of(&self.identity.node, &it.id.org, &it.id.url))
            .collect();
        let retired: Vec<_> = self.known().retired().collect();
        let unknown = !selection.missing.is_empty()
            || self.accepted.kept.catalog.is_none()
            || retired.iter().any(|(_, key)| key.kind() != DocumentKind::Service);
        let services: BTreeSet<_> =
            retired.iter().map(|(org, key)| format!("{org}/{}", key.id())).collect();
        let held: BTreeSet<_> = selection
            .held
            .iter()
            .map(|(org, url)| Instance::of(&self.identity.node, org, url))
            .collect();
        let refused: BTreeSet<_> = existing
            .iter()
            .filter(|it| !self.sandbox.allows_container(it))
            .map(Container::instance)
            .collect();
        for container in existing.iter().filter(|it| !refused.contains(it.instance())) {
            let instance = Instance(container.instance().to_owned());
            let may_go_on = unknown
                || held.contains(&instance)
                || container.labels.get(labels::SERVICE).is_some_and(|it| services.contains(it));
            if may_go_on && !selected.contains(&instance) {
                leave.insert(instance);
            }
        }
    }

    /// Gets the images of everything that is to be started. What cannot be had, or failed a moment
    /// ago, is left as it is.
    async fn provide_all(
        &mut self,
        selection: &Selection,
        wanted: &mut [WantedService],
        existing: &[Container],
        leave: &mut BTreeSet<Instance>,
        notes: &mut Notes,
    ) {
        let to_start: BTreeSet<_> = plan(wanted, existing, leave)
            .into_iter()
            .filter(|step| matches!(step, Step::Start { .. } | Step::Replace { .. }))
            .map(|step| step.instance().clone())
            .collect();
        for service in wanted.iter_mut().filter(|it| to_start.contains(&it.instance)) {
            if let Some(attempt) = self.held_back(service, notes.now) {
                let state = if attempt.rolled_back {
                    ServiceState::RolledBack
                } else {
                    ServiceState::Failed
                };
                let detail = Some(attempt.detail.clone());
                leave.insert(service.instance.clone());
                notes.service(&service.id, &service.images, state, detail);
                continue;
            }
            tracing::debug!(service = %service.id, "ensuring the images of a service");
            let mut pulling = notes.clone();
            pulling.service(&service.id, &service.images, ServiceState::Pulling, None);
            let status = self.status(pulling, selection);
            let (id, images) = (service.id.clone(), service.images.clone());
            if let Err(error) = self.provide_reporting(service, status).await {
                tracing::warn!(
                    target: AGENT_LOG, event = "pull.failed",
                    service = %id, error = %told(&error),
                    "the images of a service could not be pulled"
                );
                leave.insert(service.instance.clone());
                notes.not_provided(&id, &images, &error);
            }
        }
    }

    /// The failure for which a service is not tried again just now.
    fn held_back(&self, service: &WantedService, now: Timestamp) -> Option<&Attempt> {
        let attempt = self.attempts.get(&service.instance)?;
        let same = attempt.deployment_hash == service.deployment_hash();
        (same && now < attempt.not_before).then_some(attempt)
    }

    /// Notes what became of a service, and remembers a failure.
    fn note(
        &mut self,
        service: &WantedService,
        became: &Became,
        turn: Option<&Turn>,
        notes: &mut Notes,
    ) {
        let known = Known { own: &self.accepted, imports: &self.imports };
        let (state, detail) = match became {
            Became::Running => (ServiceState::Running, None),
            Became::Stopped => (ServiceState::Stopped, None),
            Became::Failed(detail) => (ServiceState::Failed, Some(detail.clone())),
            Became::RolledBack(detail) => (ServiceState::RolledBack, Some(detail.clone())),
        };
        match &detail {
            None => {
                tracing::info!(service = %service.id, "running");
                self.attempts.remove(&service.instance);
                if let Some(turn) = turn.filter(|_| *became == Became::Running) {
                    self.trials.started(&service.id, turn, &known, notes.now);
                }
            }
            Some(detail) => {
                let failures = self.attempts.get(&service.instance);
                let failures = failures.filter(|it| it.service == service.id);
                let failures = failures.map_or(0, |it| it.failures).saturating_add(1);
                let wait = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(10));
                let wait = wait.min(LONGEST_RETRY);
                // All tries of a version must fall into the time in which they count.
                let wait =
                    turn.and_then(|it| it.priority.longest_wait()).map_or(wait, |it| wait.min(it));
                if let Some(turn) = turn {
                    self.trials.failed(&service.id, turn, &known, notes.now);
                }
                let attempt = Attempt {
                    service: service.id.clone(),
                    deployment_hash: service.deployment_hash().to_owned(),
                    failures,
                    not_before: notes.now.saturating_add(wait).unwrap_or(Timestamp::MAX),
                    detail: detail.clone(),
                    rolled_back: matches!(became, Became::RolledBack(_)),
                };
                self.attempts.insert(service.instance.clone(), attempt);
            }
        }
        notes.service(&service.id, &service.images, state, detail);
    }
}

/// Which containers there are, and whether they run. That one keeps ending is no news: the engine
/// starts it again by itself.
fn standing(containers: &[Container]) -> BTreeMap<ContainerId, bool> {
    containers.iter().map(|it| (it.id.clone(), it.state != ContainerState::Stopped)).collect()
}

/// Notes the services that run and are not what is wanted: older versions, and what is about to
/// stop.
fn note_what_still_runs(existing: &[Container], notes: &mut Notes) {
    for container in existing.iter().filter(|it| !it.kept) {
        let runs = container.state == ContainerState::Running;
        if let Some(service) = container.service().filter(|_| runs)
            && !notes.services.iter().any(|it| it.service == service)
        {
            notes.service(&service, &[], ServiceState::Running, None);
        }
    }
}

/// How a service does before anything is done about it.
fn state_of(service: &WantedService, existing: &[Container]) -> (ServiceState, Option<String>) {
    let ours: BTreeMap<_, _> = existing
        .iter()
        .filter(|it| it.instance() == service.instance.0 && !it.kept)
        .filter(|it| it.deployment_hash() == service.deployment_hash())
        .map(|it| (it.name.as_str(), it))
        .collect();
    let restarting = ours.iter().find(|(_, it)| it.state == ContainerState::Restarting);
    if let Some((name, container)) = restarting {
        let detail = format!("container {name} keeps ending{}", container.exit());
        return (ServiceState::Unhealthy, Some(detail));
    }
    let runs = |name: &str| ours.get(name).is_some_and(|it| it.state == ContainerState::Running);
    if service.containers.iter().all(|plan| runs(&plan.name)) {
        (ServiceState::Running, None)
    } else {
        (ServiceState::Waiting, None)
    }
}
