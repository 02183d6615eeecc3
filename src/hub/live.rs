//! What the hub holds in memory of a task that somebody writes or reads: the record, a short ring of recent events and
//! the bell. It goes when the last holder lets go.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::a2a::StreamResponse;
use crate::store::TaskRecord;
use crate::task::{Seq, TaskKey};

/// How many recent events are kept in memory for readers that keep up. Those that do not read the store: the ring saves
/// time, it is never needed.
const RING: usize = 32;

/// One event of a log, with room for its encoded forms, so that a hundred readers encode it once.
#[derive(Debug)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// What happened.
    pub event: Arc<StreamResponse>,
    /// By slot. None where one reader waited for it: its form would be kept for nobody.
    encoded: Option<Mutex<Vec<(usize, Bytes)>>>,
}

impl Entry {
    /// With room for its forms if it is for several readers.
    pub(super) fn new(seq: Seq, event: Arc<StreamResponse>, several: bool) -> Self {
        Self {
            seq,
            event,
            encoded: several.then(Mutex::default),
        }
    }

    /// The event as encoded in the form of this slot; `encode` runs at most once for each, however many readers there are.
    pub fn encoded(&self, slot: usize, encode: impl FnOnce(&StreamResponse) -> Bytes) -> Bytes {
        let Some(encoded) = &self.encoded else {
            return encode(&self.event);
        };
        let mut all = lock(encoded);
        if let Some((_, encoded)) = all.iter().find(|(known, _)| *known == slot) {
            return encoded.clone();
        }
        let encoded = encode(&self.event);
        all.reserve_exact(1);
        all.push((slot, encoded.clone()));
        encoded
    }
}

pub(super) struct Live {
    key: TaskKey,
    /// Held while an append is decided and kept: appends of one task go one after the other.
    pub(super) writing: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
    /// The number of the newest event, and what rings when there is a newer one.
    tail: AtomicU64,
    rung: Notify,
    /// Readers that wait for news.
    demand: Mutex<usize>,
    demanded: Notify,
    /// Whether a push config waits for news: as long as the task lives.
    standing: AtomicBool,
}

struct Memory {
    /// None after a write whose outcome is unknown: to be read anew.
    record: Option<TaskRecord>,
    ring: VecDeque<Arc<Entry>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is held under these locks can be left half-changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(super) fn new(record: TaskRecord) -> Self {
        Self {
            key: record.key.clone(),
            writing: tokio::sync::Mutex::new(()),
            tail: AtomicU64::new(record.last_seq.0),
            rung: Notify::new(),
            memory: Mutex::new(Memory {
                record: Some(record),
                ring: VecDeque::new(),
            }),
            demand: Mutex::new(0),
            demanded: Notify::new(),
            standing: AtomicBool::new(false),
        }
    }

    pub(super) fn key(&self) -> &TaskKey {
        &self.key
    }

    pub(super) fn record(&self) -> Option<TaskRecord> {
        lock(&self.memory).record.clone()
    }

    pub(super) fn forget(&self) {
        lock(&self.memory).record = None;
    }

    pub(super) fn refresh(&self, record: TaskRecord) {
        let seq = record.last_seq;
        lock(&self.memory).record = Some(record);
        self.ring(seq);
    }

    /// Takes in what was just kept, then rings.
    pub(super) fn publish(&self, record: TaskRecord, events: Vec<Arc<StreamResponse>>) {
        let last = record.last_seq;
        let several = *lock(&self.demand) > 1;
        {
            let mut memory = lock(&self.memory);
            let mut seq = Seq(last.0 - events.len() as u64);
            if memory.ring.back().is_some_and(|entry| entry.seq != seq) {
                // Events went by that this process did not publish (a write of unknown outcome, another writer): a
                // ring with a hole would hide them from readers.
                memory.ring.clear();
            }
            for event in events {
                seq = seq.next();
                memory
                    .ring
                    .push_back(Arc::new(Entry::new(seq, event, several)));
            }
            while memory.ring.len() > RING {
                memory.ring.pop_front();
            }
            memory.record = Some(record);
        }
        self.ring(last);
    }

    fn ring(&self, last: Seq) {
        if self.tail.fetch_max(last.0, Ordering::AcqRel) < last.0 {
            self.rung.notify_waiters();
        }
    }

    /// The events after `after`, if the ring has all of them.
    pub(super) fn recent(&self, after: Seq) -> Option<Vec<Arc<Entry>>> {
        let memory = lock(&self.memory);
        let first = memory.ring.front()?.seq;
        (first <= after.next()).then(|| {
            memory
                .ring
                .iter()
                .filter(|entry| entry.seq > after)
                .cloned()
                .collect()
        })
    }

    pub(super) fn last_seq(&self) -> Seq {
        Seq(self.tail.load(Ordering::Acquire))
    }

    pub(super) async fn wait_past(&self, seq: Seq) {
        loop {
            let rung = self.rung.notified();
            tokio::pin!(rung);
            // Registered before the look, or a bell in between would be missed.
            rung.as_mut().enable();
            if self.last_seq() > seq {
                return;
            }
            rung.await;
        }
    }

    pub(super) fn demanded(&self) -> bool {
        self.standing.load(Ordering::Acquire) || *lock(&self.demand) > 0
    }

    /// A push config: it waits for news as long as the task lives.
    pub(super) fn add_standing_demand(&self) {
        self.standing.store(true, Ordering::Release);
        self.demanded.notify_waiters();
    }

    pub(super) fn demand_more(&self) {
        *lock(&self.demand) += 1;
        self.demanded.notify_waiters();
    }

    pub(super) fn demand_less(&self) {
        let mut demand = lock(&self.demand);
        *demand = demand.saturating_sub(1);
    }

    pub(super) async fn wait_demand(&self) {
        loop {
            let notified = self.demanded.notified();
            tokio::pin!(notified);
            // Registered before the look, or a demand in between would be missed.
            notified.as_mut().enable();
            if self.demanded() {
                return;
            }
            notified.await;
        }
    }
}
