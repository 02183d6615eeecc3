//! What goes wrong at the worker: streams that break at any byte, wrong answers, restarts, lost and doubled webhooks.
//! The requester hears the whole job once, or is told in its own dialect what happened.

pub mod answers;
mod gone;

use std::time::Duration;

use futures_util::future::join_all;

use crate::scene::{Conf, REQUESTERS, check_job, half, job, only, steps};
use crate::support::client::{Client, SendOptions};
use crate::support::heard::Heard;
use crate::support::protocol::{State, Version};
use crate::support::proxy::{Sidecar, Store};
use crate::support::worker::{
    Fault, Mode, PushFault, Step, Worker, artifact, done, unsaid, wait, working,
};

/// How many lanes take their share of the bytes at once: enough to keep two cores busy.
const LANES: usize = 16;

/// Ids have counters in them: a later frame may be this many bytes longer than the first of its kind.
const ID_SLACK: usize = 24;

fn short_job() -> Vec<Step> {
    vec![
        working("one"),
        artifact("a", "x"),
        wait("held"),
        done("end"),
    ]
}

#[track_caller]
fn check_short(heard: &Heard, who: &str) {
    assert_eq!(
        heard.outcome(),
        (Some(State::Completed), Some("end")),
        "{who}"
    );
    assert_eq!(heard.messages, ["one", "end"], "{who}");
    assert_eq!(heard.artifacts, [("a".to_owned(), "x".to_owned())], "{who}");
    assert_eq!(
        heard.states,
        [State::Submitted, State::Working, State::Completed],
        "{who}"
    );
}

/// The bytes of the worker's first frame, and of its whole stream.
async fn stream_length(worker: &Worker) -> (usize, usize) {
    let mut stream = Client::new(&worker.url, worker.version).stream("go").await;
    stream.next().await;
    let first = stream.bytes.len();
    worker.release("held");
    stream.complete().await;
    worker.shut("held");
    (first, stream.bytes.len())
}

/// The worker's stream breaks after each number of bytes in turn.
async fn every_byte(version: Version, requester: Version) {
    let workers = join_all((0..LANES).map(|_| {
        Worker::builder()
            .version(version)
            .modes(&[Mode::Stream, Mode::Poll])
            .script(short_job())
            .start()
    }))
    .await;
    let lanes: Vec<String> = (workers.iter().enumerate())
        .map(|(lane, worker)| {
            Conf::before(&worker.url)
                .text("match.path", &format!("/{lane}"))
                .route()
        })
        .collect();
    let sidecar = Sidecar::builder()
        .config(&lanes.join("\n"))
        .store(Store::Memory)
        .start()
        .await;
    let (first, length) = stream_length(&workers[0]).await;
    let length = length + ID_SLACK;
    let runs = workers.iter().enumerate().map(async |(lane, worker)| {
        let client = Client::new(format!("{}{lane}", sidecar.url), requester);
        for bytes in (lane..length).step_by(LANES) {
            let who = format!("{requester:?} of {version:?}, cut after {bytes} of {length} bytes");
            worker.shut("held");
            worker.fault_times("SendStreamingMessage", 1, Fault::CloseAfter(bytes));
            let tasks = worker.task_ids().len();
            let refused = match client.try_stream("go", SendOptions::default()).await {
                Ok(mut stream) => {
                    let first = stream.next().await.expect("an event");
                    if first.error_code().is_none() {
                        stream.until(|heard| heard.artifact("a").is_some()).await;
                        worker.release("held");
                        check_short(stream.complete().await, &who);
                    }
                    first.error_code()
                }
                Err(reply) => reply.error_code(),
            };
            // What nobody was told of may have been done, and is not done again: only then is there an error.
            if bytes < first || bytes >= first + ID_SLACK {
                assert_eq!(refused.is_some(), bytes < first, "{who}: {refused:?}");
            }
            assert_eq!(worker.task_ids().len(), tasks + 1, "{who}: sent once");
            worker.heal_all();
        }
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_stream_of_1_0_that_breaks_at_any_byte_loses_and_repeats_nothing() {
    every_byte(Version::V1, Version::V03).await;
}

#[tokio::test]
async fn a_stream_of_0_3_that_breaks_at_any_byte_loses_and_repeats_nothing() {
    every_byte(Version::V03, Version::V1).await;
}

#[tokio::test]
async fn a_stream_that_ends_in_good_order_before_the_task_goes_on() {
    let runs = Version::ALL.map(async |version| {
        for mode in [&[Mode::Stream][..], &[Mode::Stream, Mode::Poll]] {
            for events in 1..4 {
                let worker = Worker::builder()
                    .version(version)
                    .modes(mode)
                    .get_task(true)
                    .script(job())
                    .start()
                    .await;
                worker.fault_times("SendStreamingMessage", 1, Fault::EndAfter(events));
                let sidecar = Conf::before(&worker.url).start().await;
                let mut stream = sidecar.client(Version::V1).stream("go").await;
                stream.until(half).await;
                worker.release("half");
                let who = format!("{version:?} ended after {events}");
                check_job(stream.complete().await, &who);
                assert_eq!(worker.task_ids().len(), 1, "{who}");
            }
        }
    });
    join_all(runs).await;
}

#[tokio::test]
async fn streams_may_be_framed_as_the_format_allows() {
    let shapes: [&[Fault]; 7] = [
        &[Fault::Crlf],
        &[Fault::SplitWrites],
        &[Fault::MultiLine],
        &[Fault::Comments],
        &[
            Fault::Crlf,
            Fault::SplitWrites,
            Fault::MultiLine,
            Fault::Comments,
        ],
        &[Fault::Huge(2)],
        &[Fault::ContentType(
            "Text/Event-Stream; charset=utf-8".to_owned(),
        )],
    ];
    let runs = shapes.map(async |shape| {
        for version in Version::ALL {
            let worker = only(Mode::Stream, version).start().await;
            for fault in shape {
                worker.fault("SendStreamingMessage", fault.clone());
            }
            worker.release("half");
            let sidecar = Conf::before(&worker.url).start().await;
            for requester in REQUESTERS {
                let mut stream = sidecar.client(requester).stream("go").await;
                let who = format!("{requester:?} of {version:?} {shape:?}");
                check_job(stream.complete().await, &who);
            }
            assert_eq!(worker.calls("SubscribeToTask"), 0, "nothing broke");
        }
    });
    join_all(runs).await;
}

#[tokio::test]
async fn what_a_worker_pushes_is_told_once_in_order_however_it_arrives() {
    let faults = [PushFault::Twice, PushFault::Swapped, PushFault::Lost];
    let cases = faults
        .into_iter()
        .flat_map(|fault| Version::ALL.map(|version| (fault, version)));
    let runs = cases.map(async |(fault, version)| {
        let worker = only(Mode::Push, version).start().await;
        worker.push_fault(fault);
        // What is lost is found by the slow poll.
        let slow = if fault == PushFault::Lost {
            "50ms"
        } else {
            "30s"
        };
        let sidecar = Conf::before(&worker.url)
            .text("poll.slow", slow)
            .start()
            .await;
        for requester in REQUESTERS {
            worker.shut("half");
            let mut stream = sidecar.client(requester).stream("go").await;
            // A worker that swaps holds one back until the next: the end brings what is missing.
            if fault != PushFault::Swapped {
                stream.until(half).await;
            } else {
                worker.wait_at("half").await;
            }
            worker.release("half");
            let who = format!("{requester:?} of {version:?} {fault:?}");
            let heard = stream.complete().await;
            check_job(heard, &who);
            let told = [State::Submitted, State::Working, State::Completed];
            assert_eq!(steps(heard), told, "{who}");
        }
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_frame_that_is_larger_than_allowed_is_refused_and_not_kept_in_memory() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .text("stream.max_event_bytes", "64KiB")
        .start()
        .await;
    worker.fault_times("SendStreamingMessage", 1, Fault::Huge(1));
    let refused = sidecar
        .client(Version::V1)
        .try_stream("go", SendOptions::default())
        .await
        .map(|stream| stream.story().len())
        .unwrap_err();
    assert!(refused.error_code().is_some(), "{}", refused.answer.text());
    // The next one, of the usual size, is as good as ever.
    worker.release("half");
    let mut stream = sidecar.client(Version::V1).stream("go").await;
    check_job(stream.complete().await, "after a frame too large");
}

#[tokio::test]
async fn polls_that_fail_are_asked_again_and_the_watcher_notices_nothing() {
    let faults = [
        Fault::status(500),
        Fault::status(502),
        Fault::retry_after(503, Duration::from_secs(1)),
        Fault::Rpc(-32603, "internal".to_owned()),
        Fault::Garbage(b"<html>busy</html>".to_vec()),
        Fault::Garbage(Vec::new()),
        Fault::Close,
        Fault::CloseAfter(20),
        Fault::Hang,
    ];
    let runs = faults.map(async |fault| {
        let worker = only(Mode::Poll, Version::V1).start().await;
        let sidecar = Conf::before(&worker.url)
            .text("call_timeout", "1s")
            .start()
            .await;
        let mut stream = sidecar.client(Version::V1).stream("go").await;
        stream.until(half).await;
        let before = worker.calls("GetTask");
        worker.fault_times("GetTask", 3, fault.clone());
        worker.release("half");
        check_job(stream.complete().await, &format!("{fault:?}"));
        assert!(worker.calls("GetTask") >= before + 3, "{fault:?} was met");
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_worker_that_asks_for_time_is_given_it() {
    for status in [429, 503] {
        let worker = only(Mode::Poll, Version::V03).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        let mut stream = sidecar.client(Version::V1).stream("go").await;
        stream.until(half).await;
        let before = worker.calls("GetTask");
        worker.fault_times(
            "GetTask",
            1,
            Fault::retry_after(status, Duration::from_secs(2)),
        );
        worker.wait_calls("GetTask", before + 1).await;
        worker.release("half");
        check_job(stream.complete().await, "after a while");
        let asked = worker.requests_of("GetTask");
        // The call that met the fault is the first of those that came after it was set; calls under way when it was
        // set cannot have met it.
        let gaps: Vec<_> = asked[before.saturating_sub(1)..]
            .windows(2)
            .map(|pair| pair[1].at - pair[0].at)
            .collect();
        let longest = gaps.iter().max().copied().unwrap_or_default();
        assert!(longest >= Duration::from_millis(1990), "{status}: {gaps:?}");
    }
}

#[tokio::test]
async fn a_broken_subscription_is_replaced_by_polls() {
    for version in Version::ALL {
        let worker = Worker::builder()
            .version(version)
            .script(job())
            .start()
            .await;
        let sidecar = Conf::before(&worker.url).start().await;
        worker.fault_times("SendStreamingMessage", 1, Fault::EndAfter(2));
        worker.fault("SubscribeToTask", Fault::status(500));
        let mut stream = sidecar.client(Version::V1).stream("go").await;
        stream.until(half).await;
        worker.release("half");
        check_job(stream.complete().await, &format!("{version:?}"));
        assert!(worker.calls("GetTask") > 0);
    }
}

#[tokio::test]
async fn what_a_stream_does_not_carry_is_read_before_the_end_is_told() {
    let runs = Version::ALL.map(async |version| {
        let worker = Worker::builder()
            .version(version)
            .modes(&[Mode::Stream, Mode::Poll])
            .script([
                working("one"),
                unsaid(artifact("a", "x")),
                unsaid(working("two")),
                done("end"),
            ])
            .start()
            .await;
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            let mut stream = sidecar.client(requester).stream("go").await;
            let heard = stream.complete().await;
            let who = format!("{requester:?} of {version:?}");
            assert_eq!(
                heard.outcome(),
                (Some(State::Completed), Some("end")),
                "{who}"
            );
            assert_eq!(heard.messages, ["one", "two", "end"], "{who}");
            assert_eq!(heard.artifact("a"), Some("x"), "{who}");
            assert_eq!(heard.endings, 1, "{who}");
            // The end is the last word.
            let last = stream.events.last().unwrap();
            assert!(Heard::of(last.result()).ended, "{who}: {}", last.text);
        }
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_stream_that_is_open_and_dead_does_not_hide_the_end() {
    let runs = Version::ALL.map(async |version| {
        let worker = Worker::builder()
            .version(version)
            .modes(&[Mode::Stream, Mode::Poll])
            .script([
                working("one"),
                wait("held"),
                unsaid(artifact("a", "x")),
                unsaid(done("end")),
            ])
            .start()
            .await;
        let sidecar = Conf::before(&worker.url)
            .text("poll.slow", "100ms")
            .start()
            .await;
        let mut stream = sidecar.client(Version::V1).stream("go").await;
        stream.until(|heard| heard.messages == ["one"]).await;
        worker.release("held");
        check_short(stream.complete().await, &format!("{version:?}"));
    });
    join_all(runs).await;
}
