//! Requester on the Rust SDK's client over any of its bindings, unmodified. The modes are those of `client_common.py`,
//! told once more in this language: reads the cells from stdin, writes one JSON line for each when all are done.
//!
//! Judges nothing: what was heard is written down as the SDK's own types dump it.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use a2a::{
    CancelTaskRequest, GetTaskRequest, Message, Part, Role, SendMessageConfiguration,
    SendMessageRequest, SendMessageResponse, StreamResponse, SubscribeToTaskRequest, Task,
    TaskPushNotificationConfig,
};
use a2a_client::agent_card::AgentCardResolver;
use a2a_client::jsonrpc::JsonRpcTransportFactory;
use a2a_client::rest::RestTransportFactory;
use a2a_client::{A2AClient, A2AClientFactory, Transport, TransportFactory};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use futures_util::stream::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};

/// Cells under way at once, and the time between two polls: as in `client_common.py`.
const CONCURRENCY: usize = 8;
const POLL_INTERVAL: Duration = Duration::from_millis(200);

const TERMINAL: [&str; 4] = ["COMPLETED", "FAILED", "REJECTED", "CANCELED"];
const PAUSED: [&str; 2] = ["INPUT_REQUIRED", "AUTH_REQUIRED"];

type Client = A2AClient<Box<dyn Transport>>;
type Done = Result<(), Box<dyn Error + Send + Sync>>;

/// What one cell's task has told, in the order in which it came.
#[derive(Default)]
struct Heard {
    items: Mutex<Vec<Value>>,
    news: Notify,
}

impl Heard {
    fn push(&self, item: Value) {
        self.items
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(item);
        self.news.notify_waiters();
    }

    fn all(&self) -> Vec<Value> {
        self.items
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The object itself: the SDK wraps it in its name, but for some answers.
fn inner(body: &Value) -> &Value {
    ["task", "message", "statusUpdate", "artifactUpdate"]
        .iter()
        .map(|name| &body[*name])
        .find(|inner| inner.is_object())
        .unwrap_or(body)
}

fn is_in(body: &Value, states: &[&str]) -> bool {
    let state = inner(body)["status"]["state"].as_str().unwrap_or_default();
    states.contains(&state.trim_start_matches("TASK_STATE_"))
}

fn over(body: &Value) -> bool {
    is_in(body, &TERMINAL)
}

fn over_or_paused(body: &Value) -> bool {
    over(body) || is_in(body, &PAUSED)
}

fn task_id_of(body: &Value) -> Option<String> {
    let it = inner(body);
    let id = match it["taskId"].as_str() {
        Some(id) => Some(id),
        None if it["status"].is_object() => it["id"].as_str(),
        None => None,
    };
    id.filter(|id| !id.is_empty()).map(str::to_owned)
}

type Hooks = Arc<Mutex<HashMap<String, Arc<Heard>>>>;

/// Writes down what is posted to a cell's path, as the SDK's type reads it.
async fn receive(
    State(hooks): State<Hooks>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let hook = hooks
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&name)
        .cloned();
    let Some(heard) = hook else {
        return StatusCode::NOT_FOUND;
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // The specification's name, and that which this SDK's own server uses.
    let token = header("x-a2a-notification-token").or_else(|| header("a2a-notification-token"));
    let mut item =
        json!({"via": "webhook", "token": token, "type": header("content-type"), "body": {}});
    match serde_json::from_str::<StreamResponse>(&body) {
        Ok(event) => item["body"] = json!(event),
        Err(error) => item["problem"] = json!(format!("{error}; body {body:.300}")),
    }
    heard.push(item);
    StatusCode::OK
}

struct Cell {
    spec: Value,
    client: Arc<Client>,
    hooks: Hooks,
    receiver: String,
    gates: String,
    heard: Arc<Heard>,
    started: Instant,
}

/// What a send is told beside its text.
#[derive(Default)]
struct Options {
    at_once: bool,
    hook: bool,
    follow_up: bool,
}

impl Cell {
    fn name(&self) -> &str {
        self.spec["id"].as_str().unwrap_or_default()
    }

    fn scenario(&self) -> &str {
        self.spec["scenario"].as_str().unwrap_or_default()
    }

    fn follow_up(&self) -> Option<&'static str> {
        (self.scenario() == "ask").then_some("blue")
    }

    fn gated(&self) -> String {
        format!("{} gate={}", self.scenario(), self.name().replace('/', "-"))
    }

    async fn open_gate(&self) -> Done {
        let host = self.gates.trim_start_matches("http://");
        let path = format!("/gate/{}", self.name().replace('/', "-"));
        let mut gate = TcpStream::connect(host).await?;
        let call = format!("POST {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        gate.write_all(call.as_bytes()).await?;
        let mut answer = String::new();
        gate.read_to_string(&mut answer).await?;
        match answer.split(' ').nth(1) {
            Some("204") => Ok(()),
            _ => Err(format!("the gate does not open: {answer}").into()),
        }
    }

    fn hear(&self, via: &str, body: Value) -> Value {
        let at = self.started.elapsed().as_secs_f64();
        self.heard.push(json!({"via": via, "body": body, "at": at}));
        body
    }

    fn last(&self, of: impl Fn(&Value) -> Option<String>) -> Option<String> {
        self.heard
            .all()
            .iter()
            .rev()
            .find_map(|item| of(&item["body"]))
    }

    fn hook(&self) -> TaskPushNotificationConfig {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.insert(self.name().to_owned(), Arc::clone(&self.heard));
        TaskPushNotificationConfig {
            url: format!("{}/hook/{}", self.receiver, self.name()),
            id: None,
            task_id: String::new(),
            token: Some(format!("token-{}", self.name())),
            authentication: None,
            tenant: None,
        }
    }

    /// Waits for such a webhook; fails at the first that the SDK's type refuses, as an application would.
    async fn webhook(&self, reached: impl Fn(&Value) -> bool) -> Done {
        loop {
            let news = self.heard.news.notified();
            tokio::pin!(news);
            news.as_mut().enable(); // before looking, so that none is missed
            let hooks: Vec<Value> = self
                .heard
                .all()
                .into_iter()
                .filter(|item| item["via"] == "webhook")
                .collect();
            if hooks.iter().any(|hook| hook["problem"].is_string()) {
                return Err("a webhook's body is not what this version sends".into());
            }
            if hooks.iter().any(|hook| reached(&hook["body"])) {
                return Ok(());
            }
            news.await;
        }
    }

    fn request(&self, text: &str, options: &Options) -> SendMessageRequest {
        let mut message = Message::new(Role::User, vec![Part::text(text)]);
        if options.follow_up {
            message.task_id = self.last(task_id_of);
            message.context_id =
                self.last(|body| inner(body)["contextId"].as_str().map(str::to_owned));
        }
        SendMessageRequest {
            message,
            configuration: (options.at_once || options.hook).then(|| SendMessageConfiguration {
                accepted_output_modes: None,
                task_push_notification_config: options.hook.then(|| self.hook()),
                history_length: None,
                return_immediately: options.at_once.then_some(true),
            }),
            metadata: None,
            tenant: None,
        }
    }

    async fn send(&self, text: &str, options: Options) -> Result<Value, a2a::A2AError> {
        let answer = self
            .client
            .send_message(&self.request(text, &options))
            .await?;
        // Both are told apart by their names, as in a stream.
        let body = match answer {
            SendMessageResponse::Task(task) => json!({"task": task}),
            SendMessageResponse::Message(message) => json!({"message": message}),
        };
        Ok(self.hear("answer", body))
    }

    async fn get(&self, id: &str) -> Result<Task, a2a::A2AError> {
        let request = GetTaskRequest {
            id: id.to_owned(),
            history_length: None,
            tenant: None,
        };
        self.client.get_task(&request).await
    }

    async fn cancel(&self, id: String) -> Result<Task, a2a::A2AError> {
        let request = CancelTaskRequest {
            id,
            metadata: None,
            tenant: None,
        };
        self.client.cancel_task(&request).await
    }

    async fn poll_until(&self, id: &str, reached: impl Fn(&Value) -> bool) -> Done {
        while !reached(&self.hear("answer", json!({"task": self.get(id).await?}))) {
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn blocking(&self) -> Done {
        let answer = self.send(self.scenario(), Options::default()).await?;
        if let Some(text) = self.follow_up().filter(|_| is_in(&answer, &PAUSED)) {
            self.send(
                text,
                Options {
                    follow_up: true,
                    ..Options::default()
                },
            )
            .await?;
        }
        Ok(())
    }

    async fn poll(&self) -> Done {
        let answer = self
            .send(
                &self.gated(),
                Options {
                    at_once: true,
                    ..Options::default()
                },
            )
            .await?;
        self.open_gate().await?;
        let id = task_id_of(&answer).ok_or("the send's answer has no task")?;
        self.poll_until(&id, over_or_paused).await?;
        if let Some(text) = self.follow_up() {
            self.send(
                text,
                Options {
                    at_once: true,
                    follow_up: true,
                    hook: false,
                },
            )
            .await?;
            self.poll_until(&id, over).await?;
        }
        Ok(())
    }

    async fn listen(&self, text: &str, options: Options) -> Done {
        let request = self.request(text, &options);
        let mut events = self.client.send_streaming_message(&request).await?;
        let mut canceling = None;
        while let Some(event) = events.next().await {
            let event = self.hear("event", json!(event?));
            if self.scenario() == "cancel"
                && canceling.is_none()
                && let Some(id) = task_id_of(&event)
            {
                let client = Arc::clone(&self.client);
                let request = CancelTaskRequest {
                    id,
                    metadata: None,
                    tenant: None,
                };
                canceling = Some(tokio::spawn(
                    async move { client.cancel_task(&request).await },
                ));
            }
        }
        if let Some(canceling) = canceling {
            self.hear("cancel", json!({"task": canceling.await??}));
        }
        Ok(())
    }

    async fn stream(&self) -> Done {
        self.listen(self.scenario(), Options::default()).await?;
        if let Some(text) = self.follow_up() {
            self.hear("follow-up", json!({}));
            self.listen(
                text,
                Options {
                    follow_up: true,
                    ..Options::default()
                },
            )
            .await?;
        }
        Ok(())
    }

    /// Drops the stream midway and subscribes again; the task goes on only after that.
    async fn resubscribe(&self) -> Done {
        let request = self.request(&self.gated(), &Options::default());
        let mut events = self.client.send_streaming_message(&request).await?;
        while let Some(event) = events.next().await {
            let event = self.hear("event", json!(event?));
            let carries_message = inner(&event)["status"]["message"].is_object();
            if self.spec["drop_after"] == "event" || carries_message {
                break;
            }
        }
        drop(events);
        self.hear("dropped", json!({}));
        let id = self.last(task_id_of).ok_or("no event has a task")?;
        let request = SubscribeToTaskRequest { id, tenant: None };
        let mut events = self.client.subscribe_to_task(&request).await?;
        let mut opened = false;
        while let Some(event) = events.next().await {
            self.hear("event", json!(event?));
            if !opened {
                self.open_gate().await?;
            }
            opened = true;
        }
        Ok(())
    }

    async fn push_inline(&self) -> Done {
        let options = Options {
            at_once: true,
            hook: true,
            follow_up: false,
        };
        self.send(&self.gated(), options).await?;
        self.open_gate().await?;
        self.webhook(over_or_paused).await?;
        if let Some(text) = self.follow_up() {
            self.send(
                text,
                Options {
                    at_once: true,
                    follow_up: true,
                    hook: false,
                },
            )
            .await?;
            self.webhook(over).await?;
        }
        Ok(())
    }

    async fn push_set(&self) -> Done {
        let answer = self
            .send(
                &self.gated(),
                Options {
                    at_once: true,
                    ..Options::default()
                },
            )
            .await?;
        let mut config = self.hook();
        config.task_id = task_id_of(&answer).ok_or("the send's answer has no task")?;
        self.client.create_push_config(&config).await?;
        self.open_gate().await?;
        self.webhook(over).await
    }

    async fn send_and_cancel(&self) -> Done {
        let options = Options {
            at_once: true,
            ..Options::default()
        };
        let answer = self.send(self.scenario(), options).await?;
        let id = task_id_of(&answer).ok_or("the send's answer has no task")?;
        let task = self.cancel(id.clone()).await?;
        self.hear("cancel", json!({"task": task}));
        self.hear("answer", json!({"task": self.get(&id).await?}));
        Ok(())
    }

    /// Runs the cell; gives the line for the harness.
    async fn run(&mut self) -> Option<String> {
        self.started = Instant::now();
        let seconds = self.spec["deadline"].as_u64().unwrap_or_default();
        let mode = async {
            match self.spec["mode"].as_str().unwrap_or_default() {
                "blocking" => self.blocking().await,
                "poll" => self.poll().await,
                "stream" => self.stream().await,
                "resubscribe" => self.resubscribe().await,
                "push-inline" => self.push_inline().await,
                "push-set" => self.push_set().await,
                "cancel" => self.send_and_cancel().await,
                other => Err(format!("no mode is called {other}").into()),
            }
        };
        match timeout(Duration::from_secs(seconds), mode).await {
            Ok(done) => done.err().map(|error| error.to_string()),
            Err(_) => Some(format!("not done within {seconds} s")),
        }
    }
}

/// How this SDK is told which of the card's bindings to use: it is given no other.
async fn client(base: &str, binding: &str) -> Result<Client, Box<dyn Error>> {
    let factory: Arc<dyn TransportFactory> = match binding {
        "http" => Arc::new(RestTransportFactory::new(None)),
        "grpc" => Arc::new(a2a_grpc::GrpcTransportFactory::new()),
        _ => Arc::new(JsonRpcTransportFactory::new(None)),
    };
    let card = AgentCardResolver::new(None).resolve(base).await?;
    let factory = A2AClientFactory::builder()
        .no_defaults()
        .register(factory)
        .build();
    Ok(factory.create_from_card(&card).await?)
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut plan = String::new();
    std::io::stdin().read_to_string(&mut plan)?;
    let plan: Value = serde_json::from_str(&plan)?;
    let text = |name: &str| plan[name].as_str().unwrap_or_default().to_owned();

    let hooks = Hooks::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let receiver = format!("http://{}", listener.local_addr()?);
    let route = Router::new()
        .route("/hook/{*name}", axum::routing::post(receive))
        .with_state(Arc::clone(&hooks));
    tokio::spawn(async move { axum::serve(listener, route).await });

    let mut clients: HashMap<String, Result<Arc<Client>, String>> = HashMap::new();
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let mut running = Vec::new();
    for spec in plan["cells"].as_array().into_iter().flatten() {
        let binding = spec["binding"].as_str().unwrap_or("jsonrpc").to_owned();
        if !clients.contains_key(&binding) {
            let made = client(&text("base"), &binding).await;
            let made = made.map(Arc::new).map_err(|error| error.to_string());
            clients.insert(binding.clone(), made);
        }
        let client = match &clients[&binding] {
            Ok(client) => Arc::clone(client),
            // One binding that is not to be had must not hide the others.
            Err(error) => {
                println!(
                    "{}",
                    json!({"cell": spec["id"], "heard": [], "error": error})
                );
                continue;
            }
        };
        let mut cell = Cell {
            spec: spec.clone(),
            client,
            hooks: Arc::clone(&hooks),
            receiver: receiver.clone(),
            gates: text("gates"),
            heard: Arc::default(),
            started: Instant::now(),
        };
        let slots = Arc::clone(&slots);
        running.push(tokio::spawn(async move {
            let _slot = slots.acquire_owned().await;
            let error = cell.run().await;
            (cell, error)
        }));
    }
    let mut lines = Vec::new();
    for cell in running {
        lines.push(cell.await?);
    }
    // Only now, so that a webhook which comes after a cell's last one is in its list too.
    for (cell, error) in lines {
        println!(
            "{}",
            json!({"cell": cell.name(), "heard": cell.heard.all(), "error": error})
        );
    }
    Ok(())
}
