//! What the tests of deliveries share: a hub over a store that can be made to fail, a receiver with real sockets, and a
//! stand-in for the client that needs none.
#![expect(
    clippy::disallowed_methods,
    reason = "what a test has seen is not for it to lose; a test is its own bound"
)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::super::*;
use super::faulty::Faulty;
use crate::a2a::Dialect;
use crate::a2a::{
    Artifact, Message, Part, PartContent, PushConfig, StreamResponse, Task,
    TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent,
};
use crate::net::client::{DeliveryClient, DeliveryOptions};
use crate::net::guard::AddressPolicy;
use crate::sink::webhook::Prepared;
use crate::store::{
    Append, Deliveries, DeliveryState, Principal, PushRegistration, TaskLog, TaskRecord,
};
use crate::task::fold::fold;
use crate::task::{Seq, TaskKey};

pub fn sealer() -> Sealer {
    Sealer::ephemeral().unwrap()
}

/// Where the tests' clock begins: Sun, 09 Sep 2001 01:46:40 GMT.
pub const START: Millis = 1_000_000_000_000;

/// Longest that a test waits for what must come: only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A hub with one task `t1`, whose events and push configs a test adds.
pub struct World {
    pub hub: Hub,
    pub store: Arc<Faulty>,
    pub sealer: Arc<Sealer>,
    pub clock: Clock,
}

impl World {
    /// On the wall clock, for tests with sockets.
    pub fn new() -> Self {
        Self::on(Arc::new(hub::now))
    }

    /// On tokio's clock, for tests with paused time.
    pub fn paused() -> Self {
        let start = Instant::now();
        Self::on(Arc::new(move || START + millis(start.elapsed())))
    }

    fn on(clock: Clock) -> Self {
        let store = Arc::new(Faulty::default());
        Self {
            hub: Hub::new(store.clone()),
            store,
            sealer: Arc::new(sealer()),
            clock,
        }
    }

    /// Makes a task with these push configs.
    pub async fn task(&self, id: &str, push: Vec<PushRegistration>) -> TaskKey {
        let key = key(id);
        let now = (self.clock)();
        let record = TaskRecord {
            key: key.clone(),
            epoch: 0xabc,
            task: Arc::new(Task {
                id: id.to_owned(),
                context_id: "c1".to_owned(),
                status: TaskStatus {
                    state: TaskState::Submitted,
                    ..TaskStatus::default()
                },
                ..Task::default()
            }),
            last_seq: Seq(1),
            first_seq: Seq(1),
            owner: Principal([0; 32]),
            link: Arc::default(),
            created_at: now,
            updated_at: now,
        };
        self.hub.create(record, push).await.unwrap();
        key
    }

    /// A push config of a task.
    pub fn push(
        &self,
        task: &str,
        id: &str,
        dialect: &str,
        config: &PushConfig,
    ) -> PushRegistration {
        let key = key(task);
        let known = Dialect::from_name(dialect).unwrap_or(Dialect::ALL[0]);
        let config = crate::store::push::Config::Webhook(config.clone());
        let push = crate::store::push::seal(&self.sealer, &key, id, known, &config, (self.clock)())
            .unwrap();
        PushRegistration {
            dialect: dialect.to_owned(),
            ..push
        }
    }

    /// A push config with just an address.
    pub fn plain(&self, task: &str, id: &str, url: &str) -> PushRegistration {
        self.push(task, id, "v1.0/jsonrpc", &address(url))
    }

    /// Appends events in one go, and rings.
    pub async fn append(&self, key: &TaskKey, events: Vec<StreamResponse>) {
        let record = self.store.task(key).await.unwrap().unwrap();
        let mut task = Task::clone(&record.task);
        for event in &events {
            task = fold(Some(task), event).unwrap();
        }
        let append = Append {
            key: key.clone(),
            expect: record.last_seq,
            events: events.into_iter().map(Arc::new).collect(),
            task: Arc::new(task),
            link: None,
            now: (self.clock)(),
        };
        self.store.append(append).await.unwrap();
        self.hub.wake_deliveries();
    }

    pub fn dispatcher(&self, client: impl Post, policy: DeliveryPolicy) -> Dispatcher {
        Dispatcher::new(
            self.hub.clone(),
            self.sealer.clone(),
            client,
            policy,
            Vec::new(),
        )
        .with_clock(self.clock.clone())
    }

    /// A task's rows: number, state, attempts, last outcome.
    pub async fn rows(&self, key: &TaskKey) -> Vec<(u64, DeliveryState, u32, String)> {
        let rows = self.store.deliveries(key, usize::MAX).await.unwrap();
        rows.into_iter()
            .map(|row| {
                (
                    row.seq.0,
                    row.state,
                    row.attempts,
                    row.last_outcome.unwrap_or_default(),
                )
            })
            .collect()
    }

    /// Waits until no delivery of the task is pending.
    pub async fn settled(&self, key: &TaskKey) {
        self.until(key, |rows| {
            rows.iter().all(|row| row.1 != DeliveryState::Pending)
        })
        .await;
    }

    /// Waits until an attempt at each of the task's deliveries has been recorded.
    pub async fn tried(&self, key: &TaskKey) {
        self.until(key, |rows| rows.iter().all(|row| row.2 > 0))
            .await;
    }

    /// Looks at the task's rows after every record of an attempt.
    async fn until(
        &self,
        key: &TaskKey,
        reached: impl Fn(&[(u64, DeliveryState, u32, String)]) -> bool,
    ) {
        let mut finished = self.store.finished.subscribe();
        let reached = async {
            while !reached(&self.rows(key).await) {
                finished.changed().await.unwrap();
            }
        };
        timeout(Duration::from_secs(30 * 86_400), reached)
            .await
            .unwrap();
    }
}

pub fn key(id: &str) -> TaskKey {
    TaskKey {
        route: "r".into(),
        tenant: "".into(),
        id: id.into(),
    }
}

pub fn address(url: &str) -> PushConfig {
    PushConfig {
        url: url.to_owned(),
        ..PushConfig::default()
    }
}

/// `working`, with a message that carries the number.
pub fn working(number: usize) -> StreamResponse {
    status(TaskState::Working, &number.to_string())
}

pub fn status(state: TaskState, text: &str) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: "t1".to_owned(),
        context_id: "c1".to_owned(),
        status: TaskStatus {
            state,
            message: Some(Message {
                message_id: format!("m{text}"),
                parts: vec![text_part(text)],
                ..Message::default()
            }),
            ..TaskStatus::default()
        },
        ..TaskStatusUpdateEvent::default()
    })
}

/// A new artifact whose id is the number.
pub fn artifact(number: usize) -> StreamResponse {
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
        task_id: "t1".to_owned(),
        context_id: "c1".to_owned(),
        artifact: Artifact {
            artifact_id: number.to_string(),
            parts: vec![text_part("x")],
            ..Artifact::default()
        },
        ..TaskArtifactUpdateEvent::default()
    })
}

fn text_part(text: &str) -> Part {
    Part {
        content: PartContent::Text(text.to_owned()),
        ..Part::default()
    }
}

/// Runs a dispatcher until the test drops this.
pub struct Running {
    pub cancel: CancellationToken,
    task: Option<tokio::task::JoinHandle<usize>>,
}

impl Running {
    pub fn start(dispatcher: Dispatcher) -> Self {
        let cancel = CancellationToken::new();
        Self {
            task: Some(tokio::spawn(dispatcher.run(cancel.clone()))),
            cancel,
        }
    }

    /// Ends it as a kill would: nothing under way gets to its next step.
    pub async fn kill(mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    /// Cancels it and waits for its end; how many attempts were cut short.
    pub async fn stop(mut self) -> usize {
        self.cancel.cancel();
        self.task.take().unwrap().await.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// One posting that a stand-in or a receiver saw.
#[derive(Debug)]
pub struct Seen {
    pub at: Instant,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The text of the status message of a 1.0 status update.
    pub fn text(&self) -> String {
        let json = self.json();
        let text = &json["statusUpdate"]["status"]["message"]["parts"][0]["text"];
        text.as_str().unwrap_or_default().to_owned()
    }
}

/// Answers without sockets: the given results first, then success for ever.
pub struct Script {
    results: Mutex<VecDeque<Step>>,
    hanging: Option<&'static str>,
    seen: mpsc::UnboundedSender<Seen>,
    pub under_way: Arc<AtomicUsize>,
    pub most_under_way: Arc<AtomicUsize>,
}

/// What the stand-in does with one posting.
#[derive(Clone)]
pub enum Step {
    Give(AttemptResult),
    Take(Duration),
    Hang,
    Panic,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> (Self, mpsc::UnboundedReceiver<Seen>) {
        let (seen, receiver) = mpsc::unbounded_channel();
        let script = Self {
            results: Mutex::new(steps.into_iter().collect()),
            hanging: None,
            seen,
            under_way: Arc::default(),
            most_under_way: Arc::default(),
        };
        (script, receiver)
    }

    /// Never answers what is posted to this path.
    pub fn hanging_at(path: &'static str) -> (Self, mpsc::UnboundedReceiver<Seen>) {
        let (mut script, receiver) = Self::new([]);
        script.hanging = Some(path);
        (script, receiver)
    }
}

#[async_trait]
impl Post for Script {
    async fn post(&self, request: Prepared, _limit: Duration) -> AttemptResult {
        let mut step = self.results.lock().unwrap().pop_front();
        if self.hanging == Some(request.url.path()) {
            step = Some(Step::Hang);
        }
        let seen = Seen {
            at: Instant::now(),
            path: request.url.path().to_owned(),
            headers: request.headers,
            body: request.body,
        };
        let _ = self.seen.send(seen);
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        let result = match step {
            None => code(200),
            Some(Step::Give(result)) => result,
            Some(Step::Take(time)) => {
                sleep(time).await;
                code(200)
            }
            Some(Step::Hang) => std::future::pending().await,
            Some(Step::Panic) => panic!("the stand-in was told to panic"),
        };
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

pub fn code(code: u16) -> AttemptResult {
    AttemptResult::Answered {
        status: StatusCode::from_u16(code).unwrap(),
        retry_after: None,
    }
}

/// What a receiver answers: status and headers; `None` never answers.
pub type Answer = Option<(u16, Vec<(&'static str, String)>)>;

/// A receiver on a real socket.
pub struct Receiver {
    pub address: SocketAddr,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    pub connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// `answer` is given the number of the request, from 0.
    pub async fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (accepted, count) = (connections.clone(), Arc::new(AtomicUsize::new(0)));
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let (sender, count, answer) = (sender.clone(), count.clone(), answer.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (sender, count, answer) = (sender.clone(), count.clone(), answer.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let _ = sender.send(Seen {
                            at: Instant::now(),
                            path: parts.uri.to_string(),
                            headers: parts.headers,
                            body,
                        });
                        let Some((status, headers)) = answer(count.fetch_add(1, Ordering::SeqCst))
                        else {
                            return std::future::pending().await;
                        };
                        let mut response = Response::builder().status(status);
                        for (name, value) in headers {
                            response = response.header(name, value);
                        }
                        Ok::<_, Infallible>(
                            response.body(Full::new(Bytes::from("thanks"))).unwrap(),
                        )
                    }
                });
                tokio::spawn(async move {
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            seen,
            connections,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub async fn next(&mut self) -> Seen {
        next(&mut self.seen).await
    }
}

/// The next posting; a test that gets none fails.
pub async fn next(seen: &mut mpsc::UnboundedReceiver<Seen>) -> Seen {
    timeout(PATIENCE, seen.recv())
        .await
        .expect("a webhook in time")
        .unwrap()
}

pub fn ok() -> Answer {
    Some((200, Vec::new()))
}

/// The real client. Guarded, it refuses loopback.
pub fn client(guarded: bool) -> DeliveryClient {
    let policy = if guarded {
        AddressPolicy::default()
    } else {
        AddressPolicy::unguarded()
    };
    DeliveryClient::new(Arc::new(policy), &DeliveryOptions::default()).unwrap()
}

/// Retries soon, for tests that wait in real time.
pub fn quick() -> DeliveryPolicy {
    DeliveryPolicy {
        retry_first: Duration::from_millis(5),
        retry_max: Duration::from_millis(20),
        attempt_timeout: Duration::from_secs(5),
        ..DeliveryPolicy::default()
    }
}
