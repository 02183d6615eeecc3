//! A webhook receiver that records what it hears and answers as it is told, also mid-test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{HeaderMap, Response};
use serde_json::Value;
use tokio::time::Instant;

use super::Changes;
use super::heard::Heard;
use super::http::{Body, Cut, Server};
use super::within;

/// What a receiver does with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    Status(u16),
    StatusWith(u16, Vec<(String, String)>),
    /// 307 to this address.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Close,
    /// 200 with this body.
    Json(Value),
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Hook {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body as JSON; null where it is none.
    pub json: Value,
    pub at: Instant,
}

impl Hook {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What the webhook tells.
    pub fn heard(&self) -> Heard {
        Heard::of(&self.json)
    }
}

struct Inner {
    hooks: Vec<Hook>,
    /// For the next requests, one each.
    next: VecDeque<Behaviour>,
    /// For all others.
    default: Behaviour,
}

/// A running receiver; dropping it closes its port.
pub struct Receiver {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    changes: Changes,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Listens on a free port of 127.0.0.1 and answers 200 until told otherwise.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                hooks: Vec::new(),
                next: VecDeque::new(),
                default: Behaviour::Status(200),
            }),
            changes: Changes::new(),
        });
        let handler = shared.clone();
        let server = Server::start(move |request| {
            let shared = handler.clone();
            async move {
                let (parts, body) = request.into_parts();
                let hook = Hook {
                    method: parts.method.to_string(),
                    path: parts.uri.to_string(),
                    headers: parts.headers,
                    json: serde_json::from_slice(&body).unwrap_or_default(),
                    body,
                    at: Instant::now(),
                };
                let behaviour = {
                    let mut inner = shared.lock();
                    inner.hooks.push(hook);
                    let next = inner.next.pop_front();
                    next.unwrap_or_else(|| inner.default.clone())
                };
                shared.changes.note();
                behave(behaviour).await
            }
        });
        Self { server, shared }
    }

    /// An address of the receiver; `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addr)
    }

    /// Answers this status from now on.
    pub fn respond_with(&self, status: u16) {
        self.behave(Behaviour::Status(status));
    }

    /// Does this from now on; what is queued goes first.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().default = behaviour;
    }

    /// Does these with the next requests, one each.
    pub fn then(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.lock().next.extend(behaviours);
    }

    /// Answers the next requests with these statuses.
    pub fn then_statuses(&self, statuses: &[u16]) {
        self.then(statuses.iter().map(|status| Behaviour::Status(*status)));
    }

    /// Every request so far, whatever was answered.
    pub fn hooks(&self) -> Vec<Hook> {
        self.shared.lock().hooks.clone()
    }

    /// What all requests so far tell together.
    pub fn heard(&self) -> Heard {
        let mut heard = Heard::default();
        for hook in self.hooks() {
            heard.feed(&hook.json);
        }
        heard
    }

    /// Waits for so many requests and gives all that have come.
    pub async fn wait_for(&self, count: usize) -> Vec<Hook> {
        self.wait_until(|hooks| hooks.len() >= count).await
    }

    /// Waits until the requests so far are `enough`, and gives them.
    pub async fn wait_until(&self, enough: impl Fn(&[Hook]) -> bool) -> Vec<Hook> {
        within(
            "the webhooks that the test waits for",
            || format!("the receiver heard {:#?}", self.story()),
            self.shared.changes.until(|| {
                let inner = self.shared.lock();
                enough(&inner.hooks).then(|| inner.hooks.clone())
            }),
        )
        .await
    }

    /// Waits until the requests tell of an end.
    pub async fn wait_ended(&self) -> Heard {
        self.wait_until(|hooks| {
            hooks
                .iter()
                .any(|hook| hook.json.is_object() && hook.heard().ended)
        })
        .await;
        self.heard()
    }

    /// What was heard, in short.
    pub fn story(&self) -> Vec<String> {
        self.hooks()
            .iter()
            .map(|hook| format!("{} {} {}", hook.method, hook.path, hook.json))
            .collect()
    }

    /// Refuses connections; the port stays taken.
    pub async fn down(&self) {
        self.server.down().await;
    }

    /// Listens again, on the same port.
    pub fn up(&self) {
        self.server.up();
    }
}

async fn behave(behaviour: Behaviour) -> Result<Response<Body>, Cut> {
    let (status, headers) = match behaviour {
        Behaviour::Status(status) => (status, Vec::new()),
        Behaviour::StatusWith(status, headers) => (status, headers),
        Behaviour::Redirect(to) => (307, vec![("location".to_owned(), to)]),
        Behaviour::Hang => return std::future::pending().await,
        Behaviour::Close => return Err(Cut),
        Behaviour::Json(value) => {
            return Ok(Response::builder()
                .header("content-type", "application/json")
                .body(Body::whole(value.to_string()))
                .unwrap());
        }
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Body::whole("")).unwrap())
}
