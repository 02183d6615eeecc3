//! What is found out about a call on its way down the stack, for its record.

use std::sync::{Arc, OnceLock};

use crate::telemetry::event::{CallOutcome, Plan};

/// It goes down with the request; clones are one. The first word on each thing counts.
#[derive(Clone, Debug, Default)]
pub struct Note(Arc<Noted>);

/// What has been noted.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) route: OnceLock<Arc<str>>,
    pub(super) plan: OnceLock<Plan>,
    pub(super) task: OnceLock<Arc<str>>,
    pub(super) failure: OnceLock<Failure>,
}

/// How a call failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub outcome: CallOutcome,
    /// The JSON-RPC error's code, where the answer has one.
    pub rpc_code: Option<i64>,
}

impl Note {
    /// Which route it is.
    pub fn route(&self, name: &Arc<str>) {
        let _ = self.0.route.set(Arc::clone(name));
    }

    /// How it is answered.
    pub fn plan(&self, plan: Plan) {
        let _ = self.0.plan.set(plan);
    }

    /// That it failed.
    pub fn failed(&self, failure: Failure) {
        let _ = self.0.failure.set(failure);
    }

    /// Which task it is about.
    pub fn task(&self, id: &Arc<str>) {
        let _ = self.0.task.set(Arc::clone(id));
    }

    pub(super) fn noted(&self) -> &Noted {
        &self.0
    }
}
