//! The paths, bodies and errors of HTTP+JSON, there and back.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Outgoing, decode_error, decode_head, encode_call, encode_error, with_body};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Dialect, Operation, Version};

const V1_0: Dialect = Dialect::http_json(Version::V1_0);
const V0_3: Dialect = Dialect::http_json(Version::V0_3);

#[test]
fn every_path_of_the_specification_is_its_operation() {
    use Operation as Op;
    let table = [
        ("POST", "/message:send", Op::SendMessage, json!({})),
        (
            "POST",
            "/message:stream",
            Op::SendStreamingMessage,
            json!({}),
        ),
        (
            "GET",
            "/tasks/t%2F1?historyLength=3",
            Op::GetTask,
            json!({"historyLength": 3, "id": "t/1"}),
        ),
        (
            "GET",
            "/tasks?pageSize=5&status=TASK_STATE_WORKING",
            Op::ListTasks,
            json!({"pageSize": 5, "status": "TASK_STATE_WORKING"}),
        ),
        (
            "POST",
            "/tasks/t:cancel",
            Op::CancelTask,
            json!({"id": "t"}),
        ),
        (
            "POST",
            "/tasks/t:subscribe",
            Op::SubscribeToTask,
            json!({"id": "t"}),
        ),
        (
            "GET",
            "/tasks/a:b:subscribe",
            Op::SubscribeToTask,
            json!({"id": "a:b"}),
        ),
        (
            "POST",
            "/tasks/t/pushNotificationConfigs",
            Op::CreateTaskPushNotificationConfig,
            json!({"taskId": "t"}),
        ),
        (
            "GET",
            "/tasks/t/pushNotificationConfigs?page_size=2",
            Op::ListTaskPushNotificationConfigs,
            json!({"pageSize": 2, "taskId": "t"}),
        ),
        (
            "GET",
            "/tasks/t/pushNotificationConfigs/c",
            Op::GetTaskPushNotificationConfig,
            json!({"taskId": "t", "id": "c"}),
        ),
        (
            "DELETE",
            "/tasks/t/pushNotificationConfigs/c",
            Op::DeleteTaskPushNotificationConfig,
            json!({"taskId": "t", "id": "c"}),
        ),
        (
            "GET",
            "/extendedAgentCard",
            Op::GetExtendedAgentCard,
            json!({}),
        ),
    ];
    for (method, path, operation, params) in table {
        let method: Method = method.parse().unwrap();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        for lead in ["", "/agents/one"] {
            let whole = format!("{lead}{path}");
            let call = decode_head(&method, &whole, Some(query), Some(Version::V1_0)).unwrap();
            assert_eq!(
                (call.version, call.operation),
                (Version::V1_0, operation),
                "{whole}"
            );
            assert_eq!(Value::Object(call.params), params, "{whole}");
            assert_eq!(call.lead, lead);
        }
    }
}

#[test]
fn the_prefix_of_0_3_tells_its_version_and_names_resources() {
    let call = decode_head(
        &Method::GET,
        "/v1/tasks/t/pushNotificationConfigs/c",
        None,
        None,
    )
    .unwrap();
    assert_eq!(call.version, Version::V0_3);
    assert_eq!(
        Value::Object(call.params),
        json!({"name": "tasks/t/pushNotificationConfigs/c"})
    );
    assert_eq!(call.lead, "");
    let card = decode_head(&Method::GET, "/a/v1/card", None, None).unwrap();
    assert_eq!(
        (card.operation, card.lead),
        (Operation::GetExtendedAgentCard, "/a")
    );
    // Who says 1.0 has a tenant of that name.
    let call = decode_head(&Method::GET, "/v1/tasks/t", None, Some(Version::V1_0)).unwrap();
    assert_eq!((call.version, call.lead), (Version::V1_0, "/v1"));
}

#[test]
fn what_only_looks_like_a_call_is_none() {
    for (method, path) in [
        (Method::DELETE, "/tasks/t"),
        (Method::POST, "/tasks"),
        (Method::GET, "/message:send"),
        (Method::GET, "/tasks/"),
        (Method::GET, "/v1/extendedAgentCard"),
        (Method::GET, "/card"),
        (Method::GET, "/tasks/t:cancel"),
        (Method::PUT, "/tasks/t/pushNotificationConfigs/c"),
        (Method::GET, "/"),
        (Method::GET, "/tasks/%ff"),
    ] {
        assert_eq!(
            decode_head(&method, path, None, None),
            None,
            "{method} {path}"
        );
    }
}

#[test]
fn a_call_is_read_as_it_was_written() {
    use Operation as Op;
    let params = |value: Value| value;
    for (version, operation, given) in [
        (
            Version::V1_0,
            Op::GetTask,
            params(json!({"historyLength": 2, "id": "a/b:c?d"})),
        ),
        (
            Version::V1_0,
            Op::CancelTask,
            json!({"id": "t", "metadata": {"a": 1}}),
        ),
        (Version::V1_0, Op::SubscribeToTask, json!({"id": "t"})),
        (
            Version::V1_0,
            Op::CreateTaskPushNotificationConfig,
            json!({"id": "c", "url": "https://e.example", "taskId": "t"}),
        ),
        (
            Version::V1_0,
            Op::GetTaskPushNotificationConfig,
            json!({"taskId": "t", "id": "ü"}),
        ),
        (
            Version::V1_0,
            Op::ListTasks,
            json!({"contextId": "c d&e", "includeArtifacts": true}),
        ),
        (
            Version::V0_3,
            Op::GetTask,
            json!({"historyLength": 2, "name": "tasks/x"}),
        ),
        (
            Version::V0_3,
            Op::SubscribeToTask,
            json!({"name": "tasks/x"}),
        ),
        (
            Version::V0_3,
            Op::CreateTaskPushNotificationConfig,
            json!({"configId": "c", "parent": "tasks/x"}),
        ),
        (
            Version::V0_3,
            Op::DeleteTaskPushNotificationConfig,
            json!({"name": "tasks/x/pushNotificationConfigs/c"}),
        ),
        (Version::V0_3, Op::GetExtendedAgentCard, json!({})),
    ] {
        let Outgoing { method, path, body } = encode_call(version, operation, given.clone(), None);
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let named = (version == Version::V1_0).then_some(version);
        let call = decode_head(&method, path, Some(query), named).unwrap();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let again = with_body(call.params, body.as_bytes()).unwrap();
        assert_eq!((call.version, call.operation), (version, operation));
        assert_eq!(Value::Object(again), given, "{path}");
    }
}

#[test]
fn a_tenant_is_the_first_segment() {
    let out = encode_call(
        Version::V1_0,
        Operation::GetTask,
        json!({"id": "t"}),
        Some("a b"),
    );
    assert_eq!(out.path, "/a%20b/tasks/t");
    let head = decode_head(&out.method, &out.path, None, Some(Version::V1_0)).unwrap();
    assert_eq!(head.lead, "/a%20b");
}

#[test]
fn errors_have_the_status_and_the_words_of_1_0_1_and_are_read_again() {
    let error = A2aError::task_not_found("t");
    let (status, body) = encode_error(V1_0, &error);
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        body,
        json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "Task not found: t", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "TASK_NOT_FOUND", "domain": "a2a-protocol.org"}
        ]}})
    );
    for kind in [
        ErrorKind::TaskNotFound,
        ErrorKind::TaskNotCancelable,
        ErrorKind::PushNotificationNotSupported,
        ErrorKind::UnsupportedOperation,
        ErrorKind::ContentTypeNotSupported,
        ErrorKind::VersionNotSupported,
        ErrorKind::InvalidParams,
    ] {
        let (status, body) = encode_error(V1_0, &A2aError::new(kind, "m"));
        let again = decode_error(V1_0, Operation::GetTask, Some(status), &body).unwrap();
        assert_eq!(again.kind, kind, "{body}");
    }
}

#[test]
fn the_errors_of_other_servers_are_read_too() {
    let read = |status: u16, body: Value| {
        decode_error(
            V0_3,
            Operation::GetTask,
            StatusCode::from_u16(status).ok(),
            &body,
        )
        .map(|error| error.kind)
    };
    // a2a-sdk 0.3 says the text alone.
    assert_eq!(
        read(404, json!({"message": "Task not found"})),
        Some(ErrorKind::TaskNotFound)
    );
    assert_eq!(
        read(501, json!({"message": "m"})),
        Some(ErrorKind::UnsupportedOperation)
    );
    // problem+json.
    assert_eq!(
        read(
            400,
            json!({"type": "about:blank", "title": "Bad", "detail": "d", "reason": "UNSUPPORTED_OPERATION"})
        ),
        Some(ErrorKind::UnsupportedOperation)
    );
    // No error of the protocol: the credentials' own status passes.
    assert_eq!(read(401, json!({"message": "who are you"})), None);
    assert_eq!(read(404, json!("nothing")), None);
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let kind = |body: &[u8]| with_body(crate::a2a::Object::new(), body).map_err(|error| error.kind);
    assert_eq!(kind(b"{"), Err(ErrorKind::Parse));
    assert_eq!(kind(b"[]"), Err(ErrorKind::InvalidRequest));
    assert_eq!(kind(b" "), Ok(crate::a2a::Object::new()));
}
