//! From the JSON of 0.1 to that of 1.0, in place. Total: what has an unexpected form stays as it is, for the canonical
//! model to refuse or to keep.

use std::collections::HashMap;

use serde_json::Value;

use super::down::rename;
use super::{MADE, STATE, made};
use crate::a2a::dialect::kept;
use crate::a2a::dialect::v0::{self, KEPT};
use crate::a2a::dialect::walk::objects;
use crate::a2a::{Object, TaskState};

/// The parameters of a send. Gives the task's id where the requester has chosen one.
pub(super) fn send(params: &mut Object) -> Option<String> {
    let mut own = take_id(params);
    let session = params.remove("sessionId");
    if let Some(Value::Object(object)) = params.get_mut("message") {
        request_message(object);
        match object.get("taskId").and_then(Value::as_str) {
            // It is an existing task's, and was put where 0.1 has its place.
            Some(task) if own.as_deref() == Some(task) => own = None,
            _ => {}
        }
        if let Some(session) = session {
            object.entry("contextId").or_insert(session);
        }
    }
    let mut configuration = match kept::take(params, KEPT).remove("configuration") {
        Some(Value::Object(configuration)) => Some(configuration),
        _ => None,
    };
    if let Some(config) = params.remove("pushNotification") {
        configuration
            .get_or_insert_default()
            .insert("taskPushNotificationConfig".to_owned(), config);
    }
    if let Some(length) = asked_history(params) {
        configuration
            .get_or_insert_default()
            .insert("historyLength".to_owned(), length);
    }
    if let Some(configuration) = configuration {
        params.insert("configuration".to_owned(), Value::Object(configuration));
    }
    own
}

/// Takes the length of the history, where one is asked for: 0 says in 0.1 what an absent one says.
pub(in crate::a2a::dialect) fn asked_history(params: &mut Object) -> Option<Value> {
    params
        .remove("historyLength")
        .filter(|length| *length != 0 && !length.is_null())
}

/// Takes the task's id; requesters write it as a string, some as a number.
pub(in crate::a2a::dialect) fn take_id(params: &mut Object) -> Option<String> {
    match params.get("id") {
        Some(Value::String(_)) => match params.remove("id") {
            Some(Value::String(id)) if !id.is_empty() => Some(id),
            _ => None,
        },
        Some(Value::Number(number)) => {
            let id = number.to_string();
            params.remove("id");
            Some(id)
        }
        Some(Value::Null) => {
            params.remove("id");
            None
        }
        _ => None,
    }
}

/// A task.
pub(super) fn task(object: &mut Object) {
    rename(object, "sessionId", "contextId");
    status_of(object);
    artifacts_of(object);
    history_of(object);
}

/// An update of the status.
pub(super) fn status_update(object: &mut Object) {
    let kept = kept::take(object, KEPT);
    kept::restore(object, kept);
    rename(object, "id", "taskId");
    rename(object, "sessionId", "contextId");
    object.remove("final");
    status_of(object);
}

/// An update of an artifact: what is said inside the artifact belongs to the update.
pub(super) fn artifact_update(object: &mut Object) {
    let kept = kept::take(object, KEPT);
    kept::restore(object, kept);
    rename(object, "id", "taskId");
    rename(object, "sessionId", "contextId");
    let Some(Value::Object(artifact)) = object.get_mut("artifact") else {
        return;
    };
    let flags = [artifact.remove("append"), artifact.remove("lastChunk")];
    self::artifact(artifact, 0);
    for (name, flag) in ["append", "lastChunk"].into_iter().zip(flags) {
        if let Some(flag) = flag {
            object.entry(name).or_insert(flag);
        }
    }
}

/// A message of a requester: its id is as new as the message.
fn request_message(object: &mut Object) {
    read_message(object, |_| uuid::Uuid::new_v4().to_string());
}

/// A message of a worker: its id follows from its content. `seen` counts the messages of the list by their ids.
fn worker_message(object: &mut Object, seen: &mut HashMap<String, usize>) {
    read_message(object, |content| {
        let id = made::message_id(content, 0);
        let nth = seen.entry(id.clone()).or_default();
        *nth += 1;
        match *nth - 1 {
            0 => id,
            nth => made::message_id(content, nth),
        }
    });
}

fn read_message(object: &mut Object, id: impl FnOnce(&Object) -> String) {
    let kept = {
        // The content alone: what was kept in it is not said twice.
        let kept = kept::take(object, KEPT);
        if !kept.contains_key("messageId")
            && !object.contains_key("messageId")
            && object.contains_key("parts")
        {
            let mut content = object.clone();
            let others: Object = kept
                .iter()
                .filter(|(name, _)| name.as_str() != MADE && name.as_str() != STATE)
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            kept::keep(&mut content, KEPT, others);
            let id = id(&content);
            object.insert("messageId".to_owned(), Value::String(id));
        }
        kept
    };
    v0::up::raise_role(object);
    parts_of(object);
    kept::restore(object, kept);
}

fn status_of(object: &mut Object) {
    let Some(Value::Object(status)) = object.get_mut("status") else {
        return;
    };
    v0::up::raise_state(status);
    heard_state(status);
    if let Some(Value::Object(object)) = status.get_mut("message") {
        worker_message(object, &mut HashMap::new());
    }
}

/// The state that [`super::down::say_state`] has put into words.
pub(in crate::a2a::dialect) fn heard_state(status: &mut Object) {
    let Some(Value::Object(message)) = status.get_mut("message") else {
        return;
    };
    let mut kept = kept::take(message, KEPT);
    if let Some(Value::String(name)) = kept.remove(STATE) {
        let state = TaskState::from_name(&name);
        if state != TaskState::Unspecified {
            status.insert("state".to_owned(), Value::from(state.name()));
        }
    }
    if kept.remove(MADE).is_some() {
        status.remove("message");
    } else if let Some(Value::Object(message)) = status.get_mut("message") {
        kept::keep(message, KEPT, kept);
    }
}

fn artifacts_of(object: &mut Object) {
    for (place, artifact) in (0..).zip(objects(object, "artifacts")) {
        // In a snapshot they say nothing that is not over.
        artifact.remove("append");
        artifact.remove("lastChunk");
        self::artifact(artifact, place);
    }
}

/// `place`: its index where it does not say one.
fn artifact(object: &mut Object, place: u64) {
    let index = object.remove("index").and_then(|index| index.as_u64());
    let kept = kept::take(object, KEPT);
    kept::restore(object, kept);
    object
        .entry("artifactId")
        .or_insert_with(|| Value::String(made::artifact_id(index.unwrap_or(place))));
    parts_of(object);
}

fn history_of(object: &mut Object) {
    let mut seen = HashMap::new();
    for turn in objects(object, "history") {
        worker_message(turn, &mut seen);
    }
}

/// The parts of 0.2, but for the name of the member that tells them apart.
pub(in crate::a2a::dialect) fn parts_of(object: &mut Object) {
    for part in objects(object, "parts") {
        if part.get("type").is_some_and(Value::is_string) && !part.contains_key("kind") {
            rename(part, "type", "kind");
        }
    }
    v0::up::parts_of(object);
}
