//! Framing, at every cut.

use std::future::poll_fn;

use http::HeaderMap;
use tokio_test::io::Builder;

use super::*;

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
        (&[("content-length", "+12")], None),
        (&[("content-length", "12"), ("content-length", "13")], None),
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
