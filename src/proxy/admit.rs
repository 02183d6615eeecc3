//! The admit layer: so many requests at once, and no more. A permit is kept until the answer's body has ended: a stream
//! counts as long as it is open. What is too much is refused at once, since waiting in line would make it worse.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use super::error::Error;
use crate::telemetry::event::CallShed;
use crate::wire::Body;
use crate::wire::grpc::is_grpc;

/// Makes [`Admit`] services that share one limit.
#[derive(Clone, Debug)]
pub struct AdmitLayer {
    permits: Arc<Semaphore>,
}

impl AdmitLayer {
    /// At most this many requests at once.
    #[must_use]
    pub fn new(max_in_flight: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS))),
        }
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit {
            inner,
            permits: Arc::clone(&self.permits),
        }
    }
}

/// Lets a bounded number of requests in.
#[derive(Clone, Debug)]
pub struct Admit<S> {
    inner: S,
    permits: Arc<Semaphore>,
}

impl<S, E> Service<Request<Body>> for Admit<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = E>,
{
    type Response = Response<Body>;
    type Error = E;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => ResponseFuture {
                kind: Kind::Admitted {
                    future: self.inner.call(request),
                    permit: Some(permit),
                },
            },
            Err(_) => {
                CallShed.emit();
                ResponseFuture {
                    kind: Kind::Shed {
                        grpc: is_grpc(request.headers()),
                    },
                }
            }
        }
    }
}

pin_project! {
    /// The answer, with the permit in its body.
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<F> {
        Admitted { #[pin] future: F, permit: Option<OwnedSemaphorePermit> },
        Shed { grpc: bool },
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Admitted { future, permit } => {
                let response = ready!(future.poll(cx))?;
                let permit = permit.take();
                Poll::Ready(Ok(response.map(|body| body.with_guard(permit))))
            }
            KindProj::Shed { grpc: true } => Poll::Ready(Ok(Error::Overloaded.to_grpc())),
            KindProj::Shed { grpc: false } => Poll::Ready(Ok(Error::Overloaded.to_http())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use std::convert::Infallible;
    use tower::{ServiceExt, service_fn};

    #[tokio::test]
    async fn a_permit_is_held_until_the_body_has_gone() {
        let service = AdmitLayer::new(1).layer(service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::full("streaming")))
        }));
        let request = || Request::new(Body::empty());
        let first = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let second = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(second.headers().contains_key(http::header::RETRY_AFTER));
        let mut over_grpc = request();
        let kind = http::HeaderValue::from_static("application/grpc");
        over_grpc
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, kind);
        let refused = service.clone().oneshot(over_grpc).await.unwrap();
        assert_eq!(refused.status(), StatusCode::OK);
        assert_eq!(refused.headers()["grpc-status"], "14");
        assert_eq!(refused.headers()["content-type"], "application/grpc");
        assert_eq!(refused.headers()["x-a2a-sidecar-error"], "overloaded");
        drop(first);
        let third = service.oneshot(request()).await.unwrap();
        assert_eq!(third.status(), StatusCode::OK);
    }
}
