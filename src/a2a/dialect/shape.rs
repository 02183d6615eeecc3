//! Which of the four things an object is, and how it is wrapped: what workers send does not always say so in the
//! way their version should, so every decoder of answers, frames and webhooks asks here.

use serde_json::Value;

use crate::a2a::fields::{self, Fault, Model};
use crate::a2a::{Answer, Object, Operation, PushConfig, StreamResponse};

/// One of the four things that a stream can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A task.
    Task,
    /// A message.
    Message,
    /// A status update.
    StatusUpdate,
    /// An artifact update.
    ArtifactUpdate,
}

/// 1.0's member names, their other spellings, and 0.x's `kind`.
const NAMES: [(Shape, [&str; 2], &str); 4] = [
    (Shape::Task, ["task", "task"], "task"),
    (Shape::Message, ["message", "msg"], "message"),
    (
        Shape::StatusUpdate,
        ["statusUpdate", "status_update"],
        "status-update",
    ),
    (
        Shape::ArtifactUpdate,
        ["artifactUpdate", "artifact_update"],
        "artifact-update",
    ),
];

impl Shape {
    /// Every one.
    pub(super) const ALL: [Shape; 4] = [
        Shape::Task,
        Shape::Message,
        Shape::StatusUpdate,
        Shape::ArtifactUpdate,
    ];

    /// The member of 1.0's wrapper.
    pub(super) fn member(self) -> &'static str {
        NAMES
            .iter()
            .find(|(shape, ..)| *shape == self)
            .map_or("task", |(_, [name, _], _)| name)
    }

    /// The `kind` of 0.x.
    pub(super) fn kind(self) -> &'static str {
        NAMES
            .iter()
            .find(|(shape, ..)| *shape == self)
            .map_or("task", |(_, _, kind)| kind)
    }

    fn from_kind(kind: &str) -> Option<Shape> {
        NAMES
            .iter()
            .find(|(_, _, name)| *name == kind)
            .map(|(shape, ..)| *shape)
    }

    /// Reads an object of this shape in the canonical form.
    pub(super) fn read(self, object: Object) -> Result<StreamResponse, Fault> {
        let event = match self {
            Shape::Task => StreamResponse::Task(Model::from_object(object)?),
            Shape::Message => StreamResponse::Message(Model::from_object(object)?),
            Shape::StatusUpdate => StreamResponse::StatusUpdate(Model::from_object(object)?),
            Shape::ArtifactUpdate => StreamResponse::ArtifactUpdate(Model::from_object(object)?),
        };
        // Without it nobody could say what the event is about. (A message need not be about a task.)
        match &event {
            StreamResponse::Task(task) if task.id.is_empty() => {
                Err(Fault::new("id", "is required"))
            }
            StreamResponse::StatusUpdate(update) if update.task_id.is_empty() => {
                Err(Fault::new("taskId", "is required"))
            }
            StreamResponse::ArtifactUpdate(update) if update.task_id.is_empty() => {
                Err(Fault::new("taskId", "is required"))
            }
            _ => Ok(event),
        }
    }
}

/// How an object was told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As the member of a wrapper: 1.0.
    Wrapped,
    /// By `kind`: 0.x.
    Kind,
    /// By its members: somebody left the mark out.
    Guessed,
}

/// Says what an object is and takes it out of its wrapper.
pub(super) fn open(mut object: Object) -> Result<(Shape, Object, Form), Fault> {
    if let Some(shape) = object
        .get("kind")
        .and_then(Value::as_str)
        .and_then(Shape::from_kind)
    {
        return Ok((shape, object, Form::Kind));
    }
    let about_task = object.contains_key("taskId") || object.contains_key("task_id");
    // Before the wrappers, since a bare task may well have an unknown member called `message`.
    let shape = if about_task && object.contains_key("artifact") {
        Some(Shape::ArtifactUpdate)
    } else if object.contains_key("parts") {
        Some(Shape::Message)
    } else if object.contains_key("id") && object.contains_key("status") {
        Some(Shape::Task)
    } else if about_task && object.contains_key("status") {
        Some(Shape::StatusUpdate)
    } else {
        None
    };
    if let Some(shape) = shape {
        return Ok((shape, object, Form::Guessed));
    }
    for (shape, names, _) in NAMES {
        for name in names {
            if object.get(name).is_some_and(Value::is_object)
                && let Some(Value::Object(inner)) = object.remove(name)
            {
                return Ok((shape, inner, Form::Wrapped));
            }
        }
    }
    Err(Fault::new(
        "",
        "is neither a task nor a message nor an update of one",
    ))
}

/// The flat registration of 1.0, from that or from one of the nested forms: 0.x's
/// `{taskId, pushNotificationConfig}`, the early 1.0 drafts' `{taskId, configId, config}`.
/// Members of the outer object that the inner has not are kept.
pub(super) fn flatten_config(mut outer: Object) -> Object {
    for name in [
        "pushNotificationConfig",
        "push_notification_config",
        "config",
    ] {
        if outer.get(name).is_some_and(Value::is_object)
            && let Some(Value::Object(mut inner)) = outer.remove(name)
        {
            if let Some(id) = outer.remove("configId") {
                inner.entry("id").or_insert(id);
            }
            // The task is the outer object's to name; anything else only where the inner is silent.
            for task in ["taskId", "task_id"] {
                if let Some(id) = outer.remove(task) {
                    inner.insert("taskId".to_owned(), id);
                }
            }
            for (name, value) in outer {
                inner.entry(name).or_insert(value);
            }
            return inner;
        }
    }
    outer
}

/// Reads the result of a call by what it looks like; `event` reads what is a task or a message.
pub(super) fn answer(
    operation: Operation,
    result: Value,
    event: impl FnOnce(Object) -> Result<StreamResponse, Fault>,
) -> Result<Answer, Fault> {
    let object = match (operation, result) {
        (Operation::DeleteTaskPushNotificationConfig, _) => return Ok(Answer::Empty),
        (Operation::GetExtendedAgentCard, card @ Value::Object(_)) => {
            return Ok(Answer::Card(card));
        }
        (Operation::ListTaskPushNotificationConfigs, result) => return push_configs(result),
        (_, Value::Object(object)) => object,
        _ => return Err(Fault::new("", "must be an object")),
    };
    match operation {
        Operation::ListTasks => Ok(Answer::Tasks(object)),
        Operation::CreateTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            push_config(object).map(Answer::PushConfig)
        }
        _ => match event(object)? {
            StreamResponse::Task(task) => Ok(Answer::Task(task)),
            StreamResponse::Message(message) if operation.sends() => Ok(Answer::Message(message)),
            _ => Err(Fault::new("", "is no task")),
        },
    }
}

/// Reads a registration, which must have a URL.
pub(super) fn push_config(object: Object) -> Result<PushConfig, Fault> {
    let config: PushConfig = fields::Model::from_object(flatten_config(object))?;
    if config.url.is_empty() {
        return Err(Fault::new("url", "is required"));
    }
    Ok(config)
}

/// A bare list in 0.x, an object in 1.0; either is taken from either.
fn push_configs(result: Value) -> Result<Answer, Fault> {
    let (configs, next_page_token) = match result {
        Value::Null => (Vec::new(), None),
        Value::Array(configs) => (configs, None),
        Value::Object(mut page) => {
            let token = fields::string(&mut page, "nextPageToken", "next_page_token")?;
            match fields::take(&mut page, "configs", "") {
                None => (Vec::new(), token),
                Some(Value::Array(configs)) => (configs, token),
                Some(_) => return Err(Fault::new("configs", "must be an array")),
            }
        }
        _ => return Err(Fault::new("", "must be a list")),
    };
    let configs = configs
        .into_iter()
        .enumerate()
        .map(|(index, config)| {
            match config {
                Value::Object(config) => push_config(config),
                _ => Err(Fault::new("", "must be an object")),
            }
            .map_err(|fault| fault.within(&format!("[{index}]")))
        })
        .collect::<Result<_, _>>()?;
    Ok(Answer::PushConfigs {
        configs,
        next_page_token: next_page_token.filter(|token| !token.is_empty()),
    })
}
