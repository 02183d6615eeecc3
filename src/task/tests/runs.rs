//! Properties: however the run of a worker is observed, the log that comes of it is true.

use proptest::prelude::*;
use proptest::sample::Index;

use super::worker::{Manner, Run, run};
use super::{check, event, messages, observe, replay, said, snapshot, submitted};
use crate::a2a::{StreamResponse, Task, TaskState, TaskStatus};
use crate::task::reconcile::{Dropped, Observation, Order, reconcile_final};

/// What happens next between the worker and the sidecar.
#[derive(Clone, Debug)]
enum Act {
    /// The worker makes its next version.
    Advance,
    /// The sidecar reads the task.
    Poll,
    /// A stream is opened (again): it begins with the task as it stands.
    Connect,
    /// The stream's next event arrives.
    Next,
    /// A webhook of 0.x arrives: the task as any version had it.
    OldWebhook(Index),
    /// A webhook of 1.0 arrives: any version's event.
    NewWebhook(Index),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => Just(Act::Advance),
        2 => Just(Act::Poll),
        1 => Just(Act::Connect),
        4 => Just(Act::Next),
        2 => any::<Index>().prop_map(Act::OldWebhook),
        2 => any::<Index>().prop_map(Act::NewWebhook),
    ];
    prop::collection::vec(act, 0..60)
}

struct Stream {
    /// The version whose event comes next.
    next: usize,
    /// Whether it alone has fed the log since it was opened.
    alone: bool,
}

/// What the hub does, with a log in memory.
struct Sidecar<'a> {
    run: &'a Run,
    manner: Manner,
    now: usize,
    stream: Option<Stream>,
    log: Vec<StreamResponse>,
    state: Option<Task>,
    polls_asked_for: usize,
}

impl<'a> Sidecar<'a> {
    fn new(run: &'a Run, manner: Manner, announced: bool) -> Self {
        let log = Vec::from_iter(announced.then(|| StreamResponse::Task(submitted_by_us())));
        Self {
            run,
            manner,
            now: 0,
            stream: None,
            state: replay(&log),
            log,
            polls_asked_for: 0,
        }
    }

    fn worker(&self) -> &'a Task {
        &self.run.versions[self.now]
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Advance => self.now = (self.now + 1).min(self.run.last()),
            Act::Poll => self.poll(),
            Act::Connect => {
                self.take(snapshot(self.worker(), Order::Latest));
                self.stream = Some(Stream {
                    next: self.now + 1,
                    alone: true,
                });
            }
            Act::Next => {
                let Some(stream) = &mut self.stream else {
                    return;
                };
                if stream.next > self.now {
                    return;
                }
                let order = if stream.alone {
                    Order::Latest
                } else {
                    Order::Unknown
                };
                let seen = &self.run.events[stream.next];
                stream.next += 1;
                let alone = stream.alone;
                self.take(event(seen, order));
                // Its own events do not stand in its way, only the polls that they may have caused.
                if let Some(stream) = &mut self.stream {
                    stream.alone = alone && order == Order::Latest;
                }
            }
            Act::OldWebhook(which) => {
                let version = &self.run.versions[which.index(self.now + 1)];
                self.take(snapshot(version, Order::Unknown));
            }
            Act::NewWebhook(which) => {
                let seen = &self.run.events[which.index(self.now + 1)];
                self.take(event(seen, Order::Unknown));
            }
        }
    }

    fn poll(&mut self) {
        let latest = snapshot(self.worker(), Order::Latest);
        self.take(latest.clone());
        self.matches_the_worker();
        let again = observe(self.state.as_ref(), latest);
        assert_eq!(again.events, [], "the same snapshot again is no news");
    }

    fn matches_the_worker(&self) {
        let state = self.state.as_ref().expect("a poll announces the task");
        let worker = self.worker();
        assert_eq!(state.status.state, worker.status.state);
        assert_eq!(by_id(state), by_id(worker));
        if self.manner.records {
            assert_eq!(said(state), said(worker));
        }
        if worker.metadata.is_some() {
            assert_eq!(state.metadata, worker.metadata);
        }
    }

    fn take(&mut self, observation: Observation) {
        let (ends, order) = match &observation {
            Observation::Event { event, order } => (event.is_terminal(), *order),
            Observation::Snapshot { task, order } => (task.status.state.is_terminal(), *order),
        };
        let ended = self
            .state
            .as_ref()
            .is_some_and(|task| task.status.state.is_terminal());
        let reconciled = if ends {
            let end = match observation {
                Observation::Event { event, .. } => event,
                Observation::Snapshot { task, .. } => StreamResponse::Task(task),
            };
            let read = Some(self.worker().clone());
            let reconciled = reconcile_final(self.state.as_ref(), end, read);
            check(self.state.as_ref(), &reconciled);
            reconciled
        } else {
            observe(self.state.as_ref(), observation)
        };
        assert_eq!(reconciled.dropped, ended.then_some(Dropped::Ended));
        if order == Order::Latest {
            assert!(!reconciled.needs_snapshot);
        }
        if !reconciled.events.is_empty() {
            self.log.extend(reconciled.events);
            self.state = reconciled.task;
            if let Some(stream) = &mut self.stream {
                stream.alone = false;
            }
        }
        if reconciled.needs_snapshot {
            self.polls_asked_for += 1;
            self.poll();
        }
    }

    fn finish(mut self) -> Vec<StreamResponse> {
        self.now = self.run.last();
        self.poll();
        assert_eq!(replay(&self.log), self.state);
        self.log
    }
}

/// The task as the sidecar announces it for a worker that blocks: without a time, since the clocks may differ.
fn submitted_by_us() -> Task {
    let mut task = submitted();
    task.history = vec![super::user("u0")];
    task
}

fn by_id(task: &Task) -> std::collections::BTreeMap<&str, &crate::a2a::Artifact> {
    task.artifacts
        .iter()
        .map(|a| (a.artifact_id.as_str(), a))
        .collect()
}

/// Exactly one end, and it is last.
fn ends_once(log: &[StreamResponse]) {
    let ends: Vec<usize> = (0..log.len()).filter(|&at| log[at].is_terminal()).collect();
    assert_eq!(ends, [log.len() - 1]);
}

/// The statuses that the log shows are the worker's, in the worker's order: none is shown after a later one. Only words
/// found in a history may come after later statuses without words: as working, in the order of saying.
fn statuses_in_order(run: &Run, log: &[StreamResponse]) {
    let shown = |at: &usize, status: &TaskStatus| shows(status, &run.versions[*at].status);
    let mut version = 0;
    let mut told = 0;
    let mut before = TaskStatus::default();
    for event in log {
        let StreamResponse::StatusUpdate(update) = event else {
            continue;
        };
        let status = &update.status;
        if let Some(found) = (version..run.versions.len()).find(|at| shown(at, status)) {
            version = found;
            if status.message.is_some() {
                told = found;
            }
        } else {
            let late = (told + 1..version).find(|at| shown(at, status));
            assert!(
                late.is_some()
                    && status.message.is_some()
                    && status.state == TaskState::Working
                    && (before.message.is_none() || !before.state.is_interrupted()),
                "no version of the worker from {version} on shows {:?}",
                super::brief(event)
            );
            told = late.unwrap_or(told);
        }
        before = status.clone();
    }
}

/// Whether the log's status is this one of the worker. A message taken from a history comes as working, without a time.
fn shows(ours: &TaskStatus, theirs: &TaskStatus) -> bool {
    match (&ours.message, &theirs.message) {
        (Some(ours), Some(theirs)) => messages::same(ours, theirs),
        (None, None) => {
            ours.state == theirs.state
                && (ours.timestamp.is_none() || ours.timestamp == theirs.timestamp)
        }
        _ => false,
    }
}

/// No message is told twice.
fn told_once(log: &[StreamResponse]) {
    let mut told: Vec<&str> = log
        .iter()
        .filter_map(|event| match event {
            StreamResponse::StatusUpdate(update) => update.status.message.as_ref(),
            _ => None,
        })
        .map(|message| message.message_id.as_str())
        .collect();
    told.sort_unstable();
    let count = told.len();
    told.dedup();
    assert_eq!(told.len(), count, "a message was told twice");
}

/// A task event after the first changes neither status nor artifacts; messages never come as such.
fn task_events_change_no_status(log: &[StreamResponse]) {
    let mut state = replay(&log[..1]).expect("announced");
    for event in &log[1..] {
        match event {
            StreamResponse::Task(task) => {
                assert_eq!(task.status, state.status);
                assert_eq!(task.artifacts, state.artifacts);
            }
            StreamResponse::Message(_) => panic!("a message event in the log"),
            StreamResponse::StatusUpdate(_) | StreamResponse::ArtifactUpdate(_) => {}
        }
        state = super::fold(Some(state), event).expect("folds");
    }
}

fn observed(run: &Run, manner: Manner, announced: bool, acts: &[Act]) -> Vec<StreamResponse> {
    let mut sidecar = Sidecar::new(run, manner, announced);
    for act in acts {
        sidecar.act(act);
    }
    sidecar.finish()
}

fn manner() -> impl Strategy<Value = Manner> {
    (any::<bool>(), prop::bool::weighted(0.8))
        .prop_map(|(times, records)| Manner { times, records })
}

proptest! {
    #![proptest_config(super::seeded(500))]

    #[test]
    fn any_mixture_of_sources_makes_one_true_log(
        (manner, run) in manner().prop_flat_map(|manner| (Just(manner), run(manner))),
        announced in any::<bool>(),
        acts in acts(),
    ) {
        let log = observed(&run, manner, announced, &acts);
        ends_once(&log);
        statuses_in_order(&run, &log);
        told_once(&log);
        task_events_change_no_status(&log);
    }

    #[test]
    fn a_whole_stream_is_logged_as_it_came(
        (manner, run) in manner().prop_flat_map(|manner| (Just(manner), run(manner))),
    ) {
        let mut acts = vec![Act::Connect];
        for _ in 0..run.last() {
            acts.extend([Act::Advance, Act::Next]);
        }
        let log = observed(&run, manner, false, &acts);
        let updates = |events: &[StreamResponse]| -> Vec<StreamResponse> {
            let is_update = |event: &&StreamResponse| !matches!(event, StreamResponse::Task(_));
            events.iter().filter(is_update).cloned().collect()
        };
        // A status without a message or a time, repeated, is no news.
        if manner.times {
            prop_assert_eq!(updates(&log), updates(&run.events));
        }
    }

    #[test]
    fn one_answer_at_the_end_tells_every_message_in_order(
        times in any::<bool>(),
        run in run(Manner { times: true, records: true }),
    ) {
        let manner = Manner { times, records: true };
        let log = observed(&run, manner, true, &[]);
        let told: Vec<&str> = log
            .iter()
            .filter_map(|event| match event {
                StreamResponse::StatusUpdate(update) => update.status.message.as_ref(),
                _ => None,
            })
            .map(|message| message.message_id.as_str())
            .collect();
        let expected = said(run.end());
        let expected: Vec<&str> =
            expected.iter().map(String::as_str).filter(|id| id.starts_with('m')).collect();
        prop_assert_eq!(told, expected);
        prop_assert_eq!(&replay(&log).expect("announced").status, &run.end().status);
        prop_assert_ne!(run.end().status.state, TaskState::Submitted);
    }
}
