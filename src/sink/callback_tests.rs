//! Where callbacks go and what they say; that they are posted, retried and recorded is tested with the whole.

use serde_json::json;

use super::*;
use crate::a2a::{Artifact, Part, TaskStatus, Version};

fn text(text: &str) -> Part {
    Part {
        content: PartContent::Text(text.to_owned()),
        ..Part::default()
    }
}

fn task(state: TaskState, artifacts: &[&str]) -> Task {
    Task {
        id: "t".to_owned(),
        context_id: "c".to_owned(),
        status: TaskStatus {
            state,
            message: Some(Message {
                message_id: "m".to_owned(),
                role: Role::Agent,
                parts: vec![text("said")],
                ..Message::default()
            }),
            ..TaskStatus::default()
        },
        artifacts: artifacts
            .iter()
            .map(|name| Artifact {
                artifact_id: (*name).to_owned(),
                parts: vec![text(name)],
                ..Artifact::default()
            })
            .collect(),
        ..Task::default()
    }
}

fn of_task(endpoint: &str) -> Callback {
    Callback::of_task(json!({ "endpoint": endpoint, "headers": { "X-Key": "k", "Host": "other" } }))
        .unwrap()
}

fn said(form: &Form, dialect: Dialect, task: &Task) -> Value {
    serde_json::from_slice(&body(form, dialect, task, "1_2_3", 1_000)).unwrap()
}

#[test]
fn attempts_take_turns_between_the_paths_below_the_place_where_python_a2a_cuts() {
    let url = |endpoint: &str, attempts| {
        let target = target(&of_task(endpoint), Dialect::PYTHON_A2A, attempts);
        target.unwrap().url.to_string()
    };
    let endpoint = "http://requester:81/a2a/tasks/send";
    assert_eq!(url(endpoint, 0), "http://requester:81/tasks/send");
    assert_eq!(url(endpoint, 1), "http://requester:81/a2a/tasks/send");
    assert_eq!(url(endpoint, 2), url(endpoint, 0));
    // Without the mark all of it is the base, and at the first mark it is cut.
    let whole = "http://requester/base/x";
    assert_eq!(url(whole, 0), "http://requester/base/x/tasks/send");
    let twice = "http://requester/one/a2a/two/a2a/tasks/send";
    assert_eq!(url(twice, 0), "http://requester/one/tasks/send");
}

#[test]
fn the_requester_s_headers_go_along_but_for_those_of_the_exchange() {
    let target = target(&of_task("http://requester/"), Dialect::PYTHON_A2A, 0).unwrap();
    let names: Vec<_> = target.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-key"]);
    assert!(target.headers["x-key"].is_sensitive());
}

#[test]
fn what_cannot_be_called_is_refused() {
    let policy = AddressPolicy::default();
    let check = |value: Value| {
        let callback = Callback::of_task(value).unwrap();
        validate(&callback, Dialect::PYTHON_A2A, &policy)
    };
    assert_eq!(
        check(json!({ "endpoint": "https://8.8.8.8/a2a/x" })),
        Ok(())
    );
    for endpoint in ["/a2a/tasks/send", "ftp://8.8.8.8/", "http://u:p@8.8.8.8/"] {
        assert!(
            check(json!({ "endpoint": endpoint })).is_err(),
            "{endpoint}"
        );
    }
    for endpoint in [
        "http://127.0.0.1/a2a/x",
        "http://169.254.169.254/",
        "http://[::1]/",
    ] {
        let refused = check(json!({ "endpoint": endpoint }));
        assert!(
            matches!(refused, Err(InvalidConfig::Refused(_))),
            "{endpoint}"
        );
    }
    let smuggled = json!({ "endpoint": "https://8.8.8.8/", "headers": { "x": "a\r\nb: c" } });
    assert!(matches!(check(smuggled), Err(InvalidConfig::Header { .. })));
    let many: Object = (0..=MAX_HEADERS)
        .map(|n| (format!("x-{n}"), json!("v")))
        .collect();
    let many = json!({ "endpoint": "https://8.8.8.8/", "headers": many });
    assert_eq!(
        check(many),
        Err(InvalidConfig::TooManyHeaders { max: MAX_HEADERS })
    );
}

#[test]
fn a_task_is_made_of_the_requester_s_data_and_the_artifacts() {
    let data = json!({
        "session_id": "s", "message": { "role": "system" }, "metadata": { "for": "x" }, "status": "nonsense",
    });
    let Value::Object(data) = data else {
        unreachable!()
    };
    let form = Form::Task(data.clone());
    let done = said(
        &form,
        Dialect::PYTHON_A2A,
        &task(TaskState::Completed, &["one", "two"]),
    );
    assert_eq!(done["method"], "tasks/send");
    let params = &done["params"];
    assert_eq!(params["sessionId"], "s");
    assert!(params.get("session_id").is_none());
    assert_eq!(params["message"], json!({ "role": "system" }));
    assert_eq!(params["metadata"], json!({ "for": "x" }));
    assert_eq!(
        params["status"],
        json!({ "state": "submitted", "timestamp": "1970-01-01T00:00:01.000000" })
    );
    let texts: Vec<_> = (0..2)
        .map(|n| &params["artifacts"][n]["parts"][0])
        .collect();
    let part = |text: &str| json!({ "type": "text", "text": text });
    assert_eq!(texts, [&part("one"), &part("two")]);
    // An id of its own, the same at every attempt.
    assert!(Uuid::parse_str(params["id"].as_str().unwrap()).is_ok());
    let again = said(
        &form,
        Dialect::PYTHON_A2A,
        &task(TaskState::Completed, &["one", "two"]),
    );
    assert_eq!(again, done);
    let mut named = data;
    named.insert("id".to_owned(), json!("mine"));
    let named = said(
        &Form::Task(named),
        Dialect::PYTHON_A2A,
        &task(TaskState::Completed, &[]),
    );
    assert_eq!(named["params"]["id"], "mine");
}

#[test]
fn a_task_that_failed_says_so_and_why() {
    let form = Form::Task(Object::new());
    for (state, name) in [
        (TaskState::Failed, "failed"),
        (TaskState::Rejected, "failed"),
        (TaskState::Canceled, "canceled"),
    ] {
        let said = said(&form, Dialect::PYTHON_A2A, &task(state, &[]));
        assert_eq!(said["params"]["status"]["state"], name);
        let artifacts = said["params"]["artifacts"].to_string();
        assert!(artifacts.contains("said"), "{artifacts}");
    }
}

#[test]
fn a_message_refers_to_the_task_and_holds_its_outcome() {
    let form = Form::Message {
        context_id: Some("theirs".to_owned()),
    };
    let done = task(TaskState::Completed, &["one"]);
    let said = said(&form, Dialect::jsonrpc(Version::V1_0), &done);
    assert_eq!(said["method"], "SendMessage");
    assert_eq!(said["params"]["configuration"]["returnImmediately"], true);
    let message = &said["params"]["message"];
    assert_eq!(message["role"], "ROLE_USER");
    assert_eq!(message["contextId"], "theirs");
    assert!(message.get("taskId").is_none(), "the task is not theirs");
    assert_eq!(message["referenceTaskIds"], json!(["t"]));
    assert_eq!(message["parts"], json!([{ "text": "one" }]));
    assert_eq!(message["extensions"], json!([EXTENSION]));
    assert_eq!(
        message["metadata"][EXTENSION],
        json!({ "taskId": "t", "contextId": "c", "state": "TASK_STATE_COMPLETED" })
    );
}

#[test]
fn what_was_said_at_the_end_counts_where_it_is_all_there_is_or_the_task_failed() {
    let words = |task: &Task| {
        let texts = outcome(task).into_iter().map(|part| match part.content {
            PartContent::Text(text) => text,
            other => panic!("{other:?}"),
        });
        texts.collect::<Vec<_>>()
    };
    assert_eq!(words(&task(TaskState::Completed, &["one"])), ["one"]);
    assert_eq!(words(&task(TaskState::Completed, &[])), ["said"]);
    assert_eq!(words(&task(TaskState::Failed, &["one"])), ["said", "one"]);
    let mut silent = task(TaskState::Canceled, &[]);
    silent.status.message = None;
    assert_eq!(words(&silent), ["Task t has ended: TASK_STATE_CANCELED."]);
}

#[test]
fn an_older_agent_is_called_in_its_own_words() {
    let form = Form::Message { context_id: None };
    let dialect = Dialect::jsonrpc(Version::V0_3);
    let said = said(&form, dialect, &task(TaskState::Completed, &["one"]));
    assert_eq!(said["method"], "message/send");
    assert_eq!(said["params"]["message"]["kind"], "message");
    assert_eq!(said["params"]["message"]["role"], "user");
    let callback = json!({ "url": "http://me/rpc", "dialect": "v0.3/jsonrpc" });
    let (callback, dialect) = Callback::of_extension(callback).unwrap();
    let target = target(&callback, dialect, 1).unwrap();
    assert_eq!(target.url.as_str(), "http://me/rpc");
    assert_eq!(target.headers["x-a2a-extensions"], EXTENSION);
    assert!(!target.headers.contains_key(A2A_VERSION));
}

#[test]
fn an_error_of_the_agent_is_told_from_an_answer() {
    let error = br#"{"jsonrpc":"2.0","id":"1","error":{"code":-32601,"message":"no"}}"#;
    assert_eq!(error_of(error), Some(-32601));
    for answer in [
        &b""[..],
        b"thanks",
        b"[]",
        br#"{"result":{}}"#,
        br#"{"error":null}"#,
    ] {
        assert_eq!(error_of(answer), None);
    }
}
