//! What a worker does with a message: a list of steps, taken one after another as fast as the gates in it
//! allow. Nothing here waits for time.

use serde_json::Value;

use crate::support::protocol::State;

/// How a worker lets requesters learn of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A send can wait for the end of the task.
    Blocking,
    /// A send can be answered at once, and GetTask tells the rest.
    Poll,
    /// Streams and subscriptions.
    Stream,
    /// Webhooks.
    Push,
}

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::Blocking, Mode::Poll, Mode::Stream, Mode::Push];
}

/// One step of a job.
#[derive(Clone, Debug)]
pub enum Step {
    /// A status, with what the worker says about it.
    Status(State, Option<String>),
    /// An artifact or a chunk of one.
    Artifact {
        id: String,
        /// The text of each part.
        parts: Vec<String>,
        append: bool,
        last_chunk: bool,
    },
    /// Nothing more until the gate is open.
    Wait(String),
    /// Asks the requester; the steps after it are for the requester's next message.
    InputRequired(String),
    /// Answers with a message instead of a task. Only gates may stand before it.
    Message(String),
    /// The whole task as an event of the streams, as some workers send it again and again.
    Snapshot,
    /// Any JSON as a stream result, which leaves the task as it is. `$TASK` and `$CONTEXT` in it stand for the ids.
    Raw(Value),
    /// The end.
    End(State, Option<String>),
}

/// A status without words.
pub fn status(state: State) -> Step {
    Step::Status(state, None)
}

/// `working`, with words.
pub fn working(text: &str) -> Step {
    Step::Status(State::Working, Some(text.to_owned()))
}

/// A whole artifact.
pub fn artifact(id: &str, text: &str) -> Step {
    Step::Artifact {
        id: id.to_owned(),
        parts: vec![text.to_owned()],
        append: false,
        last_chunk: true,
    }
}

/// A chunk of an artifact: the first makes it, the later ones append.
pub fn chunk(id: &str, text: &str, append: bool, last_chunk: bool) -> Step {
    Step::Artifact {
        id: id.to_owned(),
        parts: vec![text.to_owned()],
        append,
        last_chunk,
    }
}

/// A gate, opened with `Worker::release`.
pub fn wait(gate: &str) -> Step {
    Step::Wait(gate.to_owned())
}

/// A question to the requester.
pub fn ask(text: &str) -> Step {
    Step::InputRequired(text.to_owned())
}

/// An answer without a task.
pub fn say(text: &str) -> Step {
    Step::Message(text.to_owned())
}

/// A good end.
pub fn done(text: &str) -> Step {
    Step::End(State::Completed, Some(text.to_owned()))
}

/// A bad end.
pub fn failed(text: &str) -> Step {
    Step::End(State::Failed, Some(text.to_owned()))
}

/// What a worker does with a message that no script was given for.
pub fn echo(text: &str) -> Vec<Step> {
    vec![
        working(&format!("working on {text}")),
        artifact("result", &format!("result for {text}")),
        done(&format!("done: {text}")),
    ]
}

/// Whether the script answers with a message and never makes a task.
pub fn is_bare(steps: &[Step]) -> bool {
    matches!(
        steps.iter().find(|step| !matches!(step, Step::Wait(_))),
        Some(Step::Message(_))
    )
}
