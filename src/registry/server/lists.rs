//! What there is: tags, repositories, referrers.

use std::fmt::Display;

use axum::{
    Json,
    http::header::{CONTENT_TYPE, LINK},
    response::{IntoResponse as _, Response},
};
use serde_json::json;
use url::form_urlencoded;

use crate::{
    image::{Descriptor, Index, media_type},
    registry::{
        protocol::{RepositoryName, header, path},
        server::{Registry, error::ApiError, query::Query},
    },
    types::Digest,
};

/// The most bytes of referrers in one page: what is around them fits into a manifest's length too.
const PAGE_BYTES: usize = 3 << 20;

/// The tags of a repository.
pub(super) async fn tags(
    registry: &Registry,
    name: &RepositoryName,
    query: &Query,
) -> Result<Response, ApiError> {
    if !registry.folder.has_repository(name) {
        return Err(ApiError::name_unknown(name));
    }
    let tags = registry.folder.tags(name).await?;
    let page = Page::of(&tags, query)?;
    Ok(page.answer(&path::tags(name.as_str()), &json!({ "name": name, "tags": page.names })))
}

/// The repositories that have something.
pub(super) async fn catalog(registry: &Registry, query: &Query) -> Result<Response, ApiError> {
    let repositories = registry.folder.repositories().await?;
    let page = Page::of(&repositories, query)?;
    Ok(page.answer(path::CATALOG, &json!({ "repositories": page.names })))
}

/// What was said about a manifest, which itself need not be here: signatures, lists of parts.
pub(super) async fn referrers(
    registry: &Registry,
    name: &RepositoryName,
    subject: &Digest,
    query: &Query,
) -> Result<Response, ApiError> {
    let mut referrers = registry.folder.referrers(name, subject).await?;
    let wanted = query.text("artifactType");
    if let Some(wanted) = wanted {
        referrers.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
    }
    let (page, next) = page_of(referrers, query.page()?, query.digest("last")?);
    let mut response = Json(Index::new(page)).into_response();
    if let Some(last) = next {
        let mut next = form_urlencoded::Serializer::new(String::new());
        next.extend_pairs(query.text("n").map(|length| ("n", length)));
        next.extend_pairs(wanted.map(|wanted| ("artifactType", wanted)));
        next.append_pair("last", &last.to_string());
        let link = format!(
            "<{}?{}>; rel=\"next\"",
            path::referrers(name.as_str(), subject),
            next.finish()
        );
        // Cannot fail: the query is encoded.
        response.headers_mut().extend(link.parse().map(|link| (LINK, link)));
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(media_type::OCI_INDEX));
    if wanted.is_some() {
        let applied = axum::http::HeaderValue::from_static("artifactType");
        headers.insert(axum::http::HeaderName::from_static(header::OCI_FILTERS_APPLIED), applied);
    }
    Ok(response)
}

/// The first referrers behind `last`, as many as a page may have, and what the next page comes behind.
/// A page is no longer than a manifest may be, unless one referrer alone is.
fn page_of(
    mut referrers: Vec<Descriptor>,
    length: usize,
    last: Option<Digest>,
) -> (Vec<Descriptor>, Option<Digest>) {
    referrers.retain(|it| last.is_none_or(|last| it.digest > last));
    referrers.sort_by_key(|it| it.digest);
    let mut bytes = 0;
    let fits = |it: &&Descriptor| {
        let first = bytes == 0;
        bytes += serde_json::to_vec(it).map_or(0, |json| json.len());
        first || bytes < PAGE_BYTES
    };
    let kept = referrers.iter().take(length).take_while(fits).count();
    let is_last = kept == referrers.len();
    referrers.truncate(kept);
    let next = referrers.last().filter(|_| !is_last).map(|it| it.digest);
    (referrers, next)
}

/// A part of a sorted list.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    names: Vec<String>,
    /// The query of the next page, if there is one.
    next: Option<String>,
}

impl Page {
    /// The first `n` of `all` that come after `last`.
    fn of(all: &[impl Display], query: &Query) -> Result<Self, ApiError> {
        let length = query.page()?;
        let last = query.text("last").unwrap_or_default();
        let mut rest = all
            .iter()
            .map(ToString::to_string)
            .skip_while(|name| !last.is_empty() && name.as_str() <= last);
        let names: Vec<String> = rest.by_ref().take(length).collect();
        let next = match names.last() {
            Some(last) if rest.next().is_some() => {
                let mut next = form_urlencoded::Serializer::new(String::new());
                next.append_pair("n", &length.to_string()).append_pair("last", last);
                Some(next.finish())
            }
            _ => None,
        };
        Ok(Self { names, next })
    }

    fn answer(&self, path: &str, body: &serde_json::Value) -> Response {
        let next =
            self.next.as_ref().map(|query| [(LINK, format!("<{path}?{query}>; rel=\"next\""))]);
        match next {
            Some(link) => (link, Json(body)).into_response(),
            None => Json(body).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Page {
        Page::of(&["a", "b", "c"], &Query::parse(Some(query))).unwrap()
    }

    #[test]
    fn a_list_is_read_page_by_page() {
        let first = page("n=2");
        assert_eq!(first.names, ["a", "b"]);
        let second = page(&first.next.unwrap());
        assert_eq!((second.names, second.next), (vec!["c".to_owned()], None));
    }

    #[test]
    fn none_are_asked_for_and_none_are_given() {
        assert_eq!(page("n=0"), Page { names: vec![], next: None });
        assert_eq!(page("last=zzz"), Page { names: vec![], next: None });
        assert_eq!(page("last=aa").names, ["b", "c"]);
    }

    #[test]
    fn referrers_come_page_by_page_within_count_and_length() {
        let one = |text: &str| Descriptor::of("x/y", text.as_bytes());
        let all: Vec<Descriptor> = ["a", "b", "c", "d", "e"].map(one).to_vec();
        let (first, next) = page_of(all.clone(), 2, None);
        let (second, after) = page_of(all.clone(), 2, next);
        let (third, end) = page_of(all.clone(), 2, after);
        assert_eq!((first.len(), second.len(), third.len(), end), (2, 2, 1, None));
        let mut seen = [first, second, third].concat();
        let mut sorted = all.clone();
        sorted.sort_by_key(|it| it.digest);
        assert_eq!(seen, sorted);
        assert_eq!(page_of(all, 0, None), (vec![], None));

        for it in &mut seen {
            it.annotations.insert("note".to_owned(), "x".repeat(2 << 20));
        }
        let (page, next) = page_of(seen.clone(), 1000, None);
        assert_eq!((page.len(), next), (1, Some(seen[0].digest)));
    }

    #[test]
    fn no_page_is_longer_than_the_limit() {
        let many: Vec<u32> = (10_000..13_000).collect();
        let page = Page::of(&many, &Query::parse(Some("n=1000000000"))).unwrap();
        assert_eq!(page.names.len(), 1000);
        assert!(Page::of(&many, &Query::parse(Some("n=-1"))).is_err());
    }
}
