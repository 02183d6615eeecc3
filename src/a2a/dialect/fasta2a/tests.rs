//! fasta2a's forms: what survives them, and what their peers look for. What real ones wrote is in
//! `tests/golden_systems.rs`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::a2a::dialect::properties::{self, event, json_value, message, push_config, task};

const FORMS: [&dyn Codec; 2] = [&FastA2a, &FastA2aV0];

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

/// What the table says of requests, applied.
fn expected(request: &Request, form: &dyn Codec) -> Request {
    let mut request = without_history_length(request).into_owned();
    if let Request::SendMessage(send) = &mut request
        && form.traits() == &TRAITS
    {
        let configuration = send.configuration.get_or_insert_default();
        configuration.return_immediately.get_or_insert(false);
    }
    request
}

proptest! {
    #![proptest_config(properties::config())]

    #[test]
    fn requests_survive(request in properties::request()) {
        for form in FORMS {
            let params = object(form.encode_request(&request));
            let again = form.decode_request(request.operation(), params).unwrap();
            prop_assert_eq!(again, expected(&request, form));
        }
    }

    #[test]
    fn answers_survive(task in task(), message in message(), config in push_config()) {
        let answers = [
            (Operation::SendMessage, Answer::Task(task.clone())),
            (Operation::SendMessage, Answer::Message(message)),
            (Operation::GetTask, Answer::Task(task)),
            (Operation::CreateTaskPushNotificationConfig, Answer::PushConfig(config.clone())),
            (
                Operation::ListTaskPushNotificationConfigs,
                Answer::PushConfigs { configs: vec![config], next_page_token: None },
            ),
            (Operation::DeleteTaskPushNotificationConfig, Answer::Empty),
        ];
        for form in FORMS {
            for (operation, answer) in &answers {
                let result = form.encode_answer(*operation, answer);
                let again = form.decode_answer(*operation, result).unwrap();
                prop_assert!(again == *answer, "{:?} is not {:?}", again, answer);
            }
        }
    }

    #[test]
    fn events_survive(event in event(), last in any::<bool>()) {
        for form in FORMS {
            let mut frames = form.encode_event(&event, None, last);
            prop_assert_eq!(frames.len(), 1);
            let frame = frames.remove(0);
            prop_assert_eq!(frame.event, None);
            let (again, _) = form.decode_event("", object(frame.data)).unwrap().unwrap();
            prop_assert_eq!(&again, &event);
        }
    }

    #[test]
    fn nothing_that_comes_in_makes_them_panic(value in json_value()) {
        let Value::Object(object) = value else { return Ok(()) };
        for form in FORMS {
            for operation in Operation::ALL {
                let _ = form.decode_request(operation, object.clone());
                let _ = form.decode_answer(operation, Value::Object(object.clone()));
            }
            let _ = form.decode_event("", object.clone());
        }
    }

    /// Its clients refuse a value that has anything else.
    #[test]
    fn every_state_role_and_context_is_one_that_its_clients_know(task in task(), event in event()) {
        let states = [
            "submitted", "working", "input-required", "completed", "canceled", "failed", "rejected",
            "auth-required",
        ];
        let mut values = vec![FastA2a.encode_answer(Operation::GetTask, &Answer::Task(task))];
        let frame = FastA2a.encode_event(&event, None, false).remove(0).data;
        values.extend(frame.as_object().unwrap().values().cloned());
        for value in values {
            if let Some(state) = value["status"]["state"].as_str() {
                prop_assert!(states.contains(&state), "{}", state);
                prop_assert!(value["contextId"].is_string());
            }
            let mut roles = vec![value["role"].as_str(), value["status"]["message"]["role"].as_str()];
            for turn in value["history"].as_array().into_iter().flatten() {
                roles.push(turn["role"].as_str());
            }
            for role in roles.into_iter().flatten() {
                prop_assert!(["user", "agent"].contains(&role), "{}", role);
            }
        }
    }
}

fn send_params(configuration: Value) -> Object {
    object(json!({
        "message": { "messageId": "m", "role": "user", "parts": [{ "text": "hi" }] },
        "configuration": configuration,
    }))
}

#[test]
fn a_send_returns_at_once_unless_it_says_blocking() {
    for (configuration, immediately) in [
        (Value::Null, true),
        (json!({ "acceptedOutputModes": ["text/plain"] }), true),
        (
            json!({ "acceptedOutputModes": [], "blocking": false }),
            true,
        ),
        (
            json!({ "acceptedOutputModes": [], "blocking": true }),
            false,
        ),
    ] {
        let request = FastA2a
            .decode_request(Operation::SendMessage, send_params(configuration))
            .unwrap();
        let Request::SendMessage(send) = request else {
            panic!("{request:?}")
        };
        assert_eq!(
            send.configuration.unwrap().return_immediately,
            Some(immediately)
        );
    }
}

#[test]
fn every_configuration_names_output_modes() {
    for operation in [Operation::SendMessage, Operation::SendStreamingMessage] {
        for form in FORMS {
            let params = send_params(json!({ "historyLength": 3 }));
            let request = v0::decode_request(operation, params).unwrap();
            let sent = form.encode_request(&request);
            assert_eq!(sent["configuration"]["acceptedOutputModes"], json!([]));
            assert_eq!(sent["configuration"].get("historyLength"), None);
            assert_eq!(sent["message"]["role"], "user");
        }
    }
}

#[test]
fn errors_have_the_words_that_its_clients_compare() {
    let error = A2aError::task_not_found("t-1");
    for form in FORMS {
        assert_eq!(form.error_text(&error), "Task not found");
        assert_eq!(form.error_code(error.kind), -32001);
    }
}

#[test]
fn webhooks_are_registered_under_its_own_names_in_the_flat_form() {
    let config = PushConfig {
        task_id: "t".to_owned(),
        url: "http://x.example/".to_owned(),
        ..PushConfig::default()
    };
    let operation = Operation::CreateTaskPushNotificationConfig;
    assert_eq!(FastA2a.method(operation), "tasks/pushNotification/set");
    let written = json!({ "taskId": "t", "url": "http://x.example/" });
    assert_eq!(
        FastA2a.encode_answer(operation, &Answer::PushConfig(config.clone())),
        written
    );
    assert_eq!(
        FastA2a.decode_request(operation, object(written)).unwrap(),
        Request::CreatePushConfig(config)
    );
}
