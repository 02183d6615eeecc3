//! The worker's front: takes requests, lets the faults happen, and does the operations of its version.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Cancel;
use super::deliver::config_from;
use super::fault::{Fault, Shape};
use super::script::{Mode, Step, is_bare};
use super::shared::{Inner, Recorded, Shared};
use super::stream::{OpenStream, Plan, pump};
use super::tasks::{Config, TaskRecord};
use crate::support::http::{Body, Cut};
use crate::support::protocol::{Op, State, Version, code, message, text_of};

/// A JSON-RPC error: code and message.
type RpcError = (i64, String);

/// What an operation comes to.
enum Outcome {
    Result(Value),
    Stream(Plan),
}

/// What a message begins.
enum Begun {
    /// A message will be the answer: these steps lead to it.
    Bare(Vec<Step>),
    Task {
        id: String,
        first: Value,
        cursor: usize,
    },
}

/// Answers one request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    request: Request<Bytes>,
) -> Result<Response<Body>, Cut> {
    let version = shared.settings.version;
    let path = request.uri().path().to_owned();
    let is_card = request.method() == Method::GET
        && (path == version.card_path()
            || (version == Version::V03 && path == Version::V02.card_path()));
    if !is_card && request.method() != Method::POST {
        return Ok(plain(StatusCode::NOT_FOUND, "nothing here"));
    }
    let (parts, body) = request.into_parts();
    let parsed: Result<Value, _> = serde_json::from_slice(&body);
    let json = parsed.as_ref().ok().cloned().unwrap_or_default();
    let method = json["method"].as_str().unwrap_or(&path).to_owned();
    let op = if is_card {
        Some(Op::Card)
    } else {
        Op::from_method(version, &method)
    };
    let strict = version.is_v1() && shared.settings.strict_version && !is_card;
    let right_version = !strict
        || parts
            .headers
            .get("a2a-version")
            .is_some_and(|value| value.as_bytes().starts_with(b"1."));
    let caller = parts
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let (instead, shape) = {
        let mut inner = shared.lock();
        inner.requests.push(Recorded {
            op,
            method: method.clone(),
            path,
            headers: parts.headers,
            body,
            json: json.clone(),
            at: Instant::now(),
        });
        inner.meet_faults(op)
    };
    shared.changes.note();
    let waiting = Waiting::new(&shared, op);

    let id = json["id"].clone();
    let (quietly, close) = match instead {
        None => (false, false),
        Some(Fault::DoAndHang) => (true, false),
        Some(Fault::DoAndClose) => (true, true),
        Some(fault) => {
            let answer = answer_instead(fault, shape, &id).await;
            waiting.answered();
            return answer;
        }
    };
    let outcome = if parsed.is_err() && !is_card {
        Err((code::PARSE, "not JSON".to_owned()))
    } else if !right_version {
        Err((
            code::VERSION_NOT_SUPPORTED,
            "A2A-Version: 1.0 is missing".to_owned(),
        ))
    } else {
        match op {
            Some(Op::Card) => {
                let card = shared.lock().card.clone();
                waiting.answered();
                return Ok(shape.json(StatusCode::OK, card));
            }
            Some(op) => operate(&shared, op, &json["params"], &caller).await,
            None => Err((code::METHOD_NOT_FOUND, format!("no method {method}"))),
        }
    };
    if quietly && close {
        waiting.answered();
        return Err(Cut);
    }
    if quietly {
        return std::future::pending().await;
    }
    waiting.answered();
    Ok(answer(&shared, op, outcome, shape, id))
}

fn answer(
    shared: &Arc<Shared>,
    op: Option<Op>,
    outcome: Result<Outcome, RpcError>,
    shape: Shape,
    id: Value,
) -> Response<Body> {
    match (outcome, op) {
        (Ok(Outcome::Stream(plan)), Some(op)) => {
            let (response, writer) = shape.stream();
            let open = OpenStream::new(shared, op);
            tokio::spawn(pump(open, writer, id, plan));
            response
        }
        (Ok(Outcome::Stream(_)), None) => unreachable!("a stream comes from an operation"),
        (Ok(Outcome::Result(result)), _) => {
            let body = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            shape.json(StatusCode::OK, body)
        }
        (Err(error), Some(op @ (Op::Stream | Op::Subscribe)))
            if !shared.settings.version.is_v1() =>
        {
            // The 0.x SDKs open the stream first and put the error into it.
            let (response, mut writer) = shape.stream();
            let open = OpenStream::new(shared, op);
            tokio::spawn(async move {
                let _ = writer.event(error_body(&id, &error)).await;
                drop(open);
            });
            response
        }
        (Err(error), _) => shape.json(StatusCode::OK, error_body(&id, &error)),
    }
}

fn error_body(id: &Value, (code, message): &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::whole(text.to_owned()))
        .unwrap()
}

async fn answer_instead(fault: Fault, shape: Shape, id: &Value) -> Result<Response<Body>, Cut> {
    match fault {
        Fault::Status {
            status,
            headers,
            body,
        } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Body::whole(body)).unwrap())
        }
        Fault::Rpc(code, message) => {
            Ok(shape.json(StatusCode::OK, error_body(id, &(code, message))))
        }
        Fault::Hang => std::future::pending().await,
        _ => Err(Cut),
    }
}

async fn operate(
    shared: &Arc<Shared>,
    op: Op,
    params: &Value,
    caller: &str,
) -> Result<Outcome, RpcError> {
    let task_id = params["id"].as_str().unwrap_or_default();
    let named = [
        &params["taskId"],
        &params["id"],
        &params["message"]["taskId"],
    ];
    if let Some(hidden) = named
        .into_iter()
        .filter_map(Value::as_str)
        .find(|id| shared.lock().hides(id, caller))
    {
        return Err((code::TASK_NOT_FOUND, format!("no task {hidden}")));
    }
    match op {
        Op::Send => send(shared, params, caller).await.map(Outcome::Result),
        Op::Stream => stream(shared, params, caller).await.map(Outcome::Stream),
        Op::Subscribe => subscribe(shared, task_id).map(Outcome::Stream),
        Op::Get if shared.settings.get_task => {
            let inner = shared.lock();
            let task = find(&inner, task_id)?;
            Ok(Outcome::Result(
                task.snapshot(params["historyLength"].as_u64()),
            ))
        }
        Op::Get => Err((code::METHOD_NOT_FOUND, "no GetTask here".to_owned())),
        Op::List => Ok(Outcome::Result(list(&shared.lock(), params))),
        Op::Cancel => cancel(shared, task_id).map(Outcome::Result),
        Op::PushSet | Op::PushGet | Op::PushList | Op::PushDelete => {
            push_operation(shared, op, params).map(Outcome::Result)
        }
        Op::Card => Err((code::METHOD_NOT_FOUND, "the card is no method".to_owned())),
    }
}

fn find<'a>(inner: &'a Inner, id: &str) -> Result<&'a TaskRecord, RpcError> {
    inner
        .tasks
        .get(id)
        .ok_or_else(|| (code::TASK_NOT_FOUND, format!("no task {id}")))
}

/// Takes in a message: begins a task or goes on with one.
fn begin(shared: &Arc<Shared>, params: &Value, caller: &str) -> Result<Begun, RpcError> {
    let version = shared.settings.version;
    let message = &params["message"];
    if !message["parts"].is_array() {
        return Err((code::INVALID_PARAMS, "no message with parts".to_owned()));
    }
    let text = text_of(message);
    let mut inner = shared.lock();
    let inner = &mut *inner;
    let known = message["taskId"].as_str().unwrap_or_default();
    let id = if known.is_empty() {
        let steps = inner.script_or_echo(&text);
        if is_bare(&steps) {
            return Ok(Begun::Bare(steps));
        }
        let id = inner.new_id("task");
        let context = match message["contextId"].as_str() {
            Some(context) => context.to_owned(),
            None => inner.new_id("context"),
        };
        let mut task = TaskRecord::new(version, id.clone(), context);
        task.steps = steps.into();
        inner.order.push(id.clone());
        inner.show(&id, caller);
        inner.tasks.insert(id.clone(), task);
        id
    } else {
        let task = find(inner, known)?;
        if task.state.is_terminal() {
            let code = if version.is_v1() {
                code::UNSUPPORTED
            } else {
                code::INVALID_PARAMS
            };
            return Err((code, format!("task {known} is over")));
        }
        // What was scripted for this very text, or what the last turn left, or what any text gets.
        let next = match inner.script_for(&text) {
            Some(steps) => Some(steps),
            None if task.steps.is_empty() => Some(inner.script_or_echo(&text)),
            None => None,
        };
        if let (Some(next), Some(task)) = (next, inner.tasks.get_mut(known)) {
            task.steps = next.into();
        }
        known.to_owned()
    };

    let inline = if version.is_v1() {
        "taskPushNotificationConfig"
    } else {
        "pushNotificationConfig"
    };
    let wire = params["configuration"][inline].clone();
    // Without push, an inline registration is passed over in silence, as the SDKs do.
    let config = if shared.settings.offers(Mode::Push) && wire.is_object() {
        config_from(wire, || inner.new_id("config"))
    } else {
        None
    };
    let Some(task) = inner.tasks.get_mut(&id) else {
        unreachable!("the task was found or made under the same lock");
    };
    task.heard(message.clone());
    if let Some(config) = &config {
        register(task, config.clone());
    }
    let first = task.as_event();
    let cursor = task.events.len();
    if !task.running {
        task.running = true;
        // It begins after this lock is given back: the snapshot above is from before its first step.
        task.job = Some(tokio::spawn(shared.clone().work(id.clone())));
    }
    if let Some(config) = config {
        shared.deliver_task(inner, &id, &config);
    }
    Ok(Begun::Task { id, first, cursor })
}

/// Takes the steps to a bare message and gives it.
async fn bare(shared: &Shared, steps: Vec<Step>) -> Result<Value, RpcError> {
    let version = shared.settings.version;
    for step in steps {
        match step {
            Step::Wait(gate) => shared.pass(&gate).await,
            Step::Message(text) => {
                let (id, context) = {
                    let mut inner = shared.lock();
                    (inner.new_id("message"), inner.new_id("context"))
                };
                let said = message(version, false, &id, &text, (None, Some(&context)));
                let wrapped = json!({ "message": said });
                return Ok(if version.is_v1() { wrapped } else { said });
            }
            _ => break,
        }
    }
    unreachable!("a bare script leads to a message");
}

async fn send(shared: &Arc<Shared>, params: &Value, caller: &str) -> Result<Value, RpcError> {
    let settings = &shared.settings;
    let at_once_possible = settings.offers(Mode::Poll) || settings.offers(Mode::Push);
    if !settings.offers(Mode::Blocking) && !at_once_possible {
        return Err((code::UNSUPPORTED, "this worker only streams".to_owned()));
    }
    let configuration = &params["configuration"];
    let asked_at_once = if settings.version.is_v1() {
        configuration["returnImmediately"] == true
    } else {
        configuration["blocking"] == false
    };
    let at_once = at_once_possible && (asked_at_once || !settings.offers(Mode::Blocking));
    let (id, first, cursor) = match begin(shared, params, caller)? {
        Begun::Bare(steps) => return bare(shared, steps).await,
        Begun::Task { id, first, cursor } => (id, first, cursor),
    };
    shared.changes.note();
    if at_once {
        return Ok(first);
    }
    // Only a stop of this turn counts: the task may still stand where the last turn left it.
    let stopped = || match shared.lock().tasks.get(&id) {
        Some(task) => task.events[cursor..]
            .iter()
            .any(|event| event.state.is_some_and(State::stops))
            .then(|| Some(task.as_event())),
        None => Some(None),
    };
    shared
        .changes
        .until(stopped)
        .await
        .ok_or_else(|| (code::TASK_NOT_FOUND, "forgotten".to_owned()))
}

async fn stream(shared: &Arc<Shared>, params: &Value, caller: &str) -> Result<Plan, RpcError> {
    if !shared.settings.offers(Mode::Stream) {
        return Err((code::UNSUPPORTED, "no streams here".to_owned()));
    }
    let plan = match begin(shared, params, caller)? {
        Begun::Bare(steps) => Plan {
            task: None,
            first: Some(bare(shared, steps).await?),
            cursor: 0,
            ends_at_interrupt: true,
        },
        Begun::Task { id, first, cursor } => Plan {
            task: Some(id),
            first: shared.settings.stream_task_first.then_some(first),
            cursor,
            ends_at_interrupt: true,
        },
    };
    Ok(plan)
}

fn subscribe(shared: &Arc<Shared>, id: &str) -> Result<Plan, RpcError> {
    let is_v1 = shared.settings.version.is_v1();
    if !shared.settings.subscribe {
        return Err((code::UNSUPPORTED, "no subscriptions here".to_owned()));
    }
    let inner = shared.lock();
    let task = find(&inner, id)?;
    if task.state.is_terminal() {
        let code = if is_v1 {
            code::UNSUPPORTED
        } else {
            code::INVALID_PARAMS
        };
        return Err((code, format!("task {id} is over")));
    }
    Ok(Plan {
        task: Some(id.to_owned()),
        first: is_v1.then(|| task.as_event()),
        cursor: task.events.len(),
        ends_at_interrupt: !is_v1,
    })
}

fn list(inner: &Inner, params: &Value) -> Value {
    let context = params["contextId"].as_str();
    let tasks: Vec<Value> = inner
        .order
        .iter()
        .rev()
        .filter_map(|id| inner.tasks.get(id))
        .filter(|task| context.is_none_or(|context| task.context_id == context))
        .map(|task| task.snapshot(params["historyLength"].as_u64()))
        .collect();
    let size = tasks.len();
    json!({ "tasks": tasks, "nextPageToken": "", "pageSize": 50, "totalSize": size })
}

fn cancel(shared: &Arc<Shared>, id: &str) -> Result<Value, RpcError> {
    let mut inner = shared.lock();
    let inner = &mut *inner;
    let over = find(inner, id)?.state.is_terminal();
    if over || inner.cancel == Cancel::Refuses {
        return Err((
            code::TASK_NOT_CANCELABLE,
            format!("task {id} can't be canceled"),
        ));
    }
    let lies = inner.cancel == Cancel::Lies;
    let Some(task) = inner.tasks.get_mut(id) else {
        unreachable!("it was just found");
    };
    if lies {
        let mut answer = task.snapshot(None);
        answer["status"] = json!({ "state": State::Canceled.wire(shared.settings.version) });
        return Ok(answer);
    }
    task.cancel();
    let answer = task.snapshot(None);
    shared.deliver(inner, id);
    shared.changes.note();
    Ok(answer)
}

fn register(task: &mut TaskRecord, config: Config) {
    task.configs.retain(|known| known.id != config.id);
    task.configs.push(config);
}

fn push_operation(shared: &Arc<Shared>, op: Op, params: &Value) -> Result<Value, RpcError> {
    let is_v1 = shared.settings.version.is_v1();
    if !shared.settings.offers(Mode::Push) {
        return Err((code::PUSH_NOT_SUPPORTED, "no push here".to_owned()));
    }
    let id = match (is_v1, op) {
        (false, Op::PushGet | Op::PushList | Op::PushDelete) => &params["id"],
        _ => &params["taskId"],
    };
    let id = id.as_str().unwrap_or_default();
    let mut inner = shared.lock();
    find(&inner, id)?;
    let fresh = if is_v1 {
        inner.new_id("config")
    } else {
        id.to_owned()
    };
    let Some(task) = inner.tasks.get_mut(id) else {
        unreachable!("it was just found");
    };
    let show = |config: &Config| {
        if is_v1 {
            let mut wire = config.wire.clone();
            wire["taskId"] = json!(id);
            wire
        } else {
            json!({ "taskId": id, "pushNotificationConfig": config.wire })
        }
    };
    let wanted = if is_v1 {
        &params["id"]
    } else {
        &params["pushNotificationConfigId"]
    };
    let wanted = wanted.as_str();
    match op {
        Op::PushSet => {
            let wire = if is_v1 {
                params
            } else {
                &params["pushNotificationConfig"]
            };
            let config = config_from(wire.clone(), || fresh)
                .ok_or_else(|| (code::INVALID_PARAMS, "no url".to_owned()))?;
            let shown = show(&config);
            register(task, config);
            Ok(shown)
        }
        Op::PushGet => task
            .configs
            .iter()
            .find(|config| wanted.is_none_or(|wanted| config.id == wanted))
            .map(show)
            .ok_or_else(|| (code::TASK_NOT_FOUND, "no such config".to_owned())),
        Op::PushDelete => {
            task.configs
                .retain(|config| Some(config.id.as_str()) != wanted);
            Ok(Value::Null)
        }
        _ => {
            let all: Vec<Value> = task.configs.iter().map(show).collect();
            Ok(if is_v1 {
                json!({ "configs": all })
            } else {
                json!(all)
            })
        }
    }
}

/// A caller who waits for an answer: counted as gone when dropped before it was answered.
struct Waiting {
    shared: Arc<Shared>,
    op: Option<Op>,
}

impl Waiting {
    fn new(shared: &Arc<Shared>, op: Option<Op>) -> Self {
        let shared = shared.clone();
        Self { shared, op }
    }

    fn answered(mut self) {
        self.op = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            *self.shared.lock().disconnects.entry(op).or_default() += 1;
            self.shared.changes.note();
        }
    }
}
