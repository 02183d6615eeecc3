//! Tasks and their states (specification §4.1.1 to §4.1.3). The rules on how one follows the other are in
//! [`crate::task::fold`], not here.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::fields::{self, Extra, Fault, Model};
use super::{Artifact, Message, Object};

/// A unit of work that the worker does, as it stands at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The task's id as the holder of this value knows it: canonical values inside the sidecar carry the id
    /// that the requester sees.
    pub id: String,
    /// The conversation that the task belongs to; empty in the answers of some old workers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context_id: String,
    /// The current status.
    pub status: TaskStatus,
    /// What the task has produced so far, in the order in which it appeared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// The messages exchanged so far, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Message>,
    /// The worker's own metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<Object>>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// State, time and message of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// The state.
    pub state: TaskState,
    /// What the worker says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// When the worker says that it happened, as it was written (RFC 3339, or what old workers send).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The states of specification §4.1.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Unknown, or a state of an extension that the model has no name for: neither over nor waiting.
    #[default]
    Unspecified,
    /// Accepted, not begun.
    Submitted,
    /// Under way.
    Working,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by a cancel.
    Canceled,
    /// Waits for the requester's next message.
    InputRequired,
    /// The worker would not do it.
    Rejected,
    /// Waits for credentials; the worker may go on by itself once it has them (§7.6).
    AuthRequired,
}

impl TaskState {
    /// Every state, for tables and tests.
    pub const ALL: [TaskState; 9] = [
        TaskState::Unspecified,
        TaskState::Submitted,
        TaskState::Working,
        TaskState::Completed,
        TaskState::Failed,
        TaskState::Canceled,
        TaskState::InputRequired,
        TaskState::Rejected,
        TaskState::AuthRequired,
    ];

    /// Whether the task is over: nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            TaskState::Completed | TaskState::Failed | TaskState::Canceled | TaskState::Rejected
        )
    }

    /// Whether the task waits for somebody: a blocking call and a send stream end here, the task does not.
    #[must_use]
    pub fn is_interrupted(self) -> bool {
        matches!(self, TaskState::InputRequired | TaskState::AuthRequired)
    }

    /// The name in A2A 1.0.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TaskState::Unspecified => "TASK_STATE_UNSPECIFIED",
            TaskState::Submitted => "TASK_STATE_SUBMITTED",
            TaskState::Working => "TASK_STATE_WORKING",
            TaskState::Completed => "TASK_STATE_COMPLETED",
            TaskState::Failed => "TASK_STATE_FAILED",
            TaskState::Canceled => "TASK_STATE_CANCELED",
            TaskState::InputRequired => "TASK_STATE_INPUT_REQUIRED",
            TaskState::Rejected => "TASK_STATE_REJECTED",
            TaskState::AuthRequired => "TASK_STATE_AUTH_REQUIRED",
        }
    }

    /// Reads a 1.0 name; the two-l spelling of the 0.3 proto is accepted. Anything else is [`TaskState::Unspecified`].
    #[must_use]
    pub fn from_name(name: &str) -> TaskState {
        match name {
            "TASK_STATE_CANCELLED" => TaskState::Canceled,
            _ => TaskState::ALL
                .into_iter()
                .find(|state| state.name() == name)
                .unwrap_or_default(),
        }
    }

    /// Reads a 1.0 name, or the number that ProtoJSON allows. A name or number that is not known is
    /// [`TaskState::Unspecified`], anything else `None`.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<TaskState> {
        match value {
            Value::String(name) => Some(TaskState::from_name(name)),
            // `ALL` is in the order of the proto's numbers.
            Value::Number(number) => Some(
                number
                    .as_u64()
                    .and_then(|number| TaskState::ALL.get(usize::try_from(number).ok()?).copied())
                    .unwrap_or_default(),
            ),
            _ => None,
        }
    }
}

impl Serialize for TaskState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for TaskState {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        TaskState::from_value(&value).ok_or_else(|| serde::de::Error::custom("not a state"))
    }
}

fields::deserialize_models!(Task, TaskStatus);

impl Model for Task {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            id: fields::string(&mut object, "id", "")?
                .ok_or_else(|| Fault::new("id", "is required"))?,
            context_id: fields::string(&mut object, "contextId", "context_id")?.unwrap_or_default(),
            status: fields::model(&mut object, "status", "")?.unwrap_or_default(),
            artifacts: fields::models(&mut object, "artifacts", "")?,
            history: fields::models(&mut object, "history", "")?,
            metadata: fields::object(&mut object, "metadata", "")?.map(Box::new),
            extra: object.into(),
        })
    }
}

impl Model for TaskStatus {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            state: match fields::take(&mut object, "state", "") {
                None => TaskState::Unspecified,
                Some(value) => TaskState::from_value(&value)
                    .ok_or_else(|| Fault::new("state", "must be the name of a state"))?,
            },
            message: fields::model(&mut object, "message", "")?,
            timestamp: fields::string(&mut object, "timestamp", "")?,
            extra: object.into(),
        })
    }
}

impl TaskStatus {
    /// When it happened, for comparing. A time without an offset, as old workers write it, is taken for UTC;
    /// `None` where there is none or it is not to be understood.
    #[must_use]
    pub fn time(&self) -> Option<jiff::Timestamp> {
        parse_time(self.timestamp.as_deref()?)
    }
}

/// Reads RFC 3339, and the forms without offset that old workers write.
pub(crate) fn parse_time(text: &str) -> Option<jiff::Timestamp> {
    text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let local = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}
