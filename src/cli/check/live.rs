//! What is asked of the exchange: documents and nodes by their names.

use std::str::FromStr;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::paper::Paper;
use crate::{
    cli::{Context, code, error::CliError, error::missing},
    document::{DeploymentPolicy, Pattern, ServiceBody, ServiceDefinition, ServicePolicy},
    exchange::{
        api::{NodeProfile, Service},
        client::{ExchangeClient, ExchangeError},
    },
    trust::{State, Statement},
    types::{
        Arch, DocumentKey, NodeId, OrgId, PatternId, PolicyId, ServiceId, ServiceUrl, Version,
    },
};

/// The exchange, if one is set up.
#[derive(Debug)]
pub(super) struct Live {
    client: Result<ExchangeClient, CliError>,
    org: Option<OrgId>,
}

impl Live {
    /// The exchange that the settings name. That they name none matters only once it is needed.
    pub(super) fn of(context: &Context) -> Self {
        let client = context.client();
        let known = client.as_ref().ok().map(|it| it.org().clone());
        let horizon = || context.environment.get("HZN_ORG_ID")?.parse().ok();
        let org = known.or_else(|| context.connection.org.clone()).or_else(horizon);
        Self { client, org }
    }

    /// No exchange at all.
    #[cfg(test)]
    pub(super) fn nothing() -> Self {
        let error = CliError::new(code::SETTINGS, "no exchange is set up");
        Self { client: Err(error), org: None }
    }

    /// The organization that names belong to where they do not say.
    pub(super) fn org(&self) -> Option<&OrgId> {
        self.org.as_ref()
    }

    /// Whether an exchange is set up.
    pub(super) fn is_set_up(&self) -> bool {
        self.client.is_ok()
    }

    /// The exchange, to ask it for `what`; without one, `help` says what to give instead.
    pub(super) fn client(&self, what: &str, help: &str) -> Result<&ExchangeClient, CliError> {
        self.client.as_ref().map_err(|error| {
            CliError::new(
                code::SETTINGS,
                format!("{what} is in no file, and no exchange is set up"),
            )
            .why(error.what())
            .help(format!(
                "{help}, or set EDGEPOST_EXCHANGE_URL, EDGEPOST_ORG and EDGEPOST_USER_AUTH"
            ))
        })
    }

    /// A deployment policy by its name.
    pub(super) async fn policy(&self, name: &str) -> Result<Paper<DeploymentPolicy>, CliError> {
        let client = self.client(&format!("policy {name}"), "give --policy FILE")?;
        let (client, id) = named::<PolicyId>(client, name)?;
        let full = format!("policy {}/{id}", client.org());
        match Signed::find(&client, &DocumentKey::policy(&id), &full).await? {
            Signed::Active(policy) => Ok(Paper::live(full, policy)),
            unsigned => {
                let held = client.find_policy(&id).await?;
                let held = held.ok_or_else(|| missing("policy", &name))?;
                Ok(Paper::live(unsigned.mark(&full), document(&full, &held.value)?))
            }
        }
    }

    /// A pattern by its name.
    pub(super) async fn pattern(&self, name: &str) -> Result<Paper<Pattern>, CliError> {
        let client = self.client(&format!("pattern {name}"), "give --pattern FILE")?;
        let (client, id) = named::<PatternId>(client, name)?;
        let full = format!("pattern {}/{id}", client.org());
        match Signed::find(&client, &DocumentKey::pattern(&id), &full).await? {
            Signed::Active(pattern) => Ok(Paper::live(full, pattern)),
            unsigned => {
                let held = client.find_pattern(&id).await?;
                let held = held.ok_or_else(|| missing("pattern", &name))?;
                Ok(Paper::live(unsigned.mark(&full), document(&full, &held.value)?))
            }
        }
    }

    /// A service by its id, `[org/]url_version_arch`.
    pub(super) async fn service(
        &self,
        name: &str,
    ) -> Result<(OrgId, Paper<ServiceDefinition>), CliError> {
        let client = self.client(&format!("service {name}"), "give --service FILE")?;
        let (client, id) = named::<ExchangeServiceId>(client, name)?;
        let held = client.find_service(id.as_str()).await?;
        let held = held.ok_or_else(|| missing("service", &name))?;
        let org = client.org().clone();
        let definition = definition(&client, &held).await?;
        Ok((org, definition))
    }

    /// The services of that name, of every version and architecture.
    pub(super) async fn services(
        &self,
        org: &OrgId,
        url: &ServiceUrl,
    ) -> Result<Vec<Paper<ServiceDefinition>>, CliError> {
        let client = self.client(&format!("service {org}/{url}"), "give it by --service FILE")?;
        let client = client.about(org.clone());
        let held = client.services_named(org, url).await?;
        let definitions = held.iter().map(|it| definition(&client, it));
        stream::iter(definitions).buffered(AT_ONCE).try_collect().await
    }

    /// What a service of the exchange says of itself and asks of nodes.
    pub(super) async fn service_policy(
        &self,
        id: &ServiceId,
    ) -> Result<Option<Paper<ServicePolicy>>, CliError> {
        let full = format!("policy of service {id}");
        let client = self.client(&full, "give it by --service-policy FILE")?;
        let about = client.about(id.org.clone());
        let signed = Signed::<ServiceBody>::find(&about, &DocumentKey::from(id), &full).await?;
        if let Signed::Active(body) = signed {
            return Ok(body.policy.map(|it| Paper::live(full, it)));
        }
        let held = client.service_policy(id).await?;
        let held = held.map(|it| document(&full, &it.value)).transpose()?;
        Ok(held.map(|it| Paper::live(full, it)))
    }

    /// What decides about a node, and its name, with its organization where that is another.
    pub(super) async fn node(&self, name: &str) -> Result<(String, NodeProfile), CliError> {
        let client = self.client(&format!("node {name}"), "give --node-policy FILE")?;
        let (about, id) = named::<NodeId>(client, name)?;
        let profile = about.node_profile(&id).await?.ok_or_else(|| missing("node", &name))?;
        let is_own = about.org() == client.org();
        let name = if is_own { id.to_string() } else { format!("{}/{id}", about.org()) };
        Ok((name, profile))
    }
}

/// The id that an exchange gives a service, without the organization: `url_version_arch`.
#[derive(Debug)]
struct ExchangeServiceId(String);

impl ExchangeServiceId {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no id of a service.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no id of a service: NAME_VERSION_ARCH")]
struct ParseServiceIdError(String);

impl FromStr for ExchangeServiceId {
    type Err = ParseServiceIdError;

    fn from_str(text: &str) -> Result<Self, ParseServiceIdError> {
        let fits = || {
            let (rest, arch) = text.rsplit_once('_')?;
            let (url, version) = rest.rsplit_once('_')?;
            let is_known = url.parse::<ServiceUrl>().is_ok_and(|it| it.mangled() == url)
                && version.parse::<Version>().is_ok()
                && arch.parse::<Arch>().is_ok();
            is_known.then(|| Self(text.to_owned()))
        };
        fits().ok_or_else(|| ParseServiceIdError(text.to_owned()))
    }
}

/// A client for the organization of `[org/]name`, and the name alone.
fn named<T>(client: &ExchangeClient, text: &str) -> Result<(ExchangeClient, T), CliError>
where
    T: FromStr<Err: std::error::Error + 'static>,
{
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        CliError::new(code::USAGE, format!("`{text}` is neither a file nor a name"))
            .because(error)
            .help("give a file that exists, or [ORG/]NAME as the exchange has it")
    };
    let (client, name) = match text.split_once('/') {
        Some((org, name)) => (
            client.about(
                org.parse().map_err(|error: crate::types::ids::ParseIdError| unusable(&error))?,
            ),
            name,
        ),
        None => (client.clone(), text),
    };
    Ok((client, name.parse().map_err(|error| unusable(&error))?))
}

/// The definition of a service that the exchange lists.
async fn definition(
    client: &ExchangeClient,
    held: &Service,
) -> Result<Paper<ServiceDefinition>, CliError> {
    let id = held.value.id();
    let full = format!("service {}/{id}", client.org());
    // A name that no document can have was never signed.
    let signed = match format!("service/{id}").parse() {
        Ok(key) => Signed::<ServiceBody>::find(client, &key, &full).await?,
        Err(_) => Signed::Nothing,
    };
    match signed {
        Signed::Active(body) => Ok(Paper::live(full, body.definition)),
        unsigned => Ok(Paper::live(unsigned.mark(&full), document(&full, &held.value)?)),
    }
}

/// What is put behind the name of a document that no signed one stands for.
pub(super) const UNSIGNED: &str = " (unsigned: Edgepost nodes do not go by it)";

/// How many documents are asked for at a time.
const AT_ONCE: usize = 8;

/// The signed document of a name: nodes go by it, whatever row of Horizon's API has the name. Its signatures are not
/// verified here.
enum Signed<T> {
    /// It is active.
    Active(T),
    /// There is none, or it was withdrawn: a row of the name is unsigned.
    Nothing,
    /// The exchange has no signed documents, or does not show those of this organization.
    Unknown,
}

impl<T: DeserializeOwned> Signed<T> {
    /// Asks the exchange for it; `full` names it in an error.
    async fn find(
        client: &ExchangeClient,
        key: &DocumentKey,
        full: &str,
    ) -> Result<Self, CliError> {
        if !client.is_edgepost().await? {
            return Ok(Self::Unknown);
        }
        let envelope = match client.newest_document(key).await {
            Ok(Some(envelope)) => envelope,
            Ok(None) => return Ok(Self::Nothing),
            Err(ExchangeError::Denied { .. }) => return Ok(Self::Unknown),
            Err(error) => return Err(error.into()),
        };
        let unreadable = |error| {
            CliError::new(code::ANSWER, format!("{full} of the exchange cannot be read"))
                .because(&error)
        };
        let statement: Statement<Value> =
            serde_json::from_slice(envelope.payload()).map_err(unreadable)?;
        if statement.header.state == State::Withdrawn {
            return Ok(Self::Nothing);
        }
        serde_json::from_value(statement.body).map(Self::Active).map_err(unreadable)
    }

    /// The name of a document, with the mark that nodes of Edgepost do not go by it.
    fn mark(&self, full: &str) -> String {
        match self {
            Self::Nothing => format!("{full}{UNSIGNED}"),
            _ => full.to_owned(),
        }
    }
}

/// What the exchange holds, as the type that decides on it.
fn document<T: DeserializeOwned>(name: &str, wire: &impl Serialize) -> Result<T, CliError> {
    let value = serde_json::to_value(wire).and_then(serde_json::from_value);
    value.map_err(|error| {
        CliError::new(code::ANSWER, format!("{name} of the exchange cannot be read"))
            .because(&error)
            .help("publish it again; the text says what is wrong with it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_service_has_name_version_and_architecture() {
        for text in ["hello_1.2.3_amd64", "my_till_1.0_arm64", "a.b-services-gps_2.0.3_amd64"] {
            assert_eq!(text.parse::<ExchangeServiceId>().unwrap().as_str(), text);
        }
        for text in ["", "hello", "hello_amd64", "hello_x_amd64", "_1.0.0_amd64", "a/b_1.0.0_arm"] {
            assert!(text.parse::<ExchangeServiceId>().is_err(), "{text}");
        }
    }
}
