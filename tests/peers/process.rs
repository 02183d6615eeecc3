//! The processes of the grid: workers, sidecars, clients. Each has a time limit and ends with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::grid::{Cell, Pair, binding, sdk};

/// A process of the grid that does not say within this time that it listens is broken.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A client that has not finished its cells by now hangs: each cell has its own, shorter deadline.
const CLIENT_LIMIT: Duration = Duration::from_secs(240);
/// How much of a process's log is told when it fails (bytes).
const LOG_TAIL: usize = 2000;

/// Where things are: the sources of the peers, what `setup` installed, and the logs of this run.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    sources: PathBuf,
    pub(crate) installed: PathBuf,
    logs: PathBuf,
}

/// A program of the crate beside this one: Cargo puts it where it puts the sidecar.
fn rust_peer(binary: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_a2a-sidecar")).with_file_name(binary)
}

impl Places {
    /// Finds them, and fails with what to do if `setup` has not run. The JavaScript files are put beside their
    /// `node_modules`, where alone Node looks for these.
    pub(crate) fn find() -> Result<Places, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (sources, installed) = (root.join("tests/peers"), root.join("target/peers"));
        for stamp in ["py-v1.stamp", "py-v03.stamp", "py-v02.stamp", "js.stamp"] {
            if !installed.join(stamp).is_file() {
                return Err(format!(
                    "the real peers are not installed ({stamp} is missing): run tests/run"
                ));
            }
        }
        for binary in ["peer-worker", "peer-client"] {
            if !rust_peer(binary).is_file() {
                return Err(format!(
                    "the Rust peers are not built ({binary} is missing): run tests/run, or cargo build -p a2a-sidecar-peers"
                ));
            }
        }
        let logs = installed.join("logs");
        let prepare = || -> std::io::Result<()> {
            std::fs::create_dir_all(&logs)?;
            std::fs::copy(
                sources.join("scenarios.json"),
                installed.join("scenarios.json"),
            )?;
            for file in ["worker.mjs", "client.mjs"] {
                std::fs::copy(
                    sources.join("js").join(file),
                    installed.join("js").join(file),
                )?;
            }
            Ok(())
        };
        prepare().map_err(|error| format!("cannot prepare {}: {error}", installed.display()))?;
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

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{}.log", name.replace('/', "-")))
    }
}

/// A server of the grid; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    _child: Child,
}

/// Starts the pair's worker.
pub(crate) async fn start_worker(places: &Places, pair: &Pair) -> Result<Server, String> {
    let name = format!("{}-{}-worker", pair.worker, pair.restriction);
    let mut command = places.worker(sdk(pair.worker));
    command
        .args(["--restrict", pair.restriction])
        .args(["--binding", binding(pair.worker)])
        .stdout(Stdio::piped())
        .stderr(log_file(&places.log(&name))?);
    let mut child = spawn(command, &name)?;
    let stdout = child.stdout.take().ok_or("no stdout")?;
    let ready = |line: &str| line.strip_prefix("READY ").map(str::to_owned);
    let url = announced(places, stdout, &name, ready).await?;
    Ok(Server { url, _child: child })
}

/// Starts a sidecar before the worker at `worker_url`, with its store where `store` says.
pub(crate) async fn start_sidecar(
    places: &Places,
    pair: &Pair,
    worker_url: &str,
    store: &str,
) -> Result<Server, String> {
    let name = format!("{}-{}-sidecar", pair.worker, pair.restriction);
    let mut command = Command::new(env!("CARGO_BIN_EXE_a2a-sidecar"));
    command
        .args(["--worker", worker_url])
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--store", store, "--webhook-allow", "127.0.0.0/8"])
        .stdout(log_file(&places.log(&name))?)
        .stderr(Stdio::piped());
    let mut child = spawn(command, &name)?;
    let stderr = child.stderr.take().ok_or("no stderr")?;
    let url = announced(places, stderr, &name, listening_on).await?;
    Ok(Server { url, _child: child })
}

/// The address in the sidecar's line about its main listener; the admin listener's line says so.
fn listening_on(line: &str) -> Option<String> {
    let (before, after) = line.split_once("listening on http://")?;
    if before.contains("admin") || after.contains("admin") {
        return None;
    }
    let address: String = after
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
        .collect();
    Some(format!("http://{address}"))
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
    let log = places.log(&name);
    let orders: Vec<Value> = cells.iter().map(|cell| cell.order()).collect();
    let plan = json!({"base": base, "gates": gates, "cells": orders}).to_string();
    let mut command = places.client(requester);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log_file(&log)?);
    let mut child = spawn(command, &name)?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    let run = async {
        stdin
            .write_all(plan.as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        drop(stdin);
        child
            .wait_with_output()
            .await
            .map_err(|error| error.to_string())
    };
    let output = match timeout(CLIENT_LIMIT, run).await {
        Ok(output) => output?,
        Err(_) => {
            return Err(format!(
                "{name} is not done within {CLIENT_LIMIT:?}: {}",
                tail(&log)
            ));
        }
    };
    if !output.status.success() {
        return Err(format!(
            "{name} ended with {}: {}",
            output.status,
            tail(&log)
        ));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")))
        .collect()
}

fn spawn(mut command: Command, name: &str) -> Result<Child, String> {
    for variable in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(variable); // everything here is on this machine
    }
    command
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{name} does not start: {error}"))
}

/// The address that the process announces on this output. The output is read, into a log of its own, until the
/// process ends: one that cannot write would stop or fail.
async fn announced(
    places: &Places,
    output: impl AsyncRead + Unpin + Send + 'static,
    name: &str,
    address: impl Fn(&str) -> Option<String> + Send + 'static,
) -> Result<String, String> {
    let path = places.log(&format!("{name}-output"));
    let mut log = tokio::fs::File::create(&path)
        .await
        .map_err(|error| error.to_string())?;
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut tell = Some(tell);
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(url) = address(&line)
                && let Some(tell) = tell.take()
            {
                let _ = tell.send(url);
            }
            let _ = log.write_all(format!("{line}\n").as_bytes()).await;
        }
        let _ = log.flush().await;
    });
    match timeout(START_LIMIT, told).await {
        Ok(Ok(url)) => Ok(url),
        _ => Err(format!(
            "{name} does not become ready: {}{}",
            tail(&places.log(name)),
            tail(&path)
        )),
    }
}

fn log_file(path: &Path) -> Result<Stdio, String> {
    let file =
        std::fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(file.into())
}

fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL)..]).into_owned()
}
