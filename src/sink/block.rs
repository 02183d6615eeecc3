//! The blocking sink: waits until a turn of a task has come to its outcome.

use super::render::ends_stream;
use crate::hub::{Follow, Next};
use crate::store::StoreError;

/// Waits for an event after the follower's cursor at which the task is over or waits for somebody (specification
/// §3.2.2), and which nothing has followed yet. Cancel-safe.
///
/// # Errors
/// The store's own.
pub async fn outcome(follow: &mut Follow) -> Result<(), StoreError> {
    loop {
        match follow.next().await? {
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
