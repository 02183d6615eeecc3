//! What the errors of the protocol are called in HTTP and in gRPC (specification §5.4, in the words of 1.0.1).

use http::StatusCode;

use crate::a2a::error::ErrorKind;

/// The canonical codes of gRPC that errors of the protocol use, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcStatus {
    /// Its number.
    pub number: i32,
    /// Its name, such as `NOT_FOUND`.
    pub name: &'static str,
}

const fn rpc(number: i32, name: &'static str) -> RpcStatus {
    RpcStatus { number, name }
}

/// The status of an error over HTTP+JSON, and its code over gRPC.
#[must_use]
pub fn of(kind: ErrorKind) -> (StatusCode, RpcStatus) {
    match kind {
        ErrorKind::TaskNotFound => (StatusCode::NOT_FOUND, rpc(5, "NOT_FOUND")),
        ErrorKind::TaskNotCancelable
        | ErrorKind::PushNotificationNotSupported
        | ErrorKind::UnsupportedOperation
        | ErrorKind::ExtendedAgentCardNotConfigured
        | ErrorKind::ExtensionSupportRequired
        | ErrorKind::VersionNotSupported => {
            (StatusCode::BAD_REQUEST, rpc(9, "FAILED_PRECONDITION"))
        }
        ErrorKind::ContentTypeNotSupported
        | ErrorKind::Parse
        | ErrorKind::InvalidRequest
        | ErrorKind::InvalidParams => (StatusCode::BAD_REQUEST, rpc(3, "INVALID_ARGUMENT")),
        ErrorKind::MethodNotFound => (StatusCode::NOT_FOUND, rpc(12, "UNIMPLEMENTED")),
        ErrorKind::InvalidAgentResponse | ErrorKind::Internal | ErrorKind::Other(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, rpc(13, "INTERNAL"))
        }
    }
}

/// The code of gRPC for an HTTP status that is no error of the protocol, as the sidecar's own answers have them.
#[must_use]
pub fn of_http(status: StatusCode) -> RpcStatus {
    match status {
        StatusCode::UNAUTHORIZED => rpc(16, "UNAUTHENTICATED"),
        StatusCode::FORBIDDEN => rpc(7, "PERMISSION_DENIED"),
        StatusCode::NOT_FOUND => rpc(5, "NOT_FOUND"),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => {
            rpc(8, "RESOURCE_EXHAUSTED")
        }
        StatusCode::GATEWAY_TIMEOUT => rpc(4, "DEADLINE_EXCEEDED"),
        StatusCode::BAD_REQUEST => rpc(3, "INVALID_ARGUMENT"),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => rpc(14, "UNAVAILABLE"),
        _ => rpc(13, "INTERNAL"),
    }
}

/// What an HTTP status means of an error whose body does not say. `names_task`: the call was about one task.
#[must_use]
pub fn kind_of_http(status: StatusCode, names_task: bool) -> Option<ErrorKind> {
    match status {
        StatusCode::NOT_FOUND if names_task => Some(ErrorKind::TaskNotFound),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Some(ErrorKind::MethodNotFound),
        StatusCode::CONFLICT => Some(ErrorKind::TaskNotCancelable),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some(ErrorKind::ContentTypeNotSupported),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            Some(ErrorKind::InvalidParams)
        }
        StatusCode::NOT_IMPLEMENTED => Some(ErrorKind::UnsupportedOperation),
        StatusCode::INTERNAL_SERVER_ERROR => Some(ErrorKind::Internal),
        _ => None,
    }
}
