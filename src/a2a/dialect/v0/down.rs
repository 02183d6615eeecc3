//! From canonical JSON to that of 0.x, in place. What 0.x has no place for is kept as the table in [`super`] says.

use serde_json::{Value, json};

use super::{DATA_PART_COMPAT, KEPT, UNKNOWN_PART};
use crate::a2a::dialect::shape::Shape;
use crate::a2a::dialect::walk::{self, objects};
use crate::a2a::{Object, TaskState};

/// The parameters of a send.
pub fn send(params: &mut Object) {
    if let Some(Value::Object(object)) = params.get_mut("message") {
        message(object, "user");
    }
    if let Some(Value::Object(configuration)) = params.get_mut("configuration") {
        if let Some(Value::Bool(immediately)) = configuration.remove("returnImmediately") {
            configuration.insert("blocking".to_owned(), Value::Bool(!immediately));
        }
        if let Some(mut config) = configuration.remove("taskPushNotificationConfig") {
            if let Value::Object(config) = &mut config {
                self::config(config);
            }
            configuration.insert("pushNotificationConfig".to_owned(), config);
        }
        // Required in 0.2, and the 0.3 SDKs always write it.
        configuration
            .entry("acceptedOutputModes")
            .or_insert_with(|| json!([]));
    }
}

/// The registration of a webhook: the flat form becomes `{taskId, pushNotificationConfig}`.
pub fn task_config(flat: Value) -> Value {
    let Value::Object(mut inner) = flat else {
        return flat;
    };
    let task = inner.remove("taskId").unwrap_or_else(|| json!(""));
    config(&mut inner);
    json!({ "taskId": task, "pushNotificationConfig": inner })
}

/// A registration, flat or not.
pub fn config(config: &mut Object) {
    if let Some(Value::Object(authentication)) = config.get_mut("authentication") {
        let scheme = authentication.remove("scheme");
        authentication
            .entry("schemes")
            .or_insert_with(|| Value::Array(scheme.into_iter().collect()));
    }
}

/// An object of this shape.
pub fn value(shape: Shape, mut value: Value) -> Value {
    if let Value::Object(object) = &mut value {
        self::shape(shape, object);
    }
    value
}

/// An object of this shape.
pub fn shape(shape: Shape, object: &mut Object) {
    match shape {
        Shape::Task => {
            status_of(object);
            for artifact in objects(object, "artifacts") {
                parts_of(artifact);
            }
            for turn in objects(object, "history") {
                message(turn, "agent");
            }
        }
        Shape::Message => return message(object, "agent"),
        Shape::StatusUpdate => status_of(object),
        Shape::ArtifactUpdate => {
            if let Some(Value::Object(artifact)) = object.get_mut("artifact") {
                parts_of(artifact);
            }
            // Proto JSON leaves `false` out; 0.x clients expect it.
            object.entry("append").or_insert(Value::Bool(false));
        }
    }
    // Required in 0.x, where a worker may not have given one.
    object.entry("contextId").or_insert_with(|| json!(""));
    object.insert("kind".to_owned(), Value::from(shape.kind()));
}

/// `speaker`: the role of a message that names none, which 0.x clients refuse.
fn message(object: &mut Object, speaker: &str) {
    let role = role_name(object, speaker);
    object.insert("role".to_owned(), Value::from(role));
    object.insert("kind".to_owned(), Value::from(Shape::Message.kind()));
    parts_of(object);
}

/// A message's role by its name in 0.x. `speaker`: that of one which names none.
pub(in crate::a2a::dialect) fn role_name<'a>(message: &Object, speaker: &'a str) -> &'a str {
    match message.get("role").and_then(Value::as_str) {
        Some("ROLE_USER") => "user",
        Some("ROLE_AGENT") => "agent",
        _ => speaker,
    }
}

fn status_of(object: &mut Object) {
    let Some((status, _)) = walk::lower_state(object, state_name) else {
        return;
    };
    if let Some(Value::Object(object)) = status.get_mut("message") {
        message(object, "agent");
    }
}

/// The name in 0.x.
pub(in crate::a2a::dialect) fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "unknown",
        TaskState::Submitted => "submitted",
        TaskState::Working => "working",
        TaskState::Completed => "completed",
        TaskState::Failed => "failed",
        TaskState::Canceled => "canceled",
        TaskState::InputRequired => "input-required",
        TaskState::Rejected => "rejected",
        TaskState::AuthRequired => "auth-required",
    }
}

/// Every part of a message or an artifact.
pub fn parts_of(object: &mut Object) {
    for part in objects(object, "parts") {
        self::part(part);
    }
}

pub fn part(part: &mut Object) {
    let is_text = |name: &str| part.get(name).is_some_and(Value::is_string);
    if is_text("text") {
        set_kind(part, "text");
        keep_names(part);
    } else if is_text("raw") {
        file(part, "raw", "bytes");
    } else if is_text("url") {
        file(part, "url", "uri");
    } else if let Some(data) = part.get_mut("data") {
        if !data.is_object() {
            *data = json!({ "value": data.take() });
            set_metadata(part, DATA_PART_COMPAT, Value::Bool(true));
        }
        set_kind(part, "data");
        keep_names(part);
    } else if !part.contains_key("kind") {
        unknown(part);
    }
}

/// A part of bytes or of a link to them.
fn file(part: &mut Object, content: &str, name: &str) {
    // What an 0.x worker's `file` had beyond the known members.
    let mut file = match part.remove("file") {
        Some(Value::Object(file)) => file,
        _ => Object::new(),
    };
    for (member, name) in [
        (content, name),
        ("filename", "name"),
        ("mediaType", "mimeType"),
    ] {
        if let Some(value) = part.remove(member) {
            file.insert(name.to_owned(), value);
        }
    }
    part.insert("file".to_owned(), Value::Object(file));
    set_kind(part, "file");
}

/// A part whose content this model does not know, from a 1.0 worker: its members travel as data, since 0.x
/// clients refuse a message that has a part without `kind`.
pub fn unknown(part: &mut Object) {
    let metadata = part.remove("metadata");
    let mut kept = Object::new();
    for name in ["filename", "mediaType"] {
        if let Some(value) = part.remove(name) {
            kept.insert(name.to_owned(), value);
        }
    }
    kept.insert(UNKNOWN_PART.to_owned(), Value::Bool(true));
    let members = std::mem::take(part);
    part.insert("kind".to_owned(), Value::from("data"));
    part.insert("data".to_owned(), Value::Object(members));
    if let Some(metadata) = metadata {
        part.insert("metadata".to_owned(), metadata);
    }
    set_metadata(part, KEPT, Value::Object(kept));
}

/// Moves the members that only a file has in 0.x into the metadata.
fn keep_names(part: &mut Object) {
    let mut kept = Object::new();
    for name in ["filename", "mediaType"] {
        if let Some(value) = part.remove(name) {
            kept.insert(name.to_owned(), value);
        }
    }
    if !kept.is_empty() {
        set_metadata(part, KEPT, Value::Object(kept));
    }
}

fn set_kind(part: &mut Object, kind: &str) {
    part.insert("kind".to_owned(), Value::from(kind));
}

fn set_metadata(part: &mut Object, name: &str, value: Value) {
    let metadata = part
        .entry("metadata")
        .or_insert_with(|| Value::Object(Object::new()));
    if let Value::Object(metadata) = metadata {
        metadata.insert(name.to_owned(), value);
    }
}
