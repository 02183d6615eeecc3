//! From canonical JSON to that of `python_a2a`, in place. What it has no place for is kept as the table in [`super`] says.

use serde_json::Value;

use super::{FORM, FORM_CONTENT, FORM_RAW, FORM_TEXT, FORM_VALUE, MARK, ROLE};
use crate::a2a::dialect::v0_1::{self, down::rename, made};
use crate::a2a::dialect::walk::{self, objects};
use crate::a2a::dialect::{kept, v0};
use crate::a2a::{Object, TaskState};

/// A send: the task that it begins. `id`: its own.
pub(super) fn send(params: &mut Object, id: String) {
    params.remove("configuration");
    let mut session = None;
    if let Some(value) = params.get_mut("message") {
        session = value
            .as_object_mut()
            .and_then(|message| message.remove("contextId"));
        message(value, "user");
    }
    params.insert("id".to_owned(), Value::String(id));
    if let Some(session) = session {
        params.insert("sessionId".to_owned(), session);
    }
}

/// A task.
pub(super) fn task(object: &mut Object) {
    v0_1::down::session_id(object);
    status_of(object);
    for (place, artifact) in (0..).zip(objects(object, "artifacts")) {
        v0_1::down::parts_of(artifact);
        if artifact.get("artifactId").and_then(Value::as_str)
            == Some(made::artifact_id(place).as_str())
        {
            artifact.remove("artifactId");
        }
    }
    let Some(Value::Array(mut turns)) = object.remove("history") else {
        return;
    };
    let asked = turns
        .first()
        .is_some_and(|first| first.get("role").and_then(Value::as_str) == Some("ROLE_USER"));
    for turn in &mut turns {
        message(turn, "agent");
    }
    if asked {
        object.insert("message".to_owned(), turns.remove(0));
    }
    if !turns.is_empty() {
        object.insert("history".to_owned(), Value::Array(turns));
    }
}

/// A message, in the form that its mark says, or else in parts; `speaker` is the role of one that names none.
pub(super) fn message(value: &mut Value, speaker: &str) {
    let Value::Object(object) = value else {
        return;
    };
    let mark = kept::take(object, MARK);
    let form = mark.get(FORM).and_then(Value::as_str).unwrap_or_default();
    if form == FORM_VALUE
        && let Some(data) = only_part(object).and_then(|part| part.get("data"))
    {
        *value = data.clone();
        return;
    }
    let role = v0::down::role_name(object, speaker);
    match mark.get(ROLE) {
        Some(Value::Null) => {
            object.remove("role");
        }
        Some(role) => {
            object.insert("role".to_owned(), role.clone());
        }
        None => {
            object.insert("role".to_owned(), Value::from(role));
        }
    }
    let content = match form {
        FORM_TEXT => only_part(object)
            .filter(|part| part.len() == 1)
            .and_then(|part| part.get("text"))
            .cloned(),
        FORM_RAW => only_part(object)
            .filter(|part| part.len() == 1)
            .and_then(|part| part.get("data"))
            .cloned(),
        _ => None,
    };
    let content = content.or_else(|| {
        v0_1::down::parts_of(object);
        (form == FORM_CONTENT)
            .then(|| only_part(object).cloned().map(own_part))
            .flatten()
    });
    let id = object.remove("messageId");
    let own_form = content.is_some();
    if let Some(content) = content {
        object.remove("parts");
        object.insert("content".to_owned(), content);
    }
    let Some(id) = id.filter(|id| {
        !id.as_str()
            .is_some_and(|id| made::is_message_id(id, object))
    }) else {
        return;
    };
    if own_form {
        object.insert("message_id".to_owned(), id);
    } else if let Value::Object(metadata) = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Object::new()))
    {
        metadata.insert("message_id".to_owned(), id);
    }
}

/// A part as the library's own content: what it writes as data for others has a type of its own there.
fn own_part(mut part: Object) -> Value {
    if let Some(Value::Object(data)) = part.get("data")
        && data.len() == 1
        && let Some((name, inner)) = data.iter().next()
    {
        match (name.as_str(), inner) {
            (kind @ ("function_call" | "function_response"), Value::Object(inner)) => {
                let mut content = inner.clone();
                content.insert("type".to_owned(), Value::from(kind));
                return Value::Object(content);
            }
            ("error", message @ Value::String(_)) => {
                let mut content = Object::new();
                content.insert("message".to_owned(), message.clone());
                content.insert("type".to_owned(), Value::from("error"));
                return Value::Object(content);
            }
            _ => {}
        }
    }
    // An unknown type was carried as it was.
    if !part.contains_key("type") {
        rename(&mut part, "kind", "type");
    }
    Value::Object(part)
}

fn only_part(object: &Object) -> Option<&Object> {
    match object.get("parts")?.as_array()?.as_slice() {
        [Value::Object(part)] => Some(part),
        _ => None,
    }
}

fn status_of(object: &mut Object) {
    let Some((status, state)) = walk::lower_state(object, state_name) else {
        return;
    };
    if let Some(value) = status.get_mut("message") {
        message(value, "agent");
    }
    v0_1::down::say_state(status, state);
}

/// The name among the library's seven: anything else makes its client take the task for completed.
pub(super) fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Working => "waiting",
        TaskState::Rejected => "failed",
        TaskState::AuthRequired => "input-required",
        other => v0::down::state_name(other),
    }
}
