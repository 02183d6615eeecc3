//! HTTP as the tests need it: a server that can vanish from its port and come back, answers that break off
//! mid-way, and one connection per request on the client's side, so that a test sees when the headers came
//! and a dropped answer is a disconnect. No pools, no redirects, no retries.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::within;

/// Chunks that may wait between a writer of a body and its connection: one, so that a writer notices at
/// once that nobody reads any more.
const BODY_CHUNKS: usize = 1;

/// Connections that the kernel may hold before they are accepted; the tests open a few hundred at most.
const BACKLOG: u32 = 1024;

/// The connection ends here, without a proper end of the answer.
#[derive(Clone, Copy, Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// The body of an answer: chunks from a channel, each on the wire before the next is taken.
pub struct Body {
    chunks: mpsc::Receiver<Result<Bytes, Cut>>,
    /// What is left of a body whose length was known from the start.
    whole: Option<Bytes>,
    /// hyper gathers what is ready into one write and forgets unsent bytes when the body fails: between two
    /// chunks the body is not ready for one poll, and hyper flushes.
    flush: bool,
}

impl Body {
    /// A body of known length.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let (_, chunks) = mpsc::channel(BODY_CHUNKS);
        Self {
            chunks,
            whole: Some(bytes.into()),
            flush: false,
        }
    }

    /// A chunked body that ends when the sender is dropped.
    pub fn channel() -> (mpsc::Sender<Result<Bytes, Cut>>, Self) {
        let (sender, chunks) = mpsc::channel(BODY_CHUNKS);
        let body = Self {
            chunks,
            whole: None,
            // The headers go out by themselves, so that they arrive even when nothing follows.
            flush: true,
        };
        (sender, body)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        if std::mem::take(&mut self.flush) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = std::task::ready!(self.chunks.poll_recv(cx));
        self.flush = true;
        Poll::Ready(next.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.chunks.is_closed() && self.chunks.is_empty()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.whole.as_ref().map_or_else(Default::default, |whole| {
            hyper::body::SizeHint::with_exact(whole.len() as u64)
        })
    }
}

/// What answers requests. `Err` drops the connection without an answer.
type Handler =
    Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Result<Response<Body>, Cut>> + Send + Sync>;

/// A port that stays ours while whoever listens on it comes and goes: bound but not listening, it turns
/// nobody away who also sets `SO_REUSEADDR`, and keeps the kernel from giving the port to others. Without it
/// a connection of any other test could take the port of a server that is down just then.
pub struct Port {
    pub addr: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    /// A free port of 127.0.0.1 that no other test had before: whoever still calls a server of a test that is over,
    /// such as a sidecar that ends after it, must not reach one of the next test.
    pub fn take() -> Self {
        static TAKEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
        // What was taken before is held until the end of the search, so that it is not offered twice.
        let mut offered = Vec::new();
        loop {
            let held = bind(SocketAddr::from(([127, 0, 0, 1], 0)));
            let addr = held.local_addr().unwrap();
            if TAKEN.lock().unwrap().insert(addr) {
                return Self { addr, _held: held };
            }
            offered.push(held);
        }
    }
}

/// A server on a port of its own. Dropping it closes every connection.
pub struct Server {
    pub addr: SocketAddr,
    _port: Port,
    handler: Handler,
    listening: Mutex<Option<Listening>>,
}

enum Listening {
    Up {
        stop: oneshot::Sender<()>,
        accepting: JoinHandle<()>,
    },
    /// Connections are refused.
    Down,
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Request<Bytes>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Response<Body>, Cut>> + Send + 'static,
    {
        let port = Port::take();
        let server = Self {
            addr: port.addr,
            _port: port,
            handler: Arc::new(move |request| Box::pin(handler(request))),
            listening: Mutex::new(Some(Listening::Down)),
        };
        server.up();
        server
    }

    /// Listens (again).
    pub fn up(&self) {
        let mut listening = self.listening.lock().unwrap();
        *listening = Some(match listening.take() {
            Some(Listening::Down) => {
                let listener = bind(self.addr).listen(BACKLOG).unwrap();
                let (stop, stopped) = oneshot::channel();
                let accepting = tokio::spawn(accept(listener, self.handler.clone(), stopped));
                Listening::Up { stop, accepting }
            }
            Some(up) => up,
            None => panic!("the server is just going down"),
        });
    }

    /// Closes every connection and refuses new ones, on the same port.
    pub async fn down(&self) {
        let before = self.listening.lock().unwrap().take();
        let down = match before {
            Some(Listening::Up { stop, accepting }) => {
                let _ = stop.send(());
                let _ = accepting.await;
                Listening::Down
            }
            Some(down) => down,
            None => panic!("the server is just going down"),
        };
        *self.listening.lock().unwrap() = Some(down);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut listening) = self.listening.lock()
            && let Some(Listening::Up { accepting, .. }) = listening.take()
        {
            accepting.abort();
        }
    }
}

fn bind(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // The port's old connections are still in TIME_WAIT when the server comes back.
    socket.set_reuseaddr(true).unwrap();
    socket
        .bind(addr)
        .unwrap_or_else(|error| panic!("cannot bind {addr}: {error}"));
    socket
}

async fn accept(listener: TcpListener, handler: Handler, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            // Finished connections are taken out, or the set would grow with every request.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // A chunk on its own must be a packet on its own.
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, handler.clone()));
            }
        }
    }
    // Closing alone does not end the listening while another test starts a process: until that has become its program
    // it holds every socket of this one.
    let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, handler: Handler) {
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = handler.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
            handler(Request::from_parts(parts, body)).await
        }
    });
    // An error here is a peer that went away or a cut on purpose; the test sees it at the other end.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request on its way: the headers of the answer are here, the body is still to come. Dropping it closes
/// the connection.
pub struct Exchange {
    pub sent_at: Instant,
    /// When the headers of the answer were here.
    pub headers_at: Instant,
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    _connection: Owned,
}

impl Exchange {
    /// The next bytes of the body; `Ok(None)` at its proper end, `Err` when it broke off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let frame = within(
                "the next bytes of an answer",
                || format!("{} {:?}", self.status, self.headers),
                self.body.frame(),
            )
            .await;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole answer, with the time of each of its pieces.
    pub async fn whole(mut self) -> Answer {
        let mut bytes = Vec::new();
        let mut pieces = Vec::new();
        let cut = loop {
            match self.chunk().await {
                Ok(Some(piece)) => {
                    bytes.extend_from_slice(&piece);
                    pieces.push((Instant::now(), piece));
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        Answer {
            sent_at: self.sent_at,
            headers_at: self.headers_at,
            done_at: Instant::now(),
            status: self.status,
            headers: std::mem::take(&mut self.headers),
            body: bytes.into(),
            pieces,
            cut,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub sent_at: Instant,
    pub headers_at: Instant,
    pub done_at: Instant,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body as it came in.
    pub pieces: Vec<(Instant, Bytes)>,
    /// Why the body ended before its end, if it did.
    pub cut: Option<String>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request on a connection of its own and waits for the headers of the answer. `Err` says why
/// there was no answer.
pub async fn request(
    method: Method,
    url: &str,
    headers: &[(String, String)],
    body: impl Into<Bytes>,
) -> Result<Exchange, String> {
    let url = url::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
    let host = url.host_str().ok_or("a URL without a host")?;
    let port = url.port_or_known_default().ok_or("a URL without a port")?;
    let sent_at = Instant::now();
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| format!("connecting to {host}:{port}: {error}"))?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = Owned(tokio::spawn(async move {
        // Its error comes out of the exchange as well.
        let _ = connection.await;
    }));
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target = format!("{target}?{query}");
    }
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", format!("{host}:{port}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(body.into()))
        .map_err(|error| error.to_string())?;
    let response = within(
        "the headers of an answer",
        || url.to_string(),
        sender.send_request(request),
    )
    .await
    .map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    Ok(Exchange {
        sent_at,
        headers_at: Instant::now(),
        status: parts.status,
        headers: parts.headers,
        body,
        _connection: connection,
    })
}

/// Writes `bytes` as they are and reads until the peer closes: for what no HTTP library would send. The
/// bytes must ask for `connection: close`, or the peer will not.
pub async fn raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = within(
        "the end of a raw answer",
        String::new,
        stream.read_to_end(&mut answer),
    )
    .await;
    // A reset after the answer is an end as well.
    drop(read);
    answer
}
