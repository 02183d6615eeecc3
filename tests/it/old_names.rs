//! Workers whose card says 1.0 and that know the older method names only, as fasta2a 1.x and 2.0 do: found out by what
//! they answer, and not taken for such when they only stumble.

use std::sync::{Arc, Mutex};

use http::Method;
use hyper::Response;
use serde_json::{Value, json};

use crate::scene::Conf;
use crate::support::client::SendOptions;
use crate::support::http::{Body, Server};
use crate::support::protocol::Version;
use crate::support::systems::{Kind, RESULT, System};

const OLD: [&str; 2] = ["message/send", "message/stream"];

#[tokio::test]
async fn the_refused_send_is_made_again_under_the_old_name_and_the_job_done_once() {
    let system = System::start(Kind::FastA2aV1);
    let sidecar = Conf::before(&system.url).start().await;
    let client = sidecar.client(Version::V1);
    for n in 0..2 {
        let sent = client.send("please sleep", SendOptions::at_once()).await;
        let id = sent.result()["task"]["id"].as_str().unwrap().to_owned();
        system.release();
        let heard = client.poll(&id, |heard| heard.ended).await;
        assert_eq!(heard.artifact("a"), Some(RESULT));
        assert_eq!(system.tasks(), n + 1, "{:?}", system.methods());
    }
    // Asked once, and spoken to in its own words from then on.
    let methods = system.methods();
    let new = methods.iter().filter(|name| !name.contains('/'));
    assert_eq!(new.collect::<Vec<_>>(), ["SendMessage", "GetTask"]);
    sidecar.wait_log("knows none of the method names").await;
}

#[tokio::test]
async fn requesters_that_come_together_have_it_found_out_once() {
    let system = System::start(Kind::FastA2aV1);
    let sidecar = Conf::before(&system.url).start().await;
    let client = sidecar.client(Version::V1);
    for _ in 0..3 {
        system.release();
    }
    let send = || client.send("please sleep", SendOptions::wait());
    let (a, b, c) = tokio::join!(send(), send(), send());
    for answer in [a, b, c] {
        let task = &answer.result()["task"];
        assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{task}");
    }
    assert_eq!(system.tasks(), 3);
    let methods = system.methods();
    let asked = methods.iter().filter(|name| *name == "GetTask").count();
    assert_eq!(asked, 1, "{methods:?}");
}

/// Nothing is made again that has passed, but the next call is right.
#[tokio::test]
async fn a_refusal_that_passes_is_learned_from() {
    let system = System::start(Kind::FastA2aV1);
    let sidecar = Conf::before(&system.url)
        .text("observe", "off")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let refused = client.send("please sleep", SendOptions::at_once()).await;
    assert_eq!(refused.error_code(), Some(-32603), "{}", refused.json);
    assert_eq!(system.tasks(), 0);
    let sent = client.send("please sleep", SendOptions::at_once()).await;
    assert!(sent.result()["task"]["id"].is_string(), "{}", sent.json);
    assert_eq!(system.tasks(), 1);
    system.release();
}

/// What a worker says to one method.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// As Starlette answers to an exception.
    Crash,
    /// A status 500 with a body of its own.
    Own500,
    Error(i64),
}

/// A worker that claims 1.0: how it answers a send, and the question for a task by its new name and by its old one.
#[derive(Clone, Copy, Debug)]
struct Habits {
    send: Says,
    new_get: Says,
    old_get: Says,
}

fn answer(says: Says, id: &Value) -> Response<Body> {
    let (status, kind, body) = match says {
        Says::Crash => (
            500,
            "text/plain; charset=utf-8",
            "Internal Server Error".to_owned(),
        ),
        Says::Own500 => (
            500,
            "application/json",
            json!({ "detail": "why" }).to_string(),
        ),
        Says::Error(code) => {
            let error = json!({ "code": code, "message": "no" });
            let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
            (200, "application/json", body.to_string())
        }
    };
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(Body::whole(body))
        .unwrap()
}

fn card() -> Response<Body> {
    let card = json!({
        "name": "strict", "description": "Speaks 1.0", "version": "1.0.0",
        "supportedInterfaces": [{ "protocolBinding": "JSONRPC", "url": "http://strict.example/", "protocolVersion": "1.0" }],
        "skills": [], "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "capabilities": { "streaming": false, "pushNotifications": false },
    });
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::whole(card.to_string()))
        .unwrap()
}

/// The methods that such a worker is called by for one send.
async fn called_for_a_send(habits: Habits) -> Vec<String> {
    let methods = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&methods);
    let server = Server::start(move |request| {
        let seen = Arc::clone(&seen);
        async move {
            if request.method() == Method::GET {
                return Ok(card());
            }
            let call: Value = serde_json::from_slice(request.body()).unwrap();
            let method = call["method"].as_str().unwrap().to_owned();
            let says = match method.as_str() {
                "SendMessage" | "SendStreamingMessage" => habits.send,
                "GetTask" => habits.new_get,
                "tasks/get" => habits.old_get,
                _ => Says::Crash,
            };
            seen.lock().unwrap().push(method);
            Ok(answer(says, &call["id"]))
        }
    });
    let sidecar = Conf::before(&format!("http://{}", server.addr))
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let refused = client.send("go", SendOptions::wait()).await;
    assert!(
        refused.error_code().is_some(),
        "{habits:?}: {}",
        refused.json
    );
    methods.lock().unwrap().clone()
}

#[tokio::test]
async fn other_workers_that_refuse_a_send_are_not_sent_it_again() {
    let not_found = Says::Error(-32001);
    let unknown = Says::Error(-32601);
    let asked: &[&str] = &["SendMessage", "GetTask"];
    let asked_twice: &[&str] = &["SendMessage", "GetTask", "tasks/get"];
    let only_sent: &[&str] = &["SendMessage"];
    // What a worker lacks by its own word is tried in every way that it may have.
    let every_way: &[&str] = &["SendMessage", "SendMessage", "SendStreamingMessage"];
    let cases = [
        // It has stumbled over the message, and may have begun.
        (Says::Crash, not_found, unknown, asked),
        // The same of one that knows both.
        (Says::Crash, not_found, not_found, asked),
        // It cannot do anything at the moment.
        (Says::Crash, Says::Crash, Says::Crash, asked_twice),
        (Says::Crash, Says::Crash, unknown, asked_twice),
        (Says::Crash, Says::Own500, not_found, asked),
        // These refusals are none of fasta2a's: nothing is asked.
        (unknown, unknown, not_found, every_way),
        (Says::Own500, Says::Own500, not_found, only_sent),
    ];
    for (send, new_get, old_get, expected) in cases {
        let habits = Habits {
            send,
            new_get,
            old_get,
        };
        let methods = called_for_a_send(habits).await;
        assert_eq!(methods, expected, "{habits:?}");
        assert!(
            OLD.iter()
                .all(|old| !methods.iter().any(|name| name == old))
        );
    }
}

/// The operator's word stands, whatever the worker answers.
#[tokio::test]
async fn a_worker_that_is_named_stays_what_it_is_named() {
    let system = System::start(Kind::FastA2aV1);
    let sidecar = Conf::before(&system.url)
        .text("dialect", "v1.0/jsonrpc")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let refused = client.send("please sleep", SendOptions::wait()).await;
    assert!(refused.error_code().is_some(), "{}", refused.json);
    assert_eq!(system.tasks(), 0);
    let methods = system.methods();
    assert!(
        methods.iter().all(|name| !name.contains('/')),
        "{methods:?}"
    );
}
