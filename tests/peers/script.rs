//! What a worker does with a message: `scenarios.json`, which the workers play, told as what a requester must hear.
//!
//! Plays nothing itself.

use std::collections::BTreeMap;
use std::iter::once;

use serde_json::{Value, json};

use crate::heard::{part, said};

/// An artifact as it stands when its last chunk has come: its name and its parts in one common form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) parts: Vec<Value>,
}

/// Everything that a task of one scenario does, all turns together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// What every status message says, in order.
    pub(crate) messages: Vec<String>,
    /// How many of `messages` come before the gate, if there is one.
    pub(crate) messages_before_gate: usize,
    /// Whether the worker stops at a gate until the requester opens it.
    pub(crate) gated: bool,
    /// The states in order, without `submitted` and without repetitions.
    pub(crate) states: Vec<String>,
    /// The artifacts by id.
    pub(crate) artifacts: BTreeMap<String, Artifact>,
    /// How many parts of each artifact come only after the gate.
    pub(crate) parts_after_gate: BTreeMap<String, usize>,
    /// The bare message that is the whole answer, for a worker that makes no task.
    pub(crate) bare_message: Option<String>,
    /// Status and artifact events in all.
    pub(crate) events: usize,
}

impl Script {
    /// Reads the script of `scenario` from the file that the workers play.
    pub(crate) fn of(scenario: &str) -> Script {
        let all: Value =
            serde_json::from_str(include_str!("scenarios.json")).expect("scenarios.json is JSON");
        let turns = all[scenario]
            .as_array()
            .unwrap_or_else(|| panic!("no scenario {scenario}"));
        let mut script = Script::default();
        for step in turns
            .iter()
            .flat_map(|turn| turn.as_array().expect("a turn is a list"))
        {
            script.take(step);
        }
        script
    }

    /// The state that ends the task.
    pub(crate) fn end(&self) -> &str {
        self.states.last().map_or("", String::as_str)
    }

    fn take(&mut self, step: &Value) {
        if let Some(state) = step["status"].as_str() {
            self.events += 1;
            if self.states.last().is_none_or(|last| last != state) {
                self.states.push(state.to_owned());
            }
            assert!(step["text"].is_string(), "a status has a text");
            let text = json!({"text": step["text"]});
            let more = step["parts"].as_array().into_iter().flatten();
            self.messages.push(said(once(&text).chain(more)));
            if !self.gated {
                self.messages_before_gate += 1;
            }
        } else if let Some(chunk) = step.get("artifact") {
            self.events += 1;
            let id = chunk["id"]
                .as_str()
                .expect("an artifact has an id")
                .to_owned();
            let parts: Vec<Value> = chunk["parts"]
                .as_array()
                .into_iter()
                .flatten()
                .map(part)
                .collect();
            if self.gated {
                *self.parts_after_gate.entry(id.clone()).or_default() += parts.len();
            }
            let name = chunk["name"].as_str().unwrap_or_default().to_owned();
            let artifact = self.artifacts.entry(id).or_insert_with(|| Artifact {
                name,
                parts: Vec::new(),
            });
            artifact.parts.extend(parts);
        } else if let Some(text) = step["message"].as_str() {
            self.bare_message = Some(text.to_owned());
        } else if step.get("gate").is_some() {
            self.gated = true;
        }
    }
}
