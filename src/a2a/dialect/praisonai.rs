//! PraisonAI (praisonaiagents 1.7): method names of 0.3, objects nearly as in 1.0 (parts without `kind`), and much of
//! its own. Written by translation to and from 0.3's form, which knows most of it.
//!
//! # What is its own
//!
//! - States: `cancelled` with two l, underscores for hyphens, no `rejected`. Its clients' loops wait for `completed`,
//!   `failed` and `cancelled`, and go on for ever over any other spelling.
//! - Files: `{fileWithUri | fileWithBytes, name, mediaType}`. Its server reads only links out of a message, so bytes are
//!   sent to it as a `data:` URL.
//! - Sends wait unless `returnImmediately`, and are answered with the bare task; there is no answer without one.
//! - Streams: `event: task.status`, `task.artifact`, at the end `done`, without an envelope. A stream upstream would
//!   hold up its whole server, and the task that it makes is never stored: see the presets.
//! - Push configs are flat, one per task, and not offered by the library itself but by what its users build on it.
//! - `tasks/list` answers a bare array.
//! - Webhooks: `{taskId, status, timestamp}`, to which the rest of the task is added; the token in `X-Webhook-Token`.
//!
//! # What the other side has no place for
//!
//! | from | what | where it goes | comes back |
//! |---|---|---|---|
//! | 1.0 | `TASK_STATE_REJECTED`, `TASK_STATE_UNSPECIFIED` | `failed`, `working`; the state in the metadata, under [`KEPT`] | yes |
//! | 1.0 | a message without a task | a completed task with it as status, history and artifact; itself under [`KEPT`] | yes; not from streams |
//! | 1.0 | `extensions` of messages and artifacts (a list; here an object of strings) | the metadata, under [`KEPT`] | yes |
//! | 1.0 | bytes in a message to a worker | a `data:` URL, marked under [`KEPT`] | yes |
//! | 1.0 | what [`super::v0`] keeps of parts | as there | as there |
//! | 1.0 | a task in a stream | its artifacts, then its status; history and metadata only by `tasks/get` | as updates |
//! | 1.0 | pages of a list of tasks | left out: one array | no |
//! | 1.0 | the next page of a task's webhooks | left out | no |
//! | PraisonAI | `extensions` as an object | its names as a list | as a list |
//! | PraisonAI | no `messageId`, no `role` in a send | `msg-auto`, `user`, as its server does | as those |
//! | PraisonAI | `blocking` beside `returnImmediately` | left out, as its server does | no |
//! | PraisonAI | `final`, `event: done` | told beside the event | yes |
//! | PraisonAI | `tasks/pushNotificationConfig/list` without a task | refused: a webhook belongs to a task here | - |

use serde_json::{Value, json};

use super::codec::{Codec, Frame, Presets, Traits};
use super::kindless::Params;
use super::shape::{self, Shape};
use super::{checks, json, jsonrpc, kept, v0, v0_3, v1_0, walk};
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{self, Fault, Model};
use crate::a2a::request::{PushConfigRequest, TaskRequest};
use crate::a2a::{
    Answer, Artifact, Message, Object, Operation, PushConfig, Request, StreamResponse, Task,
    TaskState, TaskStatus, TaskStatusUpdateEvent,
};
#[cfg(doc)]
use v0::KEPT;

mod parts;

/// PraisonAI's form.
pub(super) struct PraisonAi;

/// What a call asks for, if it is of PraisonAI's client. It posts to `/a2a` under the old names; a call that names but a
/// task looks the same from a client of 0.3, and is not answered for here.
pub(super) fn is_request(path: &str, method: &str, params: &[u8]) -> Option<Operation> {
    if method == EXTENDED_CARD {
        return Some(Operation::GetExtendedAgentCard);
    }
    // Exactly: fasta2a's client, sent here by the card of a worker at this path, puts a slash behind it.
    if !path.ends_with(PATH) {
        return None;
    }
    let operation = Operation::ALL
        .into_iter()
        .find(|operation| v0::method(*operation) == method)?;
    let shape = Params::of(params);
    let is_theirs = match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => shape.has_kindless_message(),
        Operation::ListTasks => true,
        // 0.3 puts the webhook into a member of its own, and calls the task `id` to read it.
        Operation::CreateTaskPushNotificationConfig => shape.is_flat_config(),
        Operation::GetTaskPushNotificationConfig
        | Operation::ListTaskPushNotificationConfigs
        | Operation::DeleteTaskPushNotificationConfig => shape.names_task_of_config(),
        _ => false,
    };
    is_theirs.then_some(operation)
}

/// Whether a card is PraisonAI's: one `url` that ends in its path, no version, and a member of 1.0 among capabilities of
/// 0.2.
pub(super) fn is_card(card: &Object) -> bool {
    let has = |name| card.contains_key(name);
    let url = card.get("url").and_then(Value::as_str).unwrap_or_default();
    let capability = |name| {
        card.get("capabilities")
            .is_some_and(|capabilities| capabilities.get(name).is_some())
    };
    url.trim_end_matches('/').ends_with(PATH)
        && !has("protocolVersion")
        && !has("supportedInterfaces")
        && !has("preferredTransport")
        && capability("extendedAgentCard")
        && capability("stateTransitionHistory")
}

/// Where its clients post, below any prefix.
const PATH: &str = "/a2a";
/// Its method for the extended card.
const EXTENDED_CARD: &str = "agent/getExtendedCard";

static TRAITS: Traits = Traits {
    posts_tasks: true,
    ends_at_interrupt: true,
    push_probe: Some("test"),
    one_webhook: true,
    token_header: Some("x-webhook-token"),
    worker: Presets {
        return_immediately: Some(true),
        get: Some(true),
        // Its card says that it streams. While it does, its server answers nobody, and the task is lost to `tasks/get`.
        stream: Some(false),
        push: Some(false),
        ..Presets::UNKNOWN
    },
    ..Traits::PLAIN
};

impl Codec for PraisonAi {
    fn traits(&self) -> &'static Traits {
        &TRAITS
    }

    fn supports(&self, operation: Operation) -> bool {
        operation != Operation::SubscribeToTask
    }

    fn method(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::GetExtendedAgentCard => EXTENDED_CARD,
            _ => v0::method(operation),
        }
    }

    fn encode_request(&self, request: &Request) -> Value {
        match request {
            Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
                let mut params = json(send);
                if let Some(Value::Object(message)) = params.get_mut("message") {
                    // Its server knows no third role, and these are the requester's words.
                    if message.get("role").and_then(Value::as_str) != Some("ROLE_AGENT") {
                        message.insert("role".to_owned(), json!("ROLE_USER"));
                    }
                    down(Shape::Message, message);
                    walk::parts(message, &mut parts::link_bytes);
                }
                params
            }
            _ => v1_0::encode_request(request),
        }
    }

    fn decode_request(&self, operation: Operation, mut params: Object) -> Result<Request, Fault> {
        match operation {
            Operation::SendMessage | Operation::SendStreamingMessage => {
                if let Some(Value::Object(message)) = params.get_mut("message") {
                    message.entry("messageId").or_insert(json!("msg-auto"));
                    message.entry("role").or_insert(json!("user"));
                    unfold(Shape::Message, message);
                }
                checks::message(&params, &checks::PRAISONAI)?;
                prefer_return_immediately(&mut params);
                v0::up::send(&mut params);
                let send = Model::from_object(params)?;
                checks::inline_config(&send, "configuration.taskPushNotificationConfig.url")?;
                Ok(super::send_request(operation, send))
            }
            Operation::CreateTaskPushNotificationConfig => {
                let config = PushConfig::from_object(shape::flatten_config(params))?;
                Ok(Request::CreatePushConfig(checks::config(
                    config, "taskId", "url",
                )?))
            }
            // A task has one webhook here, which nobody has to name.
            Operation::GetTaskPushNotificationConfig
            | Operation::DeleteTaskPushNotificationConfig => {
                let task_id = checks::take_id(&mut params, "taskId", "task_id")?;
                let id = fields::id(&mut params, "id", "")?;
                let request = PushConfigRequest {
                    task_id,
                    id,
                    extra: params,
                };
                Ok(super::config_request(operation, request))
            }
            Operation::ListTaskPushNotificationConfigs => {
                Ok(Request::ListPushConfigs(TaskRequest {
                    id: checks::take_id(&mut params, "taskId", "task_id")?,
                    extra: params,
                }))
            }
            _ => v1_0::decode_request(operation, params),
        }
    }

    fn encode_answer(&self, operation: Operation, answer: &Answer) -> Value {
        match answer {
            Answer::Task(task) => lowered(Shape::Task, json(task)),
            Answer::Message(message) => lowered(Shape::Task, as_task(message)),
            Answer::Tasks(page) => page
                .get("tasks")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|task| lowered(Shape::Task, task.clone()))
                .collect(),
            Answer::PushConfigs { configs, .. } => json!({ "configs": json(configs) }),
            Answer::Empty => json!({ "deleted": true }),
            Answer::PushConfig(_) | Answer::Card(_) => v1_0::encode_answer(operation, answer),
        }
    }

    fn decode_answer(&self, operation: Operation, result: Value) -> Result<Answer, Fault> {
        match (operation, result) {
            (Operation::ListTasks, Value::Array(mut tasks)) => {
                for task in tasks.iter_mut().filter_map(Value::as_object_mut) {
                    up(Shape::Task, task);
                }
                let mut page = Object::new();
                page.insert("tasks".to_owned(), Value::Array(tasks));
                Ok(Answer::Tasks(page))
            }
            (_, result) => shape::answer(operation, result, |mut object| {
                if operation.sends()
                    && let Some(Value::Object(mut message)) = kept::take_one(&mut object, MESSAGE)
                {
                    up(Shape::Message, &mut message);
                    return Shape::Message.read(message);
                }
                read(object)
            }),
        }
    }

    fn encode_event(&self, event: &StreamResponse, _: Option<&Task>, last: bool) -> Vec<Frame> {
        match event {
            StreamResponse::Task(task) => of_task(task, last),
            StreamResponse::Message(message) => match Task::from_value(as_task(message)) {
                Ok(task) => of_task(&task, last),
                // It was made here, of what can be read.
                Err(_) => Vec::new(),
            },
            StreamResponse::StatusUpdate(update) => status(update, last),
            StreamResponse::ArtifactUpdate(update) => vec![artifact(json(update))],
        }
    }

    fn decode_event(
        &self,
        name: &str,
        data: Object,
    ) -> Result<Option<(StreamResponse, bool)>, Fault> {
        if name == "done" || data.is_empty() {
            return Ok(None);
        }
        let last = data.get("final") == Some(&Value::Bool(true));
        Ok(Some((read(data)?, last)))
    }

    fn encode_webhook(&self, event: &StreamResponse, after: &Task) -> (Value, &'static str) {
        let mut body = match event {
            StreamResponse::Message(message) => lowered(Shape::Task, as_task(message)),
            _ => lowered(Shape::Task, json(after)),
        };
        // Its receivers look for these two at the top, and for `status`, which the task has.
        body["taskId"] = body["id"].clone();
        if let Some(time) = body["status"].get("timestamp").cloned() {
            body["timestamp"] = time;
        }
        (body, super::JSON)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        match kind {
            ErrorKind::TaskNotFound => NOT_FOUND,
            _ => jsonrpc::code_of(v0_3::nearest(kind)),
        }
    }

    fn error_kind(&self, code: i64, _: &str, data: Option<&Value>) -> ErrorKind {
        match code {
            NOT_FOUND => ErrorKind::TaskNotFound,
            _ => jsonrpc::kind_by_reason(data).unwrap_or_else(|| jsonrpc::kind_of_code(code)),
        }
    }
}

/// Its code for a task or a webhook that is not there.
const NOT_FOUND: i64 = -32000;
/// What a message is kept as that was made a task.
const MESSAGE: &str = "message";
/// What `extensions` are kept as.
const EXTENSIONS: &str = "extensions";

/// From canonical JSON, in place.
fn down(shape: Shape, object: &mut Object) {
    // While the state has its canonical name.
    let state = walk::status(object)
        .and_then(|status| status.get("state"))
        .and_then(TaskState::from_value);
    v0::down::shape(shape, object);
    object.shift_remove("kind");
    if object.get("contextId").and_then(Value::as_str) == Some("") {
        object.shift_remove("contextId");
    }
    if let Some(state) = state {
        walk::name_state(object, state, state_name);
    }
    walk::messages(shape, object, &mut |message| {
        message.shift_remove("kind");
        holder_down(message);
    });
    walk::artifacts(object, &mut holder_down);
}

/// A message or an artifact.
fn holder_down(holder: &mut Object) {
    if let Some(extensions) = holder.shift_remove("extensions") {
        kept::keep_one(holder, EXTENSIONS, extensions);
    }
    walk::parts(holder, &mut parts::down);
}

/// To canonical JSON, in place. Total, as [`v0::up`].
fn up(shape: Shape, object: &mut Object) {
    unfold(shape, object);
    v0::up::shape(shape, object);
}

/// To what 0.3 would have written, but for what [`v0::up`] does not need.
fn unfold(shape: Shape, object: &mut Object) {
    walk::restore_state(object);
    walk::messages(shape, object, &mut holder_up);
    walk::artifacts(object, &mut holder_up);
}

fn holder_up(holder: &mut Object) {
    if let Some(Value::Object(named)) = holder.get("extensions") {
        let names = named.keys().cloned().map(Value::String).collect();
        holder.insert("extensions".to_owned(), Value::Array(names));
    }
    if let Some(kept) = kept::take_one(holder, EXTENSIONS) {
        holder.entry("extensions").or_insert(kept);
    }
    walk::parts(holder, &mut parts::up);
}

/// Its name of a state, and whether that is another's too.
fn state_name(state: TaskState) -> (&'static str, bool) {
    match state {
        TaskState::Submitted => ("submitted", false),
        TaskState::Working => ("working", false),
        TaskState::Completed => ("completed", false),
        TaskState::Failed => ("failed", false),
        TaskState::Canceled => ("cancelled", false),
        TaskState::InputRequired => ("input_required", false),
        TaskState::AuthRequired => ("auth_required", false),
        TaskState::Rejected => ("failed", true),
        TaskState::Unspecified => ("working", true),
    }
}

fn lowered(shape: Shape, mut value: Value) -> Value {
    if let Value::Object(object) = &mut value {
        down(shape, object);
    }
    value
}

/// A message that answers a send, in the canonical JSON of the completed task that its clients look for.
fn as_task(message: &Message) -> Value {
    let task = Task {
        id: message
            .task_id
            .clone()
            .unwrap_or_else(|| message.message_id.clone()),
        context_id: message.context_id.clone().unwrap_or_default(),
        status: TaskStatus {
            state: TaskState::Completed,
            message: Some(message.clone()),
            ..TaskStatus::default()
        },
        artifacts: vec![Artifact {
            artifact_id: message.message_id.clone(),
            parts: message.parts.clone(),
            ..Artifact::default()
        }],
        history: vec![message.clone()],
        ..Task::default()
    };
    let mut value = json(&task);
    if let Value::Object(object) = &mut value {
        kept::keep_one(object, MESSAGE, lowered(Shape::Message, json(message)));
    }
    value
}

/// Its streams have no frame for a task: the artifacts, then the status.
fn of_task(task: &Task, last: bool) -> Vec<Frame> {
    let mut frames: Vec<Frame> = task
        .artifacts
        .iter()
        .map(|one| {
            artifact(json!({
                "taskId": task.id,
                "contextId": task.context_id,
                "artifact": json(one),
                "lastChunk": true,
            }))
        })
        .collect();
    let update = TaskStatusUpdateEvent {
        task_id: task.id.clone(),
        context_id: task.context_id.clone(),
        status: task.status.clone(),
        ..TaskStatusUpdateEvent::default()
    };
    frames.extend(status(&update, last));
    frames
}

/// A status, and the end of the stream if it is its last.
fn status(update: &TaskStatusUpdateEvent, last: bool) -> Vec<Frame> {
    let state = update.status.state;
    let ends = state.is_terminal() || (last && state.is_interrupted());
    let mut data = lowered(Shape::StatusUpdate, json(update));
    data["final"] = Value::Bool(ends);
    let mut frames = vec![Frame {
        event: Some("task.status"),
        data,
    }];
    if ends {
        frames.push(Frame {
            event: Some("done"),
            data: json!({}),
        });
    }
    frames
}

fn artifact(update: Value) -> Frame {
    let mut data = lowered(Shape::ArtifactUpdate, update);
    // Its own frames always say both.
    if data.get("lastChunk").is_none() {
        data["lastChunk"] = Value::Bool(false);
    }
    Frame {
        event: Some("task.artifact"),
        data,
    }
}

fn read(object: Object) -> Result<StreamResponse, Fault> {
    let (shape, mut object, _) = shape::open(object)?;
    if shape == Shape::StatusUpdate {
        object.shift_remove("final");
    }
    up(shape, &mut object);
    shape.read(object)
}

/// Of the two ways to say whether to wait, its server knows one.
fn prefer_return_immediately(params: &mut Object) {
    if let Some(Value::Object(configuration)) = params.get_mut("configuration")
        && ["returnImmediately", "return_immediately"]
            .iter()
            .any(|name| configuration.get(*name).is_some_and(Value::is_boolean))
    {
        configuration.shift_remove("blocking");
    }
}

#[cfg(test)]
mod tests;
