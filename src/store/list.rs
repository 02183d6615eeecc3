//! Listings for requesters: which tasks, in which order, page by page. What may be listed for whom is the caller's to know.
//!
//! The order is the newest status first, by the time that the status says, so that pages are those of the specification
//! (§3.1.4). A task whose status changes while somebody goes through the pages moves to the front, where the next listing
//! finds it; one that does not change is on exactly one page.

use std::sync::Arc;

use super::{Millis, Principal, TaskRecord};
use crate::a2a::{StreamResponse, Task, TaskState};

/// Nanoseconds since the Unix epoch: times of statuses are compared as finely as workers write them.
pub type Nanos = i64;

/// Which tasks to list.
#[derive(Clone, Debug)]
pub struct ListFilter {
    /// Those of this route.
    pub route: Arc<str>,
    /// And of this tenant.
    pub tenant: Arc<str>,
    /// And of this principal.
    pub owner: Principal,
    /// Only those of this context.
    pub context_id: Option<String>,
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those whose status is of this time or later.
    pub since: Option<Nanos>,
    /// Only those after this place.
    pub after: Option<ListCursor>,
    /// At most this many.
    pub limit: usize,
}

/// A place in a listing: right behind this task, as it was then. It holds whatever becomes of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCursor {
    /// The time of its status.
    pub status_at: Nanos,
    /// Its id.
    pub id: Arc<str>,
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPage {
    /// The tasks, newest status first, then by id. A store may give fewer than were asked for where they are large, but
    /// not none while there are some.
    pub records: Vec<TaskRecord>,
    /// Where the next page begins; none on the last.
    pub next: Option<ListCursor>,
    /// How many tasks match on all pages together.
    pub total: u64,
}

/// The time of a task's status: what the status says, or else when it came.
pub(super) fn status_at(task: &Task, now: Millis) -> Nanos {
    const NANOS: Nanos = 1_000_000;
    task.status
        .time()
        .map_or_else(|| now.saturating_mul(NANOS), to_nanos)
}

/// The same after these events; none if they say nothing of the status.
pub(super) fn status_at_after(
    task: &Task,
    events: &[Arc<StreamResponse>],
    now: Millis,
) -> Option<Nanos> {
    events
        .iter()
        .any(|event| event.status().is_some())
        .then(|| status_at(task, now))
}

/// A time for [`ListFilter::since`]; what lies beyond the year 2262 is its end.
#[must_use]
pub fn to_nanos(time: jiff::Timestamp) -> Nanos {
    let nanos = time.as_nanosecond();
    Nanos::try_from(nanos).unwrap_or(if nanos < 0 { Nanos::MIN } else { Nanos::MAX })
}
