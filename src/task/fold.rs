//! The one state machine: what each event of a task's log makes of the task.
//!
//! Every rule on what may follow what is here, and nowhere else. It does not decide *whether* an observation is news
//! (that is [`super::reconcile`]); an event that is in the log is applied as it stands. Pure.
//!
//! What an event's own `metadata` says is about the event: it stays in the log with the event and is not merged into
//! the task. `task.metadata` and members that the model does not know change with [`StreamResponse::Task`] only.

use std::mem;

use super::messages;
use crate::a2a::{
    Artifact, Message, Object, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus,
};

/// Why an event cannot follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The first event of a log announces the task; this one does not.
    #[error("the first event of a log must be a task")]
    NoTask,
    /// The task is over, and the first terminal state stays (specification §4.1.3).
    #[error("the task has ended: {}", .0.name())]
    Ended(TaskState),
    /// The event names another task.
    #[error("the event is about task {found}, the log about task {expected}")]
    OtherTask {
        /// The log's task.
        expected: String,
        /// The event's.
        found: String,
    },
}

/// The task after the event.
///
/// # Errors
///
/// See [`Rejected`]; the event must then not be appended to the log.
pub fn fold(current: Option<Task>, event: &StreamResponse) -> Result<Task, Rejected> {
    match (current, event) {
        (None, StreamResponse::Task(task)) => Ok(task.clone()),
        (None, _) => Err(Rejected::NoTask),
        (Some(mut task), event) => {
            fold_mut(&mut task, event)?;
            Ok(task)
        }
    }
}

/// [`fold`] in place, for a task that has been announced.
///
/// - A task replaces the state as a whole.
/// - A status update replaces the status; the message of the status that it supersedes moves to the end of the history,
///   unless it is there already, or the new status says the same message over again (same id).
/// - An artifact update creates, replaces in place, or with `append` extends (an unknown artifact is created).
/// - A message is added to the history, unless it is there already.
///
/// An update's context id is taken only where the task has none. An empty task id names the log's own task.
///
/// # Errors
///
/// [`Rejected::Ended`] and [`Rejected::OtherTask`]; the task is then untouched.
pub fn fold_mut(task: &mut Task, event: &StreamResponse) -> Result<(), Rejected> {
    if task.status.state.is_terminal() {
        return Err(Rejected::Ended(task.status.state));
    }
    if let Some(found) = event.task_id()
        && !found.is_empty()
        && found != task.id
    {
        return Err(Rejected::OtherTask {
            expected: task.id.clone(),
            found: found.to_owned(),
        });
    }
    match event {
        StreamResponse::Task(new) => {
            let id = mem::take(&mut task.id);
            *task = new.clone();
            task.id = id;
        }
        StreamResponse::StatusUpdate(update) => {
            adopt_context(task, &update.context_id);
            set_status(task, update.status.clone());
        }
        StreamResponse::ArtifactUpdate(update) => {
            adopt_context(task, &update.context_id);
            set_artifact(task, update);
        }
        StreamResponse::Message(message) => {
            settle_status_message(task);
            if !messages::is_recorded(&task.history, message) {
                remember(&mut task.history, message.clone());
            }
        }
    }
    Ok(())
}

fn adopt_context(task: &mut Task, context_id: &str) {
    if task.context_id.is_empty() {
        context_id.clone_into(&mut task.context_id);
    }
}

fn set_status(task: &mut Task, status: TaskStatus) {
    let said_again = match (&task.status.message, &status.message) {
        (Some(old), Some(new)) => messages::same(old, new),
        _ => false,
    };
    if !said_again {
        settle_status_message(task);
    }
    task.status = status;
}

/// Most tasks have no more messages than this, and a log keeps many tasks: up to here a history has no room to spare.
const FEW_MESSAGES: usize = 8;

/// Puts the status's message into the history, where whatever is said next comes after it. The status keeps its copy.
pub(super) fn settle_status_message(task: &mut Task) {
    if let Some(message) = &task.status.message
        && !messages::is_settled(&task.history, message)
    {
        remember(&mut task.history, message.clone());
    }
}

fn remember(history: &mut Vec<Message>, message: Message) {
    if history.len() < FEW_MESSAGES {
        history.reserve_exact(1);
    }
    history.push(message);
}

fn set_artifact(task: &mut Task, update: &TaskArtifactUpdateEvent) {
    let new = &update.artifact;
    let known = task
        .artifacts
        .iter_mut()
        .find(|artifact| artifact.artifact_id == new.artifact_id);
    match known {
        None => task.artifacts.push(new.clone()),
        Some(known) if update.append => extend_artifact(known, new),
        Some(known) => known.clone_from(new),
    }
}

/// Adds the parts, and what else is said about the artifact where something is said.
pub(super) fn extend_artifact(known: &mut Artifact, new: &Artifact) {
    known.parts.extend(new.parts.iter().cloned());
    if new.name.is_some() {
        known.name.clone_from(&new.name);
    }
    if new.description.is_some() {
        known.description.clone_from(&new.description);
    }
    if let Some(metadata) = &new.metadata {
        merge(known.metadata.get_or_insert_default(), metadata);
    }
    for extension in &new.extensions {
        if !known.extensions.contains(extension) {
            known.extensions.push(extension.clone());
        }
    }
    if !new.extra.is_empty() {
        merge(&mut known.extra, &new.extra);
    }
}

fn merge(into: &mut Object, from: &Object) {
    for (key, value) in from {
        into.insert(key.clone(), value.clone());
    }
}

/// Cuts the history as `historyLength` asks (specification §3.2.4): unset keeps all, 0 nothing, N the newest N messages.
pub fn trim_history(task: &mut Task, history_length: Option<u32>) {
    if let Some(length) = history_length {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let surplus = task.history.len().saturating_sub(length);
        drop::<Vec<Message>>(task.history.drain(..surplus).collect());
    }
}
