//! Callbacks: a requester that runs an agent of its own asks for the outcome to be sent to that agent when the task is
//! over. There are two forms:
//!
//! - **python_a2a**: a task's `metadata.callback_task`, `{endpoint, headers?, data?}`. The outcome is a task of its own
//!   (`tasks/send`) made of `data` and the artifacts. See [`Callback::of_task`].
//! - **The extension [`EXTENSION`]**, for requesters of 0.3 and 1.0. It is active where the request's `A2A-Extensions`
//!   names it and a send's `metadata` has parameters under its URI. The outcome is a message to the requester's agent
//!   (`SendMessage`, `message/send`) that refers to the task. See [`Callback::of_extension`].
//!
//! The parameters of the extension:
//!
//! | member | what |
//! |---|---|
//! | `url` | the address of the requester's agent: where its JSON-RPC calls go |
//! | `dialect` | what it speaks: `v1.0/jsonrpc` (the default), `v0.3/jsonrpc`, `v0.2/jsonrpc` |
//! | `headers` | headers of the call, an object of strings |
//! | `authentication` | `{scheme, credentials}` for its `Authorization`, as in a push config |
//! | `contextId` | the context that the message belongs to at the requester's agent |
//!
//! The message has role `ROLE_USER`, the task in `referenceTaskIds`, the parts of all artifacts as its parts (before them
//! what was said at the end, where that is all there is or the task did not complete), and in its `metadata` under the
//! URI `{taskId, contextId, state}`, the state spelled as in 1.0.
//!
//! How and when it is sent is not decided here; nor is it checked whether an address may be called.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{self, Fault, Model as _};
use super::{AuthenticationInfo, Binding, Dialect, Object, Version};

/// The URI of the callback extension.
pub const EXTENSION: &str = "urn:a2a-sidecar:callback:v1";

/// What the extension is, for agent cards.
pub const EXTENSION_DESCRIPTION: &str = "Sends a task's outcome to the requester's own A2A agent when the task is over: \
     give {url, dialect?, headers?, authentication?, contextId?} in the metadata of a send, under this URI.";

/// The member of a python_a2a task's metadata that asks for a callback.
pub const CALLBACK_TASK: &str = "callback_task";

/// Where and how a requester's own agent is told the outcome. `Debug` shows no value: headers are credentials, and so may
/// addresses be.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Callback {
    /// The address, as the requester gave it.
    pub url: String,
    /// Headers of the call.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub form: Form,
}

/// What is sent to a requester's agent.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A task made of these members and the artifacts (python_a2a).
    Task(Object),
    /// A message that refers to the task.
    Message {
        /// The context that it belongs to at the receiver.
        context_id: Option<String>,
    },
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").finish_non_exhaustive()
    }
}

impl Callback {
    /// Reads python_a2a's `callback_task`.
    ///
    /// # Errors
    /// Where a member is missing or has the wrong form.
    pub fn of_task(value: Value) -> Result<Self, Fault> {
        let mut object = object(value)?;
        Ok(Self {
            url: required(&mut object, "endpoint")?,
            headers: headers(&mut object)?,
            form: Form::Task(fields::object(&mut object, "data", "")?.unwrap_or_default()),
        })
    }

    /// Reads the extension's parameters; gives the dialect of the requester's agent too.
    ///
    /// # Errors
    /// Where a member is missing or has the wrong form.
    pub fn of_extension(value: Value) -> Result<(Self, Dialect), Fault> {
        let mut object = object(value)?;
        let url = required(&mut object, "url")?;
        let mut headers = headers(&mut object)?;
        if let Some(value) = fields::take(&mut object, "authentication", "") {
            let info = AuthenticationInfo::from_value(value)
                .map_err(|fault| fault.within("authentication"))?;
            let scheme = info.schemes.first().map_or("", String::as_str);
            let credentials = info.credentials.as_deref().unwrap_or_default();
            if scheme.is_empty() || credentials.is_empty() {
                return Err(Fault::new(
                    "authentication",
                    "must have a scheme and credentials",
                ));
            }
            headers.retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
            headers.insert(
                "authorization".to_owned(),
                format!("{scheme} {credentials}"),
            );
        }
        let dialect = match fields::string(&mut object, "dialect", "")? {
            None => Dialect::jsonrpc(Version::V1_0),
            Some(name) => Dialect::from_name(&name)
                .filter(|dialect| can_be_called(*dialect))
                .ok_or_else(|| {
                    Fault::new(
                        "dialect",
                        "must be v1.0/jsonrpc, v0.3/jsonrpc or v0.2/jsonrpc",
                    )
                })?,
        };
        let context_id = fields::id(&mut object, "contextId", "context_id")?;
        let callback = Self {
            url,
            headers,
            form: Form::Message { context_id },
        };
        Ok((callback, dialect))
    }
}

/// Whether a message can be sent in this dialect to an address that is all there is.
fn can_be_called(dialect: Dialect) -> bool {
    dialect.binding == Binding::JsonRpc
        && matches!(
            dialect.version,
            Version::V1_0 | Version::V0_3 | Version::V0_2
        )
}

fn object(value: Value) -> Result<Object, Fault> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Fault::new("", "must be an object")),
    }
}

fn required(object: &mut Object, name: &str) -> Result<String, Fault> {
    fields::id(object, name, "")?.ok_or_else(|| Fault::new(name, "is required"))
}

fn headers(object: &mut Object) -> Result<BTreeMap<String, String>, Fault> {
    fields::object(object, "headers", "")?
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(value) => Ok((name, value)),
            _ => Err(Fault::new("headers", "must hold strings only")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_callback_task_is_read_with_its_headers_and_data() {
        let callback = Callback::of_task(json!({
            "endpoint": "http://requester/a2a/tasks/send",
            "headers": { "X-Key": "secret" },
            "data": { "id": "mine", "message": { "role": "system" } },
        }))
        .unwrap();
        assert_eq!(callback.url, "http://requester/a2a/tasks/send");
        assert_eq!(callback.headers["X-Key"], "secret");
        let Form::Task(data) = &callback.form else {
            panic!("another form");
        };
        assert_eq!(data["id"], "mine");
        assert!(!format!("{callback:?}").contains("secret"));
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        let wrong = |value| Callback::of_task(value).unwrap_err().path;
        assert_eq!(wrong(json!({})), "endpoint");
        assert_eq!(wrong(json!({ "endpoint": 1 })), "endpoint");
        assert_eq!(
            wrong(json!({ "endpoint": "x", "headers": { "a": 1 } })),
            "headers"
        );
        let wrong = |value| Callback::of_extension(value).unwrap_err().path;
        assert_eq!(wrong(json!("x")), "");
        assert_eq!(wrong(json!({ "headers": {} })), "url");
        assert_eq!(
            wrong(json!({ "url": "x", "dialect": "v1.0/http" })),
            "dialect"
        );
        let half = json!({ "url": "x", "authentication": { "scheme": "Bearer" } });
        assert_eq!(wrong(half), "authentication");
    }

    #[test]
    fn the_extension_s_authentication_becomes_the_header() {
        let (callback, dialect) = Callback::of_extension(json!({
            "url": "http://me/",
            "dialect": "v0.3/jsonrpc",
            "headers": { "Authorization": "Basic old", "x-key": "k" },
            "authentication": { "scheme": "Bearer", "credentials": "new" },
            "contextId": "c",
        }))
        .unwrap();
        assert_eq!(dialect.name(), "v0.3/jsonrpc");
        let headers: Vec<_> = callback.headers.values().map(String::as_str).collect();
        assert_eq!(headers, ["Bearer new", "k"]);
        let sealed = serde_json::to_string(&callback).unwrap();
        assert_eq!(serde_json::from_str::<Callback>(&sealed).unwrap(), callback);
    }
}
