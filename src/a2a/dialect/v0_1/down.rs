//! From canonical JSON to that of 0.1, in place. What 0.1 has no place for is kept as the table in [`super`] says.

use serde_json::{Value, json};

use super::{MADE, STATE, made};
use crate::a2a::dialect::kept;
use crate::a2a::dialect::v0::{self, KEPT};
use crate::a2a::dialect::walk::{self, objects};
use crate::a2a::{Artifact, Object, TaskState};

/// What is told with a state that 0.1 has no name for, where the worker says nothing itself.
fn words(state: TaskState) -> Option<&'static str> {
    match state {
        TaskState::Rejected => Some("The agent has rejected the task."),
        TaskState::AuthRequired => Some("The agent needs authentication to go on with the task."),
        _ => None,
    }
}

/// The parameters of a send. `id`: the task's.
pub(super) fn send(params: &mut Object, id: String) {
    let mut session = None;
    if let Some(Value::Object(object)) = params.get_mut("message") {
        session = object.remove("contextId");
        message(object, "user");
    }
    let mut rest = Object::new();
    if let Some(Value::Object(mut configuration)) = params.remove("configuration") {
        if let Some(mut config) = configuration.remove("taskPushNotificationConfig") {
            if let Value::Object(config) = &mut config {
                v0::down::config(config);
            }
            params.insert("pushNotification".to_owned(), config);
        }
        if let Some(length) = configuration.remove("historyLength") {
            // 0 says in 0.1 what an absent one says.
            if length == 0 {
                configuration.insert("historyLength".to_owned(), length);
            } else {
                params.insert("historyLength".to_owned(), length);
            }
        }
        if !configuration.is_empty() {
            rest.insert("configuration".to_owned(), Value::Object(configuration));
        }
    }
    kept::keep(params, KEPT, rest);
    params.insert("id".to_owned(), Value::String(id));
    if let Some(session) = session {
        params.insert("sessionId".to_owned(), session);
    }
}

/// A task; `artifacts` are those in it.
pub(super) fn task(object: &mut Object, artifacts: &[Artifact]) {
    session_id(object);
    status_of(object);
    for (artifact, index) in objects(object, "artifacts").zip(made::indices(artifacts)) {
        self::artifact(artifact, index);
    }
    for turn in objects(object, "history") {
        message(turn, "agent");
    }
}

/// An update of the status.
pub(super) fn status_update(object: &mut Object, last: bool) {
    status_of(object);
    kept::move_kept(object, &["contextId"]);
    rename(object, "taskId", "id");
    object.insert("final".to_owned(), Value::Bool(last));
}

/// An update of an artifact, whose index in the task is this.
pub(super) fn artifact_update(object: &mut Object, index: u64) {
    let flags = [object.remove("append"), object.remove("lastChunk")];
    if let Some(Value::Object(artifact)) = object.get_mut("artifact") {
        self::artifact(artifact, index);
        for (name, flag) in ["append", "lastChunk"].into_iter().zip(flags) {
            artifact.insert(name.to_owned(), flag.unwrap_or(Value::Bool(false)));
        }
    }
    kept::move_kept(object, &["contextId"]);
    rename(object, "taskId", "id");
}

/// A message; `speaker` is the role of one that names none.
pub(in crate::a2a::dialect) fn message(object: &mut Object, speaker: &str) {
    let role = v0::down::role_name(object, speaker);
    object.insert("role".to_owned(), Value::from(role));
    parts_of(object);
    kept::move_kept(
        object,
        &["taskId", "contextId", "extensions", "referenceTaskIds"],
    );
    if let Some(id) = object.remove("messageId")
        && !id
            .as_str()
            .is_some_and(|id| made::is_message_id(id, object))
    {
        kept::keep_one(object, "messageId", id);
    }
}

fn status_of(object: &mut Object) {
    let Some((status, state)) = walk::lower_state(object, state_name) else {
        return;
    };
    if let Some(Value::Object(object)) = status.get_mut("message") {
        message(object, "agent");
    }
    say_state(status, state);
}

/// Says in the status' message, and keeps in its metadata, a state that has no name.
pub(in crate::a2a::dialect) fn say_state(status: &mut Object, state: TaskState) {
    let Some(words) = words(state) else {
        return;
    };
    let mut members = Object::new();
    members.insert(STATE.to_owned(), Value::from(state.name()));
    if !status.get("message").is_some_and(Value::is_object) {
        members.insert(MADE.to_owned(), Value::Bool(true));
        status.insert(
            "message".to_owned(),
            json!({ "role": "agent", "parts": [{ "type": "text", "text": words }] }),
        );
    }
    if let Some(Value::Object(message)) = status.get_mut("message") {
        kept::keep(message, KEPT, members);
    }
}

/// The name in 0.1.
fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Rejected => "failed",
        TaskState::AuthRequired => "input-required",
        other => v0::down::state_name(other),
    }
}

fn artifact(object: &mut Object, index: u64) {
    parts_of(object);
    kept::move_kept(object, &["extensions"]);
    if let Some(id) = object.remove("artifactId")
        && id != made::artifact_id(index).as_str()
    {
        kept::keep_one(object, "artifactId", id);
    }
    object.insert("index".to_owned(), Value::from(index));
}

/// The parts of 0.2, but for the name of the member that tells them apart.
pub(in crate::a2a::dialect) fn parts_of(object: &mut Object) {
    v0::down::parts_of(object);
    for part in objects(object, "parts") {
        rename(part, "kind", "type");
    }
}

/// `contextId` is called `sessionId`.
pub(in crate::a2a::dialect) fn session_id(object: &mut Object) {
    rename(object, "contextId", "sessionId");
}

pub(in crate::a2a::dialect) fn rename(object: &mut Object, name: &str, new: &str) {
    if let Some(value) = object.remove(name) {
        object.insert(new.to_owned(), value);
    }
}
