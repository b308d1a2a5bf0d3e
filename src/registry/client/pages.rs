//! Lists that come in pages, walked in one way: on the registry itself, bounded, never in a circle.
//!
//! A registry names the next page by `Link: <…>; rel="next"` (RFC 8288), relative or absolute. It
//! sees our credentials again there, so that a page elsewhere is refused, whatever is on it.

use std::collections::HashSet;

use bytes::Bytes;
use reqwest::{
    StatusCode,
    header::{HeaderMap, LINK},
};
use url::Url;

use super::{
    RegistryClient, RegistryError,
    http::{Call, bounded_body, own_scheme, refuse_page},
    tls::Endpoint,
};
use crate::registry::protocol::ErrorCode;

/// The most pages of one list that are read.
const MAX_PAGES: usize = 1000;
/// The most of one page that is read, in bytes: a thousand of the longest names, and more.
const MAX_PAGE_BYTES: u64 = 4 * 1024 * 1024;
/// The most of one list that is read, in bytes.
const MAX_LIST_BYTES: u64 = 64 * 1024 * 1024;

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A walk over the pages of a list, from the first to the last.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    client: &'a RegistryClient,
    endpoint: &'a Endpoint,
    /// The request for the next page; none after the last one.
    next: Option<Call>,
    seen: HashSet<Url>,
    left: u64,
}

impl RegistryClient {
    /// The pages of the list that `first` asks for.
    pub(super) fn pages<'a>(&'a self, endpoint: &'a Endpoint, first: Call) -> Pages<'a> {
        let seen = HashSet::new();
        Pages { client: self, endpoint, next: Some(first), seen, left: MAX_LIST_BYTES }
    }
}

impl Pages<'_> {
    /// The next page, or none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, RegistryError> {
        let Some(mut call) = self.next.take() else { return Ok(None) };
        if !self.seen.insert(call.url.clone()) {
            return Err(RegistryError::protocol(&call.place, "its list goes in a circle"));
        }
        if self.seen.len() > MAX_PAGES {
            return Err(RegistryError::protocol(&call.place, "its list does not end"));
        }
        let (url, page) = match self.read(&call).await {
            // The page is larger than this registry gives, so it may choose.
            Err(RegistryError::Refused { status: 400, code: Some(code), .. })
                if self.seen.len() == 1 && is_about_length(&code) && without_length(&mut call) =>
            {
                self.read(&call).await?
            }
            read => read?,
        };
        self.left = self.left.checked_sub(page.body.len() as u64).ok_or_else(|| {
            RegistryError::TooLarge { place: call.place.clone(), limit: MAX_LIST_BYTES }
        })?;
        if let Some(target) = next_of(&page.headers) {
            call.url = self.own(&url, &target).ok_or_else(|| {
                RegistryError::protocol(&call.place, "the next page of its list is elsewhere")
            })?;
            self.next = Some(call);
        }
        Ok(Some(page))
    }

    /// The address of a page, if it is the registry's own. One behind a proxy that ends TLS may
    /// write its address with `http://`.
    fn own(&self, seen_from: &Url, target: &str) -> Option<Url> {
        let url = own_scheme(seen_from.join(target).ok()?, self.endpoint);
        self.endpoint.owns(&url).then_some(url)
    }

    async fn read(&self, call: &Call) -> Result<(Url, Page), RegistryError> {
        self.client
            .retry
            .run(|| async {
                let mut response = self.client.send_following(self.endpoint, call).await?;
                if response.status() != StatusCode::OK {
                    return Err(self.client.refusal(&call.place, &call.what, response).await);
                }
                let (stall, place) = (self.client.stall, &call.place);
                refuse_page(&mut response, place, stall).await?;
                let body = bounded_body(&mut response, MAX_PAGE_BYTES, stall, place).await?;
                Ok((response.url().clone(), Page { headers: response.headers().clone(), body }))
            })
            .await
    }
}

/// Distribution 3 refuses a length over its own limit by a word of its own.
fn is_about_length(code: &ErrorCode) -> bool {
    *code == ErrorCode::Unsupported
        || matches!(code, ErrorCode::Other(word) if word == "PAGINATION_NUMBER_INVALID")
}

/// Takes `n` from the query; `false` if it was not there.
fn without_length(call: &mut Call) -> bool {
    let kept: Vec<(String, String)> =
        call.url.query_pairs().into_owned().filter(|(name, _)| name != "n").collect();
    if kept.len() == call.url.query_pairs().count() {
        return false;
    }
    call.url.query_pairs_mut().clear().extend_pairs(kept);
    if call.url.query() == Some("") {
        call.url.set_query(None);
    }
    true
}

/// The target of the first link whose relation is `next`.
fn next_of(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(links).find(|link| link.is_next).map(|link| link.target)
}

struct Link {
    target: String,
    is_next: bool,
}

/// The links of one header (RFC 8288, section 3): `<target>; name=value; name="value", <…>…`.
fn links(header: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = header;
    while let Some((_, begun)) = rest.split_once('<') {
        let Some((target, after)) = begun.split_once('>') else { break };
        let (parameters, next) = parameters(after);
        // Only the first `rel` counts.
        let relation = parameters.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("rel"));
        let is_next = relation.is_some_and(|(_, value)| {
            value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
        });
        links.push(Link { target: target.trim().to_owned(), is_next });
        rest = next;
    }
    links
}

/// The parameters of a link up to the comma that ends it, and what follows.
fn parameters(text: &str) -> (Vec<(&str, String)>, &str) {
    let end = unquoted(text, ',').unwrap_or(text.len());
    let (mut rest, after) = text.split_at(end);
    let mut found = Vec::new();
    loop {
        let end = unquoted(rest, ';').unwrap_or(rest.len());
        let (parameter, more) = rest.split_at(end);
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        found.push((name.trim(), value.trim().trim_matches('"').replace('\\', "")));
        match more.strip_prefix(';') {
            Some(more) => rest = more,
            None => return (found, after),
        }
    }
}

/// Where `wanted` first stands outside of a quoted string.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices()
        .find(|&(_, c)| {
            let is_text = std::mem::take(&mut escaped);
            match c {
                _ if is_text => false,
                '\\' if quoted => {
                    escaped = true;
                    false
                }
                '"' => {
                    quoted = !quoted;
                    false
                }
                c => c == wanted && !quoted,
            }
        })
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(header: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(LINK, header.parse().unwrap())]);
        next_of(&headers)
    }

    #[test]
    fn the_next_page_is_found_as_rfc_8288_writes_it() {
        for header in [
            r#"</v2/p?n=1&last=a>; rel="next""#,
            "</v2/p?n=1&last=a>; rel=next",
            "</v2/p?n=1&last=a>;Rel=\"NEXT\"",
            r#"</v2/p?n=1&last=a>; title="a, b; rel=no"; rel="last next""#,
            r#"</first>; rel="first", </v2/p?n=1&last=a>; rel="next""#,
            r#"< /v2/p?n=1&last=a >; rel="next""#,
        ] {
            assert_eq!(next(header).as_deref(), Some("/v2/p?n=1&last=a"), "{header}");
        }
    }

    #[test]
    fn what_is_no_link_to_the_next_page_is_none() {
        for header in [
            "",
            "</a>",
            "</a>; rel=prev",
            r#"</a>; rel="prev"; rel="next""#,
            r#"</a>; title="rel=next""#,
            "</a; rel=next",
            r#"</a>; rel="nextone""#,
            "next",
        ] {
            assert_eq!(next(header), None, "{header}");
        }
    }
}
