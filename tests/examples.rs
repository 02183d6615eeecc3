//! The examples do what they say: each pair of worker and requester with the sidecar between them, and the sidecar in
//! another program.

#[allow(dead_code, reason = "its `main` is not called here")]
#[path = "../examples/embed_layer.rs"]
mod embed_layer;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The longest that an example may take: many times what it does.
const DEADLINE: Duration = Duration::from_secs(60);

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(path)
}

async fn output(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(DEADLINE, command.output()).await;
    output.expect("it ends in time").expect("it starts")
}

/// What a requester printed, without the times.
#[track_caller]
fn heard(output: &Output) -> Vec<String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let (_, requester) = stdout
        .split_once("--- the requester\n")
        .unwrap_or(("", &stdout));
    let lines = requester.lines();
    lines
        .map(|line| match line.split_once("s  ") {
            Some((time, news)) if time.trim().parse::<f64>().is_ok() => news.to_owned(),
            _ => panic!("not news: {line:?}"),
        })
        .collect()
}

/// Runs an example as a user does; nothing of it may be left.
async fn run(mode: &str) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(example(mode).join("run.sh"));
    command
        .env("A2A_SIDECAR", env!("CARGO_BIN_EXE_a2a-sidecar"))
        .env("TMPDIR", scratch.path());
    let output = output(&mut command).await;
    let heard = heard(&output);
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    heard
}

const EVERYTHING: [&str; 5] = [
    "submitted",
    "working 'reading'",
    "working 'computing'",
    "artifact '42'",
    "completed",
];

#[tokio::test]
async fn blocking_gets_the_outcome_of_a_worker_that_must_be_polled() {
    assert_eq!(run("blocking").await, ["artifact '42'", "completed"]);
}

#[tokio::test]
async fn polls_follow_a_worker_that_only_blocks() {
    let heard = run("poll").await;
    assert_eq!(heard[0], "submitted", "{heard:?}");
    assert_eq!(
        heard[heard.len() - 2..],
        ["artifact '42'", "completed"],
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_stream_shows_the_webhooks_of_a_worker() {
    assert_eq!(run("stream").await, EVERYTHING);
}

#[tokio::test]
async fn webhooks_show_the_stream_of_a_worker() {
    assert_eq!(run("push").await, EVERYTHING);
}

#[tokio::test]
async fn a_failing_requester_fails_its_example_and_leaves_nothing() {
    // A worker that streams, and a requester whose webhooks the configuration does not allow.
    let scratch = tempfile::tempdir().unwrap();
    let odd = scratch.path().join("odd");
    let temporary = scratch.path().join("temporary");
    for folder in [&odd, &temporary] {
        std::fs::create_dir(folder).unwrap();
    }
    for file in ["worker.py", "requester.py"] {
        let text = std::fs::read_to_string(example("push").join(file)).unwrap();
        let path = "str(Path(__file__).resolve().parents[1] / \"common\")";
        let common = format!("{:?}", example("common").display().to_string());
        assert!(text.contains(path), "{text}");
        std::fs::write(odd.join(file), text.replace(path, &common)).unwrap();
    }
    std::fs::copy(example("poll/sidecar.toml"), odd.join("sidecar.toml")).unwrap();
    let mut command = Command::new(example("common/run.sh"));
    command
        .arg(&odd)
        .env("A2A_SIDECAR", env!("CARGO_BIN_EXE_a2a-sidecar"))
        .env("TMPDIR", &temporary);
    let output = output(&mut command).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("refused: "), "{stderr}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

/// A worker of the examples and its address.
async fn worker(mode: &str) -> (Child, String) {
    let mut child = Command::new("python3")
        .arg(example(mode).join("worker.py"))
        .arg("0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Python is there");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(DEADLINE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let address = line.strip_prefix("listening on ").unwrap().to_owned();
    (child, address)
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn the_stack_serves_in_another_program() {
    let (_worker, worker) = worker("poll").await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let serving =
        tokio::spawn(async move { embed_layer::serve(&worker, listener, stopping).await });

    let page = get(address, "/").await;
    assert!(page.ends_with("An agent lives at /agent.\n"), "{page}");
    assert!(page.contains("server: embed-layer\r\n"), "{page}");
    let card = get(address, "/agent/.well-known/agent-card.json").await;
    assert!(card.contains("server: embed-layer\r\n"), "{card}");
    assert!(card.contains(&format!("http://{address}/agent")), "{card}");

    // A worker that only blocks, behind the stack, streams.
    let mut command = Command::new("python3");
    command
        .arg(example("stream/requester.py"))
        .arg(format!("http://{address}/agent"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    assert_eq!(heard(&output(&mut command).await), EVERYTHING);

    stop.cancel();
    let served = timeout(DEADLINE, serving).await;
    served.expect("it stops").unwrap().unwrap();
}
