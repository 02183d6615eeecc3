//! Checks that a worker offers just the one mode that it is restricted to: otherwise the grid would prove nothing.

use serde_json::{Value, json};

use crate::grid::{Pair, binding};
use crate::heard::News;
use crate::process::call;

/// "Task not found": the answer of a method that is offered, asked for a task that does not exist.
const TASK_NOT_FOUND: i64 = -32001;

/// The operations by their names in v1.0 and in v0.x, with the restrictions under which they are offered.
const OPERATIONS: [(&str, &str, &[&str]); 6] = [
    ("SendMessage", "message/send", &["blocking", "poll", "push"]),
    ("SendStreamingMessage", "message/stream", &["stream"]),
    ("GetTask", "tasks/get", &["poll", "stream", "push"]),
    ("SubscribeToTask", "tasks/resubscribe", &["stream"]),
    (
        "CreateTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/set",
        &["push"],
    ),
    (
        "CancelTask",
        "tasks/cancel",
        &["blocking", "poll", "stream", "push"],
    ),
];

/// Asks the worker for every operation, by hand.
pub(crate) async fn check(url: &str, pair: &Pair) -> Result<(), String> {
    if binding(pair.worker) != "jsonrpc" {
        return Ok(());
    }
    let v1 = !pair.worker.starts_with("py-v0");
    for (v1_name, v0_name, offered_under) in OPERATIONS {
        let method = if v1 { v1_name } else { v0_name };
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params(v1, v1_name)});
        let answer = call(url, v1.then_some("1.0"), &request).await?;
        let offered = answer.get("result").is_some() || answer["error"]["code"] == TASK_NOT_FOUND;
        if offered != (pair.restriction == "any" || offered_under.contains(&pair.restriction)) {
            return Err(format!(
                "the worker's answer to {method} is not that of a {} worker: {answer}",
                pair.restriction
            ));
        }
        if v1_name == "SendMessage" && offered {
            let over = News::read(&answer["result"])?.is_end();
            if over != matches!(pair.restriction, "blocking" | "any") {
                return Err(format!(
                    "a {} worker waits, or does not: {answer}",
                    pair.restriction
                ));
            }
        }
    }
    Ok(())
}

fn params(v1: bool, operation: &str) -> Value {
    match (operation, v1) {
        ("SendMessage" | "SendStreamingMessage", true) => json!({"message": {
            "messageId": "m", "role": "ROLE_USER", "parts": [{"text": "fail"}]}}),
        ("SendMessage" | "SendStreamingMessage", false) => json!({"message": {
            "kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "fail"}]}}),
        ("CreateTaskPushNotificationConfig", true) => {
            json!({"taskId": "none", "url": "http://127.0.0.1:1/"})
        }
        ("CreateTaskPushNotificationConfig", false) => json!({
            "taskId": "none", "pushNotificationConfig": {"url": "http://127.0.0.1:1/"}}),
        _ => json!({"id": "none"}),
    }
}
