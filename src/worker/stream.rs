//! A worker's event stream, decoded.

use http_body_util::BodyExt;
use serde_json::Value;

use super::CallError;
use super::grpc::Incomings;
use crate::a2a::dialect::{grpc, http_json, jsonrpc};
use crate::a2a::{A2aError, Binding, Dialect, Operation, StreamResponse};
use crate::net::held::Held;
use crate::wire::sse::{SseLimits, SseParser};

/// One event, and whether the worker marked it as the stream's last (`final`, 0.x).
#[derive(Debug)]
pub struct WorkerEvent {
    /// The event.
    pub event: StreamResponse,
    /// Whether the worker marked it as the last.
    pub last: bool,
}

/// An open stream of events.
pub struct EventStream {
    dialect: Dialect,
    frames: Frames,
}

/// How events are told apart in the body.
enum Frames {
    /// Server-sent events.
    Sse { body: Held, parser: SseParser },
    /// Messages of gRPC.
    Messages(Incomings),
}

impl EventStream {
    pub(super) fn new(dialect: Dialect, body: Held, limits: SseLimits) -> Self {
        let parser = SseParser::new(limits);
        Self {
            dialect,
            frames: Frames::Sse { body, parser },
        }
    }

    pub(super) fn of_messages(dialect: Dialect, messages: Incomings) -> Self {
        Self {
            dialect,
            frames: Frames::Messages(messages),
        }
    }

    /// The next event; none when the worker has ended the stream. Cancel-safe. Boxed: a stream that waits for it has no
    /// room for it.
    ///
    /// # Errors
    /// `Broken` when the connection broke or a frame was past its bounds, `Rpc` for an error that the worker sent
    /// within the stream, `BadAnswer` for a frame that makes no sense. The stream is of no use after any of them.
    pub async fn next(&mut self) -> Result<Option<Box<WorkerEvent>>, CallError> {
        match &mut self.frames {
            Frames::Sse { body, parser } => next_event(self.dialect, body, parser).await,
            Frames::Messages(messages) => next_message(self.dialect, messages).await,
        }
    }
}

async fn next_event(
    dialect: Dialect,
    body: &mut Held,
    parser: &mut SseParser,
) -> Result<Option<Box<WorkerEvent>>, CallError> {
    loop {
        while let Some(frame) = parser
            .next_event()
            .map_err(|error| CallError::Broken(Box::new(error)))?
        {
            if frame.data.is_empty() {
                continue;
            }
            let name = frame.event.as_deref().unwrap_or_default();
            if let Some(event) = read(dialect, name, &frame.data)? {
                return Ok(Some(Box::new(event)));
            }
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    parser.push(data);
                }
            }
            Some(Err(error)) => return Err(CallError::Broken(Box::new(error))),
            None => return Ok(None),
        }
    }
}

async fn next_message(
    dialect: Dialect,
    messages: &mut Incomings,
) -> Result<Option<Box<WorkerEvent>>, CallError> {
    let bad = |error: A2aError| CallError::BadAnswer(error.message);
    let operation = Operation::SendStreamingMessage;
    while let Some(message) = messages.message().await? {
        let value = grpc::decode_answer(dialect.version, operation, &message).map_err(bad)?;
        if let Some((event, last)) = dialect.decode_frame("", value).map_err(bad)? {
            return Ok(Some(Box::new(WorkerEvent { event, last })));
        }
    }
    messages.trailers(dialect.version)?;
    Ok(None)
}

/// What a frame says; none where that is nothing of the task.
fn read(dialect: Dialect, name: &str, data: &[u8]) -> Result<Option<WorkerEvent>, CallError> {
    let bad = |error: A2aError| CallError::BadAnswer(error.message);
    let enveloped = dialect.binding == Binding::JsonRpc && dialect.traits().enveloped_frames;
    let value = if enveloped {
        match jsonrpc::decode_response(data).map_err(bad)? {
            Ok(result) => result,
            Err(error) => {
                return Err(CallError::Rpc(jsonrpc::decode_error(dialect, &error)));
            }
        }
    } else {
        let value: Value = serde_json::from_slice(data)
            .map_err(|_| CallError::BadAnswer("an event is not JSON".to_owned()))?;
        if name == "error" || value.get("error").is_some_and(Value::is_object) {
            let operation = Operation::SubscribeToTask;
            return Err(
                match http_json::decode_error(dialect, operation, None, &value) {
                    Some(error) => CallError::Rpc(error),
                    None => CallError::BadAnswer("an error that says nothing".to_owned()),
                },
            );
        }
        value
    };
    let read = dialect.decode_frame(name, value).map_err(bad)?;
    Ok(read.map(|(event, last)| WorkerEvent { event, last }))
}
