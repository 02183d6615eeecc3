//! The table that a run ends with, and medians.

use std::fmt::Write as _;

/// Rows as they are measured.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    /// Adds a row and says it at once: a run takes minutes. `beside` is the same of the bare proxy, or of whatever the
    /// number is to be compared with.
    pub fn row(
        &mut self,
        what: impl Into<String>,
        value: impl Into<String>,
        beside: impl Into<String>,
        ratio: impl Into<String>,
        aim: impl Into<String>,
    ) {
        let row = [
            what.into(),
            value.into(),
            beside.into(),
            ratio.into(),
            aim.into(),
        ];
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    /// As Markdown.
    pub fn render(&self) -> String {
        let mut text = String::from(
            "| what | sidecar | beside it | ratio | aim |\n|---|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }
}

/// The middle value; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of all lies; 0 of none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    sorted
        .get((last * share).round() as usize)
        .copied()
        .unwrap_or_default()
}
