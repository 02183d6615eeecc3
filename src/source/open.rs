//! A turn: a message is sent to the worker by the best way that it takes, and its first word decides what the requester
//! has: a Message, a task of the worker's, or, where the worker keeps silent, a task that the sidecar announces.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::supervise::{Start, Unanswered};
use super::{Mode, Sources, Upstream, callback};
use crate::a2a::callback::CALLBACK_TASK;
use crate::a2a::request::Answer;
use crate::a2a::{
    Artifact, Dialect, Message, PushConfig, Request, SendMessageRequest, StreamResponse, Task,
    TaskState, TaskStatus, TaskStatusUpdateEvent,
};
use crate::store::{Principal, StoreError, TaskRecord, push};
use crate::task::{Seq, TaskKey};
use crate::worker::{Ability, CallContext, CallError, EventStream, Opened};

/// The id under which the sidecar registers its own webhook with a worker.
const OWN_CONFIG_ID: &str = "a2a-sidecar";

/// How a requester wants its send to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// With the outcome.
    Wait,
    /// As soon as the task exists.
    AtOnce,
    /// With a stream.
    Stream,
}

/// A webhook or a callback that comes with a send.
#[derive(Clone, Debug)]
pub struct PushOrder {
    /// The config's id.
    pub id: String,
    /// The dialect of what is posted.
    pub dialect: Dialect,
    /// The config.
    pub config: push::Config,
}

/// One message to the worker.
pub struct Turn {
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// The tenant; empty without one.
    pub tenant: Arc<str>,
    /// The dialect that it came in.
    pub requester: Dialect,
    /// Who sends it.
    pub owner: Principal,
    /// The headers that go along with it.
    pub context: CallContext,
    /// Those of them that are kept for the sidecar's own calls.
    pub later: CallContext,
    /// The message, with the requester's ids, without a push config.
    pub request: Box<SendMessageRequest>,
    /// How the requester wants to be answered.
    pub want: Want,
    /// The ways to send it, best first; never empty.
    pub ways: Vec<Mode>,
    /// The webhook that came with it.
    pub push: Vec<PushOrder>,
    /// The task that it continues, where that is kept here.
    pub existing: Option<TaskRecord>,
}

/// What came of a turn.
#[derive(Debug)]
pub enum First {
    /// A direct answer without a task.
    Message {
        /// The answer, with the requester's ids.
        message: Box<Message>,
        /// The active extensions, as the worker names them.
        extensions: Option<HeaderValue>,
    },
    /// A task, which is kept now; its news are in the log.
    Task {
        /// Which.
        key: TaskKey,
        /// The newest event before this turn: what comes after it is this turn's.
        before: Seq,
        /// The active extensions, as the worker names them.
        extensions: Option<HeaderValue>,
    },
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The worker's fault, or the way to it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store's fault: nothing was announced.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sidecar is stopping.
    #[error("the sidecar is stopping")]
    Stopping,
}

/// A worker's first word.
pub(super) struct Opening {
    pub(super) first: StreamResponse,
    pub(super) extensions: Option<HeaderValue>,
    pub(super) stream: Option<Box<EventStream>>,
}

/// A worker's first word, still to come.
pub(super) type Pending = Pin<Box<dyn Future<Output = Result<Opening, CallError>> + Send>>;

/// The sidecar's own webhook for one task.
pub(super) struct OwnWebhook {
    pub(super) url: String,
    pub(super) token_hash: [u8; 32],
}

impl Sources {
    /// Sends the message and waits for what the requester gets first. The turn goes on by itself: a caller that goes
    /// away changes nothing.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing is kept then.
    pub async fn begin(&self, turn: Box<Turn>) -> Result<First, OpenError> {
        self.hub().check_store()?;
        let (announce, announced) = oneshot::channel();
        let sources = self.clone();
        self.inner.tracker.spawn(async move {
            let first = sources.drive(turn).await;
            // Whoever asked may have gone; the turn has been taken care of all the same.
            let _ = announce.send(first);
        });
        announced.await.unwrap_or(Err(OpenError::Stopping))
    }

    async fn drive(&self, turn: Box<Turn>) -> Result<First, OpenError> {
        let policy = &turn.upstream.policy;
        let patience = match turn.want {
            // Nobody needs an id before the end, unless a webhook is to be told of the task meanwhile.
            Want::Wait if turn.push.is_empty() => None,
            Want::Wait | Want::AtOnce => Some(policy.announce_after),
            Want::Stream => Some(policy.first_event_after),
        };
        let mut refused = Vec::new();
        let mut error = CallError::BadAnswer("there is no way to send to the worker".to_owned());
        for way in turn.ways.iter().copied() {
            let webhook = matches!(way, Mode::Push | Mode::Callback)
                .then(|| self.own_webhook(&turn, way))
                .flatten();
            let mut pending = pending(&turn, way, webhook.as_ref());
            let first = match patience {
                None => Some(pending.as_mut().await),
                Some(patience) => tokio::time::timeout(patience, pending.as_mut()).await.ok(),
            };
            match first {
                Some(Ok(opening)) => {
                    for ability in refused {
                        turn.upstream.worker.learn(ability, false);
                    }
                    // Boxed, so that waiting for the worker does not cost the memory of what comes after it.
                    return Box::pin(self.opened(turn, way, opening, webhook)).await;
                }
                None => {
                    if matches!(way, Mode::Poll | Mode::Push | Mode::Callback) {
                        turn.upstream
                            .worker
                            .learn(Ability::ReturnImmediately, false);
                    }
                    return Box::pin(self.announce(turn, way, pending, webhook)).await;
                }
                Some(Err(failed)) => {
                    if let Some(webhook) = webhook {
                        self.inner.early.remove(&webhook.token_hash);
                    }
                    let next = failed.is_refused_operation();
                    error = failed;
                    if !next {
                        break;
                    }
                    // Only if another way is taken is it the operation that the worker does not have, and not this
                    // message that it does not want.
                    refused.push(match way {
                        Mode::Stream => Ability::Stream,
                        Mode::Push => Ability::Push,
                        Mode::Blocking | Mode::Poll | Mode::Callback => Ability::Send,
                    });
                }
            }
        }
        Err(OpenError::Call(error))
    }

    /// The worker has spoken in time.
    async fn opened(
        &self,
        turn: Box<Turn>,
        way: Mode,
        opening: Opening,
        webhook: Option<OwnWebhook>,
    ) -> Result<First, OpenError> {
        let Opening {
            first,
            extensions,
            stream,
        } = opening;
        if matches!(way, Mode::Poll | Mode::Callback)
            && first
                .status()
                .is_some_and(|status| !status.state.is_terminal())
        {
            turn.upstream.worker.learn(Ability::ReturnImmediately, true);
        }
        let first = match first {
            StreamResponse::Message(message) if turn.must_call_back() => {
                StreamResponse::Task(outcome(turn.task(), message))
            }
            first => first,
        };
        if let StreamResponse::Message(mut message) = first {
            if let Some(record) = &turn.existing {
                super::id_map(record).map_message(&mut message);
                for order in &turn.push {
                    self.hub()
                        .register(self.seal_push(&record.key, order)?)
                        .await?;
                }
            }
            if let Some(webhook) = webhook {
                self.inner.early.remove(&webhook.token_hash);
            }
            if turn.existing.is_none() && turn.request.own_id.is_some() {
                // Whoever has named the task wants to see it.
                // Boxed, here and below: the largest of these steps is not what every turn carries.
                let key = Box::pin(self.keep_outcome(&turn, way, message)).await?;
                return Ok(First::Task {
                    key,
                    before: Seq(0),
                    extensions,
                });
            }
            return Ok(First::Message {
                message: Box::new(message),
                extensions,
            });
        }
        let kept = match &turn.existing {
            Some(record) => Some(record.clone()),
            None => Box::pin(self.keep(&turn, way, &first, webhook.as_ref())).await?,
        };
        let (record, before, fresh) = match kept {
            Some(record) if turn.existing.is_some() => {
                let before = record.last_seq;
                (record, before, false)
            }
            Some(record) => (record, Seq(0), true),
            None => {
                // The worker names a task that is kept here already: it has gone on with it by itself.
                let own = turn.request.own_id.as_deref();
                let id = own.or_else(|| first.task_id()).unwrap_or_default();
                let record = self
                    .hub()
                    .record(&turn.key(id))
                    .await?
                    .ok_or(StoreError::NotFound)?;
                if record.owner != turn.owner {
                    return Err(OpenError::Call(CallError::BadAnswer(
                        "the worker gave the task an id that is in use".to_owned(),
                    )));
                }
                let before = record.last_seq;
                (record, before, false)
            }
        };
        let key = record.key.clone();
        if !fresh {
            for order in &turn.push {
                self.hub().register(self.seal_push(&key, order)?).await?;
            }
        }
        if !fresh && way == Mode::Callback {
            Box::pin(self.expect_at(&key, webhook.as_ref())).await?;
        }
        let whole = stream.is_none();
        let since = Some(Box::pin(self.taken_up(&turn, &record)).await?);
        Box::pin(self.merge(&key, &turn.upstream, first, since, whole)).await?;
        if let Some(webhook) = &webhook {
            Box::pin(self.take_early(&record, &turn.upstream, &webhook.token_hash)).await?;
        }
        let start = match stream {
            Some(stream) => Start::Stream(stream),
            None if webhook.is_some() && way == Mode::Callback => Start::Callback,
            None if webhook.is_some() => Start::Push,
            None => Start::Choose,
        };
        if let Some(record) = self.hub().record(&key).await?
            && !record.task.status.state.is_terminal()
        {
            self.watch(&record, &turn.upstream, start);
        }
        Ok(First::Task {
            key,
            before,
            extensions,
        })
    }

    /// The worker keeps silent: the sidecar announces the task itself and goes on waiting behind it.
    async fn announce(
        &self,
        turn: Box<Turn>,
        way: Mode,
        pending: Pending,
        webhook: Option<OwnWebhook>,
    ) -> Result<First, OpenError> {
        let (record, before) = if let Some(record) = turn.existing.clone() {
            if way == Mode::Callback {
                Box::pin(self.expect_at(&record.key, webhook.as_ref())).await?;
            }
            Box::pin(self.taken_up(&turn, &record)).await?;
            let before = record.last_seq;
            (record, before)
        } else {
            let task = turn.task();
            let record = self.record(&turn, way, task, None, webhook.as_ref())?;
            let push = self.registrations(&turn, &record.key)?;
            self.hub().create(record.clone(), push).await?;
            if let Some(webhook) = &webhook {
                Box::pin(self.take_early(&record, &turn.upstream, &webhook.token_hash)).await?;
            }
            (record, Seq(0))
        };
        let key = record.key.clone();
        let unanswered = Unanswered {
            pending,
            way,
            context: turn.later,
        };
        let start = Start::Opening(Box::new(unanswered));
        self.watch(&record, &turn.upstream, start);
        Ok(First::Task {
            key,
            before,
            extensions: None,
        })
    }

    /// The worker has taken the message that a task waited for. Whoever looks must not be told that it still waits, and
    /// what the worker repeats of that (some answer with the task as it was) is no news.
    ///
    /// The message itself is noted with it: what comes after it in the worker's history is new, and what came before it
    /// is not, even if the worker shows it as the status again.
    async fn taken_up(&self, turn: &Turn, record: &TaskRecord) -> Result<Seq, StoreError> {
        if !record.task.status.state.is_interrupted() {
            return Ok(record.last_seq);
        }
        let status = TaskStatusUpdateEvent {
            task_id: record.key.id.to_string(),
            context_id: record.task.context_id.clone(),
            status: announced(),
            ..TaskStatusUpdateEvent::default()
        };
        let since = Some(record.last_seq);
        let event = StreamResponse::StatusUpdate(status);
        let observed = self.hub().observe(&record.key, event, since).await?;
        let mut message = turn.request.message.clone();
        message.task_id = Some(record.key.id.to_string());
        message.context_id = Some(record.task.context_id.clone());
        let since = Some(observed.last_seq);
        let event = StreamResponse::Message(message);
        let observed = self.hub().observe(&record.key, event, since).await?;
        Ok(observed.last_seq)
    }
}

impl Turn {
    /// Whether its requester is called back about a new task: then there has to be one.
    fn must_call_back(&self) -> bool {
        self.existing.is_none()
            && self
                .push
                .iter()
                .any(|order| matches!(order.config, push::Config::Callback(_)))
    }

    /// A task of the sidecar's own making for a message that has none yet.
    fn task(&self) -> Task {
        let id = self
            .request
            .own_id
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        let mut message = self.request.message.clone();
        let context_id = message
            .context_id
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().to_string());
        message.task_id = Some(id.clone());
        message.context_id = Some(context_id.clone());
        Task {
            id,
            context_id,
            // Without a time: the worker's clock places its own statuses, and this one is before them all.
            status: announced(),
            history: vec![message],
            ..Task::default()
        }
    }

    pub(super) fn key(&self, id: &str) -> TaskKey {
        TaskKey {
            route: self.upstream.route.clone(),
            tenant: self.tenant.clone(),
            id: id.into(),
        }
    }
}

/// The worker's first word on a message sent by this way.
fn pending(turn: &Turn, way: Mode, webhook: Option<&OwnWebhook>) -> Pending {
    let mut send = turn.request.clone();
    // Two requesters may choose the same id: the worker is given one that nobody else has.
    send.own_id = None;
    if let Some(record) = &turn.existing {
        super::id_map(record).inverse().map_send(&mut send);
    }
    let mut configuration = send.configuration.take().unwrap_or_default();
    configuration.task_push_notification_config = None;
    match webhook {
        Some(webhook) if way == Mode::Callback => {
            let metadata = send.metadata.get_or_insert_default();
            metadata.insert(CALLBACK_TASK.to_owned(), callback::order(&webhook.url));
        }
        Some(webhook) => {
            configuration.task_push_notification_config = Some(PushConfig {
                id: Some(OWN_CONFIG_ID.to_owned()),
                url: webhook.url.clone(),
                ..PushConfig::default()
            });
        }
        None => {}
    }
    configuration.return_immediately = match way {
        Mode::Stream => None,
        Mode::Blocking => Some(false),
        Mode::Poll | Mode::Push | Mode::Callback => Some(true),
    };
    send.configuration = Some(configuration);
    let worker = Arc::clone(&turn.upstream.worker);
    let context = turn.context.clone();
    let timeout = turn.upstream.policy.answer_timeout;
    Box::pin(async move {
        if way == Mode::Stream {
            let reply = worker
                .open(&Request::SendStreamingMessage(send), &context, timeout)
                .await?;
            return match reply.value {
                Opened::Stream(stream) => first_of(stream, reply.extensions, timeout).await,
                Opened::Answer(answer) => opening(answer, reply.extensions),
            };
        }
        let reply = worker
            .call(&Request::SendMessage(send), &context, timeout)
            .await?;
        opening(reply.value, reply.extensions)
    })
}

async fn first_of(
    mut stream: Box<EventStream>,
    extensions: Option<HeaderValue>,
    timeout: Duration,
) -> Result<Opening, CallError> {
    match tokio::time::timeout(timeout, stream.next()).await {
        Ok(Ok(Some(event))) => Ok(Opening {
            first: event.event,
            extensions,
            stream: Some(stream),
        }),
        Ok(Ok(None)) => Err(CallError::BadAnswer(
            "the stream ended before its first event".to_owned(),
        )),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(CallError::Timeout { waited: timeout }),
    }
}

fn opening(answer: Answer, extensions: Option<HeaderValue>) -> Result<Opening, CallError> {
    let first = match answer {
        Answer::Task(task) => StreamResponse::Task(task),
        Answer::Message(message) => StreamResponse::Message(message),
        _ => {
            return Err(CallError::BadAnswer(
                "neither a task nor a message".to_owned(),
            ));
        }
    };
    Ok(Opening {
        first,
        extensions,
        stream: None,
    })
}

/// The task with a worker's Message as its outcome.
pub(super) fn outcome(mut task: Task, mut message: Message) -> Task {
    message.task_id = Some(task.id.clone());
    message.context_id = Some(task.context_id.clone());
    task.artifacts.push(Artifact {
        artifact_id: message.message_id.clone(),
        parts: message.parts.clone(),
        ..Artifact::default()
    });
    task.status = TaskStatus {
        message: Some(message),
        ..status_now(TaskState::Completed)
    };
    task
}

/// The status of a task, or of a turn, that the sidecar announces.
pub(super) fn announced() -> TaskStatus {
    TaskStatus {
        state: TaskState::Submitted,
        ..TaskStatus::default()
    }
}

/// This state, now, said by the sidecar.
pub(super) fn status_now(state: TaskState) -> TaskStatus {
    TaskStatus {
        state,
        timestamp: Some(
            jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
                .to_string(),
        ),
        ..TaskStatus::default()
    }
}
