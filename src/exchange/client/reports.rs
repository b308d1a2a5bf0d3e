//! What nodes say about themselves.

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{NodeReport, ReceivedReport, RefusingNodes},
    types::NodeId,
};

impl ExchangeClient {
    /// Hands in the calling node's report.
    ///
    /// # Errors
    /// As of every request.
    pub async fn put_report(
        &self,
        node: &NodeId,
        report: &NodeReport,
    ) -> Result<(), ExchangeError> {
        let path = self.extension(&["nodes", node.as_str(), "report"]);
        self.transport.send(Call::put(&path).json(report)?).await.map(drop)
    }

    /// The newest report of a node, if it has handed one in.
    ///
    /// # Errors
    /// As of every request.
    pub async fn report(&self, node: &NodeId) -> Result<Option<ReceivedReport>, ExchangeError> {
        let path = self.extension(&["nodes", node.as_str(), "report"]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => answer.json().map(Some),
            None => Ok(None),
        }
    }

    /// Which of the nodes that the caller may see refuse something; none in an exchange that is not ours.
    ///
    /// # Errors
    /// As of every request.
    pub async fn refusing_nodes(&self) -> Result<RefusingNodes, ExchangeError> {
        match self.transport.find(Call::get(&self.extension(&["refusals"]))).await? {
            Some(answer) => answer.json(),
            None => Ok(RefusingNodes::default()),
        }
    }
}
