//! What a requester has learnt of a task, in words that are the same for every dialect, so that one
//! expectation serves the whole matrix of modes and versions. It believes what it is told: whether the
//! events make sense together is for the tests to say.

use std::collections::HashSet;

use serde_json::Value;

use super::protocol::{State, text_of};

/// Everything heard of one task, in the order in which it came.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub task_id: Option<String>,
    pub context_id: Option<String>,
    /// Every state that was announced. A snapshot counts only where it tells something new.
    pub states: Vec<State>,
    /// What the worker said in status messages, each message once.
    pub messages: Vec<String>,
    /// Artifact ids and their text as it stands, in order of appearance.
    pub artifacts: Vec<(String, String)>,
    /// The text of a message that answered in place of a task.
    pub bare: Option<String>,
    /// Whether the task is over, or was answered with a bare message.
    pub ended: bool,
    /// How many events told of the end of the task.
    pub endings: usize,
    /// How many whole tasks came, and how many events of any kind.
    pub snapshots: usize,
    pub events: usize,
    /// How many events said `final: true` (0.x only).
    pub finals: usize,
    seen: HashSet<String>,
}

impl Heard {
    /// What one object tells: a task, a message, an event, in any dialect, wrapped or bare.
    pub fn of(value: &Value) -> Heard {
        let mut heard = Heard::default();
        heard.feed(value);
        heard
    }

    /// Takes in the next object.
    pub fn feed(&mut self, value: &Value) {
        self.events += 1;
        for (wrapper, kind) in [
            ("task", "task"),
            ("message", "message"),
            ("statusUpdate", "status-update"),
            ("artifactUpdate", "artifact-update"),
        ] {
            // A status event of 0.x has no such member at its top, a task neither.
            if value.get("kind").is_none() && value[wrapper].is_object() {
                return self.feed_kind(kind, &value[wrapper]);
            }
        }
        match value["kind"].as_str() {
            Some(kind) => self.feed_kind(kind, value),
            // GetTask and CancelTask of 1.0 answer with a bare task.
            None if value["status"].is_object() => self.feed_kind("task", value),
            None => panic!("neither task, message nor event: {value}"),
        }
    }

    /// The last state, if any was heard.
    pub fn state(&self) -> Option<State> {
        self.states.last().copied()
    }

    /// The last state with the last words.
    pub fn outcome(&self) -> (Option<State>, Option<&str>) {
        (self.state(), self.messages.last().map(String::as_str))
    }

    /// The text of an artifact.
    pub fn artifact(&self, id: &str) -> Option<&str> {
        self.artifacts
            .iter()
            .find(|(known, _)| known == id)
            .map(|(_, text)| text.as_str())
    }

    /// The id of the task.
    pub fn id(&self) -> &str {
        self.task_id
            .as_deref()
            .unwrap_or_else(|| panic!("no task id was heard: {self:?}"))
    }

    fn feed_kind(&mut self, kind: &str, value: &Value) {
        let id = if kind == "task" { "id" } else { "taskId" };
        if let Some(id) = value[id].as_str() {
            self.task_id.get_or_insert_with(|| id.to_owned());
        }
        if let Some(context) = value["contextId"].as_str() {
            self.context_id.get_or_insert_with(|| context.to_owned());
        }
        match kind {
            "task" => self.snapshot(value),
            "message" => {
                self.bare = Some(text_of(value));
                self.ended = true;
            }
            "status-update" => {
                let state = self.status(&value["status"]);
                self.announce(state);
                self.finals += usize::from(value["final"] == true);
            }
            "artifact-update" => {
                self.artifact_update(&value["artifact"], value["append"] == true);
            }
            other => panic!("{other:?} is no kind of event: {value}"),
        }
    }

    fn snapshot(&mut self, task: &Value) {
        self.snapshots += 1;
        for message in task["history"].as_array().into_iter().flatten() {
            if matches!(message["role"].as_str(), Some("agent" | "ROLE_AGENT")) {
                self.say(message);
            }
        }
        for artifact in task["artifacts"].as_array().into_iter().flatten() {
            self.artifact_update(artifact, false);
        }
        let state = self.status(&task["status"]);
        if self.state() != Some(state) {
            self.announce(state);
        }
    }

    /// Reads the words of a status and gives its state.
    fn status(&mut self, status: &Value) -> State {
        if status["message"].is_object() {
            self.say(&status["message"]);
        }
        State::read(status["state"].as_str().unwrap_or_default())
    }

    fn announce(&mut self, state: State) {
        self.states.push(state);
        if state.is_terminal() {
            self.ended = true;
            self.endings += 1;
        }
    }

    fn say(&mut self, message: &Value) {
        let id = message["messageId"].as_str().unwrap_or_default();
        if id.is_empty() || self.seen.insert(id.to_owned()) {
            self.messages.push(text_of(message));
        }
    }

    fn artifact_update(&mut self, artifact: &Value, append: bool) {
        let id = artifact["artifactId"].as_str().unwrap_or_default();
        let text = text_of(artifact);
        match self.artifacts.iter_mut().find(|(known, _)| known == id) {
            Some((_, old)) if append => old.push_str(&text),
            Some((_, old)) => *old = text,
            None => self.artifacts.push((id.to_owned(), text)),
        }
    }
}
