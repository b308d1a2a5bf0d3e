//! Saying that a service is being pulled, and how far it has come, while the pass waits for its images.

use std::{sync::Arc, time::Duration};

use crate::{
    agent::{
        Agent, NodeFolder, Status, change_log::AGENT_LOG, outcome::ProvideError,
        plan::WantedService, pull::PullProgress, report::put_report, settle::told,
    },
    exchange::{api::ServiceState, client::ExchangeClient},
};

/// How often the status of the node is written while images come.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// How many of these intervals lie between two reports to the exchange.
const REPORT_EVERY: u32 = 15;

/// Writes and reports the status of the node while the images of one service come.
struct PullReporter {
    folder: NodeFolder,
    /// `None` during an import, when nobody is told.
    exchange: Option<ExchangeClient>,
    status: Status,
    intervals: u32,
}

impl Agent {
    /// Provides the images of a service, and says meanwhile that they are on their way. `status` is the node's, with
    /// the service as pulling.
    pub(super) async fn provide_reporting(
        &mut self,
        service: &mut WantedService,
        status: Status,
    ) -> Result<(), ProvideError> {
        let progress = Arc::new(PullProgress::default());
        let mut reporter = PullReporter {
            folder: self.folder.clone(),
            exchange: self.carried.is_none().then(|| self.exchange.clone()),
            status,
            intervals: 0,
        };
        let id = service.id.clone();
        let provided = {
            let provide = self.provide(service, &progress);
            tokio::pin!(provide);
            loop {
                tokio::select! {
                    provided = &mut provide => break provided,
                    () = tokio::time::sleep(STATUS_INTERVAL) => reporter.report(&progress).await,
                }
            }
        };
        if reporter.intervals > 0 {
            // The exchange has another report than the last one that was told.
            self.reported = None;
        }
        if let (Ok(()), Some((bytes, _))) = (&provided, progress.bytes()) {
            tracing::info!(
                target: AGENT_LOG, event = "pull.finished", service = %id, bytes,
                "the images of a service are here"
            );
        }
        provided
    }
}

impl PullReporter {
    /// Writes how far the images have come, and tells the exchange now and then. Nothing while none is downloaded.
    async fn report(&mut self, progress: &PullProgress) {
        let Some(detail) = progress.describe() else { return };
        let pulling = |state: &ServiceState| *state == ServiceState::Pulling;
        for service in self.status.services.iter_mut().filter(|it| pulling(&it.state)) {
            if self.intervals == 0 {
                tracing::info!(
                    target: AGENT_LOG, event = "pull.started",
                    service = %service.service, detail,
                    "the images of a service are pulled"
                );
            }
            service.detail = Some(detail.clone());
        }
        if let Err(error) = self.status.save(&self.folder) {
            tracing::debug!(error = %told(&error), "the progress of a pull cannot be written");
        }
        if self.intervals.is_multiple_of(REPORT_EVERY)
            && let Some(exchange) = &self.exchange
        {
            let report = self.status.report();
            if let Err(error) = put_report(exchange, &self.status.node.id, &report).await {
                tracing::debug!(error = %told(&error), "the progress of a pull is not reported");
            }
        }
        self.intervals += 1;
    }
}
