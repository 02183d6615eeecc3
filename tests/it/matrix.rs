//! The conversion table: every worker, restricted to one mode, and every way in which a requester can ask, in every
//! pair of versions. What the requester hears is what the worker did.

use futures_util::future::join_all;

use crate::scene::{
    Ask, Conf, REQUESTERS, Watcher, check_job, half, in_every_version, job, only, steps, task_ids,
};
use crate::support::client::SendOptions;
use crate::support::protocol::{State, Version};
use crate::support::proxy::Sidecar;
use crate::support::worker::{
    Mode, Step, Worker, ask, chunk, done, failed, say, status, wait, working,
};

/// All requesters' modes in both versions against one worker, whose tasks all go the same pace.
async fn every_requester(mode: Mode, version: Version) {
    let worker = only(mode, version).start().await;
    let conf = Conf::before(&worker.url);
    // A worker that blocks is known by its silence alone.
    let conf = if mode == Mode::Blocking {
        conf.text("announce_after", "200ms")
            .text("first_event_after", "200ms")
    } else {
        conf
    };
    let sidecar = conf.start().await;
    every_requester_before(&worker, &sidecar, Some(mode), &format!("{version:?}")).await;
}

/// The same before a sidecar that has been started already. `mode`: the worker's; none where another sidecar stands
/// between, so that the first state that is seen is not certain.
pub async fn every_requester_before(
    worker: &Worker,
    sidecar: &Sidecar,
    mode: Option<Mode>,
    what: &str,
) {
    every_requester_hears(worker, sidecar, mode, true, what).await;
}

/// The same. `named`: requesters know a task by the worker's own id, unless it blocks.
pub async fn every_requester_hears(
    worker: &Worker,
    sidecar: &Sidecar,
    mode: Option<Mode>,
    named: bool,
    what: &str,
) {
    let asks = REQUESTERS
        .iter()
        .flat_map(|requester| Ask::ALL.map(|ask| (*requester, ask)));
    let sending = asks.map(async |(requester, ask)| {
        let watcher = Watcher::send(ask, sidecar.client(requester), "go").await;
        (format!("{requester:?} {ask:?} of {what} {mode:?}"), watcher)
    });
    let mut watchers = join_all(sending).await;
    worker.wait_at_with("half", watchers.len()).await;
    // What a worker that blocks has done so far nobody can know.
    if mode != Some(Mode::Blocking) {
        let listening = watchers
            .iter_mut()
            .filter(|(_, watcher)| watcher.hears_progress())
            .map(async |(who, watcher)| {
                watcher.until(half).await;
                assert_eq!(watcher.heard().state(), Some(State::Working), "{who}");
            });
        join_all(listening).await;
    }
    worker.release("half");
    join_all(watchers.iter_mut().map(async |(who, watcher)| {
        let heard = watcher.end().await;
        check_job(&heard, who);
        let expected: &[State] = match watcher.ask {
            Ask::Blocking => &[State::Completed],
            _ => &[State::Submitted, State::Working, State::Completed],
        };
        let told = steps(&heard);
        // One that came later begins with how the task stood then, and so does a sidecar that polls the next one; of a
        // worker that blocks the snapshots know only the beginning and the end.
        let late = mode.is_none() || matches!(watcher.ask, Ask::Resubscribe | Ask::PushAfter);
        let polls = matches!(watcher.ask, Ask::Poll | Ask::LongPoll);
        let snapshots = polls && mode == Some(Mode::Blocking);
        assert!(
            told == expected || (late && expected.ends_with(&told)) || snapshots,
            "{who}: {told:?}"
        );
        let ids = task_ids(&watcher.objects());
        assert_eq!(
            ids.len(),
            1,
            "{who} was told of one task by several ids: {ids:?}"
        );
        assert!(ids.contains(heard.id()));
        if named && mode != Some(Mode::Blocking) {
            assert!(
                worker.task_ids().contains(&heard.id().to_owned()),
                "{who} was not given the worker's own id"
            );
        }
    }))
    .await;
    // One message, one task: nothing was sent twice.
    assert_eq!(worker.task_ids().len(), watchers.len());
}

macro_rules! cells {
    ($($name:ident: $mode:ident $version:ident;)*) => {
        $(#[tokio::test]
        async fn $name() {
            every_requester(Mode::$mode, Version::$version).await;
        })*
    };
}

cells! {
    every_requester_hears_all_of_a_blocking_worker_of_0_2: Blocking V02;
    every_requester_hears_all_of_a_blocking_worker_of_0_3: Blocking V03;
    every_requester_hears_all_of_a_blocking_worker_of_1_0: Blocking V1;
    every_requester_hears_all_of_a_polled_worker_of_0_2: Poll V02;
    every_requester_hears_all_of_a_polled_worker_of_0_3: Poll V03;
    every_requester_hears_all_of_a_polled_worker_of_1_0: Poll V1;
    every_requester_hears_all_of_a_streaming_worker_of_0_2: Stream V02;
    every_requester_hears_all_of_a_streaming_worker_of_0_3: Stream V03;
    every_requester_hears_all_of_a_streaming_worker_of_1_0: Stream V1;
    every_requester_hears_all_of_a_pushing_worker_of_0_2: Push V02;
    every_requester_hears_all_of_a_pushing_worker_of_0_3: Push V03;
    every_requester_hears_all_of_a_pushing_worker_of_1_0: Push V1;
}

/// How the worker ends a task, each in all modes and versions of both sides.
async fn every_end(steps_of: impl Fn() -> Vec<Step>, expected: (State, &str)) {
    let pairs = in_every_version(&Mode::ALL)
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version).script(steps_of()).start().await;
            let sidecar = Conf::before(&worker.url).start().await;
            for requester in REQUESTERS {
                let asks = [Ask::Blocking, Ask::Poll, Ask::Stream, Ask::PushInline];
                let mut watchers =
                    join_all(asks.map(async |ask| {
                        Watcher::send(ask, sidecar.client(requester), "go").await
                    }))
                    .await;
                for watcher in &mut watchers {
                    let heard = watcher.end().await;
                    assert_eq!(
                        heard.outcome(),
                        (Some(expected.0), Some(expected.1)),
                        "{requester:?} {:?} of {version:?} {mode:?}",
                        watcher.ask
                    );
                    assert_eq!(heard.endings, 1);
                }
            }
        });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_failed_task_is_told_as_failed() {
    every_end(
        || vec![working("trying"), failed("it broke")],
        (State::Failed, "it broke"),
    )
    .await;
}

#[tokio::test]
async fn a_rejected_task_is_told_as_rejected() {
    let steps = || vec![Step::End(State::Rejected, Some("not me".to_owned()))];
    every_end(steps, (State::Rejected, "not me")).await;
}

#[tokio::test]
async fn a_bare_message_reaches_whoever_waits_as_the_message_it_is() {
    let pairs = in_every_version(&Mode::ALL)
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version).script([say("hello")]).start().await;
            let sidecar = Conf::before(&worker.url).start().await;
            for requester in REQUESTERS {
                let who = format!("{requester:?} of {version:?} {mode:?}");
                let client = sidecar.client(requester);
                let sent = client.send("hi", SendOptions::wait()).await.heard();
                assert_eq!(sent.bare.as_deref(), Some("hello"), "{who}");
                let mut stream = client.stream("hi").await;
                let heard = stream.complete().await;
                assert_eq!(
                    (heard.bare.as_deref(), heard.events),
                    (Some("hello"), 1),
                    "{who}"
                );
            }
        });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_bare_message_that_comes_late_becomes_the_outcome_of_the_announced_task() {
    let pairs = Version::ALL.map(async |version| {
        let worker = only(Mode::Blocking, version)
            .script([wait("late"), say("hello")])
            .start()
            .await;
        let sidecar = Conf::before(&worker.url)
            .text("announce_after", "100ms")
            .text("first_event_after", "100ms")
            .start()
            .await;
        for requester in REQUESTERS {
            worker.shut("late");
            let asks = [Ask::Poll, Ask::Stream, Ask::PushInline];
            let mut watchers = join_all(
                asks.map(async |ask| Watcher::send(ask, sidecar.client(requester), "go").await),
            )
            .await;
            worker.release("late");
            for watcher in &mut watchers {
                let heard = watcher.end().await;
                let who = format!("{requester:?} {:?} of {version:?}", watcher.ask);
                assert_eq!(
                    heard.outcome(),
                    (Some(State::Completed), Some("hello")),
                    "{who}"
                );
                let texts: Vec<_> = heard.artifacts.iter().map(|(_, text)| text).collect();
                assert_eq!(texts, ["hello"], "{who}");
            }
        }
    });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_question_ends_the_wait_and_the_answer_goes_on_with_the_same_task() {
    let pairs = in_every_version(&Mode::ALL)
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version)
                .script([ask("which?"), working("that one"), done("done")])
                .start()
                .await;
            let sidecar = Conf::before(&worker.url).start().await;
            for requester in REQUESTERS {
                let who = format!("{requester:?} of {version:?} {mode:?}");
                let client = sidecar.client(requester);
                let asked = client.send("hi", SendOptions::wait()).await.heard();
                let question = (Some(State::InputRequired), Some("which?"));
                assert_eq!(asked.outcome(), question, "{who}");
                let answer = SendOptions::wait().on_task(asked.id());
                let answered = client.send("this", answer).await.heard();
                assert_eq!(
                    answered.outcome(),
                    (Some(State::Completed), Some("done")),
                    "{who}"
                );
                assert_eq!(answered.id(), asked.id(), "{who}");
                assert_eq!(answered.messages, ["which?", "that one", "done"], "{who}");

                let mut stream = client.stream("hi").await;
                let heard = stream.complete().await.clone();
                assert_eq!(heard.outcome(), question, "{who}");
                let finals = usize::from(!requester.is_v1());
                assert_eq!(
                    heard.finals, finals,
                    "{who}: final where the stream ends, in 0.x"
                );
                let options = SendOptions::default().on_task(heard.id());
                let mut stream = client.stream_with("this", options).await;
                let heard = stream.complete().await;
                assert_eq!(
                    heard.outcome(),
                    (Some(State::Completed), Some("done")),
                    "{who}"
                );
                assert_eq!(
                    heard.messages.last().map(String::as_str),
                    Some("done"),
                    "{who}"
                );
                assert!(heard.messages.contains(&"that one".to_owned()), "{who}");
            }
        });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_subscription_of_1_0_outlives_a_question_and_one_of_0_3_ends_there() {
    let worker = only(Mode::Stream, Version::V1)
        .script([wait("go"), ask("which?"), done("done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = client.send("hi", SendOptions::at_once()).await.heard();
    let mut new = client.subscribe(sent.id()).await;
    let mut old = sidecar.client(Version::V03).subscribe(sent.id()).await;
    worker.release("go");
    assert_eq!(old.complete().await.state(), Some(State::InputRequired));
    new.until(|heard| heard.state() == Some(State::InputRequired))
        .await;
    let options = SendOptions::wait().on_task(sent.id());
    client.send("this", options).await.result();
    assert_eq!(new.complete().await.state(), Some(State::Completed));
}

#[tokio::test]
async fn chunks_arrive_as_they_were_cut_from_a_stream() {
    let worker = only(Mode::Stream, Version::V1)
        .script([
            chunk("text", "a", false, false),
            chunk("text", "b", true, false),
            chunk("text", "c", true, true),
            done("done"),
        ])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    for requester in REQUESTERS {
        let mut stream = sidecar.client(requester).stream("hi").await;
        stream.complete().await;
        let chunks: Vec<_> = stream
            .events
            .iter()
            .map(|event| match requester {
                Version::V1 => &event.result()["artifactUpdate"],
                _ => event.result(),
            })
            .filter(|update| update["artifact"].is_object())
            .map(|update| {
                let text = update["artifact"]["parts"][0]["text"]
                    .as_str()
                    .unwrap_or_default();
                (
                    text.to_owned(),
                    update["append"] == true,
                    update["lastChunk"] == true,
                )
            })
            .collect();
        let expected = [
            ("a".to_owned(), false, false),
            ("b".to_owned(), true, false),
            ("c".to_owned(), true, true),
        ];
        assert_eq!(chunks, expected, "{requester:?}");
    }
}

#[tokio::test]
async fn a_polled_message_history_comes_back_as_status_updates_oldest_first() {
    let worker = only(Mode::Poll, Version::V03)
        .script([
            wait("watched"),
            working("one"),
            working("two"),
            working("three"),
            wait("end"),
            done("four"),
        ])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let mut stream = sidecar.client(Version::V1).stream("hi").await;
    worker.wait_at("watched").await;
    worker.release("watched");
    stream
        .until(|heard| heard.messages == ["one", "two", "three"])
        .await;
    worker.release("end");
    let heard = stream.complete().await;
    assert_eq!(heard.messages, ["one", "two", "three", "four"]);
    let mut states = vec![State::Submitted];
    states.extend([State::Working; 3]);
    states.push(State::Completed);
    assert_eq!(heard.states, states);
}

#[tokio::test]
async fn a_worker_whose_card_promises_streams_and_whose_wire_has_none_is_bridged() {
    let pairs = Version::ALL.map(async |version| {
        let worker = only(Mode::Poll, version)
            .card(serde_json::json!({ "capabilities": { "streaming": true } }))
            .start()
            .await;
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            worker.shut("half");
            let mut stream = sidecar.client(requester).stream("go").await;
            stream.until(half).await;
            worker.release("half");
            check_job(stream.complete().await, "the stream");
        }
        let refused = worker.calls("SendStreamingMessage");
        assert_eq!(
            refused, 1,
            "what the wire has said is believed from then on"
        );
    });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_stream_that_begins_without_the_task_is_given_one() {
    let pairs = [Version::V02, Version::V03].map(async |version| {
        let worker = only(Mode::Stream, version)
            .script(job())
            .streams_without_task()
            .start()
            .await;
        worker.release("half");
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            let mut stream = sidecar.client(requester).stream("go").await;
            let first = stream.next().await.unwrap();
            assert_eq!(stream.heard.snapshots, 1, "{}", first.text);
            check_job(stream.complete().await, "the stream");
        }
    });
    join_all(pairs).await;
}

#[tokio::test]
async fn a_working_task_is_shown_with_its_status_and_history_to_late_pollers() {
    let worker = only(Mode::Stream, Version::V1)
        .script([
            status(State::Working),
            working("half way"),
            wait("end"),
            done("done"),
        ])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = client.send("hi", SendOptions::at_once()).await.heard();
    let other = sidecar.client(Version::V03);
    let midway = other
        .poll(sent.id(), |heard| !heard.messages.is_empty())
        .await;
    assert_eq!(midway.outcome(), (Some(State::Working), Some("half way")));
    let task = other.get(sent.id()).await;
    assert_eq!(task.result()["history"][0]["parts"][0]["text"], "hi");
    assert_eq!(task.result()["kind"], "task");
    worker.release("end");
    other.poll(sent.id(), |heard| heard.ended).await;
}

#[tokio::test]
async fn a_worker_that_pushes_and_cannot_be_asked_is_heard_by_whoever_watches() {
    // Of 0.2 it is known that its servers wait for the end: there a webhook comes too late to be a source.
    for version in [Version::V03, Version::V1] {
        let worker = Worker::builder()
            .version(version)
            .modes(&[Mode::Push])
            .get_task(false)
            .script(job())
            .start()
            .await;
        let sidecar = Conf::before(&worker.url).start().await;
        let asks = [Ask::Stream, Ask::PushInline];
        let mut watchers = join_all(
            asks.map(async |ask| Watcher::send(ask, sidecar.client(Version::V1), "go").await),
        )
        .await;
        worker.wait_at_with("half", watchers.len()).await;
        worker.release("half");
        for watcher in &mut watchers {
            let who = format!("{:?} of {version:?}", watcher.ask);
            check_job(&watcher.end().await, &who);
        }
    }
}
