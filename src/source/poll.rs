//! The poll source: reads the task as often as its schedule says (quick at first, then slower, jittered apart, never sooner
//! than the worker asks), and not at all while nobody waits for news.

use std::sync::Arc;
use std::time::Duration;

use super::supervise::{Left, Watch, Way};
use super::{Mode, PollPolicy};
use crate::a2a::TaskState;
use crate::store::StoreError;
use crate::worker::CallError;

/// The waits between the polls of one task.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Duration,
}

impl Schedule {
    pub(super) fn new(policy: &PollPolicy) -> Self {
        Self { next: policy.first }
    }

    /// The next wait; `retry_after` is what the worker asked for, and is never undercut.
    pub(super) fn wait(&mut self, policy: &PollPolicy, retry_after: Option<Duration>) -> Duration {
        let wait = jittered(self.next, policy.jitter);
        self.next = self
            .next
            .mul_f64(policy.factor.max(1.0))
            .clamp(policy.first, policy.max.max(policy.first));
        match retry_after {
            // Only later than asked for, or all tasks that were told the same come back at once.
            Some(asked) => asked
                .max(wait)
                .mul_f64(1.0 + policy.jitter * rand::random::<f64>()),
            None => wait,
        }
    }
}

/// The wait, shortened or lengthened at random by up to this share of itself.
pub(super) fn jittered(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(1.0 + jitter.clamp(0.0, 1.0) * (2.0 * rand::random::<f64>() - 1.0))
}

/// Why a look at the task failed.
pub(super) enum Look {
    Worker(CallError),
    Store(StoreError),
}

impl Watch {
    pub(super) async fn poll(&mut self, mut state: TaskState) -> Left {
        // Boxed, here and below: a task that waits for its next poll costs what waiting needs.
        Box::pin(self.note_source(Mode::Poll)).await;
        let upstream = Arc::clone(&self.upstream);
        let policy = &upstream.policy.poll;
        let mut schedule = Schedule::new(policy);
        let mut retry_after = None;
        loop {
            // A poll that nobody waits for costs the worker for nothing.
            tokio::select! {
                () = self.stop.cancelled() => return Left::Done,
                () = self.demand.wait() => {}
            }
            let wait = if state == TaskState::InputRequired {
                jittered(policy.slow, policy.jitter)
            } else {
                schedule.wait(policy, retry_after.take())
            };
            if self.pause(wait).await {
                return Left::Done;
            }
            tokio::select! {
                () = self.stop.cancelled() => return Left::Done,
                () = self.upstream.poll_allowed() => {}
            }
            if Box::pin(self.is_over()).await {
                return Left::Done;
            }
            match Box::pin(self.look()).await {
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
                        Box::pin(self.fail("The worker no longer knows this task.")).await;
                        return Left::Done;
                    }
                }
                Err(Look::Worker(error)) if error.is_refused_operation() => {
                    return Left::For(Way::Choose);
                }
                Err(Look::Worker(error)) => {
                    retry_after = error.retry_after();
                    if Box::pin(self.trouble(&error)).await {
                        return Left::Done;
                    }
                }
                Err(Look::Store(error)) => {
                    return Box::pin(self.store_failed(&error, Way::Poll)).await;
                }
            }
        }
    }

    /// Reads the task and merges it; gives the state.
    pub(super) async fn look(&self) -> Result<TaskState, Look> {
        // As it is now: the worker's id may have become known since.
        let record = self
            .sources
            .hub()
            .record(&self.key)
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

    /// Whether the worker can be asked how the task stands.
    pub(super) fn can_read(&self) -> bool {
        self.named
            && self
                .upstream
                .worker
                .known_now()
                .is_none_or(|known| self.upstream.worker.abilities(&known).get)
    }

    pub(super) async fn is_over(&self) -> bool {
        match self.sources.hub().record(&self.key).await {
            Ok(Some(record)) => record.task.status.state.is_terminal(),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PollPolicy {
        PollPolicy {
            first: Duration::from_millis(100),
            max: Duration::from_secs(2),
            factor: 2.0,
            jitter: 0.0,
            ..PollPolicy::default()
        }
    }

    #[test]
    fn waits_grow_from_the_first_to_the_longest() {
        let policy = policy();
        let mut schedule = Schedule::new(&policy);
        let waits: Vec<_> = (0..7)
            .map(|_| schedule.wait(&policy, None).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
    }

    #[test]
    fn the_worker_s_retry_after_is_never_undercut() {
        let policy = PollPolicy {
            jitter: 0.5,
            ..policy()
        };
        let asked = Duration::from_secs(9);
        for _ in 0..100 {
            let wait = Schedule::new(&policy).wait(&policy, Some(asked));
            assert!(wait >= asked && wait <= asked.mul_f64(1.5), "{wait:?}");
        }
    }

    #[test]
    fn jitter_keeps_tasks_apart_within_its_share() {
        let waits: Vec<_> = (0..100)
            .map(|_| jittered(Duration::from_secs(10), 0.2))
            .collect();
        assert!(
            waits
                .iter()
                .all(|wait| (8.0..=12.0).contains(&wait.as_secs_f64()))
        );
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
