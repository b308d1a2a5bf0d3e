//! A request and its answer, as data.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use super::ExchangeError;
use crate::types::JsonProblem;

/// The longest answer read: a list of all an organization's nodes stays well below.
const LARGEST_ANSWER: usize = 64 << 20;

/// A request, as data, so that it can be sent again.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<(Bytes, Option<&'static str>)>,
    pub(super) wait: Duration,
    pub(super) repeatable: bool,
    pub(super) largest: usize,
}

impl Call {
    fn new(method: Method, path: &[impl AsRef<str>]) -> Self {
        let repeatable = method != Method::POST;
        Self {
            method,
            path: path.iter().map(|segment| segment.as_ref().to_owned()).collect(),
            query: Vec::new(),
            body: None,
            wait: Duration::ZERO,
            repeatable,
            largest: LARGEST_ANSWER,
        }
    }

    /// Reads what is at `path`, the segments below `/v1`.
    pub(super) fn get(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Adds to what is at `path`.
    pub(super) fn post(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::POST, path)
    }

    /// Puts something at `path`.
    pub(super) fn put(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Changes one attribute of what is at `path`.
    pub(super) fn patch(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Removes what is at `path`.
    pub(super) fn delete(path: &[impl AsRef<str>]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a query parameter.
    pub(super) fn query(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Sends `value` as JSON.
    pub(super) fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, ExchangeError> {
        let bytes = serde_json::to_vec(value).map_err(|error| ExchangeError::Malformed {
            what: self.what(),
            reason: error.to_string(),
        })?;
        self.body = Some((Bytes::from(bytes), Some("application/json")));
        Ok(self)
    }

    /// Sends `bytes` as they are, without a content type (as hzn does).
    pub(super) fn raw(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Some((bytes.into(), None));
        self
    }

    /// Grants the exchange this time to hold the answer back.
    pub(super) fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Says that sending it twice does no more than sending it once.
    pub(super) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Reads no answer longer than this.
    pub(super) fn at_most(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// What is asked for, as a path below `/v1`.
    pub(super) fn what(&self) -> String {
        self.path.join("/")
    }
}

/// What the exchange answered, its body within bounds.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) what: String,
}

impl Answer {
    /// Reads the body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ExchangeError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| self.malformed(&JsonProblem::from(error)))
    }

    /// The body as text.
    pub(super) fn text(&self) -> Result<&str, ExchangeError> {
        std::str::from_utf8(&self.body).map_err(|_| self.malformed(&"it is not text in UTF-8"))
    }

    /// Whether something came to be by this request, rather than having been there.
    pub(super) fn is_created(&self) -> bool {
        self.status == StatusCode::CREATED
    }

    /// Says that the body is not what it should be.
    pub(super) fn malformed(&self, reason: &impl ToString) -> ExchangeError {
        ExchangeError::Malformed { what: self.what.clone(), reason: reason.to_string() }
    }
}
