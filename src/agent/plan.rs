//! What is to be done: wanted × existing → steps. A pure function.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    agent::runtime::{Container, ContainerPlan, ContainerState, labels},
    types::{Digest, PinnedImage, ServiceId},
};

/// A service that this node should run, with everything that its containers are made from.
#[derive(Debug, Clone)]
pub struct WantedService {
    /// Which service.
    pub id: ServiceId,
    /// What stays the same when its version changes.
    pub instance: Instance,
    /// The digest of the signed document that asks for it.
    pub document: Digest,
    /// The images as the signed document pins them.
    pub images: Vec<PinnedImage>,
    /// Its containers. Each bears [`labels::DEPLOYMENT_HASH`], the same for all of them.
    pub containers: Vec<ContainerPlan>,
}

impl WantedService {
    /// The hash of everything that its containers are made from.
    pub fn deployment_hash(&self) -> &str {
        self.containers
            .first()
            .and_then(|it| it.labels.get(labels::DEPLOYMENT_HASH))
            .map_or("", String::as_str)
    }
}

/// The name of a running service on a node: the same through all of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(pub String);

/// One thing to do, for one service.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is not wanted any more.
    Stop {
        /// Whose containers they are.
        instance: Instance,
        /// All it has.
        containers: Vec<Container>,
    },
    /// Nothing of it runs that could be kept for going back.
    Start {
        /// What is started.
        instance: Instance,
        /// Its containers that do not run as they should; they go first.
        broken: Vec<Container>,
        /// Its containers that are missing.
        containers: Vec<ContainerPlan>,
    },
    /// Something else of it runs, and comes back should the new one fail.
    Replace {
        /// What is replaced.
        instance: Instance,
        /// Leftovers of earlier replacements; they go first.
        leftovers: Vec<Container>,
        /// What runs now, or ran last; it is kept until the new one is known to run.
        old: Vec<Container>,
        /// Its containers that are missing.
        containers: Vec<ContainerPlan>,
    },
    /// It runs as it should; what was kept for going back is no longer needed.
    Forget {
        /// Whose containers they are.
        instance: Instance,
        /// The kept ones.
        containers: Vec<Container>,
    },
}

impl Step {
    /// The service it is about.
    pub fn instance(&self) -> &Instance {
        match self {
            Self::Stop { instance, .. }
            | Self::Start { instance, .. }
            | Self::Replace { instance, .. }
            | Self::Forget { instance, .. } => instance,
        }
    }
}

/// The steps from what exists to what is wanted.
///
/// What is not wanted stops first, since it may hold a port that is wanted. The rest keeps the
/// order of `wanted`, in which a service stands behind those that it requires. Services in
/// `leave` are left as they are: their images are not here yet, or their newest version failed.
pub fn plan(
    wanted: &[WantedService],
    existing: &[Container],
    leave: &BTreeSet<Instance>,
) -> Vec<Step> {
    let mut by_instance: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
    for container in existing {
        by_instance.entry(container.instance()).or_default().push(container);
    }
    let is_wanted = |name: &str| wanted.iter().any(|it| it.instance.0 == name);
    let stops = by_instance
        .iter()
        .filter(|(name, _)| !is_wanted(name) && !leave.iter().any(|it| it.0 == **name))
        .map(|(name, containers)| Step::Stop {
            instance: Instance((*name).to_owned()),
            containers: containers.iter().copied().cloned().collect(),
        });
    let rest = wanted.iter().filter(|it| !leave.contains(&it.instance)).filter_map(|service| {
        let containers = by_instance.get(service.instance.0.as_str());
        step(service, containers.map_or(&[], Vec::as_slice))
    });
    stops.chain(rest).collect()
}

/// The step for one wanted service, if one is needed.
fn step(service: &WantedService, existing: &[&Container]) -> Option<Step> {
    let hash = service.deployment_hash();
    let instance = service.instance.clone();
    let is_wanted = |it: &Container| {
        it.deployment_hash() == hash && service.containers.iter().any(|plan| plan.name == it.name)
    };
    let mut good = BTreeSet::new();
    let (mut broken, mut outdated, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for &container in existing {
        if container.kept {
            kept.push(container.clone());
        } else if !is_wanted(container) {
            outdated.push(container.clone());
        } else if container.state == ContainerState::Stopped {
            broken.push(container.clone());
        } else {
            good.insert(container.name.as_str());
        }
    }
    let missing: Vec<_> = service
        .containers
        .iter()
        .filter(|plan| !good.contains(plan.name.as_str()))
        .cloned()
        .collect();
    if missing.is_empty() && outdated.is_empty() {
        let containers = kept;
        return (!containers.is_empty()).then_some(Step::Forget { instance, containers });
    }
    // After a crash between the two halves of a replacement, only the kept ones are left to go
    // back to.
    let old = if outdated.is_empty() {
        let (same, other) = kept.into_iter().partition(is_wanted);
        kept = same;
        other
    } else {
        outdated
    };
    broken.append(&mut kept);
    Some(if old.is_empty() {
        Step::Start { instance, broken, containers: missing }
    } else {
        Step::Replace { instance, leftovers: broken, old, containers: missing }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agent::runtime::ContainerId;

    fn service(name: &str, version: u8, containers: u8) -> WantedService {
        let hash = format!("{name}-{version}");
        let plan = |n: u8| {
            let mut plan = ContainerPlan::new(format!("{name}-c{n}"), Digest::of(b"image"));
            plan.labels.insert(labels::INSTANCE.to_owned(), name.to_owned());
            plan.labels.insert(labels::DEPLOYMENT_HASH.to_owned(), hash.clone());
            plan
        };
        WantedService {
            id: ServiceId {
                org: "acme".parse().unwrap(),
                url: name.parse().unwrap(),
                version: format!("{version}.0.0").parse().unwrap(),
                arch: "amd64".parse().unwrap(),
            },
            instance: Instance(name.to_owned()),
            document: Digest::of(hash.as_bytes()),
            images: Vec::new(),
            containers: (0..containers).map(plan).collect(),
        }
    }

    fn made_from(plan: &ContainerPlan, state: ContainerState, kept: bool) -> Container {
        Container {
            exit_code: None,
            id: ContainerId(format!("{}{kept}", plan.name)),
            name: plan.name.clone(),
            labels: plan.labels.clone(),
            state,
            kept,
            restarts: 0,
            created: 0,
            image: String::new(),
        }
    }

    /// What exists after all steps, if all of them go well.
    fn carry_out(existing: &[Container], steps: &[Step]) -> Vec<Container> {
        let mut after = existing.to_vec();
        for step in steps {
            let (gone, new): (Vec<&Container>, &[ContainerPlan]) = match step {
                Step::Stop { containers, .. } | Step::Forget { containers, .. } => {
                    (containers.iter().collect(), &[])
                }
                Step::Start { broken, containers, .. } => (broken.iter().collect(), containers),
                Step::Replace { leftovers, old, containers, .. } => {
                    (leftovers.iter().chain(old).collect(), containers)
                }
            };
            after.retain(|it| !gone.contains(&it));
            for plan in new {
                let taken = after.iter().any(|it| it.name == plan.name && !it.kept);
                assert!(!taken, "{} would be there twice", plan.name);
                after.push(made_from(plan, ContainerState::Running, false));
            }
        }
        after
    }

    prop_compose! {
        fn services()(chosen in prop::collection::btree_map(0u8..5, (1u8..3, 1u8..4), 0..5))
            -> Vec<WantedService> {
            chosen.into_iter().map(|(n, (v, c))| service(&format!("s{n}"), v, c)).collect()
        }
    }

    prop_compose! {
        fn containers()(all in prop::collection::vec((services(), prop::collection::vec((0u8..6, any::<bool>()), 20)), 1..2))
            -> Vec<Container> {
            let (services, states) = &all[0];
            services.iter().flat_map(|it| &it.containers).zip(states)
                .filter(|(_, (state, _))| *state > 0)
                .map(|(plan, (state, kept))| {
                    let state = if *state > 2 { ContainerState::Running } else { ContainerState::Stopped };
                    made_from(plan, if *kept { ContainerState::Stopped } else { state }, *kept)
                })
                .collect()
        }
    }

    proptest! {
        #[test]
        fn steps_lead_to_what_is_wanted_and_then_none_is_left(
            wanted in services(), existing in containers(),
        ) {
            let steps = plan(&wanted, &existing, &BTreeSet::new());
            let after = carry_out(&existing, &steps);
            let mut names: Vec<_> = after.iter().map(|it| it.name.clone()).collect();
            names.sort();
            let mut expected: Vec<_> =
                wanted.iter().flat_map(|it| &it.containers).map(|it| it.name.clone()).collect();
            expected.sort();
            prop_assert_eq!(names, expected);
            prop_assert!(plan(&wanted, &after, &BTreeSet::new()).is_empty());
        }

        #[test]
        fn what_runs_as_it_should_is_not_touched(wanted in services(), existing in containers()) {
            let steps = plan(&wanted, &existing, &BTreeSet::new());
            let after = carry_out(&existing, &steps);
            for container in &existing {
                let good = !container.kept
                    && container.state == ContainerState::Running
                    && wanted.iter().any(|service| service.deployment_hash() == container.deployment_hash()
                        && service.containers.iter().any(|plan| plan.name == container.name));
                prop_assert!(!good || after.contains(container));
            }
        }

        #[test]
        fn what_is_to_be_left_is_left(wanted in services(), existing in containers()) {
            let leave = (0..5).map(|n| Instance(format!("s{n}"))).collect();
            prop_assert!(plan(&wanted, &existing, &leave).is_empty());
        }
    }

    #[test]
    fn an_update_keeps_the_old_version_until_the_new_one_runs() {
        let (old, new) = (service("web", 1, 1), service("web", 2, 1));
        let running = made_from(&old.containers[0], ContainerState::Running, false);

        let steps =
            plan(std::slice::from_ref(&new), std::slice::from_ref(&running), &BTreeSet::new());

        let expected = Step::Replace {
            instance: new.instance.clone(),
            leftovers: vec![],
            old: vec![running],
            containers: new.containers,
        };
        assert_eq!(steps, [expected]);
    }

    #[test]
    fn after_a_crash_in_mid_update_there_is_still_something_to_go_back_to() {
        let (old, new) = (service("web", 1, 1), service("web", 2, 1));
        let kept = made_from(&old.containers[0], ContainerState::Stopped, true);

        let steps = plan(&[new], std::slice::from_ref(&kept), &BTreeSet::new());

        assert!(matches!(&steps[..], [Step::Replace { old, .. }] if *old == [kept]));
    }
}
