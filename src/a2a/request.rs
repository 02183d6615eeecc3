//! Requests, canonical: what an operation is asked with, whatever dialect it came in.

use serde::Serialize;
use serde_json::Value;

use super::fields::{self, Fault, Model};
use super::{Message, Object, Operation, PushConfig, Task};

/// One decoded call.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Send, wait or not.
    SendMessage(Box<SendMessageRequest>),
    /// Send and stream.
    SendStreamingMessage(Box<SendMessageRequest>),
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessageRequest {
    /// The message.
    pub message: Message,
    /// How to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<SendConfiguration>,
    /// The requester's own metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<Object>>,
    /// The id that the requester has chosen for the task, where its dialect lets it: no member of 1.0.
    #[serde(skip)]
    pub own_id: Option<String>,
    /// Members that this model does not know, `tenant` among them.
    #[serde(flatten)]
    pub extra: Object,
}

/// How a send is to be answered (§3.2.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendConfiguration {
    /// Media types that the requester can take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted_output_modes: Vec<String>,
    /// A webhook for the task that the send creates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_push_notification_config: Option<PushConfig>,
    /// How many of the newest messages the answer's history holds: unset, the server's choice; 0, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_length: Option<u32>,
    /// Answer as soon as the task exists. Unset: the dialect's default, which is to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_immediately: Option<bool>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}

/// Which task to read, and how much of its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetTaskRequest {
    /// The task.
    pub id: String,
    /// As in [`SendConfiguration::history_length`].
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// What an operation answers, canonical. Streams answer with [`super::StreamResponse`]s instead.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A send, a read or a cancel.
    Task(Task),
    /// A send that was answered without a task.
    Message(Message),
    /// The result of a list, as it is in A2A 1.0: `tasks`, `nextPageToken`, `pageSize`, `totalSize`.
    Tasks(Object),
    /// One webhook's registration.
    PushConfig(PushConfig),
    /// A task's webhooks.
    PushConfigs {
        /// This page of them.
        configs: Vec<PushConfig>,
        /// How to ask for the next page, where there is one.
        next_page_token: Option<String>,
    },
    /// Done, and nothing to say.
    Empty,
    /// The extended card, as it came.
    Card(Value),
}

impl SendMessageRequest {
    /// Has it answered as soon as the task exists.
    pub fn at_once(&mut self) {
        self.configuration
            .get_or_insert_default()
            .return_immediately = Some(true);
    }
}

fields::deserialize_models!(SendMessageRequest, SendConfiguration, GetTaskRequest);

impl Model for SendMessageRequest {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            message: fields::model(&mut object, "message", "")?
                .ok_or_else(|| Fault::new("message", "is required"))?,
            configuration: fields::model(&mut object, "configuration", "")?,
            metadata: fields::object(&mut object, "metadata", "")?.map(Box::new),
            own_id: None,
            extra: object,
        })
    }
}

impl Model for SendConfiguration {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        let mut push = fields::model(
            &mut object,
            "taskPushNotificationConfig",
            "task_push_notification_config",
        )?;
        if push.is_none() {
            // The name in the examples of 1.0.0, against its proto.
            push = fields::model(&mut object, "pushNotificationConfig", "")?;
        }
        Ok(Self {
            accepted_output_modes: fields::strings(
                &mut object,
                "acceptedOutputModes",
                "accepted_output_modes",
            )?,
            task_push_notification_config: push,
            history_length: fields::count(&mut object, "historyLength", "history_length")?,
            return_immediately: fields::boolean(
                &mut object,
                "returnImmediately",
                "return_immediately",
            )?,
            extra: object,
        })
    }
}

impl Model for GetTaskRequest {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            id: fields::string(&mut object, "id", "")?
                .ok_or_else(|| Fault::new("id", "is required"))?,
            history_length: fields::count(&mut object, "historyLength", "history_length")?,
            extra: object,
        })
    }
}
