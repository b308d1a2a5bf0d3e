//! Who else has what a registry has: asked before it, believed by digest alone.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{RegistryClient, RegistryError, RetryPolicy, api_path};
use crate::{
    image::RawManifest,
    registry::protocol::Reference,
    types::{
        Registry, Repository,
        image_ref::{ParseImageError, is_repository_path},
    },
};

/// For how long a mirror that failed is passed over.
const PASSED_OVER: Duration = Duration::from_mins(5);

/// A registry that has what another one has: `[http://]host[:port][/prefix]`.
///
/// Its repositories are named as the other's, behind the prefix if there is one. It is asked with its
/// own login; that of the registry it mirrors is never shown to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mirror {
    /// Where it is.
    pub registry: Registry,
    /// What stands before the name of a repository there.
    pub prefix: Option<String>,
    /// Whether it is spoken to without TLS.
    pub plain_http: bool,
}

impl FromStr for Mirror {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, ParseImageError> {
        let (plain_http, rest) = match text.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err(ParseImageError::Registry(text.to_owned())),
            None => (false, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (registry, prefix) = match rest.split_once('/') {
            Some((registry, prefix)) if is_repository_path(prefix) => (registry, Some(prefix)),
            Some((_, prefix)) => return Err(ParseImageError::Repository(prefix.to_owned())),
            None => (rest, None),
        };
        Ok(Self { registry: registry.parse()?, prefix: prefix.map(str::to_owned), plain_http })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain_http { "http://" } else { "" };
        write!(f, "{scheme}{}", self.registry)?;
        self.prefix.iter().try_for_each(|prefix| write!(f, "/{prefix}"))
    }
}

impl Mirror {
    /// Where it has `original`; none if the name grows too long.
    fn repository(&self, original: &Repository) -> Option<Repository> {
        let path = api_path(original);
        let path = match &self.prefix {
            Some(prefix) => format!("{prefix}/{path}"),
            None => path,
        };
        Repository::new(self.registry.clone(), &path).ok()
    }
}

/// The mirrors of all registries, and which of them failed lately.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    of: BTreeMap<Registry, Vec<Mirror>>,
    passed_over: Mutex<HashMap<Mirror, Instant>>,
}

impl Mirrors {
    pub(super) fn new(of: BTreeMap<Registry, Vec<Mirror>>) -> Self {
        Self { of, passed_over: Mutex::default() }
    }

    /// Those that are to be spoken to without TLS.
    pub(super) fn plain_http(&self) -> impl Iterator<Item = &Registry> {
        self.of.values().flatten().filter(|it| it.plain_http).map(|it| &it.registry)
    }

    /// Who has the content of `repository`, in the order in which they are to be asked.
    pub(super) fn sources(self: &Arc<Self>, repository: &Repository) -> Sources {
        self.sources_at(repository, Instant::now())
    }

    fn sources_at(self: &Arc<Self>, repository: &Repository, now: Instant) -> Sources {
        let mirrors = self.of.get(repository.registry()).into_iter().flatten();
        let mirrors = mirrors
            .filter(|it| !self.is_passed_over(it, now))
            .filter_map(|it| {
                Some(Source { repository: it.repository(repository)?, mirror: Some(it.clone()) })
            })
            .collect();
        let origin = Source { repository: repository.clone(), mirror: None };
        Sources { all: Arc::clone(self), mirrors, origin }
    }

    fn is_passed_over(&self, mirror: &Mirror, now: Instant) -> bool {
        let mut passed_over = self.passed_over.lock().unwrap_or_else(PoisonError::into_inner);
        match passed_over.get(mirror) {
            Some(until) if now < *until => true,
            Some(_) => {
                passed_over.remove(mirror);
                false
            }
            None => false,
        }
    }

    /// Remembers that a mirror failed, or lied.
    pub(super) fn pass_over(&self, mirror: &Mirror) {
        let mut passed_over = self.passed_over.lock().unwrap_or_else(PoisonError::into_inner);
        passed_over.insert(mirror.clone(), Instant::now() + PASSED_OVER);
    }
}

/// A repository that may have some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) repository: Repository,
    /// None for the origin itself.
    pub(super) mirror: Option<Mirror>,
}

/// Who is left to be asked for some content.
#[derive(Debug)]
pub(super) struct Sources {
    all: Arc<Mirrors>,
    mirrors: VecDeque<Source>,
    origin: Source,
}

impl Sources {
    /// Who is to be asked now.
    pub(super) fn current(&self) -> &Source {
        self.mirrors.front().unwrap_or(&self.origin)
    }

    /// The mirror that was asked failed by `error`: asks the next one from now on. `false` if it was
    /// no mirror, but the origin.
    pub(super) fn pass_over_mirror(&mut self, error: &RegistryError) -> bool {
        let current = self.current().clone();
        self.pass_over(&current, error)
    }

    /// The same for one of several that are asked at once.
    pub(super) fn pass_over(&mut self, source: &Source, error: &RegistryError) -> bool {
        let Some(mirror) = &source.mirror else { return false };
        self.mirrors.retain(|it| it != source);
        // One that merely lacks this may have the next.
        if !matches!(error, RegistryError::NotFound { .. }) {
            tracing::info!(%mirror, %error, "the mirror is passed over");
            self.all.pass_over(mirror);
        }
        true
    }
}

impl RegistryClient {
    /// A manifest or index, whose digest has been computed here and compared with the one that was
    /// asked for and the one that the registry names.
    ///
    /// By digest, the mirrors of the registry are asked before it. What a tag names is asked of the
    /// registry itself; of its mirrors only while it is away, and if that is allowed
    /// ([`tags_from_mirrors`](super::ClientConfig::tags_from_mirrors)).
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        let by_digest = matches!(reference, Reference::Digest(_));
        if by_digest && let Some(found) = self.manifest_of_mirror(repository, reference).await {
            return Ok(found);
        }
        let error = match self.manifest_at(repository, reference).await {
            Err(error) if !by_digest && self.tags_from_mirrors && error.may_pass() => error,
            result => return result,
        };
        self.manifest_of_mirror(repository, reference).await.ok_or(error)
    }

    async fn manifest_of_mirror(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Option<RawManifest> {
        let mut sources = self.mirrors.sources(repository);
        // Each is asked once: there is the next one.
        let once = Self { retry: RetryPolicy::once(), ..self.clone() };
        while sources.current().mirror.is_some() {
            match once.manifest_at(&sources.current().repository, reference).await {
                Ok(manifest) => return Some(manifest),
                Err(error) => sources.pass_over_mirror(&error),
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read_as_people_write_them() {
        let hub: Repository = "nginx".parse().unwrap();
        for (text, there) in [
            ("mirror.example", "mirror.example/library/nginx"),
            ("http://10.0.0.7:5000", "10.0.0.7:5000/library/nginx"),
            ("https://site:5000/hub/", "site:5000/hub/library/nginx"),
        ] {
            let mirror: Mirror = text.parse().unwrap();
            assert_eq!(mirror.plain_http, text.starts_with("http://"));
            assert_eq!(mirror.repository(&hub).unwrap().to_string(), there);
            assert_eq!(mirror.to_string().parse::<Mirror>().unwrap(), mirror);
        }
        for text in ["", "ftp://x.example", "x.example/UPPER", "http://", "a b"] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mirror_that_failed_is_passed_over_for_a_while() {
        let origin: Repository = "r.example/app".parse().unwrap();
        let mirror: Mirror = "m.example".parse().unwrap();
        let of = BTreeMap::from([(origin.registry().clone(), vec![mirror.clone()])]);
        let mirrors = Arc::new(Mirrors::new(of));
        let now = Instant::now();
        let asked = |now| mirrors.sources_at(&origin, now).current().mirror.clone();
        assert_eq!(asked(now), Some(mirror.clone()));

        let lacks = RegistryError::NotFound {
            place: (&origin).into(),
            what: "blob".to_owned(),
            message: String::new(),
        };
        assert!(mirrors.sources(&origin).pass_over_mirror(&lacks));
        assert_eq!(asked(now), Some(mirror.clone()), "it may have the next one");

        let away =
            RegistryError::Timeout { registry: mirror.registry.clone(), waited: PASSED_OVER };
        let mut sources = mirrors.sources(&origin);
        assert!(sources.pass_over_mirror(&away));
        assert!(!sources.pass_over_mirror(&away), "the origin is left");
        assert_eq!(asked(now), None);
        assert_eq!(asked(now + 2 * PASSED_OVER), Some(mirror));
    }
}
