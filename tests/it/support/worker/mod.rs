//! A scriptable A2A worker over JSON-RPC: does what its scripts say, speaks one version, offers the modes that
//! it is told to, keeps the truth about its tasks, records who asked what, and fails on demand.

mod deliver;
mod fault;
mod rpc;
mod script;
mod shared;
mod stream;
mod tasks;

use std::sync::Arc;

use hyper::HeaderMap;
use serde_json::{Value, json};

pub use deliver::{Posted, PushFault};
pub use fault::Fault;
pub use script::{Mode, Step, artifact, ask, chunk, done, failed, say, status, wait, working};
pub use shared::Recorded;

use self::shared::{Active, Settings, Shared};
use super::http::Server;
use super::protocol::{Op, State, Version};
use super::within;

/// How a worker treats CancelTask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Stops the task.
    Works,
    /// Answers that the task is canceled and goes on with it.
    Lies,
    /// Answers that the task can't be canceled.
    Refuses,
}

/// What a restarted worker knows of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Kept,
    Lost,
}

/// What a worker is to be like.
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
    get_task: Option<bool>,
    subscribe: Option<bool>,
    scripts: Vec<(Option<String>, Vec<Step>)>,
    card: Value,
}

/// A running worker. Dropping it closes its port and ends its jobs.
pub struct Worker {
    /// Where JSON-RPC and the card are.
    pub url: String,
    pub version: Version,
    server: Server,
    shared: Arc<Shared>,
}

impl Builder {
    pub fn version(mut self, version: Version) -> Self {
        self.settings.version = version;
        self
    }

    /// What the worker offers; all modes unless said otherwise. Without `Blocking` a send never waits, with
    /// neither `Poll` nor `Push` beside it a send always waits, and a worker of streams alone refuses sends.
    pub fn modes(mut self, modes: &[Mode]) -> Self {
        self.settings.modes = modes.to_vec();
        self
    }

    /// Whether there is GetTask; by default where `Mode::Poll` is.
    pub fn get_task(mut self, offered: bool) -> Self {
        self.get_task = Some(offered);
        self
    }

    /// Whether there is SubscribeToTask; by default where `Mode::Stream` is.
    pub fn subscribe(mut self, offered: bool) -> Self {
        self.subscribe = Some(offered);
        self
    }

    /// Streams of sends begin with the first update, not with the task, as many 0.x workers do.
    pub fn streams_without_task(mut self) -> Self {
        self.settings.stream_task_first = false;
        self
    }

    /// A 1.0 worker that does not look at `A2A-Version`; otherwise it refuses calls without it.
    pub fn any_version(mut self) -> Self {
        self.settings.strict_version = false;
        self
    }

    /// What to do with any message that has no script of its own.
    pub fn script(mut self, steps: impl Into<Vec<Step>>) -> Self {
        self.scripts.push((None, steps.into()));
        self
    }

    /// What to do with a message of just this text.
    pub fn script_for(mut self, text: &str, steps: impl Into<Vec<Step>>) -> Self {
        self.scripts.push((Some(text.to_owned()), steps.into()));
        self
    }

    /// Members of the card to put in place of the true ones (a JSON object; its members are merged deeply).
    pub fn card(mut self, members: Value) -> Self {
        self.card = members;
        self
    }

    pub async fn start(self) -> Worker {
        let mut settings = self.settings;
        settings.get_task = self.get_task.unwrap_or_else(|| settings.offers(Mode::Poll));
        settings.subscribe = self
            .subscribe
            .unwrap_or_else(|| settings.offers(Mode::Stream));
        let version = settings.version;
        let shared = Arc::new(Shared::new(settings));
        for (text, steps) in self.scripts {
            shared.set_script(text, steps);
        }
        let handler = shared.clone();
        let server = Server::start(move |request| rpc::handle(handler.clone(), request));
        let url = format!("http://{}/", server.addr);
        shared.lock().card = shared.settings.card(&url, &self.card);
        Worker {
            url,
            version,
            server,
            shared,
        }
    }
}

impl Worker {
    pub fn builder() -> Builder {
        Builder {
            settings: Settings {
                version: Version::V1,
                modes: Mode::ALL.to_vec(),
                get_task: true,
                subscribe: true,
                stream_task_first: true,
                strict_version: true,
            },
            get_task: None,
            subscribe: None,
            scripts: Vec::new(),
            card: json!({}),
        }
    }

    /// From now on, what to do with a message of just this text.
    pub fn script_for(&self, text: &str, steps: impl Into<Vec<Step>>) {
        self.shared.set_script(Some(text.to_owned()), steps.into());
    }

    // Gates.

    /// Opens a gate for good.
    pub fn release(&self, gate: &str) {
        self.shared.gates.send_modify(|open| {
            open.insert(gate.to_owned());
        });
    }

    /// Shuts a gate again, for whoever comes to it from now on.
    pub fn shut(&self, gate: &str) {
        self.shared.gates.send_modify(|open| {
            open.remove(gate);
        });
    }

    /// Waits until a job stands at the gate.
    pub async fn wait_at(&self, gate: &str) {
        self.wait_at_with(gate, 1).await;
    }

    /// Waits until so many jobs stand at the gate.
    pub async fn wait_at_with(&self, gate: &str, jobs: usize) {
        self.until(&format!("{jobs} jobs at the gate {gate:?}"), || {
            self.shared.lock().at_gate.get(gate).copied().unwrap_or(0) >= jobs
        })
        .await;
    }

    // What was asked.

    /// How often an operation was called, by its 1.0 name (`AgentCard` for the card), faults included.
    pub fn calls(&self, name: &str) -> usize {
        self.requests_of(name).len()
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// Every request so far of one operation.
    pub fn requests_of(&self, name: &str) -> Vec<Recorded> {
        let op = Some(Op::named(name));
        let requests = self.requests();
        requests.into_iter().filter(|seen| seen.op == op).collect()
    }

    /// The headers of the last call of an operation.
    pub fn headers(&self, name: &str) -> HeaderMap {
        self.requests_of(name)
            .pop()
            .unwrap_or_else(|| panic!("{name} was never called"))
            .headers
    }

    /// Waits until an operation was called so often.
    pub async fn wait_calls(&self, name: &str, count: usize) {
        self.until(&format!("{count} calls of {name}"), || {
            self.calls(name) >= count
        })
        .await;
    }

    /// How many streams of an operation are open.
    pub fn open_streams(&self, name: &str) -> usize {
        let op = Op::named(name);
        self.shared
            .lock()
            .open_streams
            .get(&op)
            .copied()
            .unwrap_or(0)
    }

    /// Waits until just so many streams of an operation are open.
    pub async fn wait_open_streams(&self, name: &str, count: usize) {
        self.until(&format!("{count} open streams of {name}"), || {
            self.open_streams(name) == count
        })
        .await;
    }

    /// How many callers of an operation went away before their answer or stream was at its end.
    pub fn disconnects(&self, name: &str) -> usize {
        let op = Op::named(name);
        self.shared
            .lock()
            .disconnects
            .get(&op)
            .copied()
            .unwrap_or(0)
    }

    pub async fn wait_disconnects(&self, name: &str, count: usize) {
        self.until(&format!("{count} disconnects of {name}"), || {
            self.disconnects(name) >= count
        })
        .await;
    }

    /// Waits until `true_now`, which is looked at after every change in the worker.
    pub async fn until(&self, what: &str, true_now: impl Fn() -> bool) {
        within(
            what,
            || format!("the worker saw {:#?}", self.story()),
            self.shared.changes.until(|| true_now().then_some(())),
        )
        .await;
    }

    /// What was asked, in short.
    pub fn story(&self) -> Vec<String> {
        self.requests()
            .iter()
            .map(|seen| format!("{} {}", seen.method, seen.json["params"]))
            .collect()
    }

    // The truth.

    /// Ids of all tasks, in the order in which they were made.
    pub fn task_ids(&self) -> Vec<String> {
        self.shared.lock().order.clone()
    }

    /// The id of the only task.
    pub fn only_task(&self) -> String {
        match self.task_ids().as_slice() {
            [id] => id.clone(),
            ids => panic!("not one task but {ids:?}"),
        }
    }

    /// A task as the worker knows it, in its own dialect.
    pub fn task(&self, id: &str) -> Option<Value> {
        let inner = self.shared.lock();
        inner.tasks.get(id).map(|task| task.snapshot(None))
    }

    pub fn state(&self, id: &str) -> Option<State> {
        self.shared.lock().tasks.get(id).map(|task| task.state)
    }

    /// Waits until a task is in a state.
    pub async fn wait_state(&self, id: &str, state: State) {
        self.until(&format!("task {id} {state:?}"), || {
            self.state(id) == Some(state)
        })
        .await;
    }

    /// The webhooks registered for a task: id and URL.
    pub fn push_configs(&self, id: &str) -> Vec<(String, String)> {
        let inner = self.shared.lock();
        let configs = inner.tasks.get(id).map(|task| task.configs.as_slice());
        configs
            .unwrap_or_default()
            .iter()
            .map(|config| (config.id.clone(), config.url().to_owned()))
            .collect()
    }

    /// Every webhook that was posted, lost or refused so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.shared.lock().posted.clone()
    }

    pub async fn wait_posted(&self, count: usize) {
        self.until(&format!("{count} webhooks posted"), || {
            self.posted().len() >= count
        })
        .await;
    }

    // What goes wrong.

    /// Every call of an operation meets this fault, in addition to those that it has already.
    pub fn fault(&self, name: &str, fault: Fault) {
        self.add_fault(Some(Op::named(name)), fault, usize::MAX);
    }

    /// The next `times` calls of an operation meet this fault.
    pub fn fault_times(&self, name: &str, times: usize, fault: Fault) {
        self.add_fault(Some(Op::named(name)), fault, times);
    }

    /// Every call of every operation meets this fault.
    pub fn fault_all(&self, fault: Fault) {
        self.add_fault(None, fault, usize::MAX);
    }

    /// No more faults of this operation.
    pub fn heal(&self, name: &str) {
        let op = Some(Op::named(name));
        self.shared.lock().faults.retain(|active| active.op != op);
    }

    /// No more faults at all; those who hang go on hanging.
    pub fn heal_all(&self) {
        self.shared.lock().faults.clear();
    }

    fn add_fault(&self, op: Option<Op>, fault: Fault, times: usize) {
        self.shared.lock().faults.push(Active { op, fault, times });
    }

    pub fn on_cancel(&self, cancel: Cancel) {
        self.shared.lock().cancel = cancel;
    }

    /// From now on a task is shown only to who sent it, by the `Authorization` header; to others there is none.
    pub fn keep_private(&self) {
        self.shared.lock().private = true;
    }

    /// Shows a task to somebody else as well.
    pub fn show(&self, id: &str, authorization: &str) {
        self.shared.lock().show(id, authorization);
    }

    /// What happens to the webhooks that are due from now on.
    pub fn push_fault(&self, fault: PushFault) {
        self.shared.lock().push_fault = fault;
    }

    /// Closes every connection and refuses new ones; jobs go on.
    pub async fn down(&self) {
        self.server.down().await;
    }

    /// Listens again, on the same port.
    pub fn up(&self) {
        self.server.up();
    }

    /// Goes down and comes up again on the same port.
    pub async fn restart(&self, memory: Memory) {
        self.down().await;
        if memory == Memory::Lost {
            self.forget();
        }
        self.up();
    }

    /// Ends all jobs and loses all tasks.
    pub fn forget(&self) {
        self.shared.lock().forget();
        self.shared.changes.note();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().forget();
    }
}
