//! The legacy systems, real and unmodified: each one's client in each of its modes at each one's worker, and the SDKs'.
//!
//! Needs what `tests/peers/setup` installs and never skips anything. For debugging: `PEERS_ONLY=praisonai/ruby` (see
//! [`plan::through_the_sidecar`]) leaves cells out and tries nothing without the sidecar; `PEERS_DIRECT=1` tries only what is tried without the sidecar.
//! Writes `target/peers/legacy.md` and `legacy.json`, and the logs of all processes to `target/peers/logs/`.

mod judge;
mod judge_tests;
mod plan;
mod process;
mod report;

#[path = "../children.rs"]
mod children;
#[path = "../heard.rs"]
#[allow(
    dead_code,
    reason = "the grid of the SDKs reads more than the tests here"
)]
mod heard;
#[path = "../script.rs"]
#[allow(dead_code, reason = "only its form of an artifact is used here")]
mod script;
#[path = "../verdict.rs"]
mod verdict;

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::children::Server;
use crate::plan::{Cell, OWN, Program, REQUESTERS, Trial, WORKERS};
use crate::process::{Places, run_client, start_gates, start_sidecar, start_worker};
use crate::verdict::{Verdict, Verdicts, conclude};

/// Workers under way at once: most of their time is that of jobs.
const WORKERS_AT_ONCE: usize = 4;
/// Client processes under way at once: their start fills a core for a second, the rest is waiting.
const CLIENTS_AT_ONCE: usize = 8;
/// Client processes under way at once at a worker that does one job after another: with more, a client's own patience
/// would end before its turn comes.
const CLIENTS_IN_A_QUEUE: usize = 2;

/// First without the sidecar: if other pairs failed there than are known to, the peers would not be what they are
/// taken for, and what follows would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_legacy_pair_works_through_the_sidecar_and_only_the_known_ones_without() {
    let only = std::env::var("PEERS_ONLY").ok();
    if only.is_none() {
        only_the_known_pairs_work_directly().await;
    }
    if std::env::var_os("PEERS_DIRECT").is_some() {
        return;
    }
    let trials = plan::through_the_sidecar(only.as_deref());
    let planned: usize = trials.iter().map(|trial| trial.cells.len()).sum();
    assert!(planned > 0, "PEERS_ONLY leaves no cell");
    let verdicts = run("legacy", trials, Way::Sidecar).await;

    let places = Places::find("legacy").unwrap_or_else(|fault| panic!("{fault}"));
    let (table, details) = (report::markdown(&verdicts), report::details(&verdicts));
    conclude(
        &places.installed,
        "legacy",
        planned,
        &verdicts,
        &table,
        &details,
    );
}

async fn only_the_known_pairs_work_directly() {
    let verdicts = run("direct", plan::directly(), Way::Direct).await;
    let surprises: Vec<String> = OWN
        .iter()
        .filter_map(|(worker, requester, mode, expected)| {
            let verdict = &verdicts[&format!("{worker}/{requester}/{mode}")];
            let (good, line) = (verdict.is_good(), &verdict.line);
            println!(
                "{worker:24} {requester:12} {mode:12} {:4} {} -> {} {:?}",
                if good { "yes" } else { "no" },
                line["states"],
                line["result"],
                verdict.faults
            );
            (good != *expected).then(|| {
                format!("{worker}/{requester}/{mode}: works without the sidecar: {good}, expected {expected}")
            })
        })
        .collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
}

/// Whether a sidecar stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Sidecar,
}

async fn run(name: &str, trials: Vec<Trial>, way: Way) -> Verdicts {
    let places = Places::find(name).unwrap_or_else(|fault| panic!("{fault}"));
    let gates = start_gates()
        .await
        .unwrap_or_else(|fault| panic!("{fault}"));
    let workers = Arc::new(Semaphore::new(WORKERS_AT_ONCE));
    let clients = Arc::new(Semaphore::new(CLIENTS_AT_ONCE));
    let mut running = JoinSet::new();
    for trial in trials {
        let (places, gates) = (places.clone(), gates.clone());
        let (workers, clients) = (Arc::clone(&workers), Arc::clone(&clients));
        running.spawn(async move {
            let _slot = workers
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let verdicts = run_trial(&places, &trial, way, &gates, &clients).await;
            let good = verdicts
                .values()
                .filter(|verdict| verdict.is_good())
                .count();
            println!("{}: {good} of {}", trial.worker.name, verdicts.len());
            verdicts
        });
    }
    let mut verdicts = Verdicts::new();
    while let Some(done) = running.join_next().await {
        verdicts.extend(done.expect("a trial's task does not panic"));
    }
    verdicts
}

/// Runs a worker's cells. What cannot even start fails all cells that need it.
async fn run_trial(
    places: &Places,
    trial: &Trial,
    way: Way,
    gates: &str,
    slots: &Semaphore,
) -> Verdicts {
    let (worker, sidecar, _store) = match start(places, trial, way).await {
        Ok(started) => started,
        Err(fault) => return all_fail(trial.cells.iter(), &fault),
    };
    let base = sidecar.as_ref().map_or(&worker.url, |sidecar| &sidecar.url);
    let gates = match trial.worker.program {
        Program::Sdk => &worker.url,
        Program::Legacy { .. } => gates,
    };
    let turns = match trial.worker.queues {
        true => Semaphore::new(CLIENTS_IN_A_QUEUE),
        false => Semaphore::new(REQUESTERS.len()),
    };
    let turns = &turns;
    let clients = REQUESTERS.iter().map(|requester| async move {
        let of = |cell: &&Cell| cell.requester.name == requester.name;
        let cells: Vec<&Cell> = trial.cells.iter().filter(of).collect();
        if cells.is_empty() {
            return (cells, Ok(Vec::new()));
        }
        let _turn = turns
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let _slot = slots
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let lines = run_client(places, trial.worker.name, &cells, base, gates).await;
        (cells, lines)
    });
    let heard = futures_util::future::join_all(clients).await;
    let jobs = worker.said("JOB ");
    let mut verdicts = Verdicts::new();
    for (cells, lines) in heard {
        match lines {
            Ok(lines) => verdicts.extend(judged(&cells, &lines, &jobs, way)),
            Err(fault) => verdicts.extend(all_fail(cells.into_iter(), &fault)),
        }
    }
    verdicts
}

/// The worker, the sidecar if one stands between, and the folder of the sidecar's store.
async fn start(
    places: &Places,
    trial: &Trial,
    way: Way,
) -> Result<(Server, Option<Server>, tempfile::TempDir), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let worker = start_worker(places, &trial.worker).await?;
    if way == Way::Direct {
        return Ok((worker, None, folder));
    }
    // Both stores meet every system.
    let place = WORKERS.iter().position(|one| one.name == trial.worker.name);
    let store = match place.unwrap_or_default() % 2 {
        0 => "memory:".to_owned(),
        _ => format!("sqlite:{}", folder.path().join("sidecar.db").display()),
    };
    let sidecar = start_sidecar(places, &trial.worker, &worker.url, &store).await?;
    Ok((worker, Some(sidecar), folder))
}

fn judged(cells: &[&Cell], lines: &[Value], jobs: &[String], way: Way) -> Verdicts {
    let verdict = |cell: &&Cell| {
        let name = &cell.order()["id"];
        let line = lines.iter().find(|line| line["cell"] == *name);
        let verdict = Verdict::of(line, |line| match way {
            Way::Direct => judge::delivered(cell, line).err().into_iter().collect(),
            Way::Sidecar => judge::faults(cell, line, jobs),
        });
        (cell.id.clone(), verdict)
    };
    cells.iter().map(verdict).collect()
}

fn all_fail<'a>(cells: impl Iterator<Item = &'a Cell>, fault: &str) -> Verdicts {
    cells
        .map(|cell| (cell.id.clone(), Verdict::failed(fault)))
        .collect()
}
