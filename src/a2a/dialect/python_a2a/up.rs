//! From the JSON of `python_a2a` to that of 1.0, in place. Total: what has an unexpected form stays as it is, for the
//! canonical model to refuse or to keep.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{FORM, FORM_CONTENT, FORM_RAW, FORM_TEXT, FORM_VALUE, MADE, MARK, ROLE};
use crate::a2a::Object;
use crate::a2a::dialect::v0_1::{self, down::rename, made};
use crate::a2a::dialect::walk::objects;
use crate::a2a::dialect::{kept, v0};
use crate::a2a::fields::Fault;

/// What a send says beside the canonical request.
pub(super) struct Sent {
    /// The task's id, where the requester has chosen one.
    pub(super) id: Option<String>,
    /// Whether the message has an id of the requester's.
    pub(super) message_id: bool,
}

/// What no later reading would find wrong: a message that says nothing at all.
pub(super) fn check_message(message: &Object) -> Result<(), Fault> {
    match (message.get("content"), message.get("parts")) {
        (None | Some(Value::Null), None | Some(Value::Null)) => {
            Err(Fault::new("message", "must have content or parts"))
        }
        (None | Some(Value::Null), Some(parts)) if !parts.is_array() => {
            Err(Fault::new("message.parts", "must be an array"))
        }
        _ => Ok(()),
    }
}

/// A send: the task that it begins.
pub(super) fn send(params: &mut Object) -> Sent {
    for name in ["status", "history", "artifacts", "historyLength"] {
        params.remove(name);
    }
    let session = params
        .remove("sessionId")
        .filter(|session| session.is_string());
    let mut sent = Sent {
        id: v0_1::up::take_id(params),
        message_id: false,
    };
    if let Some(Value::Object(message)) = params.get_mut("message") {
        sent.message_id = id_of(message).is_some();
        read_message(message, "ROLE_USER", |_| uuid::Uuid::new_v4().to_string());
        // An existing task's id was put where the library has its place.
        if message.get("taskId").and_then(Value::as_str) == sent.id.as_deref() {
            sent.id = None;
        }
        if let Some(session) = session {
            message.entry("contextId").or_insert(session);
        }
    }
    sent
}

/// A message that is the whole answer.
pub(super) fn answer_message(mut object: Object) -> Object {
    worker_message(&mut object, "ROLE_AGENT", &mut HashMap::new());
    object
}

/// A numeric id is a string elsewhere.
pub(super) fn numeric_id(params: &mut Object) -> &mut Object {
    if params.get("id").is_some_and(Value::is_number)
        && let Some(id) = v0_1::up::take_id(params)
    {
        params.insert("id".to_owned(), Value::String(id));
    }
    params
}

/// A task.
pub(super) fn task(object: &mut Object) {
    numeric_id(object);
    rename(object, "sessionId", "contextId");
    status_of(object);
    artifacts_of(object);
    let mut turns = match object.remove("history") {
        Some(Value::Array(turns)) => turns,
        Some(other) => {
            object.insert("history".to_owned(), other);
            return;
        }
        None => Vec::new(),
    };
    // What was asked is the first of the turns; a worker that keeps a history has it there already.
    if let Some(asked @ Value::Object(_)) = object.remove("message")
        && turns.first() != Some(&asked)
    {
        turns.insert(0, asked);
    }
    if turns.is_empty() {
        return;
    }
    let mut seen = HashMap::new();
    for (place, turn) in turns.iter_mut().enumerate() {
        let speaker = if place == 0 {
            "ROLE_USER"
        } else {
            "ROLE_AGENT"
        };
        any_message(turn, speaker, &mut seen);
    }
    object.insert("history".to_owned(), Value::Array(turns));
}

/// Something that stands where a message does: most often it is one.
fn any_message(value: &mut Value, speaker: &str, seen: &mut HashMap<String, usize>) {
    match value {
        Value::Object(object) if object.get("parts").is_some_and(Value::is_array) => {
            worker_message(object, speaker, seen);
        }
        Value::Object(object)
            if object
                .get("content")
                .is_some_and(|content| !content.is_null()) =>
        {
            worker_message(object, speaker, seen);
        }
        other => {
            let said = other.take();
            let mut content = Object::new();
            content.insert("said".to_owned(), said.clone());
            let mut mark = Object::new();
            mark.insert(FORM.to_owned(), Value::from(FORM_VALUE));
            *other = json!({
                "messageId": counted_id(&content, seen),
                "role": speaker,
                "parts": [{ "data": said }],
                "metadata": { MARK: mark },
            });
        }
    }
}

/// A message of a worker: its id follows from its content where it has none.
fn worker_message(object: &mut Object, speaker: &str, seen: &mut HashMap<String, usize>) {
    read_message(object, speaker, |content| counted_id(content, seen));
}

/// `seen` counts the messages of the list by their ids.
fn counted_id(content: &Object, seen: &mut HashMap<String, usize>) -> String {
    let id = made::message_id(content, 0);
    let nth = seen.entry(id.clone()).or_default();
    *nth += 1;
    match *nth - 1 {
        0 => id,
        nth => made::message_id(content, nth),
    }
}

/// `speaker`: the role of a message that names none which A2A has.
fn read_message(object: &mut Object, speaker: &str, id: impl FnOnce(&Object) -> String) {
    let id = match id_of(object) {
        Some(id) => {
            take_ids(object, &id);
            id
        }
        None => id(object),
    };
    let mut mark = Object::new();
    match object.get("role") {
        Some(Value::String(role)) if role == "user" || role == "agent" => {
            v0::up::raise_role(object);
        }
        Some(Value::String(role)) if role.starts_with("ROLE_") => {}
        _ => {
            let role = object.insert("role".to_owned(), Value::from(speaker));
            mark.insert(ROLE.to_owned(), role.unwrap_or_default());
        }
    }
    // Parts go first, as in the library, which takes an object with both for its own form only to read the content.
    if !object.get("parts").is_some_and(Value::is_array)
        && let Some(content) = object.remove("content")
    {
        let (form, part) = content_part(content);
        mark.insert(FORM.to_owned(), Value::from(form));
        object.insert("parts".to_owned(), Value::Array(vec![part]));
    }
    parts_of(object);
    object.insert("messageId".to_owned(), Value::String(id));
    kept::keep(object, MARK, mark);
}

/// A message's id, in any of the three places that the library writes it to.
fn id_of(object: &Object) -> Option<String> {
    let text = |value: Option<&Value>| {
        value?
            .as_str()
            .filter(|id| !id.is_empty())
            .map(ToOwned::to_owned)
    };
    text(object.get("message_id"))
        .or_else(|| {
            text(
                object
                    .get("metadata")
                    .and_then(|kept| kept.get("message_id")),
            )
        })
        .or_else(|| text(object.get("messageId")))
}

fn take_ids(object: &mut Object, id: &str) {
    for name in ["message_id", "messageId"] {
        if object.get(name).and_then(Value::as_str) == Some(id) {
            object.remove(name);
        }
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata")
        && metadata.get("message_id").and_then(Value::as_str) == Some(id)
    {
        metadata.remove("message_id");
        if metadata.is_empty() {
            object.remove("metadata");
        }
    }
}

/// The part that a `content` is, and its form.
fn content_part(content: Value) -> (&'static str, Value) {
    match content {
        Value::String(text) => (FORM_TEXT, json!({ "text": text })),
        Value::Object(content) if content.get("type").is_some_and(Value::is_string) => {
            (FORM_CONTENT, Value::Object(content))
        }
        other => (FORM_RAW, json!({ "data": other })),
    }
}

/// The library's own kinds of parts become the data that it writes for others itself.
fn parts_of(object: &mut Object) {
    for part in objects(object, "parts") {
        let kind = match part.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            _ => continue,
        };
        match kind.as_str() {
            "function_call" | "function_response" => {
                part.remove("type");
                let inner = std::mem::take(part);
                part.insert("data".to_owned(), json!({ kind: inner }));
            }
            "error" if part.get("message").is_some_and(Value::is_string) && part.len() == 2 => {
                let message = part.remove("message").unwrap_or_default();
                part.remove("type");
                part.insert("data".to_owned(), json!({ "error": message }));
            }
            _ => {}
        }
    }
    v0_1::up::parts_of(object);
}

fn artifacts_of(object: &mut Object) {
    if let Some(Value::Array(artifacts)) = object.get_mut("artifacts") {
        artifacts.retain(|artifact| {
            artifact
                .get("metadata")
                .is_none_or(|metadata| metadata.get(MADE).is_none())
        });
    }
    for (place, artifact) in (0..).zip(objects(object, "artifacts")) {
        let id = match artifact.remove("artifactId") {
            Some(Value::String(id)) if !id.is_empty() => id,
            _ => made::artifact_id(place),
        };
        artifact.insert("artifactId".to_owned(), Value::String(id));
        parts_of(artifact);
    }
}

fn status_of(object: &mut Object) {
    // The library's client reads a task without a status as one that has just been submitted.
    let status = object
        .entry("status")
        .or_insert_with(|| json!({ "state": "submitted" }));
    let Value::Object(status) = status else {
        return;
    };
    v0::up::raise_state(status);
    if status.get("message").is_some_and(Value::is_null) {
        status.remove("message");
    }
    v0_1::up::heard_state(status);
    if let Some(message) = status.get_mut("message") {
        any_message(message, "ROLE_AGENT", &mut HashMap::new());
    }
}
