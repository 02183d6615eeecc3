//! Exchanges on connections of their own, with workers that are written out byte by byte, over real sockets.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::net::client::{WorkerOptions, worker_client};
use crate::wire::{Body, collect};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n";

/// A worker that takes one connection.
struct Worker(TcpListener);

impl Worker {
    async fn start() -> Self {
        Self(TcpListener::bind(("127.0.0.1", 0)).await.unwrap())
    }

    fn post(&self, body: impl Into<Body>) -> Request<Body> {
        let address = self.0.local_addr().unwrap();
        Request::post(format!("http://user:secret@{address}/path?query"))
            .header("accept", "text/event-stream")
            .body(body.into())
            .unwrap()
    }

    async fn connection(&self) -> TcpStream {
        self.0.accept().await.unwrap().0
    }
}

/// What has come, once it ends like this.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(end.as_bytes()) {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "the end");
    }
    String::from_utf8(seen).unwrap()
}

fn asked(
    request: Request<Body>,
) -> tokio::task::JoinHandle<Result<Response<Held>, TransportError>> {
    let client = worker_client(&WorkerOptions::default()).unwrap();
    tokio::spawn(client.request_long(request))
}

#[tokio::test]
async fn a_request_is_written_as_servers_read_it() {
    let worker = Worker::start().await;
    let mut request = worker.post("{\"a\": 1}");
    // What is wrong about the body's length does not leave.
    request
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("4711"));
    let asked = asked(request);
    let mut stream = worker.connection().await;
    let address = worker.0.local_addr().unwrap();
    let seen = read_until(&mut stream, "}").await;
    let expected = format!(
        "POST /path?query HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\ncontent-length: 8\r\n\r\n\
         {{\"a\": 1}}"
    );
    assert_eq!(seen, expected);
    stream.write_all(HEAD).await.unwrap();
    let response = asked.await.unwrap().unwrap();
    let values: Vec<_> = response.headers().get_all("x-a").iter().collect();
    assert_eq!(values, ["1", "2"]);
    assert!(matches!(response.body(), Held::Own(_)));
}

#[tokio::test]
async fn what_comes_with_the_head_and_what_comes_later_is_one_body() {
    let body = b"5\r\nfirst\r\n7\r\n second\r\n0\r\n\r\n";
    let whole = [HEAD, body].concat();
    for cut in [1, HEAD.len() - 1, HEAD.len(), HEAD.len() + 4, whole.len()] {
        let worker = Worker::start().await;
        let asked = asked(worker.post("{}"));
        let mut stream = worker.connection().await;
        read_until(&mut stream, "{}").await;
        stream.write_all(&whole[..cut]).await.unwrap();
        let reading =
            tokio::spawn(async { collect(asked.await.unwrap().unwrap().into_body(), 99).await });
        stream.write_all(&whole[cut..]).await.unwrap();
        assert_eq!(
            reading.await.unwrap().unwrap(),
            "first second",
            "cut at {cut}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_a_body_has_none() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let worker = Worker::start().await;
        let asked = asked(worker.post("{}"));
        let mut stream = worker.connection().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        // The connection stays open.
        let mut body = asked.await.unwrap().unwrap().into_body();
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_stream_that_is_let_go_closes_its_connection() {
    let worker = Worker::start().await;
    let asked = asked(worker.post("{}"));
    let mut stream = worker.connection().await;
    read_until(&mut stream, "{}").await;
    stream.write_all(HEAD).await.unwrap();
    drop(asked.await.unwrap().unwrap());
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the end");
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_head_has_failed_and_may_have_arrived() {
    for answer in ["", "HTTP/1.1 200 OK\r\n", "nonsense\r\n\r\n"] {
        let worker = Worker::start().await;
        let asked = asked(worker.post("{}"));
        let mut stream = worker.connection().await;
        read_until(&mut stream, "{}").await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        drop(stream);
        let error = asked.await.unwrap().unwrap_err();
        assert!(!error.is_connect(), "{error:?}");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let worker = Worker::start().await;
    let request = worker.post("{}");
    drop(worker);
    let error = asked(request).await.unwrap().unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn a_large_request_is_sent_while_its_answer_comes() {
    let worker = Worker::start().await;
    // More than the sockets hold, answered before it was read.
    let size = 32 << 20;
    let asked = asked(worker.post(vec![b'x'; size]));
    let mut stream = worker.connection().await;
    stream.write_all(HEAD).await.unwrap();
    let response = asked.await.unwrap().unwrap();
    assert!(matches!(response.body(), Held::Body(_)));
    let reading = tokio::spawn(collect(response.into_body(), 99));
    let mut came = 0;
    let mut buffer = vec![0; 1 << 20];
    while came < size {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the end after {came} bytes");
        came += read;
    }
    stream.write_all(b"4\r\nread\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), "read");
}

#[tokio::test]
async fn the_largest_that_is_sent_here_needs_no_reader() {
    let worker = Worker::start().await;
    let asked = asked(worker.post(vec![b'x'; MAX_BODY_BYTES]));
    let mut stream = worker.connection().await;
    stream.write_all(HEAD).await.unwrap();
    let response = tokio::time::timeout(Duration::from_secs(10), asked);
    let response = response
        .await
        .expect("an answer although nobody reads")
        .unwrap();
    assert!(matches!(response.unwrap().body(), Held::Own(_)));
}

#[test]
fn a_head_is_read_however_it_is_cut_and_interim_answers_are_passed_over() {
    for (head, status) in [
        ("HTTP/1.1 200 OK\r\na: b\r\n\r\n", 200),
        ("HTTP/1.0 404\r\n\r\n", 404),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 201 Created\r\n\r\n",
            201,
        ),
    ] {
        for cut in 0..head.len() {
            assert!(
                parse(&head.as_bytes()[..cut]).unwrap().is_none(),
                "{head:?} at {cut}"
            );
        }
        let whole = format!("{head}body");
        let (response, length) = parse(whole.as_bytes()).unwrap().unwrap();
        assert_eq!((response.status().as_u16(), length), (status, head.len()));
    }
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "a: b\r\n".repeat(MAX_HEADERS + 1)
    );
    for wrong in [
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b\r\n\r\n",
        "HTTP/1.1 042 Odd\r\n\r\n",
        many.as_str(),
    ] {
        assert!(parse(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
}
