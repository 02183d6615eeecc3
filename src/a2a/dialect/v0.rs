//! A2A 0.2 and 0.3 in JSON: their common shapes, by translation to and from the canonical (1.0) JSON in place.
//! What only one of them has is in `v0_2.rs` and `v0_3.rs`.
//!
//! # What the other side has no place for
//!
//! | from | what | where it goes | comes back |
//! |---|---|---|---|
//! | 1.0 | `mediaType`, `filename` of a text, data or unknown part | the part's metadata, under [`KEPT`] | yes |
//! | 1.0 | data that is no object | `{"value": ..}`, metadata `data_part_compat: true`, as the Python SDK does | yes |
//! | 1.0 | a part of unknown content | a data part of its members, marked under [`KEPT`] | yes |
//! | 1.0 | `authentication.scheme` | `schemes`, of one | yes |
//! | 1.0 | `returnImmediately` | `blocking`, inverted; absent stays absent | yes |
//! | 1.0 | `ROLE_UNSPECIFIED` | `agent` (0.x clients refuse a message without a role) | as `ROLE_AGENT` |
//! | 1.0 | members unknown to this model, `tenant` among them | the same object | yes |
//! | 1.0 | list of tasks | `tasks/list`, which few 0.x workers know; the members as in 1.0, the tasks as in 0.x | yes |
//! | 0.x | `kind`, `final` | implied; `final` is told beside the event | yes |
//! | 0.x | further `schemes` | a member `schemes` beside `scheme` | yes |
//! | 0.x | members of `file` unknown to this model, a `uri` beside `bytes` | the part's `file` | yes |
//! | 0.x | parts of an unknown `kind` | as they are | yes |
//! | 0.x | timestamps without offset or with `+00:00` | UTC with `Z` | the same moment |
//! | 0.x | timestamps that nobody can read | left out of 1.0 | no |
//! | 0.x | unknown members beside `pushNotificationConfig` | the flat registration, then inside `pushNotificationConfig` | moved |
//! | both | a state or role that no version names | `unknown`, `TASK_STATE_UNSPECIFIED`; `agent`, `ROLE_UNSPECIFIED` | no |
//! | 1.0 | a member `kind` of a task, message, update or part (0.x needs its place) | overwritten or dropped | no |
//! | both | empty strings and lists, `false`, `null` that mean "not set" | left out | no |
//!
//! Encoding also adds what 0.x clients insist on: `kind`, `contextId`, `append`, `final`, `acceptedOutputModes`.

use serde_json::Value;

use super::codec::{Codec, Frame, Traits};
use super::shape::{self, Shape};
use super::{Version, checks, json, jsonrpc, keyed, v0_2, v0_3, v1_0};
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{self, Fault, Model};
use crate::a2a::request::{PushConfigRequest, TaskRequest};
use crate::a2a::{Answer, Object, Operation, PushConfig, Request, StreamResponse, Task};

pub(super) mod down;
pub(super) mod up;

/// The key in a part's metadata under which travels what 0.x has no place for.
pub const KEPT: &str = "a2a-sidecar/v1";
/// The Python SDK's mark, in a part's metadata, of data that is no object.
const DATA_PART_COMPAT: &str = "data_part_compat";
/// The member of [`KEPT`] that marks a part of unknown content.
const UNKNOWN_PART: &str = "unknownPart";

/// 0.2 or 0.3.
pub(super) struct V0(pub(super) Version);

/// One for both: over JSON-RPC they differ in a few errors and methods only.
pub(super) const TRAITS: Traits = Traits {
    enveloped_frames: true,
    one_task_per_stream: true,
    posts_tasks: true,
    ends_at_interrupt: true,
    stream_from_the_start: true,
    stream_errors_as_frames: true,
    ..Traits::PLAIN
};

impl Codec for V0 {
    fn traits(&self) -> &'static Traits {
        &TRAITS
    }

    fn supports(&self, operation: Operation) -> bool {
        match self.0 {
            Version::V0_2 => v0_2::supports(operation),
            _ => v0_3::supports(operation),
        }
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
        let answer = shape::answer(operation, result, |object| {
            let (shape, object, _) = shape::open(object)?;
            read(shape, object)
        })?;
        Ok(match answer {
            Answer::Tasks(object) => Answer::Tasks(up::tasks(object)),
            other => other,
        })
    }

    fn encode_event(&self, event: &StreamResponse, _: Option<&Task>, last: bool) -> Vec<Frame> {
        vec![encode_event(event, last).into()]
    }

    fn decode_event(&self, _: &str, data: Object) -> Result<Option<(StreamResponse, bool)>, Fault> {
        let (shape, object, _) = shape::open(data)?;
        let last = object.get("final") == Some(&Value::Bool(true));
        Ok(Some((read(shape, object)?, last)))
    }

    fn encode_webhook(&self, event: &StreamResponse, after: &Task) -> (Value, &'static str) {
        let body = match event {
            StreamResponse::Message(_) => encode_event(event, true),
            _ => down::value(Shape::Task, json(after)),
        };
        (body, super::JSON)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        jsonrpc::code_of(match self.0 {
            Version::V0_2 => v0_2::nearest(kind),
            _ => v0_3::nearest(kind),
        })
    }

    fn error_kind(&self, code: i64, message: &str, data: Option<&Value>) -> ErrorKind {
        jsonrpc::kind_by_reason(data)
            .or_else(|| sdk_kind(code, message))
            .unwrap_or_else(|| jsonrpc::kind_of_code(code))
    }
}

/// What the Python SDKs of 0.2 and 0.3 write under a code that means something else: their errors are told apart
/// by nothing but the text. Here alone is a text looked at.
const SDK_TEXTS: [(i64, &str, ErrorKind); 4] = [
    (
        -32603,
        "Push notifications are not supported by the agent",
        ErrorKind::PushNotificationNotSupported,
    ),
    (
        -32603,
        "Streaming is not supported by the agent",
        ErrorKind::UnsupportedOperation,
    ),
    (
        -32603,
        "Push notification config not found",
        ErrorKind::TaskNotFound,
    ),
    (
        -32602,
        "is in terminal state",
        ErrorKind::UnsupportedOperation,
    ),
];

fn sdk_kind(code: i64, message: &str) -> Option<ErrorKind> {
    SDK_TEXTS
        .iter()
        .find(|(other, text, _)| *other == code && message.contains(text))
        .map(|(.., kind)| *kind)
}

/// The JSON-RPC method. 0.x has none for the list of tasks: the name is that which 0.x workers use that have one.
pub(super) fn method(operation: Operation) -> &'static str {
    match operation {
        Operation::SendMessage => "message/send",
        Operation::SendStreamingMessage => "message/stream",
        Operation::GetTask => "tasks/get",
        Operation::ListTasks => "tasks/list",
        Operation::CancelTask => "tasks/cancel",
        Operation::SubscribeToTask => "tasks/resubscribe",
        Operation::CreateTaskPushNotificationConfig => "tasks/pushNotificationConfig/set",
        Operation::GetTaskPushNotificationConfig => "tasks/pushNotificationConfig/get",
        Operation::ListTaskPushNotificationConfigs => "tasks/pushNotificationConfig/list",
        Operation::DeleteTaskPushNotificationConfig => "tasks/pushNotificationConfig/delete",
        Operation::GetExtendedAgentCard => "agent/getAuthenticatedExtendedCard",
    }
}

/// The parameters of a call.
pub(super) fn encode_request(request: &Request) -> Value {
    match request {
        Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
            let mut value = json(send);
            if let Value::Object(params) = &mut value {
                down::send(params);
            }
            value
        }
        Request::CreatePushConfig(config) => down::task_config(json(config)),
        Request::GetPushConfig(get) | Request::DeletePushConfig(get) => keyed(
            &get.extra,
            [
                ("id", Some(&get.task_id)),
                ("pushNotificationConfigId", get.id.as_ref()),
            ],
        ),
        Request::ListPushConfigs(task) => keyed(&task.extra, [("id", Some(&task.id))]),
        Request::GetTask(_)
        | Request::ListTasks(_)
        | Request::CancelTask(_)
        | Request::SubscribeToTask(_)
        | Request::GetExtendedAgentCard(_) => v1_0::encode_request(request),
    }
}

/// Reads the parameters of a call.
pub(super) fn decode_request(operation: Operation, mut params: Object) -> Result<Request, Fault> {
    Ok(match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => {
            checks::message(&params, &checks::V0)?;
            let blocking = params
                .get("configuration")
                .and_then(|configuration| configuration.get("blocking"));
            if !matches!(blocking, None | Some(Value::Null | Value::Bool(_))) {
                return Err(Fault::new(
                    "configuration.blocking",
                    "must be true or false",
                ));
            }
            up::send(&mut params);
            let send = Model::from_object(params)?;
            checks::inline_config(&send, "configuration.pushNotificationConfig.url")?;
            super::send_request(operation, send)
        }
        Operation::GetTask
        | Operation::ListTasks
        | Operation::CancelTask
        | Operation::SubscribeToTask
        | Operation::GetExtendedAgentCard => return v1_0::decode_request(operation, params),
        Operation::ListTaskPushNotificationConfigs => Request::ListPushConfigs(TaskRequest {
            id: checks::take_id(&mut params, "id", "taskId")?,
            extra: params,
        }),
        Operation::CreateTaskPushNotificationConfig => {
            match params.get("pushNotificationConfig") {
                Some(Value::Object(_)) => {}
                // The flat form of 1.0, which some clients mix in.
                None | Some(Value::Null) if params.contains_key("url") => {}
                None | Some(Value::Null) => {
                    return Err(Fault::new("pushNotificationConfig", "is required"));
                }
                Some(_) => return Err(Fault::new("pushNotificationConfig", "must be an object")),
            }
            let config = PushConfig::from_object(shape::flatten_config(params))?;
            Request::CreatePushConfig(checks::config(
                config,
                "taskId",
                "pushNotificationConfig.url",
            )?)
        }
        Operation::GetTaskPushNotificationConfig => {
            let task_id = checks::take_id(&mut params, "id", "taskId")?;
            let id = fields::string(&mut params, "pushNotificationConfigId", "")?;
            super::config_request(
                operation,
                PushConfigRequest {
                    task_id,
                    id,
                    extra: params,
                },
            )
        }
        Operation::DeleteTaskPushNotificationConfig => {
            let task_id = checks::take_id(&mut params, "id", "taskId")?;
            let id = checks::take_id(&mut params, "pushNotificationConfigId", "")?;
            super::config_request(
                operation,
                PushConfigRequest {
                    task_id,
                    id: Some(id),
                    extra: params,
                },
            )
        }
    })
}

/// The result of a call.
pub(super) fn encode_answer(answer: &Answer) -> Value {
    match answer {
        Answer::Task(task) => down::value(Shape::Task, json(task)),
        Answer::Message(message) => down::value(Shape::Message, json(message)),
        Answer::Tasks(object) => {
            let mut value = Value::Object(object.clone());
            if let Some(tasks) = value.get_mut("tasks").and_then(Value::as_array_mut) {
                for task in tasks.iter_mut().filter_map(Value::as_object_mut) {
                    down::shape(Shape::Task, task);
                }
            }
            value
        }
        Answer::PushConfig(config) => down::task_config(json(config)),
        Answer::PushConfigs { configs, .. } => Value::Array(
            configs
                .iter()
                .map(|config| down::task_config(json(config)))
                .collect(),
        ),
        Answer::Empty => Value::Null,
        Answer::Card(card) => card.clone(),
    }
}

/// One frame of a stream. `last`: nothing follows in this stream.
pub(super) fn encode_event(event: &StreamResponse, last: bool) -> Value {
    match event {
        StreamResponse::Task(task) => down::value(Shape::Task, json(task)),
        StreamResponse::Message(message) => down::value(Shape::Message, json(message)),
        StreamResponse::ArtifactUpdate(update) => down::value(Shape::ArtifactUpdate, json(update)),
        StreamResponse::StatusUpdate(update) => {
            let state = update.status.state;
            let mut value = down::value(Shape::StatusUpdate, json(update));
            value["final"] = Value::Bool(state.is_terminal() || (last && state.is_interrupted()));
            value
        }
    }
}

/// Reads an object of this shape, whatever way it was wrapped: 0.x servers on gRPC's JSON wrap as 1.0 does.
pub(super) fn read(shape: Shape, mut object: Object) -> Result<StreamResponse, Fault> {
    up::shape(shape, &mut object);
    shape.read(object)
}
