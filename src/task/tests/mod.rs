//! Tests of the log's rules: examples by behaviour, and properties against a model of a worker.
//!
//! The cases of every property are the same on every run, so that a change is never blamed for an old fault. To search
//! wider by hand, the environment goes before what the code says:
//!
//! ```text
//! PROPTEST_RNG_SEED=$RANDOM PROPTEST_CASES=200000 cargo test --lib task::tests
//! ```
//!
//! A fault found that way is written down as an example (in `reconcile.rs` and beside it) before it is mended.

mod ending;
mod fold;
mod garbage;
mod ids;
mod reconcile;
mod repeats;
mod runs;
mod worker;

use proptest::test_runner::{Config, RngSeed};

use super::fold::fold;
use super::messages;
use super::reconcile::{Observation, Order, Reconciled, reconcile};
use crate::a2a::{
    Artifact, Message, Object, Part, PartContent, Role, StreamResponse, Task,
    TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent,
};

/// So many cases, always the same.
fn seeded(cases: u32) -> Config {
    Config {
        cases,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..Config::default()
    }
}

fn part(text: &str) -> Part {
    Part {
        content: PartContent::Text(text.to_owned()),
        ..Part::default()
    }
}

fn message(role: Role, id: &str) -> Message {
    Message {
        message_id: id.to_owned(),
        role,
        parts: vec![part(id)],
        ..Message::default()
    }
}

fn agent(id: &str) -> Message {
    message(Role::Agent, id)
}

fn user(id: &str) -> Message {
    message(Role::User, id)
}

/// A message without an id.
fn nameless(text: &str) -> Message {
    Message {
        message_id: String::new(),
        ..agent(text)
    }
}

fn artifact(id: &str, parts: &[&str]) -> Artifact {
    Artifact {
        artifact_id: id.to_owned(),
        parts: parts.iter().map(|text| part(text)).collect(),
        ..Artifact::default()
    }
}

fn status(state: TaskState, message: Option<Message>) -> TaskStatus {
    TaskStatus {
        state,
        message,
        ..TaskStatus::default()
    }
}

/// A status at a second of some minute.
fn status_at(second: usize, state: TaskState, message: Option<Message>) -> TaskStatus {
    TaskStatus {
        timestamp: Some(format!("2026-01-01T00:00:{second:02}Z")),
        ..status(state, message)
    }
}

fn task(status: TaskStatus, history: &[Message]) -> Task {
    Task {
        id: "t".to_owned(),
        context_id: "c".to_owned(),
        status,
        history: history.to_vec(),
        ..Task::default()
    }
}

fn submitted() -> Task {
    task(status(TaskState::Submitted, None), &[user("u1")])
}

fn status_event(status: TaskStatus) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: "t".to_owned(),
        context_id: "c".to_owned(),
        status,
        ..TaskStatusUpdateEvent::default()
    })
}

fn artifact_event(artifact: Artifact, append: bool, last_chunk: bool) -> StreamResponse {
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
        task_id: "t".to_owned(),
        context_id: "c".to_owned(),
        artifact,
        append,
        last_chunk,
        ..TaskArtifactUpdateEvent::default()
    })
}

fn object(key: &str, value: &str) -> Object {
    Object::from_iter([(key.to_owned(), value.into())])
}

fn snapshot(task: &Task, order: Order) -> Observation {
    Observation::Snapshot {
        task: task.clone(),
        order,
    }
}

fn event(event: &StreamResponse, order: Order) -> Observation {
    Observation::Event {
        event: event.clone(),
        order,
    }
}

/// The task after a log, every event of which must be accepted.
fn replay(log: &[StreamResponse]) -> Option<Task> {
    log.iter().fold(None, |task, event| {
        Some(fold(task, event).unwrap_or_else(|rejected| panic!("{rejected}: {event:?}")))
    })
}

/// Reconciles with a state, and checks what always holds of the result.
fn observe(current: Option<&Task>, observation: Observation) -> Reconciled {
    let reconciled = reconcile(current, observation);
    check(current, &reconciled);
    reconciled
}

/// The events fold, in this order, into the task that is given with them.
fn check(current: Option<&Task>, reconciled: &Reconciled) {
    let mut state = current.cloned();
    for event in &reconciled.events {
        state = Some(fold(state, event).expect("an event of a reconciliation folds"));
    }
    if reconciled.events.is_empty() {
        assert_eq!(reconciled.task, None);
    } else {
        assert_eq!(reconciled.task, state);
    }
}

/// What an event is, in a word or two: for comparing whole sequences.
fn brief(event: &StreamResponse) -> String {
    let said = |status: &TaskStatus| {
        let text = status
            .message
            .as_ref()
            .map_or("-", |message| match &message.parts[0].content {
                PartContent::Text(text) => text,
                _ => "?",
            });
        format!("{:?} {text}", status.state)
    };
    match event {
        StreamResponse::Task(task) => {
            let history: Vec<&str> = task.history.iter().map(|m| m.message_id.as_str()).collect();
            format!("task {} [{}]", said(&task.status), history.join(" "))
        }
        StreamResponse::Message(message) => format!("message {}", message.message_id),
        StreamResponse::StatusUpdate(update) => said(&update.status),
        StreamResponse::ArtifactUpdate(update) => format!(
            "{}{}{}{}",
            update.artifact.artifact_id,
            if update.append { "+" } else { "=" },
            update.artifact.parts.len(),
            if update.last_chunk { "." } else { "" },
        ),
    }
}

fn briefs(reconciled: &Reconciled) -> Vec<String> {
    reconciled.events.iter().map(brief).collect()
}

/// The ids of all that was said, in order.
fn said(task: &Task) -> Vec<String> {
    messages::timeline(task)
        .into_iter()
        .map(|message| message.message_id.clone())
        .collect()
}
