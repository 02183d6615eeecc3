//! Workers as PraisonAI, fasta2a and the Ruby agent serve them, as far as a proxy meets them: their paths, cards, names,
//! shapes and habits, after transcripts of the real ones. Every job ends when the test lets it.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::http::{Body, Cut, Server};
use super::{Changes, within};

/// Whose worker it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PraisonAi,
    /// 2.1; its stream carries no artifact, as that of a worker which only writes its storage.
    FastA2a,
    /// 1.x and 2.0: the card of 2.1, and none of the names of 1.0.
    FastA2aV1,
    /// 0.6, under pydantic-ai's `to_a2a`.
    FastA2aV0,
    /// Its cancel does not stick.
    Ruby,
}

impl Kind {
    pub const ALL: [Kind; 5] = [
        Kind::PraisonAi,
        Kind::FastA2a,
        Kind::FastA2aV1,
        Kind::FastA2aV0,
        Kind::Ruby,
    ];

    fn path(self) -> &'static str {
        match self {
            Kind::PraisonAi | Kind::Ruby => "/a2a",
            Kind::FastA2a | Kind::FastA2aV1 | Kind::FastA2aV0 => "/",
        }
    }

    /// fasta2a's queue has no room: an operation is taken when the job before it is done.
    fn queues(self) -> bool {
        matches!(self, Kind::FastA2a | Kind::FastA2aV1 | Kind::FastA2aV0)
    }
}

/// What the job of every task gives.
pub const RESULT: &str = "the result";

/// A running worker.
pub struct System {
    /// Its base address.
    pub url: String,
    shared: Arc<Shared>,
    _server: Server,
}

struct Shared {
    kind: Kind,
    inner: Mutex<Inner>,
    changes: Changes,
    /// How many jobs may end.
    allowed: watch::Sender<usize>,
    /// Held by the job under way, where there is a queue.
    queue: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Inner {
    base: String,
    tasks: Vec<Task>,
    calls: Vec<(String, Value)>,
}

#[derive(Clone)]
struct Task {
    id: String,
    context: Option<String>,
    message: Value,
    state: &'static str,
    over: bool,
}

impl System {
    pub fn start(kind: Kind) -> Self {
        let shared = Arc::new(Shared {
            kind,
            inner: Mutex::default(),
            changes: Changes::new(),
            allowed: watch::Sender::new(0),
            queue: Arc::default(),
        });
        let handler = Arc::clone(&shared);
        let server = Server::start(move |request| {
            let shared = Arc::clone(&handler);
            async move { shared.answer(request).await }
        });
        let url = format!("http://{}", server.addr);
        shared.lock().base = url.clone();
        Self {
            url,
            shared,
            _server: server,
        }
    }

    /// Lets one more job end.
    pub fn release(&self) {
        self.shared.allowed.send_modify(|allowed| *allowed += 1);
    }

    /// Every method that was called, in order.
    pub fn methods(&self) -> Vec<String> {
        let inner = self.shared.lock();
        inner
            .calls
            .iter()
            .map(|(method, _)| method.clone())
            .collect()
    }

    /// The parameters of every call of a method.
    pub fn params_of(&self, method: &str) -> Vec<Value> {
        let inner = self.shared.lock();
        let calls = inner.calls.iter().filter(|(name, _)| name == method);
        calls.map(|(_, params)| params.clone()).collect()
    }

    /// How many tasks were made.
    pub fn tasks(&self) -> usize {
        self.shared.lock().tasks.len()
    }

    /// Waits until a method was called so often.
    pub async fn wait_calls(&self, methods: &[&str], count: usize) {
        let look = || {
            let called = self.methods();
            let called = called
                .iter()
                .filter(|name| methods.contains(&name.as_str()));
            (called.count() >= count).then_some(())
        };
        let seen = || format!("{:?}", self.methods());
        within(
            &format!("{count} of {methods:?}"),
            seen,
            self.shared.changes.until(look),
        )
        .await;
    }
}

type Answer = Result<Response<Body>, Cut>;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Answer {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET {
            let card = match self.kind {
                Kind::PraisonAi => "/.well-known/agent.json",
                _ => "/.well-known/agent-card.json",
            };
            return if path == card {
                json_answer(&self.card())
            } else {
                plain(404, "Not Found")
            };
        }
        if path != self.kind.path() {
            return plain(404, "Not Found");
        }
        let Ok(call) = serde_json::from_slice::<Value>(request.body()) else {
            return plain(500, "Internal Server Error");
        };
        let method = call["method"].as_str().unwrap_or_default().to_owned();
        let (id, params) = (call["id"].clone(), call["params"].clone());
        self.lock().calls.push((method.clone(), params.clone()));
        self.changes.note();
        match self.kind {
            Kind::PraisonAi => self.praisonai(&method, id, params).await,
            Kind::Ruby => self.ruby(&method, id, params).await,
            Kind::FastA2a | Kind::FastA2aV1 | Kind::FastA2aV0 => {
                self.fasta2a(&method, id, params).await
            }
        }
    }

    fn card(&self) -> Value {
        let base = self.lock().base.clone();
        let interface = |url: String| json!({ "protocolBinding": "JSONRPC", "url": url, "protocolVersion": "1.0" });
        match self.kind {
            Kind::PraisonAi => json!({
                "name": "Research Agent", "url": format!("{base}/a2a"), "version": "1.0.0", "description": "Researcher",
                "capabilities": { "streaming": true, "pushNotifications": false, "stateTransitionHistory": false,
                    "extendedAgentCard": false },
                "provider": { "name": "PraisonAI" },
            }),
            Kind::FastA2a | Kind::FastA2aV1 => json!({
                "name": "sleepy", "description": "Sleeps", "version": "1.0.0",
                "supportedInterfaces": [interface(base)], "skills": [],
                "defaultInputModes": ["application/json"], "defaultOutputModes": ["application/json"],
                "capabilities": { "streaming": true, "pushNotifications": false },
            }),
            Kind::FastA2aV0 => json!({
                "name": "sleepy", "description": "Sleeps", "url": base, "version": "1.0.0",
                "protocolVersion": "0.3.0", "skills": [],
                "defaultInputModes": ["application/json"], "defaultOutputModes": ["application/json"],
                "capabilities": { "streaming": false, "pushNotifications": false, "stateTransitionHistory": false },
            }),
            Kind::Ruby => json!({
                "name": "Slow Worker", "description": "Works", "version": "1.0.0",
                "supportedInterfaces": [interface(format!("{base}/a2a"))],
                "capabilities": { "streaming": true, "pushNotifications": false },
                "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
                "skills": [{ "id": "analyze", "name": "Data Analyzer", "description": "Analyzes", "tags": [] }],
            }),
        }
    }

    // The jobs.

    fn make(&self, params: &Value) -> usize {
        let mut inner = self.lock();
        let message = params["message"].clone();
        let context = message["contextId"].as_str().map(str::to_owned);
        let n = inner.tasks.len();
        inner.tasks.push(Task {
            id: format!("task-{n}"),
            context: match self.kind {
                // Only where the requester has given one.
                Kind::PraisonAi => context,
                _ => Some(context.unwrap_or_else(|| format!("context-{n}"))),
            },
            message,
            state: "submitted",
            over: false,
        });
        n
    }

    fn change(&self, n: usize, change: impl FnOnce(&mut Task)) {
        change(&mut self.lock().tasks[n]);
        self.changes.note();
    }

    fn task(&self, n: usize) -> Task {
        self.lock().tasks[n].clone()
    }

    fn find(&self, params: &Value) -> Option<usize> {
        let inner = self.lock();
        inner.tasks.iter().position(|task| params["id"] == task.id)
    }

    /// The job of a task, which ends when it is the next that may.
    async fn job(&self, n: usize) {
        self.change(n, |task| {
            if task.state == "submitted" {
                task.state = "working";
            }
        });
        let mut allowed = self.allowed.subscribe();
        let _ = allowed.wait_for(|allowed| *allowed > n).await;
        let fails = self.task(n).message.to_string().contains("please fail");
        let sticky = self.kind != Kind::Ruby;
        self.change(n, |task| {
            task.over = true;
            if !(sticky && task.state == "canceled") {
                task.state = if fails { "failed" } else { "completed" };
            }
        });
    }

    async fn until_over(&self, n: usize) {
        self.changes.until(|| self.task(n).over.then_some(())).await;
    }

    // The systems.

    async fn praisonai(self: Arc<Self>, method: &str, id: Value, params: Value) -> Answer {
        match method {
            "message/send" => {
                if params["message"]["role"] != "user" {
                    return error(&id, -32602, "Invalid params: role");
                }
                let n = self.make(&params);
                let shared = Arc::clone(&self);
                let job = tokio::spawn(async move { shared.job(n).await });
                if params["configuration"]["returnImmediately"] != true {
                    let _ = job.await;
                }
                result(&id, self.show(n))
            }
            "tasks/get" | "tasks/cancel" => {
                let Some(n) = self.find(&params) else {
                    let text = format!("Task not found: {}", params["id"].as_str().unwrap_or("?"));
                    return error(&id, -32000, &text);
                };
                if method == "tasks/cancel" {
                    if self.task(n).over {
                        return error(&id, -32002, "Task not cancelable: already over");
                    }
                    self.change(n, |task| {
                        task.state = "canceled";
                        task.over = true;
                    });
                }
                result(&id, self.show(n))
            }
            "tasks/list" => {
                let count = self.lock().tasks.len();
                result(&id, (0..count).map(|n| self.show(n)).collect())
            }
            name if name.starts_with("tasks/pushNotificationConfig/") => {
                error(&id, -32601, "Push notifications not supported")
            }
            _ => error(&id, -32601, "Method not found"),
        }
    }

    async fn fasta2a(self: Arc<Self>, method: &str, id: Value, params: Value) -> Answer {
        let old = self.kind == Kind::FastA2aV0;
        // Its own names, or from 2.1 on those of 1.0; whatever it cannot validate ends in the same way.
        let both = self.kind == Kind::FastA2a;
        let (verb, new_names) = match method {
            "message/send" => ("send", false),
            "tasks/get" => ("get", false),
            "tasks/cancel" => ("cancel", false),
            "message/stream" if !old => ("stream", false),
            "tasks/resubscribe" if !old => ("subscribe", false),
            "SendMessage" if both => ("send", true),
            "GetTask" if both => ("get", true),
            "CancelTask" if both => ("cancel", true),
            "SendStreamingMessage" if both => ("stream", true),
            "SubscribeToTask" if both => ("subscribe", true),
            _ => return plain(500, "Internal Server Error"),
        };
        let message = &params["message"];
        let sends = matches!(verb, "send" | "stream");
        let modes_missing = params.get("configuration").is_some_and(|configuration| {
            !new_names && configuration.get("acceptedOutputModes").is_none()
        });
        let role = if new_names { "ROLE_USER" } else { "user" };
        let kinds_missing = old && message.get("kind").is_none();
        if sends && (modes_missing || message["role"] != role || kinds_missing) {
            return plain(500, "Internal Server Error");
        }
        match verb {
            "send" => {
                let n = self.queued(&params).await;
                let task = self.show_named(n, new_names);
                result(&id, if old { task } else { json!({ "task": task }) })
            }
            "stream" => self.stream(id, None, params, new_names),
            _ => {
                let Some(n) = self.find(&params) else {
                    return error(&id, -32001, "Task not found");
                };
                match verb {
                    "subscribe" => return self.stream(id, Some(n), params, new_names),
                    // Behind the job that it should end.
                    "cancel" => {
                        self.until_over(n).await;
                        if !old {
                            self.change(n, |task| task.state = "canceled");
                        }
                    }
                    _ => {}
                }
                result(&id, self.show_named(n, new_names))
            }
        }
    }

    /// Makes a task when the job before it is done.
    async fn queued(self: &Arc<Self>, params: &Value) -> usize {
        let turn = Arc::clone(&self.queue).lock_owned().await;
        let n = self.make(params);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            shared.job(n).await;
            drop(turn);
        });
        n
    }

    /// The task, then its end, and no artifact.
    fn stream(self: Arc<Self>, id: Value, of: Option<usize>, params: Value, new: bool) -> Answer {
        let (frames, body) = Body::channel();
        tokio::spawn(async move {
            let n = match of {
                Some(n) => n,
                None => self.queued(&params).await,
            };
            let frame = |value: Value| {
                let frame = json!({ "jsonrpc": "2.0", "id": id, "result": value });
                Ok(Bytes::from(format!("data: {frame}\n\n")))
            };
            let task = self.show_named(n, new);
            let context = task["contextId"].clone();
            if frames.send(frame(json!({ "task": task }))).await.is_err() || self.task(n).over {
                return;
            }
            self.until_over(n).await;
            let state = self.show_named(n, new)["status"]["state"].clone();
            let update = json!({ "statusUpdate": {
                "taskId": self.task(n).id, "contextId": context, "status": { "state": state },
            } });
            let _ = frames.send(frame(update)).await;
        });
        Ok(Response::builder()
            .header("content-type", "text/event-stream; charset=utf-8")
            .body(body)
            .unwrap())
    }

    async fn ruby(self: Arc<Self>, method: &str, id: Value, params: Value) -> Answer {
        match method {
            "SendMessage" => {
                let n = self.make(&params);
                let shared = Arc::clone(&self);
                let job = tokio::spawn(async move { shared.job(n).await });
                if params["configuration"]["returnImmediately"] != true {
                    let _ = job.await;
                }
                result(&id, json!({ "task": self.show_named(n, true) }))
            }
            "GetTask" | "CancelTask" | "SubscribeToTask" => {
                let Some(n) = self.find(&params) else {
                    return error(&id, -32001, "Task not found");
                };
                let over = self.task(n).over;
                match method {
                    "SubscribeToTask" if over => {
                        return error(
                            &id,
                            -32004,
                            "Cannot subscribe to a task in a terminal state",
                        );
                    }
                    "SubscribeToTask" => return self.stream(id, Some(n), params, true),
                    "CancelTask" if over => return error(&id, -32002, "Task is not cancelable"),
                    // And the job goes on.
                    "CancelTask" => self.change(n, |task| task.state = "canceled"),
                    _ => {}
                }
                result(&id, self.show_named(n, true))
            }
            "SendStreamingMessage" | "CreateTaskPushNotificationConfig" => {
                error(&id, -32004, "Operation not supported")
            }
            _ => error(&id, -32601, "Method not found"),
        }
    }

    // What a task looks like.

    fn show(&self, n: usize) -> Value {
        self.show_named(n, false)
    }

    fn show_named(&self, n: usize, new: bool) -> Value {
        let task = self.task(n);
        let state = match task.state {
            "canceled" if self.kind == Kind::PraisonAi => "cancelled".to_owned(),
            state if new => format!("TASK_STATE_{}", state.to_uppercase()),
            state => state.to_owned(),
        };
        let with_kinds = self.kind == Kind::FastA2aV0;
        let part = if with_kinds {
            json!({ "kind": "text", "text": RESULT })
        } else {
            json!({ "text": RESULT })
        };
        let mut shown = json!({
            "id": task.id,
            "status": { "state": state, "timestamp": "2026-11-20T08:42:48.231872" },
            "history": [task.message],
        });
        if let Some(context) = task.context {
            shown["contextId"] = json!(context);
        }
        if with_kinds {
            shown["kind"] = json!("task");
        }
        if task.over && task.state == "completed" {
            shown["artifacts"] = json!([{ "artifactId": "a", "name": "result", "parts": [part] }]);
        }
        shown
    }
}

fn result(id: &Value, result: Value) -> Answer {
    json_answer(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn error(id: &Value, code: i64, message: &str) -> Answer {
    json_answer(
        &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }),
    )
}

fn json_answer(value: &Value) -> Answer {
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(Body::whole(value.to_string()))
        .unwrap())
}

fn plain(status: u16, text: &'static str) -> Answer {
    Ok(Response::builder()
        .status(status)
        .header("content-type", "text/plain; charset=utf-8")
        .body(Body::whole(text))
        .unwrap())
}
