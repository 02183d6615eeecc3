//! Messages, parts and artifacts (specification §4.1.4 to §4.1.7).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::Object;

/// One turn of the conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Made by the sender.
    #[serde(default, alias = "message_id")]
    pub message_id: String,
    /// The conversation, when known.
    #[serde(default, alias = "context_id", skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// The task, when known.
    #[serde(default, alias = "task_id", skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Who speaks.
    #[serde(default)]
    pub role: Role,
    /// What is said.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// The sender's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// URIs of the extensions that contributed to the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Other tasks that the message refers to.
    #[serde(
        default,
        alias = "reference_task_ids",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub reference_task_ids: Vec<String>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Not said, or not known to this model.
    #[default]
    Unspecified,
    /// The requester.
    User,
    /// The worker.
    Agent,
}

impl Role {
    /// The name in A2A 1.0.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Unspecified => "ROLE_UNSPECIFIED",
            Role::User => "ROLE_USER",
            Role::Agent => "ROLE_AGENT",
        }
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(
            match std::borrow::Cow::<str>::deserialize(deserializer)?.as_ref() {
                "ROLE_USER" => Role::User,
                "ROLE_AGENT" => Role::Agent,
                _ => Role::Unspecified,
            },
        )
    }
}

/// A piece of a message or an artifact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The content: exactly one of the members `text`, `raw`, `url`, `data`.
    #[serde(flatten)]
    pub content: PartContent,
    /// A name for the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Its media type.
    #[serde(default, alias = "media_type", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The sender's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// Members that this model does not know; the content itself, where it is of a kind that it does not know.
    #[serde(flatten)]
    pub extra: Object,
}

/// What a part holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PartContent {
    /// Plain text.
    Text(String),
    /// Bytes, base64 as they came (standard or URL-safe).
    Raw(String),
    /// A link to bytes.
    Url(String),
    /// Any JSON.
    Data(Value),
    /// A kind that this model does not know: the part's `extra` carries it.
    #[default]
    #[serde(skip)]
    Unknown,
}

/// Something that a task has produced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Unique within the task.
    #[serde(default, alias = "artifact_id")]
    pub artifact_id: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The content.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// The worker's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// URIs of the extensions that contributed to the artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}
