//! The blocking sink: waits until a turn of a task has come to its outcome.

use super::render::ends_stream;
use crate::a2a::StreamResponse;
use crate::hub::{Entry, Follow, Next};
use crate::store::StoreError;
use crate::task::Seq;

/// Waits for an event after the follower's cursor at which the task is over or waits for somebody (specification
/// §3.2.2), and which nothing has followed yet. Cancel-safe.
///
/// # Errors
/// The store's own.
pub async fn outcome(follow: &mut Follow) -> Result<(), StoreError> {
    loop {
        match follow.next().await? {
            Next::Event(entry) => {
                if entry.event.is_terminal() || (interrupts(&entry) && !follow.behind()) {
                    return Ok(());
                }
            }
            Next::Trimmed(record) => {
                let state = record.task.status.state;
                if state.is_terminal() || state.is_interrupted() {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether the event says that the task waits for somebody now. A task event that is not the first tells of what no
/// status update can say, such as the requester's own answer in the history, and carries the status as it was: of the
/// question that the answer was for. A second question differs in its message or its time; only a worker that gives
/// neither has to be believed.
fn interrupts(entry: &Entry) -> bool {
    let repeats = match &*entry.event {
        StreamResponse::Task(task) => {
            entry.seq > Seq(1)
                && (task.status.message.is_some() || task.status.timestamp.is_some())
        }
        _ => false,
    };
    !repeats && ends_stream(&entry.event)
}
