//! Each system's calls and cards are told from those of the versions that they resemble.

use http::HeaderMap;
use serde_json::{Value, json};

use super::*;

fn seen(path: &str, method: &str, params: &Value, null_id: bool) -> Option<(Version, Operation)> {
    let params = params.to_string();
    let headers = HeaderMap::new();
    of_call(&Seen {
        path,
        headers: &headers,
        method,
        params: params.as_bytes(),
        null_id,
    })
    .map(|(dialect, operation)| {
        assert_eq!(dialect.binding, Binding::JsonRpc);
        (dialect.version, operation)
    })
}

#[test]
fn a_message_without_kinds_is_praisonais_at_its_path_and_else_fasta2as() {
    let bare =
        json!({ "message": { "role": "user", "parts": [{ "text": "hi" }], "messageId": "m" } });
    let full = json!({ "message": { "kind": "message", "role": "user", "messageId": "m",
        "parts": [{ "kind": "text", "text": "hi" }] } });
    for (method, operation) in [
        ("message/send", Operation::SendMessage),
        ("message/stream", Operation::SendStreamingMessage),
    ] {
        for (path, params, version) in [
            ("/a2a", &bare, Version::PraisonAi),
            ("/some/prefix/a2a", &bare, Version::PraisonAi),
            ("/a2a/", &bare, Version::FastA2a),
            ("/", &bare, Version::FastA2a),
            ("/prefix/", &bare, Version::FastA2a),
            ("/a2a", &full, Version::V0_3),
            ("/", &full, Version::V0_3),
        ] {
            assert_eq!(
                seen(path, method, params, false),
                Some((version, operation)),
                "{method} to {path}"
            );
        }
    }
    assert_eq!(
        seen("/a2a", "SendMessage", &bare, false),
        Some((Version::V1_0, Operation::SendMessage))
    );
}

#[test]
fn the_forms_of_webhooks_tell_who_registers_them() {
    let flat = json!({ "taskId": "t", "url": "http://x/" });
    let nested = json!({ "taskId": "t", "pushNotificationConfig": { "url": "http://x/" } });
    let create = Operation::CreateTaskPushNotificationConfig;
    for (path, method, params, version) in [
        (
            "/a2a",
            "tasks/pushNotificationConfig/set",
            &flat,
            Version::PraisonAi,
        ),
        (
            "/a2a",
            "tasks/pushNotificationConfig/set",
            &nested,
            Version::V0_3,
        ),
        (
            "/",
            "tasks/pushNotificationConfig/set",
            &flat,
            Version::V0_3,
        ),
        (
            "/",
            "tasks/pushNotificationConfig/set",
            &nested,
            Version::V0_3,
        ),
        ("/", "tasks/pushNotification/set", &flat, Version::FastA2a),
    ] {
        assert_eq!(
            seen(path, method, params, false),
            Some((version, create)),
            "{method} to {path}"
        );
    }
    assert_ne!(
        seen("/", "tasks/pushNotification/set", &nested, false).map(|(version, _)| version),
        Some(Version::FastA2a),
        "which is 0.1's"
    );
    let delete = Operation::DeleteTaskPushNotificationConfig;
    for (path, params, version) in [
        ("/a2a", json!({ "taskId": "t" }), Version::PraisonAi),
        ("/", json!({ "taskId": "t", "id": "c" }), Version::FastA2a),
        (
            "/a2a",
            json!({ "id": "t", "pushNotificationConfigId": "c" }),
            Version::V0_3,
        ),
        (
            "/",
            json!({ "id": "t", "pushNotificationConfigId": "c" }),
            Version::V0_3,
        ),
    ] {
        assert_eq!(
            seen(path, "tasks/pushNotificationConfig/delete", &params, false),
            Some((version, delete)),
            "{params} to {path}"
        );
    }
}

#[test]
fn methods_that_only_one_has_are_its_own() {
    assert_eq!(
        seen("/x", "agent/getExtendedCard", &json!({}), false),
        Some((Version::PraisonAi, Operation::GetExtendedAgentCard))
    );
    assert_eq!(
        seen("/a2a", "tasks/list", &json!({}), false),
        Some((Version::PraisonAi, Operation::ListTasks))
    );
    assert_eq!(seen("/", "tasks/list", &json!({}), false), None);
}

#[test]
fn a_read_without_an_id_is_fasta2as() {
    let task = json!({ "id": "t" });
    for (null_id, version) in [(true, Version::FastA2a), (false, Version::V0_3)] {
        assert_eq!(
            seen("/", "tasks/get", &task, null_id),
            Some((version, Operation::GetTask))
        );
    }
    assert_eq!(
        seen("/", "GetTask", &task, true),
        Some((Version::V1_0, Operation::GetTask))
    );
}

#[test]
fn a_call_that_names_a_task_is_in_the_dialect_that_the_task_was_sent_in() {
    let of = |called, operation, sent| {
        by_task(Dialect::jsonrpc(called), operation, Dialect::jsonrpc(sent)).version
    };
    for (called, sent, version) in [
        (Version::V0_3, Version::PraisonAi, Version::PraisonAi),
        (Version::V0_3, Version::FastA2a, Version::FastA2a),
        (Version::V0_3, Version::V0_2, Version::V0_3),
        (Version::V0_3, Version::V1_0, Version::V0_3),
        (Version::FastA2a, Version::FastA2a, Version::FastA2a),
        (Version::FastA2a, Version::V0_3, Version::FastA2aV0),
        (Version::FastA2a, Version::V1_0, Version::FastA2a),
        (Version::V1_0, Version::PraisonAi, Version::V1_0),
    ] {
        assert_eq!(
            of(called, Operation::GetTask, sent),
            version,
            "{called:?} of {sent:?}"
        );
    }
    assert_eq!(
        of(Version::V0_3, Operation::SendMessage, Version::PraisonAi),
        Version::V0_3
    );
    let http = Dialect::http_json(Version::V0_3);
    let sent = Dialect::jsonrpc(Version::PraisonAi);
    assert_eq!(by_task(http, Operation::GetTask, sent), http);
}

fn card(card: Value) -> Option<Version> {
    of_card(card.as_object().unwrap())
}

#[test]
fn cards_are_told_by_what_their_generators_write() {
    let praisonai = json!({ "name": "a", "url": "http://w/a2a", "version": "1.0.0", "description": "",
        "capabilities": { "streaming": true, "pushNotifications": false, "stateTransitionHistory": false,
            "extendedAgentCard": false }, "provider": { "name": "PraisonAI" } });
    assert_eq!(card(praisonai.clone()), Some(Version::PraisonAi));
    for (member, value) in [
        ("protocolVersion", json!("0.3.0")),
        ("url", json!("http://w/")),
        ("capabilities", json!({ "streaming": true })),
    ] {
        let mut other = praisonai.clone();
        other[member] = value;
        assert_eq!(card(other), None, "{member}");
    }
    let old = json!({ "name": "a", "description": "", "url": "http://w", "version": "1.0.0",
        "protocolVersion": "0.3.0", "skills": [], "defaultInputModes": [], "defaultOutputModes": [],
        "capabilities": { "streaming": false, "pushNotifications": false, "stateTransitionHistory": false } });
    assert_eq!(card(old.clone()), Some(Version::FastA2aV0));
    let mut sdk = old.clone();
    sdk["preferredTransport"] = json!("JSONRPC");
    assert_eq!(card(sdk), None);
    let mut streams = old;
    streams["capabilities"]["streaming"] = json!(true);
    assert_eq!(card(streams), None);
    // 2.x says 1.0, and is spoken to in that.
    let new = json!({ "name": "a", "description": "", "version": "1.0.0", "skills": [],
        "supportedInterfaces": [{ "protocolBinding": "JSONRPC", "url": "http://w", "protocolVersion": "1.0" }],
        "defaultInputModes": [], "defaultOutputModes": [],
        "capabilities": { "streaming": true, "pushNotifications": false } });
    assert_eq!(card(new), None);
}
