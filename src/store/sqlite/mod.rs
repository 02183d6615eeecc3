//! The store in one SQLite file, for one sidecar: it survives a kill of the process at any moment.
//!
//! One thread writes and groups what waits into one transaction (`writer.rs`); a few read beside it, each call in one
//! transaction, so that it sees one moment. Statements are in `log.rs` and `ledger.rs`, the file in `schema.rs`.
//! Several sidecars cannot share the file: a lock file beside it (`<path>.lock`) refuses the second. The file must be
//! on a local disk, because neither locks nor the write-ahead log's shared memory work over a network.

mod error;
mod ledger;
mod listing;
mod log;
mod schema;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::oneshot;

pub use error::OpenError;

use super::{
    Append, AttemptOutcome, Claims, Deliveries, Delivery, DeliveryId, ListFilter, ListPage,
    LogEntry, Millis, PushRegistration, StoreError, Subscriptions, TaskFilter, TaskLog, TaskRecord,
    bounded_line, list,
};
use crate::a2a::StreamResponse;
use crate::task::{Seq, TaskKey};
use writer::{Call, Job, Waiting};

/// Reading threads: one per core of a small machine, and one that a long listing may hold up.
const READERS: usize = 3;

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The operating system has the bytes: a kill of the process (even -9) loses nothing that was acknowledged; a
    /// power cut or a crash of the machine may lose the last moments, but never spoils the file.
    #[default]
    Normal,
    /// The disk has them: a power cut loses nothing either. Each commit costs an `fsync`.
    Full,
}

/// How a [`SqliteStore`] works.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// What a commit waits for.
    pub sync: Sync,
    /// How many requests may wait for the writer, and as many for the readers; beyond that they are answered `Busy`.
    pub max_queue: usize,
    /// The size in bytes beyond which the file does not grow; what needs more is answered `Busy`. Without it, the
    /// disk's size. The write-ahead log comes on top: some megabytes, after a burst at most 64 MiB for long.
    pub max_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            sync: Sync::Normal,
            // A tenth of a second of work for the writer: waiting longer than that is worse than being told.
            max_queue: 1024,
            max_bytes: None,
        }
    }
}

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The threads' ends that callers hold. Dropping them ends the threads.
struct Queues {
    writes: SyncSender<Box<dyn Job>>,
    reads: SyncSender<Read>,
}

/// A store in a SQLite file. Close it with [`SqliteStore::close`]; when it is merely dropped, its threads finish what
/// waits and close the file a moment later.
pub struct SqliteStore {
    queues: Mutex<Option<Arc<Queues>>>,
    waiting: Waiting,
    writer: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the database at `path`, making it (mode 0600) and its folder if they are not there, and brings it to
    /// this version's schema. Blocks while it reads the file: call it at the start.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A file that is refused has not been changed.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
        let path = path.as_ref();
        let failed = |source| OpenError::Store {
            path: path.to_owned(),
            source,
        };
        let schema::Opened { conn, lock } = schema::open(path, &options)?;
        let (writes, write_jobs) = sync_channel(options.max_queue.max(1));
        let (reads, read_jobs) = sync_channel(options.max_queue.max(1));
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let conn = schema::reader(path).map_err(failed)?;
            let jobs = read_jobs.clone();
            readers.push(spawn("store-read", move || read_all(&conn, &jobs)).map_err(failed)?);
        }
        let write = move || writer::run(conn, &write_jobs, readers, lock);
        let writer = spawn("store-write", write).map_err(failed)?;
        Ok(SqliteStore {
            queues: Mutex::new(Some(Arc::new(Queues { writes, reads }))),
            waiting: Waiting::default(),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Lets go of the claims on deliveries that the last process held: for the start, before anything is claimed. A
    /// delivery that was under way when that process was killed is not left to its claim's end.
    ///
    /// # Errors
    ///
    /// As any write.
    pub async fn release_claims(&self) -> Result<(), StoreError> {
        self.write(0, ledger::release_claims).await
    }

    /// Takes no more calls, finishes those that wait, moves the write-ahead log into the file and closes it. A second
    /// call does nothing.
    ///
    /// # Errors
    ///
    /// Whatever the last checkpoint met. Nothing acknowledged is lost by that: the next start finds it in the log.
    pub async fn close(&self) -> Result<(), StoreError> {
        drop(lock(&self.queues).take());
        let Some(writer) = lock(&self.writer).take() else {
            return Ok(());
        };
        let joined = tokio::task::spawn_blocking(move || writer.join()).await;
        match joined {
            Ok(Ok(closed)) => closed,
            Ok(Err(_)) => Err(stopped("the store's writing thread panicked")),
            Err(_) => Err(stopped("the runtime is shutting down")),
        }
    }

    fn queues(&self) -> Result<Arc<Queues>, StoreError> {
        lock(&self.queues)
            .clone()
            .ok_or_else(|| stopped("the store is closed"))
    }

    /// Has the writer do something of this weight in bytes.
    async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (call, answer) = Call::new(work, self.waiting.enter(weight)?);
        let sent = self.queues()?.writes.try_send(Box::new(call));
        answered(sent, answer).await
    }

    /// Has a reader do something, in one transaction.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = move |conn: &Connection| {
            if reply.is_closed() {
                return;
            }
            let result = conn
                .unchecked_transaction()
                .map_err(StoreError::from)
                .and_then(|_transaction| work(conn));
            // A caller that has gone has nothing to be told.
            let _ = reply.send(result);
        };
        let sent = self.queues()?.reads.try_send(Box::new(job));
        answered(sent, answer).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopped(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))
}

async fn answered<T, J>(
    sent: Result<(), TrySendError<J>>,
    answer: oneshot::Receiver<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match sent {
        Ok(()) => answer
            .await
            .unwrap_or_else(|_| Err(stopped("the store's thread gave no answer"))),
        Err(TrySendError::Full(_)) => Err(StoreError::Busy("its queue is full".to_owned())),
        Err(TrySendError::Disconnected(_)) => Err(stopped("the store's thread has ended")),
    }
}

fn read_all(conn: &Connection, jobs: &Mutex<Receiver<Read>>) {
    loop {
        // One reader waits in `recv`, the others for the lock: which is the same to whoever sends.
        let next = lock(jobs).recv();
        let Ok(job) = next else { return };
        // A record that makes the fold panic must cost its reader one answer, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| job(conn)));
    }
}

#[async_trait]
impl TaskLog for SqliteStore {
    async fn create(
        &self,
        record: TaskRecord,
        events: Vec<Arc<StreamResponse>>,
        push: Vec<PushRegistration>,
    ) -> Result<(), StoreError> {
        let events = log::encode_events(&events)?;
        self.write(log::weight(&events), move |conn| {
            log::create(conn, &record, &events, &push)
        })
        .await
    }

    async fn append(&self, append: Append) -> Result<(), StoreError> {
        let events = log::encode_events(&append.events)?;
        let status_at = list::status_at_after(&append.task, &append.events, append.now);
        self.write(log::weight(&events), move |conn| {
            let append = log::Append {
                key: &append.key,
                expect: append.expect,
                events: &events,
                task: &append.task,
                status_at,
                link: append.link.as_deref(),
                now: append.now,
            };
            log::append(conn, &append)
        })
        .await
    }

    async fn task(&self, key: &TaskKey) -> Result<Option<TaskRecord>, StoreError> {
        let key = key.clone();
        self.read(move |conn| log::task(conn, &key)).await
    }

    async fn task_by_worker_id(
        &self,
        route: &str,
        tenant: &str,
        worker_task_id: &str,
    ) -> Result<Option<TaskRecord>, StoreError> {
        let by = [route, tenant, worker_task_id].map(str::to_owned);
        self.read(move |conn| log::task_by_worker_id(conn, &by[0], &by[1], &by[2]))
            .await
    }

    async fn task_by_push_token(
        &self,
        token_hash: &[u8; 32],
    ) -> Result<Option<TaskRecord>, StoreError> {
        let hash = *token_hash;
        self.read(move |conn| log::task_by_push_token(conn, &hash))
            .await
    }

    async fn worker_context_id(
        &self,
        route: &str,
        tenant: &str,
        context_id: &str,
    ) -> Result<Option<String>, StoreError> {
        let by = [route, tenant, context_id].map(str::to_owned);
        self.read(move |conn| log::worker_context_id(conn, &by[0], &by[1], &by[2]))
            .await
    }

    async fn events(
        &self,
        key: &TaskKey,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let key = key.clone();
        self.read(move |conn| log::events(conn, &key, after, limit))
            .await
    }

    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<TaskRecord>, StoreError> {
        self.read(move |conn| log::tasks(conn, &filter)).await
    }

    async fn list(&self, filter: ListFilter) -> Result<ListPage, StoreError> {
        self.read(move |conn| listing::list(conn, &filter)).await
    }

    async fn trim(&self, key: &TaskKey, keep_from: Seq) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(0, move |conn| log::trim(conn, &key, keep_from))
            .await
    }

    async fn remove(&self, key: &TaskKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(0, move |conn| log::remove(conn, &key)).await
    }

    async fn expire(&self, ended_before: Millis, limit: usize) -> Result<usize, StoreError> {
        self.write(0, move |conn| log::expire(conn, ended_before, limit))
            .await
    }
}

#[async_trait]
impl Subscriptions for SqliteStore {
    async fn register(&self, push: PushRegistration) -> Result<(), StoreError> {
        self.write(0, move |conn| ledger::register(conn, &push))
            .await
    }

    async fn registrations(&self, key: &TaskKey) -> Result<Vec<PushRegistration>, StoreError> {
        let key = key.clone();
        self.read(move |conn| ledger::registrations(conn, &key))
            .await
    }

    async fn unregister(&self, key: &TaskKey, id: &str) -> Result<bool, StoreError> {
        let (key, id) = (key.clone(), id.to_owned());
        self.write(0, move |conn| ledger::unregister(conn, &key, &id))
            .await
    }
}

#[async_trait]
impl Deliveries for SqliteStore {
    async fn claim(&self, now: Millis, until: Millis, limit: usize) -> Result<Claims, StoreError> {
        self.write(0, move |conn| ledger::claim(conn, now, until, limit))
            .await
    }

    async fn finish(
        &self,
        id: DeliveryId,
        outcome: AttemptOutcome,
        line: String,
        _now: Millis,
    ) -> Result<(), StoreError> {
        let line = bounded_line(line);
        self.write(0, move |conn| ledger::finish(conn, id, &outcome, &line))
            .await
    }

    async fn redeliver(&self, id: DeliveryId, now: Millis) -> Result<(), StoreError> {
        self.write(0, move |conn| ledger::redeliver(conn, id, now))
            .await
    }

    async fn deliveries(&self, key: &TaskKey, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let key = key.clone();
        self.read(move |conn| ledger::deliveries(conn, &key, limit))
            .await
    }
}
