//! Sources: how the sidecar learns of a task from the worker.
mod policy;
pub use policy::{Policy, PollPolicy, PushPolicy, StreamPolicy};

/// How news of a task travels (the design's five modes, but for the callback of older agents).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The answer comes when the task is done.
    Blocking,
    /// The task is asked for.
    Poll,
    /// Server-sent events.
    Stream,
    /// Webhooks.
    Push,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 4] = [Mode::Blocking, Mode::Poll, Mode::Stream, Mode::Push];

    /// The name in the configuration, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Blocking => "blocking",
            Mode::Poll => "poll",
            Mode::Stream => "stream",
            Mode::Push => "push",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}
