//! The dispatcher: takes due deliveries from the ledger, has them posted, and records what came of it.
//!
//! Order is the ledger's doing (it gives out only the oldest pending delivery of each push config), the schedule that of
//! [`super::retry`], the request that of [`super::webhook`]. At least once: a delivery leaves the ledger's queue only
//! when its outcome is recorded, so whatever ends the process, an attempt without a record is made again when its claim
//! has run out.

mod lanes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::policy::DeliveryPolicy;
use super::retry::{self, AttemptResult, Unprepared};
use super::webhook::{Opened, Post, PrepareError, SigningKey, Webhooks};
use crate::hub::{self, Hub};
use crate::store::seal::Sealer;
use crate::store::{AttemptOutcome, Claimed, Delivery, DeliveryId, Millis, StoreError};
use lanes::Lanes;

/// Attempts that have ended, by `outcome`: `delivered`, `retry`, `dead`.
pub const ATTEMPTS_TOTAL: &str = "a2a_sidecar_webhook_attempts_total";
/// How long an attempt took, from the claim to the receiver's answer, in seconds.
pub const ATTEMPT_SECONDS: &str = "a2a_sidecar_webhook_attempt_seconds";
/// Deliveries given up.
pub const DEAD_TOTAL: &str = "a2a_sidecar_webhook_dead_total";

/// How much longer than an attempt may take a claim holds: for reading the store before the attempt and writing to it
/// after. After a crash the attempts that were under way wait for this and the attempt's own limit.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);

/// The part of that margin that is left for the record: an attempt that cannot begin before it is not begun.
const RECORD_MARGIN: Duration = Duration::from_secs(2);

/// The longest time without a look at the ledger: a row that another process has made, or a step of the wall clock,
/// rings no bell here.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// The pause when the ledger calls a row due and then does not give it out: another process was quicker, and without a
/// pause both would ask without end.
const CONTENDED_WAIT: Duration = Duration::from_millis(20);

/// The first and the longest wait after an error of the store: quick enough for a lock that was held a moment too long,
/// slow enough for a disk that is full.
const STORE_WAIT_FIRST: Duration = Duration::from_millis(20);
const STORE_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long the record of an attempt that has been made is tried to be written. Longer than a claim: what is recorded
/// late is still not posted twice, as the row is known to be under way. Then the row is left to its claim, and is posted
/// again.
const RECORD_FOR: Duration = Duration::from_secs(300);

type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Delivers webhooks. One per process.
pub struct Dispatcher {
    shared: Arc<Shared>,
    drain: Duration,
}

struct Shared {
    hub: Hub,
    webhooks: Webhooks,
    client: Box<dyn Post>,
    policy: DeliveryPolicy,
    lanes: Lanes,
    clock: Clock,
}

impl Dispatcher {
    /// A dispatcher of this hub's deliveries. `client` carries the guard of addresses; with an
    /// [`AddressPolicy`](crate::net::guard::AddressPolicy) that allows it, it also posts to loopback. Webhooks are signed
    /// with each of the keys in `signing`.
    #[must_use]
    pub fn new(
        hub: Hub,
        sealer: Arc<Sealer>,
        client: impl Post,
        policy: DeliveryPolicy,
        signing: Vec<SigningKey>,
    ) -> Self {
        let drain = policy.attempt_timeout;
        Self {
            shared: Arc::new(Shared {
                webhooks: Webhooks::new(hub.clone(), sealer, signing),
                hub,
                client: Box::new(client),
                lanes: Lanes::new(policy.max_in_flight),
                policy,
                clock: Arc::new(hub::now),
            }),
            drain,
        }
    }

    /// How long attempts under way may go on after the cancel; without this, as long as an attempt may take.
    #[must_use]
    pub fn with_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    #[cfg(test)]
    fn with_clock(mut self, clock: Clock) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.clock = clock;
        }
        self
    }

    /// Delivers until `cancel`; then claims no more and gives the attempts under way the drain time. Those that do not
    /// end in it are dropped without a record and are made again when their claims have run out. Returns how many.
    pub async fn run(self, cancel: CancellationToken) -> usize {
        let mut under_way = UnderWay::default();
        let mut backoff = Backoff::default();
        loop {
            let wait = match self.round(&mut under_way).await {
                Ok(wait) => {
                    backoff = Backoff::default();
                    wait
                }
                Err(error) => {
                    let wait = backoff.next();
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "the ledger of deliveries cannot be read");
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = sleep(wait) => continue,
                    }
                }
            };
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = under_way.one_ended(), if !under_way.is_empty() => {}
                () = self.shared.hub.deliveries_changed(), if wait.for_news => {}
                () = self.shared.lanes.stepped_aside(), if !wait.for_news => {}
                () = sleep(wait.at_most) => {}
            }
        }
        let _ = timeout(self.drain, under_way.all_ended()).await;
        let dropped = under_way.len();
        if dropped > 0 {
            tracing::info!(
                dropped,
                "webhooks under way were cut short; they will be posted again"
            );
        }
        under_way.attempts.shutdown().await;
        dropped
    }

    /// Starts what is due, as far as there is room.
    async fn round(&self, under_way: &mut UnderWay) -> Result<Wait, StoreError> {
        let shared = &self.shared;
        let claim_for = shared.policy.attempt_timeout + CLAIM_MARGIN;
        loop {
            under_way.collect_ended();
            // Those that wait for their own receiver take no place that another could use.
            let busy = under_way.len().saturating_sub(shared.lanes.waiting());
            let room = shared.policy.max_in_flight.max(1).saturating_sub(busy);
            if room == 0 {
                // The end of an attempt makes room and is waited for in any case; so does one that steps aside.
                return Ok(Wait {
                    for_news: false,
                    at_most: MAX_IDLE,
                });
            }
            let now = (shared.clock)();
            // Taken before the claim: the claim's own duration counts against it.
            let claim_ends = Instant::now() + claim_for;
            let until = now.saturating_add(millis(claim_for));
            let claims = shared.hub.store().claim(now, until, room).await?;
            let full = claims.taken.len() == room;
            for claimed in claims.taken {
                under_way.start(shared, claimed, claim_ends);
            }
            if full {
                continue;
            }
            let at_most = match claims.next_due {
                Some(due) if due <= now => CONTENDED_WAIT,
                Some(due) => {
                    let wait = due.saturating_sub((shared.clock)()).max(0);
                    Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(MAX_IDLE)
                }
                None => MAX_IDLE,
            };
            return Ok(Wait {
                for_news: true,
                at_most,
            });
        }
    }
}

/// What the dispatcher waits for.
struct Wait {
    /// Whether new deliveries would be of use: without room they would not, and their bell stays rung.
    for_news: bool,
    at_most: Duration,
}

/// The attempts under way.
#[derive(Default)]
struct UnderWay {
    attempts: JoinSet<()>,
    by_task: HashMap<Id, DeliveryId>,
}

impl UnderWay {
    fn len(&self) -> usize {
        self.attempts.len()
    }

    fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    fn start(&mut self, shared: &Arc<Shared>, claimed: Claimed, claim_ends: Instant) {
        let id = claimed.delivery.id;
        // At most `max_in_flight` values: a search costs less than a second map.
        if self.by_task.values().any(|under_way| *under_way == id) {
            // Its claim ran out while its record is being written: posting it now would be a repeat of our own doing.
            return;
        }
        let shared = shared.clone();
        let attempt = self
            .attempts
            .spawn(async move { shared.attempt(claimed, claim_ends).await });
        self.by_task.insert(attempt.id(), id);
    }

    async fn one_ended(&mut self) {
        if let Some(ended) = self.attempts.join_next_with_id().await {
            self.ended(ended);
        }
    }

    fn collect_ended(&mut self) {
        while let Some(ended) = self.attempts.try_join_next_with_id() {
            self.ended(ended);
        }
    }

    async fn all_ended(&mut self) {
        while !self.is_empty() {
            self.one_ended().await;
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let delivery = self.by_task.remove(&id);
        if let Err(error) = ended {
            tracing::error!(?delivery, %error, "an attempt to deliver a webhook broke off; it will be made again");
        }
    }
}

impl Shared {
    async fn attempt(&self, claimed: Claimed, claim_ends: Instant) {
        let Claimed { delivery, push } = claimed;
        let begin_until = claim_ends - self.policy.attempt_timeout - RECORD_MARGIN;
        let opened = self
            .with_store(begin_until, || self.webhooks.open(&delivery, push.as_ref()))
            .await;
        let opened = match opened {
            Err(PrepareError::Store(error)) => return put_off(&delivery, &error),
            opened => opened,
        };
        let host = opened.as_ref().ok().map(Opened::host);
        // Held until the outcome is recorded.
        let mut place = None;
        if let Some(host) = host.clone() {
            place = self.lanes.enter(host, begin_until).await;
            if place.is_none() {
                // No attempt was made and none is recorded: the claim runs out, and the row is given out again.
                tracing::debug!(task = %delivery.key, seq = delivery.seq.0, "a delivery is put off: its receiver is busy");
                return;
            }
        }
        let started = Instant::now();
        let prepared = match &opened {
            Ok(opened) => {
                self.with_store(begin_until, || {
                    self.webhooks.prepare(&delivery, opened, (self.clock)())
                })
                .await
            }
            Err(PrepareError::Unprepared(reason)) => Err((*reason).into()),
            Err(PrepareError::Store(_)) => return,
        };
        let result = match prepared {
            Ok(request) => self.client.post(request, self.policy.attempt_timeout).await,
            Err(PrepareError::Unprepared(reason)) => AttemptResult::Unprepared(reason),
            Err(PrepareError::Store(error)) => return put_off(&delivery, &error),
        };
        let took = started.elapsed();
        let now = (self.clock)();
        let outcome = retry::next(
            &self.policy,
            delivery.attempts,
            delivery.created_at,
            now,
            &result,
            &mut rand::rng(),
        );
        let recorded = self
            .record(&delivery, &outcome, describe(&result), now)
            .await;
        drop(place);
        Attempted {
            delivery: &delivery,
            host: host.as_deref(),
            result: &result,
            outcome: &outcome,
            took,
            next_in: match outcome {
                AttemptOutcome::Retry { at } => Some(at.saturating_sub(now)),
                AttemptOutcome::Delivered | AttemptOutcome::Dead => None,
            },
            recorded,
        }
        .emit();
    }

    /// Makes a call anew as long as the store says that this may help and there is time for an attempt in the claim.
    async fn with_store<T, F>(
        &self,
        begin_until: Instant,
        mut call: impl FnMut() -> F,
    ) -> Result<T, PrepareError>
    where
        F: Future<Output = Result<T, PrepareError>>,
    {
        let mut backoff = Backoff::default();
        loop {
            let result = call().await;
            match &result {
                Err(PrepareError::Store(error)) if error.retryable() => {}
                _ => return result,
            }
            let wait = backoff.next();
            if Instant::now() + wait >= begin_until {
                return result;
            }
            sleep(wait).await;
        }
    }

    /// Writes down what came of an attempt; whether that was possible.
    async fn record(
        &self,
        delivery: &Delivery,
        outcome: &AttemptOutcome,
        line: String,
        now: Millis,
    ) -> bool {
        let give_up = Instant::now() + RECORD_FOR;
        let mut backoff = Backoff::default();
        loop {
            let recorded = self
                .hub
                .store()
                .finish(delivery.id, outcome.clone(), line.clone(), now)
                .await;
            let error = match recorded {
                // The push config was removed meanwhile, and the row with it.
                Ok(()) | Err(StoreError::NotFound) => return true,
                Err(error) => error,
            };
            let wait = backoff.next();
            if !error.retryable() || Instant::now() + wait >= give_up {
                tracing::error!(task = %delivery.key, seq = delivery.seq.0, %error, "an attempt could not be recorded; it will be made again");
                return false;
            }
            sleep(wait).await;
        }
    }
}

/// No attempt was made and none is recorded: the claim runs out, and the row is given out again.
fn put_off(delivery: &Delivery, error: &StoreError) {
    tracing::warn!(task = %delivery.key, seq = delivery.seq.0, %error, "a delivery cannot be read and is put off");
}

/// The ledger's line for people: without secrets, and without what the receiver wrote.
fn describe(result: &AttemptResult) -> String {
    match result {
        AttemptResult::Answered {
            status,
            retry_after: None,
        } => answer(*status),
        AttemptResult::Answered {
            status,
            retry_after: Some(wait),
        } => format!("{}, Retry-After {} s", answer(*status), wait.as_secs()),
        AttemptResult::Failed { code } => format!("the agent answered with error {code}"),
        AttemptResult::Refused(refused) => format!("refused: {refused}"),
        AttemptResult::Connect => "no connection".to_owned(),
        AttemptResult::TimedOut => "no answer in time".to_owned(),
        AttemptResult::Broken => "the connection broke before the answer".to_owned(),
        AttemptResult::Unprepared(reason) => match reason {
            Unprepared::Unseal => "the push config was sealed with another key",
            Unprepared::Config => "the push config cannot be used in HTTP",
            Unprepared::Encode => "the payload cannot be encoded in the push config's dialect",
            Unprepared::Gone => "the push config or its task is gone",
        }
        .to_owned(),
    }
}

fn answer(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// An attempt that has ended: one log line and its metrics.
struct Attempted<'a> {
    delivery: &'a Delivery,
    host: Option<&'a str>,
    result: &'a AttemptResult,
    outcome: &'a AttemptOutcome,
    took: Duration,
    next_in: Option<Millis>,
    recorded: bool,
}

impl Attempted<'_> {
    fn emit(self) {
        let name = match self.outcome {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::Retry { .. } => "retry",
            AttemptOutcome::Dead => "dead",
        };
        metrics::counter!(ATTEMPTS_TOTAL, "outcome" => name).increment(1);
        metrics::histogram!(ATTEMPT_SECONDS).record(self.took.as_secs_f64());
        if *self.outcome == AttemptOutcome::Dead {
            metrics::counter!(DEAD_TOTAL).increment(1);
        }
        let duration_ms = self.took.as_micros() as f64 / 1e3;
        // One line in three levels; the level is part of a call's static data.
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    tracing::Level::$level,
                    task = self.delivery.key.to_string(),
                    config = self.delivery.config_id,
                    seq = self.delivery.seq.0,
                    attempt = self.delivery.attempts.saturating_add(1),
                    outcome = name,
                    stage = self.result.stage(),
                    status = self.result.status().map(|status| status.as_u16()),
                    host = self.host,
                    duration_ms,
                    next_in_ms = self.next_in,
                    recorded = self.recorded,
                    "delivery.attempted"
                )
            };
        }
        match self.outcome {
            AttemptOutcome::Delivered => line!(DEBUG),
            AttemptOutcome::Retry { .. } => line!(WARN),
            // Said by the receiver, forbidden by the operator, or wanted by nobody: nothing is lost.
            AttemptOutcome::Dead
                if matches!(
                    self.result,
                    AttemptResult::Answered {
                        status: StatusCode::GONE,
                        ..
                    } | AttemptResult::Refused(_)
                        | AttemptResult::Unprepared(Unprepared::Gone)
                ) =>
            {
                line!(WARN);
            }
            AttemptOutcome::Dead => line!(ERROR),
        }
    }
}

/// Waits after errors of the store: doubled each time.
struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(STORE_WAIT_FIRST)
    }
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (self.0 * 2).min(STORE_WAIT_MAX);
        wait
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
