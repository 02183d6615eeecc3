//! A connection that hyper reads the head of an answer from and, on request, nothing behind it: hyper begins to read a
//! body before it is asked for it, and what it has begun nobody else can go on with.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at once while a head is looked for.
const READ_BYTES: usize = 4 * 1024;

/// Everything is let through.
const OPEN: u8 = 0;
/// The next head is let through, and nothing behind it.
const HEAD: u8 = 1;
/// Nothing is let through.
const CLOSED: u8 = 2;

/// The handle of a gate, which hyper holds. All of it is used by one task at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    mode: AtomicU8,
    /// Whether hyper has written all that it has: it flushes when it has.
    flushed: AtomicBool,
}

impl Gate {
    /// Lets the next answer's head through and holds back what follows, until it is opened.
    pub(super) fn close_behind_head(&self) {
        self.0.mode.store(HEAD, Ordering::Relaxed);
    }

    /// Lets everything through again. Whoever polls the connection next reads on.
    pub(super) fn open(&self) {
        self.0.mode.store(OPEN, Ordering::Relaxed);
    }

    /// Whether an answer's head has come and nothing behind it has been let through, nor is anything to be written.
    pub(super) fn holds_all(&self) -> bool {
        self.0.mode.load(Ordering::Relaxed) == CLOSED && self.0.flushed.load(Ordering::Relaxed)
    }
}

/// The connection.
#[derive(Debug)]
pub(super) struct Gated {
    io: TokioIo<TcpStream>,
    gate: Gate,
    /// What has been read and not let through.
    held: Bytes,
    scan: Scan,
}

impl Gated {
    pub(super) fn new(io: TokioIo<TcpStream>) -> (Self, Gate) {
        let gate = Gate::default();
        let gated = Self {
            io,
            gate: gate.clone(),
            held: Bytes::new(),
            scan: Scan::default(),
        };
        (gated, gate)
    }

    /// The connection, and what was held back.
    pub(super) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.io.into_inner(), self.held)
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        // No more than is wanted, so that all of a head finds room.
        let most = buffer.remaining().min(READ_BYTES);
        let mut came = ReadBuf::uninit(&mut space[..most]);
        ready!(Pin::new(self.io.inner_mut()).poll_read(cx, &mut came))?;
        let came = came.filled();
        match self.scan.end(came) {
            None => buffer.put_slice(came),
            Some(end) => {
                buffer.put_slice(&came[..end]);
                self.held = Bytes::copy_from_slice(&came[end..]);
                self.gate.0.mode.store(CLOSED, Ordering::Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Looks for the end of a head: an empty line, with or without carriage returns, as hyper reads it.
#[derive(Debug, Default)]
struct Scan {
    /// How many bytes of the status line's beginning have come, as far as the status.
    begun: usize,
    /// Whether the status says that another head follows (RFC 9110 §15.2).
    informational: bool,
    /// Whether the line so far is empty.
    empty: bool,
}

/// Where the first digit of the status stands: behind `HTTP/1.1 `.
const STATUS_AT: usize = 9;

impl Scan {
    /// Where the head ends in these bytes, which follow those of before; none if it goes on.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.begun == 0 && matches!(byte, b'\r' | b'\n') {
                // Before the head.
                continue;
            }
            if self.begun <= STATUS_AT {
                self.informational = self.begun == STATUS_AT && *byte == b'1';
                self.begun += 1;
            }
            match byte {
                b'\n' if self.empty => {
                    let last = !self.informational;
                    *self = Self::default();
                    if last {
                        return Some(at + 1);
                    }
                }
                b'\n' => self.empty = true,
                b'\r' => {}
                _ => self.empty = false,
            }
        }
        None
    }
}

impl Read for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.gate.0.mode.load(Ordering::Relaxed) {
            HEAD => this.poll_head(cx, buffer),
            // Whoever opens it polls again.
            CLOSED => Poll::Pending,
            _ if !this.held.is_empty() => {
                let most = buffer.remaining().min(this.held.len());
                buffer.put_slice(&this.held[..most]);
                this.held.advance(most);
                Poll::Ready(Ok(()))
            }
            _ => Pin::new(&mut this.io).poll_read(cx, buffer),
        }
    }
}

impl Write for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.gate.0.flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.gate.0.flushed.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gate.0.flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_cut() {
        for (head, body) in [
            ("HTTP/1.1 200 OK\r\na: b\r\n\r\n", "\r\n\r\nbody"),
            ("HTTP/1.1 200 OK\na: b\n\n", "\nbody"),
            ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "body"),
            ("HTTP/1.0 200\r\n\r\n", ""),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                "HTTP/1.1 100",
            ),
        ] {
            let whole = format!("{head}{body}");
            for cut in 0..=whole.len() {
                let (first, second) = whole.as_bytes().split_at(cut);
                let mut scan = Scan::default();
                let end = match scan.end(first) {
                    Some(end) => Some(end),
                    None => scan.end(second).map(|end| cut + end),
                };
                assert_eq!(end, Some(head.len()), "{whole:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_head_that_has_not_ended_has_no_end() {
        for head in [
            "",
            "HTTP/1.1 200 OK\r\na: b\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert_eq!(Scan::default().end(head.as_bytes()), None, "{head:?}");
        }
    }
}
