//! The router of a connection, with bodies that record who waits for whom.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    BoxError, Router,
    body::{Body, HttpBody},
    extract::ConnectInfo,
    http::{Request, Response},
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tower_service::Service;

use super::{
    activity::{Activity, OpenRequest, PeerWait},
    memory::HeldBytes,
};

/// A response is handed to the connection in pieces of this size at most, so that one of which the peer takes nothing
/// is seen to wait and does not move into the connection's buffers as a whole.
const PIECE: usize = 16 * 1024;

/// Answers the requests of one connection.
#[derive(Debug, Clone)]
pub(super) struct ObservedService {
    pub(super) router: Router,
    pub(super) peer: SocketAddr,
    pub(super) activity: Arc<Activity>,
}

impl<B> Service<Request<B>> for ObservedService
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { mut router, peer, activity } = self.clone();
        let open = OpenRequest::begin(&activity);
        Box::pin(async move {
            activity.unblocked().await;
            let wait = PeerWait::new(&activity);
            let mut request = request.map(|body| Body::new(RequestBody { body, wait }));
            request.extensions_mut().insert(ConnectInfo(peer));
            let response = router.call(request).await?;
            Ok(response.map(|body| ResponseBody::new(body, &activity, open)))
        })
    }
}

/// The body of a request. It waits for the peer while a handler asks for bytes that have not come.
struct RequestBody<B> {
    body: B,
    wait: PeerWait,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.wait.set(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. It waits for the peer while the connection does not ask for its next piece.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    /// What the body has given and the connection has not taken.
    rest: Bytes,
    held: HeldBytes,
    wait: PeerWait,
    _open: OpenRequest,
}

impl ResponseBody {
    fn new(body: Body, activity: &Arc<Activity>, open: OpenRequest) -> Self {
        let mut wait = PeerWait::new(activity);
        wait.set(!body.is_end_stream());
        let held = HeldBytes::new(activity);
        Self { body, rest: Bytes::new(), held, wait, _open: open }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.wait.set(false);
        self.wait.activity().record_taken();
        if self.rest.is_empty() {
            self.held.set(0);
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => {
                    self.held.set(data.len());
                    self.rest = data;
                }
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.wait.set(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
