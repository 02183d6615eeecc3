//! Envelopes, ids, method names and the numbers of errors.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{classify, decode_call, decode_error, decode_response, error_object};
use crate::a2a::dialect::{Dialect, Version, jsonrpc};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Operation};

const V0_2: Dialect = Dialect::jsonrpc(Version::V0_2);
const V0_3: Dialect = Dialect::jsonrpc(Version::V0_3);
const V1_0: Dialect = Dialect::jsonrpc(Version::V1_0);

#[test]
fn a_method_name_says_version_and_operation() {
    for operation in Operation::ALL {
        assert_eq!(classify(operation.name()), Some((Version::V1_0, operation)));
        let old = Dialect::jsonrpc(Version::V0_3).method(operation);
        let wanted = V0_3
            .supports(operation)
            .then_some((Version::V0_3, operation));
        assert_eq!(classify(old), wanted, "{old}");
    }
    assert_eq!(
        classify("agent/getAuthenticatedExtendedCard"),
        Some((Version::V0_3, Operation::GetExtendedAgentCard))
    );
    let v0_1 = Dialect::jsonrpc(Version::V0_1);
    for operation in Operation::ALL {
        let known = classify(v0_1.method(operation)).map(|(_, operation)| operation);
        let wanted = v0_1.supports(operation).then_some(operation);
        assert!(known == wanted || wanted.is_none(), "{operation:?}");
    }
    assert_eq!(
        classify("tasks/sendSubscribe"),
        Some((Version::V0_1, Operation::SendStreamingMessage))
    );
    for unknown in [
        "tasks/list",
        "tasks/sends",
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
