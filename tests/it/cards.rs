//! Agent cards: true of the pair, in the version that the requester reads, with addresses at which it gets an answer.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::scene::{Conf, REQUESTERS, check_job, in_every_version, only};
use crate::support::client::{Client, SendOptions};
use crate::support::http::{self, Answer};
use crate::support::protocol::Version;
use crate::support::proxy::{Sidecar, Store};
use crate::support::within;
use crate::support::worker::Mode;

const NEW: &str = ".well-known/agent-card.json";
const OLD: &str = ".well-known/agent.json";

/// A GET below the sidecar's root.
async fn get(sidecar: &Sidecar, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let url = format!("{}{path}", sidecar.url);
    http::request(Method::GET, &url, &headers, "")
        .await
        .unwrap()
        .whole()
        .await
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// What a card says about where to go: versions of 1.0 with their addresses, and the address of 0.x.
fn interfaces(card: &Value) -> Vec<(String, String)> {
    card["supportedInterfaces"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|interface| {
            let text = |name: &str| interface[name].as_str().unwrap_or_default().to_owned();
            (text("protocolVersion"), text("url"))
        })
        .collect()
}

#[tokio::test]
async fn each_version_gets_its_card_and_who_names_none_one_for_all() {
    for (mode, version) in in_every_version(&[Mode::Poll, Mode::Stream]) {
        let worker = only(mode, version).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        let who = format!("{version:?} {mode:?}");
        let hybrid = json_of(&get(&sidecar, NEW, &[]).await);
        let new = json_of(&get(&sidecar, NEW, &[("a2a-version", "1.0")]).await);
        let old = json_of(&get(&sidecar, NEW, &[("a2a-version", "0.3")]).await);
        let oldest = json_of(&get(&sidecar, OLD, &[]).await);
        // 0.x: an address of its own.
        for (card, number) in [(&old, "0.3"), (&oldest, "0.2")] {
            assert_eq!(card["url"], sidecar.url.as_str(), "{who}: {card}");
            let said = card["protocolVersion"].as_str().unwrap_or_default();
            assert!(said.starts_with(number), "{who}: {card}");
            assert_eq!(card["supportedInterfaces"], Value::Null, "{who}: {card}");
        }
        // 1.0: interfaces, and nothing of 0.x.
        assert!(
            interfaces(&new).contains(&("1.0".to_owned(), sidecar.url.clone())),
            "{who}: {new}"
        );
        assert_eq!(new["url"], Value::Null, "{who}: {new}");
        assert_eq!(new["protocolVersion"], Value::Null, "{who}: {new}");
        // Both in one.
        assert!(
            interfaces(&hybrid).contains(&("1.0".to_owned(), sidecar.url.clone())),
            "{who}: {hybrid}"
        );
        assert_eq!(hybrid["url"], sidecar.url.as_str(), "{who}: {hybrid}");
        for card in [&hybrid, &new, &old, &oldest] {
            // What the sidecar adds is on, whatever the worker lacks.
            assert_eq!(card["capabilities"]["streaming"], true, "{who}: {card}");
            assert_eq!(
                card["capabilities"]["pushNotifications"], true,
                "{who}: {card}"
            );
            assert_eq!(card["name"], "scripted worker");
            assert_eq!(card["skills"][0]["id"], "script");
        }
    }
}

#[tokio::test]
async fn the_address_in_a_card_is_one_at_which_the_requester_is_served() {
    for (mode, version) in in_every_version(&[Mode::Poll]) {
        let worker = only(mode, version).start().await;
        worker.release("half");
        let sidecar = Conf::before(&worker.url)
            .text("match.path", "/agents/one")
            .start()
            .await;
        let root = format!("{}agents/one", sidecar.url);
        for requester in REQUESTERS {
            let answer = get(
                &sidecar,
                &format!("agents/one/{NEW}"),
                &[("a2a-version", requester.number())],
            )
            .await;
            let card = json_of(&answer);
            let url = match requester {
                Version::V1 => interfaces(&card)[0].1.clone(),
                _ => card["url"].as_str().unwrap().to_owned(),
            };
            assert!(url.starts_with(&root), "{url}");
            let done = Client::new(url, requester)
                .send("go", SendOptions::wait())
                .await
                .heard();
            check_job(&done, &format!("{requester:?} of {version:?}"));
        }
    }
}

#[tokio::test]
async fn addresses_follow_the_host_or_the_public_url() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let raw = |host: &str| {
        format!(
            "GET /{NEW} HTTP/1.1\r\nhost: {host}\r\na2a-version: 0.3\r\nconnection: close\r\n\r\n"
        )
    };
    let answer = http::raw(sidecar.addr, raw("agents.example:8443").as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("http://agents.example:8443/"), "{answer}");
    let public = Conf::before(&worker.url)
        .head("[server]\npublic_url = \"https://agents.example.com/base\"")
        .text("match.path", "/one")
        .start()
        .await;
    let card = json_of(&get(&public, &format!("one/{NEW}"), &[("a2a-version", "0.3")]).await);
    let url = card["url"].as_str().unwrap();
    assert!(
        url.starts_with("https://agents.example.com/base/one"),
        "{url}"
    );
    let route = Conf::before(&worker.url)
        .text("public_url", "https://one.example.com/here")
        .start()
        .await;
    let card = json_of(&get(&route, NEW, &[("a2a-version", "1.0")]).await);
    let url = interfaces(&card)[0].1.clone();
    assert!(url.starts_with("https://one.example.com/here"), "{url}");
}

#[tokio::test]
async fn validators_save_the_second_transfer() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    for path in [NEW, OLD] {
        let first = get(&sidecar, path, &[]).await;
        let etag = first.header("etag").unwrap().to_owned();
        assert!(
            first
                .header("cache-control")
                .is_some_and(|value| value.contains("max-age="))
        );
        let modified = first.header("last-modified").unwrap().to_owned();
        for known in [etag.clone(), format!("\"other\", W/{etag}"), "*".to_owned()] {
            let again = get(&sidecar, path, &[("if-none-match", &known)]).await;
            assert_eq!(again.status, 304, "{known}");
            assert_eq!(again.body.len(), 0);
            assert_eq!(again.header("etag"), Some(etag.as_str()));
        }
        let other = get(
            &sidecar,
            path,
            &[
                ("if-none-match", "\"other\""),
                ("if-modified-since", &modified),
            ],
        )
        .await;
        assert_eq!(other.status, 200, "the tag outweighs the time");
        let old = get(
            &sidecar,
            path,
            &[("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT")],
        )
        .await;
        assert_eq!(old.status, 200);
    }
    let tag = async |headers: &[(&str, &str)]| {
        get(&sidecar, NEW, headers)
            .await
            .header("etag")
            .unwrap()
            .to_owned()
    };
    assert_ne!(
        tag(&[("a2a-version", "1.0")]).await,
        tag(&[("a2a-version", "0.3")]).await
    );
}

#[tokio::test]
async fn what_is_no_longer_true_is_taken_out_and_all_else_is_kept() {
    for version in Version::ALL {
        let worker = only(Mode::Poll, version)
            .card(json!({
                "signatures": [{ "protected": "e30", "signature": "c2ln" }],
                "vendorWord": { "deep": [1, null] },
                "capabilities": { "vendorCan": true },
                "documentationUrl": "https://docs.example/",
                "skills": [{ "id": "s", "name": "s", "description": "d", "tags": ["t"], "vendorSkill": 7 }],
            }))
            .start()
            .await;
        let sidecar = Conf::before(&worker.url).start().await;
        for headers in [
            &[][..],
            &[("a2a-version", "1.0")],
            &[("a2a-version", "0.3")],
        ] {
            let card = json_of(&get(&sidecar, NEW, headers).await);
            assert_eq!(card["signatures"], Value::Null, "{card}");
            assert_eq!(card["vendorWord"], json!({ "deep": [1, null] }), "{card}");
            assert_eq!(card["capabilities"]["vendorCan"], true, "{card}");
            assert_eq!(card["documentationUrl"], "https://docs.example/", "{card}");
            assert_eq!(card["skills"][0]["vendorSkill"], 7, "{card}");
            assert!(
                !card.to_string().contains(worker.url.trim_end_matches('/')),
                "the way past the sidecar: {card}"
            );
        }
    }
}

#[tokio::test]
async fn a_strict_route_gives_the_card_of_its_first_version() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .text("card", "strict")
        .key("serve", "[\"v0.3/jsonrpc\", \"v1.0/jsonrpc\"]")
        .start()
        .await;
    let card = json_of(&get(&sidecar, NEW, &[]).await);
    assert_eq!(card["supportedInterfaces"], Value::Null, "{card}");
    assert_eq!(card["url"], sidecar.url.as_str());
    let named = json_of(&get(&sidecar, NEW, &[("a2a-version", "1.0")]).await);
    assert_eq!(named["url"], Value::Null, "{named}");
}

#[tokio::test]
async fn what_a_route_does_not_offer_is_off_in_its_card_and_refused() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url)
        .key("offer", "[\"blocking\", \"poll\"]")
        .start()
        .await;
    for requester in REQUESTERS {
        let card = json_of(&get(&sidecar, NEW, &[("a2a-version", requester.number())]).await);
        assert_ne!(card["capabilities"]["streaming"], true, "{card}");
        assert_ne!(card["capabilities"]["pushNotifications"], true, "{card}");
        let client = sidecar.client(requester);
        let code = match client.try_stream("go", SendOptions::default()).await {
            Ok(mut stream) => stream.next().await.unwrap().error_code(),
            Err(reply) => reply.error_code(),
        };
        assert_eq!(code, Some(-32004), "{requester:?}");
        check_job(
            &client.send("go", SendOptions::wait()).await.heard(),
            "what is offered",
        );
    }
}

#[tokio::test]
async fn routes_are_told_apart_by_path_and_host() {
    let mut workers = Vec::new();
    for name in ["root", "one", "deep", "hosted"] {
        let card = json!({ "name": name });
        let worker = only(Mode::Poll, Version::V1).card(card).start().await;
        worker.release("half");
        workers.push(worker);
    }
    let routes = [
        Conf::before(&workers[0].url).text("name", "root"),
        Conf::before(&workers[1].url)
            .text("name", "one")
            .text("match.path", "/one"),
        Conf::before(&workers[2].url)
            .text("name", "deep")
            .text("match.path", "/one/deep"),
        Conf::before(&workers[3].url)
            .text("name", "hosted")
            .text("match.host", "agents.example"),
    ];
    let toml: Vec<_> = routes.iter().map(Conf::route).collect();
    let sidecar = Sidecar::builder()
        .config(&toml.join("\n"))
        .store(Store::Sqlite)
        .start()
        .await;
    let cases = [
        ("", None, "root"),
        ("one/", None, "one"),
        ("one/deep/", None, "deep"),
        // Whole segments only.
        ("onebutnot/", None, "root"),
        ("", Some("agents.example"), "hosted"),
        ("", Some("AGENTS.example:1234"), "hosted"),
        ("one/", Some("agents.example"), "one"),
    ];
    for (path, host, expected) in cases {
        let host = host.map_or_else(|| sidecar.addr.to_string(), str::to_owned);
        let raw = format!("GET /{path}{NEW} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer =
            String::from_utf8_lossy(&http::raw(sidecar.addr, raw.as_bytes()).await).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "{path} at {host}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"name\":\"{expected}\"")),
            "{path} at {host}: {answer}"
        );
    }
    for (path, at) in [("", 0), ("one", 1), ("one/deep", 2)] {
        let client = Client::new(format!("{}{path}", sidecar.url), Version::V03);
        let done = client.send("go", SendOptions::wait()).await.heard();
        check_job(&done, path);
        assert_eq!(workers[at].only_task(), done.id());
        // A task of one route is none of another.
        let other = Client::new(format!("{}one", sidecar.url), Version::V03);
        if at != 1 {
            assert!(other.get(done.id()).await.error_code().is_some());
        }
    }
}

#[tokio::test]
async fn a_worker_that_is_not_up_yet_is_asked_again_until_it_is() {
    for version in Version::ALL {
        let worker = only(Mode::Poll, version).start().await;
        worker.down().await;
        let sidecar = Conf::before(&worker.url).start().await;
        let early = get(&sidecar, NEW, &[]).await;
        assert_eq!(early.status, 502, "{}", early.text());
        assert!(!early.text().contains("127.0.0.1"), "{}", early.text());
        worker.up();
        let card = within("the card", || sidecar.log().join("\n"), async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            loop {
                looks.tick().await;
                let answer = get(&sidecar, NEW, &[]).await;
                if answer.status == 200 {
                    return json_of(&answer);
                }
            }
        })
        .await;
        assert_eq!(card["name"], "scripted worker", "{version:?}");
        worker.release("half");
        let done = sidecar
            .client(Version::V1)
            .send("go", SendOptions::wait())
            .await
            .heard();
        check_job(&done, &format!("{version:?}"));
    }
}

#[tokio::test]
async fn head_says_the_same_without_the_card() {
    let worker = only(Mode::Poll, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let url = format!("{}{NEW}", sidecar.url);
    let head = http::request(Method::HEAD, &url, &[], "")
        .await
        .unwrap()
        .whole()
        .await;
    assert_eq!(head.status, 200);
    assert_eq!(head.body.len(), 0);
    assert_eq!(
        head.header("etag"),
        get(&sidecar, NEW, &[]).await.header("etag")
    );
}
