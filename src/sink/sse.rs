//! The stream sink: a task's events as server-sent events, from a cursor on, kept alive by comments.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http_body::Frame;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::render::{Renderer, ends_stream};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, StreamResponse, Task, TaskStatusUpdateEvent};
use crate::hub::{Follow, Next};
use crate::store::TaskRecord;
use crate::task::Seq;
use crate::task::fold::fold;
use crate::telemetry::event::Counted;

/// One open stream.
pub struct EventStream {
    /// What is sent before any event of the log, where the stream begins in the middle: the task as it stands there, with
    /// the number of the newest event in it.
    pub first: Option<Box<(Seq, Task)>>,
    /// The cursor.
    pub follow: Follow,
    /// The task's epoch, for the events' ids.
    pub epoch: u64,
    /// Into the requester's dialect.
    pub renderer: Renderer,
    /// Whether the stream ends where the task waits for somebody: a send stream does, and in 0.x every stream; a 1.0
    /// subscription stays open.
    pub ends_at_interrupt: bool,
    /// The longest silence; zero: no bound.
    pub keep_alive: Duration,
    /// The longest life; zero: no bound.
    pub max_life: Duration,
    /// Counts the stream as long as it is open.
    pub counted: Counted,
    /// Ends the stream cleanly, so that the requester resumes elsewhere.
    pub closing: CancellationToken,
    /// The task as it is after what has been sent, for forms whose every frame shows the whole of it.
    pub task: Option<Box<Task>>,
}

impl EventStream {
    /// The frames.
    pub fn frames(
        self: Box<Self>,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static {
        let ends_at = (!self.max_life.is_zero()).then(|| Instant::now() + self.max_life);
        unfold(
            (self, ends_at, Then::More),
            |(mut stream, ends_at, state)| async move {
                match state {
                    Then::Over => None,
                    Then::Word => {
                        let word = stream.renderer.end()?;
                        Some((Ok(word), (stream, ends_at, Then::Over)))
                    }
                    Then::More => {
                        let (frame, state) = match stream.next(ends_at).await {
                            Some(next) => next,
                            None => (stream.renderer.interruption()?, Then::Over),
                        };
                        Some((Ok(frame), (stream, ends_at, state)))
                    }
                }
            },
        )
    }

    /// The next frame, and what comes after it. None: the stream ends before the task does, and the requester resumes.
    async fn next(&mut self, ends_at: Option<Instant>) -> Option<(Frame<Bytes>, Then)> {
        if let Some(first) = self.first.take() {
            let (seq, first) = *first;
            let at = Some((self.epoch, seq));
            let frame = self.renderer.task_frame(at, &first);
            if self.renderer.whole_tasks() {
                self.task = Some(Box::new(first));
            }
            if !frame.is_empty() {
                return Some((Frame::data(frame), Then::More));
            }
        }
        loop {
            // One timer for both: an open stream costs what waiting needs.
            let keep_alive_at =
                (!self.keep_alive.is_zero()).then(|| Instant::now() + self.keep_alive);
            let next = tokio::select! {
                biased;
                next = self.follow.next() => next,
                () = until(keep_alive_at.into_iter().chain(ends_at).min()) => {
                    if ends_at.is_some_and(|end| end <= Instant::now()) {
                        return None;
                    }
                    match self.renderer.keep_alive() {
                        Some(keep_alive) => return Some((Frame::data(keep_alive), Then::More)),
                        None => continue,
                    }
                }
                () = self.closing.cancelled() => return None,
            };
            let (frame, over) = match next {
                Ok(Next::Event(entry)) => {
                    if self.renderer.whole_tasks() {
                        // What the log holds has been folded once already: it cannot be refused.
                        let before = self.task.take().map(|task| *task);
                        self.task = fold(before, &entry.event).ok().map(Box::new);
                    }
                    // A second task in one stream kills 0.3 clients; what it says beside the updates around it (the
                    // requester's own messages, metadata) is in the task when it is read.
                    if matches!(*entry.event, StreamResponse::Task(_)) && entry.seq.0 > 1 {
                        continue;
                    }
                    let more = self.follow.behind();
                    let over = entry.event.is_terminal()
                        || (self.ends_at_interrupt && ends_stream(&entry.event) && !more);
                    let task = self.task.as_deref();
                    (self.renderer.frame(self.epoch, &entry, task, more), over)
                }
                Ok(Next::Trimmed(record)) => self.caught_up(&record),
                Err(error) => {
                    tracing::warn!(%error, "a stream's log cannot be read");
                    let error = A2aError::new(
                        ErrorKind::Internal,
                        "The task's log cannot be read at the moment; subscribe again.",
                    );
                    return Some((self.renderer.error_end(&error), Then::Over));
                }
            };
            let state = if over { Then::Word } else { Then::More };
            // Some forms cannot say every event.
            if !frame.is_empty() {
                return Some((Frame::data(frame), state));
            }
            if over {
                let word = self.renderer.end();
                return Some((
                    word.unwrap_or_else(|| Frame::data(Bytes::new())),
                    Then::Over,
                ));
            }
        }
    }

    /// The events in between are no longer kept: the task as it stands takes their place.
    fn caught_up(&mut self, record: &TaskRecord) -> (Bytes, bool) {
        let task = &record.task;
        if self.renderer.whole_tasks() {
            self.task = Some(Box::new(Task::clone(task)));
        }
        let at = Some((self.epoch, record.last_seq));
        let frame = if self.renderer.dialect().traits().one_task_per_stream {
            let event = StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
                task_id: task.id.clone(),
                context_id: task.context_id.clone(),
                status: task.status.clone(),
                ..TaskStatusUpdateEvent::default()
            });
            self.renderer.loose_frame(at, &event, Some(task))
        } else {
            self.renderer.task_frame(at, task)
        };
        (frame, task.status.state.is_terminal())
    }
}

/// What comes after a frame.
enum Then {
    /// Another one.
    More,
    /// The form's word for the end.
    Word,
    /// Nothing.
    Over,
}

/// Waits until then; for ever where there is no such moment.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
