//! What is kept, and for how long: ended tasks go when their time is over, and long logs lose their oldest events.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Hub, now};
use crate::store::{DeliveryState, StoreError, TaskFilter};
use crate::task::Seq;

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
            break;
        }
    }
    trim(hub, policy.max_events_per_task).await?;
    Ok(gone)
}

/// Shortens the logs that are too long. An event that is still to be delivered stays.
async fn trim(hub: &Hub, max_events: usize) -> Result<(), StoreError> {
    let max_events = max_events as u64;
    let mut after = None;
    loop {
        let page = hub
            .store()
            .tasks(TaskFilter {
                after: after.take(),
                limit: BATCH,
                ..TaskFilter::default()
            })
            .await?;
        for record in &page {
            let kept = record.last_seq.0 + 1 - record.first_seq.0;
            if kept <= max_events {
                continue;
            }
            let pending = hub
                .store()
                .deliveries(&record.key, usize::MAX)
                .await?
                .into_iter()
                .filter(|delivery| delivery.state == DeliveryState::Pending)
                .map(|delivery| delivery.seq.0)
                .min();
            let keep_from = (record.last_seq.0 + 1 - max_events).min(pending.unwrap_or(u64::MAX));
            if keep_from > record.first_seq.0 {
                hub.store().trim(&record.key, Seq(keep_from)).await?;
            }
        }
        after = page
            .last()
            .map(|record| (record.updated_at, record.key.clone()));
        if page.len() < BATCH {
            return Ok(());
        }
    }
}
