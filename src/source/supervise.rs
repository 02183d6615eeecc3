//! The supervisor of one task: watches it by whichever way works, replaces one way by another when it fails, reads the
//! task once more when its end is reported, and stops there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::open::{Pending, status_now};
use super::poll::{Schedule, jittered};
use super::{Mode, Running, Sources, Upstream};
use crate::a2a::request::{Answer, TaskRequest};
use crate::a2a::{
    Message, Part, PartContent, Request, Role, StreamResponse, Task, TaskState, TaskStatus,
    TaskStatusUpdateEvent,
};
use crate::hub::Demand;
use crate::store::{StoreError, TaskRecord};
use crate::task::TaskKey;
use crate::telemetry::event::{Counted, SourceChanged, TaskEnded};
use crate::worker::{CallError, EventStream, Opened};

/// The wait after a failure of the store, before the source is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// What a supervisor begins with.
pub(super) enum Start {
    /// The worker's first word, still to come, on a send by this way.
    Opening(Pending, Mode),
    /// An open stream.
    Stream(Box<EventStream>),
    /// The sidecar's own webhook is registered.
    Push,
    /// Nothing: the best way is to be found.
    Choose,
    /// As `Choose`, after a restart: what was under way is lost.
    Resume,
}

enum Way {
    Opening(Pending, Mode),
    Stream(Box<EventStream>),
    Subscribe,
    Push,
    Poll,
    Choose,
}

/// Why a way was left.
enum Left {
    /// Go on with this one.
    For(Way),
    /// The task is over, or another supervisor has taken over.
    Done,
}

/// One task being watched.
struct Watch {
    sources: Sources,
    key: TaskKey,
    upstream: Arc<Upstream>,
    demand: Demand,
    stop: CancellationToken,
    /// Since when the worker has been failing without a break.
    failing_since: Option<Instant>,
    /// Streams that broke in a row.
    broken_streams: u32,
    /// Answers in a row that the task is not known.
    not_found: u32,
    /// The way in use, counted.
    counted: Option<(Mode, Counted)>,
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
        let demand = loop {
            match self.hub().demand(key).await {
                Ok(demand) => break demand,
                Err(StoreError::NotFound) => return,
                Err(error) => {
                    tracing::warn!(task = %key, %error, "the store failed; the task is watched as soon as it answers");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(STORE_RETRY) => {}
                    }
                }
            }
        };
        let mut watch = Watch {
            sources: self.clone(),
            key: key.clone(),
            upstream,
            demand,
            stop,
            failing_since: None,
            broken_streams: 0,
            not_found: 0,
            counted: None,
        };
        watch.run(start).await;
    }
}

impl Watch {
    async fn run(&mut self, start: Start) {
        let mut way = match start {
            Start::Opening(pending, way) => Way::Opening(pending, way),
            Start::Stream(stream) => Way::Stream(stream),
            Start::Push => Way::Push,
            Start::Choose => Way::Choose,
            Start::Resume => match self.resume().await {
                Some(way) => way,
                None => return,
            },
        };
        loop {
            if self.stop.is_cancelled() {
                return;
            }
            let record = match self.sources.hub().record(&self.key).await {
                Ok(Some(record)) if !record.task.status.state.is_terminal() => record,
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(task = %self.key, %error, "the store failed; the task is watched as soon as it answers");
                    if self.pause(STORE_RETRY).await {
                        return;
                    }
                    continue;
                }
            };
            let left = match way {
                Way::Opening(pending, mode) => self.opening(&record, pending, mode).await,
                Way::Stream(stream) => self.stream(&record, stream).await,
                Way::Subscribe => self.subscribe(&record).await,
                Way::Push => self.push(&record).await,
                Way::Poll => self.poll(&record).await,
                Way::Choose => self.choose(&record).await,
            };
            match left {
                Left::For(next) => way = next,
                Left::Done => return,
            }
        }
    }

    /// Waits, or until it is to stop: true then.
    async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(wait) => false,
        }
    }

    async fn resume(&mut self) -> Option<Way> {
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

    async fn opening(&mut self, record: &TaskRecord, mut pending: Pending, mode: Mode) -> Left {
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

    async fn outcome(&self, record: &TaskRecord, mut message: Message) -> Result<(), StoreError> {
        message.task_id = Some(record.key.id.to_string());
        message.context_id = Some(record.task.context_id.clone());
        let artifact = crate::a2a::Artifact {
            artifact_id: message.message_id.clone(),
            parts: message.parts.clone(),
            ..crate::a2a::Artifact::default()
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

    async fn stream(&mut self, record: &TaskRecord, mut stream: Box<EventStream>) -> Left {
        self.note_source(Mode::Stream).await;
        let mut since = self.demand.last_seq();
        loop {
            let slow = jittered(
                self.upstream.policy.poll.slow,
                self.upstream.policy.poll.jitter,
            );
            let event = tokio::select! {
                () = self.stop.cancelled() => {
                    self.drain(stream);
                    return Left::Done;
                }
                event = stream.next() => event,
                () = tokio::time::sleep(slow) => {
                    // A stream may be open and dead: the task is looked at beside it.
                    if self.can_read(record) && self.look(record).await.is_ok_and(TaskState::is_terminal) {
                        self.drain(stream);
                        return Left::Done;
                    }
                    if self.demand.last_seq() != since {
                        // It has missed something. What it still brings could no longer be placed: a new one can.
                        self.drain(stream);
                        self.broken_streams += 1;
                        return Left::For(Way::Subscribe);
                    }
                    continue;
                }
            };
            match event {
                Ok(Some(event)) => {
                    self.failing_since = None;
                    self.broken_streams = 0;
                    let merged = self
                        .sources
                        .merge(record, &self.upstream, event.event, Some(since), false)
                        .await;
                    match merged {
                        Ok(observed) if observed.state.is_terminal() => {
                            self.drain(stream);
                            return Left::Done;
                        }
                        Ok(observed) => since = observed.last_seq,
                        Err(error) => {
                            self.drain(stream);
                            return self.store_failed(&error, Way::Choose).await;
                        }
                    }
                }
                // A clean end of a stream is not the task's: unless it waits for its requester, it goes on.
                Ok(None) => return self.stream_left(record, None).await,
                Err(error) => return self.stream_left(record, Some(error)).await,
            }
        }
    }

    async fn stream_left(&mut self, record: &TaskRecord, error: Option<CallError>) -> Left {
        let waits = self
            .sources
            .hub()
            .record(&self.key)
            .await
            .ok()
            .flatten()
            .is_some_and(|record| record.task.status.state == TaskState::InputRequired);
        if waits {
            return Left::For(Way::Poll);
        }
        if let Some(error) = error {
            tracing::debug!(task = %record.key, %error, "the worker's stream broke");
        }
        self.broken_streams += 1;
        Left::For(Way::Subscribe)
    }

    async fn subscribe(&mut self, record: &TaskRecord) -> Left {
        let policy = &self.upstream.policy.stream;
        let Some(id) = record.link.task_id.clone() else {
            return Left::For(Way::Choose);
        };
        if self.broken_streams > policy.resubscribe_limit && self.can_read(record) {
            return Left::For(Way::Poll);
        }
        let wait = policy
            .resubscribe_wait
            .saturating_mul(1 << self.broken_streams.saturating_sub(1).min(6));
        if self.broken_streams > 0 && self.pause(jittered(wait, 0.2)).await {
            return Left::Done;
        }
        let context = self.sources.context_of(record, &self.upstream);
        let request = Request::SubscribeToTask(TaskRequest {
            id,
            ..TaskRequest::default()
        });
        let opened = tokio::select! {
            () = self.stop.cancelled() => return Left::Done,
            opened = self.upstream.worker.open(&request, &context, self.upstream.policy.call_timeout) => opened,
        };
        match opened.map(|reply| reply.value) {
            Ok(Opened::Stream(stream)) => {
                // What went by before the stream opened is in the task: 1.0 sends it first, 0.x does not.
                if self.can_read(record)
                    && self.look(record).await.is_ok_and(TaskState::is_terminal)
                {
                    self.drain(stream);
                    return Left::Done;
                }
                Left::For(Way::Stream(stream))
            }
            Ok(Opened::Answer(Answer::Task(task))) => {
                let since = Some(self.demand.last_seq());
                match self
                    .sources
                    .merge(
                        record,
                        &self.upstream,
                        StreamResponse::Task(task),
                        since,
                        true,
                    )
                    .await
                {
                    Ok(_) => self.stream_left(record, None).await,
                    Err(error) => self.store_failed(&error, Way::Choose).await,
                }
            }
            Ok(Opened::Answer(_)) => {
                self.broken_streams += 1;
                self.after_trouble(CallError::BadAnswer("no task and no stream".to_owned()))
                    .await
            }
            Err(error) => {
                // A worker that no longer has the task in hand says so here; the task itself tells why.
                self.broken_streams += 1;
                if matches!(error, CallError::Rpc(_)) && self.can_read(record) {
                    return Left::For(Way::Poll);
                }
                self.after_trouble(error).await
            }
        }
    }

    async fn push(&mut self, record: &TaskRecord) -> Left {
        self.note_source(Mode::Push).await;
        loop {
            let seen = self.demand.last_seq();
            let slow = jittered(
                self.upstream.policy.poll.slow,
                self.upstream.policy.poll.jitter,
            );
            tokio::select! {
                () = self.stop.cancelled() => return Left::Done,
                () = self.demand.wait_past(seen) => {
                    if self.is_over().await {
                        return Left::Done;
                    }
                }
                () = tokio::time::sleep(slow) => {
                    // Webhooks get lost (no SDK repeats them), the last one included.
                    if self.can_read(record) {
                        match self.look(record).await {
                            Ok(state) if state.is_terminal() => return Left::Done,
                            Ok(_) => self.failing_since = None,
                            Err(Look::Worker(error)) => {
                                if let Left::Done = self.after_trouble(error).await {
                                    return Left::Done;
                                }
                            }
                            Err(Look::Store(error)) => {
                                return self.store_failed(&error, Way::Push).await;
                            }
                        }
                    }
                }
            }
        }
    }

    async fn poll(&mut self, record: &TaskRecord) -> Left {
        self.note_source(Mode::Poll).await;
        let policy = self.upstream.policy.poll.clone();
        let mut schedule = Schedule::new(&policy);
        let mut retry_after = None;
        let mut state = record.task.status.state;
        loop {
            // A poll that nobody waits for costs the worker for nothing.
            tokio::select! {
                () = self.stop.cancelled() => return Left::Done,
                () = self.demand.wait() => {}
            }
            let wait = if state == TaskState::InputRequired {
                jittered(policy.slow, policy.jitter)
            } else {
                schedule.wait(&policy, retry_after.take())
            };
            if self.pause(wait).await {
                return Left::Done;
            }
            tokio::select! {
                () = self.stop.cancelled() => return Left::Done,
                () = self.upstream.poll_allowed() => {}
            }
            if self.is_over().await {
                return Left::Done;
            }
            match self.look(record).await {
                Ok(now) => {
                    self.failing_since = None;
                    self.not_found = 0;
                    if now.is_terminal() {
                        return Left::Done;
                    }
                    state = now;
                }
                Err(Look::Worker(error)) if error.is_task_not_found() => {
                    self.not_found += 1;
                    if self.not_found >= policy.not_found_limit {
                        self.fail("The worker no longer knows this task.").await;
                        return Left::Done;
                    }
                }
                Err(Look::Worker(error)) if error.is_refused_operation() => {
                    return Left::For(Way::Choose);
                }
                Err(Look::Worker(error)) => {
                    retry_after = error.retry_after();
                    if self.trouble(&error).await {
                        return Left::Done;
                    }
                }
                Err(Look::Store(error)) => return self.store_failed(&error, Way::Poll).await,
            }
        }
    }

    /// The best way that is left.
    async fn choose(&mut self, record: &TaskRecord) -> Left {
        let known = match self.upstream.worker.known().await {
            Ok(known) => known,
            Err(error) => return self.after_trouble(error).await,
        };
        let can = self.upstream.worker.abilities(&known);
        let named = record.link.task_id.is_some();
        let usable = |mode: &Mode| match mode {
            Mode::Stream => can.stream && named,
            Mode::Push => record.link.push_token_hash.is_some(),
            Mode::Poll => can.get && named,
            Mode::Blocking => false,
        };
        let prefer = &self.upstream.policy.prefer;
        let way = if prefer.is_empty() {
            [Mode::Push, Mode::Stream, Mode::Poll]
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

    fn can_read(&self, record: &TaskRecord) -> bool {
        (record.link.task_id.is_some() || record.link.push_token_hash.is_some())
            && self
                .upstream
                .worker
                .known_now()
                .is_none_or(|known| self.upstream.worker.abilities(&known).get)
    }

    /// Reads the task and merges it; gives the state.
    async fn look(&self, record: &TaskRecord) -> Result<TaskState, Look> {
        // The worker's id may have become known since.
        let record = self
            .sources
            .hub()
            .record(&record.key)
            .await
            .map_err(Look::Store)?
            .ok_or(Look::Store(StoreError::NotFound))?;
        let timeout = self.upstream.policy.call_timeout;
        let (task, since) = tokio::select! {
            () = self.stop.cancelled() => return Ok(record.task.status.state),
            read = self.sources.read(&record, &self.upstream, timeout) => read.map_err(Look::Worker)?,
        };
        self.sources
            .merge_whole(&record, task, since)
            .await
            .map(|observed| observed.state)
            .map_err(Look::Store)
    }

    async fn is_over(&self) -> bool {
        match self.sources.hub().record(&self.key).await {
            Ok(Some(record)) => record.task.status.state.is_terminal(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Notes a failure; true if the task has been given up for it.
    async fn trouble(&mut self, error: &CallError) -> bool {
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
    async fn after_trouble(&mut self, error: CallError) -> Left {
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

    async fn store_failed(&mut self, error: &StoreError, next: Way) -> Left {
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
    async fn fail(&self, why: &str) {
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

    async fn note_source(&mut self, mode: Mode) {
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

    /// Reads a stream that is no longer needed to its end: some workers stop the job when their reader goes away.
    fn drain(&self, mut stream: Box<EventStream>) {
        let limit = self.upstream.policy.answer_timeout;
        let stop = self.sources.inner.stop.clone();
        self.sources.inner.tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(limit) => {}
                () = async { while let Ok(Some(_)) = stream.next().await {} } => {}
            }
        });
    }
}

/// Why a look at the task failed.
enum Look {
    Worker(CallError),
    Store(StoreError),
}

/// An error as a requester may read it: the worker's own words, never addresses or causes below.
fn told(error: &CallError) -> String {
    match error {
        CallError::Rpc(error) => error.message.clone(),
        other => other.to_string(),
    }
}
