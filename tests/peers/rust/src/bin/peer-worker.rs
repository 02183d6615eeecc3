//! A real server on the Rust SDK (protocol 1.0 only) over one binding, as it comes or restricted to one mode.
//!
//! The script is `scenarios.json`, as for the other workers. The restriction wraps the SDK's request handler, so that
//! the SDK's binding says what that refuses. Prints `READY url` once it listens: its HTTP address, which has the card and
//! the gates whatever the binding.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use a2a::{
    A2AError, AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Artifact,
    CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Message, Part,
    Role, SendMessageConfiguration, SendMessageRequest, SendMessageResponse, StreamResponse,
    SubscribeToTaskRequest, Task, TaskArtifactUpdateEvent, TaskPushNotificationConfig, TaskState,
    TaskStatus, TaskStatusUpdateEvent,
};
use a2a_pb::proto::a2a_service_server::A2aServiceServer;
use a2a_server::agent_card::agent_card_router;
use a2a_server::jsonrpc::jsonrpc_router;
use a2a_server::middleware::ServiceParams;
use a2a_server::rest::rest_router;
use a2a_server::task_store::TaskVersion;
use a2a_server::{
    AgentExecutor, DefaultRequestHandler, ExecutorContext, HttpPushSender, HttpPushSenderConfig,
    InMemoryPushConfigStore, InMemoryTaskStore, RequestHandler, StaticAgentCard, TaskStore,
};
use async_trait::async_trait;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use base64::Engine;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};

/// A task that nobody cancels ends by itself, as does a gate that nobody opens: longer than any cell's deadline.
const CANCEL_PATIENCE: Duration = Duration::from_secs(60);
const GATE_PATIENCE: Duration = Duration::from_secs(120);
/// Events of one turn that wait for the SDK to take them: it takes each at once.
const EVENTS_AHEAD: usize = 16;

/// Things that happen once and can be waited for, by name.
#[derive(Clone, Default)]
struct Latches(Arc<Mutex<HashMap<String, tokio::sync::watch::Sender<bool>>>>);

impl Latches {
    fn with<T>(&self, name: &str, then: impl FnOnce(&tokio::sync::watch::Sender<bool>) -> T) -> T {
        let mut latches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        then(latches.entry(name.to_owned()).or_default())
    }

    fn open(&self, name: &str) {
        self.with(name, |latch| latch.send_replace(true));
    }

    /// Whether it was opened within the bound.
    async fn within(&self, name: &str, bound: Duration) -> bool {
        let mut latch = self.with(name, |latch| latch.subscribe());
        let opened = timeout(bound, latch.wait_for(|open| *open)).await;
        matches!(opened, Ok(Ok(_)))
    }
}

/// What a task plays: its scenario, how many turns it has played, and its gate.
#[derive(Clone)]
struct Turn {
    scenario: String,
    played: usize,
    gate: Option<String>,
}

/// The scripted agent.
#[derive(Clone)]
struct Agent {
    scenarios: Arc<Value>,
    turns: Arc<Mutex<HashMap<String, Turn>>>,
    latches: Latches,
}

impl Agent {
    /// The steps of this turn: of a new task by the message's text, of a known one the next.
    fn steps(&self, task: &str, text: &str) -> (Vec<Value>, Option<String>) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(task.to_owned()).or_insert_with(|| Turn {
            scenario: text.split(' ').next().unwrap_or_default().to_owned(),
            played: 0,
            gate: text
                .split(' ')
                .find_map(|word| word.strip_prefix("gate="))
                .map(str::to_owned),
        });
        let steps = self.scenarios[&turn.scenario][turn.played].as_array();
        turn.played += 1;
        (steps.cloned().unwrap_or_default(), turn.gate.clone())
    }

    async fn play(self, context: ExecutorContext, events: mpsc::Sender<Event>) {
        let (task, of) = context.task_info();
        let message = context
            .message
            .unwrap_or_else(|| Message::new(Role::User, Vec::new()));
        let (steps, gate) = self.steps(&task, message.text().unwrap_or_default());
        let bare = steps
            .first()
            .is_some_and(|step| step["message"].is_string());
        if context
            .stored_task
            .is_none_or(|stored| stored.status.state == TaskState::Submitted)
            && !bare
        {
            let event = StreamResponse::Task(Task {
                id: task.clone(),
                context_id: of.clone(),
                status: status_of(TaskState::Submitted, None),
                artifacts: None,
                history: Some(vec![message]),
                metadata: None,
            });
            if events.send(Ok(event)).await.is_err() {
                return;
            }
        }
        for step in &steps {
            let event = if let Some(state) = step["status"].as_str() {
                let text = [json!({"text": step["text"]})];
                let parts = text
                    .iter()
                    .chain(step["parts"].as_array().into_iter().flatten());
                status_update(&task, &of, state_of(state), parts.map(part).collect())
            } else if step["artifact"].is_object() {
                artifact_update(&task, &of, &step["artifact"])
            } else if let Some(text) = step["message"].as_str() {
                let mut answer = Message::new(Role::Agent, vec![Part::text(text)]);
                answer.context_id = Some(of.clone());
                StreamResponse::Message(answer)
            } else {
                if let Some(pause) = step["pause_ms"].as_u64() {
                    sleep(Duration::from_millis(pause)).await;
                } else if step["gate"].is_boolean() {
                    if let Some(gate) = &gate {
                        self.latches
                            .within(&format!("gate {gate}"), GATE_PATIENCE)
                            .await;
                    }
                } else if self
                    .latches
                    .within(&format!("cancel {task}"), CANCEL_PATIENCE)
                    .await
                {
                    return; // `cancel` publishes the end
                }
                continue;
            };
            if events.send(Ok(event)).await.is_err() {
                return;
            }
        }
    }
}

type Event = Result<StreamResponse, A2AError>;

impl AgentExecutor for Agent {
    fn execute(&self, context: ExecutorContext) -> BoxStream<'static, Event> {
        let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
        tokio::spawn(self.clone().play(context, sender));
        ReceiverStream::new(receiver).boxed()
    }

    fn cancel(&self, context: ExecutorContext) -> BoxStream<'static, Event> {
        let (task, of) = context.task_info();
        self.latches.open(&format!("cancel {task}"));
        let parts = vec![Part::text("cancel: stopped")];
        stream::iter([Ok(status_update(&task, &of, TaskState::Canceled, parts))]).boxed()
    }
}

fn state_of(name: &str) -> TaskState {
    let name = format!("TASK_STATE_{}", name.to_uppercase().replace('-', "_"));
    serde_json::from_value(Value::String(name)).unwrap_or_default()
}

fn status_of(state: TaskState, message: Option<Message>) -> TaskStatus {
    TaskStatus {
        state,
        message,
        timestamp: None,
    } // the SDK writes the time
}

fn status_update(task: &str, of: &str, state: TaskState, parts: Vec<Part>) -> StreamResponse {
    let mut message = Message::new(Role::Agent, parts);
    message.task_id = Some(task.to_owned());
    message.context_id = Some(of.to_owned());
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: task.to_owned(),
        context_id: of.to_owned(),
        status: status_of(state, Some(message)),
        metadata: None,
    })
}

fn artifact_update(task: &str, of: &str, spec: &Value) -> StreamResponse {
    let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
        task_id: task.to_owned(),
        context_id: of.to_owned(),
        artifact: Artifact {
            artifact_id: text("id"),
            name: Some(text("name")),
            description: None,
            parts: spec["parts"]
                .as_array()
                .into_iter()
                .flatten()
                .map(part)
                .collect(),
            metadata: None,
            extensions: None,
        },
        append: spec["append"].as_bool(),
        last_chunk: spec["last"].as_bool(),
        metadata: None,
    })
}

fn part(spec: &Value) -> Part {
    let mut part = if let Some(bytes) = spec["bytes"].as_str() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(bytes);
        Part::raw(bytes.unwrap_or_default())
    } else if let Some(url) = spec["url"].as_str() {
        Part::url(url)
    } else if spec["data"].is_object() {
        Part::data(spec["data"].clone())
    } else {
        Part::text(spec["text"].as_str().unwrap_or_default())
    };
    part.media_type = spec["media"].as_str().map(str::to_owned);
    part.filename = spec["name"].as_str().map(str::to_owned);
    part
}

/// A store that keeps a status message in the history once the next has come, as those of the other SDKs do; this
/// SDK's forgets it, and then no poller could know it.
struct Remembering(InMemoryTaskStore);

#[async_trait]
impl TaskStore for Remembering {
    async fn create(&self, task: Task) -> Result<TaskVersion, A2AError> {
        self.0.create(task).await
    }

    async fn update(&self, mut task: Task) -> Result<TaskVersion, A2AError> {
        if let Some(before) = self.0.get(&task.id).await? {
            let now = task
                .status
                .message
                .as_ref()
                .map(|message| &message.message_id);
            let superseded = before
                .status
                .message
                .filter(|message| Some(&message.message_id) != now);
            let mut history = before.history.unwrap_or_default();
            for message in superseded
                .into_iter()
                .chain(task.history.unwrap_or_default())
            {
                if history
                    .iter()
                    .all(|known| known.message_id != message.message_id)
                {
                    history.push(message);
                }
            }
            task.history = Some(history);
        }
        self.0.update(task).await
    }

    async fn get(&self, task: &str) -> Result<Option<Task>, A2AError> {
        self.0.get(task).await
    }

    async fn list(&self, request: &ListTasksRequest) -> Result<ListTasksResponse, A2AError> {
        self.0.list(request).await
    }

    async fn begin_cancel(&self, task: &str) -> Result<Task, A2AError> {
        self.0.begin_cancel(task).await
    }
}

/// What a worker offers.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Send,
    Stream,
    Get,
    Push,
}

/// Leaves the SDK's request handler only one mode.
struct Limited {
    handler: DefaultRequestHandler,
    mode: String,
}

impl Limited {
    fn offers(&self, kind: Kind) -> bool {
        match self.mode.as_str() {
            "blocking" => kind == Kind::Send,
            "poll" => matches!(kind, Kind::Send | Kind::Get),
            "stream" => matches!(kind, Kind::Stream | Kind::Get),
            "push" => kind != Kind::Stream,
            _ => true,
        }
    }

    fn check(&self, kind: Kind) -> Result<&DefaultRequestHandler, A2AError> {
        match self.offers(kind) {
            true => Ok(&self.handler),
            false => Err(A2AError::unsupported_operation(
                "this worker does not offer it",
            )),
        }
    }
}

#[async_trait]
impl RequestHandler for Limited {
    async fn send_message(
        &self,
        params: &ServiceParams,
        mut request: SendMessageRequest,
    ) -> Result<SendMessageResponse, A2AError> {
        if self.mode != "any" {
            let none = SendMessageConfiguration {
                accepted_output_modes: None,
                task_push_notification_config: None,
                history_length: None,
                return_immediately: None,
            };
            let configuration = request.configuration.get_or_insert(none);
            configuration.return_immediately = Some(self.mode != "blocking");
        }
        self.check(Kind::Send)?.send_message(params, request).await
    }

    async fn send_streaming_message(
        &self,
        params: &ServiceParams,
        request: SendMessageRequest,
    ) -> Result<BoxStream<'static, Event>, A2AError> {
        self.check(Kind::Stream)?
            .send_streaming_message(params, request)
            .await
    }

    async fn get_task(
        &self,
        params: &ServiceParams,
        request: GetTaskRequest,
    ) -> Result<Task, A2AError> {
        self.check(Kind::Get)?.get_task(params, request).await
    }

    async fn list_tasks(
        &self,
        params: &ServiceParams,
        request: ListTasksRequest,
    ) -> Result<ListTasksResponse, A2AError> {
        self.check(Kind::Get)?.list_tasks(params, request).await
    }

    async fn cancel_task(
        &self,
        params: &ServiceParams,
        request: CancelTaskRequest,
    ) -> Result<Task, A2AError> {
        self.handler.cancel_task(params, request).await
    }

    async fn subscribe_to_task(
        &self,
        params: &ServiceParams,
        request: SubscribeToTaskRequest,
    ) -> Result<BoxStream<'static, Event>, A2AError> {
        self.check(Kind::Stream)?
            .subscribe_to_task(params, request)
            .await
    }

    async fn create_push_config(
        &self,
        params: &ServiceParams,
        request: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2AError> {
        self.check(Kind::Push)?
            .create_push_config(params, request)
            .await
    }

    async fn get_push_config(
        &self,
        params: &ServiceParams,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2AError> {
        self.check(Kind::Push)?
            .get_push_config(params, request)
            .await
    }

    async fn list_push_configs(
        &self,
        params: &ServiceParams,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2AError> {
        self.check(Kind::Push)?
            .list_push_configs(params, request)
            .await
    }

    async fn delete_push_config(
        &self,
        params: &ServiceParams,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2AError> {
        self.check(Kind::Push)?
            .delete_push_config(params, request)
            .await
    }

    async fn get_extended_agent_card(
        &self,
        params: &ServiceParams,
        request: GetExtendedAgentCardRequest,
    ) -> Result<AgentCard, A2AError> {
        self.handler.get_extended_agent_card(params, request).await
    }
}

/// The value after `--name`.
fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn card(binding: &str, interface: AgentInterface, capabilities: AgentCapabilities) -> AgentCard {
    AgentCard {
        name: format!("peer worker rust-v1 over {binding}"),
        description: "scripted worker".to_owned(),
        version: "1.0.0".to_owned(),
        supported_interfaces: vec![interface],
        capabilities,
        default_input_modes: vec!["text/plain".to_owned()],
        default_output_modes: vec!["text/plain".to_owned()],
        skills: vec![AgentSkill {
            id: "script".to_owned(),
            name: "script".to_owned(),
            description: "plays scenarios".to_owned(),
            tags: vec!["test".to_owned()],
            examples: None,
            input_modes: None,
            output_modes: None,
            security_requirements: None,
        }],
        provider: None,
        documentation_url: None,
        icon_url: None,
        security_schemes: None,
        security_requirements: None,
        signatures: None,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mode = argument("--restrict").ok_or("--restrict is missing")?;
    let binding = argument("--binding").unwrap_or_else(|| "jsonrpc".to_owned());
    if !["blocking", "poll", "stream", "push", "any"].contains(&mode.as_str()) {
        return Err(format!("no restriction is called {mode}").into());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let latches = Latches::default();
    let agent = Agent {
        scenarios: Arc::new(serde_json::from_str(include_str!(
            "../../../scenarios.json"
        ))?),
        turns: Arc::default(),
        latches: latches.clone(),
    };
    let pushes = ["push", "any"].contains(&mode.as_str());
    let capabilities = AgentCapabilities {
        streaming: Some(["stream", "any"].contains(&mode.as_str())),
        push_notifications: Some(pushes),
        extensions: None,
        extended_agent_card: None,
    };
    let mut handler = DefaultRequestHandler::new(agent, Remembering(InMemoryTaskStore::new()))
        .with_capabilities(capabilities.clone());
    if pushes {
        // The requesters and the sidecar are on this machine.
        let sender = HttpPushSender::new(Some(HttpPushSenderConfig {
            validate_urls: false,
            ..HttpPushSenderConfig::default()
        }));
        handler = handler.with_push_notifications(InMemoryPushConfigStore::new(), sender);
    }
    let handler = Arc::new(Limited { handler, mode });
    let (interface, routes) = match binding.as_str() {
        "jsonrpc" => (
            AgentInterface::new(format!("{url}/"), "JSONRPC"),
            jsonrpc_router(handler),
        ),
        "http" => (
            AgentInterface::new(url.clone(), "HTTP+JSON"),
            rest_router(handler),
        ),
        "grpc" => {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?.to_string();
            let service = A2aServiceServer::new(a2a_grpc::GrpcHandler::new(handler));
            let serving = tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::spawn(serving);
            (AgentInterface::new(address, "GRPC"), Router::new())
        }
        other => return Err(format!("no binding is called {other}").into()),
    };
    let open = move |Path(key): Path<String>| async move {
        latches.open(&format!("gate {key}"));
        Ok::<_, Infallible>(StatusCode::NO_CONTENT)
    };
    let producer = Arc::new(StaticAgentCard::new(card(
        &binding,
        interface,
        capabilities,
    )));
    let app = routes
        .merge(agent_card_router(producer))
        .route("/gate/{key}", axum::routing::post(open));
    println!("READY {url}");
    axum::serve(listener, app).await?;
    Ok(())
}
