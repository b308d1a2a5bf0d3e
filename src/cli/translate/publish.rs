//! Why something was not published.

use serde_json::Value;

use super::registry::of_registry;
use crate::{
    cli::{code, error::CliError},
    document::{difference::Change, matching::required::RequiredError},
    image::ImageError,
    publish::PublishError,
    registry::client::RegistryError,
};

impl From<PublishError> for CliError {
    fn from(error: PublishError) -> Self {
        use PublishError as E;
        let what = error.to_string();
        let with = |code, help: &str| Self::new(code, what.clone()).help(help);
        match error {
            E::Exchange(error) => error.into(),
            E::Clock(gap) => gap.into(),
            E::Trust(error) => error.into(),
            E::Registry { source, .. } => of_registry(what, &source),
            E::NotFound { searched, .. } => with(code::SOURCE, "build it, or say where it is: --source oci:FOLDER, docker-archive:FILE or docker:SOCKET")
                .details(searched.into_iter().map(|place| format!("searched: {place}"))),
            E::Source { source: source @ ImageError::SeveralImages { .. }, .. } => with(code::SOURCE, "name the one that is meant behind the path: --source oci:FOLDER:NAME, docker-archive:FILE:NAME; a digest is a name, too").because(&source),
            E::Source { source: source @ ImageError::Layers { .. }, .. } => with(code::SOURCE, "build or save the image again: nodes could not run it").because(&source),
            E::Source { source: source @ ImageError::EngineAway { .. }, .. } => with(
                code::ENGINE,
                "start it, or set DOCKER_HOST to its address; without an engine: --source oci:FOLDER, docker-archive:FILE or registry:",
            )
            .because(&source),
            E::Source { source, .. } => with(code::SOURCE, "the text says what is wrong with the image").because(&source),
            E::Manifest { source, .. } => with(code::SOURCE, "is it an OCI or Docker image?").because(&source),
            E::NestedIndex { .. } => with(code::SOURCE, "name one of its indexes by digest"),
            E::WrongPlatform { has, .. } => {
                let why = has.map_or_else(|| "its index has no such image".to_owned(), |it| format!("it is for {it}"));
                with(code::SOURCE, "build it for the service's arch, or set ARCH").why(why)
            }
            E::NotPullable { source: Some(source), .. } if !is_refusal(&source) => of_registry(what, &source),
            E::NotPullable { image, source } => {
                let error = with(code::REGISTRY_DENIED, "check the login given by -r: nodes pull with it")
                    .at(&image.repository);
                match source {
                    Some(source) => error.because(&source),
                    None => error.why("the registry does not show the image to it, even after some seconds"),
                }
            }
            E::PullLoginRefused { source, .. } => with(code::REGISTRY_AUTH, "check the login given by -r: nodes pull with it; nothing was pushed").because(&source),
            E::UnusedLogin { used, .. } => {
                let used: Vec<_> = used.iter().map(ToString::to_string).collect();
                let why = if used.is_empty() { "the service has no images".to_owned() } else { format!("its images are in {}", used.join(", ")) };
                with(code::REGISTRY_LOGIN, "leave the login out, or name the registry as the image does").why(why)
            }
            E::TooManyLogins => with(code::REGISTRY_LOGIN, "give one for each registry"),
            E::HorizonVersion(_) => with(code::DEFINITION, "use numbers and dots alone: 1.2.3"),
            E::Presigned(source) => with(code::DEFINITION, "let the deployment be an object, so that it is pinned and signed here").because(&source),
            E::Body(source) => with(code::FAILED, "this is a fault of the program").because(&source),
            E::Seal(source) => with(code::DEFINITION, "make the definition smaller").because(&source),
            E::Login(source) => with(code::REGISTRY_LOGIN, "check the value of -r").because(&source),
            E::Pin(source) => with(code::DEFINITION, "each image needs a repository of its own registry").because(&source),
            E::NoOperator => with(code::FAILED, "this is a fault of the program"),
            E::MissingRequirement { source, exists } => with(code::NOT_FOUND, "publish it first, or ask for a version that there is").because(&source).details(there_is(&exists)),
            E::Requirement(source) => with(code::DEFINITION, advice_on_required(&source)).because(&source),
            E::Unpublished(_, missing) => with(code::NOT_FOUND, "publish them first, or offer a version that there is")
                .details(missing.iter().flat_map(|it| std::iter::once(format!("missing: {}", it.wanted)).chain(there_is(&it.exists)))),
            E::NoTrust(_) => with(code::REFUSED, "`edgepost trust init` makes it"),
            E::NoRule(_) => with(code::REFUSED, "whoever keeps its root key can add one: edgepost trust add KIND --trust-sha256 PIN"),
            E::SeqUsedUp(_) => with(code::REFUSED, "publish it under another name or version; or whoever keeps the root key raises the epoch of its rule, where numbers begin anew")
                .why("an exchange that is honest never shows so high a number: who has changed what stands there?"),
            E::Absent(_) => with(code::NOT_FOUND, "publish it first: edgepost publish"),
            E::NotOurs(_) => with(code::REFUSED, "give a key by -k that signed it before, or publish the service again"),
            E::NoKey(_) => with(code::REFUSED, "give a key by -k that `edgepost trust show` names for it"),
            E::Contradiction { .. } => with(code::DEFINITION, "let the file and the command say the same organization and name, or leave them out of the file"),
            E::Different { changes, .. } => with(code::CONFLICT, "raise the version, or say --overwrite").details(differences(&changes)),
            E::Published { source, .. } => with(code::ANSWER, "`edgepost service verify` says more").because(&source),
            E::HorizonKey(source) => with(code::KEY, "it must be an RSA key of 2048 bits or more").because(&source),
            E::NeedsHorizonKey => with(code::KEY, "give one by --horizon-key"),
            E::Encode(source) => with(code::FAILED, "this is a fault of the program").because(&source),
        }
    }
}

/// What helps where services that require each other cannot run together.
fn advice_on_required(error: &RequiredError) -> &'static str {
    use RequiredError as E;
    match error {
        E::Circle(_) => "one of them must do without the next",
        E::TwoVersions { .. } => "let the ranges of both have a version in common",
        E::ClusterAlone { .. } | E::InCluster(_) => {
            "require services with a `deployment`, and from such alone"
        }
        E::TooDeep => "let services require fewer others",
        E::Missing { .. } | E::Refused { .. } => "publish it first",
    }
}

/// Where a document differs from the live one, a line each, and no more than a screen shows.
fn differences(changes: &[Change]) -> Vec<String> {
    const MOST: usize = 10;
    let line = |it: &Change| {
        format!(
            "differs: {}: live {}, now {}",
            it.path,
            beginning(it.old.as_ref()),
            beginning(it.new.as_ref())
        )
    };
    let more = changes.len().saturating_sub(MOST);
    let more = (more > 0).then(|| format!("and {more} more; `diff` shows them all"));
    changes.iter().take(MOST).map(line).chain(more).collect()
}

/// A value as JSON, or its beginning.
fn beginning(value: Option<&Value>) -> String {
    const LONGEST: usize = 120;
    let Some(value) = value else { return "nothing".to_owned() };
    let mut text = value.to_string();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

/// The versions that there are, a line each.
fn there_is(exists: &[String]) -> Vec<String> {
    match exists {
        [] => vec!["there is no version of it at all".to_owned()],
        exists => exists.iter().map(|it| format!("there is {it}")).collect(),
    }
}

/// Whether the registry answered that these credentials do not get it.
fn is_refusal(error: &RegistryError) -> bool {
    use RegistryError as E;
    matches!(error, E::Unauthorized { .. } | E::Denied { .. } | E::NotFound { .. })
}
