//! The grid as tables, and everything about every cell as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::grid::{REQUESTERS, RESTRICTIONS, WORKERS, modes};

/// The verdict on one cell.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) faults: Vec<String>,
    /// What the client wrote, kept for the report of a failing cell.
    pub(crate) line: Value,
}

/// The verdicts by cell id.
pub(crate) type Verdicts = BTreeMap<String, Verdict>;

/// Cells that pass and all cells, under a prefix of the cell ids.
fn count(verdicts: &Verdicts, prefix: &str) -> (usize, usize) {
    let under = verdicts
        .range(prefix.to_owned()..)
        .take_while(|(id, _)| id.starts_with(prefix));
    under.fold((0, 0), |(good, all), (_, verdict)| {
        (good + usize::from(verdict.faults.is_empty()), all + 1)
    })
}

fn mark((good, all): (usize, usize)) -> String {
    match (good, all) {
        (_, 0) => "-".to_owned(),
        (good, all) if good == all => format!("✓ {all}"),
        (good, all) => format!("**{} of {all} fail**", all - good),
    }
}

/// The grid in Markdown: first by requester, then by requester and mode.
pub(crate) fn markdown(verdicts: &Verdicts) -> String {
    let (good, all) = count(verdicts, "");
    let mut out = format!(
        "{good} of {all} cells pass. Rows: worker and the one mode that it is restricted to.\n\n"
    );
    table(&mut out, &REQUESTERS, |row, requester| {
        mark(count(verdicts, &format!("{row}/{requester}/")))
    });
    for requester in REQUESTERS {
        let _ = writeln!(out, "\nRequester {requester}:\n");
        table(&mut out, &modes(requester), |row, mode| {
            mark(count(verdicts, &format!("{row}/{requester}/{mode}/")))
        });
    }
    out
}

fn table(out: &mut String, columns: &[&str], cell: impl Fn(&str, &str) -> String) {
    let _ = writeln!(out, "| worker | restricted to | {} |", columns.join(" | "));
    let _ = writeln!(out, "|---|---|{}", "---|".repeat(columns.len()));
    for worker in WORKERS {
        for restriction in RESTRICTIONS {
            let row = format!("{worker}/{restriction}");
            let cells: Vec<String> = columns.iter().map(|column| cell(&row, column)).collect();
            if cells.iter().any(|cell| cell != "-") {
                let _ = writeln!(out, "| {worker} | {restriction} | {} |", cells.join(" | "));
            }
        }
    }
}

/// Every cell with its faults; of failing cells also what was heard.
pub(crate) fn details(verdicts: &Verdicts) -> Value {
    let cells = verdicts.iter().map(|(id, verdict)| {
        let ok = verdict.faults.is_empty();
        let mut cell = json!({"cell": id, "ok": ok});
        if !ok {
            cell["faults"] = json!(verdict.faults);
            cell["heard"] = verdict.line["heard"].clone();
        }
        cell
    });
    json!({"cells": cells.collect::<Vec<_>>()})
}
