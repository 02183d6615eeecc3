//! What real peers wrote on the wire, through the codecs and back.
//!
//! `tests/fixtures/{v0_2,v0_3,v1_0}` hold calls, answers, frames, webhooks, errors and cards as the SDKs sent
//! them; each is decoded and encoded again in its own dialect, and by way of every other. `tests/fixtures/cross`
//! holds the same value in two dialects, written by hand from the specifications.

#[path = "golden/samples.rs"]
mod samples;

use a2a_sidecar::a2a::card::{self, CardPlan, Served, WorkerCard};
use a2a_sidecar::a2a::dialect::{self, jsonrpc};
use a2a_sidecar::a2a::{Dialect, Operation, Request, StreamResponse, Task, Version};
use serde_json::{Value, json};

use samples::{Sample, bytes, fixtures, normal, samples_of};

const VERSIONS: [(&str, Version); 3] = [
    ("v0_2", Version::V0_2),
    ("v0_3", Version::V0_3),
    ("v1_0", Version::V1_0),
];

/// Every sample of this kind, of which each version has some.
fn samples(kind: &str) -> Vec<Sample> {
    let mut found = Vec::new();
    for (folder, version) in VERSIONS {
        let of_version = samples_of(folder, Dialect::jsonrpc(version), kind);
        assert!(!of_version.is_empty(), "no {kind} of {folder}");
        found.extend(of_version);
    }
    found
}

fn dialects() -> impl Iterator<Item = Dialect> {
    VERSIONS
        .iter()
        .map(|(_, version)| Dialect::jsonrpc(*version))
}

/// The only ways in which a value may differ after decoding and encoding in its own dialect:
///
/// - members that are `null`, `false` (`append`, `lastChunk`) or an empty list are the same as absent ones;
/// - a timestamp is the same as another of the same moment.
fn absent(name: &str, value: &Value) -> bool {
    let optional_flag = matches!(name, "append" | "lastChunk");
    value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || optional_flag && *value == Value::Bool(false)
}

#[track_caller]
fn assert_same(place: &str, got: &Value, wanted: &Value) {
    assert_eq!(normal(got, absent), normal(wanted, absent), "{place}");
}

fn operation(method: &str) -> Operation {
    jsonrpc::classify(method).unwrap().1
}

#[test]
fn calls_survive_their_own_dialect_and_every_other() {
    let mut unnamed = 0;
    for Sample {
        place,
        dialect,
        value: sample,
    } in samples("call")
    {
        let body = bytes(&sample["call"]);
        let call = jsonrpc::decode_call(&body).unwrap();
        let (version, operation) = jsonrpc::classify(&call.method).unwrap();
        assert_eq!(version.is_v0(), dialect.version.is_v0(), "{place}");
        let request = dialect.decode_request(operation, call.params).unwrap();
        let (method, params) = dialect.encode_request(&request);
        let again: Value =
            serde_json::from_slice(&jsonrpc::encode_call(call.id, method, &params)).unwrap();
        assert_same(&place, &again, &sample["call"]);
        for other in dialects() {
            // 0.x may ask for "the" registration of a task; 1.0 must name one.
            if matches!(&request, Request::GetPushConfig(get) if get.id.is_none())
                && !other.version.is_v0()
            {
                unnamed += 1;
                continue;
            }
            let (_, params) = other.encode_request(&request);
            let via = other.decode_request(operation, &bytes(&params)).unwrap();
            assert_eq!(via, request, "{place} by way of {other}");
        }
    }
    assert_eq!(unnamed, 1, "only the 0.2 SDK's get names no registration");
}

#[test]
fn answers_survive_their_own_dialect_and_every_other() {
    for Sample {
        place,
        dialect,
        value: sample,
    } in samples("answer")
    {
        let Some(method) = sample["method"].as_str() else {
            panic!("{place}: an answer without a method");
        };
        let operation = operation(method);
        let result = jsonrpc::decode_response(&bytes(&sample["answer"]))
            .unwrap()
            .unwrap();
        let wanted = result.clone();
        let answer = dialect.decode_answer(operation, result).unwrap();
        assert_same(&place, &dialect.encode_answer(operation, &answer), &wanted);
        let canonical = Dialect::jsonrpc(Version::V1_0);
        for other in dialects() {
            let via = other
                .decode_answer(operation, other.encode_answer(operation, &answer))
                .unwrap();
            assert_same(
                &format!("{place} by way of {other}"),
                &canonical.encode_answer(operation, &via),
                &canonical.encode_answer(operation, &answer),
            );
        }
    }
}

#[test]
fn frames_survive_their_own_dialect_and_every_other() {
    for Sample {
        place,
        dialect,
        value: sample,
    } in samples("frame")
    {
        let frame = jsonrpc::decode_response(&bytes(&sample["frame"]))
            .unwrap()
            .unwrap();
        let (event, last) = dialect.decode_event(frame.clone()).unwrap();
        let said = frame["final"].as_bool().unwrap_or_default();
        assert_eq!(last, said, "{place}");
        assert_same(&place, &dialect.encode_event(&event, last), &frame);
        let canonical = Dialect::jsonrpc(Version::V1_0);
        for other in dialects() {
            let (via, _) = other
                .decode_event(other.encode_event(&event, true))
                .unwrap();
            assert_same(
                &format!("{place} by way of {other}"),
                &canonical.encode_event(&via, true),
                &canonical.encode_event(&event, true),
            );
        }
    }
}

#[test]
fn webhooks_are_read_whatever_version_they_are_in() {
    for Sample {
        place,
        dialect,
        value: sample,
    } in samples("webhook")
    {
        let posted = &sample["webhook"];
        let event = dialect::decode_webhook(&bytes(posted)).unwrap();
        // The Python SDK's 1.0 posts its own form to 0.3 registrations.
        let posts_v1 = !dialect.version.is_v0() || place.starts_with("v0_3/py-compat");
        let (written, media_type) = if posts_v1 {
            Dialect::jsonrpc(Version::V1_0).encode_webhook(&event, &Task::default())
        } else {
            let StreamResponse::Task(task) = &event else {
                panic!("{place}: 0.x workers post tasks");
            };
            dialect.encode_webhook(&event, task)
        };
        let wanted = if posts_v1 {
            "application/a2a+json"
        } else {
            "application/json"
        };
        assert_eq!(media_type, wanted, "{place}");
        assert_same(&place, &serde_json::from_slice(&written).unwrap(), posted);
    }
}

#[test]
fn errors_mean_what_their_peers_meant() {
    for Sample {
        place,
        dialect,
        value: sample,
    } in samples("error")
    {
        let error = jsonrpc::decode_response(&bytes(&sample["error"]))
            .unwrap()
            .unwrap_err();
        let decoded = jsonrpc::decode_error(dialect, &error);
        let when = sample["when"].as_str().unwrap();
        assert_eq!(
            format!("{:?}", decoded.kind),
            sample["kind"],
            "{place} {when}"
        );
        assert_eq!(decoded.message, error["message"], "{place} {when}");
        let written = jsonrpc::error_object(dialect, &decoded);
        if dialect.version == Version::V1_0 && error.get("data").is_some() {
            assert_eq!(written, error, "{place} {when}");
        }
        let again = jsonrpc::decode_error(dialect, &written);
        if decoded.kind != a2a_sidecar::a2a::error::ErrorKind::VersionNotSupported {
            assert_eq!(again.kind, decoded.kind, "{place} {when}");
        }
    }
}

#[test]
fn cards_are_understood_and_rewritten_to_themselves() {
    let base = url::Url::parse("http://127.0.0.1:21510/.well-known/agent-card.json").unwrap();
    for Sample {
        place,
        dialect,
        value: sample,
    } in samples("card")
    {
        let raw = &sample["card"];
        let card = WorkerCard::parse(&bytes(raw), &base).unwrap();
        assert!(
            card.interfaces
                .iter()
                .any(|interface| interface.dialect == Some(dialect)
                    && interface.url == "http://127.0.0.1:21510/"),
            "{place}: {:?}",
            card.interfaces
        );
        let has = !place.contains("no-streaming-no-push");
        assert_eq!((card.streaming, card.push), (has, has), "{place}");
        let plan = CardPlan {
            served: vec![Served {
                dialect,
                url: "http://127.0.0.1:21510/".to_owned(),
                tenant: None,
            }],
            streaming: card.streaming,
            push: card.push,
            extended: card.extended_card,
            generations: false,
            callback: false,
            for_version: Some(dialect.version),
        };
        let mut rewritten = card::rewrite(&card, &plan);
        let mut wanted = raw.clone();
        // The card of a worker of several versions loses the other versions' members.
        if place.contains("compat") {
            wanted
                .as_object_mut()
                .unwrap()
                .remove("supportedInterfaces");
            for card in [&mut wanted, &mut rewritten] {
                card["protocolVersion"] = json!("0.3");
                card.as_object_mut().unwrap().remove("additionalInterfaces");
            }
        }
        if let Some(interfaces) = wanted["supportedInterfaces"].as_array_mut() {
            for interface in interfaces {
                interface.as_object_mut().unwrap().remove("tenant");
            }
        }
        if dialect.version == Version::V0_2 {
            wanted["preferredTransport"] = json!("JSONRPC");
        }
        assert_same(&place, &rewritten, &wanted);
    }
}

#[test]
fn values_written_in_two_dialects_become_each_other() {
    let old = Dialect::jsonrpc(Version::V0_3);
    let new = Dialect::jsonrpc(Version::V1_0);
    let files = fixtures("cross");
    assert!(files.len() > 30);
    for (path, file) in files {
        let only = file["only"].as_str();
        for (from, to) in [(old, new), (new, old)] {
            let (source, target) = (key(from), key(to));
            if only.is_some_and(|only| only != format!("to {target}")) {
                continue;
            }
            let got = translate(from, to, &file, file[source].clone());
            let place = format!("{} to {to}", path.display());
            assert_eq!(got, file[target], "{place}");
        }
    }
}

fn key(dialect: Dialect) -> &'static str {
    if dialect.version == Version::V1_0 {
        "v1.0"
    } else {
        "v0.3"
    }
}

fn translate(from: Dialect, to: Dialect, file: &Value, value: Value) -> Value {
    let operation = || {
        let name = file["operation"].as_str().unwrap();
        Operation::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
            .unwrap()
    };
    match file["kind"].as_str().unwrap() {
        "request" => {
            let request = from.decode_request(operation(), &bytes(&value)).unwrap();
            to.encode_request(&request).1
        }
        "answer" => {
            let answer = from.decode_answer(operation(), value).unwrap();
            to.encode_answer(operation(), &answer)
        }
        "frame" => {
            let (event, _) = from.decode_event(value).unwrap();
            to.encode_event(&event, true)
        }
        other => panic!("no such kind: {other}"),
    }
}
