//! The gRPC binding (specification §10): the methods of the two services, their messages in bytes, errors as statuses.
//! Frames, headers and trailers are `wire`'s; what is inside the messages is the codecs'.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Version, jsonrpc, proto, status, v0_3, v1_0};
use crate::a2a::card;
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::Fault;
use crate::a2a::{A2aError, Object, Operation};

/// A method: its name, the message that it takes, and the one that it gives (or gives a stream of).
struct Method(&'static str, &'static str, &'static str);

/// The methods in 1.0, and in 0.3 where it has them.
fn methods(operation: Operation) -> (Method, Option<Method>) {
    use Operation as O;
    let (request, answer, old) = match operation {
        O::SendMessage => (
            "SendMessageRequest",
            "SendMessageResponse",
            Some(Method(
                "SendMessage",
                "SendMessageRequest",
                "SendMessageResponse",
            )),
        ),
        O::SendStreamingMessage => (
            "SendMessageRequest",
            "StreamResponse",
            Some(Method(
                "SendStreamingMessage",
                "SendMessageRequest",
                "StreamResponse",
            )),
        ),
        O::GetTask => (
            "GetTaskRequest",
            "Task",
            Some(Method("GetTask", "GetTaskRequest", "Task")),
        ),
        O::ListTasks => ("ListTasksRequest", "ListTasksResponse", None),
        O::CancelTask => (
            "CancelTaskRequest",
            "Task",
            Some(Method("CancelTask", "CancelTaskRequest", "Task")),
        ),
        O::SubscribeToTask => (
            "SubscribeToTaskRequest",
            "StreamResponse",
            Some(Method(
                "TaskSubscription",
                "TaskSubscriptionRequest",
                "StreamResponse",
            )),
        ),
        O::CreateTaskPushNotificationConfig => (
            "TaskPushNotificationConfig",
            "TaskPushNotificationConfig",
            Some(Method(
                "CreateTaskPushNotificationConfig",
                "CreateTaskPushNotificationConfigRequest",
                "TaskPushNotificationConfig",
            )),
        ),
        O::GetTaskPushNotificationConfig => (
            "GetTaskPushNotificationConfigRequest",
            "TaskPushNotificationConfig",
            Some(Method(
                "GetTaskPushNotificationConfig",
                "GetTaskPushNotificationConfigRequest",
                "TaskPushNotificationConfig",
            )),
        ),
        O::ListTaskPushNotificationConfigs => (
            "ListTaskPushNotificationConfigsRequest",
            "ListTaskPushNotificationConfigsResponse",
            Some(Method(
                "ListTaskPushNotificationConfig",
                "ListTaskPushNotificationConfigRequest",
                "ListTaskPushNotificationConfigResponse",
            )),
        ),
        O::DeleteTaskPushNotificationConfig => (
            "DeleteTaskPushNotificationConfigRequest",
            "google.protobuf.Empty",
            Some(Method(
                "DeleteTaskPushNotificationConfig",
                "DeleteTaskPushNotificationConfigRequest",
                "google.protobuf.Empty",
            )),
        ),
        O::GetExtendedAgentCard => (
            "GetExtendedAgentCardRequest",
            "AgentCard",
            Some(Method("GetAgentCard", "GetAgentCardRequest", "AgentCard")),
        ),
    };
    (Method(operation.name(), request, answer), old)
}

/// 0.3's method where the version is 0.x and has one, else that of 1.0.
fn method(version: Version, operation: Operation) -> Method {
    match methods(operation) {
        (_, Some(old)) if version != Version::V1_0 => old,
        (new, _) => new,
    }
}

/// The versions that have a service.
const VERSIONS: [Version; 2] = [Version::V1_0, Version::V0_3];

/// The path of a call.
#[must_use]
pub fn path(version: Version, operation: Operation) -> String {
    let Method(name, ..) = method(version, operation);
    format!("/{}.A2AService/{name}", proto::package(version))
}

/// Which call a path means: the version whose service it is, and the operation where the service has such a method.
/// None for any other service.
#[must_use]
pub fn find(path: &str) -> Option<(Version, Option<Operation>)> {
    let (package, name) = path.strip_prefix('/')?.split_once(".A2AService/")?;
    let version = VERSIONS
        .into_iter()
        .find(|version| proto::package(*version) == package)?;
    let operation = Operation::ALL
        .into_iter()
        .filter(|operation| has(version, *operation))
        .find(|operation| method(version, *operation).0 == name);
    Some((version, operation))
}

/// Whether the version's service has this method.
#[must_use]
pub(super) fn has(version: Version, operation: Operation) -> bool {
    version == Version::V1_0 || methods(operation).1.is_some()
}

/// The message of a call, from its parameters.
///
/// # Errors
/// The parameter that has the wrong form.
pub fn encode_request(
    version: Version,
    operation: Operation,
    params: &Value,
) -> Result<Bytes, A2aError> {
    let Method(_, request, _) = method(version, operation);
    proto::to_bytes(version, request, params).map_err(|fault| super::invalid_params(&fault))
}

/// The parameters of a call, from its message.
///
/// # Errors
/// [`ErrorKind::Parse`] where the bytes are no such message.
pub fn decode_request(
    version: Version,
    operation: Operation,
    message: &[u8],
) -> Result<Value, A2aError> {
    let Method(_, request, _) = method(version, operation);
    proto::from_bytes(version, request, message)
        .map_err(|fault| A2aError::new(ErrorKind::Parse, format!("The request: {fault}")))
}

/// The message of an answer, or of one event of a stream. What the worker has put into it that no message can hold is
/// left out.
#[must_use]
pub fn encode_answer(version: Version, operation: Operation, mut answer: Value) -> Bytes {
    let Method(_, _, message) = method(version, operation);
    if operation == Operation::GetExtendedAgentCard
        && let Value::Object(card) = &mut answer
    {
        down_card(version, card);
    }
    proto::to_bytes_lossy(version, message, &answer)
}

/// The answer in JSON, or one event of a stream, from its message.
///
/// # Errors
/// [`ErrorKind::InvalidAgentResponse`] where the bytes are no such message.
pub fn decode_answer(
    version: Version,
    operation: Operation,
    message: &[u8],
) -> Result<Value, A2aError> {
    let Method(_, _, name) = method(version, operation);
    let mut answer = proto::from_bytes(version, name, message)
        .map_err(|fault| super::invalid_response("answer", &fault))?;
    if operation == Operation::GetExtendedAgentCard
        && version != Version::V1_0
        && let Value::Object(card) = &mut answer
    {
        rename(card, "security", "securityRequirements");
        card::to_v0_security(card);
    }
    Ok(answer)
}

/// A card in JSON writes its security in the way of OpenAPI in 0.3, its protobuf as 1.0 does, under another name.
fn down_card(version: Version, card: &mut Object) {
    card::to_v1_security(card);
    if version != Version::V1_0 {
        rename(card, "securityRequirements", "security");
    }
}

/// Renames a member of a card and of its skills.
fn rename(card: &mut Object, from: &str, to: &str) {
    let skills = card.get_mut("skills").and_then(Value::as_array_mut);
    for skill in skills
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        if let Some(value) = skill.remove(from) {
            skill.insert(to.to_owned(), value);
        }
    }
    if let Some(value) = card.remove(from) {
        card.insert(to.to_owned(), value);
    }
}

/// The names by which the Python SDKs tell errors apart in 0.3: they write them before the text, where 1.0 has details.
const NAMES: [(ErrorKind, &str); 15] = [
    (ErrorKind::TaskNotFound, "TaskNotFoundError"),
    (ErrorKind::TaskNotCancelable, "TaskNotCancelableError"),
    (
        ErrorKind::PushNotificationNotSupported,
        "PushNotificationNotSupportedError",
    ),
    (ErrorKind::UnsupportedOperation, "UnsupportedOperationError"),
    (
        ErrorKind::ContentTypeNotSupported,
        "ContentTypeNotSupportedError",
    ),
    (ErrorKind::InvalidAgentResponse, "InvalidAgentResponseError"),
    (
        ErrorKind::ExtendedAgentCardNotConfigured,
        "AuthenticatedExtendedCardNotConfiguredError",
    ),
    // By the name of 1.0, which its SDK writes in 0.3 as well.
    (
        ErrorKind::ExtendedAgentCardNotConfigured,
        "ExtendedAgentCardNotConfiguredError",
    ),
    (
        ErrorKind::ExtensionSupportRequired,
        "ExtensionSupportRequiredError",
    ),
    (ErrorKind::VersionNotSupported, "VersionNotSupportedError"),
    (ErrorKind::Parse, "JSONParseError"),
    (ErrorKind::InvalidRequest, "InvalidRequestError"),
    (ErrorKind::MethodNotFound, "MethodNotFoundError"),
    (ErrorKind::InvalidParams, "InvalidParamsError"),
    (ErrorKind::Internal, "InternalError"),
];

/// A status: the code, the text, and the bytes of a `google.rpc.Status` with details, empty where there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: i32,
    /// The text.
    pub message: String,
    /// The details.
    pub details: Bytes,
}

/// The status that an error is.
#[must_use]
pub fn encode_error(version: Version, error: &A2aError) -> Status {
    let code = status::of(error.kind).1.number;
    if version == Version::V1_0 {
        let details = v1_0::error_data(error).map_or_else(Bytes::new, |details| {
            let details = details.as_array().map_or(&[][..], Vec::as_slice);
            status_bytes(code, &error.message, details)
        });
        return Status {
            code,
            message: error.message.clone(),
            details,
        };
    }
    let kind = v0_3::nearest(error.kind);
    let name = NAMES.iter().find(|(other, _)| *other == kind);
    let message = match name {
        Some((_, name)) => format!("{name}: {}", error.message),
        None => error.message.clone(),
    };
    Status {
        code: status::of(kind).1.number,
        message,
        details: Bytes::new(),
    }
}

/// What a code means that says nothing else: several errors share one.
const BY_CODE: [ErrorKind; 4] = [
    ErrorKind::TaskNotFound,
    ErrorKind::InvalidParams,
    ErrorKind::UnsupportedOperation,
    ErrorKind::MethodNotFound,
];

/// The error that a status is: by the reason in its details, else by the name before its text (0.3), else by its code.
#[must_use]
pub fn decode_error(version: Version, code: i32, message: &str, details: &[u8]) -> A2aError {
    let data = status_details(details);
    let by_reason = jsonrpc::kind_by_reason(data.as_ref());
    let (by_name, message) = match message.split_once(": ") {
        Some((name, rest)) if version != Version::V1_0 => {
            match NAMES.iter().find(|(_, other)| *other == name) {
                Some((kind, _)) => (Some(*kind), rest),
                None => (None, message),
            }
        }
        _ => (None, message),
    };
    let by_code = || {
        let same = |kind: &ErrorKind| status::of(*kind).1.number == code;
        BY_CODE
            .into_iter()
            .find(same)
            .unwrap_or(ErrorKind::Internal)
    };
    A2aError {
        kind: by_reason.or(by_name).unwrap_or_else(by_code),
        message: if message.is_empty() {
            "The agent gave no reason".to_owned()
        } else {
            message.to_owned()
        },
        data,
    }
}

const STATUS: &str = "google.rpc.Status";
/// What stands before a message's name in `@type`.
const TYPE_URL: &str = "type.googleapis.com/";
/// The details that can be read and written; others are left out.
const DETAILS: [&str; 2] = ["google.rpc.ErrorInfo", "google.rpc.BadRequest"];

fn detail_name(url: &str) -> Option<&'static str> {
    let name = url.rsplit_once('/')?.1;
    DETAILS.into_iter().find(|known| *known == name)
}

/// A `google.rpc.Status` with the details that protobuf has a place for.
fn status_bytes(code: i32, message: &str, details: &[Value]) -> Bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let packed: Vec<Value> = details
        .iter()
        .filter_map(|detail| {
            let name = detail_name(detail.get("@type")?.as_str()?)?;
            let bytes = detail_bytes(name, detail).ok()?;
            Some(json!({ "typeUrl": format!("{TYPE_URL}{name}"), "value": STANDARD.encode(bytes) }))
        })
        .collect();
    let status = json!({ "code": code, "message": message, "details": packed });
    // Of our own making: it has the right form.
    proto::to_bytes(Version::V1_0, STATUS, &status).unwrap_or_default()
}

fn detail_bytes(name: &str, detail: &Value) -> Result<Bytes, Fault> {
    proto::to_bytes(Version::V1_0, name, detail).or_else(|_| {
        // Some SDKs put more than strings into an ErrorInfo's metadata, where protobuf has room for nothing else.
        let mut detail = detail.clone();
        if let Some(metadata) = detail.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|_, value| value.is_string());
        }
        proto::to_bytes(Version::V1_0, name, &detail)
    })
}

/// The details in the form of `error.data`; none where there are none that can be read.
fn status_details(bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() {
        return None;
    }
    let mut status = proto::from_bytes(Version::V1_0, STATUS, bytes).ok()?;
    let details: Vec<Value> = status
        .get_mut("details")?
        .as_array_mut()?
        .iter()
        .filter_map(|packed| {
            let name = detail_name(packed.get("typeUrl")?.as_str()?)?;
            let bytes = packed.get("value").and_then(Value::as_str).unwrap_or("");
            let bytes = proto::decode_base64(bytes)?;
            let Value::Object(detail) = proto::from_bytes(Version::V1_0, name, &bytes).ok()? else {
                return None;
            };
            let mut typed = Object::new();
            typed.insert("@type".to_owned(), Value::from(format!("{TYPE_URL}{name}")));
            typed.extend(detail);
            Some(Value::Object(typed))
        })
        .collect();
    (!details.is_empty()).then_some(Value::Array(details))
}
