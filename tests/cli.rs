//! The command line: what it accepts, what its help says, and the exit codes of the program as it is built.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Output, Stdio};

use a2a_sidecar::cli::{Command, RunArgs, exit, parse};
use a2a_sidecar::telemetry::LogFormat;
use clap::error::ErrorKind;
use serde_json::Value;

/// The program, in an environment in which nothing of this machine shows.
fn program(args: &[&str]) -> Output {
    program_in(args, &[])
}

fn program_in(args: &[&str], env: &[(&str, &str)]) -> Output {
    Process::new(env!("CARGO_BIN_EXE_a2a-sidecar"))
        .args(args)
        .env_clear()
        .env("HOME", "/home/me")
        .envs(env.iter().copied())
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Where nobody listens: the listener has gone, and its port with it.
fn gone() -> String {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    gone.local_addr().unwrap().to_string()
}

#[track_caller]
fn ends_with(output: &Output, code: u8) {
    assert_eq!(
        output.status.code(),
        Some(i32::from(code)),
        "stdout: {}\nstderr: {}",
        stdout(output),
        stderr(output)
    );
}

fn parsed(line: &str) -> Command {
    let args = std::iter::once("a2a-sidecar").chain(line.split_whitespace());
    parse(args).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> clap::Error {
    let args = std::iter::once("a2a-sidecar").chain(line.split_whitespace());
    parse(args).expect_err(line)
}

const EVERY_FLAG: &str = "--config c.toml --worker http://w --listen 0.0.0.0:1 --admin 0.0.0.0:2 --public-url https://p \
                          --store memory: --webhook-allow 10.0.0.0/8 --webhook-allow a,b --observe poll \
                          --log-format json";

// ---- what is accepted -----------------------------------------------------------------------------------------------

#[test]
fn every_flag_works_without_a_command_and_after_run() {
    let plain = parsed(EVERY_FLAG);
    assert_eq!(plain, parsed(&format!("run {EVERY_FLAG}")));
    let Command::Run(args) = plain else {
        panic!("{plain:?}");
    };
    assert_eq!(args.config, Some(PathBuf::from("c.toml")));
    let overrides = args.overrides();
    assert_eq!(overrides.worker.as_deref(), Some("http://w"));
    assert_eq!(overrides.listen.as_deref(), Some("0.0.0.0:1"));
    assert_eq!(overrides.admin.as_deref(), Some("0.0.0.0:2"));
    assert_eq!(overrides.public_url.as_deref(), Some("https://p"));
    assert_eq!(overrides.store.as_deref(), Some("memory:"));
    assert_eq!(overrides.webhook_allow, ["10.0.0.0/8", "a", "b"]);
    assert_eq!(overrides.observe.as_deref(), Some("poll"));
    assert_eq!(overrides.log_format, Some(LogFormat::Json));
}

#[test]
fn no_flag_at_all_is_run_with_nothing_overridden() {
    assert_eq!(parsed(""), Command::Run(RunArgs::default()));
    assert_eq!(parsed("run"), Command::Run(RunArgs::default()));
}

#[test]
fn the_commands_take_their_own_flags() {
    assert!(
        matches!(parsed("check --config a.toml"), Command::Check(args) if args.config == Path::new("a.toml"))
    );
    assert!(matches!(parsed("demo"), Command::Demo(args) if !args.hold && !args.plain));
    assert!(
        matches!(parsed("demo --hold --plain"), Command::Demo(args) if args.hold && args.plain)
    );
    assert!(
        matches!(parsed("healthcheck"), Command::Healthcheck(args) if args.admin == "127.0.0.1:9901")
    );
    assert!(
        matches!(parsed("healthcheck --admin [::1]:1"), Command::Healthcheck(args) if args.admin == "[::1]:1")
    );
    assert!(matches!(parsed("completions zsh"), Command::Completions(_)));
}

#[test]
fn what_means_nothing_is_refused() {
    for (line, kind) in [
        ("--wroker http://w", ErrorKind::UnknownArgument),
        ("start", ErrorKind::InvalidSubcommand),
        ("--log-format xml", ErrorKind::InvalidValue),
        ("completions dos", ErrorKind::InvalidValue),
        ("check", ErrorKind::MissingRequiredArgument),
        ("--worker", ErrorKind::InvalidValue),
        // A flag of `run` before another command would be lost without a word.
        ("--worker http://w demo", ErrorKind::ArgumentConflict),
    ] {
        let error = refused(line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{line}");
    }
}

// ---- the program ----------------------------------------------------------------------------------------------------

#[test]
fn help_shows_how_to_start_and_every_command() {
    let output = program(&["--help"]);
    ends_with(&output, exit::OK);
    let help = stdout(&output);
    for part in [
        "a2a-sidecar --worker http://127.0.0.1:9999\n",
        "check",
        "demo",
        "healthcheck",
        "completions",
        "run",
        "--config",
        "--worker",
        "--listen",
        "--admin",
        "--public-url",
        "--store",
        "--webhook-allow",
        "--observe",
        "--log-format",
        "[default: 127.0.0.1:8080]",
        "A2A_SIDECAR_PUBLIC_URL",
        "Exit code: 0",
    ] {
        assert!(help.contains(part), "{part} in:\n{help}");
    }
    // The help of the command that is the default says the same of every flag.
    let run = stdout(&program(&["run", "--help"]));
    for line in help
        .lines()
        .filter(|line| line.trim_start().starts_with("--") || line.contains(", --"))
    {
        if !line.contains("--version") {
            assert!(run.contains(line), "{line} in:\n{run}");
        }
    }
}

#[test]
fn version_is_the_packages() {
    let output = program(&["--version"]);
    ends_with(&output, exit::OK);
    assert_eq!(
        stdout(&output),
        format!("a2a-sidecar {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn bad_usage_ends_with_2_and_says_so_on_standard_error() {
    let output = program(&["--wroker", "http://w"]);
    ends_with(&output, exit::USAGE);
    assert!(
        stderr(&output).contains("--worker"),
        "the likely flag: {}",
        stderr(&output)
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn completions_are_a_script_that_knows_the_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = program(&["completions", shell]);
        ends_with(&output, exit::OK);
        let script = stdout(&output);
        assert!(script.contains("webhook-allow"), "{shell}: {script}");
        assert!(script.contains("healthcheck"), "{shell}: {script}");
    }
}

#[test]
fn check_accepts_what_run_would_start_with() {
    for file in ["config/default.toml", "config/sidecar.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let output = program(&["check", "--config", path.to_str().expect("a path in UTF-8")]);
        ends_with(&output, exit::OK);
    }
}

#[test]
fn check_prints_every_fault_on_its_line_and_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sidecar.toml");
    std::fs::write(&path, "[server]\nlisen = \"x\"\ndrain = \"2h\"\n").unwrap();
    let name = path.to_str().unwrap();
    let output = program(&["check", "--config", name]);
    ends_with(&output, exit::USAGE);
    let faults = stderr(&output);
    assert_eq!(
        faults.lines().collect::<Vec<_>>(),
        [
            format!(
                "{name}:2: server.lisen: unknown key; did you mean `listen`?; allowed: listen, public_url, \
                 max_in_flight, max_connections, max_body_bytes, header_read_timeout, drain, tls"
            ),
            format!("{name}:3: server.drain: 2h is out of range; allowed: 0s to 1h"),
            format!(
                "{name}: routes: is missing: there is no worker; allowed: at least one [[routes]] with a `worker`, \
                 or --worker URL"
            ),
        ]
    );
}

#[test]
fn run_refuses_a_wrong_configuration_with_the_words_of_check() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sidecar.toml");
    std::fs::write(&path, "[[routes]]\nworker = \"http://u:s3cret@w\"\n").unwrap();
    let name = path.to_str().unwrap();
    let check = program(&["check", "--config", name]);
    let run = program(&["run", "--config", name]);
    let plain = program(&["--config", name]);
    for output in [&check, &run, &plain] {
        ends_with(output, exit::USAGE);
        assert!(!stderr(output).contains("s3cret"));
    }
    assert!(stderr(&check).starts_with(&format!("{name}:2: routes[0].worker: ")));
    assert_eq!(stderr(&check), stderr(&run));
    assert_eq!(stderr(&check), stderr(&plain));
}

#[test]
fn without_a_worker_the_program_says_what_it_needs() {
    let output = program(&[]);
    ends_with(&output, exit::USAGE);
    assert!(
        stderr(&output).contains("--worker URL"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn every_flag_has_its_variable() {
    // Each is given what is wrong in it, and named in the fault.
    for (variable, value, flag) in [
        ("A2A_SIDECAR_LISTEN", "x", "--listen"),
        ("A2A_SIDECAR_ADMIN", "x", "--admin"),
        ("A2A_SIDECAR_PUBLIC_URL", "x", "--public-url"),
        ("A2A_SIDECAR_STORE", "x", "--store"),
        (
            "A2A_SIDECAR_WEBHOOK_ALLOW",
            "10.0.0.0/8,x y",
            "--webhook-allow",
        ),
        ("A2A_SIDECAR_OBSERVE", "x", "--observe"),
        ("A2A_SIDECAR_LOG_FORMAT", "x", "--log-format"),
        ("A2A_SIDECAR_CONFIG", "/nowhere.toml", "/nowhere.toml"),
    ] {
        let output = program_in(&["--worker", "http://w"], &[(variable, value)]);
        ends_with(&output, exit::USAGE);
        assert!(
            stderr(&output).contains(flag),
            "{variable}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn the_environment_stands_in_for_flags() {
    let output = program_in(&[], &[("A2A_SIDECAR_WORKER", "ftp://w")]);
    ends_with(&output, exit::USAGE);
    assert!(
        stderr(&output).starts_with("--worker: is not an http or https URL"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn healthcheck_ends_with_0_for_a_ready_sidecar_and_1_for_any_other() {
    for (answer, code) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", exit::OK),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            exit::FAILED,
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                asked.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let output = program(&["healthcheck", "--admin", &address]);
        answering.join().unwrap();
        ends_with(&output, code);
    }
    ends_with(&program(&["healthcheck", "--admin", &gone()]), exit::FAILED);
}

// ---- how it starts and stops ----------------------------------------------------------------------------------------

/// A sidecar before this worker, on a free port, with its tasks in memory.
fn serving(worker: &str, flags: &[&str]) -> Child {
    Process::new(env!("CARGO_BIN_EXE_a2a-sidecar"))
        .args(["--worker", worker, "--listen", "127.0.0.1:0"])
        .args(["--admin", "", "--store", "memory:"])
        .args(flags)
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn terminate(sidecar: &Child) {
    let told = Process::new("sh")
        .args(["-c", &format!("kill -TERM {}", sidecar.id())])
        .status();
    assert!(told.is_ok_and(|status| status.success()));
}

/// As the first process of a container it would not even be killed by the signal, and live until the engine kills it.
#[test]
fn a_stop_is_heard_while_the_worker_does_not_say_what_it_offers() {
    let worker = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", worker.local_addr().unwrap());
    let mut sidecar = serving(&url, &[]);
    // It serves already and asks for the card; this is never answered.
    let (_asked, _) = worker.accept().unwrap();
    terminate(&sidecar);
    assert_eq!(sidecar.wait().unwrap().code(), Some(i32::from(exit::OK)));
}

#[test]
fn with_a_json_log_every_line_is_json_from_the_start_to_the_end() {
    let worker = gone();
    let mut sidecar = serving(&format!("http://{worker}"), &["--log-format", "json"]);
    let mut lines = Vec::new();
    for line in BufReader::new(sidecar.stderr.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let message = line["message"].as_str().unwrap().to_owned();
        // The last thing that is said before it goes on in silence.
        if message.starts_with("route ") {
            terminate(&sidecar);
        }
        lines.push(message);
    }
    assert_eq!(sidecar.wait().unwrap().code(), Some(i32::from(exit::OK)));
    assert!(
        lines[0].starts_with("listening on http://127.0.0.1:"),
        "{lines:?}"
    );
    assert!(lines[1].contains(&worker), "{lines:?}");
    assert_eq!(lines[2], "stopping");
}

#[test]
fn with_a_json_log_the_reason_for_a_failed_start_is_json() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program(&[
        "--worker",
        "http://127.0.0.1:1",
        "--listen",
        &address,
        "--log-format",
        "json",
    ]);
    ends_with(&output, exit::FAILED);
    let line: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(
        line["message"].as_str().unwrap().contains(&address),
        "{line}"
    );
}
