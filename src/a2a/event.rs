//! What travels in a stream, a webhook and the task log: the `StreamResponse` of specification §3.2.3 and §4.2.

use serde::Serialize;

use super::fields::{self, Extra, Fault, Model};
use super::{Artifact, Message, Object, Task, TaskStatus};

/// Exactly one of a task, a message, a status update and an artifact update.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamResponse {
    /// The task as it stands.
    Task(Task),
    /// A direct answer without a task.
    Message(Message),
    /// The status has changed.
    StatusUpdate(TaskStatusUpdateEvent),
    /// An artifact is new, replaced or longer.
    ArtifactUpdate(TaskArtifactUpdateEvent),
}

/// A change of status.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatusUpdateEvent {
    /// The task.
    pub task_id: String,
    /// Its conversation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context_id: String,
    /// The new status.
    pub status: TaskStatus,
    /// The worker's own metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<Object>>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A change of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskArtifactUpdateEvent {
    /// The task.
    pub task_id: String,
    /// Its conversation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context_id: String,
    /// The artifact, or with `append` the parts that come after those already there.
    pub artifact: Artifact,
    /// Whether the parts are to be appended to the artifact of this id; otherwise it is created or replaced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// Whether this is the artifact's last piece.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last_chunk: bool,
    /// The worker's own metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<Object>>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Extra,
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

fields::deserialize_models!(
    StreamResponse,
    TaskStatusUpdateEvent,
    TaskArtifactUpdateEvent
);

impl Model for StreamResponse {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        if let Some(task) = fields::model(&mut object, "task", "")? {
            return Ok(StreamResponse::Task(task));
        }
        if let Some(message) = fields::model(&mut object, "message", "msg")? {
            return Ok(StreamResponse::Message(message));
        }
        if let Some(update) = fields::model(&mut object, "statusUpdate", "status_update")? {
            return Ok(StreamResponse::StatusUpdate(update));
        }
        if let Some(update) = fields::model(&mut object, "artifactUpdate", "artifact_update")? {
            return Ok(StreamResponse::ArtifactUpdate(update));
        }
        Err(Fault::new(
            "",
            "must have one of task, message, statusUpdate and artifactUpdate",
        ))
    }
}

impl Model for TaskStatusUpdateEvent {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            task_id: fields::string(&mut object, "taskId", "task_id")?.unwrap_or_default(),
            context_id: fields::string(&mut object, "contextId", "context_id")?.unwrap_or_default(),
            status: fields::model(&mut object, "status", "")?.unwrap_or_default(),
            metadata: fields::object(&mut object, "metadata", "")?.map(Box::new),
            extra: object.into(),
        })
    }
}

impl Model for TaskArtifactUpdateEvent {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            task_id: fields::string(&mut object, "taskId", "task_id")?.unwrap_or_default(),
            context_id: fields::string(&mut object, "contextId", "context_id")?.unwrap_or_default(),
            artifact: fields::model(&mut object, "artifact", "")?.unwrap_or_default(),
            append: fields::boolean(&mut object, "append", "")?.unwrap_or_default(),
            last_chunk: fields::boolean(&mut object, "lastChunk", "last_chunk")?
                .unwrap_or_default(),
            metadata: fields::object(&mut object, "metadata", "")?.map(Box::new),
            extra: object.into(),
        })
    }
}
