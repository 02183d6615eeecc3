//! What every form of JSON implements: the seam between the canonical model and what a version, or a system that took
//! its own way from one, writes. The envelope around it is the binding's.

use std::borrow::Cow;

use serde_json::Value;

use super::shape;
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::Fault;
use crate::a2a::{A2aError, Answer, Object, Operation, Request, StreamResponse, Task};

/// One frame of an event stream, before its binding wraps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The SSE event name; none for the default.
    pub event: Option<&'static str>,
    /// What it says.
    pub data: Value,
}

impl From<Value> for Frame {
    fn from(data: Value) -> Self {
        Self { event: None, data }
    }
}

/// Facts of a form, where code outside this folder has to act on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Every frame of a stream shows the task as it is then: whoever streams has to keep it (python_a2a).
    pub whole_tasks: bool,
    /// The frames of a stream over JSON-RPC are JSON-RPC responses; else they are bare.
    pub enveloped_frames: bool,
    /// Clients die of a second task in one stream (0.3).
    pub one_task_per_stream: bool,
    /// Webhooks carry the task as it is after the event, and not the event.
    pub posts_tasks: bool,
    /// Subscriptions end as well where the task waits for somebody.
    pub ends_at_interrupt: bool,
    /// A stream that is joined later is not as good as one that begins with the send.
    pub stream_from_the_start: bool,
    /// The requester makes the task's id.
    pub client_ids: bool,
    /// Errors of JSON-RPC come with an HTTP status that says so.
    pub errors_as_status: bool,
    /// Clients take nothing but an event stream for an answer to a call for one, errors included.
    pub stream_errors_as_frames: bool,
    /// What its callers send as `A2A-Version` (specification §3.6.1).
    pub a2a_version: Option<&'static str>,
    /// Calls and tasks belong to a tenant (§4.4.6).
    pub tenants: bool,
    /// Callers that wait send a message again by themselves when its answer is slow, under the same message id and mostly
    /// under another task id: the repeats join the first.
    pub resubmits: bool,
    /// The id of the task for which clients of the form register a webhook to find out whether any are taken; it need not
    /// exist.
    pub push_probe: Option<&'static str>,
    /// A task has one webhook at most, which nobody has to name.
    pub one_webhook: bool,
    /// A header in which receivers of the form look for a webhook's token, beside the protocol's own.
    pub token_header: Option<&'static str>,
    /// Its servers answer a cancel only when the job that it should end is over, and possibly as completed: then nobody is
    /// to wait for their word.
    pub cancels_late: bool,
    /// What workers of this kind can do, whatever their card says.
    pub worker: Presets,
}

impl Traits {
    /// A form with nothing of its own: what the others begin with, to say only where they differ.
    pub const PLAIN: Traits = Traits {
        whole_tasks: false,
        enveloped_frames: false,
        one_task_per_stream: false,
        posts_tasks: false,
        ends_at_interrupt: false,
        stream_from_the_start: false,
        client_ids: false,
        errors_as_status: false,
        stream_errors_as_frames: false,
        a2a_version: None,
        tenants: false,
        resubmits: false,
        push_probe: None,
        one_webhook: false,
        token_header: None,
        cancels_late: false,
        worker: Presets::UNKNOWN,
    };
}

/// What is known of workers of a kind beforehand; what is not is the card's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presets {
    /// Whether a send can be answered at once.
    pub return_immediately: Option<bool>,
    /// Whether tasks can be read.
    pub get: Option<bool>,
    /// Whether a send can be answered with a stream.
    pub stream: Option<bool>,
    /// Whether webhooks are posted.
    pub push: Option<bool>,
    /// Whether an address to call back (see [`crate::a2a::callback`]) may come with a send.
    pub callback: Option<bool>,
    /// Whether a task that exists can be watched by a stream: believed unless said otherwise.
    pub subscribe: Option<bool>,
    /// Whether a stream is the best way for every send: some workers do the job in the stream alone.
    pub streams_first: bool,
}

impl Presets {
    /// Nothing is known.
    pub const UNKNOWN: Presets = Presets {
        return_immediately: None,
        get: None,
        stream: None,
        push: None,
        callback: None,
        subscribe: None,
        streams_first: false,
    };
}

impl Default for Presets {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// A form of JSON. All of it is pure.
pub trait Codec: Sync {
    /// Its facts.
    fn traits(&self) -> &'static Traits;

    /// Whether it has the operation. Encoding one that it has not gives the name and form that workers use which have
    /// it all the same.
    fn supports(&self, operation: Operation) -> bool;

    /// The JSON-RPC method of an operation.
    fn method(&self, operation: Operation) -> &'static str;

    /// The parameters of a call.
    fn encode_request(&self, request: &Request) -> Value;

    /// Reads the parameters of a call.
    fn decode_request(&self, operation: Operation, params: Object) -> Result<Request, Fault>;

    /// The result of a call.
    fn encode_answer(&self, operation: Operation, answer: &Answer) -> Value;

    /// Reads the result of a call: lenient in what wraps it, strict where its meaning would be lost.
    fn decode_answer(&self, operation: Operation, result: Value) -> Result<Answer, Fault> {
        shape::answer(operation, result, |object| {
            Ok(self
                .decode_event("", object)?
                .ok_or_else(|| Fault::new("", "is no task"))?
                .0)
        })
    }

    /// What a stream says of an event: mostly one frame, none where the form cannot say it. `after` is the task as it is
    /// then, which is always given where [`Traits::whole_tasks`] asks for it. `last`: nothing follows in this stream.
    fn encode_event(&self, event: &StreamResponse, after: Option<&Task>, last: bool) -> Vec<Frame>;

    /// Reads one frame of a stream with this SSE event name (empty without one), and whether it says itself that it is
    /// the last. None: it says nothing of the task.
    fn decode_event(
        &self,
        name: &str,
        data: Object,
    ) -> Result<Option<(StreamResponse, bool)>, Fault>;

    /// The body of a webhook, and its media type.
    fn encode_webhook(&self, event: &StreamResponse, after: &Task) -> (Value, &'static str);

    /// The code of an error over JSON-RPC.
    fn error_code(&self, kind: ErrorKind) -> i64;

    /// The error that a code, a text and details mean.
    fn error_kind(&self, code: i64, message: &str, data: Option<&Value>) -> ErrorKind;

    /// What it means that a server of the form answers a call with HTTP 500 and no JSON, where that is its way of refusing.
    fn crash(&self, _operation: Operation) -> Option<ErrorKind> {
        None
    }

    /// What an error says: its own words, but where clients of the form compare them.
    fn error_text<'a>(&self, error: &'a A2aError) -> Cow<'a, str> {
        Cow::Borrowed(&error.message)
    }

    /// `error.data`.
    fn error_data(&self, error: &A2aError) -> Option<Value> {
        error.data.clone()
    }
}
