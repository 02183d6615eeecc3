//! What operators are shown, and the health check of a sidecar that is well, not ready, or gone.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::{Admin, HealthError, Part, Readiness, healthcheck};
use crate::a2a::{
    Message, Part as MessagePart, PartContent, StreamResponse, Task, TaskState, TaskStatus,
};
use crate::hub::Hub;
use crate::store::{
    AttemptOutcome, MemoryStore, Principal, PushRegistration, RegistrationKind, Sealed, TaskRecord,
    WorkerLink,
};
use crate::task::{Seq, TaskKey};
use crate::telemetry::Metrics;

fn admin() -> (Admin, Hub, Readiness) {
    let hub = Hub::new(Arc::new(MemoryStore::new(100)));
    let readiness = Readiness::new();
    let (_, metrics) = Metrics::recorder();
    let routes = Arc::new(|| vec![Arc::from("one"), Arc::from("two")]);
    let admin = Admin::new(hub.clone(), readiness.clone(), metrics, routes);
    (admin, hub, readiness)
}

fn key(route: &str, id: &str) -> TaskKey {
    TaskKey {
        route: route.into(),
        tenant: Arc::default(),
        id: id.into(),
    }
}

const SECRET: &str = "what nobody else may read";

fn record(key: TaskKey, state: TaskState, at: i64) -> TaskRecord {
    let said = Message {
        parts: vec![MessagePart {
            content: PartContent::Text(SECRET.to_owned()),
            ..MessagePart::default()
        }],
        ..Message::default()
    };
    let task = Task {
        id: key.id.to_string(),
        status: TaskStatus {
            state,
            message: Some(said.clone()),
            ..TaskStatus::default()
        },
        history: vec![said],
        ..Task::default()
    };
    TaskRecord {
        key,
        epoch: 7,
        task: Arc::new(task),
        last_seq: Seq(1),
        first_seq: Seq(1),
        owner: Principal([1; 32]),
        link: Arc::new(WorkerLink {
            task_id: Some("w-1".to_owned()),
            source: "poll".to_owned(),
            credentials: Some(Sealed(SECRET.as_bytes().to_vec())),
            ..WorkerLink::default()
        }),
        created_at: at,
        updated_at: at,
    }
}

async fn get(admin: &Admin, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).body(()).unwrap();
    let response = admin.respond(&request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn ready_says_what_is_missing_until_nothing_is() {
    let (admin, _, readiness) = admin();
    let (status, body) = get(&admin, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| reason["part"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["store", "recovery", "listener"]
    );

    readiness.ready(Part::Store);
    readiness.ready(Part::Recovery);
    let (status, _) = get(&admin, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);

    readiness.ready(Part::Listener);
    let (status, body) = get(&admin, "/ready").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["ready"], true);
}

#[tokio::test]
async fn a_draining_sidecar_is_alive_and_never_ready_again() {
    let (admin, _, readiness) = admin();
    readiness.drain();
    for part in Part::ALL {
        readiness.ready(part);
    }
    let (status, body) = get(&admin, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["reasons"][0]["part"], "process");
    assert_eq!(body["reasons"][0]["reason"], "draining");
    assert_eq!(get(&admin, "/live").await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_page_lists_those_that_there_are() {
    let (admin, _, _) = admin();
    let (status, body) = get(&admin, "/healthz").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["pages"].as_array().unwrap().contains(&"/ready".into()));

    let request = Request::builder()
        .method(Method::POST)
        .uri("/ready")
        .body(())
        .unwrap();
    let response = admin.respond(&request).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, HEAD");
}

#[tokio::test]
async fn metrics_are_given_as_text() {
    let hub = Hub::new(Arc::new(MemoryStore::new(1)));
    let (recorder, metrics) = Metrics::recorder();
    metrics::with_local_recorder(&recorder, || {
        crate::telemetry::event::CallShed.emit();
    });
    let admin = Admin::new(hub, Readiness::new(), metrics, Arc::new(Vec::new));
    let request = Request::get("/metrics").body(()).unwrap();
    let response = admin.respond(&request).await;
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("a2a_sidecar_calls_shed_total 1"), "{text}");
}

#[tokio::test]
async fn tasks_are_listed_newest_first_by_pages() {
    let (admin, hub, _) = admin();
    for (route, id, state, at) in [
        ("one", "a", TaskState::Working, 1000),
        ("two", "b", TaskState::InputRequired, 2000),
        ("one", "c", TaskState::Working, 3000),
    ] {
        hub.create(record(key(route, id), state, at), Vec::new())
            .await
            .unwrap();
    }
    let ids = |body: &Value| -> Vec<String> {
        let tasks = body["tasks"].as_array().unwrap();
        tasks
            .iter()
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (status, body) = get(&admin, "/tasks").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ids(&body), ["c", "b", "a"]);
    assert_eq!(body["next"], Value::Null);
    assert_eq!(body["tasks"][0]["updated_at"], "1970-01-01T00:00:03Z");

    assert_eq!(
        ids(&get(&admin, "/tasks?route=one&state=").await.1),
        ["c", "a"]
    );
    assert_eq!(
        ids(&get(&admin, "/tasks?state=input-required").await.1),
        ["b"]
    );
    assert_eq!(
        ids(&get(&admin, "/tasks?state=TASK_STATE_WORKING").await.1),
        ["c", "a"]
    );

    let (_, first) = get(&admin, "/tasks?limit=2").await;
    assert_eq!(ids(&first), ["c", "b"]);
    let next = first["next"].as_str().unwrap();
    let (_, second) = get(&admin, &format!("/tasks?limit=2&after={next}")).await;
    assert_eq!(ids(&second), ["a"]);

    for wrong in [
        "limit=0",
        "limit=501",
        "limit=x",
        "state=done",
        "after=x",
        "rout=one",
    ] {
        let (status, body) = get(&admin, &format!("/tasks?{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(body["error"].is_string(), "{wrong}");
    }
}

#[tokio::test]
async fn a_task_is_shown_with_its_ledger_and_without_its_content() {
    let (admin, hub, _) = admin();
    let key = key("one", "a b");
    let push = PushRegistration {
        kind: RegistrationKind::Webhook,
        key: key.clone(),
        id: "p1".to_owned(),
        dialect: "v1.0/jsonrpc".to_owned(),
        config: Sealed(SECRET.as_bytes().to_vec()),
        created_at: 1000,
    };
    hub.create(record(key.clone(), TaskState::Working, 1000), vec![push])
        .await
        .unwrap();
    let claims = hub.store().claim(i64::MAX / 2, i64::MAX, 10).await.unwrap();
    hub.store()
        .finish(
            claims.taken[0].delivery.id,
            AttemptOutcome::Retry { at: 9000 },
            "HTTP 503".to_owned(),
            2000,
        )
        .await
        .unwrap();

    let (status, body) = get(&admin, "/tasks/a%20b").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["id"], "a b");
    assert_eq!(body["route"], "one");
    assert_eq!(body["state"], "TASK_STATE_WORKING");
    assert_eq!(body["source"], "poll");
    assert_eq!(body["worker_task_id"], "w-1");
    assert_eq!(body["messages"], 1);
    assert_eq!(body["push_configs"][0]["id"], "p1");
    let delivery = &body["deliveries"][0];
    assert_eq!(delivery["push_config"], "p1");
    assert_eq!(delivery["state"], "pending");
    assert_eq!(delivery["attempts"], 1);
    assert_eq!(delivery["next_attempt_at"], "1970-01-01T00:00:09Z");
    assert_eq!(delivery["last_outcome"], "HTTP 503");
    assert_eq!(body["last_events"][0]["seq"], 1);
    assert_eq!(body["last_events"][0]["kind"], "task");
    let shown = body.to_string();
    assert!(!shown.contains(SECRET), "{shown}");

    let (_, list) = get(&admin, "/tasks").await;
    assert!(!list.to_string().contains(SECRET));
}

#[tokio::test]
async fn an_id_that_several_routes_have_needs_the_route() {
    let (admin, hub, _) = admin();
    for route in ["one", "two"] {
        hub.create(record(key(route, "a"), TaskState::Working, 1), Vec::new())
            .await
            .unwrap();
    }
    let (status, body) = get(&admin, "/tasks/a").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["routes"], serde_json::json!(["one", "two"]));
    let (status, body) = get(&admin, "/tasks/a?route=two").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["route"], "two");
    assert_eq!(get(&admin, "/tasks/nope").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        get(&admin, "/tasks/a?tenant=t").await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        get(&admin, "/tasks/a?rout=one").await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn only_the_newest_events_are_shown() {
    let (admin, hub, _) = admin();
    let key = key("one", "a");
    let mut record = record(key.clone(), TaskState::Working, 1);
    record.last_seq = Seq(30);
    let event = Arc::new(StreamResponse::Task(Task::clone(&record.task)));
    hub.store()
        .create(record, vec![event; 30], Vec::new())
        .await
        .unwrap();
    let (_, body) = get(&admin, "/tasks/a").await;
    let events = body["last_events"].as_array().unwrap();
    assert_eq!(events.len(), 20);
    assert_eq!(events[0]["seq"], 11);
    assert_eq!(events[19]["seq"], 30);
}

/// A listener that gives one answer to one request.
fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (address, asked)
}

const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn healthcheck_believes_a_200() {
    let (address, asked) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    healthcheck(&address, LIMIT).unwrap();
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("GET /ready HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nConnection: close\r\n"), "{asked}");
}

#[test]
fn healthcheck_asks_over_loopback_where_every_address_is_listened_on() {
    let (address, asked) = answering("HTTP/1.1 200 OK\r\n\r\n");
    healthcheck(&address.replace("127.0.0.1", "0.0.0.0"), LIMIT).unwrap();
    let asked = asked.join().unwrap();
    assert!(asked.contains("Host: 127.0.0.1:"), "{asked}");
}

#[test]
fn healthcheck_says_why_not() {
    let (address, asked) =
        answering("HTTP/1.1 503 Service Unavailable\r\n\r\n{\n  \"ready\": false\n}\n");
    let error = healthcheck(&address, LIMIT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not ready (status 503): { \"ready\": false }"
    );
    asked.join().unwrap();

    let (address, asked) = answering("SSH-2.0-OpenSSH\r\n");
    let error = healthcheck(&address, LIMIT).unwrap_err();
    assert!(matches!(error, HealthError::NotHttp(_)), "{error}");
    asked.join().unwrap();

    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let error = healthcheck(&address, LIMIT).unwrap_err();
    assert!(matches!(error, HealthError::Unreachable { .. }), "{error}");

    for wrong in ["", "127.0.0.1", "http://127.0.0.1:9901"] {
        let error = healthcheck(wrong, LIMIT).unwrap_err();
        assert!(matches!(error, HealthError::Address(_)), "{wrong}: {error}");
    }
}
