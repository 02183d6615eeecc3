//! What happens, each told once: [`emit`](CallFinished::emit) logs and counts together, so that the two never disagree.
//!
//! Levels: INFO for a finished call (one wide line, target `a2a_sidecar::call`, to be filtered as such) and for what
//! operators do, WARN for what went wrong and was made good, ERROR for loss, DEBUG for all that happens per event. No
//! field may hold a secret or the content of a message.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tracing::{debug, error, info, warn};

use super::names;

/// The target of the lines on finished calls.
pub const CALL_TARGET: &str = "a2a_sidecar::call";

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// The worker's answer, passed on.
    Pass,
    /// Converted: from a source over the log.
    Bridge,
    /// By the sidecar alone, out of what it keeps.
    Local,
}

impl Plan {
    /// The label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Bridge => "bridge",
            Self::Local => "local",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// With a result.
    Ok,
    /// With an error that the requester caused.
    RequesterError,
    /// With an error of the worker's, or because of its silence.
    WorkerError,
    /// With an error of the sidecar's own.
    SidecarError,
    /// The requester went away before the end.
    Disconnected,
}

impl CallOutcome {
    /// The label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::RequesterError => "requester_error",
            Self::WorkerError => "worker_error",
            Self::SidecarError => "sidecar_error",
            Self::Disconnected => "disconnected",
        }
    }
}

/// A call has been answered to its last byte, or has been left.
#[derive(Clone, Copy, Debug)]
pub struct CallFinished<'a> {
    /// The request's id, as in `x-request-id`.
    pub request_id: &'a str,
    /// The route's name; empty where none matched.
    pub route: &'a str,
    /// The dialect's name; empty where there is none.
    pub dialect: &'static str,
    /// The operation's name, `card` for an agent card, empty for anything else.
    pub operation: &'static str,
    /// How it was answered.
    pub plan: Plan,
    /// How it ended.
    pub outcome: CallOutcome,
    /// The HTTP status.
    pub status: u16,
    /// The JSON-RPC error's code, if it was one.
    pub rpc_code: Option<i64>,
    /// From the request's arrival to the end of the answer.
    pub duration: Duration,
    /// The bytes of the answer's body.
    pub bytes: u64,
    /// The task's id, if one is known.
    pub task: Option<&'a str>,
}

impl CallFinished<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        self.log();
        let (finished, seconds) = self.meters();
        finished.increment(1);
        seconds.record(self.duration.as_secs_f64());
    }

    fn log(&self) {
        let seconds = self.duration.as_secs_f64();
        info!(
            target: CALL_TARGET,
            request_id = self.request_id,
            route = self.route,
            dialect = self.dialect,
            operation = self.operation,
            plan = self.plan.name(),
            outcome = self.outcome.name(),
            status = self.status,
            rpc_code = self.rpc_code,
            seconds,
            bytes = self.bytes,
            task = self.task,
            // A string and not the macro's last argument, which would go through formatting.
            message = "call.finished",
        );
    }

    fn meters(&self) -> (Counter, Histogram) {
        let finished = counter!(
            names::CALLS_TOTAL,
            names::ROUTE => self.route.to_owned(),
            names::DIALECT => self.dialect,
            names::OPERATION => self.operation,
            names::PLAN => self.plan.name(),
            names::OUTCOME => self.outcome.name(),
        );
        let seconds = histogram!(
            names::CALL_SECONDS,
            names::ROUTE => self.route.to_owned(),
            names::OPERATION => self.operation,
            names::PLAN => self.plan.name(),
        );
        (finished, seconds)
    }
}

/// The meters of calls, each looked up in the process's metrics once: that costs as much as counting ten times. There
/// are as many as combinations of labels, all of which are closed sets but for the routes that there are.
#[derive(Default)]
pub struct CallMeters {
    in_flight: OnceLock<Gauge>,
    finished: DashMap<CallLabels, (Counter, Histogram)>,
}

#[derive(PartialEq, Eq)]
struct CallLabels {
    route: Arc<str>,
    dialect: &'static str,
    operation: &'static str,
    plan: Plan,
    outcome: CallOutcome,
}

impl Hash for CallLabels {
    /// In one word: names of the same length are few, and are told apart by comparing them.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [route, dialect, operation] =
            [self.route.len(), self.dialect.len(), self.operation.len()].map(|len| len as u64);
        let (plan, outcome) = (self.plan as u64, self.outcome as u64);
        state.write_u64(route << 32 | dialect << 24 | operation << 16 | plan << 8 | outcome);
    }
}

impl CallMeters {
    /// A call under way.
    #[must_use]
    pub fn begin(&self) -> Counted {
        let gauge = self
            .in_flight
            .get_or_init(|| gauge!(names::CALLS_IN_FLIGHT));
        Counted::new(gauge.clone())
    }

    /// Logs and counts a call on this route.
    pub fn finish(&self, route: &Arc<str>, call: &CallFinished<'_>) {
        call.log();
        let labels = CallLabels {
            route: Arc::clone(route),
            dialect: call.dialect,
            operation: call.operation,
            plan: call.plan,
            outcome: call.outcome,
        };
        let count = |(finished, seconds): &(Counter, Histogram)| {
            finished.increment(1);
            seconds.record(call.duration.as_secs_f64());
        };
        if let Some(meters) = self.finished.get(&labels) {
            return count(&meters);
        }
        count(&self.finished.entry(labels).or_insert_with(|| call.meters()));
    }
}

impl std::fmt::Debug for CallMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallMeters")
    }
}

/// A call was refused because too many were under way.
#[derive(Clone, Copy, Debug)]
pub struct CallShed;

impl CallShed {
    /// Counts; a line for each would add load when there is too much.
    pub fn emit(&self) {
        debug!("call.shed");
        counter!(names::CALLS_SHED_TOTAL).increment(1);
    }
}

/// Events have come into a task's log.
#[derive(Clone, Copy, Debug)]
pub struct EventsAdded<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The task's id.
    pub task: &'a str,
    /// The source's mode.
    pub source: &'static str,
    /// How many.
    pub count: u64,
}

impl EventsAdded<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        debug!(
            route = self.route,
            task = self.task,
            source = self.source,
            count = self.count,
            "events.added"
        );
        counter!(
            names::EVENTS_TOTAL,
            names::ROUTE => self.route.to_owned(),
            names::SOURCE => self.source,
        )
        .increment(self.count);
    }
}

/// The worker said something of a task that was over.
#[derive(Clone, Copy, Debug)]
pub struct EventDropped<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The task's id.
    pub task: &'a str,
    /// The source's mode.
    pub source: &'static str,
}

impl EventDropped<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        debug!(
            route = self.route,
            task = self.task,
            source = self.source,
            "event.dropped"
        );
        counter!(
            names::EVENTS_DROPPED_TOTAL,
            names::ROUTE => self.route.to_owned(),
            names::SOURCE => self.source,
        )
        .increment(1);
    }
}

/// A source was replaced by another while its task was under way.
#[derive(Clone, Copy, Debug)]
pub struct SourceChanged<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The task's id.
    pub task: &'a str,
    /// The mode before.
    pub from: &'static str,
    /// The mode after.
    pub to: &'static str,
    /// Why, in a few words, without content.
    pub reason: &'a str,
}

impl SourceChanged<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        warn!(
            route = self.route,
            task = self.task,
            from = self.from,
            to = self.to,
            reason = self.reason,
            "source.changed"
        );
        counter!(
            names::SOURCE_CHANGES_TOTAL,
            names::ROUTE => self.route.to_owned(),
            names::FROM => self.from,
            names::TO => self.to,
        )
        .increment(1);
    }
}

/// A task has ended.
#[derive(Clone, Copy, Debug)]
pub struct TaskEnded<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The task's id.
    pub task: &'a str,
    /// The state that it ended in.
    pub state: &'static str,
    /// The source's mode that saw it.
    pub source: &'static str,
    /// Why, where the sidecar gave the task up: its outcome is lost.
    pub given_up: Option<&'a str>,
}

impl TaskEnded<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        match self.given_up {
            Some(reason) => error!(
                route = self.route,
                task = self.task,
                state = self.state,
                source = self.source,
                reason,
                "task.given_up"
            ),
            None => debug!(
                route = self.route,
                task = self.task,
                state = self.state,
                source = self.source,
                "task.ended"
            ),
        }
        counter!(
            names::TASKS_ENDED_TOTAL,
            names::ROUTE => self.route.to_owned(),
            names::STATE => self.state,
        )
        .increment(1);
    }
}

/// The sidecar has made a call of its own to a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerCalled<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The operation's name, or `card`.
    pub operation: &'static str,
    /// `ok`, or a kind of error out of a closed set.
    pub outcome: &'static str,
    /// How long it took to the answer's head, or to its end where it is short.
    pub duration: Duration,
    /// Whether it was a poll: those are counted apart, since they are what watching costs the worker.
    pub poll: bool,
}

impl WorkerCalled<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        let seconds = self.duration.as_secs_f64();
        debug!(
            route = self.route,
            operation = self.operation,
            outcome = self.outcome,
            seconds,
            poll = self.poll,
            "worker.called"
        );
        counter!(
            names::WORKER_CALLS_TOTAL,
            names::ROUTE => self.route.to_owned(),
            names::OPERATION => self.operation,
            names::OUTCOME => self.outcome,
        )
        .increment(1);
        histogram!(
            names::WORKER_CALL_SECONDS,
            names::ROUTE => self.route.to_owned(),
            names::OPERATION => self.operation,
        )
        .record(seconds);
        if self.poll {
            counter!(names::POLLS_TOTAL, names::ROUTE => self.route.to_owned()).increment(1);
        }
    }
}

/// A call of the store has failed.
#[derive(Clone, Copy, Debug)]
pub struct StoreFailed<'a> {
    /// What was to be done: a word out of a closed set.
    pub operation: &'static str,
    /// The kind of error: a word out of a closed set.
    pub kind: &'static str,
    /// The error's text.
    pub error: &'a str,
}

impl StoreFailed<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        error!(
            operation = self.operation,
            kind = self.kind,
            error = self.error,
            "store.failed"
        );
        counter!(
            names::STORE_ERRORS_TOTAL,
            names::OPERATION => self.operation,
            names::KIND => self.kind,
        )
        .increment(1);
    }
}

/// The configuration was read anew.
#[derive(Clone, Copy, Debug)]
pub enum ConfigReloaded<'a> {
    /// And is in use.
    Taken {
        /// How many routes there are now.
        routes: usize,
    },
    /// And is as it was.
    Unchanged,
    /// And is wrong, or takes a restart; the old one stays in use.
    Refused {
        /// One line for each fault.
        faults: &'a str,
    },
}

impl ConfigReloaded<'_> {
    /// Logs and counts.
    pub fn emit(&self) {
        let outcome = match self {
            Self::Taken { routes } => {
                info!(routes, "config.reloaded");
                "taken"
            }
            Self::Unchanged => {
                info!("config.unchanged");
                "unchanged"
            }
            Self::Refused { faults } => {
                warn!(faults, "config.refused");
                "refused"
            }
        };
        counter!(names::CONFIG_RELOADS_TOTAL, names::OUTCOME => outcome).increment(1);
    }
}

/// Counts itself in a gauge for as long as it lives: hold it in what is counted (for a call or a stream, the body).
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }

    /// A stream that a requester holds open.
    #[must_use]
    pub fn stream(route: &str) -> Self {
        Self::new(gauge!(names::STREAMS_OPEN, names::ROUTE => route.to_owned()))
    }

    /// A task that is being watched.
    #[must_use]
    pub fn task(route: &str, source: &'static str) -> Self {
        Self::new(gauge!(
            names::TASKS_ACTIVE,
            names::ROUTE => route.to_owned(),
            names::SOURCE => source,
        ))
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests;
