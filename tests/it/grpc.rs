//! gRPC on both sides: what a requester gets call by call, what a worker's answers become, right and wrong ones. Every
//! requester's mode before a worker that is spoken to over gRPC alone is with the other bindings.

mod bounds;
mod tls;
mod worker;

use bytes::Bytes;
use prost::Message as _;
use serde_json::json;

use crate::scene::Conf;
use crate::support::grpc::{
    Answer, CANCELED, COMPLETED, INPUT_REQUIRED, V1, V03, WORKING, call, call_raw, framed, open, pb,
};
use crate::support::protocol::Version;
use crate::support::proxy::Sidecar;
use crate::support::worker::{Worker, artifact, ask, done, wait, working};

fn message(text: &str) -> pb::Message {
    pb::Message {
        message_id: "m-1".to_owned(),
        role: 1,
        parts: vec![pb::Part {
            text: Some(text.to_owned()),
        }],
        ..pb::Message::default()
    }
}

fn go(at_once: bool) -> pb::Send {
    pb::Send {
        message: Some(message("go")),
        configuration: Some(pb::Configuration {
            return_immediately: at_once,
        }),
        ..pb::Send::default()
    }
}

/// A send of 0.3; its flag says the opposite.
fn go_v03(blocking: bool) -> pb::SendV03 {
    pb::SendV03 {
        request: Some(pb::Message {
            parts: message("go").parts,
            ..message("go")
        }),
        configuration: Some(pb::Configuration {
            return_immediately: blocking,
        }),
    }
}

fn by_id(id: &str) -> pb::ById {
    pb::ById {
        id: id.to_owned(),
        ..pb::ById::default()
    }
}

fn by_name(name: String) -> pb::ByName {
    pb::ByName { name }
}

fn state(task: &pb::Task) -> i32 {
    task.status.as_ref().unwrap().state
}

async fn v1(sidecar: &Sidecar, method: &str, message: &impl prost::Message) -> Answer {
    call(&sidecar.url, &format!("{V1}{method}"), message).await
}

async fn v03(sidecar: &Sidecar, method: &str, message: &impl prost::Message) -> Answer {
    call(&sidecar.url, &format!("{V03}{method}"), message).await
}

#[tokio::test]
async fn every_operation_of_1_0_is_a_method() {
    let worker = Worker::builder()
        .script(vec![ask("which?"), done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;

    let sent = v1(&sidecar, "SendMessage", &go(false)).await;
    assert_eq!(sent.http, 200);
    assert_eq!(sent.headers["content-type"], "application/grpc");
    let task = sent.one::<pb::Event>().task.unwrap();
    assert_eq!(state(&task), INPUT_REQUIRED);
    let asked = task.status.as_ref().unwrap().message.as_ref().unwrap();
    assert_eq!(asked.parts[0].text.as_deref(), Some("which?"));
    let id = task.id;

    let got: pb::Task = v1(&sidecar, "GetTask", &by_id(&id)).await.one();
    assert_eq!(
        (got.id.as_str(), state(&got)),
        (id.as_str(), INPUT_REQUIRED)
    );

    let config = pb::Config {
        id: "c".to_owned(),
        task_id: id.clone(),
        url: "http://127.0.0.1:9/".to_owned(),
    };
    let made = v1(&sidecar, "CreateTaskPushNotificationConfig", &config).await;
    assert_eq!(made.one::<pb::Config>(), config);
    let one = pb::ConfigById {
        task_id: id.clone(),
        id: "c".to_owned(),
    };
    let read = v1(&sidecar, "GetTaskPushNotificationConfig", &one).await;
    assert_eq!(read.one::<pb::Config>(), config);
    let of_task = pb::ConfigsOf {
        task_id: id.clone(),
    };
    let listed = v1(&sidecar, "ListTaskPushNotificationConfigs", &of_task).await;
    assert_eq!(listed.one::<pb::Configs>().configs, [config]);
    let deleted = v1(&sidecar, "DeleteTaskPushNotificationConfig", &one).await;
    assert_eq!(
        (deleted.status(), deleted.messages.as_slice()),
        (0, &[Bytes::new()][..])
    );
    let gone = v1(&sidecar, "GetTaskPushNotificationConfig", &one).await;
    assert_eq!(
        (gone.status(), gone.reason()),
        (5, Some("TASK_NOT_FOUND".to_owned()))
    );

    let canceled: pb::Task = v1(&sidecar, "CancelTask", &by_id(&id)).await.one();
    assert_eq!(state(&canceled), CANCELED);
    let over = v1(&sidecar, "SubscribeToTask", &by_id(&id)).await;
    assert_eq!((over.status(), over.trailers.is_none()), (9, true));
    assert_eq!(over.reason().as_deref(), Some("UNSUPPORTED_OPERATION"));
    assert!(over.text().contains("is over"), "{}", over.text());
}

#[tokio::test]
async fn every_operation_of_0_3_is_a_method() {
    let worker = Worker::builder()
        .script(vec![ask("which?"), done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;

    let sent = v03(&sidecar, "SendMessage", &go_v03(true)).await;
    let task = sent.one::<pb::EventV03>().task.unwrap();
    assert_eq!(state(&task), INPUT_REQUIRED);
    let name = format!("tasks/{}", task.id);
    let got: pb::Task = v03(&sidecar, "GetTask", &by_name(name.clone())).await.one();
    assert_eq!(got.id, task.id);

    let config = pb::ConfigV03 {
        name: format!("{name}/pushNotificationConfigs/c"),
        inner: Some(pb::InnerConfigV03 {
            id: "c".to_owned(),
            url: "http://127.0.0.1:9/".to_owned(),
        }),
    };
    let create = pb::CreateV03 {
        parent: name.clone(),
        config_id: "c".to_owned(),
        config: Some(config.clone()),
    };
    let made = v03(&sidecar, "CreateTaskPushNotificationConfig", &create).await;
    assert_eq!(made.one::<pb::ConfigV03>(), config);
    let one = by_name(config.name.clone());
    let read = v03(&sidecar, "GetTaskPushNotificationConfig", &one).await;
    assert_eq!(read.one::<pb::ConfigV03>(), config);
    let deleted = v03(&sidecar, "DeleteTaskPushNotificationConfig", &one).await;
    assert_eq!(deleted.status(), 0);

    let canceled: pb::Task = v03(&sidecar, "CancelTask", &by_name(name)).await.one();
    assert_eq!(state(&canceled), CANCELED);
    let unknown = v03(&sidecar, "GetTask", &by_name("tasks/nobody".to_owned())).await;
    assert_eq!(unknown.status(), 5);
    // By this word the SDKs of 0.3 tell errors apart.
    assert!(
        unknown.text().starts_with("TaskNotFoundError: "),
        "{}",
        unknown.text()
    );
    assert_eq!(unknown.reason(), None);
}

#[tokio::test]
async fn a_stream_is_messages_and_then_the_status() {
    let worker = Worker::builder()
        .script(vec![
            working("on it"),
            artifact("a", "the thing"),
            done("it is done"),
        ])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;

    let stream = v1(&sidecar, "SendStreamingMessage", &go(false)).await;
    assert_eq!(stream.status(), 0);
    let events: Vec<pb::Event> = stream.all();
    assert!(events[0].task.is_some(), "{events:?}");
    let artifact = events
        .iter()
        .find_map(|event| event.artifact_update.as_ref());
    let parts = &artifact.unwrap().artifact.as_ref().unwrap().parts;
    assert_eq!(parts[0].text.as_deref(), Some("the thing"));
    let last = events.last().unwrap().status_update.as_ref().unwrap();
    assert_eq!(last.status.as_ref().unwrap().state, COMPLETED);

    let stream = v03(&sidecar, "SendStreamingMessage", &go_v03(true)).await;
    assert_eq!(stream.status(), 0);
    let events: Vec<pb::EventV03> = stream.all();
    let artifact = events
        .iter()
        .find_map(|event| event.artifact_update.as_ref());
    let parts = &artifact.unwrap().artifact.as_ref().unwrap().parts_v03;
    assert_eq!(parts[0].text.as_deref(), Some("the thing"));
    let last = events.last().unwrap().status_update.as_ref().unwrap();
    assert_eq!(
        (last.status.as_ref().unwrap().state, last.last),
        (COMPLETED, true)
    );
}

#[tokio::test]
async fn a_subscription_begins_with_the_task_and_hears_the_rest() {
    let worker = Worker::builder()
        .script(vec![working("on it"), wait("gate"), done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let sent: pb::Event = v1(&sidecar, "SendMessage", &go(true)).await.one();
    let id = sent.task.unwrap().id;
    worker.wait_at("gate").await;
    let mut streams = vec![
        open(&sidecar.url, &format!("{V1}SubscribeToTask"), &by_id(&id)).await,
        open(
            &sidecar.url,
            &format!("{V03}TaskSubscription"),
            &by_name(format!("tasks/{id}")),
        )
        .await,
    ];
    for stream in &mut streams {
        let first: pb::Event = stream.next().await.unwrap();
        assert_eq!(first.task.unwrap().id, id);
    }
    worker.release("gate");
    for stream in &mut streams {
        let mut last = None;
        while let Some(event) = stream.next::<pb::Event>().await {
            last = Some(event);
        }
        let update = last.unwrap().status_update.unwrap();
        assert_eq!(update.status.unwrap().state, COMPLETED);
    }
}

#[tokio::test]
async fn a_send_of_0_3_that_does_not_say_that_it_waits_is_answered_at_once() {
    let worker = Worker::builder()
        .script(vec![working("on it"), wait("gate"), done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let sent: pb::EventV03 = v03(&sidecar, "SendMessage", &go_v03(false)).await.one();
    assert!(state(&sent.task.unwrap()) <= WORKING);
    worker.release("gate");
}

#[tokio::test]
async fn a_direct_answer_is_a_message() {
    let worker = Worker::builder()
        .script(vec![crate::support::worker::say("just so")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let sent: pb::Event = v1(&sidecar, "SendMessage", &go(false)).await.one();
    assert_eq!(
        sent.message.unwrap().parts[0].text.as_deref(),
        Some("just so")
    );
    let stream = v1(&sidecar, "SendStreamingMessage", &go(false)).await;
    let event: pb::Event = stream.one();
    assert_eq!(
        event.message.unwrap().parts[0].text.as_deref(),
        Some("just so")
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_status_and_reaches_no_worker() {
    let worker = Worker::builder().script(vec![done("done")]).start().await;
    let sidecar = Conf::before(&worker.url)
        .head("[server]\nmax_body_bytes = \"64KiB\"")
        .start()
        .await;
    let send = format!("{V1}SendMessage");
    let good = framed(&go(false).encode_to_vec());
    let twice = Bytes::from([good.clone(), good.clone()].concat());
    let compressed = Bytes::from_static(b"\x01\0\0\0\x01x");
    let large = framed(&go(false).encode_to_vec().repeat(4000));
    let cases = [
        ("no such method", format!("{V1}DoWonders"), good.clone(), 12),
        (
            "no such method in 0.3",
            format!("{V03}ListTasks"),
            good.clone(),
            12,
        ),
        ("compressed", send.clone(), compressed, 12),
        ("no message", send.clone(), Bytes::new(), 3),
        ("two messages", send.clone(), twice, 3),
        (
            "half a message",
            send.clone(),
            good.slice(..good.len() - 1),
            3,
        ),
        ("no such message", send.clone(), framed(b"\xff\xff"), 3),
        ("without a message", send.clone(), framed(b""), 3),
        ("too large", send.clone(), large, 8),
    ];
    for (what, path, body, wanted) in cases {
        let answer = call_raw(&sidecar.url, &path, body, &[]).await;
        assert_eq!(
            (answer.http.as_u16(), answer.status()),
            (200, wanted),
            "{what}: {answer:?}"
        );
        assert_eq!(answer.headers["content-type"], "application/grpc", "{what}");
    }
    let headers = [("a2a-version", "9.9")];
    let future = call_raw(&sidecar.url, &send, good, &headers).await;
    assert_eq!(future.status(), 9);
    assert_eq!(future.reason().as_deref(), Some("VERSION_NOT_SUPPORTED"));
    let empty = v1(&sidecar, "SendMessage", &pb::Send::default()).await;
    assert_eq!(empty.reason().as_deref(), Some("INVALID_PARAMS"));
    assert_eq!(worker.task_ids().len(), 0);
}

#[tokio::test]
async fn a_stream_that_ends_before_its_task_says_so() {
    let worker = Worker::builder()
        .script(vec![working("on it"), wait("gate"), done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url)
        .text("stream.max_life", "1s")
        .start()
        .await;
    let stream = v1(&sidecar, "SendStreamingMessage", &go(false)).await;
    assert_eq!(stream.status(), 14, "{}", stream.text());
    let events: Vec<pb::Event> = stream.all();
    let id = events[0].task.as_ref().unwrap().id.clone();
    worker.release("gate");
    let end = v1(&sidecar, "GetTask", &by_id(&id)).await;
    assert_eq!(end.one::<pb::Task>().id, id);
}

#[tokio::test]
async fn the_card_gives_grpc_s_address_where_a_route_has_no_path() {
    let worker = Worker::builder().script(vec![done("done")]).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let card = sidecar.client(Version::V1).card().await;
    let card: serde_json::Value = serde_json::from_slice(&card.body).unwrap();
    let host = sidecar
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let wanted = json!({"url": host, "protocolBinding": "GRPC", "protocolVersion": "1.0"});
    let listed = card["supportedInterfaces"].as_array().unwrap();
    assert!(listed.contains(&wanted), "{card}");
    let old = sidecar.client(Version::V03).card().await;
    let old: serde_json::Value = serde_json::from_slice(&old.body).unwrap();
    let wanted = json!({"url": host, "transport": "GRPC"});
    let listed = old["additionalInterfaces"].as_array().unwrap();
    assert!(listed.contains(&wanted), "{old}");

    let below = Conf::before(&worker.url)
        .key("match", "{ path = \"/agent\" }")
        .start()
        .await;
    let card = below
        .client(Version::V1)
        .get_url(&format!(
            "{}/agent/.well-known/agent-card.json",
            below.url.trim_end_matches('/')
        ))
        .await;
    let text = card.text();
    assert!(
        text.contains("supportedInterfaces") && !text.contains("GRPC"),
        "{text}"
    );
}
