//! The supervisor of one task: watches it by whichever way works, replaces one way by another when it fails, reads the
//! task once more when its end is reported, and stops there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::open::{Pending, status_now};
use super::poll::jittered;
use super::{Mode, Running, Sources, Upstream};
use crate::a2a::{
    Message, Part, PartContent, Role, StreamResponse, TaskState, TaskStatus, TaskStatusUpdateEvent,
};
use crate::hub::Demand;
use crate::store::{StoreError, TaskRecord};
use crate::task::TaskKey;
use crate::telemetry::event::{Counted, SourceChanged, TaskEnded};
use crate::worker::{CallContext, CallError, EventStream};

/// The wait after a failure of the store, before the source is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// A send that the worker has not answered.
pub(super) struct Unanswered {
    /// Its first word, still to come.
    pub(super) pending: Pending,
    /// The way of the send.
    pub(super) way: Mode,
    /// The requester's credentials, for a cancel: the store lets go of them when the task is over.
    pub(super) context: CallContext,
}

/// What a supervisor begins with.
pub(super) enum Start {
    /// The worker's first word, still to come, on a send by this way.
    Opening(Box<Unanswered>),
    /// An open stream.
    Stream(Box<EventStream>),
    /// The sidecar's own webhook is registered.
    Push,
    /// The worker was given an address to call back.
    Callback,
    /// Nothing: the best way is to be found.
    Choose,
    /// As `Choose`, after a restart: what was under way is lost.
    Resume,
}

pub(super) enum Way {
    Opening(Box<Unanswered>),
    Stream(Box<EventStream>),
    Subscribe,
    Push,
    Callback,
    Poll,
    Choose,
}

/// Why a way was left.
pub(super) enum Left {
    /// Go on with this one.
    For(Way),
    /// The task is over, or another supervisor has taken over.
    Done,
}

/// One task being watched.
pub(super) struct Watch {
    pub(super) sources: Sources,
    pub(super) key: TaskKey,
    pub(super) upstream: Arc<Upstream>,
    pub(super) demand: Demand,
    pub(super) stop: CancellationToken,
    /// Whether the worker's name for the task is known, or how it will be called back about it.
    pub(super) named: bool,
    /// Since when the worker has been failing without a break.
    pub(super) failing_since: Option<Instant>,
    /// Streams that broke in a row.
    pub(super) broken_streams: u32,
    /// Answers in a row that the task is not known.
    pub(super) not_found: u32,
    /// The way in use, counted.
    pub(super) counted: Option<(Mode, Counted)>,
}

impl Sources {
    /// Watches the task from here on. A supervisor that is at it already hands over.
    pub(super) fn watch(&self, record: &TaskRecord, upstream: &Arc<Upstream>, start: Start) {
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        let stop = self.inner.stop.child_token();
        let key = record.key.clone();
        let before = self.inner.running.insert(
            key.clone(),
            Running {
                generation,
                stop: stop.clone(),
            },
        );
        if let Some(before) = before {
            before.stop.cancel();
        }
        let sources = self.clone();
        let upstream = Arc::clone(upstream);
        self.inner.tracker.spawn(async move {
            sources.run(&key, upstream, start, stop).await;
            sources
                .inner
                .running
                .remove_if(&key, |_, running| running.generation == generation);
        });
    }

    async fn run(
        &self,
        key: &TaskKey,
        upstream: Arc<Upstream>,
        start: Start,
        stop: CancellationToken,
    ) {
        // Boxed, here and below: a watched task costs what its way needs, not what the largest of all needs.
        let Some(demand) = Box::pin(self.demand(key, &stop)).await else {
            return;
        };
        let mut watch = Watch {
            sources: self.clone(),
            key: key.clone(),
            upstream,
            demand,
            stop,
            named: false,
            failing_since: None,
            broken_streams: 0,
            not_found: 0,
            counted: None,
        };
        watch.run(start).await;
    }

    /// The watch over who waits for news. None if the task is not kept, or it is to stop while the store fails.
    async fn demand(&self, key: &TaskKey, stop: &CancellationToken) -> Option<Demand> {
        let ask = || async {
            match self.hub().demand(key).await {
                Err(StoreError::NotFound) => Ok(None),
                demand => demand.map(Some),
            }
        };
        answered(key, stop, ask).await.flatten()
    }
}

/// The store's answer, asked for until it gives one. None if it is to stop before that.
async fn answered<T, F>(key: &TaskKey, stop: &CancellationToken, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => {
                tracing::warn!(task = %key, %error, "the store failed; the task is watched as soon as it answers");
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep(STORE_RETRY) => {}
                }
            }
        }
    }
}

impl Watch {
    pub(super) async fn run(&mut self, start: Start) {
        let mut way = match start {
            Start::Opening(opening) => Way::Opening(opening),
            Start::Stream(stream) => Way::Stream(stream),
            Start::Push => Way::Push,
            Start::Callback => Way::Callback,
            Start::Choose => Way::Choose,
            Start::Resume => match Box::pin(self.resume()).await {
                Some(way) => way,
                None => return,
            },
        };
        loop {
            let Some(record) = Box::pin(self.record()).await else {
                return;
            };
            let state = record.task.status.state;
            if self.stop.is_cancelled() || state.is_terminal() {
                // It may have been canceled before this came to wait for the answer to the send.
                if let Way::Opening(opening) = way {
                    Box::pin(self.cancel_when_named(&record, *opening)).await;
                }
                return;
            }
            self.named = record.link.task_id.is_some() || record.link.push_token_hash.is_some();
            // Who waits long does not hold the task as it was when the wait began.
            let left = match way {
                Way::Opening(opening) => Box::pin(self.opening(&record, *opening)).await,
                Way::Subscribe => Box::pin(self.subscribe(&record)).await,
                Way::Choose => Box::pin(self.choose(&record)).await,
                Way::Stream(stream) => {
                    drop(record);
                    Box::pin(self.stream(stream)).await
                }
                Way::Push => {
                    drop(record);
                    Box::pin(self.push()).await
                }
                Way::Callback => {
                    drop(record);
                    Box::pin(self.callback()).await
                }
                Way::Poll => {
                    drop(record);
                    Box::pin(self.poll(state)).await
                }
            };
            match left {
                Left::For(next) => way = next,
                Left::Done => return,
            }
        }
    }

    /// The task as it stands. None if it is not kept, or the watch is to stop while the store fails.
    async fn record(&self) -> Option<Box<TaskRecord>> {
        let ask = || self.sources.hub().record(&self.key);
        let record = answered(&self.key, &self.stop, ask).await.flatten();
        record.map(Box::new)
    }

    /// Waits, or until it is to stop: true then.
    pub(super) async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(wait) => false,
        }
    }

    pub(super) async fn resume(&mut self) -> Option<Way> {
        let record = self.sources.hub().record(&self.key).await.ok()??;
        if record.link.task_id.is_none() && record.link.push_token_hash.is_none() {
            self.fail(
                "The sidecar was restarted while the worker's only answer to this task was under way. The worker may \
                 have done the work; its answer cannot be had again. Send the message anew if that is safe.",
            )
            .await;
            return None;
        }
        Some(Way::Choose)
    }

    /// The best way that is left.
    pub(super) async fn choose(&mut self, record: &TaskRecord) -> Left {
        let known = match self.upstream.worker.known().await {
            Ok(known) => known,
            Err(error) => return self.after_trouble(error).await,
        };
        let can = self.upstream.worker.abilities(&known);
        let named = record.link.task_id.is_some();
        let usable = |mode: &Mode| match mode {
            Mode::Stream => can.subscribe && named,
            Mode::Push => record.link.push_token_hash.is_some() && !can.callback,
            Mode::Callback => record.link.push_token_hash.is_some() && can.callback,
            Mode::Poll => can.get && named,
            Mode::Blocking => false,
        };
        let prefer = &self.upstream.policy.prefer;
        let way = if prefer.is_empty() {
            [Mode::Callback, Mode::Push, Mode::Stream, Mode::Poll]
                .iter()
                .find(|mode| usable(mode))
        } else {
            prefer
                .iter()
                .find(|mode| usable(mode))
                .or_else(|| [Mode::Stream, Mode::Poll].iter().find(|mode| usable(mode)))
        };
        match way {
            Some(Mode::Push) => Left::For(Way::Push),
            Some(Mode::Callback) => Left::For(Way::Callback),
            Some(Mode::Stream) => {
                // A stream that nobody reads costs the worker for nothing, as long as the task can be read later.
                if can.get {
                    tokio::select! {
                        () = self.stop.cancelled() => return Left::Done,
                        () = self.demand.wait() => {}
                    }
                }
                Left::For(Way::Subscribe)
            }
            Some(Mode::Poll) => Left::For(Way::Poll),
            Some(Mode::Blocking) | None => {
                self.after_trouble(CallError::BadAnswer(
                    "the worker offers no way to learn of the task any more".to_owned(),
                ))
                .await
            }
        }
    }

    /// Notes a failure; true if the task has been given up for it.
    pub(super) async fn trouble(&mut self, error: &CallError) -> bool {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        tracing::debug!(task = %self.key, %error, "the worker failed");
        if since.elapsed() < self.upstream.policy.give_up_after {
            return false;
        }
        self.fail(&format!(
            "The worker has not answered for {} s: {}.",
            since.elapsed().as_secs(),
            told(error)
        ))
        .await;
        true
    }

    /// As [`Watch::trouble`], with a wait before the next choice.
    pub(super) async fn after_trouble(&mut self, error: CallError) -> Left {
        if self.trouble(&error).await {
            return Left::Done;
        }
        let policy = &self.upstream.policy.poll;
        let age = self
            .failing_since
            .map(|since| since.elapsed())
            .unwrap_or_default();
        let wait = (age / 4).clamp(policy.first, policy.max.max(policy.first));
        let wait = error.retry_after().map_or(wait, |asked| asked.max(wait));
        if self.pause(jittered(wait, policy.jitter)).await {
            return Left::Done;
        }
        Left::For(Way::Choose)
    }

    pub(super) async fn store_failed(&mut self, error: &StoreError, next: Way) -> Left {
        if matches!(error, StoreError::NotFound) {
            return Left::Done;
        }
        tracing::warn!(task = %self.key, %error, "the store failed; the task is read anew as soon as it answers");
        if self.pause(STORE_RETRY).await {
            return Left::Done;
        }
        Left::For(next)
    }

    /// Ends the task as failed, in the sidecar's own words.
    pub(super) async fn fail(&self, why: &str) {
        let message = Message {
            message_id: uuid::Uuid::new_v4().to_string(),
            task_id: Some(self.key.id.to_string()),
            role: Role::Agent,
            parts: vec![Part {
                content: PartContent::Text(why.to_owned()),
                ..Part::default()
            }],
            ..Message::default()
        };
        let end = StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: self.key.id.to_string(),
            status: TaskStatus {
                message: Some(message),
                ..status_now(TaskState::Failed)
            },
            ..TaskStatusUpdateEvent::default()
        });
        loop {
            match self.sources.hub().end(&self.key, end.clone(), None).await {
                Ok(()) => {
                    TaskEnded {
                        route: &self.key.route,
                        task: &self.key.id,
                        state: TaskState::Failed.name(),
                        source: self.counted.as_ref().map_or("", |(mode, _)| mode.name()),
                        given_up: Some(why),
                    }
                    .emit();
                    return;
                }
                Err(StoreError::NotFound) => return,
                Err(error) => {
                    tracing::warn!(task = %self.key, %error, "a task's end could not be kept; it is tried again");
                    if self.pause(STORE_RETRY).await {
                        return;
                    }
                }
            }
        }
    }

    pub(super) async fn note_source(&mut self, mode: Mode) {
        if let Some((before, _)) = &self.counted
            && *before != mode
        {
            SourceChanged {
                route: &self.key.route,
                task: &self.key.id,
                from: before.name(),
                to: mode.name(),
                reason: "the one before failed or fell silent",
            }
            .emit();
        }
        self.counted = Some((mode, Counted::task(&self.key.route, mode.name())));
        let noted = self
            .sources
            .hub()
            .relink(&self.key, |link| link.source = mode.name().to_owned())
            .await;
        if let Err(error) = noted {
            tracing::debug!(task = %self.key, %error, "the source in use could not be noted");
        }
    }
}

/// An error as a requester may read it: the worker's own words, never addresses or causes below.
pub(super) fn told(error: &CallError) -> String {
    match error {
        CallError::Rpc(error) => error.message.clone(),
        other => other.to_string(),
    }
}
