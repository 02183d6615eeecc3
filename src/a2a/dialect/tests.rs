//! The edges: what is refused and in which words, what is tolerated, which error is which number.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::jsonrpc::{self, classify, decode_call, decode_error, decode_response, error_object};
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
fn a_method_name_says_version_and_operation() {
    for operation in Operation::ALL {
        assert_eq!(classify(operation.name()), Some((Version::V1_0, operation)));
        let old = jsonrpc::method(Version::V0_3, operation);
        let wanted = V0_3
            .supports(operation)
            .then_some((Version::V0_3, operation));
        assert_eq!(classify(old), wanted, "{old}");
    }
    assert_eq!(
        classify("agent/getAuthenticatedExtendedCard"),
        Some((Version::V0_3, Operation::GetExtendedAgentCard))
    );
    for unknown in [
        "tasks/list",
        "tasks/send",
        "sendmessage",
        "message/send/",
        "",
    ] {
        assert_eq!(classify(unknown), None, "{unknown}");
    }
}

#[test]
fn ids_come_back_as_they_came() {
    for id in [
        "1",
        "\"a b\"",
        "1.50",
        "123456789012345678901234567890",
        "-3",
        "\"\\u00e9\"",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#);
        let call = decode_call(body.as_bytes()).unwrap();
        assert_eq!(call.id.map(RawValue::get), Some(id));
        let answer = jsonrpc::encode_result(call.id, &json!({"a": 1}));
        let wanted = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"a":1}}}}"#);
        assert_eq!(answer, wanted.as_bytes());
        let again = jsonrpc::encode_call(call.id, "y", &Value::Null);
        assert_eq!(decode_call(&again).unwrap().id.map(RawValue::get), Some(id));
    }
    let none = decode_call(br#"{"jsonrpc":"2.0","id":null,"method":"x"}"#).unwrap();
    assert!(none.id.is_none());
    let error = A2aError::new(ErrorKind::Parse, "no");
    assert_eq!(
        jsonrpc::encode_error(V0_3, None, &error),
        &br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#[..]
    );
}

#[test]
fn a_broken_envelope_is_refused_as_what_it_is() {
    let cases: [(&str, ErrorKind, Option<&str>); 8] = [
        (r#"{"jsonrpc": "2.0", "#, ErrorKind::Parse, None),
        ("", ErrorKind::Parse, None),
        (
            r#" [{"jsonrpc":"2.0","id":1,"method":"x"}]"#,
            ErrorKind::InvalidRequest,
            None,
        ),
        (
            r#"{"id":7,"method":"x"}"#,
            ErrorKind::InvalidRequest,
            Some("7"),
        ),
        (
            r#"{"jsonrpc":2.0,"id":"a","method":"x"}"#,
            ErrorKind::InvalidRequest,
            Some("\"a\""),
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            ErrorKind::InvalidRequest,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#,
            ErrorKind::InvalidRequest,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1}"#,
            ErrorKind::InvalidRequest,
            Some("1"),
        ),
    ];
    for (body, kind, id) in cases {
        assert_eq!(
            decode_call(body.as_bytes()).unwrap_err().kind,
            kind,
            "{body}"
        );
        let read = jsonrpc::id_of(body.as_bytes()).map(RawValue::get);
        assert_eq!(read, id, "{body}");
    }
    let call =
        decode_call(br#"{"jsonrpc":"2.0","id":1,"method":"tasks\/get","params":null}"#).unwrap();
    assert_eq!((call.method.as_ref(), call.params), ("tasks/get", &b""[..]));
}

#[test]
fn an_answer_is_a_result_or_an_error() {
    let ok = |body: &str| decode_response(body.as_bytes()).unwrap().unwrap();
    assert_eq!(
        ok(r#"{"jsonrpc":"2.0","id":1,"result":{"a":1},"error":null}"#),
        json!({"a": 1})
    );
    // A delete of the Python SDKs of 0.x.
    assert_eq!(ok(r#"{"jsonrpc":"2.0","id":1}"#), Value::Null);
    let error = decode_response(br#"{"jsonrpc":"2.0","error":{"code":-1}}"#)
        .unwrap()
        .unwrap_err();
    assert_eq!(error, json!({"code": -1}));
    for broken in ["<html>", "[]", "3", r#"{"detail":"Not Found"}"#] {
        let error = decode_response(broken.as_bytes()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidAgentResponse, "{broken}");
    }
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
fn errors_have_the_codes_of_their_version() {
    use ErrorKind::*;
    let codes = [
        (TaskNotFound, -32001, -32001, -32001),
        (TaskNotCancelable, -32002, -32002, -32002),
        (PushNotificationNotSupported, -32003, -32003, -32003),
        (UnsupportedOperation, -32004, -32004, -32004),
        (ContentTypeNotSupported, -32005, -32005, -32005),
        (InvalidAgentResponse, -32006, -32006, -32006),
        (ExtendedAgentCardNotConfigured, -32004, -32007, -32007),
        (ExtensionSupportRequired, -32004, -32004, -32008),
        (VersionNotSupported, -32004, -32004, -32009),
        (Parse, -32700, -32700, -32700),
        (InvalidRequest, -32600, -32600, -32600),
        (MethodNotFound, -32601, -32601, -32601),
        (InvalidParams, -32602, -32602, -32602),
        (Internal, -32603, -32603, -32603),
        (Other(-32050), -32050, -32050, -32050),
    ];
    for (kind, in_0_2, in_0_3, in_1_0) in codes {
        let code = |dialect| error_object(dialect, &A2aError::new(kind, "m"))["code"].clone();
        assert_eq!(
            [code(V0_2), code(V0_3), code(V1_0)],
            [json!(in_0_2), json!(in_0_3), json!(in_1_0)],
            "{kind:?}"
        );
        let again = decode_error(V1_0, &error_object(V1_0, &A2aError::new(kind, "m")));
        assert_eq!(again.kind, kind);
    }
}

#[test]
fn errors_of_1_0_carry_their_reason_and_0_x_errors_their_data() {
    let error = A2aError::task_not_found("t");
    let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "TASK_NOT_FOUND", "domain": "a2a-protocol.org"});
    assert_eq!(
        error_object(V1_0, &error),
        json!({"code": -32001, "message": "Task not found: t", "data": [info]})
    );
    assert_eq!(
        error_object(V0_3, &error),
        json!({"code": -32001, "message": "Task not found: t"})
    );
    let free = A2aError {
        data: Some(json!({"hint": 1})),
        ..error.clone()
    };
    assert_eq!(error_object(V0_3, &free)["data"], json!({"hint": 1}));
    // The forms differ: 1.0 readers expect typed details.
    assert_eq!(error_object(V1_0, &free)["data"], json!([info]));
    let detail = json!({"@type": "type.googleapis.com/google.rpc.Help"});
    let typed = A2aError {
        data: Some(json!([detail])),
        ..error
    };
    assert_eq!(error_object(V1_0, &typed)["data"], json!([info, detail]));
}

#[test]
fn the_reason_of_an_error_goes_before_its_code() {
    let with = |domain: &str| {
        json!({"code": -32603, "message": "m", "data": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "TASK_NOT_CANCELABLE", "domain": domain}
        ]})
    };
    assert_eq!(
        decode_error(V1_0, &with("a2a-protocol.org")).kind,
        ErrorKind::TaskNotCancelable
    );
    assert_eq!(
        decode_error(V1_0, &with("elsewhere.example")).kind,
        ErrorKind::Internal
    );
    // The texts of the old SDKs mean nothing in 1.0.
    let push =
        json!({"code": -32603, "message": "Push notifications are not supported by the agent"});
    assert_eq!(
        decode_error(V0_3, &push).kind,
        ErrorKind::PushNotificationNotSupported
    );
    assert_eq!(decode_error(V1_0, &push).kind, ErrorKind::Internal);
    let other = decode_error(V0_3, &json!("oops"));
    assert_eq!((other.kind, other.data), (ErrorKind::Internal, None));
    assert_eq!(
        decode_error(V0_3, &json!({"code": -32042})).kind,
        ErrorKind::Other(-32042)
    );
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
