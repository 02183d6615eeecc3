//! GetTask, CancelTask and SubscribeToTask.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response};

use super::respond::{self, Ready, event_stream};
use super::send::kept;
use super::{Asked, Shared, unsupported};
use crate::a2a::dialect::invalid_params;
use crate::a2a::error::ErrorKind;
use crate::a2a::request::{Answer, GetTaskRequest, TaskRequest};
use crate::a2a::{
    A2aError, Request, StreamResponse, Task, TaskState, TaskStatus, TaskStatusUpdateEvent,
    extension,
};
use crate::proxy::decide::{Plan, decide};
use crate::proxy::error::Error;
use crate::sink::long_poll;
use crate::sink::render::{EventId, generation};
use crate::source::{Mode, Sources, Want, id_map};
use crate::store::TaskRecord;
use crate::wire::Body;
use crate::worker::{CallError, Reply};

/// How long a requester's cancel waits for the worker's word. Then it is answered from the sidecar's own log, and the
/// worker is told in the background. Workers that can cancel say so in far less; some (fasta2a) answer only when the job
/// that they should end is done, and jobs may be short.
const CANCEL_PATIENCE: Duration = Duration::from_millis(500);

/// Says that the requester's wish for a wait was heard (RFC 7240 §3).
fn prefer(ready: &mut Ready, wait: Duration) {
    if let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs())) {
        ready.headers.insert("preference-applied", value);
    }
}

/// Waits for the next change of a task, or not at all where the requester names a state that is not the newest: by its
/// generation, or by the `ETag` of an earlier answer in `If-None-Match`.
async fn await_change(
    sources: &Sources,
    asked: &Asked,
    record: &TaskRecord,
    wait: Duration,
    known: Option<extension::Known>,
) -> Result<(), Error> {
    let now = generation(record.epoch, record.last_seq);
    let known = known.or_else(|| {
        long_poll::known_state(asked.headers()).map(|state| extension::Known {
            epoch: Some(state.epoch),
            number: state.seq.0,
        })
    });
    if known.is_some_and(|known| !known.waits_at(now)) {
        return Ok(());
    }
    sources.ensure(record, asked.upstream());
    let follow = sources.hub().follow(&record.key, record.last_seq).await?;
    if let Some(mut follow) = follow {
        long_poll::changed(&mut follow, wait).await?;
    }
    Ok(())
}

/// How a read of a task waits for news of it.
struct Wait {
    /// What the requester prefers (RFC 7240 §4.3).
    preferred: Option<Duration>,
    /// The generation that the requester has, where it speaks of such.
    known: Option<extension::Known>,
    /// The longest wait; none: it does not wait.
    at_most: Option<Duration>,
}

impl Shared {
    pub(super) async fn get_task(
        &self,
        asked: Asked,
        get: GetTaskRequest,
    ) -> Result<Response<Body>, Error> {
        let longest = asked.route.sink.long_poll_max;
        let preferred = long_poll::preferred_wait(asked.headers(), longest);
        let known = if asked.renderer().shows_generations() {
            extension::Known::of(&get).map_err(|fault| invalid_params(&fault))?
        } else {
            None
        };
        let wait = Wait {
            at_most: preferred.or_else(|| known.map(|_| longest).filter(|wait| !wait.is_zero())),
            preferred,
            known,
        };
        let record = self.record(&asked, &get.id).await?;
        let asked = asked.about(record.as_ref());
        let Some(record) = record else {
            let asked = asked.about_workers_own().await?;
            if wait.at_most.is_none() && !asked.renderer().shows_generations() {
                return self.forward(asked, || Request::GetTask(get)).await;
            }
            let record = Box::pin(self.adopt(&asked, &get.id)).await?;
            return Box::pin(self.read_task(asked, get, record, wait)).await;
        };
        // Boxed, so that what passes does not carry it.
        Box::pin(self.read_task(asked, get, record, wait)).await
    }

    /// A task that is kept here.
    async fn read_task(
        &self,
        asked: Asked,
        get: GetTaskRequest,
        mut record: TaskRecord,
        Wait {
            preferred,
            known,
            at_most,
        }: Wait,
    ) -> Result<Response<Body>, Error> {
        let over = record.task.status.state.is_terminal();
        if let Some(wait) = at_most
            && !over
        {
            let (sources, policy) = (self.sources.clone(), asked.route.sink.clone());
            let asked = Arc::new(asked);
            let waiting = Arc::clone(&asked);
            let answer = async move {
                await_change(&sources, &waiting, &record, wait, known).await?;
                let record = kept(&sources, &record.key).await?;
                let mut ready = respond::task(&waiting, &record, get.history_length);
                if preferred.is_some() {
                    prefer(&mut ready, wait);
                }
                Ok(ready)
            };
            // Who says how long it waits has a client that does. Others are kept awake meanwhile.
            return if preferred.is_some() {
                Box::pin(answer).await.map(Ready::into_response)
            } else {
                respond::held_open(asked, policy.keep_alive, answer).await
            };
        }
        if !over {
            Box::pin(self.refresh(&asked, &record)).await;
            record = kept(&self.sources, &record.key).await?;
        }
        let mut ready = respond::task(&asked, &record, get.history_length);
        if let Some(wait) = preferred {
            prefer(&mut ready, wait);
        }
        Ok(ready.into_response())
    }

    /// Makes the log as new as the requester's own question to the worker would have been. A source that is told by the
    /// worker is new by itself; where the worker has to be asked, it is asked once for all who ask at the same time.
    async fn refresh(&self, asked: &Asked, record: &TaskRecord) {
        if self.is_current(record) {
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

    /// Whether the worker's answer would be no newer than the log, or there is nothing to ask it for.
    pub(super) fn is_current(&self, record: &TaskRecord) -> bool {
        let told = matches!(
            Mode::from_name(&record.link.source),
            Some(Mode::Stream | Mode::Push)
        );
        (told && self.sources.watches(&record.key)) || record.link.task_id.is_none()
    }

    pub(super) async fn cancel_task(
        &self,
        asked: Asked,
        cancel: TaskRequest,
    ) -> Result<Response<Body>, Error> {
        let Some(record) = self.record(&asked, &cancel.id).await? else {
            let asked = asked.about_workers_own().await?;
            return self.forward(asked, || Request::CancelTask(cancel)).await;
        };
        let asked = asked.about(Some(&record));
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
            // The worker has not named the task, so there is nothing to tell it yet: the source does, when it has.
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
        let late = worker
            .known_now()
            .is_some_and(|known| known.dialect.traits().cancels_late);
        // By itself: the worker is told even if the requester goes away, or the answer takes long.
        let telling = tokio::spawn(async move { worker.call(&request, &context, timeout).await });
        if late {
            self.latch_canceled(&record).await?;
            return self.canceled(&asked, &record).await;
        }
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
            // It does its work where it cannot be found (in a stream, say): no cancel reaches it there.
            Ok(Ok(Err(error))) if error.is_task_not_found() => {
                self.latch_canceled(&record).await?;
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
        let mut asked = asked;
        let record = match self.record(&asked, &subscribe.id).await? {
            Some(record) => {
                asked = asked.about(Some(&record));
                record
            }
            None => {
                asked = asked.about_workers_own().await?;
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
            .filter(|id| id.epoch == record.epoch && id.seq <= record.last_seq)
            // Nobody has kept the task that such a form would have to show from there on.
            .filter(|_| !asked.renderer().whole_tasks());
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
                let task = Task::clone(&record.task);
                (record.last_seq, Some((record.last_seq, task)))
            }
        };
        let body = self.stream(&asked, &record, after, first, false).await?;
        Ok(event_stream(&asked, body))
    }

    /// Begins to keep a task that was not sent through here, or not kept: what the worker shows the requester of it.
    pub(super) async fn adopt(&self, asked: &Asked, id: &str) -> Result<TaskRecord, Error> {
        let context = asked.context();
        let adopted = self
            .sources
            .adopt(
                &asked.key(id),
                asked.upstream(),
                asked.principal(),
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
        request: impl FnOnce() -> Request,
    ) -> Result<Response<Body>, Error> {
        let plan = decide(&asked.situation(Want::Wait, false, false).await?);
        if plan == Plan::Pass {
            return self.pass_call(asked).await;
        }
        // Boxed, so that what passes does not carry what translating takes.
        Box::pin(self.translate(asked, request())).await
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
