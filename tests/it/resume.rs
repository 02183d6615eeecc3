//! Streams that are left and taken up again, and many readers of one task: nothing is missed, nothing is told twice,
//! and nobody's reading costs or stops anybody else.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::scene::{Conf, REQUESTERS, check_job, half, job, only, steps};
use crate::support::client::SendOptions;
use crate::support::events::Event;
use crate::support::heard::Heard;
use crate::support::protocol::{State, Version};
use crate::support::worker::{Mode, Step, chunk, done, wait, working};

/// Events without the id of the call that they answer.
fn told(events: &[Event]) -> Vec<(Option<String>, Value)> {
    events
        .iter()
        .map(|event| (event.id.clone(), event.result().clone()))
        .collect()
}

#[tokio::test]
async fn a_stream_resumes_from_each_of_its_events_and_brings_the_rest() {
    for mode in [Mode::Stream, Mode::Poll, Mode::Push] {
        let worker = only(mode, Version::V1).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            worker.shut("half");
            let client = sidecar.client(requester);
            let mut stream = client.stream("go").await;
            stream.until(half).await;
            let id = stream.heard.id().to_owned();
            // One reader from each event so far, while the task is under way.
            let begun: Vec<String> = stream
                .events
                .iter()
                .filter_map(|event| event.id.clone())
                .collect();
            assert_eq!(begun.len(), stream.events.len(), "every event has an id");
            let mut early = join_all(begun.iter().map(|last| client.resume(&id, last))).await;
            worker.release("half");
            check_job(stream.complete().await, "the stream");
            let all = told(&stream.events);
            for (at, resumed) in early.iter_mut().enumerate() {
                resumed.complete().await;
                assert_eq!(
                    told(&resumed.events),
                    all[at + 1..],
                    "{requester:?} {mode:?} after {at}"
                );
            }
            // And one from each but the last, when all is over.
            for at in 0..all.len() - 1 {
                let last = all[at].0.clone().unwrap();
                let mut resumed = client.resume(&id, &last).await;
                resumed.complete().await;
                assert_eq!(
                    told(&resumed.events),
                    all[at + 1..],
                    "{requester:?} {mode:?} after {at}"
                );
            }
        }
    }
}

#[tokio::test]
async fn event_numbers_count_from_one_without_gaps() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).start().await;
    let mut stream = sidecar.client(Version::V1).stream("go").await;
    stream.complete().await;
    let numbers: Vec<(String, u64)> = stream
        .events
        .iter()
        .map(|event| {
            let id = event.id.as_deref().unwrap();
            let (epoch, number) = id.split_once('.').unwrap();
            (epoch.to_owned(), number.parse().unwrap())
        })
        .collect();
    let expected: Vec<_> = (1..=numbers.len() as u64)
        .map(|number| (numbers[0].0.clone(), number))
        .collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn a_stream_that_has_lived_its_time_ends_cleanly_and_its_successor_misses_nothing() {
    join_all(REQUESTERS.map(many_lives)).await;
}

async fn many_lives(requester: Version) {
    let words = ["one", "two", "three"];
    let mut script: Vec<Step> = Vec::new();
    for word in words {
        script.extend([wait(word), working(word)]);
    }
    script.push(done("end"));
    let worker = only(Mode::Stream, Version::V1).script(script).start().await;
    let sidecar = Conf::before(&worker.url)
        .text("stream.max_life", "1s")
        .start()
        .await;
    let client = sidecar.client(requester);
    let mut stream = client.stream("go").await;
    let mut heard = Heard::default();
    let mut ids = Vec::new();
    let mut gates = words.iter();
    while !heard.ended {
        // It ends by itself, in good order, while nothing happens.
        stream.complete().await;
        for event in &stream.events {
            heard.feed(event.result());
            ids.push(event.id.clone().unwrap());
        }
        if !heard.ended {
            // Something happens while nobody listens.
            if let Some(gate) = gates.next() {
                worker.release(gate);
            }
            stream = client.resume(heard.id(), ids.last().unwrap()).await;
        }
    }
    assert_eq!(
        heard.messages,
        ["one", "two", "three", "end"],
        "{requester:?}"
    );
    let mut states = vec![State::Submitted];
    states.extend([State::Working; 3]);
    states.push(State::Completed);
    assert_eq!(heard.states, states, "each status once");
    let mut unique = ids.clone();
    unique.dedup();
    assert_eq!(unique, ids, "no event came twice");
    assert_eq!(worker.disconnects("SendStreamingMessage"), 0);
}

#[tokio::test]
async fn a_subscription_begins_with_the_task_as_it_stands() {
    for mode in [Mode::Poll, Mode::Stream, Mode::Push] {
        let worker = only(mode, Version::V03).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            worker.shut("half");
            let client = sidecar.client(requester);
            let mut stream = client.stream("go").await;
            stream.until(half).await;
            let mut late = client.subscribe(stream.heard.id()).await;
            let first = late.next().await.unwrap();
            assert_eq!(
                (late.heard.snapshots, late.heard.events),
                (1, 1),
                "{}",
                first.text
            );
            assert!(half(&late.heard), "{}", first.text);
            assert_eq!(late.heard.state(), Some(State::Working));
            worker.release("half");
            check_job(late.complete().await, "the late one");
            assert_eq!(late.heard.snapshots, 1, "one task, then its events");
            stream.complete().await;
        }
    }
}

#[tokio::test]
async fn an_id_from_another_life_of_the_task_gives_the_task_and_not_its_middle() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let mut stream = client.stream("go").await;
    stream.until(half).await;
    let id = stream.heard.id().to_owned();
    let last = stream.last_id().unwrap();
    let (epoch, number) = last.split_once('.').unwrap();
    let future = format!("{epoch}.{}", number.parse::<u64>().unwrap() + 1000);
    let others = ["0000000000000001.2", "7", "nonsense", "", future.as_str()];
    let mut resumed = join_all(others.map(|other| client.resume(&id, other))).await;
    worker.release("half");
    for (stream, other) in resumed.iter_mut().zip(others) {
        let heard = stream.complete().await;
        check_job(heard, other);
        assert!(
            stream.events[0].result()["task"].is_object(),
            "{other:?}: {}",
            stream.events[0].text
        );
    }
}

#[tokio::test]
async fn a_hundred_watchers_of_a_polled_task_cost_one_series_of_polls() {
    const INTERVAL: Duration = Duration::from_millis(40);
    const POLLS: usize = 12;
    let worker = only(Mode::Poll, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .text("poll.first", "40ms")
        .text("poll.max", "40ms")
        .key("poll.jitter", "0.0")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let sent = client.send("go", SendOptions::at_once()).await.heard();
    let mut watchers = join_all((0..100).map(|n| {
        let requester = sidecar.client(REQUESTERS[n % 2]);
        let id = sent.id().to_owned();
        async move { requester.subscribe(&id).await }
    }))
    .await;
    worker.wait_calls("GetTask", POLLS).await;
    worker.release("half");
    for watcher in &mut watchers {
        check_job(watcher.complete().await, "a watcher");
    }
    let asked: Vec<_> = worker
        .requests_of("GetTask")
        .iter()
        .map(|seen| seen.at)
        .collect();
    let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Each wait begins when the answer before it is here, so in one series no gap is shorter than a wait. Timers count
    // in whole milliseconds.
    let shortest = INTERVAL - Duration::from_millis(2);
    assert!(
        gaps.iter().all(|gap| *gap >= shortest),
        "more than one series: {gaps:?}"
    );
}

#[tokio::test]
async fn questions_at_the_same_time_are_asked_once() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .text("poll.first", "10s")
        .text("poll.max", "10s")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let sent = client.send("go", SendOptions::at_once()).await.heard();
    worker.wait_at("half").await;
    // Sixty at once: those who ask while a question is under way wait for its answer or share the next.
    let answers = join_all((0..60).map(|_| client.get(sent.id()))).await;
    assert!(answers.iter().all(|answer| half(&answer.heard())));
    let asked = worker.calls("GetTask");
    assert!(asked < 60, "{asked} questions for 60 requesters");
}

#[tokio::test]
async fn requesters_that_go_away_never_break_the_worker_s_stream() {
    for version in Version::ALL {
        let worker = only(Mode::Stream, version).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        let client = sidecar.client(Version::V1);
        let mut left = Vec::new();
        for _ in 0..5 {
            let mut stream = client.stream("go").await;
            stream.until(half).await;
            left.push(stream.heard.id().to_owned());
        }
        // All streams are dropped here; the sidecar has seen it when nothing is under way any more.
        calls_end(&sidecar).await;
        assert_eq!(worker.open_streams("SendStreamingMessage"), 5);
        worker.release("half");
        for id in &left {
            worker.wait_state(id, State::Completed).await;
        }
        worker.wait_open_streams("SendStreamingMessage", 0).await;
        assert_eq!(worker.disconnects("SendStreamingMessage"), 0, "{version:?}");
        for id in &left {
            check_job(
                &client.poll(id, |heard| heard.ended).await,
                "a task whose requester left",
            );
        }
        assert_eq!(worker.calls("CancelTask"), 0);
    }
}

#[tokio::test]
async fn a_requester_that_leaves_a_blocking_call_does_not_take_it_with_it() {
    let worker = only(Mode::Blocking, Version::V03).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    for requester in REQUESTERS {
        worker.shut("half");
        let before = worker.task_ids().len();
        let client = sidecar.client(requester);
        let leaving = tokio::spawn(async move { client.send("go", SendOptions::wait()).await });
        worker.wait_at("half").await;
        leaving.abort();
        calls_end(&sidecar).await;
        let id = worker.task_ids()[before].clone();
        worker.release("half");
        worker.wait_state(&id, State::Completed).await;
    }
    assert_eq!(worker.disconnects("SendMessage"), 0);
    assert_eq!(worker.calls("SendMessage"), 2);
}

/// Waits until the sidecar has no call under way.
async fn calls_end(sidecar: &crate::support::proxy::Sidecar) {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    crate::support::within("the end of all calls", || sidecar.log().join("\n"), async {
        loop {
            looks.tick().await;
            let metrics = sidecar.metrics().await;
            assert!(
                metrics.0.contains_key("a2a_sidecar_calls_in_flight"),
                "there is no such gauge: {:?}",
                metrics.0.keys()
            );
            if metrics.sum("a2a_sidecar_calls_in_flight") == 0.0 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nobody_and_misses_nothing() {
    // More than all socket buffers on the way hold.
    const CHUNKS: usize = 300;
    let big = "x".repeat(64 << 10);
    let mut flood: Vec<Step> = (0..CHUNKS)
        .map(|n| chunk("flood", &format!("{n} {big}"), n > 0, n + 1 == CHUNKS))
        .collect();
    flood.insert(0, wait("watched"));
    flood.push(done("end"));
    let worker = only(Mode::Stream, Version::V1).script(flood).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let mut slow = client.stream("go").await;
    slow.next().await.unwrap();
    let id = slow.heard.id().to_owned();
    let mut quick = sidecar.client(Version::V03).subscribe(&id).await;
    worker.release("watched");
    let heard = quick.complete().await;
    assert_eq!(heard.state(), Some(State::Completed));
    worker.wait_open_streams("SendStreamingMessage", 0).await;
    assert!(
        slow.events.len() == 1 && slow.end.is_none(),
        "it has not read"
    );
    slow.complete().await;
    assert_eq!(slow.heard.artifact("flood"), quick.heard.artifact("flood"));
    let text = slow.heard.artifact("flood").unwrap();
    assert_eq!(
        text.len(),
        big.len() * CHUNKS + (0..CHUNKS).map(|n| n.to_string().len() + 1).sum::<usize>()
    );
    assert_eq!(steps(&slow.heard), [State::Submitted, State::Completed]);
}

#[tokio::test]
async fn long_polls_answer_on_change_and_at_their_bound() {
    let worker = only(Mode::Stream, Version::V1).script(job()).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let mut stream = client.stream("go").await;
    stream.until(half).await;
    let id = stream.heard.id().to_owned();
    // Nothing happens: the answer comes when the wait is over, and says how long that was.
    let idle = client.get_waiting(&id, 1).await;
    let took = idle.answer.headers_at - idle.answer.sent_at;
    assert!(took >= Duration::from_millis(990), "{took:?}");
    assert_eq!(idle.answer.header("preference-applied"), Some("wait=1"));
    assert!(half(&idle.heard()));
    // Something happens: it comes at once.
    let (changed, ()) = tokio::join!(client.get_waiting(&id, 60), async {
        crate::support::within("the long poll to wait", String::new, async {
            while sidecar.metrics().await.sum("a2a_sidecar_calls_in_flight") < 2.0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        worker.release("half");
    });
    assert!(changed.answer.done_at - changed.answer.sent_at < Duration::from_secs(20));
    assert_ne!(
        changed.result()["artifacts"],
        json!(idle.result()["artifacts"]),
        "something had changed"
    );
    stream.complete().await;
    // Over: nothing to wait for.
    let over = client.get_waiting(&id, 60).await;
    assert!(over.answer.done_at - over.answer.sent_at < Duration::from_secs(20));
    check_job(&over.heard(), "after the end");
}
