//! Answers and events in a requester's dialect, for one call: the envelope with the call's own id around what all
//! requesters of a version share.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;

use crate::a2a::dialect::jsonrpc;
use crate::a2a::request::Answer;
use crate::a2a::{A2aError, Dialect, Operation, StreamResponse};
use crate::hub::Entry;
use crate::task::Seq;

/// Renders for one call.
#[derive(Clone, Debug)]
pub struct Renderer {
    dialect: Dialect,
    id: Option<Box<RawValue>>,
}

impl Renderer {
    /// For a call in this dialect with this JSON-RPC id, which is echoed as it came.
    #[must_use]
    pub fn new(dialect: Dialect, id: Option<Box<RawValue>>) -> Self {
        Self { dialect, id }
    }

    /// The dialect.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A whole answer.
    #[must_use]
    pub fn answer(&self, operation: Operation, answer: &Answer) -> Bytes {
        jsonrpc::encode_result(
            self.id.as_deref(),
            &self.dialect.encode_answer(operation, answer),
        )
    }

    /// A whole answer that is an error.
    #[must_use]
    pub fn error(&self, error: &A2aError) -> Bytes {
        jsonrpc::encode_error(self.dialect, self.id.as_deref(), error)
    }

    /// The SSE frame of an event of the log. `more` says that later events are there already: then not even an event at
    /// which streams end (`final` in 0.x) is marked as the last.
    #[must_use]
    pub fn frame(&self, epoch: u64, entry: &Entry, more: bool) -> Bytes {
        let result = if more && ends_stream(&entry.event) && !entry.event.is_terminal() {
            encode(self.dialect, &entry.event, false)
        } else {
            entry.encoded(self.dialect.version, |event| {
                encode(self.dialect, event, true)
            })
        };
        self.wrap(Some((epoch, entry.seq)), &result)
    }

    /// The SSE frame of something that is no event of the log: a direct message, a snapshot of the task. A snapshot
    /// carries the number of the newest event in it.
    #[must_use]
    pub fn loose_frame(&self, at: Option<(u64, Seq)>, event: &StreamResponse) -> Bytes {
        self.wrap(at, &encode(self.dialect, event, false))
    }

    /// The SSE frame of an error.
    #[must_use]
    pub fn error_frame(&self, error: &A2aError) -> Bytes {
        let body = self.error(error);
        let mut frame = BytesMut::with_capacity(body.len() + 8);
        frame.put_slice(b"data: ");
        frame.put_slice(&body);
        frame.put_slice(b"\n\n");
        frame.freeze()
    }

    fn wrap(&self, at: Option<(u64, Seq)>, result: &[u8]) -> Bytes {
        let id = self.id.as_deref().map_or("null", RawValue::get);
        let mut frame = BytesMut::with_capacity(result.len() + id.len() + 96);
        if let Some((epoch, seq)) = at {
            frame.put_slice(format!("id: {}\n", EventId { epoch, seq }).as_bytes());
        }
        // One line: serde_json escapes line breaks in strings, and the id was one line of JSON.
        frame.put_slice(b"data: {\"jsonrpc\":\"2.0\",\"id\":");
        for byte in id.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
            frame.put_u8(byte);
        }
        frame.put_slice(b",\"result\":");
        frame.put_slice(result);
        frame.put_slice(b"}\n\n");
        frame.freeze()
    }
}

fn encode(dialect: Dialect, event: &StreamResponse, last: bool) -> Bytes {
    // A JSON value always serializes.
    serde_json::to_vec(&dialect.encode_event(event, last))
        .unwrap_or_default()
        .into()
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
