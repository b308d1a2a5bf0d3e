//! Other organizations whose services the node may use: each with its own trust, marks and catalog.

use std::collections::BTreeMap;

use crate::{
    agent::{
        Agent, FolderError, NodeFolder,
        fetch::{self, FetchError},
        marks::{Kept, MarksError, MarksFile},
        outcome::Notes,
        select::{Shelf, Shelves},
        source::Source,
        trials::Catalogs,
        verify::{Accepted, Refused},
    },
    document::ServiceBody,
    exchange::client::ExchangeClient,
    trust::{Import, Refusal, Trust, Verified},
    types::{Digest, DocumentKey, OrgId, ServiceId},
};

/// What was accepted of one other organization, and where it is kept.
#[derive(Debug)]
pub(super) struct Foreign {
    marks: MarksFile,
    accepted: Accepted,
}

/// Everything that was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) own: &'a Accepted,
    pub(super) imports: &'a BTreeMap<OrgId, Foreign>,
}

/// Why nothing newer was accepted of an organization.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Marks(#[from] MarksError),
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl From<Refused> for ImportError {
    fn from(refused: Refused) -> Self {
        Self::Fetch(refused.into())
    }
}

impl<'a> Known<'a> {
    /// The same, with something else accepted of `org`.
    fn with(self, org: &OrgId, accepted: &'a Accepted) -> Shelves<'a> {
        let mut shelves = self.shelves();
        let import = shelves.imports.iter_mut().find(|(import, _)| import.org == *org);
        if let Some((_, shelf)) = import {
            *shelf = Some(accepted.shelf());
        }
        shelves
    }

    /// What may be used of it.
    pub(super) fn shelves(self) -> Shelves<'a> {
        let of = |import: &'a Import| {
            (import, self.imports.get(&import.org).map(|it| it.accepted.shelf()))
        };
        let imports = self.own.trust.document().imports.iter().map(of);
        Shelves { own: self.own.shelf(), imports: imports.collect() }
    }

    /// A service that was accepted.
    pub(super) fn service(self, id: &ServiceId) -> Option<&'a Verified<ServiceBody>> {
        self.of(&id.org)?.library.services.get(&DocumentKey::from(id))
    }

    fn of(self, org: &OrgId) -> Option<&'a Accepted> {
        if *org == *self.own.trust.org() {
            return Some(self.own);
        }
        self.imports.get(org).map(|it| &it.accepted)
    }

    /// The documents, each with its organization, that retired keys alone vouch for.
    pub(super) fn retired(self) -> impl Iterator<Item = (&'a OrgId, &'a DocumentKey)> {
        let of = |accepted: &'a Accepted| {
            accepted.library.retired.iter().map(|key| (accepted.trust.org(), key))
        };
        of(self.own).chain(self.imports.values().flat_map(move |it| of(&it.accepted)))
    }
}

impl Accepted {
    fn shelf(&self) -> Shelf<'_> {
        Shelf { catalog: &self.catalog, library: &self.library }
    }
}

impl Catalogs for Known<'_> {
    fn listed(&self, org: &OrgId, key: &DocumentKey) -> Option<Digest> {
        self.of(org)?.catalog.listed(org, key)
    }

    fn offered(&self, key: &DocumentKey) -> Option<Digest> {
        self.own.catalog.offered(key)
    }
}

impl Foreign {
    /// What was accepted of it when the agent stopped; nothing if that is nothing.
    async fn restored(folder: &NodeFolder, import: &Import) -> Result<Option<Self>, ImportError> {
        let (marks, kept) = MarksFile::open(&folder.import(&import.pin())?).await?;
        let accepted = Accepted::restore(kept, &import.pin())?;
        Ok(accepted.map(|accepted| Self { marks, accepted }))
    }

    /// The same, or its first trust document, which the import pins.
    async fn begun(
        folder: &NodeFolder,
        import: &Import,
        exchange: &ExchangeClient,
    ) -> Result<Self, ImportError> {
        if let Some(restored) = Self::restored(folder, import).await? {
            return Ok(restored);
        }
        let vanished = || {
            let what = "trust version 1".to_owned();
            ImportError::from(Refused::of("trust")(Refusal::Vanished { what }))
        };
        let first = exchange.trust(1).await.map_err(FetchError::from)?.ok_or_else(vanished)?;
        let trust = Trust::pinned(&first, &import.pin()).map_err(Refused::of("trust"))?;
        if *trust.org() != import.org {
            let (expected, received) = (import.org.to_string(), trust.org().to_string());
            return Err(Refused::of("trust")(Refusal::Relabel { expected, received }).into());
        }
        let (mut marks, nothing) = MarksFile::open(&folder.import(&import.pin())?).await?;
        marks.commit(&nothing, &Kept { trust: vec![first], ..Kept::default() }).await?;
        Self::restored(folder, import).await?.ok_or_else(vanished)
    }
}

impl Agent {
    /// What was accepted.
    pub(super) fn known(&self) -> Known<'_> {
        Known { own: &self.accepted, imports: &self.imports }
    }

    /// Reads what was accepted of other organizations when the agent stopped. What cannot be read is
    /// fetched anew.
    pub(super) async fn restore_imports(&mut self) {
        for import in self.accepted.trust.document().imports.clone() {
            match Foreign::restored(&self.folder, &import).await {
                Ok(Some(imported)) => {
                    self.imports.insert(import.org, imported);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(org = %import.org, %error, "nothing is restored"),
            }
        }
    }

    /// Accepts what is newer of other organizations: each by itself, so that none holds up another.
    pub(super) async fn catch_up_imports(&mut self, notes: &mut Notes) {
        let imports = self.accepted.trust.document().imports.clone();
        let is_imported = |org: &OrgId, held: &Foreign| {
            let pin = held.accepted.trust.pin();
            imports.iter().any(|it| it.org == *org && it.pin() == pin)
        };
        self.imports.retain(|org, held| is_imported(org, held));
        for import in &imports {
            if let Err(error) = self.catch_up_with(import, notes).await {
                notes.nothing_of(&import.org, &error);
            }
        }
    }

    async fn catch_up_with(&mut self, import: &Import, notes: &Notes) -> Result<(), ImportError> {
        let org = &import.org;
        let exchange = self.exchange.about(org.clone());
        if !self.imports.contains_key(org) {
            let begun = Foreign::begun(&self.folder, import, &exchange).await?;
            self.imports.insert(org.clone(), begun);
        }
        let Some(held) = self.imports.get_mut(org) else { return Ok(()) };
        held.marks.recover(&mut held.accepted).await?;
        let Some(held) = self.imports.get(org) else { return Ok(()) };
        let needs = |new: &Accepted| self.select_from(&self.known().with(org, new)).of(org);
        let source = Source::Exchange(&exchange);
        // No organization's stamps are older than the newest moment that this node knows of.
        let now = self.accepted.kept.marks.freshness(&self.accepted.trust, notes.now);
        let newer = fetch::newer(source, &held.accepted, now, needs).await?;
        let (Some(newer), Some(held)) = (newer, self.imports.get_mut(org)) else { return Ok(()) };
        Ok(held.marks.accept(&mut held.accepted, newer).await?)
    }
}
