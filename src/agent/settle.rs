//! Steps carried out: what is new starts, and what it replaces comes back if it does not stay up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    agent::{
        plan::{Instance, Step},
        runtime::{Afterwards, Container, ContainerPlan, ContainerState, Runtime, RuntimeError},
    },
    types::{NodeRef, escape_foreign, json_problem::describe_cause},
};

/// How often containers that have just started are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What became of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// It runs, as far as the engine can tell.
    Running,
    /// It does not, and there was nothing to go back to.
    Failed(String),
    /// It does not, and what ran before runs again.
    RolledBack(String),
    /// It was not wanted, and is gone.
    Stopped,
}

/// Services that were started and have not been judged yet.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// What is known already.
    pub(super) became: BTreeMap<Instance, Became>,
    young: Vec<Young>,
}

#[derive(Debug)]
struct Young {
    instance: Instance,
    names: BTreeSet<String>,
    old: Vec<Container>,
}

impl Begun {
    /// The services that have just started.
    pub(super) fn young(&self) -> impl Iterator<Item = &Instance> {
        self.young.iter().map(|it| &it.instance)
    }
}

/// Carries out `steps`, one after the other. A step that fails does not keep the others from theirs.
pub(super) async fn begin(runtime: &dyn Runtime, node: &NodeRef, steps: Vec<Step>) -> Begun {
    let mut begun = Begun::default();
    for step in steps {
        let instance = step.instance().clone();
        let outcome = match step {
            Step::Stop { containers, .. } => {
                remove(runtime, &containers).await.map(|()| Some(Became::Stopped))
            }
            Step::Forget { containers, .. } => {
                remove(runtime, &containers).await.map(|()| Some(Became::Running))
            }
            Step::Start { broken, containers, .. } => {
                start(runtime, &broken, &containers).await.map(|()| {
                    begun.young.push(Young::of(&instance, &containers, Vec::new()));
                    None
                })
            }
            Step::Replace { leftovers, old, containers, .. } => {
                match replace(runtime, &leftovers, &old, &containers).await {
                    Ok(()) => {
                        begun.young.push(Young::of(&instance, &containers, old));
                        Ok(None)
                    }
                    Err(error) => {
                        let young = Young::of(&instance, &containers, old);
                        Ok(Some(go_back(runtime, node, &young, told(&error)).await))
                    }
                }
            }
        };
        match outcome {
            Ok(Some(became)) => {
                begun.became.insert(instance, became);
            }
            Ok(None) => {}
            Err(error) => {
                begun.became.insert(instance, Became::Failed(told(&error)));
            }
        }
    }
    begun
}

/// Watches what has started for as long as `watch`, and undoes what does not stay up. Where nothing runs there is
/// nothing to watch.
pub(super) async fn judge(
    runtime: &dyn Runtime,
    node: &NodeRef,
    begun: Begun,
    watch: Duration,
) -> BTreeMap<Instance, Became> {
    let Begun { mut became, mut young } = begun;
    let watch = if runtime.runs_containers() { watch } else { Duration::ZERO };
    let end = tokio::time::Instant::now() + watch;
    while !young.is_empty() && tokio::time::Instant::now() < end {
        tokio::time::sleep(LOOK_EVERY.min(watch)).await;
        let containers = match runtime.list(node).await {
            Ok(containers) => containers,
            Err(error) => {
                // The engine is away: nothing can be said, and nothing undone.
                tracing::warn!(error = %told(&error), "cannot see how the containers do");
                break;
            }
        };
        let (fallen, standing): (Vec<_>, Vec<_>) =
            young.into_iter().partition(|it| it.fallen(&containers).is_some());
        young = standing;
        for it in fallen {
            let detail = it.fallen(&containers).unwrap_or_default();
            let outcome = go_back(runtime, node, &it, detail).await;
            became.insert(it.instance, outcome);
        }
    }
    for it in young {
        if let Err(error) = remove(runtime, &it.old).await {
            tracing::warn!(error = %told(&error), "the old version could not be removed");
        }
        became.insert(it.instance, Became::Running);
    }
    became
}

impl Young {
    fn of(instance: &Instance, containers: &[ContainerPlan], old: Vec<Container>) -> Self {
        let names = containers.iter().map(|it| it.name.clone()).collect();
        Self { instance: instance.clone(), names, old }
    }

    /// What became of the first of its containers that does not run, or runs again after it had ended.
    fn fallen(&self, containers: &[Container]) -> Option<String> {
        self.names.iter().find_map(|name| {
            let container = containers.iter().find(|it| it.name == *name && !it.kept);
            match container {
                Some(it) if it.state == ContainerState::Running && it.restarts == 0 => None,
                Some(it) => {
                    Some(format!("container {name} ended{} within seconds of its start", it.exit()))
                }
                None => Some(format!("container {name} was removed within seconds of its start")),
            }
        })
    }
}

async fn remove(runtime: &dyn Runtime, containers: &[Container]) -> Result<(), RuntimeError> {
    for container in containers {
        runtime.stop(container, Afterwards::Remove).await?;
    }
    Ok(())
}

async fn start(
    runtime: &dyn Runtime,
    broken: &[Container],
    containers: &[ContainerPlan],
) -> Result<(), RuntimeError> {
    remove(runtime, broken).await?;
    for plan in containers {
        runtime.start(plan).await?;
    }
    Ok(())
}

async fn replace(
    runtime: &dyn Runtime,
    leftovers: &[Container],
    old: &[Container],
    containers: &[ContainerPlan],
) -> Result<(), RuntimeError> {
    remove(runtime, leftovers).await?;
    for container in old {
        runtime.stop(container, Afterwards::Keep).await?;
    }
    start(runtime, &[], containers).await
}

/// Removes what does not stay up, and starts what it replaced again.
async fn go_back(runtime: &dyn Runtime, node: &NodeRef, young: &Young, detail: String) -> Became {
    if young.old.is_empty() {
        return Became::Failed(detail);
    }
    match revive(runtime, node, young).await {
        Ok(()) => Became::RolledBack(detail),
        Err(error) => Became::Failed(format!("{detail}; going back failed too: {}", told(&error))),
    }
}

async fn revive(runtime: &dyn Runtime, node: &NodeRef, young: &Young) -> Result<(), RuntimeError> {
    let old: BTreeSet<_> = young.old.iter().map(|it| &it.id).collect();
    let all = runtime.list(node).await?;
    let ours: Vec<_> = all.into_iter().filter(|it| it.instance() == young.instance.0).collect();
    for container in ours.iter().filter(|it| !old.contains(&it.id)) {
        runtime.stop(container, Afterwards::Remove).await?;
    }
    for container in ours.iter().filter(|it| old.contains(&it.id)) {
        runtime.revive(container).await?;
    }
    Ok(())
}

/// The longest description of an error, in characters; it may quote others.
pub(super) const LONGEST_DETAIL: usize = 1000;

/// An error with its causes, on one line. What others chose in it is escaped, and ends.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = describe_cause(error);
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    escape_foreign(&text, LONGEST_DETAIL)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::{
        agent::runtime::{ContainerId, Nothing, labels},
        types::{Digest, PinnedImage},
    };

    #[test]
    fn an_error_quotes_no_value_that_a_parser_met() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to read the answer")]
        struct Failed(#[source] serde_json::Error);

        let error = serde_json::from_str::<u8>("\"canary\"").unwrap_err();
        let told = told(&Failed(error));
        assert_eq!(
            told,
            "failed to read the answer: a value is not of the kind that is expected (line 1, column 8)"
        );
    }

    /// An engine in which containers made from `bad` images end at once, or do not even start.
    #[derive(Debug, Default)]
    struct Frail {
        nothing: Nothing,
        ends: Option<Digest>,
        never_starts: Option<Digest>,
    }

    #[async_trait]
    impl Runtime for Frail {
        fn name(&self) -> &'static str {
            "frail"
        }

        async fn has_image(&self, _manifest: &Digest) -> Result<bool, RuntimeError> {
            Ok(true)
        }

        async fn pull(&self, _image: &PinnedImage) -> Result<(), RuntimeError> {
            Ok(())
        }

        async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError> {
            let ends = self.ends.map(|it| it.to_string());
            let mut containers = self.nothing.list(node).await?;
            for container in &mut containers {
                if Some(&container.image) == ends.as_ref() {
                    container.state = ContainerState::Restarting;
                    container.exit_code = Some(3);
                    container.restarts = 1;
                }
            }
            Ok(containers)
        }

        async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
            if self.never_starts == Some(plan.image) {
                return Err(RuntimeError::NoImage(plan.image));
            }
            self.nothing.start(plan).await
        }

        async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
            self.nothing.stop(container, then).await
        }

        async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
            self.nothing.revive(container).await
        }
    }

    fn node() -> NodeRef {
        "acme/pump-7".parse().unwrap()
    }

    fn web() -> Instance {
        Instance("web".to_owned())
    }

    fn image(version: &str) -> Digest {
        Digest::of(version.as_bytes())
    }

    fn container(version: &str) -> ContainerPlan {
        let mut plan = ContainerPlan::new("web-main", image(version));
        for (label, value) in [
            (labels::NODE, node().to_string()),
            (labels::INSTANCE, "web".to_owned()),
            (labels::DEPLOYMENT_HASH, version.to_owned()),
            (labels::NAME, "web-main".to_owned()),
        ] {
            plan.labels.insert(label.to_owned(), value);
        }
        plan
    }

    /// What became of an update from version 1 to 2, and what runs after it.
    async fn update(engine: &Frail) -> (Became, Vec<String>) {
        engine.nothing.start(&container("1")).await.unwrap();
        let old = engine.list(&node()).await.unwrap();
        let step = Step::Replace {
            instance: web(),
            leftovers: Vec::new(),
            old,
            containers: vec![container("2")],
        };
        let begun = begin(engine, &node(), vec![step]).await;
        let mut became = judge(engine, &node(), begun, Duration::from_millis(20)).await;
        let after = engine.list(&node()).await.unwrap();
        let versions = after
            .iter()
            .filter(|it| it.state == ContainerState::Running && !it.kept)
            .map(|it| it.deployment_hash().to_owned());
        let versions = versions.collect();
        assert_eq!(after.len(), 1, "something is left behind: {after:?}");
        (became.remove(&web()).unwrap(), versions)
    }

    #[tokio::test]
    async fn the_old_version_goes_once_the_new_one_stays_up() {
        let (became, running) = update(&Frail::default()).await;
        assert!(matches!(became, Became::Running), "{became:?}");
        assert_eq!(running, ["2"]);
    }

    #[tokio::test]
    async fn a_new_version_that_ends_within_seconds_is_taken_back() {
        let engine = Frail { ends: Some(image("2")), ..Frail::default() };
        let (became, running) = update(&engine).await;
        assert!(
            matches!(&became, Became::RolledBack(why) if why.contains("web-main ended with exit code 3")),
            "{became:?}"
        );
        assert_eq!(running, ["1"]);
    }

    #[tokio::test]
    async fn a_new_version_that_does_not_start_is_taken_back() {
        let engine = Frail { never_starts: Some(image("2")), ..Frail::default() };
        let (became, running) = update(&engine).await;
        assert!(matches!(became, Became::RolledBack(_)), "{became:?}");
        assert_eq!(running, ["1"]);
    }

    #[tokio::test]
    async fn without_an_engine_there_is_nothing_to_watch() {
        let engine = Nothing::default();
        let step =
            Step::Start { instance: web(), broken: Vec::new(), containers: vec![container("1")] };
        let node = node();
        let begun = begin(&engine, &node, vec![step]).await;
        let judged = judge(&engine, &node, begun, Duration::from_hours(1));
        let became = tokio::time::timeout(Duration::from_mins(1), judged).await.unwrap();
        assert_eq!(became[&web()], Became::Running);
    }

    #[tokio::test]
    async fn a_first_version_that_fails_is_left_to_the_engine() {
        let engine = Frail { ends: Some(image("1")), ..Frail::default() };
        let step =
            Step::Start { instance: web(), broken: Vec::new(), containers: vec![container("1")] };
        let begun = begin(&engine, &node(), vec![step]).await;
        assert_eq!(begun.young().collect::<Vec<_>>(), [&web()]);
        let became = judge(&engine, &node(), begun, Duration::from_millis(20)).await;
        assert!(matches!(became[&web()], Became::Failed(_)));
        assert_eq!(engine.list(&node()).await.unwrap().len(), 1);
    }
}
