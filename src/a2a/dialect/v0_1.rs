//! A2A 0.1 in JSON (`tasks/send`, `tasks/sendSubscribe`; the client makes the task's id), by translation to and from the
//! canonical (1.0) JSON.
//!
//! # What the other side has no place for
//!
//! | from | what | where it goes | comes back |
//! |---|---|---|---|
//! | 1.0 | `rejected`, `auth-required` | `failed`, `input-required`; the status' message says so, and its metadata keeps it under [`v0::KEPT`] | yes |
//! | 1.0 | a message's `messageId`, `taskId`, `contextId`, `extensions`, `referenceTaskIds` | its metadata, under [`v0::KEPT`] | yes |
//! | 1.0 | an artifact's `artifactId`, `extensions` | its metadata, under [`v0::KEPT`]; its place becomes `index` | yes |
//! | 1.0 | an update's `contextId` | its metadata, under [`v0::KEPT`] | yes |
//! | 1.0 | the rest of a send's `configuration` | the metadata, under [`v0::KEPT`] | yes |
//! | 1.0 | a task in a stream | one update for each artifact and one of the status | as these updates; history and metadata do not |
//! | 1.0 | a message without a task | a completed task that says it, in a stream its updates | as that task |
//! | 1.0 | parts, `authentication`, roles, lists of tasks | as in 0.2: see the table in [`super::v0`] | as there |
//! | 0.1 | messages without ids | ids made of their content (a requester's: new ones) | yes |
//! | 0.1 | artifacts' `index` | `artifact-N` as id | yes |
//! | 0.1 | `append`, `lastChunk` inside an artifact | on the update; in a snapshot they are dropped | updates yes |
//! | 0.1 | `historyLength: 0` | left out: it asks for nothing | as absent |
//! | 0.1 | `final` | implied; told beside the event | yes |
//! | 0.1 | errors -32006 to -32011, which later versions use for others | the nearest error by what they mean | no |
//!
//! 0.1 has no list of registrations and no removing of one; encoding them gives the names and forms of 0.2.
//!
//! A send with a webhook in it does not wait: its requester is told by the webhook. Another send waits.

use serde_json::Value;

use super::codec::{Codec, Frame, Traits};
use super::shape::{self, Shape};
use super::v0;
use super::{checks, json};
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{self, Fault, Model as _};
use crate::a2a::request::{PushConfigRequest, SendConfiguration, SendMessageRequest};
use crate::a2a::{
    Answer, Artifact, Message, Object, Operation, PushConfig, Request, StreamResponse, Task,
    TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent,
};

pub(super) mod down;
pub(super) mod made;
pub(super) mod up;

#[cfg(test)]
mod tests;

/// The member of [`v0::KEPT`], in the metadata of a status' message, that holds the state which has no name in 0.1.
const STATE: &str = "state";
/// The member of [`v0::KEPT`] that marks a message which only says the state.
const MADE: &str = "made";

/// `protocolVersion` of a card of this version, which has no such member itself.
pub(super) const PROTOCOL_VERSION: &str = "0.1.0";

/// A2A 0.1.
pub(super) struct V0_1;

impl Codec for V0_1 {
    fn traits(&self) -> &'static Traits {
        &Traits {
            // Not for the frames, but for the place in it of an artifact.
            whole_tasks: true,
            enveloped_frames: true,
            posts_tasks: true,
            ends_at_interrupt: true,
            stream_from_the_start: true,
            client_ids: true,
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

    fn encode_answer(&self, _: Operation, answer: &Answer) -> Value {
        encode_answer(answer)
    }

    fn decode_answer(&self, operation: Operation, result: Value) -> Result<Answer, Fault> {
        decode_answer(operation, result)
    }

    fn encode_event(&self, event: &StreamResponse, after: Option<&Task>, last: bool) -> Vec<Frame> {
        encode_event(event, after, last)
            .into_iter()
            .map(Frame::from)
            .collect()
    }

    fn decode_event(&self, _: &str, data: Object) -> Result<Option<(StreamResponse, bool)>, Fault> {
        decode_event(data).map(Some)
    }

    fn encode_webhook(&self, event: &StreamResponse, after: &Task) -> (Value, &'static str) {
        (encode_webhook(event, after), super::JSON)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        error_code(kind)
    }

    fn error_kind(&self, code: i64, _: &str, _: Option<&Value>) -> ErrorKind {
        error_kind(code)
    }
}

/// Whether a JSON-RPC method exists.
pub(super) fn supports(operation: Operation) -> bool {
    !matches!(
        operation,
        Operation::ListTasks
            | Operation::ListTaskPushNotificationConfigs
            | Operation::DeleteTaskPushNotificationConfig
            | Operation::GetExtendedAgentCard
    )
}

/// The JSON-RPC method; where 0.1 has none, that of 0.2.
pub(super) fn method(operation: Operation) -> &'static str {
    match operation {
        Operation::SendMessage => "tasks/send",
        Operation::SendStreamingMessage => "tasks/sendSubscribe",
        Operation::CreateTaskPushNotificationConfig => "tasks/pushNotification/set",
        Operation::GetTaskPushNotificationConfig => "tasks/pushNotification/get",
        other => v0::method(other),
    }
}

/// The operation of a method that only 0.1 has; the others are also those of 0.2.
pub(super) fn operation(method: &str) -> Option<Operation> {
    [
        Operation::SendMessage,
        Operation::SendStreamingMessage,
        Operation::CreateTaskPushNotificationConfig,
        Operation::GetTaskPushNotificationConfig,
    ]
    .into_iter()
    .find(|operation| self::method(*operation) == method)
}

/// The parameters of a call.
pub(super) fn encode_request(request: &Request) -> Value {
    match request {
        Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
            let mut value = json(send);
            if let Value::Object(params) = &mut value {
                down::send(params, task_id(send));
            }
            value
        }
        Request::CreatePushConfig(config) => task_config(config),
        Request::GetPushConfig(_)
        | Request::DeletePushConfig(_)
        | Request::ListPushConfigs(_)
        | Request::GetTask(_)
        | Request::ListTasks(_)
        | Request::CancelTask(_)
        | Request::SubscribeToTask(_)
        | Request::GetExtendedAgentCard(_) => v0::encode_request(request),
    }
}

/// The task that a send is about; a new one has the id that the requester chose, or one of its own.
pub(super) fn task_id(send: &SendMessageRequest) -> String {
    send.message
        .task_id
        .clone()
        .or_else(|| send.own_id.clone())
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// Reads the parameters of a call.
pub(super) fn decode_request(operation: Operation, mut params: Object) -> Result<Request, Fault> {
    match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => {
            check_message(&params)?;
            let own_id = up::send(&mut params);
            let mut send = SendMessageRequest::from_object(params)?;
            checks::inline_config(&send, "pushNotification.url")?;
            send.own_id = own_id;
            told_by_webhook(&mut send);
            Ok(super::send_request(operation, send))
        }
        Operation::GetTask => {
            let length = up::asked_history(&mut params);
            numeric_id(&mut params);
            if let Some(length) = length {
                params.insert("historyLength".to_owned(), length);
            }
            v0::decode_request(operation, params)
        }
        Operation::CreateTaskPushNotificationConfig => {
            numeric_id(&mut params);
            if let Some(id) = params.remove("id") {
                params.entry("taskId").or_insert(id);
            }
            v0::decode_request(operation, params)
        }
        Operation::GetTaskPushNotificationConfig => {
            numeric_id(&mut params);
            let task_id = checks::take_id(&mut params, "id", "taskId")?;
            let id = fields::string(&mut params, "pushNotificationConfigId", "")?;
            Ok(Request::GetPushConfig(PushConfigRequest {
                task_id,
                id,
                extra: params,
            }))
        }
        _ => {
            numeric_id(&mut params);
            v0::decode_request(operation, params)
        }
    }
}

/// 0.1 does not say whether to wait; a requester that gives a webhook need not.
fn told_by_webhook(send: &mut SendMessageRequest) {
    if let Some(SendConfiguration {
        task_push_notification_config: Some(_),
        return_immediately: unsaid @ None,
        ..
    }) = &mut send.configuration
    {
        *unsaid = Some(true);
    }
}

fn numeric_id(params: &mut Object) {
    if params.get("id").is_some_and(Value::is_number)
        && let Some(id) = up::take_id(params)
    {
        params.insert("id".to_owned(), Value::String(id));
    }
}

fn check_message(params: &Object) -> Result<(), Fault> {
    let message = match params.get("message") {
        None | Some(Value::Null) => return Err(Fault::new("message", "is required")),
        Some(Value::Object(message)) => message,
        Some(_) => return Err(Fault::new("message", "must be an object")),
    };
    match message.get("role") {
        None | Some(Value::Null) => return Err(Fault::new("message.role", "is required")),
        Some(Value::String(role)) if role == "user" || role == "agent" => {}
        Some(_) => return Err(Fault::new("message.role", "must be user or agent")),
    }
    match message.get("parts") {
        None | Some(Value::Null) => Err(Fault::new("message.parts", "is required")),
        Some(Value::Array(_)) => Ok(()),
        Some(_) => Err(Fault::new("message.parts", "must be an array")),
    }
}

/// The result of a call.
pub(super) fn encode_answer(answer: &Answer) -> Value {
    match answer {
        Answer::Task(task) => encode_task(task),
        // `tasks/send` is answered with a task, whatever the worker made of it.
        Answer::Message(message) => encode_task(&task_of(message)),
        Answer::PushConfig(config) => task_config(config),
        Answer::Tasks(object) => {
            let mut object = object.clone();
            if let Some(Value::Array(tasks)) = object.get_mut("tasks") {
                for task in tasks.iter_mut() {
                    if let Ok(known) = Task::from_value(task.clone()) {
                        *task = encode_task(&known);
                    }
                }
            }
            Value::Object(object)
        }
        Answer::PushConfigs { configs, .. } => {
            Value::Array(configs.iter().map(task_config).collect())
        }
        Answer::Empty => Value::Null,
        Answer::Card(card) => card.clone(),
    }
}

fn encode_task(task: &Task) -> Value {
    let mut value = json(task);
    if let Value::Object(object) = &mut value {
        down::task(object, &task.artifacts);
    }
    value
}

/// `{id, pushNotificationConfig}`: the id is the task's.
fn task_config(config: &PushConfig) -> Value {
    let mut value = v0::down::task_config(json(config));
    if let Value::Object(object) = &mut value
        && let Some(task) = object.remove("taskId")
    {
        object.insert("id".to_owned(), task);
    }
    value
}

/// A message outside any task, as the task that it is the outcome of.
pub(super) fn task_of(message: &Message) -> Task {
    let id = [message.task_id.as_deref(), Some(&*message.message_id)]
        .into_iter()
        .flatten()
        .find(|id| !id.is_empty())
        // Somebody has left out what every version requires.
        .unwrap_or("message")
        .to_owned();
    Task {
        id,
        context_id: message.context_id.clone().unwrap_or_default(),
        status: TaskStatus {
            state: TaskState::Completed,
            message: Some(message.clone()),
            ..TaskStatus::default()
        },
        artifacts: vec![Artifact {
            artifact_id: made::artifact_id(0),
            parts: message.parts.clone(),
            ..Artifact::default()
        }],
        ..Task::default()
    }
}

/// Reads the result of a call.
pub(super) fn decode_answer(operation: Operation, result: Value) -> Result<Answer, Fault> {
    match (operation, result) {
        (
            Operation::CreateTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig,
            Value::Object(object),
        ) => Ok(Answer::PushConfig(read_config(object)?)),
        (Operation::ListTaskPushNotificationConfigs, Value::Array(configs)) => {
            Ok(Answer::PushConfigs {
                configs: configs
                    .into_iter()
                    .map(|config| match config {
                        Value::Object(config) => read_config(config),
                        _ => Err(Fault::new("", "must be an object")),
                    })
                    .collect::<Result<_, _>>()?,
                next_page_token: None,
            })
        }
        (Operation::ListTaskPushNotificationConfigs, _) => Err(Fault::new("", "must be a list")),
        (Operation::DeleteTaskPushNotificationConfig, _) => Ok(Answer::Empty),
        (Operation::GetExtendedAgentCard, card @ Value::Object(_)) => Ok(Answer::Card(card)),
        (Operation::ListTasks, Value::Object(mut object)) => {
            if let Some(Value::Array(tasks)) = object.get_mut("tasks") {
                for task in tasks.iter_mut().filter_map(Value::as_object_mut) {
                    up::task(task);
                }
            }
            Ok(Answer::Tasks(object))
        }
        (_, Value::Object(object)) => match read(object, Shape::Task)? {
            StreamResponse::Task(task) => Ok(Answer::Task(task)),
            StreamResponse::Message(message) if operation.sends() => Ok(Answer::Message(message)),
            _ => Err(Fault::new("", "is no task")),
        },
        _ => Err(Fault::new("", "must be an object")),
    }
}

fn read_config(mut object: Object) -> Result<PushConfig, Fault> {
    if object.contains_key("pushNotificationConfig")
        && !object.contains_key("taskId")
        && let Some(id) = object.remove("id")
    {
        object.insert("taskId".to_owned(), id);
    }
    let config = PushConfig::from_object(shape::flatten_config(object))?;
    if config.url.is_empty() {
        return Err(Fault::new("url", "is required"));
    }
    Ok(config)
}

/// Frames of a stream. `after`: the task after the event, which says which artifact of it is meant. `last`: nothing
/// follows in this stream.
pub(super) fn encode_event(event: &StreamResponse, after: Option<&Task>, last: bool) -> Vec<Value> {
    match event {
        StreamResponse::StatusUpdate(update) => vec![encode_status(update, last)],
        StreamResponse::ArtifactUpdate(update) => vec![encode_artifact(update, after)],
        StreamResponse::Task(task) => encode_snapshot(task, last),
        StreamResponse::Message(message) => encode_snapshot(&task_of(message), last),
    }
}

fn encode_status(update: &TaskStatusUpdateEvent, last: bool) -> Value {
    let state = update.status.state;
    let mut value = json(update);
    if let Value::Object(object) = &mut value {
        down::status_update(
            object,
            state.is_terminal() || (last && state.is_interrupted()),
        );
    }
    value
}

fn encode_artifact(update: &TaskArtifactUpdateEvent, after: Option<&Task>) -> Value {
    let id = &update.artifact.artifact_id;
    let index = after
        .and_then(|task| {
            let place = task
                .artifacts
                .iter()
                .position(|artifact| artifact.artifact_id == *id)?;
            made::indices(&task.artifacts).get(place).copied()
        })
        .or_else(|| made::artifact_index(id))
        .unwrap_or_default();
    let mut value = json(update);
    if let Value::Object(object) = &mut value {
        down::artifact_update(object, index);
    }
    value
}

/// 0.1 knows no task in a stream: its artifacts, and then its status, since a status may be the end.
fn encode_snapshot(task: &Task, last: bool) -> Vec<Value> {
    let artifacts = task.artifacts.iter().map(|artifact| {
        let update = TaskArtifactUpdateEvent {
            task_id: task.id.clone(),
            context_id: task.context_id.clone(),
            artifact: artifact.clone(),
            last_chunk: true,
            ..TaskArtifactUpdateEvent::default()
        };
        encode_artifact(&update, Some(task))
    });
    let status = TaskStatusUpdateEvent {
        task_id: task.id.clone(),
        context_id: task.context_id.clone(),
        status: task.status.clone(),
        ..TaskStatusUpdateEvent::default()
    };
    artifacts.chain([encode_status(&status, last)]).collect()
}

/// Reads one frame of a stream, and whether it says itself that it is the last.
pub(super) fn decode_event(data: Object) -> Result<(StreamResponse, bool), Fault> {
    let last = data.get("final") == Some(&Value::Bool(true));
    Ok((read(data, Shape::StatusUpdate)?, last))
}

/// Reads what a worker posts to a webhook.
pub(super) fn decode_webhook(body: Object) -> Result<StreamResponse, Fault> {
    read(body, Shape::Task)
}

/// Reads an object by what it has; `short` is what one of `id` and `status` alone is here.
fn read(mut object: Object, short: Shape) -> Result<StreamResponse, Fault> {
    let named =
        object.contains_key("kind") || object.contains_key("taskId") || !object.contains_key("id");
    if named {
        // A worker of several versions that answers in a later one.
        let (shape, object, _) = shape::open(object)?;
        return v0::read(shape, object);
    }
    numeric_id(&mut object);
    if object.contains_key("artifact") {
        up::artifact_update(&mut object);
        return Shape::ArtifactUpdate.read(object);
    }
    if !object.contains_key("status") {
        return Err(Fault::new("", "is neither a task nor an update of one"));
    }
    let whole = ["artifacts", "history", "sessionId"]
        .iter()
        .any(|name| object.contains_key(*name))
        && !object.contains_key("final");
    if whole || (short == Shape::Task && !object.contains_key("final")) {
        up::task(&mut object);
        Shape::Task.read(object)
    } else {
        up::status_update(&mut object);
        Shape::StatusUpdate.read(object)
    }
}

/// The body of a webhook: the task as it is after the event.
pub(super) fn encode_webhook(event: &StreamResponse, after: &Task) -> Value {
    match event {
        StreamResponse::Message(message) => encode_task(&task_of(message)),
        _ => encode_task(after),
    }
}

/// The code of the nearest error that 0.1 has: it uses those from -32006 on for others.
pub(super) fn error_code(kind: ErrorKind) -> i64 {
    match kind {
        ErrorKind::TaskNotFound => -32001,
        ErrorKind::TaskNotCancelable => -32002,
        ErrorKind::PushNotificationNotSupported => -32003,
        ErrorKind::UnsupportedOperation
        | ErrorKind::ExtendedAgentCardNotConfigured
        | ErrorKind::ExtensionSupportRequired
        | ErrorKind::VersionNotSupported => -32004,
        ErrorKind::ContentTypeNotSupported => -32005,
        ErrorKind::Parse => -32700,
        ErrorKind::InvalidRequest => -32600,
        ErrorKind::MethodNotFound => -32601,
        ErrorKind::InvalidParams => -32602,
        ErrorKind::InvalidAgentResponse | ErrorKind::Internal => -32603,
        ErrorKind::Other(code) => code,
    }
}

/// What a code means in 0.1.
pub(super) fn error_kind(code: i64) -> ErrorKind {
    match code {
        -32001 => ErrorKind::TaskNotFound,
        -32002 => ErrorKind::TaskNotCancelable,
        -32003 => ErrorKind::PushNotificationNotSupported,
        // Not here; no streams; not in this state.
        -32004 | -32006 | -32009 => ErrorKind::UnsupportedOperation,
        -32005 => ErrorKind::ContentTypeNotSupported,
        // Authentication, authorisation, rate, resources: later versions say these with HTTP or not at all, and use
        // the numbers for something else.
        -32007 | -32008 | -32010 | -32011 => ErrorKind::Internal,
        -32700 => ErrorKind::Parse,
        -32600 => ErrorKind::InvalidRequest,
        -32601 => ErrorKind::MethodNotFound,
        -32602 => ErrorKind::InvalidParams,
        -32603 => ErrorKind::Internal,
        other => ErrorKind::Other(other),
    }
}
