//! The pool against workers that are written out byte by byte, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::net::client::{WorkerClient, WorkerOptions, worker_client};
use crate::wire::collect;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A worker that hands over each connection.
struct Worker {
    address: std::net::SocketAddr,
    connections: mpsc::Receiver<TcpStream>,
    count: Arc<AtomicUsize>,
}

impl Pool {
    fn is_empty(&self) -> bool {
        let idle = self.inner.lock();
        idle.places.iter().all(|(_, unused)| unused.is_empty())
    }

    /// Whether the end of the one connection that is kept has come.
    fn is_over(&self) -> bool {
        let mut idle = self.inner.lock();
        !idle.places[0].1[0].line.rest()
    }
}

impl Worker {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, connections) = mpsc::channel(16);
        let count = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counting.fetch_add(1, Ordering::SeqCst);
                let _ = accepted.send(stream).await;
            }
        });
        Self {
            address,
            connections,
            count,
        }
    }

    async fn connection(&mut self) -> TcpStream {
        self.connections.recv().await.unwrap()
    }

    fn connected(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn get(&self) -> Request<Body> {
        Request::get(format!("http://{}/path?query", self.address))
            .body(Body::empty())
            .unwrap()
    }
}

fn client() -> WorkerClient {
    worker_client(&WorkerOptions::default()).unwrap()
}

/// A request's head, read to its end.
async fn head(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.expect("a whole head");
        seen.push(byte);
    }
    String::from_utf8(seen).unwrap()
}

async fn ok(response: Result<Response<Answer>, TransportError>) {
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(collect(response.into_body(), 10).await.unwrap(), "ok");
}

/// An exchange on a new connection, which is kept then: the worker's side of it.
async fn exchanged(worker: &mut Worker, client: &WorkerClient) -> TcpStream {
    let asked = tokio::spawn(client.request(worker.get()));
    let mut stream = worker.connection().await;
    head(&mut stream).await;
    stream.write_all(OK).await.unwrap();
    ok(asked.await.unwrap()).await;
    stream
}

#[tokio::test]
async fn an_answer_that_was_read_to_its_end_leaves_its_connection_for_the_next() {
    let mut worker = Worker::start().await;
    let client = client();
    let answers: [&[u8]; 4] = [
        OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\na: b\r\n\r\n",
        OK,
    ];
    let asked = tokio::spawn(ok_each(client, worker.get(), answers.len()));
    let mut stream = worker.connection().await;
    for answer in answers {
        let head = head(&mut stream).await;
        assert!(head.starts_with("GET /path?query HTTP/1.1\r\n"), "{head}");
        let host = format!("host: {}\r\n", worker.address);
        assert!(head.contains(&host), "{head}");
        stream.write_all(answer).await.unwrap();
    }
    asked.await.unwrap();
    assert_eq!(worker.connected(), 1);
}

/// Makes one exchange and then waits for ever, counting its turns.
fn turning(
    client: &WorkerClient,
    request: Request<Body>,
) -> (Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let turns = Arc::new(AtomicUsize::new(0));
    let (count, answer) = (Arc::clone(&turns), client.request(request));
    let mut exchange = Box::pin(async move {
        ok(answer.await).await;
        std::future::pending().await
    });
    let task = tokio::spawn(poll_fn(move |cx| {
        count.fetch_add(1, Ordering::SeqCst);
        exchange.as_mut().poll(cx)
    }));
    (turns, task)
}

/// As often as it takes for whatever has been woken to have its turn.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_exchange_takes_a_turn_to_ask_and_one_for_the_answer_and_wakes_nobody_else() {
    let mut worker = Worker::start().await;
    let client = client();
    let mut stream = exchanged(&mut worker, &client).await;
    let (first, _first) = turning(&client, worker.get());
    head(&mut stream).await;
    stream.write_all(OK).await.unwrap();
    while client.plain.as_ref().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!(first.load(Ordering::SeqCst), 2);
    // On the same connection.
    let (second, _second) = turning(&client, worker.get());
    head(&mut stream).await;
    settle().await;
    assert_eq!(first.load(Ordering::SeqCst), 2, "it is done with it");
    assert_eq!(second.load(Ordering::SeqCst), 1);
    assert_eq!(worker.connected(), 1);
}

async fn ok_each(client: WorkerClient, request: Request<Body>, times: usize) {
    for _ in 0..times {
        let mut again = Request::get(request.uri()).body(Body::empty()).unwrap();
        *again.headers_mut() = request.headers().clone();
        ok(client.request(again).await).await;
    }
}

#[tokio::test]
async fn answers_without_a_body_leave_theirs_too() {
    let mut worker = Worker::start().await;
    let client = client();
    let mut stream = None;
    for (method, answer) in [
        ("HEAD", &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"[..]),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let mut request = worker.get();
        *request.method_mut() = method.parse().unwrap();
        let asked = tokio::spawn(client.request(request));
        let stream = match &mut stream {
            Some(stream) => stream,
            none => none.insert(worker.connection().await),
        };
        head(stream).await;
        stream.write_all(answer).await.unwrap();
        drop(asked.await.unwrap().unwrap());
    }
    assert_eq!(worker.connected(), 1);
}

#[tokio::test]
async fn an_answer_that_is_dropped_before_its_end_closes_its_connection() {
    let mut worker = Worker::start().await;
    let client = client();
    let asked = tokio::spawn(client.request(worker.get()));
    let mut first = worker.connection().await;
    head(&mut first).await;
    first
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nstart")
        .await
        .unwrap();
    drop(asked.await.unwrap().unwrap());
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0, "the end");
    exchanged(&mut worker, &client).await;
}

#[tokio::test]
async fn a_request_that_is_given_up_before_its_answer_closes_its_connection() {
    let mut worker = Worker::start().await;
    let asked = tokio::spawn(client().request(worker.get()));
    let mut stream = worker.connection().await;
    head(&mut stream).await;
    asked.abort();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the end");
}

#[tokio::test]
async fn a_kept_connection_that_the_worker_has_closed_costs_no_request() {
    let mut worker = Worker::start().await;
    let client = client();
    let mut answered = 0;
    for _ in 0..10 {
        drop(exchanged(&mut worker, &client).await);
        answered += 1;
        // Until word of it has come; what is on its way then may be lost with any client.
        let pool = client.plain.as_ref().unwrap();
        while !pool.is_over() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(worker.connected(), answered);
}

#[tokio::test]
async fn a_request_that_meets_the_end_of_a_kept_connection_goes_to_a_new_one() {
    let mut worker = Worker::start().await;
    let client = client();
    let stream = exchanged(&mut worker, &client).await;
    let mut later = TcpStream::connect(worker.address).await.unwrap();
    let later_too = worker.connection().await;
    drop(stream);
    drop(later_too);
    // When the runtime has heard of the later end, it has heard of the earlier one; nobody has looked at the connection.
    assert_eq!(later.read(&mut [0]).await.unwrap(), 0, "the end");
    exchanged(&mut worker, &client).await;
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let mut worker = Worker::start().await;
    let client = client();
    let mut stream = exchanged(&mut worker, &client).await;
    let asked = tokio::spawn(client.request(worker.get()));
    head(&mut stream).await;
    drop(stream);
    let error = asked.await.unwrap().unwrap_err();
    assert!(!error.is_connect(), "{error:?}");
    assert_eq!(worker.connected(), 1);
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let request = Request::get(format!("http://{address}/"));
    let request = request.body(Body::empty()).unwrap();
    let error = client().request(request).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn connections_that_nobody_comes_back_for_are_closed() {
    let mut worker = Worker::start().await;
    let client = client();
    let mut stream = exchanged(&mut worker, &client).await;
    tokio::time::pause();
    let since = Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the end");
    let limit = WorkerOptions::default().pool_idle_timeout;
    assert!(since.elapsed() >= limit, "{:?}", since.elapsed());
}

#[tokio::test]
async fn no_more_are_kept_than_the_bound() {
    let mut worker = Worker::start().await;
    let client = worker_client(&WorkerOptions {
        pool_max_idle: 2,
        ..WorkerOptions::default()
    })
    .unwrap();
    let asked: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client.request(worker.get())))
        .collect();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = worker.connection().await;
        head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        streams.push(stream);
    }
    for asked in asked {
        ok(asked.await.unwrap()).await;
    }
    let mut open: FuturesUnordered<_> = streams
        .iter_mut()
        .map(|stream| Box::pin(stream.read_u8()))
        .collect();
    let end = open.next().await.unwrap();
    assert!(end.is_err(), "one connection too many is closed");
    let pool = client.plain.as_ref().unwrap();
    let kept: usize = pool
        .inner
        .lock()
        .places
        .iter()
        .map(|(_, all)| all.len())
        .sum();
    assert_eq!((kept, open.len()), (2, 2));
}

#[tokio::test]
async fn a_body_goes_up_while_the_answer_comes_down() {
    let mut worker = Worker::start().await;
    let (up, chunks) = mpsc::channel::<Bytes>(1);
    let chunks = stream::unfold(chunks, |mut chunks| async {
        Some((Ok::<_, std::io::Error>(chunks.recv().await?), chunks))
    });
    let request = Request::post(format!("http://{}/", worker.address))
        .body(Body::from_stream(chunks))
        .unwrap();
    let asked = tokio::spawn(client().request(request));
    let mut stream = worker.connection().await;
    head(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let answer = asked.await.unwrap().unwrap().into_body();
    let reading = tokio::spawn(collect(answer, 100));
    for chunk in ["one", "two"] {
        up.send(chunk.into()).await.unwrap();
        let mut seen = vec![0; format!("3\r\n{chunk}\r\n").len()];
        stream.read_exact(&mut seen).await.unwrap();
        assert!(String::from_utf8_lossy(&seen).contains(chunk));
        stream.write_all(&seen).await.unwrap();
    }
    drop(up);
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), "onetwo");
}

#[test]
fn the_host_is_named_as_clients_name_it() {
    for (address, host) in [
        ("http://agent.test/", "agent.test"),
        ("http://agent.test:80/", "agent.test"),
        ("http://agent.test:8080/", "agent.test:8080"),
        ("http://user:secret@agent.test:8080/", "agent.test:8080"),
        ("http://[::1]:9000/", "[::1]:9000"),
        ("http://[::1]/", "[::1]"),
    ] {
        let uri: Uri = address.parse().unwrap();
        let place = uri.authority().unwrap();
        assert_eq!(authority_without_default_port(&uri, place), host);
    }
}
