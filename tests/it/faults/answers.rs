//! Wrong answers to a send: the requester gets an error of its own dialect, and nothing half-made stays.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use crate::scene::{Conf, REQUESTERS, only};
use crate::support::client::{Reply, SendOptions};
use crate::support::protocol::{Version, code};
use crate::support::proxy::Sidecar;
use crate::support::worker::{Fault, Mode};

/// The tasks that the sidecar keeps.
pub async fn kept(sidecar: &Sidecar) -> Vec<Value> {
    let page: Value = serde_json::from_slice(&sidecar.admin_get("/tasks").await.body).unwrap();
    page["tasks"].as_array().cloned().unwrap_or_default()
}

/// The answer to a failed send by each mode: blocking, at once, and a stream.
async fn three_sends(sidecar: &Sidecar, requester: Version) -> Vec<(u16, Value)> {
    let client = sidecar.client(requester);
    let of = |reply: Reply| (reply.answer.status.as_u16(), reply.json);
    let blocking = client.send("go", SendOptions::wait()).await;
    let at_once = client.send("go", SendOptions::at_once()).await;
    let streamed = match client.try_stream("go", SendOptions::default()).await {
        Ok(mut stream) => {
            let status = stream.head().status.as_u16();
            let event = stream.next().await.unwrap();
            assert!(stream.next().await.is_none(), "an error is the last event");
            (status, event.json)
        }
        Err(reply) => of(reply),
    };
    vec![of(blocking), of(at_once), streamed]
}

#[tokio::test]
async fn a_send_that_fails_is_an_error_of_the_requester_s_dialect() {
    // The fault, the HTTP status, the JSON-RPC code.
    let internal = -32603;
    let invalid_answer = -32006;
    let cases = [
        (Fault::status(500), 502, internal),
        (Fault::status(404), 502, internal),
        (Fault::Close, 502, internal),
        (Fault::Garbage(b"no json".to_vec()), 502, invalid_answer),
        (
            Fault::Garbage(b"{\"jsonrpc\":\"2.0\",\"id\":1}".to_vec()),
            200,
            invalid_answer,
        ),
        (Fault::Hang, 504, internal),
        (
            Fault::Rpc(-32602, "bad parts".to_owned()),
            200,
            code::INVALID_PARAMS,
        ),
        (
            Fault::Rpc(-32005, "no such content".to_owned()),
            200,
            -32005,
        ),
    ];
    let runs = cases.map(async |(fault, status, expected)| {
        let worker = only(Mode::Poll, Version::V1).start().await;
        let sidecar = Conf::before(&worker.url)
            .text("answer_timeout", "1s")
            .text("announce_after", "20s")
            .text("first_event_after", "20s")
            .start()
            .await;
        worker.fault("SendMessage", fault.clone());
        worker.fault("SendStreamingMessage", fault.clone());
        for requester in REQUESTERS {
            for (got, json) in three_sends(&sidecar, requester).await {
                let who = format!("{requester:?} {fault:?}: {got} {json}");
                assert_eq!(json["jsonrpc"], "2.0", "{who}");
                assert_eq!(json["error"]["code"], expected, "{who}");
                assert!(json["error"]["message"].is_string(), "{who}");
                assert!(
                    json["id"].is_number(),
                    "{who}: the id of the call comes back"
                );
                assert_eq!(got, status, "{who}");
            }
        }
        assert_eq!(
            kept(&sidecar).await,
            Vec::<Value>::new(),
            "{fault:?}: nothing stays"
        );
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_refusal_in_http_passes_with_its_headers() {
    for status in [401, 403, 429] {
        let worker = only(Mode::Poll, Version::V1).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        let header = if status == 429 {
            "retry-after"
        } else {
            "www-authenticate"
        };
        worker.fault(
            "SendMessage",
            Fault::Status {
                status,
                headers: vec![(header.to_owned(), "7".to_owned())],
                body: "why".to_owned(),
            },
        );
        for requester in REQUESTERS {
            let refused = sidecar
                .client(requester)
                .send("go", SendOptions::wait())
                .await;
            assert_eq!(refused.answer.status, status);
            assert_eq!(refused.answer.header(header), Some("7"));
            assert_eq!(refused.answer.text(), "why");
        }
    }
}

#[tokio::test]
async fn an_error_after_the_task_was_announced_becomes_its_end() {
    for version in Version::ALL {
        let worker = only(Mode::Blocking, version).start().await;
        let sidecar = Conf::before(&worker.url)
            .text("announce_after", "100ms")
            .text("answer_timeout", "1500ms")
            .start()
            .await;
        let client = sidecar.client(Version::V1);
        // The answer never comes.
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        let mut stream = client.subscribe(sent.id()).await;
        let heard = stream.complete().await;
        assert_eq!(heard.endings, 1, "{version:?}");
        let (state, words) = heard.outcome();
        assert_eq!(state, Some(crate::support::protocol::State::Failed));
        assert!(
            words.is_some_and(|words| words.contains("worker")),
            "{words:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_of_another_content_type_is_an_error_and_the_next_call_is_not() {
    for version in Version::ALL {
        let worker = only(Mode::Stream, version).start().await;
        worker.release("half");
        worker.fault_times(
            "SendStreamingMessage",
            1,
            Fault::ContentType("text/html".to_owned()),
        );
        let sidecar = Conf::before(&worker.url).start().await;
        let client = sidecar.client(Version::V1);
        let began = tokio::time::Instant::now();
        match client.try_stream("go", SendOptions::default()).await {
            Ok(stream) => panic!("a stream: {:?}", stream.story()),
            Err(reply) => assert!(reply.error_code().is_some(), "{}", reply.answer.text()),
        }
        assert!(began.elapsed() < Duration::from_secs(20));
        let mut stream = client.stream("go").await;
        crate::scene::check_job(stream.complete().await, &format!("{version:?}"));
    }
}

#[tokio::test]
async fn json_of_another_content_type_is_read_all_the_same() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    worker.fault("GetTask", Fault::ContentType("text/plain".to_owned()));
    worker.fault(
        "SendMessage",
        Fault::ContentType("application/a2a+json".to_owned()),
    );
    worker.release("half");
    let sidecar = Conf::before(&worker.url).start().await;
    let done = sidecar
        .client(Version::V1)
        .send("go", SendOptions::wait())
        .await
        .heard();
    crate::scene::check_job(&done, "content types");
}
