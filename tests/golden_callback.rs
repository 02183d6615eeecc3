//! What python_a2a's worker sent back on the wire when its job was done, read as the sidecar reads it.
//!
//! `tests/fixtures/python_a2a` holds its calls: a callback is one that brings artifacts.

use std::fs;
use std::path::Path;

use a2a_sidecar::a2a::dialect::decode_callback;
use a2a_sidecar::a2a::{PartContent, TaskState};
use serde_json::{Value, json};

/// Every callback, with where it stands.
fn callbacks() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/python_a2a");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for sample in file["samples"].as_array().unwrap() {
            let call = &sample["call"];
            if bare(call).get("artifacts").is_some() {
                found.push((path.display().to_string(), call.clone()));
            }
        }
    }
    // Those of three transcripts: with and without headers, and to an address that is no agent's, on both paths.
    assert_eq!(found.len(), 4);
    found
}

/// The task in a call.
fn bare(call: &Value) -> &Value {
    call.get("params").unwrap_or(call)
}

#[test]
fn what_a_worker_sends_back_is_read_with_its_artifacts() {
    for (place, call) in callbacks() {
        let task = decode_callback(call.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        let sent = bare(&call);
        assert_eq!(sent["id"], task.id.as_str(), "{place}");
        // Its library says so of a task that it makes; that it has come is what says that the job is done.
        assert_eq!(task.status.state, TaskState::Submitted, "{place}");
        let texts: Vec<&str> = task
            .artifacts
            .iter()
            .flat_map(|artifact| &artifact.parts)
            .map(|part| match &part.content {
                PartContent::Text(text) => text.as_str(),
                other => panic!("{place}: {other:?}"),
            })
            .collect();
        let wanted: Vec<&str> = sent["artifacts"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|artifact| artifact["parts"].as_array().unwrap())
            .map(|part| part["text"].as_str().unwrap())
            .collect();
        assert_eq!(texts, wanted, "{place}");
        assert!(!texts.is_empty(), "{place}");
    }
}

#[test]
fn a_bare_task_is_read_as_the_same_in_an_envelope() {
    for (place, call) in callbacks() {
        let task = bare(&call);
        let envelope = json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/send", "params": task });
        let read = |value: &Value| decode_callback(value.to_string().as_bytes()).unwrap();
        assert_eq!(read(task), read(&envelope), "{place}");
    }
}
