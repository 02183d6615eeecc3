//! What the library wrote on the wire, through the codec and back; and canonical values through it and back.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::json;

use super::*;
use crate::a2a::dialect::properties;
use crate::a2a::{Dialect, Role, TaskStatus, TaskStatusUpdateEvent, Version};

/// Every sample of this kind: where it is from, and the sample.
fn samples(kind: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/python_a2a");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let found: Vec<_> = paths
        .into_iter()
        .flat_map(|path| {
            let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let samples = file["samples"].as_array().unwrap().clone();
            samples
                .into_iter()
                .enumerate()
                .map(move |(index, sample)| (format!("{name}[{index}]"), sample))
        })
        .filter(|(_, sample)| sample.get(kind).is_some())
        .collect();
    assert!(found.len() > 3, "no {kind}");
    found
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// The parameters of a call, whichever form it has, and its operation.
fn opened(sample: &Value) -> (Operation, Object) {
    let call = &sample["call"];
    let path = sample["path"].as_str().unwrap();
    let operation = operation(path, call["method"].as_str()).unwrap();
    let params = match call.get("params") {
        Some(params) => params.clone(),
        None => call.clone(),
    };
    (operation, object(params))
}

#[test]
fn calls_are_read_and_written_the_same_but_for_what_is_listed() {
    for (place, sample) in samples("call") {
        if operation(sample["path"].as_str().unwrap(), None).is_none() {
            // What the library's server knows nothing of either.
            assert!(place.starts_with("push-set"), "{place}");
            continue;
        }
        let (operation, mut wanted) = opened(&sample);
        let decoded = decode_request(operation, wanted.clone());
        if operation.sends() && !wanted.contains_key("message") {
            assert_eq!(decoded.unwrap_err().path, "message", "{place}");
            continue;
        }
        let request = decoded.unwrap();
        let mut written = object(encode_request(&request));
        for name in ["status", "history", "artifacts", "historyLength"] {
            wanted.remove(name);
        }
        let Some(asked) = wanted.get_mut("message").and_then(Value::as_object_mut) else {
            assert_eq!(written, wanted, "{place}");
            continue;
        };
        // Said twice by the client, once is enough.
        let id = |asked: &Object| asked.get("metadata")?.get("message_id").cloned();
        if asked.contains_key("messageId") && id(asked) == asked.get("messageId").cloned() {
            asked.remove("messageId");
        }
        // Ids that the requester left to others are made here.
        let made = match asked.get("message_id").or_else(|| asked.get("messageId")) {
            Some(_) => None,
            None if id(asked).is_some() => None,
            None if asked.contains_key("content") => written["message"]
                .as_object_mut()
                .unwrap()
                .remove("message_id"),
            None => written["message"]
                .as_object_mut()
                .unwrap()
                .remove("metadata"),
        };
        let waits = match &request {
            Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
                send.configuration.is_none()
            }
            _ => panic!("{place}: no send"),
        };
        let called_back = wanted
            .get("metadata")
            .is_some_and(|metadata| metadata.get(CALLBACK_TASK).is_some());
        assert_eq!(waits, made.is_none() && !called_back, "{place}");
        asked_the_same(&place, &mut written, &wanted);
    }
}

fn asked_the_same(place: &str, written: &mut Object, wanted: &Object) {
    if !wanted.contains_key("id") {
        assert!(written.remove("id").is_some_and(|id| id.is_string()));
    }
    let (written, wanted) = (
        Value::Object(written.clone()),
        Value::Object(wanted.clone()),
    );
    assert_eq!(written, wanted, "{place}");
}

#[test]
fn answers_come_back_exactly_and_by_way_of_every_version() {
    for (place, sample) in samples("answer") {
        let path = sample["path"].as_str().unwrap();
        let operation = operation(path, None).unwrap();
        let wanted = match sample["answer"].get("result") {
            Some(result) => result.clone(),
            None => sample["answer"].clone(),
        };
        let answer = decode_answer(operation, wanted.clone()).unwrap();
        assert_eq!(encode_answer(operation, &answer), wanted, "{place}");
        for version in [Version::V0_2, Version::V0_3, Version::V1_0] {
            let other = Dialect::jsonrpc(version);
            let via = other
                .decode_answer(operation, other.encode_answer(operation, &answer))
                .unwrap();
            let mut back = encode_answer(operation, &via);
            let mut wanted = wanted.clone();
            if version == Version::V1_0 {
                // 1.0 writes times with an offset.
                for value in [&mut back, &mut wanted] {
                    value["status"].as_object_mut().unwrap().remove("timestamp");
                }
            }
            assert_eq!(back, wanted, "{place} by way of {other}");
        }
    }
}

#[test]
fn frames_come_back_exactly_and_the_end_is_known() {
    let mut ends = 0;
    for (place, sample) in samples("frame") {
        let frame = object(sample["frame"].clone());
        let name = sample["event"].as_str().unwrap_or_default();
        let (event, last) = decode_event(name, frame.clone()).unwrap().unwrap();
        let state = frame["status"]["state"].as_str().unwrap();
        assert_eq!(last, state == "completed" || name == "complete", "{place}");
        ends += usize::from(last);
        let [written] = encode_event(&event, None).try_into().unwrap();
        let mut wanted = Value::Object(frame);
        if wanted["id"].is_number() {
            // The route that reads an envelope as a task: ids are text here.
            wanted["id"] = json!(wanted["id"].to_string());
        }
        assert_eq!(written, wanted, "{place}");
    }
    assert!(ends >= 4);
}

#[test]
fn progress_that_is_no_message_can_be_read_by_others_and_comes_back() {
    let task = json!({
        "id": "t", "sessionId": "s",
        "status": { "state": "waiting", "message": { "progress": "1/5" } },
        "message": { "content": "hi" },
    });
    let Ok(Answer::Task(read)) = decode_answer(Operation::GetTask, task.clone()) else {
        panic!("no task");
    };
    assert_eq!(read.status.state, TaskState::Working);
    let said = read.status.message.as_ref().unwrap();
    assert_eq!(said.role, Role::Agent);
    assert_eq!(
        said.parts[0].content,
        PartContent::Data(json!({ "progress": "1/5" }))
    );
    assert_eq!(read.history[0].role, Role::User);
    assert_eq!(
        read.history[0].parts[0].content,
        PartContent::Text("hi".to_owned())
    );
    assert_eq!(
        encode_answer(Operation::GetTask, &Answer::Task(read.clone())),
        task
    );
    // Two readings of the same are the same, or each poll would be an event.
    assert_eq!(
        decode_answer(Operation::GetTask, task),
        Ok(Answer::Task(read))
    );
}

#[test]
fn a_message_keeps_the_form_that_it_was_written_in() {
    for message in [
        json!({ "content": "hi" }),
        json!({ "content": { "type": "text", "text": "hi" }, "role": "user", "message_id": "m" }),
        json!({ "content": { "type": "text", "text": "hi" }, "role": "system", "message_id": "m",
                "parent_message_id": "p", "conversation_id": "c", "metadata": { "created_at": "now" } }),
        json!({ "content": { "type": "function_call", "name": "f", "parameters": [] }, "role": "user", "message_id": "m" }),
        json!({ "content": { "type": "function_response", "name": "f", "response": 1 }, "role": "user", "message_id": "m" }),
        json!({ "content": { "type": "error", "message": "no" }, "role": "user", "message_id": "m" }),
        json!({ "content": { "type": "picture", "of": "a cat" }, "role": "user", "message_id": "m" }),
        json!({ "content": [1, 2], "role": "user", "message_id": "m" }),
        json!({ "role": "user", "parts": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }],
                "metadata": { "message_id": "m", "x": 1 } }),
        json!({ "role": "user", "parts": [{ "type": "data", "data": { "function_call": { "name": "f", "parameters": [] } } }],
                "metadata": { "message_id": "m" } }),
        json!({ "role": "user", "parts": [{ "type": "file", "file": { "name": "a", "mimeType": "b/c", "bytes": "AA==" } }] }),
    ] {
        let task = json!({ "id": "t", "status": { "state": "completed" }, "message": message });
        let answer = decode_answer(Operation::GetTask, task.clone()).unwrap();
        assert_eq!(encode_answer(Operation::GetTask, &answer), task);
    }
}

#[test]
fn the_client_is_shown_only_its_seven_states() {
    let seven = [
        "submitted",
        "waiting",
        "input-required",
        "completed",
        "canceled",
        "failed",
        "unknown",
    ];
    for state in TaskState::ALL {
        let task = Task {
            id: "t".to_owned(),
            status: TaskStatus {
                state,
                ..TaskStatus::default()
            },
            ..Task::default()
        };
        let shown = encode_answer(Operation::GetTask, &Answer::Task(task.clone()));
        let name = shown["status"]["state"].as_str().unwrap();
        assert!(seven.contains(&name), "{name}");
        let said = shown["status"]["message"]["parts"][0]["text"].as_str();
        let unnamed = matches!(state, TaskState::Rejected | TaskState::AuthRequired);
        assert_eq!(said.is_some(), unnamed, "{name}: {said:?}");
        // And it comes back as what it was.
        let again = decode_answer(Operation::GetTask, shown).unwrap();
        assert_eq!(again, Answer::Task(task));
    }
}

#[test]
fn a_send_that_ended_without_an_artifact_is_answered_with_one_that_says_so() {
    let ended = |state, words: Option<&str>| Task {
        id: "t".to_owned(),
        status: TaskStatus {
            state,
            message: words.map(|words| Message {
                message_id: "m".to_owned(),
                role: Role::Agent,
                parts: vec![text_part(words.to_owned())],
                ..Message::default()
            }),
            ..TaskStatus::default()
        },
        ..Task::default()
    };
    let part = |task: &Task| {
        let answer = Answer::Task(task.clone());
        let shown = encode_answer(Operation::SendMessage, &answer);
        // For a peer that reads this dialect too, it is not there.
        assert_eq!(
            decode_answer(Operation::SendMessage, shown.clone()),
            Ok(answer)
        );
        shown["artifacts"][0]["parts"][0].clone()
    };
    assert_eq!(
        part(&ended(TaskState::Completed, Some("done"))),
        json!({ "type": "text", "text": "done" })
    );
    assert_eq!(
        part(&ended(TaskState::Failed, Some("out of cheese"))),
        json!({ "type": "data", "data": { "error": "out of cheese" } })
    );
    assert_eq!(
        part(&ended(TaskState::Canceled, None)),
        json!({ "type": "data", "data": { "error": "The task has ended: canceled." } })
    );
    let open = ended(TaskState::Working, None);
    let shown = encode_answer(Operation::SendMessage, &Answer::Task(open));
    assert!(shown.get("artifacts").is_none());
}

#[test]
fn an_id_of_the_requester_s_is_its_own_and_a_task_s_is_not() {
    let params = object(json!({
        "id": "mine", "sessionId": "s",
        "message": { "role": "user", "parts": [{ "type": "text", "text": "a" }], "metadata": { "message_id": "m" } },
    }));
    let Ok(Request::SendMessage(send)) = decode_request(Operation::SendMessage, params) else {
        panic!("no send");
    };
    assert_eq!(send.own_id.as_deref(), Some("mine"));
    assert_eq!(send.message.task_id, None);
    assert_eq!(send.message.context_id.as_deref(), Some("s"));
    assert_eq!(
        encode_request(&Request::SendMessage(send.clone()))["id"],
        "mine"
    );
    let mut follow_up = send;
    follow_up.message.task_id = Some("theirs".to_owned());
    follow_up.own_id = None;
    let written = encode_request(&Request::SendMessage(follow_up.clone()));
    assert_eq!(written["id"], "theirs");
    assert_eq!(
        decode_request(Operation::SendMessage, object(written)),
        Ok(Request::SendMessage(follow_up))
    );
}

#[test]
fn paths_say_what_is_asked_whatever_stands_before_them() {
    for prefix in ["", "/a2a", "/route", "/route/a2a", "/a2a/a2a"] {
        for (name, wanted) in [
            ("send", Operation::SendMessage),
            ("get", Operation::GetTask),
            ("cancel", Operation::CancelTask),
            ("stream", Operation::SendStreamingMessage),
        ] {
            assert_eq!(
                operation(&format!("{prefix}/tasks/{name}"), None),
                Some(wanted)
            );
        }
        assert_eq!(
            operation(&format!("{prefix}/tasks/stream"), Some("tasks/resubscribe")),
            Some(Operation::SubscribeToTask)
        );
    }
    for path in [
        "/",
        "/a2a",
        "/tasks",
        "/tasks/x:cancel",
        "/tasks/send/x",
        "/v1/tasks/abc",
    ] {
        assert_eq!(operation(path, None), None, "{path}");
    }
    for operation in Operation::ALL
        .into_iter()
        .filter(|operation| supports(*operation))
    {
        let path = format!("/{}", path(operation));
        assert_eq!(
            super::operation(&path, Some(method(operation))),
            Some(operation)
        );
    }
}

#[test]
fn cards_of_the_library_are_known_by_their_marks() {
    for (place, sample) in samples("card") {
        assert!(is_card(&object(sample["card"].clone())), "{place}");
    }
    assert!(!is_card(&object(
        json!({ "capabilities": { "streaming": true } })
    )));
    assert!(!is_card(&object(json!({ "name": "x" }))));
}

#[test]
fn errors_are_known_by_their_words_where_the_code_says_nothing() {
    for (place, sample) in samples("error") {
        let error = &sample["error"]["error"];
        let (Some(code), Some(message)) = (error["code"].as_i64(), error["message"].as_str())
        else {
            continue;
        };
        let kind = error_kind(code, message);
        let wanted = match sample["status"].as_i64() {
            Some(404) if code == -32601 => ErrorKind::MethodNotFound,
            Some(404) => ErrorKind::TaskNotFound,
            _ => ErrorKind::Internal,
        };
        assert_eq!(kind, wanted, "{place}");
        assert_eq!(error_code(kind), code, "{place}");
    }
    assert_eq!(
        error_kind(-32000, "something else"),
        ErrorKind::Other(-32000)
    );
}

/// The same, but for what the table lists as lost.
fn without_configuration(request: Request) -> Request {
    let strip = |mut send: Box<SendMessageRequest>| {
        send.configuration = None;
        send.own_id = None;
        send
    };
    match request {
        Request::SendMessage(send) => Request::SendMessage(strip(send)),
        Request::SendStreamingMessage(send) => Request::SendStreamingMessage(strip(send)),
        Request::GetTask(mut get) => {
            get.history_length = None;
            Request::GetTask(get)
        }
        other => other,
    }
}

proptest! {
    // The same cases on every run; PROPTEST_RNG_SEED and PROPTEST_CASES search wider.
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tasks_survive(task in properties::task()) {
        for operation in [Operation::SendMessage, Operation::GetTask] {
            let answer = Answer::Task(task.clone());
            let shown = encode_answer(operation, &answer);
            prop_assert_eq!(decode_answer(operation, shown).unwrap(), answer);
        }
        let event = StreamResponse::Task(task.clone());
        let [frame] = encode_event(&event, None).try_into().unwrap();
        let (again, last) = decode_event("", object(frame)).unwrap().unwrap();
        prop_assert_eq!(again, event);
        prop_assert_eq!(last, task.status.state.is_terminal());
    }

    #[test]
    fn updates_become_the_task_as_it_is_after_them(event in properties::event(), task in properties::task()) {
        let [frame] = encode_event(&event, Some(&task)).try_into().unwrap();
        let (again, _) = decode_event("", object(frame)).unwrap().unwrap();
        prop_assert_eq!(again, StreamResponse::Task(task));
    }

    #[test]
    fn requests_survive_but_for_what_is_listed(request in properties::request()) {
        let operation = request.operation();
        prop_assume!(supports(operation));
        let written = object(encode_request(&request));
        let again = decode_request(operation, written).unwrap();
        prop_assert_eq!(without_configuration(again), without_configuration(request));
    }

    #[test]
    fn nothing_that_comes_in_makes_a_decoder_panic(value in properties::json_value(), name in "complete|error|") {
        for operation in Operation::ALL {
            let _ = decode_answer(operation, value.clone());
            if let Value::Object(object) = &value {
                let _ = decode_request(operation, object.clone());
            }
        }
        if let Value::Object(object) = value {
            let _ = decode_event(&name, object.clone());
            let _ = is_card(&object);
        }
    }
}

#[test]
fn a_frame_without_the_task_is_not_shown() {
    let update = StreamResponse::StatusUpdate(TaskStatusUpdateEvent::default());
    assert_eq!(encode_event(&update, None), Vec::<Value>::new());
}
