//! GetTask, CancelTask, SubscribeToTask and ListTasks.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response};

use super::respond::{self, Ready, event_stream};
use super::send::kept;
use super::{Asked, Shared, unsupported};
use crate::a2a::error::ErrorKind;
use crate::a2a::request::{Answer, GetTaskRequest, TaskRequest};
use crate::a2a::{
    A2aError, Object, Request, StreamResponse, Task, TaskState, TaskStatus, TaskStatusUpdateEvent,
};
use crate::proxy::decide::{Plan, decide};
use crate::proxy::error::Error;
use crate::sink::long_poll;
use crate::sink::render::EventId;
use crate::source::{Mode, Want, id_map};
use crate::store::TaskRecord;
use crate::wire::Body;
use crate::worker::{CallError, Reply};

/// How long a requester's cancel waits for the worker's word. Then it is answered from the sidecar's own log, and the
/// worker is told in the background.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

impl Shared {
    pub(super) async fn get_task(
        &self,
        asked: Asked,
        get: GetTaskRequest,
    ) -> Result<Response<Body>, Error> {
        let wait = long_poll::preferred_wait(asked.headers(), asked.route.sink.long_poll_max);
        let mut record = self.record(&asked, &get.id).await?;
        if record.is_none() {
            if wait.is_none() {
                return self.forward(asked, Request::GetTask(get)).await;
            }
            record = Some(Box::pin(self.adopt(&asked, &get.id)).await?);
        }
        let Some(mut record) = record else {
            return Err(A2aError::task_not_found(&get.id).into());
        };
        if !record.task.status.state.is_terminal() {
            if let Some(wait) = wait {
                Box::pin(self.await_change(&asked, &record, wait)).await?;
            } else {
                Box::pin(self.refresh(&asked, &record)).await;
            }
            record = kept(&self.sources, &record.key).await?;
        }
        let mut ready = respond::task(&asked, &record, get.history_length);
        if let Some(wait) = wait
            && let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
        {
            ready.headers.insert("preference-applied", value);
        }
        Ok(ready.into_response())
    }

    /// Waits for the next change of a task, or answers at once where the requester names a state that is not the
    /// newest (`If-None-Match`).
    async fn await_change(
        &self,
        asked: &Asked,
        record: &TaskRecord,
        wait: Duration,
    ) -> Result<(), Error> {
        let after = match long_poll::known_state(asked.headers()) {
            Some(known) if known.epoch == record.epoch => known.seq,
            Some(_) => return Ok(()),
            None => record.last_seq,
        };
        self.sources.ensure(record, asked.upstream());
        if let Some(mut follow) = self.sources.hub().follow(&record.key, after).await? {
            long_poll::changed(&mut follow, wait).await?;
        }
        Ok(())
    }

    /// Makes the log as new as the requester's own question to the worker would have been. A source that is told by the
    /// worker is new by itself; where the worker has to be asked, it is asked once for all who ask at the same time.
    async fn refresh(&self, asked: &Asked, record: &TaskRecord) {
        let told = matches!(
            Mode::from_name(&record.link.source),
            Some(Mode::Stream | Mode::Push)
        );
        if (told && self.sources.watches(&record.key)) || record.link.task_id.is_none() {
            return;
        }
        let context = asked.context();
        if let Err(error) = self
            .sources
            .refresh(record, asked.upstream(), &context)
            .await
        {
            // The log is the answer then: the worker may lack GetTask, or be down for the moment.
            tracing::debug!(task = %record.key, %error, "the worker could not be asked for a task");
        }
    }

    pub(super) async fn cancel_task(
        &self,
        asked: Asked,
        cancel: TaskRequest,
    ) -> Result<Response<Body>, Error> {
        let Some(record) = self.record(&asked, &cancel.id).await? else {
            return self.forward(asked, Request::CancelTask(cancel)).await;
        };
        if record.task.status.state.is_terminal() {
            // The first end holds, whatever the worker would say now (some turn a finished task into a canceled one).
            return Err(A2aError::new(
                ErrorKind::TaskNotCancelable,
                format!(
                    "Task {} is over ({}) and cannot be canceled.",
                    record.key.id,
                    record.task.status.state.name()
                ),
            )
            .into());
        }
        let Some(worker_id) = record.link.task_id.clone() else {
            // The worker has not named the task, so there is nothing to tell it.
            self.latch_canceled(&record).await?;
            return self.canceled(&asked, &record).await;
        };
        let request = Request::CancelTask(TaskRequest {
            id: worker_id,
            ..cancel
        });
        let worker = Arc::clone(&asked.upstream().worker);
        let context = asked.context();
        let timeout = asked.upstream().policy.call_timeout;
        // By itself: the worker is told even if the requester goes away, or the answer takes long.
        let telling = tokio::spawn(async move { worker.call(&request, &context, timeout).await });
        match tokio::time::timeout(CANCEL_PATIENCE, telling).await {
            Ok(Ok(Ok(Reply { value, .. }))) => {
                if let Answer::Task(mut task) = value {
                    id_map(&record).map_task(&mut task);
                    let since = kept(&self.sources, &record.key).await?.last_seq;
                    self.sources
                        .hub()
                        .observe_whole(&record.key, task, Some(since))
                        .await?;
                }
            }
            // The worker's own refusal is the requester's answer.
            Ok(Ok(Err(error @ CallError::Rpc(_)))) => return Err(error.into()),
            Ok(Ok(Err(error))) if error.is_unreachable() => return Err(error.into()),
            // It hangs, or its answer is of no use: the sidecar's own log says what the requester wanted.
            Ok(_) | Err(_) => self.latch_canceled(&record).await?,
        }
        self.canceled(&asked, &record).await
    }

    async fn latch_canceled(&self, record: &TaskRecord) -> Result<(), Error> {
        let end = StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: record.key.id.to_string(),
            context_id: record.task.context_id.clone(),
            status: TaskStatus {
                state: TaskState::Canceled,
                timestamp: Some(jiff::Timestamp::now().to_string()),
                ..TaskStatus::default()
            },
            ..TaskStatusUpdateEvent::default()
        });
        self.sources.hub().end(&record.key, end, None).await?;
        self.sources.forget(&record.key);
        Ok(())
    }

    async fn canceled(&self, asked: &Asked, record: &TaskRecord) -> Result<Response<Body>, Error> {
        let record = kept(&self.sources, &record.key).await?;
        Ok(respond::task(asked, &record, None).into_response())
    }

    pub(super) async fn subscribe(
        &self,
        asked: Asked,
        subscribe: TaskRequest,
    ) -> Result<Response<Body>, Error> {
        let record = match self.record(&asked, &subscribe.id).await? {
            Some(record) => record,
            None => {
                if decide(&asked.situation(Want::Stream, false, false).await?) == Plan::Pass {
                    return self.pass_call(asked).await;
                }
                self.adopt(&asked, &subscribe.id).await?
            }
        };
        let resumes = asked
            .headers()
            .get("last-event-id")
            .and_then(|value| value.to_str().ok())
            .and_then(EventId::parse)
            .filter(|id| id.epoch == record.epoch && id.seq <= record.last_seq);
        if record.task.status.state.is_terminal()
            && resumes.is_none_or(|id| id.seq == record.last_seq)
        {
            return Err(unsupported(&format!(
                "Task {} is over ({}): there is nothing to subscribe to; read it with GetTask.",
                record.key.id,
                record.task.status.state.name()
            ))
            .into());
        }
        self.sources.ensure(&record, asked.upstream());
        let (after, first) = match resumes {
            Some(id) => (id.seq, None),
            None => {
                let at = Some((record.epoch, record.last_seq));
                let task = StreamResponse::Task(Task::clone(&record.task));
                (record.last_seq, Some(asked.renderer.loose_frame(at, &task)))
            }
        };
        let body = self.stream(&asked, &record, after, first, false).await?;
        Ok(event_stream(body))
    }

    pub(super) async fn list_tasks(
        &self,
        asked: Asked,
        _filter: Object,
    ) -> Result<Response<Body>, Error> {
        if decide(&asked.situation(Want::AtOnce, false, false).await?) == Plan::Pass {
            return self.pass_call(asked).await;
        }
        Err(unsupported("The worker's version of A2A cannot list tasks.").into())
    }

    /// Begins to keep a task that was not sent through here, or not kept: what the worker shows the requester of it.
    pub(super) async fn adopt(&self, asked: &Asked, id: &str) -> Result<TaskRecord, Error> {
        let context = asked.context();
        let adopted = self
            .sources
            .adopt(
                &asked.key(id),
                asked.upstream(),
                asked.principal,
                &context,
                &context.for_later(&asked.route.identity_headers),
            )
            .await?;
        Ok(adopted)
    }

    /// Makes the call to the worker as it is, or translated, and keeps nothing.
    pub(super) async fn forward(
        &self,
        asked: Asked,
        request: Request,
    ) -> Result<Response<Body>, Error> {
        match decide(&asked.situation(Want::Wait, false, false).await?) {
            Plan::Pass => self.pass_call(asked).await,
            // Boxed, so that what passes does not carry what translating takes.
            _ => Box::pin(self.translate(asked, request)).await,
        }
    }

    async fn translate(&self, asked: Asked, request: Request) -> Result<Response<Body>, Error> {
        debug_assert_eq!(request.operation(), asked.call.operation);
        let context = asked.context();
        let timeout = asked.upstream().policy.call_timeout;
        let reply = asked
            .upstream()
            .worker
            .call(&request, &context, timeout)
            .await?;
        Ok(Ready::new(&asked, &reply.value)
            .with_extensions(&asked, reply.extensions)
            .into_response())
    }
}
