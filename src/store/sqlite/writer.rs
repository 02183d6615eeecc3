//! The one thread that writes. It takes whatever waits, gives each request a savepoint within one transaction, commits
//! once and answers all: under load the cost of a commit is shared, and alone nobody waits for a timer.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::StoreError;

/// Requests in one transaction at most: enough to share a commit well, and few enough that the first of them does not
/// wait long for the last.
const MAX_GROUP: usize = 128;

/// Bytes of events that may wait to be written: beside the number of requests, because events can be large.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Something to be done in a transaction.
pub(super) trait Job: Send {
    /// Does it, perhaps a second time after a rollback. Whether what it wrote is to be kept.
    fn run(&mut self, conn: &Connection) -> bool;
    /// Tells the caller, once it is known whether the transaction holds.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
    /// Whether anybody still waits for it.
    fn wanted(&self) -> bool;
}

/// A closure as a job. It may run twice, hence `FnMut`.
pub(super) struct Call<T, F> {
    work: F,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    _weight: Weight,
}

impl<T, F> Call<T, F>
where
    F: FnMut(&Connection) -> Result<T, StoreError>,
{
    pub(super) fn new(work: F, weight: Weight) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            work,
            outcome: None,
            reply,
            _weight: weight,
        };
        (call, answer)
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, conn: &Connection) -> bool {
        self.outcome.insert((self.work)(conn)).is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error),
            (Some(done), Ok(())) => done,
            // Not run, because nobody waits.
            (None, Ok(())) => return,
        };
        // A caller that has gone has nothing to be told.
        let _ = self.reply.send(answer);
    }

    fn wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

/// How many bytes wait to be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

/// A request's share of [`Waiting`], given back when the request has been answered or dropped.
pub(super) struct Weight {
    waiting: Arc<AtomicUsize>,
    bytes: usize,
}

impl Waiting {
    /// Takes room for a request, which gets it in any case when nothing else waits.
    pub(super) fn enter(&self, bytes: usize) -> Result<Weight, StoreError> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let weight = Weight {
            waiting: self.0.clone(),
            bytes,
        };
        if bytes > 0 && before > 0 && before.saturating_add(bytes) > MAX_WAITING_BYTES {
            return Err(StoreError::Busy(format!(
                "{before} bytes wait to be written"
            )));
        }
        Ok(weight)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The thread's body: until every sender has gone, then a checkpoint. `lock` is let go at the very end.
///
/// The readers end by themselves when their senders go, which they do with the writer's. They are waited for, because
/// only a last connection that may write takes the write-ahead log away.
pub(super) fn run(
    conn: Connection,
    jobs: &Receiver<Box<dyn Job>>,
    readers: Vec<JoinHandle<()>>,
    lock: File,
) -> Result<(), StoreError> {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while let Ok(first) = jobs.recv() {
        group.push(first);
        while group.len() < MAX_GROUP
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        write(&conn, &mut group);
    }
    for reader in readers {
        // One that has panicked has ended as well.
        let _ = reader.join();
    }
    let checkpoint = conn
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(StoreError::from);
    let closed = conn.close().map_err(|(_, error)| StoreError::from(error));
    // Not left to the file's closing: a child process that is just being started holds a copy of it for a moment.
    let unlocked = lock
        .unlock()
        .map_err(|error| StoreError::Unavailable(format!("the lock file: {error}")));
    checkpoint.and(closed).and(unlocked)
}

fn write(conn: &Connection, group: &mut Vec<Box<dyn Job>>) {
    match transaction(conn, group) {
        Ok(()) => group.drain(..).for_each(|job| job.answer(Ok(()))),
        Err(error) if group.len() == 1 => {
            let mut error = Some(Err(error));
            group
                .drain(..)
                .for_each(|job| job.answer(error.take().unwrap_or(Ok(()))));
        }
        // One of them has cost all of them the transaction (a full disk does that): each has its own now, so that the
        // small and the freeing ones still get through.
        Err(_) => {
            for mut job in group.drain(..) {
                let done = transaction(conn, std::slice::from_mut(&mut job));
                job.answer(done);
            }
        }
    }
}

/// Runs jobs in one transaction. After an error nothing of it holds and no transaction is open.
fn transaction(conn: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let result = attempt(conn, jobs);
    if result.is_err() && !conn.is_autocommit() {
        // A rollback that fails leaves the transaction to the next one's BEGIN, which reports it.
        let _ = conn.execute_batch("ROLLBACK");
    }
    result
}

fn attempt(conn: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for job in jobs {
        if !job.wanted() {
            continue;
        }
        conn.prepare_cached("SAVEPOINT request")?.execute([])?;
        let keep = job.run(conn);
        // SQLite may answer a full disk or an I/O error by rolling everything back.
        if conn.is_autocommit() {
            return Err(StoreError::Unavailable(
                "the transaction was rolled back".to_owned(),
            ));
        }
        if !keep {
            conn.prepare_cached("ROLLBACK TO request")?.execute([])?;
        }
        conn.prepare_cached("RELEASE request")?.execute([])?;
    }
    conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}
