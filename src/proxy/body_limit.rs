//! The body-limit layer: no request's body is longer than the bound, whoever reads it below. Whoever meets the end of the
//! bound says so in the words of the requester: bodies that nobody reads are no fault.

use std::task::{Context, Poll};

use http::Request;
use http_body::Body as _;
use tower::{Layer, Service};

use crate::wire::grpc::{PREFIX, is_grpc};
use crate::wire::{Body, Bounded};

/// Makes [`BodyLimit`] services.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimitLayer {
    max_bytes: usize,
}

impl BodyLimitLayer {
    /// Bodies may have this many bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes }
    }
}

impl<S> Layer<S> for BodyLimitLayer {
    type Service = BodyLimit<S>;

    fn layer(&self, inner: S) -> BodyLimit<S> {
        BodyLimit {
            inner,
            max_bytes: self.max_bytes,
        }
    }
}

/// Bounds bodies.
#[derive(Clone, Debug)]
pub struct BodyLimit<S> {
    inner: S,
    max_bytes: usize,
}

impl<S> Service<Request<Body>> for BodyLimit<S>
where
    S: Service<Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        // One whose length is told is held to it by HTTP itself, and costs nothing here.
        let told = request.body().size_hint().exact();
        if told.is_none_or(|length| length > self.max_bytes as u64) {
            let body = std::mem::take(request.body_mut());
            let mut body = Bounded::new(body, self.max_bytes);
            if is_grpc(request.headers()) {
                // The bound is on the message, which has something before it.
                body = body.and_room_for(PREFIX);
            }
            *request.body_mut() = Body::boxed(body);
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BodyError, collect};
    use bytes::Bytes;
    use futures_util::stream;
    use std::convert::Infallible;
    use tower::{ServiceExt as _, service_fn};

    const LIMIT: usize = 8;

    /// What is read of a body of this type behind the layer.
    async fn read(kind: &str, body: Body) -> Result<Bytes, BodyError> {
        let service =
            BodyLimitLayer::new(LIMIT).layer(service_fn(|request: Request<Body>| async {
                Ok::<_, Infallible>(collect(request.into_body(), usize::MAX).await)
            }));
        let request = Request::post("/").header(http::header::CONTENT_TYPE, kind);
        service.oneshot(request.body(body).unwrap()).await.unwrap()
    }

    fn streamed(length: usize) -> Body {
        let bytes = (0..length).map(|_| Ok::<_, Infallible>(Bytes::from_static(b"x")));
        Body::from_stream(stream::iter(bytes.collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn the_bound_holds_to_the_byte_whether_the_length_is_told_or_not() {
        for body in [Body::full("xxxxxxxx"), streamed(LIMIT)] {
            assert_eq!(read("text/plain", body).await.unwrap(), "xxxxxxxx");
        }
        for body in [Body::full("xxxxxxxxx"), streamed(LIMIT + 1)] {
            let error = read("text/plain", body).await.unwrap_err();
            assert!(
                matches!(error, BodyError::TooLarge { limit: LIMIT }),
                "{error:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_message_of_grpc_has_room_for_what_stands_before_it() {
        let kind = "application/grpc";
        assert!(read(kind, streamed(LIMIT + PREFIX)).await.is_ok());
        let error = read(kind, streamed(LIMIT + PREFIX + 1)).await.unwrap_err();
        assert!(
            matches!(error, BodyError::TooLarge { limit: LIMIT }),
            "the bound as it was given, not {error:?}"
        );
    }
}
