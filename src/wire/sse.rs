//! Server-sent events: an incremental parser, an encoder, and a tracker of frame boundaries.
//!
//! The parser follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream", over
//! any split of the input. It does not reconnect, keep time, or read the JSON inside `data`.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// Longest line accepted by default, in bytes. An agent may put a whole file, base64 encoded, on one
/// `data` line; beyond this a peer that never ends a line could take all memory.
pub const DEFAULT_MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Largest event accepted by default, in bytes over all the lines that are kept for it. The same as
/// the line bound, because JSON is nearly always sent on one line.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// The comment that keeps an idle stream alive: ignored by every parser that follows the standard, and it may stand at
/// any frame boundary (see [`FrameBoundary`]). One line and no blank one after it: once a stream has had an `id`, httpx-sse
/// makes an event without data of every blank line, and the Python SDKs end with an error there.
pub static KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n");

/// UTF-8 byte order mark; the standard drops one at the start of a stream.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Longest field name that means anything ("event", "retry"); a colon further on is not looked for,
/// so an unknown field costs nothing.
const LONGEST_FIELD: usize = 5;

/// Bounds on what a peer can make the parser hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseLimits {
    /// Longest line, in bytes, without its end.
    pub max_line_bytes: usize,
    /// Largest event, in bytes: its data with the line breaks between, its name and its id.
    pub max_event_bytes: usize,
}

impl Default for SseLimits {
    fn default() -> Self {
        Self {
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
        }
    }
}

/// Why a stream cannot be read on, or a frame cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line is longer than [`SseLimits::max_line_bytes`].
    #[error("an event-stream line is longer than {limit} bytes")]
    LineTooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// An event is larger than [`SseLimits::max_event_bytes`].
    #[error("an event is larger than {limit} bytes")]
    EventTooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The id given to [`encode`] holds CR, LF or NUL, which no frame can carry.
    #[error("an event id must not hold CR, LF or NUL")]
    IdNotEncodable,
    /// The event name given to [`encode`] holds CR, LF or NUL.
    #[error("an event name must not hold CR, LF or NUL")]
    EventNotEncodable,
}

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// The `event` field; `None` when absent or empty (the standard's "message").
    pub event: Option<String>,
    /// The `data` lines joined by LF. Always valid UTF-8: bad sequences were replaced by U+FFFD.
    pub data: Bytes,
    /// The `id` field of this frame, `Some("")` if it was sent empty. The id that a reconnecting
    /// client must send, which outlives the frame, is [`SseParser::last_event_id`].
    pub id: Option<String>,
    /// The `retry` field of this frame, in milliseconds.
    pub retry: Option<u64>,
}

impl SseEvent {
    /// The data as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.data)
    }
}

/// An incremental event-stream parser. Time is linear in the input, however it is split.
#[derive(Debug)]
pub struct SseParser {
    limits: SseLimits,
    buf: BytesMut,
    /// How much of `buf` is known to hold no line end, so that no byte is looked at twice.
    scanned: usize,
    /// The last line ended with CR: a LF right behind it belongs to the same line end.
    skip_lf: bool,
    at_start: bool,
    failed: Option<SseError>,
    frame: Frame,
    last_event_id: String,
    retry: Option<u64>,
    comments: u64,
}

/// The fields of the event being read.
#[derive(Debug, Default)]
struct Frame {
    event: String,
    data: Option<BytesMut>,
    id: Option<String>,
    retry: Option<u64>,
}

impl Frame {
    fn bytes(&self) -> usize {
        self.event.len()
            + self.data.as_ref().map_or(0, BytesMut::len)
            + self.id.as_ref().map_or(0, String::len)
    }
}

impl SseParser {
    /// A parser at the start of a stream.
    pub fn new(limits: SseLimits) -> Self {
        Self {
            limits,
            buf: BytesMut::new(),
            scanned: 0,
            skip_lf: false,
            at_start: true,
            failed: None,
            frame: Frame::default(),
            last_event_id: String::new(),
            retry: None,
            comments: 0,
        }
    }

    /// Takes the next bytes of the stream. Call [`next_event`](Self::next_event) until it yields
    /// `None` before pushing more: what is pushed and not taken is held in memory.
    pub fn push(&mut self, chunk: impl AsRef<[u8]>) {
        if self.failed.is_none() {
            self.buf.extend_from_slice(chunk.as_ref());
        }
    }

    /// The next complete event, or `None` until more is pushed.
    ///
    /// # Errors
    /// When a limit is exceeded. The stream cannot be read on; the same error comes every time.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.advance();
        if let Err(error) = result {
            self.failed = Some(error);
            self.buf = BytesMut::new();
            self.frame = Frame::default();
        } else if self.buf.is_empty() {
            // A stream may say nothing for long: no room is held meanwhile.
            self.buf = BytesMut::new();
        }
        result
    }

    /// Ends the stream. An unfinished event is discarded, as the standard asks; `true` says that
    /// there was one, that is, that the stream was probably cut.
    pub fn finish(&mut self) -> bool {
        let cut = !self.buf.is_empty() || self.frame.bytes() > 0 || self.frame.data.is_some();
        self.buf = BytesMut::new();
        self.scanned = 0;
        self.frame = Frame::default();
        cut && self.failed.is_none()
    }

    /// How many comment lines were read. A growing number means that the peer keeps the stream alive
    /// although no event comes.
    pub fn comments_seen(&self) -> u64 {
        self.comments
    }

    /// The id of the last event that had one; what a client sends as `Last-Event-ID`. Empty if none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The reconnection time last asked for, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    fn advance(&mut self) -> Result<Option<SseEvent>, SseError> {
        loop {
            if self.skip_lf && !self.buf.is_empty() {
                if self.buf[0] == b'\n' {
                    self.buf.advance(1);
                }
                self.skip_lf = false;
            }
            let Some(at) = memchr2(b'\n', b'\r', &self.buf[self.scanned..]) else {
                self.scanned = self.buf.len();
                self.check_line(self.scanned)?;
                return Ok(None);
            };
            let len = self.scanned + at;
            self.check_line(len)?;
            self.scanned = 0;
            self.skip_lf = self.buf[len] == b'\r';
            if self.at_start {
                self.at_start = false;
                if self.buf.starts_with(BOM) {
                    self.buf.advance(BOM.len());
                    self.line(len - BOM.len())?;
                    continue;
                }
            }
            if len == 0 {
                self.buf.advance(1);
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.line(len)?;
            }
        }
    }

    fn check_line(&self, len: usize) -> Result<(), SseError> {
        let limit = self.limits.max_line_bytes;
        if len > limit {
            Err(SseError::LineTooLong { limit })
        } else {
            Ok(())
        }
    }

    /// Reads the line of `len` bytes at the front of the buffer and removes it with the first byte of
    /// its end.
    fn line(&mut self, len: usize) -> Result<(), SseError> {
        let head = &self.buf[..len.min(LONGEST_FIELD + 1)];
        let (name, value_at) = match memchr(b':', head) {
            Some(colon) => {
                let space = usize::from(colon + 1 < len && self.buf[colon + 1] == b' ');
                (&self.buf[..colon], colon + 1 + space)
            }
            None if len <= LONGEST_FIELD => (&self.buf[..len], len),
            None => (&[][..], len),
        };
        match name {
            b"data" => {
                let mut line = self.buf.split_to(len + 1);
                line.truncate(len);
                line.advance(value_at);
                match &mut self.frame.data {
                    None => self.frame.data = Some(line),
                    Some(data) => {
                        data.put_u8(b'\n');
                        data.extend_from_slice(&line);
                    }
                }
                return self.check_event();
            }
            b"event" => {
                self.frame.event = String::from_utf8_lossy(&self.buf[value_at..len]).into_owned();
            }
            // The standard: an id with NUL in it is ignored.
            b"id" if memchr(0, &self.buf[value_at..len]).is_none() => {
                let id = String::from_utf8_lossy(&self.buf[value_at..len]).into_owned();
                self.frame.id = Some(id);
            }
            b"retry" => {
                let value = &self.buf[value_at..len];
                if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
                    let millis = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    if millis.is_some() {
                        self.frame.retry = millis;
                        self.retry = millis;
                    }
                }
            }
            b"" if self.buf.first() == Some(&b':') => self.comments = self.comments.wrapping_add(1),
            _ => {}
        }
        self.buf.advance(len + 1);
        self.check_event()
    }

    fn check_event(&self) -> Result<(), SseError> {
        let limit = self.limits.max_event_bytes;
        if self.frame.bytes() > limit {
            Err(SseError::EventTooLarge { limit })
        } else {
            Ok(())
        }
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let frame = std::mem::take(&mut self.frame);
        if let Some(id) = &frame.id {
            self.last_event_id.clone_from(id);
        }
        let data = frame.data?;
        let data = match std::str::from_utf8(&data) {
            Ok(_) => data.freeze(),
            Err(_) => Bytes::from(String::from_utf8_lossy(&data).into_owned()),
        };
        let event = (!frame.event.is_empty()).then_some(frame.event);
        Some(SseEvent {
            event,
            data,
            id: frame.id,
            retry: frame.retry,
        })
    }
}

/// Writes one frame. Line breaks in `data` (LF, CR or CRLF) become several `data` lines, which a
/// reader joins with LF.
///
/// # Errors
/// When `id` or `event` holds CR, LF or NUL: they would end the field, or make the reader drop it.
pub fn encode(id: Option<&str>, event: Option<&str>, data: &str) -> Result<Bytes, SseError> {
    let clean = |field: &str| !field.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0));
    if !id.is_none_or(clean) {
        return Err(SseError::IdNotEncodable);
    }
    if !event.is_none_or(clean) {
        return Err(SseError::EventNotEncodable);
    }
    let fixed = "id: \nevent: \ndata: \n\n".len();
    let fields = id.map_or(0, str::len) + event.map_or(0, str::len);
    let mut out = BytesMut::with_capacity(fixed + fields + data.len());
    for (name, value) in [("id: ", id), ("event: ", event)] {
        if let Some(value) = value {
            out.put_slice(name.as_bytes());
            out.put_slice(value.as_bytes());
            out.put_u8(b'\n');
        }
    }
    let mut rest = data.as_bytes();
    loop {
        out.put_slice(b"data: ");
        let Some(end) = memchr2(b'\n', b'\r', rest) else {
            out.put_slice(rest);
            break;
        };
        out.put_slice(&rest[..end]);
        out.put_u8(b'\n');
        rest = if rest[end..].starts_with(b"\r\n") {
            &rest[end + 2..]
        } else {
            &rest[end + 1..]
        };
    }
    out.put_slice(b"\n\n");
    Ok(out.freeze())
}

/// Tells whether a stream that passes by stands between two frames, without parsing it. Only the line
/// ends at the tail of each chunk are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameBoundary(Place);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// A blank line, or the start of the stream, is behind us.
    #[default]
    Between,
    /// Inside a line.
    Line,
    /// Behind the end of a line with something on it.
    LineEnd,
    /// The same, but it ended with CR: a LF would still belong to it.
    LineEndCr,
}

impl FrameBoundary {
    /// At the start of a stream, which is a boundary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, chunk: &[u8]) {
        let is_break = |b: &u8| matches!(b, b'\n' | b'\r');
        let tail = chunk
            .iter()
            .rposition(|b| !is_break(b))
            .map_or(0, |last| last + 1);
        if tail > 0 {
            self.0 = Place::Line;
        }
        for &byte in &chunk[tail..] {
            self.0 = match (self.0, byte) {
                (Place::Line, b'\r') => Place::LineEndCr,
                (Place::Line, _) | (Place::LineEndCr, b'\n') => Place::LineEnd,
                // A second line end makes a blank line. A LF that belongs to a CR behind a blank line
                // changes nothing: at worst a reader sees one more blank line, which means nothing.
                (Place::LineEnd | Place::LineEndCr | Place::Between, _) => Place::Between,
            };
        }
    }

    /// Whether a comment may be put here.
    pub fn at_boundary(&self) -> bool {
        self.0 == Place::Between
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
