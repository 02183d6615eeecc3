//! What the sources need of a route: its worker, its policy and its budget of polls.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::Policy;
use crate::worker::Worker;

/// The worker's side of a route.
#[derive(Debug)]
pub struct Upstream {
    /// The route's name.
    pub route: Arc<str>,
    /// The worker.
    pub worker: Arc<Worker>,
    /// Times and bounds.
    pub policy: Policy,
    budget: Budget,
}

impl Upstream {
    /// The worker's side of the route of this name.
    #[must_use]
    pub fn new(route: Arc<str>, worker: Arc<Worker>, policy: Policy) -> Self {
        Self {
            budget: Budget::new(policy.poll.budget_per_second),
            route,
            worker,
            policy,
        }
    }

    /// Waits until the route's budget allows another poll.
    pub async fn poll_allowed(&self) {
        if let Some(at) = self.budget.book(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }
}

/// Polls are booked one after the other at the budget's pace, with one second's worth at once at most.
#[derive(Debug)]
struct Budget {
    interval: Duration,
    burst: Duration,
    next: Mutex<Option<Instant>>,
}

impl Budget {
    fn new(per_second: f64) -> Self {
        let interval = if per_second > 0.0 {
            Duration::from_secs_f64(1.0 / per_second)
        } else {
            Duration::ZERO
        };
        Self {
            interval,
            burst: Duration::from_secs(1).saturating_sub(interval),
            next: Mutex::new(None),
        }
    }

    /// When the next poll may go; none: now.
    fn book(&self, now: Instant) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // What was not used is kept for one second's worth only: a quiet hour must not become a storm.
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        let at = next.map_or(earliest, |next| next.max(earliest));
        *next = Some(at + self.interval);
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_budget_lets_a_second_s_worth_go_at_once_and_then_keeps_the_pace() {
        let budget = Budget::new(4.0);
        let now = Instant::now() + Duration::from_secs(100);
        let at_once = (0..20).take_while(|_| budget.book(now).is_none()).count();
        assert_eq!(at_once, 4);
        // The one that had to wait has been booked; the next comes an interval later.
        assert_eq!(budget.book(now), Some(now + Duration::from_millis(500)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_of_nothing_means_no_bound() {
        let budget = Budget::new(0.0);
        assert!((0..1000).all(|_| budget.book(Instant::now()).is_none()));
    }
}
