//! How a task stood after one of its events: what version 0.x sends, and the first word to a config registered late.
//!
//! Only the newest state is stored, so an older one is folded from the log. Each config's last state is remembered:
//! going through a long log one event at a time then costs one fold per event, not one per pair of events. The memory
//! is bounded and never needed: without it the log is folded from its beginning.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::a2a::{StreamResponse, Task};
use crate::hub::Hub;
use crate::store::{StoreError, TaskRecord};
use crate::task::fold::fold;
use crate::task::{Seq, TaskKey};

/// The most states remembered: well above the deliveries under way at once, so that their configs keep theirs.
const MAX_STATES: usize = 256;

/// The most bytes of payload that the remembered states stand for: they are tasks, and tasks can be large.
const MAX_BYTES: usize = 64 << 20;

/// How many events are taken from the log at once.
const BATCH: usize = 64;

/// A task right after one of its events.
#[derive(Clone)]
pub(super) struct Then {
    pub seq: Seq,
    pub event: Arc<StreamResponse>,
    pub task: Arc<Task>,
}

/// The states that are remembered.
#[derive(Default)]
pub(super) struct Replays(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    states: HashMap<(TaskKey, String), State>,
    bytes: usize,
    clock: u64,
}

struct State {
    epoch: u64,
    then: Then,
    bytes: usize,
    used: u64,
}

impl Replays {
    /// The task as it stood after event `seq`. Where the events until then are no longer kept, the task as it stands.
    pub async fn at(
        &self,
        hub: &Hub,
        record: &TaskRecord,
        config_id: &str,
        seq: Seq,
    ) -> Result<Then, StoreError> {
        let known = self
            .recall(record, config_id)
            .filter(|then| then.seq <= seq);
        if let Some(then) = known.as_ref().filter(|then| then.seq == seq) {
            return Ok(then.clone());
        }
        if record.last_seq == seq {
            let before = Seq(seq.0.saturating_sub(1));
            let event = hub.events(&record.key, before, 1).await?;
            return Ok(match event.into_iter().find(|entry| entry.seq == seq) {
                Some(entry) => Then {
                    seq,
                    event: entry.event.clone(),
                    task: record.task.clone(),
                },
                None => as_it_stands(record),
            });
        }
        let mut then = known;
        loop {
            let at = then.as_ref().map_or(Seq(0), |then| then.seq);
            if let Some(then) = then.as_ref().filter(|then| then.seq == seq) {
                return Ok(then.clone());
            }
            let limit = usize::try_from(seq.0 - at.0).unwrap_or(BATCH).min(BATCH);
            let entries = hub.events(&record.key, at, limit).await?;
            if entries.first().is_none_or(|entry| entry.seq != at.next()) {
                return Ok(as_it_stands(record));
            }
            for entry in entries {
                let before = then.take().map(|then| Arc::unwrap_or_clone(then.task));
                match fold(before, &entry.event) {
                    Ok(task) => {
                        then = Some(Then {
                            seq: entry.seq,
                            event: entry.event.clone(),
                            task: Arc::new(task),
                        });
                    }
                    // What is in the log has been folded once already: the log is damaged.
                    Err(rejected) => {
                        tracing::error!(task = %record.key, seq = entry.seq.0, %rejected, "an event of the log does not fold");
                        return Ok(as_it_stands(record));
                    }
                }
            }
        }
    }

    /// Remembers a state whose payload had this many bytes; nothing follows the end of a task.
    pub fn keep(&self, record: &TaskRecord, config_id: &str, then: Then, bytes: usize) {
        let key = (record.key.clone(), config_id.to_owned());
        let mut memory = self.lock();
        memory.forget(&key);
        if then.task.status.state.is_terminal() || bytes > MAX_BYTES {
            return;
        }
        memory.clock += 1;
        memory.bytes += bytes;
        let used = memory.clock;
        memory.states.insert(
            key,
            State {
                epoch: record.epoch,
                then,
                bytes,
                used,
            },
        );
        while memory.states.len() > MAX_STATES || memory.bytes > MAX_BYTES {
            let oldest = memory.states.iter().min_by_key(|(_, state)| state.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            memory.forget(&oldest);
        }
    }

    fn recall(&self, record: &TaskRecord, config_id: &str) -> Option<Then> {
        let key = (record.key.clone(), config_id.to_owned());
        let memory = self.lock();
        let state = memory.states.get(&key)?;
        (state.epoch == record.epoch).then(|| state.then.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Nothing that is held under this lock can be left half-changed by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn forget(&mut self, key: &(TaskKey, String)) {
        if let Some(state) = self.states.remove(key) {
            self.bytes -= state.bytes;
        }
    }
}

fn as_it_stands(record: &TaskRecord) -> Then {
    Then {
        seq: record.last_seq,
        event: Arc::new(StreamResponse::Task(Task::clone(&record.task))),
        task: record.task.clone(),
    }
}
