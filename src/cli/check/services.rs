//! The services that may run on a node: those of the files, then those of the exchange, each with
//! all that it requires.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    live::Live,
    paper::{Paper, Written},
};
use crate::{
    cli::{code, error::CliError},
    document::{
        AccessNeed, ServiceDefinition, ServicePolicy, VersionChoice, choose_version,
        matching::{
            Candidate, Requires,
            required::{Answer, Published, RequiredError, Requirement, resolve},
        },
    },
    types::{Arch, OrgId, ServiceId, ServiceUrl},
};

/// A service in whatever version.
type Name = (OrgId, ServiceUrl);

/// Every service that is known.
#[derive(Debug)]
pub(super) struct Services {
    /// The policy that was given for the service in question.
    policy: Option<Paper<ServicePolicy>>,
    /// Those of the files, in the order in which they were given.
    given: Vec<(OrgId, Paper<ServiceDefinition>)>,
    /// By name: those of a file, or else those of the exchange.
    known: BTreeMap<Name, Vec<Paper<ServiceDefinition>>>,
    live: Live,
}

/// A service with all that decides about it.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) org: OrgId,
    pub(super) definition: Paper<ServiceDefinition>,
    pub(super) policy: Option<Paper<ServicePolicy>>,
    required: Result<Vec<(OrgId, ServiceDefinition)>, RequiredError>,
}

impl Offered {
    pub(super) fn id(&self) -> ServiceId {
        self.definition.content.service_id(&self.org)
    }

    /// What it and the services that it requires need of their host. Only the node knows what is allowed there.
    pub(super) fn host_access(&self) -> BTreeSet<AccessNeed> {
        let required = self.required.iter().flatten().map(|(_, it)| it);
        let all = [&self.definition.content].into_iter().chain(required);
        all.flat_map(ServiceDefinition::host_access).collect()
    }

    /// Gives it to `judge` in the form in which it is judged.
    pub(super) fn judged<R>(&self, judge: impl FnOnce(&Candidate<'_>) -> R) -> R {
        let policy = self.policy.as_ref().map(|it| &it.content);
        let alone = Candidate::new(&self.org, &self.definition.content, policy);
        match &self.required {
            Ok(required) => {
                let required: Vec<_> = required
                    .iter()
                    .map(|(org, definition)| Published { org, definition })
                    .collect();
                judge(&alone.with_required(&required))
            }
            Err(error) => judge(&Candidate { required: Requires::Unresolved(error), ..alone }),
        }
    }
}

impl Services {
    /// Those of the files; the exchange is asked for others.
    pub(super) fn new(
        given: Vec<(OrgId, Paper<ServiceDefinition>)>,
        policy: Option<Paper<ServicePolicy>>,
        live: Live,
    ) -> Self {
        let mut known = BTreeMap::<Name, Vec<_>>::new();
        for (org, paper) in &given {
            let name = (org.clone(), paper.content.url.clone());
            known.entry(name).or_default().push(paper.clone());
        }
        Self { policy, given, known, live }
    }

    /// The exchange.
    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// The architecture of all services that were given, if it is one.
    pub(super) fn only_arch(&self) -> Option<Arch> {
        let arches: BTreeSet<_> = self.given.iter().map(|it| &it.1.content.arch).collect();
        if arches.len() == 1 { arches.into_iter().next().cloned() } else { None }
    }

    /// Every service that was given, whether or not anything offers it.
    pub(super) async fn given(&mut self) -> Result<Vec<Offered>, CliError> {
        let mut offered = Vec::new();
        for (org, definition) in self.given.clone() {
            offered.push(self.offered(org, definition).await?);
        }
        Ok(offered)
    }

    /// The versions of a service that come to nodes of `arch` by these choices: the one whose turn
    /// it is, or all of them in turn. If none is for that architecture, one for another shows that.
    pub(super) async fn chosen(
        &mut self,
        (org, url): (&OrgId, &ServiceUrl),
        choices: &[VersionChoice],
        arch: &Arch,
        all: bool,
    ) -> Result<Vec<Offered>, CliError> {
        let known = &self.choices_of(org, url).await?[..];
        let of = |choice: &VersionChoice| {
            let same = |it: &&Paper<ServiceDefinition>| it.content.version == choice.version;
            let here = known.iter().filter(same).find(|it| it.content.arch == *arch);
            here.or_else(|| known.iter().find(same)).cloned()
        };
        let is_here = |it: &&VersionChoice| of(it).is_some_and(|it| it.content.arch == *arch);
        let mut offered: Vec<_> = choices.iter().filter(is_here).cloned().collect();
        if offered.is_empty() || all {
            offered = choices.iter().filter(|it| of(it).is_some()).cloned().collect();
        }
        let mut chosen = Vec::new();
        while let Some(next) = choose_version(&offered, |_| false) {
            let version = next.version.clone();
            chosen.extend(of(next).map(|it| (org.clone(), it)));
            offered.retain(|it| it.version != version);
            if !all {
                break;
            }
        }
        if chosen.is_empty() {
            // A file of it in another version, or of another service: that shows what is wrong.
            let same = known.iter().find(|it| matches!(it.written, Written::File(_))).cloned();
            chosen.extend(same.map(|it| (org.clone(), it)));
        }
        if chosen.is_empty() && known.is_empty() {
            chosen.extend(self.given.first().cloned());
        }
        if chosen.is_empty() {
            return Err(unpublished(org, url, choices, known));
        }
        let mut whole = Vec::new();
        for (org, definition) in chosen {
            whole.push(self.offered(org, definition).await?);
        }
        Ok(whole)
    }

    /// A service with its policy, and with all that it requires.
    async fn offered(
        &mut self,
        org: OrgId,
        definition: Paper<ServiceDefinition>,
    ) -> Result<Offered, CliError> {
        let id = definition.content.service_id(&org);
        let policy = match (&self.policy, &definition.written) {
            (Some(policy), _) => Some(policy.clone()),
            (None, Written::Exchange(_)) => self.live.service_policy(&id).await?,
            (None, Written::File(_)) => None,
        };
        let required = self.required(&org, &definition.content).await?;
        Ok(Offered { org, definition, policy, required })
    }

    /// All that a service requires, each in the highest version that will do.
    async fn required(
        &mut self,
        org: &OrgId,
        definition: &ServiceDefinition,
    ) -> Result<Result<Vec<(OrgId, ServiceDefinition)>, RequiredError>, CliError> {
        loop {
            let mut unknown = BTreeSet::new();
            let known = &self.known;
            let mut lookup = |asked: &Requirement<'_>| {
                let name = (asked.org.clone(), asked.url.clone());
                if let Some(((org, _), all)) = known.get_key_value(&name) {
                    highest(org, all, asked)
                } else {
                    unknown.insert(name);
                    Answer::NotKnownYet
                }
            };
            let outcome = resolve(Published { org, definition }, &mut lookup).map(|it| {
                let owned = |it: &Published<'_>| (it.org.clone(), it.definition.clone());
                it.required().iter().map(owned).collect()
            });
            if outcome.is_err() || unknown.is_empty() {
                return Ok(outcome);
            }
            for (org, url) in unknown {
                self.of(&org, &url).await?;
            }
        }
    }

    /// The services that a policy or a pattern can choose from. Where no exchange is set up and
    /// files of others were given, there are none.
    async fn choices_of(
        &mut self,
        org: &OrgId,
        url: &ServiceUrl,
    ) -> Result<Vec<Paper<ServiceDefinition>>, CliError> {
        let is_given = self.known.contains_key(&(org.clone(), url.clone()));
        if !is_given && !self.live.is_set_up() && !self.given.is_empty() {
            return Ok(Vec::new());
        }
        self.of(org, url).await
    }

    /// The services of that name: those of a file, or else those of the exchange.
    async fn of(
        &mut self,
        org: &OrgId,
        url: &ServiceUrl,
    ) -> Result<Vec<Paper<ServiceDefinition>>, CliError> {
        let name = (org.clone(), url.clone());
        if let Some(known) = self.known.get(&name) {
            return Ok(known.clone());
        }
        let found = self.live.services(org, url).await?;
        self.known.insert(name, found.clone());
        Ok(found)
    }
}

/// The highest version that serves.
fn highest<'a>(
    org: &'a OrgId,
    all: &'a [Paper<ServiceDefinition>],
    asked: &Requirement<'_>,
) -> Answer<'a> {
    let serves =
        |it: &&ServiceDefinition| it.arch == asked.by.arch && asked.range.contains(&it.version);
    let serving = all.iter().map(|it| &it.content).filter(serves);
    let highest = serving.max_by(|a, b| a.version.cmp(&b.version));
    highest.map_or(Answer::Nothing, |definition| Answer::Found(Published { org, definition }))
}

/// Nothing that is offered is there.
fn unpublished(
    org: &OrgId,
    url: &ServiceUrl,
    choices: &[VersionChoice],
    known: &[Paper<ServiceDefinition>],
) -> CliError {
    let wanted: Vec<_> = choices.iter().map(|it| it.version.to_string()).collect();
    let what = format!("{org}/{url} {} is not published", wanted.join(" or "));
    let there: BTreeSet<_> =
        known.iter().map(|it| format!("{} for {}", it.content.version, it.content.arch)).collect();
    let why = match there.len() {
        0 => "the exchange has no service of that name, or shows none".to_owned(),
        _ => format!("there is {}", there.into_iter().collect::<Vec<_>>().join(", ")),
    };
    CliError::new(code::NOT_FOUND, what).why(why).help("publish it, or give it by --service FILE")
}
