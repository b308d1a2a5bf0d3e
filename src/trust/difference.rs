//! What brings an earlier catalog to a later one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    trust::{Catalog, CatalogEntry},
    types::{DocumentKey, OrgId},
};

/// The entries that a later catalog has and an earlier one has not, or has otherwise. None ever leaves a
/// catalog.
///
/// It is a shorter way to the same bytes and nothing more: it is neither signed nor judged. Whether
/// what comes of it is the newest catalog is decided by the hash in the stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogDifference {
    /// The organization.
    pub org: OrgId,
    /// The version of the earlier catalog.
    pub from: u64,
    /// The version of the later one.
    pub to: u64,
    /// The later catalog's entries.
    pub entries: BTreeMap<DocumentKey, CatalogEntry>,
}

impl Catalog {
    /// The later catalog, if `difference` begins at this one.
    pub fn with(&self, difference: CatalogDifference) -> Option<Self> {
        let CatalogDifference { org, from, to, entries } = difference;
        if (&org, from) != (&self.org, self.version) {
            return None;
        }
        let mut later = self.clone();
        later.version = to;
        later.entries.extend(entries);
        Some(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{Org, hello};

    #[test]
    fn the_later_catalog_comes_of_the_earlier_one_byte_for_byte() {
        let org = Org::new();
        let (earlier, mut later) = (org.catalog(3, 0, 1, "one"), org.catalog(5, 0, 2, "two"));
        let new: DocumentKey = "pattern/all".parse().unwrap();
        later.entries.insert(new.clone(), later.entries[&hello()].clone());
        let difference = CatalogDifference {
            org: earlier.org.clone(),
            from: 3,
            to: 5,
            entries: [hello(), new].map(|it| (it.clone(), later.entries[&it].clone())).into(),
        };

        let of = |catalog: &Catalog| catalog.with(difference.clone()).map(|it| it.to_bytes());
        assert_eq!(of(&earlier), Some(later.to_bytes()));
        assert_eq!(of(&later), None);
        assert_eq!(of(&Catalog { org: "other".parse().unwrap(), ..earlier.clone() }), None);
    }
}
