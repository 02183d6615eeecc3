//! What PraisonAI and fasta2a wrote on the wire, through the codecs and back; as `golden.rs` does it for the protocol's
//! own versions.
//!
//! `tests/fixtures/{praisonai,fasta2a,fasta2a_v0}` hold what the libraries' own clients and servers sent. What they wrote
//! in 1.0 lies in `tests/fixtures/v1_0`.

#[path = "golden/samples.rs"]
mod samples;

use a2a_sidecar::a2a::dialect::{self, jsonrpc};
use a2a_sidecar::a2a::{Dialect, Operation, Request, StreamResponse};
use serde_json::{Value, json};

use samples::{Sample, bytes, normal, samples_of};

const FORMS: [(&str, &str); 3] = [
    ("praisonai", "praisonai"),
    ("fasta2a", "fasta2a"),
    ("fasta2a_v0", "fasta2a-0.6"),
];

fn operation(sample: &Sample, method: &Value) -> Operation {
    Operation::ALL
        .into_iter()
        .find(|operation| sample.dialect.method(*operation) == *method)
        .unwrap_or_else(|| panic!("{}: {method}", sample.place))
}

/// Every sample of this kind; not every form has one.
fn samples(kind: &str) -> Vec<Sample> {
    let found: Vec<_> = FORMS
        .into_iter()
        .flat_map(|(folder, name)| samples_of(folder, Dialect::from_name(name).unwrap(), kind))
        .collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

/// Every dialect that can say what 1.0 can: the forms above, and the protocol's own.
fn dialects() -> impl Iterator<Item = Dialect> {
    let own = FORMS.iter().map(|(_, name)| *name);
    own.chain(["v0.2/jsonrpc", "v0.3/jsonrpc", "v1.0/jsonrpc"])
        .map(|name| Dialect::from_name(name).unwrap())
}

fn canonical() -> Dialect {
    Dialect::from_name("v1.0/jsonrpc").unwrap()
}

/// The only ways in which a value may differ after decoding and encoding in its own dialect:
///
/// - members that are `null`, `false` (`append`, `lastChunk`) or empty are the same as absent ones;
/// - a timestamp is the same as another of the same moment;
/// - a configuration without `blocking` means `blocking: false` to fasta2a, and one without output modes has none.
fn absent(name: &str, value: &Value) -> bool {
    let optional_flag = matches!(name, "append" | "lastChunk" | "blocking");
    value.is_null()
        || *value == ""
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty) && name != "params"
        || optional_flag && *value == Value::Bool(false)
}

#[track_caller]
fn assert_same(place: &str, got: &Value, wanted: &Value) {
    assert_eq!(normal(got, absent), normal(wanted, absent), "{place}");
}

fn keeps_history_length(sample: &Sample) -> bool {
    !(sample.dialect.name().starts_with("fasta2a")
        && sample.value["call"]["params"]
            .get("historyLength")
            .is_some())
}

/// fasta2a has to be told what is the default elsewhere.
fn says_that_it_waits(request: &mut Request) {
    if let Request::SendMessage(send) = request {
        let configuration = send.configuration.get_or_insert_default();
        configuration.return_immediately.get_or_insert(false);
    }
}

/// `historyLength` is not for its servers; see the head of `fasta2a.rs`.
fn reads_all(request: &mut Request) {
    if let Request::GetTask(get) = request {
        get.history_length = None;
    }
}

#[test]
fn calls_survive_their_own_dialect_and_every_other() {
    let mut seen = 0;
    for sample in samples("call").into_iter().filter(keeps_history_length) {
        let (place, dialect) = (&sample.place, sample.dialect);
        let operation = operation(&sample, &sample.value["call"]["method"]);
        // A list of all webhooks there are is refused: see the head of `praisonai.rs`.
        if operation == Operation::ListTaskPushNotificationConfigs {
            continue;
        }
        let params = bytes(&sample.value["call"]["params"]);
        let request = dialect.decode_request(operation, &params).unwrap();
        let (method, params) = dialect.encode_request(&request);
        assert_eq!(method, sample.value["call"]["method"], "{place}");
        // PraisonAI drops the marks of 0.3, as its own server does.
        if !place.contains("message-send-other-dialects")
            && !place.contains("message-send-blocking-false")
            && !place.contains("push-in-configuration")
        {
            assert_same(place, &params, &sample.value["call"]["params"]);
        }
        for other in dialects() {
            let (_, params) = other.encode_request(&request);
            if let Ok(via) = other.decode_request(operation, &bytes(&params)) {
                let mut wanted = request.clone();
                if other.name().starts_with("fasta2a") {
                    reads_all(&mut wanted);
                }
                if other.name() == "fasta2a" {
                    says_that_it_waits(&mut wanted);
                }
                assert_eq!(via, wanted, "{place} by way of {other}");
                seen += 1;
            } else {
                // A webhook without an id, which 0.x and PraisonAI may leave out.
                let nameless = matches!(
                    operation,
                    Operation::GetTaskPushNotificationConfig
                        | Operation::DeleteTaskPushNotificationConfig
                );
                assert!(nameless, "{place} by way of {other}");
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn answers_survive_their_own_dialect_and_every_other() {
    for sample in samples("answer") {
        let (place, dialect) = (&sample.place, sample.dialect);
        let operation = operation(&sample, &sample.value["method"]);
        let result = sample.value["answer"]["result"].clone();
        let answer = dialect.decode_answer(operation, result.clone()).unwrap();
        assert_same(place, &dialect.encode_answer(operation, &answer), &result);
        for other in dialects() {
            let via = other
                .decode_answer(operation, other.encode_answer(operation, &answer))
                .unwrap();
            assert_same(
                &format!("{place} by way of {other}"),
                &canonical().encode_answer(operation, &via),
                &canonical().encode_answer(operation, &answer),
            );
        }
    }
}

#[test]
fn frames_survive_their_own_dialect_and_most_others() {
    for sample in samples("frame") {
        let (place, dialect) = (&sample.place, sample.dialect);
        let name = sample.value["event"].as_str();
        let data = if dialect.traits().enveloped_frames {
            jsonrpc::decode_response(&bytes(&sample.value["frame"]))
                .unwrap()
                .unwrap()
        } else {
            sample.value["frame"].clone()
        };
        let Some((event, last)) = dialect
            .decode_frame(name.unwrap_or_default(), data.clone())
            .unwrap()
        else {
            assert_eq!((name, data), (Some("done"), json!({})), "{place}");
            continue;
        };
        assert_eq!(last, data["final"] == true, "{place}");
        let frames = dialect.encode_frames(&event, None, last);
        assert_eq!(frames[0].event, name, "{place}");
        assert_same(place, &frames[0].data, &data);
        // With the last one comes its own end of a stream.
        let ends = frames.get(1).map(|frame| frame.event);
        let wanted = (last && !dialect.traits().enveloped_frames).then_some(Some("done"));
        assert_eq!(ends, wanted, "{place}");
        // PraisonAI has no frame for a task.
        let has_frame = |other: Dialect| {
            other.traits().enveloped_frames || !matches!(event, StreamResponse::Task(_))
        };
        for other in dialects().filter(|other| has_frame(*other)) {
            let frame = other.encode_frames(&event, None, true).swap_remove(0);
            let (via, _) = other
                .decode_frame(frame.event.unwrap_or_default(), frame.data)
                .unwrap()
                .unwrap();
            assert_same(
                &format!("{place} by way of {other}"),
                &canonical().encode_event(&via, true),
                &canonical().encode_event(&event, true),
            );
        }
    }
}

#[test]
fn errors_mean_what_their_peers_meant() {
    for sample in samples("error") {
        let error = jsonrpc::decode_response(&bytes(&sample.value["error"]))
            .unwrap()
            .unwrap_err();
        let decoded = jsonrpc::decode_error(sample.dialect, &error);
        let place = format!("{} {}", sample.place, sample.value["when"]);
        assert_eq!(
            format!("{:?}", decoded.kind),
            sample.value["kind"],
            "{place}"
        );
        let written = jsonrpc::error_object(sample.dialect, &decoded);
        assert_eq!(written, error, "{place}");
    }
}

/// The seed's receiver: see what it takes the task from, and the state.
#[test]
fn webhooks_are_what_the_receivers_read_and_more() {
    for sample in samples("webhook") {
        let posted = &sample.value["webhook"];
        let event = dialect::decode_webhook(&bytes(posted)).unwrap();
        let StreamResponse::StatusUpdate(update) = event else {
            panic!("{}: {event:?}", sample.place);
        };
        assert_eq!(update.task_id, posted["taskId"], "{}", sample.place);
        let task = a2a_sidecar::a2a::Task {
            id: update.task_id.clone(),
            status: update.status.clone(),
            ..a2a_sidecar::a2a::Task::default()
        };
        let event = StreamResponse::StatusUpdate(update);
        let (body, media_type) = sample.dialect.encode_webhook(&event, &task);
        assert_eq!(media_type, "application/json", "{}", sample.place);
        let body: Value = serde_json::from_slice(&body).unwrap();
        for member in ["taskId", "status"] {
            assert_same(&sample.place, &body[member], &posted[member]);
        }
        assert_eq!(
            body["timestamp"], posted["status"]["timestamp"],
            "{}",
            sample.place
        );
        assert_eq!(body["id"], posted["taskId"], "{}", sample.place);
    }
}
