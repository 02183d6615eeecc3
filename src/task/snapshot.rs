//! Snapshots: how one stands to the log, and what it has that the log has not.

use std::cmp::Ordering;

use super::fold::{extend_artifact, fold_mut, settle_status_message};
use super::messages::{self, Unanchored};
use super::reconcile::Order;
use crate::a2a::fields::Extra;
use crate::a2a::{
    Artifact, Message, Object, Role, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus, TaskStatusUpdateEvent,
};

/// How a report stands to the log's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is newer, and its content is the truth: it is in order, or it is the end.
    Authoritative,
    /// Its status is newer.
    Newer,
    /// Its status is the current one.
    Same,
    /// Its status is out of date.
    Older,
    /// It cannot be seen.
    Undecided,
}

/// How a report of this status and history stands to the state. The state is not terminal.
pub(super) fn standing(
    current: &Task,
    status: &TaskStatus,
    history: &[Message],
    order: Order,
) -> Standing {
    if status.state.is_terminal() {
        return Standing::Authoritative;
    }
    if *status != TaskStatus::default() && is_out_of_date(current, status, history, order) {
        return Standing::Older;
    }
    if order == Order::Latest {
        return Standing::Authoritative;
    }
    if *status == TaskStatus::default() {
        return Standing::Older;
    }
    let now = &current.status;
    match compare_times(status.timestamp.as_deref(), now.timestamp.as_deref()) {
        Some(Ordering::Less) => return Standing::Older,
        Some(Ordering::Greater) => return Standing::Newer,
        Some(Ordering::Equal) | None => {}
    }
    let same_message = match (&now.message, &status.message) {
        (Some(old), Some(new)) => messages::same(old, new),
        (None, None) => true,
        _ => false,
    };
    if now.state == status.state && same_message {
        // More may be known under the same status.
        return if unknown_after(
            current,
            status,
            history,
            Unanchored::NewestIfComplete,
            |_| true,
        ) {
            Standing::Newer
        } else {
            Standing::Same
        };
    }
    if let Some(message) = &now.message
        && !same_message
        && !message.message_id.is_empty()
        && messages::is_recorded(history, message)
    {
        return Standing::Newer;
    }
    if is_untouched(current) && status.state != TaskState::Submitted {
        return Standing::Newer;
    }
    Standing::Undecided
}

/// Whether the status is certainly one that the log has left behind.
fn is_out_of_date(current: &Task, status: &TaskStatus, history: &[Message], order: Order) -> bool {
    let now = &current.status;
    // A turn begins once. After an interruption, which may not have been seen, the next turn may begin the same way.
    if status.state == TaskState::Submitted
        && now.state != TaskState::Submitted
        && !now.state.is_interrupted()
        && !unknown_after(current, status, history, Unanchored::Newest, |role| {
            role == Role::User
        })
    {
        return true;
    }
    let Some(message) = &status.message else {
        return false;
    };
    if message.message_id.is_empty()
        || now
            .message
            .as_ref()
            .is_some_and(|m| messages::same(m, message))
    {
        return false;
    }
    match current
        .history
        .iter()
        .rposition(|known| messages::same(known, message))
    {
        None => false,
        // A worker that writes its message into the history first, and into the status then, is not late.
        Some(at) => {
            order == Order::Unknown
                || now.state == status.state
                || now.message.is_some()
                || at + 1 < current.history.len()
        }
    }
}

/// Whether the history holds messages after those that are known, and of whom.
fn unknown_after(
    current: &Task,
    status: &TaskStatus,
    history: &[Message],
    unanchored: Unanchored,
    of: impl Fn(Role) -> bool,
) -> bool {
    let known = messages::timeline(current);
    let reported: Vec<&Message> = history.iter().collect();
    messages::merge(&known, &reported, status.message.as_ref(), unanchored)
        .newer
        .iter()
        .any(|message| of(message.role))
}

/// Whether the task is as it was announced: in its first turn, nothing done, nothing said.
fn is_untouched(task: &Task) -> bool {
    task.status.state == TaskState::Submitted
        && task.status.message.is_none()
        && task.artifacts.is_empty()
        && task.history.len() <= 1
        && task
            .history
            .iter()
            .all(|message| message.role != Role::Agent)
}

/// Compares two times as they are written, if both are of a kind (with a zone, or both without).
fn compare_times(a: Option<&str>, b: Option<&str>) -> Option<Ordering> {
    let (a, b) = (a?, b?);
    if let (Ok(a), Ok(b)) = (a.parse::<jiff::Timestamp>(), b.parse::<jiff::Timestamp>()) {
        return Some(a.cmp(&b));
    }
    if a.parse::<jiff::Timestamp>().is_ok() || b.parse::<jiff::Timestamp>().is_ok() {
        return None;
    }
    let (a, b) = (
        a.parse::<jiff::civil::DateTime>().ok()?,
        b.parse::<jiff::civil::DateTime>().ok()?,
    );
    Some(a.cmp(&b))
}

/// Whether a status that is not out of date differs from the current one.
pub(super) fn status_is_news(current: &Task, status: &TaskStatus) -> bool {
    let now = &current.status;
    if *status == TaskStatus::default() {
        return false;
    }
    if now.state != status.state {
        return true;
    }
    match (&now.message, &status.message) {
        // The same message may have grown.
        (Some(old), Some(new)) => !messages::same(old, new) || old.parts != new.parts,
        (None, Some(_)) => true,
        // Some workers clear the message when the requester answers, others never show it in snapshots. Only another
        // time tells a second interruption from the first.
        (_, None) => {
            status.state.is_interrupted()
                && now.timestamp.is_some()
                && status.timestamp.is_some()
                && compare_times(status.timestamp.as_deref(), now.timestamp.as_deref())
                    != Some(Ordering::Equal)
                && status.timestamp != now.timestamp
        }
    }
}

/// The snapshot with every artifact id once: parts under the same id (legacy workers have none) belong together, or
/// each poll would seem to replace the one with the other.
pub(super) fn tidy(mut task: Task) -> Task {
    let mut tidied: Vec<Artifact> = Vec::with_capacity(task.artifacts.len());
    for artifact in task.artifacts {
        match tidied
            .iter_mut()
            .find(|known| known.artifact_id == artifact.artifact_id)
        {
            Some(known) => extend_artifact(known, &artifact),
            None => tidied.push(artifact),
        }
    }
    task.artifacts = tidied;
    task
}

/// Gives the snapshot's messages the log's context, and the snapshot its id.
pub(super) fn adopt_ids(current: &Task, snapshot: &mut Task) {
    snapshot.id.clone_from(&current.id);
    for message in snapshot
        .history
        .iter_mut()
        .chain(&mut snapshot.status.message)
    {
        rewrite(current, message);
    }
}

/// Gives a message of the task the log's context, where it names one.
pub(super) fn rewrite(current: &Task, message: &mut Message) {
    if let Some(context) = &mut message.context_id
        && !current.context_id.is_empty()
        && !context.is_empty()
    {
        context.clone_from(&current.context_id);
    }
}

/// Events being gathered, and the task after them.
pub(super) struct Plan {
    pub(super) task: Task,
    pub(super) events: Vec<StreamResponse>,
    pub(super) needs_snapshot: bool,
}

impl Plan {
    pub(super) fn new(current: &Task) -> Self {
        Self {
            task: current.clone(),
            events: Vec::new(),
            needs_snapshot: false,
        }
    }

    /// Adds an event. One that the state machine would not take is left out.
    pub(super) fn push(&mut self, event: StreamResponse) {
        let folded = fold_mut(&mut self.task, &event);
        debug_assert!(folded.is_ok(), "{folded:?}");
        if folded.is_ok() {
            self.events.push(event);
        }
    }

    pub(super) fn push_status(&mut self, status: TaskStatus) {
        self.push(StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: self.task.id.clone(),
            context_id: self.task.context_id.clone(),
            status,
            ..TaskStatusUpdateEvent::default()
        }));
    }

    /// Adds messages that no status update can carry, after all that was said.
    pub(super) fn push_history(&mut self, messages: Vec<Message>) {
        let mut task = self.task.clone();
        settle_status_message(&mut task);
        task.history.extend(messages);
        self.push(StreamResponse::Task(task));
    }

    fn push_artifact(&mut self, artifact: Artifact, append: bool) {
        self.push(StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
            task_id: self.task.id.clone(),
            context_id: self.task.context_id.clone(),
            artifact,
            append,
            last_chunk: true,
            ..TaskArtifactUpdateEvent::default()
        }));
    }

    /// All that is new in a snapshot.
    pub(super) fn take_snapshot(&mut self, snapshot: &Task, standing: Standing) {
        let status = &snapshot.status;
        let newer = matches!(standing, Standing::Authoritative | Standing::Newer);
        let differed = newer && status_is_news(&self.task, status);
        let own = status.message.as_ref().filter(|_| differed);
        self.take_content(snapshot, standing, own);
        // Messages told on the way have changed the state meanwhile; a status's own message is not told again for that.
        if newer && (differed || status.message.is_none()) && status_is_news(&self.task, status) {
            self.push_status(status.clone());
        }
    }

    /// What is new in a snapshot beside its status. `last` is the message of the status that will follow.
    pub(super) fn take_content(
        &mut self,
        snapshot: &Task,
        standing: Standing,
        last: Option<&Message>,
    ) {
        self.take_messages(snapshot, standing, last);
        for artifact in &snapshot.artifacts {
            self.take_artifact(artifact, standing);
        }
    }

    fn take_messages(&mut self, snapshot: &Task, standing: Standing, last: Option<&Message>) {
        // Without an id an agent may have said the same words before as well (see `messages::is_settled`).
        let is_last = |message: &Message| {
            last.is_some_and(|last| {
                if last.message_id.is_empty() && last.role == Role::Agent {
                    std::ptr::eq(last, message)
                } else {
                    messages::same(last, message)
                }
            })
        };
        let mut reported: Vec<&Message> = messages::timeline(snapshot);
        if let Some(last) = last {
            // It is the newest wherever the worker's history has it, and may be the current one.
            let at = reported
                .iter()
                .rposition(|message| messages::same(last, message));
            if let Some(at) = at {
                reported.remove(at);
            }
            reported.retain(|message| !is_last(message));
            reported.push(last);
        }
        let unanchored = match standing {
            Standing::Authoritative | Standing::Newer => Unanchored::Newest,
            Standing::Same => Unanchored::NewestIfComplete,
            Standing::Older | Standing::Undecided => Unanchored::Old,
        };
        let known = messages::timeline(&self.task);
        let merged = messages::merge(
            &known,
            &reported,
            snapshot.status.message.as_ref(),
            unanchored,
        );
        self.needs_snapshot |= merged.misplaced;
        let mut newer: Vec<Message> = merged
            .newer
            .into_iter()
            .filter(|message| !is_last(message))
            .cloned()
            .collect();
        let earlier: Vec<(usize, Message)> = merged
            .earlier
            .into_iter()
            .filter(|(_, message)| !is_last(message))
            .map(|(at, message)| (at, message.clone()))
            .collect();

        let mut head = self.task.clone();
        take_rest(&mut head, snapshot, standing);
        if earlier
            .last()
            .is_some_and(|(at, _)| *at > head.history.len())
        {
            settle_status_message(&mut head);
        }
        for (at, message) in earlier.into_iter().rev() {
            head.history.insert(at.min(head.history.len()), message);
        }
        // Who waits says nothing: with the status still the same, these were said before it.
        let waits = self.task.status.state.is_interrupted()
            && self.task.status.state == snapshot.status.state
            && !status_is_news(&self.task, &snapshot.status);
        let first_agent = newer
            .iter()
            .position(|message| message.role == Role::Agent && !waits)
            .unwrap_or(newer.len());
        let rest = newer.split_off(first_agent);
        if !newer.is_empty() {
            settle_status_message(&mut head);
            head.history.extend(newer);
        }
        if head != self.task {
            self.push(StreamResponse::Task(head));
        }
        self.tell(rest, snapshot);
    }

    /// The worker's new messages as status updates, and those of others at their place.
    fn tell(&mut self, messages: Vec<Message>, snapshot: &Task) {
        let status = &snapshot.status;
        let not_begun = status.state == TaskState::Submitted
            && self.task.status.state == TaskState::Submitted
            && messages.iter().all(|message| message.role == Role::Agent);
        let state = if not_begun {
            TaskState::Submitted
        } else {
            TaskState::Working
        };
        let newest = messages.iter().rposition(|m| m.role == Role::Agent);
        let mut others = Vec::new();
        for (index, message) in messages.into_iter().enumerate() {
            if message.role != Role::Agent {
                others.push(message);
                continue;
            }
            if !others.is_empty() {
                self.push_history(std::mem::take(&mut others));
            }
            // A worker that says everything in its history has one status for all of it, which is not told again.
            let stands = newest == Some(index) && status.state == state && status.message.is_none();
            self.push_status(TaskStatus {
                state,
                message: Some(message),
                timestamp: status.timestamp.clone().filter(|_| stands),
                extra: if stands {
                    status.extra.clone()
                } else {
                    Extra::default()
                },
            });
        }
        if !others.is_empty() {
            self.push_history(others);
        }
    }

    /// What is new in an artifact. One that only lacks what is known is older, unless the report is the truth.
    pub(super) fn take_artifact(&mut self, theirs: &Artifact, standing: Standing) {
        let Some(ours) = self
            .task
            .artifacts
            .iter()
            .find(|artifact| artifact.artifact_id == theirs.artifact_id)
        else {
            self.push_artifact(theirs.clone(), false);
            return;
        };
        let described = is_described_anew(ours, theirs);
        if theirs.parts == ours.parts {
            if described && matches!(standing, Standing::Authoritative | Standing::Newer) {
                self.push_artifact(theirs.clone(), false);
            }
        } else if theirs.parts.starts_with(&ours.parts) {
            if described {
                self.push_artifact(theirs.clone(), false);
            } else {
                let more = Artifact {
                    artifact_id: theirs.artifact_id.clone(),
                    parts: theirs.parts[ours.parts.len()..].to_vec(),
                    ..Artifact::default()
                };
                self.push_artifact(more, true);
            }
        } else {
            let shorter = ours.parts.starts_with(&theirs.parts);
            match standing {
                Standing::Authoritative => self.push_artifact(theirs.clone(), false),
                Standing::Newer if !shorter => self.push_artifact(theirs.clone(), false),
                Standing::Newer => self.needs_snapshot = true,
                Standing::Same => self.needs_snapshot |= !shorter,
                Standing::Older | Standing::Undecided => {}
            }
        }
    }
}

/// Whether something is said about the artifact that is not known. What is left unsaid is not news.
fn is_described_anew(ours: &Artifact, theirs: &Artifact) -> bool {
    (theirs.name.is_some() && theirs.name != ours.name)
        || (theirs.description.is_some() && theirs.description != ours.description)
        || theirs
            .metadata
            .as_ref()
            .is_some_and(|new| !is_within(new, ours.metadata.as_deref()))
        || theirs
            .extensions
            .iter()
            .any(|new| !ours.extensions.contains(new))
        || !is_within(&theirs.extra, Some(&ours.extra))
}

fn is_within(new: &Object, known: Option<&Object>) -> bool {
    new.iter()
        .all(|(key, value)| known.and_then(|known| known.get(key)) == Some(value))
}

/// Takes what a task says beside status, messages and artifacts; from a report that is not newer only what was not known.
fn take_rest(task: &mut Task, snapshot: &Task, standing: Standing) {
    let newer = matches!(standing, Standing::Authoritative | Standing::Newer);
    if task.context_id.is_empty() {
        task.context_id.clone_from(&snapshot.context_id);
    }
    if snapshot.metadata.is_some() && (newer || task.metadata.is_none()) {
        task.metadata.clone_from(&snapshot.metadata);
    }
    for (key, value) in &*snapshot.extra {
        if newer || !task.extra.contains_key(key) {
            task.extra.insert(key.clone(), value.clone());
        }
    }
}
