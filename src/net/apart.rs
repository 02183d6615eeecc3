//! One exchange on a connection of its own, for answers that are long: a stream is silent most of the time, and hyper
//! keeps 28 KiB for the connection that it comes on. Here nothing is kept but what has been read and not looked at.
//!
//! HTTP/1.1 without TLS, a request that is small and whole, and no other request after it; everything else is hyper's.

use std::io;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::TransportError;
use super::held::{Framing, Held};
use super::pool::{authority_without_default_port, origin_form};

/// The largest body that is sent here: what the two sockets hold, so that sending never waits for a worker that itself
/// waits for its answer to be read.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The longest head of an answer, as hyper's default is of that order.
const MAX_HEAD_BYTES: usize = 256 * 1024;

/// The most headers of an answer: hyper's default.
const MAX_HEADERS: usize = 100;

/// Makes the exchange on a connection that has just been opened to where the request goes.
pub(super) async fn exchange(
    mut io: TcpStream,
    request: Request<Bytes>,
) -> Result<Response<Held>, TransportError> {
    let written = encode(request).ok_or(TransportError::NoAuthority)?;
    let sent = io.write_all(&written).await;
    drop(written);
    // A worker that refuses what it has not read whole may have answered all the same.
    let (mut response, rest) = match (read_head(&mut io).await, sent) {
        (Ok(answered), _) => answered,
        (Err(error), Ok(())) | (Err(_), Err(error)) => return Err(TransportError::Io(error)),
    };
    let framing = match response.status() {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Framing::Length(0),
        _ => Framing::of(response.headers())
            .ok_or_else(|| TransportError::Io(malformed("its framing is not known")))?,
    };
    // How the body came says nothing of the body.
    response.headers_mut().remove(TRANSFER_ENCODING);
    Ok(response.map(|()| Held::own(io, rest, framing)))
}

/// A request as it is written; none if it names no host.
fn encode(request: Request<Bytes>) -> Option<Vec<u8>> {
    let (parts, body) = request.into_parts();
    let uri: Uri = parts.uri;
    let place = uri.authority()?;
    let mut out = Vec::with_capacity(1024 + body.len());
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(origin_form(&uri).to_string().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    if !parts.headers.contains_key(HOST) {
        let host = authority_without_default_port(&uri, place);
        line(b"host", host.as_bytes());
    }
    for (name, value) in &parts.headers {
        // What is said of the length is said here.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            line(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !body.is_empty() || parts.method != Method::GET {
        line(b"content-length", body.len().to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    Some(out)
}

/// The head of the answer, and what came behind it.
async fn read_head(io: &mut TcpStream) -> io::Result<(Response<()>, Bytes)> {
    let mut read = BytesMut::new();
    loop {
        if let Some((response, length)) = parse(&read)? {
            let rest = Bytes::copy_from_slice(&read[length..]);
            return Ok((response, rest));
        }
        if read.len() >= MAX_HEAD_BYTES {
            return Err(malformed("its head is too long"));
        }
        if io.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The head at the beginning of these bytes and its length; none if its end has not come. Interim answers are passed over
/// (RFC 9110 §15.2).
fn parse(read: &[u8]) -> io::Result<Option<(Response<()>, usize)>> {
    let mut begin = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(&read[begin..]) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(malformed("its head is no head")),
        };
        begin += length;
        let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| malformed("its status is none"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(malformed("it changes the protocol unasked"));
        }
        if status.is_informational() {
            continue;
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = read_headers(head.headers)?;
        return Ok(Some((response, begin)));
    }
}

fn read_headers(read: &[httparse::Header<'_>]) -> io::Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(read.len());
    for header in read {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(malformed("one of its headers is none"));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the answer makes no sense: {what}"),
    )
}

#[cfg(test)]
#[path = "apart_tests.rs"]
mod tests;
