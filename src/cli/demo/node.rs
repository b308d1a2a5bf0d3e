//! The node of the demonstration.

use std::time::Duration;

use crate::{
    agent::{Agent, AgentConfig, End, Outcome, Registration, register},
    cli::demo::{
        stage::{Stage, Told, pattern_id, service_key},
        thief::TheftError,
    },
    exchange::api::ServiceState,
    trust::TrustRoot,
    types::{DocumentKey, NodeRef, PatternRef, Secret},
};

impl Stage {
    /// Registers a node that takes the pattern.
    pub(super) async fn register(&mut self) -> Told {
        let exchange = self.exchange.clone().ok_or("there is no user yet")?;
        let trust = TrustRoot::Pinned(self.pin.ok_or("there is no trust yet")?);
        let pattern = PatternRef { org: self.org.clone(), id: pattern_id()? };
        let node = NodeRef { org: self.org.clone(), id: "node-1".parse()? };
        let registration =
            Registration::new(exchange, node, Secret::random()?, trust).pattern(pattern);
        register(&self.agent_config(), registration).await?;
        Ok(((), "node-1 pinned the trust and took the pattern".to_owned()))
    }

    /// Lets the node settle; it must have `version` then, and nothing else.
    pub(super) async fn settle(&mut self, version: &str) -> Told {
        let outcome = self.run_agent().await?;
        let key = service_key(version)?;
        let has: Vec<_> = outcome
            .status
            .services
            .iter()
            .filter(|it| it.state == ServiceState::Running)
            .map(|it| DocumentKey::from(&it.service))
            .collect();
        if outcome.end != End::Settled || has != [key.clone()] {
            return Err(format!(
                "the node ended as {:?} with {has:?}: {}",
                outcome.end,
                told(&outcome)
            )
            .into());
        }
        let verb = if outcome.status.engine == "none" { "verified and pulled" } else { "runs" };
        Ok(((), format!("the node {verb} {key} (engine {})", outcome.status.engine)))
    }

    /// Lets the node settle while something is wrong: it must say `attack`, and keep what it has.
    pub(super) async fn must_refuse(&mut self, attack: &str) -> Result<String, TheftError> {
        let outcome = self.run_agent().await?;
        let kept = service_key("2.0.0")?;
        let has_kept =
            outcome.status.services.iter().any(|it| {
                DocumentKey::from(&it.service) == kept && it.state == ServiceState::Running
            });
        match outcome.status.refusals.iter().find(|it| it.attack == attack) {
            Some(refusal) if outcome.end == End::Refused && has_kept => Ok(refusal.detail.clone()),
            _ => Err(format!("not refused as `{attack}`: {}", told(&outcome)).into()),
        }
    }

    /// Stops what the node runs. Trouble here must not hide the story's end.
    pub(super) async fn clear_node(&self) {
        if let Ok(mut agent) = Agent::open(self.agent_config()).await
            && let Err(error) = agent.clear().await
        {
            tracing::warn!(%error, "containers of the demonstration are left behind");
        }
    }

    async fn run_agent(&self) -> Result<Outcome, TheftError> {
        let mut agent = Agent::open(self.agent_config()).await?;
        Ok(Box::pin(agent.run_once()).await)
    }

    fn agent_config(&self) -> AgentConfig {
        AgentConfig::new(self.path("node"))
            .engine(self.engine)
            .sockets(self.sockets.clone())
            .clock(self.clock.clone())
            .watch(Duration::from_millis(500))
    }
}

/// What an agent's pass had to say.
fn told(outcome: &Outcome) -> String {
    let refusals = outcome.status.refusals.iter().map(|it| format!("{}: {}", it.attack, it.detail));
    let failed = outcome.status.services.iter().filter_map(|it| it.detail.clone());
    let problems = outcome.status.problems.iter().cloned();
    refusals.chain(failed).chain(problems).collect::<Vec<_>>().join("; ")
}
