//! The demo as people see it: the binary, its output, its exit code, and what it leaves behind.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The longest that anything here may take: more than the demo grants itself.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running demo.
struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where it may make files.
    scratch: TempDir,
    heard: Vec<String>,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_a2a-sidecar"))
            .arg("demo")
            .args(args)
            .env("TMPDIR", scratch.path())
            .env("HOME", scratch.path())
            .env_remove("RUST_LOG")
            .env_remove("COLUMNS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            scratch,
            heard: Vec::new(),
        }
    }

    async fn line(&mut self) -> Option<String> {
        let line = timeout(DEADLINE, self.lines.next_line()).await;
        let line = line.expect("a line in time").unwrap()?;
        self.heard.push(line.clone());
        Some(line)
    }

    /// Reads up to a line that holds this.
    async fn until(&mut self, text: &str) {
        while let Some(line) = self.line().await {
            if line.contains(text) {
                return;
            }
        }
        panic!("no {text:?} in:\n{}", self.heard.join("\n"));
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs");
        let kill = format!("kill -{name} {id}");
        let killed = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(killed.unwrap().success(), "{kill}");
    }

    /// Its end, after which nothing is left.
    async fn end(mut self) -> (ExitStatus, String) {
        while self.line().await.is_some() {}
        let status = timeout(DEADLINE, self.child.wait()).await;
        let status = status.expect("it ends").unwrap();
        assert_eq!(left_in(self.scratch.path()), Vec::<String>::new());
        (status, self.heard.join("\n"))
    }
}

fn left_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[tokio::test]
async fn every_cell_comes_out_right() {
    let (status, text) = Demo::start(&["--plain"]).end().await;
    assert_eq!(status.code(), Some(0), "{text}");
    for worker in ["blocks", "polls"] {
        for mode in ["blocking", "poll", "stream", "push"] {
            let cell = format!("{mode}, worker {worker} ");
            let told: Vec<_> = text.lines().filter(|line| line.contains(&cell)).collect();
            assert!(
                told.last().is_some_and(|line| line.ends_with(" ok")),
                "{cell}: {text}"
            );
            let completed = told
                .iter()
                .filter(|line| line.ends_with(" completed"))
                .count();
            assert_eq!(completed, 1, "{cell}: {text}");
        }
    }
    assert!(text.contains("all 8 cells ok"), "{text}");
    let rows: Vec<_> = text.lines().filter(|line| line.contains("✓")).collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[tokio::test]
async fn what_is_printed_works_while_the_demo_holds() {
    let mut demo = Demo::start(&["--hold"]);
    demo.until("Try it by hand").await;
    // The stores are in its one folder.
    assert_eq!(left_in(demo.scratch.path()).len(), 1);
    let start = demo.heard.len();
    demo.until("$NOW,$P").await;
    let commands = demo.heard[start..].join("\n");
    assert!(commands.lines().all(|line| line.len() <= 80), "{commands}");
    let shell = Command::new("sh").arg("-euc").arg(&commands).output();
    let output = timeout(DEADLINE, shell).await.expect("an end").unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{answers}");
    assert!(!answers.contains("\"error\""), "{answers}");
    let lines: Vec<_> = answers.lines().filter(|line| !line.is_empty()).collect();
    assert!(
        lines[0].contains(r#""streaming":true,"pushNotifications":true"#),
        "{answers}"
    );
    assert!(
        lines[1].contains("TASK_STATE_COMPLETED") && lines[1].contains(r#""text":"42""#),
        "{answers}"
    );
    let events: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("data:"))
        .collect();
    assert!(events[0].contains("TASK_STATE_SUBMITTED"), "{answers}");
    assert!(
        events[events.len() - 1].contains("TASK_STATE_COMPLETED"),
        "{answers}"
    );
    // The task that was polled: known again, and changed since.
    let polled = lines[lines.len() - 2];
    assert!(
        polled.contains(r#""result":{"id":"#) && !polled.contains("SUBMITTED"),
        "{answers}"
    );
    demo.until("webhook: submitted").await;
    demo.until("webhook: artifact \"42\"").await;
    demo.until("webhook: completed").await;
    demo.signal("INT").await;
    let (status, text) = demo.end().await;
    assert_eq!(status.code(), Some(0), "{text}");
}

#[tokio::test]
async fn sigterm_ends_it_in_good_order() {
    let mut demo = Demo::start(&["--hold", "--plain"]);
    demo.until("Try it by hand").await;
    demo.signal("TERM").await;
    let (status, text) = demo.end().await;
    assert_eq!(status.code(), Some(0), "{text}");
}

#[tokio::test]
async fn a_signal_half_way_fails_it_and_leaves_nothing() {
    for signal in ["INT", "TERM", "HUP"] {
        let mut demo = Demo::start(&["--plain"]);
        demo.until("submitted").await;
        assert_eq!(left_in(demo.scratch.path()).len(), 1);
        demo.signal(signal).await;
        let (status, text) = demo.end().await;
        assert_eq!(status.code(), Some(1), "{text}");
        assert!(!text.contains("cells ok"), "{text}");
    }
}

#[tokio::test]
async fn it_fails_where_it_can_make_no_files() {
    let output = Command::new(env!("CARGO_BIN_EXE_a2a-sidecar"))
        .arg("demo")
        .env("TMPDIR", "/nowhere/at/all")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("no directory can be made for the tasks"),
        "{stderr}"
    );
}
