//! What is wrong with a configuration: every fault with its place, so that one run of `check` is enough.
//!
//! Texts never hold a secret: values of secrets, and whole URLs (which may hold one), are not repeated in them.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file; none for a flag or a variable.
    pub file: Option<String>,
    /// The line in the file, from 1, where there is one.
    pub line: Option<usize>,
    /// The column in the line, from 1; given for errors of syntax only.
    pub column: Option<usize>,
    /// The key (`routes[1].poll.max`) or the flag (`--listen`); empty if the file as a whole is meant.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub allowed: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            if let Some(column) = self.column {
                write!(f, "{column}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        match &self.allowed {
            Some(allowed) => write!(f, "; allowed: {allowed}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong, in the order of the lines; what has no line comes last. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    /// One fault per line, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// What a value is wrong in, before its place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) allowed: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            allowed: Some(allowed.into()),
        }
    }

    pub(super) fn bare(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            allowed: None,
        }
    }
}

/// A value as it may stand in a fault's text: short, on one line.
pub(super) fn quoted(text: &str) -> String {
    /// Enough to recognise the value by.
    const MOST: usize = 60;
    let short: String = text.chars().take(MOST).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("\"{}{dots}\"", short.escape_debug())
}
