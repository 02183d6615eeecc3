//! Tests of the judge and of the plan: a cell that went right has no fault, and each thing that can go wrong is one.

use serde_json::{Value, json};

use crate::judge::{delivered, faults};
use crate::plan::{self, Cell, OWN, REQUESTERS, WITHOUT_A_CALL, WORKERS};

const NONE: [String; 0] = [];

fn cell(worker: &str, requester: &str, mode: &str) -> Cell {
    let worker = WORKERS
        .iter()
        .find(|one| one.name == worker)
        .expect("a worker");
    let requester = REQUESTERS
        .iter()
        .find(|one| one.name == requester)
        .expect("a requester");
    let mode = requester
        .modes
        .iter()
        .find(|one| **one == mode)
        .expect("a mode");
    Cell::new(worker, requester, mode)
}

fn jobs(cell: &Cell) -> Vec<String> {
    vec![json!(cell.text()).to_string()]
}

fn line(states: &[&str], result: &str) -> Value {
    json!({"states": states, "result": result, "calls": [], "beside": {}, "error": null})
}

fn echo(cell: &Cell) -> String {
    format!("done in {}s: {}", cell.worker.seconds, cell.text())
}

fn judge(cell: &Cell, line: &Value) -> Vec<String> {
    faults(cell, line, &jobs(cell))
}

#[test]
fn the_jobs_own_result_with_its_end_has_no_fault() {
    let it = cell("fasta2a_worker", "python_a2a", "stream");
    assert_eq!(
        judge(
            &it,
            &line(&["submitted", "waiting", "completed"], &echo(&it))
        ),
        NONE
    );
    let it = cell("python_a2a_poll", "fasta2a", "poll");
    assert_eq!(
        judge(&it, &line(&["working", "completed"], "done in 2s")),
        NONE
    );
    let it = cell("py-v1", "fasta2a-0.6", "blocking");
    assert_eq!(
        faults(&it, &line(&["completed"], "The answer is 42."), &[]),
        NONE
    );
}

#[test]
fn another_jobs_result_is_a_fault() {
    let it = cell("fasta2a_worker", "praisonai", "poll");
    let other = cell("fasta2a_worker", "praisonai", "blocking");
    let states = ["submitted", "working", "completed"];
    assert_eq!(judge(&it, &line(&states, &echo(&other))).len(), 1);
    assert_eq!(judge(&it, &line(&states, "")).len(), 1);
    let callback = cell("python_a2a_callback", "python_a2a", "blocking");
    let without = line(&["completed"], "Task processed without callback.");
    assert_eq!(judge(&callback, &without).len(), 1);
    assert!(delivered(&callback, &without).is_err());
}

#[test]
fn a_report_is_judged_whole() {
    let it = cell("ruby_emulator", "ruby", "get");
    let states = ["TASK_STATE_SUBMITTED", "TASK_STATE_COMPLETED"];
    let end = "\n\nFindings:\n- Data processed: 1,247 records\n- Anomalies detected: 3\n- Confidence: 94.7%\n\
        - Recommendation: Proceed with caution\n\n[Simulated analysis result]";
    let whole = format!("Analysis Report for: {}{end}", it.text());
    assert_eq!(judge(&it, &line(&states, &whole)), NONE);
    assert_eq!(
        judge(&it, &line(&states, &whole[..whole.len() - 1])).len(),
        1
    );
}

#[test]
fn an_unfinished_task_is_a_fault() {
    let it = cell("fasta2a_worker", "fasta2a", "blocking");
    assert_eq!(judge(&it, &line(&["submitted"], &echo(&it))).len(), 1);
    let mut failed = line(&["completed"], &echo(&it));
    failed["error"] = json!("ReadTimeout: ");
    assert_eq!(judge(&it, &failed).len(), 1);
}

#[test]
fn a_state_that_the_client_does_not_know_is_a_fault() {
    let it = cell("praisonai", "python_a2a", "poll");
    for wrong in ["working", "unknown", "TASK_STATE_WORKING"] {
        assert_eq!(
            judge(&it, &line(&["submitted", wrong, "completed"], &echo(&it))).len(),
            1
        );
    }
}

#[test]
fn states_out_of_order_are_faults() {
    let it = cell("fasta2a_worker", "fasta2a", "poll");
    let states = ["working", "submitted", "completed"];
    assert_eq!(judge(&it, &line(&states, &echo(&it))).len(), 1);
    let states = ["completed", "working", "completed"];
    assert_eq!(judge(&it, &line(&states, &echo(&it))).len(), 1);
}

#[test]
fn work_done_twice_or_not_at_all_is_a_fault() {
    let it = cell("python_a2a_poll", "python_a2a", "blocking");
    let good = line(&["completed"], "done in 2s");
    let others = jobs(&cell("python_a2a_poll", "python_a2a", "poll"));
    assert_eq!(
        faults(&it, &good, &[jobs(&it), others.clone()].concat()),
        NONE
    );
    assert_eq!(
        faults(&it, &good, &[jobs(&it), jobs(&it)].concat()).len(),
        1
    );
    assert_eq!(faults(&it, &good, &others).len(), 1);
}

#[test]
fn webhooks_tell_the_end_once_and_with_their_credentials() {
    let it = cell("praisonai", "praisonai", "push-probe");
    let call = |state: &str| json!({"state": state, "task": "t", "token": true, "auth": true});
    let mut good = line(
        &["submitted", "hook:working", "hook:completed", "completed"],
        &echo(&it),
    );
    good["calls"] = json!([call("working"), call("completed")]);
    assert_eq!(judge(&it, &good), NONE);
    let mut polled = line(&["submitted", "working", "completed"], &echo(&it));
    polled["calls"] = json!([]);
    assert_eq!(judge(&it, &polled).len(), 1);
    let mut twice = good.clone();
    twice["calls"] = json!([call("completed"), call("completed")]);
    assert_eq!(judge(&it, &twice).len(), 1);
    let mut bare = good;
    bare["calls"][1]["auth"] = json!(false);
    assert_eq!(judge(&it, &bare).len(), 1);
}

#[test]
fn a_callback_comes_once() {
    let it = cell("ruby_emulator as published", "python_a2a", "callback");
    let end = "\n\nFindings:\n- Data processed: 1,247 records\n- Anomalies detected: 3\n- Confidence: 94.7%\n\
        - Recommendation: Proceed with caution\n\n[Simulated analysis result]";
    let whole = format!("Analysis Report for: {}{end}", it.text());
    let mut good = line(&["waiting", "callback:submitted"], &whole);
    good["calls"] = json!([{}]);
    assert_eq!(judge(&it, &good), NONE);
    good["calls"] = json!([{}, {}]);
    assert_eq!(judge(&it, &good).len(), 1);
}

#[test]
fn a_cancelled_task_stays_cancelled() {
    let it = cell("praisonai", "ruby", "cancel");
    let states = [
        "TASK_STATE_SUBMITTED",
        "TASK_STATE_WORKING",
        "TASK_STATE_COMPLETED",
    ];
    let mut good = line(&states, &echo(&it));
    let canceled = "TASK_STATE_CANCELED";
    good["beside"] =
        json!({"stream": "TASK_STATE_COMPLETED", "cancel": canceled, "after cancel": canceled});
    assert_eq!(judge(&it, &good), NONE);
    for what in ["stream", "cancel", "after cancel"] {
        let mut wrong = good.clone();
        wrong["beside"][what] = json!("TASK_STATE_WORKING");
        assert_eq!(judge(&it, &wrong).len(), 1);
    }
}

#[test]
fn a_step_that_came_too_late_is_no_fault_of_the_sidecars() {
    let it = cell("praisonai", "ruby", "cancel");
    let mut late = line(
        &["TASK_STATE_SUBMITTED", "TASK_STATE_COMPLETED"],
        &echo(&it),
    );
    late["beside"] = json!({"stream": "too late", "cancel": "too late"});
    assert_eq!(judge(&it, &late), NONE);
    late["beside"] = json!({"cancel": "too late"});
    assert_eq!(judge(&it, &late).len(), 1);
}

/// What an SDK's client writes down of a stream of the worker `fasta2a_worker`.
fn events(it: &Cell) -> Vec<Value> {
    let parts = json!([{"text": echo(it)}]);
    let status = |state: &str| json!({"statusUpdate": {"taskId": "t", "status": {"state": state}}});
    [
        json!({"task": {"id": "t", "status": {"state": "TASK_STATE_SUBMITTED"}}}),
        status("TASK_STATE_WORKING"),
        json!({"artifactUpdate": {"taskId": "t", "artifact": {"artifactId": "a", "parts": parts}}}),
        status("TASK_STATE_COMPLETED"),
    ]
    .into_iter()
    .map(|body| json!({"via": "event", "body": body}))
    .collect()
}

#[test]
fn an_sdks_stream_brings_the_task_the_result_and_the_end() {
    let it = cell("fasta2a_worker", "py-v1", "stream");
    let whole = events(&it);
    let judge = |heard: &[Value]| judge(&it, &json!({"heard": heard, "error": null}));
    assert_eq!(judge(&whole), NONE);
    assert_eq!(judge(&whole[1..]).len(), 1);
    assert_eq!(judge(&[&whole[..2], &whole[3..]].concat()).len(), 1);
    assert_ne!(judge(&whole[..3]), NONE);
    assert_ne!(judge(&[whole.clone(), whole[3..].to_vec()].concat()), NONE);
}

#[test]
fn every_own_pair_is_tried_both_ways_but_for_the_call_that_there_is_not() {
    let direct: usize = plan::directly().iter().map(|trial| trial.cells.len()).sum();
    assert_eq!(direct, OWN.len());
    assert_eq!(OWN.iter().filter(|(.., works)| !works).count(), 12);
    let through: Vec<String> = plan::through_the_sidecar(None)
        .into_iter()
        .flat_map(|trial| trial.cells)
        .map(|cell| cell.id)
        .collect();
    for (worker, requester, mode, _) in OWN {
        let tried = through.contains(&format!("{worker}/{requester}/{mode}"));
        assert_eq!(
            tried,
            (requester, mode) != WITHOUT_A_CALL,
            "{worker}/{requester}/{mode}"
        );
    }
}
