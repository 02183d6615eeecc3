//! The rescue layer: whatever went wrong below becomes an answer here, in the requester's own dialect where the request
//! was a call of the protocol, and in plain HTTP where it was not. Above it nothing fails.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::call::{Call, Classified};
use super::error::Error;
use super::note::Note;
use crate::a2a::Operation;
use crate::sink::render::Renderer;
use crate::telemetry::event::StoreFailed;
use crate::wire::Body;

/// Makes [`Rescue`] services.
#[derive(Clone, Copy, Debug, Default)]
pub struct RescueLayer;

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner }
    }
}

/// Turns errors into answers.
#[derive(Clone, Debug)]
pub struct Rescue<S> {
    inner: S,
}

impl<S> Service<Classified> for Rescue<S>
where
    S: Service<Classified, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The services below are always ready; one that were not would say why in its answer.
        let _ = ready!(self.inner.poll_ready(cx));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Classified) -> Self::Future {
        let call = match &request.call {
            Call::A2a(call) => Some((call.renderer.clone(), call.operation)),
            Call::Card { .. }
            | Call::ExtendedCard
            | Call::Webhook { .. }
            | Call::Callback { .. }
            | Call::Other => None,
        };
        ResponseFuture {
            note: request.note.clone(),
            future: self.inner.call(request),
            call,
        }
    }
}

pin_project! {
    /// The answer.
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        call: Option<(Renderer, Operation)>,
        note: Note,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match ready!(this.future.poll(cx)) {
            Ok(response) => response,
            Err(error) => {
                log(&error);
                let dialect = this.call.as_ref().map(|(renderer, _)| renderer.dialect());
                this.note.failed(error.failure(dialect));
                match this.call {
                    Some((renderer, operation)) => error.to_rpc(renderer, *operation),
                    None => error.to_http(),
                }
            }
        };
        Poll::Ready(Ok(response))
    }
}

/// What the requester reads and what the log says are two texts: causes stay here.
fn log(error: &Error) {
    match error {
        Error::A2a(_)
        | Error::NoRoute
        | Error::BodyTooLarge { .. }
        | Error::Body
        | Error::Deadline => {
            tracing::debug!(%error, "a request was refused");
        }
        Error::Worker(cause) => {
            tracing::warn!(error = %chain(cause), "the worker failed");
        }
        Error::Store(cause) => {
            StoreFailed {
                operation: "call",
                kind: cause.name(),
                error: &chain(cause),
            }
            .emit();
        }
        Error::Overloaded | Error::Stopping => {}
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
