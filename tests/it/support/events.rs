//! An event stream as a requester reads it: frame by frame, with ids, comments and times. A parser of its
//! own, apart from the sidecar's.

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::heard::Heard;
use super::http::{Cut, Exchange};

/// One frame that carried data.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: Option<String>,
    /// The `event:` field.
    pub name: Option<String>,
    /// The data lines, joined.
    pub text: String,
    /// The data as JSON; null where it is none.
    pub json: Value,
    pub at: Instant,
}

impl Event {
    /// The result in the JSON-RPC envelope; an error there is unexpected.
    pub fn result(&self) -> &Value {
        self.json
            .get("result")
            .unwrap_or_else(|| panic!("no result in {}", self.text))
    }

    /// The code of the error in the JSON-RPC envelope.
    pub fn error_code(&self) -> Option<i64> {
        self.json["error"]["code"].as_i64()
    }
}

/// Splits a byte stream into frames.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    /// Comment lines so far.
    pub comments: usize,
    /// The last id of any frame, which a client would resume from.
    pub last_id: Option<String>,
}

impl Frames {
    /// Takes in the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame with data in what was taken in.
    pub fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let id = self.id.take();
                let name = self.name.take();
                if id.is_some() {
                    self.last_id.clone_from(&id);
                }
                if let Some(text) = self.data.take() {
                    let json = serde_json::from_str(&text).unwrap_or_default();
                    let at = Instant::now();
                    return Some(Event {
                        id,
                        name,
                        text,
                        json,
                        at,
                    });
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "" => self.comments += 1,
                "id" => self.id = Some(value),
                "event" => self.name = Some(value),
                "data" => match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(&value);
                    }
                    none => *none = Some(value),
                },
                _ => {}
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        let end = self
            .bytes
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))?;
        // A CR may be half of a CRLF whose LF is still to come: the line waits until that is known.
        let ends_with = match (self.bytes[end], self.bytes.get(end + 1)) {
            (b'\r', None) => return None,
            (b'\r', Some(b'\n')) => 2,
            _ => 1,
        };
        let line = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        self.bytes.drain(..end + ends_with);
        Some(line)
    }
}

/// A stream being read. Dropping it closes the connection, as a requester does that goes away.
pub struct EventReader {
    exchange: Exchange,
    frames: Frames,
    /// Everything heard so far.
    pub heard: Heard,
    /// Every event so far, in the order of arrival.
    pub events: Vec<Event>,
    /// The bytes of the stream so far, for what the parser hides.
    pub bytes: Vec<u8>,
    /// How the stream ended, once it has.
    pub end: Option<Result<(), Cut>>,
}

impl EventReader {
    pub(super) fn new(exchange: Exchange) -> Self {
        Self {
            exchange,
            frames: Frames::default(),
            heard: Heard::default(),
            events: Vec::new(),
            bytes: Vec::new(),
            end: None,
        }
    }

    /// The headers that opened the stream, and when it was asked for and opened.
    pub fn head(&self) -> &Exchange {
        &self.exchange
    }

    /// Comments so far.
    pub fn comments(&self) -> usize {
        self.frames.comments
    }

    /// What to send as `Last-Event-ID`.
    pub fn last_id(&self) -> Option<String> {
        self.frames.last_id.clone()
    }

    /// The next event; `None` when the stream is at its end (see [`EventReader::end`]).
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.frames.next() {
                if event.json["result"].is_object() {
                    self.heard.feed(&event.json["result"]);
                }
                self.events.push(event.clone());
                return Some(event);
            }
            self.more().await?;
        }
    }

    /// Reads until `enough` of what was heard; panics when the stream ends before.
    pub async fn until(&mut self, enough: impl Fn(&Heard) -> bool) {
        while !enough(&self.heard) {
            if self.next().await.is_none() {
                panic!("the stream ended too early: {:?}", self.story());
            }
        }
    }

    /// Reads on until `count` comments have come, with events read on the way.
    pub async fn until_comments(&mut self, count: usize) {
        loop {
            while let Some(event) = self.frames.next() {
                if event.json["result"].is_object() {
                    self.heard.feed(&event.json["result"]);
                }
                self.events.push(event);
            }
            if self.frames.comments >= count {
                return;
            }
            if self.more().await.is_none() {
                panic!("the stream ended too early: {:?}", self.story());
            }
        }
    }

    /// Reads the stream to its end.
    pub async fn rest(&mut self) -> &Heard {
        while self.next().await.is_some() {}
        &self.heard
    }

    /// Reads the stream to its end, which must be a proper one.
    pub async fn complete(&mut self) -> &Heard {
        self.rest().await;
        assert!(
            matches!(self.end, Some(Ok(()))),
            "the stream broke off: {:?}",
            self.story()
        );
        &self.heard
    }

    /// What came, for the message of a failing test.
    pub fn story(&self) -> Vec<&str> {
        self.events
            .iter()
            .map(|event| event.text.as_str())
            .collect()
    }

    /// Takes in more bytes; `None` when there are no more.
    async fn more(&mut self) -> Option<Bytes> {
        if self.end.is_some() {
            return None;
        }
        match self.exchange.chunk().await {
            Ok(Some(bytes)) => {
                self.frames.push(&bytes);
                self.bytes.extend_from_slice(&bytes);
                Some(bytes)
            }
            Ok(None) => {
                self.end = Some(Ok(()));
                None
            }
            Err(_) => {
                self.end = Some(Err(Cut));
                None
            }
        }
    }
}
