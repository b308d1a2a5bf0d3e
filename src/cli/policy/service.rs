//! Policies of services: what goes with a service wherever it is deployed.

use serde_json::Value;

use crate::{
    cli::{
        Context, code,
        documents::{Noun, Publication, Sheet, absent},
        error::CliError,
        policy::{counts, without},
        service::NamedService,
    },
    document::{Problem, Problems, Property, ServiceBody, ServicePolicy, Source},
    exchange::client::{ExchangeClient, ExchangeError},
    publish::{DocumentPlan, PublishError, Published, Publisher},
    types::{DocumentKey, ServiceId},
};

/// The policy of a service that is published.
pub(super) struct PolicyOfService {
    service: NamedService,
    id: Box<ServiceId>,
}

impl PolicyOfService {
    /// That of the service that a list calls so.
    pub(super) async fn find(service: &str, context: &Context) -> Result<Self, CliError> {
        let service = NamedService::named(service)?;
        let client = context.client()?;
        let row = service.row(&client).await?.ok_or_else(|| absent(&service))?;
        let unreadable =
            || CliError::new(code::ANSWER, format!("{} cannot be read", service.key()));
        let text = |member: &str| row[member].as_str().ok_or_else(unreadable);
        let id = Box::new(ServiceId {
            org: client.org().clone(),
            url: text("url")?.parse().map_err(|error| unreadable().because(&error))?,
            version: text("version")?.parse().map_err(|error| unreadable().because(&error))?,
            arch: text("arch")?.parse().map_err(|error| unreadable().because(&error))?,
        });
        Ok(Self { service, id })
    }
}

/// Whether Horizon adds a property to the policy of every service.
fn is_built_in(property: &Property) -> bool {
    property.name.starts_with("openhorizon.service.")
}

/// It is signed as a part of its service.
impl Noun for PolicyOfService {
    type Written = ServicePolicy;
    type Signed = ServiceBody;

    const WORD: &'static str = "policy of service";
    const LISTED_BY: &'static str = "edgepost policy list --service SERVICE";
    const HEADINGS: &'static [&'static str] = &["POLICY OF SERVICE", "PROPERTIES", "CONSTRAINTS"];

    fn name(&self) -> &str {
        self.service.name()
    }

    fn key(&self) -> DocumentKey {
        self.service.key()
    }

    fn read(source: &Source) -> Result<(ServicePolicy, Vec<Problem>), Problems> {
        ServicePolicy::from_source(source)
    }

    async fn row(&self, client: &ExchangeClient) -> Result<Option<Value>, ExchangeError> {
        client.service_policy_row(&self.key()).await
    }

    fn cells(name: &str, row: &Value) -> Vec<String> {
        counts(name, &[row])
    }

    fn summary(&self, said: &ServicePolicy, sheet: &mut Sheet) {
        sheet.line("label", &said.label);
        sheet.line("description", &said.description);
        sheet.terms("", &said.properties, &said.constraints);
    }

    fn signed(mut body: Value) -> Option<Value> {
        body.get_mut("policy").map(Value::take)
    }

    fn is_in(signed: &ServiceBody) -> bool {
        signed.policy.is_some()
    }

    /// Without what Horizon adds to every policy of a service.
    fn to_horizon(written: &ServicePolicy) -> Value {
        let mut said = written.clone();
        said.properties = without(&said.properties, is_built_in);
        said.unknown.clear();
        Self::written(&said)
    }

    async fn withdraw(&self, publisher: &Publisher) -> Result<bool, PublishError> {
        Ok(!publisher.publish_service_policy(&self.id, None).await?.unchanged)
    }
}

impl Publication for PolicyOfService {
    async fn publish(
        &self,
        publisher: &Publisher,
        policy: &ServicePolicy,
    ) -> Result<Published, PublishError> {
        publisher.publish_service_policy(&self.id, Some(policy)).await
    }

    async fn plan(
        &self,
        publisher: &Publisher,
        policy: &ServicePolicy,
    ) -> Result<DocumentPlan, PublishError> {
        publisher.plan_service_policy(&self.id, Some(policy)).await
    }
}
