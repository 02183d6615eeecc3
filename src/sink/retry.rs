//! When a delivery is tried again, and when no more. Pure: no clock and no I/O, both are given.
//!
//! It does not send anything and does not know how a failure came about; it decides on the result alone.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use rand::{Rng, RngExt};

use super::policy::DeliveryPolicy;
use crate::net::guard::Refused;
use crate::store::{AttemptOutcome, Millis};

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptResult {
    /// The receiver answered, with whatever status.
    Answered {
        /// The status; only a 2xx delivers. A redirect is not followed: it is a failure like any other.
        status: StatusCode,
        /// How long the receiver asks to be left alone, if it does (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The agent that was called answered with an error of JSON-RPC, which rides on a 2xx.
    Failed {
        /// Its code.
        code: i64,
    },
    /// The guard does not permit the address. No byte was sent.
    Refused(Refused),
    /// No connection came about: name resolution, TCP or TLS.
    Connect,
    /// No answer within [`DeliveryPolicy::attempt_timeout`].
    TimedOut,
    /// The connection broke before the answer.
    Broken,
    /// There was no request to send.
    Unprepared(Unprepared),
}

/// Why there was no request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprepared {
    /// The push config cannot be unsealed: it was sealed with another key. An operator can bring the key back.
    Unseal,
    /// The push config cannot be said in HTTP (address, token or credentials). Trying again changes nothing.
    Config,
    /// The payload cannot be encoded: it is in a dialect that this version does not speak. Another version may.
    Encode,
    /// The task or the push config is no longer there: nobody waits.
    Gone,
}

impl AttemptResult {
    /// Whether the event is delivered.
    #[must_use]
    pub fn delivered(&self) -> bool {
        matches!(self, AttemptResult::Answered { status, .. } if status.is_success())
    }

    /// The stage at which the attempt ended: for logs and the ledger.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            AttemptResult::Answered { .. } => "status",
            AttemptResult::Failed { .. } => "rpc",
            AttemptResult::Refused(_) => "refused",
            AttemptResult::Connect => "connect",
            AttemptResult::TimedOut => "timeout",
            AttemptResult::Broken => "broken",
            AttemptResult::Unprepared(Unprepared::Unseal) => "unseal",
            AttemptResult::Unprepared(Unprepared::Config) => "config",
            AttemptResult::Unprepared(Unprepared::Encode) => "encode",
            AttemptResult::Unprepared(Unprepared::Gone) => "gone",
        }
    }

    /// The status that came back, if one did.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            AttemptResult::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether no later attempt could end otherwise. A 4xx is not final, 410 apart: receivers are often misconfigured
    /// for a while (a route not deployed yet, a token not rolled out), and only 410 says that it will stay so.
    fn is_final(&self) -> bool {
        match self {
            AttemptResult::Answered { status, .. } => *status == StatusCode::GONE,
            AttemptResult::Refused(_)
            | AttemptResult::Unprepared(Unprepared::Config | Unprepared::Gone) => true,
            // As a 4xx: an agent that is not set up yet may be soon.
            AttemptResult::Failed { .. }
            | AttemptResult::Connect
            | AttemptResult::TimedOut
            | AttemptResult::Broken
            | AttemptResult::Unprepared(Unprepared::Unseal | Unprepared::Encode) => false,
        }
    }
}

/// Decides what becomes of a delivery after an attempt.
///
/// `attempts` is how often it was tried before this attempt, `first_due` when the first attempt was due. The last
/// attempt falls on the end of the policy's time at the latest: a wait beyond it is cut to it.
pub fn next(
    policy: &DeliveryPolicy,
    attempts: u32,
    first_due: Millis,
    now: Millis,
    result: &AttemptResult,
    rng: &mut impl Rng,
) -> AttemptOutcome {
    if result.delivered() {
        return AttemptOutcome::Delivered;
    }
    let deadline = first_due.saturating_add(millis(policy.give_up_after));
    if result.is_final() || now >= deadline {
        return AttemptOutcome::Dead;
    }
    let asked = match result {
        AttemptResult::Answered { retry_after, .. } => *retry_after,
        _ => None,
    };
    let wait = match asked {
        // Never earlier than asked, so jitter only lengthens; never quicker than a first retry, or a receiver that says
        // "0" would be tried without a pause for the whole of the policy's time.
        Some(asked) => {
            let floor = asked.max(policy.retry_first);
            lengthened(floor, policy.retry_jitter, rng)
                .min(policy.retry_after_max.max(policy.retry_first))
        }
        None => backoff(policy, attempts, rng),
    };
    AttemptOutcome::Retry {
        at: now.saturating_add(millis(wait)).min(deadline),
    }
}

/// `retry_first`, doubled with every attempt up to `retry_max`, give or take the jitter.
fn backoff(policy: &DeliveryPolicy, attempts: u32, rng: &mut impl Rng) -> Duration {
    // 2^31 times any wait that makes sense is beyond any `retry_max`.
    let doubled = policy
        .retry_first
        .saturating_mul(1 << attempts.min(31))
        .min(policy.retry_max);
    let share = share(policy.retry_jitter) * rng.random_range(-1.0..=1.0);
    let spread = scaled(doubled, 1.0 + share);
    if spread > policy.retry_max {
        // At the ceiling the jitter goes down only: cut to the ceiling, half of all receivers would be tried at once.
        scaled(policy.retry_max, 1.0 - share.abs())
    } else {
        spread
    }
}

fn lengthened(wait: Duration, jitter: f64, rng: &mut impl Rng) -> Duration {
    scaled(wait, 1.0 + share(jitter) * rng.random_range(0.0..=1.0))
}

fn share(jitter: f64) -> f64 {
    if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

fn scaled(wait: Duration, by: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * by).unwrap_or(wait)
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or an HTTP date, which is turned into the wait from `now` on. A
/// date that has passed asks for no wait; anything else asks for nothing.
#[must_use]
pub fn retry_after(value: &str, now: Millis) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds: as long as the policy lets it.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let at = millis(at.duration_since(UNIX_EPOCH).ok()?);
    let wait = at.saturating_sub(now).max(0);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
