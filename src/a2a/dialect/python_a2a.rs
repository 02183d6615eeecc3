//! The JSON of the library `python_a2a` (0.5): tasks of A2A 0.1, with its own states and its own second form of messages,
//! by translation to and from the canonical (1.0) JSON. Which path is which operation is here too; how a path and a bare
//! body travel is the binding's.
//!
//! # What the other side has no place for
//!
//! | from | what | where it goes | comes back |
//! |---|---|---|---|
//! | 1.0 | `working` | `waiting` | yes |
//! | 1.0 | `rejected`, `auth-required` | `failed`, `input-required`; the status' message says so, and its metadata keeps it | yes |
//! | 1.0 | the history's first message, if it is a user's | the task's `message` | yes |
//! | 1.0 | `messageId` | `metadata.message_id`, or `message_id` beside `content` | yes |
//! | 1.0 | other members of messages and artifacts | members that the library does not read | yes |
//! | 1.0 | updates in a stream | the whole task as it is after each | as the task |
//! | 1.0 | a message without a task | a completed task that says it | as that task |
//! | 1.0 | a send's `configuration` | nowhere: the sidecar sees to it | no |
//! | 1.0 | parts | as in 0.1, see [`super::v0_1`] | as there |
//! | own | a message as `{content}`: typed, a string, or anything | parts; the form is marked in the metadata under [`MARK`] | yes |
//! | own | roles that A2A has not (`system`), or none | the speaker's; marked | yes |
//! | own | `function_call`, `function_response`, `error` as parts | data parts, as the library itself writes them for others | as these |
//! | own | a `status.message` that is no message (`{"progress": "1/5"}`) | a message with that as data; marked | yes |
//! | own | artifacts without ids | `artifact-N` by their place | yes |
//! | own | messages without ids | ids made of their content (a requester's: new ones) | yes, requesters' with the new id |
//! | own | timestamps without zone | as they are; 1.0 reads them as UTC | yes |
//! | own | `historyLength` (which the library ignores), a send's `status`, `history`, `artifacts` | dropped: a new task has none | no |
//!
//! A task that ends without an artifact is answered to a *send* with one that says how it ended: the library takes an
//! answer without artifacts for none, and submits the message up to five times more.
//!
//! # Who waits for the outcome
//!
//! `send_message` and `ask`, which want the outcome, and `_send_task`, whose callers poll, write the same call. What tells
//! them apart is the message: the first two always give it a `message_id` and always use JSON-RPC. So a send waits if it
//! is JSON-RPC and its message has an id, and is answered at once if it is a bare task (the binding says so), has no
//! `message_id`, or has a `callback_task`. A poller that is taken for a caller who waits gets the finished task.

use serde_json::{Value, json};

use super::codec::{Codec, Frame, Presets, Traits};
use super::shape::Shape;
use super::v0_1::{self, made};
use super::{checks, json, keyed};
use crate::a2a::callback::CALLBACK_TASK;
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{Fault, Model as _};
use crate::a2a::request::{GetTaskRequest, SendMessageRequest, TaskRequest};
use crate::a2a::{
    Answer, Artifact, Message, Object, Operation, Part, PartContent, Request, StreamResponse, Task,
    TaskState,
};

mod down;
mod up;

#[cfg(test)]
mod tests;

/// The key in a message's metadata under which the canonical model carries how the library wrote it.
pub(super) const MARK: &str = "a2a-sidecar/python-a2a";
/// The member of [`MARK`] that says which form a message had; the library's parts form is not marked.
const FORM: &str = "form";
/// The member of [`MARK`] with a role that A2A has not; `null` for none at all.
const ROLE: &str = "role";
/// `content` is an object with a `type`.
const FORM_CONTENT: &str = "content";
/// `content` is a string.
const FORM_TEXT: &str = "text";
/// `content` is anything else.
const FORM_RAW: &str = "raw";
/// No message at all, but some object.
const FORM_VALUE: &str = "value";
/// The mark, in an artifact's metadata, of one that only says how the task ended.
const MADE: &str = "a2a-sidecar/made";

/// The library's form.
pub(super) struct PythonA2a;

impl Codec for PythonA2a {
    fn traits(&self) -> &'static Traits {
        &Traits {
            whole_tasks: true,
            posts_tasks: true,
            ends_at_interrupt: true,
            stream_from_the_start: true,
            client_ids: true,
            errors_as_status: true,
            resubmits: true,
            worker: Presets {
                // Every card claims it. A worker whose own route streams does the job there and nowhere else; the
                // library's route refuses what is asked here at once.
                stream: Some(true),
                streams_first: true,
                // The library's marks a task that is still under way as completed.
                subscribe: Some(false),
                push: Some(false),
                callback: Some(true),
                ..Presets::UNKNOWN
            },
            ..Traits::PLAIN
        }
    }

    fn supports(&self, operation: Operation) -> bool {
        supports(operation)
    }

    fn method(&self, operation: Operation) -> &'static str {
        method(operation)
    }

    fn encode_request(&self, request: &Request) -> Value {
        encode_request(request)
    }

    fn decode_request(&self, operation: Operation, params: Object) -> Result<Request, Fault> {
        decode_request(operation, params)
    }

    fn encode_answer(&self, operation: Operation, answer: &Answer) -> Value {
        encode_answer(operation, answer)
    }

    fn decode_answer(&self, operation: Operation, result: Value) -> Result<Answer, Fault> {
        decode_answer(operation, result)
    }

    fn encode_event(&self, event: &StreamResponse, after: Option<&Task>, _: bool) -> Vec<Frame> {
        encode_event(event, after)
            .into_iter()
            .map(Frame::from)
            .collect()
    }

    fn decode_event(
        &self,
        name: &str,
        data: Object,
    ) -> Result<Option<(StreamResponse, bool)>, Fault> {
        decode_event(name, data)
    }

    fn encode_webhook(&self, event: &StreamResponse, after: &Task) -> (Value, &'static str) {
        (encode_webhook(event, after), super::JSON)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        error_code(kind)
    }

    fn error_kind(&self, code: i64, message: &str, _: Option<&Value>) -> ErrorKind {
        error_kind(code, message)
    }
}

/// What the library's requesters and workers know.
pub(super) fn supports(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::SendMessage
            | Operation::SendStreamingMessage
            | Operation::GetTask
            | Operation::CancelTask
            | Operation::SubscribeToTask
    )
}

/// The method in the envelope.
pub(super) fn method(operation: Operation) -> &'static str {
    v0_1::method(operation)
}

/// The path of an operation, below the worker's address: without a slash in front.
pub(super) fn path(operation: Operation) -> &'static str {
    match operation {
        Operation::SendMessage => "tasks/send",
        // The one that a worker's own route is on; the library's own route answers it too.
        Operation::SendStreamingMessage => "a2a/tasks/stream",
        Operation::SubscribeToTask => "tasks/stream",
        Operation::GetTask => "tasks/get",
        Operation::CancelTask => "tasks/cancel",
        other => method(other),
    }
}

/// The operation of a call to this path, whatever comes before it; `method` is that of its envelope, if it has one.
pub(super) fn operation(path: &str, method: Option<&str>) -> Option<Operation> {
    // By the last two segments: this is asked of every call's path, and a search for text is dearer.
    let (before, name) = path.trim_end_matches('/').rsplit_once('/')?;
    if !before.ends_with("/tasks") {
        return None;
    }
    Some(match name {
        "send" => Operation::SendMessage,
        "get" => Operation::GetTask,
        "cancel" => Operation::CancelTask,
        "stream" if method == Some(v0_1::method(Operation::SubscribeToTask)) => {
            Operation::SubscribeToTask
        }
        "stream" => Operation::SendStreamingMessage,
        _ => return None,
    })
}

/// Whether a card is that of an agent of this library.
pub(super) fn is_card(card: &Object) -> bool {
    card.get("capabilities").is_some_and(|capabilities| {
        ["google_a2a_compatible", "parts_array_format"]
            .iter()
            .any(|name| capabilities.get(name).is_some_and(Value::is_boolean))
    })
}

/// The parameters of a call: a task, for a send; bare, it is the whole body.
pub(super) fn encode_request(request: &Request) -> Value {
    match request {
        Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
            let mut value = json(send);
            if let Value::Object(params) = &mut value {
                down::send(params, v0_1::task_id(send));
            }
            value
        }
        Request::GetTask(get) => keyed(&get.extra, [("id", Some(&get.id))]),
        Request::CancelTask(task) | Request::SubscribeToTask(task) => {
            keyed(&task.extra, [("id", Some(&task.id))])
        }
        // The library has none of these.
        other => v0_1::encode_request(other),
    }
}

/// Reads the parameters of a call.
pub(super) fn decode_request(operation: Operation, mut params: Object) -> Result<Request, Fault> {
    match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => {
            match params.get("message") {
                None | Some(Value::Null) => return Err(Fault::new("message", "is required")),
                Some(Value::Object(message)) => up::check_message(message)?,
                Some(_) => return Err(Fault::new("message", "must be an object")),
            }
            let sent = up::send(&mut params);
            let mut send = SendMessageRequest::from_object(params)?;
            send.own_id = sent.id;
            let called_back = send
                .metadata
                .as_ref()
                .is_some_and(|metadata| metadata.contains_key(CALLBACK_TASK));
            if !sent.message_id || called_back {
                send.at_once();
            }
            Ok(super::send_request(operation, send))
        }
        Operation::GetTask => {
            let id = checks::take_id(up::numeric_id(&mut params), "id", "")?;
            // The library's client always asks for 0, and its server ignores it.
            params.remove("historyLength");
            Ok(Request::GetTask(GetTaskRequest {
                id,
                history_length: None,
                extra: params,
            }))
        }
        Operation::CancelTask | Operation::SubscribeToTask => {
            let id = checks::take_id(up::numeric_id(&mut params), "id", "")?;
            Ok(super::task_request(
                operation,
                TaskRequest { id, extra: params },
            ))
        }
        other => v0_1::decode_request(other, params),
    }
}

/// The result of a call.
pub(super) fn encode_answer(operation: Operation, answer: &Answer) -> Value {
    match answer {
        Answer::Task(task) if operation == Operation::SendMessage => {
            encode_task(&with_outcome(task))
        }
        Answer::Task(task) => encode_task(task),
        // The library knows no answer but a task.
        Answer::Message(message) => encode_task(&v0_1::task_of(message)),
        other => v0_1::encode_answer(other),
    }
}

fn encode_task(task: &Task) -> Value {
    let mut value = json(task);
    if let Value::Object(object) = &mut value {
        down::task(object);
    }
    value
}

/// The task, with an artifact that says how it ended if it has none.
fn with_outcome(task: &Task) -> Task {
    let mut task = task.clone();
    if !task.status.state.is_terminal() || !task.artifacts.is_empty() {
        return task;
    }
    let said = task.status.message.as_ref().map(|message| &message.parts);
    let parts = if task.status.state == TaskState::Completed {
        match said {
            Some(parts) => parts.clone(),
            // Nothing was said, and nothing is made up: an empty text is an answer too.
            None => vec![text_part(String::new())],
        }
    } else {
        let words = said.and_then(|parts| words_of(parts)).unwrap_or_else(|| {
            format!(
                "The task has ended: {}.",
                down::state_name(task.status.state)
            )
        });
        // The form in which the library writes an error of its own.
        vec![Part {
            content: PartContent::Data(json!({ "error": words })),
            ..Part::default()
        }]
    };
    task.artifacts.push(Artifact {
        artifact_id: made::artifact_id(0),
        parts,
        metadata: Some(Box::new(Object::from_iter([(
            MADE.to_owned(),
            Value::Bool(true),
        )]))),
        ..Artifact::default()
    });
    task
}

fn text_part(text: String) -> Part {
    Part {
        content: PartContent::Text(text),
        ..Part::default()
    }
}

fn words_of(parts: &[Part]) -> Option<String> {
    parts.iter().find_map(|part| match &part.content {
        PartContent::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    })
}

/// Reads the result of a call.
pub(super) fn decode_answer(operation: Operation, result: Value) -> Result<Answer, Fault> {
    match (operation, result) {
        (
            Operation::SendMessage
            | Operation::SendStreamingMessage
            | Operation::GetTask
            | Operation::CancelTask
            | Operation::SubscribeToTask,
            Value::Object(object),
        ) => {
            let speaks = object.contains_key("parts") || object.contains_key("content");
            if speaks && operation.sends() && !object.contains_key("status") {
                let message = up::answer_message(object);
                return Ok(Answer::Message(Message::from_object(message)?));
            }
            read_task(object).map(Answer::Task)
        }
        (other, result) => v0_1::decode_answer(other, result),
    }
}

fn read_task(mut object: Object) -> Result<Task, Fault> {
    // Some of the library's servers wrap the task in a stream.
    if !object.contains_key("id")
        && let Some(Value::Object(task)) = object.remove("task")
    {
        object = task;
    }
    up::task(&mut object);
    match Shape::Task.read(object)? {
        StreamResponse::Task(task) => Ok(task),
        _ => Err(Fault::new("", "is no task")),
    }
}

/// Frames of a stream: the whole task as it is after the event; none where that is not known.
pub(super) fn encode_event(event: &StreamResponse, after: Option<&Task>) -> Vec<Value> {
    match (after, event) {
        (Some(task), _) | (None, StreamResponse::Task(task)) => vec![encode_task(task)],
        (None, StreamResponse::Message(message)) => {
            vec![encode_task(&v0_1::task_of(message))]
        }
        (None, _) => Vec::new(),
    }
}

/// Reads one frame of a stream, and whether it is the last.
pub(super) fn decode_event(
    name: &str,
    mut data: Object,
) -> Result<Option<(StreamResponse, bool)>, Fault> {
    // The library's own server never wraps frames; what does is lenient here.
    if data.contains_key("jsonrpc")
        && let Some(Value::Object(result)) = data.remove("result")
    {
        data = result;
    }
    if name == "error" || (data.contains_key("error") && !data.contains_key("status")) {
        return Err(Fault::new("error", "is what the worker says"));
    }
    if !data.contains_key("id") && !data.contains_key("task") {
        return Ok(None);
    }
    let task = read_task(data)?;
    let last = name == "complete" || task.status.state.is_terminal();
    Ok(Some((StreamResponse::Task(task), last)))
}

/// The body of a webhook: the task as it is after the event.
pub(super) fn encode_webhook(event: &StreamResponse, after: &Task) -> Value {
    match event {
        StreamResponse::Message(message) => encode_task(&v0_1::task_of(message)),
        _ => encode_task(after),
    }
}

/// The code of an error: the library has one of its own only for a task that is not there.
pub(super) fn error_code(kind: ErrorKind) -> i64 {
    match kind {
        ErrorKind::TaskNotFound => -32000,
        other => v0_1::error_code(other),
    }
}

/// What a code means. The library says everything with -32000, so its words have to tell.
pub(super) fn error_kind(code: i64, message: &str) -> ErrorKind {
    match code {
        -32000 if message.starts_with("Task not found") => ErrorKind::TaskNotFound,
        other => v0_1::error_kind(other),
    }
}
