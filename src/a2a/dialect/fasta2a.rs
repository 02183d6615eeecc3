//! fasta2a 2.x (and 1.0, which differs in nothing here): the method names of 0.3 with the objects of 1.0, whose enums
//! are in lower case. Written as 1.0 with other names for its states and roles. From 2.1 on its servers answer 1.0 as
//! well, and their cards promise that: those are spoken to in 1.0, and this form is for its clients, for servers that
//! the configuration names, and for those that turn out not to keep the promise.
//!
//! [`FastA2aV0`] is fasta2a 0.x, which pydantic-ai's `to_a2a` serves: 0.3 without streams and webhooks.
//!
//! # What is their own
//!
//! - A send never waits, whatever it asks for. A client that does not say `blocking` counts on that, so here an absent
//!   one means `returnImmediately`.
//! - Their queue has no room: a send behind other jobs is answered when those are done, a cancel when the job that it
//!   should end is. The sidecar announces a task of its own then, and answers a cancel itself.
//! - What they cannot validate they answer with HTTP 500 and no JSON: a `configuration` without `acceptedOutputModes`
//!   for one. Here it always has them.
//! - Reading with `historyLength` cuts the history in their store: no call to them has it.
//! - Webhooks have method names of their own (`tasks/pushNotification/set` and `get`), the flat form of 1.0, and no
//!   server that serves them.
//! - Clients validate: `contextId` must be there, a state must be known, and the only error that a read may have is
//!   "Task not found", in exactly these words.
//! - Streams end where a task waits for somebody.
//!
//! # What the other side has no place for
//!
//! | from | what | where it goes | comes back |
//! |---|---|---|---|
//! | 1.0 | `TASK_STATE_UNSPECIFIED` | `working`; the state in the metadata, under [`KEPT`] | yes |
//! | 1.0 | `ROLE_UNSPECIFIED` | `user` in a send, else `agent` | as those |
//! | 1.0 | `returnImmediately` | `blocking`, inverted | yes |
//! | 1.0 | no `returnImmediately` in a send that is no stream: wait | `blocking: true` | as `returnImmediately: false` |
//! | 1.0 | `historyLength` of calls | left out | no |
//! | 1.0 | an error's text, where [`error_text`](Codec::error_text) has theirs | left out | no |
//! | fasta2a | timestamps without offset | UTC with `Z` | the same moment |
//! | 0.x | | as in [`super::v0`] | as there |

use std::borrow::Cow;

use serde_json::{Value, json};

use super::codec::{Codec, Frame, Presets, Traits};
use super::kindless::Params;
use super::shape::{self, Shape};
use super::v0::{self, V0};
use super::{Version, checks, jsonrpc, v0_3, v1_0, walk};
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{self, Fault, Model};
use crate::a2a::request::{GetTaskRequest, PushConfigRequest, TaskRequest};
use crate::a2a::{
    A2aError, Answer, Object, Operation, PushConfig, Request, SendMessageRequest, StreamResponse,
    Task, TaskState,
};
#[cfg(doc)]
use v0::KEPT;

/// fasta2a 2.x.
pub(super) struct FastA2a;

/// fasta2a 0.x.
pub(super) struct FastA2aV0;

/// What a call asks for, if it is of fasta2a's client or in its vocabulary. Calls that name but a task are not answered
/// for here; only they come with a `null` for an id.
pub(super) fn is_request(method: &str, params: &[u8]) -> Option<Operation> {
    let operation = Operation::ALL
        .into_iter()
        .find(|operation| FastA2a.method(*operation) == method)?;
    let shape = Params::of(params);
    let is_theirs = match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => shape.has_kindless_message(),
        // The same name has a nested form in 0.1.
        Operation::CreateTaskPushNotificationConfig => shape.is_flat_config(),
        Operation::GetTaskPushNotificationConfig
        | Operation::ListTaskPushNotificationConfigs
        | Operation::DeleteTaskPushNotificationConfig => shape.names_task_of_config(),
        _ => false,
    };
    is_theirs.then_some(operation)
}

/// Whether a card is of fasta2a 0.x: 0.3 without what its SDKs always write, and nothing that it can do. (The cards of 2.x
/// say 1.0, which its servers speak.)
pub(super) fn is_card_of_v0(card: &Object) -> bool {
    let has = |name| card.contains_key(name);
    let off = |name| {
        card.get("capabilities")
            .is_some_and(|capabilities| capabilities.get(name) == Some(&Value::Bool(false)))
    };
    card.get("protocolVersion").and_then(Value::as_str) == Some("0.3.0")
        && !has("supportedInterfaces")
        && !has("preferredTransport")
        && !has("additionalInterfaces")
        && off("streaming")
        && off("pushNotifications")
        && off("stateTransitionHistory")
}

static TRAITS: Traits = Traits {
    enveloped_frames: true,
    ends_at_interrupt: true,
    stream_errors_as_frames: true,
    cancels_late: true,
    worker: Presets {
        return_immediately: Some(true),
        get: Some(true),
        stream: Some(true),
        push: Some(false),
        ..Presets::UNKNOWN
    },
    ..Traits::PLAIN
};

static TRAITS_V0: Traits = Traits {
    one_task_per_stream: true,
    posts_tasks: true,
    worker: Presets {
        stream: Some(false),
        ..TRAITS.worker
    },
    ..TRAITS
};

impl Codec for FastA2a {
    fn traits(&self) -> &'static Traits {
        &TRAITS
    }

    fn supports(&self, operation: Operation) -> bool {
        // `tasks/list` is a name that its servers know, to answer that they have no list.
        !matches!(
            operation,
            Operation::ListTasks | Operation::GetExtendedAgentCard
        )
    }

    fn method(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::CreateTaskPushNotificationConfig => "tasks/pushNotification/set",
            Operation::GetTaskPushNotificationConfig => "tasks/pushNotification/get",
            _ => v0::method(operation),
        }
    }

    fn encode_request(&self, request: &Request) -> Value {
        let mut params = v1_0::encode_request(&without_history_length(request));
        if let Value::Object(params) = &mut params
            && request.operation().sends()
        {
            send_down(params, request.operation());
        }
        params
    }

    fn decode_request(&self, operation: Operation, mut params: Object) -> Result<Request, Fault> {
        match operation {
            Operation::SendMessage | Operation::SendStreamingMessage => {
                checks::message(&params, &checks::V0)?;
                v0::up::send(&mut params);
                let mut send = SendMessageRequest::from_object(params)?;
                checks::inline_config(&send, "configuration.taskPushNotificationConfig.url")?;
                if operation == Operation::SendMessage {
                    let configuration = send.configuration.get_or_insert_default();
                    configuration.return_immediately.get_or_insert(true);
                }
                Ok(super::send_request(operation, send))
            }
            Operation::CreateTaskPushNotificationConfig => {
                let config = PushConfig::from_object(shape::flatten_config(params))?;
                Ok(Request::CreatePushConfig(checks::config(
                    config, "taskId", "url",
                )?))
            }
            Operation::GetTaskPushNotificationConfig => {
                let request = PushConfigRequest {
                    task_id: checks::take_id(&mut params, "taskId", "task_id")?,
                    id: fields::id(&mut params, "id", "")?,
                    extra: params,
                };
                Ok(Request::GetPushConfig(request))
            }
            Operation::ListTaskPushNotificationConfigs => {
                let id = checks::take_id(&mut params, "taskId", "task_id")?;
                Ok(Request::ListPushConfigs(TaskRequest { id, extra: params }))
            }
            _ => v1_0::decode_request(operation, params),
        }
    }

    fn encode_answer(&self, operation: Operation, answer: &Answer) -> Value {
        let mut value = v1_0::encode_answer(operation, answer);
        match (answer, &mut value) {
            (Answer::Task(_), Value::Object(result)) if operation.sends() => wrapped_down(result),
            (Answer::Message(_), Value::Object(result)) => wrapped_down(result),
            (Answer::Task(_), Value::Object(task)) => down(Shape::Task, task, AGENT),
            (Answer::Tasks(_), Value::Object(page)) => {
                walk::objects(page, "tasks").for_each(|task| down(Shape::Task, task, AGENT));
            }
            _ => {}
        }
        value
    }

    fn decode_answer(&self, operation: Operation, result: Value) -> Result<Answer, Fault> {
        let answer = shape::answer(operation, result, read)?;
        Ok(match answer {
            Answer::Tasks(mut page) => {
                walk::objects(&mut page, "tasks").for_each(|task| up(Shape::Task, task));
                Answer::Tasks(page)
            }
            other => other,
        })
    }

    fn encode_event(&self, event: &StreamResponse, _: Option<&Task>, _: bool) -> Vec<Frame> {
        vec![written(event).into()]
    }

    fn decode_event(&self, _: &str, data: Object) -> Result<Option<(StreamResponse, bool)>, Fault> {
        Ok(Some((read(data)?, false)))
    }

    fn encode_webhook(&self, event: &StreamResponse, _: &Task) -> (Value, &'static str) {
        (written(event), super::JSON)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        jsonrpc::code_of(v0_3::nearest(kind))
    }

    fn error_kind(&self, code: i64, _: &str, data: Option<&Value>) -> ErrorKind {
        jsonrpc::kind_by_reason(data).unwrap_or_else(|| jsonrpc::kind_of_code(code))
    }

    fn crash(&self, operation: Operation) -> Option<ErrorKind> {
        Some(crash(operation, self.traits()))
    }

    fn error_text<'a>(&self, error: &'a A2aError) -> Cow<'a, str> {
        error_text(error)
    }
}

impl Codec for FastA2aV0 {
    fn traits(&self) -> &'static Traits {
        &TRAITS_V0
    }

    fn supports(&self, operation: Operation) -> bool {
        V0(Version::V0_3).supports(operation)
    }

    fn method(&self, operation: Operation) -> &'static str {
        v0::method(operation)
    }

    fn encode_request(&self, request: &Request) -> Value {
        V0(Version::V0_3).encode_request(&without_history_length(request))
    }

    fn decode_request(&self, operation: Operation, params: Object) -> Result<Request, Fault> {
        V0(Version::V0_3).decode_request(operation, params)
    }

    fn encode_answer(&self, operation: Operation, answer: &Answer) -> Value {
        V0(Version::V0_3).encode_answer(operation, answer)
    }

    fn decode_answer(&self, operation: Operation, result: Value) -> Result<Answer, Fault> {
        V0(Version::V0_3).decode_answer(operation, result)
    }

    fn encode_event(&self, event: &StreamResponse, after: Option<&Task>, last: bool) -> Vec<Frame> {
        V0(Version::V0_3).encode_event(event, after, last)
    }

    fn decode_event(
        &self,
        name: &str,
        data: Object,
    ) -> Result<Option<(StreamResponse, bool)>, Fault> {
        V0(Version::V0_3).decode_event(name, data)
    }

    fn encode_webhook(&self, event: &StreamResponse, after: &Task) -> (Value, &'static str) {
        V0(Version::V0_3).encode_webhook(event, after)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        V0(Version::V0_3).error_code(kind)
    }

    fn error_kind(&self, code: i64, message: &str, data: Option<&Value>) -> ErrorKind {
        V0(Version::V0_3).error_kind(code, message, data)
    }

    fn crash(&self, operation: Operation) -> Option<ErrorKind> {
        Some(crash(operation, self.traits()))
    }

    fn error_text<'a>(&self, error: &'a A2aError) -> Cow<'a, str> {
        error_text(error)
    }
}

/// Their clients compare the text too.
fn error_text(error: &A2aError) -> Cow<'_, str> {
    match error.kind {
        ErrorKind::TaskNotFound => "Task not found".into(),
        ErrorKind::TaskNotCancelable => "Task not cancelable".into(),
        ErrorKind::PushNotificationNotSupported => "Push notification not supported".into(),
        _ => error.message.as_str().into(),
    }
}

/// They answer so to what they cannot validate: a method that they do not have, or parameters.
fn crash(operation: Operation, traits: &Traits) -> ErrorKind {
    match operation {
        Operation::SendMessage | Operation::GetTask | Operation::CancelTask => {
            ErrorKind::InvalidParams
        }
        Operation::SendStreamingMessage | Operation::SubscribeToTask
            if traits.worker.stream == Some(true) =>
        {
            ErrorKind::InvalidParams
        }
        _ => ErrorKind::MethodNotFound,
    }
}

/// A call that reads no less of the history than there is.
fn without_history_length(request: &Request) -> Cow<'_, Request> {
    let strip = |send: &SendMessageRequest| {
        let mut send = Box::new(send.clone());
        if let Some(configuration) = &mut send.configuration {
            configuration.history_length = None;
        }
        send
    };
    match request {
        Request::SendMessage(send) => Cow::Owned(Request::SendMessage(strip(send))),
        Request::SendStreamingMessage(send) => {
            Cow::Owned(Request::SendStreamingMessage(strip(send)))
        }
        Request::GetTask(get) => Cow::Owned(Request::GetTask(GetTaskRequest {
            history_length: None,
            ..get.clone()
        })),
        other => Cow::Borrowed(other),
    }
}

const USER: &str = "user";
const AGENT: &str = "agent";

/// The parameters of a send.
fn send_down(params: &mut Object, operation: Operation) {
    if let Some(Value::Object(message)) = params.get_mut("message") {
        down(Shape::Message, message, USER);
    }
    if operation == Operation::SendMessage {
        params.entry("configuration").or_insert_with(|| json!({}));
    }
    if let Some(Value::Object(configuration)) = params.get_mut("configuration") {
        let blocking = match configuration.shift_remove("returnImmediately") {
            Some(Value::Bool(immediately)) => Some(!immediately),
            _ => (operation == Operation::SendMessage).then_some(true),
        };
        if let Some(blocking) = blocking {
            configuration.insert("blocking".to_owned(), Value::Bool(blocking));
        }
        configuration
            .entry("acceptedOutputModes")
            .or_insert_with(|| json!([]));
    }
}

/// From canonical JSON, in place. `speaker`: the role of a message that names none.
fn down(shape: Shape, object: &mut Object, speaker: &'static str) {
    walk::messages(shape, object, &mut |message| {
        let role = v0::down::role_name(message, speaker);
        message.insert("role".to_owned(), Value::from(role));
    });
    if shape == Shape::Message {
        return;
    }
    let state = walk::status(object).map(|status| {
        status
            .get("state")
            .and_then(TaskState::from_value)
            .unwrap_or_default()
    });
    if let Some(state) = state {
        walk::name_state(object, state, state_name);
    }
    object.entry("contextId").or_insert_with(|| json!(""));
}

/// What is wrapped in the member that names it.
fn wrapped_down(wrapper: &mut Object) {
    for shape in Shape::ALL {
        if let Some(Value::Object(inner)) = wrapper.get_mut(shape.member()) {
            down(shape, inner, AGENT);
        }
    }
}

/// To canonical JSON, in place. Total, as [`v0::up`].
fn up(shape: Shape, object: &mut Object) {
    walk::restore_state(object);
    v0::up::shape(shape, object);
}

fn read(object: Object) -> Result<StreamResponse, Fault> {
    let (shape, mut object, _) = shape::open(object)?;
    up(shape, &mut object);
    shape.read(object)
}

fn written(event: &StreamResponse) -> Value {
    let mut value = v1_0::encode_event(event);
    if let Value::Object(wrapper) = &mut value {
        wrapped_down(wrapper);
    }
    value
}

/// Its name of a state, and whether that is another's too.
fn state_name(state: TaskState) -> (&'static str, bool) {
    match state {
        TaskState::Unspecified => ("working", true),
        known => (v0::down::state_name(known), false),
    }
}

#[cfg(test)]
mod tests;
