//! Whether what has expired may still be taken.

use jiff::Timestamp;

use crate::trust::{Refusal, Stamp, Trust};

/// At which moment a stamp and the trust behind it must not have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// At this one.
    At(Timestamp),
    /// At none: an old state is taken for the newest. For a bundle that was long on its way, at the word of
    /// whoever is root on the node; what goes backwards is refused all the same.
    Waived,
}

impl From<Timestamp> for Freshness {
    fn from(moment: Timestamp) -> Self {
        Self::At(moment)
    }
}

impl Freshness {
    /// The same, but no moment before `floor`.
    #[must_use]
    pub fn no_earlier_than(self, floor: Timestamp) -> Self {
        match self {
            Self::At(moment) => Self::At(moment.max(floor)),
            Self::Waived => Self::Waived,
        }
    }

    /// Refuses a trust document or a stamp that has expired.
    pub(super) fn check(self, trust: &Trust, stamp: &Stamp) -> Result<(), Refusal> {
        let Self::At(now) = self else { return Ok(()) };
        let trust = trust.document();
        if trust.expires <= now {
            let what = format!("trust version {}", trust.version);
            return Err(Refusal::Freeze { what, expired: trust.expires });
        }
        if stamp.expires <= now {
            let what = format!("stamp {}", stamp.seq);
            return Err(Refusal::Freeze { what, expired: stamp.expires });
        }
        Ok(())
    }
}
