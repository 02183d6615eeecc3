//! Two workers as they are found in the wild: one that only blocks and one that only polls. Both do the same job, in
//! which every question has the same answer.
//!
//! They are deliberately poor: no streams, no webhooks, and the one that blocks does not know a task again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::board::short;
use super::server::Server;
use crate::a2a::TaskState;
use crate::wire::{Body, collect};

/// What the worker says on its way, at each [`STEP`].
pub const PROGRESS: [&str; 2] = ["reading", "computing"];

/// What every job comes to.
pub const ANSWER: &str = "42";

/// The time between two steps; the job takes one more than there is progress. Long enough to watch, short enough to wait.
const STEP: Duration = Duration::from_millis(1100);

/// What a whole job takes.
pub const JOB: Duration = STEP.saturating_mul(PROGRESS.len() as u32 + 1);

/// The most bytes of a request: those of the demo have a few hundred.
const MAX_REQUEST: usize = 1 << 20;

/// The most tasks that the worker remembers; the oldest go first. `--hold` may go on for days.
const MAX_TASKS: usize = 1000;

const NO_METHOD: i64 = -32601;
const NO_TASK: i64 = -32001;

/// What a worker can do: the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It answers when it is done, and does not know a task again. It speaks A2A 1.0.
    Blocks,
    /// It answers at once, and must be asked how the task stands. It speaks A2A 0.3.
    Polls,
}

impl Ability {
    /// All, in the order of the columns.
    pub const ALL: [Self; 2] = [Self::Blocks, Self::Polls];

    /// What it does, in a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Polls => "polls",
        }
    }

    /// The version of A2A that it speaks.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Blocks => "1.0",
            Self::Polls => "0.3",
        }
    }
}

/// A running worker.
pub struct Worker {
    server: Server,
}

impl Worker {
    /// Starts a worker on a free port of the loopback address.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(ability: Ability) -> std::io::Result<Self> {
        let service = |address| {
            let desk = Arc::new(Desk {
                ability,
                address,
                tasks: Mutex::default(),
            });
            tower::service_fn(move |request: Request<Incoming>| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(desk.answer(request).await) }
            })
        };
        let server = Server::start(service).await?;
        Ok(Self { server })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Stops it and frees its port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// A job that was taken.
#[derive(Clone, Debug)]
struct Job {
    id: String,
    context: String,
    message: Value,
    begun: Instant,
}

struct Desk {
    ability: Ability,
    address: SocketAddr,
    /// The newest at the end.
    tasks: Mutex<VecDeque<Job>>,
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.method() == Method::GET && request.uri().path() == "/.well-known/agent-card.json"
        {
            return json_response(&self.card());
        }
        if request.method() != Method::POST {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let call = match collect(Body::from(request.into_body()), MAX_REQUEST).await {
            Ok(body) => serde_json::from_slice(&body).unwrap_or(Value::Null),
            Err(_) => Value::Null,
        };
        let outcome = self.call(&call).await;
        let mut reply = json!({"jsonrpc": "2.0", "id": call["id"]});
        match outcome {
            Ok(result) => reply["result"] = result,
            Err((code, message)) => reply["error"] = json!({"code": code, "message": message}),
        }
        json_response(&reply)
    }

    async fn call(&self, call: &Value) -> Result<Value, (i64, &'static str)> {
        let params = &call["params"];
        match (self.ability, call["method"].as_str().unwrap_or_default()) {
            (Ability::Blocks, "SendMessage") => {
                let job = Job::new(params);
                sleep(JOB).await;
                Ok(json!({"task": job.stands(self.ability)}))
            }
            (Ability::Polls, "message/send") => {
                let job = Job::new(params);
                let task = job.stands(self.ability);
                let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                if tasks.len() >= MAX_TASKS {
                    tasks.pop_front();
                }
                tasks.push_back(job);
                Ok(task)
            }
            (Ability::Polls, "tasks/get") => {
                let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                let job = tasks.iter().rev().find(|job| params["id"] == job.id);
                job.map(|job| job.stands(self.ability))
                    .ok_or((NO_TASK, "no such task"))
            }
            _ => Err((NO_METHOD, "this worker cannot do that")),
        }
    }

    fn card(&self) -> Value {
        let url = format!("http://{}/", self.address);
        let mut card = json!({
            "name": format!("A worker that only {}", self.ability.name()),
            "description": "Answers every question, after a while.",
            "version": "1.0.0",
            "capabilities": {"streaming": false, "pushNotifications": false},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{
                "id": "answer",
                "name": "Answer",
                "description": "Answers every question.",
                "tags": ["demo"],
            }],
        });
        match self.ability {
            Ability::Blocks => {
                card["supportedInterfaces"] =
                    json!([{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]);
            }
            Ability::Polls => {
                card["protocolVersion"] = json!("0.3.0");
                card["url"] = json!(url);
                card["preferredTransport"] = json!("JSONRPC");
            }
        }
        card
    }
}

impl Job {
    fn new(params: &Value) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            context: Uuid::new_v4().to_string(),
            message: params["message"].clone(),
            begun: Instant::now(),
        }
    }

    /// The task after the time that has gone by.
    fn stands(&self, speaks: Ability) -> Value {
        let steps = self.begun.elapsed().as_millis() / STEP.as_millis();
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        let mut said: Vec<_> = PROGRESS
            .iter()
            .take(steps)
            .enumerate()
            .map(|(index, text)| self.says(speaks, index, text))
            .collect();
        let done = steps > PROGRESS.len();
        let state = match (done, said.len()) {
            (true, _) => TaskState::Completed,
            (false, 0) => TaskState::Submitted,
            (false, _) => TaskState::Working,
        };
        let mut status = json!({"state": spelt(speaks, state)});
        // The newest word stands in the status; it goes to the history with the next.
        if !done && let Some(newest) = said.pop() {
            status["message"] = newest;
        }
        let mut history = vec![self.message.clone()];
        history.append(&mut said);
        let mut task = json!({
            "id": self.id,
            "contextId": self.context,
            "status": status,
            "history": history,
        });
        if speaks == Ability::Polls {
            task["kind"] = json!("task");
        }
        if done {
            task["artifacts"] = json!([{"artifactId": "answer", "name": "answer", "parts": [part(speaks, ANSWER)]}]);
        }
        task
    }

    fn says(&self, speaks: Ability, index: usize, text: &str) -> Value {
        let mut message = json!({
            "messageId": format!("{}-{index}", self.id),
            "taskId": self.id,
            "contextId": self.context,
            "parts": [part(speaks, text)],
        });
        match speaks {
            Ability::Blocks => message["role"] = json!("ROLE_AGENT"),
            Ability::Polls => {
                message["role"] = json!("agent");
                message["kind"] = json!("message");
            }
        }
        message
    }
}

fn spelt(speaks: Ability, state: TaskState) -> String {
    match speaks {
        Ability::Blocks => state.name().to_owned(),
        Ability::Polls => short(state),
    }
}

fn part(speaks: Ability, text: &str) -> Value {
    match speaks {
        Ability::Blocks => json!({"text": text}),
        Ability::Polls => json!({"kind": "text", "text": text}),
    }
}

fn json_response(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
