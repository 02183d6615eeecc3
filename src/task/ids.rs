//! Ids by which the worker and the requester know the same task and the same context, and their mapping in every
//! payload, in both directions.
//!
//! Only ids that equal the mapped one are changed; what is empty or absent stays so, and ids of other tasks pass. What a
//! worker puts into texts, `metadata` or members that the model does not know is its own and is left alone.

use crate::a2a::{Message, Object, PushConfig, Request, SendMessageRequest, StreamResponse, Task};

/// Two names of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// What it is called in the payload.
    pub from: String,
    /// What it is to be called.
    pub to: String,
}

/// The ids to be changed in payloads that go one way. [`IdMap::inverse`] is the way back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    /// The task's, where they differ.
    pub task: Option<Alias>,
    /// The context's, where they differ.
    pub context: Option<Alias>,
}

impl Alias {
    /// The alias, unless it would change nothing (equal names) or stand for nothing (an empty one).
    #[must_use]
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Option<Alias> {
        let (from, to) = (from.into(), to.into());
        (from != to && !from.is_empty() && !to.is_empty()).then_some(Alias { from, to })
    }

    fn apply(alias: Option<&Alias>, id: &mut String) {
        if let Some(alias) = alias
            && *id == alias.from
        {
            id.clone_from(&alias.to);
        }
    }
}

impl IdMap {
    /// From the worker's ids to the requester's.
    #[must_use]
    pub fn new(task: Option<Alias>, context: Option<Alias>) -> IdMap {
        IdMap { task, context }
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> IdMap {
        let turn = |alias: &Alias| Alias {
            from: alias.to.clone(),
            to: alias.from.clone(),
        };
        IdMap {
            task: self.task.as_ref().map(turn),
            context: self.context.as_ref().map(turn),
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.task.is_none() && self.context.is_none()
    }

    /// A task's id.
    pub fn map_task_id(&self, id: &mut String) {
        Alias::apply(self.task.as_ref(), id);
    }

    /// A context's id.
    pub fn map_context_id(&self, id: &mut String) {
        Alias::apply(self.context.as_ref(), id);
    }

    /// `contextId`, `taskId` and `referenceTaskIds`.
    pub fn map_message(&self, message: &mut Message) {
        if let Some(id) = &mut message.task_id {
            self.map_task_id(id);
        }
        if let Some(id) = &mut message.context_id {
            self.map_context_id(id);
        }
        for id in &mut message.reference_task_ids {
            self.map_task_id(id);
        }
    }

    /// The task's own ids, and those in its history and in its status's message.
    pub fn map_task(&self, task: &mut Task) {
        self.map_task_id(&mut task.id);
        self.map_context_id(&mut task.context_id);
        for message in task.history.iter_mut().chain(&mut task.status.message) {
            self.map_message(message);
        }
    }

    /// Whatever the event carries.
    pub fn map_event(&self, event: &mut StreamResponse) {
        match event {
            StreamResponse::Task(task) => self.map_task(task),
            StreamResponse::Message(message) => self.map_message(message),
            StreamResponse::StatusUpdate(update) => {
                self.map_task_id(&mut update.task_id);
                self.map_context_id(&mut update.context_id);
                if let Some(message) = &mut update.status.message {
                    self.map_message(message);
                }
            }
            StreamResponse::ArtifactUpdate(update) => {
                self.map_task_id(&mut update.task_id);
                self.map_context_id(&mut update.context_id);
            }
        }
    }

    /// The message's ids, and the task of the webhook inside the configuration.
    pub fn map_send(&self, send: &mut SendMessageRequest) {
        self.map_message(&mut send.message);
        if let Some(push) = send
            .configuration
            .as_mut()
            .and_then(|configuration| configuration.task_push_notification_config.as_mut())
        {
            self.map_push_config(push);
        }
    }

    /// The task that the webhook is for; the config's own id is not a task's.
    pub fn map_push_config(&self, push: &mut PushConfig) {
        self.map_task_id(&mut push.task_id);
    }

    /// Any request.
    pub fn map_request(&self, request: &mut Request) {
        match request {
            Request::SendMessage(send) | Request::SendStreamingMessage(send) => self.map_send(send),
            Request::GetTask(get) => self.map_task_id(&mut get.id),
            Request::ListTasks(filter) => self.map_filter(filter),
            Request::CancelTask(task)
            | Request::SubscribeToTask(task)
            | Request::ListPushConfigs(task) => self.map_task_id(&mut task.id),
            Request::CreatePushConfig(push) => self.map_push_config(push),
            Request::GetPushConfig(push) | Request::DeletePushConfig(push) => {
                self.map_task_id(&mut push.task_id);
            }
            Request::GetExtendedAgentCard(_) => {}
        }
    }

    /// The context that a listing is limited to, in both spellings that parsers of ProtoJSON take.
    fn map_filter(&self, filter: &mut Object) {
        for key in ["contextId", "context_id"] {
            if let Some(serde_json::Value::String(id)) = filter.get_mut(key) {
                self.map_context_id(id);
            }
        }
    }
}
