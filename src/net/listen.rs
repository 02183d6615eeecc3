//! The accept loop: HTTP/1.1 and HTTP/2 on one socket, bounded in connections, headers and time, and
//! drained on shutdown.
//!
//! It knows nothing of requests: limits on those, and what is answered, are the service's.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::heads::{Calls, Heads};
use super::share::Share;
use super::tls::ServerTls;
use crate::wire::BoxError;
use crate::wire::bell::Bell;

/// First wait after a failed accept. The usual cause is a lack of file descriptors, and without a wait
/// the loop would spin until one is free.
const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(10);

/// Longest wait after a failed accept.
const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// What an HTTP/2 client sends first.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bounds of a listener.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Connections served at once, at least 1; more wait in the system's backlog, unaccepted.
    pub max_connections: usize,
    /// Longest a client may take for its first byte or for a request's head. It also ends an HTTP/1.1
    /// connection that was left idle for as long.
    pub header_read_timeout: Duration,
    /// Longest a TLS handshake may take.
    pub tls_handshake_timeout: Duration,
    /// Largest request head, and most of a body read ahead, in bytes, for HTTP/1.1. At least 8192;
    /// every connection starts with two buffers of that size and grows only when it needs to.
    pub http1_max_buf_bytes: usize,
    /// Most headers in an HTTP/1.1 request.
    pub http1_max_headers: usize,
    /// Requests at once on one HTTP/2 connection.
    pub http2_max_streams: u32,
    /// Largest request head for HTTP/2, in bytes.
    pub http2_max_header_bytes: u32,
    /// Most of a response held for one HTTP/2 stream whose client does not read, in bytes.
    pub http2_max_send_bytes: usize,
    /// How often an HTTP/2 connection is probed; it is closed when no answer comes for as long again.
    pub http2_keep_alive: Duration,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            // A stream costs a few tens of KiB, so this is some hundreds of MiB at worst.
            max_connections: 10_000,
            header_read_timeout: Duration::from_secs(30),
            tls_handshake_timeout: Duration::from_secs(10),
            // Room for large cookies and tokens. And for a body of 64 KiB with its head: one read more for each of those
            // costs more than all that is done with it here.
            http1_max_buf_bytes: 128 * 1024,
            http1_max_headers: 100,
            http2_max_streams: 200,
            http2_max_header_bytes: 64 * 1024,
            http2_max_send_bytes: 64 * 1024,
            http2_keep_alive: Duration::from_secs(30),
        }
    }
}

/// Who is on the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client's address, or its last proxy's.
    pub remote: SocketAddr,
    /// Our address, if the system tells.
    pub local: Option<SocketAddr>,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Connections that had not finished when the drain was over and were cut.
    pub aborted: usize,
}

/// What answers the requests of a connection: every tower service that hyper can serve from another thread.
pub trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<<Self as HttpService>::Body>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of an answer.
    type Body: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Body = B;
}

/// Serves connections until `shutdown`. Then it closes the socket, asks every connection to finish
/// (HTTP/1.1: after the running answer; HTTP/2: GOAWAY), waits up to `drain`, and cuts the rest.
///
/// `make_service` is called once per connection. Dropping the returned future cuts all connections.
pub async fn serve<M, S>(
    listener: TcpListener,
    tls: Option<ServerTls>,
    options: ListenOptions,
    mut make_service: M,
    shutdown: CancellationToken,
    drain: Duration,
) -> Served
where
    M: FnMut(Peer) -> S,
    S: HttpService,
{
    let permits = Arc::new(Semaphore::new(
        options.max_connections.clamp(1, Semaphore::MAX_PERMITS),
    ));
    let setup = Arc::new(Setup {
        auto: auto_builder(&options),
        http1: http1_builder(&options),
        tls,
        options,
        finish: Finish::default(),
    });
    let mut connections = JoinSet::new();
    let accepting = async {
        let mut backoff = ACCEPT_BACKOFF_MIN;
        loop {
            // The permit first: a connection that cannot be served yet stays in the backlog.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            let (stream, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if of_one_connection(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, wait_ms = backoff.as_millis(), "cannot accept");
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
                    continue;
                }
            };
            backoff = ACCEPT_BACKOFF_MIN;
            // Frees what finished connections left in the set.
            while connections.try_join_next().is_some() {}
            // Small frames must go out at once: an event waits for no acknowledgement.
            let _ = stream.set_nodelay(true);
            let peer = Peer {
                remote,
                local: stream.local_addr().ok(),
                tls: setup.tls.is_some(),
            };
            let service = make_service(peer);
            connections.spawn(Arc::clone(&setup).connection(stream, service, permit));
        }
    };
    shutdown.run_until_cancelled(accepting).await;

    drop(listener);
    setup.finish.begin();
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(drain, all).await.is_ok() {
        return Served { aborted: 0 };
    }
    while connections.try_join_next().is_some() {}
    let aborted = connections.len();
    connections.shutdown().await;
    tracing::info!(aborted, "connections cut at the end of the drain");
    Served { aborted }
}

/// Whether accepting failed because of the one connection that was to be accepted.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// The least that hyper takes as a bound of its buffers; it panics below.
const MIN_BUF_BYTES: usize = 8192;

fn http1_builder(options: &ListenOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // There is a timer beside the connection.
        .header_read_timeout(None)
        .max_buf_size(options.http1_max_buf_bytes.max(MIN_BUF_BYTES))
        .max_headers(options.http1_max_headers);
    builder
}

fn auto_builder(options: &ListenOptions) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(options.http1_max_buf_bytes.max(MIN_BUF_BYTES))
        .max_headers(options.http1_max_headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.http2_max_streams)
        .max_header_list_size(options.http2_max_header_bytes)
        .max_send_buf_size(options.http2_max_send_bytes)
        .keep_alive_interval(options.http2_keep_alive)
        .keep_alive_timeout(options.http2_keep_alive);
    builder
}

/// What all connections of a listener share.
struct Setup {
    /// For connections whose version is not known yet.
    auto: auto::Builder<TokioExecutor>,
    /// For those that are known to be HTTP/1: most, and each open stream is one. Finding the version out costs a second
    /// buffer, and a connection that may be either has room for both.
    http1: http1::Builder,
    tls: Option<ServerTls>,
    options: ListenOptions,
    /// It stands for "finish", while dropping the set of connections stands for "stop".
    finish: Finish,
}

impl Setup {
    async fn connection<S>(
        self: Arc<Self>,
        stream: TcpStream,
        service: S,
        permit: OwnedSemaphorePermit,
    ) where
        S: HttpService,
    {
        let _permit = permit;
        // Boxed where it is not the plain HTTP/1 that most connections are: each costs what it needs itself.
        if self.tls.is_some() {
            return Box::pin(self.secured(stream, service)).await;
        }
        let looking = self.is_http1(&stream);
        let known = self.finish.token.run_until_cancelled(looking).await;
        match known.flatten() {
            Some(true) => self.http1(stream, service).await,
            Some(false) => Box::pin(self.either(stream, service)).await,
            None => {}
        }
    }

    async fn secured<S>(&self, stream: TcpStream, service: S)
    where
        S: HttpService,
    {
        let Some(tls) = &self.tls else { return };
        let handshake = timeout(
            self.options.tls_handshake_timeout,
            tls.acceptor().accept(stream),
        );
        match self.finish.token.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => match stream.get_ref().1.alpn_protocol() {
                Some(b"http/1.1") => self.http1(Box::new(stream), service).await,
                _ => self.either(Box::new(stream), service).await,
            },
            Some(Ok(Err(error))) => tracing::debug!(%error, "TLS handshake failed"),
            Some(Err(_)) => tracing::debug!("TLS handshake timed out"),
            None => {}
        }
    }

    /// Looks at the first bytes of a plain connection and leaves them where they are. None if none come in time.
    async fn is_http1(&self, stream: &TcpStream) -> Option<bool> {
        // Where the preface of HTTP/2 parts from every method of HTTP/1 (`POST`, `PUT`, `PATCH`).
        let mut first = [0; 2];
        match timeout(self.options.header_read_timeout, stream.peek(&mut first)).await {
            Ok(Ok(0) | Err(_)) | Err(_) => None,
            Ok(Ok(seen)) => Some(!HTTP2_PREFACE.starts_with(&first[..seen])),
        }
    }

    /// Serves HTTP/1.
    async fn http1<I, S>(&self, io: I, service: S)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: HttpService,
    {
        let calls = Calls::default();
        let share = Share::new(service, calls.clone());
        let mut heads = pin!(Heads::new(calls, self.options.header_read_timeout));
        let served = pin!(self.http1.serve_connection(TokioIo::new(io), share));
        // Not for HTTP/2, where what is read of one body is room for others on its connection.
        let bell = Arc::new(Bell::default());
        let rings = Waker::from(Arc::clone(&bell));
        let serve = self.finish.serve(served, |connection, cx| {
            bell.wakes(cx.waker());
            let served = connection.poll(&mut Context::from_waker(&rings));
            if served.is_pending() && heads.as_mut().poll_late(cx).is_ready() {
                return Poll::Ready(Err("no head of a request came in time".into()));
            }
            served.map_err(Into::into)
        });
        serve.await;
    }

    /// Serves whichever version the client speaks.
    async fn either<I, S>(&self, io: I, service: S)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: HttpService,
    {
        let io = TokioIo::new(FirstBytes::new(io, self.options.header_read_timeout));
        let share = Share::new(service, Calls::default());
        let served = pin!(self.auto.serve_connection(io, share));
        // hyper has a timer for the heads of HTTP/1, and HTTP/2 is probed.
        let serve = self.finish.serve(served, |connection, cx| {
            connection.poll(cx).map_err(Into::into)
        });
        serve.await;
    }
}

/// The end of a listener, as its connections learn of it.
#[derive(Default)]
struct Finish {
    /// What wakes them.
    token: CancellationToken,
    /// What they look at whenever they are woken, which is several times for each request: the token has a lock.
    begun: AtomicBool,
}

impl Finish {
    fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Serves to the end of the connection, or to the end of the running answers once the listener is to finish. `turn` is
    /// how the connection is driven.
    async fn serve<C>(
        &self,
        mut connection: Pin<&mut C>,
        mut turn: impl FnMut(Pin<&mut C>, &mut Context<'_>) -> Poll<Result<(), BoxError>>,
    ) where
        C: GracefulConnection,
    {
        let mut woken = pin!(self.token.cancelled());
        let (mut listens, mut asked) = (false, false);
        let result = poll_fn(|cx| {
            if !listens {
                // Once is enough: it wakes this task, whose waker stays what it is.
                listens = true;
                let _ = woken.as_mut().poll(cx);
            }
            if !asked && self.begun.load(Ordering::Acquire) {
                asked = true;
                connection.as_mut().graceful_shutdown();
            }
            turn(connection.as_mut(), cx)
        });
        if let Err(error) = result.await {
            // Clients hang up and scanners babble: nothing an operator could act on.
            tracing::debug!(
                error = &*error as &dyn std::error::Error,
                "connection ended with an error"
            );
        }
    }
}

/// Bounds the time until the version of the protocol is known. hyper's own timeout begins only behind
/// that, so without this a client that sends nothing, or half of HTTP/2's preface, would stay for ever.
struct FirstBytes<I> {
    io: I,
    seen: usize,
    // `None` once the version is known.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<I> FirstBytes<I> {
    fn new(io: I, within: Duration) -> Self {
        Self {
            io,
            seen: 0,
            deadline: Some(Box::pin(sleep(within))),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for FirstBytes<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let Some(deadline) = &mut this.deadline else {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        };
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Pending => {
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(result) => {
                let fresh = &buf.filled()[before..];
                let expected = &HTTP2_PREFACE[this.seen..];
                this.seen += fresh.len();
                if !expected.starts_with(fresh) || fresh.len() == expected.len() {
                    this.deadline = None;
                }
                Poll::Ready(result)
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for FirstBytes<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
