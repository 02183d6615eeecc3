//! Callbacks: the outcome of a task as a call to the requester's own agent. One delivery of the ledger, made when the task
//! is over, is one call over JSON-RPC.
//!
//! Here is where the call goes and what it says, in the two forms of [`crate::a2a::callback`]. It is posted, retried and
//! recorded as a webhook is: see [`super::webhook`] and [`super::dispatch`].

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use uuid::Uuid;

use super::webhook::{InvalidConfig, Target};
use crate::a2a::callback::{Callback, EXTENSION, Form};
use crate::a2a::request::Answer;
use crate::a2a::{
    Dialect, Message, Object, Operation, Part, PartContent, Request, Role, SendConfiguration,
    SendMessageRequest, Task, TaskState, extension,
};
use crate::net::guard::AddressPolicy;
use crate::store::Millis;

/// Where agents of python_a2a take tasks, below their base. Which of the two a requester's has is not known beforehand:
/// attempts take turns, so that the ledger's retries are the fallback as well.
const TASK_PATHS: [&str; 2] = ["/tasks/send", "/a2a/tasks/send"];

/// Where python_a2a cuts an endpoint to get the base.
const CUT: &str = "/a2a/";

/// The most headers of one callback: many times what credentials need.
const MAX_HEADERS: usize = 32;

/// Headers that belong to the exchange and not to the requester: clients that send all headers they have are not refused
/// for these, but the call has its own.
const NOT_THEIRS: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

const A2A_VERSION: HeaderName = HeaderName::from_static("a2a-version");

/// Checks what can be checked of a callback before it is kept.
///
/// # Errors
/// [`InvalidConfig`]: the first fault. `Ok` for a host name says nothing of its addresses.
pub fn validate(
    callback: &Callback,
    dialect: Dialect,
    policy: &AddressPolicy,
) -> Result<(), InvalidConfig> {
    let target = target(callback, dialect, 0)?;
    policy.check_url(&target.url)?;
    Ok(())
}

/// Where the attempt after so many others goes, and the headers that come from the requester and its dialect.
pub(super) fn target(
    callback: &Callback,
    dialect: Dialect,
    attempts: u32,
) -> Result<Target, InvalidConfig> {
    let mut target = match &callback.form {
        Form::Message { .. } => Target::at(&callback.url)?,
        Form::Task(_) => {
            let base = callback.url.split(CUT).next().unwrap_or_default();
            let mut target = Target::at(base)?;
            let path = TASK_PATHS[attempts as usize % TASK_PATHS.len()];
            let path = format!("{}{path}", target.url.path().trim_end_matches('/'));
            target.url.set_path(&path);
            target
        }
    };
    if callback.headers.len() > MAX_HEADERS {
        return Err(InvalidConfig::TooManyHeaders { max: MAX_HEADERS });
    }
    for (name, value) in &callback.headers {
        if !NOT_THEIRS
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other))
        {
            target = target.with_header(name, value)?;
        }
    }
    if let Form::Message { .. } = callback.form {
        if let Some(version) = dialect.traits().a2a_version {
            let version = HeaderValue::from_static(version);
            target.headers.insert(A2A_VERSION, version);
        }
        let name = extension::header(dialect.version);
        let uri = HeaderValue::from_static(EXTENSION);
        target.headers.insert(name, uri);
    }
    Ok(target)
}

/// The call that tells of a task that is over. `id` is that of the delivery, the same at every attempt: so is what is
/// made of it. `at`: when the delivery was made.
pub(super) fn body(form: &Form, dialect: Dialect, task: &Task, id: &str, at: Millis) -> Bytes {
    let own_id = Uuid::from_bytes(digest(id)).to_string();
    let (method, params) = match form {
        Form::Task(data) => (
            dialect.method(Operation::SendMessage),
            Value::Object(task_of(data, dialect, task, &own_id, at)),
        ),
        Form::Message { context_id } => {
            let send = message_of(context_id.clone(), task, own_id);
            dialect.encode_request(&Request::SendMessage(Box::new(send)))
        }
    };
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    // A JSON value always serializes.
    serde_json::to_vec(&call).unwrap_or_default().into()
}

/// The code of the JSON-RPC error that an answer is; none if it is none.
pub(super) fn error_of(answer: &[u8]) -> Option<i64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer.get("error")?.get("code")?.as_i64()
}

/// The requester's data with the artifacts, as python_a2a makes a task of them: `submitted`, or, which is the sidecar's
/// addition, how the task ended otherwise.
fn task_of(data: &Object, dialect: Dialect, task: &Task, own_id: &str, at: Millis) -> Object {
    let mut out = data.clone();
    for (python, wire) in [("session_id", "sessionId")] {
        if let Some(value) = out.remove(python) {
            out.insert(wire.to_owned(), value);
        }
    }
    for name in ["id", "sessionId"] {
        if out.get(name).is_none_or(Value::is_null) {
            out.insert(name.to_owned(), Value::from(own_id));
        }
    }
    let state = match task.status.state {
        TaskState::Completed => "submitted",
        TaskState::Canceled => "canceled",
        _ => "failed",
    };
    let mut status = json!({ "state": state });
    if let Ok(at) = jiff::Timestamp::from_millisecond(at) {
        // Without a zone, as the library writes it.
        status["timestamp"] = Value::from(at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string());
    }
    out.insert("status".to_owned(), status);
    // As a send would be answered: there always is an artifact, if need be one that says how the task ended.
    let answer = Answer::Task(task.clone());
    let mut answer = dialect.encode_answer(Operation::SendMessage, &answer);
    let artifacts = answer.get_mut("artifacts").map(Value::take);
    let artifacts = artifacts.unwrap_or_else(|| json!([]));
    out.insert("artifacts".to_owned(), artifacts);
    out
}

fn message_of(context_id: Option<String>, task: &Task, message_id: String) -> SendMessageRequest {
    let about = json!({
        "taskId": task.id,
        "contextId": task.context_id,
        "state": task.status.state,
    });
    SendMessageRequest {
        message: Message {
            message_id,
            context_id,
            // Whoever calls an agent is its user, whatever it is itself.
            role: Role::User,
            parts: outcome(task),
            reference_task_ids: vec![task.id.clone()],
            extensions: vec![EXTENSION.to_owned()],
            metadata: Some(Box::new(Object::from_iter([(EXTENSION.to_owned(), about)]))),
            ..Message::default()
        },
        configuration: Some(SendConfiguration {
            // The receiver is told something; what it makes of it is not waited for.
            return_immediately: Some(true),
            ..SendConfiguration::default()
        }),
        ..SendMessageRequest::default()
    }
}

/// What came of the task: what was said at its end where that is all there is, or where it did not complete, and the
/// parts of all artifacts.
fn outcome(task: &Task) -> Vec<Part> {
    let mut parts = Vec::new();
    let completed = task.status.state == TaskState::Completed;
    if let Some(said) = &task.status.message
        && (!completed || task.artifacts.is_empty())
    {
        parts.extend(said.parts.iter().cloned());
    }
    parts.extend(
        task.artifacts
            .iter()
            .flat_map(|artifact| artifact.parts.iter().cloned()),
    );
    if parts.is_empty() {
        // A message needs a part.
        parts.push(Part {
            content: PartContent::Text(format!(
                "Task {} has ended: {}.",
                task.id,
                task.status.state.name()
            )),
            ..Part::default()
        });
    }
    parts
}

/// Sixteen bytes for the id of what is sent, made of the delivery's.
fn digest(id: &str) -> [u8; 16] {
    use sha2::{Digest, Sha256};
    let mut bytes = [0; 16];
    let hash = Sha256::digest(id.as_bytes());
    bytes.copy_from_slice(&hash[..16]);
    // The marks of a UUID that is made of other data (RFC 9562 §5.8), for receivers that look.
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .into_bytes()
}

#[cfg(test)]
#[path = "callback_tests.rs"]
mod tests;
