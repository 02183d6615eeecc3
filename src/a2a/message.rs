//! Messages, parts and artifacts (specification §4.1.4 to §4.1.7).

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Object;
use super::fields::{self, Extra, Fault, Model};

/// One turn of the conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Made by the sender.
    pub message_id: String,
    /// The conversation, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// The task, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
    /// The sender's own metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<Object>>,
    /// URIs of the extensions that contributed to the message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Other tasks that the message refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference_task_ids: Vec<String>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Extra,
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

    /// Reads a 1.0 name, or the number that ProtoJSON allows. A name or number that is not known is
    /// [`Role::Unspecified`], anything else `None`.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Role> {
        match value {
            Value::String(name) => Some(match name.as_str() {
                "ROLE_USER" => Role::User,
                "ROLE_AGENT" => Role::Agent,
                _ => Role::Unspecified,
            }),
            Value::Number(number) => Some(match number.as_i64() {
                Some(1) => Role::User,
                Some(2) => Role::Agent,
                _ => Role::Unspecified,
            }),
            _ => None,
        }
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Role {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Role::from_value(&value).ok_or_else(|| serde::de::Error::custom("not a role"))
    }
}

/// A piece of a message or an artifact. Two are the same where their JSON is, whichever way numbers in it are written:
/// what has come by way of protobuf says `3.0` or `3`, and it is not for a reader to see a change in that.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The content: exactly one of the members `text`, `raw`, `url`, `data`.
    pub content: PartContent,
    /// A name for the content.
    pub filename: Option<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// The sender's own metadata.
    pub metadata: Option<Box<Object>>,
    /// Members that this model does not know; the content itself, where it is of a kind that it does not know.
    pub extra: Extra,
}

/// What a part holds. Compared as [`Part`] is.
#[derive(Clone, Debug, Default)]
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
    Unknown,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Object, b: &Object| fields::same_members(a, b);
        self.content == other.content
            && self.filename == other.filename
            && self.media_type == other.media_type
            && match (&self.metadata, &other.metadata) {
                (Some(a), Some(b)) => same(a, b),
                (a, b) => a.is_none() && b.is_none(),
            }
            && same(&self.extra, &other.extra)
    }
}

impl PartialEq for PartContent {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (PartContent::Text(a), PartContent::Text(b))
            | (PartContent::Raw(a), PartContent::Raw(b))
            | (PartContent::Url(a), PartContent::Url(b)) => a == b,
            (PartContent::Data(a), PartContent::Data(b)) => fields::same_json(a, b),
            (PartContent::Unknown, PartContent::Unknown) => true,
            _ => false,
        }
    }
}

/// Something that a task has produced.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Unique within the task.
    pub artifact_id: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The content.
    pub parts: Vec<Part>,
    /// The worker's own metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<Object>>,
    /// URIs of the extensions that contributed to the artifact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

fields::deserialize_models!(Message, Part, Artifact);

impl Model for Message {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            message_id: fields::string(&mut object, "messageId", "message_id")?.unwrap_or_default(),
            context_id: fields::id(&mut object, "contextId", "context_id")?,
            task_id: fields::id(&mut object, "taskId", "task_id")?,
            role: match fields::take(&mut object, "role", "") {
                None => Role::Unspecified,
                Some(value) => Role::from_value(&value)
                    .ok_or_else(|| Fault::new("role", "must be ROLE_USER or ROLE_AGENT"))?,
            },
            parts: fields::models(&mut object, "parts", "")?,
            metadata: fields::object(&mut object, "metadata", "")?.map(Box::new),
            extensions: fields::strings(&mut object, "extensions", "")?,
            reference_task_ids: fields::strings(
                &mut object,
                "referenceTaskIds",
                "reference_task_ids",
            )?,
            extra: object.into(),
        })
    }
}

impl Model for Part {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            content: PartContent::take(&mut object)?,
            filename: fields::string(&mut object, "filename", "")?,
            media_type: fields::string(&mut object, "mediaType", "media_type")?,
            metadata: fields::object(&mut object, "metadata", "")?.map(Box::new),
            extra: object.into(),
        })
    }
}

impl PartContent {
    /// Takes the first known kind of content out of a part. `data` comes last because its `null` is a value:
    /// some emitters write every unset member as `null`.
    fn take(object: &mut Object) -> Result<Self, Fault> {
        if let Some(text) = fields::string(object, "text", "")? {
            return Ok(PartContent::Text(text));
        }
        if let Some(bytes) = fields::string(object, "raw", "")? {
            return Ok(PartContent::Raw(bytes));
        }
        if let Some(url) = fields::string(object, "url", "")? {
            return Ok(PartContent::Url(url));
        }
        Ok(match object.remove("data") {
            Some(data) => PartContent::Data(data),
            None => PartContent::Unknown,
        })
    }
}

/// By hand, since a part of unknown content has no content member at all.
impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.content {
            PartContent::Text(text) => map.serialize_entry("text", text)?,
            PartContent::Raw(bytes) => map.serialize_entry("raw", bytes)?,
            PartContent::Url(url) => map.serialize_entry("url", url)?,
            PartContent::Data(data) => map.serialize_entry("data", data)?,
            PartContent::Unknown => {}
        }
        if let Some(filename) = &self.filename {
            map.serialize_entry("filename", filename)?;
        }
        if let Some(media_type) = &self.media_type {
            map.serialize_entry("mediaType", media_type)?;
        }
        if let Some(metadata) = &self.metadata {
            map.serialize_entry("metadata", metadata)?;
        }
        for (name, value) in &*self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Model for Artifact {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            artifact_id: fields::string(&mut object, "artifactId", "artifact_id")?
                .unwrap_or_default(),
            name: fields::string(&mut object, "name", "")?,
            description: fields::string(&mut object, "description", "")?,
            parts: fields::models(&mut object, "parts", "")?,
            metadata: fields::object(&mut object, "metadata", "")?.map(Box::new),
            extensions: fields::strings(&mut object, "extensions", "")?,
            extra: object.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(value: Value) -> Part {
        Part::from_value(value).unwrap()
    }

    #[test]
    fn parts_are_the_same_however_their_numbers_are_written() {
        let one = part(json!({"data": {"n": [3, 4.5, {"m": -1}]}, "metadata": {"k": 2}}));
        let other = part(json!({"data": {"n": [3.0, 4.5, {"m": -1.0}]}, "metadata": {"k": 2.0}}));
        assert_eq!(one, other);
        for different in [
            json!({"data": {"n": [3, 4.5, {"m": 1}]}, "metadata": {"k": 2}}),
            json!({"data": {"n": [3, 4.5, {"m": -1}, 0]}, "metadata": {"k": 2}}),
            json!({"data": {"n": [3, 4.5, {"m": -1}]}, "metadata": {"k": "2"}}),
            json!({"data": {"n": [3, 4.5, {"m": -1}]}}),
        ] {
            assert_ne!(one, part(different));
        }
        // Beyond what a double holds, whole numbers are told apart as such.
        let large = |number: u64| part(json!({ "data": number }));
        assert_ne!(large(u64::MAX), large(u64::MAX - 1));
    }
}
