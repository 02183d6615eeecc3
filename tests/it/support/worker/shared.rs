//! What the worker's parts share: its settings, its state behind one lock, and the jobs that change it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Cancel;
use super::deliver::{Outbox, Posted, PushFault};
use super::fault::{Fault, Shape};
use super::script::{Mode, Step, echo};
use super::tasks::TaskRecord;
use crate::support::Changes;
use crate::support::protocol::{Op, State, Version};

/// What does not change while the worker lives.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) version: Version,
    pub(super) modes: Vec<Mode>,
    pub(super) get_task: bool,
    pub(super) subscribe: bool,
    pub(super) stream_task_first: bool,
    pub(super) strict_version: bool,
}

impl Settings {
    pub(super) fn offers(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    /// The card, with `members` in place of the true ones.
    pub(super) fn card(&self, url: &str, members: &Value) -> Value {
        let mut card = json!({
            "name": "scripted worker",
            "description": "Does as it is told.",
            "version": "1",
            "capabilities": {
                "streaming": self.offers(Mode::Stream),
                "pushNotifications": self.offers(Mode::Push),
            },
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{
                "id": "script",
                "name": "script",
                "description": "Follows a script.",
                "tags": ["test"],
            }],
        });
        let number = self.version.number();
        if self.version.is_v1() {
            card["supportedInterfaces"] = json!([{
                "url": url,
                "protocolBinding": "JSONRPC",
                "protocolVersion": number,
            }]);
        } else {
            card["url"] = json!(url);
            card["preferredTransport"] = json!("JSONRPC");
            card["protocolVersion"] = json!(number);
        }
        merge(&mut card, members);
        card
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `None` for a method that the worker's version does not have.
    pub op: Option<Op>,
    /// As it was written; for the card its path.
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body as JSON; null where it is none.
    pub json: Value,
    pub at: Instant,
}

impl Recorded {
    pub fn params(&self) -> &Value {
        &self.json["params"]
    }
}

/// A fault that is on.
#[derive(Debug)]
pub(super) struct Active {
    /// `None` for all operations.
    pub(super) op: Option<Op>,
    pub(super) fault: Fault,
    /// How many calls it still meets.
    pub(super) times: usize,
}

pub(super) struct Inner {
    pub(super) card: Value,
    pub(super) tasks: HashMap<String, TaskRecord>,
    pub(super) order: Vec<String>,
    scripts: HashMap<Option<String>, Vec<Step>>,
    pub(super) requests: Vec<Recorded>,
    pub(super) faults: Vec<Active>,
    pub(super) cancel: Cancel,
    pub(super) push_fault: PushFault,
    pub(super) posted: Vec<Posted>,
    pub(super) outboxes: HashMap<(String, String), Outbox>,
    pub(super) at_gate: HashMap<String, usize>,
    pub(super) open_streams: HashMap<Op, usize>,
    pub(super) disconnects: HashMap<Op, usize>,
    /// Whether a task is shown only to those whom it belongs to.
    pub(super) private: bool,
    /// Who may see which task, by the `Authorization` header.
    shown_to: HashMap<String, HashSet<String>>,
    /// Numbers for ids; never used twice, whatever is forgotten.
    made: usize,
}

impl Inner {
    /// A new id, unlike those of other workers in the same process.
    pub(super) fn new_id(&mut self, kind: &str) -> String {
        self.made += 1;
        let unique = uuid::Uuid::new_v4().simple().to_string();
        format!("{kind}-{}-{}", self.made, &unique[..8])
    }

    /// Lets this caller see the task.
    pub(super) fn show(&mut self, id: &str, caller: &str) {
        let callers = self.shown_to.entry(id.to_owned()).or_default();
        callers.insert(caller.to_owned());
    }

    /// Whether the task is none of this caller's business.
    pub(super) fn hides(&self, id: &str, caller: &str) -> bool {
        let callers = self.shown_to.get(id);
        self.private && callers.is_some_and(|callers| !callers.contains(caller))
    }

    /// What was scripted for this text alone.
    pub(super) fn script_for(&self, text: &str) -> Option<Vec<Step>> {
        self.scripts.get(&Some(text.to_owned())).cloned()
    }

    /// What to do with this text when nothing else says so.
    pub(super) fn script_or_echo(&self, text: &str) -> Vec<Step> {
        self.script_for(text)
            .or_else(|| self.scripts.get(&None).cloned())
            .unwrap_or_else(|| echo(text))
    }

    /// The faults that a call of `op` meets: what happens in place of the answer, and the shape of one.
    pub(super) fn meet_faults(&mut self, op: Option<Op>) -> (Option<Fault>, Shape) {
        let mut instead = None;
        let mut shape = Shape::default();
        for active in &mut self.faults {
            if active.times == 0 || (active.op.is_some() && active.op != op) {
                continue;
            }
            if active.times != usize::MAX {
                active.times -= 1;
            }
            match active.fault.clone() {
                fault @ (Fault::Status { .. }
                | Fault::Rpc(..)
                | Fault::Hang
                | Fault::DoAndHang
                | Fault::Close
                | Fault::DoAndClose) => instead = instead.or(Some(fault)),
                fault => shape.add(fault),
            }
        }
        (instead, shape)
    }

    pub(super) fn forget(&mut self) {
        for (_, task) in self.tasks.drain() {
            if let Some(job) = task.job {
                job.abort();
            }
        }
        self.order.clear();
        self.outboxes.clear();
        self.at_gate.clear();
    }
}

/// The worker behind its server and its handle.
pub(super) struct Shared {
    pub(super) settings: Settings,
    inner: Mutex<Inner>,
    pub(super) changes: Changes,
    pub(super) gates: watch::Sender<HashSet<String>>,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            inner: Mutex::new(Inner {
                card: Value::Null,
                tasks: HashMap::new(),
                order: Vec::new(),
                scripts: HashMap::new(),
                requests: Vec::new(),
                faults: Vec::new(),
                cancel: Cancel::Works,
                push_fault: PushFault::None,
                posted: Vec::new(),
                outboxes: HashMap::new(),
                at_gate: HashMap::new(),
                open_streams: HashMap::new(),
                disconnects: HashMap::new(),
                private: false,
                shown_to: HashMap::new(),
                made: 0,
            }),
            changes: Changes::new(),
            gates: watch::Sender::new(HashSet::new()),
        }
    }

    /// The state; a test that failed with the lock in hand must not hide its message behind this one.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_script(&self, text: Option<String>, steps: Vec<Step>) {
        self.lock().scripts.insert(text, steps);
    }

    /// Waits until the gate is open, and is seen waiting.
    pub(super) async fn pass(&self, gate: &str) {
        let standing = Standing::at(self, gate);
        let mut open = self.gates.subscribe();
        // The sender lives in `self`.
        let _ = open.wait_for(|open| open.contains(gate)).await;
        drop(standing);
    }

    /// Works on a turn of a task until its end, a question, or the end of the script.
    pub(super) async fn work(self: Arc<Self>, id: String) {
        loop {
            let gate = {
                let mut inner = self.lock();
                match self.step(&mut inner, &id) {
                    Next::Gate(gate) => Some(gate),
                    Next::Step => None,
                    Next::Stop => return,
                }
            };
            self.changes.note();
            if let Some(gate) = gate {
                self.pass(&gate).await;
            }
        }
    }

    fn step(self: &Arc<Self>, inner: &mut Inner, id: &str) -> Next {
        let Some(task) = inner.tasks.get_mut(id) else {
            return Next::Stop;
        };
        let Some(step) = task.steps.pop_front() else {
            task.running = false;
            return Next::Stop;
        };
        if let Step::Wait(gate) = step {
            return Next::Gate(gate);
        }
        let stop = matches!(step, Step::End(..) | Step::InputRequired(_));
        if task.apply(&step) {
            task.running = !stop;
            self.deliver(inner, id);
        }
        // The loop notes the change; the turn after a stop finds `running` false, or nothing left.
        if stop {
            self.changes.note();
            return Next::Stop;
        }
        Next::Step
    }

    /// The state of a task; `None` when it is forgotten.
    pub(super) fn state(&self, id: &str) -> Option<State> {
        self.lock().tasks.get(id).map(|task| task.state)
    }
}

enum Next {
    Gate(String),
    Step,
    Stop,
}

/// A job at a gate; leaves it even when the job is ended there.
struct Standing<'a> {
    shared: &'a Shared,
    gate: &'a str,
}

impl<'a> Standing<'a> {
    fn at(shared: &'a Shared, gate: &'a str) -> Self {
        *shared.lock().at_gate.entry(gate.to_owned()).or_default() += 1;
        shared.changes.note();
        Self { shared, gate }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if let Some(jobs) = self.shared.lock().at_gate.get_mut(self.gate) {
            *jobs = jobs.saturating_sub(1);
        }
        self.shared.changes.note();
    }
}
