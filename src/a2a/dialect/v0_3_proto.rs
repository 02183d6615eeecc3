//! A2A 0.3 in the JSON of its protobuf messages (ProtoJSON): what HTTP+JSON and gRPC of 0.3 speak. Between it and the
//! canonical (1.0) JSON, by way of [`super::v0`] where the shapes are the same.
//!
//! # What is different from 0.3's JSON over JSON-RPC
//!
//! `content` instead of `parts` in messages; `ROLE_USER`; `TASK_STATE_CANCELLED`; no `kind` but wrappers (`{task}`,
//! `{message}`, `{statusUpdate}`, `{artifactUpdate}`); a part is `{text}`, `{file: {fileWithUri | fileWithBytes}}` or
//! `{data: {data}}`; `pushNotification`; ids as resource names (`tasks/T/pushNotificationConfigs/C`); `blocking` is a
//! plain bool, so that absent means "do not wait".
//!
//! # What has no place in it
//!
//! The Python SDK refuses a whole message for one member that its `.proto` does not have, so nothing else is written.
//!
//! | from | what | where it goes | comes back |
//! |---|---|---|---|
//! | 1.0 | `referenceTaskIds`, and members unknown to the model, of a task, message, artifact, update, part or send | that object's metadata, under [`KEPT`] | yes |
//! | 1.0 | members unknown to the model of a status, a send's configuration and the webhook in it | the metadata of the object around it, under [`KEPT`] | yes |
//! | 1.0 | members unknown to the model of other requests and of registrations, `tenant` among them | left out | no |
//! | 1.0 | `historyLength: 0` | left out: 0 means "not said" | no |
//! | 1.0 | a registration without id | that of the task, as the Python SDK does | as that |
//! | 1.0 | everything that [`super::v0`] keeps in the metadata of parts | there | yes |
//! | 1.0 | base64 without padding, or of the other alphabet | with, and of the standard one | as that |
//! | 1.0 | bytes that are no base64 | left as they are | yes |
//! | 1.0 | an unspecified role, empty metadata, an empty context | left out | as unspecified, none, none |
//! | 0.3 | `blocking` absent in a send | `returnImmediately: true`; in a streaming send nothing, since nothing waits | as `false` |
//!
//! `fileWithBytes` holds bytes, in JSON as base64. The Python SDKs put the base64 *text* of the file there, which then
//! is base64 twice over in JSON, and fail on anything else. So that is what is written; what is read may be either, told
//! apart by whether the bytes are base64 themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::names::{
    NAME_OF_CONFIG, config_id, config_name, down_registration, push_configs, take_config,
    take_task, task_name, up_registration,
};
use super::codec::{Codec, Frame, Traits};
use super::proto::{self, decode_base64};
use super::shape::{self, Shape};
use super::v0::{self, KEPT};
use super::walk::objects;
use super::{Version, checks, grpc, json};
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{self, Fault, Model};
use crate::a2a::request::{PushConfigRequest, TaskRequest};
use crate::a2a::{Answer, Object, Operation, PushConfig, Request, StreamResponse, Task};

mod names;

/// This form. What is no matter of its messages (errors, webhooks, methods) is as in 0.3 over JSON-RPC.
pub(super) struct V0_3Proto;

const SAME: v0::V0 = v0::V0(Version::V0_3);

static TRAITS: Traits = Traits {
    enveloped_frames: false,
    // The bindings have a place for errors of their own: a status, trailers.
    stream_errors_as_frames: false,
    ..v0::TRAITS
};

impl Codec for V0_3Proto {
    fn traits(&self) -> &'static Traits {
        &TRAITS
    }

    fn supports(&self, operation: Operation) -> bool {
        grpc::has(Version::V0_3, operation)
    }

    fn method(&self, operation: Operation) -> &'static str {
        SAME.method(operation)
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

    fn encode_event(&self, event: &StreamResponse, _: Option<&Task>, last: bool) -> Vec<Frame> {
        vec![encode_event(event, last).into()]
    }

    fn decode_event(&self, _: &str, data: Object) -> Result<Option<(StreamResponse, bool)>, Fault> {
        open(Operation::SendStreamingMessage, data).map(Some)
    }

    fn encode_webhook(&self, event: &StreamResponse, after: &Task) -> (Value, &'static str) {
        SAME.encode_webhook(event, after)
    }

    fn error_code(&self, kind: ErrorKind) -> i64 {
        SAME.error_code(kind)
    }

    fn error_kind(&self, code: i64, message: &str, data: Option<&Value>) -> ErrorKind {
        SAME.error_kind(code, message, data)
    }
}

/// The parameters of a call.
fn encode_request(request: &Request) -> Value {
    match request {
        Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
            let mut value = json(send);
            if let Value::Object(params) = &mut value {
                down_send(params);
                confine("SendMessageRequest", params);
            }
            value
        }
        Request::GetTask(get) => {
            let mut params = json!({ "name": task_name(&get.id) });
            if let Some(length) = get.history_length.filter(|length| *length > 0) {
                params["historyLength"] = Value::from(length);
            }
            params
        }
        Request::CancelTask(task) | Request::SubscribeToTask(task) => {
            json!({ "name": task_name(&task.id) })
        }
        Request::CreatePushConfig(config) => json!({
            "parent": task_name(&config.task_id),
            "configId": config_id(config),
            "config": down_registration(config),
        }),
        Request::GetPushConfig(get) | Request::DeletePushConfig(get) => {
            let id = get.id.as_deref().unwrap_or(&get.task_id);
            json!({ "name": config_name(&get.task_id, id) })
        }
        Request::ListPushConfigs(task) => {
            let mut params = json!({ "parent": task_name(&task.id) });
            for name in ["pageSize", "pageToken"] {
                if let Some(value) = task.extra.get(name) {
                    params[name] = value.clone();
                }
            }
            params
        }
        Request::ListTasks(object) => Value::Object(object.clone()),
        Request::GetExtendedAgentCard(_) => json!({}),
    }
}

/// Reads the parameters of a call. Those of HTTP come from the path and the query as well, so ids are taken by
/// whatever name they have there.
fn decode_request(operation: Operation, mut params: Object) -> Result<Request, Fault> {
    Ok(match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => {
            release("SendMessageRequest", &mut params);
            up_send(operation, &mut params)?;
            checks::message(&params, &checks::V0)?;
            v0::up::send(&mut params);
            let send = Model::from_object(params)?;
            checks::inline_config(&send, "configuration.pushNotification.url")?;
            super::send_request(operation, send)
        }
        Operation::GetTask => {
            let id = take_task(&mut params)?;
            params.insert("id".to_owned(), Value::from(id));
            let mut get = checks::get_task(params)?;
            get.history_length = get.history_length.filter(|length| *length > 0);
            Request::GetTask(get)
        }
        Operation::ListTasks => Request::ListTasks(params),
        Operation::CancelTask | Operation::SubscribeToTask => {
            let id = take_task(&mut params)?;
            super::task_request(operation, TaskRequest { id, extra: params })
        }
        Operation::ListTaskPushNotificationConfigs => Request::ListPushConfigs(TaskRequest {
            id: take_task(&mut params)?,
            extra: params,
        }),
        Operation::CreateTaskPushNotificationConfig => {
            let config = PushConfig::from_object(up_registration(params)?)?;
            let url = "config.pushNotificationConfig.url";
            Request::CreatePushConfig(checks::config(config, "parent", url)?)
        }
        Operation::GetTaskPushNotificationConfig | Operation::DeleteTaskPushNotificationConfig => {
            let (task_id, id) = take_config(&mut params)?;
            if id.is_none() && operation == Operation::DeleteTaskPushNotificationConfig {
                return Err(Fault::new("name", NAME_OF_CONFIG));
            }
            let request = PushConfigRequest {
                task_id,
                id,
                extra: params,
            };
            super::config_request(operation, request)
        }
        Operation::GetExtendedAgentCard => Request::GetExtendedAgentCard(params),
    })
}

/// The answer to a call.
fn encode_answer(operation: Operation, answer: &Answer) -> Value {
    match answer {
        Answer::Task(task) if operation.sends() => {
            json!({ "task": down(Shape::Task, json(task)) })
        }
        Answer::Task(task) => down(Shape::Task, json(task)),
        Answer::Message(message) => json!({ "message": down(Shape::Message, json(message)) }),
        Answer::Tasks(object) => {
            let mut value = Value::Object(object.clone());
            if let Some(tasks) = value.get_mut("tasks").and_then(Value::as_array_mut) {
                for task in tasks {
                    *task = down(Shape::Task, task.take());
                }
            }
            value
        }
        Answer::PushConfig(config) => down_registration(config),
        Answer::PushConfigs {
            configs,
            next_page_token,
        } => {
            let configs: Vec<Value> = configs.iter().map(down_registration).collect();
            let mut value = json!({ "configs": configs });
            if let Some(token) = next_page_token {
                value["nextPageToken"] = Value::from(token.as_str());
            }
            value
        }
        Answer::Empty => json!({}),
        Answer::Card(card) => card.clone(),
    }
}

/// Reads the answer to a call.
fn decode_answer(operation: Operation, result: Value) -> Result<Answer, Fault> {
    let object = match (operation, result) {
        (Operation::DeleteTaskPushNotificationConfig, _) => return Ok(Answer::Empty),
        (Operation::GetExtendedAgentCard, card @ Value::Object(_)) => {
            return Ok(Answer::Card(card));
        }
        (Operation::ListTaskPushNotificationConfigs, Value::Null) => Object::new(),
        (_, Value::Object(object)) => object,
        _ => return Err(Fault::new("", "must be an object")),
    };
    match operation {
        Operation::ListTaskPushNotificationConfigs => push_configs(object),
        Operation::CreateTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            shape::push_config(up_registration(object)?).map(Answer::PushConfig)
        }
        Operation::ListTasks => {
            let mut object = object;
            for task in objects(&mut object, "tasks") {
                up(Shape::Task, task);
            }
            Ok(Answer::Tasks(v0::up::tasks(object)))
        }
        _ => match open(operation, object)?.0 {
            StreamResponse::Task(task) => Ok(Answer::Task(task)),
            StreamResponse::Message(message) if operation.sends() => Ok(Answer::Message(message)),
            _ => Err(Fault::new("", "is no task")),
        },
    }
}

/// One frame of a stream. `last`: nothing follows in this stream.
fn encode_event(event: &StreamResponse, last: bool) -> Value {
    match event {
        StreamResponse::Task(task) => json!({ "task": down(Shape::Task, json(task)) }),
        StreamResponse::Message(message) => {
            json!({ "message": down(Shape::Message, json(message)) })
        }
        StreamResponse::ArtifactUpdate(update) => {
            json!({ "artifactUpdate": down(Shape::ArtifactUpdate, json(update)) })
        }
        StreamResponse::StatusUpdate(update) => {
            let state = update.status.state;
            let mut value = down(Shape::StatusUpdate, json(update));
            if state.is_terminal() || (last && state.is_interrupted()) {
                value["final"] = Value::Bool(true);
            }
            json!({ "statusUpdate": value })
        }
    }
}

/// The event that an object is. The answer to a call that is about one task is one, even where next to nothing of it is
/// there: ProtoJSON leaves out what is not set.
fn open(operation: Operation, object: Object) -> Result<(StreamResponse, bool), Fault> {
    let bare = matches!(operation, Operation::GetTask | Operation::CancelTask)
        && !object.contains_key("task");
    let (shape, mut object) = if bare {
        (Shape::Task, object)
    } else {
        let (shape, object, _) = shape::open(object)?;
        (shape, object)
    };
    up(shape, &mut object);
    let last = object.get("final") == Some(&Value::Bool(true));
    Ok((v0::read(shape, object)?, last))
}

/// The name of a shape's message.
fn message_of(shape: Shape) -> &'static str {
    match shape {
        Shape::Task => "Task",
        Shape::Message => "Message",
        Shape::StatusUpdate => "TaskStatusUpdateEvent",
        Shape::ArtifactUpdate => "TaskArtifactUpdateEvent",
    }
}

fn confine(message: &str, object: &mut Object) {
    // What is returned no object has a place for: see the table.
    let _ = proto::confine(Version::V0_3, message, object, KEPT);
}

fn release(message: &str, object: &mut Object) {
    proto::release(Version::V0_3, message, object, KEPT, "Part");
}

/// From canonical JSON.
fn down(shape: Shape, mut value: Value) -> Value {
    if let Value::Object(object) = &mut value {
        match shape {
            Shape::Task => {
                down_status(object);
                for artifact in objects(object, "artifacts") {
                    down_parts(artifact, "parts");
                }
                for turn in objects(object, "history") {
                    down_message(turn);
                }
            }
            Shape::Message => down_message(object),
            Shape::StatusUpdate => down_status(object),
            Shape::ArtifactUpdate => {
                if let Some(Value::Object(artifact)) = object.get_mut("artifact") {
                    down_parts(artifact, "parts");
                }
            }
        }
        confine(message_of(shape), object);
    }
    value
}

fn down_message(message: &mut Object) {
    down_parts(message, "content");
    if message.get("role").and_then(Value::as_str) == Some("ROLE_UNSPECIFIED") {
        message.remove("role");
    }
}

fn down_status(object: &mut Object) {
    let Some(Value::Object(status)) = object.get_mut("status") else {
        return;
    };
    super::v1_0::normalize_time(status);
    if let Some(Value::String(state)) = status.get_mut("state")
        && state == "TASK_STATE_CANCELED"
    {
        *state = "TASK_STATE_CANCELLED".to_owned();
    }
    if let Some(Value::Object(message)) = status.get_mut("message") {
        down_message(message);
    }
}

/// `name`: what the list of parts is called in this object.
fn down_parts(object: &mut Object, name: &str) {
    for part in objects(object, "parts") {
        v0::down::part(part);
        down_part(part);
    }
    if name != "parts"
        && let Some(parts) = object.remove("parts")
    {
        object.insert(name.to_owned(), parts);
    }
}

/// From a part of 0.3 over JSON-RPC.
fn down_part(part: &mut Object) {
    let kind = part.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "text" | "file" | "data") {
        v0::down::unknown(part);
    }
    part.remove("kind");
    if let Some(Value::Object(file)) = part.get_mut("file") {
        if let Some(Value::String(mut bytes)) = file.remove("bytes") {
            if let Some(content) = decode_base64(&bytes) {
                bytes = STANDARD.encode(STANDARD.encode(content));
            }
            file.insert("fileWithBytes".to_owned(), Value::from(bytes));
        }
        if let Some(uri) = file.remove("uri") {
            // The message has room for one of them.
            if file.contains_key("fileWithBytes") {
                file.insert(BESIDE_BYTES.to_owned(), uri);
            } else {
                file.insert("fileWithUri".to_owned(), uri);
            }
        }
    }
    if let Some(data @ Value::Object(_)) = part.remove("data") {
        part.insert("data".to_owned(), json!({ "data": data }));
    }
}

/// The name in 0.3's own JSON of a link beside bytes: it is kept by this name, since that is where it belongs again.
const BESIDE_BYTES: &str = "uri";

/// To the JSON that [`v0::up`] reads.
fn up(shape: Shape, object: &mut Object) {
    release(message_of(shape), object);
    match shape {
        Shape::Task => {
            up_status(object);
            for artifact in objects(object, "artifacts") {
                up_parts(artifact, "parts");
            }
            for turn in objects(object, "history") {
                up_parts(turn, "content");
            }
        }
        Shape::Message => up_parts(object, "content"),
        Shape::StatusUpdate => up_status(object),
        Shape::ArtifactUpdate => {
            if let Some(Value::Object(artifact)) = object.get_mut("artifact") {
                up_parts(artifact, "parts");
            }
        }
    }
}

fn up_status(object: &mut Object) {
    if let Some(Value::Object(status)) = object.get_mut("status")
        && let Some(Value::Object(message)) = status.get_mut("message")
    {
        // A message of nothing is how the Python SDK writes none.
        if message.is_empty() {
            status.remove("message");
        } else {
            up_parts(message, "content");
        }
    }
}

fn up_parts(object: &mut Object, name: &str) {
    if name != "parts"
        && let Some(parts) = object.remove(name)
    {
        object.entry("parts").or_insert(parts);
    }
    for part in objects(object, "parts") {
        up_part(part);
    }
}

fn up_part(part: &mut Object) {
    if let Some(Value::Object(file)) = part.get_mut("file") {
        if let Some(Value::String(bytes)) = file.remove("fileWithBytes") {
            file.insert("bytes".to_owned(), Value::from(content(bytes)));
        }
        if let Some(uri) = file.remove("fileWithUri") {
            file.entry("uri").or_insert(uri);
        }
    }
    if let Some(Value::Object(data)) = part.get_mut("data")
        && let Some(inner @ Value::Object(_)) = data.remove("data")
    {
        part.insert("data".to_owned(), inner);
    }
}

/// The file's base64, whether its bytes are the file or the base64 of it.
fn content(field: String) -> String {
    let inner = decode_base64(&field)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| !text.is_empty() && STANDARD.decode(text).is_ok());
    inner.unwrap_or(field)
}

fn down_send(params: &mut Object) {
    if let Some(Value::Object(message)) = params.get_mut("message") {
        down_message(message);
    }
    let configuration = params
        .entry("configuration")
        .or_insert_with(|| Value::Object(Object::new()));
    let Value::Object(configuration) = configuration else {
        return;
    };
    let immediately = configuration.remove("returnImmediately") == Some(Value::Bool(true));
    // Absent is false here, and to wait is the rule of every other form.
    configuration.insert("blocking".to_owned(), Value::Bool(!immediately));
    if configuration.get("historyLength").and_then(Value::as_u64) == Some(0) {
        configuration.remove("historyLength");
    }
    if let Some(mut config) = configuration.remove("taskPushNotificationConfig") {
        if let Value::Object(config) = &mut config {
            v0::down::config(config);
        }
        configuration.insert("pushNotification".to_owned(), config);
    }
}

fn up_send(operation: Operation, params: &mut Object) -> Result<(), Fault> {
    if let Some(Value::Object(message)) = params.get_mut("message") {
        up_parts(message, "content");
        // ProtoJSON leaves an empty list out.
        message.entry("parts").or_insert_with(|| json!([]));
    }
    let configuration = params
        .entry("configuration")
        .or_insert_with(|| Value::Object(Object::new()));
    if configuration.is_null() {
        *configuration = Value::Object(Object::new());
    }
    let Value::Object(configuration) = configuration else {
        return Err(Fault::new("configuration", "must be an object"));
    };
    let blocking = fields::boolean(configuration, "blocking", "")
        .map_err(|fault| fault.within("configuration"))?;
    let immediately = match blocking {
        Some(blocking) => Some(!blocking),
        None if operation == Operation::SendStreamingMessage => None,
        None => Some(true),
    };
    if let Some(immediately) = immediately {
        configuration.insert("returnImmediately".to_owned(), Value::Bool(immediately));
    }
    let length = fields::count(configuration, "historyLength", "")
        .map_err(|fault| fault.within("configuration"))?;
    if let Some(length) = length.filter(|length| *length > 0) {
        configuration.insert("historyLength".to_owned(), Value::from(length));
    }
    if let Some(config) = fields::take(configuration, "pushNotification", "") {
        configuration.insert("taskPushNotificationConfig".to_owned(), config);
    }
    if configuration.is_empty() {
        params.remove("configuration");
    }
    Ok(())
}
