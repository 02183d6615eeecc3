//! What a request can come to grief with inside the stack, and what its requester reads of it: one exhaustive match.
//!
//! Outside of protocol calls the answer is plain HTTP; inside, it is an error of the protocol in the requester's own
//! dialect. A header says that the sidecar made it and what it was, so that nobody looks for it at the worker.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::note::Failure;
use crate::a2a::dialect::{jsonrpc, status};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Binding, Dialect, Operation};
use crate::sink::render::Renderer;
use crate::source::OpenError;
use crate::store::StoreError;
use crate::telemetry::event::CallOutcome;
use crate::wire::{Body, grpc};
use crate::worker::CallError;

/// Names the error, on answers that the sidecar made itself.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("x-a2a-sidecar-error");

/// How long a requester is asked to wait when the sidecar cannot take more, in seconds: long enough to thin a crowd,
/// short enough not to be noticed by one.
const RETRY_AFTER_SECONDS: u64 = 1;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the protocol, of the sidecar's own or of the worker's.
    #[error(transparent)]
    A2a(#[from] A2aError),
    /// The worker, or the way to it.
    #[error(transparent)]
    Worker(#[from] CallError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No route for this path and host.
    #[error("no route matches this path and host")]
    NoRoute,
    /// The body is larger than allowed.
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The bound.
        limit: usize,
    },
    /// The body broke off.
    #[error("the request body could not be read")]
    Body,
    /// Too many requests at once.
    #[error("too many requests at once")]
    Overloaded,
    /// The sidecar is stopping.
    #[error("the sidecar is stopping")]
    Stopping,
    /// The time that the call allows is over.
    #[error("the time that the call allows is over")]
    Deadline,
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Call(error) => Error::Worker(error),
            OpenError::Store(error) => Error::Store(error),
            OpenError::Stopping => Error::Stopping,
        }
    }
}

/// An error as its requester reads it.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    /// For [`ERROR_HEADER`]; none where the error is the worker's own.
    name: Option<&'static str>,
    error: A2aError,
    retry_after: Option<u64>,
}

impl Error {
    fn told(&self) -> Told {
        let own = |status, name, message: &str| Told {
            status,
            name: Some(name),
            error: A2aError::new(ErrorKind::Internal, message),
            retry_after: None,
        };
        let later = |told: Told| Told {
            retry_after: Some(RETRY_AFTER_SECONDS),
            ..told
        };
        match self {
            Error::A2a(error) => Told {
                status: StatusCode::OK,
                name: Some("protocol"),
                error: error.clone(),
                retry_after: None,
            },
            Error::Worker(CallError::Rpc(error)) => Told {
                status: StatusCode::OK,
                name: None,
                error: error.clone(),
                retry_after: None,
            },
            Error::Worker(CallError::Unreachable(_)) => later(own(
                StatusCode::BAD_GATEWAY,
                "worker-unreachable",
                "The worker cannot be reached. Nothing has been sent to it; try again later.",
            )),
            Error::Worker(CallError::Broken(_)) => own(
                StatusCode::BAD_GATEWAY,
                "worker-broken",
                "The connection to the worker broke. The call may have arrived: look before you send it again.",
            ),
            Error::Worker(CallError::Timeout { .. }) => own(
                StatusCode::GATEWAY_TIMEOUT,
                "worker-timeout",
                "The worker did not answer in time. The call may have arrived: look before you send it again.",
            ),
            Error::Worker(CallError::Http { status, .. }) => own(
                StatusCode::BAD_GATEWAY,
                "worker-status",
                &format!("The worker answered with HTTP status {}.", status.as_u16()),
            ),
            Error::Worker(CallError::BadAnswer(_)) => Told {
                error: A2aError::new(
                    ErrorKind::InvalidAgentResponse,
                    "The worker's answer cannot be read. The call has arrived: look before you send it again.",
                ),
                ..own(StatusCode::BAD_GATEWAY, "worker-answer", "")
            },
            Error::Worker(CallError::NoCard(_)) => later(own(
                StatusCode::BAD_GATEWAY,
                "worker-card",
                "The worker's agent card cannot be had, so the sidecar does not know how to talk to it. Nothing has \
                 been sent to it; try again later.",
            )),
            Error::Store(_) => later(own(
                StatusCode::SERVICE_UNAVAILABLE,
                "store",
                "The sidecar cannot keep or read what this call needs at the moment. Try again later.",
            )),
            Error::NoRoute => own(
                StatusCode::NOT_FOUND,
                "no-route",
                "No route of the sidecar matches this path and host.",
            ),
            Error::BodyTooLarge { limit } => own(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                &format!(
                    "The request body is larger than the {limit} bytes that the sidecar takes."
                ),
            ),
            Error::Body => own(
                StatusCode::BAD_REQUEST,
                "body",
                "The request body could not be read to its end.",
            ),
            Error::Overloaded => later(own(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "The sidecar has too many requests at once. Nothing has been sent to the worker; try again later.",
            )),
            Error::Stopping => later(own(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "The sidecar is stopping. Try again later.",
            )),
            Error::Deadline => own(
                StatusCode::GATEWAY_TIMEOUT,
                "deadline",
                "The time that the call allows is over. What it has begun goes on: look before you send it again.",
            ),
        }
    }

    /// The failure for the call's record; `dialect` where the answer is one of the protocol.
    #[must_use]
    pub fn failure(&self, dialect: Option<Dialect>) -> Failure {
        let outcome = match self {
            Error::A2a(_)
            | Error::NoRoute
            | Error::BodyTooLarge { .. }
            | Error::Body
            | Error::Deadline => CallOutcome::RequesterError,
            Error::Worker(_) => CallOutcome::WorkerError,
            Error::Store(_) | Error::Overloaded | Error::Stopping => CallOutcome::SidecarError,
        };
        Failure {
            outcome,
            rpc_code: dialect.map(|dialect| jsonrpc::code(dialect, self.told().error.kind)),
        }
    }

    /// The answer to a call of the protocol.
    #[must_use]
    pub fn to_rpc(&self, renderer: &Renderer, operation: Operation) -> Response<Body> {
        // What is wrong with the credentials is said in HTTP, with headers that say how to mend it: it passes as it is.
        if let Error::Worker(CallError::Http {
            status,
            headers,
            body,
        }) = self
            && passes(*status)
        {
            if renderer.dialect().binding == Binding::Grpc {
                let told = self.told();
                return told.mark(renderer.error(&told.error, Some(*status)).into_response());
            }
            return as_it_came(*status, headers, body);
        }
        let told = self.told();
        // Only the sidecar's own failures have a status of their own; what is an error of the protocol, the binding knows.
        let status = Some(told.status).filter(|status| *status != StatusCode::OK);
        let rendered = if operation.streams()
            && renderer.dialect().traits().stream_errors_as_frames
            && status.is_none()
        {
            renderer.stream_of_error(&told.error)
        } else {
            renderer.error(&told.error, status)
        };
        told.mark(rendered.into_response())
    }

    /// The bytes of the answer to a call of the protocol whose head has gone out already.
    #[must_use]
    pub fn to_rpc_body(&self, renderer: &Renderer) -> Bytes {
        renderer.late_error(&self.told().error)
    }

    /// The answer to what is a call over gRPC, and has not been read further than that.
    #[must_use]
    pub fn to_grpc(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(grpc::MEDIA_TYPE));
        self.to_grpc_status().write(headers);
        self.told().mark(response)
    }

    /// The status of gRPC that stands for it.
    #[must_use]
    pub fn to_grpc_status(&self) -> grpc::Status {
        let told = self.told();
        let code = if told.status == StatusCode::OK {
            status::of(told.error.kind).1
        } else {
            status::of_http(told.status)
        };
        grpc::Status::new(code.number.unsigned_abs(), told.error.message)
    }

    /// The answer to anything else.
    #[must_use]
    pub fn to_http(&self) -> Response<Body> {
        if let Error::Worker(CallError::Http {
            status,
            headers,
            body,
        }) = self
        {
            return as_it_came(*status, headers, body);
        }
        let told = self.told();
        let body = json!({
            "error": { "name": told.name, "message": told.error.message }
        });
        let mut response = Response::new(Body::full(body.to_string()));
        *response.status_mut() = told.status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        told.mark(response)
    }
}

fn passes(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn as_it_came(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Response<Body> {
    let mut response = Response::new(Body::full(body.clone()));
    *response.status_mut() = status;
    response.headers_mut().clone_from(headers);
    response
}

impl Told {
    /// Says that the sidecar made this answer, and when to come back.
    fn mark(&self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        if let Some(name) = self.name {
            headers.insert(ERROR_HEADER, HeaderValue::from_static(name));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
