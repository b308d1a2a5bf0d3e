//! What there is: tags, repositories, referrers.

use axum::{
    Json,
    http::header::{CONTENT_TYPE, LINK},
    response::{IntoResponse as _, Response},
};
use serde_json::json;
use url::form_urlencoded;

use crate::{
    image::{Index, media_type},
    registry::{
        protocol::{RepositoryName, header, path},
        server::{Registry, error::ApiError, query::Query, storage::ReferrersPage},
    },
    types::Digest,
};

/// The tags of a repository.
pub(super) async fn tags(
    registry: &Registry,
    name: &RepositoryName,
    query: &Query,
) -> Result<Response, ApiError> {
    if !registry.folder.has_repository(name) {
        return Err(ApiError::name_unknown(name));
    }
    let _turn = registry.list_turn().await?;
    let wanted = Wanted::of(query)?;
    let page = Page::of(registry.folder.tags(name, wanted.last, wanted.length + 1).await?, &wanted);
    Ok(page.answer(&path::tags(name.as_str()), &json!({ "name": name, "tags": page.names })))
}

/// The repositories that have something.
pub(super) async fn catalog(registry: &Registry, query: &Query) -> Result<Response, ApiError> {
    let _turn = registry.list_turn().await?;
    let wanted = Wanted::of(query)?;
    let page =
        Page::of(registry.folder.repositories(wanted.last, wanted.length + 1).await?, &wanted);
    Ok(page.answer(path::CATALOG, &json!({ "repositories": page.names })))
}

/// What was said about a manifest, which itself need not be here: signatures, lists of parts.
pub(super) async fn referrers(
    registry: &Registry,
    name: &RepositoryName,
    subject: &Digest,
    query: &Query,
) -> Result<Response, ApiError> {
    let _turn = registry.list_turn().await?;
    let artifact_type = query.text("artifactType");
    let wanted = ReferrersPage {
        after: query.digest("last")?,
        most: query.page()?,
        artifact_type: artifact_type.map(str::to_owned),
    };
    let (page, next) = match wanted.most {
        0 => (Vec::new(), None),
        _ => registry.folder.referrers(name, subject, wanted).await?,
    };
    let wanted = artifact_type;
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

/// Which part of a sorted list is asked for.
#[derive(Debug)]
struct Wanted<'a> {
    last: Option<&'a str>,
    length: usize,
}

impl<'a> Wanted<'a> {
    fn of(query: &'a Query) -> Result<Self, ApiError> {
        let last = query.text("last").filter(|last| !last.is_empty());
        Ok(Self { last, length: query.page()? })
    }
}

/// A part of a sorted list.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    names: Vec<String>,
    /// The query of the next page, if there is one.
    next: Option<String>,
}

impl Page {
    /// The page of `names`, which are one more than it holds if another page follows.
    fn of(mut names: Vec<String>, wanted: &Wanted<'_>) -> Self {
        let is_more = names.len() > wanted.length;
        names.truncate(wanted.length);
        let next = names.last().filter(|_| is_more).map(|last| {
            let mut next = form_urlencoded::Serializer::new(String::new());
            next.append_pair("n", &wanted.length.to_string()).append_pair("last", last);
            next.finish()
        });
        Self { names, next }
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

    /// The page of `a`, `b`, `c` that the storage answers for a query.
    fn page(query: &str) -> Page {
        let query = Query::parse(Some(query));
        let wanted = Wanted::of(&query).unwrap();
        let names = ["a", "b", "c"].into_iter().filter(|name| Some(*name) > wanted.last);
        Page::of(names.take(wanted.length + 1).map(str::to_owned).collect(), &wanted)
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
    fn no_page_is_longer_than_the_limit() {
        let query = Query::parse(Some("n=1000000000"));
        assert_eq!(Wanted::of(&query).unwrap().length, 1000);
        assert!(Wanted::of(&Query::parse(Some("n=-1"))).is_err());
    }
}
