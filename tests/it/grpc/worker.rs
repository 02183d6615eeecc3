//! A worker over gRPC that answers as it is told: what it is asked, and what requesters over JSON-RPC hear of its answers.

use bytes::Bytes;
use prost::Message as _;

use super::message;
use crate::scene::Conf;
use crate::support::client::SendOptions;
use crate::support::grpc::worker::{Say, Worker};
use crate::support::grpc::{COMPLETED, V1, V03, WORKING, call_raw, framed, pb};
use crate::support::protocol::{State, Version};

fn task(state: i32) -> pb::Task {
    pb::Task {
        id: "t-1".to_owned(),
        context_id: "c-1".to_owned(),
        status: Some(pb::Status {
            state,
            message: None,
        }),
        artifacts: if state == COMPLETED {
            vec![artifact()]
        } else {
            Vec::new()
        },
        history: vec![message("go")],
    }
}

fn artifact() -> pb::Artifact {
    let part = pb::Part {
        text: Some("the thing".to_owned()),
    };
    pb::Artifact {
        artifact_id: "a".to_owned(),
        parts: vec![part],
        ..pb::Artifact::default()
    }
}

fn event(event: pb::Event) -> Bytes {
    event.encode_to_vec().into()
}

fn task_event(state: i32) -> Bytes {
    event(pb::Event {
        task: Some(task(state)),
        ..pb::Event::default()
    })
}

fn status_event(state: i32) -> Bytes {
    event(pb::Event {
        status_update: Some(pb::StatusUpdate {
            task_id: "t-1".to_owned(),
            context_id: "c-1".to_owned(),
            status: Some(pb::Status {
                state,
                message: None,
            }),
        }),
        ..pb::Event::default()
    })
}

fn artifact_event() -> Bytes {
    event(pb::Event {
        artifact_update: Some(pb::ArtifactUpdate {
            task_id: "t-1".to_owned(),
            artifact: Some(artifact()),
            append: false,
        }),
        ..pb::Event::default()
    })
}

fn whole_stream() -> Vec<Bytes> {
    vec![
        task_event(WORKING),
        artifact_event(),
        status_event(COMPLETED),
    ]
}

/// A worker whose task is over when it is read.
fn read(method: &str) -> Say {
    match method {
        "GetTask" => Say::Messages(vec![task(COMPLETED).encode_to_vec().into()]),
        _ => Say::Refuses(12, "no", Vec::new()),
    }
}

#[tokio::test]
async fn a_worker_is_called_as_grpc_has_it() {
    let worker = Worker::start("1.0", |asked, _| {
        match asked.path.strip_prefix(V1).unwrap() {
            "SendMessage" => Say::Messages(vec![task_event(COMPLETED)]),
            "SendStreamingMessage" => Say::Messages(whole_stream()),
            other => read(other),
        }
    })
    .await;
    let sidecar = Conf::before(&worker.url)
        .key("observe", "[\"blocking\"]")
        .start()
        .await;
    let client = sidecar
        .client(Version::V03)
        .with_header("authorization", "Bearer secret")
        .with_header("grpc-timeout", "1m");
    let heard = client.send("go", SendOptions::wait()).await.heard();
    assert_eq!(heard.state(), Some(State::Completed));
    assert_eq!(heard.artifact("a"), Some("the thing"));
    let asked = worker.asked();
    let call = &asked[0];
    assert_eq!(call.path, format!("{V1}SendMessage"));
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-accept-encoding", "identity"),
        ("a2a-version", "1.0"),
        ("authorization", "Bearer secret"),
    ] {
        assert_eq!(call.headers[name], value);
    }
    // The requester's own patience is not the task's.
    assert!(!call.headers.contains_key("grpc-timeout"));
    let sent = pb::Send::decode(&*call.message).unwrap();
    let message = sent.message.unwrap();
    assert_eq!(
        (message.role, message.parts[0].text.as_deref()),
        (1, Some("go"))
    );
}

#[tokio::test]
async fn a_worker_of_0_3_is_asked_to_wait_in_so_many_words() {
    let worker = Worker::start("0.3", |asked, _| {
        match asked.path.strip_prefix(V03).unwrap() {
            "SendMessage" => Say::Messages(vec![task_event(COMPLETED)]),
            other => read(other),
        }
    })
    .await;
    let sidecar = Conf::before(&worker.url)
        .key("observe", "[\"blocking\"]")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let heard = client.send("go", SendOptions::wait()).await.heard();
    assert_eq!(heard.state(), Some(State::Completed));
    let sent = pb::SendV03::decode(&*worker.asked()[0].message).unwrap();
    // The same number is `blocking` in 0.3.
    assert!(sent.configuration.unwrap().return_immediately);
    assert_eq!(sent.request.unwrap().parts[0].text.as_deref(), Some("go"));
}

/// What becomes of a stream that goes wrong in this way the first time.
async fn survives(what: &str, first: Say) {
    let worker = Worker::start("1.0", move |asked, before| {
        match asked.path.strip_prefix(V1).unwrap() {
            "SendStreamingMessage" => first.clone(),
            "SubscribeToTask" if before == 0 => Say::Refuses(14, "later", Vec::new()),
            "SubscribeToTask" => Say::Messages(whole_stream()),
            "GetTask" => Say::Messages(vec![task(COMPLETED).encode_to_vec().into()]),
            _ => Say::Refuses(12, "no", Vec::new()),
        }
    })
    .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let mut stream = sidecar.client(Version::V1).stream("go").await;
    stream
        .until(|heard| heard.state() == Some(State::Working))
        .await;
    worker.break_streams();
    let heard = stream.rest().await.clone();
    assert_eq!(heard.state(), Some(State::Completed), "{what}");
    assert_eq!(heard.artifact("a"), Some("the thing"), "{what}");
}

#[tokio::test]
async fn a_stream_that_goes_wrong_is_taken_up_again() {
    let head = framed(&task_event(WORKING));
    let half = Bytes::from([&head[..], &framed(&artifact_event())[..7]].concat());
    let garbage = Bytes::from([&head[..], &framed(b"\xff\xff")[..]].concat());
    let compressed = Bytes::from([&head[..], b"\x01\0\0\0\x01x"].concat());
    let huge = Bytes::from([&head[..], b"\0\xff\xff\xff\xff"].concat());
    let begun = vec![task_event(WORKING)];
    let faults = [
        ("it breaks off", Say::Breaks(head.clone())),
        ("it breaks off within a message", Say::Breaks(half.clone())),
        ("it ends without a status", Say::Raw(head)),
        ("it ends within a message", Say::Raw(half)),
        ("a message is none", Say::Raw(garbage)),
        ("a message is compressed", Say::Raw(compressed)),
        ("a message is past every bound", Say::Raw(huge)),
        ("it ends well before the task", Say::Messages(begun.clone())),
        (
            "it ends with an error",
            Say::Ends(begun.clone(), 13, "oops"),
        ),
        (
            "it is told to come back",
            Say::Ends(begun, 14, "restarting"),
        ),
    ];
    futures_util::future::join_all(
        faults
            .into_iter()
            .map(async |(what, fault)| survives(what, fault).await),
    )
    .await;
}

/// The code and the HTTP status that a requester over JSON-RPC reads of a worker's answer to GetTask.
async fn told(answer: Say) -> (u16, Option<i64>) {
    let worker = Worker::start("1.0", move |_, _| answer.clone()).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let reply = sidecar.client(Version::V1).get("t-9").await;
    (reply.answer.status.as_u16(), reply.error_code())
}

#[tokio::test]
async fn a_worker_s_status_is_the_protocol_s_error_or_http_s() {
    let refuses = |code| Say::Refuses(code, "no", Vec::new());
    for (what, answer, wanted) in [
        ("not found", refuses(5), (200, Some(-32001))),
        ("wrong", refuses(3), (200, Some(-32602))),
        ("not now", refuses(9), (200, Some(-32004))),
        ("no such method", refuses(12), (200, Some(-32601))),
        ("broken", refuses(13), (200, Some(-32603))),
        (
            "behind headers",
            Say::Ends(Vec::new(), 5, "no"),
            (200, Some(-32001)),
        ),
        ("who are you", refuses(16), (401, None)),
        ("not you", refuses(7), (403, None)),
        ("too much", refuses(8), (429, None)),
        ("away", refuses(14), (503, None)),
        ("a proxy's word", Say::Http(503), (503, None)),
        ("nothing", Say::Messages(Vec::new()), (502, Some(-32006))),
        (
            "two",
            Say::Messages(vec![Bytes::new(); 2]),
            (502, Some(-32006)),
        ),
        (
            "no task",
            Say::Messages(vec![Bytes::new()]),
            (502, Some(-32006)),
        ),
        (
            "no status",
            Say::Raw(framed(&task(COMPLETED).encode_to_vec())),
            (502, Some(-32603)),
        ),
    ] {
        assert_eq!(told(answer).await, wanted, "{what}");
    }
}

#[tokio::test]
async fn other_services_of_grpc_pass() {
    let worker = Worker::start("1.0", |asked, _| match asked.path.as_str() {
        "/grpc.health.v1.Health/Check" => Say::Messages(vec![Bytes::from_static(b"\x08\x01")]),
        _ => Say::Refuses(12, "no", Vec::new()),
    })
    .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let check = |service: &str| format!("/grpc.health.v1.{service}/Check");
    let healthy = call_raw(&sidecar.url, &check("Health"), framed(b""), &[]).await;
    assert_eq!(
        (healthy.status(), healthy.messages.as_slice()),
        (0, &[Bytes::from_static(b"\x08\x01")][..])
    );
    assert_eq!(worker.asked()[0].headers["te"], "trailers");
    let other = call_raw(&sidecar.url, &check("Wealth"), framed(b""), &[]).await;
    assert_eq!((other.status(), other.text()), (12, "no"));
}
