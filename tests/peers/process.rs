//! The processes of the grid: workers, sidecars, clients. Each has a time limit and ends with the test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::children::{self, Logs, Server};
use crate::grid::{Cell, Pair, binding, sdk};

/// A client that has not finished its cells by now hangs: each cell has its own, shorter deadline.
const CLIENT_LIMIT: Duration = Duration::from_secs(240);
/// What the grid needs of `setup`.
const ENVIRONMENTS: [&str; 4] = ["py-v1", "py-v03", "py-v02", "js"];

/// Where things are: the sources of the peers, what `setup` installed, and the logs of this run.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    sources: PathBuf,
    pub(crate) installed: PathBuf,
    logs: Logs,
}

/// A program of the crate beside this one: Cargo puts it where it puts the sidecar.
fn rust_peer(binary: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_a2a-sidecar")).with_file_name(binary)
}

impl Places {
    /// Finds them, and fails with what to do if `setup` has not run.
    pub(crate) fn find() -> Result<Places, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (sources, installed) = (root.join("tests/peers"), root.join("target/peers"));
        for binary in ["peer-worker", "peer-client"] {
            if !rust_peer(binary).is_file() {
                return Err(format!(
                    "the Rust peers are not built ({binary} is missing): run tests/run, or cargo build -p a2a-sidecar-peers"
                ));
            }
        }
        let logs = children::prepare(&sources, &installed, &ENVIRONMENTS, "logs")?;
        Ok(Places {
            sources,
            installed,
            logs,
        })
    }

    fn python(&self, sdk: &str, script: &str) -> Command {
        let mut command = Command::new(self.installed.join(sdk).join("bin/python"));
        command
            .args(["-W", "ignore"])
            .arg(self.sources.join(script));
        command
    }

    fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(self.installed.join("js").join(script));
        command
    }

    fn rust(&self, binary: &str) -> Command {
        Command::new(rust_peer(binary))
    }

    fn worker(&self, sdk: &str) -> Command {
        match sdk {
            "rust-v1" => self.rust("peer-worker"),
            "js-v1" => self.node("worker.mjs"),
            _ => self.python(sdk, &format!("worker_{}.py", sdk.replace('-', "_"))),
        }
    }

    fn client(&self, requester: &str) -> Command {
        match requester.strip_prefix("http-") {
            Some(dialect) => {
                let mut command = self.python("py-v1", "client_http.py");
                command.args(["--dialect", dialect]);
                command
            }
            None if requester == "rust-v1" => self.rust("peer-client"),
            None if requester == "js-v1" => self.node("client.mjs"),
            None => self.python(
                requester,
                &format!("client_{}.py", requester.replace('-', "_")),
            ),
        }
    }
}

/// Starts the pair's worker.
pub(crate) async fn start_worker(places: &Places, pair: &Pair) -> Result<Server, String> {
    let mut command = places.worker(sdk(pair.worker));
    command
        .args(["--restrict", pair.restriction])
        .args(["--binding", binding(pair.worker)]);
    let name = format!("{}-{}-worker", pair.worker, pair.restriction);
    children::worker(&places.logs, &name, command).await
}

/// Starts a sidecar before the worker at `worker_url`, with its store where `store` says.
pub(crate) async fn start_sidecar(
    places: &Places,
    pair: &Pair,
    worker_url: &str,
    store: &str,
) -> Result<Server, String> {
    let name = format!("{}-{}-sidecar", pair.worker, pair.restriction);
    children::sidecar(&places.logs, &name, worker_url, store).await
}

/// Runs the cells of one requester in one process; gives the line that it wrote for each cell, by the cell's id.
pub(crate) async fn run_client(
    places: &Places,
    requester: &str,
    cells: &[&Cell],
    base: &str,
    gates: &str,
) -> Result<Vec<Value>, String> {
    let first = cells.first().map_or("none", |cell| cell.id.as_str());
    let pair: Vec<&str> = first.split('/').take(2).collect();
    let name = format!("{}-{requester}-client", pair.join("-"));
    let orders: Vec<Value> = cells.iter().map(|cell| cell.order()).collect();
    let plan = json!({"base": base, "gates": gates, "cells": orders});
    let command = places.client(requester);
    children::client(&places.logs, &name, command, &plan, CLIENT_LIMIT).await
}
