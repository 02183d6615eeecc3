//! The one body type of the crate, for requests and for responses.
//!
//! A body may carry guards (permits, gauges): they are dropped when the body ends, fails or is
//! dropped, so what is counted per request is counted until its last byte. Nothing here buffers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::bell::Quiet;

/// Any error that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection that the body came from failed.
    #[error("the peer's body could not be read")]
    Incoming(#[from] hyper::Error),
    /// It is longer than allowed.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A producer inside this process failed.
    #[error("the body's producer failed")]
    Producer(#[source] BoxError),
}

impl From<std::convert::Infallible> for BodyError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

pin_project! {
    /// A request or response body.
    pub struct Body {
        #[pin]
        kind: Kind,
        guard: Option<Box<dyn Send>>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind {
        Empty,
        Full { bytes: Option<Bytes> },
        Incoming { #[pin] body: Incoming },
        Boxed { #[pin] body: Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>> },
    }
}

impl Body {
    /// A body without a byte.
    pub const fn empty() -> Self {
        Self {
            kind: Kind::Empty,
            guard: None,
        }
    }

    /// A body of known bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let kind = if bytes.is_empty() {
            Kind::Empty
        } else {
            Kind::Full { bytes: Some(bytes) }
        };
        Self { kind, guard: None }
    }

    /// Any other body. Its errors are kept as the `source` of [`BodyError::Producer`].
    pub fn wrap<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::boxed(body.map_err(|error| BodyError::Producer(error.into())))
    }

    /// Any other body whose errors already are [`BodyError`]s.
    pub fn boxed<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self {
            kind: Kind::Boxed {
                body: Box::pin(body),
            },
            guard: None,
        }
    }

    /// A body of unknown length from a stream of chunks.
    pub fn from_stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::from_frames(stream.map_ok(Frame::data))
    }

    /// A body of unknown length from a stream of frames, trailers among them.
    pub fn from_frames<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Frame<Bytes>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::boxed(StreamBody::new(
            stream.map_err(|error| BodyError::Producer(error.into())),
        ))
    }

    /// Its bytes, if all of them are here already; else the body again. What it guards is let go.
    ///
    /// # Errors
    /// The body itself, where it is still to come.
    pub fn into_whole(self) -> Result<Bytes, Self> {
        match self.kind {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Full { bytes } => Ok(bytes.unwrap_or_default()),
            _ => Err(self),
        }
    }

    /// Keeps `guard` until the body has ended, failed or been dropped. Guards add up; the latest is
    /// dropped first.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Send + 'static) -> Self {
        self.guard = Some(match self.guard.take() {
            None => Box::new(guard),
            Some(earlier) => Box::new((guard, earlier)),
        });
        self
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        let frame = match this.kind.as_mut().project() {
            KindProj::Empty => None,
            KindProj::Full { bytes } => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            KindProj::Incoming { mut body } => {
                let quiet = Quiet::begin();
                let frame = body.as_mut().poll_frame(cx);
                // Behind the last byte of a body of known length nothing comes that its connection would be driven for.
                if !body.is_end_stream() {
                    quiet.end_aloud();
                }
                ready!(frame).map(|frame| frame.map_err(BodyError::Incoming))
            }
            KindProj::Boxed { body } => ready!(body.poll_frame(cx)),
        };
        if !matches!(frame, Some(Ok(_))) {
            // Released here, not at the drop: some callers keep an ended body for a while.
            *this.guard = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full { bytes } => bytes.is_none(),
            Kind::Incoming { body } => body.is_end_stream(),
            Kind::Boxed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Incoming { body } => body.size_hint(),
            Kind::Boxed { body } => body.size_hint(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the content: bodies hold what users wrote.
        let kind = match self.kind {
            Kind::Empty => "Empty",
            Kind::Full { .. } => "Full",
            Kind::Incoming { .. } => "Incoming",
            Kind::Boxed { .. } => "Boxed",
        };
        f.debug_struct("Body")
            .field("kind", &kind)
            .field("guarded", &self.guard.is_some())
            .finish()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::full(bytes)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        Self {
            kind: Kind::Incoming { body },
            guard: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;
    use http::HeaderMap;

    use super::*;

    fn trailers() -> HeaderMap {
        HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("x"))])
    }

    /// A body whose every answer is telling.
    struct Telling(u8);

    impl HttpBody for Telling {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            self.0 += 1;
            Poll::Ready(match self.0 {
                1 => Some(Ok(Frame::data(Bytes::from_static(b"abc")))),
                2 => Some(Ok(Frame::trailers(trailers()))),
                _ => None,
            })
        }

        fn is_end_stream(&self) -> bool {
            self.0 >= 2
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(if self.0 == 0 { 3 } else { 0 })
        }
    }

    #[tokio::test]
    async fn a_wrapped_body_forwards_length_end_and_trailers() {
        let mut body = Body::wrap(Telling(0)).with_guard(());
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, "abc");
        assert_eq!(body.size_hint().exact(), Some(0));
        assert_eq!(
            body.frame()
                .await
                .unwrap()
                .unwrap()
                .into_trailers()
                .unwrap(),
            trailers()
        );
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn known_bodies_know_their_length_and_end() {
        let mut body = Body::full("hello");
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        body.frame().await.unwrap().unwrap();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.frame().await.is_none());
        assert!(Body::empty().is_end_stream());
        assert!(Body::full("").is_end_stream());
        assert_eq!(Body::default().size_hint().exact(), Some(0));
    }

    #[tokio::test]
    async fn guards_live_until_the_end_of_the_body() {
        let (first, second) = (Arc::new(()), Arc::new(()));
        let chunks = stream::iter([Ok::<_, BoxError>(Bytes::from_static(b"a"))]);
        let mut body = Body::from_stream(chunks)
            .with_guard(first.clone())
            .with_guard(second.clone());
        body.frame().await.unwrap().unwrap();
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&second)),
            (2, 2)
        );
        assert!(body.frame().await.is_none());
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&second)),
            (1, 1)
        );
    }

    #[tokio::test]
    async fn guards_are_released_by_an_error_and_by_a_drop() {
        let guard = Arc::new(());
        let fails = stream::iter([Err::<Bytes, BoxError>("broken".into())]);
        let mut body = Body::from_stream(fails).with_guard(guard.clone());
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(&error, BodyError::Producer(source) if source.to_string() == "broken"));
        assert_eq!(Arc::strong_count(&guard), 1);

        drop(Body::full("unread").with_guard(guard.clone()));
        assert_eq!(Arc::strong_count(&guard), 1);
    }

    #[test]
    fn debug_hides_the_content() {
        assert!(!format!("{:?}", Body::full("secret")).contains("secret"));
    }
}
