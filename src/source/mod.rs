//! Sources: how the sidecar learns of a task from the worker, and who watches which task.
//!
//! A *turn* (`open`) sends a message and brings the first news; a *supervisor* (`supervise`) then watches the task by
//! whichever way works, replaces one way by another when it fails, and stops at the end. There is one supervisor per
//! task, however many requesters watch it. Sources write into the hub and know nothing of sinks.

mod adopt;
mod block;
pub mod callback;
mod keep;
mod merge;
mod open;
mod policy;
mod poll;
mod push;
mod stream;
mod supervise;
mod upstream;
pub mod webhook;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use open::{First, OpenError, PushOrder, Turn, Want};
pub use policy::{Policy, PollPolicy, PushPolicy, StreamPolicy};
pub use upstream::Upstream;

use crate::hub::Hub;
use crate::store::seal::Sealer;
use crate::store::{StoreError, TaskFilter, TaskRecord};
use crate::task::TaskKey;
use crate::task::ids::{Alias, IdMap};
use crate::worker::CallContext;

/// How news of a task travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The answer comes when the task is done.
    Blocking,
    /// The task is asked for.
    Poll,
    /// Server-sent events.
    Stream,
    /// Webhooks.
    Push,
    /// A task, or a message, sent back when the task is over: to an agent of whoever asked for it.
    Callback,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 5] = [
        Mode::Blocking,
        Mode::Poll,
        Mode::Stream,
        Mode::Push,
        Mode::Callback,
    ];

    /// The name in the configuration, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Blocking => "blocking",
            Mode::Poll => "poll",
            Mode::Stream => "stream",
            Mode::Push => "push",
            Mode::Callback => "callback",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// How many unfinished tasks are read from the store at once when the sidecar starts.
const RESUME_PAGE: usize = 256;

/// The sources of all tasks. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Sources {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Hub,
    sealer: Arc<Sealer>,
    running: DashMap<TaskKey, Running>,
    early: DashMap<[u8; 32], Early>,
    reading: DashMap<TaskKey, Reading>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// When the last reading of a task on a requester's behalf began; locked while one is under way.
type Reading = Arc<tokio::sync::Mutex<Option<tokio::time::Instant>>>;

/// A supervisor at work.
struct Running {
    generation: u64,
    stop: CancellationToken,
}

/// Webhooks that came before the answer to the send that asked for them.
#[derive(Default)]
struct Early {
    events: VecDeque<webhook::News>,
    bound: usize,
}

impl Sources {
    /// Sources that write into this hub.
    #[must_use]
    pub fn new(hub: Hub, sealer: Arc<Sealer>) -> Self {
        Self {
            inner: Arc::new(Inner {
                hub,
                sealer,
                running: DashMap::new(),
                early: DashMap::new(),
                reading: DashMap::new(),
                tracker: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// The hub that they write into.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    /// Whether the task has a supervisor, so that its log is as new as it can be.
    #[must_use]
    pub fn watches(&self, key: &TaskKey) -> bool {
        self.inner.running.contains_key(key)
    }

    /// Starts watching the unfinished tasks that the store holds; `upstream` finds a route by its name. Tasks of routes
    /// that are no longer there stay as they are.
    ///
    /// # Errors
    /// The store's own.
    pub async fn resume(
        &self,
        upstream: impl Fn(&str) -> Option<Arc<Upstream>>,
    ) -> Result<usize, StoreError> {
        let mut resumed = 0;
        let mut after = None;
        loop {
            let page = self
                .hub()
                .store()
                .tasks(TaskFilter {
                    unfinished: true,
                    after: after.take(),
                    limit: RESUME_PAGE,
                    ..TaskFilter::default()
                })
                .await?;
            let full = page.len() == RESUME_PAGE;
            after = page
                .last()
                .map(|record| (record.updated_at, record.key.clone()));
            for record in page {
                match upstream(&record.key.route) {
                    Some(upstream) => {
                        self.watch(&record, &upstream, supervise::Start::Resume);
                        resumed += 1;
                    }
                    None => {
                        tracing::warn!(task = %record.key, "the task's route is gone: it is not watched");
                    }
                }
            }
            if !full {
                return Ok(resumed);
            }
        }
    }

    /// Sees to it that the task is watched: for a task that was read and not sent through here, and for one whose
    /// watching had paused.
    pub fn ensure(&self, record: &TaskRecord, upstream: &Arc<Upstream>) {
        if !record.task.status.state.is_terminal() && !self.watches(&record.key) {
            self.watch(record, upstream, supervise::Start::Choose);
        }
    }

    /// Ends the watching of a task: its end is in the log by another hand.
    pub fn forget(&self, key: &TaskKey) {
        if let Some((_, running)) = self.inner.running.remove(key) {
            running.stop.cancel();
        }
    }

    /// Stops everything; waits at most `grace` for what is under way to come to rest.
    pub async fn stop(&self, grace: Duration) {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        let _ = tokio::time::timeout(grace, self.inner.tracker.wait()).await;
    }

    /// The context for the sidecar's own calls in a task: that of the requester who created it.
    fn context_of(&self, record: &TaskRecord, upstream: &Upstream) -> CallContext {
        if upstream.worker.has_own_headers() {
            return CallContext::default();
        }
        record
            .link
            .credentials
            .as_ref()
            .and_then(|sealed| {
                self.inner
                    .sealer
                    .open(&seal_context(&record.key), sealed)
                    .map_err(|error| {
                        tracing::warn!(task = %record.key, %error, "kept credentials cannot be read");
                    })
                    .ok()
            })
            .map(|bytes| CallContext::from_bytes(bytes.expose_secret()))
            .unwrap_or_default()
    }
}

/// What a sealed value of a task is bound to, so that it cannot be moved to another one.
fn seal_context(key: &TaskKey) -> Vec<u8> {
    format!("task/{}/{}/{}", key.route, key.tenant, key.id).into_bytes()
}

/// From the worker's ids to the requester's, in one task.
#[must_use]
pub fn id_map(record: &TaskRecord) -> IdMap {
    IdMap::new(
        record
            .link
            .task_id
            .as_deref()
            .and_then(|theirs| Alias::new(theirs, &*record.key.id)),
        record
            .link
            .context_id
            .as_deref()
            .and_then(|theirs| Alias::new(theirs, record.task.context_id.as_str())),
    )
}
