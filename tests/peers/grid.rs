//! The cells of the grid: which workers, restricted to what, and which requesters in which modes with which scenarios.
//!
//! Starts nothing and judges nothing.

use serde_json::{Value, json};

/// The SDKs that play the worker.
pub(crate) const WORKERS: [&str; 4] = ["py-v1", "py-v03", "py-v02", "js-v1"];
/// What a worker is restricted to.
pub(crate) const RESTRICTIONS: [&str; 4] = ["blocking", "poll", "stream", "push"];
/// The requesters: the SDKs' own clients, and plain HTTP for what these have no call for.
pub(crate) const REQUESTERS: [&str; 6] = [
    "py-v1",
    "py-v03",
    "py-v02",
    "js-v1",
    "http-v1.0",
    "http-v0.3",
];

/// Seconds that a cell may take; the longest scenario takes 7 on an idle machine.
const CELL_DEADLINE: u64 = 40;

const SDK_MODES: [(&str, &[&str]); 7] = [
    (
        "blocking",
        &[
            "long", "plain", "chunks", "parts", "fail", "reject", "ask", "message", "quick",
        ],
    ),
    (
        "poll",
        &[
            "long", "plain", "chunks", "parts", "fail", "reject", "ask", "quick",
        ],
    ),
    (
        "stream",
        &[
            "long", "plain", "chunks", "parts", "fail", "reject", "ask", "message", "quick",
            "cancel",
        ],
    ),
    ("resubscribe", &["long", "plain", "chunks", "quick"]),
    (
        "push-inline",
        &[
            "long", "plain", "chunks", "parts", "fail", "reject", "ask", "quick",
        ],
    ),
    ("push-set", &["long", "plain", "chunks", "quick"]),
    ("cancel", &["cancel"]),
];
const HTTP_MODES: [(&str, &[&str]); 2] = [
    ("long-poll", &["long", "plain", "chunks", "quick"]),
    ("resume", &["long", "plain", "chunks", "quick"]),
];

/// One mode of one requester with one scenario, at one worker.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// `worker/restriction/requester/mode/scenario`
    pub(crate) id: String,
    pub(crate) requester: String,
    pub(crate) mode: String,
    pub(crate) scenario: String,
    worker: String,
    restriction: String,
}

impl Cell {
    pub(crate) fn new(
        worker: &str,
        restriction: &str,
        requester: &str,
        mode: &str,
        scenario: &str,
    ) -> Cell {
        Cell {
            id: format!("{worker}/{restriction}/{requester}/{mode}/{scenario}"),
            requester: requester.to_owned(),
            mode: mode.to_owned(),
            scenario: scenario.to_owned(),
            worker: worker.to_owned(),
            restriction: restriction.to_owned(),
        }
    }

    /// What the client process is told.
    pub(crate) fn order(&self) -> Value {
        // A worker that tells nothing before the end: its stream is dropped at the first event.
        let silent = self.restriction == "blocking"
            || (self.worker == "py-v02" && self.restriction == "push");
        let drop_after = if silent { "event" } else { "message" };
        json!({
            "id": self.id,
            "mode": self.mode,
            "scenario": self.scenario,
            "deadline": CELL_DEADLINE,
            "drop_after": drop_after,
        })
    }
}

/// A worker under one restriction, with all cells that go through it.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) worker: &'static str,
    pub(crate) restriction: &'static str,
    pub(crate) cells: Vec<Cell>,
}

/// The modes of a requester, in the grid's order.
pub(crate) fn modes(requester: &str) -> Vec<&'static str> {
    modes_and_scenarios(requester)
        .into_iter()
        .map(|(mode, _)| mode)
        .collect()
}

fn modes_and_scenarios(requester: &str) -> Vec<(&'static str, &'static [&'static str])> {
    match requester {
        "http-v1.0" | "http-v0.3" => HTTP_MODES.to_vec(),
        // The 0.2 client has no resubscribe.
        "py-v02" => SDK_MODES
            .into_iter()
            .filter(|(mode, _)| *mode != "resubscribe")
            .collect(),
        _ => SDK_MODES.to_vec(),
    }
}

/// All pairs with their cells, less those that `only` leaves out.
///
/// `only` lists patterns of cell ids, separated by commas: a prefix of path segments in which `*` stands for any one,
/// e.g. `py-v1/poll` or `*/push/js-v1/stream/ask`. With `direct` only those cells remain in which the requester speaks
/// the worker's own version and asks for what the worker has, since nothing converts between them.
pub(crate) fn pairs(only: Option<&str>, direct: bool) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for worker in WORKERS {
        for restriction in RESTRICTIONS {
            let mut cells = Vec::new();
            for requester in REQUESTERS {
                for (mode, scenarios) in modes_and_scenarios(requester) {
                    let all = scenarios
                        .iter()
                        .map(|scenario| Cell::new(worker, restriction, requester, mode, scenario));
                    cells.extend(
                        all.filter(|cell| only.is_none_or(|only| selected(only, &cell.id))),
                    );
                }
            }
            if direct {
                cells.retain(|cell| works_directly(worker, restriction, cell));
            }
            if !cells.is_empty() {
                pairs.push(Pair {
                    worker,
                    restriction,
                    cells,
                });
            }
        }
    }
    pairs
}

fn selected(only: &str, id: &str) -> bool {
    only.split(',').any(|pattern| {
        let mut segments = id.split('/');
        pattern.split('/').all(|wanted| {
            segments
                .next()
                .is_some_and(|segment| wanted == "*" || wanted == segment)
        })
    })
}

fn works_directly(worker: &str, restriction: &str, cell: &Cell) -> bool {
    let python = worker != "js-v1";
    let offered = match restriction {
        "blocking" => cell.mode == "blocking",
        "poll" => matches!(cell.mode.as_str(), "poll" | "cancel"),
        // This worker's subscription may start with a snapshot and then repeat what the snapshot has.
        "stream" if worker == "py-v1" && cell.mode == "resubscribe" => cell.scenario != "quick",
        // A 0.x worker's subscription starts with the next event, and its stream does not tell a cancel.
        "stream" if worker.starts_with("py-v0") => {
            cell.mode == "stream" && cell.scenario != "cancel"
        }
        "stream" => matches!(cell.mode.as_str(), "stream" | "resubscribe"),
        _ => matches!(
            cell.mode.as_str(),
            "push-inline" | "push-set" | "poll" | "cancel"
        ),
    };
    // The Python clients give up after 5 s of silence.
    let patient =
        !(python && cell.scenario == "long" && matches!(restriction, "blocking" | "stream"));
    cell.requester == worker && offered && patient
}
