//! Workers that are away: at a send, in the middle of a task, for a while, for ever, or back without their memory.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::answers::kept;
use crate::scene::{Ask, Conf, REQUESTERS, Watcher, check_job, half, in_every_version, only};
use crate::support::client::SendOptions;
use crate::support::protocol::{State, Version};
use crate::support::worker::{Memory, Mode};

#[tokio::test]
async fn a_worker_that_is_down_at_the_send_is_502_and_nothing_is_kept() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let asks = [SendOptions::wait(), SendOptions::at_once()];
    // Once with a card that is known, so that it is the send that fails.
    worker.release("half");
    let mut stream = sidecar.client(Version::V1).stream("go").await;
    check_job(stream.complete().await, "while it is up");
    let before = kept(&sidecar).await.len();
    worker.down().await;
    for requester in REQUESTERS {
        let client = sidecar.client(requester);
        for options in asks.clone() {
            let refused = client.send("go", options).await;
            assert_eq!(refused.answer.status, 502, "{}", refused.answer.text());
            assert_eq!(refused.error_code(), Some(-32603));
            assert!(refused.answer.header("retry-after").is_some());
            assert!(refused.json["id"].is_number());
        }
        let (status, json) = match client.try_stream("go", SendOptions::default()).await {
            Ok(mut stream) => {
                let status = stream.head().status;
                (status, stream.next().await.unwrap().json)
            }
            Err(reply) => (reply.answer.status, reply.json),
        };
        assert_eq!(
            (status.as_u16(), json["error"]["code"].as_i64()),
            (502, Some(-32603))
        );
    }
    assert_eq!(kept(&sidecar).await.len(), before);
    worker.up();
    let mut stream = sidecar.client(Version::V1).stream("go").await;
    check_job(stream.complete().await, "up again");
}

#[tokio::test]
async fn a_worker_that_was_never_up_is_502_and_then_served() {
    let worker = only(Mode::Stream, Version::V03).start().await;
    worker.release("half");
    worker.down().await;
    let sidecar = Conf::before(&worker.url).builder().start().await;
    for requester in REQUESTERS {
        let refused = sidecar
            .client(requester)
            .send("go", SendOptions::wait())
            .await;
        assert_eq!(refused.answer.status, 502);
        assert_eq!(refused.error_code(), Some(-32603));
    }
    assert_eq!(kept(&sidecar).await, Vec::<Value>::new());
    worker.up();
    let client = sidecar.client(Version::V1);
    let served = crate::support::within("a worker that is up to be served", String::new, async {
        let mut tries = tokio::time::interval(Duration::from_millis(20));
        loop {
            tries.tick().await;
            let reply = client.send("go", SendOptions::wait()).await;
            if reply.answer.status == 200 {
                return reply.heard();
            }
        }
    })
    .await;
    check_job(&served, "a worker that came late");
}

#[tokio::test]
async fn a_worker_that_goes_away_and_comes_back_goes_on_where_it_was() {
    let runs = in_every_version(&[Mode::Poll, Mode::Stream, Mode::Push])
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version)
                // Every SDK's server can be asked.
                .get_task(true)
                .start()
                .await;
            let sidecar = Conf::before(&worker.url)
                .text("poll.slow", "100ms")
                .start()
                .await;
            let mut watchers = join_all(REQUESTERS.map(async |requester| {
                Watcher::send(Ask::Stream, sidecar.client(requester), "go").await
            }))
            .await;
            let mut blocking =
                Watcher::send(Ask::Blocking, sidecar.client(Version::V1), "go").await;
            worker.wait_at_with("half", 3).await;
            for watcher in &mut watchers {
                watcher.until(half).await;
            }
            worker.down().await;
            // It does the rest while nobody can see it.
            worker.release("half");
            for id in worker.task_ids() {
                worker.wait_state(&id, State::Completed).await;
            }
            worker.up();
            watchers.push({
                let who = format!("{version:?} {mode:?}");
                // A blocking call over the worker's own blocking answer is gone with it; over any other way it is not.
                check_job(&blocking.end().await, &who);
                blocking
            });
            for watcher in &mut watchers {
                let who = format!("{:?} of {version:?} {mode:?}", watcher.ask);
                check_job(&watcher.end().await, &who);
            }
        });
    join_all(runs).await;
}

#[tokio::test]
async fn a_worker_that_restarts_with_its_memory_goes_on() {
    let runs = in_every_version(&[Mode::Poll, Mode::Stream])
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version).get_task(true).start().await;
            let sidecar = Conf::before(&worker.url).start().await;
            let mut stream = sidecar.client(Version::V1).stream("go").await;
            stream.until(half).await;
            worker.restart(Memory::Kept).await;
            worker.release("half");
            check_job(stream.complete().await, &format!("{version:?} {mode:?}"));
        });
    join_all(runs).await;
}

#[tokio::test]
async fn a_worker_that_restarts_without_its_memory_ends_the_task_as_failed() {
    let runs = in_every_version(&[Mode::Poll, Mode::Stream])
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version).get_task(true).start().await;
            let sidecar = Conf::before(&worker.url).start().await;
            let mut stream = sidecar.client(Version::V1).stream("go").await;
            stream.until(half).await;
            worker.restart(Memory::Lost).await;
            let heard = stream.complete().await;
            let who = format!("{version:?} {mode:?}");
            assert_eq!(heard.state(), Some(State::Failed), "{who}");
            assert_eq!(heard.endings, 1, "{who}");
            let said = heard.messages.last().cloned().unwrap_or_default();
            assert!(said.contains("no longer knows"), "{who}: {said}");
            // What was heard before is still there.
            assert_eq!(heard.artifact("report"), Some("one "), "{who}");
        });
    join_all(runs).await;
}

#[tokio::test]
async fn a_worker_that_does_not_come_back_is_given_up_and_the_task_says_so() {
    let runs = [Mode::Poll, Mode::Stream].map(async |mode| {
        let worker = only(mode, Version::V1).get_task(true).start().await;
        let sidecar = Conf::before(&worker.url)
            .text("give_up_after", "1s")
            .start()
            .await;
        let mut streams = join_all(REQUESTERS.map(async |requester| {
            let mut stream = sidecar.client(requester).stream("go").await;
            stream.until(half).await;
            stream
        }))
        .await;
        let down_at = tokio::time::Instant::now();
        worker.down().await;
        for stream in &mut streams {
            let heard = stream.complete().await;
            assert_eq!(heard.state(), Some(State::Failed), "{mode:?}");
            assert_eq!(heard.endings, 1);
            let said = heard.messages.last().cloned().unwrap_or_default();
            assert!(said.contains("has not answered"), "{mode:?}: {said}");
            assert!(
                !said.contains("127.0.0.1"),
                "no addresses for requesters: {said}"
            );
            assert!(
                down_at.elapsed() >= Duration::from_millis(900),
                "not before its time"
            );
        }
        // It is over, whatever the worker says when it is back.
        worker.up();
        worker.release("half");
        let id = streams[0].heard.id().to_owned();
        worker.wait_state(&id, State::Completed).await;
        let after = sidecar.client(Version::V1).get(&id).await.heard();
        assert_eq!(after.states, [State::Failed]);
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_blocking_worker_that_breaks_off_ends_the_announced_task_as_failed() {
    for version in Version::ALL {
        let worker = only(Mode::Blocking, version).start().await;
        let sidecar = Conf::before(&worker.url)
            .text("announce_after", "100ms")
            .start()
            .await;
        let client = sidecar.client(Version::V1);
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        let mut stream = client.subscribe(sent.id()).await;
        worker.wait_at("half").await;
        worker.down().await;
        let heard = stream.complete().await;
        assert_eq!(heard.outcome().0, Some(State::Failed));
        assert!(heard.messages[0].contains("worker"), "{:?}", heard.messages);
        assert_eq!(worker.calls("SendMessage"), 1, "sent once");
    }
}
