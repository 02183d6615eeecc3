//! What a call to a worker can fail with.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::a2a::A2aError;
use crate::a2a::error::ErrorKind;
use crate::net::client::TransportError;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection came about: the call has not arrived.
    #[error("the worker cannot be reached")]
    Unreachable(#[source] TransportError),
    /// The connection broke after the call was on its way: it may have arrived.
    #[error("the connection to the worker broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time: it may have arrived.
    #[error("the worker did not answer within {waited:?}")]
    Timeout {
        /// How long was waited.
        waited: Duration,
    },
    /// An HTTP error without a protocol error in it.
    #[error("the worker answered {status}")]
    Http {
        /// The status.
        status: StatusCode,
        /// The end-to-end headers of the answer.
        headers: Box<HeaderMap>,
        /// The body, as far as it was read.
        body: Bytes,
    },
    /// The worker's own protocol error.
    #[error(transparent)]
    Rpc(A2aError),
    /// An answer that makes no sense.
    #[error("the worker's answer cannot be read: {0}")]
    BadAnswer(String),
    /// There is no usable card.
    #[error("the worker's agent card cannot be had: {0}")]
    NoCard(String),
}

impl CallError {
    /// From the client's error.
    #[must_use]
    pub fn from_client(error: TransportError) -> Self {
        if error.is_connect() {
            CallError::Unreachable(error)
        } else {
            CallError::Broken(Box::new(error))
        }
    }

    /// A name of a closed set, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            CallError::Unreachable(_) => "unreachable",
            CallError::Broken(_) => "broken",
            CallError::Timeout { .. } => "timeout",
            CallError::Http { .. } => "status",
            CallError::Rpc(_) => "error",
            CallError::BadAnswer(_) => "bad_answer",
            CallError::NoCard(_) => "no_card",
        }
    }

    /// Whether no connection came about.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, CallError::Unreachable(_))
    }

    /// Whether the worker has refused the operation as such, so that it has done nothing and another way may be tried.
    #[must_use]
    pub fn is_refused_operation(&self) -> bool {
        match self {
            CallError::Rpc(error) => matches!(
                error.kind,
                // The envelope is ours and sound: what 0.2 servers call an invalid request is a method that they lack.
                ErrorKind::InvalidRequest
                    | ErrorKind::MethodNotFound
                    | ErrorKind::UnsupportedOperation
                    | ErrorKind::PushNotificationNotSupported
            ),
            CallError::Http { status, .. } => matches!(
                *status,
                StatusCode::NOT_FOUND
                    | StatusCode::METHOD_NOT_ALLOWED
                    | StatusCode::NOT_ACCEPTABLE
                    | StatusCode::UNSUPPORTED_MEDIA_TYPE
                    | StatusCode::NOT_IMPLEMENTED
            ),
            _ => false,
        }
    }

    /// Whether the worker says that it does not know the task.
    #[must_use]
    pub fn is_task_not_found(&self) -> bool {
        matches!(self, CallError::Rpc(error) if error.kind == ErrorKind::TaskNotFound)
    }

    /// How long the worker asks to be left alone (`Retry-After` in seconds), on 429 and 503.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let CallError::Http {
            status, headers, ..
        } = self
        else {
            return None;
        };
        if !matches!(
            *status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            return None;
        }
        let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
        if let Ok(seconds) = value.trim().parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let at = httpdate::parse_http_date(value.trim()).ok()?;
        Some(
            at.duration_since(std::time::SystemTime::now())
                .unwrap_or_default(),
        )
    }
}
