//! The JSON-RPC binding (specification §9): envelopes, ids, method names and error codes of every version.
//! Knows nothing of what is inside `params` and `result`: that is the version modules'.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Dialect, Version, v0, v0_1, v0_3, v1_0};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Operation};

/// One call, undecoded: the parts of the envelope, borrowed from the body.
#[derive(Debug)]
pub struct Call<'a> {
    /// The id as it came; `None` where the call is a notification.
    pub id: Option<&'a RawValue>,
    /// The method.
    pub method: Cow<'a, str>,
    /// The parameters as they came; empty where there are none.
    pub params: &'a [u8],
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The id of a call whose envelope is otherwise wrong, so that the error can still name it; `None` where there is
/// none to be read.
#[must_use]
pub fn id_of(body: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct OnlyId<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    let envelope: OnlyId<'_> = serde_json::from_slice(body).ok()?;
    envelope.id.filter(|id| is_id(id))
}

/// JSON-RPC allows strings and numbers.
fn is_id(id: &RawValue) -> bool {
    id.get()
        .starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9'))
}

/// Opens the envelope of a call.
///
/// # Errors
/// [`ErrorKind::Parse`] where it is not JSON, [`ErrorKind::InvalidRequest`] where it is JSON but no JSON-RPC 2.0
/// call; batches are refused, as every SDK does.
pub fn decode_call(body: &[u8]) -> Result<Call<'_>, A2aError> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|error| {
        if error.classify() == serde_json::error::Category::Data {
            let what = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
                Some(b'[') => "Batches are not supported: send one call per request",
                _ => "The body is no JSON-RPC 2.0 request",
            };
            A2aError::new(ErrorKind::InvalidRequest, what)
        } else {
            A2aError::new(ErrorKind::Parse, format!("The body is not JSON: {error}"))
        }
    })?;
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        return Err(A2aError::new(
            ErrorKind::InvalidRequest,
            "The member jsonrpc must be \"2.0\"",
        ));
    }
    if envelope.id.is_some_and(|id| !is_id(id)) {
        return Err(A2aError::new(
            ErrorKind::InvalidRequest,
            "The member id must be a string or a number",
        ));
    }
    let Some(method) = envelope.method else {
        return Err(A2aError::new(
            ErrorKind::InvalidRequest,
            "The member method is missing",
        ));
    };
    Ok(Call {
        id: envelope.id,
        method,
        params: envelope
            .params
            .map_or(&[], |params| params.get().as_bytes()),
    })
}

/// Which operation a method name means, and in which version's way. 0.2 and 0.3 share their names: a name with
/// a slash is reported as 0.3, and only the path of the card or the route can say that it is 0.2. Some of 0.1's are
/// those of 0.2 too: which of them was meant, the task in question tells, which 0.1 has made by a name of its own.
#[must_use]
pub fn classify(method: &str) -> Option<(Version, Operation)> {
    let operation = |name: fn(Operation) -> &'static str| {
        Operation::ALL
            .into_iter()
            .find(|operation| name(*operation) == method)
    };
    if let Some(operation) = operation(Operation::name) {
        return Some((Version::V1_0, operation));
    }
    operation(v0::method)
        .filter(|operation| v0_3::supports(*operation))
        .map(|operation| (Version::V0_3, operation))
        .or_else(|| v0_1::operation(method).map(|operation| (Version::V0_1, operation)))
}

/// The body of a call. `id`: a number, a string or the [`RawValue`] of the requester.
#[must_use]
pub fn encode_call(id: impl Serialize, method: &str, params: &Value) -> Bytes {
    #[derive(Serialize)]
    struct Out<'a, I> {
        jsonrpc: &'static str,
        id: I,
        method: &'a str,
        params: &'a Value,
    }
    bytes(&Out {
        jsonrpc: "2.0",
        id,
        method,
        params,
    })
}

/// The body of an answer, or the data of one frame of a stream. The id is echoed as it came.
#[must_use]
pub fn encode_result(id: Option<&RawValue>, result: &Value) -> Bytes {
    #[derive(Serialize)]
    struct Out<'a> {
        jsonrpc: &'static str,
        id: Option<&'a RawValue>,
        result: &'a Value,
    }
    bytes(&Out {
        jsonrpc: "2.0",
        id,
        result,
    })
}

/// The body of an answer that is an error, or the data of the frame that ends a stream with one. Without an id
/// (it could not be read) it is `null`.
#[must_use]
pub fn encode_error(dialect: Dialect, id: Option<&RawValue>, error: &A2aError) -> Bytes {
    #[derive(Serialize)]
    struct Out<'a> {
        jsonrpc: &'static str,
        id: Option<&'a RawValue>,
        error: Value,
    }
    bytes(&Out {
        jsonrpc: "2.0",
        id,
        error: error_object(dialect, error),
    })
}

/// The `error` member alone.
#[must_use]
pub fn error_object(dialect: Dialect, error: &A2aError) -> Value {
    let mut object = json!({
        "code": code(dialect, error.kind),
        "message": dialect.codec().error_text(error),
    });
    if let Some(data) = dialect.codec().error_data(error) {
        object["data"] = data;
    }
    object
}

/// Opens the envelope of an answer: the result, or the error object. An answer with neither is an empty result,
/// which is how the Python SDKs of 0.x write `null`.
///
/// # Errors
/// [`ErrorKind::InvalidAgentResponse`] where it is no JSON-RPC answer.
pub fn decode_response(body: &[u8]) -> Result<Result<Value, Value>, A2aError> {
    let invalid = |what: &str| A2aError::new(ErrorKind::InvalidAgentResponse, what);
    let value: Value =
        serde_json::from_slice(body).map_err(|_| invalid("The agent's answer is not JSON"))?;
    let Value::Object(mut answer) = value else {
        return Err(invalid("The agent's answer is no JSON-RPC response"));
    };
    match answer.remove("error") {
        None | Some(Value::Null) => {}
        Some(error) => return Ok(Err(error)),
    }
    match answer.remove("result") {
        Some(result) => Ok(Ok(result)),
        None if answer.contains_key("jsonrpc") => Ok(Ok(Value::Null)),
        None => Err(invalid("The agent's answer is no JSON-RPC response")),
    }
}

/// The codes of specification §5.4 and JSON-RPC's own, with the reasons that 1.0 gives them in `ErrorInfo`.
const CODES: [(ErrorKind, i64, Option<&str>); 14] = [
    (ErrorKind::TaskNotFound, -32001, Some("TASK_NOT_FOUND")),
    (
        ErrorKind::TaskNotCancelable,
        -32002,
        Some("TASK_NOT_CANCELABLE"),
    ),
    (
        ErrorKind::PushNotificationNotSupported,
        -32003,
        Some("PUSH_NOTIFICATION_NOT_SUPPORTED"),
    ),
    (
        ErrorKind::UnsupportedOperation,
        -32004,
        Some("UNSUPPORTED_OPERATION"),
    ),
    (
        ErrorKind::ContentTypeNotSupported,
        -32005,
        Some("CONTENT_TYPE_NOT_SUPPORTED"),
    ),
    (
        ErrorKind::InvalidAgentResponse,
        -32006,
        Some("INVALID_AGENT_RESPONSE"),
    ),
    (
        ErrorKind::ExtendedAgentCardNotConfigured,
        -32007,
        Some("EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
    ),
    (
        ErrorKind::ExtensionSupportRequired,
        -32008,
        Some("EXTENSION_SUPPORT_REQUIRED"),
    ),
    (
        ErrorKind::VersionNotSupported,
        -32009,
        Some("VERSION_NOT_SUPPORTED"),
    ),
    (ErrorKind::Parse, -32700, None),
    (ErrorKind::InvalidRequest, -32600, None),
    (ErrorKind::MethodNotFound, -32601, None),
    (ErrorKind::InvalidParams, -32602, Some("INVALID_PARAMS")),
    (ErrorKind::Internal, -32603, None),
];

/// The code of an error that a version has.
pub(super) fn code_of(kind: ErrorKind) -> i64 {
    if let ErrorKind::Other(code) = kind {
        return code;
    }
    CODES
        .iter()
        .find(|(other, ..)| *other == kind)
        .map_or(-32603, |(_, code, _)| *code)
}

/// The code of an error in this dialect.
#[must_use]
pub fn code(dialect: Dialect, kind: ErrorKind) -> i64 {
    dialect.codec().error_code(kind)
}

/// The reason of an error in `ErrorInfo`.
pub(super) fn reason(kind: ErrorKind) -> Option<&'static str> {
    CODES
        .iter()
        .find(|(other, ..)| *other == kind)
        .and_then(|(.., reason)| *reason)
}

/// Reads an error object: by its reason, else by its code, and where a version's servers give neither that tells, by what
/// they do give.
#[must_use]
pub fn decode_error(dialect: Dialect, error: &Value) -> A2aError {
    let message = error.get("message").and_then(Value::as_str);
    let data = error.get("data").filter(|data| !data.is_null());
    let kind = match error.get("code").and_then(Value::as_i64) {
        Some(code) => dialect
            .codec()
            .error_kind(code, message.unwrap_or_default(), data),
        // Without a code it is no error object: somebody's own, on the way.
        None => kind_by_reason(data).unwrap_or(ErrorKind::Internal),
    };
    A2aError {
        kind,
        message: message.unwrap_or("The agent gave no reason").to_owned(),
        data: data.cloned(),
    }
}

/// The error that an `ErrorInfo` names.
pub(super) fn kind_by_reason(data: Option<&Value>) -> Option<ErrorKind> {
    kind_of_reason(v1_0::error_reason(data)?)
}

/// The error of this name.
pub(super) fn kind_of_reason(name: &str) -> Option<ErrorKind> {
    CODES
        .iter()
        .find(|(.., reason)| *reason == Some(name))
        .map(|(kind, ..)| *kind)
}

pub(super) fn kind_of_code(code: i64) -> ErrorKind {
    CODES
        .iter()
        .find(|(_, other, _)| *other == code)
        .map_or(ErrorKind::Other(code), |(kind, ..)| *kind)
}

/// Everything serialised here is made of strings, numbers and JSON values, which cannot fail.
fn bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map_or_else(|_| Bytes::new(), Bytes::from)
}

#[cfg(test)]
mod tests;
