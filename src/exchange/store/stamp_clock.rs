//! Whether the exchange's clock fits the times that it has signed before.

use jiff::{SignedDuration, Timestamp};

use super::{Store, StoreError, time};
use crate::trust::freshness::CLOCK_TOLERANCE;

/// The longest time between two stamps that is not reported: nodes ask for one every hour, unless all are away.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How the clock has moved since the newest stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClockJump {
    /// It is behind the newest stamp: it was ahead then, or is wrong now.
    Behind,
    /// It is ahead of the newest stamp: the exchange was off for long, or its clock is wrong.
    Ahead,
}

impl ClockJump {
    fn between(newest: Timestamp, now: Timestamp) -> Option<Self> {
        let since = now.duration_since(newest);
        if since < -CLOCK_TOLERANCE {
            return Some(Self::Behind);
        }
        (since > LONGEST_PAUSE).then_some(Self::Ahead)
    }
}

/// Reports a clock that does not fit the newest stamp. Stamps go on with the time of the clock and the next number:
/// nodes judge the time by their own clocks, and an operator sets this one right.
pub(super) fn report_jump(org: &str, newest: Timestamp, now: Timestamp) {
    match ClockJump::between(newest, now) {
        Some(ClockJump::Behind) => tracing::error!(
            event = "clock.behind_newest_stamp",
            org, %newest, %now,
            "the clock is behind the newest stamp: nodes that took that stamp need `edgepost trust renew`"
        ),
        Some(ClockJump::Ahead) => tracing::warn!(
            event = "clock.ahead_of_newest_stamp",
            org, %newest, %now,
            "no stamp was made for long: nodes refuse the next ones if this clock is ahead of theirs"
        ),
        None => {}
    }
}

impl Store {
    /// Reports a clock that does not fit the newest stamp of any organization: at the start.
    pub async fn report_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "SELECT org, issued FROM stamps ORDER BY issued DESC LIMIT 1";
        let newest: Option<(String, i64)> = sqlx::query_as(sql).fetch_optional(self.read()).await?;
        if let Some((org, issued)) = newest {
            report_jump(&org, time(issued), now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_is_what_no_honest_clock_and_no_short_pause_explains() {
        let newest = Timestamp::constant(1_800_000_000, 0);
        let jump = |hours| ClockJump::between(newest, newest + SignedDuration::from_hours(hours));
        assert_eq!((jump(-13), jump(-12), jump(0)), (Some(ClockJump::Behind), None, None));
        assert_eq!((jump(720), jump(721)), (None, Some(ClockJump::Ahead)));
    }
}
