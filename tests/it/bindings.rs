//! Bindings other than JSON-RPC: what a requester sees over HTTP+JSON, call by call, and every requester's mode before a
//! worker that is spoken to in each binding. The worker is then a sidecar itself, before a worker over JSON-RPC: what the
//! official SDKs make of both halves is for the tests with real peers.

use std::sync::{Arc, Mutex};

use http::{Method, StatusCode};
use hyper::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver};

use crate::matrix::every_requester_before;
use crate::scene::{Conf, only};
use crate::support::client::SendOptions;
use crate::support::http::{Answer, Body, Server, request};
use crate::support::protocol::{State, Version};
use crate::support::proxy::Sidecar;
use crate::support::within;
use crate::support::worker::{Mode, Worker, ask, done};

const A2A_JSON: &str = "application/a2a+json";

/// A call over HTTP+JSON of 1.0.
async fn call(sidecar: &Sidecar, method: &str, path: &str, body: Value) -> Answer {
    call_with(sidecar, method, path, body, &[("a2a-version", "1.0")]).await
}

async fn call_with(
    sidecar: &Sidecar,
    method: &str,
    path: &str,
    body: Value,
    headers: &[(&str, &str)],
) -> Answer {
    let mut headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let body = if body.is_null() {
        String::new()
    } else {
        if !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), A2A_JSON.to_owned()));
        }
        body.to_string()
    };
    let method: Method = method.parse().unwrap();
    let url = format!("{}{path}", sidecar.url.trim_end_matches('/'));
    request(method, &url, &headers, body)
        .await
        .unwrap()
        .whole()
        .await
}

fn read(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {} {}", answer.status, answer.text()))
}

fn go(at_once: bool) -> Value {
    json!({
        "message": {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "go"}]},
        "configuration": {"returnImmediately": at_once},
    })
}

/// The events of a stream, without an envelope.
fn events(answer: &Answer) -> Vec<Value> {
    answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn every_operation_has_its_path_and_its_status() {
    let worker = Worker::builder()
        .script(vec![ask("which?"), done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;

    let sent = call(&sidecar, "POST", "/message:send", go(false)).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text());
    assert_eq!(sent.header("content-type"), Some(A2A_JSON));
    let task = &read(&sent)["task"];
    assert_eq!(
        task["status"]["state"],
        State::InputRequired.wire(Version::V1)
    );
    let id = task["id"].as_str().unwrap().to_owned();

    let got = call(
        &sidecar,
        "GET",
        &format!("/tasks/{id}?historyLength=0"),
        Value::Null,
    )
    .await;
    assert_eq!(read(&got)["id"], id.as_str());
    assert_eq!(read(&got).get("history"), None);

    let configs = format!("/tasks/{id}/pushNotificationConfigs");
    let made = call(
        &sidecar,
        "POST",
        &configs,
        json!({"id": "c/1", "url": "http://127.0.0.1:9/"}),
    )
    .await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text());
    assert_eq!(read(&made)["taskId"], id.as_str());
    let one = format!("{configs}/c%2F1");
    assert_eq!(
        read(&call(&sidecar, "GET", &one, Value::Null).await)["url"],
        "http://127.0.0.1:9/"
    );
    let listed = read(&call(&sidecar, "GET", &configs, Value::Null).await);
    assert_eq!(listed["configs"].as_array().unwrap().len(), 1);
    let deleted = call(&sidecar, "DELETE", &one, Value::Null).await;
    assert_eq!(
        (deleted.status, deleted.text().as_str()),
        (StatusCode::OK, "{}")
    );
    let gone = call(&sidecar, "GET", &one, Value::Null).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);

    let canceled = call(&sidecar, "POST", &format!("/tasks/{id}:cancel"), json!({})).await;
    assert_eq!(
        read(&canceled)["status"]["state"],
        State::Canceled.wire(Version::V1)
    );
    let again = call(
        &sidecar,
        "POST",
        &format!("/tasks/{id}:subscribe"),
        Value::Null,
    )
    .await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    let error = &read(&again)["error"];
    assert_eq!(error["status"], "FAILED_PRECONDITION");
    assert_eq!(error["details"][0]["reason"], "UNSUPPORTED_OPERATION");
}

#[tokio::test]
async fn a_stream_is_bare_events_that_begin_with_the_task() {
    let worker = Worker::builder()
        .script(vec![done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let stream = call(&sidecar, "POST", "/message:stream", go(false)).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let events = events(&stream);
    assert!(events[0]["task"]["id"].is_string(), "{events:?}");
    let last = events.last().unwrap();
    assert_eq!(
        last["statusUpdate"]["status"]["state"],
        State::Completed.wire(Version::V1),
        "{events:?}"
    );
}

#[tokio::test]
async fn who_speaks_of_application_json_is_answered_so() {
    let worker = Worker::builder()
        .script(vec![done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let headers = [("a2a-version", "1.0"), ("content-type", "application/json")];
    let sent = call_with(&sidecar, "POST", "/message:send", go(false), &headers).await;
    assert_eq!(sent.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_status_of_the_specification_and_reaches_no_worker() {
    let worker = Worker::builder()
        .script(vec![done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let refused = call(&sidecar, "POST", "/message:send", json!({"message": {}})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        read(&refused)["error"]["details"][0]["reason"],
        "INVALID_PARAMS"
    );
    let headers = [("a2a-version", "1.0"), ("content-type", A2A_JSON)];
    let broken = request(
        Method::POST,
        &format!("{}/message:send", sidecar.url),
        &headers.map(|(name, value)| (name.to_owned(), value.to_owned())),
        "{",
    )
    .await
    .unwrap()
    .whole()
    .await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    assert_eq!(read(&broken)["error"]["status"], "INVALID_ARGUMENT");
    let unknown = call(&sidecar, "GET", "/tasks/nobody", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(
        read(&unknown)["error"]["details"][0]["reason"],
        "TASK_NOT_FOUND"
    );
    assert_eq!(worker.task_ids().len(), 0);
}

#[tokio::test]
async fn a_tenant_in_the_path_keeps_its_tasks_to_itself() {
    let worker = Worker::builder()
        .script(vec![ask("which?"), done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let sent = call(&sidecar, "POST", "/acme/message:send", go(false)).await;
    let task = &read(&sent)["task"];
    let id = task["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", sent.text()));
    let path = format!("/tasks/{id}");
    // The worker of this test knows no tenants and shows the task to all; the log is the tenant's.
    let canceled = call(&sidecar, "POST", &format!("/acme{path}:cancel"), json!({})).await;
    assert_eq!(
        read(&canceled)["status"]["state"],
        State::Canceled.wire(Version::V1)
    );
    let seen = read(&call(&sidecar, "GET", &format!("/acme{path}"), Value::Null).await);
    assert_eq!(seen["status"]["state"], State::Canceled.wire(Version::V1));
}

#[tokio::test]
async fn the_card_lists_every_binding_at_an_address_that_answers() {
    let worker = Worker::builder()
        .script(vec![done("it is done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url).start().await;
    let card = read(&call(&sidecar, "GET", "/.well-known/agent-card.json", Value::Null).await);
    let interface = card["supportedInterfaces"]
        .as_array()
        .unwrap()
        .iter()
        .find(|interface| interface["protocolBinding"] == "HTTP+JSON")
        .unwrap_or_else(|| panic!("{card}"));
    assert_eq!(interface["protocolVersion"], "1.0");
    let url = format!(
        "{}/message:send",
        interface["url"].as_str().unwrap().trim_end_matches('/')
    );
    let headers = [
        ("a2a-version".to_owned(), "1.0".to_owned()),
        ("content-type".to_owned(), A2A_JSON.to_owned()),
    ];
    let sent = request(Method::POST, &url, &headers, go(false).to_string())
        .await
        .unwrap()
        .whole()
        .await;
    assert_eq!(
        read(&sent)["task"]["status"]["state"],
        State::Completed.wire(Version::V1)
    );
}

#[tokio::test]
async fn a_route_may_keep_http_json_alive_at_the_price_of_its_status() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let conf = Conf::before(&worker.url).text("keep_alive", "50ms");
    let sidecar = conf.key("keep_alive_http_json", "true").start().await;
    let url = format!("{}/message:send", sidecar.url.trim_end_matches('/'));
    let headers = [
        ("a2a-version".to_owned(), "1.0".to_owned()),
        ("content-type".to_owned(), A2A_JSON.to_owned()),
    ];
    let mut sent = request(Method::POST, &url, &headers, go(false).to_string())
        .await
        .unwrap();
    // The worker waits for this test: what comes before its answer can only be a space.
    assert_eq!(sent.chunk().await.unwrap().as_deref(), Some(&b" "[..]));
    assert_eq!(sent.headers["content-type"], A2A_JSON);
    worker.wait_at("half").await;
    worker.release("half");
    let task = &read(&sent.whole().await)["task"];
    assert_eq!(task["status"]["state"], State::Completed.wire(Version::V1));
}

/// Every requester's mode before a worker that is spoken to in this dialect, by this way alone. The worker is a sidecar,
/// before one over JSON-RPC.
async fn every_requester_over(dialect: &str, way: &str) {
    let worker = only(Mode::Stream, Version::V1).start().await;
    // On a loaded machine an answer may take long, and a worker that is slow is taken for one that blocks.
    let patient = |url: &str| {
        Conf::before(url)
            .text("announce_after", "20s")
            .text("first_event_after", "20s")
    };
    let first = patient(&worker.url).start().await;
    let second = patient(&first.url)
        .text("dialect", dialect)
        .key("observe", &format!("[{way:?}]"))
        .start()
        .await;
    every_requester_before(&worker, &second, None, &format!("{dialect} {way}")).await;
}

macro_rules! worker_bindings {
    ($($name:ident: $dialect:literal $way:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            every_requester_over($dialect, $way).await;
        })*
    };
}

worker_bindings! {
    every_requester_hears_all_over_http_json_of_1_0_that_streams: "v1.0/http" "stream";
    every_requester_hears_all_over_http_json_of_1_0_that_is_polled: "v1.0/http" "poll";
    every_requester_hears_all_over_http_json_of_1_0_that_pushes: "v1.0/http" "push";
    every_requester_hears_all_over_grpc_of_1_0_that_streams: "v1.0/grpc" "stream";
    every_requester_hears_all_over_grpc_of_1_0_that_is_polled: "v1.0/grpc" "poll";
    every_requester_hears_all_over_grpc_of_1_0_that_pushes: "v1.0/grpc" "push";
    every_requester_hears_all_over_grpc_of_0_3_that_streams: "v0.3/grpc" "stream";
    every_requester_hears_all_over_grpc_of_0_3_that_is_polled: "v0.3/grpc" "poll";
    every_requester_hears_all_over_grpc_of_0_3_that_pushes: "v0.3/grpc" "push";
}

/// The text of 1.0 says POST and its proto GET: some servers know only the latter.
#[tokio::test]
async fn a_worker_that_is_subscribed_to_by_get_alone_is_subscribed_to() {
    let (news, opened) = mpsc::channel(2);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (recorded, opened) = (Arc::clone(&seen), Arc::new(Mutex::new(Some(opened))));
    let worker = Server::start(move |request| {
        let line = format!("{} {}", request.method(), request.uri().path());
        recorded.lock().unwrap().push(line.clone());
        let opened = Arc::clone(&opened);
        async move { Ok(by_get_alone(&line, &opened)) }
    });
    let sidecar = Conf::before(&format!("http://{}/", worker.addr))
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let sent = client.send("go", SendOptions::at_once()).await;
    assert_eq!(sent.result()["task"]["id"], "task-1", "{}", sent.json);
    let mut watching = client.subscribe("task-1").await;
    // Only this stream ever tells of it: a question for the task is answered with the task as it began.
    let said = |state| {
        json!({"statusUpdate": {
            "taskId": "task-1", "contextId": "c", "status": {"state": state},
        }})
    };
    let report = json!({"artifactUpdate": {
        "taskId": "task-1", "contextId": "c",
        "artifact": {"artifactId": "report", "parts": [{"text": "by stream"}]},
    }});
    for event in [report, said("TASK_STATE_COMPLETED")] {
        news.send(event).await.unwrap();
    }
    let seen_so_far = || format!("{:?}", seen.lock().unwrap());
    within("the end of the stream", seen_so_far, watching.complete()).await;
    assert_eq!(watching.heard.artifact("report"), Some("by stream"));
    let seen = seen.lock().unwrap().clone();
    let subscribed: Vec<_> = seen
        .iter()
        .filter(|line| line.ends_with(":subscribe"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        subscribed,
        [
            "POST /tasks/task-1:subscribe",
            "GET /tasks/task-1:subscribe"
        ],
        "{seen:?}"
    );
}

/// A worker over HTTP+JSON with one task, whose news come from `opened`.
fn by_get_alone(line: &str, opened: &Mutex<Option<Receiver<Value>>>) -> Response<Body> {
    let answer = |status: u16, kind: &str, body: Body| {
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(body)
            .unwrap()
    };
    let json = |value: Value| answer(200, A2A_JSON, Body::whole(value.to_string()));
    let task = json!({
        "id": "task-1", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"},
    });
    match line {
        "GET /.well-known/agent-card.json" => json(json!({
            "name": "reader", "description": "Is read", "version": "1.0.0", "skills": [],
            "supportedInterfaces": [
                {"protocolBinding": "HTTP+JSON", "url": "http://reader.example/", "protocolVersion": "1.0"},
            ],
            "capabilities": {"streaming": true, "pushNotifications": false},
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        })),
        "POST /message:send" => json(json!({"task": task})),
        "GET /tasks/task-1" => json(task),
        "GET /tasks/task-1:subscribe" => {
            let (frames, body) = Body::channel();
            let opened = opened.lock().unwrap().take();
            tokio::spawn(async move {
                let frame = |value: &Value| Ok(format!("data: {value}\n\n").into());
                let _ = frames.send(frame(&json!({"task": task}))).await;
                let Some(mut opened) = opened else { return };
                while let Some(event) = opened.recv().await {
                    let _ = frames.send(frame(&event)).await;
                }
            });
            answer(200, "text/event-stream", body)
        }
        _ => answer(405, "text/plain", Body::whole("Method Not Allowed")),
    }
}
