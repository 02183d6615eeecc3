//! Cells and what is said of them, whoever the peers are: which of them are tried, verdicts and their counts, and how a run
//! is told of.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Failing cells that are printed; all are in the file.
const SHOWN_FAILURES: usize = 60;
/// How much of a failing cell's faults is printed (characters): enough to recognise it.
const SHOWN_CHARS: usize = 400;

/// The verdict on one cell.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) faults: Vec<String>,
    /// What the client wrote.
    pub(crate) line: Value,
}

impl Verdict {
    /// That on a cell of which the client wrote this line, if it wrote one.
    pub(crate) fn of(line: Option<&Value>, faults: impl FnOnce(&Value) -> Vec<String>) -> Self {
        match line {
            Some(line) => Self {
                faults: faults(line),
                line: line.clone(),
            },
            None => Self::failed("the client said nothing of this cell"),
        }
    }

    /// That on a cell which was never tried, or not heard of.
    pub(crate) fn failed(fault: &str) -> Self {
        Self {
            faults: vec![fault.to_owned()],
            line: Value::Null,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

/// The verdicts by cell id.
pub(crate) type Verdicts = BTreeMap<String, Verdict>;

/// Cells that pass and all cells, under a prefix of the cell ids.
pub(crate) fn count(verdicts: &Verdicts, prefix: &str) -> (usize, usize) {
    let under = verdicts
        .range(prefix.to_owned()..)
        .take_while(|(id, _)| id.starts_with(prefix));
    under.fold((0, 0), |(good, all), (_, verdict)| {
        (good + usize::from(verdict.is_good()), all + 1)
    })
}

/// A count as a table shows it.
pub(crate) fn mark((good, all): (usize, usize)) -> String {
    match (good, all) {
        (_, 0) => "-".to_owned(),
        (good, all) if good == all => format!("✓ {all}"),
        (good, all) => format!("**{} of {all} fail**", all - good),
    }
}

/// Whether a cell is among these: patterns of cell ids, separated by commas, each a prefix of path segments in which `*`
/// stands for any one.
pub(crate) fn selected(only: &str, id: &str) -> bool {
    only.split(',').any(|pattern| {
        let mut segments = id.split('/');
        pattern.split('/').all(|wanted| {
            segments
                .next()
                .is_some_and(|segment| wanted == "*" || wanted == segment)
        })
    })
}

/// Writes `{name}.md` and `{name}.json` into the folder and prints the table.
///
/// # Panics
/// When a cell fails or one of the planned ones is missing.
pub(crate) fn conclude(
    folder: &Path,
    name: &str,
    planned: usize,
    verdicts: &Verdicts,
    table: &str,
    details: &Value,
) {
    let write = |ending: &str, text: &str| {
        let file = folder.join(format!("{name}.{ending}"));
        std::fs::write(&file, text).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
    };
    write("md", table);
    write("json", &details.to_string());
    println!("\n{table}");

    let failing: Vec<_> = verdicts
        .iter()
        .filter(|(_, verdict)| !verdict.is_good())
        .collect();
    for (id, verdict) in failing.iter().take(SHOWN_FAILURES) {
        let faults = verdict.faults.join("; ");
        let shown: String = faults.chars().take(SHOWN_CHARS).collect();
        println!("{id}: {shown}");
    }
    assert!(
        failing.is_empty(),
        "{} of {planned} cells fail, all told in target/peers/{name}.json",
        failing.len()
    );
    assert_eq!(verdicts.len(), planned, "cells are missing");
}
