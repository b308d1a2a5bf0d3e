//! The exchange's clock beside the one of this machine.

use jiff::Timestamp;

use super::ExchangeClient;
use crate::trust::freshness::SIGNING_TOLERANCE;

/// The clocks of this machine and of the exchange differ by more than [`SIGNING_TOLERANCE`]. What is signed in
/// the future would be the present to nodes, and everything else expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock of this machine says {here}, the clock of the exchange {exchange}")]
pub struct ClockGap {
    /// What the clock of this machine says.
    pub here: Timestamp,
    /// What the clock of the exchange says.
    pub exchange: Timestamp,
}

impl ExchangeClient {
    /// What time it is at the exchange, by the `Date` of its last answer and the time since; `None` before the
    /// first one. It is the exchange's word: good to find a mistake, not to prove anything.
    pub fn time(&self) -> Option<Timestamp> {
        self.transport.time()
    }

    /// Compares the clock of this machine with that of the exchange, as of its last answer.
    ///
    /// # Errors
    /// If they differ so much that nothing should be signed.
    pub fn check_clock(&self, here: Timestamp) -> Result<(), ClockGap> {
        match self.time() {
            Some(exchange) if here.duration_since(exchange).abs() > SIGNING_TOLERANCE => {
                Err(ClockGap { here, exchange })
            }
            _ => Ok(()),
        }
    }
}
