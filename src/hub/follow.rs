//! A reader's cursor in one task's log.

use std::collections::VecDeque;
use std::sync::Arc;

use super::live::{Entry, Live};
use crate::store::{Store, StoreError, TaskRecord};
use crate::task::Seq;

/// How many events a reader takes from the store at once: enough to catch up quickly, and little enough that a hundred
/// slow readers of a long log hold little.
const BATCH: usize = 64;

/// Follows a task's log from a cursor. Dropping it ends the demand that it stands for.
pub struct Follow {
    store: Arc<dyn Store>,
    live: Arc<Live>,
    cursor: Seq,
    ready: VecDeque<Arc<Entry>>,
}

/// What comes next in a log.
#[derive(Debug)]
pub enum Next {
    /// The event after the cursor.
    Event(Arc<Entry>),
    /// The events after the cursor are no longer kept: continue from the task as it stands, with the cursor at its
    /// `last_seq`.
    Trimmed(Box<TaskRecord>),
}

impl Follow {
    pub(super) fn new(store: Arc<dyn Store>, live: Arc<Live>, after: Seq) -> Self {
        live.demand_more();
        Self {
            store,
            live,
            cursor: after,
            ready: VecDeque::new(),
        }
    }

    /// The number of the last event that was given out.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Whether the log holds more than was given out.
    #[must_use]
    pub fn behind(&self) -> bool {
        self.live.last_seq() > self.cursor
    }

    /// The next event; waits until there is one. Cancel-safe.
    ///
    /// # Errors
    /// The store's own.
    pub async fn next(&mut self) -> Result<Next, StoreError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.cursor = entry.seq;
                return Ok(Next::Event(entry));
            }
            let cursor = self.cursor;
            self.live.wait_past(cursor).await;
            if let Some(recent) = self.live.recent(self.cursor) {
                self.ready.extend(recent);
                continue;
            }
            let entries = self
                .store
                .events(self.live.key(), self.cursor, BATCH)
                .await?;
            match entries.first() {
                Some(first) if first.seq == self.cursor.next() => {}
                _ => {
                    // Boxed, as it is rare: a reader that waits costs what waiting needs.
                    let record = Box::pin(self.record()).await?;
                    self.cursor = record.last_seq;
                    return Ok(Next::Trimmed(Box::new(record)));
                }
            }
            // The store may hold an event that is about to be published: a reader who had it already would find the task
            // as it was before it. Its own turn comes when the tail has reached it.
            let tail = self.live.last_seq();
            self.ready.extend(
                entries
                    .into_iter()
                    .take_while(|entry| entry.seq <= tail)
                    .map(|entry| Arc::new(Entry::new(entry.seq, entry.event, false))),
            );
        }
    }

    async fn record(&self) -> Result<TaskRecord, StoreError> {
        match self.live.record() {
            Some(record) => Ok(record),
            None => self
                .store
                .task(self.live.key())
                .await?
                .ok_or(StoreError::NotFound),
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.live.demand_less();
    }
}
