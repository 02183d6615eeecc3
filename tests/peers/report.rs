//! The grid as tables, and everything about every cell as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::grid::{LACKING, REQUESTERS, RESTRICTIONS, WORKERS, modes};
use crate::verdict::{Verdicts, count, mark};

/// The grid in Markdown: first by requester, then by requester and mode.
pub(crate) fn markdown(verdicts: &Verdicts) -> String {
    let (good, all) = count(verdicts, "");
    let mut out = format!("{good} of {all} cells pass.\n");
    let summary =
        |row: &str, requester: &str| mark(count(verdicts, &format!("{row}/{requester}/")));
    if let Some(table) = table(&["any"], &REQUESTERS, summary) {
        let _ = writeln!(
            out,
            "\nEach SDK over each of its bindings (JSON-RPC where the name says none), the workers as they come:\n\n{table}"
        );
    }
    if let Some(table) = table(&RESTRICTED, &REQUESTERS, summary) {
        let _ = writeln!(
            out,
            "\nThe workers restricted to one mode: every scenario between the Python and JavaScript SDKs over JSON-RPC, one \
             for each mode between the others, which take turns:\n\n{table}"
        );
    }
    for (requester, mode, why) in LACKING {
        let _ = writeln!(out, "\n{requester} is not asked for {mode}: {why}.");
    }
    for requester in REQUESTERS {
        let by_mode =
            |row: &str, mode: &str| mark(count(verdicts, &format!("{row}/{requester}/{mode}/")));
        if let Some(table) = table(&RESTRICTIONS, &modes(requester), by_mode) {
            let _ = writeln!(out, "\nRequester {requester}:\n\n{table}");
        }
    }
    out
}

/// The restrictions but that to nothing.
const RESTRICTED: [&str; 4] = ["blocking", "poll", "stream", "push"];

/// A table of those rows and columns in which there is a cell; none if there is no cell at all.
fn table(
    restrictions: &[&str],
    columns: &[&str],
    cell: impl Fn(&str, &str) -> String,
) -> Option<String> {
    let mut rows = Vec::new();
    for worker in WORKERS {
        for restriction in restrictions {
            let row = format!("{worker}/{restriction}");
            let cells: Vec<String> = columns.iter().map(|column| cell(&row, column)).collect();
            if cells.iter().any(|cell| cell != "-") {
                let restriction = if *restriction == "any" {
                    "nothing"
                } else {
                    restriction
                };
                rows.push((worker, restriction, cells));
            }
        }
    }
    let used: Vec<usize> = (0..columns.len())
        .filter(|&at| rows.iter().any(|(_, _, cells)| cells[at] != "-"))
        .collect();
    if used.is_empty() {
        return None;
    }
    let heads: Vec<&str> = used.iter().map(|&at| columns[at]).collect();
    let mut out = format!("| worker | restricted to | {} |\n", heads.join(" | "));
    let _ = write!(out, "|---|---|{}", "---|".repeat(heads.len()));
    for (worker, restriction, cells) in rows {
        let cells: Vec<&str> = used.iter().map(|&at| cells[at].as_str()).collect();
        let _ = write!(
            out,
            "\n| {worker} | {restriction} | {} |",
            cells.join(" | ")
        );
    }
    Some(out)
}

/// Every cell with its faults; of failing cells also what was heard.
pub(crate) fn details(verdicts: &Verdicts) -> Value {
    let cells = verdicts.iter().map(|(id, verdict)| {
        let ok = verdict.is_good();
        let mut cell = json!({"cell": id, "ok": ok});
        if !ok {
            cell["faults"] = json!(verdict.faults);
            cell["heard"] = verdict.line["heard"].clone();
        }
        cell
    });
    json!({"cells": cells.collect::<Vec<_>>()})
}
