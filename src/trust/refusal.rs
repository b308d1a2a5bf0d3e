//! Why something is not believed.

use jiff::Timestamp;

use crate::{
    trust::TrustProblem,
    types::{Digest, DocumentKey, JsonProblem},
};

/// Why an envelope, a catalog or a chain is refused. Each variant is one attack, or an accident that
/// looks like it; [`Refusal::attack`] is its name in reports and metrics.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The bytes do not match the hash that pins them.
    #[error("{what}: expected {expected}, received {received}")]
    Altered {
        /// Which object it is about.
        what: String,
        /// The pinned hash.
        expected: Digest,
        /// The hash of what came.
        received: Digest,
    },
    /// Not enough of the keys that may sign it have signed it.
    #[error("{what}: {valid} of {threshold} trusted signatures needed")]
    Stranger {
        /// Which object it is about.
        what: String,
        /// How many distinct keys must sign.
        threshold: u32,
        /// How many did.
        valid: usize,
    },
    /// No rule lets anyone sign it.
    #[error("{document}: no rule of the organization's trust lets anybody sign a {} of this name", document.kind())]
    NoAuthority {
        /// The document asked for.
        document: DocumentKey,
    },
    /// It is of a kind that came after this version of the program.
    #[error("{document}: this version does not know such documents")]
    UnknownKind {
        /// The document asked for.
        document: DocumentKey,
    },
    /// Only keys that have been retired vouch for it: what runs may go on, nothing new may start.
    #[error("{document}: it is vouched for by retired keys only; its publisher must sign it again")]
    Retired {
        /// The document asked for.
        document: DocumentKey,
    },
    /// It was signed in an epoch that the root keys have ended: its publisher must publish it again. No attack.
    #[error(
        "{document}: it was signed in epoch {received}, and its rule is in epoch {current} now; it must be published again"
    )]
    EpochEnded {
        /// The document asked for.
        document: DocumentKey,
        /// The epoch of the rule that covers it.
        current: u64,
        /// The epoch in its header.
        received: u64,
    },
    /// It is older than what is known already.
    #[error("{what}: {held} is known, {received} was offered")]
    Rollback {
        /// Which object it is about.
        what: String,
        /// The state that is held.
        held: String,
        /// The older state that came.
        received: String,
    },
    /// It has expired: what is new may be being kept away.
    #[error("{what}: expired at {expired}")]
    Freeze {
        /// Which object it is about.
        what: String,
        /// Since when it says nothing.
        expired: Timestamp,
    },
    /// It is issued in the future: nodes would take its time for the present, and what follows for expired.
    #[error("{what}: issued at {issued}, too far ahead of the clock here ({now})")]
    AheadOfClock {
        /// Which object it is about.
        what: String,
        /// When it says that it was issued.
        issued: Timestamp,
        /// What the clock here says.
        now: Timestamp,
    },
    /// Two different contents claim to be the same state.
    #[error("{what}: {held} and {received} both claim to be its only content")]
    Equivocation {
        /// Which object it is about.
        what: String,
        /// The content that is held.
        held: Digest,
        /// The other one.
        received: Digest,
    },
    /// Parts that are each genuine, but do not belong together.
    #[error("{what}: expected {expected}, received {received}")]
    MixAndMatch {
        /// Which object it is about.
        what: String,
        /// What the one part names.
        expected: String,
        /// What the other part is.
        received: String,
    },
    /// What was there has been left out.
    #[error("{what} has vanished")]
    Vanished {
        /// Which object it is about.
        what: String,
    },
    /// It is genuine, but not what was asked for.
    #[error("expected {expected}, received {received}")]
    Relabel {
        /// What was asked for.
        expected: String,
        /// What it is by its own signed header.
        received: String,
    },
    /// It runs ahead of what the root keys allow, so that nothing could ever follow it.
    #[error("{document}: epoch {received} is ahead of epoch {allowed}, which the trust allows")]
    FastForward {
        /// The document asked for.
        document: DocumentKey,
        /// The epoch of the rule that covers it.
        allowed: u64,
        /// The epoch in its header.
        received: u64,
    },
    /// Its publisher has withdrawn it.
    #[error("{document} has been withdrawn by its publisher")]
    Withdrawn {
        /// The document asked for.
        document: DocumentKey,
    },
    /// It is signed by the right keys, or need not be, but has not the form that it should have.
    #[error("{what} is malformed")]
    Malformed {
        /// Which object it is about.
        what: String,
        /// What is wrong with it.
        source: Malformed,
    },
    /// The first trust document is not the one that was pinned.
    #[error("trust root: {pinned} is pinned, {received} was offered")]
    WrongRoot {
        /// The pinned hash.
        pinned: Digest,
        /// The hash of what came.
        received: Digest,
    },
}

/// What is wrong with the form of something.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not the JSON that it should be.
    #[error(transparent)]
    Json(#[from] JsonProblem),
    /// A trust document that contradicts itself.
    #[error(transparent)]
    Trust(#[from] TrustProblem),
    /// Larger than anything honest.
    #[error("{received} bytes, more than the {allowed} allowed")]
    TooLarge {
        /// The limit, in bytes.
        allowed: usize,
        /// What came, in bytes.
        received: usize,
    },
    /// A stamp that ends before it begins, or holds for longer than a stamp may.
    #[error("valid from {issued} to {expires}, which is not a span of at most 7 days")]
    Span {
        /// When it was made.
        issued: Timestamp,
        /// When it ends.
        expires: Timestamp,
    },
    /// A trust document that was replaced by more versions than anyone makes.
    #[error("more than {0} versions")]
    TooManyVersions(u64),
}

impl Refusal {
    /// The stable name of the attack, for reports, metrics and the exchange's error bodies.
    pub fn attack(&self) -> &'static str {
        match self {
            Self::Altered { .. } => "altered",
            Self::Stranger { .. } | Self::NoAuthority { .. } | Self::Retired { .. } => "stranger",
            Self::EpochEnded { .. } => "epoch-ended",
            Self::Rollback { .. } => "rollback",
            Self::Freeze { .. } => "freeze",
            Self::Equivocation { .. } => "equivocation",
            Self::MixAndMatch { .. } => "mix-and-match",
            Self::Vanished { .. } => "vanished",
            Self::Relabel { .. } => "relabel",
            Self::FastForward { .. } | Self::AheadOfClock { .. } => "fast-forward",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Malformed { .. } | Self::UnknownKind { .. } => "malformed",
            Self::WrongRoot { .. } => "wrong-root",
        }
    }

    /// `what` has not the form that it should have, because of `source`.
    pub(super) fn malformed(what: impl Into<String>, source: impl Into<Malformed>) -> Self {
        Self::Malformed { what: what.into(), source: source.into() }
    }
}
