//! The worker's streams: a task's events, from a cursor to where the stream ends, and the count of those
//! that are open.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fault::{FrameWriter, Over};
use super::shared::Shared;
use crate::support::protocol::Op;

/// A stream to be served.
pub(super) struct Plan {
    pub(super) task: Option<String>,
    pub(super) first: Option<Value>,
    /// Which of the task's events comes next.
    pub(super) cursor: usize,
    /// Whether it ends where the task waits for somebody.
    pub(super) ends_at_interrupt: bool,
}

/// Serves a stream to its end.
pub(super) async fn pump(open: OpenStream, mut writer: FrameWriter, id: Value, plan: Plan) {
    let wrap = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
    if let Some(first) = plan.first
        && let Err(over) = writer.event(wrap(first)).await
    {
        return open.over(over);
    }
    let Some(task) = plan.task else { return };
    let mut cursor = plan.cursor;
    loop {
        let more = open.shared.changes.until(|| {
            let inner = open.shared.lock();
            match inner.tasks.get(&task) {
                Some(task) => task.events.get(cursor).cloned().map(Some),
                // Forgotten: nothing follows.
                None => Some(None),
            }
        });
        let event = tokio::select! {
            event = more => event,
            () = writer.reader_gone() => return open.over(Over::ReaderGone),
        };
        let Some(event) = event else { return };
        cursor += 1;
        if let Err(over) = writer.event(wrap(event.wire)).await {
            return open.over(over);
        }
        let ends = event.state.is_some_and(|state| {
            state.is_terminal() || (plan.ends_at_interrupt && state.is_interrupted())
        });
        if ends {
            return;
        }
    }
}

/// A stream that is counted as open until dropped.
pub(super) struct OpenStream {
    shared: Arc<Shared>,
    op: Op,
}

impl OpenStream {
    pub(super) fn new(shared: &Arc<Shared>, op: Op) -> Self {
        *shared.lock().open_streams.entry(op).or_default() += 1;
        shared.changes.note();
        let shared = shared.clone();
        Self { shared, op }
    }

    fn over(self, over: Over) {
        if over == Over::ReaderGone {
            *self.shared.lock().disconnects.entry(self.op).or_default() += 1;
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if let Some(open) = self.shared.lock().open_streams.get_mut(&self.op) {
            *open -= 1;
        }
        self.shared.changes.note();
    }
}
