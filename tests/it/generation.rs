//! The extension for generations: numbers on tasks and events, and GetTask that waits for a newer one, for requesters that
//! ask for it by its URI.

use http::Method;
use serde_json::{Value, json};

use crate::scene::{Conf, check_job, half, only};
use crate::support::client::{Client, Reply, SendOptions};
use crate::support::http::request;
use crate::support::protocol::{Op, State, Version, code};
use crate::support::proxy::Sidecar;
use crate::support::worker::{Mode, Worker};

const URI: &str = "urn:a2a-sidecar:generation:v1";

fn header(version: Version) -> &'static str {
    if version.is_v1() {
        "a2a-extensions"
    } else {
        "x-a2a-extensions"
    }
}

/// A requester that asks for the extension, beside another that the sidecar knows nothing of.
fn asking(sidecar: &Sidecar, version: Version) -> Client {
    sidecar
        .client(version)
        .with_header(header(version), &format!("urn:other, {URI}"))
}

/// What a task or event says of its generation: epoch and number.
fn generation(value: &Value) -> (String, u64) {
    let metadata = &value["metadata"];
    let epoch = metadata[format!("{URI}/epoch")].as_str();
    let number = metadata[format!("{URI}/generation")].as_u64();
    (
        epoch
            .unwrap_or_else(|| panic!("no epoch in {value}"))
            .to_owned(),
        number.unwrap_or_else(|| panic!("no number in {value}")),
    )
}

async fn scene(version: Version) -> (Worker, Sidecar) {
    let worker = only(Mode::Stream, version).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    (worker, sidecar)
}

/// A task that has come to the middle of its job, and its reader there.
async fn halfway(client: &Client) -> (String, crate::support::events::EventReader) {
    let mut stream = client.stream("go").await;
    stream.until(half).await;
    (stream.heard.id().to_owned(), stream)
}

async fn newer_than(client: &Client, id: &str, known: Value) -> Reply {
    let mut params = json!({ "id": id });
    for (name, value) in known.as_object().expect("members") {
        params[name] = value.clone();
    }
    client.call(Op::Get, params).await
}

#[tokio::test]
async fn the_card_offers_it_and_requires_it_of_nobody() {
    let (_worker, sidecar) = scene(Version::V1).await;
    let card = sidecar.client(Version::V1).card().await;
    let card: Value = serde_json::from_slice(&card.body).unwrap();
    let extensions = card["capabilities"]["extensions"].as_array().unwrap();
    let offered = extensions.iter().find(|extension| extension["uri"] == URI);
    assert_eq!(offered.expect("it is in the card")["required"], false);
}

#[tokio::test]
async fn tasks_and_events_are_numbered_for_those_who_ask_and_for_nobody_else() {
    for version in [Version::V1, Version::V03] {
        let (worker, sidecar) = scene(version).await;
        let client = asking(&sidecar, version);
        worker.release("half");
        let mut stream = client.stream("go").await;
        let mut numbers = Vec::new();
        while let Some(event) = stream.next().await {
            let result = event.result();
            let said = if version.is_v1() {
                result.as_object().unwrap().values().next().unwrap()
            } else {
                result
            };
            let (epoch, number) = generation(said);
            // What resumes the stream is the same number.
            assert_eq!(event.id, Some(format!("{epoch}.{number}")));
            numbers.push(number);
        }
        check_job(&stream.heard, "numbered");
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(
            numbers, expected,
            "each event has its own, and none is left out"
        );

        let id = stream.heard.id();
        let read = client.get(id).await;
        assert_eq!(generation(read.result()).1, numbers.len() as u64);
        let echoed = read.answer.header(header(version)).unwrap_or_default();
        assert!(echoed.contains(URI), "{echoed:?}");
        let plain = sidecar.client(version).get(id).await;
        assert!(!plain.answer.text().contains(URI));
        assert_eq!(plain.answer.header(header(version)), None);
        // The worker is asked for what the worker may know.
        for seen in worker.requests() {
            if let Some(asked) = seen.headers.get(header(version)) {
                assert_eq!(asked, "urn:other");
            }
        }
    }
}

#[tokio::test]
async fn a_requester_that_has_the_newest_waits_for_the_next() {
    let (worker, sidecar) = scene(Version::V1).await;
    let client = asking(&sidecar, Version::V1);
    let (id, mut stream) = halfway(&client).await;
    let (epoch, number) = generation(client.get(&id).await.result());
    let known = json!({ "currentGeneration": number, "currentEpoch": epoch });
    let (changed, ()) = tokio::join!(newer_than(&client, &id, known), async {
        crate::support::within("the requester to wait", String::new, async {
            while sidecar.metrics().await.sum("a2a_sidecar_calls_in_flight") < 2.0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        worker.release("half");
    });
    let (same_epoch, newer) = generation(changed.result());
    assert_eq!(same_epoch, epoch);
    assert!(newer > number, "{newer} after {number}");
    stream.complete().await;
    // Over: there is nothing to wait for.
    let over = client.get(&id).await;
    let number = generation(over.result()).1;
    let again = newer_than(&client, &id, json!({ "currentGeneration": number })).await;
    assert_eq!(again.heard().outcome().0, Some(State::Completed));
}

#[tokio::test]
async fn a_requester_that_has_anything_else_is_answered_at_once() {
    let (worker, sidecar) = scene(Version::V1).await;
    let client = asking(&sidecar, Version::V1);
    let (id, mut stream) = halfway(&client).await;
    let (_, number) = generation(client.get(&id).await.result());
    // The job stands still, so an answer is one that did not wait.
    for known in [
        json!({ "currentGeneration": number - 1 }),
        json!({ "currentGeneration": number + 10 }),
        json!({ "currentGeneration": number.to_string(), "currentEpoch": "1" }),
    ] {
        let read = newer_than(&client, &id, known).await;
        assert_eq!(generation(read.result()).1, number);
    }
    for (member, value) in [
        ("currentGeneration", json!("latest")),
        ("currentGeneration", json!(-1)),
        ("currentEpoch", json!("never")),
    ] {
        let mut known = json!({ "currentGeneration": number });
        known[member] = value;
        let refused = newer_than(&client, &id, known).await;
        assert_eq!(refused.error_code(), Some(code::INVALID_PARAMS));
        assert!(refused.answer.text().contains(member));
    }
    // Without the extension these members mean nothing.
    let plain = sidecar.client(Version::V1);
    let read = newer_than(&plain, &id, json!({ "currentGeneration": number })).await;
    assert!(half(&read.heard()));
    worker.release("half");
    stream.complete().await;
}

#[tokio::test]
async fn it_is_the_same_over_http_json() {
    let (worker, sidecar) = scene(Version::V1).await;
    let client = asking(&sidecar, Version::V1);
    worker.release("half");
    let sent = client.send("go", SendOptions::wait()).await;
    let id = sent.heard().id().to_owned();
    let (epoch, number) = generation(&sent.result()["task"]);
    for known in [number, number - 1] {
        let url = format!(
            "{}/tasks/{id}?currentGeneration={known}&currentEpoch={epoch}",
            sidecar.url.trim_end_matches('/')
        );
        let headers = [("a2a-version", "1.0"), ("a2a-extensions", URI)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let answer = request(Method::GET, &url, &headers, "")
            .await
            .unwrap()
            .whole()
            .await;
        assert_eq!(answer.header("a2a-extensions"), Some(URI));
        let task: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(generation(&task), (epoch.clone(), number));
    }
}

#[tokio::test]
async fn a_plain_poller_over_http_json_is_told_that_nothing_has_changed() {
    let (worker, sidecar) = scene(Version::V1).await;
    let client = sidecar.client(Version::V1);
    let (id, mut stream) = halfway(&client).await;
    let read = async |path: String, tag: Option<&str>| {
        let url = format!("{}/tasks/{path}", sidecar.url.trim_end_matches('/'));
        let mut headers = vec![("a2a-version".to_owned(), "1.0".to_owned())];
        headers.extend(tag.map(|tag| ("if-none-match".to_owned(), tag.to_owned())));
        let exchange = request(Method::GET, &url, &headers, "").await;
        exchange.unwrap().whole().await
    };
    let first = read(id.clone(), None).await;
    let tag = first.header("etag").expect("a validator").to_owned();
    let same = read(id.clone(), Some(&tag)).await;
    assert_eq!((same.status.as_u16(), same.text().as_ref()), (304, ""));
    assert_eq!(same.header("etag"), Some(&*tag));
    assert_eq!(same.header("content-type"), None);
    let other = read(id.clone(), Some("\"0000000000000001.1\"")).await;
    assert_eq!(other.status, 200);

    worker.release("half");
    stream.complete().await;
    let changed = read(id.clone(), Some(&tag)).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(&*tag));
    let task: Value = serde_json::from_slice(&changed.body).unwrap();
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED");
    // Over JSON-RPC the answer is the task, whatever the requester has.
    let tag = changed.header("etag").unwrap();
    let headers = [("if-none-match".to_owned(), tag.to_owned())];
    let rpc = client
        .call_with(Op::Get, json!({ "id": id }), &headers)
        .await;
    check_job(&rpc.heard(), "over JSON-RPC");
}

#[tokio::test]
async fn lists_from_the_log_are_numbered_too() {
    let worker = only(Mode::Poll, Version::V03).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = asking(&sidecar, Version::V1);
    worker.release("half");
    let sent = client.send("go", SendOptions::wait()).await;
    let list = client.call(Op::List, json!({})).await;
    let listed = &list.result()["tasks"][0];
    assert_eq!(generation(listed), generation(&sent.result()["task"]));
    let plain = sidecar.client(Version::V1).call(Op::List, json!({})).await;
    assert!(!plain.answer.text().contains(URI));
}
