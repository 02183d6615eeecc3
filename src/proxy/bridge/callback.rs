//! Callbacks, both ways. What a requester's send says of one is taken out of it, since the worker has no business with it,
//! and becomes a registration that comes with the task; what is sent later, and how, is [`crate::sink::callback`]'s. And
//! what a worker sends back is taken in here; what becomes of it is [`crate::source::callback`]'s.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::respond::Ready;
use super::send::kept;
use super::{Asked, Shared, status_of, unsupported};
use crate::a2a::callback::{CALLBACK_TASK, Callback, EXTENSION, Form};
use crate::a2a::error::ErrorKind;
use crate::a2a::extension::asks_for_callbacks;
use crate::a2a::fields::Fault;
use crate::a2a::request::Answer;
use crate::a2a::{A2aError, Object, Role, SendMessageRequest, Task, TaskState, TaskStatus};
use crate::proxy::error::Error;
use crate::sink::callback::validate;
use crate::source::{First, Mode, PushOrder, Turn};
use crate::store::push::Config;
use crate::wire::Body;

/// A callback that comes with a send.
pub(super) struct CallbackOrder {
    form: CallbackForm,
    /// What is registered.
    pub(super) order: PushOrder,
}

/// How a requester asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallbackForm {
    /// As python_a2a does: the send is acknowledged, and nothing more.
    Task,
    /// By the extension.
    Message,
}

impl CallbackOrder {
    pub(super) fn form(&self) -> CallbackForm {
        self.form
    }
}

impl Shared {
    /// Takes what asks for a callback out of a send.
    pub(super) fn take_callback(
        &self,
        asked: &Asked,
        send: &mut SendMessageRequest,
    ) -> Result<Option<CallbackOrder>, Error> {
        let dialect = asked.call.dialect;
        // The forms whose requesters make the task's id are those in which a send is a task, with metadata of its own.
        let (form, key) = if dialect.traits().client_ids {
            (CallbackForm::Task, CALLBACK_TASK)
        } else if asks_for_callbacks(asked.headers()) {
            (CallbackForm::Message, EXTENSION)
        } else {
            return Ok(None);
        };
        let value = take(&mut send.metadata, key).or_else(|| take(&mut send.message.metadata, key));
        let Some(value) = value else {
            return Ok(None);
        };
        if !asked.route.offers(Mode::Callback) {
            return Err(unsupported("Callbacks are not offered on this route.").into());
        }
        let read = match form {
            CallbackForm::Task => Callback::of_task(value).map(|callback| (callback, dialect)),
            CallbackForm::Message => Callback::of_extension(value),
        };
        let (callback, dialect) = read.map_err(|fault| wrong(key, fault))?;
        debug_assert_eq!(
            matches!(callback.form, Form::Task(_)),
            form == CallbackForm::Task
        );
        validate(&callback, dialect, &self.addresses).map_err(|error| {
            A2aError::new(
                ErrorKind::InvalidParams,
                format!("The callback cannot be served: {error}"),
            )
        })?;
        let order = PushOrder {
            // Not to be guessed, so that no requester's push config ever has the same.
            id: format!("callback-{}", Uuid::new_v4()),
            dialect,
            config: Config::Callback(callback),
        };
        Ok(Some(CallbackOrder { form, order }))
    }

    /// Sends, and answers with the task as one that has been taken up, however far it is: the outcome comes by the
    /// callback, and a requester that were told it twice might act on it twice.
    pub(super) async fn send_and_acknowledge(
        &self,
        asked: Asked,
        turn: Box<Turn>,
    ) -> Result<Response<Body>, Error> {
        match self.sources.begin(turn).await? {
            First::Message { message, .. } => {
                Ok(Ready::new(&asked, &Answer::Message(*message)).into_response())
            }
            First::Task { key, .. } => {
                asked.note.task(&key.id);
                let record = kept(&self.sources, &key).await?;
                let answer = Answer::Task(taken_up(&record.task));
                Ok(Ready::new(&asked, &answer).into_response())
            }
        }
    }
}

impl Shared {
    /// Takes in a worker's callback and answers as python_a2a's client needs it: with JSON, or it sends the same again.
    /// Whoever looks for a card here finds none, which is as good to that client, and says nothing of tokens.
    pub(super) async fn called_back(
        &self,
        token: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Body>, Error> {
        let Some(body) = body else {
            return Ok(json_response(StatusCode::NOT_FOUND, &json!({})));
        };
        let upstream = |route: &str| self.routes.named(route).map(|route| route.upstream.clone());
        let received = self.sources.receive_callback(token, &body, upstream).await;
        let status = status_of(received)?;
        let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
        Ok(json_response(status, &acknowledged(sent, status)))
    }
}

/// The answer to a task that was sent, bare or in an envelope as it came: the same task, completed.
fn acknowledged(mut sent: Value, status: StatusCode) -> Value {
    let enveloped = sent.get("jsonrpc").is_some();
    let id = sent.get("id").cloned().unwrap_or_default();
    if !status.is_success() {
        let error = json!({ "code": -32000, "message": "The callback was not taken." });
        return json!({ "jsonrpc": "2.0", "id": id, "error": error });
    }
    let mut task = if enveloped {
        sent.get_mut("params").map(Value::take).unwrap_or_default()
    } else {
        sent
    };
    if let Value::Object(task) = &mut task {
        task.insert("status".to_owned(), json!({ "state": "completed" }));
    }
    if enveloped {
        json!({ "jsonrpc": "2.0", "id": id, "result": task })
    } else {
        task
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn taken_up(task: &Task) -> Task {
    Task {
        status: TaskStatus {
            state: TaskState::Working,
            timestamp: task.status.timestamp.clone(),
            ..TaskStatus::default()
        },
        history: task
            .history
            .iter()
            .take_while(|message| message.role == Role::User)
            .cloned()
            .collect(),
        artifacts: Vec::new(),
        ..task.clone()
    }
}

/// A member of metadata, which it leaves.
fn take(metadata: &mut Option<Box<Object>>, key: &str) -> Option<Value> {
    let members = metadata.as_mut()?;
    let value = members.remove(key).filter(|value| !value.is_null());
    if members.is_empty() {
        *metadata = None;
    }
    value
}

fn wrong(key: &str, fault: Fault) -> A2aError {
    A2aError::new(
        ErrorKind::InvalidParams,
        format!("The callback cannot be served: {}", fault.within(key)),
    )
}
