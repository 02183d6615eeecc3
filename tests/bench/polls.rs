//! How often a worker is polled for one task that one requester watches, and for one that a hundred do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Connection, call};
use crate::process;
use crate::table::Table;
use crate::worker::Worker;

/// How long polls are counted.
const WINDOW: Duration = Duration::from_secs(4);

/// A poll every 100 ms, whatever the task's age, so that both counts are of the same schedule.
const POLL: &str = "observe = [\"poll\"]\n[routes.poll]\nfirst = \"100ms\"\nmax = \"100ms\"\nfactor = 1.0\njitter = 0.0";

/// Fills the table.
pub async fn measure(table: &mut Table) {
    let one = polls(1).await;
    let hundred = polls(100).await;
    table.row(
        format!("Polls in {} s, 100 streams on one task", WINDOW.as_secs()),
        hundred.to_string(),
        format!("{one} (1 stream)"),
        format!("{:.2}", hundred as f64 / one as f64),
        "1",
    );
}

async fn polls(watchers: usize) -> usize {
    let worker = Worker::start(false).await;
    let sidecar = process::sidecar(worker.address, "memory:", POLL).await;
    let mut first = Connection::open(sidecar.address).await;
    let message = json!({ "message": {
        "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "work for long" }],
    }});
    stream(&mut first, "SendStreamingMessage", &message).await;
    let mut held = vec![first];
    while held.len() < watchers {
        let mut connection = Connection::open(sidecar.address).await;
        stream(
            &mut connection,
            "SubscribeToTask",
            &json!({ "id": "task-0" }),
        )
        .await;
        held.push(connection);
    }
    let before = worker.gets();
    tokio::time::sleep(WINDOW).await;
    worker.gets() - before
}

async fn stream(connection: &mut Connection, method: &str, params: &Value) {
    let request = call(method, params, "accept: text/event-stream\r\n");
    connection.send(&request).await;
    connection.read_until(b"\"task\"").await;
}
