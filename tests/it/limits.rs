//! Bounds and forms: what is too large, malformed or too much is refused before it reaches the worker; what the sidecar
//! has no business with passes as it is; what a bridge does not know it keeps.

mod keepalive;
mod passing;

use std::time::Duration;

use crate::scene::{Conf, REQUESTERS, check_job, half, only};
use crate::support::client::{Client, Reply, SendOptions};
use crate::support::protocol::{Op, Version, code};
use crate::support::proxy::Sidecar;
use crate::support::within;
use crate::support::worker::{Mode, Worker};

/// A sidecar before a worker that does its job at once.
async fn pair(conf: impl Fn(Conf) -> Conf) -> (Worker, Sidecar) {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = conf(Conf::before(&worker.url)).start().await;
    (worker, sidecar)
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const JSON_V1: [(&str, &str); 2] = [("content-type", "application/json"), ("a2a-version", "1.0")];

/// What was asked of the worker beside its card.
fn asked(worker: &Worker) -> Vec<String> {
    worker
        .requests()
        .into_iter()
        .filter(|seen| seen.op != Some(Op::Card))
        .map(|seen| seen.method)
        .collect()
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_and_goes_nowhere() {
    let (worker, sidecar) = pair(|conf| conf.head("[server]\nmax_body_bytes = \"64KiB\"")).await;
    {
        let client = sidecar.client(Version::V1);
        let refused = client
            .send(&"x".repeat(65 << 10), SendOptions::wait())
            .await;
        assert_eq!(refused.answer.status, 413, "{}", refused.answer.text());
        assert_eq!(asked(&worker), Vec::<String>::new());
        // Just below the bound it passes.
        let sent = client
            .send(&"x".repeat(63 << 10), SendOptions::wait())
            .await;
        check_job(&sent.heard(), "a body just small enough");
        assert!(asked(&worker).contains(&"SendStreamingMessage".to_owned()));
        worker.forget();
        let before = asked(&worker).len();
        // Nor does one whose length is not told in advance.
        let chunk = "x".repeat(80 << 10);
        let head =
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let raw = format!(
            "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
            chunk.len()
        );
        let answer = crate::support::http::raw(sidecar.addr, raw.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        // The connection may be reset while the rest of the body is on its way; an answer that came is a 413.
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 413"),
            "{answer}"
        );
        assert_eq!(asked(&worker).len(), before);
    }
}

#[tokio::test]
async fn a_passing_body_that_is_too_large_is_413_too() {
    let (_worker, sidecar) = pair(|conf| conf.head("[server]\nmax_body_bytes = \"64KiB\"")).await;
    let url = format!("http://{}/upload", sidecar.addr);
    let text = [("content-type".to_owned(), "text/plain".to_owned())];
    let put = |bytes: usize| {
        crate::support::http::request(http::Method::PUT, &url, &text, vec![b'x'; bytes])
    };
    let refused = put((64 << 10) + 1).await.unwrap();
    assert_eq!(refused.status, 413);
    let within = put(64 << 10).await.unwrap();
    assert_ne!(
        within.status, 413,
        "what is just small enough gets the worker's answer"
    );
}

#[tokio::test]
async fn malformed_json_is_a_parse_error_and_goes_nowhere() {
    let (worker, sidecar) = pair(|conf| conf).await;
    let client = sidecar.client(Version::V1);
    let bodies = [
        "",
        "{",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendMessage\",\"params\":{",
        "{\"jsonrpc\":\"2.0\",\"id\":1,,}",
        "hello",
    ];
    for body in bodies {
        for headers in [&JSON[..], &JSON_V1] {
            let refused = client.post_raw(body, headers).await;
            let text = refused.answer.text();
            assert_eq!(refused.error_code(), Some(code::PARSE), "{body:?}: {text}");
            assert!(refused.json["id"].is_null(), "{text}");
        }
    }
    assert_eq!(asked(&worker), Vec::<String>::new());
}

#[tokio::test]
async fn envelopes_and_params_that_are_wrong_are_refused_and_go_nowhere() {
    let (worker, sidecar) = pair(|conf| conf).await;
    let client = sidecar.client(Version::V1);
    let cases = [
        // A batch.
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}]"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}},{"jsonrpc":"2.0","id":2}]"#,
            code::INVALID_REQUEST,
        ),
        // Not JSON-RPC 2.0.
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"SendMessage","params":{}}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"id":1,"method":"message/send","params":{}}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"message/send","params":{}}"#,
            code::INVALID_REQUEST,
        ),
        // Params of another shape.
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}"#,
            code::INVALID_PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":"hi"}}"#,
            code::INVALID_PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":[]}"#,
            code::INVALID_PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":7}}"#,
            code::INVALID_PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"GetTask"}"#,
            code::INVALID_PARAMS,
        ),
    ];
    for (body, expected) in cases {
        let refused = client.post_raw(body, &JSON).await;
        assert_eq!(
            refused.error_code(),
            Some(expected),
            "{body}: {}",
            refused.answer.text()
        );
        assert_eq!(refused.answer.status, 200, "{body}");
    }
    assert_eq!(asked(&worker), Vec::<String>::new());
}

#[tokio::test]
async fn a_version_that_is_not_served_is_refused_as_such() {
    let (worker, sidecar) = pair(|conf| conf).await;
    let client = sidecar.client(Version::V1);
    let body = r#"{"jsonrpc":"2.0","id":"mine","method":"SendMessage","params":{"message":{"messageId":"1","role":"ROLE_USER","parts":[{"text":"hi"}]}}}"#;
    for version in ["9.9", "2.0", "nonsense"] {
        let headers = [
            ("content-type", "application/json"),
            ("a2a-version", version),
        ];
        let refused = client.post_raw(body, &headers).await;
        let text = refused.answer.text();
        assert_eq!(
            refused.error_code(),
            Some(code::VERSION_NOT_SUPPORTED),
            "{version}: {text}"
        );
        assert_eq!(refused.json["id"], "mine");
    }
    assert_eq!(asked(&worker), Vec::<String>::new());
    for version in ["1.0", "1.0.1", "0.3", ""] {
        let headers = [
            ("content-type", "application/json"),
            ("a2a-version", version),
        ];
        let served = client.post_raw(body, &headers).await;
        check_job(&served.heard(), version);
    }
}

#[tokio::test]
async fn what_is_too_much_is_shed_and_permits_come_back_when_streams_end() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .head("[server]\nmax_in_flight = 3")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = client.stream("go").await;
        stream.until(half).await;
        streams.push(stream);
    }
    let id = streams[0].heard.id().to_owned();
    let before = asked(&worker).len();
    for _ in 0..5 {
        let shed = client.get(&id).await;
        assert_eq!(shed.answer.status, 503, "{}", shed.answer.text());
        assert!(shed.answer.header("retry-after").is_some());
        assert!(
            shed.answer.text().contains("too many requests"),
            "{}",
            shed.answer.text()
        );
    }
    assert_eq!(asked(&worker).len(), before, "what is shed goes nowhere");
    assert_eq!(
        sidecar.metrics().await.sum("a2a_sidecar_calls_shed_total"),
        5.0
    );
    // A requester that goes away gives its permit back, though its stream is read on behind it.
    streams.pop();
    served(&client, &id).await;
    // And streams that end, all of them.
    worker.release("half");
    for stream in &mut streams {
        check_job(stream.complete().await, "a stream beside shed calls");
    }
    let again = futures_util::future::join_all((0..3).map(|_| client.get(&id))).await;
    for reply in again {
        check_job(&reply.heard(), "all permits are back");
    }
}

/// Asks until the call is served: a connection that was closed is noticed soon, not at once.
async fn served(client: &Client, id: &str) -> Reply {
    let mut tries = tokio::time::interval(Duration::from_millis(10));
    within("a permit", String::new, async {
        loop {
            tries.tick().await;
            let reply = client.get(id).await;
            if reply.answer.status == 200 {
                return reply;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_full_store_refuses_new_work_and_spoils_nothing_else() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .head("[store]\nurl = \"memory:\"\nmax_tasks = 2")
        .on_its_own_store()
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = client.stream("go").await;
        stream.until(half).await;
        streams.push(stream);
    }
    for requester in REQUESTERS {
        let client = sidecar.client(requester);
        for options in [SendOptions::wait(), SendOptions::at_once()] {
            let refused = client.send("go", options).await;
            assert_eq!(refused.answer.status, 503, "{}", refused.answer.text());
            assert!(refused.answer.header("retry-after").is_some());
            assert!(refused.error_code().is_some(), "{}", refused.answer.text());
        }
        // What passes goes on passing, and what is kept is served.
        let passed = client.post_raw("{\"hello\":1}", &JSON_V1).await;
        assert_eq!(
            passed.error_code(),
            Some(code::METHOD_NOT_FOUND),
            "the worker's own answer"
        );
        assert!(half(&client.get(streams[0].heard.id()).await.heard()));
    }
    worker.release("half");
    for stream in &mut streams {
        check_job(stream.complete().await, "kept before it was full");
    }
}
