//! The stream source: reads a worker's events, subscribes anew when a stream breaks or ends too soon, and looks at the
//! task beside a stream that has fallen silent.

use super::Mode;
use super::poll::jittered;
use super::supervise::{Left, Watch, Way};
use crate::a2a::request::{Answer, TaskRequest};
use crate::a2a::{Request, StreamResponse, TaskState};
use crate::store::{StoreError, TaskRecord};
use crate::task::Seq;
use crate::worker::{Ability, CallError, EventStream, Opened, WorkerEvent};

impl Watch {
    pub(super) async fn stream(&mut self, mut stream: Box<EventStream>) -> Left {
        Box::pin(self.note_source(Mode::Stream)).await;
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
                    if self.can_read() && Box::pin(self.look()).await.is_ok_and(TaskState::is_terminal) {
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
                    match Box::pin(self.heard(event, since)).await {
                        Ok((state, _)) if state.is_terminal() => {
                            self.drain(stream);
                            return Left::Done;
                        }
                        Ok((_, last)) => since = last,
                        Err(error) => {
                            self.drain(stream);
                            return Box::pin(self.store_failed(&error, Way::Choose)).await;
                        }
                    }
                }
                // A clean end of a stream is not the task's: unless it waits for its requester, it goes on.
                Ok(None) => return Box::pin(self.stream_left(None)).await,
                Err(error) => return Box::pin(self.stream_left(Some(error))).await,
            }
        }
    }

    /// Merges an event; gives the state and the newest event's number after it.
    async fn heard(
        &self,
        event: Box<WorkerEvent>,
        since: Seq,
    ) -> Result<(TaskState, Seq), StoreError> {
        self.sources
            .merge(&self.key, &self.upstream, event.event, Some(since), false)
            .await
            .map(|observed| (observed.state, observed.last_seq))
    }

    pub(super) async fn stream_left(&mut self, error: Option<CallError>) -> Left {
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
            tracing::debug!(task = %self.key, %error, "the worker's stream broke");
        }
        self.broken_streams += 1;
        Left::For(Way::Subscribe)
    }

    pub(super) async fn subscribe(&mut self, record: &TaskRecord) -> Left {
        let policy = &self.upstream.policy.stream;
        let known = self.upstream.worker.known_now();
        if known.is_some_and(|known| !self.upstream.worker.abilities(&known).subscribe) {
            // The stream that has broken was the only one that there is.
            return Left::For(if self.can_read() {
                Way::Poll
            } else {
                Way::Choose
            });
        }
        let Some(id) = record.link.task_id.clone() else {
            return Left::For(Way::Choose);
        };
        if self.broken_streams > policy.resubscribe_limit && self.can_read() {
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
                if self.can_read() && self.look().await.is_ok_and(TaskState::is_terminal) {
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
                        &self.key,
                        &self.upstream,
                        StreamResponse::Task(task),
                        since,
                        true,
                    )
                    .await
                {
                    Ok(_) => self.stream_left(None).await,
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
                if matches!(error, CallError::Rpc(_)) && self.can_read() {
                    let refused = error.is_refused_operation();
                    match Box::pin(self.look()).await {
                        Ok(state) if state.is_terminal() => return Left::Done,
                        // Not for this task's sake, then: it is nothing that the worker does.
                        Ok(_) if refused => {
                            self.upstream.worker.learn(Ability::Subscribe, false);
                        }
                        Ok(_) | Err(_) => {}
                    }
                    return Left::For(Way::Poll);
                }
                self.after_trouble(error).await
            }
        }
    }

    /// Reads a stream that is no longer needed to its end: some workers stop the job when their reader goes away.
    pub(super) fn drain(&self, mut stream: Box<EventStream>) {
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
