//! Tests of the accept loop, over real sockets. Where time matters it is paused, so it moves only
//! when nothing else can.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::net::client::{WorkerClient, WorkerOptions, worker_client};
use crate::net::pool::Answer;
use crate::net::tls::tests::Identity;
use crate::wire::{Body, collect};

const DRAIN: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<Served>,
    connections: Arc<AtomicUsize>,
}

/// A server whose answers come from `answer`.
async fn start<F>(options: ListenOptions, tls: Option<ServerTls>, answer: F) -> Server
where
    F: Fn() -> Body + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let make = move |peer: Peer| {
        assert_eq!(peer.local, Some(address));
        count.fetch_add(1, Ordering::SeqCst);
        let answer = answer.clone();
        tower::service_fn(move |_: Request<Incoming>| {
            let body = answer();
            async move { Ok::<_, Infallible>(Response::new(body)) }
        })
    };
    let ended = tokio::spawn(serve(listener, tls, options, make, stop.clone(), DRAIN));
    Server {
        address,
        stop,
        ended,
        connections,
    }
}

async fn hello() -> Server {
    start(ListenOptions::default(), None, || Body::full("hello")).await
}

fn client(http2_only: bool) -> WorkerClient {
    worker_client(&WorkerOptions {
        http2_only,
        ..WorkerOptions::default()
    })
    .unwrap()
}

async fn get(client: &WorkerClient, address: SocketAddr) -> Response<Answer> {
    let request = Request::get(format!("http://{address}/"));
    let request = request.body(Body::empty()).unwrap();
    client.request(request).await.unwrap()
}

/// Reads until the answer to a request is complete: "hello" ends it.
async fn read_hello(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"hello") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "closed early");
    }
}

/// An answer that is fed by hand.
fn fed() -> (
    mpsc::Sender<Bytes>,
    impl Fn() -> Body + Clone + Send + Sync + 'static,
) {
    let (tx, rx) = mpsc::channel::<Bytes>(1);
    let rx = Arc::new(std::sync::Mutex::new(Some(rx)));
    let answer = move || {
        let rx = rx.lock().unwrap().take().expect("asked once");
        let chunks = stream::unfold(rx, |mut rx| async { Some((rx.recv().await?, rx)) });
        Body::from_stream(chunks.map(Ok::<_, Infallible>))
    };
    (tx, answer)
}

#[tokio::test]
async fn both_versions_are_spoken_and_connections_reused() {
    let server = hello().await;
    for (http2, version) in [
        (false, http::Version::HTTP_11),
        (true, http::Version::HTTP_2),
    ] {
        let before = server.connections.load(Ordering::SeqCst);
        let client = client(http2);
        for _ in 0..3 {
            let response = get(&client, server.address).await;
            assert_eq!(response.version(), version);
            assert_eq!(
                response.into_body().collect().await.unwrap().to_bytes(),
                "hello"
            );
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), before + 1);
    }
    server.stop.cancel();
    assert_eq!(server.ended.await.unwrap(), Served { aborted: 0 });
}

#[tokio::test]
async fn shutdown_lets_a_running_answer_finish_and_takes_nothing_new() {
    for http2 in [false, true] {
        let (tx, answer) = fed();
        let server = start(ListenOptions::default(), None, answer).await;
        let client = client(http2);
        let mut body = get(&client, server.address).await.into_body();
        tx.send(Bytes::from_static(b"one")).await.unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "one"
        );

        server.stop.cancel();
        // The socket is closed once the loop has taken notice; only then is a connection refused.
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        tx.send(Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "two"
        );
        drop(tx);
        // Ended, not broken off; HTTP/2 may still bring the empty frame that carries the end.
        assert_eq!(body.collect().await.unwrap().to_bytes(), "");
        assert_eq!(server.ended.await.unwrap(), Served { aborted: 0 });
    }
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_or_silent_connections() {
    let server = hello().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(REQUEST).await.unwrap();
    read_hello(&mut idle).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // One that has been answered behind it shows that the silent one has been accepted.
    get(&client(false), server.address).await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);

    server.stop.cancel();
    let started = Instant::now();
    assert_eq!(server.ended.await.unwrap(), Served { aborted: 0 });
    assert!(started.elapsed() < DRAIN);
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap(), 0);
    assert_eq!(silent.read_to_end(&mut rest).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn what_outlasts_the_drain_is_cut_and_counted() {
    for http2 in [false, true] {
        let (tx, answer) = fed();
        let server = start(ListenOptions::default(), None, answer).await;
        let client = client(http2);
        let mut body = get(&client, server.address).await.into_body();
        tx.send(Bytes::from_static(b"one")).await.unwrap();
        body.frame().await.unwrap().unwrap();

        tokio::time::pause();
        let started = Instant::now();
        server.stop.cancel();
        assert_eq!(server.ended.await.unwrap(), Served { aborted: 1 });
        assert_eq!(started.elapsed().as_secs(), DRAIN.as_secs());
        tokio::time::resume();
        let cut = timeout(DRAIN, body.frame())
            .await
            .expect("never cut")
            .unwrap();
        assert!(cut.is_err(), "the client sees that it was cut");
        // The answer's body, with all it holds, is gone too.
        timeout(DRAIN, tx.closed())
            .await
            .expect("the answer's body is still held");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_say_what_it_wants_is_sent_away() {
    for opening in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nhost: a\r\n",
    ] {
        let server = hello().await;
        let started = Instant::now();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let mut rest = Vec::new();
        let closed = timeout(DRAIN * 10, stream.read_to_end(&mut rest)).await;
        closed.expect("never sent away").unwrap();
        let limit = ListenOptions::default().header_read_timeout;
        assert_eq!(started.elapsed().as_secs(), limit.as_secs(), "{opening:?}");
        server.stop.cancel();
        assert_eq!(server.ended.await.unwrap(), Served { aborted: 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_used_no_more_is_closed() {
    let limit = ListenOptions::default().header_read_timeout;
    for next in [&b""[..], b"GET / HTTP/1.1\r\nhost: a\r\n"] {
        let server = hello().await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // Each request begins the time anew, and the timer of the one before it goes off while the next is waited for.
        for _ in 0..3 {
            stream.write_all(REQUEST).await.unwrap();
            read_hello(&mut stream).await;
            tokio::time::advance(limit * 2 / 3).await;
        }
        stream.write_all(REQUEST).await.unwrap();
        read_hello(&mut stream).await;
        let answered = Instant::now();
        stream.write_all(next).await.unwrap();
        let closed = timeout(DRAIN * 10, stream.read(&mut [0])).await;
        assert_eq!(closed.expect("never closed").unwrap(), 0);
        assert_eq!(answered.elapsed().as_secs(), limit.as_secs(), "{next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_longer_than_a_head() {
    let limit = ListenOptions::default().header_read_timeout;
    let (feed, answer) = fed();
    let server = start(ListenOptions::default(), None, answer).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    for _ in 0..3 {
        // Long silence, and the timer goes off in it.
        tokio::time::sleep(limit * 2).await;
        feed.send(Bytes::from_static(b"hello\r\n")).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"hello\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "cut");
        }
    }
    drop(feed);
    let mut end = [0; 5];
    stream.read_exact(&mut end).await.unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
    let ended = Instant::now();
    let closed = timeout(DRAIN * 10, stream.read(&mut [0])).await;
    assert_eq!(closed.expect("never closed").unwrap(), 0);
    assert_eq!(ended.elapsed().as_secs(), limit.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_shake_hands_is_sent_away() {
    let folder = TempDir::new().unwrap();
    let (certificate, key) = Identity::new().write(&folder);
    let tls = ServerTls::load(certificate, key).unwrap();
    let server = start(ListenOptions::default(), Some(tls), || Body::full("hello")).await;
    let started = Instant::now();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let closed = timeout(DRAIN * 10, stream.read(&mut [0])).await;
    assert_eq!(closed.expect("never sent away").unwrap(), 0);
    let limit = ListenOptions::default().tls_handshake_timeout;
    assert_eq!(started.elapsed().as_secs(), limit.as_secs());

    // Nor does a shutdown wait for one.
    let _silent = TcpStream::connect(server.address).await.unwrap();
    while server.connections.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    server.stop.cancel();
    assert_eq!(server.ended.await.unwrap(), Served { aborted: 0 });
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_body_that_has_come_with_its_head_takes_no_second_turn() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (turns, read) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, told) = (Arc::clone(&turns), Arc::clone(&read));
    let make = move |_| {
        let (count, told) = (Arc::clone(&count), Arc::clone(&told));
        tower::service_fn(move |request: Request<Incoming>| {
            let (count, told) = (Arc::clone(&count), Arc::clone(&told));
            let mut answer = Box::pin(async move {
                let bytes = collect(Body::from(request.into_body()), 10).await.unwrap();
                assert_eq!(bytes, "whole");
                told.add_permits(1);
                std::future::pending::<Result<Response<Body>, Infallible>>().await
            });
            poll_fn(move |cx| {
                count.fetch_add(1, Ordering::SeqCst);
                answer.as_mut().poll(cx)
            })
        })
    };
    let stop = CancellationToken::new();
    let options = ListenOptions::default();
    let _ended = tokio::spawn(serve(listener, None, options, make, stop, DRAIN));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nwhole";
    stream.write_all(request).await.unwrap();
    let _read = read.acquire().await.unwrap();
    // As often as it takes for whatever has been woken to have its turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(turns.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_in_several_parts_is_read_on_without_more_coming() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let make = |_| {
        tower::service_fn(|request: Request<Incoming>| async {
            let bytes = collect(Body::from(request.into_body()), 10).await.unwrap();
            Ok::<_, Infallible>(Response::new(Body::full(bytes)))
        })
    };
    let stop = CancellationToken::new();
    let options = ListenOptions::default();
    let _ended = tokio::spawn(serve(listener, None, options, make, stop, DRAIN));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
        2\r\nhe\r\n2\r\nll\r\n1\r\no\r\n0\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let answered = timeout(DRAIN, read_hello(&mut stream)).await;
    answered.expect("it waits for something that has come");
}

#[tokio::test]
async fn connections_over_the_limit_wait_until_one_ends() {
    let options = ListenOptions {
        max_connections: 1,
        ..ListenOptions::default()
    };
    let server = start(options, None, || Body::full("hello")).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    read_hello(&mut first).await;

    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    tokio::time::pause();
    let early = timeout(Duration::from_secs(5), read_hello(&mut second)).await;
    assert!(early.is_err(), "served beyond the limit");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    tokio::time::resume();

    drop(first);
    read_hello(&mut second).await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_head_over_the_bound_is_refused() {
    let options = ListenOptions {
        http1_max_buf_bytes: 0,
        http1_max_headers: 3,
        ..ListenOptions::default()
    };
    let server = start(options, None, || Body::full("hello")).await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(9000)
    );
    let many = "GET / HTTP/1.1\r\nhost: a\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n".to_owned();
    for head in [long, many] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 431");
    }
}

#[tokio::test]
async fn a_client_that_goes_ends_its_answer() {
    let (gone_tx, gone) = oneshot::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(Some(gone_tx)));
    let answer = move || {
        let held = held.lock().unwrap().take().expect("asked once");
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"hello"))]);
        Body::from_stream(first.chain(stream::pending())).with_guard(held)
    };
    let server = start(ListenOptions::default(), None, answer).await;
    let client = client(false);
    let mut body = get(&client, server.address).await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert!(gone.await.is_err());
}

#[test]
fn only_failures_of_the_system_slow_the_loop_down() {
    assert!(of_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    // Too many open files.
    assert!(!of_one_connection(&io::Error::from_raw_os_error(24)));
}
