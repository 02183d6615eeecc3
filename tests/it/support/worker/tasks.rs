//! The worker's store of tasks: the truth that GetTask tells, the events that streams read, the webhooks that
//! are registered. In the worker's own dialect all the way: nothing is translated, so nothing can be
//! translated wrongly. It starts nothing and waits for nothing.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::script::Step;
use crate::support::protocol::{State, Version, message, text_part};

/// A task and everything that belongs to it.
#[derive(Debug)]
pub(super) struct TaskRecord {
    pub(super) version: Version,
    pub(super) id: String,
    pub(super) context_id: String,
    pub(super) state: State,
    /// The status object as it stands.
    status: Value,
    artifacts: Vec<Value>,
    history: Vec<Value>,
    /// Every event so far, as a stream result.
    pub(super) events: Vec<Event>,
    pub(super) configs: Vec<Config>,
    /// Steps not taken yet.
    pub(super) steps: VecDeque<Step>,
    /// The turn that was begun last, so that a cancel can stop it.
    pub(super) job: Option<JoinHandle<()>>,
    /// Whether that turn is still being worked on.
    pub(super) running: bool,
    /// Messages made so far, for their ids.
    messages: usize,
}

/// One event of a task.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// As a stream of this version carries it.
    pub(super) wire: Value,
    /// The state that it brings, if it brings one: a stream may end there.
    pub(super) state: Option<State>,
}

/// A registered webhook.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) id: String,
    /// What the requester gave, with the id filled in; without the task.
    pub(super) wire: Value,
}

impl Config {
    pub(super) fn url(&self) -> &str {
        self.wire["url"].as_str().unwrap_or_default()
    }
}

impl TaskRecord {
    pub(super) fn new(version: Version, id: String, context_id: String) -> Self {
        Self {
            version,
            id,
            context_id,
            state: State::Submitted,
            status: json!({ "state": State::Submitted.wire(version) }),
            artifacts: Vec::new(),
            history: Vec::new(),
            events: Vec::new(),
            configs: Vec::new(),
            steps: VecDeque::new(),
            job: None,
            running: false,
            messages: 0,
        }
    }

    /// The whole task; `history` cuts its history to so many of the newest messages.
    pub(super) fn snapshot(&self, history: Option<u64>) -> Value {
        let mut task = json!({
            "id": self.id,
            "contextId": self.context_id,
            "status": self.status,
        });
        let keep = history.map_or(self.history.len(), |limit| limit as usize);
        let newest = &self.history[self.history.len().saturating_sub(keep)..];
        // As real workers do, empty lists are left out.
        if !newest.is_empty() {
            task["history"] = json!(newest);
        }
        if !self.artifacts.is_empty() {
            task["artifacts"] = json!(self.artifacts);
        }
        if !self.version.is_v1() {
            task["kind"] = json!("task");
        }
        task
    }

    /// The task as the first event of a stream, or in the answer to a send.
    pub(super) fn as_event(&self) -> Value {
        let task = self.snapshot(None);
        if self.version.is_v1() {
            json!({ "task": task })
        } else {
            task
        }
    }

    /// Takes in a message of the requester.
    pub(super) fn heard(&mut self, mut message: Value) {
        message["taskId"] = json!(self.id);
        message["contextId"] = json!(self.context_id);
        self.history.push(message);
    }

    /// Does one step; gates and bare messages are not for here. Whether it made an event.
    pub(super) fn apply(&mut self, step: &Step) -> bool {
        match step {
            Step::Status(state, text) | Step::End(state, text) => {
                self.set_status(*state, text.as_deref());
            }
            Step::InputRequired(text) => self.set_status(State::InputRequired, Some(text)),
            Step::Artifact {
                id,
                parts,
                append,
                last_chunk,
            } => {
                self.add_artifact(id, parts, *append, *last_chunk);
            }
            Step::Snapshot => {
                let wire = self.as_event();
                let state = Some(self.state);
                self.events.push(Event { wire, state });
            }
            Step::Raw(wire) => {
                let text = wire
                    .to_string()
                    .replace("$TASK", &self.id)
                    .replace("$CONTEXT", &self.context_id);
                let wire = serde_json::from_str(&text).unwrap();
                self.events.push(Event { wire, state: None });
            }
            Step::Wait(_) | Step::Message(_) => return false,
        }
        true
    }

    /// Ends the task as a cancel does.
    pub(super) fn cancel(&mut self) {
        self.steps.clear();
        if let Some(job) = self.job.take() {
            job.abort();
        }
        self.running = false;
        self.set_status(State::Canceled, None);
    }

    fn set_status(&mut self, state: State, text: Option<&str>) {
        if let Some(said) = self.status.get("message") {
            self.history.push(said.clone());
        }
        self.state = state;
        self.status = json!({
            "state": state.wire(self.version),
            "timestamp": jiff::Timestamp::now().to_string(),
        });
        if let Some(text) = text {
            self.messages += 1;
            let id = format!("{}-says-{}", self.id, self.messages);
            let ids = (Some(self.id.as_str()), Some(self.context_id.as_str()));
            self.status["message"] = message(self.version, false, &id, text, ids);
        }
        let mut update = json!({
            "taskId": self.id,
            "contextId": self.context_id,
            "status": self.status,
        });
        let wire = if self.version.is_v1() {
            json!({ "statusUpdate": update })
        } else {
            update["kind"] = json!("status-update");
            update["final"] = json!(state.stops());
            update
        };
        self.events.push(Event {
            wire,
            state: Some(state),
        });
    }

    fn add_artifact(&mut self, id: &str, parts: &[String], append: bool, last_chunk: bool) {
        let parts: Vec<Value> = parts
            .iter()
            .map(|text| text_part(self.version, text))
            .collect();
        let artifact = json!({ "artifactId": id, "name": id, "parts": parts });
        let known = self
            .artifacts
            .iter_mut()
            .find(|known| known["artifactId"] == id);
        match known {
            Some(known) if append => {
                if let Some(known) = known["parts"].as_array_mut() {
                    known.extend(parts);
                }
            }
            Some(known) => *known = artifact.clone(),
            None => self.artifacts.push(artifact.clone()),
        }
        let mut update = json!({
            "taskId": self.id,
            "contextId": self.context_id,
            "artifact": artifact,
        });
        let wire = if self.version.is_v1() {
            // ProtoJSON leaves false out.
            if append {
                update["append"] = json!(true);
            }
            if last_chunk {
                update["lastChunk"] = json!(true);
            }
            json!({ "artifactUpdate": update })
        } else {
            update["kind"] = json!("artifact-update");
            update["append"] = json!(append);
            update["lastChunk"] = json!(last_chunk);
            update
        };
        self.events.push(Event { wire, state: None });
    }
}
