//! What each event writes to the log and to the metrics.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::telemetry::told::logged;
use crate::telemetry::{LogFormat, Metrics};

/// What the events log at this level, as JSON, and what they count.
fn told(filter: &str, tell: impl FnOnce()) -> (Vec<Value>, String) {
    let (recorder, metrics) = Metrics::recorder();
    let log = logged(LogFormat::Json, filter, || {
        metrics::with_local_recorder(&recorder, tell);
    });
    let lines = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (lines, metrics.render())
}

fn call() -> CallFinished<'static> {
    CallFinished {
        request_id: "r-1",
        route: "one",
        dialect: "v1.0/jsonrpc",
        operation: "SendMessage",
        plan: Plan::Bridge,
        outcome: CallOutcome::WorkerError,
        status: 502,
        rpc_code: Some(-32603),
        duration: Duration::from_millis(300),
        bytes: 17,
        task: Some("t-1"),
    }
}

#[test]
fn a_finished_call_is_one_wide_line_and_one_count() {
    let (lines, metrics) = told("info", || call().emit());
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    for (name, value) in [
        ("message", Value::from("call.finished")),
        ("level", "INFO".into()),
        ("target", CALL_TARGET.into()),
        ("request_id", "r-1".into()),
        ("route", "one".into()),
        ("dialect", "v1.0/jsonrpc".into()),
        ("operation", "SendMessage".into()),
        ("plan", "bridge".into()),
        ("outcome", "worker_error".into()),
        ("status", 502.into()),
        ("rpc_code", (-32603).into()),
        ("seconds", 0.3.into()),
        ("bytes", 17.into()),
        ("task", "t-1".into()),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    let labels = "route=\"one\",dialect=\"v1.0/jsonrpc\",operation=\"SendMessage\",plan=\"bridge\",\
                  outcome=\"worker_error\"";
    assert!(
        metrics.contains(&format!("a2a_sidecar_calls_total{{{labels}}} 1")),
        "{metrics}"
    );
    assert!(
        metrics.contains("route=\"one\",operation=\"SendMessage\",plan=\"bridge\",le=\"0.5\"} 1"),
        "{metrics}"
    );
}

#[test]
fn calls_can_be_silenced_alone_and_are_counted_still() {
    let (lines, metrics) = told("info,a2a_sidecar::call=off", || {
        call().emit();
        ConfigReloaded::Taken { routes: 2 }.emit();
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["message"], "config.reloaded");
    assert!(metrics.contains("a2a_sidecar_calls_total{"), "{metrics}");
}

#[test]
fn levels_say_what_an_operator_must_do() {
    let (lines, metrics) = told("debug", || {
        CallShed.emit();
        EventsAdded {
            route: "one",
            task: "t",
            source: "poll",
            count: 3,
        }
        .emit();
        EventDropped {
            route: "one",
            task: "t",
            source: "poll",
        }
        .emit();
        SourceChanged {
            route: "one",
            task: "t",
            from: "stream",
            to: "poll",
            reason: "the stream broke",
        }
        .emit();
        let ended = TaskEnded {
            route: "one",
            task: "t",
            state: "TASK_STATE_COMPLETED",
            source: "poll",
            given_up: None,
        };
        ended.emit();
        TaskEnded {
            state: "TASK_STATE_FAILED",
            given_up: Some("the worker is gone"),
            ..ended
        }
        .emit();
        WorkerCalled {
            route: "one",
            operation: "GetTask",
            outcome: "timeout",
            duration: Duration::from_secs(1),
            poll: true,
        }
        .emit();
        StoreFailed {
            operation: "append",
            kind: "busy",
            error: "the disk is full",
        }
        .emit();
        ConfigReloaded::Unchanged.emit();
        ConfigReloaded::Refused { faults: "x" }.emit();
    });
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["level"].as_str().unwrap(),
                line["message"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("DEBUG", "call.shed"),
            ("DEBUG", "events.added"),
            ("DEBUG", "event.dropped"),
            ("WARN", "source.changed"),
            ("DEBUG", "task.ended"),
            ("ERROR", "task.given_up"),
            ("DEBUG", "worker.called"),
            ("ERROR", "store.failed"),
            ("INFO", "config.unchanged"),
            ("WARN", "config.refused"),
        ]
    );
    for counted in [
        "a2a_sidecar_calls_shed_total 1",
        "a2a_sidecar_events_total{route=\"one\",source=\"poll\"} 3",
        "a2a_sidecar_events_dropped_total{route=\"one\",source=\"poll\"} 1",
        "a2a_sidecar_source_changes_total{route=\"one\",from=\"stream\",to=\"poll\"} 1",
        "a2a_sidecar_tasks_ended_total{route=\"one\",state=\"TASK_STATE_COMPLETED\"} 1",
        "a2a_sidecar_tasks_ended_total{route=\"one\",state=\"TASK_STATE_FAILED\"} 1",
        "a2a_sidecar_worker_calls_total{route=\"one\",operation=\"GetTask\",outcome=\"timeout\"} 1",
        "a2a_sidecar_polls_total{route=\"one\"} 1",
        "a2a_sidecar_store_errors_total{operation=\"append\",kind=\"busy\"} 1",
        "a2a_sidecar_config_reloads_total{outcome=\"unchanged\"} 1",
        "a2a_sidecar_config_reloads_total{outcome=\"refused\"} 1",
    ] {
        assert!(metrics.contains(counted), "{counted} in:\n{metrics}");
    }
    // No line holds more than its event gave it, and ids are in no label.
    assert!(!metrics.contains("task="), "{metrics}");
}

#[test]
fn meters_that_are_kept_count_as_those_looked_up_do() {
    let kept = told("info", || {
        let meters = CallMeters::default();
        for _ in 0..2 {
            meters.finish(&Arc::from("one"), &call());
        }
        meters.finish(
            &Arc::from("two"),
            &CallFinished {
                route: "two",
                ..call()
            },
        );
    });
    let looked_up = told("info", || {
        call().emit();
        call().emit();
        CallFinished {
            route: "two",
            ..call()
        }
        .emit();
    });
    assert_eq!(kept.0.len(), looked_up.0.len());
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&kept.1), sorted(&looked_up.1));
    assert!(kept.1.contains("route=\"one\""), "{}", kept.1);
}

#[test]
fn what_is_counted_is_counted_for_as_long_as_it_lives() {
    let (recorder, metrics) = Metrics::recorder();
    metrics::with_local_recorder(&recorder, || {
        let first = Counted::stream("one");
        let second = Counted::stream("one");
        let meters = CallMeters::default();
        let calls = meters.begin();
        let task = Counted::task("one", "poll");
        let open = metrics.render();
        assert!(
            open.contains("a2a_sidecar_streams_open{route=\"one\"} 2"),
            "{open}"
        );
        assert!(open.contains("a2a_sidecar_calls_in_flight 1"), "{open}");
        assert!(
            open.contains("a2a_sidecar_tasks_active{route=\"one\",source=\"poll\"} 1"),
            "{open}"
        );
        drop((first, calls, task));
        let left = metrics.render();
        assert!(
            left.contains("a2a_sidecar_streams_open{route=\"one\"} 1"),
            "{left}"
        );
        assert!(left.contains("a2a_sidecar_calls_in_flight 0"), "{left}");
        drop(second);
    });
}
