//! The times and bounds of the sinks, as a route or the server sets them. Every number's reason is in
//! `config/default.toml`.

use std::time::Duration;

/// How held-open answers are kept alive and ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The longest silence of a held-open answer: then a space (JSON) or a comment (SSE) is sent. Zero: never.
    pub keep_alive: Duration,
    /// Whether that holds for JSON answers over HTTP+JSON too, whose status then is 200 whatever comes.
    pub keep_alive_http_json: bool,
    /// The longest life of a stream; then it ends cleanly and the requester resumes. Zero: no limit.
    pub stream_max_life: Duration,
    /// The longest wait that `Prefer: wait=N` gets.
    pub long_poll_max: Duration,
    /// The longest wait of a blocking send. Zero: as long as the task takes.
    pub blocking_max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(4),
            keep_alive_http_json: false,
            stream_max_life: Duration::ZERO,
            long_poll_max: Duration::from_secs(60),
            blocking_max: Duration::ZERO,
        }
    }
}

/// How webhooks are delivered: the server's `[webhooks]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryPolicy {
    /// The longest wait for one attempt, connect to answer.
    pub attempt_timeout: Duration,
    /// The wait after the first failure; doubled each time.
    pub retry_first: Duration,
    /// The longest wait between two attempts.
    pub retry_max: Duration,
    /// Each wait is shortened or lengthened at random by up to this share of itself.
    pub retry_jitter: f64,
    /// How long a delivery is tried, from its first attempt's due time on; then it is dead.
    pub give_up_after: Duration,
    /// The most attempts under way at once.
    pub max_in_flight: usize,
    /// The longest `Retry-After` that is honoured.
    pub retry_after_max: Duration,
    /// The most push configs of one task.
    pub max_per_task: usize,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(15),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(600),
            retry_jitter: 0.2,
            give_up_after: Duration::from_secs(24 * 3600),
            max_in_flight: 64,
            retry_after_max: Duration::from_secs(3600),
            max_per_task: 16,
        }
    }
}
