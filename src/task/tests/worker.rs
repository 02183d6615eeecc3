//! A model of a worker: a legal run of one task, as snapshots and as events, version by version.

use proptest::prelude::*;

use super::{agent, artifact_event, part, status_event, task, user};
use crate::a2a::{Artifact, StreamResponse, Task, TaskState, TaskStatus};

/// What the worker does next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Works on, and may say something.
    Work(bool),
    /// Makes (or makes anew) an artifact of so many parts.
    Make(usize, usize),
    /// Adds a part to an artifact.
    Extend(usize),
    /// Asks, with or without words; is answered; and may begin the turn as submitted.
    Ask {
        state: TaskState,
        says: bool,
        resubmits: bool,
    },
    /// Changes its metadata.
    Note,
}

/// What the worker is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether statuses carry times.
    pub(super) times: bool,
    /// Whether superseded status messages go into the history.
    pub(super) records: bool,
}

/// One run: version 0 is the task as it was created.
#[derive(Clone)]
pub(super) struct Run {
    /// The task at each version.
    pub(super) versions: Vec<Task>,
    /// The event that made each version; the task itself where none can.
    pub(super) events: Vec<StreamResponse>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.events.iter().map(super::brief))
            .finish()
    }
}

impl Run {
    pub(super) fn last(&self) -> usize {
        self.versions.len() - 1
    }

    pub(super) fn end(&self) -> &Task {
        &self.versions[self.last()]
    }

    fn new(manner: Manner, steps: &[Step], end: TaskState, says: bool) -> Run {
        let first = task(
            TaskStatus {
                state: TaskState::Submitted,
                ..TaskStatus::default()
            },
            &[user("u0")],
        );
        let mut writer = Writer {
            manner,
            run: Run {
                events: vec![StreamResponse::Task(first.clone())],
                versions: vec![first],
            },
            count: 0,
        };
        for step in steps {
            writer.step(step);
        }
        writer.set_status(end, says);
        writer.run
    }
}

struct Writer {
    manner: Manner,
    run: Run,
    /// Makes contents and ids unlike all others.
    count: usize,
}

impl Writer {
    fn now(&self) -> Task {
        self.run.end().clone()
    }

    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}{}", self.count)
    }

    fn publish(&mut self, task: Task, event: StreamResponse) {
        self.run.versions.push(task);
        self.run.events.push(event);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Work(says) => self.set_status(TaskState::Working, says),
            Step::Make(which, parts) => {
                let parts = (0..parts).map(|_| part(&self.fresh("p"))).collect();
                let made = Artifact {
                    artifact_id: format!("a{which}"),
                    name: Some(self.fresh("name")),
                    parts,
                    ..Artifact::default()
                };
                let mut task = self.now();
                match task
                    .artifacts
                    .iter_mut()
                    .find(|a| a.artifact_id == made.artifact_id)
                {
                    Some(known) => *known = made.clone(),
                    None => task.artifacts.push(made.clone()),
                }
                self.publish(task, artifact_event(made, false, false));
            }
            Step::Extend(which) => {
                let more = part(&self.fresh("p"));
                let mut task = self.now();
                let id = format!("a{which}");
                if let Some(known) = task.artifacts.iter_mut().find(|a| a.artifact_id == id) {
                    known.parts.push(more.clone());
                    let chunk = Artifact {
                        artifact_id: id,
                        parts: vec![more],
                        ..Artifact::default()
                    };
                    self.publish(task, artifact_event(chunk, true, false));
                }
            }
            Step::Ask {
                state,
                says,
                resubmits,
            } => {
                self.set_status(state, says);
                let mut task = self.now();
                self.supersede(&mut task);
                task.status.message = None;
                let answer = self.fresh("u");
                task.history.push(user(&answer));
                self.publish(task.clone(), StreamResponse::Task(task));
                if resubmits {
                    self.set_status(TaskState::Submitted, false);
                }
                self.set_status(TaskState::Working, false);
            }
            Step::Note => {
                let mut task = self.now();
                let note = self.fresh("note");
                task.metadata = Some(Box::new(super::object("note", &note)));
                self.publish(task.clone(), StreamResponse::Task(task));
            }
        }
    }

    fn supersede(&self, task: &mut Task) {
        if let Some(message) = task.status.message.take()
            && self.manner.records
        {
            task.history.push(message);
        }
    }

    fn set_status(&mut self, state: TaskState, says: bool) {
        let mut task = self.now();
        self.supersede(&mut task);
        let message = says.then(|| agent(&self.fresh("m")));
        let version = self.run.versions.len();
        task.status = TaskStatus {
            state,
            message,
            timestamp: self
                .manner
                .times
                .then(|| format!("2026-01-01T00:{:02}:{:02}Z", version / 60, version % 60)),
            ..TaskStatus::default()
        };
        let event = status_event(task.status.clone());
        self.publish(task, event);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Work),
        2 => (0..2_usize, 0..3_usize).prop_map(|(which, parts)| Step::Make(which, parts)),
        3 => (0..2_usize).prop_map(Step::Extend),
        2 => (
            prop_oneof![Just(TaskState::InputRequired), Just(TaskState::AuthRequired)],
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(state, says, resubmits)| Step::Ask { state, says, resubmits }),
        1 => Just(Step::Note),
    ]
}

/// Any run of a worker of this manner.
pub(super) fn run(manner: Manner) -> impl Strategy<Value = Run> {
    let ends = prop_oneof![
        Just(TaskState::Completed),
        Just(TaskState::Failed),
        Just(TaskState::Canceled),
        Just(TaskState::Rejected),
    ];
    (prop::collection::vec(step(), 0..12), ends, any::<bool>())
        .prop_map(move |(steps, end, says)| Run::new(manner, &steps, end, says))
}
