//! A service with all that it requires, or the reason why not.

use serde_json::Value;

use super::{Chosen, DEEPEST, Node, Selector, foreign};
use crate::{
    agent::library,
    document::{
        DeploymentPolicy, Pattern, RequiredService, UserInputValue, VersionChoice, choose_version,
        matching::{Candidate, fits, fits_pattern, values_for},
    },
    trust::State,
    types::{DocumentKey, OrgId, ServiceId, ServiceUrl},
};

/// What asks for a service.
#[derive(Clone, Copy)]
pub(super) enum Asker<'a> {
    Pattern(&'a Pattern),
    Policy(&'a DeploymentPolicy),
}

impl<'a> Asker<'a> {
    /// The values that it gives to variables.
    fn input(self) -> &'a [UserInputValue] {
        match self {
            Self::Pattern(pattern) => &pattern.user_input,
            Self::Policy(policy) => &policy.user_input,
        }
    }

    /// What keeps `candidate` from `node`.
    fn reasons(self, candidate: &Candidate<'_>, node: &Node<'_>) -> Vec<String> {
        let verdict = match self {
            Self::Pattern(pattern) => fits_pattern(pattern, candidate, node.policy, node.facts),
            Self::Policy(policy) => fits(policy, candidate, node.policy, node.facts),
        };
        verdict.reasons.iter().map(ToString::to_string).collect()
    }
}

/// A service that a pattern or policy asks for.
pub(super) struct Root<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) org: &'a OrgId,
    pub(super) url: &'a ServiceUrl,
    pub(super) choice: &'a VersionChoice,
}

impl<'a> Selector<'a> {
    /// Whether a service that the catalog lists can be taken; nothing if that cannot be said yet.
    fn available(&mut self, key: &DocumentKey) -> Option<bool> {
        if self.library.distrusted.contains(key) || self.library.retired.contains(key) {
            return Some(false);
        }
        match self.catalog.entries.get(key)?.state {
            State::Active => Some(true),
            State::Withdrawn => match self.has(key) {
                Ok(true) => Some(true),
                Ok(false) => None,
                Err(_) => Some(false),
            },
        }
    }

    /// The version whose turn it is, of those that the catalog has for this node; nothing if that
    /// cannot be said yet.
    pub(super) fn version<'c>(
        &mut self,
        org: &OrgId,
        url: &ServiceUrl,
        choices: &'c [VersionChoice],
    ) -> Result<Option<&'c VersionChoice>, String> {
        if *org != self.node.name.org {
            return Err(foreign(org));
        }
        let mut offered = Vec::new();
        for choice in choices {
            let key = DocumentKey::service(url, &choice.version, &self.node.facts.arch);
            if !self.catalog.entries.contains_key(&key) {
                continue;
            }
            match self.available(&key) {
                Some(true) => offered.push(choice.clone()),
                Some(false) => {}
                None => return Ok(None),
            }
        }
        let failures = |choice: &VersionChoice| (self.node.failures)(&self.id(org, url, choice));
        let chosen = choose_version(&offered, failures).map(|it| it.version.clone());
        let chosen = choices.iter().find(|it| Some(&it.version) == chosen.as_ref());
        if chosen.is_none() {
            let versions: Vec<_> = choices.iter().map(|it| it.version.to_string()).collect();
            let (versions, arch) = (versions.join(", "), &self.node.facts.arch);
            return Err(format!("no active version of {org}/{url} for {arch} among {versions}"));
        }
        Ok(chosen)
    }

    fn id(&self, org: &OrgId, url: &ServiceUrl, choice: &VersionChoice) -> ServiceId {
        let (version, arch) = (choice.version.clone(), self.node.facts.arch.clone());
        ServiceId { org: org.clone(), url: url.clone(), version, arch }
    }

    /// Takes a service with all that it requires, or none of it.
    pub(super) fn take_root(&mut self, asked_by: &DocumentKey, root: &Root<'a>) {
        match self.try_root(root) {
            Ok(new) => self.selection.wanted.extend(new),
            Err(reasons) => self.unfit(asked_by, reasons),
        }
    }

    /// A service with all that it requires and is not wanted yet; nothing while documents are
    /// missing.
    fn try_root(&mut self, root: &Root<'a>) -> Result<Vec<Chosen>, Vec<String>> {
        let id = self.id(root.org, root.url, root.choice);
        let key = DocumentKey::from(&id);
        let found = self.has(&key).map_err(|reason| vec![reason])?;
        let Some(document) = self.library.services.get(&key).filter(|_| found) else {
            return Ok(Vec::new());
        };
        let body = document.body();
        let alone = Candidate::new(root.org, &body.definition, body.policy.as_ref());
        // Most policies do not fit, and what their services require need not be fetched.
        let reasons = root.asker.reasons(&alone, self.node);
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let mut batch = Batch { root, new: Vec::new(), path: Vec::new(), missing: false };
        self.take(&id, &mut batch).map_err(|reason| vec![reason])?;
        if batch.missing {
            return Ok(Vec::new());
        }
        let required: Vec<_> = batch
            .new
            .iter()
            .filter(|it| it.id != id)
            .filter_map(|it| {
                Some((&it.id.org, &self.library.services.get(&it.key)?.body().definition))
            })
            .collect();
        let whole = Candidate { required: &required, ..alone };
        let reasons = root.asker.reasons(&whole, self.node);
        if reasons.is_empty() { Ok(batch.new) } else { Err(reasons) }
    }

    /// Takes a service behind those that it requires.
    fn take(&mut self, id: &ServiceId, batch: &mut Batch<'_>) -> Result<(), String> {
        if let Some(at) = batch.path.iter().position(|it| it == id) {
            let cycle: Vec<_> =
                batch.path[at..].iter().chain([id]).map(|it| it.url.as_str()).collect();
            return Err(format!("services require each other in a circle: {}", cycle.join(" → ")));
        }
        if batch.path.len() >= DEEPEST {
            return Err(format!("services require each other more than {DEEPEST} deep"));
        }
        let same = |it: &&Chosen| it.id.org == id.org && it.id.url == id.url;
        if let Some(other) = batch.new.iter().chain(&self.selection.wanted).find(same) {
            return if other.id.version == id.version {
                Ok(())
            } else {
                Err(format!(
                    "{} is wanted in version {} and in version {}",
                    id.url, other.id.version, id.version
                ))
            };
        }
        let key = DocumentKey::from(id);
        if !self.has(&key)? {
            batch.missing = true;
            return Ok(());
        }
        let Some(document) = self.library.services.get(&key) else {
            return Ok(());
        };
        // Two names can have one key: what counts is the signed one.
        if document.body().definition.url != id.url {
            return Err(format!("{key} is {}, not {}", document.body().definition.url, id.url));
        }
        batch.path.push(id.clone());
        let mut requires = Vec::new();
        for required in &document.body().definition.required_services {
            let Some(other) = self.required(id, required, batch)? else {
                batch.missing = true;
                continue;
            };
            requires.push((other.org.clone(), other.url.clone()));
            self.take(&other, batch)?;
        }
        batch.path.pop();
        let is_root = batch.path.is_empty();
        batch.new.push(Chosen {
            id: id.clone(),
            key,
            given: values_for(
                &id.org,
                &document.body().definition,
                batch.root.asker.input(),
                &self.node.facts.user_input,
            ),
            overrides: if is_root { overrides(batch.root.choice) } else { Value::Null },
            requires,
        });
        Ok(())
    }

    /// The version of a required service: the one that is wanted anyway if it will do, else the
    /// highest; nothing if that cannot be said yet.
    fn required(
        &mut self,
        by: &ServiceId,
        required: &RequiredService,
        batch: &Batch<'_>,
    ) -> Result<Option<ServiceId>, String> {
        if required.org != self.node.name.org {
            return Err(foreign(&required.org));
        }
        let (range, arch) = (required.versions(), &self.node.facts.arch);
        let same = |it: &&Chosen| it.id.org == required.org && it.id.url == required.url;
        let wanted = batch.new.iter().chain(&self.selection.wanted).find(same);
        if let Some(chosen) = wanted.filter(|it| range.contains(&it.id.version)) {
            return Ok(Some(chosen.id.clone()));
        }
        let mut candidates: Vec<_> = library::versions(self.catalog, &required.url, arch)
            .filter(|(version, _)| range.contains(version))
            .collect();
        candidates.sort_by(|a, b| b.0.cmp(&a.0));
        let (org, url) = (&required.org, &required.url);
        for (version, key) in candidates {
            match self.available(key) {
                Some(true) => {
                    let (org, url, arch) = (org.clone(), url.clone(), arch.clone());
                    return Ok(Some(ServiceId { org, url, version, arch }));
                }
                Some(false) => {}
                None => return Ok(None),
            }
        }
        let range = range.expanded();
        Err(format!("{} requires {org}/{url} {range} for {arch}, and there is none", by.url))
    }
}

/// A root and what it brings with it, before it is known that all of it fits.
struct Batch<'a> {
    root: &'a Root<'a>,
    new: Vec<Chosen>,
    /// From the root to what is being taken, to see circles.
    path: Vec<ServiceId>,
    missing: bool,
}

/// The overrides of a version, which may be an object or its text.
fn overrides(choice: &VersionChoice) -> Value {
    match &choice.deployment_overrides {
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        other => other.clone(),
    }
}
