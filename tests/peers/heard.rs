//! What a requester heard, in one form for all protocol versions.
//!
//! Reads the objects as the SDKs' own types dump them: v1.0 wraps each in its name, v0.x marks it with `kind`. Judges
//! nothing; `judge` does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::script::Artifact;

/// An agent's message: its id and its parts joined.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    id: String,
    text: String,
}

/// One object that came to a requester.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Task {
        state: String,
        said: Vec<Said>,
        artifacts: BTreeMap<String, Artifact>,
    },
    Status {
        state: String,
        said: Option<Said>,
        is_final: Option<bool>,
    },
    Artifact {
        id: String,
        artifact: Artifact,
        append: bool,
    },
    Message(String),
}

impl News {
    /// Reads an object of either version.
    pub(crate) fn read(body: &Value) -> Result<News, String> {
        for (name, kind) in [
            ("task", "task"),
            ("message", "message"),
            ("statusUpdate", "status-update"),
            ("artifactUpdate", "artifact-update"),
        ] {
            if body["kind"] == kind {
                return News::read_as(kind, body);
            }
            if body.get("kind").is_none() && body[name].is_object() && body.get("status").is_none()
            {
                return News::read_as(kind, &body[name]);
            }
        }
        // v1.0 answers some calls with the bare object.
        if body["status"].is_object() && body["id"].is_string() {
            return News::read_as("task", body);
        }
        Err(format!("neither a task, a message nor an update: {body}"))
    }

    fn read_as(kind: &str, it: &Value) -> Result<News, String> {
        Ok(match kind {
            "task" => {
                let mut said: Vec<Said> = list(&it["history"])
                    .filter(|message| is_agent(message))
                    .map(said_in)
                    .collect();
                if let Some(last) = status_message(it)
                    && said.iter().all(|earlier| earlier.id != last.id)
                {
                    said.push(last);
                }
                let artifacts = list(&it["artifacts"])
                    .map(|a| (text(&a["artifactId"]), artifact(a)))
                    .collect();
                News::Task {
                    state: state(it)?,
                    said,
                    artifacts,
                }
            }
            "status-update" => News::Status {
                state: state(it)?,
                said: status_message(it),
                is_final: it["final"].as_bool(),
            },
            "artifact-update" => News::Artifact {
                id: text(&it["artifact"]["artifactId"]),
                artifact: artifact(&it["artifact"]),
                append: it["append"].as_bool().unwrap_or(false),
            },
            _ => News::Message(said_in(it).text),
        })
    }

    /// The state that this news tells, if it tells one.
    pub(crate) fn state(&self) -> Option<&str> {
        match self {
            News::Task { state, .. } | News::Status { state, .. } => Some(state),
            News::Artifact { .. } | News::Message(_) => None,
        }
    }

    /// Whether it says that the task is over.
    pub(crate) fn is_end(&self) -> bool {
        matches!(
            self.state(),
            Some("completed" | "failed" | "rejected" | "canceled")
        )
    }

    /// Whether it says that the task is over or waits for the requester.
    pub(crate) fn is_end_of_turn(&self) -> bool {
        self.is_end() || matches!(self.state(), Some("input-required" | "auth-required"))
    }
}

/// What the requester knows of the task when all news is taken together, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The texts of the agent's messages. An update's message is always news; a snapshot's only if not yet known.
    pub(crate) messages: Vec<String>,
    /// The states, without `submitted` and without repetitions.
    pub(crate) states: Vec<String>,
    /// The artifacts, appends applied.
    pub(crate) artifacts: BTreeMap<String, Artifact>,
    /// Bare messages.
    pub(crate) bare_messages: Vec<String>,
}

impl Known {
    pub(crate) fn from(news: &[News]) -> Known {
        let mut known = Known::default();
        news.iter().for_each(|one| known.take(one));
        known
    }

    fn take(&mut self, news: &News) {
        if let Some(state) = news.state()
            && state != "submitted"
            && self.states.last().is_none_or(|last| last != state)
        {
            self.states.push(state.to_owned());
        }
        match news {
            News::Task {
                said, artifacts, ..
            } => {
                for one in said {
                    if !self.messages.contains(&one.text) {
                        self.messages.push(one.text.clone());
                    }
                }
                self.artifacts.clone_from(artifacts);
            }
            News::Status { said, .. } => self
                .messages
                .extend(said.iter().map(|one| one.text.clone())),
            News::Artifact {
                id,
                artifact,
                append: true,
            } if self.artifacts.contains_key(id) => {
                if let Some(known) = self.artifacts.get_mut(id) {
                    known.parts.extend(artifact.parts.iter().cloned());
                }
            }
            News::Artifact { id, artifact, .. } => {
                self.artifacts.insert(id.clone(), artifact.clone());
            }
            News::Message(text) => self.bare_messages.push(text.clone()),
        }
    }
}

/// A part in one common form: `scenarios.json`'s own, so that scripts and both protocol versions compare.
pub(crate) fn part(it: &Value) -> Value {
    let file = if it["file"].is_object() {
        &it["file"]
    } else {
        it
    };
    let media = first(file, &["media", "mediaType", "mimeType"]);
    let name = first(file, &["name", "filename"]);
    let mut out = Map::new();
    for (key, names) in [
        ("text", &["text"][..]),
        ("bytes", &["bytes", "raw"]),
        ("url", &["url", "uri"]),
    ] {
        if let Some(content) = names
            .iter()
            .find_map(|name| file.get(*name))
            .filter(|content| !content.is_null())
        {
            out.insert(key.to_owned(), content.clone());
        }
    }
    if let Some(data) = it.get("data") {
        out.insert("data".to_owned(), with_float_numbers(data));
    }
    if !out.contains_key("text") {
        out.extend(media.map(|media| ("media".to_owned(), json!(media))));
        out.extend(name.map(|name| ("name".to_owned(), json!(name))));
    }
    Value::Object(out)
}

/// The same with the members of every object in one order: protobuf keeps none.
fn sorted(it: &Value) -> Value {
    match it {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields
                .iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            json!(fields)
        }
        other => other.clone(),
    }
}

/// Protobuf's `Value` knows only floating-point numbers: 3 comes back as 3.0, which is the same number.
fn with_float_numbers(it: &Value) -> Value {
    match it {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(with_float_numbers).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), with_float_numbers(value)))
            .collect(),
        other => other.clone(),
    }
}

fn first<'a>(it: &'a Value, names: &[&str]) -> Option<&'a str> {
    names
        .iter()
        .find_map(|name| it[*name].as_str())
        .filter(|text| !text.is_empty())
}

fn list(it: &Value) -> impl Iterator<Item = &Value> {
    it.as_array().into_iter().flatten()
}

fn text(it: &Value) -> String {
    it.as_str().unwrap_or_default().to_owned()
}

fn state(it: &Value) -> Result<String, String> {
    let state = it["status"]["state"]
        .as_str()
        .ok_or_else(|| format!("no state: {it}"))?;
    Ok(state
        .strip_prefix("TASK_STATE_")
        .unwrap_or(state)
        .to_lowercase()
        .replace('_', "-"))
}

fn is_agent(message: &Value) -> bool {
    matches!(message["role"].as_str(), Some("agent" | "ROLE_AGENT"))
}

fn said_in(message: &Value) -> Said {
    Said {
        id: text(&message["messageId"]),
        text: said(list(&message["parts"])),
    }
}

/// What a message says, as one text: its texts, and its other parts in their common form.
pub(crate) fn said<'a>(parts: impl Iterator<Item = &'a Value>) -> String {
    let one = |it| match part(it) {
        Value::Object(part) if part.len() == 1 && part.contains_key("text") => text(&part["text"]),
        other => sorted(&other).to_string(),
    };
    parts.map(one).collect::<Vec<_>>().join("\n")
}

fn status_message(it: &Value) -> Option<Said> {
    Some(&it["status"]["message"])
        // The 0.3 Python SDK's HTTP+JSON and gRPC say a missing message as one without parts.
        .filter(|message| list(&message["parts"]).next().is_some())
        .map(said_in)
}

fn artifact(it: &Value) -> Artifact {
    Artifact {
        name: text(&it["name"]),
        parts: list(&it["parts"]).map(part).collect(),
    }
}
