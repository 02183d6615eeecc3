//! The record layer: one wide line and the metrics for each finished call, when its answer's last byte has gone out or its
//! requester has gone.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::call::{Call, Classified};
use super::note::Note;
use super::request_id::REQUEST_ID;
use super::trace::note_operation;
use crate::telemetry::event::{CallFinished, CallMeters, CallOutcome, Counted, Plan};
use crate::wire::{Body, BodyError};

/// Makes [`Record`] services that share their meters.
#[derive(Clone, Debug, Default)]
pub struct RecordLayer {
    meters: Arc<CallMeters>,
}

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record {
            inner,
            meters: Arc::clone(&self.meters),
        }
    }
}

/// Counts and logs calls.
#[derive(Clone, Debug)]
pub struct Record<S> {
    inner: S,
    meters: Arc<CallMeters>,
}

/// What is known of a call when it comes in.
struct Line {
    request_id: Option<HeaderValue>,
    dialect: &'static str,
    operation: &'static str,
    started: Instant,
    status: StatusCode,
    outcome: CallOutcome,
    note: Note,
    bytes: u64,
    in_flight: Counted,
    meters: Arc<CallMeters>,
}

impl<S> Service<Classified> for Record<S>
where
    S: Service<Classified, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Classified) -> Self::Future {
        let note = request.note.clone();
        let line = Line {
            request_id: request.parts.headers.get(REQUEST_ID).cloned(),
            dialect: request.call.dialect_name(),
            operation: match &request.call {
                Call::Other => "",
                call => call.name(),
            },
            started: Instant::now(),
            status: StatusCode::OK,
            outcome: CallOutcome::Disconnected,
            note,
            bytes: 0,
            in_flight: self.meters.begin(),
            meters: Arc::clone(&self.meters),
        };
        note_operation(line.operation);
        ResponseFuture {
            future: self.inner.call(request),
            line: Some(line),
        }
    }
}

pin_project! {
    /// The answer, with the record in its body.
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        line: Option<Line>,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match ready!(this.future.poll(cx)) {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let Some(mut line) = this.line.take() else {
            return Poll::Ready(Ok(response));
        };
        let (parts, body) = response.into_parts();
        line.status = parts.status;
        let at_end = outcome(parts.status);
        let body = Body::boxed(Recorded {
            body,
            line: Some(line),
            at_end,
        });
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}

/// How an answer that no service below has called a failure ended: the worker's own status says it.
fn outcome(status: StatusCode) -> CallOutcome {
    if status.is_server_error() {
        CallOutcome::WorkerError
    } else if status.is_client_error() {
        CallOutcome::RequesterError
    } else {
        CallOutcome::Ok
    }
}

pin_project! {
    /// An answer's body that tells of its end.
    struct Recorded {
        #[pin]
        body: Body,
        line: Option<Line>,
        at_end: CallOutcome,
    }

    impl PinnedDrop for Recorded {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // A body of known length is dropped without being polled to its end.
            let whole = this.body.is_end_stream();
            if let Some(mut line) = this.line.take() {
                if whole {
                    line.outcome = *this.at_end;
                }
                line.emit();
            }
        }
    }
}

impl Line {
    fn emit(self) {
        let Line {
            request_id,
            dialect,
            operation,
            started,
            status,
            outcome,
            note,
            bytes,
            in_flight,
            meters,
        } = self;
        let noted = note.noted();
        let failure = noted.failure.get();
        // A requester that went away has not heard of any failure.
        let outcome = match failure {
            Some(failure) if outcome != CallOutcome::Disconnected => failure.outcome,
            _ => outcome,
        };
        let route = noted.route.get();
        let call = CallFinished {
            request_id: request_id
                .as_ref()
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default(),
            route: route.map_or("", |route| route),
            dialect,
            operation,
            plan: noted.plan.get().copied().unwrap_or(Plan::Local),
            outcome,
            status: status.as_u16(),
            rpc_code: failure.and_then(|failure| failure.rpc_code),
            duration: started.elapsed(),
            bytes,
            task: noted.task.get().map(|task| &**task),
        };
        match route {
            Some(route) => meters.finish(route, &call),
            None => call.emit(),
        }
        drop(in_flight);
    }
}

impl HttpBody for Recorded {
    type Data = bytes::Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, BodyError>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        let over = match (&frame, this.line.as_mut()) {
            // Nothing comes after trailers, and nobody asks for it.
            (Some(Ok(frame)), Some(line)) if frame.is_trailers() => {
                line.outcome = *this.at_end;
                true
            }
            (Some(Ok(frame)), Some(line)) => {
                line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                false
            }
            (Some(Err(_)), Some(line)) => {
                line.outcome = CallOutcome::WorkerError;
                true
            }
            (None, Some(line)) => {
                line.outcome = *this.at_end;
                true
            }
            (_, None) => false,
        };
        if over && let Some(line) = this.line.take() {
            line.emit();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::note::Failure;
    use crate::telemetry::Metrics;
    use tower::{ServiceExt, service_fn};

    /// What the metrics say of one call that was answered so.
    fn counted(answer: impl Fn(Note) -> Response<Body> + Clone + Send + 'static) -> String {
        let (recorder, metrics) = Metrics::recorder();
        metrics::with_local_recorder(&recorder, || {
            let service = RecordLayer::default().layer(service_fn(move |request: Classified| {
                let answer = answer(request.note);
                async move { Ok::<_, Infallible>(answer) }
            }));
            let (parts, body) = http::Request::new(Body::empty()).into_parts();
            let request = Classified::new(parts, Call::Other, body);
            let response = futures_util::FutureExt::now_or_never(service.oneshot(request));
            // Dropping the answer ends it: its length is known.
            drop(response);
        });
        metrics
            .render()
            .lines()
            .find(|line| line.starts_with("a2a_sidecar_calls_total{"))
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn a_call_is_counted_by_the_route_and_the_plan_that_were_noted_below() {
        let line = counted(|note| {
            note.route(&Arc::from("research"));
            note.plan(Plan::Pass);
            Response::new(Body::empty())
        });
        assert!(line.contains(r#"route="research""#), "{line}");
        assert!(line.contains(r#"plan="pass""#), "{line}");
        assert!(line.contains(r#"outcome="ok""#), "{line}");
    }

    #[test]
    fn an_error_that_rides_on_http_200_is_no_success() {
        let line = counted(|note| {
            note.failed(Failure {
                outcome: CallOutcome::WorkerError,
                rpc_code: Some(-32603),
            });
            Response::new(Body::empty())
        });
        assert!(line.contains(r#"outcome="worker_error""#), "{line}");
    }

    #[test]
    fn an_answer_that_nobody_waited_for_is_a_disconnect() {
        let line = counted(|_| Response::new(Body::full("an answer")));
        assert!(line.contains(r#"outcome="disconnected""#), "{line}");
    }
}
