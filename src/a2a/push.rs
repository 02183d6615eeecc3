//! Push notification configurations (specification §4.3). Secrets in them are not printed by `Debug`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Object;

/// Where and how a requester wants to be told of a task.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushConfig {
    /// Unique within the task; made by the server where the requester gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The task; empty inside a send.
    #[serde(default, alias = "task_id", skip_serializing_if = "String::is_empty")]
    pub task_id: String,
    /// Where to post.
    #[serde(default)]
    pub url: String,
    /// A token that the receiver compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How to authenticate to the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationInfo>,
    /// Members that this model does not know.
    #[serde(flatten)]
    pub extra: Object,
}

/// Scheme and credentials for the `Authorization` header of a webhook.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticationInfo {
    /// The schemes; 1.0 has exactly one (`scheme`), 0.x a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<String>,
    /// What follows the scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// Members that this model does not know.
    #[serde(flatten)]
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
