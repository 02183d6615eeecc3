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

use self::codec::Codec;
pub use self::codec::{Frame, Presets, Traits};
use self::shape::Form;
pub use self::version::Version;
use super::error::ErrorKind;
use super::fields::Fault;
use super::request::{PushConfigRequest, SendMessageRequest, TaskRequest};
use super::{A2aError, Answer, Object, Operation, Request, StreamResponse, Task};

mod checks;
pub mod codec;
mod fasta2a;
pub mod grpc;
pub mod http_json;
pub mod jsonrpc;
mod kept;
mod kindless;
pub mod paths;
mod praisonai;
pub mod proto;
mod python_a2a;
pub mod recognise;
mod ruby;
mod shape;
pub mod status;
pub mod v0;
mod v0_1;
mod v0_2;
mod v0_3;
mod v0_3_proto;
mod v1_0;
mod version;
mod walk;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod proto_tests;
#[cfg(test)]
mod tests;

/// A protocol binding (specification §9 to §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// gRPC: the messages of protobuf over HTTP/2.
    Grpc,
    /// HTTP+JSON: a path and a verb per operation.
    HttpJson,
    /// A path for each operation, and in the body JSON-RPC 2.0 or the bare parameters (python_a2a).
    Paths,
    /// JSON-RPC 2.0 over HTTP.
    JsonRpc,
}

impl Binding {
    /// Every binding.
    const ALL: [Binding; 3] = [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc];

    /// Reads the name in a card, however it is written.
    #[must_use]
    pub fn from_card_name(name: &str) -> Option<Binding> {
        Binding::ALL
            .into_iter()
            .find(|binding| binding.card_name().eq_ignore_ascii_case(name))
    }

    /// The name in cards.
    #[must_use]
    pub fn card_name(self) -> &'static str {
        match self {
            Binding::JsonRpc => "JSONRPC",
            Binding::HttpJson => "HTTP+JSON",
            Binding::Grpc => "GRPC",
            // No card names it: the library's own cards say JSON-RPC, and mean this.
            Binding::Paths => "PATHS",
        }
    }
}

/// A version over a binding. Ordered by how well a worker is spoken to in it, the last is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dialect {
    /// The version.
    pub version: Version,
    /// The binding.
    pub binding: Binding,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every dialect with its name in the configuration, logs and metrics, newest first, and within a version as most
/// clients prefer.
const NAMES: [(Dialect, &str); 12] = [
    (Dialect::jsonrpc(Version::V1_0), "v1.0/jsonrpc"),
    (Dialect::http_json(Version::V1_0), "v1.0/http"),
    (Dialect::grpc(Version::V1_0), "v1.0/grpc"),
    (Dialect::jsonrpc(Version::V0_3), "v0.3/jsonrpc"),
    (Dialect::http_json(Version::V0_3), "v0.3/http"),
    (Dialect::grpc(Version::V0_3), "v0.3/grpc"),
    (Dialect::jsonrpc(Version::V0_2), "v0.2/jsonrpc"),
    (Dialect::jsonrpc(Version::V0_1), "v0.1/jsonrpc"),
    (Dialect::PYTHON_A2A, "python-a2a"),
    (Dialect::jsonrpc(Version::PraisonAi), "praisonai"),
    (Dialect::jsonrpc(Version::FastA2a), "fasta2a"),
    (Dialect::jsonrpc(Version::FastA2aV0), "fasta2a-0.6"),
];

/// The media type of webhooks and of HTTP+JSON in 1.0.1 (§11.1).
pub const A2A_JSON: &str = "application/a2a+json";
/// The media type of JSON-RPC, of 0.x and of those who ask for it.
pub const JSON: &str = "application/json";

impl Dialect {
    /// Every dialect, newest first.
    pub const ALL: [Dialect; NAMES.len()] = {
        let mut all = [NAMES[0].0; NAMES.len()];
        let mut index = 0;
        while index < NAMES.len() {
            all[index] = NAMES[index].0;
            index += 1;
        }
        all
    };

    /// That of the library `python_a2a`.
    pub const PYTHON_A2A: Dialect = Dialect {
        version: Version::PythonA2a,
        binding: Binding::Paths,
    };

    /// JSON-RPC of this version.
    #[must_use]
    pub const fn jsonrpc(version: Version) -> Self {
        Self {
            version,
            binding: Binding::JsonRpc,
        }
    }

    /// HTTP+JSON of this version.
    #[must_use]
    pub const fn http_json(version: Version) -> Self {
        Self {
            version,
            binding: Binding::HttpJson,
        }
    }

    /// gRPC of this version.
    #[must_use]
    pub const fn grpc(version: Version) -> Self {
        Self {
            version,
            binding: Binding::Grpc,
        }
    }

    /// This version over this binding, if there is such a thing.
    #[must_use]
    pub fn of(version: Version, binding: Binding) -> Option<Self> {
        let wanted = Self { version, binding };
        Dialect::ALL.contains(&wanted).then_some(wanted)
    }

    /// The one dialect of a system.
    #[must_use]
    pub fn of_system(version: Version) -> Option<Self> {
        Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.version == version)
    }

    /// The name used in the configuration, logs and metrics, such as `v1.0/jsonrpc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(dialect, _)| *dialect == self)
            // A version over a binding that it does not have: nothing makes one.
            .map_or("unknown", |(_, name)| name)
    }

    /// Reads what [`Dialect::name`] gives.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Dialect> {
        NAMES
            .iter()
            .find(|(_, other)| *other == name)
            .map(|(dialect, _)| *dialect)
    }

    /// The form of its JSON.
    fn codec(self) -> &'static dyn Codec {
        match (self.version, self.binding) {
            (Version::PythonA2a, _) => &python_a2a::PythonA2a,
            (Version::V0_1, _) => &v0_1::V0_1,
            (Version::V0_2, _) => &v0::V0(Version::V0_2),
            (Version::V0_3, Binding::HttpJson | Binding::Grpc) => &v0_3_proto::V0_3Proto,
            (Version::V0_3, _) => &v0::V0(Version::V0_3),
            (Version::V1_0, _) => &v1_0::V1_0,
            (Version::PraisonAi, _) => &praisonai::PraisonAi,
            (Version::FastA2a, _) => &fasta2a::FastA2a,
            (Version::FastA2aV0, _) => &fasta2a::FastA2aV0,
        }
    }

    /// The facts of its form.
    #[must_use]
    pub fn traits(self) -> &'static Traits {
        self.codec().traits()
    }

    /// The place in which an event's frame in this form is kept for other readers; none for forms that are rare, or
    /// whose frames say more than the event.
    #[must_use]
    pub fn cache_slot(self) -> Option<usize> {
        match (self.version, self.binding) {
            (Version::V1_0, Binding::JsonRpc | Binding::HttpJson) => Some(0),
            // 0.2 and 0.3 write the same.
            (Version::V0_2 | Version::V0_3, Binding::JsonRpc) => Some(1),
            (Version::V0_3, Binding::HttpJson) => Some(2),
            (Version::V1_0, Binding::Grpc) => Some(3),
            (Version::V0_3, Binding::Grpc) => Some(4),
            _ => None,
        }
    }

    /// Whether the same bytes mean the same in the other dialect: then a call can pass.
    #[must_use]
    pub fn same_wire(self, other: Dialect) -> bool {
        // Over gRPC a call is never passed on as it is: what it asks for is in binary, and each of the two connections is
        // HTTP/2 with its own windows and trailers.
        self.binding == other.binding
            && self.binding != Binding::Grpc
            && (self.version == other.version
                // 0.2 and 0.3 are one version on the wire.
                || (self.binding == Binding::JsonRpc
                    && [self, other].iter().all(|dialect| {
                        matches!(dialect.version, Version::V0_2 | Version::V0_3)
                    })))
    }

    /// Whether the version has this operation in this binding. Encoding one that it has not gives the name and
    /// form that workers use which have it all the same.
    #[must_use]
    pub fn supports(self, operation: Operation) -> bool {
        self.codec().supports(operation)
    }

    /// The `protocolVersion` of a card of this version: with patch number in 0.x, without in 1.0.
    #[must_use]
    pub fn protocol_version(self) -> &'static str {
        match self.version {
            // What the library's own cards say.
            Version::PythonA2a => v0_3::PROTOCOL_VERSION,
            Version::V0_1 => v0_1::PROTOCOL_VERSION,
            Version::V0_2 => v0_2::PROTOCOL_VERSION,
            Version::V0_3 | Version::PraisonAi | Version::FastA2aV0 => v0_3::PROTOCOL_VERSION,
            Version::V1_0 | Version::FastA2a => Version::V1_0.number(),
        }
    }

    /// The JSON-RPC method of an operation.
    #[must_use]
    pub fn method(self, operation: Operation) -> &'static str {
        self.codec().method(operation)
    }

    /// A call over JSON-RPC: its method and parameters.
    #[must_use]
    pub fn encode_request(self, request: &Request) -> (&'static str, Value) {
        let codec = self.codec();
        (
            codec.method(request.operation()),
            codec.encode_request(request),
        )
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
        match params {
            Value::Null => self.read_request(operation, Object::new()),
            Value::Object(params) => self.read_request(operation, params),
            _ => Err(invalid_params(&Fault::new("params", "must be an object"))),
        }
    }

    /// Reads parameters that are parsed already.
    ///
    /// # Errors
    /// As [`Dialect::decode_request`].
    pub fn read_request(self, operation: Operation, params: Object) -> Result<Request, A2aError> {
        self.codec()
            .decode_request(operation, params)
            .map_err(|fault| invalid_params(&fault))
    }

    /// The result of a call.
    #[must_use]
    pub fn encode_answer(self, operation: Operation, answer: &Answer) -> Value {
        self.codec().encode_answer(operation, answer)
    }

    /// Reads the result of a call. Lenient in what wraps it, strict where its meaning would be lost: a task needs
    /// an id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidAgentResponse`], saying what is wrong with it.
    pub fn decode_answer(self, operation: Operation, result: Value) -> Result<Answer, A2aError> {
        self.codec()
            .decode_answer(operation, result)
            .map_err(|fault| invalid_response("answer", &fault))
    }

    /// What a stream says of an event: see [`Codec::encode_event`].
    #[must_use]
    pub fn encode_frames(
        self,
        event: &StreamResponse,
        after: Option<&Task>,
        last: bool,
    ) -> Vec<Frame> {
        self.codec().encode_event(event, after, last)
    }

    /// The one frame of an event, in the forms that have one for each. `last`: nothing follows in this stream (0.x tells
    /// its clients so: `final`).
    #[must_use]
    pub fn encode_event(self, event: &StreamResponse, last: bool) -> Value {
        self.encode_frames(event, None, last)
            .into_iter()
            .next()
            .map_or(Value::Null, |frame| frame.data)
    }

    /// Reads one frame of a stream, and whether it says itself that it is the last (0.x: `final`). None: it says nothing
    /// of the task.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidAgentResponse`], saying what is wrong with it.
    pub fn decode_frame(
        self,
        name: &str,
        data: Value,
    ) -> Result<Option<(StreamResponse, bool)>, A2aError> {
        let read = match data {
            Value::Object(object) => self.codec().decode_event(name, object),
            _ => Err(Fault::new("", "must be an object")),
        };
        read.map_err(|fault| invalid_response("event", &fault))
    }

    /// The same of a frame that must say something.
    ///
    /// # Errors
    /// As [`Dialect::decode_frame`].
    pub fn decode_event(self, frame: Value) -> Result<(StreamResponse, bool), A2aError> {
        self.decode_frame("", frame)?
            .ok_or_else(|| invalid_response("event", &Fault::new("", "says nothing")))
    }

    /// See [`Codec::crash`].
    #[must_use]
    pub fn crash(self, operation: Operation) -> Option<ErrorKind> {
        self.codec().crash(operation)
    }

    /// The body of a webhook and its media type. 1.0 posts the event, 0.x the task as it is after the event (a
    /// message outside any task as it is).
    #[must_use]
    pub fn encode_webhook(
        self,
        event: &StreamResponse,
        task_after: &Task,
    ) -> (Bytes, &'static str) {
        let (body, media_type) = self.codec().encode_webhook(event, task_after);
        // A `Value` always serialises.
        (
            serde_json::to_vec(&body).unwrap_or_default().into(),
            media_type,
        )
    }
}

/// Reads what a worker posts to a webhook, whichever version it posts: a worker does not always post that of the
/// registration (the Python SDK's 1.0 posts its own form to 0.3 registrations).
///
/// # Errors
/// [`ErrorKind::Parse`] where it is not JSON, [`ErrorKind::InvalidParams`] where it is no event.
pub fn decode_webhook(body: &[u8]) -> Result<StreamResponse, A2aError> {
    // Some workers post the frame of their stream as it is, envelope and all.
    let object = posted(body, "result")?;
    // An update or a task without anything that later versions have in each.
    let later = ["kind", "taskId", "task_id", "contextId", "context_id"];
    let is_v0_1 = object.contains_key("id")
        && (object.contains_key("status") || object.contains_key("artifact"))
        && !later.iter().any(|name| object.contains_key(*name));
    if is_v0_1 {
        return v0_1::decode_webhook(object).map_err(|fault| invalid_params(&fault));
    }
    shape::open(object)
        .and_then(|(shape, object, form)| match form {
            Form::Wrapped => v1_0::read(shape, object, form),
            Form::Kind | Form::Guessed => v0::read(shape, object),
        })
        .map_err(|fault| invalid_params(&fault))
}

/// Reads what a worker sends back when it is done: a task, bare or as the parameters of a JSON-RPC call.
///
/// # Errors
/// [`ErrorKind::Parse`] where it is not JSON, [`ErrorKind::InvalidParams`] where it is no task.
pub fn decode_callback(body: &[u8]) -> Result<Task, A2aError> {
    let object = posted(body, "params")?;
    let read = Dialect::PYTHON_A2A
        .codec()
        .decode_answer(Operation::GetTask, Value::Object(object));
    match read {
        Ok(Answer::Task(task)) => Ok(task),
        Ok(_) => Err(invalid_params(&Fault::new("", "is no task"))),
        Err(fault) => Err(invalid_params(&fault)),
    }
}

/// An object that somebody has posted, bare or as this member of an envelope of JSON-RPC.
fn posted(body: &[u8], member: &str) -> Result<Object, A2aError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        A2aError::new(ErrorKind::Parse, format!("The body is not JSON: {error}"))
    })?;
    let Value::Object(mut object) = value else {
        return Err(invalid_params(&Fault::new("", "must be an object")));
    };
    if object.contains_key("jsonrpc")
        && let Some(Value::Object(inner)) = object.remove(member)
    {
        return Ok(inner);
    }
    Ok(object)
}

/// The canonical JSON of a model value: strings and JSON values only, which cannot fail to serialise.
pub(crate) fn json(model: &impl Serialize) -> Value {
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
        Request::SendStreamingMessage(Box::new(send))
    } else {
        Request::SendMessage(Box::new(send))
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
pub(crate) fn invalid_params(fault: &Fault) -> A2aError {
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
