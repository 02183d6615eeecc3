//! The processes: workers, sidecars, clients. Each has a time limit and ends with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::plan::{Cell, Program, Worker};

/// A process that does not say within this time that it listens is broken.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A client that has not finished its cells by now hangs: each cell has its own, shorter deadline.
const CLIENT_LIMIT: Duration = Duration::from_secs(180);
/// How much of a process's log is told when it fails (bytes).
const LOG_TAIL: usize = 2000;
/// The longest request to the gates (bytes); it says nothing that matters.
const GATE_REQUEST: usize = 4096;

/// Where things are: the sources of the peers, what `setup` installed, and the logs of this run.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    sources: PathBuf,
    pub(crate) installed: PathBuf,
    logs: PathBuf,
}

impl Places {
    /// Finds them, and fails with what to do if `setup` has not run.
    pub(crate) fn find(run: &str) -> Result<Places, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (sources, installed) = (root.join("tests/peers"), root.join("target/peers"));
        let environments = ["py-v1", "py-v03", "py-v02", "js"];
        let legacy = ["python-a2a", "praisonai", "fasta2a", "fasta2a-0.6"];
        for name in environments.into_iter().chain(legacy) {
            if !installed.join(format!("{name}.stamp")).is_file() {
                return Err(format!(
                    "the real peers are not installed ({name} is missing): run tests/run"
                ));
            }
        }
        let logs = installed.join("logs").join(run);
        let prepare = || -> std::io::Result<()> {
            std::fs::create_dir_all(&logs)?;
            // Node looks for its modules beside the file that it runs.
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

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

/// A server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    lines: Arc<Mutex<Vec<String>>>,
    _child: Child,
}

impl Server {
    /// What a worker wrote of the jobs that it began.
    pub(crate) fn jobs(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = lines.iter().filter_map(|line| line.strip_prefix("JOB "));
        jobs.map(str::to_owned).collect()
    }
}

/// Starts a worker.
pub(crate) async fn start_worker(places: &Places, worker: &Worker) -> Result<Server, String> {
    let name = format!("{}-worker", file_name(worker.name));
    let mut command = places.command(worker.program, worker.name, "worker");
    command.args(worker.arguments);
    if worker.program != Program::Sdk {
        command.args(["--seconds", &worker.seconds.to_string()]);
    }
    command
        .stdout(Stdio::piped())
        .stderr(log_file(&places.log(&name))?);
    let mut child = spawn(command, &name)?;
    let stdout = child.stdout.take().ok_or("no stdout")?;
    let ready = |line: &str| line.strip_prefix("READY ").map(str::to_owned);
    let (url, lines) = announced(places, stdout, &name, ready).await?;
    Ok(Server {
        url,
        lines,
        _child: child,
    })
}

/// Starts a sidecar before the worker, told nothing of it but its address.
pub(crate) async fn start_sidecar(
    places: &Places,
    worker: &Worker,
    worker_url: &str,
) -> Result<Server, String> {
    let name = format!("{}-sidecar", file_name(worker.name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_a2a-sidecar"));
    command
        .args(["--worker", worker_url])
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--store", "memory:", "--webhook-allow", "127.0.0.0/8"])
        .stdout(log_file(&places.log(&format!("{name}-stdout")))?)
        .stderr(Stdio::piped());
    let mut child = spawn(command, &name)?;
    let stderr = child.stderr.take().ok_or("no stderr")?;
    let (url, lines) = announced(places, stderr, &name, listening_on).await?;
    Ok(Server {
        url,
        lines,
        _child: child,
    })
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

/// Runs the cells of one requester in one process; gives the line that it wrote for each cell that it finished.
pub(crate) async fn run_client(
    places: &Places,
    worker: &str,
    cells: &[&Cell],
    base: &str,
    gates: &str,
) -> Result<Vec<Value>, String> {
    let requester = cells.first().ok_or("no cells")?.requester;
    let name = format!("{}-{}-client", file_name(worker), requester.name);
    let log = places.log(&name);
    let orders: Vec<Value> = cells.iter().map(|cell| cell.order()).collect();
    let plan = json!({"base": base, "gates": gates, "cells": orders}).to_string();
    let mut command = places.command(requester.program, requester.name, "client");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log_file(&log)?);
    let mut child = spawn(command, &name)?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    let run = async {
        stdin.write_all(plan.as_bytes()).await?;
        drop(stdin);
        child.wait_with_output().await
    };
    let output = match timeout(CLIENT_LIMIT, run).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_) => {
            let said = tail(&log);
            return Err(format!(
                "{name} is not done within {CLIENT_LIMIT:?}: {said}"
            ));
        }
    };
    if !output.status.success() {
        let said = tail(&log);
        return Err(format!("{name} ended with {}: {said}", output.status));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")))
        .collect()
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

/// The address that the process announces on this output, and all its lines as they come. The output is read, into a
/// log of its own, until the process ends: one that cannot write would stop or fail.
async fn announced(
    places: &Places,
    output: impl AsyncRead + Unpin + Send + 'static,
    name: &str,
    address: impl Fn(&str) -> Option<String> + Send + 'static,
) -> Result<(String, Arc<Mutex<Vec<String>>>), String> {
    let path = places.log(&format!("{name}-output"));
    let mut log = tokio::fs::File::create(&path)
        .await
        .map_err(|error| error.to_string())?;
    let (tell, told) = tokio::sync::oneshot::channel();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
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
            keeping
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
        let _ = log.flush().await;
    });
    match timeout(START_LIMIT, told).await {
        Ok(Ok(url)) => Ok((url, kept)),
        _ => Err(format!(
            "{name} does not become ready: {}{}",
            tail(&places.log(name)),
            tail(&path)
        )),
    }
}

fn file_name(name: &str) -> String {
    name.replace(' ', "")
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
