//! Sends that come again: the `python_a2a` client submits a message anew, on other paths and mostly under another task id,
//! when an answer is slow or holds nothing that it can show. Such repeats join the first submission as long as its task
//! runs, and for a while after it unless somebody has been given its outcome.
//!
//! Kept in memory: after a restart a repeat is a new submission.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::Asked;
use crate::a2a::{PartContent, SendMessageRequest, Task};
use crate::proxy::error::Error;
use crate::source::{First, OpenError, Sources, Turn};
use crate::store::Principal;
use crate::task::{Seq, TaskKey};

/// How long after the end of a task a repeat of its message still joins it: the client repeats at once when a try has
/// failed, and a try fails at most one of its timeouts (30 s) after the answer was sent.
const AFTER_THE_END: Duration = Duration::from_secs(60);

/// How many submissions are remembered: a thousand clients with a few tries each. Beyond that the oldest is forgotten, and
/// its repeats are new submissions.
const MAX_REMEMBERED: usize = 4096;

/// What makes two submissions one: who says what to whom, by the same message id. (Ids alone are not enough: people write
/// them by hand.)
#[derive(Clone, PartialEq, Eq, Hash)]
struct Submission {
    route: Arc<str>,
    tenant: Arc<str>,
    owner: Principal,
    message_id: String,
    said: [u8; 32],
}

struct Remembered {
    since: Instant,
    begun: Begun,
}

/// The submissions of all routes.
#[derive(Default)]
pub struct Repeats {
    remembered: DashMap<Submission, Remembered>,
}

/// What a submission is.
pub(super) enum Place {
    /// The first of its kind.
    First(Begin),
    /// One of those that come after it.
    Repeat(Begun),
}

/// The first submission, before it is made.
pub(super) struct Begin {
    task: watch::Sender<Option<(TaskKey, Seq)>>,
    satisfied: Satisfied,
}

/// The first submission, once it is made.
#[derive(Clone)]
pub(super) struct Begun {
    task: watch::Receiver<Option<(TaskKey, Seq)>>,
    satisfied: Satisfied,
}

/// Whether somebody has been given an outcome that the client does not ask for again.
#[derive(Clone, Default)]
pub(super) struct Satisfied(Arc<AtomicBool>);

impl Satisfied {
    /// Notes that somebody is given this task. The client shows the first text that it finds, or what it knows as data.
    pub(super) fn with(&self, task: &Task) {
        let shown = task
            .artifacts
            .iter()
            .flat_map(|artifact| &artifact.parts)
            .any(|part| matches!(part.content, PartContent::Text(_) | PartContent::Data(_)));
        if shown && task.status.state.is_terminal() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Begin {
    /// Where to note that somebody has been answered.
    pub(super) fn satisfied(&self) -> Satisfied {
        self.satisfied.clone()
    }

    /// Makes the submission. It goes on by itself: a requester that goes away comes back with a repeat, and must find it.
    pub(super) async fn run(self, sources: &Sources, turn: Box<Turn>) -> Result<First, OpenError> {
        let (tell, told) = oneshot::channel();
        let sources = sources.clone();
        tokio::spawn(async move {
            let first = sources.begin(turn).await;
            if let Ok(First::Task { key, before, .. }) = &first {
                self.task.send_replace(Some((key.clone(), *before)));
            }
            // Nobody may be there any more to hear it.
            let _ = tell.send(first);
        });
        told.await.unwrap_or(Err(OpenError::Stopping))
    }
}

impl Begun {
    /// Its task; none if nothing came of it.
    pub(super) async fn task(&mut self) -> Option<(TaskKey, Seq)> {
        let task = self.task.wait_for(Option::is_some).await.ok()?;
        task.clone()
    }

    /// Where to note that somebody has been answered.
    pub(super) fn satisfied(&self) -> Satisfied {
        self.satisfied.clone()
    }

    /// Whether it has failed, or can still fail or succeed, or has its task.
    fn state(&self) -> State {
        match self.task.borrow().clone() {
            Some((key, _)) => State::Task(key),
            None if self.task.has_changed().is_err() => State::Failed,
            None => State::Beginning,
        }
    }
}

enum State {
    Failed,
    Beginning,
    Task(TaskKey),
}

impl Repeats {
    /// What this submission is.
    pub(super) async fn place(
        &self,
        sources: &Sources,
        asked: &Asked,
        send: &SendMessageRequest,
    ) -> Result<Place, Error> {
        let submission = Submission {
            route: asked.route.name.clone(),
            tenant: asked.tenant.clone(),
            owner: asked.principal(),
            message_id: send.message.message_id.clone(),
            said: said(send),
        };
        let known = self
            .remembered
            .get(&submission)
            .map(|remembered| remembered.begun.clone());
        if let Some(begun) = known
            && joinable(sources, &begun).await?
        {
            return Ok(Place::Repeat(begun));
        }
        Ok(self.first(submission))
    }

    fn first(&self, submission: Submission) -> Place {
        self.make_room();
        let (task, heard) = watch::channel(None);
        let satisfied = Satisfied::default();
        let begun = Begun {
            task: heard,
            satisfied: satisfied.clone(),
        };
        let remembered = Remembered {
            since: Instant::now(),
            begun,
        };
        match self.remembered.entry(submission) {
            // Somebody was quicker, in the moment since it was looked for.
            Entry::Occupied(other) if matches!(other.get().begun.state(), State::Beginning) => {
                return Place::Repeat(other.get().begun.clone());
            }
            Entry::Occupied(mut old) => {
                old.insert(remembered);
            }
            Entry::Vacant(place) => {
                place.insert(remembered);
            }
        }
        Place::First(Begin { task, satisfied })
    }

    fn make_room(&self) {
        if self.remembered.len() < MAX_REMEMBERED {
            return;
        }
        let oldest = self
            .remembered
            .iter()
            .min_by_key(|entry| entry.value().since)
            .map(|entry| entry.key().clone());
        if let Some(oldest) = oldest {
            self.remembered.remove(&oldest);
        }
    }
}

/// Whether a repeat is answered as the first one is.
async fn joinable(sources: &Sources, begun: &Begun) -> Result<bool, Error> {
    let key = match begun.state() {
        State::Failed => return Ok(false),
        State::Beginning => return Ok(true),
        State::Task(key) => key,
    };
    let Some(record) = sources.hub().record(&key).await? else {
        return Ok(false);
    };
    if !record.task.status.state.is_terminal() {
        // Where it waits for its requester, the next message is an answer, and not a repeat.
        return Ok(!record.task.status.state.is_interrupted());
    }
    let age = jiff::Timestamp::now()
        .as_millisecond()
        .saturating_sub(record.updated_at);
    let still = i64::try_from(AFTER_THE_END.as_millis()).is_ok_and(|bound| age < bound);
    Ok(still && !begun.satisfied.is())
}

fn said(send: &SendMessageRequest) -> [u8; 32] {
    // Parts are strings and JSON values, which cannot fail to serialise.
    Sha256::digest(serde_json::to_vec(&send.message.parts).unwrap_or_default()).into()
}
