//! Answers and events in a requester's dialect, for one call: what the binding puts around what all requesters of a
//! form share.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame as BodyFrame;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::a2a::dialect::paths::{self, Form};
use crate::a2a::dialect::{A2A_JSON, Frame, JSON, grpc, http_json, jsonrpc, status};
use crate::a2a::extension::Generation;
use crate::a2a::request::Answer;
use crate::a2a::{A2aError, Binding, Dialect, Operation, StreamResponse, Task};
use crate::hub::Entry;
use crate::task::Seq;
use crate::wire::Body;
use crate::wire::BoxError;
use crate::wire::grpc as rpc;
use crate::wire::headers::EVENT_STREAM;
use crate::wire::sse::KEEP_ALIVE;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Its status.
    pub status: StatusCode,
    /// What it is.
    pub media_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// How the call ended, where that is said behind the body; before it, where there is none.
    pub outcome: Option<rpc::Status>,
}

impl Rendered {
    /// As a response.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut response = match self.outcome {
            Some(outcome) if self.body.is_empty() => {
                let mut response = Response::new(Body::empty());
                outcome.write(response.headers_mut());
                response
            }
            Some(outcome) => Response::new(ended(self.body, outcome.trailers())),
            None => Response::new(Body::full(self.body)),
        };
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        response
    }
}

/// A body with trailers behind it.
fn ended(body: Bytes, trailers: HeaderMap) -> Body {
    let frames = [BodyFrame::data(body), BodyFrame::trailers(trailers)];
    Body::from_frames(futures_util::stream::iter(frames.map(Ok::<_, BoxError>)))
}

/// Renders for one call.
#[derive(Clone, Debug)]
pub struct Renderer {
    dialect: Dialect,
    id: Option<Box<RawValue>>,
    plain_json: bool,
    generations: bool,
    path: Option<Box<OfPath>>,
}

/// What a call to a path of an operation has of its own.
#[derive(Clone, Debug)]
struct OfPath {
    form: Form,
    task: Option<String>,
}

impl Renderer {
    /// For a call in this dialect with this JSON-RPC id, which is echoed as it came.
    #[must_use]
    pub fn new(dialect: Dialect, id: Option<Box<RawValue>>) -> Self {
        Self {
            dialect,
            id,
            plain_json: true,
            generations: false,
            path: None,
        }
    }

    /// For a call over gRPC.
    #[must_use]
    pub fn grpc(dialect: Dialect) -> Self {
        Self::new(dialect, None)
    }

    /// For a call over HTTP+JSON. `plain_json`: the requester speaks of `application/json`, as 1.0.0 did, and is answered
    /// so.
    #[must_use]
    pub fn http_json(dialect: Dialect, plain_json: bool) -> Self {
        Self {
            plain_json,
            ..Self::new(dialect, None)
        }
    }

    /// Notes generations in tasks and events from here on: the requester has asked for the extension.
    pub fn show_generations(&mut self) {
        self.generations = true;
    }

    /// Whether it does.
    #[must_use]
    pub fn shows_generations(&self) -> bool {
        self.generations
    }

    /// Notes a task's generation where the requester has asked for it.
    pub fn stamp_task(&self, epoch: u64, seq: Seq, task: &mut Task) {
        if self.generations {
            generation(epoch, seq).stamp_task(task);
        }
    }

    /// For a call to the path of an operation. `task`: the id of the task that it is about, as far as it names one.
    #[must_use]
    pub fn path(dialect: Dialect, form: Form, task: Option<String>) -> Self {
        let id = match &form {
            Form::Envelope(id) => id.clone(),
            Form::Bare => None,
        };
        Self {
            path: Some(Box::new(OfPath { form, task })),
            ..Self::new(dialect, id)
        }
    }

    /// Whether the call had nothing around its parameters, so that the answer has nothing around its result.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.path
            .as_ref()
            .is_some_and(|path| matches!(path.form, Form::Bare))
    }

    /// The same for a call that has turned out to be in another dialect of the same binding.
    #[must_use]
    pub fn in_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The dialect.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The JSON-RPC id that is echoed.
    #[must_use]
    pub fn id(&self) -> Option<&RawValue> {
        self.id.as_deref()
    }

    /// Whether its streams need to know the task as it is after each event.
    #[must_use]
    pub fn whole_tasks(&self) -> bool {
        self.dialect.traits().whole_tasks
    }

    /// Whether white space may stand before an answer's body while it is being waited for: over JSON-RPC, whose status
    /// says nothing. Over HTTP+JSON it is the answer.
    #[must_use]
    pub fn status_is_free(&self) -> bool {
        matches!(self.dialect.binding, Binding::JsonRpc | Binding::Paths)
    }

    /// What a whole answer is.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self.dialect.binding {
            Binding::HttpJson if !self.plain_json && !self.dialect.version.is_v0() => A2A_JSON,
            Binding::HttpJson | Binding::JsonRpc | Binding::Paths => JSON,
            Binding::Grpc => rpc::MEDIA_TYPE,
        }
    }

    /// A whole answer.
    #[must_use]
    pub fn answer(&self, operation: Operation, answer: &Answer) -> Rendered {
        let result = self.dialect.encode_answer(operation, answer);
        let body = match self.dialect.binding {
            Binding::Paths if self.is_bare() => bytes(&result),
            Binding::JsonRpc | Binding::Paths => {
                jsonrpc::encode_result(self.id.as_deref(), &result)
            }
            // An empty message is an empty object (§11.3).
            Binding::HttpJson if result.is_null() => Bytes::from_static(b"{}"),
            Binding::HttpJson => bytes(&result),
            Binding::Grpc => self.message(operation, result),
        };
        Rendered {
            status: StatusCode::OK,
            media_type: self.media_type(),
            body,
            outcome: self.ended_well(),
        }
    }

    /// A whole answer that is an error. `status`: that of the sidecar's own failures, which outweighs the error's.
    #[must_use]
    pub fn error(&self, error: &A2aError, status: Option<StatusCode>) -> Rendered {
        let (of_kind, body) = match self.dialect.binding {
            Binding::JsonRpc | Binding::Paths if self.dialect.traits().errors_as_status => {
                (status::of(error.kind).0, self.rpc_error(error))
            }
            Binding::JsonRpc | Binding::Paths => (StatusCode::OK, self.rpc_error(error)),
            Binding::HttpJson => {
                let (status, body) = http_json::encode_error(self.dialect, error);
                (status, bytes(&body))
            }
            Binding::Grpc => {
                return Rendered {
                    // Of HTTP there is none but this one.
                    status: StatusCode::OK,
                    media_type: self.media_type(),
                    body: Bytes::new(),
                    outcome: Some(self.outcome_of(error, status)),
                };
            }
        };
        Rendered {
            status: status.unwrap_or(of_kind),
            media_type: self.media_type(),
            body,
            outcome: None,
        }
    }

    /// The body of an answer that turns out to be an error after its head has gone out.
    #[must_use]
    pub fn late_error(&self, error: &A2aError) -> Bytes {
        match &self.path {
            Some(path) => paths::encode_late_error(&path.form, path.task.as_deref(), error),
            None => self.error(error, None).body,
        }
    }

    /// The answer to a call for a stream that is an error, for clients that take nothing but a stream.
    #[must_use]
    pub fn stream_of_error(&self, error: &A2aError) -> Rendered {
        Rendered {
            status: StatusCode::OK,
            media_type: EVENT_STREAM,
            body: self.error_frame(error),
            outcome: None,
        }
    }

    /// The status of gRPC that an error is; `status`: as in [`Renderer::error`].
    fn outcome_of(&self, error: &A2aError, status: Option<StatusCode>) -> rpc::Status {
        let mut outcome = grpc::encode_error(self.dialect.version, error);
        if let Some(status) = status {
            outcome = grpc::Status {
                code: status::of_http(status).number,
                message: error.message.clone(),
                details: Bytes::new(),
            };
        }
        rpc::Status {
            code: outcome.code.unsigned_abs(),
            message: outcome.message,
            details: outcome.details,
        }
    }

    fn ended_well(&self) -> Option<rpc::Status> {
        (self.dialect.binding == Binding::Grpc).then(rpc::Status::default)
    }

    /// A message with what stands before it.
    fn message(&self, operation: Operation, value: Value) -> Bytes {
        let version = self.dialect.version;
        rpc::frame(&grpc::encode_answer(version, operation, value))
    }

    /// Bytes that all readers of the form share.
    fn encoded(&self, value: Value) -> Bytes {
        match self.dialect.binding {
            Binding::Grpc => self.message(Operation::SendStreamingMessage, value),
            Binding::JsonRpc | Binding::HttpJson | Binding::Paths => bytes(&value),
        }
    }

    fn rpc_error(&self, error: &A2aError) -> Bytes {
        match &self.path {
            Some(path) => paths::encode_error(&path.form, error),
            None => jsonrpc::encode_error(self.dialect, self.id.as_deref(), error),
        }
    }

    /// What a stream is.
    #[must_use]
    pub fn stream_media_type(&self) -> &'static str {
        match self.dialect.binding {
            Binding::JsonRpc | Binding::HttpJson | Binding::Paths => EVENT_STREAM,
            Binding::Grpc => rpc::MEDIA_TYPE,
        }
    }

    /// A stream of nothing but this.
    #[must_use]
    pub fn short_stream(&self, frame: Bytes) -> Body {
        match self.ended_well() {
            Some(outcome) => ended(frame, outcome.trailers()),
            None => Body::full(frame),
        }
    }

    /// What fills a stream's silence; nothing over gRPC, where the connection itself is probed.
    #[must_use]
    pub fn keep_alive(&self) -> Option<Bytes> {
        (self.dialect.binding != Binding::Grpc).then(|| KEEP_ALIVE.clone())
    }

    /// What a stream says of an event of the log; it may be nothing. `after`: the task as it is then, where
    /// [`Renderer::whole_tasks`] asks for it. `more` says that later events are there already: then not even an event at
    /// which streams end (`final` in 0.x) is marked as the last.
    #[must_use]
    pub fn frame(&self, epoch: u64, entry: &Entry, after: Option<&Task>, more: bool) -> Bytes {
        let at = Some((epoch, entry.seq));
        let last = !(more && ends_stream(&entry.event) && !entry.event.is_terminal());
        // What carries this requester's generations is nobody else's to share.
        let shared = last && !self.generations;
        match self.dialect.cache_slot().filter(|_| shared) {
            Some(slot) => {
                let data = entry.encoded(slot, |event| {
                    self.encoded(self.dialect.encode_event(event, true))
                });
                let mut out = BytesMut::with_capacity(data.len() + 160);
                self.put_frame(&mut out, at, None, &data);
                out.freeze()
            }
            None => {
                let event = self.stamped(at, &entry.event);
                self.frames(at, self.dialect.encode_frames(&event, after, last))
            }
        }
    }

    /// The same of something that is no event of the log: a direct message, a snapshot of the task. A snapshot carries
    /// the number of the newest event in it.
    #[must_use]
    pub fn loose_frame(
        &self,
        at: Option<(u64, Seq)>,
        event: &StreamResponse,
        after: Option<&Task>,
    ) -> Bytes {
        let event = self.stamped(at, event);
        self.frames(at, self.dialect.encode_frames(&event, after, false))
    }

    /// The same of a task as it stands.
    #[must_use]
    pub fn task_frame(&self, at: Option<(u64, Seq)>, task: &Task) -> Bytes {
        self.loose_frame(at, &StreamResponse::Task(task.clone()), Some(task))
    }

    /// The event with its generation, where the requester has asked for that.
    fn stamped<'e>(
        &self,
        at: Option<(u64, Seq)>,
        event: &'e StreamResponse,
    ) -> Cow<'e, StreamResponse> {
        let Some((epoch, seq)) = at.filter(|_| self.generations) else {
            return Cow::Borrowed(event);
        };
        let mut event = event.clone();
        generation(epoch, seq).stamp(&mut event);
        Cow::Owned(event)
    }

    fn frames(&self, at: Option<(u64, Seq)>, frames: Vec<Frame>) -> Bytes {
        let mut out = BytesMut::new();
        let count = frames.len();
        for (index, frame) in frames.into_iter().enumerate() {
            // Only the last one completes the event: who resumes after an earlier one gets the event again.
            let at = at.filter(|_| index + 1 == count);
            let data = self.encoded(frame.data);
            self.put_frame(&mut out, at, frame.event, &data);
        }
        out.freeze()
    }

    /// How a stream that has come to its end ends, where its form has a word for that.
    #[must_use]
    pub fn end(&self) -> Option<BodyFrame<Bytes>> {
        self.ended_well()
            .map(|outcome| BodyFrame::trailers(outcome.trailers()))
    }

    /// How a stream ends before its task does, so that the requester resumes, where its form has a word for that.
    #[must_use]
    pub fn interruption(&self) -> Option<BodyFrame<Bytes>> {
        self.ended_well().map(|_| {
            let message = "The stream has come to its end before the task has; subscribe again.";
            let outcome = rpc::Status::new(rpc::code::UNAVAILABLE, message);
            BodyFrame::trailers(outcome.trailers())
        })
    }

    /// How a stream ends with an error.
    #[must_use]
    pub fn error_end(&self, error: &A2aError) -> BodyFrame<Bytes> {
        if self.dialect.binding == Binding::Grpc {
            return BodyFrame::trailers(self.outcome_of(error, None).trailers());
        }
        BodyFrame::data(self.error_frame(error))
    }

    fn error_frame(&self, error: &A2aError) -> Bytes {
        let (event, body) = match self.dialect.binding {
            Binding::JsonRpc => (None, self.rpc_error(error)),
            Binding::Paths => (Some("error"), paths::encode_error(&Form::Bare, error)),
            Binding::HttpJson => (
                Some("error"),
                bytes(&http_json::encode_error(self.dialect, error).1),
            ),
            // Says it in the trailers: [`Renderer::error_end`].
            Binding::Grpc => return Bytes::new(),
        };
        let mut frame = BytesMut::with_capacity(body.len() + 24);
        if let Some(event) = event {
            put_line(&mut frame, "event", event.as_bytes());
        }
        put_line(&mut frame, "data", &body);
        frame.put_u8(b'\n');
        frame.freeze()
    }

    fn put_frame(
        &self,
        frame: &mut BytesMut,
        at: Option<(u64, Seq)>,
        event: Option<&'static str>,
        data: &[u8],
    ) {
        if self.dialect.binding == Binding::Grpc {
            frame.put_slice(data);
            return;
        }
        if let Some((epoch, seq)) = at {
            // Memory can always be written to.
            let _ = writeln!(frame, "id: {}", EventId { epoch, seq });
        }
        if let Some(event) = event {
            put_line(frame, "event", event.as_bytes());
        }
        let enveloped =
            self.dialect.binding == Binding::JsonRpc && self.dialect.traits().enveloped_frames;
        if !enveloped {
            put_line(frame, "data", data);
            frame.put_u8(b'\n');
            return;
        }
        let id = self.id.as_deref().map_or("null", RawValue::get);
        frame.put_slice(b"data: {\"jsonrpc\":\"2.0\",\"id\":");
        for byte in id.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
            frame.put_u8(byte);
        }
        frame.put_slice(b",\"result\":");
        frame.put_slice(data);
        frame.put_slice(b"}\n\n");
    }
}

/// The extension's name for a place in the log.
#[must_use]
pub fn generation(epoch: u64, seq: Seq) -> Generation {
    Generation {
        epoch,
        number: seq.0,
    }
}

/// One line of a frame. serde_json escapes line breaks in strings, so that a value is one line.
fn put_line(frame: &mut BytesMut, name: &str, value: &[u8]) {
    frame.put_slice(name.as_bytes());
    frame.put_slice(b": ");
    frame.put_slice(value);
    frame.put_u8(b'\n');
}

fn bytes(value: &Value) -> Bytes {
    // A JSON value always serializes.
    let text = serde_json::to_vec(value).unwrap_or_default();
    // Kept for other readers: without the room that was left for more.
    text.into_boxed_slice().into()
}

/// Whether a send stream ends with this event: the task is over, or waits for somebody.
#[must_use]
pub fn ends_stream(event: &StreamResponse) -> bool {
    event
        .status()
        .is_some_and(|status| status.state.is_terminal() || status.state.is_interrupted())
}

/// The SSE `id` of an event: its number, and the task's epoch, so that an id from another life of the task is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// The task's epoch.
    pub epoch: u64,
    /// The event's number.
    pub seq: Seq,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}.{}", self.epoch, self.seq)
    }
}

impl EventId {
    /// Reads a `Last-Event-ID`; none if it is not one of the sidecar's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.trim().split_once('.')?;
        Some(Self {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            seq: Seq(seq.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_comes_back_as_it_went() {
        let id = EventId {
            epoch: 0xfeed_0000_0000_0001,
            seq: Seq(42),
        };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn an_id_of_somebody_else_s_is_none_of_ours() {
        for text in [
            "",
            "7",
            "x.1",
            "1.",
            "1.x",
            "0123.4.5",
            "00000000000000001.2.3",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}
