//! Silence is filled: spaces before the JSON of a slow answer, comments in a silent stream.

use std::time::Duration;

use crate::scene::{Conf, REQUESTERS, check_job, half, only};
use crate::support::client::SendOptions;
use crate::support::protocol::Version;
use crate::support::worker::{Fault, Mode};

#[tokio::test]
async fn a_slow_blocking_answer_begins_with_spaces_in_time() {
    let worker = only(Mode::Blocking, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .text("keep_alive", "200ms")
        .start()
        .await;
    for requester in REQUESTERS {
        worker.shut("half");
        let client = sidecar.client(requester);
        let mut opened = client.send_open("go", SendOptions::wait()).await;
        assert_eq!(opened.status, 200);
        let sent_at = opened.sent_at;
        let mut spaces = Vec::new();
        for _ in 0..3 {
            spaces.push(opened.chunk().await.unwrap().unwrap());
        }
        // They came while the worker was still at it.
        assert_eq!(
            worker.state(worker.task_ids().last().unwrap()),
            Some(crate::support::protocol::State::Working)
        );
        assert!(
            spaces
                .iter()
                .all(|piece| piece.iter().all(|byte| *byte == b' ')),
            "{spaces:?}"
        );
        assert!(
            sent_at.elapsed() >= Duration::from_millis(400),
            "one at a time"
        );
        worker.release("half");
        let reply = client.finish(opened).await;
        check_job(&reply.heard(), "behind the spaces");
        assert!(reply.answer.cut.is_none());
    }
}

#[tokio::test]
async fn a_quick_answer_has_no_space_before_it() {
    let worker = only(Mode::Blocking, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).start().await;
    let reply = sidecar
        .client(Version::V1)
        .send("go", SendOptions::wait())
        .await;
    assert_eq!(reply.leading_spaces, 0);
    check_job(&reply.heard(), "a quick answer");
}

#[tokio::test]
async fn the_first_space_comes_before_impatient_clients_give_up() {
    // The default, as it is shipped: the Python clients give up after 5 s without a byte.
    let worker = only(Mode::Blocking, Version::V03).start().await;
    let sidecar = crate::support::proxy::Sidecar::before(&worker.url).await;
    let client = sidecar.client(Version::V03);
    let mut opened = client.send_open("go", SendOptions::wait()).await;
    let first = opened.chunk().await.unwrap().unwrap();
    let took = opened.sent_at.elapsed();
    assert_eq!(&first[..], b" ");
    assert!(took < Duration::from_millis(4900), "{took:?}");
    worker.release("half");
    check_job(&client.finish(opened).await.heard(), "the default");
}

#[tokio::test]
async fn an_error_behind_spaces_is_an_error_in_json() {
    let worker = only(Mode::Blocking, Version::V1).start().await;
    worker.fault("SendMessage", Fault::Hang);
    let sidecar = Conf::before(&worker.url)
        .text("keep_alive", "200ms")
        .text("answer_timeout", "1s")
        .start()
        .await;
    for requester in REQUESTERS {
        let reply = sidecar
            .client(requester)
            .send("go", SendOptions::wait())
            .await;
        assert!(reply.leading_spaces >= 2, "{}", reply.leading_spaces);
        assert_eq!(reply.error_code(), Some(-32603), "{}", reply.answer.text());
        assert_eq!(reply.answer.status, 200, "the head was out");
        assert!(reply.json["id"].is_number());
    }
}

#[tokio::test]
async fn a_silent_stream_carries_comments_and_nothing_else() {
    for mode in [Mode::Stream, Mode::Poll] {
        let worker = only(mode, Version::V1).start().await;
        let sidecar = Conf::before(&worker.url)
            .text("keep_alive", "100ms")
            .start()
            .await;
        for requester in REQUESTERS {
            worker.shut("half");
            let mut stream = sidecar.client(requester).stream("go").await;
            stream.until(half).await;
            let events = stream.events.len();
            let comments = stream.comments();
            stream.until_comments(comments + 3).await;
            assert_eq!(stream.events.len(), events, "comments are no events");
            worker.release("half");
            check_job(stream.complete().await, "between comments");
        }
    }
}

#[tokio::test]
async fn no_header_invites_a_middlebox_to_hold_a_stream_back() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let stream = sidecar.client(Version::V1).stream("go").await;
    let head = stream.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("content-length"), None);
}
