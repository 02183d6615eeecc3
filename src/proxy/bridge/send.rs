//! SendMessage and SendStreamingMessage.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response};
use uuid::Uuid;

use super::callback::{CallbackForm, CallbackOrder};
use super::repeats::{Begin, Begun, Place};
use super::respond::{self, Ready, add_extensions, event_stream, held_open};
use super::{Asked, Shared, unsupported};
use crate::a2a::callback::EXTENSION;
use crate::a2a::error::ErrorKind;
use crate::a2a::request::Answer;
use crate::a2a::{
    A2aError, PushConfig, SendMessageRequest, StreamResponse, Task, TaskState, TaskStatus,
};
use crate::proxy::decide::{Plan, decide};
use crate::proxy::error::Error;
use crate::proxy::route::Delivery;
use crate::sink::{block, sse};
use crate::source::{First, Mode, PushOrder, Turn, Want};
use crate::store::push::Config;
use crate::store::{StoreError, TaskRecord};
use crate::task::{Seq, TaskKey};
use crate::telemetry;
use crate::wire::Body;
use crate::wire::headers::preferences;

/// The id of a webhook where a task has one at most.
const ONE_WEBHOOK: &str = "webhook";

impl Shared {
    pub(super) async fn send(
        &self,
        asked: Asked,
        mut send: Box<SendMessageRequest>,
        streaming: bool,
    ) -> Result<Response<Body>, Error> {
        let configuration = send.configuration.get_or_insert_default();
        let history_length = configuration.history_length;
        let want = match (streaming, configuration.return_immediately) {
            (true, _) => Want::Stream,
            (false, Some(true)) => Want::AtOnce,
            (false, None) if prefers_at_once(asked.headers()) => Want::AtOnce,
            (false, Some(false) | None) => Want::Wait,
        };
        let push = configuration.task_push_notification_config.take();
        let begin = if want == Want::Wait && asked.call.dialect.traits().resubmits {
            match self.repeats.place(&self.sources, &asked, &send).await? {
                Place::Repeat(begun) => return self.join(asked, begun, history_length).await,
                Place::First(begin) => Some(begin),
            }
        } else {
            None
        };
        let existing = match send.message.task_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => self.record(&asked, id).await?,
            None if asked.call.dialect.traits().client_ids => self.own(&asked, &mut send).await?,
            None => None,
        };
        let callback = self.take_callback(&asked, &mut send)?;
        let told = push.is_some() || callback.is_some();
        let mut situation = asked.situation(want, told, existing.is_some()).await?;
        if callback.is_some() {
            // Only the sidecar calls back.
            situation.delivery = Delivery::Own;
        }
        let plan = decide(&situation);
        let ways = match plan {
            Plan::Send(ways) => ways,
            Plan::Pass | Plan::Translate | Plan::Log => {
                return self.pass_call(asked).await;
            }
        };
        asked.note.plan(telemetry::event::Plan::Bridge);
        if let Some(record) = &existing {
            continues(record)?;
        }
        let mut orders = Vec::new();
        if let Some(config) = push {
            let (id, config) = self.checked_push(&asked, config)?;
            orders.push(PushOrder {
                id,
                dialect: asked.call.dialect,
                config: Config::Webhook(config),
            });
        }
        self.map_references(&asked, &mut send).await?;
        let context = asked.context();
        let form = callback.as_ref().map(CallbackOrder::form);
        orders.extend(callback.map(|callback| callback.order));
        let turn = Box::new(Turn {
            upstream: asked.upstream().clone(),
            tenant: asked.tenant.clone(),
            requester: asked.call.dialect,
            owner: asked.principal(),
            later: context.for_later(&asked.route.identity_headers),
            context,
            request: send,
            want,
            ways,
            push: orders,
            existing,
        });
        let dialect = asked.call.dialect;
        let mut response = match (want, form) {
            (Want::Wait | Want::AtOnce, Some(CallbackForm::Task)) => {
                self.send_and_acknowledge(asked, turn).await
            }
            (Want::Wait, _) => self.send_and_wait(asked, turn, begin, history_length).await,
            (Want::AtOnce, _) => self.send_at_once(asked, turn, history_length).await,
            (Want::Stream, _) => self.send_and_stream(asked, turn).await,
        }?;
        if form == Some(CallbackForm::Message) {
            respond::name_extension(response.headers_mut(), dialect, EXTENSION);
        }
        Ok(response)
    }

    async fn send_and_wait(
        &self,
        asked: Asked,
        turn: Box<Turn>,
        begin: Option<Begin>,
        history_length: Option<u32>,
    ) -> Result<Response<Body>, Error> {
        let sources = self.sources.clone();
        let policy = asked.route.sink.clone();
        let asked = Arc::new(asked);
        let waiting = Arc::clone(&asked);
        let blocking_max = policy.blocking_max;
        let answer = async move {
            let satisfied = begin.as_ref().map(Begin::satisfied);
            let first = match begin {
                Some(begin) => begin.run(&sources, turn).await?,
                None => sources.begin(turn).await?,
            };
            let (key, before, extensions) = match first {
                First::Message {
                    message,
                    extensions,
                } => {
                    return Ok(Ready::new(&waiting, &Answer::Message(*message))
                        .with_extensions(&waiting, extensions));
                }
                First::Task {
                    key,
                    before,
                    extensions,
                } => (key, before, extensions),
            };
            waiting.note.task(&key.id);
            let record = outcome(&sources, &key, before, blocking_max).await?;
            if let Some(satisfied) = satisfied {
                satisfied.with(&record.task);
            }
            Ok(respond::task(&waiting, &record, history_length)
                .with_extensions(&waiting, extensions))
        };
        held_open(asked, policy.keep_alive, answer).await
    }

    /// A send that its requester repeats by itself: the answer is that to the first.
    async fn join(
        &self,
        asked: Asked,
        mut begun: Begun,
        history_length: Option<u32>,
    ) -> Result<Response<Body>, Error> {
        asked.note.plan(telemetry::event::Plan::Bridge);
        let sources = self.sources.clone();
        let policy = asked.route.sink.clone();
        let asked = Arc::new(asked);
        let waiting = Arc::clone(&asked);
        let answer = async move {
            let Some((key, before)) = begun.task().await else {
                return Err(A2aError::new(
                    ErrorKind::Internal,
                    "This message has been sent before, and has come to nothing; send it again.",
                )
                .into());
            };
            waiting.note.task(&key.id);
            let record = outcome(&sources, &key, before, policy.blocking_max).await?;
            begun.satisfied().with(&record.task);
            Ok(respond::task(&waiting, &record, history_length))
        };
        held_open(asked, policy.keep_alive, answer).await
    }

    /// The task that a requester means by an id of its own, if it is there and not over. One that is over makes room for
    /// another life.
    async fn own(
        &self,
        asked: &Asked,
        send: &mut SendMessageRequest,
    ) -> Result<Option<TaskRecord>, Error> {
        let id = send
            .own_id
            .get_or_insert_with(|| Uuid::new_v4().to_string())
            .clone();
        let Some(record) = self.sources.hub().record(&asked.key(&id)).await? else {
            return Ok(None);
        };
        if record.owner != asked.principal() {
            return Err(taken(&id).into());
        }
        if record.task.status.state.is_terminal() {
            return match self.sources.hub().remove(&record.key).await {
                Ok(()) | Err(StoreError::NotFound) => Ok(None),
                // Its webhooks are not all acknowledged.
                Err(StoreError::Conflict) => Err(taken(&id).into()),
                Err(error) => Err(error.into()),
            };
        }
        send.own_id = None;
        send.message.task_id = Some(id);
        Ok(Some(record))
    }

    async fn send_at_once(
        &self,
        asked: Asked,
        turn: Box<Turn>,
        history_length: Option<u32>,
    ) -> Result<Response<Body>, Error> {
        let (ready, extensions) = match self.sources.begin(turn).await? {
            First::Message {
                message,
                extensions,
            } => (Ready::new(&asked, &Answer::Message(*message)), extensions),
            First::Task {
                key, extensions, ..
            } => {
                asked.note.task(&key.id);
                let record = kept(&self.sources, &key).await?;
                (respond::task(&asked, &record, history_length), extensions)
            }
        };
        Ok(ready.with_extensions(&asked, extensions).into_response())
    }

    async fn send_and_stream(
        &self,
        asked: Asked,
        turn: Box<Turn>,
    ) -> Result<Response<Body>, Error> {
        let begun = turn.existing.clone();
        let (body, extensions) = match self.sources.begin(turn).await? {
            First::Message {
                message,
                extensions,
            } => {
                let message = StreamResponse::Message(*message);
                let frame = asked.renderer().loose_frame(None, &message, None);
                (asked.renderer().short_stream(frame), extensions)
            }
            First::Task {
                key,
                before,
                extensions,
            } => {
                asked.note.task(&key.id);
                let record = kept(&self.sources, &key).await?;
                // A new task's log begins with the task; a turn of an older one with the task as the turn found it.
                let first = if before == Seq(0) {
                    None
                } else {
                    let task = begun.map_or_else(
                        || Task::clone(&record.task),
                        |begun| as_the_turn_found_it(&begun.task),
                    );
                    Some((before, task))
                };
                let body = self.stream(&asked, &record, before, first, true).await?;
                (body, extensions)
            }
        };
        let mut response = event_stream(&asked, body);
        add_extensions(response.headers_mut(), &asked, extensions);
        Ok(response)
    }

    /// The task's events after `after`, after a frame that begins the stream.
    pub(super) async fn stream(
        &self,
        asked: &Asked,
        record: &TaskRecord,
        after: Seq,
        first: Option<(Seq, Task)>,
        of_send: bool,
    ) -> Result<Body, Error> {
        let follow = self
            .sources
            .hub()
            .follow(&record.key, after)
            .await?
            .ok_or(StoreError::NotFound)?;
        let policy = &asked.route.sink;
        Ok(Body::from_frames(
            Box::new(sse::EventStream {
                first: first.map(Box::new),
                follow,
                epoch: record.epoch,
                renderer: asked.renderer().clone(),
                task: None,
                ends_at_interrupt: of_send || asked.call.dialect.traits().ends_at_interrupt,
                keep_alive: policy.keep_alive,
                max_life: policy.stream_max_life,
                counted: telemetry::event::Counted::stream(&asked.route.name),
                closing: self.closing.clone(),
            })
            .frames(),
        ))
    }

    /// Refuses webhooks where the route does not offer them.
    pub(super) fn offers_push(&self, asked: &Asked) -> Result<(), Error> {
        if asked.route.offers(Mode::Push) {
            return Ok(());
        }
        Err(A2aError::new(
            ErrorKind::PushNotificationNotSupported,
            "Push notifications are not offered on this route.",
        )
        .into())
    }

    /// A webhook that a requester asks for, checked and with an id.
    pub(super) fn checked_push(
        &self,
        asked: &Asked,
        mut config: PushConfig,
    ) -> Result<(String, PushConfig), Error> {
        self.offers_push(asked)?;
        crate::sink::webhook::validate(&config, &self.addresses).map_err(|error| {
            A2aError::new(
                ErrorKind::InvalidParams,
                format!("The push notification config cannot be served: {error}"),
            )
        })?;
        let id = config
            .id
            .take()
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| {
                if asked.call.dialect.traits().one_webhook {
                    // The next one takes its place.
                    ONE_WEBHOOK.to_owned()
                } else {
                    Uuid::new_v4().to_string()
                }
            });
        config.id = Some(id.clone());
        Ok((id, config))
    }

    /// Ids of other tasks and of the context, from the requester's to the worker's, where the sidecar gave them.
    async fn map_references(
        &self,
        asked: &Asked,
        send: &mut SendMessageRequest,
    ) -> Result<(), StoreError> {
        let store = self.sources.hub().store();
        for id in &mut send.message.reference_task_ids {
            if let Some(record) = store.task(&asked.key(id)).await?
                && let Some(theirs) = &record.link.task_id
            {
                id.clone_from(theirs);
            }
        }
        if let Some(id) = &mut send.message.context_id
            && let Some(theirs) = store
                .worker_context_id(&asked.route.name, &asked.tenant, id)
                .await?
        {
            *id = theirs;
        }
        Ok(())
    }
}

/// The task at its end, or where it waits for somebody, or as it is when `longest` is over; zero: no bound.
async fn outcome(
    sources: &crate::source::Sources,
    key: &TaskKey,
    before: Seq,
    longest: Duration,
) -> Result<TaskRecord, Error> {
    if let Some(mut follow) = sources.hub().follow(key, before).await? {
        let outcome = block::outcome(&mut follow);
        if longest.is_zero() {
            outcome.await?;
        } else if let Ok(outcome) = tokio::time::timeout(longest, outcome).await {
            // Past the bound the task is answered as it stands, which the specification allows.
            outcome?;
        }
    }
    kept(sources, key).await
}

/// Whether the requester would rather not wait, though its dialect has no word for that (RFC 7240 §4.1).
fn prefers_at_once(headers: &HeaderMap) -> bool {
    preferences(headers).any(|(name, _)| name.eq_ignore_ascii_case("respond-async"))
}

fn taken(id: &str) -> A2aError {
    A2aError::new(
        ErrorKind::InvalidParams,
        format!("The id {id} is in use: choose another one for a new task."),
    )
}

/// Whether a message may continue this task.
fn continues(record: &TaskRecord) -> Result<(), A2aError> {
    if record.task.status.state.is_terminal() {
        return Err(unsupported(&format!(
            "Task {} is over ({}): send the message without a task id, with referenceTaskIds if it refers to it.",
            record.key.id,
            record.task.status.state.name()
        )));
    }
    if record.link.task_id.is_none() {
        return Err(unsupported(&format!(
            "The worker has not named task {} yet, so it cannot be sent more for it: wait for the task's next state.",
            record.key.id
        )));
    }
    Ok(())
}

fn as_the_turn_found_it(task: &Task) -> Task {
    Task {
        // It waits for nobody any more; a client that is told so ends its stream here.
        status: TaskStatus {
            state: TaskState::Submitted,
            ..TaskStatus::default()
        },
        ..task.clone()
    }
}

pub(super) async fn kept(
    sources: &crate::source::Sources,
    key: &TaskKey,
) -> Result<TaskRecord, Error> {
    Ok(sources
        .hub()
        .record(key)
        .await?
        .ok_or(StoreError::NotFound)?)
}
