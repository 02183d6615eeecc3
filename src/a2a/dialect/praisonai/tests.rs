//! PraisonAI's form: what survives it, and what its peers look for. What real ones wrote is in `tests/golden_systems.rs`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::a2a::dialect::properties::{self, event, json_value, message, push_config, task};
use crate::a2a::request::GetTaskRequest;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

fn request_again(request: &Request) -> Request {
    let params = object(PraisonAi.encode_request(request));
    PraisonAi
        .decode_request(request.operation(), params)
        .unwrap()
}

proptest! {
    #![proptest_config(properties::config())]

    #[test]
    fn requests_survive(request in properties::request()) {
        prop_assert_eq!(request_again(&request), request);
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
        for (operation, answer) in answers {
            let result = PraisonAi.encode_answer(operation, &answer);
            let again = PraisonAi.decode_answer(operation, result).unwrap();
            prop_assert!(again == answer, "{:?} is not {:?}", again, answer);
        }
    }

    /// But for messages without a task, and tasks, which become what is in them.
    #[test]
    fn events_survive(event in event(), last in any::<bool>()) {
        let frames = PraisonAi.encode_event(&event, None, last);
        let done = frames.last().unwrap().event == Some("done");
        let ends = match (&event, event.status()) {
            (StreamResponse::Message(_), _) => true,
            (_, Some(status)) => {
                status.state.is_terminal() || (last && status.state.is_interrupted())
            }
            _ => false,
        };
        prop_assert_eq!(done, ends);
        let events: Vec<_> = frames
            .into_iter()
            .filter_map(|frame| {
                PraisonAi.decode_event(frame.event.unwrap(), object(frame.data)).unwrap()
            })
            .map(|(event, _)| event)
            .collect();
        match event {
            StreamResponse::Task(task) => {
                prop_assert_eq!(events.len(), task.artifacts.len() + 1);
                for (event, artifact) in events.iter().zip(&task.artifacts) {
                    let StreamResponse::ArtifactUpdate(update) = event else { panic!("{event:?}") };
                    prop_assert_eq!(&update.artifact, artifact);
                    prop_assert_eq!(&update.task_id, &task.id);
                }
                let StreamResponse::StatusUpdate(update) = events.last().unwrap() else {
                    panic!("{events:?}")
                };
                prop_assert_eq!(&update.status, &task.status);
                prop_assert_eq!(&update.context_id, &task.context_id);
            }
            StreamResponse::Message(message) => {
                let [StreamResponse::ArtifactUpdate(artifact), StreamResponse::StatusUpdate(update)] =
                    &events[..] else { panic!("{events:?}") };
                prop_assert_eq!(&artifact.artifact.parts, &message.parts);
                prop_assert_eq!(update.status.message.as_ref(), Some(&message));
                prop_assert_eq!(update.status.state, TaskState::Completed);
            }
            event => prop_assert_eq!(events, [event]),
        }
    }

    #[test]
    fn webhooks_are_read_as_the_task(task in task()) {
        let event = StreamResponse::Task(task.clone());
        let (body, _) = PraisonAi.encode_webhook(&event, &task);
        prop_assert_eq!(&body["taskId"], &json!(task.id));
        prop_assert_eq!(body.get("timestamp"), body["status"].get("timestamp"));
        let StreamResponse::Task(mut again) = read(object(body)).unwrap() else { panic!("no task") };
        again.extra.shift_remove("taskId");
        again.extra.shift_remove("timestamp");
        prop_assert_eq!(again, task);
    }

    #[test]
    fn nothing_that_comes_in_makes_it_panic(value in json_value()) {
        let Value::Object(object) = value else { return Ok(()) };
        for operation in Operation::ALL {
            let _ = PraisonAi.decode_request(operation, object.clone());
            let _ = PraisonAi.decode_answer(operation, Value::Object(object.clone()));
        }
        let _ = PraisonAi.decode_event("task.status", object);
    }
}

fn status_frame(state: TaskState, last: bool) -> Value {
    let update = TaskStatusUpdateEvent {
        task_id: "t".to_owned(),
        status: TaskStatus {
            state,
            ..TaskStatus::default()
        },
        ..TaskStatusUpdateEvent::default()
    };
    PraisonAi
        .encode_event(&StreamResponse::StatusUpdate(update), None, last)
        .swap_remove(0)
        .data
}

#[test]
fn states_are_spelled_as_its_clients_wait_for_them() {
    for (state, name) in [
        (TaskState::Canceled, "cancelled"),
        (TaskState::Completed, "completed"),
        (TaskState::Rejected, "failed"),
        (TaskState::InputRequired, "input_required"),
        (TaskState::AuthRequired, "auth_required"),
        (TaskState::Unspecified, "working"),
    ] {
        assert_eq!(status_frame(state, false)["status"]["state"], name);
    }
}

#[test]
fn a_stream_says_final_at_the_end_and_where_it_waits_for_somebody() {
    assert_eq!(status_frame(TaskState::Working, false)["final"], false);
    assert_eq!(status_frame(TaskState::Working, true)["final"], false);
    assert_eq!(
        status_frame(TaskState::InputRequired, false)["final"],
        false
    );
    assert_eq!(status_frame(TaskState::InputRequired, true)["final"], true);
    assert_eq!(status_frame(TaskState::Completed, false)["final"], true);
}

#[test]
fn bytes_go_to_its_server_as_a_link_and_come_from_it_as_bytes() {
    let params = json!({ "message": {
        "messageId": "m", "role": "ROLE_USER",
        "parts": [{ "raw": "aGk=", "mediaType": "image/png", "filename": "a.png" }],
    } });
    let request = v1_0::decode_request(Operation::SendMessage, object(params)).unwrap();
    let sent = PraisonAi.encode_request(&request);
    assert_eq!(
        sent["message"]["parts"][0]["fileWithUri"],
        "data:image/png;base64,aGk="
    );
    assert_eq!(sent["message"]["parts"][0]["name"], "a.png");
    let task = json!({ "id": "t", "status": { "state": "completed" }, "artifacts": [
        { "artifactId": "a", "parts": [{ "fileWithBytes": "aGk=", "name": "a.png" }] },
    ] });
    let answer = PraisonAi.decode_answer(Operation::GetTask, task).unwrap();
    let Answer::Task(task) = answer else {
        panic!("{answer:?}")
    };
    let part = &task.artifacts[0].parts[0];
    assert_eq!(
        part.content,
        crate::a2a::PartContent::Raw("aGk=".to_owned())
    );
    assert_eq!(part.filename.as_deref(), Some("a.png"));
}

#[test]
fn what_its_server_fills_in_need_not_be_sent() {
    let params = json!({ "message": { "parts": [{ "text": "hi" }] } });
    let request = PraisonAi
        .decode_request(Operation::SendMessage, object(params))
        .unwrap();
    let Request::SendMessage(send) = request else {
        panic!("{request:?}")
    };
    assert_eq!(send.message.message_id, "msg-auto");
    assert_eq!(send.message.role, crate::a2a::Role::User);
}

#[test]
fn returning_immediately_outweighs_blocking() {
    let params = json!({
        "message": { "messageId": "m", "role": "user", "parts": [{ "text": "hi" }] },
        "configuration": { "return_immediately": true, "blocking": true },
    });
    let request = PraisonAi
        .decode_request(Operation::SendMessage, object(params))
        .unwrap();
    let Request::SendMessage(send) = request else {
        panic!("{request:?}")
    };
    assert_eq!(send.configuration.unwrap().return_immediately, Some(true));
}

#[test]
fn extensions_written_as_an_object_are_read_by_their_names() {
    let task = json!({ "id": "t", "status": { "state": "working" }, "history": [{
        "messageId": "m", "role": "agent", "parts": [{ "text": "hi" }],
        "extensions": { "https://e.example/a": "1", "https://e.example/b": "" },
    }] });
    let answer = PraisonAi.decode_answer(Operation::GetTask, task).unwrap();
    let Answer::Task(task) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        task.history[0].extensions,
        ["https://e.example/a", "https://e.example/b"]
    );
}

#[test]
fn a_webhook_needs_a_task_and_an_address_but_no_id() {
    let refused = |operation, params: Value| {
        PraisonAi
            .decode_request(operation, object(params))
            .unwrap_err()
            .to_string()
    };
    let create = Operation::CreateTaskPushNotificationConfig;
    assert_eq!(refused(create, json!({ "taskId": "t" })), "url is required");
    assert_eq!(
        refused(create, json!({ "url": "http://x/" })),
        "taskId is required"
    );
    let list = Operation::ListTaskPushNotificationConfigs;
    assert_eq!(refused(list, json!({})), "taskId is required");
    let delete = PraisonAi
        .decode_request(
            Operation::DeleteTaskPushNotificationConfig,
            object(json!({ "taskId": "t" })),
        )
        .unwrap();
    assert!(matches!(delete, Request::DeletePushConfig(delete) if delete.id.is_none()));
}

#[test]
fn what_is_not_there_has_its_own_code() {
    assert_eq!(PraisonAi.error_code(ErrorKind::TaskNotFound), -32000);
    assert_eq!(
        PraisonAi.error_kind(-32000, "Config not found", None),
        ErrorKind::TaskNotFound
    );
    assert_eq!(PraisonAi.error_code(ErrorKind::TaskNotCancelable), -32002);
    let get = Request::GetTask(GetTaskRequest {
        id: "t".to_owned(),
        ..GetTaskRequest::default()
    });
    assert_eq!(request_again(&get), get);
}
