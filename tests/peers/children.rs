//! Child processes of the tests against real peers: servers that announce their address, clients that write lines.
//! Each has a time limit, writes a log, and ends with the test.
//!
//! Knows no peer: `process` and `legacy/process` say what is started.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A process that does not say within this time that it listens is broken.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How much of a process's log is told when it fails (bytes).
const LOG_TAIL: usize = 2000;

/// The folder of one run's logs.
#[derive(Clone, Debug)]
pub(crate) struct Logs(pub(crate) PathBuf);

impl Logs {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{}.log", name.replace('/', "-")))
    }

    /// A new log that a process can write to.
    fn file(&self, name: &str) -> Result<Stdio, String> {
        let path = self.path(name);
        let file =
            std::fs::File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(file.into())
    }

    fn tail(&self, name: &str) -> String {
        let text = std::fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL)..]).into_owned()
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
    /// What it wrote after this word, each line that begins with it.
    #[allow(
        dead_code,
        reason = "the workers of the grid say nothing but that they are ready"
    )]
    pub(crate) fn said(&self, word: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let said = lines.iter().filter_map(|line| line.strip_prefix(word));
        said.map(str::to_owned).collect()
    }
}

/// Starts a worker, which writes `READY <url>` once it listens.
pub(crate) async fn worker(
    logs: &Logs,
    name: &str,
    mut command: Command,
) -> Result<Server, String> {
    command.stdout(Stdio::piped()).stderr(logs.file(name)?);
    let mut child = spawn(command, name)?;
    let stdout = child.stdout.take().ok_or("no stdout")?;
    let ready = |line: &str| line.strip_prefix("READY ").map(str::to_owned);
    let (url, lines) = announced(logs, stdout, name, ready).await?;
    Ok(Server {
        url,
        lines,
        _child: child,
    })
}

/// Starts a sidecar before the worker at `worker_url`, told nothing of it but that, with its store where `store` says.
pub(crate) async fn sidecar(
    logs: &Logs,
    name: &str,
    worker_url: &str,
    store: &str,
) -> Result<Server, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_a2a-sidecar"));
    command
        .args(["--worker", worker_url])
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--store", store, "--webhook-allow", "127.0.0.0/8"])
        .stdout(logs.file(name)?)
        .stderr(Stdio::piped());
    let mut child = spawn(command, name)?;
    let stderr = child.stderr.take().ok_or("no stderr")?;
    let (url, lines) = announced(logs, stderr, name, listening_on).await?;
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

/// Runs a client that reads `plan` from stdin; gives the lines of JSON that it wrote.
pub(crate) async fn client(
    logs: &Logs,
    name: &str,
    mut command: Command,
    plan: &Value,
    limit: Duration,
) -> Result<Vec<Value>, String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(logs.file(name)?);
    let mut child = spawn(command, name)?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    let plan = plan.to_string();
    let run = async {
        stdin.write_all(plan.as_bytes()).await?;
        drop(stdin);
        child.wait_with_output().await
    };
    let output = match timeout(limit, run).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_) => {
            let said = logs.tail(name);
            return Err(format!("{name} is not done within {limit:?}: {said}"));
        }
    };
    if !output.status.success() {
        let said = logs.tail(name);
        return Err(format!("{name} ended with {}: {said}", output.status));
    }
    String::from_utf8_lossy(&output.stdout)
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

/// The address that the process announces on this output, and all its lines as they come. The output is read, into a
/// log of its own, until the process ends: one that cannot write would stop or fail.
async fn announced(
    logs: &Logs,
    output: impl AsyncRead + Unpin + Send + 'static,
    name: &str,
    address: impl Fn(&str) -> Option<String> + Send + 'static,
) -> Result<(String, Arc<Mutex<Vec<String>>>), String> {
    let output_name = format!("{name}-output");
    let mut log = tokio::fs::File::create(logs.path(&output_name))
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
            let mut kept = keeping.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(line);
        }
        let _ = log.flush().await;
    });
    match timeout(START_LIMIT, told).await {
        Ok(Ok(url)) => Ok((url, kept)),
        _ => Err(format!(
            "{name} does not become ready: {}{}",
            logs.tail(name),
            logs.tail(&output_name)
        )),
    }
}

/// Makes the folder of logs, and puts the JavaScript files beside their `node_modules`, where alone Node looks for
/// these. Fails with what to do if `setup` has not made one of these environments.
pub(crate) fn prepare(
    sources: &Path,
    installed: &Path,
    environments: &[&str],
    logs: &str,
) -> Result<Logs, String> {
    for name in environments {
        if !installed.join(format!("{name}.stamp")).is_file() {
            return Err(format!(
                "the real peers are not installed ({name} is missing): run tests/run"
            ));
        }
    }
    let logs = installed.join(logs);
    let put = || -> std::io::Result<()> {
        std::fs::create_dir_all(&logs)?;
        let scenarios = "scenarios.json";
        std::fs::copy(sources.join(scenarios), installed.join(scenarios))?;
        for file in ["js/worker.mjs", "js/client.mjs"] {
            std::fs::copy(sources.join(file), installed.join(file))?;
        }
        Ok(())
    };
    put().map_err(|error| format!("cannot prepare {}: {error}", installed.display()))?;
    Ok(Logs(logs))
}
