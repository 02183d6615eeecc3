//! A worker as people write it with the library `python_a2a`: a path per method, JSON-RPC or bare bodies, states of its
//! own, and the library's own traps (a stream route that takes no bare task, a resubscribe that does harm).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::http::{Body, Cut, Server, request};
use super::{Changes, within};

/// What the agent's own code does with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers `waiting`, and finishes behind it.
    Poll,
    /// Holds the request until it is done.
    Blocking,
    /// Has a stream route of its own, which does the job; `tasks/send` does none.
    Stream,
    /// Sends a task to whom the task's metadata names, and shows `waiting` for ever; without such a name it does nothing.
    Callback,
}

struct Inner {
    tasks: BTreeMap<String, Value>,
    calls: Vec<(String, Value)>,
    jobs: usize,
    released: bool,
    harm: bool,
    callbacks: Vec<(String, u16)>,
}

struct Shared {
    kind: Kind,
    inner: Mutex<Inner>,
    changes: Changes,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running worker. Dropping it closes its port.
pub struct PythonWorker {
    pub url: String,
    shared: Arc<Shared>,
    _server: Server,
}

impl PythonWorker {
    pub async fn start(kind: Kind) -> Self {
        let shared = Arc::new(Shared {
            kind,
            inner: Mutex::new(Inner {
                tasks: BTreeMap::new(),
                calls: Vec::new(),
                jobs: 0,
                released: false,
                harm: false,
                callbacks: Vec::new(),
            }),
            changes: Changes::new(),
        });
        let handler = shared.clone();
        let server = Server::start(move |request| handle(handler.clone(), request));
        Self {
            url: format!("http://{}/", server.addr),
            shared,
            _server: server,
        }
    }

    /// Lets the jobs come to their end.
    pub fn release(&self) {
        let mut inner = self.shared.lock();
        inner.released = true;
        if self.shared.kind == Kind::Callback {
            drop(inner);
            self.shared.changes.note();
            return;
        }
        let ids: Vec<_> = inner.tasks.keys().cloned().collect();
        for id in ids {
            if inner.tasks[&id]["status"]["state"] == "waiting" {
                let done = completed(inner.tasks[&id].clone());
                inner.tasks.insert(id, done);
            }
        }
        drop(inner);
        self.shared.changes.note();
    }

    /// How many jobs were begun.
    pub fn jobs(&self) -> usize {
        self.shared.lock().jobs
    }

    /// Waits until this many jobs were begun.
    pub async fn wait_jobs(&self, count: usize) {
        within(
            "a job of the worker",
            || format!("{:?}", self.calls()),
            self.shared
                .changes
                .until(|| (self.jobs() >= count).then_some(())),
        )
        .await;
    }

    /// Path and body of every call.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.shared.lock().calls.clone()
    }

    /// What was answered to its callbacks: path and status.
    pub fn callbacks(&self) -> Vec<(String, u16)> {
        self.shared.lock().callbacks.clone()
    }

    /// Waits until this many callbacks were taken.
    pub async fn wait_callbacks(&self, count: usize) {
        within(
            "a callback that is taken",
            || format!("{:?}", self.callbacks()),
            self.shared.changes.until(|| {
                let callbacks = self.callbacks();
                let taken = callbacks.iter().filter(|(_, status)| *status == 200);
                (taken.count() >= count).then_some(())
            }),
        )
        .await;
    }

    /// Whether it was asked for what the library does wrong.
    pub fn was_harmed(&self) -> bool {
        self.shared.lock().harm
    }
}

fn completed(mut task: Value) -> Value {
    task["status"] = json!({ "state": "completed", "timestamp": "2026-11-20T08:43:28.044449" });
    task["artifacts"] = json!([{ "parts": [{ "type": "text", "text": "done" }] }]);
    task
}

fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::whole(value.to_string()))
        .unwrap()
}

async fn handle(shared: Arc<Shared>, request: Request<Bytes>) -> Result<Response<Body>, Cut> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET {
        let card = json!({
            "name": "worker", "description": "for tests", "version": "1.0.0", "url": "http://elsewhere.invalid",
            "protocolVersion": "0.3.0", "preferredTransport": "JSONRPC", "skills": [],
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "capabilities": {
                "google_a2a_compatible": true, "parts_array_format": true, "streaming": true,
                "pushNotifications": false, "stateTransitionHistory": false,
            },
        });
        return Ok(
            if path.ends_with("agent.json") || path.ends_with("agent-card.json") {
                answer(StatusCode::OK, &card)
            } else {
                Response::new(Body::whole(
                    "<!doctype html><title>a page for every path</title>",
                ))
            },
        );
    }
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
        return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({})));
    };
    shared.lock().calls.push((path.clone(), body.clone()));
    shared.changes.note();
    let enveloped = body.get("jsonrpc").is_some();
    let params = if enveloped {
        body["params"].clone()
    } else {
        body.clone()
    };
    let id = params["id"].as_str().unwrap_or("unnamed").to_owned();
    let wrap = |task: Value| {
        if enveloped {
            json!({ "id": body["id"], "jsonrpc": "2.0", "result": task })
        } else {
            task
        }
    };
    let unknown = || {
        let words = format!("Task not found: {id}");
        let error = if enveloped {
            json!({ "error": { "code": -32000, "message": words }, "id": body["id"], "jsonrpc": "2.0" })
        } else {
            json!({ "error": words })
        };
        answer(StatusCode::NOT_FOUND, &error)
    };
    Ok(match path.rsplit_once("/tasks/").map(|(_, name)| name) {
        Some("send") => answer(StatusCode::OK, &wrap(send(&shared, params).await)),
        Some("get") => match shared.lock().tasks.get(&id) {
            Some(task) => answer(StatusCode::OK, &wrap(task.clone())),
            None => unknown(),
        },
        Some("cancel") => {
            let mut inner = shared.lock();
            match inner.tasks.get_mut(&id) {
                Some(task) => {
                    task["status"] = json!({ "state": "canceled" });
                    answer(StatusCode::OK, &wrap(task.clone()))
                }
                None => unknown(),
            }
        }
        Some("stream") if enveloped => {
            // What the library does then marks the task as completed.
            shared.lock().harm = true;
            answer(StatusCode::OK, &wrap(completed(params)))
        }
        Some("stream") if shared.kind == Kind::Stream => stream(shared, params),
        Some("stream") => answer(
            StatusCode::BAD_REQUEST,
            &json!({ "error": "Expected JSON-RPC format for streaming requests" }),
        ),
        _ => answer(StatusCode::METHOD_NOT_ALLOWED, &json!({})),
    })
}

fn waiting(mut task: Value) -> Value {
    task["status"] = json!({ "state": "waiting", "timestamp": "2026-11-20T08:43:26.044345" });
    task
}

async fn send(shared: &Arc<Shared>, params: Value) -> Value {
    let id = params["id"].as_str().unwrap_or("unnamed").to_owned();
    let kind = shared.kind;
    if kind == Kind::Stream {
        // The library's default for an agent without a job of its own.
        let mut task = params;
        task["status"] = json!({ "state": "completed" });
        task["artifacts"] = json!([{ "parts": [{ "type": "text", "text": "" }] }]);
        return task;
    }
    let released = {
        let mut inner = shared.lock();
        inner.jobs += 1;
        inner.released
    };
    shared.changes.note();
    if kind == Kind::Callback {
        return send_and_call_back(shared, id, params, released).await;
    }
    if kind == Kind::Blocking {
        shared
            .changes
            .until(|| shared.lock().released.then_some(()))
            .await;
        let task = completed(params);
        shared.lock().tasks.insert(id, task.clone());
        return task;
    }
    let mut task = waiting(params);
    let shown = task.clone();
    if released {
        task = completed(task);
    }
    shared.lock().tasks.insert(id, task);
    shown
}

async fn send_and_call_back(
    shared: &Arc<Shared>,
    id: String,
    params: Value,
    released: bool,
) -> Value {
    let order = params["metadata"]["callback_task"].clone();
    if !order.is_object() {
        let mut task = completed(params);
        task["artifacts"] =
            json!([{ "parts": [{ "type": "text", "text": "processed without callback" }] }]);
        return task;
    }
    let task = waiting(params);
    shared.lock().tasks.insert(id, task.clone());
    if released {
        // Before the send is answered.
        call_back(shared, &order).await;
    } else {
        let shared = shared.clone();
        tokio::spawn(async move {
            let released = shared
                .changes
                .until(|| shared.lock().released.then_some(()));
            released.await;
            call_back(&shared, &order).await;
        });
    }
    task
}

/// As the library's client does it: looks for a card, then tries one path and, if that fails, another.
async fn call_back(shared: &Arc<Shared>, order: &Value) {
    let endpoint = order["endpoint"].as_str().unwrap();
    let base = endpoint.split("/a2a/").next().unwrap();
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    for (name, value) in order["headers"].as_object().into_iter().flatten() {
        headers.push((name.clone(), value.as_str().unwrap().to_owned()));
    }
    for path in ["/.well-known/agent.json", "/agent.json", "/a2a/agent.json"] {
        let card = request(Method::GET, &format!("{base}{path}"), &headers, "").await;
        if card.is_ok_and(|card| card.status == 200) {
            break;
        }
    }
    let mut task = order["data"].clone();
    task["id"] = json!(uuid::Uuid::new_v4().to_string());
    task["sessionId"] = json!(uuid::Uuid::new_v4().to_string());
    task["status"] = json!({ "state": "submitted", "timestamp": "2026-11-20T08:43:28.044449" });
    task["artifacts"] = json!([{ "parts": [{ "type": "text", "text": "done" }] }]);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/send", "params": task });
    for path in ["/tasks/send", "/a2a/tasks/send"] {
        let url = format!("{base}{path}");
        let posting = request(Method::POST, &url, &headers, body.to_string());
        let status = match posting.await {
            Ok(exchange) => {
                let answer = exchange.whole().await;
                // Anything but JSON counts as a failure.
                let json = serde_json::from_slice::<Value>(&answer.body);
                let result = json.is_ok_and(|json| json["result"]["id"] == task["id"]);
                if answer.status == 200 && !result {
                    0
                } else {
                    answer.status.as_u16()
                }
            }
            Err(_) => 0,
        };
        shared.lock().callbacks.push((path.to_owned(), status));
        shared.changes.note();
        if status == 200 {
            return;
        }
    }
}

fn stream(shared: Arc<Shared>, task: Value) -> Response<Body> {
    let (sender, body) = Body::channel();
    shared.lock().jobs += 1;
    shared.changes.note();
    tokio::spawn(async move {
        let frame = |task: &Value| Ok(Bytes::from(format!("data: {task}\n\n")));
        let mut submitted = task.clone();
        submitted["status"] =
            json!({ "state": "submitted", "timestamp": "2026-11-20T08:43:26.044345" });
        let mut progress = waiting(task.clone());
        progress["status"]["message"] = json!({ "progress": "1/2" });
        for task in [&submitted, &waiting(task.clone()), &progress] {
            if sender.send(frame(task)).await.is_err() {
                return;
            }
        }
        // The job lives in the connection: without it there is nothing to release.
        tokio::select! {
            () = sender.closed() => return,
            () = shared.changes.until(|| shared.lock().released.then_some(())) => {}
        }
        let _ = sender.send(frame(&completed(task))).await;
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap()
}
