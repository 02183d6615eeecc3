//! Tests of the judge: a cell that went right has no fault, and each thing that can go wrong is one.

use serde_json::{Value, json};

use crate::grid::Cell;
use crate::heard::{News, part, said as said_in_parts};
use crate::judge::faults;

const NONE: [String; 0] = [];

fn judge(mode: &str, scenario: &str, heard: &[Value]) -> Vec<String> {
    let cell = Cell::new("py-v1", "poll", "js-v1", mode, scenario);
    faults(&cell, &json!({"heard": heard, "error": null}))
}

/// An agent's message of v1.0; its id is its text.
fn said(text: &str) -> Value {
    json!({"messageId": text, "role": "ROLE_AGENT", "parts": [{"text": text}]})
}

fn status(via: &str, state: &str, text: &str) -> Value {
    let status = json!({"state": state, "message": said(text)});
    let body = json!({"statusUpdate": {"taskId": "t", "status": status}});
    json!({"via": via, "body": body, "token": "token-py-v1/poll/js-v1/push-inline/plain"})
}

fn answer() -> Value {
    json!({"artifactId": "plain-answer", "name": "answer", "parts": [{"text": "The answer is 42."}]})
}

fn artifact(via: &str) -> Value {
    let body = json!({"artifactUpdate": {"taskId": "t", "artifact": answer()}});
    json!({"via": via, "body": body, "token": "token-py-v1/poll/js-v1/push-inline/plain"})
}

/// A task with the last of `texts` as its status message and the others in its history.
fn task(via: &str, state: &str, texts: &[&str], artifacts: &[Value]) -> Value {
    let mut status = json!({"state": state});
    let mut history =
        vec![json!({"messageId": "q", "role": "ROLE_USER", "parts": [{"text": "plain"}]})];
    if let Some((last, earlier)) = texts.split_last() {
        status["message"] = said(last);
        history.extend(earlier.iter().map(|text| said(text)));
    }
    let task = json!({"id": "t", "status": status, "history": history, "artifacts": artifacts});
    let token = "token-py-v1/poll/js-v1/push-inline/plain";
    json!({"via": via, "body": {"task": task}, "token": token})
}

const TEXTS: [&str; 3] = [
    "plain: reading the question",
    "plain: thinking it over",
    "plain: done",
];

fn updates(via: &str) -> Vec<Value> {
    vec![
        task(via, "TASK_STATE_SUBMITTED", &[], &[]),
        status(via, "TASK_STATE_WORKING", TEXTS[0]),
        status(via, "TASK_STATE_WORKING", TEXTS[1]),
        artifact(via),
        status(via, "TASK_STATE_COMPLETED", TEXTS[2]),
    ]
}

fn polled() -> Vec<Value> {
    vec![
        task("answer", "TASK_STATE_SUBMITTED", &[], &[]),
        task("answer", "TASK_STATE_WORKING", &TEXTS[..2], &[]),
        task("answer", "TASK_STATE_COMPLETED", &TEXTS, &[answer()]),
    ]
}

fn without(mut heard: Vec<Value>, index: usize) -> Vec<Value> {
    heard.remove(index);
    heard
}

#[test]
fn a_whole_stream_has_no_fault() {
    assert_eq!(judge("stream", "plain", &updates("event")), NONE);
}

#[test]
fn every_missing_repeated_or_moved_event_of_a_stream_is_a_fault() {
    for index in 0..5 {
        assert_ne!(
            judge("stream", "plain", &without(updates("event"), index)),
            NONE,
            "without {index}"
        );
    }
    for index in [1, 2, 4] {
        let mut repeated = updates("event");
        repeated.insert(index, repeated[index].clone());
        assert_ne!(judge("stream", "plain", &repeated), NONE, "{index} twice");
    }
    for index in [1, 3] {
        let mut moved = updates("event");
        moved.swap(index, index + 1);
        assert_ne!(
            judge("stream", "plain", &moved),
            NONE,
            "{index} and the next swapped"
        );
    }
}

#[test]
fn changed_content_is_a_fault() {
    let mut heard = updates("event");
    heard[3]["body"]["artifactUpdate"]["artifact"]["parts"][0]["text"] = json!("41");
    assert_ne!(judge("stream", "plain", &heard), NONE);
    let mut heard = updates("event");
    heard[3]["body"]["artifactUpdate"]["artifact"]["name"] = json!("other");
    assert_ne!(judge("stream", "plain", &heard), NONE);
}

#[test]
fn a_wrong_final_flag_is_a_fault() {
    for (index, wrong) in [(1, true), (4, false)] {
        let mut heard = updates("event");
        heard[index]["body"]["statusUpdate"]["final"] = json!(!wrong);
        assert_eq!(judge("stream", "plain", &heard), NONE);
        heard[index]["body"]["statusUpdate"]["final"] = json!(wrong);
        assert_ne!(judge("stream", "plain", &heard), NONE);
    }
}

#[test]
fn an_error_of_the_client_is_a_fault() {
    let cell = Cell::new("py-v1", "poll", "js-v1", "stream", "plain");
    let line = json!({"heard": updates("event"), "error": "ReadTimeout"});
    assert_eq!(faults(&cell, &line), ["ReadTimeout"]);
}

#[test]
fn a_snapshot_after_a_dropped_stream_repeats_nothing() {
    let mut heard = updates("event");
    heard.insert(2, json!({"via": "dropped", "body": {}}));
    heard.insert(3, task("event", "TASK_STATE_WORKING", &TEXTS[..1], &[]));
    assert_eq!(judge("resubscribe", "plain", &heard), NONE);
    heard.insert(4, heard[1].clone());
    assert_ne!(
        judge("resubscribe", "plain", &heard),
        NONE,
        "the message of the snapshot again"
    );
}

#[test]
fn a_resumed_stream_needs_distinct_ids() {
    let mut heard = updates("event");
    for (id, event) in heard.iter_mut().enumerate() {
        event["id"] = json!(id.to_string());
    }
    heard.insert(2, json!({"via": "dropped", "body": {}}));
    assert_eq!(judge("resume", "plain", &heard), NONE);
    heard[3]["id"] = json!("1");
    assert_ne!(judge("resume", "plain", &heard), NONE);
    heard[3]["id"] = Value::Null;
    assert_ne!(judge("resume", "plain", &heard), NONE);
}

#[test]
fn polls_may_miss_states_but_not_messages() {
    assert_eq!(judge("poll", "plain", &polled()), NONE);
    assert_eq!(judge("poll", "plain", &without(polled(), 1)), NONE);
    assert_ne!(
        judge("poll", "plain", &without(polled(), 2)),
        NONE,
        "without the end"
    );
    assert_ne!(
        judge("poll", "plain", &polled()[2..]),
        NONE,
        "the send waited"
    );
    let mut short = polled();
    short[2] = task(
        "answer",
        "TASK_STATE_COMPLETED",
        &[TEXTS[0], TEXTS[2]],
        &[answer()],
    );
    assert_ne!(
        judge("poll", "plain", &without(short, 1)),
        NONE,
        "a message is lost"
    );
}

#[test]
fn a_long_poll_that_does_not_wait_is_a_fault() {
    let mut heard = polled();
    assert_eq!(judge("long-poll", "plain", &heard), NONE);
    (0..20).for_each(|_| heard.insert(1, heard[1].clone()));
    assert_ne!(judge("long-poll", "plain", &heard), NONE);
}

#[test]
fn webhooks_must_be_whole_in_order_and_have_the_token() {
    assert_eq!(judge("push-inline", "plain", &updates("webhook")), NONE);
    for index in 1..5 {
        assert_ne!(
            judge("push-inline", "plain", &without(updates("webhook"), index)),
            NONE,
            "without {index}"
        );
    }
    let mut twice = updates("webhook");
    twice.push(twice[4].clone());
    assert_ne!(judge("push-inline", "plain", &twice), NONE, "the end twice");
    let mut bare = updates("webhook");
    bare[1]["token"] = Value::Null;
    assert_ne!(judge("push-inline", "plain", &bare), NONE, "no token");
    let tasks: Vec<Value> = polled()
        .into_iter()
        .map(|mut task| {
            task["via"] = json!("webhook");
            task
        })
        .collect();
    assert_eq!(judge("push-inline", "plain", &tasks), NONE, "whole tasks");
}

#[test]
fn a_config_set_midway_must_bring_all_that_comes_after_it() {
    let rest = |from: usize| {
        let mut heard = updates("webhook").split_off(from);
        heard
            .iter_mut()
            .for_each(|hook| hook["token"] = json!("token-py-v1/poll/js-v1/push-set/plain"));
        heard
    };
    for from in 0..=2 {
        assert_eq!(judge("push-set", "plain", &rest(from)), NONE, "from {from}");
    }
    for from in 3..5 {
        assert_ne!(judge("push-set", "plain", &rest(from)), NONE, "from {from}");
    }
    assert_ne!(
        judge("push-set", "plain", &without(rest(2), 1)),
        NONE,
        "without the artifact"
    );
}

#[test]
fn a_canceled_task_stays_canceled() {
    let told = "cancel: running until told to stop";
    let mut heard = vec![
        task("answer", "TASK_STATE_WORKING", &[told], &[]),
        task("cancel", "TASK_STATE_CANCELED", &[told], &[]),
        task(
            "answer",
            "TASK_STATE_CANCELED",
            &[told, "cancel: stopped"],
            &[],
        ),
    ];
    assert_eq!(judge("cancel", "cancel", &heard), NONE);
    heard[2] = task("answer", "TASK_STATE_COMPLETED", &[told], &[]);
    assert_ne!(judge("cancel", "cancel", &heard), NONE);
}

#[test]
fn a_bare_message_is_all_that_is_heard() {
    let message = json!({"via": "answer", "body": {"message": said("message: hello to you too")}});
    assert_eq!(
        judge("blocking", "message", std::slice::from_ref(&message)),
        NONE
    );
    assert_ne!(
        judge("blocking", "message", &[message.clone(), message]),
        NONE
    );
    assert_ne!(judge("blocking", "message", &polled()[2..]), NONE);
}

#[test]
fn a_message_may_become_a_tasks_outcome_only_when_it_is_late() {
    let text = "message: hello to you too";
    let artifact = json!({"artifactId": "a", "parts": [{"text": text}]});
    let mut heard = [task("answer", "TASK_STATE_COMPLETED", &[text], &[artifact])];
    heard[0]["at"] = json!(0.5);
    assert_ne!(judge("blocking", "message", &heard), NONE);
    heard[0]["at"] = json!(1.5);
    assert_eq!(judge("blocking", "message", &heard), NONE);
    heard[0] = task("answer", "TASK_STATE_COMPLETED", &[text], &[]);
    heard[0]["at"] = json!(1.5);
    assert_ne!(judge("blocking", "message", &heard), NONE, "no artifact");
}

#[test]
fn both_versions_of_a_part_are_the_same_part() {
    let v1 = [
        json!({"raw": "AA==", "mediaType": "a/b", "filename": "f"}),
        json!({"url": "http://a", "mediaType": "a/b"}),
        json!({"data": {"n": 3.0}}),
        json!({"text": "t", "mediaType": "text/plain"}),
    ];
    let v0 = [
        json!({"kind": "file", "file": {"bytes": "AA==", "mimeType": "a/b", "name": "f"}}),
        json!({"kind": "file", "file": {"uri": "http://a", "mimeType": "a/b"}}),
        json!({"kind": "data", "data": {"n": 3}}),
        json!({"kind": "text", "text": "t"}),
    ];
    assert_eq!(v1.each_ref().map(part), v0.each_ref().map(part));
}

#[test]
fn a_message_is_all_its_parts_whatever_the_order_of_members() {
    let said = |data: Value| said_in_parts([json!({"text": "look"}), json!({"data": data})].iter());
    let whole = said(json!({"a": 1, "b": {"c": 2, "d": null}}));
    assert_eq!(whole, said(json!({"b": {"d": null, "c": 2.0}, "a": 1.0})));
    assert_ne!(whole, said(json!({"a": 1, "b": {"c": 2}})));
    assert_ne!(whole, "look");
}

#[test]
fn a_status_message_without_parts_is_none() {
    let update = |message: Value| {
        let status = json!({"state": "TASK_STATE_WORKING", "message": message});
        News::read(&json!({"statusUpdate": {"taskId": "t", "status": status}}))
    };
    let empty = json!({"messageId": "", "role": "agent", "parts": []});
    assert!(matches!(update(empty), Ok(News::Status { said: None, .. })));
    assert!(matches!(
        update(said("so")),
        Ok(News::Status { said: Some(_), .. })
    ));
}
