//! The hub: the one door to task logs. It appends (reconcile, fold, keep, wake) and lets sinks follow.
//!
//! A wake says only "task T now ends at seq N"; every reader pulls from its own cursor, first from a short ring of
//! recent events and else from the store. Replay and live reading are one path: no gap, no repeat, no queue, and a slow
//! reader costs a cursor. The hub knows nothing of workers, dialects or HTTP.

mod follow;
mod live;
pub mod retention;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use follow::{Follow, Next};
pub use live::Entry;
use live::Live;

use crate::a2a::{StreamResponse, Task, TaskState};
use crate::store::{Append, Millis, PushRegistration, Store, StoreError, TaskRecord, WorkerLink};
use crate::task::fold::fold_mut;
use crate::task::reconcile::{Observation, Order, Reconciled, reconcile, reconcile_final};
use crate::task::{Seq, TaskKey};

/// How often an append is decided anew when another writer was quicker. Writers of one process queue on a lock, so
/// more than a few conflicts mean that something else is wrong.
const MAX_CONFLICTS: usize = 8;

/// How long new work is refused after the store has refused a write: short enough that nobody notices when it is over.
const REFUSING: Duration = Duration::from_millis(500);

/// Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    live: DashMap<TaskKey, Weak<Live>>,
    /// Rung after every append that may have made a delivery: the dispatcher sleeps on it.
    deliveries: Notify,
    /// Until when the store is taken for full or away, after a write that it refused.
    refusing_until: Mutex<Option<Instant>>,
}

/// What an observation did.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How many events it added.
    pub added: usize,
    /// The newest event's number after it.
    pub last_seq: Seq,
    /// Whether it was not looked at: the task was over already, or it is about another.
    pub dropped: bool,
    /// Whether the content cannot be told without reading the task anew from the worker.
    pub needs_snapshot: bool,
    /// The end that was reported and not yet published: read the task once more, then call [`Hub::end`].
    pub end: Option<StreamResponse>,
    /// The state after it, the held-back end not counted.
    pub state: TaskState,
}

impl Hub {
    /// A hub over this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                live: DashMap::new(),
                deliveries: Notify::new(),
                refusing_until: Mutex::new(None),
            }),
        }
    }

    /// The store below, for what is no matter of logs: the ledger, listings, expiry.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Waits until deliveries may have become due since the last call returned.
    pub async fn deliveries_changed(&self) {
        self.inner.deliveries.notified().await;
    }

    /// Rings for the dispatcher.
    pub fn wake_deliveries(&self) {
        self.inner.deliveries.notify_one();
    }

    /// Refuses if the store has just refused a write: a message that is sent to a worker now could not be kept, and the
    /// worker would do the work for nobody. One in a while is let through, to see whether the store takes writes again.
    ///
    /// # Errors
    /// `Busy`.
    pub fn check_store(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut until = self.refusing_until();
        if until.is_some_and(|until| now < until) {
            return Err(StoreError::Busy(
                "it has just refused a write; new work waits until it takes one".to_owned(),
            ));
        }
        if until.is_some() {
            // This one is the probe; the others wait for what becomes of it.
            *until = Some(now + REFUSING);
        }
        Ok(())
    }

    /// Notes how a write went.
    fn wrote<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match &outcome {
            Ok(_) => *self.refusing_until() = None,
            Err(error) if error.retryable() => {
                *self.refusing_until() = Some(Instant::now() + REFUSING);
            }
            Err(_) => {}
        }
        outcome
    }

    fn refusing_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.inner
            .refusing_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a new task: its first event is the task as given in `record`.
    ///
    /// # Errors
    /// `Conflict` if the task is there already, and the store's own.
    pub async fn create(
        &self,
        mut record: TaskRecord,
        push: Vec<PushRegistration>,
    ) -> Result<(), StoreError> {
        record.last_seq = Seq(1);
        record.first_seq = Seq(1);
        let first = Arc::new(StreamResponse::Task(Task::clone(&record.task)));
        let rings = !push.is_empty();
        let kept = self
            .inner
            .store
            .create(record.clone(), vec![first.clone()], push)
            .await;
        self.wrote(kept)?;
        if let Some(live) = self.peek(&record.key) {
            live.publish(record, vec![first]);
        }
        if rings {
            self.wake_deliveries();
        }
        Ok(())
    }

    /// The task as it stands; none if it is not kept here.
    ///
    /// # Errors
    /// The store's own.
    pub async fn record(&self, key: &TaskKey) -> Result<Option<TaskRecord>, StoreError> {
        if let Some(record) = self.peek(key).and_then(|live| live.record()) {
            return Ok(Some(record));
        }
        self.inner.store.task(key).await
    }

    /// Removes a task that is over, so that its key is free for another life.
    ///
    /// # Errors
    /// As [`crate::store::TaskLog::remove`].
    pub async fn remove(&self, key: &TaskKey) -> Result<(), StoreError> {
        let removed = self.inner.store.remove(key).await;
        if removed.is_ok() {
            // Who still reads the old life has all that there will ever be of it.
            self.inner.live.remove(key);
        }
        removed
    }

    /// The events after `after`, oldest first, at most `limit`: out of memory, if the recent ones there begin in time,
    /// else from the store. Events that were trimmed are simply not there: compare the first one's number.
    ///
    /// # Errors
    /// The store's own.
    pub async fn events(
        &self,
        key: &TaskKey,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        // None there says nothing: the store may hold one that is about to be published.
        if let Some(mut recent) = self.peek(key).and_then(|live| live.recent(after))
            && !recent.is_empty()
        {
            recent.truncate(limit);
            return Ok(recent);
        }
        let kept = self.inner.store.events(key, after, limit).await?;
        Ok(kept
            .into_iter()
            .map(|entry| Arc::new(Entry::new(entry.seq, entry.event, false)))
            .collect())
    }

    /// Merges what a source saw into the log. An end is held back: see [`Observed::end`].
    ///
    /// `since` is the number of the log's newest event when the observation began, where the source knows it: if nothing
    /// has been added in between, the observation is the newest there is, and else only what it carries of time and
    /// identity can place it (see [`Order`]).
    ///
    /// # Errors
    /// `NotFound` if the task is not kept here, and the store's own.
    pub async fn observe(
        &self,
        key: &TaskKey,
        event: StreamResponse,
        since: Option<Seq>,
    ) -> Result<Observed, StoreError> {
        let mut result = Observed::default();
        self.change(key, |record| {
            let order = if since == Some(record.last_seq) {
                Order::Latest
            } else {
                Order::Unknown
            };
            let mut reconciled = reconcile(
                Some(&record.task),
                Observation::Event {
                    event: event.clone(),
                    order,
                },
            );
            let end = reconciled
                .events
                .last()
                .is_some_and(StreamResponse::is_terminal)
                .then(|| reconciled.events.pop())
                .flatten();
            result = Observed {
                added: reconciled.events.len(),
                last_seq: Seq(record.last_seq.0 + reconciled.events.len() as u64),
                dropped: reconciled.dropped.is_some(),
                needs_snapshot: reconciled.needs_snapshot,
                end,
                state: reconciled
                    .events
                    .iter()
                    .rev()
                    .find_map(StreamResponse::status)
                    .map_or(record.task.status.state, |status| status.state),
            };
            Change {
                // With the end held back, it is not the task after what is left.
                task: reconciled.task.filter(|_| result.end.is_none()),
                events: reconciled.events,
                link: None,
            }
        })
        .await?;
        Ok(result)
    }

    /// Publishes the end of a task: first what `snapshot` (the task as read once more) has that the log has not, then
    /// exactly one terminal event. Nothing happens if the task is over already.
    ///
    /// # Errors
    /// As [`Hub::observe`].
    pub async fn end(
        &self,
        key: &TaskKey,
        end: StreamResponse,
        snapshot: Option<Task>,
    ) -> Result<(), StoreError> {
        self.change(key, |record| {
            let Reconciled { events, task, .. } =
                reconcile_final(Some(&record.task), end.clone(), snapshot.clone());
            // What the sidecar needed for its own calls in this task is not kept longer than the task.
            let link = (record.link.credentials.is_some() && !events.is_empty()).then(|| {
                Arc::new(WorkerLink {
                    credentials: None,
                    ..WorkerLink::clone(&record.link)
                })
            });
            Change { events, task, link }
        })
        .await
    }

    /// Merges a snapshot and, if it is one of a finished task, ends the task: for sources whose observation is the
    /// whole task as it is (a poll, the answer of a blocking call), so that no further read is needed.
    ///
    /// # Errors
    /// As [`Hub::observe`].
    pub async fn observe_whole(
        &self,
        key: &TaskKey,
        task: Task,
        since: Option<Seq>,
    ) -> Result<Observed, StoreError> {
        let mut observed = self.observe(key, StreamResponse::Task(task), since).await?;
        if let Some(end) = observed.end.take() {
            observed.state = end.status().map_or(observed.state, |status| status.state);
            self.end(key, end, None).await?;
            observed.added += 1;
            observed.last_seq = observed.last_seq.next();
        }
        Ok(observed)
    }

    /// Changes the link to the worker.
    ///
    /// # Errors
    /// As [`Hub::observe`].
    pub async fn relink(
        &self,
        key: &TaskKey,
        change: impl Fn(&mut WorkerLink),
    ) -> Result<(), StoreError> {
        self.change(key, |record| {
            let mut link = Arc::clone(&record.link);
            change(Arc::make_mut(&mut link));
            Change {
                events: Vec::new(),
                task: None,
                link: (link != record.link).then_some(link),
            }
        })
        .await
    }

    /// Keeps a push config for a task that is there, and has it told how the task stands.
    ///
    /// # Errors
    /// `NotFound` if the task is not kept here, and the store's own.
    pub async fn register(&self, push: PushRegistration) -> Result<(), StoreError> {
        // On the task's lock, so that the snapshot and the events after it leave no gap in between.
        let key = push.key.clone();
        let live = self.live(&key).await?.ok_or(StoreError::NotFound)?;
        let _writing = live.writing.lock().await;
        self.inner.store.register(push).await?;
        live.add_standing_demand();
        self.wake_deliveries();
        Ok(())
    }

    /// Follows the events after `after`. None if the task is not kept here.
    ///
    /// # Errors
    /// The store's own.
    pub async fn follow(&self, key: &TaskKey, after: Seq) -> Result<Option<Follow>, StoreError> {
        Ok(self
            .live(key)
            .await?
            .map(|live| Follow::new(self.inner.store.clone(), live, after)))
    }

    /// Watches whether anybody waits for news of the task: readers, and push configs of unfinished tasks.
    ///
    /// # Errors
    /// The store's own, and `NotFound`.
    pub async fn demand(&self, key: &TaskKey) -> Result<Demand, StoreError> {
        let live = self.live(key).await?.ok_or(StoreError::NotFound)?;
        Ok(Demand { live })
    }

    async fn change(
        &self,
        key: &TaskKey,
        mut decide: impl FnMut(&TaskRecord) -> Change,
    ) -> Result<(), StoreError> {
        let live = self.live(key).await?.ok_or(StoreError::NotFound)?;
        let _writing = live.writing.lock().await;
        for _ in 0..MAX_CONFLICTS {
            let mut record = match live.record() {
                Some(record) => record,
                None => self
                    .inner
                    .store
                    .task(key)
                    .await?
                    .ok_or(StoreError::NotFound)?,
            };
            let change = decide(&record);
            if change.events.is_empty() && change.link.is_none() {
                return Ok(());
            }
            let (events, task) = match change.task {
                Some(task) => (
                    change.events.into_iter().map(Arc::new).collect(),
                    task.into(),
                ),
                None => append_to(&record, change.events),
            };
            let now = now();
            let append = Append {
                key: key.clone(),
                expect: record.last_seq,
                events: events.clone(),
                task,
                link: change.link,
                now,
            };
            record.task = append.task.clone();
            record.last_seq = Seq(record.last_seq.0 + events.len() as u64);
            record.updated_at = now;
            if let Some(link) = &append.link {
                record.link = link.clone();
            }
            match self.wrote(self.inner.store.append(append).await) {
                Ok(()) => {
                    let rings = !events.is_empty();
                    live.publish(record, events);
                    if rings {
                        self.wake_deliveries();
                    }
                    return Ok(());
                }
                Err(StoreError::Conflict) => live.forget(),
                Err(error) => {
                    // Whether it was kept is not known: read it anew next time.
                    live.forget();
                    return Err(error);
                }
            }
        }
        Err(StoreError::Conflict)
    }

    fn peek(&self, key: &TaskKey) -> Option<Arc<Live>> {
        self.inner.live.get(key).and_then(|weak| weak.upgrade())
    }

    async fn live(&self, key: &TaskKey) -> Result<Option<Arc<Live>>, StoreError> {
        if let Some(live) = self.peek(key) {
            return Ok(Some(live));
        }
        let Some(record) = self.inner.store.task(key).await? else {
            return Ok(None);
        };
        let mut fresh = None;
        let live = {
            let mut slot = self.inner.live.entry(key.clone()).or_default();
            slot.upgrade().unwrap_or_else(|| {
                let live = Arc::new(Live::new(record));
                *slot = Arc::downgrade(&live);
                fresh = Some(());
                live
            })
        };
        if fresh.is_some() {
            // An append may have come between reading the record and publishing the entry; from here on every append
            // goes through the entry.
            let _writing = live.writing.lock().await;
            if let Some(record) = self.inner.store.task(key).await? {
                // Looked for here and not before: a config registered meanwhile, through an entry that has gone again,
                // would not be seen, and what it waits for never asked for.
                if !record.task.status.state.is_terminal()
                    && !self.inner.store.registrations(key).await?.is_empty()
                {
                    live.add_standing_demand();
                }
                live.refresh(record);
            }
            self.sweep();
        }
        Ok(Some(live))
    }

    /// Drops entries that nobody holds any more: now and then, so that no holder's `Drop` needs the map.
    fn sweep(&self) {
        const EVERY: usize = 1024;
        let len = self.inner.live.len();
        if len >= EVERY && len.is_power_of_two() || len > EVERY && len.is_multiple_of(EVERY) {
            self.inner.live.retain(|_, live| live.strong_count() > 0);
        }
    }
}

/// What an append is to do.
struct Change {
    events: Vec<StreamResponse>,
    /// The task after exactly these events, where that is known: it need not be made again.
    task: Option<Task>,
    link: Option<Arc<WorkerLink>>,
}

/// The events that fold, and the task after them.
fn append_to(
    record: &TaskRecord,
    events: Vec<StreamResponse>,
) -> (Vec<Arc<StreamResponse>>, Arc<Task>) {
    let mut task = record.task.clone();
    let mut folded = Vec::with_capacity(events.len());
    for event in events {
        match fold_mut(Arc::make_mut(&mut task), &event) {
            Ok(()) => folded.push(Arc::new(event)),
            // Reconciling gives only what folds; should it ever not, the log stays whole and the event is lost to the
            // log only.
            Err(rejected) => {
                tracing::error!(task = %record.key, %rejected, "an event did not fold and was dropped");
            }
        }
    }
    (folded, task)
}

/// Whether anybody waits for news of a task.
pub struct Demand {
    live: Arc<Live>,
}

impl Demand {
    /// Whether somebody does now.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.live.demanded()
    }

    /// Waits until somebody does.
    pub async fn wait(&self) {
        self.live.wait_demand().await;
    }

    /// Waits until the log goes past `seq`.
    pub async fn wait_past(&self, seq: Seq) {
        self.live.wait_past(seq).await;
    }

    /// The newest event's number.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.live.last_seq()
    }
}

/// The wall clock, for records only; waits use tokio's clock.
#[must_use]
pub fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
        })
}

#[cfg(test)]
mod tests;
