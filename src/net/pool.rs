//! Plain HTTP/1.1 connections to workers: kept for the next request, and driven by whoever waits for the answer.
//!
//! A connection is hyper's, but it has no task of its own: the future of a request polls it until the answer's head has
//! come, and the answer's body from then on. So a request costs no change of tasks, which is about a sixth of what a
//! bare proxy takes for it, and a stream no task.

use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::client::legacy::connect::HttpConnector;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use super::apart;
use super::client::{AnswerFuture, BoundedConnector, TransportError};
use super::held::Held;
use super::line::{Io, Line};
use crate::wire::{Body, BodyError};

/// Unused connections and how to make more. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connector: BoundedConnector<HttpConnector>,
    idle_timeout: Duration,
    /// To each place.
    max_idle: usize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// A worker has one address, or a few: looking through them is faster than hashing one.
    places: Vec<(Authority, Vec<Unused>)>,
    /// Whether a task looks after those that nobody comes back for.
    watched: bool,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.places.iter().map(|(place, all)| (place, all.len()));
        f.debug_map().entries(counts).finish()
    }
}

struct Unused {
    line: Box<Line>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(
        connector: BoundedConnector<HttpConnector>,
        idle_timeout: Duration,
        max_idle: usize,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                connector,
                idle_timeout,
                max_idle,
                idle: Mutex::default(),
            }),
        }
    }

    /// A pool of its own with the same settings.
    pub(super) fn separate(&self) -> Self {
        let inner = &self.inner;
        Self::new(inner.connector.clone(), inner.idle_timeout, inner.max_idle)
    }

    /// Sends a request to an absolute address. One that a kept connection did not take, because the worker was about to
    /// close it, goes to the next; it is never written twice.
    pub(super) fn request(self, mut request: Request<Body>) -> AnswerFuture<Answer> {
        let uri = std::mem::take(request.uri_mut());
        let Some(place) = uri.authority().cloned() else {
            return Box::pin(ready(Err(TransportError::NoAuthority)));
        };
        *request.uri_mut() = origin_form(&uri);
        let to = Destination {
            pool: self,
            uri,
            place,
        };
        to.exchange(request)
    }

    async fn connect(&self, uri: &Uri, place: &Authority) -> Result<Box<Line>, TransportError> {
        let host = HeaderValue::from_str(authority_without_default_port(uri, place))
            .map_err(|_| TransportError::NoAuthority)?;
        let io = self.open(uri).await?;
        let (send, connection) = http1::handshake(io)
            .await
            .map_err(|error| TransportError::Connect(error.into()))?;
        Ok(Box::new(Line::new(send, connection, host)))
    }

    /// Sends a request whose answer is likely to be long: on a connection of its own, if it is small and whole.
    pub(super) async fn request_long(
        self,
        request: Request<Body>,
    ) -> Result<Response<Held>, TransportError> {
        let (parts, body) = request.into_parts();
        match body.into_whole() {
            Ok(bytes) if bytes.len() <= apart::MAX_BODY_BYTES => {
                let io = self.open(&parts.uri).await?;
                apart::exchange(io.into_inner(), Request::from_parts(parts, bytes)).await
            }
            body => {
                let request = Request::from_parts(parts, body.map_or_else(|body| body, Body::full));
                Ok(self.request(request).await?.map(Held::Body))
            }
        }
    }

    async fn open(&self, uri: &Uri) -> Result<Io, TransportError> {
        let mut connector = self.inner.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx))
            .await
            .map_err(TransportError::Connect)?;
        connector
            .call(uri.clone())
            .await
            .map_err(TransportError::Connect)
    }

    /// The connection that was used last, if any is still good.
    fn take(&self, place: &Authority) -> Option<Box<Line>> {
        let now = Instant::now();
        loop {
            let unused = {
                let mut idle = self.inner.lock();
                let (_, unused) = idle.places.iter_mut().find(|(known, _)| known == place)?;
                unused.pop()?
            };
            // Outside of the lock, for those that are closed here. The end of one that has gone by unnoticed shows when it
            // is driven with the request on it, which then has not left.
            if now.saturating_duration_since(unused.since) < self.inner.idle_timeout
                && unused.line.is_usable()
            {
                return Some(unused.line);
            }
        }
    }

    fn put(self, line: Box<Line>, place: Authority) {
        let unused = Unused {
            line,
            since: Instant::now(),
        };
        let watch = {
            let mut idle = self.inner.lock();
            let known = idle.places.iter_mut().find(|(known, _)| *known == place);
            match known {
                Some((_, all)) if all.len() < self.inner.max_idle => all.push(unused),
                Some(_) => return,
                None => idle.places.push((place, vec![unused])),
            }
            !std::mem::replace(&mut idle.watched, true)
        };
        if watch {
            tokio::spawn(close_unused(Arc::downgrade(&self.inner)));
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing is half-changed by a panic: connections are put in and taken out whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes those that have waited for too long; gives the time of the next. None when there are no more.
    fn close_old(&self) -> Option<Instant> {
        let now = Instant::now();
        // Closed outside of the lock.
        let mut old = Vec::new();
        let mut idle = self.lock();
        for (_, unused) in &mut idle.places {
            // The oldest are in front.
            let count = unused.partition_point(|one| now >= one.since + self.idle_timeout);
            old.extend(unused.drain(..count));
        }
        idle.places.retain(|(_, unused)| !unused.is_empty());
        let oldest = idle.places.iter().filter_map(|(_, unused)| unused.first());
        let next = oldest.map(|one| one.since + self.idle_timeout).min();
        idle.watched = next.is_some();
        next
    }
}

/// Closes connections that nobody has come back for, until there are none.
async fn close_unused(pool: Weak<Inner>) {
    loop {
        let Some(next) = pool.upgrade().and_then(|pool| pool.close_old()) else {
            return;
        };
        tokio::time::sleep_until(next).await;
    }
}

/// Where a request goes.
struct Destination {
    pool: Pool,
    uri: Uri,
    place: Authority,
}

impl Destination {
    fn exchange(self, request: Request<Body>) -> AnswerFuture<Answer> {
        match self.pool.take(&self.place) {
            Some(line) => Box::pin(exchange(line, request, self, true)),
            None => Box::pin(async move {
                let line = self.pool.connect(&self.uri, &self.place).await?;
                exchange(line, request, self, false).await
            }),
        }
    }
}

/// Puts a request on a connection.
fn exchange(
    mut line: Box<Line>,
    mut request: Request<Body>,
    to: Destination,
    reused: bool,
) -> impl Future<Output = Result<Response<Answer>, TransportError>> {
    request
        .headers_mut()
        .entry(HOST)
        .or_insert_with(|| line.host.clone());
    Exchange {
        answer: line.send(request),
        under_way: Some((line, to)),
        reused,
        again: None,
    }
}

pin_project! {
    /// A request under way. By hand, since one is made for each request, and a future of the compiler's has room for its
    /// arguments twice.
    struct Exchange<F> {
        #[pin]
        answer: F,
        under_way: Option<(Box<Line>, Destination)>,
        reused: bool,
        // The same on the next connection.
        again: Option<AnswerFuture<Answer>>,
    }
}

impl<F> Future for Exchange<F>
where
    F: Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>>,
{
    type Output = Result<Response<Answer>, TransportError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some((line, _)) = this.under_way {
            let answer = ready!(line.until(cx, |cx| this.answer.as_mut().poll(cx)));
            let under_way = this.under_way.take();
            match answer {
                Ok(response) => {
                    let place = under_way.map(|(line, to)| (line, to.place, to.pool));
                    let mut response = response.map(|body| Answer { body, place });
                    let body = response.body_mut();
                    if body.is_end_stream() {
                        body.release();
                    }
                    return Poll::Ready(Ok(response));
                }
                Err(mut error) => match (error.take_message(), under_way) {
                    // It has not left: the next connection may take it. A new one is the last that is tried.
                    (Some(unsent), Some((_, to))) if *this.reused => {
                        *this.again = Some(to.exchange(unsent));
                    }
                    _ => return Poll::Ready(Err(TransportError::Exchange(error.into_error()))),
                },
            }
        }
        match this.again {
            Some(again) => again.as_mut().poll(cx),
            // Not polled behind its end.
            None => Poll::Pending,
        }
    }
}

/// The path and query alone, as requests to a server have it (RFC 9112 §3.2.1).
pub(super) fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
        .into()
}

/// As `Host` has it: without a port that goes without saying.
pub(super) fn authority_without_default_port<'a>(uri: &Uri, place: &'a Authority) -> &'a str {
    let text = place.as_str();
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    match uri.port_u16() {
        Some(80) => text.rsplit_once(':').map_or(text, |(host, _)| host),
        _ => text,
    }
}

/// An answer's body. Read to its end, it gives its connection back; dropped before, it closes it.
pub struct Answer {
    body: Incoming,
    /// The connection and where it goes; none where it has a task of its own, or has been given back.
    place: Option<(Box<Line>, Authority, Pool)>,
}

impl Answer {
    /// One whose connection has a task of its own.
    pub(super) fn driven(body: Incoming) -> Self {
        Self { body, place: None }
    }

    fn release(&mut self) {
        // One that is over is closed here, and not kept.
        if let Some((mut line, place, pool)) = self.place.take()
            && line.rest()
        {
            pool.put(line, place);
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("own", &self.place.is_some())
            .finish_non_exhaustive()
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut body = Pin::new(&mut this.body);
        let frame = match &mut this.place {
            None => body.poll_frame(cx),
            Some((line, ..)) => line.until(cx, |cx| body.as_mut().poll_frame(cx)),
        };
        // A body of known length is not asked for more than its last byte.
        if matches!(&frame, Poll::Ready(None)) || this.body.is_end_stream() {
            this.release();
        }
        frame.map_err(BodyError::Incoming)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
