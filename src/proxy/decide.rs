//! The decision: pass or bridge, and by which ways. One pure function of the operation, the requester's mode and
//! version, the worker's version and abilities, and the route.

use super::route::{Delivery, Observe};
use crate::a2a::{Dialect, Operation, Version};
use crate::source::{Mode, Want};
use crate::worker::Abilities;

/// Everything that the decision is made on.
#[derive(Clone, Debug, PartialEq)]
pub struct Situation<'a> {
    /// What the requester asks for.
    pub operation: Operation,
    /// How it wants a send to be answered; of no account for other operations.
    pub want: Want,
    /// Whether a send brings a webhook with it.
    pub inline_push: bool,
    /// The requester's dialect.
    pub requester: Dialect,
    /// The worker's dialect.
    pub worker: Dialect,
    /// What the worker offers.
    pub can: Abilities,
    /// Whether the worker can reach the sidecar's own webhook.
    pub reachable: bool,
    /// Whether the task in question is kept here.
    pub kept: bool,
    /// The route's word on watching.
    pub observe: Observe,
    /// The route's word on webhooks.
    pub delivery: Delivery,
    /// The ways that the route prefers, best first; empty: the sidecar's own order.
    pub prefer: &'a [Mode],
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The bytes go to the worker and its answer comes back, as they are.
    Pass,
    /// The same, in another version: translated there and back, nothing kept.
    Translate,
    /// The message is sent by the first of these ways that the worker takes, and the task is kept here.
    Send(Vec<Mode>),
    /// The answer comes from the log; a task that is not kept yet is read from the worker first.
    Log,
}

/// The decision.
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Plan {
    match situation.operation {
        Operation::SendMessage | Operation::SendStreamingMessage => send(situation),
        Operation::GetTask | Operation::CancelTask => {
            if situation.kept {
                Plan::Log
            } else {
                forward(situation)
            }
        }
        Operation::SubscribeToTask => {
            if !situation.kept && situation.observe == Observe::Off && situation.can.stream {
                forward_if_same(situation)
            } else {
                Plan::Log
            }
        }
        Operation::CreateTaskPushNotificationConfig
        | Operation::GetTaskPushNotificationConfig
        | Operation::ListTaskPushNotificationConfigs
        | Operation::DeleteTaskPushNotificationConfig => {
            if delivers_natively(situation) {
                Plan::Pass
            } else {
                Plan::Log
            }
        }
        Operation::ListTasks if !situation.can.list => Plan::Log,
        // Where nothing is kept, no ids have to be mapped.
        Operation::ListTasks if situation.observe == Observe::Off => forward(situation),
        Operation::ListTasks => Plan::Translate,
        Operation::GetExtendedAgentCard => Plan::Translate,
    }
}

fn same_wire(situation: &Situation<'_>) -> bool {
    situation.requester.same_wire(situation.worker)
}

fn forward(situation: &Situation<'_>) -> Plan {
    if same_wire(situation) {
        Plan::Pass
    } else {
        Plan::Translate
    }
}

fn forward_if_same(situation: &Situation<'_>) -> Plan {
    if same_wire(situation) {
        Plan::Pass
    } else {
        Plan::Log
    }
}

/// Whether the worker posts its webhooks to requesters by itself. Across versions it cannot: its bodies would be of
/// the wrong one.
fn delivers_natively(situation: &Situation<'_>) -> bool {
    situation.delivery == Delivery::Native && situation.can.push && same_wire(situation)
}

fn send(situation: &Situation<'_>) -> Plan {
    let can = &situation.can;
    let native_push = !situation.inline_push || delivers_natively(situation);
    let native_mode = match situation.want {
        Want::Wait => can.send,
        Want::AtOnce => can.send && can.return_immediately,
        Want::Stream => can.stream,
    };
    let untouched = same_wire(situation) && !situation.kept && native_push && native_mode;
    if untouched && (situation.observe == Observe::Off || situation.inline_push) {
        // A webhook that the worker serves itself belongs to a task that it serves itself.
        return Plan::Pass;
    }
    Plan::Send(ways(situation))
}

/// The ways to send, best first. The last ones are tried only where the worker refuses those before them as such.
fn ways(situation: &Situation<'_>) -> Vec<Mode> {
    let can = &situation.can;
    let waits = situation.want == Want::Wait && !situation.inline_push;
    let mut ways = Vec::with_capacity(Mode::ALL.len());
    let mut add = |mode: Mode, usable: bool| {
        if usable && !ways.contains(&mode) {
            ways.push(mode);
        }
    };
    let calls_back = can.callback && can.send && situation.reachable;
    for mode in situation.prefer {
        match mode {
            Mode::Stream => add(Mode::Stream, can.stream),
            Mode::Push => add(Mode::Push, can.push && can.send && situation.reachable),
            Mode::Callback => add(Mode::Callback, calls_back),
            Mode::Poll => add(Mode::Poll, can.send),
            Mode::Blocking => add(Mode::Blocking, can.send && waits),
        }
    }
    add(Mode::Stream, can.streams_first);
    if situation.prefer.is_empty() {
        // A worker that calls back does its work only where it is told whom to call; one that does not is polled beside
        // it, or answers when it is done.
        add(Mode::Callback, calls_back);
    }
    if waits {
        // The worker's own blocking answer needs no conversion.
        add(Mode::Blocking, can.send);
    }
    // 0.2 servers wait for the end even when asked not to.
    let at_once = can.return_immediately && situation.worker.version != Version::V0_2;
    // In 0.x a stream joined later misses what came before it, and the Python SDK's servers of 0.3 then add every chunk of
    // an artifact twice to the task that they keep: whoever may want a stream later has to begin with it.
    let not_late = situation.worker.traits().stream_from_the_start;
    if situation.want == Want::AtOnce && !situation.inline_push && !(not_late && can.stream) {
        // A requester that polls costs the worker nothing but its polls: no stream need be held for it.
        add(Mode::Poll, can.send && at_once);
    }
    add(Mode::Stream, can.stream);
    add(
        Mode::Push,
        can.push && can.send && at_once && situation.reachable,
    );
    add(Mode::Poll, can.send);
    // Whatever is believed, a worker that refuses one way may take another.
    add(Mode::Stream, can.stream);
    add(Mode::Poll, true);
    add(Mode::Stream, true);
    ways
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
