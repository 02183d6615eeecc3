//! What the fuzz targets of the dialects share.
//!
//! One input is read as everything that a peer could have meant by it. Nothing may panic, and what was understood
//! must survive: written and read again it is written the same. (That it is also *right* is for the golden tests.)

use a2a_sidecar::a2a::card::{self, CardPlan, Served, WorkerCard};
use a2a_sidecar::a2a::dialect::{decode_webhook, jsonrpc};
use a2a_sidecar::a2a::{Dialect, Operation, StreamResponse, Task};
use serde_json::Value;
use url::Url;

/// Reads `data` in every way in which `dialect` can be read.
///
/// # Panics
/// When what was understood does not survive.
pub fn dialect(dialect: Dialect, data: &[u8]) {
    if let Ok(call) = jsonrpc::decode_call(data)
        && let Some((_, operation)) = jsonrpc::classify(&call.method)
    {
        request(dialect, operation, call.params);
    }
    let _ = jsonrpc::id_of(data);
    match jsonrpc::decode_response(data) {
        Ok(Ok(result)) => value(dialect, &result),
        Ok(Err(wrong)) => error(dialect, &wrong),
        Err(_) => {}
    }
    webhook(dialect, data);
    agent_card(dialect, data);
    // Without an envelope too, so that a mutation need not keep one alive.
    for operation in Operation::ALL {
        request(dialect, operation, data);
    }
    if let Ok(inner) = serde_json::from_slice(data) {
        value(dialect, &inner);
        error(dialect, &inner);
    }
}

/// Reads `data` in every way in which the form of a system can be read, which has method names and frames of its own.
///
/// # Panics
/// When a call that was understood cannot be read again once it is written.
pub fn system(dialect: Dialect, data: &[u8]) {
    let params = match jsonrpc::decode_call(data) {
        Ok(call) => call.params,
        Err(_) => data,
    };
    for operation in Operation::ALL {
        if let Ok(request) = dialect.decode_request(operation, params) {
            let (_, written) = dialect.encode_request(&request);
            dialect
                .decode_request(operation, written.to_string().as_bytes())
                .expect("a request that was written can be read");
        }
    }
    let result = match jsonrpc::decode_response(data) {
        Ok(Ok(result)) => result,
        Ok(Err(wrong)) => return error(dialect, &wrong),
        Err(_) => match serde_json::from_slice(data) {
            Ok(bare) => bare,
            Err(_) => return,
        },
    };
    for operation in Operation::ALL {
        if let Ok(answer) = dialect.decode_answer(operation, result.clone()) {
            let written = dialect.encode_answer(operation, &answer);
            dialect
                .decode_answer(operation, written)
                .expect("an answer that was written can be read");
        }
    }
    if let Ok(Some((event, last))) = dialect.decode_frame("", result) {
        for frame in dialect.encode_frames(&event, None, last) {
            dialect
                .decode_frame(frame.event.unwrap_or_default(), frame.data)
                .expect("a frame that was written can be read");
        }
        if let StreamResponse::Task(task) = &event {
            let _ = dialect.encode_webhook(&event, task);
        }
    }
}

fn request(dialect: Dialect, operation: Operation, params: &[u8]) {
    let Ok(first) = dialect.decode_request(operation, params) else {
        return;
    };
    let (method, written) = dialect.encode_request(&first);
    // 0.x has no call for some operations, but workers that have one all the same (see `Dialect::supports`).
    if dialect.supports(operation) {
        let (version, again) =
            jsonrpc::classify(method).expect("a method that is written is known");
        assert_eq!(version.is_v0(), dialect.version.is_v0());
        assert_eq!(again, operation);
    }
    assert_eq!(first.operation(), operation);
    let second = dialect
        .decode_request(operation, written.to_string().as_bytes())
        .expect("a request that was written can be read");
    assert_eq!(dialect.encode_request(&second), (method, written));
}

fn value(dialect: Dialect, result: &Value) {
    for operation in Operation::ALL {
        let Ok(first) = dialect.decode_answer(operation, result.clone()) else {
            continue;
        };
        let written = dialect.encode_answer(operation, &first);
        let second = dialect
            .decode_answer(operation, written.clone())
            .expect("an answer that was written can be read");
        assert_eq!(dialect.encode_answer(operation, &second), written);
    }
    if let Ok((first, last)) = dialect.decode_event(result.clone()) {
        let written = dialect.encode_event(&first, last);
        let (second, again) = dialect
            .decode_event(written.clone())
            .expect("an event that was written can be read");
        assert_eq!(dialect.encode_event(&second, again), written);
    }
}

fn webhook(dialect: Dialect, body: &[u8]) {
    let Ok(first) = decode_webhook(body) else {
        return;
    };
    let task = |event: &StreamResponse| match event {
        StreamResponse::Task(task) => task.clone(),
        _ => Task {
            id: "task".into(),
            ..Task::default()
        },
    };
    let (written, _) = dialect.encode_webhook(&first, &task(&first));
    let second = decode_webhook(&written).expect("a webhook that was written can be read");
    let (again, _) = dialect.encode_webhook(&second, &task(&second));
    // As JSON: the order of members means nothing.
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("we write JSON");
    assert_eq!(json(&again), json(&written));
}

fn error(dialect: Dialect, wrong: &Value) {
    let round =
        |error: &Value| jsonrpc::error_object(dialect, &jsonrpc::decode_error(dialect, error));
    // One round more than elsewhere: some SDKs hide the code in the words of an internal error, and an error without
    // a code that has such words becomes an internal one first.
    let settled = round(&round(wrong));
    assert_eq!(round(&settled)["code"], settled["code"]);
}

fn agent_card(dialect: Dialect, body: &[u8]) {
    let base = Url::parse("http://127.0.0.1:1/.well-known/agent-card.json").expect("a URL");
    let Ok(card) = WorkerCard::parse(body, &base) else {
        return;
    };
    let _ = card.preferred();
    let plan = CardPlan {
        served: Dialect::ALL
            .into_iter()
            .map(|dialect| Served {
                dialect,
                url: "https://sidecar.example/one".to_owned(),
                tenant: None,
            })
            .collect(),
        streaming: true,
        push: true,
        extended: card.extended_card,
        callback: true,
        generations: false,
        for_version: Some(dialect.version),
    };
    let rewritten = card::rewrite(&card, &plan);
    let again = WorkerCard::parse(rewritten.to_string().as_bytes(), &base)
        .expect("a card that was written can be read");
    // The point of rewriting: no requester is sent past the sidecar.
    for interface in &again.interfaces {
        assert_eq!(interface.url, "https://sidecar.example/one");
    }
    assert_eq!(card::rewrite(&again, &plan), rewritten);
}
