//! The blocking source: the one answer of a worker that answers when it is done, after the task has been announced.

use super::Mode;
use super::open::{Pending, outcome};
use super::supervise::{Left, Watch, Way, told};
use crate::a2a::{Message, StreamResponse, Task};
use crate::store::{StoreError, TaskRecord};

impl Watch {
    pub(super) async fn opening(
        &mut self,
        record: &TaskRecord,
        mut pending: Pending,
        mode: Mode,
    ) -> Left {
        let opened = tokio::select! {
            () = self.stop.cancelled() => return Left::Done,
            opened = pending.as_mut() => opened,
        };
        let opening = match opened {
            Ok(opening) => opening,
            Err(error) => {
                if record.link.task_id.is_some() {
                    // A turn of a task that is known: how the worker took it is in the task.
                    self.trouble(&error).await;
                    return Left::For(Way::Choose);
                }
                self.fail(&format!(
                    "The worker did not do this task: {}.",
                    told(&error)
                ))
                .await;
                return Left::Done;
            }
        };
        let whole = opening.stream.is_none();
        let merged = match opening.first {
            // The task has been announced: the Message becomes its outcome.
            StreamResponse::Message(message) => self.outcome(record, message).await,
            first => {
                let since = Some(self.demand.last_seq());
                self.sources
                    .merge(record, &self.upstream, first, since, whole)
                    .await
                    .map(|_| ())
            }
        };
        if let Err(error) = merged {
            return self.store_failed(&error, Way::Choose).await;
        }
        match opening.stream {
            Some(stream) => Left::For(Way::Stream(stream)),
            None if mode == Mode::Push => Left::For(Way::Push),
            None if mode == Mode::Callback => Left::For(Way::Callback),
            None => Left::For(Way::Choose),
        }
    }

    pub(super) async fn outcome(
        &self,
        record: &TaskRecord,
        message: Message,
    ) -> Result<(), StoreError> {
        let task = outcome(Task::clone(&record.task), message);
        self.sources
            .hub()
            .observe_whole(&self.key, task, Some(record.last_seq))
            .await
            .map(|_| ())
    }
}
