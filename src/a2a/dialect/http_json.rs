//! The HTTP+JSON binding (specification §11): paths, verbs, query parameters, status codes and error bodies of 0.3 and
//! 1.0. Knows nothing of what is inside the bodies: that is the version modules'.
//!
//! 0.3 has its paths below `/v1` and names resources (`tasks/{id}`) where 1.0 has members; the parameters that are made
//! of a path here are those of the version's own request, so that its module reads them as it reads gRPC's.

use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Dialect, Version, jsonrpc, status, v1_0};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Object, Operation};

/// The collection of tasks.
const TASKS: &str = "tasks";
/// A task's webhooks.
const CONFIGS: &str = "pushNotificationConfigs";
/// What stands before the paths of 0.3.
const V1: &str = "v1";

/// A request's head, read as a call of this binding.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCall<'a> {
    /// The version that it is of.
    pub version: Version,
    /// What it asks for.
    pub operation: Operation,
    /// The parameters that path and query give; a body's members come beside them.
    pub params: Object,
    /// What stands before the binding's own path: the route's, and in 1.0 possibly a tenant's.
    pub lead: &'a str,
}

/// Reads a request's head. `named`: the version that it names (§3.6.1). None: it is no call of this binding.
#[must_use]
pub fn decode_head<'a>(
    method: &Method,
    path: &'a str,
    query: Option<&str>,
    named: Option<Version>,
) -> Option<HttpCall<'a>> {
    let (lead, operation, ids) = operation(method, path)?;
    // The prefix says 0.3, unless the request says otherwise: then it is a tenant of that name.
    let below_v1 = lead.strip_suffix(V1).and_then(|lead| {
        let lead = lead.strip_suffix('/')?;
        (named != Some(Version::V1_0)).then_some(lead)
    });
    let (version, lead) = match below_v1 {
        Some(lead) => (Version::V0_3, lead),
        None if named.is_some_and(Version::is_v0) => return None,
        None => (Version::V1_0, lead),
    };
    // Each version has its own path for the extended card.
    let is_card = operation == Operation::GetExtendedAgentCard;
    if is_card && path.ends_with("/card") != (version == Version::V0_3) {
        return None;
    }
    let mut params = Object::new();
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if !name.eq_ignore_ascii_case("a2a-version") {
            params.insert(camel(&name), typed(&value));
        }
    }
    if version == Version::V0_3 {
        name_resource(&mut params, operation, &ids);
    } else {
        name_members(&mut params, operation, &ids);
    }
    Some(HttpCall {
        version,
        operation,
        params,
        lead,
    })
}

/// The ids in a path: the task's, then the webhook's.
#[derive(Debug, Default)]
struct Ids {
    task: String,
    config: String,
}

/// What verb and path ask for, and what stands before the binding's part of the path.
fn operation<'a>(method: &Method, path: &'a str) -> Option<(&'a str, Operation, Ids)> {
    let (lead, last) = path.rsplit_once('/')?;
    let get = method == Method::GET;
    let post = method == Method::POST;
    let none = Ids::default();
    match last {
        "message:send" if post => return Some((lead, Operation::SendMessage, none)),
        "message:stream" if post => return Some((lead, Operation::SendStreamingMessage, none)),
        "extendedAgentCard" if get => {
            return Some((lead, Operation::GetExtendedAgentCard, none));
        }
        // Only 0.3 calls it so, and elsewhere it is a word like any other.
        "card" if get && lead.ends_with("/v1") => {
            return Some((lead, Operation::GetExtendedAgentCard, none));
        }
        TASKS if get => return Some((lead, Operation::ListTasks, none)),
        _ => {}
    }
    let (before, second) = lead.rsplit_once('/')?;
    if second == TASKS && !last.is_empty() {
        let (task, verb) = match last.rsplit_once(':') {
            Some((task, verb @ ("cancel" | "subscribe"))) => (task, verb),
            _ => (last, ""),
        };
        let operation = match verb {
            "cancel" if post => Operation::CancelTask,
            // The specification's text says POST and its proto GET.
            "subscribe" if post || get => Operation::SubscribeToTask,
            "" if get => Operation::GetTask,
            _ => return None,
        };
        let ids = Ids {
            task: decoded(task)?,
            ..none
        };
        return Some((before, operation, ids));
    }
    let (before, third) = before.rsplit_once('/')?;
    if last == CONFIGS && third == TASKS {
        let operation = if post {
            Operation::CreateTaskPushNotificationConfig
        } else if get {
            Operation::ListTaskPushNotificationConfigs
        } else {
            return None;
        };
        let ids = Ids {
            task: decoded(second)?,
            ..none
        };
        return Some((before, operation, ids));
    }
    let (before, fourth) = before.rsplit_once('/')?;
    if second == CONFIGS && fourth == TASKS && !last.is_empty() {
        let operation = if get {
            Operation::GetTaskPushNotificationConfig
        } else if method == Method::DELETE {
            Operation::DeleteTaskPushNotificationConfig
        } else {
            return None;
        };
        let ids = Ids {
            task: decoded(third)?,
            config: decoded(last)?,
        };
        return Some((before, operation, ids));
    }
    None
}

/// The members of 1.0.
fn name_members(params: &mut Object, operation: Operation, ids: &Ids) {
    use Operation as Op;
    let mut set = |name: &str, id: &str| {
        params.insert(name.to_owned(), Value::from(id));
    };
    match operation {
        Op::GetTask | Op::CancelTask | Op::SubscribeToTask => set("id", &ids.task),
        Op::CreateTaskPushNotificationConfig | Op::ListTaskPushNotificationConfigs => {
            set("taskId", &ids.task);
        }
        Op::GetTaskPushNotificationConfig | Op::DeleteTaskPushNotificationConfig => {
            set("taskId", &ids.task);
            set("id", &ids.config);
        }
        Op::SendMessage | Op::SendStreamingMessage | Op::ListTasks | Op::GetExtendedAgentCard => {}
    }
}

/// The resource names of 0.3.
fn name_resource(params: &mut Object, operation: Operation, ids: &Ids) {
    use Operation as Op;
    let task = format!("tasks/{}", ids.task);
    let (name, resource) = match operation {
        Op::GetTask | Op::CancelTask | Op::SubscribeToTask => ("name", task),
        Op::CreateTaskPushNotificationConfig | Op::ListTaskPushNotificationConfigs => {
            ("parent", task)
        }
        Op::GetTaskPushNotificationConfig | Op::DeleteTaskPushNotificationConfig => {
            ("name", format!("{task}/{CONFIGS}/{}", ids.config))
        }
        Op::SendMessage | Op::SendStreamingMessage | Op::ListTasks | Op::GetExtendedAgentCard => {
            return;
        }
    };
    params.insert(name.to_owned(), Value::from(resource));
}

/// Puts a body's members beside those of the head, which name the resource and so outweigh them. A body that is empty
/// has none.
///
/// # Errors
/// [`ErrorKind::Parse`] where it is not JSON, [`ErrorKind::InvalidRequest`] where it is no object.
pub fn with_body(head: Object, body: &[u8]) -> Result<Object, A2aError> {
    if body.trim_ascii().is_empty() {
        return Ok(head);
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        A2aError::new(ErrorKind::Parse, format!("The body is not JSON: {error}"))
    })?;
    let Value::Object(mut members) = body else {
        return Err(A2aError::new(
            ErrorKind::InvalidRequest,
            "The body must be a JSON object",
        ));
    };
    members.extend(head);
    Ok(members)
}

fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
        .filter(|id| !id.is_empty())
}

/// `history_length` is `historyLength` (ProtoJSON).
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
    }
    out
}

/// A query parameter has no type: what looks like a number or a truth value is one.
fn typed(value: &str) -> Value {
    match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => value
            .parse::<i64>()
            // Not `007`, nor `+7`: those are somebody's names.
            .ok()
            .filter(|number| number.to_string() == value)
            .map_or_else(|| Value::from(value), Value::from),
    }
}

/// The segment that a tenant is in a path.
#[must_use]
pub fn tenant_path(tenant: &str) -> String {
    format!("/{}", escaped(tenant))
}

/// One call on its way to a worker: what comes behind the interface's address.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The verb.
    pub method: Method,
    /// The path, and the query where there is one.
    pub path: String,
    /// The body, where the call has one.
    pub body: Option<Value>,
}

/// The other characters of an id are escaped: `/`, `:` and `?` mean something in these paths.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn escaped(id: &str) -> String {
    utf8_percent_encode(id, SEGMENT).to_string()
}

/// Makes a call of the parameters that the version's module has written.
#[must_use]
pub fn encode_call(
    version: Version,
    operation: Operation,
    params: Value,
    tenant: Option<&str>,
) -> Outgoing {
    use Operation as Op;
    let Value::Object(mut params) = params else {
        return Outgoing {
            method: Method::POST,
            path: String::new(),
            body: Some(params),
        };
    };
    let v0 = version == Version::V0_3;
    let mut path = match tenant {
        _ if v0 => format!("/{V1}"),
        Some(tenant) => tenant_path(tenant),
        None => String::new(),
    };
    let mut take = |name: &str| match params.remove(name) {
        Some(Value::String(id)) => id,
        _ => String::new(),
    };
    let resource = match operation {
        Op::SendMessage => "/message:send".to_owned(),
        Op::SendStreamingMessage => "/message:stream".to_owned(),
        Op::ListTasks => format!("/{TASKS}"),
        Op::GetExtendedAgentCard if v0 => "/card".to_owned(),
        Op::GetExtendedAgentCard => "/extendedAgentCard".to_owned(),
        Op::GetTask | Op::CancelTask | Op::SubscribeToTask => {
            let task = if v0 {
                resource(&take("name"))
            } else {
                format!("/{TASKS}/{}", escaped(&take("id")))
            };
            match operation {
                Op::CancelTask => format!("{task}:cancel"),
                Op::SubscribeToTask => format!("{task}:subscribe"),
                _ => task,
            }
        }
        Op::CreateTaskPushNotificationConfig | Op::ListTaskPushNotificationConfigs => {
            let task = match (v0, operation) {
                // 0.3 servers want it in the body as well.
                (true, Op::CreateTaskPushNotificationConfig) => {
                    let parent = take("parent");
                    let path = resource(&parent);
                    params.insert("parent".to_owned(), Value::from(parent));
                    path
                }
                (true, _) => resource(&take("parent")),
                (false, Op::CreateTaskPushNotificationConfig) => {
                    let task = take("taskId");
                    let path = format!("/{TASKS}/{}", escaped(&task));
                    params.insert("taskId".to_owned(), Value::from(task));
                    path
                }
                (false, _) => format!("/{TASKS}/{}", escaped(&take("taskId"))),
            };
            if task.ends_with(CONFIGS) {
                task
            } else {
                format!("{task}/{CONFIGS}")
            }
        }
        Op::GetTaskPushNotificationConfig | Op::DeleteTaskPushNotificationConfig if v0 => {
            resource(&take("name"))
        }
        Op::GetTaskPushNotificationConfig | Op::DeleteTaskPushNotificationConfig => {
            let task = take("taskId");
            format!(
                "/{TASKS}/{}/{CONFIGS}/{}",
                escaped(&task),
                escaped(&take("id"))
            )
        }
    };
    path.push_str(&resource);
    let (method, has_body) = match operation {
        Op::SendMessage
        | Op::SendStreamingMessage
        | Op::CancelTask
        | Op::CreateTaskPushNotificationConfig => (Method::POST, true),
        // 0.3 clients and servers GET, those of 1.0 POST.
        Op::SubscribeToTask if v0 => (Method::GET, false),
        Op::SubscribeToTask => (Method::POST, false),
        Op::DeleteTaskPushNotificationConfig => (Method::DELETE, false),
        Op::GetTask
        | Op::ListTasks
        | Op::GetExtendedAgentCard
        | Op::ListTaskPushNotificationConfigs
        | Op::GetTaskPushNotificationConfig => (Method::GET, false),
    };
    if has_body {
        return Outgoing {
            method,
            path,
            body: Some(Value::Object(params)),
        };
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut empty = true;
    for (name, value) in &params {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            // A query has no place for them.
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        query.append_pair(name, &value);
        empty = false;
    }
    if !empty {
        path.push('?');
        path.push_str(&query.finish());
    }
    Outgoing {
        method,
        path,
        body: None,
    }
}

/// The path of a resource name: its ids escaped, its slashes kept.
fn resource(name: &str) -> String {
    name.split('/')
        .map(|segment| {
            if segment == TASKS || segment == CONFIGS {
                format!("/{segment}")
            } else {
                format!("/{}", escaped(segment))
            }
        })
        .collect()
}

/// The status and the body of an error: a `google.rpc.Status` under `error` in 1.0 (§11.6), JSON-RPC's error object in
/// 0.3, which leaves the form free.
#[must_use]
pub fn encode_error(dialect: Dialect, error: &A2aError) -> (StatusCode, Value) {
    let (http, rpc) = status::of(error.kind);
    if dialect.version.is_v0() {
        return (http, jsonrpc::error_object(dialect, error));
    }
    let mut body = json!({
        "code": http.as_u16(),
        "status": rpc.name,
        "message": error.message,
    });
    if let Some(details) = v1_0::error_data(error) {
        body["details"] = details;
    }
    (http, json!({ "error": body }))
}

/// Reads an error's body; none where it does not look like one of the protocol's.
#[must_use]
pub fn decode_error(
    dialect: Dialect,
    operation: Operation,
    status: Option<StatusCode>,
    body: &Value,
) -> Option<A2aError> {
    let object = body.as_object()?;
    // 1.0 wraps it; 0.3 and `application/problem+json`, which some SDKs send, do not.
    let inner = match object.get("error") {
        Some(Value::Object(error)) => error,
        _ => object,
    };
    let message = ["message", "detail", "title"]
        .iter()
        .find_map(|name| inner.get(*name).and_then(Value::as_str))?;
    let details = inner.get("details").or_else(|| inner.get("data"));
    let code = inner.get("code").and_then(Value::as_i64);
    let names_task = !matches!(
        operation,
        Operation::SendMessage
            | Operation::SendStreamingMessage
            | Operation::ListTasks
            | Operation::GetExtendedAgentCard
    );
    let kind = jsonrpc::kind_by_reason(details)
        .or_else(|| {
            // Also the type of problem+json ends in the error's name, or the reason is a member of it.
            let reason = inner.get("reason").and_then(Value::as_str)?;
            jsonrpc::kind_of_reason(reason)
        })
        .or_else(|| {
            code.filter(|code| *code < 0)
                .map(|code| dialect.codec().error_kind(code, message, details))
        })
        .or_else(|| status::kind_of_http(status?, names_task))
        .or_else(|| status.is_none().then_some(ErrorKind::Internal))?;
    Some(A2aError {
        kind,
        message: message.to_owned(),
        data: details.filter(|details| !details.is_null()).cloned(),
    })
}

#[cfg(test)]
#[path = "http_json_tests.rs"]
mod tests;
