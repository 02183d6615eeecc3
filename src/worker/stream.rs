//! A worker's event stream, decoded.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::CallError;
use crate::a2a::dialect::jsonrpc;
use crate::a2a::{Dialect, StreamResponse};
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
                return match jsonrpc::decode_response(&frame.data) {
                    Ok(Ok(result)) => {
                        let (event, last) = self
                            .dialect
                            .decode_event(result)
                            .map_err(|error| CallError::BadAnswer(error.message))?;
                        Ok(Some(WorkerEvent { event, last }))
                    }
                    Ok(Err(error)) => {
                        Err(CallError::Rpc(jsonrpc::decode_error(self.dialect, &error)))
                    }
                    Err(error) => Err(CallError::BadAnswer(error.message)),
                };
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
}
