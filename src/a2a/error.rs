//! The errors of the protocol (specification §3.3.2), without transport codes: those are the dialects'.

use serde_json::Value;

/// What an operation can fail with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct A2aError {
    /// Which error of the specification it is.
    pub kind: ErrorKind,
    /// What the requester reads: what is wrong and what to do. Never a secret, never internals.
    pub message: String,
    /// Details as they came from the worker (`error.data`), passed on where the dialects agree on their form.
    pub data: Option<Value>,
}

/// The specification's errors, and JSON-RPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such task, or not for this requester.
    TaskNotFound,
    /// The task is over.
    TaskNotCancelable,
    /// No push here.
    PushNotificationNotSupported,
    /// Not here, or not in this state.
    UnsupportedOperation,
    /// A media type that the worker cannot take or give.
    ContentTypeNotSupported,
    /// The worker's answer makes no sense.
    InvalidAgentResponse,
    /// There is no extended card.
    ExtendedAgentCardNotConfigured,
    /// The worker requires an extension that the requester did not name.
    ExtensionSupportRequired,
    /// The version asked for is not served.
    VersionNotSupported,
    /// Not JSON.
    Parse,
    /// JSON, but not a request.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// The method's parameters are wrong.
    InvalidParams,
    /// Anything else that went wrong on the way.
    Internal,
    /// A code of the worker's own, kept.
    Other(i64),
}

impl A2aError {
    /// An error of this kind that says this.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            data: None,
        }
    }

    /// The error for a task that is not there, or not for this requester: the two look the same (§13.1).
    #[must_use]
    pub fn task_not_found(id: &str) -> Self {
        Self::new(ErrorKind::TaskNotFound, format!("Task not found: {id}"))
    }
}
