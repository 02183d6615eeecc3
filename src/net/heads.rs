//! Bounds how long an HTTP/1 connection waits for a request's head: for the first, and for the next behind each answer.
//!
//! hyper can do that as well, with a timer that it makes anew for each request; those of all connections lie in one place,
//! behind a lock. Here a connection has one timer, which is set again only when it has gone off.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

/// The calls of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    /// Those that have begun. Each that has not ended holds a reference.
    begun: Arc<AtomicUsize>,
}

/// One that has not ended.
#[derive(Debug)]
pub(super) struct OpenCall {
    _held: Arc<AtomicUsize>,
}

impl Calls {
    pub(super) fn begin(&self) -> OpenCall {
        self.begun.fetch_add(1, Ordering::Relaxed);
        OpenCall {
            _held: Arc::clone(&self.begun),
        }
    }
}

pin_project! {
    /// The body of an answer, whose end is the end of a call.
    #[derive(Debug)]
    pub(super) struct CallBody<B> {
        #[pin]
        body: B,
        call: Option<OpenCall>,
    }
}

impl<B> CallBody<B> {
    pub(super) fn new(body: B, call: Option<OpenCall>) -> Self {
        Self { body, call }
    }

    #[cfg(test)]
    pub(super) fn into_inner(self) -> B {
        self.body
    }
}

impl<B: HttpBody> HttpBody for CallBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// The wait for heads on one connection.
    pub(super) struct Heads {
        calls: Calls,
        // References while no call is open: this one, and whoever counts.
        resting: usize,
        within: Duration,
        // When the connection began to wait, behind so many calls.
        since: Instant,
        seen: usize,
        #[pin]
        timer: Sleep,
        set: bool,
    }
}

impl Heads {
    /// Begins to wait for the first. `calls` has been given to whoever counts them.
    pub(super) fn new(calls: Calls, within: Duration) -> Self {
        Self {
            resting: Arc::strong_count(&calls.begun),
            calls,
            within,
            since: Instant::now(),
            seen: 0,
            timer: sleep(within),
            set: false,
        }
    }

    /// Ready when a head has been waited for too long. Asked whenever the connection has been served, in the same task.
    pub(super) fn poll_late(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if Arc::strong_count(&this.calls.begun) > *this.resting {
            // When the answer has ended, its connection is served again.
            return Poll::Pending;
        }
        let begun = this.calls.begun.load(Ordering::Relaxed);
        if begun != *this.seen {
            *this.seen = begun;
            *this.since = Instant::now();
        }
        if *this.set && !this.timer.is_elapsed() {
            // The task's waker stays what it was when the timer was set.
            return Poll::Pending;
        }
        *this.set = true;
        let deadline = *this.since + *this.within;
        if this.timer.deadline() != deadline {
            this.timer.as_mut().reset(deadline);
        }
        ready!(this.timer.poll(cx));
        Poll::Ready(())
    }
}
