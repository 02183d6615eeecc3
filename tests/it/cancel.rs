//! Cancel: only a requester's cancel cancels, the first end holds, and a worker that hangs or lies changes neither.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::scene::{Ask, Conf, REQUESTERS, Watcher, check_job, half, in_every_version, only};
use crate::support::client::SendOptions;
use crate::support::protocol::{State, Version, code};
use crate::support::worker::{Cancel, Fault, Mode, ask, done, wait};

#[tokio::test]
async fn a_cancel_reaches_the_worker_and_everybody_who_watches() {
    let pairs = in_every_version(&[Mode::Poll, Mode::Stream, Mode::Push])
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version).start().await;
            let sidecar = Conf::before(&worker.url).start().await;
            for requester in REQUESTERS {
                let who = format!("{requester:?} of {version:?} {mode:?}");
                let client = sidecar.client(requester);
                let mut stream = client.stream("go").await;
                stream.until(half).await;
                let id = stream.heard.id().to_owned();
                let canceled = client.cancel(&id).await.heard();
                assert_eq!(canceled.state(), Some(State::Canceled), "{who}");
                assert_eq!(
                    stream.complete().await.state(),
                    Some(State::Canceled),
                    "{who}"
                );
                assert_eq!(worker.state(&id), Some(State::Canceled), "{who}");
                let again = client.cancel(&id).await;
                assert_eq!(again.error_code(), Some(code::TASK_NOT_CANCELABLE), "{who}");
            }
        });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_task_that_the_worker_has_not_named_is_canceled_here_and_stays_so() {
    for version in Version::ALL {
        let worker = only(Mode::Blocking, version).start().await;
        let sidecar = Conf::before(&worker.url)
            .text("announce_after", "100ms")
            .start()
            .await;
        let client = sidecar.client(Version::V1);
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        let mut stream = client.subscribe(sent.id()).await;
        let canceled = client.cancel(sent.id()).await.heard();
        assert_eq!(canceled.state(), Some(State::Canceled));
        assert_eq!(stream.complete().await.state(), Some(State::Canceled));
        worker.wait_at("half").await;
        worker.release("half");
        let id = worker.only_task();
        worker.wait_state(&id, State::Completed).await;
        assert_eq!(
            client.get(sent.id()).await.heard().state(),
            Some(State::Canceled)
        );
        assert_eq!(
            worker.calls("SendMessage"),
            1,
            "{version:?}: the send goes on to its end"
        );
        assert_eq!(worker.disconnects("SendMessage"), 0, "{version:?}");
        assert_eq!(worker.calls("CancelTask"), 0, "{version:?}: it is over");
    }
}

#[tokio::test]
async fn a_worker_that_names_a_canceled_task_is_told_then() {
    for version in Version::ALL {
        let worker = only(Mode::Blocking, version)
            .script(vec![wait("half"), ask("which?"), done("never")])
            .start()
            .await;
        let sidecar = Conf::before(&worker.url)
            .text("announce_after", "100ms")
            .start()
            .await;
        let client = sidecar
            .client(Version::V1)
            .with_header("authorization", "Bearer mine");
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        worker.wait_at("half").await;
        let canceled = client.cancel(sent.id()).await.heard();
        assert_eq!(canceled.state(), Some(State::Canceled));
        assert_eq!(worker.calls("CancelTask"), 0, "{version:?}");
        // Its answer to the send is the first that it says of the task.
        worker.release("half");
        worker.wait_calls("CancelTask", 1).await;
        assert_eq!(worker.headers("CancelTask")["authorization"], "Bearer mine");
        let id = worker.only_task();
        worker.wait_state(&id, State::Canceled).await;
        assert_eq!(worker.disconnects("SendMessage"), 0, "{version:?}");
        let after = client.get(sent.id()).await.heard();
        assert_eq!(after.states, [State::Canceled], "{version:?}");
        assert_eq!(worker.calls("CancelTask"), 1, "{version:?}");
    }
}

#[tokio::test]
async fn a_worker_that_hangs_in_cancel_does_not_hold_the_requester() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    worker.fault("CancelTask", Fault::Hang);
    let mut stream = client.stream("go").await;
    stream.until(half).await;
    let id = stream.heard.id().to_owned();
    let canceled = client.cancel(&id).await;
    assert_eq!(canceled.heard().state(), Some(State::Canceled));
    let took = canceled.answer.done_at - canceled.answer.sent_at;
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(worker.calls("CancelTask"), 1, "the worker was told");
    assert_eq!(stream.complete().await.state(), Some(State::Canceled));
    // What the worker does now revives nothing.
    worker.release("half");
    worker.wait_state(&id, State::Completed).await;
    worker.wait_open_streams("SendStreamingMessage", 0).await;
    assert_eq!(client.get(&id).await.heard().states, [State::Canceled]);
    assert_eq!(
        worker.disconnects("SendStreamingMessage"),
        0,
        "the stream was read to its end"
    );
}

#[tokio::test]
async fn a_worker_that_lies_about_a_cancel_is_held_to_it() {
    for mode in [Mode::Poll, Mode::Stream] {
        let worker = only(mode, Version::V03).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        let client = sidecar.client(Version::V1);
        worker.on_cancel(Cancel::Lies);
        let mut stream = client.stream("go").await;
        stream.until(half).await;
        let id = stream.heard.id().to_owned();
        assert_eq!(
            client.cancel(&id).await.heard().state(),
            Some(State::Canceled)
        );
        assert_eq!(stream.complete().await.state(), Some(State::Canceled));
        worker.release("half");
        worker.wait_state(&id, State::Completed).await;
        let after = client.get(&id).await.heard();
        assert_eq!(after.states, [State::Canceled], "{mode:?}");
        assert_eq!(stream.heard.endings, 1);
    }
}

#[tokio::test]
async fn a_refused_cancel_is_told_and_the_task_goes_on() {
    let worker = only(Mode::Stream, Version::V03).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    worker.on_cancel(Cancel::Refuses);
    for requester in REQUESTERS {
        worker.shut("half");
        let client = sidecar.client(requester);
        let mut watcher = Watcher::send(Ask::Stream, sidecar.client(requester), "go").await;
        watcher.until(half).await;
        let refused = client.cancel(watcher.heard().id()).await;
        assert_eq!(refused.error_code(), Some(code::TASK_NOT_CANCELABLE));
        worker.release("half");
        check_job(&watcher.end().await, "after a refused cancel");
    }
}

#[tokio::test]
async fn a_finished_task_stays_finished_whatever_the_worker_would_say() {
    let pairs = in_every_version(&Mode::ALL)
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version).start().await;
            worker.release("half");
            worker.on_cancel(Cancel::Lies);
            let sidecar = Conf::before(&worker.url).start().await;
            for requester in REQUESTERS {
                let who = format!("{requester:?} of {version:?} {mode:?}");
                let client = sidecar.client(requester);
                let done = client.send("go", SendOptions::wait()).await.heard();
                check_job(&done, &who);
                let late = client.cancel(done.id()).await;
                assert_eq!(late.error_code(), Some(code::TASK_NOT_CANCELABLE), "{who}");
                check_job(&client.get(done.id()).await.heard(), &who);
                // Nor can it be sent more.
                let more = client
                    .send("more", SendOptions::wait().on_task(done.id()))
                    .await;
                assert!(more.error_code().is_some(), "{who}: {}", more.answer.text());
            }
            assert_eq!(worker.calls("CancelTask"), 0);
        });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_task_that_nobody_knows_cannot_be_canceled() {
    for version in Version::ALL {
        let worker = only(Mode::Poll, version).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            let unknown = sidecar.client(requester).cancel("none").await;
            assert_eq!(
                unknown.error_code(),
                Some(code::TASK_NOT_FOUND),
                "{requester:?} of {version:?}"
            );
            assert_eq!(unknown.json["jsonrpc"], json!("2.0"));
        }
    }
}
