//! Requests, canonical: what an operation is asked with, whatever dialect it came in.

use serde::{Deserialize, Serialize};

use super::{Message, Object, Operation, PushConfig};

/// One decoded call.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Send, wait or not.
    SendMessage(SendMessageRequest),
    /// Send and stream.
    SendStreamingMessage(SendMessageRequest),
    /// Read a task.
    GetTask(GetTaskRequest),
    /// List tasks; the filters stay as they came.
    ListTasks(Object),
    /// Cancel a task.
    CancelTask(TaskRequest),
    /// Watch a task.
    SubscribeToTask(TaskRequest),
    /// Register a webhook.
    CreatePushConfig(PushConfig),
    /// Read a webhook's registration. Without an id (0.x): the only one, or the first.
    GetPushConfig(PushConfigRequest),
    /// List a task's webhooks.
    ListPushConfigs(TaskRequest),
    /// Remove a webhook.
    DeletePushConfig(PushConfigRequest),
    /// Read the extended card.
    GetExtendedAgentCard(Object),
}

impl Request {
    /// The operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Request::SendMessage(_) => Operation::SendMessage,
            Request::SendStreamingMessage(_) => Operation::SendStreamingMessage,
            Request::GetTask(_) => Operation::GetTask,
            Request::ListTasks(_) => Operation::ListTasks,
            Request::CancelTask(_) => Operation::CancelTask,
            Request::SubscribeToTask(_) => Operation::SubscribeToTask,
            Request::CreatePushConfig(_) => Operation::CreateTaskPushNotificationConfig,
            Request::GetPushConfig(_) => Operation::GetTaskPushNotificationConfig,
            Request::ListPushConfigs(_) => Operation::ListTaskPushNotificationConfigs,
            Request::DeletePushConfig(_) => Operation::DeleteTaskPushNotificationConfig,
            Request::GetExtendedAgentCard(_) => Operation::GetExtendedAgentCard,
        }
    }
}

/// A message to send, and how to answer it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessageRequest {
    /// The message.
    pub message: Message,
    /// How to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<SendConfiguration>,
    /// The requester's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// Members that this model does not know, `tenant` among them.
    #[serde(flatten)]
    pub extra: Object,
}

/// How a send is to be answered (§3.2.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendConfiguration {
    /// Media types that the requester can take.
    #[serde(
        default,
        alias = "accepted_output_modes",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub accepted_output_modes: Vec<String>,
    /// A webhook for the task that the send creates.
    #[serde(
        default,
        alias = "task_push_notification_config",
        alias = "pushNotificationConfig",
        skip_serializing_if = "Option::is_none"
    )]
    pub task_push_notification_config: Option<PushConfig>,
    /// How many of the newest messages the answer's history holds: unset, the server's choice; 0, none.
    #[serde(
        default,
        alias = "history_length",
        skip_serializing_if = "Option::is_none"
    )]
    pub history_length: Option<u32>,
    /// Answer as soon as the task exists. Unset: the dialect's default, which is to wait.
    #[serde(
        default,
        alias = "return_immediately",
        skip_serializing_if = "Option::is_none"
    )]
    pub return_immediately: Option<bool>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}

/// Which task to read, and how much of its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetTaskRequest {
    /// The task.
    pub id: String,
    /// As in [`SendConfiguration::history_length`].
    #[serde(
        default,
        alias = "history_length",
        skip_serializing_if = "Option::is_none"
    )]
    pub history_length: Option<u32>,
    /// Members that this model does not know, `tenant` among them.
    #[serde(flatten)]
    pub extra: Object,
}

/// A call that names a task only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskRequest {
    /// The task.
    pub id: String,
    /// Everything else that came, `metadata`, `tenant` and paging among it.
    pub extra: Object,
}

/// A call that names one webhook of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushConfigRequest {
    /// The task.
    pub task_id: String,
    /// The registration; 0.x may leave it out.
    pub id: Option<String>,
    /// Everything else that came.
    pub extra: Object,
}
