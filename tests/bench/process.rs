//! The processes that are measured: the sidecar and the bare proxy, their CPU time and their memory as Linux counts
//! them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::http::get_status;

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(20);

/// A child that is killed at the end.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is, for messages.
    pub name: &'static str,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for logs and stores, below `target`.
pub fn scratch() -> PathBuf {
    // Below the folder that Cargo gives to benches, wherever the target directory is.
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../bench");
    fs::create_dir_all(&path).expect("a folder for the bench");
    path.canonicalize().expect("the folder that was just made")
}

/// The bare proxy in front of this worker.
pub fn bare(worker: SocketAddr) -> Process {
    let program = std::env::current_exe().expect("this program's path");
    let mut child = Command::new(program)
        .args([crate::BARE, &worker.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the bare proxy starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the bare proxy says where it listens");
    Process {
        child,
        address: line.trim().parse().expect("an address"),
        name: "bare proxy",
    }
}

/// The sidecar in front of this worker, as operators run it: JSON log lines at level `info`, one for each finished
/// call, into a file. `more` is appended to its configuration's route. `BENCH_SIDECAR` names another build of it, to be
/// measured by the same bench.
pub async fn sidecar(worker: SocketAddr, store: &str, more: &str) -> Process {
    let scratch = scratch();
    let listen = free_address();
    let config = scratch.join("sidecar.toml");
    let level = std::env::var("BENCH_LOG_LEVEL").unwrap_or_else(|_| "info".to_owned());
    fs::write(
        &config,
        format!(
            "[server]\nlisten = \"{listen}\"\nmax_in_flight = 10000\n[admin]\nlisten = \"\"\n\
             [log]\nformat = \"json\"\nlevel = \"{level}\"\n[store]\nurl = \"{store}\"\n\
             [webhooks]\nallow = [\"127.0.0.1\"]\n\
             [[routes]]\nworker = \"http://{worker}\"\n{more}\n"
        ),
    )
    .expect("the configuration is written");
    let log = File::create(scratch.join("sidecar.log")).expect("a log file");
    let program = std::env::var_os("BENCH_SIDECAR")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_a2a-sidecar").into());
    let child = Command::new(program)
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the sidecar starts");
    let process = Process {
        child,
        address: listen,
        name: "sidecar",
    };
    let listening = async {
        while get_status(listen, "/bytes").await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(START, listening)
        .await
        .unwrap_or_else(|_| panic!("the sidecar does not listen: see {}", scratch.display()));
    process
}

/// An address that nobody listens on at the moment.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}

impl Process {
    /// The CPU time of all its threads so far.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("/proc");
        let nanos = tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        Duration::from_nanos(nanos)
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok())
            .expect("VmRSS")
            * 1024
    }

    /// The process's number, for profilers.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}
