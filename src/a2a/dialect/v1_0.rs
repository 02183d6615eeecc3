//! A2A 1.0 in JSON: the canonical shape itself, so this is nearly the identity.
//!
//! What it does change: a timestamp written without an offset or with `+00:00`, as 0.x workers do, is encoded as
//! UTC with `Z`; one that cannot be read at all is left out (1.0 receivers refuse the whole message for it), and
//! stays only in the canonical value. Strings and lists that are empty are left out, as ProtoJSON does.

use serde_json::{Value, json};

use super::codec::{Codec, Frame, Traits};
use super::shape::{self, Form, Shape};
use super::{checks, json, jsonrpc, keyed, v0};
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{Fault, Model};
use crate::a2a::request::{PushConfigRequest, TaskRequest};
use crate::a2a::task::parse_time;
use crate::a2a::{A2aError, Answer, Object, Operation, PushConfig, Request, StreamResponse, Task};

/// 1.0 itself.
pub(super) struct V1_0;

static TRAITS: Traits = Traits {
    enveloped_frames: true,
    a2a_version: Some("1.0"),
    tenants: true,
    ..Traits::PLAIN
};

impl Codec for V1_0 {
    fn traits(&self) -> &'static Traits {
        &TRAITS
    }

    fn supports(&self, _: Operation) -> bool {
        true
    }

    fn method(&self, operation: Operation) -> &'static str {
        operation.name()
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

    fn encode_event(&self, event: &StreamResponse, _: Option<&Task>, _: bool) -> Vec<Frame> {
        vec![encode_event(event).into()]
    }

    fn decode_event(&self, _: &str, data: Object) -> Result<Option<(StreamResponse, bool)>, Fault> {
        let (shape, object, form) = shape::open(data)?;
        Ok(Some((read(shape, object, form)?, false)))
    }

    fn encode_webhook(&self, event: &StreamResponse, _: &Task) -> (Value, &'static str) {
        (encode_event(event), super::A2A_JSON)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        jsonrpc::code_of(kind)
    }

    fn error_kind(&self, code: i64, _: &str, data: Option<&Value>) -> ErrorKind {
        jsonrpc::kind_by_reason(data).unwrap_or_else(|| jsonrpc::kind_of_code(code))
    }

    fn error_data(&self, error: &A2aError) -> Option<Value> {
        error_data(error)
    }
}

/// The parameters of a call.
pub(super) fn encode_request(request: &Request) -> Value {
    match request {
        Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
            let mut value = json(send);
            normalize_times(&mut value);
            value
        }
        Request::GetTask(get) => json(get),
        Request::ListTasks(object) | Request::GetExtendedAgentCard(object) => {
            Value::Object(object.clone())
        }
        Request::CancelTask(task) | Request::SubscribeToTask(task) => {
            keyed(&task.extra, [("id", Some(&task.id))])
        }
        Request::CreatePushConfig(config) => json(config),
        Request::GetPushConfig(get) | Request::DeletePushConfig(get) => keyed(
            &get.extra,
            [("taskId", Some(&get.task_id)), ("id", get.id.as_ref())],
        ),
        Request::ListPushConfigs(task) => keyed(&task.extra, [("taskId", Some(&task.id))]),
    }
}

/// Reads the parameters of a call.
pub(super) fn decode_request(operation: Operation, mut params: Object) -> Result<Request, Fault> {
    Ok(match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => {
            checks::message(&params, &checks::V1_0)?;
            let send = Model::from_object(params)?;
            checks::inline_config(&send, "configuration.taskPushNotificationConfig.url")?;
            super::send_request(operation, send)
        }
        Operation::GetTask => Request::GetTask(checks::get_task(params)?),
        Operation::ListTasks => Request::ListTasks(params),
        Operation::CancelTask | Operation::SubscribeToTask => {
            let id = checks::take_id(&mut params, "id", "")?;
            super::task_request(operation, TaskRequest { id, extra: params })
        }
        Operation::ListTaskPushNotificationConfigs => Request::ListPushConfigs(TaskRequest {
            id: checks::take_id(&mut params, "taskId", "task_id")?,
            extra: params,
        }),
        Operation::CreateTaskPushNotificationConfig => {
            let config = PushConfig::from_object(shape::flatten_config(params))?;
            Request::CreatePushConfig(checks::config(config, "taskId", "url")?)
        }
        Operation::GetTaskPushNotificationConfig | Operation::DeleteTaskPushNotificationConfig => {
            super::config_request(
                operation,
                PushConfigRequest {
                    task_id: checks::take_id(&mut params, "taskId", "task_id")?,
                    id: Some(checks::take_id(&mut params, "id", "")?),
                    extra: params,
                },
            )
        }
        Operation::GetExtendedAgentCard => Request::GetExtendedAgentCard(params),
    })
}

/// The result of a call.
pub(super) fn encode_answer(operation: Operation, answer: &Answer) -> Value {
    match answer {
        Answer::Task(task) => {
            let mut value = json(task);
            normalize_times(&mut value);
            if operation.sends() {
                json!({ "task": value })
            } else {
                value
            }
        }
        Answer::Message(message) => json!({ "message": json(message) }),
        Answer::Tasks(object) => {
            let mut value = Value::Object(object.clone());
            if let Some(tasks) = value.get_mut("tasks").and_then(Value::as_array_mut) {
                tasks.iter_mut().for_each(normalize_times);
            }
            value
        }
        Answer::PushConfig(config) => json(config),
        Answer::PushConfigs {
            configs,
            next_page_token,
        } => {
            let mut value = json!({ "configs": json(configs) });
            if let Some(token) = next_page_token {
                value["nextPageToken"] = Value::String(token.clone());
            }
            value
        }
        Answer::Empty => Value::Null,
        Answer::Card(card) => card.clone(),
    }
}

/// Reads an object of this shape. One that says its `kind` is written the 0.x way, whatever its wrapper promised.
pub(super) fn read(shape: Shape, mut object: Object, form: Form) -> Result<StreamResponse, Fault> {
    let says_kind = object.get("kind").and_then(Value::as_str) == Some(shape.kind());
    if form == Form::Kind || says_kind {
        v0::up::shape(shape, &mut object);
    }
    shape.read(object)
}

/// One frame of a stream.
pub(super) fn encode_event(event: &StreamResponse) -> Value {
    let mut value = json(event);
    if let Some(inner) = value
        .as_object_mut()
        .and_then(|object| object.values_mut().next())
    {
        normalize_times(inner);
    }
    value
}

/// Rewrites the `status.timestamp` of a task or status update, as the head of this file says.
fn normalize_times(value: &mut Value) {
    let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) else {
        return;
    };
    normalize_time(status);
}

/// The same for a status itself.
pub(super) fn normalize_time(status: &mut Object) {
    let Some(Value::String(text)) = status.get_mut("timestamp") else {
        return;
    };
    match parse_time(text) {
        // Already as 1.0 wants it: the worker's own digits stay.
        Some(_) if text.ends_with('Z') => {}
        Some(time) => *text = time.to_string(),
        None => {
            status.remove("timestamp");
        }
    }
}

/// The `@type` of the detail that every error of 1.0 carries.
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// The `domain` of the protocol's own errors.
const ERROR_DOMAIN: &str = "a2a-protocol.org";

/// `error.data`: an `ErrorInfo` with the reason, then what the error has of details in that form.
pub(super) fn error_data(error: &A2aError) -> Option<Value> {
    let reason = super::jsonrpc::reason(error.kind);
    let details = match &error.data {
        Some(Value::Array(details))
            if details.iter().any(|detail| detail.get("@type").is_some()) =>
        {
            details.as_slice()
        }
        Some(other) if reason.is_none() => return Some(other.clone()),
        _ => &[],
    };
    let mut data = Vec::with_capacity(details.len() + 1);
    if let Some(reason) = reason
        && !details.iter().any(is_error_info)
    {
        data.push(json!({ "@type": ERROR_INFO, "reason": reason, "domain": ERROR_DOMAIN }));
    }
    data.extend_from_slice(details);
    (!data.is_empty()).then_some(Value::Array(data))
}

/// The reason that an error names by itself.
pub(super) fn error_reason(data: Option<&Value>) -> Option<&str> {
    data?
        .as_array()?
        .iter()
        .find(|detail| is_error_info(detail))?
        .get("reason")?
        .as_str()
}

fn is_error_info(detail: &Value) -> bool {
    let text = |name| detail.get(name).and_then(Value::as_str);
    text("domain") == Some(ERROR_DOMAIN)
        && text("@type").is_some_and(|name| name.ends_with("google.rpc.ErrorInfo"))
}
