//! Tests of the tools themselves, requester against worker with no sidecar between: a mistake in the tools
//! shows here and not as a riddle in the tests of the sidecar. Here every mode in every version; what goes
//! wrong on purpose is in `faults`, the other tools are in `tools`.

mod faults;
mod tools;

use serde_json::json;

use crate::support::client::{Client, Push, SendOptions};
use crate::support::heard::Heard;
use crate::support::protocol::{Op, State, Version, code, text_of};
use crate::support::receiver::Receiver;
use crate::support::worker::{
    Cancel, Mode, Step, Worker, artifact, ask, chunk, done, failed, say, status, wait, working,
};

/// A job with every kind of news, held at the gate `go` before its end.
fn job() -> Vec<Step> {
    vec![
        status(State::Working),
        working("half way"),
        chunk("report", "one ", false, false),
        chunk("report", "two", true, true),
        wait("go"),
        artifact("summary", "short"),
        done("all done"),
    ]
}

fn check_job(heard: &Heard) {
    assert_eq!(heard.outcome(), (Some(State::Completed), Some("all done")));
    assert_eq!(heard.messages, ["half way", "all done"]);
    assert_eq!(heard.artifact("report"), Some("one two"));
    assert_eq!(heard.artifact("summary"), Some("short"));
    assert!(heard.ended);
    assert_eq!(heard.endings, 1);
}

async fn pair(version: Version, steps: Vec<Step>) -> (Worker, Client) {
    let worker = Worker::builder()
        .version(version)
        .script(steps)
        .start()
        .await;
    let client = Client::new(&worker.url, version);
    (worker, client)
}

#[tokio::test]
async fn a_blocking_send_waits_for_the_end() {
    for version in Version::ALL {
        let (worker, client) = pair(version, job()).await;
        let (reply, ()) = tokio::join!(client.send("hi", SendOptions::wait()), async {
            worker.wait_at("go").await;
            worker.release("go");
        });
        check_job(&reply.heard());
        assert_eq!(worker.calls("SendMessage"), 1);
        let sent = &worker.requests_of("SendMessage")[0];
        assert_eq!(sent.method, Op::Send.method(version));
        assert_eq!(sent.params()["message"]["parts"][0]["text"], "hi");
    }
}

#[tokio::test]
async fn a_send_at_once_is_polled_to_the_end() {
    for version in Version::ALL {
        let (worker, client) = pair(version, job()).await;
        let first = client.send("hi", SendOptions::at_once()).await.heard();
        assert_eq!(first.states, [State::Submitted]);
        worker.wait_at("go").await;
        let midway = client.get(first.id()).await.heard();
        assert_eq!(midway.outcome(), (Some(State::Working), Some("half way")));
        assert_eq!(midway.artifact("report"), Some("one two"));
        worker.release("go");
        check_job(&client.poll(first.id(), |heard| heard.ended).await);
        let cut = client
            .call(Op::Get, json!({ "id": first.id(), "historyLength": 1 }))
            .await;
        assert_eq!(cut.result()["history"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_stream_tells_everything_in_order() {
    for version in Version::ALL {
        let (worker, client) = pair(version, job()).await;
        let mut stream = client.stream("hi").await;
        stream
            .until(|heard| heard.artifact("report") == Some("one two"))
            .await;
        assert_eq!(worker.open_streams("SendStreamingMessage"), 1);
        assert!(!stream.heard.ended);
        worker.release("go");
        let heard = stream.complete().await;
        check_job(heard);
        let told = [
            State::Submitted,
            State::Working,
            State::Working,
            State::Completed,
        ];
        assert_eq!(heard.states, told);
        assert_eq!(heard.snapshots, 1);
        assert_eq!(heard.finals, usize::from(!version.is_v1()));
        worker.wait_open_streams("SendStreamingMessage", 0).await;
        assert_eq!(worker.disconnects("SendStreamingMessage"), 0);
    }
}

#[tokio::test]
async fn a_subscription_begins_where_its_version_says() {
    for version in Version::ALL {
        let (worker, client) = pair(version, job()).await;
        let id = client
            .send("hi", SendOptions::at_once())
            .await
            .heard()
            .id()
            .to_owned();
        worker.wait_at("go").await;
        let mut stream = client.subscribe(&id).await;
        worker.release("go");
        let heard = stream.complete().await;
        assert_eq!(heard.state(), Some(State::Completed));
        assert_eq!(heard.snapshots, usize::from(version.is_v1()));
        let early = heard.artifact("report").is_some();
        assert_eq!(
            early,
            version.is_v1(),
            "only a snapshot tells of what was before"
        );
        assert_eq!(heard.artifact("summary"), Some("short"));

        // Over: refused in plain JSON, or in the stream.
        let code = match client.try_subscribe(&id, None).await {
            Ok(mut stream) => stream.next().await.and_then(|event| event.error_code()),
            Err(reply) => reply.error_code(),
        };
        let expected = if version.is_v1() {
            code::UNSUPPORTED
        } else {
            code::INVALID_PARAMS
        };
        assert_eq!(code, Some(expected));
    }
}

#[tokio::test]
async fn webhooks_tell_every_event() {
    for version in Version::ALL {
        let receiver = Receiver::start().await;
        let (worker, client) = pair(version, job()).await;
        let push = Push::to(receiver.url("/hook?a=b"))
            .token("t0k")
            .auth("Bearer", "cred");
        client.send("hi", SendOptions::at_once().push(push)).await;
        worker.release("go");
        check_job(&receiver.wait_ended().await);
        // The task, then an event for each step.
        let hooks = receiver.wait_for(7).await;
        let last = hooks.last().unwrap();
        assert_eq!(last.path, "/hook?a=b");
        assert_eq!(last.header("x-a2a-notification-token"), Some("t0k"));
        let auth = version.is_v1().then_some("Bearer cred");
        assert_eq!(last.header("authorization"), auth);
        if version.is_v1() {
            assert!(last.json["statusUpdate"].is_object(), "{}", last.json);
        } else {
            assert_eq!(last.json["kind"], "task");
            assert_eq!(last.heard().artifact("report"), Some("one two"));
        }
        worker.wait_posted(7).await;
        assert!(
            worker
                .posted()
                .iter()
                .all(|posted| posted.status == Some(200))
        );
    }
}

#[tokio::test]
async fn a_message_can_answer_in_place_of_a_task() {
    for version in Version::ALL {
        let (worker, client) = pair(version, vec![wait("go"), say("hello")]).await;
        let (reply, ()) = tokio::join!(client.send("hi", SendOptions::default()), async {
            worker.wait_at("go").await;
            worker.release("go");
        });
        assert_eq!(reply.heard().bare.as_deref(), Some("hello"));
        let mut stream = client.stream("hi").await;
        let heard = stream.complete().await;
        assert_eq!((heard.bare.as_deref(), heard.events), (Some("hello"), 1));
        assert!(worker.task_ids().is_empty());
    }
}

#[tokio::test]
async fn a_question_is_answered_in_the_same_task() {
    for version in Version::ALL {
        let (worker, client) = pair(version, vec![ask("which?"), done("that one")]).await;
        let asked = client.send("hi", SendOptions::wait()).await.heard();
        assert_eq!(
            asked.outcome(),
            (Some(State::InputRequired), Some("which?"))
        );
        assert!(!asked.ended);
        let options = SendOptions::wait().on_task(asked.id());
        let answered = client.send("this", options.clone()).await.heard();
        assert_eq!(
            answered.outcome(),
            (Some(State::Completed), Some("that one"))
        );
        assert_eq!(answered.messages, ["which?", "that one"]);
        let task = worker.task(asked.id()).unwrap();
        let history = task["history"].as_array().unwrap();
        let said: Vec<String> = history.iter().map(text_of).collect();
        assert_eq!(
            said,
            ["hi", "this", "which?"],
            "the message of a status joins when the next comes"
        );
        assert_eq!(worker.only_task(), asked.id());
        let late = client.send("more", options).await.error_code();
        let expected = if version.is_v1() {
            code::UNSUPPORTED
        } else {
            code::INVALID_PARAMS
        };
        assert_eq!(late, Some(expected));
    }
}

#[tokio::test]
async fn a_send_stream_ends_at_a_question_and_a_subscription_as_its_version_says() {
    for version in Version::ALL {
        let (worker, client) = pair(version, vec![wait("go"), ask("which?"), done("ok")]).await;
        let mut stream = client.stream("hi").await;
        stream.next().await.unwrap();
        let id = stream.heard.id().to_owned();
        let mut watching = client.subscribe(&id).await;
        worker.release("go");
        assert_eq!(stream.complete().await.state(), Some(State::InputRequired));
        watching
            .until(|heard| heard.state() == Some(State::InputRequired))
            .await;
        client.send("this", SendOptions::wait().on_task(&id)).await;
        let last = watching.complete().await.state();
        let expected = if version.is_v1() {
            State::Completed
        } else {
            State::InputRequired
        };
        assert_eq!(last, Some(expected));
    }
}

#[tokio::test]
async fn cancel_works_lies_or_is_refused() {
    for version in Version::ALL {
        let (worker, client) = pair(version, job()).await;
        let id = client
            .send("hi", SendOptions::at_once())
            .await
            .heard()
            .id()
            .to_owned();
        worker.wait_at("go").await;
        worker.on_cancel(Cancel::Refuses);
        assert_eq!(
            client.cancel(&id).await.error_code(),
            Some(code::TASK_NOT_CANCELABLE)
        );
        worker.on_cancel(Cancel::Lies);
        assert_eq!(
            client.cancel(&id).await.heard().state(),
            Some(State::Canceled)
        );
        assert_eq!(worker.state(&id), Some(State::Working));
        worker.on_cancel(Cancel::Works);
        assert_eq!(
            client.cancel(&id).await.heard().state(),
            Some(State::Canceled)
        );
        worker.release("go");
        assert_eq!(client.get(&id).await.heard().state(), Some(State::Canceled));
        assert_eq!(
            client.cancel(&id).await.error_code(),
            Some(code::TASK_NOT_CANCELABLE)
        );
        assert_eq!(
            client.cancel("none").await.error_code(),
            Some(code::TASK_NOT_FOUND)
        );
    }
}

#[tokio::test]
async fn push_configs_are_kept() {
    for version in Version::ALL {
        let receiver = Receiver::start().await;
        let (worker, client) = pair(version, job()).await;
        let id = client
            .send("hi", SendOptions::at_once())
            .await
            .heard()
            .id()
            .to_owned();
        worker.wait_at("go").await;
        client
            .push_set(&id, &Push::to(receiver.url("/a")).id("a"))
            .await
            .result();
        client
            .push_set(&id, &Push::to(receiver.url("/b")).id("b"))
            .await
            .result();
        let one = client.push_get(&id, "a").await.result().to_string();
        assert!(one.contains("/a") && one.contains(&id), "{one}");
        let all = client.push_list(&id).await.result().to_string();
        assert!(all.contains("/a") && all.contains("/b"), "{all}");
        client.push_delete(&id, "b").await;
        assert_eq!(
            worker.push_configs(&id),
            [("a".to_owned(), receiver.url("/a"))]
        );
        worker.release("go");
        let hooks = receiver.wait_for(2).await;
        assert!(hooks.iter().all(|hook| hook.path == "/a"));
    }
}

#[tokio::test]
async fn a_worker_offers_only_its_modes() {
    for version in Version::ALL {
        let only = async |mode| {
            let worker = Worker::builder()
                .version(version)
                .modes(&[mode])
                .start()
                .await;
            let client = Client::new(&worker.url, version);
            (worker, client)
        };
        let (_blocking, client) = only(Mode::Blocking).await;
        let heard = client.send("hi", SendOptions::at_once()).await.heard();
        assert!(heard.ended, "it always waits");
        assert_eq!(
            client.get(heard.id()).await.error_code(),
            Some(code::METHOD_NOT_FOUND)
        );
        let push = client
            .push_set(heard.id(), &Push::to("http://localhost/"))
            .await;
        assert_eq!(push.error_code(), Some(code::PUSH_NOT_SUPPORTED));
        let refused = match client.try_stream("hi", SendOptions::default()).await {
            Ok(mut stream) => stream.next().await.and_then(|event| event.error_code()),
            Err(reply) => reply.error_code(),
        };
        assert_eq!(refused, Some(code::UNSUPPORTED));

        let (_poll, client) = only(Mode::Poll).await;
        let heard = client.send("hi", SendOptions::wait()).await.heard();
        assert_eq!(heard.states, [State::Submitted], "it never waits");
        client.poll(heard.id(), |heard| heard.ended).await;

        let (_stream, client) = only(Mode::Stream).await;
        let sent = client.send("hi", SendOptions::wait()).await;
        assert_eq!(sent.error_code(), Some(code::UNSUPPORTED));
        assert!(client.stream("hi").await.complete().await.ended);

        let (_push, client) = only(Mode::Push).await;
        let receiver = Receiver::start().await;
        let options = SendOptions::wait().push(Push::to(receiver.url("/")));
        let heard = client.send("hi", options).await.heard();
        assert_eq!(heard.states, [State::Submitted], "it never waits");
        assert!(receiver.wait_ended().await.ended);
    }
}

#[tokio::test]
async fn the_card_is_where_and_what_its_version_says() {
    for version in Version::ALL {
        let worker = Worker::builder()
            .version(version)
            .modes(&[Mode::Poll])
            .card(json!({ "name": "other", "capabilities": { "streaming": true } }))
            .start()
            .await;
        let answer = Client::new(&worker.url, version).card().await;
        let card: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(card["name"], "other");
        assert_eq!(
            card["capabilities"],
            json!({ "streaming": true, "pushNotifications": false })
        );
        let interface = &card["supportedInterfaces"][0];
        let url = if version.is_v1() {
            &interface["url"]
        } else {
            &card["url"]
        };
        assert_eq!(*url, worker.url);
        assert_eq!(worker.calls("AgentCard"), 1);
    }
    let worker = Worker::builder().version(Version::V02).start().await;
    let answer = Client::new(&worker.url, Version::V03).card().await;
    assert_eq!(answer.status, 404, "0.2 has its card elsewhere");
}

#[tokio::test]
async fn a_1_0_worker_wants_its_version_named() {
    let worker = Worker::builder().start().await;
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "GetTask", "params": { "id": "x" } });
    let client = Client::new(&worker.url, Version::V1);
    let reply = client.post_raw(body.to_string(), &[]).await;
    assert_eq!(reply.error_code(), Some(code::VERSION_NOT_SUPPORTED));
    assert_eq!(reply.json["id"], 7);
    let reply = client
        .post_raw(body.to_string(), &[("A2A-Version", "1.0")])
        .await;
    assert_eq!(reply.error_code(), Some(code::TASK_NOT_FOUND));
    let reply = client.post_raw("{", &[("A2A-Version", "1.0")]).await;
    assert_eq!(reply.error_code(), Some(code::PARSE));
    assert_eq!(worker.headers("GetTask")["a2a-version"], "1.0");
}

#[tokio::test]
async fn scripts_go_by_text_and_may_hold_any_event() {
    let worker = Worker::builder()
        .script_for("fail", [failed("broken")])
        .script_for(
            "raw",
            [
                Step::Raw(
                    json!({ "statusUpdate": { "status": { "state": "TASK_STATE_WORKING" } } }),
                ),
                Step::Snapshot,
                done("ok"),
            ],
        )
        .streams_without_task()
        .start()
        .await;
    let client = Client::new(&worker.url, Version::V1);
    let heard = client.send("fail", SendOptions::wait()).await.heard();
    assert_eq!(heard.outcome(), (Some(State::Failed), Some("broken")));
    let heard = client.send("else", SendOptions::wait()).await.heard();
    assert_eq!(
        heard.outcome(),
        (Some(State::Completed), Some("done: else"))
    );
    assert_eq!(heard.artifact("result"), Some("result for else"));
    let mut stream = client.stream("raw").await;
    let heard = stream.complete().await;
    assert_eq!(
        heard.states,
        [State::Working, State::Submitted, State::Completed]
    );
    let listed = client.call(Op::List, json!({})).await;
    assert_eq!(listed.result()["totalSize"], 3);
}
