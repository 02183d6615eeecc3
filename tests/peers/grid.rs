//! The cells of the grid: which workers, restricted to what, and which requesters in which modes with which scenarios.
//!
//! Starts nothing and judges nothing.

use serde_json::{Value, json};

use crate::verdict::selected;

/// The workers: an SDK over one of its bindings, JSON-RPC where the name says none.
pub(crate) const WORKERS: [&str; 13] = SDKS;
/// What a worker is restricted to; `any` is the worker as it comes.
pub(crate) const RESTRICTIONS: [&str; 5] = ["blocking", "poll", "stream", "push", "any"];
/// The requesters: the SDKs' own clients, and plain HTTP for what these have no call for.
pub(crate) const REQUESTERS: [&str; 16] = [
    "py-v1",
    "py-v1-http",
    "py-v1-grpc",
    "py-v03",
    "py-v03-http",
    "py-v03-grpc",
    "py-v02",
    "js-v1",
    "js-v1-http",
    "js-v1-grpc",
    "rust-v1",
    "rust-v1-http",
    "rust-v1-grpc",
    "http-v1.0",
    "http-v1.0-http",
    "http-v0.3",
];
/// The programs that play the requesters: one process speaks all bindings of its SDK.
pub(crate) const CLIENTS: [&str; 7] = [
    "py-v1",
    "py-v03",
    "py-v02",
    "js-v1",
    "rust-v1",
    "http-v1.0",
    "http-v0.3",
];

const SDKS: [&str; 13] = [
    "py-v1",
    "py-v1-http",
    "py-v1-grpc",
    "py-v03",
    "py-v03-http",
    "py-v03-grpc",
    "py-v02",
    "js-v1",
    "js-v1-http",
    "js-v1-grpc",
    "rust-v1",
    "rust-v1-http",
    "rust-v1-grpc",
];
/// Those between which the whole product of restrictions, modes and scenarios is run, all over JSON-RPC.
const WHOLE_PRODUCT: [&str; 6] = [
    "py-v1",
    "py-v03",
    "py-v02",
    "js-v1",
    "http-v1.0",
    "http-v0.3",
];
/// SDKs of which one at a time, with all its bindings, meets a restricted worker outside the whole product.
const TAKING_TURNS: [&str; 4] = ["py-v1", "rust-v1", "js-v1", "py-v03"];

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
/// Between any two bindings, beside a worker as it comes: everything that a message and an artifact can carry, and a
/// conversation.
const BINDING_MODES: [(&str, &[&str]); 7] = [
    ("blocking", &["rich", "ask", "fail", "message"]),
    ("poll", &["rich", "ask"]),
    ("stream", &["rich", "ask", "message", "cancel"]),
    ("resubscribe", &["rich"]),
    ("push-inline", &["rich", "ask"]),
    ("push-set", &["rich"]),
    ("cancel", &["cancel"]),
];
/// The same where the worker is restricted: there it is the conversion between the modes that matters.
const SLICE_MODES: [(&str, &[&str]); 7] = [
    ("blocking", &["rich"]),
    ("poll", &["ask"]),
    ("stream", &["rich"]),
    ("resubscribe", &["rich"]),
    ("push-inline", &["rich"]),
    ("push-set", &["rich"]),
    ("cancel", &["cancel"]),
];
const HTTP_MODES: [(&str, &[&str]); 2] = [
    ("long-poll", &["long", "plain", "chunks", "quick"]),
    ("resume", &["long", "plain", "chunks", "quick"]),
];

/// What an SDK's own client has no call for, and how that shows: these cells do not exist.
pub(crate) const LACKING: [(&str, &str, &str); 1] =
    [("py-v02", "resubscribe", "the 0.2 client has no such call")];

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
            "binding": binding(&self.requester),
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

/// The SDK of a worker or requester: its name without the binding.
pub(crate) fn sdk(peer: &str) -> &str {
    peer.trim_end_matches("-http").trim_end_matches("-grpc")
}

/// The binding that a worker or requester speaks.
pub(crate) fn binding(peer: &str) -> &'static str {
    match peer {
        _ if peer.ends_with("-http") => "http",
        _ if peer.ends_with("-grpc") => "grpc",
        _ => "jsonrpc",
    }
}

/// The modes of a requester, in the grid's order.
pub(crate) fn modes(requester: &str) -> Vec<&'static str> {
    let of = if requester.starts_with("http-") {
        &HTTP_MODES[..]
    } else {
        &SDK_MODES[..]
    };
    of.iter()
        .map(|(mode, _)| *mode)
        .filter(|mode| lacking(requester, mode).is_none())
        .collect()
}

/// Why a requester's SDK cannot ask in this mode, where it cannot.
fn lacking(requester: &str, mode: &str) -> Option<&'static str> {
    LACKING
        .iter()
        .find(|(sdk, lacks, _)| *sdk == requester && *lacks == mode)
        .map(|(_, _, why)| *why)
}

/// What a requester is asked to do at a worker, in which modes with which scenarios.
fn modes_and_scenarios(
    worker: usize,
    restriction: usize,
    requester: &str,
) -> &'static [(&'static str, &'static [&'static str])] {
    let unrestricted = RESTRICTIONS[restriction] == "any";
    let in_product = |peer: &str| WHOLE_PRODUCT.contains(&peer) && !unrestricted;
    let at_turn = TAKING_TURNS[(worker + restriction) % TAKING_TURNS.len()] == sdk(requester);
    match (in_product(WORKERS[worker]), in_product(requester)) {
        (true, _) if requester.starts_with("http-") => &HTTP_MODES,
        (true, true) => &SDK_MODES,
        _ if requester.starts_with("http-") => &[],
        _ if unrestricted => &BINDING_MODES,
        (true, false) => &SLICE_MODES,
        (false, _) if at_turn => &SLICE_MODES,
        (false, _) => &[],
    }
}

/// All pairs with their cells, less those that `only` leaves out.
///
/// `only` lists patterns of cell ids, separated by commas: a prefix of path segments in which `*` stands for any one,
/// e.g. `py-v1/poll` or `*/push/js-v1/stream/ask`. With `direct` only those cells remain in which the requester speaks
/// the worker's own version and binding and asks for what the worker has, since nothing converts between them.
pub(crate) fn pairs(only: Option<&str>, direct: bool) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (at, worker) in WORKERS.into_iter().enumerate() {
        for (under, restriction) in RESTRICTIONS.into_iter().enumerate() {
            let mut cells = Vec::new();
            for requester in REQUESTERS {
                for (mode, scenarios) in modes_and_scenarios(at, under, requester) {
                    if lacking(requester, mode).is_some() {
                        continue;
                    }
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

fn works_directly(worker: &str, restriction: &str, cell: &Cell) -> bool {
    let python = worker.starts_with("py-");
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
        // This worker answers every send at the end.
        "any" if worker == "py-v02" => {
            cell.mode == "blocking" || (cell.mode == "stream" && cell.scenario != "cancel")
        }
        "any" if worker.starts_with("py-v0") => {
            cell.mode != "resubscribe" && !(cell.mode == "stream" && cell.scenario == "cancel")
        }
        "any" => true,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Vec<Cell> {
        let all = pairs(None, false).into_iter();
        all.flat_map(|pair| pair.cells).collect()
    }

    #[test]
    fn every_requester_meets_every_worker_in_every_mode_that_it_has() {
        let cells = cells();
        for worker in WORKERS {
            for requester in SDKS {
                for mode in modes(requester) {
                    let prefix = format!("{worker}/any/{requester}/{mode}/");
                    let met = cells.iter().any(|cell| cell.id.starts_with(&prefix));
                    assert!(met, "no cell {prefix}");
                }
            }
        }
    }

    #[test]
    fn every_worker_meets_every_binding_under_every_restriction() {
        let cells = cells();
        for worker in WORKERS {
            for restriction in RESTRICTIONS {
                for wanted in ["jsonrpc", "http", "grpc"] {
                    let met = cells.iter().any(|cell| {
                        cell.worker == worker
                            && cell.restriction == restriction
                            && binding(&cell.requester) == wanted
                    });
                    assert!(
                        met,
                        "{worker}/{restriction} meets no requester over {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_cell_is_there_twice() {
        let mut ids: Vec<String> = cells().into_iter().map(|cell| cell.id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }
}
