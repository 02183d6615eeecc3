//! The blocking source: the one answer of a worker that answers when it is done, after the task has been announced.

use super::Mode;
use super::open::outcome;
use super::supervise::{Left, Unanswered, Watch, Way, told};
use crate::a2a::request::TaskRequest;
use crate::a2a::{Message, Request, StreamResponse, Task, TaskState};
use crate::store::{StoreError, TaskRecord};
use crate::worker::CallContext;

impl Watch {
    pub(super) async fn opening(
        &mut self,
        record: &TaskRecord,
        mut unanswered: Unanswered,
    ) -> Left {
        let opened = tokio::select! {
            () = self.stop.cancelled() => {
                Box::pin(self.cancel_when_named(record, unanswered)).await;
                return Left::Done;
            }
            opened = unanswered.pending.as_mut() => opened,
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
        let named = unfinished(&opening.first);
        let merged = match opening.first {
            // The task has been announced: the Message becomes its outcome.
            StreamResponse::Message(message) => self.outcome(record, message).await,
            first => {
                let since = Some(self.demand.last_seq());
                self.sources
                    .merge(&self.key, &self.upstream, first, since, whole)
                    .await
                    .map(|_| ())
            }
        };
        if let Err(error) = merged {
            return self.store_failed(&error, Way::Choose).await;
        }
        if self.stop.is_cancelled()
            && let Some(id) = named
        {
            // A cancel has come just now.
            Box::pin(self.cancel_named(record, id, &unanswered.context)).await;
            return Left::Done;
        }
        match opening.stream {
            Some(stream) => Left::For(Way::Stream(stream)),
            None if unanswered.way == Mode::Push => Left::For(Way::Push),
            None if unanswered.way == Mode::Callback => Left::For(Way::Callback),
            None => Left::For(Way::Choose),
        }
    }

    /// The task has been canceled here before the worker has named it: as soon as it does, it is told, so that it works no
    /// further for nobody. The wait is as long as that for any answer to a send.
    pub(super) async fn cancel_when_named(&self, record: &TaskRecord, unanswered: Unanswered) {
        if record.link.task_id.is_some() || !self.is_canceled().await {
            return;
        }
        let opened = tokio::select! {
            () = self.sources.inner.stop.cancelled() => return,
            opened = unanswered.pending => opened,
        };
        if let Ok(opening) = opened
            && let Some(id) = unfinished(&opening.first)
        {
            self.cancel_named(record, id, &unanswered.context).await;
        }
    }

    /// Tells the worker, once. What it says to that changes nothing: the first end holds.
    async fn cancel_named(&self, record: &TaskRecord, id: String, context: &CallContext) {
        if record.link.task_id.is_some() || !self.is_canceled().await {
            return;
        }
        let none = CallContext::default();
        let context = if self.upstream.worker.has_own_headers() {
            &none
        } else {
            context
        };
        let timeout = self.upstream.policy.call_timeout;
        let request = Request::CancelTask(TaskRequest {
            id,
            ..TaskRequest::default()
        });
        let told = self.upstream.worker.call(&request, context, timeout);
        let told = tokio::select! {
            () = self.sources.inner.stop.cancelled() => return,
            told = told => told,
        };
        if let Err(error) = told {
            tracing::debug!(task = %self.key, %error, "the worker did not take a cancel that had come before its answer");
        }
    }

    async fn is_canceled(&self) -> bool {
        matches!(
            self.sources.hub().record(&self.key).await,
            Ok(Some(record)) if record.task.status.state == TaskState::Canceled
        )
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

/// The id of the task that a worker's first word names, unless it is over.
fn unfinished(first: &StreamResponse) -> Option<String> {
    let over = first
        .status()
        .is_some_and(|status| status.state.is_terminal());
    first
        .task_id()
        .filter(|id| !id.is_empty() && !over)
        .map(str::to_owned)
}
