//! What bounds a call over gRPC: the time that it allows itself, and the room that the sidecar has.

use prost::Message as _;

use super::{by_id, go, state, v1};
use crate::faults::answers::kept;
use crate::scene::{Conf, only};
use crate::support::grpc::{Answer, COMPLETED, V1, call_raw, framed, open, pb};
use crate::support::protocol::Version;
use crate::support::proxy::Sidecar;
use crate::support::within;
use crate::support::worker::Mode;

const DEADLINE_EXCEEDED: u32 = 4;
const UNAVAILABLE: u32 = 14;

/// A send that waits so long.
async fn within_time(sidecar: &Sidecar, method: &str, time: &str) -> Answer {
    let body = framed(&go(false).encode_to_vec());
    let path = format!("{V1}{method}");
    call_raw(&sidecar.url, &path, body, &[("grpc-timeout", time)]).await
}

/// The one task that the sidecar keeps, at its end.
async fn ended(sidecar: &Sidecar) -> pb::Task {
    within("the end of the task", String::new, async {
        loop {
            if let [task] = kept(sidecar).await.as_slice() {
                let id = task["id"].as_str().unwrap();
                let task: pb::Task = v1(sidecar, "GetTask", &by_id(id)).await.one();
                if state(&task) == COMPLETED {
                    return task;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_send_that_waits_longer_than_it_may_is_told_so_and_its_task_goes_on() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let late = within_time(&sidecar, "SendMessage", "300m").await;
    assert_eq!(late.http, 200);
    assert_eq!(late.status(), DEADLINE_EXCEEDED, "{late:?}");
    assert_eq!(late.headers["x-a2a-sidecar-error"], "deadline");
    worker.release("half");
    ended(&sidecar).await;
    assert_eq!(worker.disconnects("SendMessage"), 0);
}

#[tokio::test]
async fn a_stream_that_is_longer_than_it_may_be_ends_behind_what_has_come() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let late = within_time(&sidecar, "SendStreamingMessage", "1500m").await;
    assert!(late.trailers.is_some(), "{late:?}");
    assert_eq!(late.status(), DEADLINE_EXCEEDED, "{late:?}");
    let heard = late.all::<pb::Event>();
    assert!(heard[0].task.is_some(), "{heard:?}");
    worker.release("half");
    ended(&sidecar).await;
    assert_eq!(worker.disconnects("SendStreamingMessage"), 0);
}

#[tokio::test]
async fn who_allows_enough_time_is_answered_as_ever() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).start().await;
    // The longest that can be said, and what says nothing.
    for time in ["99999999H", "30S", "soon"] {
        let sent = within_time(&sidecar, "SendMessage", time).await;
        let task = sent.one::<pb::Event>().task.unwrap();
        assert_eq!(state(&task), COMPLETED, "{time}");
    }
}

#[tokio::test]
async fn a_call_for_which_there_is_no_room_is_refused_in_words_of_grpc() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .head("[server]\nmax_in_flight = 1")
        .start()
        .await;
    let path = format!("{V1}SendStreamingMessage");
    let mut streaming = open(&sidecar.url, &path, &go(false)).await;
    let refused = v1(&sidecar, "SendMessage", &go(false)).await;
    assert_eq!(refused.http, 200, "{refused:?}");
    assert_eq!(refused.status(), UNAVAILABLE, "{refused:?}");
    assert!(refused.text().contains("too many requests"), "{refused:?}");
    assert_eq!(refused.headers["content-type"], "application/grpc");
    worker.release("half");
    while streaming.next::<pb::Event>().await.is_some() {}
}
