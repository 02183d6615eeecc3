//! What the sidecar keeps: tasks with their events, aliases of ids, push configs and the ledger of deliveries.
//!
//! The traits' documentation is their contract, and `conformance.rs` checks it against every implementation. A store
//! knows nothing of the rules of tasks: it is given events that are already decided and keeps them in order. Secrets
//! reach it sealed (see `seal.rs`); times are given to it (`now`), so that a test owns the clock.

#[doc(hidden)]
pub mod conformance;
pub mod error;
pub mod list;
pub mod memory;
pub mod push;
pub mod seal;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;

pub use error::StoreError;
pub use list::{ListCursor, ListFilter, ListPage, Nanos};
pub use memory::MemoryStore;
pub use seal::{SealError, Sealer};
pub use sqlite::{SqliteOptions, SqliteStore};

use crate::a2a::{StreamResponse, Task, TaskState};
use crate::task::{Seq, TaskKey};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// Bytes that only the holder of the sealing key can read.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Whose a task is: a digest of the route and of the credentials that it was created with; never the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Principal(pub [u8; 32]);

/// One task as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// Which task.
    pub key: TaskKey,
    /// Random, made when the record is: tells this life of the task from another with the same id.
    pub epoch: u64,
    /// The task as the events up to `last_seq` make it.
    pub task: Arc<Task>,
    /// The newest event's number.
    pub last_seq: Seq,
    /// The oldest event's number that is still kept (1 until events are trimmed).
    pub first_seq: Seq,
    /// Whose it is.
    pub owner: Principal,
    /// What changes without an event.
    pub link: Arc<WorkerLink>,
    /// When the record was made.
    pub created_at: Millis,
    /// When the last event or change of the link came.
    pub updated_at: Millis,
}

/// How the sidecar is connected with the worker over this task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerLink {
    /// The worker's own id of the task; none until it has given one.
    pub task_id: Option<String>,
    /// The worker's own id of the context; none until it has given one.
    pub context_id: Option<String>,
    /// The base of the worker's address, where a route has several workers.
    pub worker: String,
    /// The name of the way by which the task is being observed: a `source::Mode`; opaque to the store.
    pub source: String,
    /// The name of the dialect that the task was sent in; opaque to the store. Empty where nobody sent it through here.
    pub requester: String,
    /// The unguessable token of the sidecar's own webhook address for this task, sealed by digest: only a hash is kept.
    pub push_token_hash: Option<[u8; 32]>,
    /// Credentials and service parameters for the sidecar's own calls in this task, sealed. Dropped when the task ends.
    pub credentials: Option<Sealed>,
}

/// One event of a task's log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// Its number.
    pub seq: Seq,
    /// What happened.
    pub event: Arc<StreamResponse>,
    /// When the sidecar saw it.
    pub observed_at: Millis,
}

/// What one append does, all of it or nothing.
#[derive(Clone, Debug)]
pub struct Append {
    /// Which task.
    pub key: TaskKey,
    /// The `last_seq` that the decision was made on; another one in the store is a [`StoreError::Conflict`].
    pub expect: Seq,
    /// The new events, numbered by the store from `expect + 1`. May be empty: only the link changes then.
    pub events: Vec<Arc<StreamResponse>>,
    /// The task after them: exactly what [`crate::task::fold`] makes of them and the task before, because a store may
    /// keep the events alone and fold them again. Without events it is not looked at.
    pub task: Arc<Task>,
    /// The new link, if it changes.
    pub link: Option<Arc<WorkerLink>>,
    /// The time.
    pub now: Millis,
}

/// What is made of a registration, and so which events it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationKind {
    /// A webhook for every event; registered late, one for the task as it stands first.
    Webhook,
    /// One call when the task is over: for its last event, or, registered after that, for the task as it stands.
    Callback,
}

/// A push config that the sidecar serves, or a callback.
#[derive(Clone, Debug, PartialEq)]
pub struct PushRegistration {
    /// The task.
    pub key: TaskKey,
    /// Which deliveries it gets.
    pub kind: RegistrationKind,
    /// The config's id, unique within the task.
    pub id: String,
    /// The name of the dialect that it was registered in, which is that of the payloads.
    pub dialect: String,
    /// The config itself (address, token, credentials), sealed.
    pub config: Sealed,
    /// When it was registered.
    pub created_at: Millis,
}

/// The number of a delivery in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub i64);

/// What a delivery brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryKind {
    /// The event of this number.
    Event,
    /// The task as it stood after the event of this number: the first delivery to a config registered late.
    Snapshot,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be tried at `next_attempt_at`, once those before it are done.
    Pending,
    /// Acknowledged with a 2xx.
    Delivered,
    /// Given up; listed until somebody redelivers or drops it.
    Dead,
}

/// One row of the ledger: one event for one push config.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// The task.
    pub key: TaskKey,
    /// The push config.
    pub config_id: String,
    /// Which event.
    pub seq: Seq,
    /// The event, or the state after it.
    pub kind: DeliveryKind,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is to be tried next.
    pub next_attempt_at: Millis,
    /// Until when the current claim holds; 0 without one.
    pub claimed_until: Millis,
    /// The last attempt's outcome in one line, without secrets.
    pub last_outcome: Option<String>,
    /// When the row was made.
    pub created_at: Millis,
}

/// A delivery that is the caller's to attempt, with all that the store knows of where it goes: an attempt needs no
/// second call.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The row, as claimed.
    pub delivery: Delivery,
    /// Its push config; none if the row has outlived it.
    pub push: Option<PushRegistration>,
}

/// What a claim brings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// What was claimed, oldest due first.
    pub taken: Vec<Claimed>,
    /// When, after this claim, the next pending delivery can be claimed (it is due, or its claim runs out); none if
    /// there is none.
    pub next_due: Option<Millis>,
}

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptOutcome {
    /// A 2xx came back.
    Delivered,
    /// To be tried again at this time.
    Retry {
        /// When.
        at: Millis,
    },
    /// Not to be tried again.
    Dead,
}

/// Which tasks to list.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only those of this route.
    pub route: Option<String>,
    /// Only those of this principal.
    pub owner: Option<Principal>,
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those that are not over.
    pub unfinished: bool,
    /// Only those after this one, in the listing's order (newest `updated_at` first, then by key).
    pub after: Option<(Millis, TaskKey)>,
    /// At most this many.
    pub limit: usize,
}

/// Tasks and their logs.
///
/// - **Durable**: a call that returned `Ok` survives a kill of the process at any moment.
/// - **Atomic**: all of a call or nothing.
/// - **Ordered**: events of a task are numbered without gaps in the order of the appends; readers see a prefix.
/// - **Cancel-safe**: a dropped call has either happened whole or not at all.
/// - Every call may fail with `Busy`, `Unavailable` or `Corrupt`.
#[async_trait]
pub trait TaskLog: Send + Sync {
    /// Keeps a new task with its first events (numbered from 1, so `record.last_seq` is their count) and the push
    /// configs that came with the send; every event gets a delivery for each of them, as [`RegistrationKind`] says.
    /// `Conflict` if the key exists.
    /// Credentials of a task that is over are not kept, here and in `append`.
    async fn create(
        &self,
        record: TaskRecord,
        events: Vec<Arc<StreamResponse>>,
        push: Vec<PushRegistration>,
    ) -> Result<(), StoreError>;

    /// Appends events, and makes a pending delivery for each event and each push config of the task, in the same
    /// transaction; for a callback only of the last event, and only if the task is over after it. `Conflict` if `expect` is not the record's `last_seq`, `NotFound` if there is no record.
    async fn append(&self, append: Append) -> Result<(), StoreError>;

    /// The record, or none.
    async fn task(&self, key: &TaskKey) -> Result<Option<TaskRecord>, StoreError>;

    /// The record whose worker calls the task by this id (the newest, if it calls several so), or none.
    async fn task_by_worker_id(
        &self,
        route: &str,
        tenant: &str,
        worker_task_id: &str,
    ) -> Result<Option<TaskRecord>, StoreError>;

    /// The record whose own webhook address has this token, or none.
    async fn task_by_push_token(
        &self,
        token_hash: &[u8; 32],
    ) -> Result<Option<TaskRecord>, StoreError>;

    /// The worker's id of a context that some task of the route gave another id to, or none.
    async fn worker_context_id(
        &self,
        route: &str,
        tenant: &str,
        context_id: &str,
    ) -> Result<Option<String>, StoreError>;

    /// The events after `after`, oldest first, at most `limit`. Events that were trimmed are simply not there: compare
    /// the first one's number.
    async fn events(
        &self,
        key: &TaskKey,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError>;

    /// The records that match, newest change first.
    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<TaskRecord>, StoreError>;

    /// A page of one principal's tasks. See [`ListPage`] for the order; the time of a status is what it says itself, or
    /// else the `now` of the write that brought it.
    async fn list(&self, filter: ListFilter) -> Result<ListPage, StoreError>;

    /// Removes events of a task below `keep_from`, and sets `first_seq`, which never goes back nor beyond the next
    /// event's number. `NotFound` if there is no record.
    async fn trim(&self, key: &TaskKey, keep_from: Seq) -> Result<(), StoreError>;

    /// Removes a task that is over, with all that hangs on it. `Conflict` if it is not over or has a pending delivery: a
    /// webhook that was not acknowledged is not lost; `NotFound` if there is none.
    async fn remove(&self, key: &TaskKey) -> Result<(), StoreError>;

    /// Removes tasks that ended before `ended_before` and have no pending delivery, with all that hangs on them;
    /// at most `limit`. Returns how many went.
    async fn expire(&self, ended_before: Millis, limit: usize) -> Result<usize, StoreError>;
}

/// Push configs that the sidecar serves.
#[async_trait]
pub trait Subscriptions: Send + Sync {
    /// Keeps a config (replacing one of the same id) and makes one pending [`DeliveryKind::Snapshot`] for the task as
    /// it stands (for a callback only if it is over); later events follow. What was pending for a replaced one stays before it and is due at the new one's
    /// `created_at` at the latest: a corrected address need not wait for the old one's backoff. `NotFound` if there is
    /// no such task.
    async fn register(&self, push: PushRegistration) -> Result<(), StoreError>;

    /// The configs of a task, oldest first.
    async fn registrations(&self, key: &TaskKey) -> Result<Vec<PushRegistration>, StoreError>;

    /// Removes a config and its pending deliveries (those that are done stay listed); whether there was one.
    async fn unregister(&self, key: &TaskKey, id: &str) -> Result<bool, StoreError>;
}

/// The ledger of deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Claims deliveries that are due: of each push config only its oldest pending one, if it is due and unclaimed (or
    /// its claim has run out), so that a config's events go out in order. A claim holds until `until`; nobody else gets
    /// the row before. Oldest due first, at most `limit`; with a limit of 0 it only tells when the next is due.
    async fn claim(&self, now: Millis, until: Millis, limit: usize) -> Result<Claims, StoreError>;

    /// Ends a claim with an outcome, counts the attempt and keeps the line that describes it (at most 500 characters,
    /// without secrets). `NotFound` if the row has gone (the config was removed meanwhile). A row that is not pending
    /// any more (the claim ran out and another's attempt ended it) stays as it is.
    async fn finish(
        &self,
        id: DeliveryId,
        outcome: AttemptOutcome,
        line: String,
        now: Millis,
    ) -> Result<(), StoreError>;

    /// Makes a dead delivery pending again, due at `now`; it goes before what is pending already, being older. Any
    /// other is left as it is. `NotFound` if the row or its config has gone.
    async fn redeliver(&self, id: DeliveryId, now: Millis) -> Result<(), StoreError>;

    /// The deliveries of a task, oldest first, at most `limit`.
    async fn deliveries(&self, key: &TaskKey, limit: usize) -> Result<Vec<Delivery>, StoreError>;
}

/// How much of an attempt's line is kept, in characters: a status line and a reason, not a receiver's whole page.
pub const MAX_OUTCOME_LINE: usize = 500;

/// The line as it is kept.
fn bounded_line(mut line: String) -> String {
    if let Some((end, _)) = line.char_indices().nth(MAX_OUTCOME_LINE) {
        line.truncate(end);
    }
    line
}

/// Everything the sidecar keeps, in one place.
pub trait Store: TaskLog + Subscriptions + Deliveries + 'static {}

impl<T: TaskLog + Subscriptions + Deliveries + 'static> Store for T {}
