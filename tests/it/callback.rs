//! The callback mode, both ways: requesters whose own agents are told the outcome, by python_a2a's `callback_task` and by
//! the extension, whatever the worker is; and a worker that only calls back, before requesters of every mode.

use std::collections::HashSet;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use crate::scene::{Ask, Conf, REQUESTERS, Watcher, in_every_version, only};
use crate::support::client::{Client, Reply, SendOptions};
use crate::support::http::{Answer, request};
use crate::support::protocol::{Op, State, Version, code};
use crate::support::proxy::Sidecar;
use crate::support::python_worker::{Kind, PythonWorker};
use crate::support::receiver::{Behaviour, Hook, Receiver};
use crate::support::within;
use crate::support::worker::{Mode, Worker, failed, say};

const EXTENSION: &str = "urn:a2a-sidecar:callback:v1";

const QUICK: &str =
    "[webhooks]\nretry_first = \"20ms\"\nretry_max = \"100ms\"\nattempt_timeout = \"1s\"";

/// A send that asks for a callback by the extension.
async fn send_with(client: &Client, text: &str, callback: Value) -> Reply {
    let mut params = client.params(text, &SendOptions::at_once());
    params["metadata"] = json!({ EXTENSION: callback });
    let name = if client.version.is_v1() {
        "a2a-extensions"
    } else {
        "x-a2a-extensions"
    };
    let headers = [(
        name.to_owned(),
        format!("https://other.example/x, {EXTENSION}"),
    )];
    client.call_with(Op::Send, params, &headers).await
}

/// The task of python_a2a that asks for one, sent bare as its clients do.
fn python_task(id: &str, endpoint: &str) -> Value {
    json!({
        "id": id, "sessionId": "s", "status": { "state": "submitted" },
        "message": { "content": { "text": "go", "type": "text" }, "role": "user", "message_id": "m-1" },
        "metadata": { "callback_task": {
            "endpoint": endpoint,
            "headers": { "X-Lab-Callback": "s3cr3t" },
            "data": {
                "session_id": "theirs",
                "message": { "role": "system", "content": { "type": "text", "text": "Final result" } },
            },
        }},
    })
}

async fn post(url: &str, body: &Value) -> Answer {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    request(Method::POST, url, &headers, body.to_string())
        .await
        .unwrap()
        .whole()
        .await
}

async fn send_python(sidecar: &Sidecar, id: &str, endpoint: &str) -> Value {
    let url = format!("{}a2a/tasks/send", sidecar.url);
    let answer = post(&url, &python_task(id, endpoint)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn texts(parts: &Value) -> Vec<&str> {
    let parts = parts.as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// The text of every artifact of a task of python_a2a's.
fn artifacts(task: &Value) -> Vec<&str> {
    let artifacts = task["artifacts"].as_array().into_iter().flatten();
    artifacts
        .flat_map(|artifact| texts(&artifact["parts"]))
        .collect()
}

#[track_caller]
fn check_message(hook: &Hook, task: &str, who: &str) {
    assert_eq!((hook.method.as_str(), hook.path.as_str()), ("POST", "/rpc"));
    assert_eq!(hook.header("a2a-extensions"), Some(EXTENSION), "{who}");
    assert_eq!(hook.header("a2a-version"), Some("1.0"), "{who}");
    assert_eq!(hook.header("authorization"), Some("Bearer s3cr3t"), "{who}");
    assert_eq!(hook.header("x-more"), Some("more"), "{who}");
    assert_eq!(hook.json["method"], "SendMessage", "{who}");
    let message = &hook.json["params"]["message"];
    assert_eq!(message["referenceTaskIds"], json!([task]), "{who}");
    assert_eq!(texts(&message["parts"]).concat(), "one twoshort", "{who}");
    let about = &message["metadata"][EXTENSION];
    assert_eq!(about["taskId"], task, "{who}");
    assert_eq!(about["state"], "TASK_STATE_COMPLETED", "{who}");
}

#[track_caller]
fn check_task(hook: &Hook, path: &str, outcome: &str, who: &str) {
    assert_eq!((hook.method.as_str(), hook.path.as_str()), ("POST", path));
    assert_eq!(hook.header("x-lab-callback"), Some("s3cr3t"), "{who}");
    assert_eq!(hook.json["jsonrpc"], "2.0", "{who}");
    assert_eq!(hook.json["method"], "tasks/send", "{who}");
    let task = &hook.json["params"];
    assert_eq!(task["sessionId"], "theirs", "{who}");
    assert_eq!(task["status"]["state"], "submitted", "{who}");
    assert_eq!(task["message"]["role"], "system", "{who}");
    // How many parts an artifact came in depends on how the worker told of it.
    assert_eq!(artifacts(task).concat(), outcome, "{who}: {task}");
}

#[tokio::test]
async fn a_requester_is_called_back_once_whatever_the_worker_is() {
    let runs = in_every_version(&Mode::ALL)
        .into_iter()
        .map(async |(mode, version)| {
            let who = format!("{version:?} {mode:?}");
            let worker = only(mode, version).start().await;
            let sidecar = Conf::before(&worker.url)
                .text("announce_after", "200ms")
                .start()
                .await;
            let receiver = Receiver::start().await;
            let callback = json!({
                "url": receiver.url("/rpc"),
                "headers": { "x-more": "more" },
                "authentication": { "scheme": "Bearer", "credentials": "s3cr3t" },
            });
            let mut tasks = Vec::new();
            for requester in REQUESTERS {
                let reply = send_with(&sidecar.client(requester), "go", callback.clone()).await;
                let echoed = if requester.is_v1() {
                    "a2a-extensions"
                } else {
                    "x-a2a-extensions"
                };
                let active = reply.answer.header(echoed).unwrap_or_default();
                assert!(active.contains(EXTENSION), "{who}: {active:?}");
                tasks.push(reply.heard().id().to_owned());
            }
            let python = Receiver::start().await;
            let sent = send_python(&sidecar, "mine", &python.url("/a2a/tasks/send")).await;
            assert_eq!(sent["id"], "mine", "{who}");
            assert_eq!(sent["status"]["state"], "waiting", "{who}");
            assert!(sent.get("artifacts").is_none(), "{who}: {sent}");
            worker.wait_at_with("half", 3).await;
            // Half of the job is no news to who is called back: nothing comes before the end.
            assert_eq!(
                (receiver.hooks().len(), python.hooks().len()),
                (0, 0),
                "{who}"
            );
            worker.release("half");
            let hooks = receiver.wait_for(2).await;
            for task in &tasks {
                let told: Vec<_> = hooks
                    .iter()
                    .filter(|hook| hook.json.to_string().contains(task.as_str()))
                    .collect();
                assert_eq!(told.len(), 1, "{who}");
                check_message(told[0], task, &who);
            }
            let hooks = python.wait_for(1).await;
            check_task(&hooks[0], "/tasks/send", "one twoshort", &who);
            assert_ne!(
                hooks[0].json["params"]["id"], "mine",
                "{who}: a task of its own"
            );
            // It is between requester and sidecar.
            for seen in worker.requests() {
                let asked = format!("{:?} {}", seen.headers, seen.json);
                assert!(!asked.contains("s3cr3t"), "{who}: {asked}");
                assert!(!asked.contains(EXTENSION), "{who}: {asked}");
                assert!(!asked.contains("callback_task"), "{who}: {asked}");
            }
            assert_eq!(worker.task_ids().len(), 3, "{who}: one message, one task");
        });
    join_all(runs).await;
}

#[tokio::test]
async fn an_outcome_that_comes_without_a_task_is_sent_back_as_well() {
    let worker = Worker::builder().script([say("hello")]).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let receiver = Receiver::start().await;
    let callback = json!({ "url": receiver.url("/rpc") });
    let sent = send_with(&sidecar.client(Version::V1), "go", callback).await;
    let heard = sent.heard();
    assert_eq!(heard.outcome(), (Some(State::Completed), Some("hello")));
    let hooks = receiver.wait_for(1).await;
    let message = &hooks[0].json["params"]["message"];
    assert_eq!(message["referenceTaskIds"], json!([heard.id()]));
    assert_eq!(texts(&message["parts"]), ["hello"]);
    let python = Receiver::start().await;
    let sent = send_python(&sidecar, "mine", &python.url("/a2a/tasks/send")).await;
    assert_eq!(sent["status"]["state"], "waiting");
    let hooks = python.wait_for(1).await;
    check_task(&hooks[0], "/tasks/send", "hello", "a message");
}

#[tokio::test]
async fn a_task_that_fails_is_told_as_failed() {
    let worker = Worker::builder().script([failed("it broke")]).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let receiver = Receiver::start().await;
    let callback = json!({ "url": receiver.url("/rpc"), "dialect": "v0.3/jsonrpc" });
    send_with(&sidecar.client(Version::V1), "go", callback)
        .await
        .result();
    let hooks = receiver.wait_for(1).await;
    assert_eq!(hooks[0].json["method"], "message/send");
    let message = &hooks[0].json["params"]["message"];
    assert_eq!(message["kind"], "message");
    assert_eq!(texts(&message["parts"]), ["it broke"]);
    assert_eq!(message["metadata"][EXTENSION]["state"], "TASK_STATE_FAILED");
    let python = Receiver::start().await;
    send_python(&sidecar, "mine", &python.url("/a2a/tasks/send")).await;
    let hooks = python.wait_for(1).await;
    let task = &hooks[0].json["params"];
    assert_eq!(task["status"]["state"], "failed");
    assert!(task["artifacts"].to_string().contains("it broke"), "{task}");
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_by_turns_of_the_paths() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).head(QUICK).start().await;
    let receiver = Receiver::start().await;
    receiver.then_statuses(&[500, 404, 503]);
    receiver.then([Behaviour::Close]);
    send_python(&sidecar, "mine", &receiver.url("/a2a/tasks/send")).await;
    let hooks = receiver.wait_for(5).await;
    let paths: Vec<_> = hooks.iter().map(|hook| hook.path.as_str()).collect();
    let (one, other) = ("/tasks/send", "/a2a/tasks/send");
    assert_eq!(paths, [one, other, one, other, one]);
    let ids: HashSet<_> = hooks.iter().map(|hook| hook.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "attempts at one delivery");
    assert!(hooks.iter().all(|hook| hook.body == hooks[0].body));
    check_task(&hooks[4], one, "one twoshort", "at last");
}

#[tokio::test]
async fn an_agent_that_answers_with_an_error_has_not_been_told() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).head(QUICK).start().await;
    let receiver = Receiver::start().await;
    let error =
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32603, "message": "not now" } });
    receiver.then([Behaviour::Json(error)]);
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "task": {} } });
    receiver.behave(Behaviour::Json(answer));
    let callback = json!({ "url": receiver.url("/rpc") });
    send_with(&sidecar.client(Version::V1), "go", callback)
        .await
        .result();
    let hooks = receiver.wait_for(2).await;
    assert_eq!(hooks[0].body, hooks[1].body);
    within("the record", || sidecar.log().join("\n"), async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            looks.tick().await;
            let metrics = sidecar.metrics().await;
            let labels = [("outcome", "delivered")];
            if metrics.sum_with("a2a_sidecar_webhook_attempts_total", &labels) == 1.0 {
                return;
            }
        }
    })
    .await;
    assert_eq!(receiver.hooks().len(), 2, "taken is taken");
}

#[tokio::test]
async fn a_kill_between_the_end_and_the_callback_loses_nothing_and_no_log_tells_a_secret() {
    let worker = only(Mode::Stream, Version::V1).get_task(true).start().await;
    worker.release("half");
    let mut sidecar = Conf::before(&worker.url)
        .head("[webhooks]\nretry_first = \"50ms\"\nretry_max = \"100ms\"")
        .builder()
        .env("RUST_LOG", "trace")
        .start()
        .await;
    let (receiver, python) = (Receiver::start().await, Receiver::start().await);
    receiver.respond_with(503);
    python.behave(Behaviour::Hang);
    let callback = json!({
        "url": format!("{}?key=s3cr3t-query", receiver.url("/rpc")),
        "headers": { "x-more": "more" },
        "authentication": { "scheme": "Bearer", "credentials": "s3cr3t" },
    });
    let client = sidecar.client(Version::V1);
    let sent = send_with(&client, "go", callback).await.heard();
    send_python(&sidecar, "mine", &python.url("/a2a/tasks/send")).await;
    client.poll(sent.id(), |heard| heard.ended).await;
    receiver.wait_for(1).await;
    python.wait_for(1).await;
    sidecar.kill9().await;
    let before = (receiver.hooks().len(), python.hooks().len());
    receiver.respond_with(200);
    python.respond_with(200);
    sidecar.restart().await;
    let hooks = receiver.wait_for(before.0 + 1).await;
    assert_eq!(hooks[before.0].body, hooks[0].body, "the same as before");
    assert_eq!(
        hooks[before.0].header("authorization"),
        Some("Bearer s3cr3t")
    );
    let hooks = python.wait_for(before.1 + 1).await;
    assert_eq!(hooks[before.1].body, hooks[0].body);
    // No requester is shown what another one, or it itself, has given away.
    let list = sidecar.client(Version::V1).push_list(sent.id()).await;
    assert_eq!(list.result()["configs"].as_array().map_or(0, Vec::len), 0);
    let seen = sidecar.admin_get("/tasks").await.text();
    for text in sidecar.log().iter().chain([&seen]) {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[tokio::test]
async fn agents_inside_are_not_called_unless_the_operator_allows_it() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url)
        .builder()
        .no_webhooks_here()
        .start()
        .await;
    let receiver = Receiver::start().await;
    let client = sidecar.client(Version::V1);
    for url in [
        receiver.url("/rpc"),
        "http://169.254.169.254/".to_owned(),
        "file:///x".to_owned(),
    ] {
        let refused = send_with(&client, "go", json!({ "url": url })).await;
        assert_eq!(refused.error_code(), Some(code::INVALID_PARAMS), "{url}");
        let task = python_task("mine", &url);
        let refused = post(&format!("{}a2a/tasks/send", sidecar.url), &task).await;
        assert_eq!(refused.status, 400, "{url}: {}", refused.text());
    }
    assert_eq!(worker.task_ids().len(), 0, "nothing went upstream");
    // A name is judged by the address that it turns out to have, when it is called.
    let named = receiver.url("/rpc").replace("127.0.0.1", "localhost");
    let sent = send_with(&client, "go", json!({ "url": named }))
        .await
        .heard();
    client.poll(sent.id(), |heard| heard.ended).await;
    sidecar.wait_log("delivery.attempted").await;
    let metrics = sidecar.metrics().await;
    assert_eq!(metrics.sum("a2a_sidecar_webhook_dead_total"), 1.0);
    assert_eq!(receiver.hooks().len(), 0);
}

#[tokio::test]
async fn the_card_says_what_is_offered_and_what_is_not_is_refused() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let extensions = async |sidecar: &Sidecar| {
        let card = sidecar.client(Version::V1).card().await;
        let card: Value = serde_json::from_slice(&card.body).unwrap();
        let all = card["capabilities"]["extensions"].clone();
        let own = |extension: &&Value| extension["uri"] == EXTENSION;
        all.as_array().into_iter().flatten().find(own).cloned()
    };
    let with = Conf::before(&worker.url).start().await;
    let own = extensions(&with).await.expect("it is on the card");
    assert_eq!(own["required"], false);
    assert!(own["description"].is_string());
    let without = Conf::before(&worker.url)
        .key("offer", r#"["blocking", "poll"]"#)
        .start()
        .await;
    assert_eq!(extensions(&without).await, None);
    let receiver = Receiver::start().await;
    let callback = json!({ "url": receiver.url("/rpc") });
    let refused = send_with(&without.client(Version::V1), "go", callback.clone()).await;
    assert!(refused.error_code().is_some(), "{}", refused.answer.text());
    assert_eq!(worker.task_ids().len(), 0);
    // Without the header the extension is not active, whatever the metadata says.
    let client = with.client(Version::V1);
    let mut params = client.params("go", &SendOptions::at_once());
    params["metadata"] = json!({ EXTENSION: callback });
    let plain = client.call(Op::Send, params).await;
    assert_eq!(plain.answer.header("a2a-extensions"), None);
    worker.release("half");
    client.poll(plain.heard().id(), |heard| heard.ended).await;
    // A callback that was asked for comes after anything that could have come of that.
    send_with(&client, "go", json!({ "url": receiver.url("/asked") }))
        .await
        .result();
    let hooks = receiver.wait_for(1).await;
    assert_eq!(hooks[0].path, "/asked");
}

/// A worker that only calls back, before requesters of every mode and version.
#[tokio::test]
async fn a_worker_that_only_calls_back_serves_every_requester() {
    let worker = PythonWorker::start(Kind::Callback).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let asks = REQUESTERS
        .iter()
        .flat_map(|requester| Ask::ALL.map(|ask| (*requester, ask)));
    let sending = asks.map(async |(requester, ask)| {
        let watcher = Watcher::send(ask, sidecar.client(requester), "go").await;
        (format!("{requester:?} {ask:?}"), watcher)
    });
    let mut watchers = join_all(sending).await;
    let receiver = Receiver::start().await;
    let sent = send_python(&sidecar, "mine", &receiver.url("/a2a/tasks/send")).await;
    assert_eq!(sent["status"]["state"], "waiting");
    let callback = json!({ "url": receiver.url("/rpc") });
    let extended = send_with(&sidecar.client(Version::V1), "go", callback).await;
    let jobs = watchers.len() + 2;
    worker.wait_jobs(jobs).await;
    worker.release();
    join_all(watchers.iter_mut().map(async |(who, watcher)| {
        let heard = watcher.end().await;
        assert_eq!(heard.state(), Some(State::Completed), "{who}");
        assert_eq!(heard.artifact("artifact-0"), Some("done"), "{who}");
        assert_eq!(heard.endings, 1, "{who}");
    }))
    .await;
    let hooks = receiver.wait_for(2).await;
    for hook in &hooks {
        if hook.path == "/rpc" {
            let message = &hook.json["params"]["message"];
            assert_eq!(message["referenceTaskIds"], json!([extended.heard().id()]));
            assert_eq!(texts(&message["parts"]), ["done"]);
        } else {
            check_task(hook, "/tasks/send", "done", "python");
        }
    }
    // Each at the first path, and each was given the sidecar's address and not the requester's.
    worker.wait_callbacks(jobs).await;
    let expected = vec![("/tasks/send".to_owned(), 200); jobs];
    assert_eq!(worker.callbacks(), expected);
    let endpoints: HashSet<_> = worker
        .calls()
        .iter()
        .filter(|(path, _)| path.ends_with("tasks/send"))
        .map(|(_, body)| {
            let order = &body["params"]["metadata"]["callback_task"];
            order["endpoint"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(endpoints.len(), jobs, "one address for each task");
    let base = format!("{}.a2a-sidecar/callback/", sidecar.url);
    assert!(
        endpoints.iter().all(|endpoint| endpoint.starts_with(&base)),
        "{endpoints:?}"
    );
    for log in sidecar.log() {
        assert!(
            endpoints.iter().all(|endpoint| {
                let token = endpoint[base.len()..].split('/').next().unwrap();
                !log.contains(token)
            }),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_callback_that_comes_before_the_answer_to_the_send_is_kept() {
    let worker = PythonWorker::start(Kind::Callback).await;
    worker.release();
    let sidecar = Conf::before(&worker.url).start().await;
    for requester in REQUESTERS {
        let client = sidecar.client(requester);
        let heard = client.send("go", SendOptions::wait()).await.heard();
        assert_eq!(heard.state(), Some(State::Completed), "{requester:?}");
        assert_eq!(heard.artifact("artifact-0"), Some("done"), "{requester:?}");
    }
}

#[tokio::test]
async fn a_callback_finds_its_task_after_a_kill() {
    let worker = PythonWorker::start(Kind::Callback).await;
    let mut sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = client.send("go", SendOptions::at_once()).await.heard();
    worker.wait_jobs(1).await;
    sidecar.kill9().await;
    sidecar.restart().await;
    worker.release();
    let heard = client.poll(sent.id(), |heard| heard.ended).await;
    assert_eq!(heard.state(), Some(State::Completed));
    assert_eq!(heard.artifact("artifact-0"), Some("done"));
}

#[tokio::test]
async fn a_worker_that_never_calls_back_is_given_up_in_the_end() {
    let worker = PythonWorker::start(Kind::Callback).await;
    let sidecar = Conf::before(&worker.url)
        .text("answer_timeout", "1s")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let heard = client.send("go", SendOptions::wait()).await.heard();
    assert_eq!(heard.state(), Some(State::Failed));
    let why = heard.messages.last().unwrap();
    assert!(why.contains("called back"), "{why}");
}

#[tokio::test]
async fn a_worker_that_is_polled_ignores_the_address_and_ends_as_it_does() {
    let worker = PythonWorker::start(Kind::Poll).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = client.send("go", SendOptions::at_once()).await.heard();
    worker.wait_jobs(1).await;
    worker.release();
    let heard = client.poll(sent.id(), |heard| heard.ended).await;
    assert_eq!(heard.artifact("artifact-0"), Some("done"));
}

#[tokio::test]
async fn strangers_at_the_address_are_turned_away() {
    let worker = PythonWorker::start(Kind::Callback).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let base = format!("{}.a2a-sidecar/callback/", sidecar.url);
    for path in ["/.well-known/agent.json", "/agent.json", "/tasks/send"] {
        let url = format!("{base}guessed{path}");
        let card = request(Method::GET, &url, &[], "").await.unwrap();
        assert_eq!(card.whole().await.status, 404);
    }
    let task = json!({ "id": "x", "status": { "state": "submitted" }, "artifacts": [] });
    let guessed = post(&format!("{base}guessed/tasks/send"), &task).await;
    assert_eq!(guessed.status, 404);
    assert_eq!(worker.calls().len(), 0, "nothing of it reaches the worker");
    let client = sidecar.client(Version::V1);
    let sent = client.send("go", SendOptions::at_once()).await.heard();
    worker.wait_jobs(1).await;
    let endpoint = worker
        .calls()
        .into_iter()
        .rev()
        .find_map(|(_, body)| {
            let order = &body["params"]["metadata"]["callback_task"];
            order["endpoint"].as_str().map(str::to_owned)
        })
        .unwrap();
    let nonsense = post(&endpoint, &json!(["nonsense"])).await;
    assert_eq!(nonsense.status, 400);
    let still = client.get(sent.id()).await.heard();
    assert!(!still.ended, "{still:?}");
    // The second path, and a bare task, are as good.
    let bare = json!({
        "id": "x", "status": { "state": "submitted" },
        "artifacts": [{ "parts": [{ "type": "text", "text": "bare" }] }],
    });
    let taken = post(&endpoint, &bare).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let answer: Value = serde_json::from_slice(&taken.body).unwrap();
    assert_eq!(
        (&answer["id"], &answer["status"]["state"]),
        (&json!("x"), &json!("completed"))
    );
    let heard = client.poll(sent.id(), |heard| heard.ended).await;
    assert_eq!(heard.artifact("artifact-0"), Some("bare"));
    // What comes after the end changes nothing, and is no fault of the worker's.
    let late = post(&endpoint, &task).await;
    assert_eq!(late.status, 200);
    assert_eq!(
        client.get(sent.id()).await.heard().artifact("artifact-0"),
        Some("bare")
    );
}
