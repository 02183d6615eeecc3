//! What travels in a stream, a webhook and the task log: the `StreamResponse` of specification §3.2.3 and §4.2.

use serde::{Deserialize, Serialize};

use super::{Artifact, Message, Object, Task, TaskStatus};

/// Exactly one of a task, a message, a status update and an artifact update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamResponse {
    /// The task as it stands.
    Task(Task),
    /// A direct answer without a task.
    Message(Message),
    /// The status has changed.
    #[serde(alias = "status_update")]
    StatusUpdate(TaskStatusUpdateEvent),
    /// An artifact is new, replaced or longer.
    #[serde(alias = "artifact_update")]
    ArtifactUpdate(TaskArtifactUpdateEvent),
}

/// A change of status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatusUpdateEvent {
    /// The task.
    #[serde(default, alias = "task_id")]
    pub task_id: String,
    /// Its conversation.
    #[serde(
        default,
        alias = "context_id",
        skip_serializing_if = "String::is_empty"
    )]
    pub context_id: String,
    /// The new status.
    #[serde(default)]
    pub status: TaskStatus,
    /// The worker's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}

/// A change of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskArtifactUpdateEvent {
    /// The task.
    #[serde(default, alias = "task_id")]
    pub task_id: String,
    /// Its conversation.
    #[serde(
        default,
        alias = "context_id",
        skip_serializing_if = "String::is_empty"
    )]
    pub context_id: String,
    /// The artifact, or with `append` the parts that come after those already there.
    #[serde(default)]
    pub artifact: Artifact,
    /// Whether the parts are to be appended to the artifact of this id; otherwise it is created or replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// Whether this is the artifact's last piece.
    #[serde(
        default,
        alias = "last_chunk",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub last_chunk: bool,
    /// The worker's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}

impl StreamResponse {
    /// The id of the task that it is about; none for a message outside any task.
    #[must_use]
    pub fn task_id(&self) -> Option<&str> {
        match self {
            StreamResponse::Task(task) => Some(&task.id),
            StreamResponse::Message(message) => message.task_id.as_deref(),
            StreamResponse::StatusUpdate(event) => Some(&event.task_id),
            StreamResponse::ArtifactUpdate(event) => Some(&event.task_id),
        }
    }

    /// The status that it sets, if it sets one.
    #[must_use]
    pub fn status(&self) -> Option<&TaskStatus> {
        match self {
            StreamResponse::Task(task) => Some(&task.status),
            StreamResponse::StatusUpdate(event) => Some(&event.status),
            StreamResponse::Message(_) | StreamResponse::ArtifactUpdate(_) => None,
        }
    }

    /// Whether it ends the task.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.status()
            .is_some_and(|status| status.state.is_terminal())
    }
}
