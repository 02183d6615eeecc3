//! Every fault that a worker can be told to have is seen by whoever calls it, and ends when it is healed.

use std::time::Duration;

use serde_json::json;

use super::{check_job, job, pair};
use crate::support::client::{Push, SendOptions};
use crate::support::protocol::{Op, State, Version, code};
use crate::support::receiver::Receiver;
use crate::support::worker::{Fault, Memory, PushFault, done, working};

#[tokio::test]
async fn webhooks_can_come_twice_swapped_or_never() {
    for (fault, count) in [
        (PushFault::Twice, 6),
        (PushFault::Swapped, 3),
        (PushFault::Lost, 0),
    ] {
        let receiver = Receiver::start().await;
        let steps = vec![working("on it"), done("done")];
        let (worker, client) = pair(Version::V1, steps).await;
        worker.push_fault(fault);
        let push = Push::to(receiver.url("/"));
        client.send("hi", SendOptions::wait().push(push)).await;
        worker.wait_posted(count.max(3)).await;
        let hooks = receiver.hooks();
        assert_eq!(hooks.len(), count, "{fault:?}");
        if fault == PushFault::Swapped {
            assert_eq!(hooks[0].heard().state(), Some(State::Working));
            assert_eq!(hooks[1].heard().state(), Some(State::Submitted));
        }
    }
}

#[tokio::test]
async fn faults_of_calls_are_seen() {
    let (worker, client) = pair(Version::V1, vec![done("ok")]).await;
    let id = client
        .send("hi", SendOptions::wait())
        .await
        .heard()
        .id()
        .to_owned();
    let get = || client.try_call(Op::Get, json!({ "id": id }), &[]);

    worker.fault_times(
        "GetTask",
        1,
        Fault::retry_after(429, Duration::from_secs(3)),
    );
    let reply = get().await.unwrap();
    assert_eq!(reply.answer.status, 429);
    assert_eq!(reply.answer.header("retry-after"), Some("3"));
    assert_eq!(get().await.unwrap().answer.status, 200, "one call only");

    worker.fault("GetTask", Fault::Rpc(-1, "no".to_owned()));
    assert_eq!(get().await.unwrap().error_code(), Some(-1));
    worker.heal("GetTask");
    for fault in [Fault::Close, Fault::DoAndClose] {
        worker.fault_times("GetTask", 1, fault);
        get().await.unwrap_err();
    }
    worker.fault_times("GetTask", 1, Fault::CloseAfter(5));
    let reply = get().await.unwrap();
    assert_eq!(reply.answer.body.len(), 5);
    assert!(reply.answer.cut.is_some());
    worker.fault_times("GetTask", 1, Fault::Garbage(b"<html>".to_vec()));
    assert_eq!(get().await.unwrap().answer.body, "<html>");
    worker.fault_times("GetTask", 1, Fault::ContentType("text/html".to_owned()));
    let reply = get().await.unwrap();
    assert_eq!(reply.answer.header("content-type"), Some("text/html"));
    assert!(reply.heard().ended);
    worker.fault_times("GetTask", 1, Fault::SplitWrites);
    assert!(get().await.unwrap().heard().ended);
    worker.fault_times("GetTask", 1, Fault::Huge(2));
    let reply = get().await.unwrap();
    assert!(reply.answer.body.len() > 2 << 20 && reply.heard().ended);
}

#[tokio::test]
async fn a_call_that_hangs_is_left_and_the_leaving_is_seen() {
    let (worker, client) = pair(Version::V03, vec![done("ok")]).await;
    for (fault, tasks) in [(Fault::Hang, 0), (Fault::DoAndHang, 1)] {
        worker.fault_times("SendMessage", 1, fault);
        let calls = worker.calls("SendMessage");
        tokio::select! {
            reply = client.send("hi", SendOptions::wait()) => panic!("answered: {reply:?}"),
            () = async {
                worker.wait_calls("SendMessage", calls + 1).await;
                worker.until("the work", || worker.task_ids().len() == tasks).await;
            } => {}
        }
        worker.wait_disconnects("SendMessage", calls + 1).await;
    }
    assert_eq!(
        client.send("hi", SendOptions::wait()).await.heard().state(),
        Some(State::Completed)
    );
}

#[tokio::test]
async fn faults_of_streams_are_seen() {
    let shapes = [
        vec![Fault::Crlf],
        vec![Fault::SplitWrites],
        vec![Fault::MultiLine],
        vec![Fault::Comments],
        vec![Fault::Huge(1)],
        vec![
            Fault::Crlf,
            Fault::SplitWrites,
            Fault::MultiLine,
            Fault::Comments,
        ],
    ];
    let (worker, client) = pair(Version::V1, job()).await;
    worker.release("go");
    for faults in shapes {
        for fault in &faults {
            worker.fault("SendStreamingMessage", fault.clone());
        }
        let mut stream = client.stream("hi").await;
        check_job(stream.complete().await);
        let has = |bytes: &[u8]| {
            stream
                .bytes
                .windows(bytes.len())
                .any(|found| found == bytes)
        };
        for fault in &faults {
            match fault {
                Fault::Crlf => assert!(has(b"\r\n\r\n")),
                Fault::MultiLine => assert!(has(b"data: {\ndata: ") || has(b"data: {\r\ndata: ")),
                Fault::Comments => assert_eq!(stream.comments(), stream.events.len()),
                Fault::Huge(_) => assert!(stream.bytes.len() > 1 << 20),
                _ => {}
            }
        }
        worker.heal("SendStreamingMessage");
    }

    worker.fault_times("SendStreamingMessage", 1, Fault::EndAfter(2));
    let mut stream = client.stream("hi").await;
    assert_eq!(stream.complete().await.events, 2);
    for bytes in [0, 1, 100, 700] {
        worker.fault_times("SendStreamingMessage", 1, Fault::CloseAfter(bytes));
        let mut stream = client.stream("hi").await;
        stream.rest().await;
        assert!(matches!(stream.end, Some(Err(_))), "cut after {bytes}");
        assert_eq!(stream.bytes.len(), bytes);
    }
    worker.fault_times(
        "SendStreamingMessage",
        1,
        Fault::Garbage(b"data: {]\n\n".to_vec()),
    );
    let mut stream = client.stream("hi").await;
    assert_eq!(stream.next().await.unwrap().text, "{]");
    worker.fault_times(
        "SendStreamingMessage",
        1,
        Fault::ContentType("text/plain".to_owned()),
    );
    assert!(
        client
            .try_stream("hi", SendOptions::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_reader_that_leaves_a_stream_is_seen_and_the_job_goes_on() {
    let (worker, client) = pair(Version::V03, job()).await;
    let mut stream = client.stream("hi").await;
    stream.next().await.unwrap();
    let id = stream.heard.id().to_owned();
    drop(stream);
    worker.wait_disconnects("SendStreamingMessage", 1).await;
    worker.wait_open_streams("SendStreamingMessage", 0).await;
    worker.release("go");
    worker.wait_state(&id, State::Completed).await;
}

#[tokio::test]
async fn a_worker_goes_down_and_comes_back_on_its_port() {
    let (worker, client) = pair(Version::V1, job()).await;
    let mut stream = client.stream("hi").await;
    stream.next().await.unwrap();
    let id = stream.heard.id().to_owned();
    worker.down().await;
    stream.rest().await;
    assert!(matches!(stream.end, Some(Err(_))));
    let refused = client.try_call(Op::Get, json!({ "id": id }), &[]).await;
    assert!(refused.unwrap_err().contains("connecting"));
    worker.release("go");
    worker.wait_state(&id, State::Completed).await;
    worker.up();
    check_job(&client.get(&id).await.heard());
    worker.restart(Memory::Kept).await;
    check_job(&client.get(&id).await.heard());
    worker.restart(Memory::Lost).await;
    assert_eq!(
        client.get(&id).await.error_code(),
        Some(code::TASK_NOT_FOUND)
    );
}
