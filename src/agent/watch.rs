//! The loop round the passes: it waits for a change, here or at the exchange, or for the time of the
//! next look.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Agent, End, introduction::Introduction, settle::told},
    exchange::{
        api::{ChangedResource, ChangesResponse, LONGEST_WAIT, Resource},
        client::{ExchangeClient, ExchangeError},
    },
    types::NodeRef,
};

/// The longest wait before a pass that did not go well is repeated, in first waits.
const LONGEST_RETRY: u32 = 300;

/// A little less than the exchange grants, so that the answer comes before anything on the way
/// loses its patience.
const ONE_WAIT: Duration = LONGEST_WAIT.saturating_sub(Duration::from_secs(5));

impl Agent {
    /// Keeps what runs equal to what should, until `shutdown`.
    pub async fn run(&mut self, shutdown: CancellationToken) {
        let mut feed = Feed::of(self.exchange.clone(), self.identity.node.clone());
        let retry_now = self.retry_now();
        let mut failures = 0;
        loop {
            // Asked for before the pass, so that no change falls between the two.
            let begun = tokio::select! {
                () = shutdown.cancelled() => return,
                begun = feed.begin() => begun,
            };
            if let Err(error) = begun {
                tracing::info!(error = %told(&error), "the exchange does not answer");
            }
            let Some(outcome) = self.run_once_until(&shutdown).await else { return };
            failures = match outcome.end {
                End::Settled | End::NothingFits => 0,
                _ => failures + 1,
            };
            let wait = self.wait_after(failures);
            tracing::debug!(end = ?outcome.end, ?wait, "a pass has ended");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = feed.change(self.config.first_wait) => {}
                () = self.drift() => {}
                () = retry_now.notified() => self.skip_backoff(),
            }
            if std::mem::take(&mut feed.retold) {
                self.introduction = Introduction::default();
            }
            if std::mem::take(&mut feed.logins_changed) {
                self.credentials.forget_all();
            }
            if std::mem::take(&mut feed.published) {
                self.introduction.hurry();
            }
        }
    }

    /// Lets services that failed be tried again in the next pass.
    fn skip_backoff(&mut self) {
        let now = self.config.clock.now();
        self.attempts.values_mut().for_each(|it| it.not_before = it.not_before.min(now));
        self.introduction.hurry();
    }

    /// How long until the next look: the poll when all is well, else soon, and ever less soon.
    fn wait_after(&self, failures: u32) -> Duration {
        let now = self.config.clock.now();
        let due = self.attempts.values().map(|it| it.not_before.duration_since(now)).min();
        let due = due.and_then(|it| Duration::try_from(it).ok());
        let longest = due.map_or(Duration::MAX, |it| it.max(self.config.first_wait));
        let base = match failures {
            0 => self.config.poll,
            n => {
                let growing = self.config.first_wait * (1 << n.min(12));
                growing.min(self.config.first_wait * LONGEST_RETRY).min(self.config.poll)
            }
        };
        jittered(base.min(longest))
    }
}

/// Between three quarters and five quarters of `base`, so that a fleet does not move in step.
fn jittered(base: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    base * 3 / 4 + base / 2 * (random >> 16) / 0xffff
}

/// The exchange's feed of changes.
struct Feed {
    exchange: ExchangeClient,
    node: NodeRef,
    /// The first change of interest, once it is known.
    from: Option<i64>,
    /// Whether somebody has told something else about this node.
    retold: bool,
    /// Whether a service has come or changed.
    published: bool,
    /// Whether logins of a service have changed.
    logins_changed: bool,
}

impl Feed {
    fn of(exchange: ExchangeClient, node: NodeRef) -> Self {
        Self { exchange, node, from: None, retold: false, published: false, logins_changed: false }
    }

    /// Finds out from where on changes are news.
    async fn begin(&mut self) -> Result<(), ExchangeError> {
        if self.from.is_none() {
            self.from = Some(self.exchange.newest_change().await?.saturating_add(1));
        }
        Ok(())
    }

    /// Returns when something has changed that may concern the node, or when the exchange answers
    /// again after it was away.
    async fn change(&mut self, first_wait: Duration) {
        let mut failures = 0;
        loop {
            match self.next().await {
                Ok(changed) if changed || failures > 0 => return,
                Ok(_) => {}
                Err(error) => {
                    failures += 1;
                    tracing::debug!(error = %told(&error), "the feed of changes is silent");
                    let wait = first_wait * (1 << failures.min(6));
                    tokio::time::sleep(jittered(wait)).await;
                }
            }
        }
    }

    async fn next(&mut self) -> Result<bool, ExchangeError> {
        self.begin().await?;
        let from = self.from.unwrap_or_default();
        let answer = self.exchange.changes(from, ONE_WAIT).await?;
        self.from = Some(from.max(answer.most_recent_change_id.saturating_add(1)));
        for change in news(&answer, from) {
            match change.resource {
                Resource::Node | Resource::NodePolicy => {
                    self.retold |=
                        change.org_id == self.node.org && change.id == self.node.id.as_str();
                }
                Resource::Service => self.published = true,
                Resource::DockAuth => self.logins_changed = true,
                _ => {}
            }
        }
        Ok(concerns(&answer, from))
    }
}

/// Whether an answer holds a change from `from` on that may concern the node: what nodes report is
/// no news to them.
fn concerns(answer: &ChangesResponse, from: i64) -> bool {
    let is_report = |resource: &Resource| {
        matches!(resource, Resource::NodeStatus | Resource::NodeErrors | Resource::NodeAgreement)
    };
    news(answer, from).any(|change| !is_report(&change.resource))
}

/// What has changed from `from` on. The exchange repeats changes of the last seconds.
fn news(answer: &ChangesResponse, from: i64) -> impl Iterator<Item = &ChangedResource> {
    let is_new =
        move |it: &&ChangedResource| it.resource_changes.iter().any(|it| it.change_id >= from);
    answer.changes.iter().filter(is_new)
}
