//! What nodes say about themselves.

use std::collections::BTreeMap;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{NodeReport, NodeStates, ReceivedReport, RefusingNodes, ReportedState},
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

    /// How the nodes do that the caller may see and that have reported; none in an exchange that does not list them.
    ///
    /// # Errors
    /// As of every request.
    pub async fn node_states(&self) -> Result<BTreeMap<NodeId, ReportedState>, ExchangeError> {
        let (mut all, mut after) = (BTreeMap::new(), None::<NodeId>);
        loop {
            let mut call = Call::get(&self.extension(&["states"]));
            if let Some(after) = &after {
                call = call.query("after", after);
            }
            let Some(answer) = self.transport.find(call).await? else { return Ok(all) };
            let page: NodeStates = answer.json()?;
            all.extend(page.nodes);
            match page.next {
                // Each page is behind the one before, so that there is an end.
                Some(next) if after.as_ref().is_none_or(|it| *it < next) => after = Some(next),
                _ => return Ok(all),
            }
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
