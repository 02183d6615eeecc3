//! The cells: which workers, which requesters in which modes, and what each job must bring.
//!
//! Starts nothing and judges nothing.

use serde_json::{Value, json};

use crate::verdict::selected;

/// Seconds that a worker's job takes: longer than the second after which the sidecar announces a task itself, so that a
/// requester which does not want to wait always finds the task unfinished.
const JOB: u64 = 2;
/// Seconds that a job takes at a worker that does one after another: its requesters wait for all jobs before theirs.
const QUEUED_JOB: u64 = 1;
/// Seconds that a cell may take through the sidecar: these clients' own patience, which is 30 s where it is longest.
const DEADLINE: u64 = 30;
/// Seconds that a cell may take without the sidecar, where some wait for what never comes.
const DIRECT_DEADLINE: u64 = 8;

/// How a program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// One of `tests/peers/legacy/`, with the environment that has its library.
    Legacy {
        environment: &'static str,
        script: &'static str,
    },
    /// An SDK's worker or client of `tests/peers/`.
    Sdk,
}

/// The text that a worker's job makes of a requester's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// python-a2a's examples do not look at the message.
    Done,
    /// Says the requester's text again.
    Echo,
    /// What the callback example sends back.
    CalledBack,
    /// The Ruby agent's report.
    Report,
    /// The SDK workers' scenario `wait`.
    Plain,
}

impl Outcome {
    /// Whether `heard` is what the job makes of `asked`. An SDK's client may have put a gate's name behind `asked`.
    /// `seconds` is how long the job took.
    pub(crate) fn is(self, heard: &str, asked: &str, seconds: u64) -> bool {
        let echo = |prefix: String, suffix: &str| {
            heard
                .strip_prefix(&prefix)
                .and_then(|rest| rest.strip_suffix(suffix))
                .is_some_and(|rest| rest.is_empty() || is_gate(rest))
        };
        match self {
            Outcome::Done => heard == format!("done in {seconds}s"),
            Outcome::Echo => echo(format!("done in {seconds}s: {asked}"), ""),
            Outcome::CalledBack => heard == format!("Completed the analysis in {seconds} seconds."),
            Outcome::Report => echo(format!("Analysis Report for: {asked}"), REPORT),
            Outcome::Plain => heard == "The answer is 42.",
        }
    }
}

/// What follows the requester's text in the Ruby agent's report.
const REPORT: &str = "\n\nFindings:\n- Data processed: 1,247 records\n- Anomalies detected: 3\n- Confidence: 94.7%\n\
    - Recommendation: Proceed with caution\n\n[Simulated analysis result]";

fn is_gate(text: &str) -> bool {
    text.strip_prefix(" gate=")
        .is_some_and(|name| !name.contains([' ', '\n']))
}

/// One worker: a system in one of its forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) outcome: Outcome,
    /// How many seconds a job takes.
    pub(crate) seconds: u64,
    /// Whether it does one job after another and answers no send meanwhile.
    pub(crate) queues: bool,
}

/// One system's client with the modes that it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) modes: &'static [&'static str],
}

const fn legacy(environment: &'static str, script: &'static str) -> Program {
    Program::Legacy {
        environment,
        script,
    }
}

const fn worker(
    name: &'static str,
    program: Program,
    arguments: &'static [&'static str],
    outcome: Outcome,
) -> Worker {
    Worker {
        name,
        program,
        arguments,
        outcome,
        seconds: JOB,
        queues: false,
    }
}

const fn queueing(
    name: &'static str,
    program: Program,
    arguments: &'static [&'static str],
    outcome: Outcome,
) -> Worker {
    Worker {
        seconds: QUEUED_JOB,
        queues: true,
        ..worker(name, program, arguments, outcome)
    }
}

const PYTHON_A2A: Program = legacy("python-a2a", "worker_python_a2a.py");
const PRAISONAI: Program = legacy("praisonai", "worker_praisonai.py");
const FASTA2A: Program = legacy("fasta2a", "worker_fasta2a.py");
/// Needs uvicorn only, which this environment has.
const RUBY: Program = legacy("fasta2a", "worker_ruby.py");

/// The workers. The SDKs' are restricted to one mode each, so that a bridge is needed there too.
pub(crate) const WORKERS: [Worker; 16] = [
    worker(
        "python_a2a_blocking",
        PYTHON_A2A,
        &["--blocking"],
        Outcome::Done,
    ),
    worker("python_a2a_poll", PYTHON_A2A, &["--poll"], Outcome::Done),
    worker(
        "python_a2a_stream",
        PYTHON_A2A,
        &["--stream"],
        Outcome::Done,
    ),
    worker(
        "python_a2a_callback",
        PYTHON_A2A,
        &["--callback"],
        Outcome::CalledBack,
    ),
    worker("praisonai", PRAISONAI, &[], Outcome::Echo),
    worker("praisonai --push", PRAISONAI, &["--push"], Outcome::Echo),
    queueing("fasta2a_worker", FASTA2A, &[], Outcome::Echo),
    queueing(
        "fasta2a_worker --quiet",
        FASTA2A,
        &["--quiet"],
        Outcome::Echo,
    ),
    // Its card says 1.0, and it knows the old names only.
    queueing(
        "fasta2a_worker 2.0",
        legacy("fasta2a-2.0", "worker_fasta2a.py"),
        &[],
        Outcome::Echo,
    ),
    queueing(
        "pydantic_ai_legacy",
        legacy("fasta2a-0.6", "worker_fasta2a_06.py"),
        &[],
        Outcome::Echo,
    ),
    worker("ruby_emulator", RUBY, &[], Outcome::Report),
    worker(
        "ruby_emulator as published",
        RUBY,
        &["--artifact-events", "--cancel-resurrects"],
        Outcome::Report,
    ),
    worker(
        "py-v1",
        Program::Sdk,
        &["--restrict", "stream"],
        Outcome::Plain,
    ),
    worker(
        "py-v03",
        Program::Sdk,
        &["--restrict", "poll"],
        Outcome::Plain,
    ),
    worker(
        "py-v02",
        Program::Sdk,
        &["--restrict", "blocking"],
        Outcome::Plain,
    ),
    worker(
        "js-v1",
        Program::Sdk,
        &["--restrict", "push"],
        Outcome::Plain,
    ),
];

/// The modes of an SDK's client that are tried here: `grid` tries them all.
const SDK_MODES: &[&str] = &["blocking", "poll", "stream", "push-inline", "push-set"];

/// The requesters.
pub(crate) const REQUESTERS: [Requester; 9] = [
    Requester {
        name: "python_a2a",
        program: legacy("python-a2a", "client_python_a2a.py"),
        modes: &["blocking", "poll", "stream", "callback"],
    },
    Requester {
        name: "praisonai",
        program: legacy("praisonai", "client_praisonai.py"),
        modes: &["blocking", "poll", "stream", "push-probe"],
    },
    Requester {
        name: "fasta2a",
        program: legacy("fasta2a", "client_fasta2a.py"),
        modes: &["blocking", "poll", "stream"],
    },
    Requester {
        name: "fasta2a-0.6",
        program: legacy("fasta2a-0.6", "client_fasta2a_06.py"),
        modes: &["blocking", "poll"],
    },
    Requester {
        name: "ruby",
        program: legacy("fasta2a", "client_ruby.py"),
        modes: &["subscribe", "get", "cancel", "block"],
    },
    sdk("py-v1"),
    sdk("py-v03"),
    sdk("py-v02"),
    sdk("js-v1"),
];

const fn sdk(name: &'static str) -> Requester {
    Requester {
        name,
        program: Program::Sdk,
        modes: SDK_MODES,
    }
}

/// Each system's client in a mode against its own worker: (worker, requester, mode, whether the job's own result
/// comes without the sidecar).
pub(crate) const OWN: [(&str, &str, &str, bool); 30] = [
    ("python_a2a_blocking", "python_a2a", "blocking", true),
    ("python_a2a_blocking", "python_a2a", "poll", true),
    ("python_a2a_blocking", "python_a2a", "stream", false),
    ("python_a2a_poll", "python_a2a", "blocking", false),
    ("python_a2a_poll", "python_a2a", "poll", true),
    ("python_a2a_poll", "python_a2a", "stream", false),
    ("python_a2a_poll", "python_a2a", "callback", false),
    ("python_a2a_stream", "python_a2a", "stream", true),
    ("python_a2a_stream", "python_a2a", "poll", false),
    ("python_a2a_callback", "python_a2a", "callback", true),
    ("python_a2a_callback", "python_a2a", "blocking", false),
    ("python_a2a_callback", "python_a2a", "poll", false),
    ("python_a2a_callback", "python_a2a", "stream", false),
    ("praisonai", "praisonai", "blocking", true),
    ("praisonai", "praisonai", "poll", true),
    ("praisonai", "praisonai", "stream", true),
    ("praisonai", "praisonai", "push-probe", true),
    ("praisonai --push", "praisonai", "push-probe", true),
    ("praisonai --push", "praisonai", "poll", true),
    ("fasta2a_worker", "fasta2a", "blocking", false),
    ("fasta2a_worker", "fasta2a", "poll", true),
    ("fasta2a_worker", "fasta2a", "stream", true),
    ("fasta2a_worker --quiet", "fasta2a", "stream", false),
    ("pydantic_ai_legacy", "fasta2a-0.6", "blocking", false),
    ("pydantic_ai_legacy", "fasta2a-0.6", "poll", true),
    ("pydantic_ai_legacy", "fasta2a-0.6", "stream", false),
    ("ruby_emulator", "ruby", "subscribe", true),
    ("ruby_emulator", "ruby", "get", true),
    ("ruby_emulator", "ruby", "cancel", true),
    ("ruby_emulator", "ruby", "block", true),
];

/// The one pair of [`OWN`] that no sidecar can help: fasta2a 0.6's client has no call for it.
pub(crate) const WITHOUT_A_CALL: (&str, &str) = ("fasta2a-0.6", "stream");

/// One mode of one requester at one worker.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// `worker/requester/mode`
    pub(crate) id: String,
    pub(crate) requester: Requester,
    pub(crate) mode: &'static str,
    pub(crate) worker: Worker,
    deadline: u64,
}

impl Cell {
    pub(crate) fn new(worker: &Worker, requester: &Requester, mode: &'static str) -> Cell {
        Cell {
            id: format!("{}/{}/{mode}", worker.name, requester.name),
            requester: *requester,
            mode,
            worker: *worker,
            deadline: DEADLINE,
        }
    }

    /// What the requester asks for: no other cell's text contains it. An SDK's worker plays the scenario that the first
    /// word names.
    pub(crate) fn text(&self) -> String {
        format!("wait {}", self.mark())
    }

    /// Whether `heard` is the result of this cell's job.
    pub(crate) fn is_result(&self, heard: &str) -> bool {
        let worker = &self.worker;
        worker.outcome.is(heard, &self.text(), worker.seconds)
    }

    /// The part of the text by which a job is known to be this cell's.
    pub(crate) fn mark(&self) -> String {
        format!("<{}>", self.id.replace(' ', ""))
    }

    /// What the client process is told.
    pub(crate) fn order(&self) -> Value {
        match self.requester.program {
            Program::Legacy { .. } => json!({
                "id": self.id,
                "mode": self.mode,
                "text": self.text(),
                "other": format!("cancel {}", self.mark()),
                "deadline": self.deadline,
            }),
            // The gate's name is made of the cell's id, and a text ends at a space.
            Program::Sdk => json!({
                "id": self.id.replace(' ', ""),
                "binding": "jsonrpc",
                "mode": self.mode,
                "scenario": self.text(),
                "deadline": self.deadline,
                "drop_after": "event",
            }),
        }
    }
}

/// A worker with all cells that are tried at it.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) worker: Worker,
    pub(crate) cells: Vec<Cell>,
}

/// Every requester in every mode at every worker, but for SDK at SDK, less what `only` leaves out.
///
/// `only` lists patterns of cell ids, separated by commas: a prefix of path segments in which `*` stands for any one,
/// e.g. `fasta2a_worker/ruby` or `*/python_a2a/stream`.
pub(crate) fn through_the_sidecar(only: Option<&str>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for worker in WORKERS {
        let requesters = REQUESTERS.iter().filter(|requester| {
            worker.program != Program::Sdk || requester.program != Program::Sdk
        });
        let cells: Vec<Cell> = requesters
            .flat_map(|requester| {
                requester
                    .modes
                    .iter()
                    .map(|mode| Cell::new(&worker, requester, mode))
            })
            .filter(|cell| only.is_none_or(|only| selected(only, &cell.id)))
            .collect();
        if !cells.is_empty() {
            trials.push(Trial { worker, cells });
        }
    }
    trials
}

/// The pairs of [`OWN`].
pub(crate) fn directly() -> Vec<Trial> {
    let mut trials = Vec::new();
    for worker in WORKERS {
        let own = OWN.iter().filter(|(name, ..)| *name == worker.name);
        let cells: Vec<Cell> = own
            .filter_map(|(_, system, mode, _)| {
                let requester = REQUESTERS.iter().find(|one| one.name == *system)?;
                let mut cell = Cell::new(&worker, requester, mode);
                cell.deadline = DIRECT_DEADLINE;
                Some(cell)
            })
            .collect();
        if !cells.is_empty() {
            trials.push(Trial { worker, cells });
        }
    }
    trials
}
