//! The samples in `tests/fixtures`, and how two values are compared that one peer wrote and the codecs wrote again.

use std::fs;
use std::path::{Path, PathBuf};

use a2a_sidecar::a2a::{Dialect, TaskStatus};
use serde_json::{Value, json};

/// One thing that a peer wrote.
pub struct Sample {
    /// Where it is from.
    pub place: String,
    /// What it is in.
    pub dialect: Dialect,
    /// All that the file says of it.
    pub value: Value,
}

/// Every file of a folder, in the order of their names.
pub fn fixtures(folder: &str) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path, value)
        })
        .collect()
}

/// Every sample of this kind in a folder, whose files are in this dialect.
pub fn samples_of(folder: &str, dialect: Dialect, kind: &str) -> Vec<Sample> {
    let mut found = Vec::new();
    for (path, file) in fixtures(folder) {
        let name = path.file_name().unwrap().to_string_lossy();
        for (index, value) in file["samples"].as_array().unwrap().iter().enumerate() {
            if value.get(kind).is_some() {
                found.push(Sample {
                    place: format!("{folder}/{name}[{index}]"),
                    dialect,
                    value: value.clone(),
                });
            }
        }
    }
    found
}

/// The value with every time in one spelling and without the members that are as good as `absent`.
pub fn normal(value: &Value, absent: fn(&str, &Value) -> bool) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .iter()
                .map(|(name, value)| match (name.as_str(), value) {
                    ("timestamp", Value::String(text)) => {
                        let status = TaskStatus {
                            timestamp: Some(text.clone()),
                            ..TaskStatus::default()
                        };
                        let time = status.time().expect("they write readable times");
                        (name.clone(), json!(time.to_string()))
                    }
                    _ => (name.clone(), normal(value, absent)),
                })
                .filter(|(name, value)| !absent(name, value))
                .collect(),
        ),
        Value::Array(values) => values.iter().map(|value| normal(value, absent)).collect(),
        other => other.clone(),
    }
}

pub fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}
