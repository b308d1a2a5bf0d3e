//! What the exchange, or a bundle, has that is newer: fetched with caps, verified whole, and only then returned.
//!
//! Nothing here changes what the node has accepted. Either everything of a newer state holds, or
//! the node stays with the state that it has.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::{
    agent::{
        select::Needs,
        source::Source,
        verify::{Accepted, Refused},
    },
    bundle::BundleError,
    exchange::client::ExchangeError,
    sign::Envelope,
    trust::{Freshness, Refusal, Trust, VerifiedStamp},
    types::{Digest, DocumentKey},
};

/// How many documents are fetched at once.
const AT_ONCE: usize = 4;

/// How often the documents that are at hand may ask for others: the depth of requirements, plus
/// pattern or policy.
const ROUNDS: usize = 70;

/// 2026-11-01, before which this version of the agent did not exist: it cannot be earlier, whatever the clock of a
/// machine says that has lost its battery. Renewed with each release.
const MADE: Timestamp = Timestamp::constant(1_793_491_200, 0);

/// Why nothing newer was accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The exchange did not answer, or would not.
    #[error("failed to ask the exchange")]
    Exchange(#[from] ExchangeError),
    /// The bundle lacks it, or cannot be read.
    #[error("failed to read the bundle")]
    Bundle(#[from] BundleError),
    /// What it gave does not hold.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Documents ask for ever more documents.
    #[error("the documents still ask for others after {rounds} rounds")]
    Endless {
        /// How often the exchange was asked.
        rounds: usize,
    },
}

/// Fetches and verifies what is newer than `accepted`, without committing it; nothing if nothing is. `needs` says which
/// documents are needed.
pub(super) async fn newer(
    source: Source<'_>,
    accepted: &Accepted,
    wall: Freshness,
    needs: impl Fn(&Accepted) -> Needs,
) -> Result<Option<Accepted>, FetchError> {
    let wall = wall.no_earlier_than(MADE);
    let (trust, chain, stamp) = trust_and_stamp(source, accepted, wall).await?;
    let marks = &accepted.kept.marks;
    let unchanged =
        marks.stamp_sha256 == Some(stamp.digest()) && trust.version() == accepted.trust.version();
    if unchanged && needs(accepted).missing.is_empty() {
        return Ok(None);
    }
    let bytes = catalog(source, accepted, &stamp).await?;
    let mut new = accepted.succeeded_by(trust, chain, &stamp, bytes, wall)?;
    for _ in 0..ROUNDS {
        let needed = needs(&new);
        if needed.missing.is_empty() {
            new.forget_unused(&needed.used);
            return Ok(Some(new));
        }
        for (key, envelope) in documents(source, &new, &needed.missing).await? {
            new.add(&key, envelope)?;
        }
    }
    let endless = FetchError::Endless { rounds: ROUNDS };
    Err(endless)
}

/// The bytes of the catalog that the stamp pins: those at hand, or what changed since applied to them,
/// or else all of it, which then is judged by what it is.
async fn catalog(
    source: Source<'_>,
    accepted: &Accepted,
    stamp: &VerifiedStamp,
) -> Result<Vec<u8>, FetchError> {
    let pinned = &stamp.catalog;
    let held = accepted.kept.catalog.as_ref();
    let known = accepted.kept.marks.catalog_sha256;
    if let Some(bytes) = held.filter(|_| known == Some(pinned.sha256)) {
        return Ok(bytes.clone());
    }
    if held.is_some() && accepted.catalog.version < pinned.version {
        let from = accepted.catalog.version;
        let difference = match source.catalog_difference(from, pinned.version).await {
            Err(FetchError::Exchange(ExchangeError::Malformed { .. })) => None,
            other => other?,
        };
        let later = difference.and_then(|it| accepted.catalog.with(it)).map(|it| it.to_bytes());
        if let Some(bytes) = later.filter(|it| Digest::of(it) == pinned.sha256) {
            return Ok(bytes);
        }
    }
    source.catalog(pinned.version).await
}

/// The newest trust, the chain that led to it, and the stamp that goes with it.
async fn trust_and_stamp(
    source: Source<'_>,
    accepted: &Accepted,
    wall: Freshness,
) -> Result<(Trust, Vec<Envelope>, VerifiedStamp), FetchError> {
    let mut trust = accepted.trust.clone();
    let mut chain = accepted.kept.trust.clone();
    let mut newest = newest_trust(source, &trust).await?;
    loop {
        for version in trust.version() + 1..=newest {
            let envelope = source.trust(version).await?.ok_or_else(|| {
                let what = format!("trust version {version}");
                Refused::of("trust")(Refusal::Vanished { what })
            })?;
            trust = trust.advance(&envelope).map_err(Refused::of("trust"))?;
            chain.push(envelope);
        }
        let stamp = source.stamp().await?;
        let opened = trust.open_stamp(&stamp, accepted.kept.marks.freshness(&trust, wall));
        let fits = opened.as_ref().is_ok_and(|it| it.trust.version == trust.version());
        // A trust that was published in between makes the newest stamp one of the future.
        newest = if fits { newest } else { newest_trust(source, &trust).await? };
        if newest == trust.version() {
            return Ok((trust, chain, opened.map_err(Refused::of("stamp"))?));
        }
    }
}

/// The version of the newest trust, which may not be older than what is held.
async fn newest_trust(source: Source<'_>, held: &Trust) -> Result<u64, FetchError> {
    let newest = source.newest_trust().await?;
    if newest < held.version() {
        return Err(Refused::of("trust")(Refusal::Rollback {
            what: "trust".to_owned(),
            held: format!("version {}", held.version()),
            received: format!("version {newest}"),
        })
        .into());
    }
    Ok(newest)
}

/// The documents `wanted`, by the digests that the catalog lists; not verified.
async fn documents(
    source: Source<'_>,
    accepted: &Accepted,
    wanted: &BTreeSet<DocumentKey>,
) -> Result<Vec<(DocumentKey, Envelope)>, FetchError> {
    let listed: Vec<_> = wanted
        .iter()
        .filter_map(|key| Some((key.clone(), accepted.catalog.entries.get(key)?.sha256)))
        .collect();
    stream::iter(listed)
        .map(|(key, sha256)| async move { Ok((key, source.document(&sha256).await?)) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_moment_is_the_release_of_this_agent() {
        assert_eq!(MADE.to_string(), "2026-11-01T00:00:00Z");
    }
}
