//! What the sidecar costs: CPU per passed request, memory per open stream, polls per watcher, lag per event, appends
//! per second. One run, one table (also in `target/bench.md`):
//!
//!     cargo bench --bench bench                  everything
//!     cargo bench --bench bench -- cpu memory    some of it: cpu, memory, polls, lag, store
//!
//! The machine under a bench is seldom quiet, so what matters is a ratio to something measured beside it in the same
//! run: mostly to a bare reverse proxy of the same HTTP crates (`bare.rs`) in a process of its own. The worker, the
//! requesters and the receivers live in the bench's process and read one clock. It fails on nothing: numbers are for
//! people to judge, promises are for tests.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "it measures by the real clock, and what it sends itself is its own bound"
)]

mod bare;
mod cpu;
mod http;
mod lag;
mod memory;
mod polls;
mod process;
mod store;
mod table;
mod worker;

use table::Table;

/// The word that makes this program the bare proxy.
const BARE: &str = "bare-proxy";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, worker] = words.as_slice()
        && word == BARE
    {
        bare::main(worker);
        return;
    }
    // `cargo bench` adds a flag of its own.
    let wanted: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let wants = |part: &str| wanted.is_empty() || wanted.contains(&part);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut table = Table::default();
    runtime.block_on(async {
        if wants("cpu") {
            cpu::measure(&mut table).await;
        }
        if wants("memory") {
            memory::measure(&mut table).await;
        }
        if wants("polls") {
            polls::measure(&mut table).await;
        }
        if wants("lag") {
            lag::measure(&mut table).await;
        }
        if wants("store") {
            store::measure(&mut table).await;
        }
    });
    let text = table.render();
    println!("\n{text}");
    let path = process::scratch().with_file_name("bench.md");
    if let Err(error) = std::fs::write(&path, &text) {
        eprintln!("{} was not written: {error}", path.display());
    }
}
