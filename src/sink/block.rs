//! The blocking sink: waits until a turn of a task has come to its outcome.

use super::render::ends_stream;
use crate::a2a::StreamResponse;
use crate::hub::{Follow, Next};
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
            // A task in the middle of a log tells of messages and metadata; its status is the one before it.
            Next::Event(entry)
                if matches!(*entry.event, StreamResponse::Task(_)) && entry.seq > Seq(1) => {}
            Next::Event(entry) => {
                if entry.event.is_terminal() || (ends_stream(&entry.event) && !follow.behind()) {
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
