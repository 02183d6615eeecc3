//! Resource names (`tasks/T/pushNotificationConfigs/C`) and what 0.3 calls by them: tasks and registrations of webhooks.

use serde_json::{Value, json};

use super::confine;
use crate::a2a::dialect::shape;
use crate::a2a::dialect::{checks, json, v0};
use crate::a2a::fields::{self, Fault};
use crate::a2a::{Answer, Object, PushConfig};

/// `{name, pushNotificationConfig}`.
pub(super) fn down_registration(config: &PushConfig) -> Value {
    let id = config_id(config);
    let mut value = json!({
        "name": config_name(&config.task_id, id),
        "pushNotificationConfig": json(config),
    });
    if let Value::Object(registration) = &mut value {
        if let Some(Value::Object(inner)) = registration.get_mut("pushNotificationConfig") {
            v0::down::config(inner);
            inner.insert("id".to_owned(), Value::from(id));
        }
        confine("TaskPushNotificationConfig", registration);
    }
    value
}

pub(super) fn config_id(config: &PushConfig) -> &str {
    config.id.as_deref().unwrap_or(&config.task_id)
}

/// The flat registration, from `{parent, configId, config: {name, pushNotificationConfig}}` as the Python SDK writes it
/// or `{name, pushNotificationConfig}` as the JavaScript SDK does.
pub(super) fn up_registration(mut outer: Object) -> Result<Object, Fault> {
    let parent = fields::string(&mut outer, "parent", "")?;
    let config_id = fields::id(&mut outer, "configId", "config_id")?;
    if let Some(Value::Object(inner)) = fields::take(&mut outer, "config", "") {
        for (name, value) in inner {
            outer.entry(name).or_insert(value);
        }
    }
    let name = fields::string(&mut outer, "name", "")?;
    let mut flat = shape::flatten_config(outer);
    let named = name.as_deref().map(split_config);
    let task = parent
        .as_deref()
        .map(|parent| split_config(parent).0)
        .or_else(|| named.map(|(task, _)| task))
        .filter(|task| !task.is_empty());
    if let Some(task) = task {
        flat.insert("taskId".to_owned(), Value::from(task));
    }
    let has_id = flat.get("id").is_some_and(|id| id.as_str() != Some(""));
    let id = config_id
        .as_deref()
        .or_else(|| named.and_then(|(_, id)| id));
    if let Some(id) = id.filter(|_| !has_id) {
        flat.insert("id".to_owned(), Value::from(id));
    }
    Ok(flat)
}

pub(super) fn push_configs(mut page: Object) -> Result<Answer, Fault> {
    let next_page_token = fields::id(&mut page, "nextPageToken", "next_page_token")?;
    let configs = match fields::take(&mut page, "configs", "") {
        None => Vec::new(),
        Some(Value::Array(configs)) => configs,
        Some(_) => return Err(Fault::new("configs", "must be an array")),
    };
    let configs = configs
        .into_iter()
        .enumerate()
        .map(|(index, config)| {
            match config {
                Value::Object(config) => up_registration(config).and_then(shape::push_config),
                _ => Err(Fault::new("", "must be an object")),
            }
            .map_err(|fault| fault.within(&format!("configs[{index}]")))
        })
        .collect::<Result<_, _>>()?;
    Ok(Answer::PushConfigs {
        configs,
        next_page_token,
    })
}

pub(super) const TASKS: &str = "tasks/";
pub(super) const CONFIGS: &str = "/pushNotificationConfigs";
pub(super) const NAME_OF_TASK: &str = "must be tasks/{task}";
pub(super) const NAME_OF_CONFIG: &str = "must be tasks/{task}/pushNotificationConfigs/{config}";

pub(super) fn task_name(task: &str) -> String {
    format!("{TASKS}{task}")
}

pub(super) fn config_name(task: &str, config: &str) -> String {
    format!("{TASKS}{task}{CONFIGS}/{config}")
}

/// The task and, where there is one, the registration of a resource name. A name without `tasks/` is taken for the id:
/// some clients are that simple.
pub(super) fn split_config(name: &str) -> (&str, Option<&str>) {
    let name = name.strip_prefix(TASKS).unwrap_or(name);
    match name.split_once(CONFIGS) {
        Some((task, config)) => {
            let id = config.trim_start_matches('/');
            (task, (!id.is_empty()).then_some(id))
        }
        None => (name, None),
    }
}

/// Takes a task's id, by its resource name or as HTTP's path gives it.
pub(super) fn take_task(params: &mut Object) -> Result<String, Fault> {
    let mut id = None;
    for (name, alias) in [("name", "parent"), ("id", ""), ("taskId", "task_id")] {
        let found = fields::id(params, name, alias)?;
        id = id.or(found);
    }
    id.map(|name| split_config(&name).0.to_owned())
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Fault::new("name", NAME_OF_TASK))
}

/// Takes the ids of a registration and its task, by resource name or as HTTP's path gives them.
pub(super) fn take_config(params: &mut Object) -> Result<(String, Option<String>), Fault> {
    if let Some(name) = fields::id(params, "name", "")? {
        let (task, config) = split_config(&name);
        if task.is_empty() {
            return Err(Fault::new("name", NAME_OF_CONFIG));
        }
        return Ok((task.to_owned(), config.map(str::to_owned)));
    }
    let task = checks::take_id(params, "taskId", "task_id")?;
    Ok((task, fields::id(params, "id", "")?))
}
