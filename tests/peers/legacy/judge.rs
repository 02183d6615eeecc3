//! Judges one cell: did the requester hear the job's own result, its end, and nothing that its library misreads?
//!
//! Gives every fault that it finds, in words.

use serde_json::Value;

use crate::heard::{Known, News};
use crate::plan::{Cell, Outcome, Program};

/// What a requester's library may be shown: its own spellings, in the order in which they may come.
struct Vocabulary {
    /// States of an unfinished task.
    before: &'static [&'static str],
    /// States that end it well.
    end: &'static [&'static str],
}

fn vocabulary(requester: &str) -> Vocabulary {
    let (before, end): (&[&str], &[&str]) = match requester {
        "python_a2a" => (
            &["submitted", "waiting"],
            &["completed", "callback:submitted", "callback:completed"],
        ),
        "praisonai" => (
            &["submitted", "working", "hook:submitted", "hook:working"],
            &["hook:completed", "completed"],
        ),
        "ruby" => (
            &["TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"],
            &["TASK_STATE_COMPLETED"],
        ),
        _ => (&["submitted", "working"], &["completed"]),
    };
    Vocabulary { before, end }
}

/// What a client says of a step to which it came too late, when the answer said rightly that the task is over.
const TOO_LATE: &str = "too late";

/// The faults of a cell through the sidecar, given the line that the client wrote for it and all jobs that the worker
/// began.
pub(crate) fn faults(cell: &Cell, line: &Value, jobs: &[String]) -> Vec<String> {
    let mut faults = match cell.requester.program {
        Program::Legacy { .. } => legacy_client(cell, line),
        Program::Sdk => sdk_client(cell, line),
    };
    faults.extend(work(cell, jobs));
    faults
}

/// Whether the job's own result came, with its end: all that is asked of a pair without the sidecar.
pub(crate) fn delivered(cell: &Cell, line: &Value) -> Result<(), String> {
    if let Some(error) = line["error"].as_str() {
        return Err(error.to_owned());
    }
    let ended = strings(&line["states"]).last().copied();
    if !ended.is_some_and(|state| vocabulary(cell.requester.name).end.contains(&state)) {
        return Err(format!("left at {ended:?}"));
    }
    match line["result"].as_str() {
        Some(heard) if cell.is_result(heard) => Ok(()),
        heard => Err(format!("not the job's result: {heard:?}")),
    }
}

fn legacy_client(cell: &Cell, line: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    faults.extend(delivered(cell, line).err());
    let states = strings(&line["states"]);
    let words = vocabulary(cell.requester.name);
    let mut over = false;
    let mut stage = 0;
    for state in &states {
        match words.before.iter().position(|word| word == state) {
            Some(_) if over => faults.push(format!("{state} after the end: {states:?}")),
            Some(at) if at < stage => faults.push(format!("{state} comes late: {states:?}")),
            Some(at) => stage = at,
            None if words.end.contains(state) => over = true,
            None => faults.push(format!("{state} is no word of this client: {states:?}")),
        }
    }
    let beside = |what: &str, expected: &str| {
        let seen = line["beside"][what].as_str();
        (seen != Some(expected) && seen != Some(TOO_LATE))
            .then(|| format!("{what}: {seen:?}, expected {expected}"))
    };
    match (cell.requester.name, cell.mode) {
        ("praisonai", "stream") => faults.extend(beside("get", "completed")),
        ("praisonai", "push-probe") => faults.extend(webhooks(&line["calls"])),
        ("python_a2a", "callback") => {
            let calls = list(&line["calls"]).len();
            if calls != 1 {
                faults.push(format!("called back {calls} times"));
            }
        }
        ("ruby", "subscribe" | "cancel") => {
            faults.extend(beside("stream", "TASK_STATE_COMPLETED"));
        }
        _ => {}
    }
    if (cell.requester.name, cell.mode) == ("ruby", "cancel") {
        faults.extend(beside("cancel", "TASK_STATE_CANCELED"));
        if line["beside"]["cancel"] != TOO_LATE {
            faults.extend(beside("after cancel", "TASK_STATE_CANCELED"));
        }
    }
    faults
}

/// The end is told once, at the end, and every webhook carries what the config asked for.
fn webhooks(calls: &Value) -> Vec<String> {
    let calls = list(calls);
    let mut faults = Vec::new();
    if calls
        .iter()
        .any(|call| call["token"] != true || call["auth"] != true)
    {
        faults.push(format!("webhooks without their credentials: {calls:?}"));
    }
    let ends = calls
        .iter()
        .filter(|call| call["state"] == "completed")
        .count();
    if ends != 1 || calls.last().is_none_or(|call| call["state"] != "completed") {
        faults.push(format!("webhooks tell the end {ends} times: {calls:?}"));
    }
    faults
}

/// The client of an SDK, whose line has the objects themselves.
fn sdk_client(cell: &Cell, line: &Value) -> Vec<String> {
    let mut faults: Vec<String> = line["error"]
        .as_str()
        .map(str::to_owned)
        .into_iter()
        .collect();
    let via = match cell.mode {
        "stream" => "event",
        "push-inline" | "push-set" => "webhook",
        _ => "answer",
    };
    let mut news = Vec::new();
    for item in list(&line["heard"]) {
        if let Some(problem) = item["problem"].as_str() {
            faults.push(problem.to_owned());
        } else if item["via"] == via {
            match News::read(&item["body"]) {
                Ok(one) => news.push(one),
                Err(problem) => faults.push(problem),
            }
        }
    }
    if cell.mode == "stream" && !matches!(news.first(), Some(News::Task { .. })) {
        faults.push("the stream does not start with the task".to_owned());
    }
    let ends = news.iter().filter(|one| one.is_end()).count();
    if ends != 1 || !news.last().is_some_and(News::is_end) {
        faults.push(format!(
            "the end is told {ends} times in {} pieces of news, expected once and last",
            news.len()
        ));
    }
    let known = Known::from(&news);
    let states: Vec<&str> = known.states.iter().map(String::as_str).collect();
    if !matches!(states[..], ["completed"] | ["working", "completed"]) {
        faults.push(format!("states {states:?}"));
    }
    let texts: Vec<&str> = known
        .artifacts
        .values()
        .flat_map(|artifact| &artifact.parts)
        .filter_map(|part| part["text"].as_str())
        .collect();
    if !matches!(texts[..], [text] if cell.is_result(text)) {
        faults.push(format!("not the job's result: {texts:?}"));
    }
    faults
}

/// The worker did the job once: what it did twice, someone paid twice. An SDK's worker does not say.
fn work(cell: &Cell, jobs: &[String]) -> Option<String> {
    if cell.worker.outcome == Outcome::Plain {
        return None;
    }
    let own = jobs.iter().filter(|job| job.contains(&cell.mark())).count();
    let sent = match (cell.requester.name, cell.mode) {
        ("ruby", "cancel") => 1..=2, // a job that is cancelled while it waits never begins
        _ => 1..=1,
    };
    (!sent.contains(&own)).then(|| format!("the worker began {own} jobs for it"))
}

fn strings(it: &Value) -> Vec<&str> {
    it.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn list(it: &Value) -> &[Value] {
    it.as_array().map_or(&[], Vec::as_slice)
}
