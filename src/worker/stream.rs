//! A worker's event stream, decoded.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::CallError;
use crate::a2a::dialect::{http_json, jsonrpc};
use crate::a2a::{A2aError, Binding, Dialect, Operation, StreamResponse};
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
    body: Incoming,
    parser: SseParser,
}

impl EventStream {
    pub(super) fn new(dialect: Dialect, body: Incoming, limits: SseLimits) -> Self {
        Self {
            dialect,
            body,
            parser: SseParser::new(limits),
        }
    }

    /// The next event; none when the worker has ended the stream. Cancel-safe.
    ///
    /// # Errors
    /// `Broken` when the connection broke or a frame was past its bounds, `Rpc` for an error that the worker sent
    /// within the stream, `BadAnswer` for a frame that makes no sense. The stream is of no use after any of them.
    pub async fn next(&mut self) -> Result<Option<WorkerEvent>, CallError> {
        loop {
            while let Some(frame) = self
                .parser
                .next_event()
                .map_err(|error| CallError::Broken(Box::new(error)))?
            {
                if frame.data.is_empty() {
                    continue;
                }
                let name = frame.event.as_deref().unwrap_or_default();
                if let Some(event) = self.read(name, &frame.data)? {
                    return Ok(Some(event));
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.parser.push(data);
                    }
                }
                Some(Err(error)) => return Err(CallError::Broken(Box::new(error))),
                None => return Ok(None),
            }
        }
    }
    /// What a frame says; none where that is nothing of the task.
    fn read(&self, name: &str, data: &[u8]) -> Result<Option<WorkerEvent>, CallError> {
        let bad = |error: A2aError| CallError::BadAnswer(error.message);
        let enveloped =
            self.dialect.binding == Binding::JsonRpc && self.dialect.traits().enveloped_frames;
        let value = if enveloped {
            match jsonrpc::decode_response(data).map_err(bad)? {
                Ok(result) => result,
                Err(error) => {
                    return Err(CallError::Rpc(jsonrpc::decode_error(self.dialect, &error)));
                }
            }
        } else {
            let value: Value = serde_json::from_slice(data)
                .map_err(|_| CallError::BadAnswer("an event is not JSON".to_owned()))?;
            if name == "error" || value.get("error").is_some_and(Value::is_object) {
                let operation = Operation::SubscribeToTask;
                return Err(
                    match http_json::decode_error(self.dialect, operation, None, &value) {
                        Some(error) => CallError::Rpc(error),
                        None => CallError::BadAnswer("an error that says nothing".to_owned()),
                    },
                );
            }
            value
        };
        let read = self.dialect.decode_frame(name, value).map_err(bad)?;
        Ok(read.map(|(event, last)| WorkerEvent { event, last }))
    }
}
