//! The trace layer: a span around each request, which everything names that is logged below, at whatever level.
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
    use std::convert::Infallible;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tower::{ServiceExt as _, service_fn};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is logged while a request is answered, at this level.
    fn logged(level: Level) -> String {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(lines.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
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
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_is_logged_below_names_the_request_and_the_operation_and_no_address() {
        let line = logged(Level::DEBUG);
        assert!(
            line.contains(r#"call{request_id="request-1" operation="GetTask"}"#),
            "{line}"
        );
        assert!(line.contains("below"), "{line}");
        assert!(!line.contains("s3cret"), "{line}");
    }

    #[test]
    fn without_spans_the_line_is_logged_all_the_same() {
        let line = logged(Level::INFO);
        assert!(line.contains("below") && !line.contains("call{"), "{line}");
    }
}
