//! Dialects: one wire form of A2A each, a protocol version over a binding.
//!
//! Decoding turns the wire into the canonical model, encoding turns it back. Nothing outside this folder knows
//! how a version spells things.

//!
//! A dialect is a version (what the JSON says) over a binding (how it travels). The methods of [`Dialect`] are
//! about the version's JSON; [`jsonrpc`] adds the envelope. A further version is a module beside [`v0`] and an arm
//! in the matches below, a further binding a module beside [`jsonrpc`]; callers see neither.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use self::shape::{Form, Shape};
use super::error::ErrorKind;
use super::fields::Fault;
use super::request::{PushConfigRequest, SendMessageRequest, TaskRequest};
use super::{A2aError, Answer, Object, Operation, PushConfig, Request, StreamResponse, Task};

mod checks;
pub mod jsonrpc;
mod python_a2a;
mod shape;
pub mod v0;
mod v0_1;
mod v0_2;
mod v0_3;
mod v1_0;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// A protocol version, by `Major.Minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 0.2.x
    V0_2,
    /// 0.3.x
    V0_3,
    /// 1.0.x
    V1_0,
}

impl Version {
    /// `Major.Minor`, as in `A2A-Version` and in cards.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Version::V0_2 => "0.2",
            Version::V0_3 => "0.3",
            Version::V1_0 => "1.0",
        }
    }

    /// Reads a version number; patch numbers are ignored (§3.6.1), an unknown one is `None`.
    #[must_use]
    pub fn parse(number: &str) -> Option<Version> {
        let mut numbers = number.trim().split('.');
        match (numbers.next()?, numbers.next().unwrap_or("0")) {
            ("0", "2") => Some(Version::V0_2),
            ("0", "3") => Some(Version::V0_3),
            ("1", "0") => Some(Version::V1_0),
            _ => None,
        }
    }

    /// Whether it is a 0.x version: lower-case names, `kind`, `final`.
    #[must_use]
    pub fn is_v0(self) -> bool {
        self != Version::V1_0
    }
}

/// A protocol binding (specification §9 to §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// JSON-RPC 2.0 over HTTP.
    JsonRpc,
}

/// A version over a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dialect {
    /// The version.
    pub version: Version,
    /// The binding.
    pub binding: Binding,
}

impl Dialect {
    /// JSON-RPC of this version.
    #[must_use]
    pub const fn jsonrpc(version: Version) -> Self {
        Self {
            version,
            binding: Binding::JsonRpc,
        }
    }

    /// The name used in the configuration, logs and metrics, such as `v1.0/jsonrpc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.version, self.binding) {
            (Version::V0_2, Binding::JsonRpc) => "v0.2/jsonrpc",
            (Version::V0_3, Binding::JsonRpc) => "v0.3/jsonrpc",
            (Version::V1_0, Binding::JsonRpc) => "v1.0/jsonrpc",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The media type of webhooks and HTTP bodies in 1.0 (§11.1).
const A2A_JSON: &str = "application/a2a+json";
/// The media type of webhooks in 0.x.
const JSON: &str = "application/json";

impl Dialect {
    /// Every dialect, newest first.
    pub const ALL: [Dialect; 3] = [
        Dialect::jsonrpc(Version::V1_0),
        Dialect::jsonrpc(Version::V0_3),
        Dialect::jsonrpc(Version::V0_2),
    ];

    /// Reads what [`Dialect::name`] gives.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.name() == name)
    }

    /// Whether the version has this operation in this binding. Encoding one that it has not gives the name and
    /// form that workers use which have it all the same.
    #[must_use]
    pub fn supports(self, operation: Operation) -> bool {
        match self.version {
            Version::V0_2 => v0_2::supports(operation),
            Version::V0_3 => v0_3::supports(operation),
            Version::V1_0 => true,
        }
    }

    /// The `protocolVersion` of a card of this version: with patch number in 0.x, without in 1.0.
    #[must_use]
    pub fn protocol_version(self) -> &'static str {
        match self.version {
            Version::V0_2 => v0_2::PROTOCOL_VERSION,
            Version::V0_3 => v0_3::PROTOCOL_VERSION,
            Version::V1_0 => Version::V1_0.number(),
        }
    }

    /// A call: its method and parameters.
    #[must_use]
    pub fn encode_request(self, request: &Request) -> (&'static str, Value) {
        let method = jsonrpc::method(self.version, request.operation());
        let params = match self.version {
            Version::V0_2 | Version::V0_3 => v0::encode_request(request),
            Version::V1_0 => v1_0::encode_request(request),
        };
        (method, params)
    }

    /// Reads the parameters of a call; empty `params` are absent ones.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`], naming the member that is missing or wrong.
    pub fn decode_request(self, operation: Operation, params: &[u8]) -> Result<Request, A2aError> {
        let params = if params.trim_ascii().is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(params).map_err(|error| {
                A2aError::new(ErrorKind::Parse, format!("params is not JSON: {error}"))
            })?
        };
        let params = match params {
            Value::Null => Object::new(),
            Value::Object(params) => params,
            _ => return Err(invalid_params(&Fault::new("params", "must be an object"))),
        };
        match self.version {
            Version::V0_2 | Version::V0_3 => v0::decode_request(operation, params),
            Version::V1_0 => v1_0::decode_request(operation, params),
        }
        .map_err(|fault| invalid_params(&fault))
    }

    /// The result of a call.
    #[must_use]
    pub fn encode_answer(self, operation: Operation, answer: &Answer) -> Value {
        match self.version {
            Version::V0_2 | Version::V0_3 => v0::encode_answer(answer),
            Version::V1_0 => v1_0::encode_answer(operation, answer),
        }
    }

    /// Reads the result of a call. Lenient in what wraps it, strict where its meaning would be lost: a task needs
    /// an id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidAgentResponse`], saying what is wrong with it.
    pub fn decode_answer(self, operation: Operation, result: Value) -> Result<Answer, A2aError> {
        self.answer(operation, result)
            .map_err(|fault| invalid_response("answer", &fault))
    }

    /// One frame of a stream: the `result` of its envelope. `last`: nothing follows in this stream (0.x tells its
    /// clients so: `final`).
    #[must_use]
    pub fn encode_event(self, event: &StreamResponse, last: bool) -> Value {
        match self.version {
            Version::V0_2 | Version::V0_3 => v0::encode_event(event, last),
            Version::V1_0 => v1_0::encode_event(event),
        }
    }

    /// Reads one frame of a stream, and whether it says itself that it is the last (0.x: `final`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidAgentResponse`], saying what is wrong with it.
    pub fn decode_event(self, frame: Value) -> Result<(StreamResponse, bool), A2aError> {
        let Value::Object(object) = frame else {
            let fault = Fault::new("", "must be an object");
            return Err(invalid_response("event", &fault));
        };
        self.open(object)
            .map_err(|fault| invalid_response("event", &fault))
    }

    /// The body of a webhook and its media type. 1.0 posts the event, 0.x the task as it is after the event (a
    /// message outside any task as it is).
    #[must_use]
    pub fn encode_webhook(
        self,
        event: &StreamResponse,
        task_after: &Task,
    ) -> (Bytes, &'static str) {
        let (body, media_type) = match (self.version, event) {
            (Version::V1_0, _) => (v1_0::encode_event(event), A2A_JSON),
            (Version::V0_2 | Version::V0_3, StreamResponse::Message(_)) => {
                (v0::encode_event(event, true), JSON)
            }
            (Version::V0_2 | Version::V0_3, _) => {
                (v0::down::value(Shape::Task, json(task_after)), JSON)
            }
        };
        // A `Value` always serialises.
        (
            serde_json::to_vec(&body).unwrap_or_default().into(),
            media_type,
        )
    }

    fn answer(self, operation: Operation, result: Value) -> Result<Answer, Fault> {
        let object = match (operation, result) {
            (Operation::DeleteTaskPushNotificationConfig, _) => return Ok(Answer::Empty),
            (Operation::GetExtendedAgentCard, card @ Value::Object(_)) => {
                return Ok(Answer::Card(card));
            }
            (Operation::ListTaskPushNotificationConfigs, result) => return push_configs(result),
            (_, Value::Object(object)) => object,
            _ => return Err(Fault::new("", "must be an object")),
        };
        match operation {
            Operation::ListTasks => Ok(Answer::Tasks(self.tasks(object))),
            Operation::CreateTaskPushNotificationConfig
            | Operation::GetTaskPushNotificationConfig => {
                push_config(object).map(Answer::PushConfig)
            }
            _ => match self.open(object)?.0 {
                StreamResponse::Task(task) => Ok(Answer::Task(task)),
                StreamResponse::Message(message) if operation.sends() => {
                    Ok(Answer::Message(message))
                }
                _ => Err(Fault::new("", "is no task")),
            },
        }
    }

    /// The event that an object is, and whether it says that it is the last.
    fn open(self, object: Object) -> Result<(StreamResponse, bool), Fault> {
        let (shape, object, form) = shape::open(object)?;
        match self.version {
            Version::V0_2 | Version::V0_3 => {
                let last = object.get("final") == Some(&Value::Bool(true));
                Ok((v0::read(shape, object)?, last))
            }
            Version::V1_0 => Ok((v1_0::read(shape, object, form)?, false)),
        }
    }

    /// The list of tasks in the 1.0 shape.
    fn tasks(self, mut object: Object) -> Object {
        if self.version.is_v0()
            && let Some(Value::Array(tasks)) = object.get_mut("tasks")
        {
            for task in tasks.iter_mut().filter_map(Value::as_object_mut) {
                v0::up::shape(Shape::Task, task);
            }
        }
        object
    }
}

/// Reads what a worker posts to a webhook, whichever version it posts: a worker does not always post that of the
/// registration (the Python SDK's 1.0 posts its own form to 0.3 registrations).
///
/// # Errors
/// [`ErrorKind::Parse`] where it is not JSON, [`ErrorKind::InvalidParams`] where it is no event.
pub fn decode_webhook(body: &[u8]) -> Result<StreamResponse, A2aError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        A2aError::new(ErrorKind::Parse, format!("The body is not JSON: {error}"))
    })?;
    let Value::Object(mut object) = value else {
        return Err(invalid_params(&Fault::new("", "must be an object")));
    };
    // Some workers post the frame of their stream as it is, envelope and all.
    if object.contains_key("jsonrpc")
        && let Some(Value::Object(result)) = object.remove("result")
    {
        object = result;
    }
    shape::open(object)
        .and_then(|(shape, object, form)| match form {
            Form::Wrapped => v1_0::read(shape, object, form),
            Form::Kind | Form::Guessed => v0::read(shape, object),
        })
        .map_err(|fault| invalid_params(&fault))
}

fn push_config(object: Object) -> Result<PushConfig, Fault> {
    let config: PushConfig = super::fields::Model::from_object(shape::flatten_config(object))?;
    if config.url.is_empty() {
        return Err(Fault::new("url", "is required"));
    }
    Ok(config)
}

/// A bare list in 0.x, an object in 1.0; either is taken from either.
fn push_configs(result: Value) -> Result<Answer, Fault> {
    let (configs, next_page_token) = match result {
        Value::Null => (Vec::new(), None),
        Value::Array(configs) => (configs, None),
        Value::Object(mut page) => {
            let token = super::fields::string(&mut page, "nextPageToken", "next_page_token")?;
            match super::fields::take(&mut page, "configs", "") {
                None => (Vec::new(), token),
                Some(Value::Array(configs)) => (configs, token),
                Some(_) => return Err(Fault::new("configs", "must be an array")),
            }
        }
        _ => return Err(Fault::new("", "must be a list")),
    };
    let configs = configs
        .into_iter()
        .enumerate()
        .map(|(index, config)| {
            match config {
                Value::Object(config) => push_config(config),
                _ => Err(Fault::new("", "must be an object")),
            }
            .map_err(|fault| fault.within(&format!("[{index}]")))
        })
        .collect::<Result<_, _>>()?;
    Ok(Answer::PushConfigs {
        configs,
        next_page_token: next_page_token.filter(|token| !token.is_empty()),
    })
}

/// The canonical JSON of a model value: strings and JSON values only, which cannot fail to serialise.
fn json(model: &impl Serialize) -> Value {
    serde_json::to_value(model).unwrap_or_default()
}

/// An object of these members and everything else that came.
fn keyed<const N: usize>(extra: &Object, members: [(&str, Option<&String>); N]) -> Value {
    let mut object = extra.clone();
    for (name, value) in members {
        if let Some(value) = value {
            object.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    Value::Object(object)
}

fn send_request(operation: Operation, send: SendMessageRequest) -> Request {
    if operation == Operation::SendStreamingMessage {
        Request::SendStreamingMessage(send)
    } else {
        Request::SendMessage(send)
    }
}

fn task_request(operation: Operation, request: TaskRequest) -> Request {
    if operation == Operation::SubscribeToTask {
        Request::SubscribeToTask(request)
    } else {
        Request::CancelTask(request)
    }
}

fn config_request(operation: Operation, request: PushConfigRequest) -> Request {
    if operation == Operation::DeleteTaskPushNotificationConfig {
        Request::DeletePushConfig(request)
    } else {
        Request::GetPushConfig(request)
    }
}

/// Says which parameter is wrong, in words and (`data`) in the form of `google.rpc.BadRequest`.
fn invalid_params(fault: &Fault) -> A2aError {
    A2aError {
        kind: ErrorKind::InvalidParams,
        message: format!("Invalid parameters: {fault}"),
        data: Some(serde_json::json!([{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": fault.path, "description": fault.problem }],
        }])),
    }
}

fn invalid_response(what: &str, fault: &Fault) -> A2aError {
    A2aError::new(
        ErrorKind::InvalidAgentResponse,
        format!("The agent's {what} is invalid: {fault}"),
    )
}
