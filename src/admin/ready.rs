//! Whether the sidecar can serve: every part says so for itself, and none may say so before it is true.
//!
//! It is about the start and the stop. A store that refuses writes for a while is not in it: what is kept is served all the
//! same, new work is refused with an answer that says why, and a balancer that took the sidecar away would take both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What must be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The store is open.
    Store,
    /// The unfinished tasks of the last run are being watched again.
    Recovery,
    /// Requesters can connect.
    Listener,
    /// The sidecar is not stopping.
    Process,
}

impl Part {
    /// Every part.
    pub const ALL: [Part; 4] = [Part::Store, Part::Recovery, Part::Listener, Part::Process];

    /// The name on `/ready`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Store => "store",
            Part::Recovery => "recovery",
            Part::Listener => "listener",
            Part::Process => "process",
        }
    }
}

/// What each part says. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Why a part is not ready; none where it is. In the order of [`Part::ALL`].
    reasons: Arc<Mutex<[Option<String>; 4]>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Nothing is ready yet.
    #[must_use]
    pub fn new() -> Self {
        let reasons = Part::ALL.map(|part| (part != Part::Process).then(|| "starting".to_owned()));
        Self {
            reasons: Arc::new(Mutex::new(reasons)),
        }
    }

    /// The part is ready.
    pub fn ready(&self, part: Part) {
        self.set(part, None);
    }

    /// The sidecar stops: it is never ready again.
    pub fn drain(&self) {
        self.set(Part::Process, Some("draining".to_owned()));
    }

    /// Why the sidecar is not ready; empty if it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<(Part, String)> {
        let reasons = self.lock();
        Part::ALL
            .into_iter()
            .zip(reasons.iter())
            .filter_map(|(part, reason)| Some((part, reason.clone()?)))
            .collect()
    }

    /// Whether everything is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().iter().all(Option::is_none)
    }

    fn set(&self, part: Part, reason: Option<String>) {
        let mut reasons = self.lock();
        for (of, slot) in Part::ALL.into_iter().zip(reasons.iter_mut()) {
            // Draining latches: what starts late must not bring traffic back.
            let latched = of == Part::Process && slot.is_some();
            if of == part && !latched {
                slot.clone_from(&reason);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Option<String>; 4]> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
