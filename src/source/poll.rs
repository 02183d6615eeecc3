//! The spacing of polls: quick at first, then slower, jittered apart, and never sooner than the worker asks.

use std::time::Duration;

use super::PollPolicy;

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
