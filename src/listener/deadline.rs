//! When a connection has been silent or slow for too long: a pure rule over samples of its activity.

use std::time::Duration;

use super::{
    ListenerLimits,
    activity::{Phase, Sample},
};

/// The limit that a connection has exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request came in time.
    FirstRequest,
    /// No further request came in time.
    Idle,
    /// A transfer fell too far behind the least rate.
    TooSlow,
}

/// How much of its limits a connection has used up.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// How long no request has been in progress.
    silent: Duration,
    /// How far the transfers are behind the least rate.
    behind: Duration,
    moved: u64,
    begun: u64,
}

impl Deadlines {
    /// Takes the next sample, `elapsed` after the one before. Time counts against a connection only while its peer
    /// has to act; each byte, in either direction, makes up for the time that it takes at the least rate.
    pub(super) fn advance(
        &mut self,
        sample: Sample,
        elapsed: Duration,
        limits: &ListenerLimits,
    ) -> Option<Overdue> {
        let moved = sample.moved.saturating_sub(self.moved);
        let has_new_request = sample.begun != self.begun;
        (self.moved, self.begun) = (sample.moved, sample.begun);
        // A new request beside others does not excuse them.
        if has_new_request && sample.open <= 1 {
            self.behind = Duration::ZERO;
        }
        if has_new_request || matches!(sample.phase, Phase::Waiting | Phase::Working) {
            self.silent = Duration::ZERO;
        }
        match sample.phase {
            Phase::Working => None,
            Phase::Opening | Phase::Idle => {
                self.silent += elapsed;
                let (limit, overdue) = match sample.phase {
                    Phase::Opening => (limits.first_request, Overdue::FirstRequest),
                    _ => (limits.idle, Overdue::Idle),
                };
                (self.silent > limit).then_some(overdue)
            }
            Phase::Waiting => {
                let worth = moved.saturating_mul(1_000_000) / u64::from(limits.least_rate.max(1));
                let worth = Duration::from_micros(worth);
                self.behind = (self.behind + elapsed).saturating_sub(worth);
                (self.behind > limits.stall).then_some(Overdue::TooSlow)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(1);

    /// Seconds until a connection is overdue, of at most ten minutes, where `at` gives its state at each second.
    fn overdue_after(at: impl Fn(u64) -> Sample) -> Option<(u64, Overdue)> {
        let limits = ListenerLimits::default();
        let mut deadlines = Deadlines::default();
        (1..600).find_map(|second| {
            deadlines.advance(at(second), TICK, &limits).map(|overdue| (second, overdue))
        })
    }

    fn sample(phase: Phase, moved: u64, begun: u64) -> Sample {
        Sample { phase, moved, begun, open: usize::from(phase != Phase::Idle) }
    }

    #[test]
    fn silence_is_bounded_before_and_after_the_first_request() {
        let opening = overdue_after(|_| sample(Phase::Opening, 0, 0));
        assert_eq!(opening, Some((16, Overdue::FirstRequest)));
        // Bytes that make no request count for nothing.
        let half = overdue_after(|second| sample(Phase::Opening, second * 10_000, 0));
        assert_eq!(half, Some((16, Overdue::FirstRequest)));
        let idle = overdue_after(|_| sample(Phase::Idle, 0, 1));
        assert_eq!(idle, Some((61, Overdue::Idle)));
        let used = overdue_after(|second| sample(Phase::Idle, 0, second / 50));
        assert_eq!(used, None);
    }

    #[test]
    fn a_transfer_ends_below_the_least_rate_and_goes_on_above_it() {
        let at_rate = |rate: u64| overdue_after(|second| sample(Phase::Waiting, second * rate, 1));
        assert_eq!(at_rate(0), Some((61, Overdue::TooSlow)));
        assert!(matches!(at_rate(100), Some((70..90, Overdue::TooSlow))));
        assert_eq!(at_rate(512), None);
        // The slowest supported link, which delivers half a minute's bytes at once.
        let bursts = overdue_after(|second| sample(Phase::Waiting, second / 30 * 30 * 2048, 1));
        assert_eq!(bursts, None);
    }

    #[test]
    fn a_fast_beginning_does_not_pay_for_a_stall() {
        let stalled = overdue_after(|second| sample(Phase::Waiting, second.min(60) << 30, 1));
        assert_eq!(stalled, Some((121, Overdue::TooSlow)));
    }

    #[test]
    fn time_in_which_the_server_has_to_act_does_not_count() {
        assert_eq!(overdue_after(|_| sample(Phase::Working, 0, 1)), None);
    }

    #[test]
    fn new_requests_do_not_excuse_a_stalled_one_beside_them() {
        let stalled =
            overdue_after(|second| Sample { open: 2, ..sample(Phase::Waiting, 0, second) });
        assert_eq!(stalled, Some((61, Overdue::TooSlow)));
        let one_by_one = overdue_after(|second| sample(Phase::Waiting, 0, second / 10));
        assert_eq!(one_by_one, None);
    }
}
