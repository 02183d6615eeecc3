//! A2A 0.1 on the requester's side, call by call. (That both sides understand each other in every mode is shown beside
//! `python_a2a`, by a sidecar that speaks 0.1 to another one.)

use hyper::Method;
use serde_json::{Value, json};

use crate::scene::Conf;
use crate::support::http::request;
use crate::support::protocol::State;
use crate::support::proxy::Sidecar;
use crate::support::receiver::Receiver;
use crate::support::worker::{Step, Worker, artifact, ask, done, status, wait, working};

/// The answer to a call, whole.
async fn call(sidecar: &Sidecar, method: &str, params: &Value) -> String {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let answer = request(Method::POST, &sidecar.url, &headers, body.to_string())
        .await
        .unwrap()
        .whole()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

async fn result(sidecar: &Sidecar, method: &str, params: &Value) -> Value {
    let text = call(sidecar, method, params).await;
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["id"], 7);
    assert!(answer.get("error").is_none(), "{answer}");
    answer["result"].take()
}

fn asked(id: &str) -> Value {
    json!({
        "id": id, "sessionId": "s",
        "message": { "role": "user", "parts": [{ "type": "text", "text": "go" }] },
    })
}

fn job() -> Vec<Step> {
    vec![
        status(State::Working),
        working("half way"),
        wait("half"),
        artifact("report", "it is done"),
        done("all done"),
    ]
}

#[tokio::test]
async fn a_send_is_answered_with_the_task_by_the_requester_s_own_id() {
    let worker = Worker::builder().script(job()).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    worker.release("half");
    let task = result(&sidecar, "tasks/send", &asked("mine")).await;
    assert_eq!(task["id"], "mine");
    assert_eq!(task["sessionId"], "s");
    assert_eq!(task["status"]["state"], "completed");
    assert_eq!(task["artifacts"][0]["index"], 0);
    assert_eq!(
        task["artifacts"][0]["parts"][0],
        json!({ "type": "text", "text": "it is done" })
    );
    assert!(
        task.get("kind").is_none() && task.get("contextId").is_none(),
        "{task}"
    );
    let worker_s_own = worker.only_task();
    assert_ne!(worker_s_own, "mine");
    // A question looks the same in later versions; its answer must not.
    let read = result(&sidecar, "tasks/get", &json!({ "id": "mine" })).await;
    assert_eq!(read, task);
}

#[tokio::test]
async fn a_stream_is_updates_and_nothing_else_and_says_its_end() {
    let worker = Worker::builder().script(job()).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    worker.release("half");
    let text = call(&sidecar, "tasks/sendSubscribe", &asked("mine")).await;
    let frames: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["result"].take())
        .collect();
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!(frame["id"], "mine");
        let is_update = frame.get("final").is_some() || frame.get("artifact").is_some();
        assert!(is_update, "{frame}");
        let is_last = index + 1 == frames.len();
        assert_eq!(
            frame.get("final") == Some(&json!(true)),
            is_last,
            "{frames:?}"
        );
    }
    let artifact = frames
        .iter()
        .find_map(|frame| frame.get("artifact"))
        .unwrap();
    assert_eq!(artifact["index"], 0);
    assert_eq!(artifact["append"], false);
    assert_eq!(frames.last().unwrap()["status"]["state"], "completed");
}

#[tokio::test]
async fn a_task_that_waits_is_continued_by_its_id() {
    let worker = Worker::builder()
        .script(vec![ask("which?")])
        .script_for("this one", vec![done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let task = result(&sidecar, "tasks/send", &asked("mine")).await;
    assert_eq!(task["status"]["state"], "input-required");
    let mut more = asked("mine");
    more["message"]["parts"][0]["text"] = json!("this one");
    let task = result(&sidecar, "tasks/send", &more).await;
    assert_eq!(task["id"], "mine");
    assert_eq!(task["status"]["state"], "completed");
    assert_eq!(worker.task_ids().len(), 1, "it was the same task");
}

#[tokio::test]
async fn a_webhook_in_the_send_is_told_the_whole_task_and_the_send_does_not_wait() {
    let worker = Worker::builder().script(job()).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let receiver = Receiver::start().await;
    let mut params = asked("mine");
    params["pushNotification"] = json!({ "url": receiver.url("/hook"), "token": "t-1" });
    let task = result(&sidecar, "tasks/send", &params).await;
    assert_ne!(task["status"]["state"], "completed");
    let config = result(
        &sidecar,
        "tasks/pushNotification/get",
        &json!({ "id": "mine" }),
    )
    .await;
    assert_eq!(config["id"], "mine");
    assert_eq!(
        config["pushNotificationConfig"]["url"],
        receiver.url("/hook")
    );
    worker.release("half");
    receiver
        .wait_until(|hooks| {
            hooks
                .iter()
                .any(|hook| hook.json["status"]["state"] == "completed")
        })
        .await;
    let hooks = receiver.hooks();
    let last = &hooks.last().unwrap().json;
    assert_eq!(last["id"], "mine");
    assert_eq!(last["artifacts"][0]["parts"][0]["text"], "it is done");
    assert!(
        hooks
            .iter()
            .all(|hook| hook.header("x-a2a-notification-token") == Some("t-1"))
    );
}
