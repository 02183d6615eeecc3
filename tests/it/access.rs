//! Who may see what: the worker decides, each requester is asked for with its own credentials, and what is secret stays
//! so.

use serde_json::Value;

use crate::scene::{Conf, check_job, half, only};
use crate::support::client::{Client, Push, Reply, SendOptions};
use crate::support::protocol::{Op, State, Version, code};
use crate::support::proxy::Sidecar;
use crate::support::receiver::Receiver;
use crate::support::worker::{Fault, Mode, Recorded};

fn as_principal(sidecar: &Sidecar, version: Version, name: &str) -> Client {
    sidecar
        .client(version)
        .with_header("authorization", &format!("Bearer {name}"))
}

fn authorization(seen: &Recorded) -> Option<&str> {
    seen.headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
}

#[tokio::test]
async fn a_requester_s_credentials_go_through_to_the_worker() {
    for mode in [Mode::Stream, Mode::Poll] {
        let worker = only(mode, Version::V1).start().await;
        worker.release("half");
        let sidecar = Conf::before(&worker.url).start().await;
        let client = as_principal(&sidecar, Version::V03, "alice")
            .with_header("x-api-key", "key")
            .with_header("cookie", "a=b");
        let mut stream = client.stream("go").await;
        check_job(stream.complete().await, "with credentials");
        let calls: Vec<_> = worker
            .requests()
            .into_iter()
            .filter(|seen| seen.op != Some(Op::Card))
            .collect();
        assert!(!calls.is_empty());
        for seen in calls {
            assert_eq!(
                authorization(&seen),
                Some("Bearer alice"),
                "{}",
                seen.method
            );
            assert_eq!(seen.headers["x-api-key"], "key", "{}", seen.method);
            assert_eq!(seen.headers["cookie"], "a=b", "{}", seen.method);
        }
        for seen in worker.requests_of("AgentCard") {
            assert_eq!(authorization(&seen), None, "the card is everybody's");
        }
    }
}

#[tokio::test]
async fn what_happens_in_the_background_uses_the_creator_s_credentials_after_a_restart_too() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let mut sidecar = Conf::before(&worker.url).start().await;
    let receiver = Receiver::start().await;
    let alice = as_principal(&sidecar, Version::V1, "alice").with_header("x-api-key", "key");
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
    let sent = alice.send("go", options).await.heard();
    worker.wait_calls("GetTask", 3).await;
    sidecar.restart().await;
    let before = worker.calls("GetTask");
    worker.wait_calls("GetTask", before + 3).await;
    worker.release("half");
    check_job(&receiver.wait_ended().await, "with nobody watching");
    for seen in worker.requests_of("GetTask") {
        assert_eq!(authorization(&seen), Some("Bearer alice"));
        assert_eq!(seen.headers["x-api-key"], "key");
        assert_eq!(seen.params()["id"], sent.id());
    }
}

#[tokio::test]
async fn a_route_s_own_credentials_are_for_the_background_and_lent_to_nobody() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    worker.keep_private();
    let sidecar = Conf::before(&worker.url)
        .text("headers.authorization", "Bearer own")
        .start()
        .await;
    let alice = as_principal(&sidecar, Version::V1, "alice");
    let receiver = Receiver::start().await;
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
    let sent = alice.send("go", options).await.heard();
    let send = worker.requests_of("SendMessage").pop().unwrap();
    assert_eq!(
        authorization(&send),
        Some("Bearer alice"),
        "her own call is made with her own"
    );
    worker.show(sent.id(), "Bearer own");
    worker.wait_calls("GetTask", 2).await;
    let polls = worker.requests_of("GetTask");
    assert!(
        polls
            .iter()
            .all(|seen| authorization(seen) == Some("Bearer own"))
    );
    // Somebody else is not shown it by the sidecar's credentials.
    let bob = as_principal(&sidecar, Version::V1, "bob");
    assert_eq!(
        bob.get(sent.id()).await.error_code(),
        Some(code::TASK_NOT_FOUND)
    );
}

/// Everything that one can try with the id of a task.
async fn every_try(client: &Client, id: &str, receiver: &Receiver) -> Vec<(&'static str, Reply)> {
    let subscribed = match client.try_subscribe(id, None).await {
        Err(reply) => reply,
        Ok(mut stream) => {
            let event = stream.next().await.unwrap();
            panic!("a stream: {}", event.text)
        }
    };
    vec![
        ("get", client.get(id).await),
        ("get waiting", client.get_waiting(id, 1).await),
        ("subscribe", subscribed),
        ("cancel", client.cancel(id).await),
        (
            "send",
            client.send("more", SendOptions::wait().on_task(id)).await,
        ),
        (
            "push set",
            client
                .push_set(id, &Push::to(receiver.url("/other")).id("c"))
                .await,
        ),
        ("push get", client.push_get(id, "c").await),
        ("push list", client.push_list(id).await),
        ("push delete", client.push_delete(id, "c").await),
    ]
}

#[tokio::test]
async fn another_principal_is_told_just_what_one_is_told_of_a_task_that_is_not() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    worker.keep_private();
    let sidecar = Conf::before(&worker.url).start().await;
    let receiver = Receiver::start().await;
    let alice = as_principal(&sidecar, Version::V1, "alice");
    let mut stream = alice.stream("go").await;
    stream.until(half).await;
    let id = stream.heard.id().to_owned();
    let nobody_s = "0".repeat(id.len());
    let bob = as_principal(&sidecar, Version::V1, "bob");
    let anonymous = sidecar.client(Version::V1);
    for client in [&bob, &anonymous] {
        let hidden = every_try(client, &id, &receiver).await;
        let missing = every_try(client, &nobody_s, &receiver).await;
        for ((what, hidden), (_, missing)) in hidden.into_iter().zip(missing) {
            assert_eq!(
                hidden.error_code(),
                Some(code::TASK_NOT_FOUND),
                "{what}: {}",
                hidden.answer.text()
            );
            let same = |reply: &Reply| {
                let mut json: Value = reply.json.clone();
                json["id"] = Value::Null;
                (
                    reply.answer.status,
                    json.to_string().replace(&id, "ID").replace(&nobody_s, "ID"),
                )
            };
            assert_eq!(same(&hidden), same(&missing), "{what}");
        }
    }
    worker.release("half");
    check_job(stream.complete().await, "and she has noticed nothing");
    assert_eq!(receiver.hooks().len(), 0);
    // Over, it is as much hers as before.
    assert_eq!(bob.get(&id).await.error_code(), Some(code::TASK_NOT_FOUND));
    check_job(&alice.get(&id).await.heard(), "hers");
}

#[tokio::test]
async fn another_principal_sees_what_the_worker_shows_it() {
    let worker = only(Mode::Poll, Version::V03).start().await;
    worker.keep_private();
    let sidecar = Conf::before(&worker.url).start().await;
    let alice = as_principal(&sidecar, Version::V1, "alice");
    let mut stream = alice.stream("go").await;
    stream.until(half).await;
    let id = stream.heard.id().to_owned();
    let bob = as_principal(&sidecar, Version::V03, "bob");
    assert_eq!(bob.get(&id).await.error_code(), Some(code::TASK_NOT_FOUND));
    worker.show(&id, "Bearer bob");
    assert!(half(&bob.get(&id).await.heard()));
    let asked_as_bob = worker
        .requests_of("GetTask")
        .iter()
        .any(|seen| authorization(seen) == Some("Bearer bob"));
    assert!(
        asked_as_bob,
        "the worker was asked with his own credentials"
    );
    let mut his = bob.subscribe(&id).await;
    worker.release("half");
    check_job(his.complete().await, "his stream");
    check_job(stream.complete().await, "her stream");
}

#[tokio::test]
async fn a_task_that_the_worker_cannot_show_is_its_creator_s_alone() {
    let worker = only(Mode::Blocking, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .text("announce_after", "100ms")
        .start()
        .await;
    let receiver = Receiver::start().await;
    let alice = as_principal(&sidecar, Version::V1, "alice");
    let sent = alice.send("go", SendOptions::at_once()).await.heard();
    let bob = as_principal(&sidecar, Version::V1, "bob");
    for (what, reply) in every_try(&bob, sent.id(), &receiver).await {
        assert!(
            reply.error_code().is_some(),
            "{what}: {}",
            reply.answer.text()
        );
    }
    assert_eq!(
        alice.get(sent.id()).await.heard().state(),
        Some(State::Submitted)
    );
    worker.release("half");
    check_job(&alice.poll(sent.id(), |heard| heard.ended).await, "hers");
    let late = bob.get(sent.id()).await;
    assert!(late.error_code().is_some(), "{}", late.answer.text());
}

#[tokio::test]
async fn secrets_are_in_no_log_no_page_no_metric_no_error_and_not_in_the_file() {
    const SECRET: &str = "s3cr3t";
    let worker = only(Mode::Poll, Version::V1).start().await;
    let mut sidecar = Conf::before(&worker.url)
        .text("headers.x-own", "s3cr3t-own")
        .head("[webhooks]\nretry_first = \"20ms\"\nretry_max = \"50ms\"\n[log]\nlevel = \"trace\"")
        .builder()
        .env("RUST_LOG", "trace")
        .start()
        .await;
    let receiver = Receiver::start().await;
    receiver.then_statuses(&[500, 500]);
    let client = sidecar
        .client(Version::V1)
        .with_header("authorization", "Bearer s3cr3t-bearer")
        .with_header("x-api-key", "s3cr3t-key")
        .with_header("cookie", "session=s3cr3t-cookie");
    let push = Push::to(receiver.url("/hook?key=s3cr3t-query"))
        .id("mine")
        .token("s3cr3t-token")
        .auth("Bearer", "s3cr3t-credentials");
    let sent = client
        .send("go", SendOptions::at_once().push(push))
        .await
        .heard();
    worker.wait_at("half").await;
    receiver.wait_for(3).await;
    let mut answers = Vec::new();
    worker.fault_times("GetTask", 2, Fault::status(500));
    client.get(sent.id()).await;
    answers.push(client.get("unknown").await.answer.text());
    answers.push(client.cancel("unknown").await.answer.text());
    let file = sidecar.store_path().unwrap();
    let wal = file.with_extension("db-wal");
    for path in [&file, &wal] {
        let bytes = std::fs::read(path).unwrap_or_default();
        assert!(!bytes.is_empty() || path == &wal, "{}", path.display());
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!found, "a secret is in {}", path.display());
    }
    sidecar.restart().await;
    worker.down().await;
    answers.push(client.send("go", SendOptions::wait()).await.answer.text());
    worker.up();
    for path in [
        "/tasks",
        &format!("/tasks/{}", sent.id()),
        "/metrics",
        "/ready",
        "/live",
    ] {
        let page = sidecar.admin_get(path).await;
        assert_eq!(page.status, 200, "{path}");
        answers.push(page.text());
    }
    worker.release("half");
    check_job(&receiver.wait_ended().await, "all the same");
    assert_eq!(
        receiver.hooks()[0].header("x-a2a-notification-token"),
        Some("s3cr3t-token")
    );
    // In good order, so that every line is written.
    sidecar.sigterm().await;
    for text in answers.iter().chain(&sidecar.log()) {
        assert!(!text.contains(SECRET), "{text}");
    }
    for kind in [
        "a2a_sidecar::call",
        "delivery.attempted",
        "worker.called",
        "TRACE",
    ] {
        let told = sidecar.log().iter().any(|line| line.contains(kind));
        assert!(told, "the log has no {kind}, and nothing to hide it in");
    }
}
