//! Merging what a source saw into the log, in the requester's ids, and reading the task from the worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Mode, Sources, Upstream, id_map};
use crate::a2a::request::{Answer, GetTaskRequest};
use crate::a2a::{Operation, Request, StreamResponse, Task};
use crate::hub::Observed;
use crate::store::{StoreError, TaskRecord};
use crate::task::{Seq, TaskKey};
use crate::telemetry::event::{EventDropped, EventsAdded, TaskEnded, WorkerCalled};
use crate::worker::{Ability, CallContext, CallError};

/// How long the one read at the end of a task may take. The end waits for it, and so does whoever waits for the end: a
/// worker that does not answer is told from its stream alone.
const LAST_READ: Duration = Duration::from_secs(5);

impl Sources {
    /// Merges what a source saw, in the worker's ids, into the log; publishes an end after the task was read once more,
    /// unless `whole` says that the observation is the whole task.
    pub(super) async fn merge(
        &self,
        key: &TaskKey,
        upstream: &Arc<Upstream>,
        mut event: StreamResponse,
        since: Option<Seq>,
        whole: bool,
    ) -> Result<Observed, StoreError> {
        let record = self.learn_ids(key, &event).await?;
        id_map(&record).map_event(&mut event);
        let mut observed = self.hub().observe(key, event.clone(), since).await?;
        if observed.needs_snapshot {
            // Boxed, here and below: what is seldom done is no part of every merge.
            observed = match Box::pin(self.read(&record, upstream, LAST_READ)).await {
                Ok((task, since)) => {
                    return Box::pin(self.merge_whole(&record, task, since)).await;
                }
                // Whoever cannot be asked is believed in the order in which it speaks.
                Err(_) => {
                    self.hub()
                        .observe(key, event, Some(observed.last_seq))
                        .await?
                }
            };
        }
        if let Some(end) = observed.end.take() {
            let snapshot = if whole {
                None
            } else {
                Box::pin(self.read(&record, upstream, LAST_READ))
                    .await
                    .ok()
                    .map(|(task, _)| task)
            };
            observed.state = end.status().map_or(observed.state, |status| status.state);
            Box::pin(self.hub().end(key, end, snapshot)).await?;
            observed.added += 1;
        }
        report(&record, &observed);
        Ok(observed)
    }

    /// Merges a snapshot that is the whole task as it is, in the requester's ids: the answer to a poll that began when
    /// the log's newest event was `since`.
    ///
    /// # Errors
    /// The store's own.
    pub(super) async fn merge_whole(
        &self,
        record: &TaskRecord,
        task: Task,
        since: Seq,
    ) -> Result<Observed, StoreError> {
        let observed = self
            .hub()
            .observe_whole(&record.key, task, Some(since))
            .await?;
        report(record, &observed);
        Ok(observed)
    }

    /// Notes the worker's ids when they are first seen in a task that the sidecar announced itself.
    async fn learn_ids(
        &self,
        key: &TaskKey,
        event: &StreamResponse,
    ) -> Result<TaskRecord, StoreError> {
        let record = self.hub().record(key).await?.ok_or(StoreError::NotFound)?;
        if record.link.task_id.is_some() {
            return Ok(record);
        }
        let (task_id, context_id) = match event {
            StreamResponse::Task(task) => (&task.id, &task.context_id),
            StreamResponse::StatusUpdate(update) => (&update.task_id, &update.context_id),
            StreamResponse::ArtifactUpdate(update) => (&update.task_id, &update.context_id),
            StreamResponse::Message(_) => return Ok(record),
        };
        if task_id.is_empty() {
            return Ok(record);
        }
        self.hub()
            .relink(key, |link| {
                link.task_id = Some(task_id.clone());
                if !context_id.is_empty() {
                    link.context_id = Some(context_id.clone());
                }
            })
            .await?;
        self.hub().record(key).await?.ok_or(StoreError::NotFound)
    }

    /// Reads the task from the worker with the credentials kept for it; gives it in the requester's ids, and the log's
    /// newest event when the reading began.
    pub(super) async fn read(
        &self,
        record: &TaskRecord,
        upstream: &Arc<Upstream>,
        timeout: Duration,
    ) -> Result<(Task, Seq), CallError> {
        let context = self.context_of(record, upstream);
        self.read_as(record, upstream, &context, timeout).await
    }

    /// As a requester's own call: with its credentials, so that the worker decides whether it may see the task.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn read_as(
        &self,
        record: &TaskRecord,
        upstream: &Arc<Upstream>,
        context: &CallContext,
        timeout: Duration,
    ) -> Result<(Task, Seq), CallError> {
        let Some(id) = record.link.task_id.clone() else {
            return Err(CallError::BadAnswer(
                "the worker has not named the task yet".to_owned(),
            ));
        };
        let since = self
            .hub()
            .record(&record.key)
            .await
            .ok()
            .flatten()
            .map_or(record.last_seq, |record| record.last_seq);
        let request = Request::GetTask(GetTaskRequest {
            id,
            ..GetTaskRequest::default()
        });
        let began = Instant::now();
        let answer = upstream.worker.call(&request, context, timeout).await;
        WorkerCalled {
            route: &upstream.route,
            operation: Operation::GetTask.name(),
            outcome: answer.as_ref().map_or_else(CallError::name, |_| "ok"),
            duration: began.elapsed(),
            poll: true,
        }
        .emit();
        match answer {
            Ok(reply) => match reply.value {
                Answer::Task(mut task) => {
                    id_map(record).map_task(&mut task);
                    Ok((task, since))
                }
                _ => Err(CallError::BadAnswer("GetTask brought no task".to_owned())),
            },
            Err(error) => {
                if error.is_refused_operation() {
                    upstream.worker.learn(Ability::Get, false);
                }
                Err(error)
            }
        }
    }
}

/// Tells operators what an observation did.
fn report(record: &TaskRecord, observed: &Observed) {
    let (route, task) = (&*record.key.route, &*record.key.id);
    let source = Mode::from_name(&record.link.source).map_or("", Mode::name);
    if observed.added > 0 {
        EventsAdded {
            route,
            task,
            source,
            count: observed.added as u64,
        }
        .emit();
    }
    if observed.dropped {
        EventDropped {
            route,
            task,
            source,
        }
        .emit();
    } else if observed.state.is_terminal() && observed.added > 0 {
        TaskEnded {
            route,
            task,
            state: observed.state.name(),
            source,
            given_up: None,
        }
        .emit();
    }
}
