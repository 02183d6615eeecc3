//! What came of the cells as tables, and everything about every cell as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::plan::{OWN, REQUESTERS, WITHOUT_A_CALL, WORKERS};
use crate::verdict::{Verdicts, count, mark};

/// The verdicts in Markdown: each system with itself, then with all others, then by requester and mode.
pub(crate) fn markdown(verdicts: &Verdicts) -> String {
    let (good, all) = count(verdicts, "");
    let mut out = format!("{good} of {all} pairs deliver the job's own result.\n\n");
    own(&mut out, verdicts);
    let names: Vec<&str> = REQUESTERS.iter().map(|requester| requester.name).collect();
    out.push_str("\nAny to any; the number is that of the requester's modes:\n\n");
    table(&mut out, &names, |worker, requester| {
        mark(count(verdicts, &format!("{worker}/{requester}/")))
    });
    for requester in REQUESTERS {
        let _ = writeln!(out, "\nRequester {}:\n", requester.name);
        table(&mut out, requester.modes, |worker, mode| {
            mark(count(
                verdicts,
                &format!("{worker}/{}/{mode}", requester.name),
            ))
        });
    }
    out
}

fn own(out: &mut String, verdicts: &Verdicts) {
    let _ = writeln!(
        out,
        "| worker | its own client | without the sidecar | with it |"
    );
    let _ = writeln!(out, "|---|---|---|---|");
    for (worker, requester, mode, directly) in OWN {
        let without = if directly { "✓" } else { "-" };
        let with = match verdicts.get(&format!("{worker}/{requester}/{mode}")) {
            Some(verdict) if verdict.is_good() => "✓",
            Some(_) => "**fails**",
            None if (requester, mode) == WITHOUT_A_CALL => "the client has no such call",
            None => "not tried",
        };
        let _ = writeln!(
            out,
            "| {worker} | {requester} {mode} | {without} | {with} |"
        );
    }
}

fn table(out: &mut String, columns: &[&str], cell: impl Fn(&str, &str) -> String) {
    let _ = writeln!(out, "| worker | {} |", columns.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(columns.len()));
    for worker in WORKERS {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| cell(worker.name, column))
            .collect();
        if cells.iter().any(|cell| cell != "-") {
            let _ = writeln!(out, "| {} | {} |", worker.name, cells.join(" | "));
        }
    }
}

/// Every cell with its faults and what was heard.
pub(crate) fn details(verdicts: &Verdicts) -> Value {
    let cells = verdicts.iter().map(|(id, verdict)| {
        json!({"cell": id, "ok": verdict.is_good(), "faults": verdict.faults, "heard": verdict.line})
    });
    json!({"cells": cells.collect::<Vec<_>>()})
}
