//! Framing at every cut, and the handover from hyper over real sockets.

use http::{HeaderMap, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_test::io::Builder;

use super::*;
use crate::net::client::{WorkerOptions, worker_client};
use crate::wire::Body;

/// All that a body brings, and how it ends.
async fn all<T: AsyncRead + Unpin>(mut own: Own<T>) -> (Vec<u8>, io::Result<()>) {
    let mut got = Vec::new();
    loop {
        match poll_fn(|cx| own.poll_next(cx)).await {
            Ok(Some(data)) => got.extend_from_slice(&data),
            Ok(None) => return (got, Ok(())),
            Err(error) => return (got, Err(error)),
        }
    }
}

#[tokio::test]
async fn every_cut_gives_the_same_bytes() {
    for (framing, wire) in [
        (
            Framing::Chunked,
            &b"5\r\nhello\r\n00A;name=\"value\"\r\n, chunked\n\r\n0\r\nx-trailer: a\r\n\r\n"[..],
        ),
        (Framing::Length(15), b"hello, chunked\n"),
        (Framing::Close, b"hello, chunked\n"),
    ] {
        for cut in 0..=wire.len() {
            for second in cut..=wire.len() {
                let (read, rest) = wire.split_at(cut);
                let (rest, last) = rest.split_at(second - cut);
                let mut io = Builder::new();
                for part in [rest, last] {
                    if !part.is_empty() {
                        io.read(part);
                    }
                }
                let (got, end) =
                    all(Own::new(io.build(), Bytes::copy_from_slice(read), framing)).await;
                assert_eq!(
                    got, b"hello, chunked\n",
                    "{framing:?} cut at {cut}, {second}"
                );
                end.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_read_past_the_end() {
    // The build panics if what it has is not read, so a body that reads on would fail here.
    let io = Builder::new().build();
    let (got, end) = all(Own::new(
        io,
        "0\r\n\r\nHTTP/1.1 200 OK".into(),
        Framing::Chunked,
    ))
    .await;
    assert!(got.is_empty());
    end.unwrap();
    let io = Builder::new().build();
    let (got, end) = all(Own::new(io, "abcdef".into(), Framing::Length(3))).await;
    assert_eq!(got, b"abc");
    end.unwrap();
}

#[tokio::test]
async fn what_breaks_off_or_makes_no_sense_is_an_error() {
    let endless = [b'1'; 3 * MAX_LINE_BYTES];
    let long = [b"5;", &[b'x'; 2 * MAX_LINE_BYTES][..]].concat();
    let trailers = [b"0\r\n", &b"a: b\r\n".repeat(MAX_TRAILERS + 1)[..]].concat();
    for (framing, wire) in [
        (Framing::Chunked, &b""[..]),
        (Framing::Chunked, b"5\r\nhel"),
        (Framing::Chunked, b"5\r\nhello"),
        (Framing::Chunked, b"5\r\nhello\r\n"),
        (Framing::Chunked, b"5\r\nhello\r\n0\r\n"),
        (Framing::Chunked, b"5\r\nhelloworld\r\n"),
        (Framing::Chunked, b"nonsense\r\n"),
        (Framing::Chunked, b"fffffffffffffffff\r\n"),
        (Framing::Chunked, &endless),
        (Framing::Chunked, &long),
        (Framing::Chunked, &trailers),
        (Framing::Length(6), b"hello"),
    ] {
        let (_, end) = all(Own::new(
            Builder::new().build(),
            Bytes::copy_from_slice(wire),
            framing,
        ))
        .await;
        assert!(end.is_err(), "{:?}", String::from_utf8_lossy(wire));
    }
}

#[test]
fn the_framing_is_what_the_headers_say() {
    for (headers, expected) in [
        (&[][..], Some(Framing::Close)),
        (&[("content-length", "12")], Some(Framing::Length(12))),
        (&[("content-length", "twelve")], None),
        (&[("transfer-encoding", "Chunked")], Some(Framing::Chunked)),
        // RFC 9112 §6.3: the coding prevails.
        (
            &[("transfer-encoding", "chunked"), ("content-length", "12")],
            Some(Framing::Chunked),
        ),
        (&[("transfer-encoding", "gzip, chunked")], None),
        (
            &[
                ("transfer-encoding", "gzip"),
                ("transfer-encoding", "chunked"),
            ],
            None,
        ),
    ] {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        assert_eq!(Framing::of(&map), expected, "{headers:?}");
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// The answer to a POST of this body, from a worker that gets the connection after it has answered `first`.
async fn answered(body: Body, first: &[u8]) -> (Held, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = worker_client(&WorkerOptions::default()).unwrap();
    let request = Request::post(format!("http://{address}/"))
        .body(body)
        .unwrap();
    let asked = tokio::spawn(client.request_long(request));
    let (mut worker, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
        worker.read_buf(&mut seen).await.unwrap();
    }
    worker.write_all(first).await.unwrap();
    let response = asked.await.unwrap().unwrap();
    let framing = Framing::of(response.headers());
    (response.into_body().held(framing), worker)
}

async fn text(held: &mut Held) -> String {
    let mut all = Vec::new();
    while let Some(data) = held.next().await.unwrap() {
        all.extend_from_slice(&data);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn a_stream_is_taken_from_hyper_without_a_byte_lost() {
    // What came in one piece with the head, and what comes later.
    for with_head in [&b""[..], b"5\r\nfirst\r\n", b"5\r\nfir"] {
        let first = [HEAD, with_head].concat();
        let (mut held, mut worker) = answered(Body::full("{}"), &first).await;
        assert!(matches!(held, Held::Own(_)), "{held:?}");
        let rest = &b"5\r\nfirst\r\n7\r\n second\r\n0\r\n\r\n"[with_head.len()..];
        worker.write_all(rest).await.unwrap();
        assert_eq!(text(&mut held).await, "first second");
    }
}

#[tokio::test]
async fn one_that_is_read_from_hyper_after_all_is_whole_too() {
    let first = [HEAD, b"5\r\nfirst\r\n"].concat();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = worker_client(&WorkerOptions::default()).unwrap();
    let request = Request::get(format!("http://{address}/"));
    let request = request.body(Body::empty()).unwrap();
    let asked = tokio::spawn(client.request_long(request));
    let (mut worker, _) = listener.accept().await.unwrap();
    worker.write_all(&first).await.unwrap();
    let response = asked.await.unwrap().unwrap();
    let reading = tokio::spawn(crate::wire::collect(response.into_body(), 100));
    worker
        .write_all(b"7\r\n second\r\n0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), "first second");
}

#[tokio::test]
async fn a_stream_whose_request_has_not_left_stays_with_hyper() {
    // More than the sockets hold, answered before it was read.
    let body = vec![b'x'; 32 << 20];
    let sent = body.len();
    let (mut held, mut worker) = answered(Body::full(body), HEAD).await;
    assert!(matches!(held, Held::Body(_)), "{held:?}");
    let reading = tokio::spawn(async move {
        let (mut came, mut last) = (0, Vec::new());
        while came < sent - 64 * 1024 {
            last.clear();
            came += worker.read_buf(&mut last).await.unwrap();
        }
        worker.write_all(b"4\r\nread\r\n0\r\n\r\n").await.unwrap();
    });
    assert_eq!(text(&mut held).await, "read");
    reading.await.unwrap();

    // One that comes piece by piece.
    let body = Body::from_stream(futures_util::stream::iter([Ok::<_, io::Error>(
        "{}".into(),
    )]));
    let (held, _worker) = answered(body, HEAD).await;
    assert!(matches!(held, Held::Body(_)), "{held:?}");
}
