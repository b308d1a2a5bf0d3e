//! The documents that are known here, organization by organization.

use crate::{
    agent::library::Library,
    trust::{Catalog, Import},
    types::{DocumentKey, OrgId, ServiceUrl},
};

/// What is known of one organization.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent) struct Shelf<'a> {
    pub(in crate::agent) catalog: &'a Catalog,
    pub(in crate::agent) library: &'a Library,
}

/// What is known of the node's own organization, and of those whose services its trust lets it use.
#[derive(Debug)]
pub(in crate::agent) struct Shelves<'a> {
    pub(in crate::agent) own: Shelf<'a>,
    /// What may be used of others; nothing is known of one of which nothing was accepted yet.
    pub(in crate::agent) imports: Vec<(&'a Import, Option<Shelf<'a>>)>,
}

impl<'a> Shelves<'a> {
    /// The shelf of `org`, or why there is none.
    pub(super) fn of(&self, org: &OrgId) -> Result<Shelf<'a>, String> {
        if *org == self.own.catalog.org {
            return Ok(self.own);
        }
        match self.import(org)? {
            (_, Some(known)) => Ok(*known),
            (..) => Err(format!("nothing of organization {org} has been accepted here yet")),
        }
    }

    /// The shelf on which service `url` of `org` may stand, or why it may not be used.
    pub(super) fn for_service(&self, org: &OrgId, url: &ServiceUrl) -> Result<Shelf<'a>, String> {
        if *org != self.own.catalog.org {
            let (import, _) = self.import(org)?;
            // A prefix covers a name whatever its version, so any will do to ask.
            let key = format!("service/{}_0.0.0_any", url.mangled()).parse::<DocumentKey>();
            if !key.is_ok_and(|key| import.covers(&key)) {
                let own = &self.own.catalog.org;
                return Err(format!(
                    "the trust of {own} lets nobody use {url} of organization {org}"
                ));
            }
        }
        self.of(org)
    }

    fn import(&self, org: &OrgId) -> Result<&(&'a Import, Option<Shelf<'a>>), String> {
        let foreign = || {
            format!("it belongs to organization {org}, whose trust this node has not been given")
        };
        self.imports.iter().find(|(import, _)| import.org == *org).ok_or_else(foreign)
    }
}
