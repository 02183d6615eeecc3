//! Walks a TOML document by hand, so that every fault is found at once and has its line.
//!
//! A [`Table`] lies over the same table of the compiled-in default file: what the user's file does not say, or says
//! wrongly, is read from there. Asking for a key is what makes it known; [`Table::end`] reports the keys that nobody
//! asked for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Wrong};
use super::units::{out_of_range, ranged_duration, ranged_size, within};

/// What a walk gathers.
pub(super) struct Walk<'a> {
    file: &'a str,
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
    /// Every key that was asked for, without the numbers of arrays: `routes.poll.max`.
    known: RefCell<BTreeSet<String>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            faults: RefCell::default(),
            known: RefCell::default(),
        }
    }

    /// The line of a byte of the text, from 1.
    pub(super) fn line(&self, byte: usize) -> usize {
        1 + self.text.as_bytes()[..byte.min(self.text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    }

    /// Notes a fault in the file; without a file, in what is there without one.
    pub(super) fn fault(&self, path: &str, line: Option<usize>, wrong: Wrong) {
        let file = (!self.file.is_empty()).then(|| self.file.to_owned());
        self.push(file, path, line, wrong);
    }

    /// Notes a fault in a flag.
    pub(super) fn flag_fault(&self, flag: &str, wrong: Wrong) {
        self.push(None, flag, None, wrong);
    }

    fn push(&self, file: Option<String>, path: &str, line: Option<usize>, wrong: Wrong) {
        self.faults.borrow_mut().push(Fault {
            file,
            line,
            column: None,
            path: path.to_owned(),
            what: wrong.what,
            allowed: wrong.allowed,
        });
    }

    /// The faults in the order of the lines, and the keys that are known.
    pub(super) fn end(self) -> (Vec<Fault>, BTreeSet<String>) {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        (faults, self.known.into_inner())
    }
}

/// A table of the user's over the same table of the defaults.
pub(super) struct Table<'a> {
    walk: &'a Walk<'a>,
    path: String,
    schema: String,
    user: Option<&'a DeTable<'a>>,
    default: Option<&'a DeTable<'a>>,
    line: Option<usize>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The whole document.
    pub(super) fn root(
        walk: &'a Walk<'a>,
        user: &'a DeTable<'a>,
        default: &'a DeTable<'a>,
    ) -> Self {
        Self {
            walk,
            path: String::new(),
            schema: String::new(),
            user: Some(user),
            default: Some(default),
            line: None,
            asked: RefCell::default(),
        }
    }

    /// The full name of a key in this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The line of a key's value in the user's file, else that of the table.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        self.user_value(key).map(|(line, _)| line).or(self.line)
    }

    /// Whether the user's file says anything in this table.
    pub(super) fn given(&self) -> bool {
        self.user.is_some()
    }

    /// Whether the user's file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.user.is_some_and(|table| table.contains_key(key))
    }

    /// Whether the user's file has an empty list here.
    pub(super) fn has_empty_list(&self, key: &str) -> bool {
        self.user_value(key)
            .and_then(|(_, value)| value.as_array())
            .is_some_and(|items| items.is_empty())
    }

    /// Notes a fault at a key.
    pub(super) fn fault(&self, key: &str, wrong: Wrong) {
        self.walk
            .fault(&self.path_of(key), self.line_of(key), wrong);
    }

    /// The table below a key.
    pub(super) fn table(&self, key: &'static str) -> Table<'a> {
        self.ask(key);
        let mut line = None;
        let mut user = None;
        if let Some((at, value)) = self.user_value(key) {
            line = Some(at);
            match value {
                DeValue::Table(table) => user = Some(table),
                other => self.fault(key, wrong_type(other, "a table")),
            }
        }
        Table {
            walk: self.walk,
            path: self.path_of(key),
            schema: join(&self.schema, key),
            user,
            default: self
                .default
                .and_then(|table| table.get(key))
                .and_then(|value| value.get_ref().as_table()),
            line,
            asked: RefCell::default(),
        }
    }

    /// The tables of an array of tables, each over the first one of the defaults.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        self.ask(key);
        let default = self.default_tables(key);
        let items = match self.user_value(key) {
            None => return Vec::new(),
            Some((_, DeValue::Array(items))) => items,
            Some((_, other)) => {
                let path = self.path_of(key);
                self.fault(
                    key,
                    wrong_type(other, format!("tables that begin with [[{path}]]")),
                );
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(key));
            let line = Some(self.walk.line(item.span().start));
            let DeValue::Table(user) = item.get_ref() else {
                self.walk
                    .fault(&path, line, wrong_type(item.get_ref(), "a table"));
                continue;
            };
            tables.push(Table {
                walk: self.walk,
                path,
                schema: join(&self.schema, key),
                user: Some(user),
                default,
                line,
                asked: RefCell::default(),
            });
        }
        tables
    }

    /// What the only table of an array of tables is where the user's file has none: all defaults.
    pub(super) fn only(&self, key: &'static str) -> Table<'a> {
        self.ask(key);
        Table {
            walk: self.walk,
            path: format!("{}[0]", self.path_of(key)),
            schema: join(&self.schema, key),
            user: None,
            default: self.default_tables(key),
            line: None,
            asked: RefCell::default(),
        }
    }

    fn default_tables(&self, key: &str) -> Option<&'a DeTable<'a>> {
        let first = self.default?.get(key)?.get_ref().as_array()?.first()?;
        first.get_ref().as_table()
    }

    /// A key's value: the user's if it is right, else the default, if there is one.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        if let Some(read) = self.read_own(key, &parse) {
            return Some(read);
        }
        self.default
            .and_then(|table| table.get(key))
            .and_then(|value| parse(value.get_ref()).ok())
    }

    /// A key's value in the user's file only: for keys whose value in the default file is an example.
    pub(super) fn read_own<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.ask(key);
        let (_, value) = self.user_value(key)?;
        match parse(value) {
            Ok(read) => Some(read),
            Err(wrong) => {
                self.fault(key, wrong);
                None
            }
        }
    }

    /// A string that means something.
    pub(super) fn text<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.read(key, |value| parse(string(value)?))
    }

    /// A duration within a range.
    pub(super) fn duration(
        &self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        fallback: Duration,
    ) -> Duration {
        self.text(key, |text| ranged_duration(text, range.clone()))
            .unwrap_or(fallback)
    }

    /// A size within a range.
    pub(super) fn size(
        &self,
        key: &'static str,
        range: RangeInclusive<usize>,
        fallback: usize,
    ) -> usize {
        self.text(key, |text| ranged_size(text, range.clone()))
            .unwrap_or(fallback)
    }

    /// A whole number within a range.
    pub(super) fn count(
        &self,
        key: &'static str,
        range: RangeInclusive<usize>,
        fallback: usize,
    ) -> usize {
        self.read(key, |value| match value {
            DeValue::Integer(number) => {
                let text = number.to_string();
                // A negative number, and one too large, are as far out of range as can be.
                let read = usize::from_str_radix(number.as_str(), number.radix());
                match read {
                    Ok(read) => within(read, &range, &text, |bound| bound.to_string()),
                    Err(_) => Err(out_of_range(&text, range.start(), range.end())),
                }
            }
            other => Err(wrong_type(other, "a whole number")),
        })
        .unwrap_or(fallback)
    }

    /// A number within a range.
    pub(super) fn number(
        &self,
        key: &'static str,
        range: RangeInclusive<f64>,
        fallback: f64,
    ) -> f64 {
        self.read(key, |value| {
            let text = match value {
                DeValue::Float(number) => number.as_str().to_owned(),
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
                other => return Err(wrong_type(other, "a number")),
            };
            match text.parse::<f64>() {
                Ok(read) if range.contains(&read) => Ok(read),
                _ => Err(out_of_range(&text, range.start(), range.end())),
            }
        })
        .unwrap_or(fallback)
    }

    /// A list of strings that mean something. Each item's fault has the item's own place.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        self.ask(key);
        if let Some((_, value)) = self.user_value(key) {
            let DeValue::Array(items) = value else {
                self.fault(key, wrong_type(value, "a list of strings"));
                return self.default_list(key, parse);
            };
            let mut all = Vec::new();
            for (index, item) in items.iter().enumerate() {
                match string(item.get_ref()).and_then(&parse) {
                    Ok(read) => all.push(read),
                    Err(wrong) => {
                        let path = format!("{}[{index}]", self.path_of(key));
                        let line = Some(self.walk.line(item.span().start));
                        self.walk.fault(&path, line, wrong);
                    }
                }
            }
            return Some(all);
        }
        self.default_list(key, parse)
    }

    fn default_list<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        let items = self.default?.get(key)?.get_ref().as_array()?;
        Some(
            items
                .iter()
                .filter_map(|item| parse(item.get_ref().as_str()?).ok())
                .collect(),
        )
    }

    /// The keys and values of a table whose keys are the user's own. Nothing in it is unknown.
    pub(super) fn entries(&self) -> impl Iterator<Item = (String, usize, &'a DeValue<'a>)> {
        self.user.into_iter().flatten().map(|(key, value)| {
            (
                key.get_ref().to_string(),
                self.walk.line(key.span().start),
                value.get_ref(),
            )
        })
    }

    /// Notes a fault at an entry of a table whose keys are the user's own.
    pub(super) fn entry_fault(&self, key: &str, line: usize, wrong: Wrong) {
        self.walk.fault(&self.path_of(key), Some(line), wrong);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn end(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.user.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let what = match nearest(name, &asked) {
                Some(near) => format!("unknown key; did you mean `{near}`?"),
                None => "unknown key".to_owned(),
            };
            let allowed = asked.join(", ");
            self.walk.fault(
                &self.path_of(name),
                Some(self.walk.line(key.span().start)),
                Wrong::new(what, allowed),
            );
        }
    }

    fn ask(&self, key: &'static str) {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
            self.walk.known.borrow_mut().insert(join(&self.schema, key));
        }
    }

    fn user_value(&self, key: &str) -> Option<(usize, &'a DeValue<'a>)> {
        let value = self.user?.get(key)?;
        Some((self.walk.line(value.span().start), value.get_ref()))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A string, or what is there instead. The value itself is not repeated: it may be a secret.
pub(super) fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Wrong> {
    value
        .as_str()
        .ok_or_else(|| wrong_type(value, "a string in quotes"))
}

pub(super) fn wrong_type(value: &DeValue<'_>, allowed: impl Into<String>) -> Wrong {
    let article = match value {
        DeValue::Integer(_) | DeValue::Array(_) => "an",
        _ => "a",
    };
    Wrong::new(format!("is {article} {}", value.type_str()), allowed)
}

/// The known name that a misspelt one is likely to mean.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        // A third of the letters wrong is a slip, more is another word.
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance. `-` and `_` count as the same letter.
fn distance(left: &str, right: &str) -> usize {
    let fold = |c: char| {
        if c == '-' {
            '_'
        } else {
            c.to_ascii_lowercase()
        }
    };
    let right: Vec<char> = right.chars().map(fold).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().map(fold).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_key_and_another_word_none() {
        let known = ["listen", "public_url", "max_in_flight"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("public-url", &known), Some("public_url"));
        assert_eq!(nearest("max_inflight", &known), Some("max_in_flight"));
        assert_eq!(nearest("port", &known), None);
    }
}
