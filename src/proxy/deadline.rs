//! The deadline layer: a call over gRPC that says how long its client waits (`grpc-timeout`) is answered by then, if only
//! to say that the time is over. What it began at the worker goes on.
//!
//! Looks at calls of the protocol over gRPC alone. The time counts from when the request has been read; it is as long as
//! the client says, and no longer than the answer takes in any case.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::{Layer, Service};

use super::call::{Call, Classified};
use super::error::Error;
use super::note::Note;
use crate::a2a::{Binding, Dialect};
use crate::wire::{Body, BodyError, grpc};

/// Makes [`Deadline`] services.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner }
    }
}

/// Ends calls over gRPC when their time is over.
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
}

impl<S> Service<Classified> for Deadline<S>
where
    S: Service<Classified, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Classified) -> Self::Future {
        let limit = match &request.call {
            Call::A2a(call) if call.dialect.binding == Binding::Grpc => {
                grpc::timeout(&request.parts.headers).map(|timeout| Limit {
                    over: Box::pin(sleep(timeout)),
                    dialect: call.dialect,
                    note: request.note.clone(),
                })
            }
            _ => None,
        };
        ResponseFuture {
            future: self.inner.call(request),
            limit,
        }
    }
}

/// When the time of a call is over, and where that is noted.
struct Limit {
    /// Boxed: few calls have one.
    over: Pin<Box<Sleep>>,
    dialect: Dialect,
    note: Note,
}

pin_project! {
    /// The answer, or that its time is over.
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        limit: Option<Limit>,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.future.poll(cx) {
            let limit = this.limit.take();
            return Poll::Ready(answer.map(|response| match limit {
                Some(limit) => response.map(|body| limited(body, limit)),
                None => response,
            }));
        }
        let Some(limit) = this.limit else {
            return Poll::Pending;
        };
        limit.over.as_mut().poll(cx).map(|()| Err(Error::Deadline))
    }
}

fn limited(body: Body, limit: Limit) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::boxed(Limited {
        body: Some(body),
        limit,
    })
}

/// A body that ends when its time is over. Its frames are whole messages, so that it can end between any two.
struct Limited {
    /// None once the time is over.
    body: Option<Body>,
    limit: Limit,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if self.limit.over.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Whatever it holds is let go before the requester is told.
        self.body = None;
        let limit = &self.limit;
        limit
            .note
            .failed(Error::Deadline.failure(Some(limit.dialect)));
        let trailers = Error::Deadline.to_grpc_status().trailers();
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        // It may end before its time.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    use super::*;
    use crate::a2a::Version;

    const TIME: Duration = Duration::from_secs(3);

    fn limit() -> Limit {
        Limit {
            over: Box::pin(sleep(TIME)),
            dialect: Dialect::grpc(Version::V1_0),
            note: Note::default(),
        }
    }

    fn answer<F>(future: F) -> ResponseFuture<F>
    where
        F: Future<Output = Result<Response<Body>, Error>>,
    {
        ResponseFuture {
            future,
            limit: Some(limit()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_the_end_of_the_call_on_time() {
        let began = Instant::now();
        let ended = answer(std::future::pending()).await;
        assert!(matches!(ended, Err(Error::Deadline)));
        assert_eq!(began.elapsed().as_secs(), TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_ends_on_time_behind_what_has_come() {
        let frames = stream::iter([Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"one")))]);
        let endless = stream::StreamExt::chain(frames, stream::pending());
        let ready = std::future::ready(Ok(Response::new(Body::from_frames(endless))));
        let mut body = answer(ready).await.unwrap().into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "one");
        let began = Instant::now();
        let end = body.frame().await.unwrap().unwrap();
        assert_eq!(began.elapsed().as_secs(), TIME.as_secs());
        assert_eq!(end.into_trailers().unwrap()["grpc-status"], "4");
        assert!(body.frame().await.is_none());
        assert!(body.is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_as_it_was() {
        let full = std::future::ready(Ok(Response::new(Body::full("whole"))));
        let body = answer(full).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
    }
}
