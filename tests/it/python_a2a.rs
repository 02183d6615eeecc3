//! The dialect of the library `python_a2a`, as its clients write it before workers of today, and with workers that are
//! written with it before requesters of today. (The library itself is among the peers.)

use hyper::Method;
use serde_json::{Value, json};

use crate::matrix::every_requester_hears;
use crate::scene::{Conf, only};
use crate::support::http::{Answer, request};
use crate::support::protocol::{State, Version};
use crate::support::proxy::Sidecar;
use crate::support::python_worker::{Kind, PythonWorker};
use crate::support::worker::{Mode, Worker, done, failed, status, wait, working};

async fn post(sidecar: &Sidecar, path: &str, body: &Value) -> Answer {
    post_with(sidecar, path, body, &[]).await
}

async fn post_with(
    sidecar: &Sidecar,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
    for (name, value) in headers {
        all.push(((*name).to_owned(), (*value).to_owned()));
    }
    let url = format!("{}{path}", sidecar.url.trim_end_matches('/'));
    request(Method::POST, &url, &all, body.to_string())
        .await
        .unwrap()
        .whole()
        .await
}

/// A call as the library's client writes it.
fn call(params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/send", "params": params })
}

/// The task that `send_message` makes of a text: an id of its own at every try, the message's always the same.
fn asked(id: &str, message_id: &str) -> Value {
    json!({
        "id": id, "sessionId": "s",
        "status": { "state": "submitted", "timestamp": "2026-11-20T08:43:53.116622" },
        "message": { "content": { "text": "go", "type": "text" }, "role": "user", "message_id": message_id },
    })
}

#[track_caller]
fn read(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {} {}", answer.status, answer.text()))
}

#[track_caller]
fn result(answer: &Answer) -> Value {
    let mut read = read(answer);
    assert_eq!(answer.status, 200, "{read}");
    assert_eq!(read["id"], 1, "{read}");
    read["result"].take()
}

/// The frames of a stream, which has nothing but data, comments and ids.
fn frames(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    assert!(!text.contains('\r'), "the client splits at LF only");
    assert!(!text.contains("event:"), "{text}");
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn states(frames: &[Value]) -> Vec<&str> {
    frames
        .iter()
        .map(|frame| frame["status"]["state"].as_str().unwrap())
        .collect()
}

fn job() -> Vec<crate::support::worker::Step> {
    vec![
        status(State::Working),
        working("half way"),
        wait("half"),
        crate::support::worker::artifact("report", "it is done"),
        done("all done"),
    ]
}

async fn modern() -> Worker {
    Worker::builder().script(job()).start().await
}

#[tokio::test]
async fn a_caller_who_waits_is_given_the_outcome_and_its_repeats_are_one_job() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let tries = [
        ("/tasks/send", "try-1"),
        ("/a2a/tasks/send", "try-1"),
        ("/a2a/tasks/send", "try-2"),
        ("/a2a/a2a/tasks/send", "try-2"),
        ("/tasks/send", "try-3"),
    ];
    let first = {
        let body = call(&asked(tries[0].1, "m-1"));
        let url = format!("{}tasks/send", sidecar.url);
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        tokio::spawn(async move {
            // The client has given up on it before it was answered.
            let exchange = request(Method::POST, &url, &headers, body.to_string());
            drop(exchange.await);
        })
    };
    worker.wait_at("half").await;
    first.abort();
    let joined = futures_util::future::join_all(
        tries[1..]
            .iter()
            .map(async |(path, id)| post(&sidecar, path, &call(&asked(id, "m-1"))).await),
    );
    let released = async {
        // They wait; nobody has been told anything before this.
        worker.release("half");
    };
    let (answers, ()) = tokio::join!(joined, released);
    for answer in &answers {
        let task = result(answer);
        assert_eq!(task["status"]["state"], "completed", "{task}");
        assert_eq!(
            task["artifacts"][0]["parts"][0],
            json!({ "type": "text", "text": "it is done" })
        );
    }
    assert_eq!(worker.task_ids().len(), 1, "one message is one job");
    // It has been answered: by the same id it is another one now.
    let again = result(&post(&sidecar, "/tasks/send", &call(&asked("try-9", "m-1"))).await);
    assert_eq!(again["id"], "try-9");
    assert_eq!(worker.task_ids().len(), 2);
}

#[tokio::test]
async fn a_caller_who_waits_is_kept_by_spaces() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url)
        .text("keep_alive", "100ms")
        .start()
        .await;
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let body = call(&asked("t", "m")).to_string();
    let mut asking = request(
        Method::POST,
        &format!("{}tasks/send", sidecar.url),
        &headers,
        body,
    )
    .await
    .unwrap();
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.extend(asking.chunk().await.unwrap().unwrap());
    }
    assert!(heard.iter().all(|byte| *byte == b' '), "{heard:?}");
    worker.release("half");
    assert_eq!(
        result(&asking.whole().await)["status"]["state"],
        "completed"
    );
}

#[tokio::test]
async fn a_poller_is_answered_at_once_and_sees_only_the_states_that_it_knows() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let task = json!({ "id": "mine", "sessionId": "s", "message": { "content": "go" } });
    let sent = result(&post(&sidecar, "/tasks/send", &call(&task)).await);
    assert_eq!(sent["id"], "mine");
    assert_eq!(sent["sessionId"], "s");
    assert!(["submitted", "waiting"].contains(&sent["status"]["state"].as_str().unwrap()));
    worker.wait_at("half").await;
    let ask = call(&json!({ "id": "mine", "historyLength": 0 }));
    loop {
        let now = result(&post(&sidecar, "/tasks/get", &ask).await);
        assert_eq!(now["id"], "mine");
        if now["status"]["state"] == "waiting" && now["status"]["message"].is_object() {
            assert_eq!(now["status"]["message"]["parts"][0]["text"], "half way");
            break;
        }
    }
    worker.release("half");
    let end = loop {
        let now = result(&post(&sidecar, "/a2a/tasks/get", &ask).await);
        match now["status"]["state"].as_str().unwrap() {
            "waiting" | "submitted" => {}
            _ => break now,
        }
    };
    assert_eq!(end["status"]["state"], "completed");
    assert_eq!(end["artifacts"][0]["parts"][0]["text"], "it is done");
    // The worker was given the text, whatever form it was in.
    assert!(
        worker
            .requests()
            .iter()
            .any(|call| call.json.to_string().contains("\"go\""))
    );
}

#[tokio::test]
async fn a_bare_task_is_answered_bare_and_at_once() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let sent = post(&sidecar, "/a2a/tasks/send", &asked("mine", "m")).await;
    let task = read(&sent);
    assert_eq!(task["id"], "mine", "{task}");
    assert!(task.get("jsonrpc").is_none());
    let got = read(&post(&sidecar, "/a2a/tasks/get", &json!({ "id": "mine" })).await);
    assert_eq!(got["id"], "mine");
    let unknown = post(&sidecar, "/a2a/tasks/get", &json!({ "id": "nobody" })).await;
    assert_eq!(unknown.status, 404);
    assert!(
        read(&unknown)["error"]
            .as_str()
            .unwrap()
            .starts_with("Task not found")
    );
    worker.release("half");
}

#[tokio::test]
async fn who_would_rather_not_wait_says_so_in_http() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let headers = [("prefer", "respond-async")];
    let sent = post_with(
        &sidecar,
        "/tasks/send",
        &call(&asked("mine", "m")),
        &headers,
    )
    .await;
    assert!(result(&sent).get("artifacts").is_none());
    worker.release("half");
}

#[tokio::test]
async fn a_stream_shows_the_whole_task_after_every_change() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    worker.release("half");
    for path in ["/a2a/tasks/stream", "/tasks/stream"] {
        let id = format!("mine{}", path.len());
        let answer = post(&sidecar, path, &asked(&id, "m")).await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let frames = frames(&answer);
        let states = states(&frames);
        assert_eq!(states[0], "submitted", "{states:?}");
        assert!(states.contains(&"waiting"), "{states:?}");
        assert_eq!(
            states.iter().filter(|state| **state == "completed").count(),
            1
        );
        let last = frames.last().unwrap();
        assert_eq!(last["status"]["state"], "completed");
        assert_eq!(last["artifacts"][0]["parts"][0]["text"], "it is done");
        for frame in &frames {
            assert_eq!(frame["id"], id.as_str(), "every frame is the whole task");
            // In the form in which it was asked.
            assert_eq!(
                frame["message"]["content"],
                json!({ "type": "text", "text": "go" })
            );
        }
    }
}

#[tokio::test]
async fn a_resubscription_begins_with_the_task_as_it_stands() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    result(
        &post(
            &sidecar,
            "/tasks/send",
            &call(&json!({ "id": "mine", "message": { "content": "go" } })),
        )
        .await,
    );
    worker.wait_at("half").await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/resubscribe", "params": { "id": "mine" } });
    let (answer, ()) = tokio::join!(post(&sidecar, "/tasks/stream", &body), async {
        worker.release("half");
    });
    let frames = frames(&answer);
    assert_eq!(frames[0]["id"], "mine");
    assert_eq!(frames.last().unwrap()["status"]["state"], "completed");
}

#[tokio::test]
async fn errors_come_with_a_status_that_says_so() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let unknown = post(&sidecar, "/tasks/get", &call(&json!({ "id": "nobody" }))).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(read(&unknown)["error"]["code"], -32000);
    let nothing = post(&sidecar, "/tasks/send", &call(&json!({ "id": "t" }))).await;
    assert_eq!(nothing.status, 400);
    assert_eq!(read(&nothing)["error"]["code"], -32602);
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let broken = request(
        Method::POST,
        &format!("{}tasks/send", sidecar.url),
        &headers,
        "{",
    )
    .await
    .unwrap()
    .whole()
    .await;
    assert_eq!(broken.status, 400);
    assert_eq!(worker.task_ids().len(), 0);
}

#[tokio::test]
async fn a_failure_is_an_answer_and_no_reason_to_send_again() {
    let worker = Worker::builder()
        .script(vec![failed("out of cheese")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let task = result(&post(&sidecar, "/tasks/send", &call(&asked("t", "m"))).await);
    assert_eq!(task["status"]["state"], "failed");
    assert_eq!(
        task["artifacts"][0]["parts"][0],
        json!({ "type": "data", "data": { "error": "out of cheese" } })
    );
}

#[tokio::test]
async fn a_used_id_is_another_life_of_the_task_and_nobody_else_s() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    worker.release("half");
    for message in ["m-1", "m-2"] {
        let task = result(&post(&sidecar, "/tasks/send", &call(&asked("mine", message))).await);
        assert_eq!(task["id"], "mine");
        assert_eq!(task["status"]["state"], "completed");
        assert_eq!(task["artifacts"].as_array().unwrap().len(), 1, "{task}");
    }
    assert_eq!(worker.task_ids().len(), 2);
    let other = [("authorization", "Bearer other")];
    let taken = post_with(
        &sidecar,
        "/tasks/send",
        &call(&asked("mine", "m-3")),
        &other,
    )
    .await;
    assert_eq!(taken.status, 400, "{}", taken.text());
    assert_eq!(worker.task_ids().len(), 2);
}

#[tokio::test]
async fn the_client_finds_a_card_that_streams() {
    let worker = modern().await;
    let sidecar = Conf::before(&worker.url).start().await;
    for path in ["agent.json", "a2a/agent.json", ".well-known/agent.json"] {
        let answer = request(Method::GET, &format!("{}{path}", sidecar.url), &[], "")
            .await
            .unwrap()
            .whole()
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(read(&answer)["capabilities"]["streaming"], true, "{path}");
    }
    // Nobody is told of the paths who would not know what to do there.
    let url = format!("{}.well-known/agent-card.json", sidecar.url);
    let card = request(Method::GET, &url, &[], "").await.unwrap();
    let card = read(&card.whole().await);
    assert!(!card.to_string().contains("PATHS"), "{card}");
}

/// What a requester of 1.0 in every mode makes of a worker of the library.
async fn modern_requesters_before(kind: Kind) {
    let worker = PythonWorker::start(kind).await;
    let sidecar = Conf::before(&worker.url)
        .text("announce_after", "200ms")
        .text("first_event_after", "200ms")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let blocking = client.send("go", crate::support::client::SendOptions::wait());
    let polling = async {
        let options = crate::support::client::SendOptions::at_once();
        let sent = client.send("go", options).await.heard();
        client.poll(sent.id(), |heard| heard.ended).await
    };
    let streaming = async {
        let mut stream = client.stream("go").await;
        stream.complete().await.clone()
    };
    let release = async {
        worker.wait_jobs(3).await;
        worker.release();
    };
    let (blocked, polled, streamed, ()) = tokio::join!(blocking, polling, streaming, release);
    for (who, heard) in [
        ("blocking", blocked.heard()),
        ("poll", polled),
        ("stream", streamed),
    ] {
        assert_eq!(heard.state(), Some(State::Completed), "{kind:?} {who}");
        assert_eq!(heard.artifact("artifact-0"), Some("done"), "{kind:?} {who}");
    }
    assert_eq!(worker.jobs(), 3, "{kind:?}: one message is one job");
    assert!(!worker.was_harmed(), "{kind:?}: {:?}", worker.calls());
    // Every task of the worker's has an id that nobody else has.
    let mut ids: Vec<_> = worker
        .calls()
        .into_iter()
        .filter(|(path, _)| path.ends_with("/send"))
        .map(|(_, body)| body["params"]["id"].to_string())
        .collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[tokio::test]
async fn a_worker_that_is_polled_serves_every_requester() {
    modern_requesters_before(Kind::Poll).await;
}

#[tokio::test]
async fn a_worker_that_blocks_serves_every_requester() {
    modern_requesters_before(Kind::Blocking).await;
}

#[tokio::test]
async fn a_worker_with_a_stream_route_of_its_own_serves_every_requester() {
    modern_requesters_before(Kind::Stream).await;
}

#[tokio::test]
async fn the_job_of_a_stream_goes_on_when_its_requester_has_gone() {
    let worker = PythonWorker::start(Kind::Stream).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let mut stream = client.stream("go").await;
    stream.next().await;
    let id = stream.heard.id().to_owned();
    drop(stream);
    worker.release();
    let heard = client.poll(&id, |heard| heard.ended).await;
    assert_eq!(heard.artifact("artifact-0"), Some("done"));
}

#[tokio::test]
async fn a_task_that_only_a_stream_knows_can_be_canceled_all_the_same() {
    let worker = PythonWorker::start(Kind::Stream).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = client
        .send("go", crate::support::client::SendOptions::at_once())
        .await
        .heard();
    let canceled = client.cancel(sent.id()).await.heard();
    assert_eq!(canceled.state(), Some(State::Canceled));
    worker.release();
    assert_eq!(
        client.get(sent.id()).await.heard().state(),
        Some(State::Canceled)
    );
}

/// Every requester's mode before a sidecar that speaks this dialect to another one.
async fn every_requester_over(dialect: &str, way: &str) {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let first = Conf::before(&worker.url).start().await;
    let second = Conf::before(&first.url)
        .text("dialect", dialect)
        .key("observe", &format!("[{way:?}]"))
        .start()
        .await;
    every_requester_hears(&worker, &second, None, false, &format!("{dialect} {way}")).await;
}

#[tokio::test]
async fn every_requester_hears_all_by_way_of_python_a2a_that_streams() {
    every_requester_over("python-a2a", "stream").await;
}

#[tokio::test]
async fn every_requester_hears_all_by_way_of_python_a2a_that_is_polled() {
    every_requester_over("python-a2a", "poll").await;
}

#[tokio::test]
async fn every_requester_hears_all_by_way_of_0_1_that_streams() {
    every_requester_over("v0.1/jsonrpc", "stream").await;
}

#[tokio::test]
async fn every_requester_hears_all_by_way_of_0_1_that_is_polled() {
    every_requester_over("v0.1/jsonrpc", "poll").await;
}
