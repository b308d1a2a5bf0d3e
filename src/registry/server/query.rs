//! The query of a request; its values are parsed where they are taken.

use std::str::FromStr;

use url::form_urlencoded;

use crate::{
    registry::{
        protocol::{MAX_PAGE, RepositoryName},
        server::error::ApiError,
    },
    types::{Digest, Tag},
};

/// Names and values, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: Option<&str>) -> Self {
        Self(form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn digest(&self, name: &str) -> Result<Option<Digest>, ApiError> {
        self.parsed(name, |error: <Digest as FromStr>::Err, _| {
            ApiError::digest_invalid(error.to_string())
        })
    }

    pub(super) fn repository(&self, name: &str) -> Result<Option<RepositoryName>, ApiError> {
        self.parsed(name, |_, text| ApiError::name_invalid(text))
    }

    pub(super) fn tags(&self, name: &str) -> Result<Vec<Tag>, ApiError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| ApiError::query_invalid(format!("`{text}` is not a tag")))
        };
        self.all(name).map(parse).collect()
    }

    /// The length of a page: what is asked for, but never more than [`MAX_PAGE`].
    pub(super) fn page(&self) -> Result<usize, ApiError> {
        let refuse = |_, text: &str| ApiError::query_invalid(format!("`{text}` is not a number"));
        let wanted = self.parsed::<usize>("n", refuse)?;
        Ok(wanted.unwrap_or(MAX_PAGE).min(MAX_PAGE))
    }

    fn parsed<T: FromStr>(
        &self,
        name: &str,
        refuse: impl Fn(T::Err, &str) -> ApiError,
    ) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| text.parse().map_err(|error| refuse(error, text))).transpose()
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
