//! Every metric and every label, by name. Labels take their values from closed sets and from route names, never from
//! ids, URLs or messages: a requester must not be able to make series.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Calls answered, by how: counter.
pub const CALLS: &str = "a2a_sidecar_calls_total";
/// From a call's first byte to its answer's last: histogram.
pub const CALL_SECONDS: &str = "a2a_sidecar_call_seconds";
/// Calls under way: gauge.
pub const CALLS_IN_FLIGHT: &str = "a2a_sidecar_calls_in_flight";
/// Calls refused because too many were under way: counter.
pub const CALLS_SHED: &str = "a2a_sidecar_calls_shed_total";
/// Tasks that are being watched: gauge.
pub const TASKS_ACTIVE: &str = "a2a_sidecar_tasks_active";
/// Tasks that ended, by state: counter.
pub const TASKS_ENDED: &str = "a2a_sidecar_tasks_ended_total";
/// Events that came into a log: counter.
pub const EVENTS: &str = "a2a_sidecar_events_total";
/// What workers said after a task's end: counter.
pub const EVENTS_DROPPED: &str = "a2a_sidecar_events_dropped_total";
/// Polls of workers: counter.
pub const POLLS: &str = "a2a_sidecar_polls_total";
/// Changes from one source to another while a task was under way: counter.
pub const SOURCE_CHANGES: &str = "a2a_sidecar_source_changes_total";
/// The sidecar's own calls to workers, by outcome: counter.
pub const WORKER_CALLS: &str = "a2a_sidecar_worker_calls_total";
/// How long they took: histogram.
pub const WORKER_CALL_SECONDS: &str = "a2a_sidecar_worker_call_seconds";
/// Streams that requesters hold open: gauge.
pub const STREAMS_OPEN: &str = "a2a_sidecar_streams_open";
/// Attempts to deliver a webhook, by outcome: counter.
pub const WEBHOOK_ATTEMPTS: &str = "a2a_sidecar_webhook_attempts_total";
/// How long they took: histogram.
pub const WEBHOOK_ATTEMPT_SECONDS: &str = "a2a_sidecar_webhook_attempt_seconds";
/// Webhooks given up: counter.
pub const WEBHOOKS_DEAD: &str = "a2a_sidecar_webhooks_dead_total";
/// Calls of the store that failed, by kind: counter.
pub const STORE_ERRORS: &str = "a2a_sidecar_store_errors_total";
/// Times that the configuration was read anew, by outcome: counter.
pub const CONFIG_RELOADS: &str = "a2a_sidecar_config_reloads_total";
/// 1, with the version as label: gauge.
pub const BUILD_INFO: &str = "a2a_sidecar_build_info";

/// Every metric, for tables and tests.
pub const ALL: [&str; 19] = [
    CALLS,
    CALL_SECONDS,
    CALLS_IN_FLIGHT,
    CALLS_SHED,
    TASKS_ACTIVE,
    TASKS_ENDED,
    EVENTS,
    EVENTS_DROPPED,
    POLLS,
    SOURCE_CHANGES,
    WORKER_CALLS,
    WORKER_CALL_SECONDS,
    STREAMS_OPEN,
    WEBHOOK_ATTEMPTS,
    WEBHOOK_ATTEMPT_SECONDS,
    WEBHOOKS_DEAD,
    STORE_ERRORS,
    CONFIG_RELOADS,
    BUILD_INFO,
];

/// A route's name.
pub const ROUTE: &str = "route";
/// A dialect's name.
pub const DIALECT: &str = "dialect";
/// An operation's name.
pub const OPERATION: &str = "operation";
/// How a call is answered: see [`super::event::Plan`].
pub const PLAN: &str = "plan";
/// How something ended.
pub const OUTCOME: &str = "outcome";
/// A source's mode.
pub const SOURCE: &str = "source";
/// The source before.
pub const FROM: &str = "from";
/// The source after.
pub const TO: &str = "to";
/// A task's state.
pub const STATE: &str = "state";
/// A kind of error.
pub const KIND: &str = "kind";
/// The program's version.
pub const VERSION: &str = "version";

/// Bounds of the histograms, in seconds: from an answer out of the log (milliseconds) to agents that work for an hour.
pub const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3600.0,
];

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_counter!(CALLS, "Calls answered, by how and with what outcome");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "From a call's arrival to the last byte of its answer");
    describe_gauge!(CALLS_IN_FLIGHT, "Calls under way");
    describe_counter!(CALLS_SHED, "Calls refused with 503 because too many were under way");
    describe_gauge!(TASKS_ACTIVE, "Tasks that are being watched");
    describe_counter!(TASKS_ENDED, "Tasks that ended, by state");
    describe_counter!(EVENTS, "Events that came into a task's log, by source");
    describe_counter!(EVENTS_DROPPED, "What workers said of a task after its end");
    describe_counter!(POLLS, "Polls of workers");
    describe_counter!(SOURCE_CHANGES, "Changes from one source to another while a task was under way");
    describe_counter!(WORKER_CALLS, "The sidecar's own calls to workers, by outcome");
    describe_histogram!(WORKER_CALL_SECONDS, Unit::Seconds, "How long the sidecar's own calls to workers took");
    describe_gauge!(STREAMS_OPEN, "Streams that requesters hold open");
    describe_counter!(WEBHOOK_ATTEMPTS, "Attempts to deliver a webhook, by outcome");
    describe_histogram!(WEBHOOK_ATTEMPT_SECONDS, Unit::Seconds, "How long attempts to deliver a webhook took");
    describe_counter!(WEBHOOKS_DEAD, "Webhooks given up");
    describe_counter!(STORE_ERRORS, "Calls of the store that failed, by kind");
    describe_counter!(CONFIG_RELOADS, "Times that the configuration was read anew, by outcome");
    describe_gauge!(BUILD_INFO, "1, with the program's version");
}
