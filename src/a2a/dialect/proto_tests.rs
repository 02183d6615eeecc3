//! Protobuf and 0.3's ProtoJSON: bytes as the official SDKs write them, and canonical values through both and back. What
//! may be lost is only what the tables in [`super::proto`] and [`super::v0_3_proto`] say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::properties::{event, json_value, message, push_config, request, task};
use super::{Dialect, Version, grpc, proto};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Answer, Object, Operation, PushConfig, Request, StreamResponse};

const V0_3: Dialect = Dialect::grpc(Version::V0_3);
const V1_0: Dialect = Dialect::grpc(Version::V1_0);

const FIXTURES: [(Version, &str); 2] = [
    (
        Version::V0_3,
        include_str!("../../../tests/fixtures/proto/v0_3.json"),
    ),
    (
        Version::V1_0,
        include_str!("../../../tests/fixtures/proto/v1_0.json"),
    ),
];

/// With numbers as they come out of protobuf, which has doubles alone.
fn numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
                json!(number as i64)
            } else {
                json!(number)
            }
        }
        Value::Array(values) => values.into_iter().map(numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, numbers(value)))
            .collect(),
        other => other,
    }
}

#[test]
fn messages_are_the_bytes_that_the_sdks_write() {
    for (version, text) in FIXTURES {
        let file: Value = serde_json::from_str(text).unwrap();
        let samples = file["samples"].as_array().unwrap();
        assert!(samples.len() > 15);
        for sample in samples {
            let message = sample["message"].as_str().unwrap();
            let place = format!("{} {message}: {}", file["seen"], sample["json"]);
            let bytes = STANDARD.decode(sample["bytes"].as_str().unwrap()).unwrap();
            let read = proto::from_bytes(version, message, &bytes).unwrap();
            assert_eq!(read, numbers(sample["json"].clone()), "{place}");
            let written = proto::to_bytes(version, message, &sample["json"]).unwrap();
            let again = proto::from_bytes(version, message, &written).unwrap();
            assert_eq!(again, read, "{place}");
            // The order in maps is anybody's, so that the bytes themselves need not be the same.
            assert_eq!(written.len(), bytes.len(), "{place}");
        }
    }
}

#[test]
fn every_method_is_found_by_the_path_that_it_has() {
    let mut paths = Vec::new();
    for version in [Version::V0_3, Version::V1_0] {
        for operation in Operation::ALL {
            if Dialect::grpc(version).supports(operation) {
                let path = grpc::path(version, operation);
                assert_eq!(
                    grpc::find(&path),
                    Some((version, Some(operation))),
                    "{path}"
                );
                paths.push(path);
            }
        }
    }
    assert_eq!(paths.len(), 10 + 11);
    assert!(paths.contains(&"/a2a.v1.A2AService/TaskSubscription".to_owned()));
    assert!(paths.contains(&"/lf.a2a.v1.A2AService/SubscribeToTask".to_owned()));
    for (path, wanted) in [
        ("/a2a.v1.A2AService/ListTasks", Some((Version::V0_3, None))),
        ("/lf.a2a.v1.A2AService/", Some((Version::V1_0, None))),
        ("/grpc.health.v1.Health/Check", None),
        ("/a2a.v2.A2AService/GetTask", None),
        ("/x/lf.a2a.v1.A2AService/GetTask", None),
        ("", None),
    ] {
        assert_eq!(grpc::find(path), wanted, "{path}");
    }
}

#[test]
fn what_a_message_has_no_place_for_is_left_out_and_what_is_wrong_is_refused() {
    let read = |json: &Value| {
        let bytes = proto::to_bytes(Version::V1_0, "Task", json).unwrap();
        proto::from_bytes(Version::V1_0, "Task", &bytes).unwrap()
    };
    let odd = json!({
        "id": "t", "context_id": "c", "x-unknown": 1, "artifacts": null,
        "status": {"state": "TASK_STATE_DANCING", "timestamp": "yesterday"},
    });
    assert_eq!(
        read(&odd),
        json!({"id": "t", "contextId": "c", "status": {}})
    );
    let number =
        json!({"id": "t", "status": {"state": 3, "timestamp": "2025-01-02T03:04:05+01:00"}});
    assert_eq!(
        read(&number)["status"],
        json!({"state": "TASK_STATE_COMPLETED", "timestamp": "2025-01-02T02:04:05Z"})
    );
    for (wrong, path) in [
        (json!({"id": 7}), "id"),
        (
            json!({"status": {"message": {"parts": [{"raw": "*"}]}}}),
            "status.message.parts[0].raw",
        ),
        (json!({"metadata": []}), "metadata"),
        (json!({"history": {}}), "history"),
    ] {
        let fault = proto::to_bytes(Version::V1_0, "Task", &wrong).unwrap_err();
        assert_eq!(fault.path, path);
        // Of a worker's answer the rest is kept.
        assert!(proto::to_bytes_lossy(Version::V1_0, "Task", &wrong).len() < 20);
    }
    let text = json!({"id": "t", "artifacts": [{"parts": [{"raw": "*"}]}]});
    let bytes = proto::to_bytes_lossy(Version::V1_0, "Task", &text);
    let read = proto::from_bytes(Version::V1_0, "Task", &bytes).unwrap();
    assert_eq!(
        read["artifacts"][0]["parts"][0]["raw"],
        STANDARD.encode("*")
    );
}

#[test]
fn errors_come_back_from_their_status() {
    let kinds = [
        ErrorKind::TaskNotFound,
        ErrorKind::TaskNotCancelable,
        ErrorKind::PushNotificationNotSupported,
        ErrorKind::UnsupportedOperation,
        ErrorKind::ContentTypeNotSupported,
        ErrorKind::InvalidAgentResponse,
        ErrorKind::ExtendedAgentCardNotConfigured,
        ErrorKind::InvalidParams,
    ];
    for version in [Version::V0_3, Version::V1_0] {
        for kind in kinds {
            let error = A2aError::new(kind, "it is so: wrong");
            let status = grpc::encode_error(version, &error);
            let again = grpc::decode_error(version, status.code, &status.message, &status.details);
            assert_eq!(
                (again.kind, again.message),
                (kind, error.message),
                "{version:?}"
            );
        }
    }
    // Without details the code alone tells.
    for (code, kind) in [
        (5, ErrorKind::TaskNotFound),
        (3, ErrorKind::InvalidParams),
        (9, ErrorKind::UnsupportedOperation),
        (12, ErrorKind::MethodNotFound),
        (13, ErrorKind::Internal),
        (2, ErrorKind::Internal),
    ] {
        assert_eq!(grpc::decode_error(Version::V1_0, code, "", b"").kind, kind);
        assert_eq!(
            grpc::decode_error(Version::V0_3, code, "x: y", b"\xff").kind,
            kind
        );
    }
}

#[test]
fn an_error_s_details_are_those_of_google_rpc() {
    let error = A2aError {
        kind: ErrorKind::InvalidParams,
        message: "no".to_owned(),
        data: Some(json!([
            {"@type": "type.googleapis.com/google.rpc.BadRequest",
             "fieldViolations": [{"field": "id", "description": "is required"}]},
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_PARAMS",
             "domain": "a2a-protocol.org", "metadata": {"text": "kept", "list": [1]}},
            {"@type": "type.googleapis.com/google.rpc.Help"},
        ])),
    };
    let status = grpc::encode_error(Version::V1_0, &error);
    assert_eq!(status.code, 3);
    let again = grpc::decode_error(Version::V1_0, 13, "no", &status.details);
    assert_eq!(again.kind, ErrorKind::InvalidParams);
    let data = again.data.unwrap();
    assert_eq!(data.as_array().unwrap().len(), 2);
    assert_eq!(data[0]["fieldViolations"][0]["field"], "id");
    assert_eq!(data[1]["metadata"], json!({"text": "kept"}));
}

#[test]
fn a_card_of_0_3_has_its_security_in_each_form_s_own_way() {
    let card = json!({
        "name": "a", "url": "http://x/", "protocolVersion": "0.3.0",
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-key"}},
        "security": [{"key": []}],
        "skills": [{"id": "s", "name": "s", "description": "", "tags": [], "security": [{"key": ["a"]}]}],
    });
    let operation = Operation::GetExtendedAgentCard;
    let bytes = grpc::encode_answer(Version::V0_3, operation, card.clone());
    let raw = proto::from_bytes(Version::V0_3, "AgentCard", &bytes).unwrap();
    assert_eq!(
        raw["securitySchemes"]["key"]["apiKeySecurityScheme"]["location"],
        "header"
    );
    let again = grpc::decode_answer(Version::V0_3, operation, &bytes).unwrap();
    assert_eq!(again["securitySchemes"], card["securitySchemes"]);
    assert_eq!(again["security"], card["security"]);
    assert_eq!(
        again["skills"][0]["security"],
        card["skills"][0]["security"]
    );
}

#[test]
fn a_webhook_of_0_3_is_registered_in_either_sdk_s_way() {
    let python = json!({
        "parent": "tasks/t", "configId": "c",
        "config": {"name": "tasks/t/pushNotificationConfigs/c", "pushNotificationConfig": {"url": "http://h/"}},
    });
    let javascript = json!({
        "name": "tasks/t/pushNotificationConfigs/c",
        "pushNotificationConfig": {"id": "c", "url": "http://h/"},
    });
    // Over HTTP the task is in the path, and the name in the body may be somebody's other idea of it.
    let by_path = json!({
        "parent": "tasks/t", "name": "tasks/other",
        "pushNotificationConfig": {"id": "c", "url": "http://h/"},
    });
    for params in [python, javascript, by_path] {
        let Value::Object(params) = params else {
            unreachable!()
        };
        let operation = Operation::CreateTaskPushNotificationConfig;
        let Ok(Request::CreatePushConfig(config)) = V0_3.read_request(operation, params.clone())
        else {
            panic!("{params:?}");
        };
        assert_eq!(
            (config.task_id.as_str(), config.id.as_deref()),
            ("t", Some("c"))
        );
        assert_eq!(config.url, "http://h/");
    }
}

#[test]
fn a_file_of_0_3_is_its_bytes_or_the_text_of_their_base64() {
    let part = |bytes: &str| {
        let frame = json!({"message": {"messageId": "m", "role": "ROLE_AGENT",
            "content": [{"file": {"fileWithBytes": bytes, "mimeType": "image/png"}}]}});
        let (event, _) = V0_3.decode_event(frame).unwrap();
        serde_json::to_value(event).unwrap()["message"]["parts"][0].clone()
    };
    let content = STANDARD.encode([0, 1, 2, 254]);
    let wanted = json!({"raw": content, "mediaType": "image/png"});
    assert_eq!(part(&content), wanted);
    assert_eq!(part(&STANDARD.encode(&content)), wanted);
}

#[test]
fn a_send_of_0_3_that_does_not_say_that_it_waits_does_not() {
    let read = |operation, configuration: Value| {
        let params = json!({"configuration": configuration,
            "message": {"messageId": "m", "role": "ROLE_USER", "content": [{"text": "go"}]}});
        let params = serde_json::to_vec(&params).unwrap();
        match V0_3.decode_request(operation, &params).unwrap() {
            Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
                send.configuration.and_then(|it| it.return_immediately)
            }
            other => panic!("{other:?}"),
        }
    };
    use Operation::{SendMessage, SendStreamingMessage};
    assert_eq!(read(SendMessage, json!({"blocking": true})), Some(false));
    assert_eq!(read(SendMessage, json!({})), Some(true));
    assert_eq!(read(SendMessage, Value::Null), Some(true));
    assert_eq!(read(SendStreamingMessage, Value::Null), None);
}

/// With bytes in standard base64, as every version wants them.
fn sound<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(raw)) = members.get_mut("raw") {
                    *raw = STANDARD.encode(raw.as_bytes());
                }
                members.values_mut().for_each(walk);
            }
            Value::Array(values) => values.iter_mut().for_each(walk),
            _ => {}
        }
    }
    let mut json = serde_json::to_value(value).unwrap();
    walk(&mut json);
    serde_json::from_value(json).unwrap()
}

/// What is left of a canonical value in protobuf: numbers are doubles, and members that the model does not know (`x-..`)
/// and empty texts of fields that need none are gone.
fn in_binary(value: &StreamResponse) -> StreamResponse {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, value| {
                    let optional = matches!(name.as_str(), "filename" | "name" | "description");
                    !(name.starts_with("x-") || optional && value == "")
                });
                if let Some(Value::String(time)) = members.get_mut("timestamp")
                    && let Ok(moment) = time.parse::<jiff::Timestamp>()
                {
                    *time = moment.to_string();
                }
                members.values_mut().for_each(walk);
            }
            Value::Array(values) => values.iter_mut().for_each(walk),
            _ => {}
        }
    }
    let mut json = numbers(serde_json::to_value(value).unwrap());
    walk(&mut json);
    serde_json::from_value(json).unwrap()
}

/// What is left of a request in 0.3's ProtoJSON.
fn in_v0_3(mut request: Request) -> Request {
    let count = |length: &mut Option<u32>| *length = length.filter(|length| *length > 0);
    match &mut request {
        Request::SendMessage(send) | Request::SendStreamingMessage(send) => {
            let configuration = send.configuration.get_or_insert_default();
            configuration.return_immediately.get_or_insert(false);
            count(&mut configuration.history_length);
        }
        Request::GetTask(get) => {
            get.extra.clear();
            count(&mut get.history_length);
        }
        Request::CancelTask(task)
        | Request::SubscribeToTask(task)
        | Request::ListPushConfigs(task) => task.extra.clear(),
        Request::CreatePushConfig(config) => *config = registered(config),
        Request::GetPushConfig(config) | Request::DeletePushConfig(config) => config.extra.clear(),
        Request::GetExtendedAgentCard(extra) => extra.clear(),
        Request::ListTasks(_) => {}
    }
    request
}

fn registered(config: &PushConfig) -> PushConfig {
    let mut config = config.clone();
    config.extra.clear();
    if let Some(authentication) = &mut config.authentication {
        authentication.extra.clear();
    }
    config.id.get_or_insert_with(|| config.task_id.clone());
    config
}

fn sound_request(request: Request) -> Request {
    match request {
        Request::SendMessage(send) => Request::SendMessage(sound(&send)),
        Request::SendStreamingMessage(send) => Request::SendStreamingMessage(sound(&send)),
        other => other,
    }
}

/// Every name in an object is one that the message has.
fn assert_strict(message: &str, value: &Value) {
    let mut object = value.as_object().unwrap().clone();
    let left = proto::confine(Version::V0_3, message, &mut object, "key");
    assert_eq!(left, Object::new(), "{message}: {value}");
    assert_eq!(Value::Object(object), *value, "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_survive_the_protojson_of_0_3_and_it_is_strict(event in event(), last in any::<bool>()) {
        let event: StreamResponse = sound(&event);
        let frame = V0_3.encode_event(&event, last);
        assert_strict("StreamResponse", &frame);
        let (again, _) = V0_3.decode_event(frame).unwrap();
        prop_assert_eq!(&again, &event);
    }

    #[test]
    fn requests_survive_the_protojson_of_0_3(request in request()) {
        let request = sound_request(request);
        let (_, params) = V0_3.encode_request(&request);
        let params = serde_json::to_vec(&params).unwrap();
        let again = V0_3.decode_request(request.operation(), &params).unwrap();
        prop_assert!(again == in_v0_3(request.clone()), "{:?} is not {:?}", again, request);
    }

    #[test]
    fn answers_survive_the_protojson_of_0_3(task in task(), message in message(), config in push_config()) {
        let (task, message, config) = (sound(&task), sound(&message), registered(&config));
        let answers = [
            (Operation::SendMessage, Answer::Task(Clone::clone(&task))),
            (Operation::SendMessage, Answer::Message(message)),
            (Operation::GetTask, Answer::Task(Clone::clone(&task))),
            (Operation::CancelTask, Answer::Task(task)),
            (Operation::CreateTaskPushNotificationConfig, Answer::PushConfig(config.clone())),
            (Operation::GetTaskPushNotificationConfig, Answer::PushConfig(config.clone())),
            (
                Operation::ListTaskPushNotificationConfigs,
                Answer::PushConfigs { configs: vec![config], next_page_token: Some("next".into()) },
            ),
            (Operation::DeleteTaskPushNotificationConfig, Answer::Empty),
        ];
        for (operation, answer) in answers {
            let result = V0_3.encode_answer(operation, &answer);
            let again = V0_3.decode_answer(operation, result).unwrap();
            prop_assert!(again == answer, "{:?} is not {:?}", again, answer);
        }
    }

    #[test]
    fn events_survive_protobuf(event in event()) {
        let event: StreamResponse = sound(&event);
        for dialect in [V0_3, V1_0] {
            let operation = Operation::SendStreamingMessage;
            let bytes = grpc::encode_answer(dialect.version, operation, dialect.encode_event(&event, true));
            let frame = grpc::decode_answer(dialect.version, operation, &bytes).unwrap();
            let (again, _) = dialect.decode_event(frame).unwrap();
            prop_assert_eq!(in_binary(&again), in_binary(&event), "{}", dialect);
        }
    }

    #[test]
    fn free_form_json_survives_protobuf(value in json_value()) {
        let task = json!({"id": "t", "metadata": {"value": numbers(value)}});
        let bytes = proto::to_bytes(Version::V1_0, "Task", &task).unwrap();
        prop_assert_eq!(proto::from_bytes(Version::V1_0, "Task", &bytes).unwrap(), task);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for version in [Version::V0_3, Version::V1_0] {
            for operation in Operation::ALL {
                let _ = grpc::decode_request(version, operation, &bytes);
                let _ = grpc::decode_answer(version, operation, &bytes);
            }
            let _ = grpc::decode_error(version, 3, "x", &bytes);
        }
    }
}
