//! Whether the times in what is signed fit the present.

use jiff::{SignedDuration, Timestamp};

use crate::trust::{Refusal, Stamp, Trust};

/// How far ahead of a node's clock something may be issued: clocks differ by a wrong time zone. It is less than a
/// stamp holds (24 hours), so that a floor that was raised by as much refuses no honest stamp.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(12);

/// How far the clocks of signers and exchange may differ. It is less than [`CLOCK_TOLERANCE`], since the clocks of
/// nodes may be behind by the rest.
pub const SIGNING_TOLERANCE: SignedDuration = SignedDuration::from_hours(1);

/// The moment at which a stamp and the trust behind it are judged: by the machine's clock, and by the newest
/// moment that is known from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    wall: Timestamp,
    floor: Timestamp,
    is_expiry_waived: bool,
}

impl From<Timestamp> for Freshness {
    /// What the machine's clock says.
    fn from(wall: Timestamp) -> Self {
        Self { wall, floor: Timestamp::MIN, is_expiry_waived: false }
    }
}

impl Freshness {
    /// The same, but what has expired is accepted: an old state is taken for the newest. For a bundle that was long
    /// on its way, as root of the node decides; what goes backwards is refused all the same.
    #[must_use]
    pub fn with_expiry_waived(self) -> Self {
        Self { is_expiry_waived: true, ..self }
    }

    /// Whether what has expired is accepted.
    pub fn is_expiry_waived(self) -> bool {
        self.is_expiry_waived
    }

    /// The same, but no moment before `floor`.
    #[must_use]
    pub fn no_earlier_than(self, floor: Timestamp) -> Self {
        Self { floor: self.floor.max(floor), ..self }
    }

    /// The present moment, as far as it is known.
    pub fn now(self) -> Timestamp {
        self.wall.max(self.floor)
    }

    /// Whether the machine's clock can be right. It may be behind the floor by as much as an accepted stamp may
    /// have been ahead of it; else that stamp would switch off the check of the next one.
    fn is_clock_believed(self) -> bool {
        later(self.wall, CLOCK_TOLERANCE) >= self.floor
    }

    /// Refuses a trust document or a stamp that has expired, or that is issued in the future.
    pub(super) fn check(self, trust: &Trust, stamp: &Stamp) -> Result<(), Refusal> {
        let trust = trust.document();
        let times = [
            (format!("trust version {}", trust.version), trust.issued, trust.expires),
            (format!("stamp {}", stamp.seq), stamp.issued, stamp.expires),
        ];
        for (what, issued, expires) in times {
            if self.is_clock_believed() {
                check_issued(&what, issued, self.wall, CLOCK_TOLERANCE)?;
            }
            if expires <= self.now() && !self.is_expiry_waived {
                return Err(Refusal::Freeze { what, expired: expires });
            }
        }
        Ok(())
    }
}

/// Refuses what is issued further ahead of `now` than `tolerance`: nodes would take its time for the present, and
/// everything else for expired.
pub fn check_issued(
    what: &str,
    issued: Timestamp,
    now: Timestamp,
    tolerance: SignedDuration,
) -> Result<(), Refusal> {
    if issued <= later(now, tolerance) {
        return Ok(());
    }
    Err(Refusal::AheadOfClock { what: what.to_owned(), issued, now })
}

fn later(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{Org, hours, now};

    fn attack(freshness: Freshness, issued: Timestamp) -> &'static str {
        let org = Org::new();
        let catalog = org.catalog(1, 0, 1, "one");
        let stamp = Stamp { issued, expires: issued + hours(24), ..org.stamp(1, &catalog) };
        freshness.check(&org.trust, &stamp).err().map_or("none", |refusal| refusal.attack())
    }

    #[test]
    fn stamp_ahead_of_the_clock_is_refused_beyond_the_tolerance() {
        let second = SignedDuration::from_secs(1);
        let ahead = |span| attack(now().into(), now() + span);
        assert_eq!(ahead(CLOCK_TOLERANCE), "none");
        assert_eq!(ahead(CLOCK_TOLERANCE + second), "fast-forward");
        assert_eq!(ahead(hours(24 * 3650)), "fast-forward");
        let waived = Freshness::from(now()).with_expiry_waived();
        assert_eq!(attack(waived, now() + hours(72)), "fast-forward");
        assert_eq!(attack(waived, now() - hours(72)), "none");
    }

    #[test]
    fn clock_behind_the_floor_by_more_than_the_tolerance_is_not_believed() {
        let floor = |span| Freshness::from(now()).no_earlier_than(now() + span);
        assert_eq!(attack(floor(CLOCK_TOLERANCE), now() + hours(13)), "fast-forward");
        assert_eq!(attack(floor(hours(13)), now() + hours(1000)), "none");
    }

    #[test]
    fn trust_ahead_of_the_clock_is_refused_beyond_the_tolerance() {
        let early = |span: SignedDuration| attack((now() - span).into(), now() - span);
        assert_eq!((early(hours(12)), early(hours(13))), ("none", "fast-forward"));
    }
}
