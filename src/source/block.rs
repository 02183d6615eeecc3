//! The blocking source: the one answer of a worker that answers when it is done, after the task has been announced.

use super::Mode;
use super::open::{Pending, status_now};
use super::supervise::{Left, Watch, Way, told};
use crate::a2a::{Artifact, Message, StreamResponse, Task, TaskState, TaskStatus};
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
            None => Left::For(Way::Choose),
        }
    }

    pub(super) async fn outcome(
        &self,
        record: &TaskRecord,
        mut message: Message,
    ) -> Result<(), StoreError> {
        message.task_id = Some(record.key.id.to_string());
        message.context_id = Some(record.task.context_id.clone());
        let artifact = Artifact {
            artifact_id: message.message_id.clone(),
            parts: message.parts.clone(),
            ..Artifact::default()
        };
        let mut task = Task::clone(&record.task);
        task.artifacts.push(artifact);
        task.status = TaskStatus {
            message: Some(message),
            ..status_now(TaskState::Completed)
        };
        self.sources
            .hub()
            .observe_whole(&self.key, task, Some(record.last_seq))
            .await
            .map(|_| ())
    }
}
