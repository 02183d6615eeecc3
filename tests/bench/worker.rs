//! A worker that costs little. It answers anything with as many bytes as the header `x-answer` asks for; it speaks
//! enough of A2A 1.0 to open streams, to be polled, and to say when it said what.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The longest answer of bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// What a task says of itself at first.
const AT_WORK: &str = "at work";

/// A running worker.
pub struct Worker {
    pub address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    address: SocketAddr,
    streams: bool,
    /// Polls and reads of tasks.
    gets: AtomicUsize,
    made: AtomicUsize,
    listeners: Mutex<HashMap<String, Vec<mpsc::UnboundedSender<Bytes>>>>,
    /// What was last said of each task, for those who poll. Only of a worker that must be polled.
    said: Mutex<HashMap<String, String>>,
    zeros: Bytes,
    task: Bytes,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Worker {
    /// One that streams, or one that must be polled.
    pub async fn start(streams: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            address,
            streams,
            gets: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            listeners: Mutex::default(),
            said: Mutex::default(),
            zeros: Bytes::from(vec![b'0'; MAX_ANSWER]),
            task: Bytes::from(big_answer(MAX_ANSWER)),
        });
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let state = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(state.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            state,
            serving,
        }
    }

    /// How often tasks were read.
    pub fn gets(&self) -> usize {
        self.state.gets.load(Ordering::Relaxed)
    }

    /// Every task that somebody listens to or polls.
    pub fn tasks(&self) -> Vec<String> {
        let said = self.state.said();
        self.state
            .lock()
            .keys()
            .chain(said.keys())
            .cloned()
            .collect()
    }

    /// Says on a task's streams, or to whoever polls it next, that it works, with this number in the text.
    pub fn say(&self, task: &str, number: usize) {
        if let Some(said) = self.state.said().get_mut(task) {
            *said = format!("n={number}.");
            return;
        }
        let event = frame(&json!({ "statusUpdate": {
            "taskId": task,
            "contextId": "bench",
            "status": status("TASK_STATE_WORKING", &format!("n={number}.")),
        }}));
        let mut listeners = self.state.lock();
        if let Some(listeners) = listeners.get_mut(task) {
            listeners.retain(|listener| listener.send(event.clone()).is_ok());
        }
    }
}

impl State {
    fn lock(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<String, Vec<mpsc::UnboundedSender<Bytes>>>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, task: &str) -> mpsc::UnboundedReceiver<Bytes> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().entry(task.to_owned()).or_default().push(sender);
        receiver
    }

    fn card(&self) -> Value {
        json!({
            "name": "bench", "description": "a worker for benches", "version": "1",
            "supportedInterfaces": [{
                "url": format!("http://{}/", self.address),
                "protocolBinding": "JSONRPC",
                "protocolVersion": "1.0",
            }],
            "capabilities": { "streaming": self.streams, "pushNotifications": false },
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [],
        })
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let asked = request
        .headers()
        .get("x-answer")
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let path = request.uri().path();
    if path.starts_with("/.well-known/") {
        return Ok(whole(state.card().to_string(), "application/json"));
    }
    if let Some(length) = asked {
        let json = path == "/";
        let mut body = request.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        return Ok(if json && length > 1024 {
            whole(state.task.clone(), "application/json")
        } else if json {
            whole(big_answer(length), "application/json")
        } else {
            whole(
                state.zeros.slice(..length.min(MAX_ANSWER)),
                "application/octet-stream",
            )
        });
    }
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = &call["id"];
    let named = call["params"]["id"].as_str().unwrap_or("none").to_owned();
    let result = match call["method"].as_str() {
        Some("SendStreamingMessage") => {
            let task = format!("task-{}", state.made.fetch_add(1, Ordering::Relaxed));
            let listener = state.listen(&task);
            return Ok(streaming(&task, listener));
        }
        Some("SubscribeToTask") => {
            let listener = state.listen(&named);
            return Ok(streaming(&named, listener));
        }
        Some("SendMessage") => {
            let task = format!("task-{}", state.made.fetch_add(1, Ordering::Relaxed));
            if !state.streams {
                state.said().insert(task.clone(), AT_WORK.to_owned());
            }
            json!({ "task": task_of(&task, AT_WORK) })
        }
        Some("GetTask") => {
            state.gets.fetch_add(1, Ordering::Relaxed);
            let said = state.said();
            task_of(&named, said.get(&named).map_or(AT_WORK, String::as_str))
        }
        _ => Value::Null,
    };
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    Ok(whole(answer.to_string(), "application/json"))
}

fn whole(bytes: impl Into<Bytes>, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes.into()).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn streaming(task: &str, listener: mpsc::UnboundedReceiver<Bytes>) -> Response<Body> {
    let first = frame(&json!({ "task": task_of(task, AT_WORK) }));
    let rest = stream::unfold(listener, |mut listener| async {
        Some((listener.recv().await?, listener))
    });
    let frames = stream::once(async { first })
        .chain(rest)
        .map(|bytes| Ok(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn frame(result: &Value) -> Bytes {
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": result });
    Bytes::from(format!("data: {answer}\n\n"))
}

fn task_of(id: &str, text: &str) -> Value {
    json!({ "id": id, "contextId": "bench", "status": status("TASK_STATE_WORKING", text) })
}

fn status(state: &str, text: &str) -> Value {
    json!({
        "state": state,
        "timestamp": "2026-01-01T00:00:00Z",
        "message": {
            "messageId": format!("m-{text}"), "role": "ROLE_AGENT", "parts": [{ "text": text }],
        },
    })
}

/// An answer to GetTask of this many bytes.
fn big_answer(length: usize) -> String {
    let answer = |text: &str| {
        json!({ "jsonrpc": "2.0", "id": 1, "result": {
            "id": "unknown", "contextId": "bench",
            "status": status("TASK_STATE_WORKING", AT_WORK),
            "metadata": { "padding": text },
        }})
        .to_string()
    };
    let empty = answer("").len();
    answer(&"0".repeat(length.saturating_sub(empty)))
}
