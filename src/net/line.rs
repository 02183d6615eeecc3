//! A connection to a worker that has no task of its own: whoever waits for something from it drives it meanwhile.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::wire::Body;
use crate::wire::bell::{Bell, Quiet};

pub(super) type Io = TokioIo<TcpStream>;

/// A connection and the way to put a request on it.
pub(super) struct Line {
    send: SendRequest<Body>,
    /// None once it is over. Dropped then, since what still waits to be sent on it learns of its end by that.
    connection: Option<Connection<Io, Body>>,
    /// What a request on it says in `Host`, unless it says something itself.
    pub(super) host: HeaderValue,
    bell: Arc<Bell>,
    /// Of the bell.
    waker: Waker,
}

impl Line {
    pub(super) fn new(
        send: SendRequest<Body>,
        connection: Connection<Io, Body>,
        host: HeaderValue,
    ) -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            send,
            connection: Some(connection),
            host,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        }
    }

    /// Puts a request on it. The answer comes while it is driven, with [`until`](Self::until).
    pub(super) fn send(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>> + use<> {
        let answer = self.send.try_send_request(request);
        self.bell.note();
        answer
    }

    /// Asks for what the connection brings, behind driving the connection if something has happened to it since it was
    /// last driven. While it is not there the task is woken by whatever happens next.
    pub(super) fn until<T>(
        &mut self,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Before the look: what rings behind it wakes the task.
        self.bell.wakes(cx.waker());
        if self.bell.take_rung() {
            self.drive();
        }
        if self.connection.is_none() {
            return ask(cx);
        }
        // What is asked for comes by nothing but driving the connection, so it need not wake anybody; nor need what the
        // asking itself rings for, while it gets something: it will be asked again.
        let quiet = Quiet::begin();
        let found = ask(&mut Context::from_waker(Waker::noop()));
        drop(quiet);
        if found.is_pending() && self.bell.has_rung() {
            cx.waker().wake_by_ref();
        }
        found
    }

    fn drive(&mut self) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection)
                .poll(&mut Context::from_waker(&self.waker))
                .is_ready()
        {
            self.connection = None;
        }
    }

    /// Drives it once more when an answer has come to its end; whether it takes another request. From here on it wakes
    /// nobody.
    pub(super) fn rest(&mut self) -> bool {
        self.drive();
        self.bell.wakes_nobody();
        self.is_usable()
    }

    /// Whether it takes a request, as far as was noticed when it was last driven.
    pub(super) fn is_usable(&self) -> bool {
        self.connection.is_some() && self.send.is_ready()
    }
}
