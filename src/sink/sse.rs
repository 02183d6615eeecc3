//! The stream sink: a task's events as server-sent events, from a cursor on, kept alive by comments.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::render::{Renderer, ends_stream};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, StreamResponse, TaskStatusUpdateEvent};
use crate::hub::{Follow, Next};
use crate::store::TaskRecord;
use crate::telemetry::event::Counted;
use crate::wire::sse::KEEP_ALIVE;

/// One open stream.
pub struct EventStream {
    /// What is sent before any event of the log: the task as it stands, where the stream begins in the middle.
    pub first: Option<Bytes>,
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
}

impl EventStream {
    /// The frames.
    pub fn frames(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        let ends_at = (!self.max_life.is_zero()).then(|| Instant::now() + self.max_life);
        unfold(
            (self, ends_at, false),
            |(mut stream, ends_at, over)| async move {
                if over {
                    return None;
                }
                let (frame, over) = stream.next(ends_at).await?;
                Some((Ok(frame), (stream, ends_at, over)))
            },
        )
    }

    /// The next frame, and whether it is the last.
    async fn next(&mut self, ends_at: Option<Instant>) -> Option<(Bytes, bool)> {
        if let Some(first) = self.first.take() {
            return Some((first, false));
        }
        loop {
            let next = tokio::select! {
                biased;
                next = self.follow.next() => next,
                () = after(self.keep_alive) => return Some((KEEP_ALIVE.clone(), false)),
                () = until(ends_at) => return None,
                () = self.closing.cancelled() => return None,
            };
            match next {
                Ok(Next::Event(entry)) => {
                    // A second task in one stream kills 0.3 clients; what it says beside the updates around it (the
                    // requester's own messages, metadata) is in the task when it is read.
                    if matches!(*entry.event, StreamResponse::Task(_)) && entry.seq.0 > 1 {
                        continue;
                    }
                    let more = self.follow.behind();
                    let over = entry.event.is_terminal()
                        || (self.ends_at_interrupt && ends_stream(&entry.event) && !more);
                    return Some((self.renderer.frame(self.epoch, &entry, more), over));
                }
                Ok(Next::Trimmed(record)) => return Some(self.caught_up(&record)),
                Err(error) => {
                    tracing::warn!(%error, "a stream's log cannot be read");
                    let error = A2aError::new(
                        ErrorKind::Internal,
                        "The task's log cannot be read at the moment; subscribe again.",
                    );
                    return Some((self.renderer.error_frame(&error), true));
                }
            }
        }
    }

    /// The events in between are no longer kept: the task as it stands takes their place.
    fn caught_up(&self, record: &TaskRecord) -> (Bytes, bool) {
        let task = &record.task;
        let event = if self.renderer.dialect().version.is_v0() {
            StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
                task_id: task.id.clone(),
                context_id: task.context_id.clone(),
                status: task.status.clone(),
                ..TaskStatusUpdateEvent::default()
            })
        } else {
            StreamResponse::Task(task.as_ref().clone())
        };
        let frame = self
            .renderer
            .loose_frame(Some((self.epoch, record.last_seq)), &event);
        (frame, task.status.state.is_terminal())
    }
}

async fn after(wait: Duration) {
    if wait.is_zero() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(wait).await;
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
