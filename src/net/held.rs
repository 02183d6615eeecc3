//! The body of a long answer, on a connection that is only for it: its framing (RFC 9112 §6.3), which is chunks, a length,
//! or the end of the connection. Nothing is kept while nothing comes.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::pool::Answer;
use crate::wire::BodyError;

/// Bytes read at once, into the stack: what is read is what has come.
const READ_BYTES: usize = 8 * 1024;

/// The longest line between chunks: a chunk's size with its extensions, or a trailer.
const MAX_LINE_BYTES: usize = 4 * 1024;

/// The most lines after the last chunk. Nobody reads trailers here.
const MAX_TRAILERS: usize = 64;

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By a chunk of no bytes.
    Chunked,
    /// By so many bytes.
    Length(u64),
    /// By the end of the connection.
    Close,
}

impl Framing {
    /// As an answer's headers say it; none where it takes more to say.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        if let Some(coding) = codings.next() {
            let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            return (chunked && codings.next().is_none()).then_some(Self::Chunked);
        }
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
        match (lengths.next(), lengths.next()) {
            (None, _) => Some(Self::Close),
            // Digits alone: what parses may also begin with a plus.
            (Some(length), None) if length.as_bytes().iter().all(u8::is_ascii_digit) => {
                length.to_str().ok()?.parse().ok().map(Self::Length)
            }
            // Two that may differ are how one answer is taken for another.
            (Some(_), _) => None,
        }
    }
}

/// A long answer's bytes.
#[derive(Debug)]
pub enum Held {
    /// From hyper.
    Body(Answer),
    /// From a connection of its own.
    Own(Own),
}

impl Held {
    pub(super) fn own(io: TcpStream, read: Bytes, framing: Framing) -> Self {
        Self::Own(Own::new(io, read, framing))
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Body(body) => Pin::new(body).poll_frame(cx),
            Self::Own(own) => own.poll_next(cx).map(|next| match next {
                Ok(data) => data.map(|data| Ok(Frame::data(data))),
                Err(error) => Some(Err(BodyError::Producer(error.into()))),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Body(body) => body.is_end_stream(),
            Self::Own(own) => matches!(own.rest, Rest::Over),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Body(body) => body.size_hint(),
            Self::Own(Own {
                rest: Rest::Bytes(left),
                ..
            }) => SizeHint::with_exact(*left),
            Self::Own(_) => SizeHint::default(),
        }
    }
}

/// A connection on which a body comes.
#[derive(Debug)]
pub struct Own<T = TcpStream> {
    io: T,
    /// What has been read and not looked at. Empty while nothing comes.
    read: Bytes,
    rest: Rest,
}

/// What is still to come.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// A chunk's size.
    Size,
    /// So many bytes of a chunk, and the end of its line.
    Chunk(u64),
    /// The end of a chunk's line.
    ChunkEnd,
    /// Trailers, of which so many have come.
    Trailers(usize),
    /// So many bytes.
    Bytes(u64),
    /// Whatever comes.
    ToEnd,
    /// Nothing.
    Over,
}

/// What the bytes that have been read amount to.
enum Step {
    Data(Bytes),
    /// Too few bytes to tell.
    More,
    Over,
}

impl<T: AsyncRead + Unpin> Own<T> {
    /// Begins with what was read of the body together with its head.
    fn new(io: T, read: Bytes, framing: Framing) -> Self {
        Self {
            io,
            read,
            rest: match framing {
                Framing::Chunked => Rest::Size,
                Framing::Length(0) => Rest::Over,
                Framing::Length(bytes) => Rest::Bytes(bytes),
                Framing::Close => Rest::ToEnd,
            },
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match self.step()? {
                Step::Data(data) => return Poll::Ready(Ok(Some(data))),
                Step::Over => return Poll::Ready(Ok(None)),
                Step::More => {}
            }
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let came = buffer.filled();
            if came.is_empty() {
                return Poll::Ready(match self.rest {
                    Rest::ToEnd => {
                        self.rest = Rest::Over;
                        Ok(None)
                    }
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                });
            }
            self.read = if self.read.is_empty() {
                Bytes::copy_from_slice(came)
            } else {
                // The beginning of a line: bounded, and rare.
                Bytes::from([&self.read, came].concat())
            };
        }
    }

    fn step(&mut self) -> io::Result<Step> {
        loop {
            match self.rest {
                Rest::Over => return Ok(Step::Over),
                _ if self.read.is_empty() => return Ok(Step::More),
                Rest::ToEnd => return Ok(Step::Data(std::mem::take(&mut self.read))),
                Rest::Bytes(left) => {
                    let data = self.take(left);
                    let left = left - data.len() as u64;
                    self.rest = if left == 0 {
                        Rest::Over
                    } else {
                        Rest::Bytes(left)
                    };
                    return Ok(Step::Data(data));
                }
                Rest::Chunk(left) => {
                    let data = self.take(left);
                    let left = left - data.len() as u64;
                    self.rest = if left == 0 {
                        Rest::ChunkEnd
                    } else {
                        Rest::Chunk(left)
                    };
                    return Ok(Step::Data(data));
                }
                Rest::Size => match httparse::parse_chunk_size(&self.read) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        self.advance(line);
                        self.rest = if size == 0 {
                            Rest::Trailers(0)
                        } else {
                            Rest::Chunk(size)
                        };
                    }
                    Ok(httparse::Status::Partial) if self.read.len() < MAX_LINE_BYTES => {
                        return Ok(Step::More);
                    }
                    Ok(httparse::Status::Partial) | Err(_) => return Err(malformed()),
                },
                Rest::ChunkEnd => match self.line()? {
                    None => return Ok(Step::More),
                    Some(0) => self.rest = Rest::Size,
                    Some(_) => return Err(malformed()),
                },
                Rest::Trailers(count) => match self.line()? {
                    None => return Ok(Step::More),
                    Some(0) => self.rest = Rest::Over,
                    Some(_) if count < MAX_TRAILERS => self.rest = Rest::Trailers(count + 1),
                    Some(_) => return Err(malformed()),
                },
            }
        }
    }

    /// At most so many of the bytes that have been read.
    fn take(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if most >= self.read.len() {
            // Nothing is left that would hold on to what was read.
            return std::mem::take(&mut self.read);
        }
        self.read.split_to(most)
    }

    fn advance(&mut self, bytes: usize) {
        self.read.advance(bytes);
        if self.read.is_empty() {
            self.read = Bytes::new();
        }
    }

    /// Takes a line away and says how long it was, without its end; none if its end has not come.
    fn line(&mut self) -> io::Result<Option<usize>> {
        match memchr::memchr(b'\n', &self.read) {
            Some(end) => {
                let bare = self.read[..end]
                    .strip_suffix(b"\r")
                    .map_or(end, <[u8]>::len);
                self.advance(end + 1);
                Ok(Some(bare))
            }
            None if self.read.len() < MAX_LINE_BYTES => Ok(None),
            None => Err(malformed()),
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the body's chunks are malformed",
    )
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
