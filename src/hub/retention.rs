//! What is kept, and for how long: ended tasks go when their time is over, and long logs lose their oldest events.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Hub, now};
use crate::store::StoreError;

/// How often it is looked at: often enough that a day's bound is kept to the minute, and cheap.
const EVERY: Duration = Duration::from_secs(60);

/// How many tasks go at once, so that no other writer waits long.
const BATCH: usize = 200;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How long a task is kept after its end.
    pub retention: Duration,
    /// The most events of one task.
    pub max_events_per_task: usize,
}

/// Runs until it is stopped. `beside` is run as often: what else needs regular care.
pub async fn run(hub: Hub, policy: Policy, beside: impl Fn(), stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        beside();
        if let Err(error) = once(&hub, policy).await {
            tracing::warn!(%error, "old tasks could not be removed; it is tried again");
        }
    }
}

/// Removes what is too old, once; gives how many tasks went.
///
/// # Errors
/// The store's own.
pub async fn once(hub: &Hub, policy: Policy) -> Result<usize, StoreError> {
    let age = i64::try_from(policy.retention.as_millis()).unwrap_or(i64::MAX);
    let before = now().saturating_sub(age);
    let mut gone = 0;
    loop {
        let batch = hub.store().expire(before, BATCH).await?;
        gone += batch;
        if batch < BATCH {
            return Ok(gone);
        }
    }
}
