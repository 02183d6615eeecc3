//! Records of tasks that a turn brings into being: what is kept of them from the first moment on.

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use super::open::{OpenError, OwnWebhook, PushOrder, Turn, Want, announced, status_now};
use super::{Early, Mode, Sources, callback, seal_context, webhook};
use crate::a2a::{Artifact, Message, Role, StreamResponse, Task, TaskState, TaskStatus};
use crate::hub;
use crate::store::{PushRegistration, StoreError, TaskRecord, WorkerLink};
use crate::task::ids::{Alias, IdMap};
use crate::task::{Seq, TaskKey};
use crate::worker::CallError;

impl Sources {
    /// Keeps a task that the worker has just named. None if it is kept already.
    pub(super) async fn keep(
        &self,
        turn: &Turn,
        way: Mode,
        first: &StreamResponse,
        webhook: Option<&OwnWebhook>,
    ) -> Result<Option<TaskRecord>, OpenError> {
        let id = first.task_id().filter(|id| !id.is_empty()).ok_or_else(|| {
            CallError::BadAnswer("the worker's first word names no task".to_owned())
        })?;
        let watched = turn.want == Want::Stream || !turn.push.is_empty();
        let mut task = match first {
            StreamResponse::Task(task) if !(watched && is_under_way(task)) => task.clone(),
            StreamResponse::Task(task) => beginning_of(task),
            _ => self.made_up(turn, first, id),
        };
        let context = Some(task.context_id.clone()).filter(|id| !id.is_empty());
        with_own_ids(turn, &mut task);
        let mut record = self.record(turn, way, task, Some(id.to_owned()), webhook)?;
        Arc::make_mut(&mut record.link).context_id = context;
        let push = self.registrations(turn, &record.key)?;
        match self.hub().create(record.clone(), push).await {
            Ok(()) => Ok(Some(TaskRecord {
                last_seq: Seq(1),
                ..record
            })),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a task that a message without one has brought to its end.
    pub(super) async fn keep_outcome(
        &self,
        turn: &Turn,
        way: Mode,
        mut message: Message,
    ) -> Result<TaskKey, OpenError> {
        let id = turn.request.own_id.clone().unwrap_or_default();
        let mut asked = turn.request.message.clone();
        let context_id = asked
            .context_id
            .clone()
            .or_else(|| message.context_id.clone())
            .unwrap_or_default();
        for said in [&mut asked, &mut message] {
            said.task_id = Some(id.clone());
            said.context_id = Some(context_id.clone()).filter(|id| !id.is_empty());
        }
        let artifact = Artifact {
            artifact_id: message.message_id.clone(),
            parts: message.parts.clone(),
            ..Artifact::default()
        };
        let task = Task {
            id,
            context_id,
            status: TaskStatus {
                message: Some(message),
                ..status_now(TaskState::Completed)
            },
            artifacts: vec![artifact],
            history: vec![asked],
            ..Task::default()
        };
        let record = self.record(turn, way, task, None, None)?;
        let push = self.registrations(turn, &record.key)?;
        let key = record.key.clone();
        self.hub().create(record, push).await?;
        Ok(key)
    }

    /// The task before an update that came without one (0.x streams may begin so).
    fn made_up(&self, turn: &Turn, first: &StreamResponse, id: &str) -> Task {
        let context_id = match first {
            StreamResponse::StatusUpdate(update) => update.context_id.clone(),
            StreamResponse::ArtifactUpdate(update) => update.context_id.clone(),
            StreamResponse::Task(_) | StreamResponse::Message(_) => String::new(),
        };
        let mut message = turn.request.message.clone();
        message.task_id = Some(id.to_owned());
        message.context_id = Some(context_id.clone());
        Task {
            id: id.to_owned(),
            context_id,
            status: announced(),
            history: vec![message],
            ..Task::default()
        }
    }

    pub(super) fn record(
        &self,
        turn: &Turn,
        way: Mode,
        task: Task,
        worker_task_id: Option<String>,
        webhook: Option<&OwnWebhook>,
    ) -> Result<TaskRecord, OpenError> {
        let key = turn.key(&task.id);
        let later = turn.later.to_bytes();
        let credentials = (!later.is_empty() && !task.status.state.is_terminal())
            .then(|| self.inner.sealer.seal(&seal_context(&key), &later))
            .transpose()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let now = hub::now();
        Ok(TaskRecord {
            epoch: random_u64(),
            last_seq: Seq(1),
            first_seq: Seq(1),
            owner: turn.owner,
            link: Arc::new(WorkerLink {
                context_id: worker_task_id
                    .is_some()
                    .then(|| task.context_id.clone())
                    .filter(|id| !id.is_empty()),
                task_id: worker_task_id,
                worker: turn.upstream.worker.base().to_string(),
                source: way.name().to_owned(),
                requester: turn.requester.name().to_owned(),
                push_token_hash: webhook.map(|webhook| webhook.token_hash),
                credentials,
            }),
            task: Arc::new(task),
            key,
            created_at: now,
            updated_at: now,
        })
    }

    pub(super) fn registrations(
        &self,
        turn: &Turn,
        key: &TaskKey,
    ) -> Result<Vec<PushRegistration>, StoreError> {
        turn.push
            .iter()
            .map(|order| self.seal_push(key, order))
            .collect()
    }

    /// A push config as the store keeps it.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be sealed.
    pub fn seal_push(
        &self,
        key: &TaskKey,
        order: &PushOrder,
    ) -> Result<PushRegistration, StoreError> {
        crate::store::push::seal(
            &self.inner.sealer,
            key,
            &order.id,
            order.dialect,
            &order.config,
            hub::now(),
        )
    }

    /// An address of the sidecar's own for one task, for a worker that tells of it by this way.
    pub(super) fn own_webhook(&self, turn: &Turn, way: Mode) -> Option<OwnWebhook> {
        let path = match way {
            // Every message brings its own: the one before is known by its digest alone.
            Mode::Callback => callback::PATH,
            _ => webhook::PATH,
        };
        if way != Mode::Callback
            && turn
                .existing
                .as_ref()
                .is_some_and(|record| record.link.push_token_hash.is_some())
        {
            // The worker keeps its config with the task: the one of the first turn still holds.
            return None;
        }
        let push = &turn.upstream.policy.push;
        if way == Mode::Callback && callback::is_cut(&push.base_url) {
            // The worker would call somewhere else; polling does without.
            return None;
        }
        let mut token = [0u8; 32];
        if SystemRandom::new().fill(&mut token).is_err() {
            // Without randomness no address is unguessable: the other ways do without one.
            return None;
        }
        let token = hex(&token);
        let token_hash = webhook::token_hash(&token);
        self.inner.early.insert(
            token_hash,
            Early {
                bound: push.max_early,
                ..Early::default()
            },
        );
        Some(OwnWebhook {
            url: format!("{}{path}{token}", push.base_url),
            token_hash,
        })
    }
}

/// The task by the name that its requester has chosen, if it has chosen one, and its context by the requester's.
fn with_own_ids(turn: &Turn, task: &mut Task) {
    let Some(own) = &turn.request.own_id else {
        return;
    };
    let context = turn.request.message.context_id.as_deref();
    let map = IdMap::new(
        Alias::new(task.id.as_str(), own.as_str()),
        context.and_then(|context| Alias::new(task.context_id.as_str(), context)),
    );
    map.map_task(task);
}

/// Whether a watcher who sees the task only now would miss something that a watcher from the beginning had seen.
fn is_under_way(task: &Task) -> bool {
    task.status.message.is_some()
        || !task.artifacts.is_empty()
        || !matches!(
            task.status.state,
            TaskState::Submitted | TaskState::Working | TaskState::Unspecified
        )
        || task
            .history
            .iter()
            .any(|message| message.role == Role::Agent)
}

/// The task as it must have been at first: what has come since is reported as events after it.
fn beginning_of(task: &Task) -> Task {
    Task {
        status: TaskStatus {
            state: TaskState::Submitted,
            ..TaskStatus::default()
        },
        artifacts: Vec::new(),
        history: task
            .history
            .iter()
            .take_while(|message| message.role != Role::Agent)
            .cloned()
            .collect(),
        ..task.clone()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn random_u64() -> u64 {
    rand::random()
}
