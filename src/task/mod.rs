//! The task log's own rules, pure: how events fold into a task, how observations become events, how ids are mapped.

pub mod fold;
pub mod ids;
mod messages;
pub mod reconcile;
mod snapshot;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Which task: the route that it belongs to, the tenant (empty without one) and the id that the requester sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// The route's name.
    pub route: Arc<str>,
    /// The tenant of specification §4.4.6; empty where there is none.
    pub tenant: Arc<str>,
    /// The id that the requester sees: the worker's own where it gave one in time, else one of the sidecar's.
    pub id: Arc<str>,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.route, self.id)
    }
}

/// The number of an event within its task; the first event is 1, 0 is "before the first".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The number of the event after this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
