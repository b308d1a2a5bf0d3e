//! One blob into one repository: as one stream or in parts, taken up where it broke off.

mod body;
mod feed;
mod largest;
mod session;

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};

pub(super) use largest::Largest;
pub(super) use session::{Begun, Session};

use super::{
    Place, RegistryClient, RegistryError, api_path,
    auth::Scopes,
    blobs::check_digest,
    http::{challenges, location},
    memory::KeptSession,
    retry::Patience,
    tls::Endpoint,
};
use crate::{
    image::{BlobReader, Descriptor, ImageError},
    registry::protocol::{ErrorCode, path},
    types::Repository,
};
use body::Sending;
use feed::{Feed, Marks};
use session::{Part, range, with_digest};

/// Blobs up to this length in bytes go in one request. What is longer goes by PATCH, which servers
/// keep as far as it came, and is committed by an empty PUT.
pub(super) const SMALL: u64 = 1024 * 1024;
/// The least that a registry keeps of a longer part, in bytes, if it is to get anywhere.
const LEAST: u64 = 64 << 10;
/// How often in a row a session may be redirected, or ask for a login, without taking anything.
const MAX_TURNS: usize = 3;

/// Told how one upload goes.
pub(super) trait Watch: Sync {
    /// So many bytes of the blob are through.
    fn moved(&self, _bytes: u64) {}

    /// So many bytes of the blob are there from an earlier attempt, and are not sent.
    fn resumed(&self, _bytes: u64) {}

    /// It broke off, and goes on after `_wait`.
    fn again(&self, _why: &RegistryError, _wait: Duration) {}
}

/// Nobody looks.
impl Watch for () {}

/// One blob on its way into one repository.
#[derive(Clone)]
pub(super) struct Upload<'a> {
    pub(super) repository: &'a Repository,
    pub(super) endpoint: &'a Endpoint,
    pub(super) descriptor: &'a Descriptor,
    pub(super) scopes: Scopes,
    pub(super) watch: &'a dyn Watch,
}

impl Upload<'_> {
    pub(super) fn place(&self) -> Place {
        self.repository.into()
    }
}

impl RegistryClient {
    /// The session of an earlier attempt that the registry can go on with.
    pub(super) async fn kept_session(
        &self,
        upload: &Upload<'_>,
        kept: &mut KeptSession,
    ) -> Result<Option<Session>, RegistryError> {
        let Some(url) = kept.url() else { return Ok(None) };
        if upload.endpoint.check_target(&url).is_err() {
            return Ok(None);
        }
        let session = Session { url, offset: 0, least: 0 };
        let status = self.retry.run(|| self.upload_status(upload, &session)).await?;
        if status.is_none() {
            kept.forget();
        }
        Ok(status)
    }

    /// Sends the blob that `open` gives, into `session` if there is one. What the registry has
    /// acknowledged is not sent again, if it can say so after a break.
    pub(super) async fn upload<F>(
        &self,
        upload: &Upload<'_>,
        session: Option<Session>,
        kept: &mut KeptSession,
        open: &impl Fn() -> F,
    ) -> Result<(), RegistryError>
    where
        F: Future<Output = Result<BlobReader, ImageError>>,
    {
        let reached = session.as_ref().map_or(0, |session| session.offset);
        if let Some(session) = &session {
            kept.keep(&session.url);
            upload.watch.resumed(session.offset);
        }
        let mut attempt = Attempt {
            client: self,
            upload,
            open,
            kept,
            marks: Marks::default(),
            session,
            certain: true,
            resumable: true,
            furthest: reached,
            turns: 0,
        };
        let mut patience = Patience::new(self.retry, reached);
        loop {
            let error = match attempt.go().await {
                Ok(Step::Done) => {
                    attempt.kept.forget();
                    return Ok(());
                }
                Ok(Step::Again) => continue,
                Err(error) => error,
            };
            attempt.certain = false;
            let wait = if is_worth_another_try(&error) {
                patience.after(&error, attempt.furthest)
            } else {
                None
            };
            let Some(wait) = wait else {
                attempt.give_up(&error).await;
                return Err(error);
            };
            let (blob, sent) = (&upload.descriptor.digest, attempt.furthest);
            tracing::info!(%blob, sent, %error, wait_ms = wait.as_millis(), "an upload broke off, and goes on");
            upload.watch.again(&error, wait);
            tokio::time::sleep(wait).await;
        }
    }
}

enum Step {
    Done,
    /// At once, from where the registry is.
    Again,
}

/// An upload under way.
struct Attempt<'a, 'u, O> {
    client: &'a RegistryClient,
    upload: &'a Upload<'u>,
    open: &'a O,
    kept: &'a mut KeptSession,
    marks: Marks,
    session: Option<Session>,
    /// Whether the registry's offset is known; after a break it is asked for.
    certain: bool,
    /// Whether what it says of its offset is to be believed.
    resumable: bool,
    /// The farthest that any attempt came.
    furthest: u64,
    /// How often in a row the registry sent us elsewhere, or wanted a login.
    turns: usize,
}

impl<O, F> Attempt<'_, '_, O>
where
    O: Fn() -> F,
    F: Future<Output = Result<BlobReader, ImageError>>,
{
    /// From wherever the registry is to the end, or to the first break.
    async fn go(&mut self) -> Result<Step, RegistryError> {
        let (upload, size) = (self.upload, self.upload.descriptor.size);
        let Some(mut session) = self.take_up().await? else { return Ok(Step::Done) };
        let largest = self.client.largest.of(upload.endpoint, session.least);
        let whole = size <= SMALL || !upload.endpoint.owns(&session.url);
        if whole && session.offset == 0 && largest.is_none_or(|largest| size <= largest) {
            return self.send_whole(&session).await;
        }
        upload.watch.moved(session.offset);
        let mut sending = None;
        while session.offset < size {
            let from = session.offset;
            let end = largest.map_or(size, |largest| size.min(from.saturating_add(largest)));
            let sending = match &mut sending {
                Some(sending) if Sending::position(sending) == from => sending,
                other => other.insert(self.read_from(from).await?),
            };
            let part = Part { sending, from, end };
            let sent = self.client.send_part(upload, Method::PATCH, &session.url, &part).await;
            self.furthest = self.furthest.max(sending.position());
            let (response, authorization) = sent?;
            if !response.status().is_success() {
                let refused = (response, authorization);
                return self.refused(&session, refused, end - from).await;
            }
            session.offset = range(&response).map_or(end, |received| received.min(end));
            let kept = session.offset.saturating_sub(from);
            self.turns = if kept < LEAST && session.offset < end { self.turns + 1 } else { 0 };
            if kept == 0 || self.turns > MAX_TURNS {
                let why = "it keeps nothing, or next to nothing, of what is sent to it";
                return Err(RegistryError::protocol(&upload.place(), why));
            }
            if let Ok(next) = location(&response, &session.url, upload.endpoint, &upload.place()) {
                session.url = next;
            }
            self.kept.keep(&session.url);
            self.session = Some(session.clone());
        }
        self.commit(&session).await
    }

    /// The session to go on with, at the registry's own offset; none if the blob is there.
    async fn take_up(&mut self) -> Result<Option<Session>, RegistryError> {
        let (client, upload) = (self.client, self.upload);
        if let Some(session) = &self.session {
            if self.certain {
                return Ok(Some(session.clone()));
            }
            let status =
                if self.resumable { client.upload_status(upload, session).await? } else { None };
            self.session.clone_from(&status);
            if status.is_some() {
                self.certain = true;
                return Ok(status);
            }
        }
        // Perhaps only the last answer was lost.
        let size = upload.descriptor.size;
        if self.furthest >= size && size > 0 && client.is_there(upload).await? {
            return Ok(None);
        }
        match client.begin_upload(upload, &path::uploads(&api_path(upload.repository))).await? {
            Begun::There => Ok(None),
            Begun::Session(session) => {
                self.kept.keep(&session.url);
                self.session = Some(session.clone());
                self.certain = true;
                Ok(Some(session))
            }
        }
    }

    /// The content from an offset on.
    async fn read_from(&self, offset: u64) -> Result<Sending, RegistryError> {
        let reader = (self.open)().await?;
        let feed = Feed::open(reader, self.upload.descriptor, &self.marks, offset).await;
        Ok(Sending::new(feed))
    }

    /// Sends everything with the digest in one request.
    async fn send_whole(&mut self, session: &Session) -> Result<Step, RegistryError> {
        let (upload, size) = (self.upload, self.upload.descriptor.size);
        let url = with_digest(&session.url, &upload.descriptor.digest);
        let sending = self.read_from(0).await?;
        if size == 0 {
            sending.check_end(upload).await?;
        }
        let part = Part { sending: &sending, from: 0, end: size };
        let sent = self.client.send_part(upload, Method::PUT, &url, &part).await;
        self.furthest = self.furthest.max(sending.position());
        let (response, authorization) = sent?;
        if response.status().is_success() {
            return self.done(&response);
        }
        self.refused(session, (response, authorization), size).await
    }

    /// Has the registry make a blob of what it got.
    async fn commit(&mut self, session: &Session) -> Result<Step, RegistryError> {
        let (upload, size) = (self.upload, self.upload.descriptor.size);
        let url = with_digest(&session.url, &upload.descriptor.digest);
        let sending = Sending::new(Feed::nothing(size));
        let part = Part { sending: &sending, from: size, end: size };
        let (response, authorization) =
            self.client.send_part(upload, Method::PUT, &url, &part).await?;
        if response.status().is_success() {
            return self.done(&response);
        }
        self.refused(session, (response, authorization), 0).await
    }

    fn done(&self, response: &Response) -> Result<Step, RegistryError> {
        check_digest(response, &self.upload.descriptor.digest, &self.upload.place())?;
        Ok(Step::Done)
    }

    /// What the refusal of `length` bytes means for the session.
    async fn refused(
        &mut self,
        session: &Session,
        (response, authorization): (Response, Option<reqwest::header::HeaderValue>),
        length: u64,
    ) -> Result<Step, RegistryError> {
        let (client, upload) = (self.client, self.upload);
        let (endpoint, status) = (upload.endpoint, response.status());
        let owned = endpoint.owns(&session.url);
        self.turns += 1;
        if self.turns <= MAX_TURNS {
            match status {
                StatusCode::UNAUTHORIZED if owned => {
                    let (challenges, sent) = (challenges(&response), authorization.as_ref());
                    let (auth, connections) = (&client.auth, &client.connections);
                    auth.answer(connections, endpoint, &upload.scopes, &challenges, sent).await?;
                    self.certain = false;
                    return Ok(Step::Again);
                }
                StatusCode::PAYLOAD_TOO_LARGE
                    if client.largest.shrink(endpoint, length, session.least) =>
                {
                    // Whoever refused it is in front of the registry, which has seen nothing.
                    self.turns = 0;
                    return Ok(Step::Again);
                }
                StatusCode::RANGE_NOT_SATISFIABLE => {
                    self.certain = false;
                    return Ok(Step::Again);
                }
                status if status.is_redirection() => {
                    let url = location(&response, &session.url, endpoint, &upload.place())?;
                    self.session = Some(Session { url, ..session.clone() });
                    return Ok(Step::Again);
                }
                _ => (),
            }
        }
        if status == StatusCode::UNAUTHORIZED && owned {
            return Err(client.auth.refusal(endpoint, &upload.scopes, &upload.place()).await);
        }
        if status.is_redirection() {
            let why = "too many redirects of an upload";
            return Err(RegistryError::protocol(&upload.place(), why));
        }
        let error = client.refusal_of_part(upload, response).await;
        if is_wrong_content(&error) {
            // What it had was not what we sent: from the beginning, then.
            self.resumable = false;
        }
        if is_about_session(&error) {
            self.session = None;
            self.kept.forget();
        }
        Err(error)
    }

    /// Leaves the session as it is for the next attempt, unless its content can never be right.
    async fn give_up(&mut self, error: &RegistryError) {
        let hopeless = matches!(
            error,
            RegistryError::WrongContent { .. }
                | RegistryError::WrongSize { .. }
                | RegistryError::Source(_)
        );
        if let Some(session) = self.session.take().filter(|_| hopeless) {
            self.kept.forget();
            self.client.cancel_upload(self.upload, &session).await;
        }
    }
}

fn is_about_session(error: &RegistryError) -> bool {
    let gone = [ErrorCode::BlobUploadUnknown, ErrorCode::BlobUploadInvalid];
    matches!(error, RegistryError::Refused { code: Some(code), .. } if gone.contains(code))
        || is_wrong_content(error)
}

/// The bytes were changed on the way.
fn is_wrong_content(error: &RegistryError) -> bool {
    let wrong = [ErrorCode::DigestInvalid, ErrorCode::SizeInvalid];
    matches!(error, RegistryError::Refused { code: Some(code), .. } if wrong.contains(code))
}

/// Errors after which the same blob may well go through.
fn is_worth_another_try(error: &RegistryError) -> bool {
    is_about_session(error) || error.may_pass()
}
