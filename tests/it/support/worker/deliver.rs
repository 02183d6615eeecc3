//! Native webhooks: one post per event and registration, in order, never twice and never again, as the SDKs
//! do it; and the ways in which that goes wrong.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::shared::{Inner, Shared};
use super::tasks::{Config, TaskRecord};
use crate::support::http;

/// How long a receiver may take; the JavaScript SDK gives up after as long.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// Posts waiting for one receiver. Unbounded on purpose: scripts are short, and a bound would let a slow
/// receiver hold up the job.
pub(super) type Outbox = mpsc::UnboundedSender<Delivery>;

/// What happens to webhooks that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushFault {
    None,
    /// Each is posted twice.
    Twice,
    /// Of each two the second is posted first. The one that ends a task is not held back.
    Swapped,
    /// None is posted.
    Lost,
}

/// A webhook that was due.
#[derive(Clone, Debug)]
pub struct Posted {
    pub url: String,
    pub body: Value,
    /// The receiver's answer; `None` when there was none, or the webhook was lost on purpose.
    pub status: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct Delivery {
    url: String,
    headers: Vec<(String, String)>,
    body: Value,
    is_end: bool,
    fault: PushFault,
}

impl Shared {
    /// Posts the newest event of a task (the whole task in 0.x) to all that asked for it.
    pub(super) fn deliver(self: &Arc<Self>, inner: &mut Inner, id: &str) {
        let Some(task) = inner.tasks.get(id) else {
            return;
        };
        let body = match task.events.last() {
            Some(event) if task.version.is_v1() => event.wire.clone(),
            _ => task.as_event(),
        };
        for config in task.configs.clone() {
            self.enqueue(inner, id, &config, body.clone());
        }
    }

    /// Posts the task as it stands to one who asked for it with the send.
    pub(super) fn deliver_task(self: &Arc<Self>, inner: &mut Inner, id: &str, config: &Config) {
        if let Some(body) = inner.tasks.get(id).map(TaskRecord::as_event) {
            self.enqueue(inner, id, config, body);
        }
    }

    fn enqueue(self: &Arc<Self>, inner: &mut Inner, id: &str, config: &Config, body: Value) {
        let Some(task) = inner.tasks.get(id) else {
            return;
        };
        let delivery = Delivery {
            url: config.url().to_owned(),
            headers: headers(task, config),
            body,
            is_end: task.state.is_terminal(),
            fault: inner.push_fault,
        };
        let outbox = inner
            .outboxes
            .entry((id.to_owned(), config.id.clone()))
            .or_insert_with(|| {
                #[expect(clippy::disallowed_methods, reason = "see `Outbox`")]
                let (outbox, due) = mpsc::unbounded_channel();
                tokio::spawn(post_all(self.clone(), due));
                outbox
            });
        // A receiver that is gone has been forgotten with its task.
        let _ = outbox.send(delivery);
    }
}

fn headers(task: &TaskRecord, config: &Config) -> Vec<(String, String)> {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    if let Some(token) = config.wire["token"].as_str() {
        headers.push(("x-a2a-notification-token".to_owned(), token.to_owned()));
    }
    let auth = &config.wire["authentication"];
    // The 0.x SDKs do not use it.
    if task.version.is_v1()
        && let (Some(scheme), Some(credentials)) =
            (auth["scheme"].as_str(), auth["credentials"].as_str())
    {
        headers.push((
            "authorization".to_owned(),
            format!("{scheme} {credentials}"),
        ));
    }
    headers
}

async fn post_all(shared: Arc<Shared>, mut due: mpsc::UnboundedReceiver<Delivery>) {
    let mut held: Option<Delivery> = None;
    while let Some(delivery) = due.recv().await {
        match delivery.fault {
            PushFault::Swapped if held.is_none() && !delivery.is_end => {
                held = Some(delivery);
                continue;
            }
            PushFault::Twice => {
                post(&shared, &delivery).await;
                post(&shared, &delivery).await;
            }
            PushFault::Lost => note(&shared, &delivery, None),
            PushFault::None | PushFault::Swapped => post(&shared, &delivery).await,
        }
        if let Some(held) = held.take() {
            post(&shared, &held).await;
        }
    }
}

async fn post(shared: &Shared, delivery: &Delivery) {
    let body = delivery.body.to_string();
    let posting = http::request(Method::POST, &delivery.url, &delivery.headers, body);
    let status = match tokio::time::timeout(POST_TIMEOUT, posting).await {
        Ok(Ok(exchange)) => Some(exchange.status.as_u16()),
        Ok(Err(_)) | Err(_) => None,
    };
    note(shared, delivery, status);
}

fn note(shared: &Shared, delivery: &Delivery, status: Option<u16>) {
    shared.lock().posted.push(Posted {
        url: delivery.url.clone(),
        body: delivery.body.clone(),
        status,
    });
    shared.changes.note();
}

/// Reads a registration out of the object that holds it; without a URL it is none.
pub(super) fn config_from(mut wire: Value, default_id: impl FnOnce() -> String) -> Option<Config> {
    wire["url"].as_str()?;
    if let Some(members) = wire.as_object_mut() {
        members.remove("taskId");
    }
    let id = match wire["id"].as_str() {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => default_id(),
    };
    wire["id"] = json!(id);
    Some(Config { id, wire })
}
