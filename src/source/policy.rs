//! The times and bounds of the sources, as a route sets them. Every number's reason is in `config/default.toml`.

use std::time::Duration;

use super::Mode;

/// How a route learns of its worker's tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Which ways may be used, best first; empty: whatever the worker offers, in the sidecar's own order.
    pub prefer: Vec<Mode>,
    /// How long a worker that was asked to answer at once may take before the sidecar announces the task itself.
    pub announce_after: Duration,
    /// How long a stream waits for the worker's first word before the sidecar announces the task itself; until then
    /// a bare Message is passed on as just that.
    pub first_event_after: Duration,
    /// The longest wait for the one answer of a worker that blocks.
    pub answer_timeout: Duration,
    /// The longest wait for a short call (GetTask, CancelTask, push configs, cards).
    pub call_timeout: Duration,
    /// How long a worker that fails, or is gone, is asked again before the task is given up.
    pub give_up_after: Duration,
    /// How polls are spaced.
    pub poll: PollPolicy,
    /// How streams are kept.
    pub stream: StreamPolicy,
    /// How the sidecar's own webhook is used.
    pub push: PushPolicy,
    /// The most bytes of one answer of the worker.
    pub max_answer_bytes: usize,
}

/// How polls are spaced: quick at first, slower with the task's age, within the route's budget.
#[derive(Clone, Debug, PartialEq)]
pub struct PollPolicy {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Each wait is this many times the last one.
    pub factor: f64,
    /// Each wait is shortened or lengthened at random by up to this share of itself.
    pub jitter: f64,
    /// The most polls per second of all tasks of the route together.
    pub budget_per_second: f64,
    /// The wait between polls beside a source that may miss an end, and of a task that waits for its requester.
    pub slow: Duration,
    /// How many times running a worker may say that it does not know the task before it is believed.
    pub not_found_limit: u32,
}

/// How streams are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamPolicy {
    /// How often running a broken stream is subscribed anew before polling takes over.
    pub resubscribe_limit: u32,
    /// The wait before the first of them; doubled each time.
    pub resubscribe_wait: Duration,
    /// The most bytes of one event.
    pub max_event_bytes: usize,
}

/// How the sidecar's own webhook is used.
#[derive(Clone, Debug, PartialEq)]
pub struct PushPolicy {
    /// The base of the sidecar's address as the worker reaches it, without a slash at the end.
    pub base_url: String,
    /// The most webhooks kept for a send whose answer is still on its way.
    pub max_early: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            prefer: Vec::new(),
            announce_after: Duration::from_secs(1),
            first_event_after: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(3600),
            call_timeout: Duration::from_secs(30),
            give_up_after: Duration::from_secs(600),
            poll: PollPolicy::default(),
            stream: StreamPolicy::default(),
            push: PushPolicy::default(),
            max_answer_bytes: 64 << 20,
        }
    }
}

impl Default for PollPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            max: Duration::from_secs(15),
            factor: 1.5,
            jitter: 0.2,
            budget_per_second: 20.0,
            slow: Duration::from_secs(30),
            not_found_limit: 3,
        }
    }
}

impl Default for StreamPolicy {
    fn default() -> Self {
        Self {
            resubscribe_limit: 3,
            resubscribe_wait: Duration::from_millis(100),
            max_event_bytes: 16 << 20,
        }
    }
}

impl Default for PushPolicy {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080".to_owned(),
            max_early: 64,
        }
    }
}
