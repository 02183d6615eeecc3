//! What an observation of the worker's task adds to the task's log: news become events, what is known becomes nothing.
//!
//! Several sources may report one task, late, twice, in any order and with losses; the log they make together is in the
//! worker's order, says nothing twice, and ends once. Where an observation alone cannot say what is true, nothing is
//! appended and `Reconciled::needs_snapshot` asks for a poll, which can. Pure: no I/O, no clock. The state machine is
//! [`super::fold`]; every event returned here is accepted by it in this order.
//!
//! - **Ids.** They have been mapped before ([`super::ids`]). The context id of a log stays as announced: a worker that
//!   gives another one later has it rewritten, so that a requester sees one conversation. An observation that names
//!   another task is dropped.
//! - **Snapshots** are compared with the state, in this order: one task event for what no update can say (messages that
//!   are not the worker's, messages that belong before others already known, `metadata`, unknown members); the worker's
//!   new messages as status updates, oldest first; artifacts; the status. Messages of a requester that come after new
//!   messages of the worker get a task event at their place. What a snapshot lacks is never removed: histories are cut
//!   short and artifacts left out by many workers. A snapshot without a status message does not take back the message
//!   that a status of the same state had.
//! - **Message events** never enter the log: an agent's becomes a status update, a requester's a task event.
//! - Messages are known by their ids. Without ids, what equals the current one is a repeat, and nothing is taken for
//!   superseded: a worker may say the same twice.

use super::messages;
use super::snapshot::{self, Plan, Standing, rewrite};
use crate::a2a::{
    Message, Role, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent,
};

/// How an observation stands to what is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing newer is in the log, and nothing between the log and it is lost or will be repeated: the answer to a poll
    /// that began after the log's last append; the next event of a stream that was read without a gap while no other
    /// source appended anything. Timestamps are not looked at. Never asks for a snapshot.
    Latest,
    /// Anything else: webhooks, late polls, streams with a gap or beside another source. What the observation carries
    /// of time and identity decides.
    Unknown,
}

/// Something that a source saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// One event of a stream or a webhook; a task in it is a snapshot.
    Event {
        /// The event.
        event: StreamResponse,
        /// How it stands to the log.
        order: Order,
    },
    /// The task as a poll, a blocking call or a webhook of 0.x gave it.
    Snapshot {
        /// The task.
        task: Task,
        /// How it stands to the log.
        order: Order,
    },
}

/// Why an observation was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// The log has ended.
    Ended,
    /// It is about another task.
    OtherTask,
    /// There is no task yet, and it announces none: a message, or an event without a task id.
    NoTask,
}

/// What an observation adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    /// The events to append, in this order; empty if nothing is new.
    pub events: Vec<StreamResponse>,
    /// The task after these events; none if there are none.
    pub task: Option<Task>,
    /// The observation cannot be placed (fully): read the task, and reconcile the answer with [`Order::Latest`]. A
    /// caller whose worker cannot be asked may trust the order of arrival instead, and pass the same observation
    /// again with [`Order::Latest`].
    pub needs_snapshot: bool,
    /// Set if the observation was not looked at, for callers that count.
    pub dropped: Option<Dropped>,
}

impl Reconciled {
    fn dropped(reason: Dropped) -> Self {
        Self {
            dropped: Some(reason),
            ..Self::default()
        }
    }

    fn announced(task: Task) -> Self {
        Self {
            events: vec![StreamResponse::Task(task.clone())],
            task: Some(task),
            ..Self::default()
        }
    }

    fn needs_snapshot() -> Self {
        Self {
            needs_snapshot: true,
            ..Self::default()
        }
    }
}

impl From<Plan> for Reconciled {
    fn from(plan: Plan) -> Self {
        Self {
            task: (!plan.events.is_empty()).then_some(plan.task),
            events: plan.events,
            needs_snapshot: plan.needs_snapshot,
            dropped: None,
        }
    }
}

/// The events that the observation adds to a log whose state is `current`.
#[must_use]
pub fn reconcile(current: Option<&Task>, observation: Observation) -> Reconciled {
    let (event, order) = match observation {
        Observation::Event { event, order } => (event, order),
        Observation::Snapshot { task, order } => (StreamResponse::Task(task), order),
    };
    let Some(current) = current else {
        return announce(event, order);
    };
    let event = match admit(current, event) {
        Ok(event) => event,
        Err(reason) => return Reconciled::dropped(reason),
    };
    match event {
        StreamResponse::Task(task) => observe_snapshot(current, &task, order),
        StreamResponse::StatusUpdate(update) => observe_status(current, update, order),
        StreamResponse::ArtifactUpdate(update) => observe_artifact(current, update, order),
        StreamResponse::Message(message) => observe_message(current, message),
    }
}

/// The last events of a log whose end a source has reported, after the task was read once more.
///
/// Artifacts and messages of the `snapshot` come first (its own status is of no account: it may be behind), then exactly
/// one terminal status, that of `end`. Where the end says nothing and the snapshot ended in the same state with a
/// message, that message is taken. If `end` is not terminal it is reconciled like any snapshot or event in order.
#[must_use]
pub fn reconcile_final(
    current: Option<&Task>,
    end: StreamResponse,
    snapshot: Option<Task>,
) -> Reconciled {
    let Some(mut status) = end.status().filter(|s| s.state.is_terminal()).cloned() else {
        let order = Order::Latest;
        return reconcile(current, Observation::Event { event: end, order });
    };
    let snapshot = snapshot.filter(|read| {
        let id = current.map_or_else(|| end.task_id().unwrap_or_default(), |task| &task.id);
        read.id.is_empty() || id.is_empty() || read.id == id
    });
    if status.message.is_none()
        && let Some(read) = &snapshot
        && read.status.state == status.state
    {
        status.message.clone_from(&read.status.message);
    }
    let Some(current) = current else {
        let announced = match (snapshot, end) {
            (Some(read), _) => read,
            (None, StreamResponse::Task(task)) => task,
            (None, end) => return announce(end, Order::Latest),
        };
        return Reconciled::announced(snapshot::tidy(Task {
            status,
            ..announced
        }));
    };
    let end = match admit(current, end) {
        Ok(end) => end,
        Err(reason) => return Reconciled::dropped(reason),
    };
    let mut plan = Plan::new(current);
    let mut update = match end {
        StreamResponse::StatusUpdate(update) => update,
        StreamResponse::Task(task) => {
            plan.take_content(&task, Standing::Authoritative, status.message.as_ref());
            TaskStatusUpdateEvent::default()
        }
        // `status()` above is none for these.
        StreamResponse::Message(_) | StreamResponse::ArtifactUpdate(_) => {
            return Reconciled::default();
        }
    };
    if let Some(read) = snapshot {
        let mut read = snapshot::tidy(read);
        // Words about another end were not said on the way to this one.
        if read.status.state.is_terminal() && read.status.state != status.state {
            read.status.message = None;
        }
        snapshot::adopt_ids(current, &mut read);
        plan.take_content(&read, Standing::Authoritative, status.message.as_ref());
    }
    update.task_id.clone_from(&plan.task.id);
    update.context_id.clone_from(&plan.task.context_id);
    update.status = status;
    if let Some(message) = &mut update.status.message {
        rewrite(current, message);
    }
    plan.push(StreamResponse::StatusUpdate(update));
    plan.into()
}

/// The first event: the task itself, or one made of what an update says of it.
fn announce(event: StreamResponse, order: Order) -> Reconciled {
    match event {
        StreamResponse::Task(task) => Reconciled::announced(snapshot::tidy(task)),
        StreamResponse::StatusUpdate(update) if !update.task_id.is_empty() => {
            let mut announced = Reconciled::announced(Task {
                id: update.task_id,
                context_id: update.context_id,
                status: update.status,
                ..Task::default()
            });
            // Something may have come before.
            announced.needs_snapshot = order == Order::Unknown;
            announced
        }
        StreamResponse::ArtifactUpdate(update) if !update.task_id.is_empty() => {
            // Nothing is known of the state; from this one any other may follow.
            let mut task = Task {
                id: update.task_id.clone(),
                context_id: update.context_id.clone(),
                ..Task::default()
            };
            task.status.state = TaskState::Submitted;
            let mut announced = Reconciled::announced(task.clone());
            let then = observe_artifact(&task, update, order);
            announced.events.extend(then.events);
            announced.task = then.task.or(Some(task));
            announced.needs_snapshot = order == Order::Unknown;
            announced
        }
        _ => Reconciled::dropped(Dropped::NoTask),
    }
}

/// The event with the log's own ids, or why it has no business here.
fn admit(current: &Task, mut event: StreamResponse) -> Result<StreamResponse, Dropped> {
    if current.status.state.is_terminal() {
        return Err(Dropped::Ended);
    }
    let id = event.task_id().unwrap_or_default();
    if !id.is_empty() && id != current.id {
        return Err(Dropped::OtherTask);
    }
    match &mut event {
        StreamResponse::Task(task) => {
            let mut tidied = snapshot::tidy(std::mem::take(task));
            snapshot::adopt_ids(current, &mut tidied);
            *task = tidied;
        }
        StreamResponse::StatusUpdate(update) => {
            update.task_id.clone_from(&current.id);
            adopt_context(current, &mut update.context_id);
            if let Some(message) = &mut update.status.message {
                rewrite(current, message);
            }
        }
        StreamResponse::ArtifactUpdate(update) => {
            update.task_id.clone_from(&current.id);
            adopt_context(current, &mut update.context_id);
        }
        StreamResponse::Message(message) => rewrite(current, message),
    }
    Ok(event)
}

fn adopt_context(current: &Task, context_id: &mut String) {
    if !current.context_id.is_empty() {
        context_id.clone_from(&current.context_id);
    }
}

fn observe_snapshot(current: &Task, task: &Task, order: Order) -> Reconciled {
    let mut plan = Plan::new(current);
    match snapshot::standing(current, &task.status, &task.history, order) {
        Standing::Undecided => return Reconciled::needs_snapshot(),
        // A poll that shows a status which was left behind comes from a worker that contradicts itself. What it has
        // beside that is no older than what is known, and asking again would not help.
        Standing::Older if order == Order::Latest => {
            plan.take_snapshot(task, Standing::Same);
            plan.needs_snapshot = false;
        }
        standing => plan.take_snapshot(task, standing),
    }
    plan.into()
}

fn observe_status(current: &Task, update: TaskStatusUpdateEvent, order: Order) -> Reconciled {
    match snapshot::standing(current, &update.status, &[], order) {
        Standing::Undecided => Reconciled::needs_snapshot(),
        Standing::Authoritative | Standing::Newer if is_news(current, &update, order) => {
            let mut plan = Plan::new(current);
            plan.push(StreamResponse::StatusUpdate(update));
            plan.into()
        }
        Standing::Authoritative | Standing::Newer | Standing::Same => Reconciled::default(),
        Standing::Older => match (order, update.status.message) {
            (_, None) => Reconciled::default(),
            (Order::Latest, Some(message)) => observe_message(current, message),
            // It was said, though it can no longer be shown as the status. If it is unknown, a snapshot has its place.
            (Order::Unknown, Some(message)) => Reconciled {
                needs_snapshot: !messages::is_known(current, &message),
                ..Reconciled::default()
            },
        },
    }
}

/// Whether a status event says anything that the state does not. Unlike a snapshot it was sent because something
/// happened, if only the time or that nothing is said any more; and a stream in order repeats nothing, so there metadata
/// (which may be progress) makes it news.
fn is_news(current: &Task, update: &TaskStatusUpdateEvent, order: Order) -> bool {
    let (old, new) = (&current.status, &update.status);
    snapshot::status_is_news(current, new)
        || old.message.is_some() != new.message.is_some()
        || (new.message.is_none() && new.timestamp.is_some() && new.timestamp != old.timestamp)
        || (order == Order::Latest
            && (update.metadata.is_some() || !update.extra.is_empty() || new.extra != old.extra))
}

fn observe_artifact(current: &Task, update: TaskArtifactUpdateEvent, order: Order) -> Reconciled {
    let known = current
        .artifacts
        .iter()
        .find(|artifact| artifact.artifact_id == update.artifact.artifact_id);
    let mut plan = Plan::new(current);
    match (order, known) {
        (Order::Latest, _) => {
            let last_chunk = update.last_chunk;
            plan.push(StreamResponse::ArtifactUpdate(update));
            if !last_chunk && plan.task == *current {
                return Reconciled::default();
            }
        }
        // Neither whether it comes for the first time nor whether all that it follows has come can be seen.
        (Order::Unknown, _) if update.append => return Reconciled::needs_snapshot(),
        (Order::Unknown, None) => plan.push(StreamResponse::ArtifactUpdate(update)),
        (Order::Unknown, Some(_)) => plan.take_artifact(&update.artifact, Standing::Same),
    }
    plan.into()
}

fn observe_message(current: &Task, message: Message) -> Reconciled {
    if messages::is_known(current, &message) {
        return Reconciled::default();
    }
    let mut plan = Plan::new(current);
    if message.role == Role::Agent {
        let mut status = current.status.clone();
        if !status.state.is_interrupted() {
            status.state = TaskState::Working;
        }
        plan.push_status(crate::a2a::TaskStatus {
            message: Some(message),
            timestamp: None,
            ..status
        });
    } else {
        plan.push_history(vec![message]);
    }
    plan.into()
}
