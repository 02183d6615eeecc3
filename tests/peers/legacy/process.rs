//! What is started for the legacy pairs: workers, sidecars, clients, and the gates of workers that have none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::children::{self, Logs, Server};
use crate::plan::{Cell, Program, Worker};

/// A client that has not finished its cells by now hangs: each cell has its own, shorter deadline.
const CLIENT_LIMIT: Duration = Duration::from_secs(180);
/// The longest request to the gates (bytes); it says nothing that matters.
const GATE_REQUEST: usize = 4096;
/// What the peers of these tests need of `setup`.
const ENVIRONMENTS: [&str; 9] = [
    "py-v1",
    "py-v03",
    "py-v02",
    "js",
    "python-a2a",
    "praisonai",
    "fasta2a",
    "fasta2a-2.0",
    "fasta2a-0.6",
];

/// Where things are: the sources of the peers, what `setup` installed, and the logs of this run.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    sources: PathBuf,
    pub(crate) installed: PathBuf,
    logs: Logs,
}

impl Places {
    /// Finds them, and fails with what to do if `setup` has not run.
    pub(crate) fn find(run: &str) -> Result<Places, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (sources, installed) = (root.join("tests/peers"), root.join("target/peers"));
        let logs = format!("logs/{run}");
        let logs = children::prepare(&sources, &installed, &ENVIRONMENTS, &logs)?;
        Ok(Places {
            sources,
            installed,
            logs,
        })
    }

    /// The command that starts a peer; `role` is `worker` or `client`.
    fn command(&self, program: Program, name: &str, role: &str) -> Command {
        let (environment, script) = match program {
            Program::Legacy {
                environment,
                script,
            } => (environment, format!("legacy/{script}")),
            Program::Sdk if name == "js-v1" => {
                let mut command = Command::new("node");
                command.arg(self.installed.join("js").join(format!("{role}.mjs")));
                return command;
            }
            Program::Sdk => (name, format!("{role}_{}.py", name.replace('-', "_"))),
        };
        let mut command = Command::new(self.installed.join(environment).join("bin/python"));
        command
            .args(["-W", "ignore"])
            .arg(self.sources.join(script));
        command
    }
}

/// Starts a worker.
pub(crate) async fn start_worker(places: &Places, worker: &Worker) -> Result<Server, String> {
    let mut command = places.command(worker.program, worker.name, "worker");
    command.args(worker.arguments);
    if worker.program != Program::Sdk {
        command.args(["--seconds", &worker.seconds.to_string()]);
    }
    let name = format!("{}-worker", file_name(worker.name));
    children::worker(&places.logs, &name, command).await
}

/// Starts a sidecar before the worker at `url`, with its store where `store` says.
pub(crate) async fn start_sidecar(
    places: &Places,
    worker: &Worker,
    url: &str,
    store: &str,
) -> Result<Server, String> {
    let name = format!("{}-sidecar", file_name(worker.name));
    children::sidecar(&places.logs, &name, url, store).await
}

/// Runs the cells of one requester in one process; gives the line that it wrote for each cell.
pub(crate) async fn run_client(
    places: &Places,
    worker: &str,
    cells: &[&Cell],
    base: &str,
    gates: &str,
) -> Result<Vec<Value>, String> {
    let requester = cells.first().ok_or("no cells")?.requester;
    let orders: Vec<Value> = cells.iter().map(|cell| cell.order()).collect();
    let plan = json!({"base": base, "gates": gates, "cells": orders});
    let name = format!("{}-{}-client", file_name(worker), requester.name);
    let command = places.command(requester.program, requester.name, "client");
    children::client(&places.logs, &name, command, &plan, CLIENT_LIMIT).await
}

/// Answers the SDKs' clients, which open a gate at their own workers: a legacy worker has none to open.
pub(crate) async fn start_gates() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; GATE_REQUEST];
                let _ = stream.read(&mut request).await;
                let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
            });
        }
    });
    Ok(format!("http://{address}"))
}

fn file_name(name: &str) -> String {
    name.replace(' ', "")
}
