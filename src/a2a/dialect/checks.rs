//! What a request must have (specification §3.1): looked for before it is read, so that the answer can say which
//! member is missing. Values of the wrong form are found by the reading itself.

use serde_json::Value;

use crate::a2a::fields::{self, Fault, Model as _};
use crate::a2a::request::{GetTaskRequest, SendMessageRequest};
use crate::a2a::{Object, PushConfig};

const REQUIRED: &str = "is required";
const EMPTY: &str = "must not be empty";

/// Where the versions differ in what a message must have.
pub(super) struct Rules {
    /// The names of the roles.
    roles: &'static [&'static str],
    /// What to say of another role.
    role_problem: &'static str,
    /// Whether a message must have at least one part: in 1.0 an empty list is an absent one.
    parts_not_empty: bool,
}

pub(super) const V1_0: Rules = Rules {
    roles: &["ROLE_USER", "ROLE_AGENT"],
    role_problem: "must be ROLE_USER or ROLE_AGENT",
    parts_not_empty: true,
};

/// Lenient on the role's spelling: some 0.x clients are generated from the proto.
pub(super) const V0: Rules = Rules {
    roles: &["user", "agent", "ROLE_USER", "ROLE_AGENT"],
    role_problem: "must be user or agent",
    parts_not_empty: false,
};

/// 0.3's roles, 1.0's parts.
pub(super) const PRAISONAI: Rules = Rules {
    parts_not_empty: true,
    ..V0
};

/// The message of a send.
pub(super) fn message(params: &Object, rules: &Rules) -> Result<(), Fault> {
    let message = match params.get("message") {
        None | Some(Value::Null) => return Err(Fault::new("message", REQUIRED)),
        Some(Value::Object(message)) => message,
        Some(_) => return Err(Fault::new("message", "must be an object")),
    };
    let id = message
        .get("messageId")
        .or_else(|| message.get("message_id"));
    text(id, "message.messageId")?;
    match message.get("role") {
        None | Some(Value::Null) => return Err(Fault::new("message.role", REQUIRED)),
        Some(Value::String(role)) if rules.roles.contains(&role.as_str()) => {}
        Some(Value::Number(number)) if matches!(number.as_u64(), Some(1 | 2)) => {}
        Some(_) => return Err(Fault::new("message.role", rules.role_problem)),
    }
    match message.get("parts") {
        None | Some(Value::Null) => Err(Fault::new("message.parts", REQUIRED)),
        Some(Value::Array(parts)) if parts.is_empty() && rules.parts_not_empty => {
            Err(Fault::new("message.parts", "must have at least one part"))
        }
        Some(Value::Array(_)) => Ok(()),
        Some(_) => Err(Fault::new("message.parts", "must be an array")),
    }
}

/// A webhook inside a send must have a URL; `path` is its name in the version.
pub(super) fn inline_config(send: &SendMessageRequest, path: &str) -> Result<(), Fault> {
    let config = send
        .configuration
        .as_ref()
        .and_then(|configuration| configuration.task_push_notification_config.as_ref());
    match config {
        Some(config) if config.url.is_empty() => Err(Fault::new(path, REQUIRED)),
        _ => Ok(()),
    }
}

/// A string that must be there and not be empty.
fn text(value: Option<&Value>, path: &str) -> Result<(), Fault> {
    match value {
        None | Some(Value::Null) => Err(Fault::new(path, REQUIRED)),
        Some(Value::String(text)) if text.is_empty() => Err(Fault::new(path, EMPTY)),
        Some(Value::String(_)) => Ok(()),
        Some(_) => Err(Fault::new(path, "must be a string")),
    }
}

/// Takes an id that must be there.
pub(super) fn take_id(params: &mut Object, name: &str, alias: &str) -> Result<String, Fault> {
    match fields::string(params, name, alias)? {
        None => Err(Fault::new(name, REQUIRED)),
        Some(id) if id.is_empty() => Err(Fault::new(name, EMPTY)),
        Some(id) => Ok(id),
    }
}

/// A registration must name its task and its URL; the names are those that the requester knows.
pub(super) fn config(config: PushConfig, task: &str, url: &str) -> Result<PushConfig, Fault> {
    if config.task_id.is_empty() {
        return Err(Fault::new(task, REQUIRED));
    }
    if config.url.is_empty() {
        return Err(Fault::new(url, REQUIRED));
    }
    Ok(config)
}

/// A read of a task must name it.
pub(super) fn get_task(params: Object) -> Result<GetTaskRequest, Fault> {
    let get = GetTaskRequest::from_object(params)?;
    if get.id.is_empty() {
        return Err(Fault::new("id", EMPTY));
    }
    Ok(get)
}
