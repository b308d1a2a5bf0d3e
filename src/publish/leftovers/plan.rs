//! Which contents of a repository no published service needs: a plain function.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Contents, protects, spoken_of};
use crate::types::{Digest, Tag};

/// What tags other than ours mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherTags {
    /// What they name is needed.
    Protect,
    /// They go with an image that we have published and no service names.
    GoWithOurs,
}

/// An image that was published and that no service needs any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// Its manifest or index.
    pub digest: Digest,
    /// Every tag that names it.
    pub tags: Vec<Tag>,
    /// What would go with it: the manifests of an index that nothing else needs, and what was said
    /// about it, such as signatures. In the order in which they may go.
    pub parts: Vec<Digest>,
    /// What of it nothing else that was seen has, in bytes.
    pub unique_bytes: u64,
    /// What of it something else has too, in bytes: another leftover, or what is needed.
    pub shared_bytes: u64,
}

/// What no service needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// Of each repository, in the order in which they were given.
    pub repositories: Vec<Vec<Leftover>>,
    /// What nothing has any more that was seen, once all of them are gone, in bytes.
    pub bytes: u64,
}

/// What of each of `contents` no service needs, where `needed` is all that services name. Blobs may
/// be shared over repositories, so all that is asked about is given at once.
pub fn leftovers(contents: &[Contents], needed: &BTreeSet<Digest>, others: OtherTags) -> Leftovers {
    let judged: Vec<Judged> =
        contents.iter().map(|contents| Judged::new(contents, needed, others)).collect();
    let mut owners: BTreeMap<Digest, usize> = BTreeMap::new();
    let (mut stays, mut goes) = (BTreeSet::new(), BTreeMap::new());
    for judged in &judged {
        for digest in judged.bytes(&judged.kept).into_keys() {
            *owners.entry(digest).or_default() += 1;
            stays.insert(digest);
        }
        for (root, parts) in &judged.goes {
            for (digest, size) in judged.bytes(&whole(root, parts)) {
                *owners.entry(digest).or_default() += 1;
                goes.insert(digest, size);
            }
        }
    }
    goes.retain(|digest, _| !stays.contains(digest));
    let repositories = judged.iter().map(|judged| judged.leftovers(&owners)).collect();
    Leftovers { repositories, bytes: goes.into_values().sum() }
}

fn whole(root: &Digest, parts: &[Digest]) -> BTreeSet<Digest> {
    parts.iter().chain([root]).copied().collect()
}

/// What of a repository is needed, and what goes.
struct Judged<'a> {
    contents: &'a Contents,
    /// What is needed, with everything below and about it.
    kept: BTreeSet<Digest>,
    /// Each image that goes, and its parts.
    goes: BTreeMap<Digest, Vec<Digest>>,
}

impl<'a> Judged<'a> {
    fn new(contents: &'a Contents, needed: &BTreeSet<Digest>, others: OtherTags) -> Self {
        let ours: BTreeSet<Digest> = contents
            .tags
            .iter()
            .filter(|(tag, digest)| protects(tag, digest))
            .map(|(_, digest)| *digest)
            .collect();
        let is_root = |tag: &Tag, digest: &Digest| {
            let gives_way = others == OtherTags::GoWithOurs && ours.contains(digest);
            !protects(tag, digest) && spoken_of(tag).is_none() && !gives_way
        };
        let named = contents.tags.iter().filter(|(tag, digest)| is_root(tag, digest));
        let roots = named.map(|(_, digest)| *digest).chain(needed.iter().copied());
        let mut kept = closure(contents, roots);
        let mut goes = BTreeMap::new();
        loop {
            goes.clear();
            for root in ours.difference(&kept) {
                let all = closure(contents, [*root]);
                let parts: Vec<Digest> =
                    all.into_iter().filter(|it| it != root && !kept.contains(it)).collect();
                goes.insert(*root, parts);
            }
            // What speaks of nothing that goes is not ours to judge: what it speaks of may be there
            // without a tag.
            let gone: BTreeSet<Digest> =
                goes.iter().flat_map(|(root, parts)| parts.iter().chain([root])).copied().collect();
            let stays = contents.tags.iter().filter(|(tag, digest)| {
                let is_about_gone = spoken_of(tag).is_some_and(|of| gone.contains(&of));
                spoken_of(tag).is_some() && !is_about_gone && !kept.contains(digest)
            });
            let more = closure(contents, stays.map(|(_, digest)| *digest));
            if more.is_subset(&kept) {
                return Self { contents, kept, goes };
            }
            kept.extend(more);
        }
    }

    fn leftovers(&self, owners: &BTreeMap<Digest, usize>) -> Vec<Leftover> {
        let one = |(root, parts): (&Digest, &Vec<Digest>)| {
            let (mut unique_bytes, mut shared_bytes) = (0, 0);
            for (digest, size) in self.bytes(&whole(root, parts)) {
                let bytes = match owners.get(&digest) {
                    Some(0 | 1) | None => &mut unique_bytes,
                    Some(_) => &mut shared_bytes,
                };
                *bytes += size;
            }
            let tags = self.contents.tags.iter().filter(|(_, digest)| *digest == root);
            let tags = tags.map(|(tag, _)| tag.clone()).collect();
            Leftover { digest: *root, tags, parts: parts.clone(), unique_bytes, shared_bytes }
        };
        self.goes.iter().map(one).collect()
    }

    /// The content of `manifests`, themselves included, with lengths in bytes.
    fn bytes(&self, manifests: &BTreeSet<Digest>) -> BTreeMap<Digest, u64> {
        let entries = manifests
            .iter()
            .filter_map(|digest| self.contents.manifests.get(digest).map(|entry| (*digest, entry)));
        entries
            .flat_map(|(digest, entry)| {
                entry.blobs.iter().map(|(blob, size)| (*blob, *size)).chain([(digest, entry.size)])
            })
            .collect()
    }
}

/// `roots` with everything below and about them, as far as it is there.
fn closure(contents: &Contents, roots: impl IntoIterator<Item = Digest>) -> BTreeSet<Digest> {
    let mut about: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for (digest, entry) in &contents.manifests {
        if let Some(subject) = entry.subject {
            about.entry(subject).or_default().push(*digest);
        }
    }
    for (tag, digest) in &contents.tags {
        if let Some(subject) = spoken_of(tag) {
            about.entry(subject).or_default().push(*digest);
        }
    }
    let mut seen = BTreeSet::new();
    let mut open: Vec<Digest> = roots.into_iter().collect();
    while let Some(digest) = open.pop() {
        let Some(entry) = contents.manifests.get(&digest) else { continue };
        if seen.insert(digest) {
            open.extend(&entry.children);
            open.extend(about.get(&digest).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Entry, *};

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn ours(name: &str) -> String {
        format!("edgepost-{}", &digest(name).hex()[..32])
    }

    /// A repository of manifests with a blob of 10 bytes of their own, one of 100 that all share,
    /// their children, and tags.
    fn contents(manifests: &[(&str, &[&str])], tags: &[(String, &str)]) -> Contents {
        let entry = |name: &str, children: &[&str]| Entry {
            size: 1,
            children: children.iter().map(|child| digest(child)).collect(),
            blobs: [(digest(&format!("blob of {name}")), 10), (digest("base"), 100)].into(),
            subject: None,
        };
        Contents {
            manifests: manifests
                .iter()
                .map(|(name, children)| (digest(name), entry(name, children)))
                .collect(),
            tags: tags.iter().map(|(tag, name)| (tag.parse().unwrap(), digest(name))).collect(),
        }
    }

    fn names(contents: &Contents, needed: &[&str], others: OtherTags) -> Vec<Digest> {
        let needed = needed.iter().map(|name| digest(name)).collect();
        let found = leftovers(std::slice::from_ref(contents), &needed, others);
        found.repositories[0].iter().map(|it| it.digest).collect()
    }

    #[test]
    fn an_image_that_a_service_names_stays_and_the_other_goes_with_what_is_its_own() {
        let contents = contents(
            &[
                ("old", &["old amd64", "both"]),
                ("old amd64", &[]),
                ("both", &[]),
                ("new", &["both"]),
                ("sig", &[]),
            ],
            &[
                (ours("old"), "old"),
                (ours("new"), "new"),
                (format!("sha256-{}.sig", digest("old").hex()), "sig"),
            ],
        );
        let found =
            leftovers(std::slice::from_ref(&contents), &[digest("new")].into(), OtherTags::Protect);
        let [old] = found.repositories[0].as_slice() else { panic!("{found:?}") };
        assert_eq!(old.digest, digest("old"));
        assert_eq!(old.tags, [ours("old").parse().unwrap()]);
        let parts: BTreeSet<Digest> = old.parts.iter().copied().collect();
        assert_eq!(parts, [digest("old amd64"), digest("sig")].into(), "`both` is needed");
        assert_eq!((old.unique_bytes, old.shared_bytes), (3 * 11, 100));
        assert_eq!(found.bytes, 3 * 11);
    }

    #[test]
    fn a_part_of_an_index_that_is_needed_stays_even_if_it_has_our_tag() {
        let contents = contents(
            &[("index", &["part"]), ("part", &[])],
            &[(ours("index"), "index"), (ours("part"), "part")],
        );
        assert!(names(&contents, &["index"], OtherTags::Protect).is_empty());
        assert_eq!(names(&contents, &["part"], OtherTags::Protect), [digest("index")]);
    }

    #[test]
    fn another_tag_protects_unless_it_is_said_to_go_too() {
        let contents = contents(
            &[("a", &[]), ("theirs", &[])],
            &[(ours("a"), "a"), ("1.0".to_owned(), "a"), ("2.0".to_owned(), "theirs")],
        );
        assert!(names(&contents, &[], OtherTags::Protect).is_empty());
        assert_eq!(names(&contents, &[], OtherTags::GoWithOurs), [digest("a")]);
    }

    #[test]
    fn a_tag_that_only_looks_like_ours_protects() {
        let contents = contents(
            &[("a", &[]), ("b", &[]), ("c", &[])],
            &[
                (ours("b"), "a"),
                ("edgepost-nightly".to_owned(), "b"),
                (format!("edgepost-{}", &digest("c").hex()[..8]), "c"),
            ],
        );
        assert!(names(&contents, &[], OtherTags::GoWithOurs).is_empty());
    }

    #[test]
    fn a_signature_of_what_has_no_tag_is_left_alone() {
        let contents = contents(
            &[("sig", &[]), ("a", &["sig"])],
            &[(format!("sha256-{}.sig", digest("untagged").hex()), "sig"), (ours("a"), "a")],
        );
        let found =
            leftovers(std::slice::from_ref(&contents), &BTreeSet::new(), OtherTags::Protect);
        let [a] = found.repositories[0].as_slice() else { panic!("{found:?}") };
        assert!(a.parts.is_empty(), "{found:?}");
    }

    #[test]
    fn bytes_that_another_repository_has_are_shared() {
        let (one, two) =
            (contents(&[("a", &[])], &[(ours("a"), "a")]), contents(&[("b", &[])], &[]));
        let two = Contents { tags: [("1".parse().unwrap(), digest("b"))].into(), ..two };
        let found = leftovers(&[one, two], &BTreeSet::new(), OtherTags::Protect);
        let [a] = found.repositories[0].as_slice() else { panic!("{found:?}") };
        assert_eq!((a.unique_bytes, a.shared_bytes), (11, 100));
        assert!(found.repositories[1].is_empty());
    }

    proptest! {
        #[test]
        fn nothing_that_is_needed_is_ever_part_of_a_leftover(
            edges in prop::collection::vec((0_usize..8, 0_usize..8), 0..16),
            tagged in prop::collection::vec((0_usize..8, 0_usize..4), 0..10),
            needed in prop::collection::btree_set(0_usize..8, 0..4),
        ) {
            let name = |at: usize| format!("m{at}");
            let mut it = contents(&[], &[]);
            for at in 0..8 {
                let children = edges.iter().filter(|(from, _)| *from == at);
                let children = children.map(|(_, to)| digest(&name(*to))).collect();
                it.manifests.insert(digest(&name(at)), Entry { children, ..Entry::default() });
            }
            for (at, kind) in tagged {
                let tag = match kind {
                    0 => format!("v{at}"),
                    1 => format!("sha256-{}.sig", digest(&name((at + 3) % 8)).hex()),
                    _ => ours(&name(at)),
                };
                it.tags.insert(tag.parse().unwrap(), digest(&name(at)));
            }
            let needed: BTreeSet<Digest> = needed.iter().map(|at| digest(&name(*at))).collect();
            let found = leftovers(std::slice::from_ref(&it), &needed, OtherTags::Protect);
            let free = it.tags.iter().filter(|(tag, digest)| !protects(tag, digest) && spoken_of(tag).is_none());
            let kept = closure(&it, free.map(|(_, digest)| *digest).chain(needed));
            for leftover in &found.repositories[0] {
                for digest in leftover.parts.iter().chain([&leftover.digest]) {
                    prop_assert!(!kept.contains(digest));
                }
                prop_assert!(leftover.tags.iter().any(|tag| protects(tag, &leftover.digest)));
            }
        }
    }
}
