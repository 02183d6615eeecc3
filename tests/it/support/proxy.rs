//! The sidecar as its users run it: the binary as a child process, with flags or a configuration file, killed
//! and started again on the same ports and the same store.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::client::Client;
use super::http::{self, Answer, Port};
use super::protocol::Version;
use super::{Changes, DEADLINE, within};

/// Between two looks at `/ready`. A child process can't be awaited any other way; the looks are bounded by
/// [`DEADLINE`].
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// Where the sidecar keeps its tasks.
#[derive(Clone, Debug, Default)]
pub enum Store {
    Memory,
    /// A file in a directory that lasts as long as the test.
    #[default]
    Sqlite,
    /// A file of the test's own.
    SqliteAt(PathBuf),
}

/// How to start a sidecar.
#[derive(Debug)]
pub struct Builder {
    worker: Option<String>,
    store: Option<Store>,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    config: Option<String>,
    ready: bool,
}

/// A sidecar. Dropping it kills the process; a failing test prints its log.
pub struct Sidecar {
    /// Where requesters reach it.
    pub url: String,
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    /// Ours also while the process is dead.
    _ports: [Port; 2],
    builder: Builder,
    dir: TempDir,
    child: Option<Running>,
    log: Arc<Log>,
}

struct Running {
    child: Child,
    reading: Vec<JoinHandle<()>>,
}

/// The lines that the process wrote, in every life that it had.
struct Log {
    lines: Mutex<Vec<String>>,
    changes: Changes,
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, line: String) {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        self.changes.note();
    }

    /// The address behind `words` in the lines from `start` on.
    fn address(&self, start: usize, words: &str) -> Option<SocketAddr> {
        let lines = self.lines();
        lines.get(start..)?.iter().find_map(|line| {
            let (_, rest) = line.split_once(words)?;
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':'))
                .unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
    }
}

impl Builder {
    /// `--worker`.
    pub fn worker(mut self, url: &str) -> Self {
        self.worker = Some(url.to_owned());
        self
    }

    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Any other flags, values included.
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Webhooks may go nowhere but to public addresses, as it is without any flag.
    pub fn no_webhooks_here(mut self) -> Self {
        self.flags.clear();
        self
    }

    /// A variable of the process's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A configuration in TOML, given as a file. It says where the tasks are kept, unless
    /// [`Builder::store`] does.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// Does not wait for `/ready`: for a sidecar whose worker is away, or that must refuse to start.
    pub fn without_ready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// Starts the sidecar on free ports and waits until it listens (and is ready).
    pub async fn start(self) -> Sidecar {
        let mut sidecar = self.build();
        sidecar.launch().await;
        sidecar
    }

    /// Runs a sidecar that is to end by itself: its exit status, and what it wrote.
    pub async fn run_to_end(self) -> (ExitStatus, Vec<String>) {
        let mut sidecar = self.build();
        sidecar.spawn();
        let status = sidecar.exited().await;
        (status, sidecar.log())
    }

    fn build(mut self) -> Sidecar {
        if self.store.is_none() && self.config.is_none() {
            self.store = Some(Store::default());
        }
        let ports = [Port::take(), Port::take()];
        let [addr, admin] = [ports[0].addr, ports[1].addr];
        Sidecar {
            url: format!("http://{addr}/"),
            addr,
            admin,
            _ports: ports,
            builder: self,
            dir: tempfile::tempdir().unwrap(),
            child: None,
            log: Arc::new(Log {
                lines: Mutex::new(Vec::new()),
                changes: Changes::new(),
            }),
        }
    }
}

impl Sidecar {
    /// A sidecar whose webhooks may go to this machine, with its tasks in a file, unless told otherwise.
    pub fn builder() -> Builder {
        Builder {
            worker: None,
            store: None,
            flags: vec!["--webhook-allow".to_owned(), "127.0.0.0/8".to_owned()],
            env: Vec::new(),
            config: None,
            ready: true,
        }
    }

    /// The simplest sidecar: this worker, all else by default.
    pub async fn before(worker: &str) -> Self {
        Self::builder().worker(worker).start().await
    }

    /// A requester of this sidecar.
    pub fn client(&self, version: Version) -> Client {
        Client::new(&self.url, version)
    }

    /// What the process wrote so far, in all its lives.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits for a line that holds `text`.
    pub async fn wait_log(&self, text: &str) {
        within(
            &format!("a line of the log with {text:?}"),
            || self.log().join("\n"),
            self.log.changes.until(|| {
                let found = self.log().iter().any(|line| line.contains(text));
                found.then_some(())
            }),
        )
        .await;
    }

    /// Kills the process, as a crash or the kernel does. What it wrote is read to the end.
    pub async fn kill9(&mut self) {
        if let Some(running) = &mut self.child {
            running.child.start_kill().unwrap();
        }
        self.exited().await;
    }

    /// Asks the process to end in good order and gives its exit code.
    pub async fn sigterm(&mut self) -> Option<i32> {
        self.send_sigterm().await;
        self.exited().await.code()
    }

    /// Asks the process to end, without waiting for it.
    pub async fn send_sigterm(&self) {
        let pid = self
            .child
            .as_ref()
            .and_then(|running| running.child.id())
            .unwrap_or_else(|| panic!("the sidecar does not run: {}", self.log().join("\n")));
        let killed = Command::new("sh")
            .args(["-c", &format!("kill -TERM {pid}")])
            .status()
            .await;
        assert!(
            killed.is_ok_and(|status| status.success()),
            "kill -TERM {pid} failed"
        );
    }

    /// Waits for the process to end.
    pub async fn exited(&mut self) -> ExitStatus {
        let mut running = self
            .child
            .take()
            .unwrap_or_else(|| panic!("the sidecar does not run: {}", self.log().join("\n")));
        let status = within(
            "the end of the sidecar",
            || self.log().join("\n"),
            running.child.wait(),
        )
        .await
        .unwrap();
        for reading in running.reading {
            let _ = reading.await;
        }
        status
    }

    /// Starts the process again on the same ports with the same store, after a kill or by killing it.
    pub async fn restart(&mut self) {
        if self.child.is_some() {
            self.kill9().await;
        }
        self.launch().await;
    }

    /// A GET on the admin address.
    pub async fn admin_get(&self, path: &str) -> Answer {
        self.try_admin(Method::GET, path)
            .await
            .unwrap_or_else(|error| panic!("no answer from {path}: {error}"))
    }

    pub async fn try_admin(&self, method: Method, path: &str) -> Result<Answer, String> {
        let url = format!("http://{}{path}", self.admin);
        let exchange = http::request(method, &url, &[], "").await?;
        Ok(exchange.whole().await)
    }

    /// Every series of `/metrics`, by its name with labels.
    pub async fn metrics(&self) -> Metrics {
        let answer = self.admin_get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics::parse(&answer.text())
    }

    async fn launch(&mut self) {
        let start = self.log().len();
        self.spawn();
        let listening = self.log.changes.until(|| {
            let addr = ["listening on http://", "listening on https://"]
                .iter()
                .find_map(|words| self.log.address(start, words))?;
            Some((addr, self.log.address(start, "admin on http://")?))
        });
        let listening = tokio::time::timeout(DEADLINE, listening);
        let Some(running) = &mut self.child else {
            unreachable!("it was just started");
        };
        let (addr, admin) = tokio::select! {
            addresses = listening => addresses.unwrap_or_else(|_| {
                panic!("the sidecar does not listen:\n{}", self.log.lines().join("\n"))
            }),
            status = running.child.wait() => {
                for reading in running.reading.drain(..) {
                    let _ = reading.await;
                }
                panic!("the sidecar ended with {status:?}:\n{}", self.log.lines().join("\n"))
            }
        };
        assert_eq!(
            (addr, admin),
            (self.addr, self.admin),
            "it listens elsewhere"
        );
        if self.builder.ready {
            self.wait_ready().await;
        }
    }

    /// Waits until `/ready` says 200.
    pub async fn wait_ready(&self) {
        let mut looks = tokio::time::interval(READY_INTERVAL);
        within("ready", || self.log().join("\n"), async {
            loop {
                looks.tick().await;
                let ready = self.try_admin(Method::GET, "/ready").await;
                if ready.is_ok_and(|answer| answer.status == 200) {
                    return;
                }
            }
        })
        .await;
    }

    fn spawn(&mut self) {
        let mut command = Command::new(binary());
        command
            .arg("--listen")
            .arg(self.addr.to_string())
            .arg("--admin")
            .arg(self.admin.to_string());
        if let Some(worker) = &self.builder.worker {
            command.arg("--worker").arg(worker);
        }
        if let Some(store) = &self.builder.store {
            command.arg("--store").arg(self.store_url(store));
        }
        if let Some(toml) = &self.builder.config {
            let path = self.dir.path().join("sidecar.toml");
            std::fs::write(&path, toml).unwrap();
            command.arg("--config").arg(path);
        }
        command
            .args(&self.builder.flags)
            .envs(self.builder.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut reading = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            reading.push(tokio::spawn(read(stderr, self.log.clone())));
        }
        if let Some(stdout) = child.stdout.take() {
            reading.push(tokio::spawn(read(stdout, self.log.clone())));
        }
        self.child = Some(Running { child, reading });
    }

    /// The file of the SQLite store, where there is one.
    pub fn store_path(&self) -> Option<PathBuf> {
        match self.builder.store.as_ref()? {
            Store::Memory => None,
            Store::Sqlite => Some(self.dir.path().join("sidecar.db")),
            Store::SqliteAt(path) => Some(path.clone()),
        }
    }

    /// A directory that lasts as long as the sidecar, for the files of a test.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Replaces the configuration file; the running process learns of it as its users tell it.
    pub fn write_config(&mut self, toml: &str) {
        self.builder.config = Some(toml.to_owned());
        std::fs::write(self.dir.path().join("sidecar.toml"), toml).unwrap();
    }

    fn store_url(&self, store: &Store) -> String {
        match store {
            Store::Memory => "memory:".to_owned(),
            Store::Sqlite => format!("sqlite:{}", self.dir.path().join("sidecar.db").display()),
            Store::SqliteAt(path) => format!("sqlite:{}", path.display()),
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the sidecar's log\n{}\n---", self.log().join("\n"));
        }
    }
}

async fn read(from: impl tokio::io::AsyncRead + Unpin, log: Arc<Log>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.add(line);
    }
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_a2a-sidecar"))
}

/// The series of a Prometheus exposition.
#[derive(Clone, Debug)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Self {
        let series = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect();
        Self(series)
    }

    /// The sum over all series of this name; 0 where there is none.
    pub fn sum(&self, name: &str) -> f64 {
        self.sum_with(name, &[])
    }

    /// The sum over the series of this name that carry these labels.
    pub fn sum_with(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.0
            .iter()
            .filter(|(series, _)| {
                let (known, rest) = series.split_once('{').unwrap_or((series, ""));
                known == name
                    && labels.iter().all(|(label, value)| {
                        let wanted = format!("{label}=\"{value}\"");
                        // A label's name begins behind the brace or a comma.
                        rest.starts_with(&wanted) || rest.contains(&format!(",{wanted}"))
                    })
            })
            .map(|(_, value)| value)
            .sum()
    }
}
