//! Bodies that say something while there is nothing to say, so that no proxy or client on the way
//! takes a quiet answer for a dead one.
//!
//! Both lengthen what they wrap: a `Content-Length` taken from the inner body must not be sent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::body::{BodyError, BoxError};
use super::sse::{FrameBoundary, KEEP_ALIVE};

/// Shortest interval between two signs of life; a shorter one in a configuration would only burn CPU.
pub const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// White space before a JSON text means nothing (RFC 8259, section 2).
static JSON_KEEP_ALIVE: Bytes = Bytes::from_static(b" ");

/// UTF-8 byte order mark, which means "none" only at the very start of an event stream.
const BOM: &[u8] = b"\xEF\xBB\xBF";

pin_project! {
    /// The body of a JSON answer that is still being awaited: one space per interval, then the bytes.
    ///
    /// The status line is sent before the answer is known, so the answer must be one whose status
    /// does not depend on it (JSON-RPC). The first space comes only after a full interval.
    pub struct KeepAliveJson<F> {
        // `None` once it has answered.
        #[pin]
        answer: Option<F>,
        #[pin]
        timer: Sleep,
        interval: Duration,
    }
}

impl<F, E> KeepAliveJson<F>
where
    F: Future<Output = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    /// Wraps the future of the final bytes. `interval` is at least [`MIN_INTERVAL`].
    pub fn new(answer: F, interval: Duration) -> Self {
        let interval = interval.max(MIN_INTERVAL);
        Self {
            answer: Some(answer),
            timer: sleep_until(Instant::now() + interval),
            interval,
        }
    }
}

impl<F, E> HttpBody for KeepAliveJson<F>
where
    F: Future<Output = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        let Some(answer) = this.answer.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(result) = answer.poll(cx) {
            // Dropped now: what the future holds (a subscription, a permit) is over with its answer.
            this.answer.set(None);
            let frame = result
                .map(Frame::data)
                .map_err(|error| BodyError::Producer(error.into()));
            return Poll::Ready(Some(frame));
        }
        if this.timer.as_mut().poll(cx).is_ready() {
            this.timer.as_mut().reset(Instant::now() + *this.interval);
            return Poll::Ready(Some(Ok(Frame::data(JSON_KEEP_ALIVE.clone()))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.answer.is_none() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::default()
        }
    }
}

pin_project! {
    /// Passes an event stream through untouched, and puts a comment between two frames whenever nothing
    /// came for an interval. In the middle of a frame it stays silent: a comment there would be harmless
    /// to a parser, but its blank line would not.
    pub struct KeepAliveSse<B> {
        #[pin]
        inner: B,
        #[pin]
        timer: Sleep,
        interval: Duration,
        // When something last went out. The timer is moved only when it fires: moving it for every
        // frame would cost more than the frame.
        last: Instant,
        boundary: FrameBoundary,
        started: bool,
        spoke_first: bool,
    }
}

impl<B> KeepAliveSse<B> {
    /// Wraps an event-stream body. `interval` is at least [`MIN_INTERVAL`].
    pub fn new(inner: B, interval: Duration) -> Self {
        let interval = interval.max(MIN_INTERVAL);
        let last = Instant::now();
        Self {
            inner,
            timer: sleep_until(last + interval),
            interval,
            last,
            boundary: FrameBoundary::new(),
            started: false,
            spoke_first: false,
        }
    }
}

impl<B> HttpBody for KeepAliveSse<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        match this.inner.poll_frame(cx) {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(data) = frame.data_mut() {
                    if *this.spoke_first && !*this.started && data.starts_with(BOM) {
                        // Behind our comment it would be read as part of the first field's name.
                        data.advance(BOM.len());
                    }
                    *this.started = true;
                    this.boundary.feed(data);
                    *this.last = Instant::now();
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(end) => return Poll::Ready(end.map(|frame| frame.map_err(Into::into))),
        }
        while this.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let due = *this.last + *this.interval;
            if now < due {
                this.timer.as_mut().reset(due);
                continue;
            }
            this.timer.as_mut().reset(now + *this.interval);
            if this.boundary.at_boundary() {
                *this.last = now;
                *this.spoke_first |= !*this.started;
                return Poll::Ready(Some(Ok(Frame::data(KEEP_ALIVE.clone()))));
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Comments may come on top, so there is no upper bound and no exact length.
        let mut hint = SizeHint::default();
        hint.set_lower(self.inner.size_hint().lower());
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::{FutureExt, StreamExt, stream};
    use http::{HeaderMap, HeaderValue};
    use http_body_util::BodyExt;
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::wire::body::Body;

    const INTERVAL: Duration = Duration::from_secs(15);

    async fn data<B>(body: &mut B) -> Option<Bytes>
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Unpin,
    {
        // Paused time: an hour passes at once when nothing else can happen.
        let hour = Duration::from_secs(3600);
        let frame = tokio::time::timeout(hour, body.frame())
            .await
            .expect("nothing came")?;
        Some(frame.unwrap().into_data().unwrap())
    }

    fn source() -> (mpsc::Sender<&'static str>, Body) {
        let (tx, rx) = mpsc::channel(8);
        let chunks = stream::unfold(rx, |mut rx| async {
            let part: &'static str = rx.recv().await?;
            Some((Ok::<_, BoxError>(Bytes::from(part)), rx))
        });
        (tx, Body::from_stream(chunks))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_json_answer_is_led_by_one_space_per_interval() {
        let (tx, rx) = oneshot::channel::<Bytes>();
        let mut body = Box::pin(KeepAliveJson::new(rx, INTERVAL));
        let start = Instant::now();
        for n in 1..=3 {
            assert_eq!(data(&mut body).await.unwrap(), " ");
            assert_eq!(start.elapsed().as_secs(), 15 * n);
        }
        assert!(!body.is_end_stream());
        tx.send(Bytes::from_static(b"{}")).unwrap();
        assert_eq!(data(&mut body).await.unwrap(), "{}");
        assert_eq!(start.elapsed().as_secs(), 45);
        assert!(body.is_end_stream());
        assert!(data(&mut body).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_json_answer_is_only_itself() {
        let answer = async { Ok::<_, BoxError>(Bytes::from_static(b"[1]")) };
        let all = KeepAliveJson::new(answer, INTERVAL)
            .collect()
            .await
            .unwrap();
        assert_eq!(all.to_bytes(), "[1]");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_json_answer_holds_is_released_with_the_answer() {
        let held = Arc::new(());
        let inside = held.clone();
        let answer = async move {
            let _inside = &inside;
            Err::<Bytes, BoxError>("lost".into())
        };
        let mut body = Box::pin(KeepAliveJson::new(answer, INTERVAL));
        assert!(matches!(
            body.frame().await,
            Some(Err(BodyError::Producer(_)))
        ));
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_of_zero_does_not_spin() {
        let mut body = Box::pin(KeepAliveJson::new(
            std::future::pending::<Result<Bytes, BoxError>>(),
            Duration::ZERO,
        ));
        let start = Instant::now();
        data(&mut body).await.unwrap();
        assert_eq!(start.elapsed().as_millis(), MIN_INTERVAL.as_millis());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_stream_gets_a_comment_after_each_quiet_interval() {
        let (tx, inner) = source();
        let mut body = Box::pin(KeepAliveSse::new(inner, INTERVAL));
        let start = Instant::now();
        tx.send("data: 1\n\n").await.unwrap();
        assert_eq!(data(&mut body).await.unwrap(), "data: 1\n\n");
        tokio::time::advance(Duration::from_secs(10)).await;
        tx.send("data: 2\n\n").await.unwrap();
        assert_eq!(data(&mut body).await.unwrap(), "data: 2\n\n");
        // Ten seconds in, so the next comment is due at twenty-five, then at forty.
        assert_eq!(data(&mut body).await.unwrap(), KEEP_ALIVE);
        assert_eq!(start.elapsed().as_secs(), 25);
        assert_eq!(data(&mut body).await.unwrap(), KEEP_ALIVE);
        assert_eq!(start.elapsed().as_secs(), 40);
        drop(tx);
        assert!(data(&mut body).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn no_comment_comes_inside_a_frame() {
        let (tx, inner) = source();
        let mut body = Box::pin(KeepAliveSse::new(inner, INTERVAL));
        tx.send("data: half").await.unwrap();
        assert_eq!(data(&mut body).await.unwrap(), "data: half");
        let silent = tokio::time::timeout(INTERVAL * 10, data(&mut body)).await;
        assert!(silent.is_err(), "a comment was put inside a frame");
        tx.send(" line\n").await.unwrap();
        data(&mut body).await.unwrap();
        let silent = tokio::time::timeout(INTERVAL * 10, data(&mut body)).await;
        assert!(
            silent.is_err(),
            "a comment was put between the lines of a frame"
        );
        tx.send("\n").await.unwrap();
        data(&mut body).await.unwrap();
        assert_eq!(data(&mut body).await.unwrap(), KEEP_ALIVE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_order_mark_behind_our_comment_is_dropped() {
        let (tx, inner) = source();
        let mut body = Box::pin(KeepAliveSse::new(inner, INTERVAL));
        assert_eq!(data(&mut body).await.unwrap(), KEEP_ALIVE);
        tx.send("\u{feff}data: 1\n\n").await.unwrap();
        assert_eq!(data(&mut body).await.unwrap(), "data: 1\n\n");

        let (tx, inner) = source();
        let mut body = Box::pin(KeepAliveSse::new(inner, INTERVAL));
        tx.send("\u{feff}data: 1\n\n").await.unwrap();
        assert_eq!(data(&mut body).await.unwrap(), "\u{feff}data: 1\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn trailers_and_errors_pass_and_the_length_is_open() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))]);
        let sent = trailers.clone();
        let frames = stream::iter([Ok(Frame::trailers(sent)), Err::<_, BoxError>("cut".into())]);
        let inner = Body::wrap(http_body_util::StreamBody::new(frames.boxed()));
        let body = KeepAliveSse::new(inner, INTERVAL);
        assert_eq!(body.size_hint().upper(), None);
        let mut body = std::pin::pin!(body);
        let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(frame.into_trailers().unwrap(), trailers);
        assert!(matches!(
            body.frame().await,
            Some(Err(BodyError::Producer(_)))
        ));

        let known = KeepAliveSse::new(Body::full("data: 1\n\n"), INTERVAL);
        assert_eq!(
            (known.size_hint().lower(), known.size_hint().upper()),
            (9, None)
        );
        assert!(KeepAliveSse::new(Body::empty(), INTERVAL).is_end_stream());
    }
}
