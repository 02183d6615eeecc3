//! The edges: what is refused and in which words, what is tolerated.

use serde_json::{Value, json};

use super::{Dialect, Version, decode_webhook};
use crate::a2a::error::ErrorKind;
use crate::a2a::{
    A2aError, Answer, Operation, PushConfig, Request, StreamResponse, Task, TaskState, TaskStatus,
};

const V0_2: Dialect = Dialect::jsonrpc(Version::V0_2);
const V0_3: Dialect = Dialect::jsonrpc(Version::V0_3);
const V1_0: Dialect = Dialect::jsonrpc(Version::V1_0);

fn refusal(dialect: Dialect, operation: Operation, params: &Value) -> A2aError {
    dialect
        .decode_request(operation, params.to_string().as_bytes())
        .unwrap_err()
}

#[test]
fn a_refusal_names_the_member_that_is_missing_or_wrong() {
    use Operation::*;
    let message = |changes: Value| {
        let mut message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]});
        for (name, value) in changes.as_object().unwrap() {
            message[name] = value.clone();
        }
        json!({ "message": message })
    };
    let configured = |configuration: Value| {
        let mut params = message(json!({}));
        params["configuration"] = configuration;
        params
    };
    let cases = [
        (V1_0, SendMessage, json!({}), "message is required"),
        (
            V1_0,
            SendMessage,
            json!({"message": "hi"}),
            "message must be an object",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"messageId": null})),
            "message.messageId is required",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"messageId": ""})),
            "message.messageId must not be empty",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"messageId": 3})),
            "message.messageId must be a string",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"role": null})),
            "message.role is required",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"role": "user"})),
            "message.role must be ROLE_USER or ROLE_AGENT",
        ),
        (
            V0_3,
            SendMessage,
            message(json!({"role": "system"})),
            "message.role must be user or agent",
        ),
        (
            V0_3,
            SendStreamingMessage,
            message(json!({"parts": null})),
            "message.parts is required",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"parts": []})),
            "message.parts must have at least one part",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"parts": {}})),
            "message.parts must be an array",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"parts": [{"text": "a"}, {"text": 1}]})),
            "message.parts[1].text must be a string",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"parts": ["a"]})),
            "message.parts[0] must be an object",
        ),
        (
            V1_0,
            SendMessage,
            message(json!({"metadata": 1})),
            "message.metadata must be an object",
        ),
        (
            V1_0,
            SendMessage,
            configured(json!({"returnImmediately": "no"})),
            "configuration.returnImmediately must be true or false",
        ),
        (
            V0_3,
            SendMessage,
            configured(json!({"blocking": 1})),
            "configuration.blocking must be true or false",
        ),
        (
            V1_0,
            SendMessage,
            configured(json!({"historyLength": -1})),
            "configuration.historyLength must be a whole number of at least 0",
        ),
        (
            V1_0,
            SendMessage,
            configured(json!({"taskPushNotificationConfig": {}})),
            "configuration.taskPushNotificationConfig.url is required",
        ),
        (
            V0_3,
            SendMessage,
            configured(json!({"pushNotificationConfig": {}})),
            "configuration.pushNotificationConfig.url is required",
        ),
        (V1_0, GetTask, json!({}), "id is required"),
        (V0_3, GetTask, json!({"id": ""}), "id must not be empty"),
        (
            V0_2,
            GetTask,
            json!({"id": "t", "historyLength": 1.5}),
            "historyLength must be a whole number of at least 0",
        ),
        (V1_0, CancelTask, json!({"id": 5}), "id must be a string"),
        (V0_3, SubscribeToTask, json!({}), "id is required"),
        (
            V1_0,
            CreateTaskPushNotificationConfig,
            json!({"url": "u"}),
            "taskId is required",
        ),
        (
            V1_0,
            CreateTaskPushNotificationConfig,
            json!({"taskId": "t"}),
            "url is required",
        ),
        (
            V0_3,
            CreateTaskPushNotificationConfig,
            json!({"taskId": "t"}),
            "pushNotificationConfig is required",
        ),
        (
            V0_3,
            CreateTaskPushNotificationConfig,
            json!({"taskId": "t", "pushNotificationConfig": {}}),
            "pushNotificationConfig.url is required",
        ),
        (
            V1_0,
            GetTaskPushNotificationConfig,
            json!({"taskId": "t"}),
            "id is required",
        ),
        (
            V1_0,
            GetTaskPushNotificationConfig,
            json!({"id": "p"}),
            "taskId is required",
        ),
        (
            V0_3,
            GetTaskPushNotificationConfig,
            json!({}),
            "id is required",
        ),
        (
            V0_3,
            DeleteTaskPushNotificationConfig,
            json!({"id": "t"}),
            "pushNotificationConfigId is required",
        ),
        (
            V1_0,
            ListTaskPushNotificationConfigs,
            json!({}),
            "taskId is required",
        ),
        (
            V0_3,
            ListTaskPushNotificationConfigs,
            json!({}),
            "id is required",
        ),
        (V1_0, ListTasks, json!([]), "params must be an object"),
    ];
    for (dialect, operation, params, what) in cases {
        let error = refusal(dialect, operation, &params);
        assert_eq!(error.kind, ErrorKind::InvalidParams);
        assert_eq!(
            error.message,
            format!("Invalid parameters: {what}"),
            "{dialect} {params}"
        );
        // The same for machines: what names the member, and what is wrong with it.
        let violation = &error.data.unwrap()[0]["fieldViolations"][0];
        let field = violation["field"].as_str().unwrap();
        let problem = violation["description"].as_str().unwrap();
        assert_eq!(format!("{field} {problem}"), what);
    }
    assert_eq!(
        V1_0.decode_request(GetTask, b"{").unwrap_err().kind,
        ErrorKind::Parse
    );
}

#[test]
fn parameters_may_be_absent_where_none_are_needed() {
    for params in [&b""[..], b"null", b" {} "] {
        for dialect in [V0_3, V1_0] {
            assert_eq!(
                dialect
                    .decode_request(Operation::GetExtendedAgentCard, params)
                    .unwrap(),
                Request::GetExtendedAgentCard(super::Object::new())
            );
        }
    }
}

#[test]
fn proto_json_forms_of_a_request_are_understood() {
    let params = br#"{"message":{"message_id":"m","role":1,"parts":[{"raw":"aGk=","media_type":"a/b"}],
        "task_id":"","context_id":null},"configuration":{"history_length":"7","return_immediately":true,
        "task_push_notification_config":{"url":"https://h.example/","id":""}},"metadata":null}"#;
    let Request::SendMessage(send) = V1_0.decode_request(Operation::SendMessage, params).unwrap()
    else {
        panic!("a send");
    };
    assert_eq!(send.message.role, crate::a2a::Role::User);
    assert_eq!(send.message.parts[0].media_type.as_deref(), Some("a/b"));
    assert_eq!(
        (send.message.task_id, send.message.context_id),
        (None, None)
    );
    let configuration = send.configuration.unwrap();
    assert_eq!(configuration.history_length, Some(7));
    assert_eq!(configuration.return_immediately, Some(true));
    assert_eq!(
        configuration.task_push_notification_config.unwrap().id,
        None
    );
    assert_eq!((send.metadata, send.extra.len()), (None, 0));
}

#[test]
fn registrations_are_understood_flat_and_nested() {
    let flat = json!({"taskId": "t", "id": "p", "url": "u", "tenant": "x"});
    let nested =
        json!({"taskId": "t", "tenant": "x", "pushNotificationConfig": {"id": "p", "url": "u"}});
    let draft = json!({"taskId": "t", "configId": "p", "config": {"url": "u", "tenant": "x"}});
    let wanted: PushConfig = serde_json::from_value(flat.clone()).unwrap();
    let operation = Operation::CreateTaskPushNotificationConfig;
    for (dialect, params) in [
        (V1_0, &flat),
        (V1_0, &nested),
        (V1_0, &draft),
        (V0_3, &flat),
        (V0_3, &nested),
    ] {
        let request = dialect
            .decode_request(operation, params.to_string().as_bytes())
            .unwrap();
        assert!(
            request == Request::CreatePushConfig(wanted.clone()),
            "{dialect} {params}"
        );
        let answer = dialect.decode_answer(operation, params.clone()).unwrap();
        assert!(
            answer == Answer::PushConfig(wanted.clone()),
            "{dialect} {params}"
        );
    }
    for (dialect, result, count) in [
        (V1_0, json!([nested]), 1),
        (V1_0, json!({}), 0),
        (V0_3, Value::Null, 0),
        (
            V0_3,
            json!({"configs": [flat, nested], "nextPageToken": ""}),
            2,
        ),
    ] {
        let answer = dialect
            .decode_answer(Operation::ListTaskPushNotificationConfigs, result)
            .unwrap();
        let configs = vec![wanted.clone(); count];
        assert!(
            answer
                == Answer::PushConfigs {
                    configs,
                    next_page_token: None
                },
            "{answer:?}"
        );
    }
}

#[test]
fn answers_are_understood_however_they_are_wrapped() {
    let old = json!({"id": "t", "status": {"state": "working"}});
    let mut kind = old.clone();
    kind["kind"] = json!("task");
    let new = json!({"id": "t", "status": {"state": "TASK_STATE_WORKING"}});
    for (dialect, result) in [
        (V0_3, old.clone()),
        (V0_3, kind.clone()),
        (V0_3, json!({"task": old})),
        (V0_3, new.clone()),
        (V1_0, new.clone()),
        (V1_0, json!({"task": new, "message": null})),
        (V1_0, kind),
    ] {
        for operation in [
            Operation::SendMessage,
            Operation::GetTask,
            Operation::CancelTask,
        ] {
            let Answer::Task(task) = dialect.decode_answer(operation, result.clone()).unwrap()
            else {
                panic!("{result} is a task");
            };
            assert_eq!(
                (task.id.as_str(), task.status.state),
                ("t", TaskState::Working),
                "{dialect} {result}"
            );
            assert!(task.extra.is_empty());
        }
    }
    let message = json!({"messageId": "m", "role": "agent", "parts": []});
    for (dialect, result) in [(V0_3, message.clone()), (V1_0, json!({"msg": message}))] {
        let answer = dialect
            .decode_answer(Operation::SendMessage, result.clone())
            .unwrap();
        assert!(matches!(answer, Answer::Message(_)), "{result}");
        let read = dialect
            .decode_answer(Operation::GetTask, result)
            .unwrap_err();
        assert_eq!(read.kind, ErrorKind::InvalidAgentResponse);
    }
    // A member that the model does not know, named like a wrapper.
    let odd = json!({"id": "t", "status": {}, "message": {"to": "you"}});
    let Answer::Task(task) = V1_0.decode_answer(Operation::GetTask, odd).unwrap() else {
        panic!("a task");
    };
    assert_eq!(task.extra["message"], json!({"to": "you"}));
}

#[test]
fn an_answer_whose_meaning_is_lost_is_refused() {
    for (operation, result) in [
        (Operation::SendMessage, json!("done")),
        (Operation::SendMessage, json!({})),
        (
            Operation::SendMessage,
            json!({"kind": "task", "status": {"state": "working"}}),
        ),
        (Operation::GetTask, json!({"id": "", "status": {}})),
        (
            Operation::GetTask,
            json!({"id": "t", "status": {"state": {}}}),
        ),
        (Operation::GetTask, Value::Null),
        (
            Operation::ListTaskPushNotificationConfigs,
            json!([{"taskId": "t"}]),
        ),
        (Operation::GetExtendedAgentCard, json!([])),
    ] {
        for dialect in [V0_2, V0_3, V1_0] {
            let error = dialect
                .decode_answer(operation, result.clone())
                .unwrap_err();
            assert_eq!(
                error.kind,
                ErrorKind::InvalidAgentResponse,
                "{dialect} {result}"
            );
        }
    }
    for frame in [
        json!({"statusUpdate": {"status": {"state": "TASK_STATE_WORKING"}}}),
        json!({"kind": "artifact-update", "artifact": {"artifactId": "a", "parts": []}}),
        json!({"kind": "weather-update"}),
        json!([]),
    ] {
        for dialect in [V0_3, V1_0] {
            let error = dialect.decode_event(frame.clone()).unwrap_err();
            assert_eq!(
                error.kind,
                ErrorKind::InvalidAgentResponse,
                "{dialect} {frame}"
            );
        }
    }
}

#[test]
fn final_is_said_where_a_stream_ends_or_waits() {
    let update = |state: TaskState| {
        StreamResponse::StatusUpdate(crate::a2a::TaskStatusUpdateEvent {
            task_id: "t".to_owned(),
            status: TaskStatus {
                state,
                ..TaskStatus::default()
            },
            ..Default::default()
        })
    };
    for (state, last, wanted) in [
        (TaskState::Working, true, false),
        (TaskState::Working, false, false),
        (TaskState::InputRequired, false, false),
        (TaskState::InputRequired, true, true),
        (TaskState::AuthRequired, true, true),
        (TaskState::Completed, false, true),
        (TaskState::Rejected, true, true),
    ] {
        for dialect in [V0_2, V0_3] {
            let frame = dialect.encode_event(&update(state), last);
            assert_eq!(frame["final"], wanted, "{state:?} {last}");
            assert_eq!(dialect.decode_event(frame).unwrap().1, wanted);
        }
        let frame = V1_0.encode_event(&update(state), last);
        assert_eq!(frame["statusUpdate"].get("final"), None);
        assert!(!V1_0.decode_event(frame).unwrap().1);
    }
}

#[test]
fn states_are_understood_in_the_spellings_that_are_about() {
    for (dialect, name, state) in [
        (V0_3, "canceled", TaskState::Canceled),
        (V0_3, "cancelled", TaskState::Canceled),
        (V0_2, "input_required", TaskState::InputRequired),
        (V0_2, "auth_required", TaskState::AuthRequired),
        (V0_3, "TASK_STATE_CANCELLED", TaskState::Canceled),
        (V1_0, "TASK_STATE_CANCELLED", TaskState::Canceled),
        (V0_3, "paused", TaskState::Unspecified),
        (V1_0, "completed", TaskState::Unspecified),
    ] {
        let result = json!({"id": "t", "status": {"state": name}});
        let Answer::Task(task) = dialect.decode_answer(Operation::GetTask, result).unwrap() else {
            panic!("a task");
        };
        assert_eq!(task.status.state, state, "{dialect} {name}");
    }
}

#[test]
fn a_webhook_of_1_0_keeps_members_that_only_0_x_has_a_meaning_for() {
    let body = json!({"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [
        {"text": "x", "kind": "text", "metadata": {"data_part_compat": true}},
    ]}});
    let event = decode_webhook(body.to_string().as_bytes()).unwrap();
    assert_eq!(V1_0.encode_event(&event, true), body);
}

#[test]
fn webhooks_of_any_form_are_understood() {
    let update = json!({"kind": "status-update", "taskId": "t", "contextId": "c", "final": true, "status": {"state": "completed"}});
    for body in [
        update.clone(),
        json!({"jsonrpc": "2.0", "id": null, "result": update}),
        json!({"statusUpdate": update}),
        json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}}),
        json!({"taskId": "t", "contextId": "c", "status": {"state": "completed"}}),
    ] {
        let event = decode_webhook(body.to_string().as_bytes()).unwrap();
        assert_eq!(V0_3.encode_event(&event, true), update, "{body}");
    }
    assert_eq!(decode_webhook(b"oops").unwrap_err().kind, ErrorKind::Parse);
    assert_eq!(
        decode_webhook(b"{}").unwrap_err().kind,
        ErrorKind::InvalidParams
    );
    let message: crate::a2a::Message = serde_json::from_value(json!({"messageId": "m"})).unwrap();
    let (body, _) = V0_3.encode_webhook(&StreamResponse::Message(message), &Task::default());
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({"kind": "message", "messageId": "m", "role": "agent", "parts": []})
    );
}

#[test]
fn a_webhook_of_0_x_is_the_task_after_the_event() {
    let task: Task = serde_json::from_value(
        json!({"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}),
    )
    .unwrap();
    let event = StreamResponse::StatusUpdate(crate::a2a::TaskStatusUpdateEvent {
        task_id: "t".to_owned(),
        status: task.status.clone(),
        ..Default::default()
    });
    for dialect in [V0_2, V0_3] {
        let (body, media_type) = dialect.encode_webhook(&event, &task);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({"kind": "task", "id": "t", "contextId": "c", "status": {"state": "working"}})
        );
        assert_eq!(media_type, "application/json");
    }
    let (body, media_type) = V1_0.encode_webhook(&event, &task);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({"statusUpdate": {"taskId": "t", "status": {"state": "TASK_STATE_WORKING"}}})
    );
    assert_eq!(media_type, "application/a2a+json");
}

#[test]
fn times_are_compared_whatever_way_they_are_written() {
    let at = |text: &str| {
        let timestamp = Some(text.to_owned());
        TaskStatus {
            timestamp,
            ..TaskStatus::default()
        }
        .time()
    };
    let moment = at("2026-11-20T08:55:54.5Z");
    assert!(moment.is_some());
    for same in [
        "2026-11-20T08:55:54.500000+00:00",
        "2026-11-20T08:55:54.5",
        "2026-11-20 08:55:54.5",
        "2026-11-20T10:55:54.5+02:00",
    ] {
        assert_eq!(at(same), moment, "{same}");
    }
    assert!(at("2026-11-20T08:55:55Z") > moment);
    for unreadable in ["", "yesterday", "1763628954"] {
        assert_eq!(at(unreadable), None, "{unreadable}");
    }
    assert_eq!(TaskStatus::default().time(), None);
}

#[test]
fn secrets_are_neither_printed_nor_quoted_in_refusals() {
    let params = json!({"taskId": "t", "url": "https://h.example/", "token": "s3cret",
        "authentication": {"scheme": "Bearer", "credentials": "s3cret"}});
    let operation = Operation::CreateTaskPushNotificationConfig;
    let request = V1_0
        .decode_request(operation, params.to_string().as_bytes())
        .unwrap();
    assert!(!format!("{request:?}").contains("s3cret"));
    let mut wrong = params;
    wrong["token"] = json!(["s3cret"]);
    let error = refusal(V1_0, operation, &wrong);
    assert!(!format!("{error:?} {error}").contains("s3cret"));
}
