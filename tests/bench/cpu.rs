//! CPU time of the proxy's process per request that passes, beside the bare proxy's. Rounds alternate between the two,
//! so that whatever else the machine does meets both, and the median round counts.

use std::net::SocketAddr;

use crate::http::{Connection, call, request};
use crate::process::{self, Process};
use crate::table::{Table, median};
use crate::worker::Worker;

/// Connections that ask without pause.
const CONNECTIONS: usize = 16;

/// Pairs of processes. Where its memory happens to lie makes one process some per cent dearer than another of its kind.
const PAIRS: usize = 3;

/// Rounds of each proxy and kind, in each pair.
const ROUNDS: usize = 7;

/// The most that passing may cost.
const AIM: f64 = 1.25;

struct Kind {
    name: String,
    request: Vec<u8>,
    /// In one round.
    requests: usize,
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (size, label, requests) in [(1024, "1 KiB", 8_000), (64 * 1024, "64 KiB", 2_500)] {
        let answer = format!("x-answer: {size}\r\n");
        let small = "x-answer: 16\r\n";
        let binary = "content-type: application/octet-stream\r\n";
        let mut add = |name: &str, request| {
            kinds.push(Kind {
                name: format!("{name} {label}"),
                request,
                requests,
            });
        };
        add("GET, answer of", request("GET", "/bytes", &answer, b""));
        add(
            "POST, body of",
            request(
                "POST",
                "/bytes",
                &format!("{binary}{small}"),
                &vec![b'0'; size],
            ),
        );
        let padding = serde_json::json!({ "padding": "0".repeat(size - 100) });
        add(
            "unknown JSON-RPC method, body of",
            call("bench/unknown", &padding, small),
        );
        let unknown = serde_json::json!({ "id": "unknown" });
        add(
            "GetTask, task not kept, answer of",
            call("GetTask", &unknown, &answer),
        );
    }
    kinds
}

/// What the rounds of one kind have cost, in microseconds for a request.
#[derive(Default)]
struct Costs {
    without: Vec<f64>,
    with: Vec<f64>,
    ratios: Vec<f64>,
}

/// Fills the table.
pub async fn measure(table: &mut Table) {
    // For profilers: only the kinds whose name has this in it.
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let mut kinds: Vec<_> = kinds()
        .into_iter()
        .map(|kind| (kind, Costs::default()))
        .collect();
    kinds.retain(|(kind, _)| kind.name.contains(&only));
    for _ in 0..PAIRS {
        pair(&mut kinds).await;
    }
    for (kind, costs) in &kinds {
        table.row(
            format!("CPU per request: {}", kind.name),
            format!("{:.1} µs", median(&costs.with)),
            format!("{:.1} µs (bare proxy)", median(&costs.without)),
            format!("{:.2}", median(&costs.ratios)),
            format!("≤ {AIM}"),
        );
    }
}

/// All rounds with one bare proxy and one sidecar.
async fn pair(kinds: &mut [(Kind, Costs)]) {
    let worker = Worker::start(true).await;
    let bare = process::bare(worker.address);
    let sidecar = process::sidecar(worker.address, "memory:", "").await;
    eprintln!("bare proxy {}, sidecar {}", bare.id(), sidecar.id());
    for process in [&bare, &sidecar] {
        for (kind, _) in &*kinds {
            round(process, kind, kind.requests / 4).await;
        }
    }
    for (kind, costs) in kinds {
        for turn in 0..ROUNDS {
            // Who goes first alternates too.
            let (b, s) = if turn % 2 == 0 {
                let b = round(&bare, kind, kind.requests).await;
                (b, round(&sidecar, kind, kind.requests).await)
            } else {
                let s = round(&sidecar, kind, kind.requests).await;
                (round(&bare, kind, kind.requests).await, s)
            };
            costs.without.push(b);
            costs.with.push(s);
            costs.ratios.push(s / b);
        }
    }
}

/// Makes the requests; gives the process's CPU time for each, in microseconds.
async fn round(process: &Process, kind: &Kind, requests: usize) -> f64 {
    let each = requests / CONNECTIONS;
    let before = process.cpu();
    let asking: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(ask(process.address, kind.request.clone(), each)))
        .collect();
    for asking in asking {
        asking.await.expect("requests are answered");
    }
    let spent = process.cpu().saturating_sub(before);
    spent.as_secs_f64() * 1e6 / (each * CONNECTIONS) as f64
}

async fn ask(address: SocketAddr, request: Vec<u8>, times: usize) {
    let mut connection = Connection::open(address).await;
    for _ in 0..times {
        let status = connection.exchange(&request).await;
        assert_eq!(status, 200, "an answer of the worker's");
    }
}
