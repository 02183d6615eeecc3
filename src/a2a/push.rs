//! Push notification configurations (specification §4.3). Secrets in them are not printed by `Debug`.

use std::fmt;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::Object;
use super::fields::{self, Fault, Model};

/// Where and how a requester wants to be told of a task.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushConfig {
    /// Unique within the task; made by the server where the requester gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The task; empty inside a send.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub task_id: String,
    /// Where to post.
    pub url: String,
    /// A token that the receiver compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How to authenticate to the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationInfo>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}

/// Scheme and credentials for the `Authorization` header of a webhook.
#[derive(Clone, Default, PartialEq)]
pub struct AuthenticationInfo {
    /// The schemes; 1.0 has exactly one (`scheme`), 0.x a list.
    pub schemes: Vec<String>,
    /// What follows the scheme.
    pub credentials: Option<String>,
    /// Members that this model does not know.
    pub extra: Object,
}

impl fmt::Debug for PushConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConfig")
            .field("id", &self.id)
            .field("task_id", &self.task_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthenticationInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationInfo")
            .field("schemes", &self.schemes)
            .finish_non_exhaustive()
    }
}

fields::deserialize_models!(PushConfig, AuthenticationInfo);

impl Model for PushConfig {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        Ok(Self {
            id: fields::id(&mut object, "id", "")?,
            task_id: fields::string(&mut object, "taskId", "task_id")?.unwrap_or_default(),
            url: fields::string(&mut object, "url", "")?.unwrap_or_default(),
            token: fields::id(&mut object, "token", "")?,
            authentication: fields::model(&mut object, "authentication", "")?,
            extra: object,
        })
    }
}

impl Model for AuthenticationInfo {
    fn from_object(mut object: Object) -> Result<Self, Fault> {
        let mut schemes = fields::strings(&mut object, "schemes", "")?;
        if let Some(scheme) = fields::string(&mut object, "scheme", "")?
            && !schemes.contains(&scheme)
        {
            schemes.insert(0, scheme);
        }
        Ok(Self {
            schemes,
            credentials: fields::string(&mut object, "credentials", "")?,
            extra: object,
        })
    }
}

/// Writes `scheme`, and `schemes` only where there are several: 1.0 has no place for them, and its receivers
/// ignore members that they do not know (§5.7).
impl Serialize for AuthenticationInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(scheme) = self.schemes.first() {
            map.serialize_entry("scheme", scheme)?;
        }
        if self.schemes.len() > 1 {
            map.serialize_entry("schemes", &self.schemes)?;
        }
        if let Some(credentials) = &self.credentials {
            map.serialize_entry("credentials", credentials)?;
        }
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
