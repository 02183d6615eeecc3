//! The trace layer: a span around each request, which everything names that is logged below. It is there at the level
//! `debug`, and lines of text show it.
//!
//! It logs nothing itself: the record layer has one line for each finished call. tower-http's layer for it also wraps the
//! answer's body, which then has to be boxed once more, and names the address, in which tokens may stand.

use std::task::{Context, Poll};

use http::Request;
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, Level, Span};

use super::request_id::REQUEST_ID;
use crate::wire::Body;

/// Makes [`Trace`] services.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// Puts requests into spans.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let span = tracing::debug_span!(
            "call",
            request_id = request
                .headers()
                .get(REQUEST_ID)
                .and_then(|value| value.to_str().ok()),
            operation = Empty,
        );
        let entered = span.enter();
        let future = self.inner.call(request);
        drop(entered);
        future.instrument(span)
    }
}

/// Adds to the request's span what it turned out to be.
pub fn note_operation(name: &str) {
    // Most run without spans, and finding the one that there is not costs a look at the thread.
    if tracing::level_enabled!(Level::DEBUG) {
        Span::current().record("operation", name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::LogFormat;
    use crate::telemetry::told::logged;
    use std::convert::Infallible;
    use tower::{ServiceExt as _, service_fn};

    /// What is logged while a request is answered, from this level on.
    fn told(level: &str) -> String {
        logged(LogFormat::Text, level, || {
            let service = TraceLayer.layer(service_fn(|_: Request<Body>| {
                note_operation("GetTask");
                async {
                    tracing::info!("below");
                    Ok::<_, Infallible>(())
                }
            }));
            let mut request = Request::get("/tokens/s3cret").body(Body::empty()).unwrap();
            let id = http::HeaderValue::from_static("request-1");
            request.headers_mut().insert(REQUEST_ID, id);
            let _ = futures_util::FutureExt::now_or_never(service.oneshot(request)).unwrap();
        })
    }

    #[test]
    fn what_is_logged_below_names_the_request_and_the_operation_and_no_address() {
        let line = told("debug");
        assert!(
            line.contains(r#"call{request_id="request-1" operation="GetTask"}"#),
            "{line}"
        );
        assert!(line.contains("below"), "{line}");
        assert!(!line.contains("s3cret"), "{line}");
    }

    #[test]
    fn without_spans_the_line_is_logged_all_the_same() {
        let line = told("info");
        assert!(line.contains("below") && !line.contains("call{"), "{line}");
    }
}
