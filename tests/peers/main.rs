//! The real-peer grid: SDK workers restricted to one mode each, a sidecar before each, SDK clients in every mode.
//!
//! Needs what `tests/peers/setup` installs and never skips anything. For debugging: `PEERS_ONLY=py-v1/poll` (see
//! [`grid::pairs`]) leaves cells out; `PEERS_DIRECT=1` leaves the sidecar out, to check the peers themselves.
//! Writes `target/peers/grid.md` and `grid.json`, and the logs of all processes to `target/peers/logs/`.

mod by_hand;
mod children;
mod grid;
mod heard;
mod judge;
mod judge_tests;
mod process;
mod report;
mod restriction;
mod script;
mod verdict;

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::children::Server;
use crate::grid::{CLIENTS, Cell, Pair};
use crate::process::{Places, run_client, start_sidecar, start_worker};
use crate::verdict::{Verdict, Verdicts, conclude};

/// Pairs under way at once: most of a pair's time is silence of its scenarios, the rest is start-up of its clients,
/// which fills a core.
const PAIRS_AT_ONCE: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_requester_hears_in_every_mode_what_every_worker_did() {
    let places = Places::find().unwrap_or_else(|fault| panic!("{fault}"));
    let direct = std::env::var_os("PEERS_DIRECT").is_some();
    let only = std::env::var("PEERS_ONLY").ok();
    let pairs = grid::pairs(only.as_deref(), direct);
    let planned: usize = pairs.iter().map(|pair| pair.cells.len()).sum();
    assert!(planned > 0, "PEERS_ONLY leaves no cell");

    let slots = Arc::new(Semaphore::new(PAIRS_AT_ONCE));
    let mut running = JoinSet::new();
    for pair in pairs {
        let (places, slots) = (places.clone(), Arc::clone(&slots));
        running.spawn(async move {
            let _slot = slots
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let verdicts = run_pair(&places, &pair, direct).await;
            let good = verdicts
                .values()
                .filter(|verdict| verdict.is_good())
                .count();
            println!(
                "{}/{}: {good} of {} cells pass",
                pair.worker,
                pair.restriction,
                verdicts.len()
            );
            verdicts
        });
    }
    let mut verdicts = Verdicts::new();
    while let Some(done) = running.join_next().await {
        verdicts.extend(done.expect("a pair's task does not panic"));
    }

    let (table, details) = (report::markdown(&verdicts), report::details(&verdicts));
    conclude(
        &places.installed,
        "grid",
        planned,
        &verdicts,
        &table,
        &details,
    );
}

/// Runs the pair's cells. What cannot even start fails all cells that need it.
async fn run_pair(places: &Places, pair: &Pair, direct: bool) -> Verdicts {
    let (worker, sidecar, _store) = match start(places, pair, direct).await {
        Ok(started) => started,
        Err(fault) => return all_fail(&pair.cells.iter().collect::<Vec<_>>(), &fault),
    };
    let gates = worker.url.as_str();
    let base = sidecar.as_ref().map_or(gates, |sidecar| &sidecar.url);
    let mut verdicts = Verdicts::new();
    let clients = CLIENTS.map(|client| async move {
        let mut cells: Vec<&Cell> = pair
            .cells
            .iter()
            .filter(|cell| grid::sdk(&cell.requester) == client)
            .collect();
        // The slowest first, so that the others run meanwhile.
        cells.sort_by_key(|cell| cell.scenario != "long");
        if cells.is_empty() {
            return Verdicts::new();
        }
        match run_client(places, client, &cells, base, gates).await {
            Ok(lines) => judged(&cells, &lines),
            Err(fault) => all_fail(&cells, &fault),
        }
    });
    for client in futures_util::future::join_all(clients).await {
        verdicts.extend(client);
    }
    verdicts
}

/// The worker, the sidecar unless `direct`, and the folder of the sidecar's store.
async fn start(
    places: &Places,
    pair: &Pair,
    direct: bool,
) -> Result<(Server, Option<Server>, tempfile::TempDir), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let worker = start_worker(places, pair).await?;
    restriction::check(&worker.url, pair).await?;
    if direct {
        return Ok((worker, None, folder));
    }
    // Each worker and each restriction meets both stores.
    let place =
        |list: &[&str], name: &str| list.iter().position(|one| *one == name).unwrap_or_default();
    let parity = place(&grid::WORKERS, pair.worker) + place(&grid::RESTRICTIONS, pair.restriction);
    let store = match parity % 2 {
        0 => "memory:".to_owned(),
        _ => format!("sqlite:{}", folder.path().join("sidecar.db").display()),
    };
    let sidecar = start_sidecar(places, pair, &worker.url, &store).await?;
    Ok((worker, Some(sidecar), folder))
}

fn judged(cells: &[&Cell], lines: &[Value]) -> Verdicts {
    let verdict = |cell: &&Cell| {
        let line = lines.iter().find(|line| line["cell"] == cell.id.as_str());
        let verdict = Verdict::of(line, |line| judge::faults(cell, line));
        (cell.id.clone(), verdict)
    };
    cells.iter().map(verdict).collect()
}

fn all_fail(cells: &[&Cell], fault: &str) -> Verdicts {
    cells
        .iter()
        .map(|cell| (cell.id.clone(), Verdict::failed(fault)))
        .collect()
}
