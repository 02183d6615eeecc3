//! Webhooks: makes one HTTP request from one delivery of the ledger, and posts it.
//!
//! Here is what a receiver sees (address, headers, signature, payload) and how its answer is classified; of a callback,
//! address and payload are those of [`super::callback`]. When to post, how often and what is recorded is not decided
//! here: see [`super::dispatch`] and [`super::retry`].

mod config;
mod replay;
mod sign;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use url::Url;

pub(super) use config::Target;
pub use config::{InvalidConfig, validate};
pub use sign::{InvalidKey, SigningKey};

use super::callback;
use super::retry::{AttemptResult, Unprepared, retry_after};
use crate::a2a::callback::Form;
use crate::a2a::{Dialect, StreamResponse, Task};
use crate::hub::Hub;
use crate::net::client::{DeliveryClient, DeliveryError};
use crate::store::seal::Sealer;
use crate::store::{
    Delivery, DeliveryKind, Millis, PushRegistration, StoreError, TaskRecord, push,
};
use crate::task::{Seq, TaskKey};
use replay::Replays;

/// The message's id: the same at every attempt, so that a receiver can tell a repeat.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// When the attempt was made, in seconds since the Unix epoch.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The Standard Webhooks signature; only where a signing key is configured.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The push config's token (specification §4.3.1; all known receivers check this header).
pub const NOTIFICATION_TOKEN: HeaderName = HeaderName::from_static("x-a2a-notification-token");

/// The most that is read of a receiver's answer. A short answer is read to its end, so that the connection can be used
/// again; a longer one is dropped together with its connection.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// The longest that the rest of an answer is waited for: its status has decided already, and the next event waits.
const MAX_ANSWER_WAIT: Duration = Duration::from_millis(500);

/// A request that is ready to be posted. Its `Debug` shows the host only: everything else can hold a secret.
pub struct Prepared {
    /// Where to.
    pub url: Url,
    /// All headers that are the sidecar's own.
    pub headers: HeaderMap,
    /// The payload, in the dialect of the push config.
    pub body: Bytes,
    /// Whether it is a call over JSON-RPC, whose answer can be an error with a 2xx.
    pub is_call: bool,
}

/// Where a delivery goes, before there is a payload: small, while a payload can be as large as a task. No `Debug`: it
/// holds secrets.
pub struct Opened {
    record: TaskRecord,
    target: Target,
    dialect: Dialect,
    /// What is sent where this is no webhook but a callback.
    callback: Option<Form>,
}

impl Opened {
    /// The receiver's host and port, for logs and for telling receivers apart: no path, no query, no user.
    #[must_use]
    pub fn host(&self) -> String {
        host(&self.target.url)
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("host", &host(&self.url))
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The store could not be read: says nothing about the delivery, and is no attempt.
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    /// The delivery itself cannot be made into a request.
    #[error("the delivery cannot be made into a request: {0:?}")]
    Unprepared(Unprepared),
}

impl From<Unprepared> for PrepareError {
    fn from(reason: Unprepared) -> Self {
        PrepareError::Unprepared(reason)
    }
}

/// Makes requests from deliveries.
pub struct Webhooks {
    hub: Hub,
    sealer: Arc<Sealer>,
    signing: Vec<SigningKey>,
    replays: Replays,
}

impl Webhooks {
    /// With these signing keys: none, no signature; several (while a key is being replaced), a signature by each.
    #[must_use]
    pub fn new(hub: Hub, sealer: Arc<Sealer>, signing: Vec<SigningKey>) -> Self {
        Self {
            hub,
            sealer,
            signing,
            replays: Replays::default(),
        }
    }

    /// Finds out where a delivery goes, given its push config as claimed with it.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub async fn open(
        &self,
        delivery: &Delivery,
        registration: Option<&PushRegistration>,
    ) -> Result<Opened, PrepareError> {
        let registration = registration.ok_or(Unprepared::Gone)?;
        // During an append this can be older than the delivery's event, which is then read from the log.
        let record = self
            .hub
            .record(&delivery.key)
            .await?
            .ok_or(Unprepared::Gone)?;
        let dialect = Dialect::from_name(&registration.dialect).ok_or(Unprepared::Encode)?;
        let config = push::open(&self.sealer, registration).map_err(|_| Unprepared::Unseal)?;
        let (target, callback) = match config {
            push::Config::Webhook(config) => (
                Target::of(&config)
                    .map(|target| target.with_token_as(dialect.traits().token_header)),
                None,
            ),
            push::Config::Callback(callback) => (
                callback::target(&callback, dialect, delivery.attempts),
                Some(callback.form),
            ),
        };
        Ok(Opened {
            record,
            target: target.map_err(|_| Unprepared::Config)?,
            dialect,
            callback,
        })
    }

    /// The request for a delivery, as of `now`.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub async fn prepare(
        &self,
        delivery: &Delivery,
        opened: &Opened,
        now: Millis,
    ) -> Result<Prepared, PrepareError> {
        let Opened {
            record,
            target,
            dialect,
            callback,
        } = opened;
        let id = message_id(record.epoch, delivery);
        let (body, content_type) = match callback {
            Some(form) => {
                let task = self.task_at(delivery, record).await?;
                let body = callback::body(form, *dialect, &task, &id, delivery.created_at);
                (body, "application/json")
            }
            None => self.payload(delivery, record, *dialect).await?,
        };
        let timestamp = now.div_euclid(1000).to_string();
        let header = |value: &str| HeaderValue::from_str(value).map_err(|_| Unprepared::Encode);
        let mut headers = target.headers.clone();
        if !self.signing.is_empty() {
            let signature = sign::signatures(&self.signing, &id, &timestamp, &body);
            headers.insert(WEBHOOK_SIGNATURE, header(&signature)?);
        }
        headers.insert(WEBHOOK_ID, header(&id)?);
        headers.insert(WEBHOOK_TIMESTAMP, header(&timestamp)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("a2a-sidecar/", env!("CARGO_PKG_VERSION"))),
        );
        Ok(Prepared {
            url: target.url.clone(),
            headers,
            body,
            is_call: callback.is_some(),
        })
    }

    /// The task after the delivery's event.
    async fn task_at(
        &self,
        delivery: &Delivery,
        record: &TaskRecord,
    ) -> Result<Arc<Task>, StoreError> {
        let then = self
            .replays
            .at(&self.hub, record, &delivery.config_id, delivery.seq)
            .await?;
        Ok(then.task)
    }

    async fn payload(
        &self,
        delivery: &Delivery,
        record: &TaskRecord,
        dialect: Dialect,
    ) -> Result<(Bytes, &'static str), StoreError> {
        let seq = delivery.seq;
        let snapshot = delivery.kind == DeliveryKind::Snapshot;
        if !snapshot && !dialect.traits().posts_tasks {
            // The event alone is sent: no need to know how the task stood after it.
            let before = Seq(seq.0.saturating_sub(1));
            let event = self.hub.events(&record.key, before, 1).await?;
            return Ok(match event.first().filter(|entry| entry.seq == seq) {
                Some(entry) => dialect.encode_webhook(&entry.event, &record.task),
                // Trimmed: the task as it stands says more than the event would have.
                None => dialect.encode_webhook(
                    &StreamResponse::Task(Task::clone(&record.task)),
                    &record.task,
                ),
            });
        }
        let then = self
            .replays
            .at(&self.hub, record, &delivery.config_id, seq)
            .await?;
        let encoded = if snapshot {
            dialect.encode_webhook(&StreamResponse::Task(Task::clone(&then.task)), &then.task)
        } else {
            dialect.encode_webhook(&then.event, &then.task)
        };
        self.replays
            .keep(record, &delivery.config_id, then, encoded.0.len());
        Ok(encoded)
    }
}

/// The dialect that the store knows by this name.
/// `{epoch}_{digest of the task's key}_{number}`, with an `s` behind the number of a snapshot: that and the event of
/// the same number say different things, and a receiver that gets both must not take one for the other. No part is in
/// the hands of a requester or worker and none has a full stop, which the signature scheme asks for.
fn message_id(epoch: u64, delivery: &Delivery) -> String {
    let suffix = match delivery.kind {
        DeliveryKind::Event => "",
        DeliveryKind::Snapshot => "s",
    };
    format!(
        "{epoch:016x}_{}_{}{suffix}",
        digest(&delivery.key),
        delivery.seq
    )
}

/// 64 bits are enough beside the epoch, which is random already; the digest lets people group messages by task.
fn digest(key: &TaskKey) -> String {
    let mut hash = Sha256::new();
    for part in [&key.route, &key.tenant, &key.id] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What posts a request. One implementation is real; tests of the schedule have another, without sockets.
#[async_trait]
pub trait Post: Send + Sync + 'static {
    /// Posts, and says what came of it within `limit`.
    async fn post(&self, request: Prepared, limit: Duration) -> AttemptResult;
}

#[async_trait]
impl Post for DeliveryClient {
    async fn post(&self, request: Prepared, limit: Duration) -> AttemptResult {
        let is_call = request.is_call;
        let posted = self
            .request(Method::POST, request.url)
            .headers(request.headers)
            .body(request.body)
            .timeout(limit)
            .build();
        let Ok(posted) = posted else {
            return AttemptResult::Unprepared(Unprepared::Config);
        };
        let mut response = match self.execute(posted).await {
            Ok(response) => response,
            Err(DeliveryError::Refused(refused)) => return AttemptResult::Refused(refused),
            Err(DeliveryError::Http(error)) if error.is_timeout() => {
                return AttemptResult::TimedOut;
            }
            Err(DeliveryError::Http(error)) if error.is_connect() => return AttemptResult::Connect,
            Err(DeliveryError::Http(error)) if error.is_builder() => {
                return AttemptResult::Unprepared(Unprepared::Config);
            }
            Err(DeliveryError::Http(_)) => return AttemptResult::Broken,
        };
        let result = AttemptResult::Answered {
            status: response.status(),
            retry_after: response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| retry_after(value, crate::hub::now())),
        };
        let rest = async {
            let mut rest = Vec::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                if rest.len() + chunk.len() > MAX_ANSWER_BYTES {
                    break;
                }
                rest.extend_from_slice(&chunk);
            }
            rest
        };
        // Whether the rest came, broke or took too long: the status stands, unless what came is an error.
        let rest = timeout(MAX_ANSWER_WAIT, rest).await;
        match rest.ok().and_then(|rest| callback::error_of(&rest)) {
            Some(code) if is_call && result.delivered() => AttemptResult::Failed { code },
            _ => result,
        }
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
