//! Keeps a requester's disconnect away from the worker: what is left of a dropped body is read to its
//! end in the background, so the worker sees a peer that listened to the last byte.
//!
//! It reads and throws away; who wants the frames observes them inside the wrapped body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest a dropped body is read on by default. A task may run for long, but a worker that never
/// ends its answer must not hold a connection for ever.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(3600);

/// Owns the background reads: it bounds each in time, can end them all and can wait for them.
/// Clones share them.
#[derive(Debug, Clone)]
pub struct Drainer {
    tasks: TaskTracker,
    stop: CancellationToken,
    limit: Duration,
}

impl Drainer {
    /// Background reads last at most `limit` each.
    pub fn new(limit: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            limit,
        }
    }

    /// Wraps a body so that dropping it before its end reads it to its end. Guards that the inner body
    /// carries are held until then: what it counts is still in use.
    pub fn wrap<B>(&self, body: B) -> DrainOnDrop<B>
    where
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
    {
        DrainOnDrop {
            body: Some(body),
            drainer: self.clone(),
        }
    }

    /// How many bodies are being read in the background.
    pub fn active(&self) -> usize {
        self.tasks.len()
    }

    /// Waits up to `grace` for the background reads, then ends the rest. Bodies dropped from now on
    /// are simply dropped. Returns how many were ended.
    pub async fn close(&self, grace: Duration) -> usize {
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_ok() {
            self.stop.cancel();
            return 0;
        }
        let cut = self.tasks.len();
        self.stop.cancel();
        self.tasks.wait().await;
        cut
    }
}

impl Default for Drainer {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

/// A body that is read to its end even when it is dropped before. Made by [`Drainer::wrap`].
#[derive(Debug)]
pub struct DrainOnDrop<B>
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
{
    // `None` once it has ended.
    body: Option<B>,
    drainer: Drainer,
}

impl<B> HttpBody for DrainOnDrop<B>
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B> Drop for DrainOnDrop<B>
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else {
            return;
        };
        if body.is_end_stream() || self.drainer.stop.is_cancelled() {
            return;
        }
        // Outside a runtime, as after its shutdown, there is nobody to read on.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let stop = self.drainer.stop.clone();
        let limit = self.drainer.limit;
        self.drainer.tasks.spawn_on(
            async move {
                let read = async { while let Some(Ok(_)) = body.frame().await {} };
                let read = timeout(limit, read);
                if let Some(Err(_)) = stop.run_until_cancelled(read).await {
                    tracing::debug!(limit_s = limit.as_secs(), "gave up reading a dropped body");
                }
            },
            &runtime,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::wire::body::{Body, BoxError};

    /// A body fed by hand; the receiver resolves when the body is dropped.
    fn source() -> (mpsc::Sender<Bytes>, Body, oneshot::Receiver<()>) {
        let (tx, rx) = mpsc::channel(1);
        let (gone, dropped) = oneshot::channel::<()>();
        let chunks = stream::unfold(rx, |mut rx| async {
            Some((Ok::<_, BoxError>(rx.recv().await?), rx))
        });
        (tx, Body::from_stream(chunks).with_guard(gone), dropped)
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_body_is_read_to_its_end() {
        let drainer = Drainer::default();
        let (tx, body, dropped) = source();
        let mut body = drainer.wrap(body);
        tx.send(Bytes::from_static(b"a")).await.unwrap();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(drainer.active(), 1);
        for _ in 0..10 {
            tx.send(Bytes::from_static(b"more")).await.unwrap();
        }
        drop(tx);
        assert!(dropped.await.is_err());
        assert_eq!(drainer.close(Duration::from_secs(1)).await, 0);
        assert_eq!(drainer.active(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_on_is_bounded_in_time() {
        let drainer = Drainer::new(Duration::from_secs(60));
        let (tx, body, dropped) = source();
        let start = tokio::time::Instant::now();
        drop(drainer.wrap(body));
        assert!(dropped.await.is_err());
        assert_eq!(start.elapsed().as_secs(), 60);
        assert!(tx.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_then_ends_what_is_left() {
        let drainer = Drainer::default();
        let (_tx, body, dropped) = source();
        drop(drainer.wrap(body));
        let start = tokio::time::Instant::now();
        assert_eq!(drainer.close(Duration::from_secs(5)).await, 1);
        assert_eq!(start.elapsed().as_secs(), 5);
        assert!(dropped.await.is_err());

        let (tx, body, _) = source();
        drop(drainer.wrap(body));
        assert!(tx.is_closed(), "a closed drainer takes nothing new");
        assert_eq!(drainer.active(), 0);
    }

    #[tokio::test]
    async fn an_ended_body_leaves_nothing_behind() {
        let drainer = Drainer::default();
        let mut body = drainer.wrap(Body::full("abc"));
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        body.frame().await.unwrap().unwrap();
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(drainer.active(), 0);
    }

    #[test]
    fn a_drop_outside_a_runtime_is_harmless() {
        let guard = Arc::new(());
        drop(Drainer::default().wrap(Body::full("abc").with_guard(guard.clone())));
        assert_eq!(Arc::strong_count(&guard), 1);
    }
}
