//! From the JSON of 0.x to that of 1.0, in place. Total: what has an unexpected form stays as it is, for the
//! canonical model to refuse or to keep; what already is 1.0 stays as it is too.

use serde_json::Value;

use super::{DATA_PART_COMPAT, KEPT, UNKNOWN_PART};
use crate::a2a::dialect::kept;
use crate::a2a::dialect::shape::Shape;
use crate::a2a::dialect::walk::objects;
use crate::a2a::{Object, TaskState};

/// The parameters of a send.
pub fn send(params: &mut Object) {
    if let Some(Value::Object(object)) = params.get_mut("message") {
        message(object);
    }
    if let Some(Value::Object(configuration)) = params.get_mut("configuration") {
        if let Some(Value::Bool(blocking)) = configuration.remove("blocking") {
            configuration.insert("returnImmediately".to_owned(), Value::Bool(!blocking));
        }
        if let Some(config) = configuration.remove("pushNotificationConfig") {
            configuration.insert("taskPushNotificationConfig".to_owned(), config);
        }
    }
}

/// The list of tasks.
pub fn tasks(mut object: Object) -> Object {
    if let Some(Value::Array(tasks)) = object.get_mut("tasks") {
        for task in tasks.iter_mut().filter_map(Value::as_object_mut) {
            shape(Shape::Task, task);
        }
    }
    object
}

/// An object of this shape.
pub fn shape(shape: Shape, object: &mut Object) {
    match shape {
        Shape::Task => task(object),
        Shape::Message => message(object),
        Shape::StatusUpdate => {
            drop_kind(object, shape.kind());
            object.remove("final");
            status_of(object);
        }
        Shape::ArtifactUpdate => {
            drop_kind(object, shape.kind());
            if let Some(Value::Object(artifact)) = object.get_mut("artifact") {
                parts_of(artifact);
            }
        }
    }
}

fn task(object: &mut Object) {
    drop_kind(object, Shape::Task.kind());
    status_of(object);
    for artifact in objects(object, "artifacts") {
        parts_of(artifact);
    }
    for turn in objects(object, "history") {
        message(turn);
    }
}

fn message(object: &mut Object) {
    drop_kind(object, Shape::Message.kind());
    raise_role(object);
    parts_of(object);
}

/// Gives a message's role its canonical name.
pub fn raise_role(message: &mut Object) {
    if let Some(Value::String(role)) = message.get_mut("role") {
        match role.as_str() {
            "user" => *role = "ROLE_USER".to_owned(),
            "agent" => *role = "ROLE_AGENT".to_owned(),
            _ => {}
        }
    }
}

/// Gives the state of a status its canonical name.
pub fn raise_state(status: &mut Object) {
    if let Some(Value::String(name)) = status.get_mut("state")
        && let Some(state) = state(name)
    {
        *name = state.name().to_owned();
    }
}

fn status_of(object: &mut Object) {
    let Some(Value::Object(status)) = object.get_mut("status") else {
        return;
    };
    raise_state(status);
    if let Some(Value::Object(object)) = status.get_mut("message") {
        message(object);
    }
}

/// Reads a 0.x name; the spellings of the proto's generators are accepted.
pub fn state(name: &str) -> Option<TaskState> {
    Some(match name {
        "submitted" => TaskState::Submitted,
        // The second is python_a2a's.
        "working" | "waiting" => TaskState::Working,
        "completed" => TaskState::Completed,
        "failed" => TaskState::Failed,
        "canceled" | "cancelled" => TaskState::Canceled,
        "input-required" | "input_required" => TaskState::InputRequired,
        "rejected" => TaskState::Rejected,
        "auth-required" | "auth_required" => TaskState::AuthRequired,
        "unknown" => TaskState::Unspecified,
        _ => return None,
    })
}

/// Every part of a message or an artifact.
pub fn parts_of(object: &mut Object) {
    for part in objects(object, "parts") {
        self::part(part);
    }
}

fn part(part: &mut Object) {
    let is_file = matches!(
        part.get("kind").and_then(Value::as_str),
        None | Some("file")
    );
    if is_file && let Some(Value::Object(mut file)) = part.remove("file") {
        // Bytes before a link, as the part has room for one; the link stays in `file`.
        let content = [("bytes", "raw"), ("uri", "url")]
            .into_iter()
            .find(|(name, _)| file.get(*name).is_some_and(Value::is_string));
        if let Some((name, content)) = content {
            move_member(&mut file, name, part, content);
            move_member(&mut file, "name", part, "filename");
            move_member(&mut file, "mimeType", part, "mediaType");
            file.retain(|_, value| !value.is_null());
        }
        if !file.is_empty() {
            part.insert("file".to_owned(), Value::Object(file));
        }
    }
    drop_content_kind(part);
    let kept = kept::take(part, KEPT);
    let compat = take_compat(part);
    restore(part, kept, compat);
}

/// Takes the mark of data that is no object out, and metadata that holds nothing else with it.
fn take_compat(part: &mut Object) -> bool {
    let Some(Value::Object(metadata)) = part.get_mut("metadata") else {
        return false;
    };
    if metadata.get(DATA_PART_COMPAT) != Some(&Value::Bool(true)) {
        return false;
    }
    metadata.remove(DATA_PART_COMPAT);
    if metadata.is_empty() {
        part.remove("metadata");
    }
    true
}

/// Gives a part back what [`super::down`] has put into its metadata.
fn restore(part: &mut Object, mut kept: Object, compat: bool) {
    if compat && let Some(Value::Object(data)) = part.get_mut("data") {
        // Only the wrapper's own form; anything else is the sender's data.
        if data.len() == 1
            && let Some(value) = data.remove("value")
        {
            part.insert("data".to_owned(), value);
        }
    }
    if kept.remove(UNKNOWN_PART).is_some()
        && let Some(Value::Object(members)) = part.remove("data")
    {
        part.extend(members);
    }
    kept::restore(part, kept);
}

/// Drops the `kind` of a part whose content says the same.
fn drop_content_kind(part: &mut Object) {
    let implied = match part.get("kind").and_then(Value::as_str) {
        Some("text") => part.get("text").is_some_and(Value::is_string),
        Some("file") => ["raw", "url"]
            .into_iter()
            .any(|name| part.get(name).is_some_and(Value::is_string)),
        Some("data") => part.contains_key("data"),
        _ => false,
    };
    if implied {
        part.remove("kind");
    }
}

fn drop_kind(object: &mut Object, kind: &str) {
    if object.get("kind").and_then(Value::as_str) == Some(kind) {
        object.remove("kind");
    }
}

/// Moves a member that is a string, unless its place is taken.
fn move_member(from: &mut Object, name: &str, to: &mut Object, new_name: &str) {
    if from.get(name).is_some_and(Value::is_string)
        && !to.contains_key(new_name)
        && let Some(value) = from.remove(name)
    {
        to.insert(new_name.to_owned(), value);
    }
}
