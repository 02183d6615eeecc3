//! Resident memory per open stream: what the process grows by while requesters hold streams that have each carried a
//! few events, beside the bare proxy with as many streams that only pass.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::http::{Connection, call};
use crate::process::{self, Process};
use crate::table::Table;
use crate::worker::Worker;

/// Streams held open.
const STREAMS: usize = 2_000;

/// Opened before, so that what is allocated once is not counted.
const FIRST: usize = 50;

/// Events on each stream before the memory is read.
const EVENTS: usize = 3;

/// The most that one stream may cost, in KiB.
const AIM_KIB: f64 = 20.0;

/// Streams opened at once: below the backlog of a listener.
const AT_ONCE: usize = 100;

/// How long the process is left alone before its memory is read: connections that closed are gone by then, and the
/// sidecar's allocator has given back what is not used, which it does within 10 s.
const REST: Duration = Duration::from_secs(12);

/// Fills the table.
pub async fn measure(table: &mut Table) {
    let worker = Worker::start(true).await;
    let bare = process::bare(worker.address);
    let beside = grown(&bare, &worker, &Opens::Tasks).await;
    drop(bare);
    // The keep-alive is longer than the bench, so that both have carried the same.
    let quiet = "keep_alive = \"60s\"\nobserve = \"auto\"";
    for (name, opens, streams, more) in [
        ("one task with all of them", Opens::Watchers, true, ""),
        ("a task each, polled", Opens::Tasks, false, POLL),
        ("a task each, streamed", Opens::Tasks, true, ""),
    ] {
        let worker = Worker::start(streams).await;
        let more = format!("{quiet}\n{more}");
        let sidecar = process::sidecar(worker.address, "memory:", &more).await;
        let each = grown(&sidecar, &worker, &opens).await;
        table.row(
            format!("Memory per open stream of {STREAMS}, {name}"),
            format!("{each:.1} KiB"),
            format!("{beside:.1} KiB (bare proxy)"),
            format!("{:.2}", each / beside),
            format!("≤ {AIM_KIB} KiB"),
        );
    }
}

/// Often enough that what is said is heard soon. The budget spreads the polls: without it they would come in bursts, and
/// the memory would be that of hundreds of connections to the worker.
const POLL: &str =
    "[routes.poll]\nfirst = \"1s\"\nmax = \"3s\"\nfactor = 1.5\nbudget_per_second = 400.0";

enum Opens {
    /// All of them on one task.
    Watchers,
    /// Each on a task of its own.
    Tasks,
}

/// By how many KiB the process has grown for each stream.
async fn grown(process: &Process, worker: &Worker, opens: &Opens) -> f64 {
    let first = open(process.address, &send(), FIRST).await;
    drop(speak(worker, first, 0).await);
    tokio::time::sleep(REST).await;
    let before = process.resident();
    let held = match opens {
        Opens::Tasks => open(process.address, &send(), STREAMS).await,
        Opens::Watchers => {
            let task = worker.tasks().pop().expect("a task of the first ones");
            let subscribe = call("SubscribeToTask", &json!({ "id": task }), ACCEPT);
            open(process.address, &subscribe, STREAMS).await
        }
    };
    // Other numbers than before: a task that was spoken on begins with what was said.
    let held = speak(worker, held, 100).await;
    tokio::time::sleep(REST).await;
    let grown = process.resident().saturating_sub(before);
    let each = grown as f64 / 1024.0 / STREAMS as f64;
    eprintln!(
        "{}: {:.1} KiB for each of {} streams",
        process.name,
        each,
        held.len()
    );
    each
}

const ACCEPT: &str = "accept: text/event-stream\r\n";

fn send() -> Vec<u8> {
    let message = json!({ "message": {
        "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "work for long" }],
    }});
    call("SendStreamingMessage", &message, ACCEPT)
}

/// Opens streams and reads the first event of each.
async fn open(address: SocketAddr, request: &[u8], count: usize) -> Vec<Connection> {
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let opening: Vec<_> = (0..AT_ONCE.min(count - held.len()))
            .map(|_| {
                let request = request.to_vec();
                tokio::spawn(async move {
                    let mut connection = Connection::open(address).await;
                    connection.send(&request).await;
                    connection.read_until(b"\"task\"").await;
                    connection
                })
            })
            .collect();
        for opening in opening {
            held.push(opening.await.expect("a stream opens"));
        }
    }
    held
}

/// Says something on every task; reads it on every stream.
async fn speak(worker: &Worker, mut held: Vec<Connection>, from: usize) -> Vec<Connection> {
    for number in from..from + EVENTS {
        for task in worker.tasks() {
            worker.say(&task, number);
        }
        let mark = format!("n={number}.");
        for connection in &mut held {
            connection.read_until(mark.as_bytes()).await;
        }
    }
    held
}
