//! gRPC on the wire: length-prefixed messages, the status in the trailers, timeouts. Knows HTTP/2 only by its headers,
//! and nothing of what the messages mean or which calls there are.
//!
//! Messages are not compressed: none is asked for, and one that comes compressed is an error that says so.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

/// The media type of calls and answers.
pub const MEDIA_TYPE: &str = "application/grpc";

/// The status of a call.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What went wrong, percent-encoded.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// A `google.rpc.Status` in base64.
pub const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// How long the client waits.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// How messages are compressed.
pub const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// Which compressions the sender could read.
pub const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The bytes before each message: compressed or not, and four of length.
pub const PREFIX: usize = 5;

/// The most bytes of a status' message that are written. Clients bound all headers together, by 8 KiB in grpc-core, and
/// see nothing but a broken stream beyond.
const MAX_MESSAGE: usize = 2 << 10;

/// The most bytes of details that are written, in base64: as for the message.
const MAX_DETAILS: usize = 4 << 10;

/// The codes of gRPC that this program writes or looks for.
pub mod code {
    /// All went well.
    pub const OK: u32 = 0;
    /// The client has given up.
    pub const CANCELLED: u32 = 1;
    /// Nobody knows.
    pub const UNKNOWN: u32 = 2;
    /// The request is wrong.
    pub const INVALID_ARGUMENT: u32 = 3;
    /// The time was over.
    pub const DEADLINE_EXCEEDED: u32 = 4;
    /// No such thing.
    pub const NOT_FOUND: u32 = 5;
    /// Not with these credentials.
    pub const PERMISSION_DENIED: u32 = 7;
    /// Too many or too much.
    pub const RESOURCE_EXHAUSTED: u32 = 8;
    /// Not in this state.
    pub const FAILED_PRECONDITION: u32 = 9;
    /// No such method.
    pub const UNIMPLEMENTED: u32 = 12;
    /// Something is broken.
    pub const INTERNAL: u32 = 13;
    /// Not now.
    pub const UNAVAILABLE: u32 = 14;
    /// No credentials, or wrong ones.
    pub const UNAUTHENTICATED: u32 = 16;
}

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is longer than allowed.
    #[error("a message is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// It is compressed, which nobody asked for.
    #[error("a message is compressed")]
    Compressed,
    /// The stream ended in the middle of one.
    #[error("the stream ended within a message")]
    Truncated,
}

/// Takes messages out of a stream of bytes, however it is cut.
#[derive(Debug)]
pub struct Messages {
    buffer: BytesMut,
    max_bytes: usize,
}

impl Messages {
    /// Messages of at most this many bytes; no more than one of them, and what has been pushed beyond it, is held.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_bytes,
        }
    }

    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; none until more bytes come.
    ///
    /// # Errors
    /// See [`FrameError`]; nothing can be read after one.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((prefix, _)) = self.buffer.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err(FrameError::Compressed);
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        // Before anything is held for it: the length is the sender's word alone.
        if length > self.max_bytes {
            return Err(FrameError::TooLarge {
                limit: self.max_bytes,
            });
        }
        if self.buffer.len() - PREFIX < length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Says whether the stream may end here.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] in the middle of a message.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Truncated)
        }
    }
}

/// A message with its prefix. One of 4 GiB or more is cut off, which no bound on answers lets come to pass.
#[must_use]
pub fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    frame.freeze()
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The code; 0 is good.
    pub code: u32,
    /// What went wrong.
    pub message: String,
    /// A `google.rpc.Status` that says more; empty for none.
    pub details: Bytes,
}

impl Status {
    /// A status without details.
    #[must_use]
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Bytes::new(),
        }
    }

    /// Writes it into trailers, or into the headers of an answer without a body.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS, HeaderValue::from(self.code));
        if let Ok(message) = HeaderValue::from_str(&percent_encode(&self.message))
            && !self.message.is_empty()
        {
            headers.insert(GRPC_MESSAGE, message);
        }
        let details = STANDARD_NO_PAD.encode(&self.details);
        if let Ok(details) = HeaderValue::from_str(&details)
            && !details.is_empty()
            && details.len() <= MAX_DETAILS
        {
            headers.insert(GRPC_STATUS_DETAILS, details);
        }
    }

    /// The trailers.
    #[must_use]
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        self.write(&mut trailers);
        trailers
    }

    /// Reads it from trailers or headers; none where they hold no status. A status that is no number is
    /// [`code::UNKNOWN`].
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Status> {
        let status = headers.get(GRPC_STATUS)?;
        let code = status
            .to_str()
            .ok()
            .and_then(|code| code.parse().ok())
            .unwrap_or(code::UNKNOWN);
        Some(Status {
            code,
            message: headers
                .get(GRPC_MESSAGE)
                .map(|message| percent_decode(message.as_bytes()))
                .unwrap_or_default(),
            details: headers
                .get(GRPC_STATUS_DETAILS)
                .and_then(|details| BASE64.decode(details.as_bytes()).ok())
                .map(Bytes::from)
                .unwrap_or_default(),
        })
    }

    /// What an answer without a status of gRPC means, by its HTTP status: somebody on the way made it.
    #[must_use]
    pub fn of_http(status: StatusCode) -> Status {
        let code = match status {
            StatusCode::BAD_REQUEST => code::INTERNAL,
            StatusCode::UNAUTHORIZED => code::UNAUTHENTICATED,
            StatusCode::FORBIDDEN => code::PERMISSION_DENIED,
            StatusCode::NOT_FOUND => code::UNIMPLEMENTED,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => code::UNAVAILABLE,
            _ => code::UNKNOWN,
        };
        Status::new(code, format!("HTTP status {}", status.as_u16()))
    }
}

/// Padded or not: implementations differ, and both are to be read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `%XX` for what is no printable ASCII, and for `%`; cut to what clients take.
fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len().min(MAX_MESSAGE));
    for character in text.chars() {
        let before = out.len();
        if matches!(character, ' '..='~') && character != '%' {
            out.push(character);
        } else {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
        if out.len() > MAX_MESSAGE {
            out.truncate(before);
            break;
        }
    }
    out
}

/// Reads what [`percent_encode`] writes; what is not encoded rightly stays as it is.
fn percent_decode(text: &[u8]) -> String {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (digit(high), digit(low))
            && let Ok(decoded) = u8::try_from(high * 16 + low)
        {
            out.push(decoded);
            rest = after;
        } else {
            out.push(*byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the body is said to be messages of gRPC (over HTTP/2: gRPC-Web is something else).
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes().trim_ascii();
        value
            .split_at_checked(MEDIA_TYPE.len())
            .is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
                    && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
            })
    })
}

/// How long the client waits; none where it does not say, or not rightly.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // The specification allows eight digits.
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "grpc_tests.rs"]
mod tests;
