//! What passes: methods and paths of nobody's protocol byte for byte, members that no version knows, extensions by both
//! names of their header.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::{HeaderMap, Response};
use serde_json::{Value, json};

use crate::scene::{Conf, REQUESTERS, only};
use crate::support::client::{Client, SendOptions};
use crate::support::http::{self, Body, Server};
use crate::support::protocol::{Op, Version, message};
use crate::support::worker::{Mode, Step, artifact, done, wait};

/// One request, as the stub heard it.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A server that answers any POST with these headers and bytes, and its card at the new path.
async fn stub(
    version: Version,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
) -> (Server, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let url = Arc::new(Mutex::new(String::new()));
    let told = url.clone();
    let server = Server::start(move |request: hyper::Request<Bytes>| {
        let (parts, received) = request.into_parts();
        let path = parts.uri.path().to_owned();
        if path == "/.well-known/agent-card.json" {
            let url = told.lock().unwrap().clone();
            let card = if version.is_v1() {
                json!({ "name": "stub", "description": "", "version": "1", "capabilities": {},
                    "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
                    "defaultInputModes": [], "defaultOutputModes": [], "skills": [] })
            } else {
                json!({ "name": "stub", "description": "", "version": "1", "capabilities": {}, "url": url,
                    "protocolVersion": "0.3.0", "preferredTransport": "JSONRPC",
                    "defaultInputModes": [], "defaultOutputModes": [], "skills": [] })
            };
            return std::future::ready(Ok(Response::new(Body::whole(card.to_string()))));
        }
        record.lock().unwrap().push(Seen {
            method: parts.method.to_string(),
            target: parts.uri.to_string(),
            headers: parts.headers,
            body: received,
        });
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        std::future::ready(Ok(response.body(Body::whole(body)).unwrap()))
    });
    *url.lock().unwrap() = format!("http://{}/", server.addr);
    (server, seen)
}

fn own(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn unknown_methods_pass_byte_for_byte_both_ways() {
    let answer = "{ \"jsonrpc\" : \"2.0\",\n\t\"id\":1e0, \"result\" : {\"a\":1, \"a\":2, \"n\": 1.00000000000000000001 } }\r\n";
    let (server, seen) = stub(
        Version::V1,
        418,
        &[
            ("content-type", "application/vendor+json"),
            ("x-vendor", "one"),
            ("x-vendor", "two"),
        ],
        answer,
    )
    .await;
    let sidecar = Conf::before(&format!("http://{}/", server.addr))
        .start()
        .await;
    let bodies = [
        "{ \"jsonrpc\": \"2.0\", \"id\" : 1e0, \"method\":\"vendor/doIt\", \"params\": {\"n\": 1.00000000000000000001, \"n\": 2}}\n",
        "{\"hello\": [1, 2, 3]}",
        "[1, 2, 3]",
        "\"just text\"",
    ];
    for body in bodies {
        let headers = own(&[
            ("content-type", "application/json"),
            ("x-mine", "yes"),
            ("authorization", "Bearer me"),
        ]);
        let exchange = http::request(hyper::Method::POST, &sidecar.url, &headers, body)
            .await
            .unwrap();
        let reply = exchange.whole().await;
        assert_eq!(reply.status, 418);
        assert_eq!(reply.text(), answer);
        assert_eq!(
            reply.header("content-type"),
            Some("application/vendor+json")
        );
        let vendor: Vec<_> = reply.headers.get_all("x-vendor").iter().collect();
        assert_eq!(vendor, ["one", "two"]);
        let heard = seen.lock().unwrap().pop().unwrap();
        assert_eq!(heard.body, body.as_bytes());
        assert_eq!(heard.headers["x-mine"], "yes");
        assert_eq!(heard.headers["authorization"], "Bearer me");
    }
}

#[tokio::test]
async fn other_paths_and_methods_pass_with_query_and_body() {
    let (server, seen) = stub(
        Version::V1,
        207,
        &[("content-type", "text/plain")],
        "fine\n",
    )
    .await;
    let sidecar = Conf::before(&format!("http://{}/", server.addr))
        .start()
        .await;
    let cases = [
        ("GET", "files/a%20b?x=1&y=%2F", ""),
        ("PUT", "files/c", "bytes \u{fffd}"),
        ("DELETE", "files/c?now", ""),
        ("POST", "form", "a=b&c=d"),
        ("GET", "files//double/./dots", ""),
    ];
    for (method, target, body) in cases {
        let headers = own(&[
            ("content-type", "application/x-www-form-urlencoded"),
            ("connection", "x-hop, close"),
            ("x-hop", "here"),
        ]);
        // As the client writes it, so that no URL library tidies it up.
        let mut request = format!(
            "{method} /{target} HTTP/1.1\r\nhost: agents.example\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in &headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let answer = http::raw(sidecar.addr, request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 207"), "{answer}");
        assert!(answer.ends_with("fine\n"), "{answer}");
        let heard = seen.lock().unwrap().pop().unwrap();
        assert_eq!(
            (heard.method.as_str(), heard.target.as_str()),
            (method, format!("/{target}").as_str())
        );
        assert_eq!(heard.body, body.as_bytes());
        assert_eq!(heard.headers.get("x-hop"), None, "hop by hop");
        assert_eq!(heard.headers["x-forwarded-host"], "agents.example");
    }
}

#[tokio::test]
async fn unknown_members_survive_a_bridge_to_the_worker() {
    for version in Version::ALL {
        let worker = only(Mode::Stream, version)
            .script([done("ok")])
            .start()
            .await;
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            let client = sidecar.client(requester);
            let mut said = message(requester, true, "m-1", "hi", (None, None));
            said["metadata"] = json!({ "depth": { "n": [1, null, "x"] } });
            said["vendorWord"] = json!("kept");
            said["parts"][0]["metadata"] = json!({ "part": true });
            let params = json!({ "message": said, "metadata": { "of": "the call" } });
            let reply = client.call(Op::Send, params).await;
            reply.result();
            let seen = worker.requests_of("SendStreamingMessage").pop().unwrap();
            let who = format!("{requester:?} to {version:?}: {}", seen.json);
            let got = &seen.params()["message"];
            assert_eq!(
                got["metadata"],
                json!({ "depth": { "n": [1, null, "x"] } }),
                "{who}"
            );
            assert_eq!(got["vendorWord"], "kept", "{who}");
            assert_eq!(
                got["parts"][0]["metadata"],
                json!({ "part": true }),
                "{who}"
            );
            assert_eq!(
                seen.params()["metadata"],
                json!({ "of": "the call" }),
                "{who}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_members_survive_a_bridge_to_the_requester() {
    for version in Version::ALL {
        let part = if version.is_v1() {
            json!({ "text": "x", "metadata": { "part": 1 } })
        } else {
            json!({ "kind": "text", "text": "x", "metadata": { "part": 1 } })
        };
        let mut update = json!({
            "taskId": "$TASK",
            "contextId": "$CONTEXT",
            "artifact": { "artifactId": "vendor", "parts": [part], "metadata": { "a": [1] }, "vendorWord": "kept" },
            "metadata": { "of": "the update" },
        });
        let raw = if version.is_v1() {
            json!({ "artifactUpdate": update })
        } else {
            update["kind"] = json!("artifact-update");
            update
        };
        let worker = only(Mode::Stream, version)
            .script([wait("go"), artifact("a", "x"), Step::Raw(raw), done("ok")])
            .start()
            .await;
        worker.release("go");
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            let mut stream = sidecar.client(requester).stream("go").await;
            stream.complete().await;
            let found = stream
                .events
                .iter()
                .map(|event| match requester {
                    Version::V1 => event.result()["artifactUpdate"].clone(),
                    _ => event.result().clone(),
                })
                .find(|update| update["artifact"]["artifactId"] == "vendor");
            let who = format!("{version:?} to {requester:?}: {:?}", stream.story());
            let found: Value = found.unwrap_or_else(|| panic!("{who}"));
            assert_eq!(found["artifact"]["metadata"], json!({ "a": [1] }), "{who}");
            assert_eq!(found["artifact"]["vendorWord"], "kept", "{who}");
            assert_eq!(
                found["artifact"]["parts"][0]["metadata"],
                json!({ "part": 1 }),
                "{who}"
            );
            assert_eq!(found["metadata"], json!({ "of": "the update" }), "{who}");
            // And they are kept with the task, though the worker's own no longer has them.
            let task = sidecar.client(requester).get(stream.heard.id()).await;
            let kept = task.result()["artifacts"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kept| kept["vendorWord"] == "kept");
            assert!(kept, "{who}: {}", task.result());
        }
    }
}

#[tokio::test]
async fn extensions_are_named_by_each_side_s_header_in_both_directions() {
    const URI: &str = "https://example.com/ext/v1";
    let task = |v1: bool| {
        if v1 {
            r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"id":"t-1","contextId":"c","status":{"state":"TASK_STATE_COMPLETED"}}}}"#
        } else {
            r#"{"jsonrpc":"2.0","id":1,"result":{"kind":"task","id":"t-1","contextId":"c","status":{"state":"completed"}}}"#
        }
    };
    for version in [Version::V03, Version::V1] {
        let (worker_name, other_name) = if version.is_v1() {
            ("a2a-extensions", "x-a2a-extensions")
        } else {
            ("x-a2a-extensions", "a2a-extensions")
        };
        for requester in REQUESTERS {
            let headers: &'static [_] = if version.is_v1() {
                &[
                    ("content-type", "application/json"),
                    ("a2a-extensions", URI),
                ]
            } else {
                &[
                    ("content-type", "application/json"),
                    ("x-a2a-extensions", URI),
                ]
            };
            let (server, seen) = stub(version, 200, headers, task(version.is_v1())).await;
            let sidecar = Conf::before(&format!("http://{}/", server.addr))
                .start()
                .await;
            let name = if requester.is_v1() {
                "A2A-Extensions"
            } else {
                "X-A2A-Extensions"
            };
            let options = SendOptions::wait().header(name, URI);
            let reply = Client::new(&sidecar.url, requester)
                .send("go", options)
                .await;
            let who = format!("{requester:?} of {version:?}");
            assert_eq!(
                reply.result()["id"]
                    .as_str()
                    .or_else(|| reply.result()["task"]["id"].as_str()),
                Some("t-1"),
                "{who}"
            );
            assert_eq!(reply.answer.header(name), Some(URI), "{who}");
            let heard = seen.lock().unwrap().pop().unwrap();
            assert_eq!(
                heard
                    .headers
                    .get(worker_name)
                    .map(|value| value.to_str().unwrap()),
                Some(URI),
                "{who}"
            );
            assert_eq!(heard.headers.get(other_name), None, "{who}");
        }
    }
}
