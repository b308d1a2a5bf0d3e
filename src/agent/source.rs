//! Where a newer state comes from.

use std::sync::Arc;

use crate::{
    agent::fetch::FetchError,
    bundle::Bundle,
    exchange::client::ExchangeClient,
    sign::Envelope,
    trust::{CatalogDifference, Freshness},
    types::Digest,
};

/// A bundle that was carried here, and whether it may be older than a stamp holds.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) bundle: Arc<Bundle>,
    pub(super) freshness: Freshness,
}

/// Who is asked. Neither is believed: what they give is verified alike.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Exchange(&'a ExchangeClient),
    Bundle(&'a Bundle),
}

impl Source<'_> {
    /// The version of the newest trust document; 0 if there is none.
    pub(super) async fn newest_trust(self) -> Result<u64, FetchError> {
        match self {
            Self::Exchange(exchange) => Ok(exchange.newest_trust().await?.unwrap_or_default()),
            Self::Bundle(bundle) => Ok(bundle.newest_trust()),
        }
    }

    /// A version of the trust document, if there is one.
    pub(super) async fn trust(self, version: u64) -> Result<Option<Envelope>, FetchError> {
        match self {
            Self::Exchange(exchange) => Ok(exchange.trust(version).await?),
            Self::Bundle(bundle) => Ok(bundle.trust(version)?),
        }
    }

    /// The newest stamp.
    pub(super) async fn stamp(self) -> Result<Envelope, FetchError> {
        match self {
            Self::Exchange(exchange) => Ok(exchange.stamp().await?),
            Self::Bundle(bundle) => Ok(bundle.stamp()?),
        }
    }

    /// The bytes of a version of the catalog.
    pub(super) async fn catalog(self, version: u64) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Exchange(exchange) => Ok(exchange.catalog(version).await?.to_vec()),
            Self::Bundle(bundle) => Ok(bundle.catalog()?),
        }
    }

    /// What a catalog has that an earlier one has not; `None` from who does not know.
    pub(super) async fn catalog_difference(
        self,
        from: u64,
        to: u64,
    ) -> Result<Option<CatalogDifference>, FetchError> {
        match self {
            Self::Exchange(exchange) => Ok(exchange.catalog_difference(from, to).await?),
            Self::Bundle(_) => Ok(None),
        }
    }

    /// The document with this payload digest.
    pub(super) async fn document(self, sha256: &Digest) -> Result<Envelope, FetchError> {
        match self {
            Self::Exchange(exchange) => Ok(exchange.document(sha256).await?),
            Self::Bundle(bundle) => Ok(bundle.document(sha256)?),
        }
    }
}
