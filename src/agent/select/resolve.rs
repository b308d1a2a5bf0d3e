//! A service with all that it requires, or the reason why not.

use serde_json::Value;

use super::{Chosen, Node, Selector, Shelf};
use crate::{
    agent::{library, sandbox::RefusedAccess, trials::Turn},
    document::{
        DeploymentPolicy, Pattern, UserInputValue, VersionChoice, choose_version,
        matching::{
            Candidate, fits, fits_pattern,
            required::{self, Answer, Published, Requirement, Resolved},
            values_for,
        },
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
        verdict.reasons()
    }
}

/// A service that a pattern or policy asks for.
pub(super) struct Root<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) org: &'a OrgId,
    pub(super) url: &'a ServiceUrl,
    pub(super) choice: &'a VersionChoice,
    pub(super) turn: Option<Turn>,
}

impl<'a> Selector<'a> {
    /// Whether a service that the catalog of `org` lists can be taken; nothing if that cannot be said yet.
    fn available(&mut self, org: &OrgId, key: &DocumentKey) -> Option<bool> {
        let Ok(Shelf { catalog, library }) = self.shelves.of(org) else { return Some(false) };
        if library.distrusted.contains(key) || library.retired.contains(key) {
            return Some(false);
        }
        match catalog.entries.get(key)?.state {
            State::Active => Some(true),
            State::Withdrawn => match self.has_of(org, key) {
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
        let Shelf { catalog, library } = self.shelves.for_service(org, url)?;
        let mut offered = Vec::new();
        for choice in choices {
            let key = DocumentKey::service(url, &choice.version, &self.node.facts.arch);
            if !catalog.entries.contains_key(&key) {
                continue;
            }
            match self.available(org, &key) {
                Some(true) => offered.push(choice.clone()),
                Some(false) => {}
                None => return Ok(None),
            }
        }
        let used_up = |choice: &VersionChoice| (self.node.used_up)(&self.id(org, url, choice));
        let chosen = choose_version(&offered, used_up).map(|it| it.version.clone());
        let chosen = choices.iter().find(|it| Some(&it.version) == chosen.as_ref());
        if chosen.is_none() {
            let versions: Vec<_> = choices.iter().map(|it| it.version.to_string()).collect();
            let (versions, arch) = (versions.join(", "), &self.node.facts.arch);
            let is_ended = |it: &VersionChoice| {
                library.ended.contains(&DocumentKey::service(url, &it.version, arch))
            };
            let ended: Vec<_> =
                choices.iter().filter(|it| is_ended(it)).map(|it| it.version.to_string()).collect();
            let ended = match ended.as_slice() {
                [] => String::new(),
                ended => format!(
                    "; {} was signed in an epoch that has ended, and must be published again",
                    ended.join(", ")
                ),
            };
            return Err(format!(
                "no active version of {org}/{url} for {arch} among {versions}{ended}"
            ));
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
        let found = self.has_of(root.org, &key).map_err(|reason| vec![reason])?;
        let Shelf { library, .. } = self.shelves.of(root.org).map_err(|reason| vec![reason])?;
        let Some(document) = library.services.get(&key).filter(|_| found) else {
            return Ok(Vec::new());
        };
        let body = document.body();
        let alone = Candidate::new(root.org, &body.definition, body.policy.as_ref());
        // Most policies do not fit, and what their services require need not be fetched.
        let reasons = root.asker.reasons(&alone, self.node);
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let service = Published { org: root.org, definition: &body.definition };
        let resolution = required::resolve(service, &mut |asked| self.find(asked))
            .map_err(|error| vec![error.to_string()])?;
        if resolution.incomplete {
            return Ok(Vec::new());
        }
        let required = resolution.required();
        let reasons = root.asker.reasons(&alone.with_required(&required), self.node);
        if !reasons.is_empty() {
            return Err(reasons);
        }
        self.check_host_access(&resolution.services)?;
        let chosen = resolution.services.into_iter().filter_map(|it| {
            let is_root = it.service.id() == id;
            self.choose(root, is_root, it).map_err(|reason| vec![reason]).transpose()
        });
        chosen.collect()
    }

    /// Refuses a service with all that it requires, if one of them needs more of the host than its owner
    /// allows; an earlier version that runs may go on.
    fn check_host_access(&mut self, services: &[Resolved<'_>]) -> Result<(), Vec<String>> {
        let refused = |it: &Resolved<'_>| {
            let needs = (self.node.refuses)(&it.service.definition.host_access());
            (!needs.is_empty()).then(|| RefusedAccess { service: it.service.id(), needs })
        };
        let refused: Vec<_> = services.iter().filter_map(refused).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let all = services.iter().map(|it| it.service);
        self.selection.held.extend(all.map(|it| (it.org.clone(), it.definition.url.clone())));
        let reasons = refused.iter().map(RefusedAccess::describe).collect();
        for it in refused {
            if !self.selection.refused.contains(&it) {
                self.selection.refused.push(it);
            }
        }
        Err(reasons)
    }

    /// A service as it is to run; nothing if it is wanted already.
    fn choose(
        &self,
        root: &Root<'a>,
        is_root: bool,
        resolved: Resolved<'a>,
    ) -> Result<Option<Chosen>, String> {
        let Published { org, definition } = resolved.service;
        let id = resolved.service.id();
        if let Some(other) = self.wanted(org, &id.url) {
            let (url, one, two) = (&id.url, &other.id.version, &id.version);
            return if one == two {
                Ok(None)
            } else {
                Err(format!("{url} is wanted in version {one} and in version {two}"))
            };
        }
        let (offered, of_node) = (root.asker.input(), &self.node.facts.user_input);
        Ok(Some(Chosen {
            key: DocumentKey::from(&id),
            given: values_for(org, definition, offered, of_node),
            overrides: if is_root { overrides(root.choice) } else { Value::Null },
            turn: root.turn.clone().filter(|_| is_root),
            requires: resolved.requires.into_iter().map(|it| (it.org, it.url)).collect(),
            id,
        }))
    }

    fn wanted(&self, org: &OrgId, url: &ServiceUrl) -> Option<&Chosen> {
        self.selection.wanted.iter().find(|it| it.id.org == *org && it.id.url == *url)
    }

    /// The service that serves a requirement: the one that is wanted anyway if it will do, else the
    /// highest version of which the catalog says that it can be taken.
    fn find(&mut self, asked: &Requirement<'_>) -> Answer<'a> {
        let Shelf { catalog, .. } = match self.shelves.for_service(asked.org, asked.url) {
            Ok(known) => known,
            Err(reason) => return Answer::Refused(reason),
        };
        let wanted = self.wanted(asked.org, asked.url);
        if let Some(chosen) = wanted.filter(|it| asked.range.contains(&it.id.version)) {
            return self.published(asked.org, &chosen.key.clone(), asked.url);
        }
        let mut candidates: Vec<_> = library::versions(catalog, asked.url, &asked.by.arch)
            .filter(|(version, _)| asked.range.contains(version))
            .collect();
        candidates.sort_by(|a, b| b.0.cmp(&a.0));
        for (_, key) in candidates {
            match self.available(asked.org, key) {
                Some(true) => return self.published(asked.org, key, asked.url),
                Some(false) => {}
                None => return Answer::NotKnownYet,
            }
        }
        Answer::Nothing
    }

    fn published(&mut self, org: &OrgId, key: &DocumentKey, url: &ServiceUrl) -> Answer<'a> {
        match self.has_of(org, key) {
            Ok(true) => {}
            Ok(false) => return Answer::NotKnownYet,
            Err(reason) => return Answer::Refused(reason),
        }
        let Ok(Shelf { catalog, library }) = self.shelves.of(org) else {
            return Answer::NotKnownYet;
        };
        let Some(document) = library.services.get(key) else {
            return Answer::NotKnownYet;
        };
        let definition = &document.body().definition;
        // Two names can have one key: what counts is the signed one.
        if definition.url != *url {
            return Answer::Refused(format!("{key} is {}, not {url}", definition.url));
        }
        Answer::Found(Published { org: &catalog.org, definition })
    }
}

/// The overrides of a version, which may be an object or its text.
fn overrides(choice: &VersionChoice) -> Value {
    match &choice.deployment_overrides {
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        other => other.clone(),
    }
}
