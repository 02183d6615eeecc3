//! The callback source: workers of python_a2a that send a task back when they are done, and say nothing of it where they
//! are asked.
//!
//! The address that comes with a send holds an unguessable token per task, as a webhook's does (see [`super::webhook`],
//! which keeps its digest and what comes early). What comes to it is a task of its own, and its arrival is the end of the
//! task that it is about. Whether a worker is one of those is not known beforehand, so that it is polled as well: whatever
//! brings the end first wins.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::open::{OwnWebhook, status_now};
use super::poll::{Look, Schedule};
use super::supervise::{Left, Watch, Way};
use super::webhook::{News, ReceiveError};
use super::{Mode, Sources, Upstream};
use crate::a2a::dialect::decode_callback;
use crate::a2a::{Task, TaskState, TaskStatus};
use crate::store::{StoreError, TaskRecord};
use crate::task::TaskKey;

/// The path below which workers call back; the token follows, and after it what python_a2a's client adds. It holds no
/// `/a2a/`, at which the worker cuts the address that it was given.
pub const PATH: &str = "/.a2a-sidecar/callback/";

/// How often an outcome is merged anew because the log has grown meanwhile: a poll beside it may just have come back.
const MAX_MERGES: u32 = 5;

/// `metadata.callback_task` for a worker that reaches the sidecar at this address.
pub(super) fn order(address: &str) -> Value {
    json!({
        "endpoint": format!("{address}/a2a/tasks/send"),
        "headers": {},
        "data": {
            "message": {
                "role": "system",
                "content": { "type": "text", "text": "The result of the task" },
            },
        },
    })
}

/// Whether workers would cut the address that is made of this base before the token.
#[must_use]
pub fn is_cut(base_url: &str) -> bool {
    format!("{base_url}{PATH}").contains("/a2a/")
}

/// The token in a path below [`PATH`], and what comes after it.
#[must_use]
pub fn token(path: &str) -> Option<(&str, &str)> {
    let at = path.find(PATH)? + PATH.len();
    let rest = path.get(at..)?;
    Some(match rest.find('/') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    })
}

impl Sources {
    /// Takes in a worker's callback. The outcome is in the log when this returns.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn receive_callback(
        &self,
        token: &str,
        body: &[u8],
        upstream: impl Fn(&str) -> Option<Arc<Upstream>>,
    ) -> Result<(), ReceiveError> {
        let task = decode_callback(body).map_err(|error| ReceiveError::Malformed(error.message))?;
        self.take_in(token, News::Outcome(task), upstream).await
    }

    /// The worker has sent back what came of the task.
    pub(super) async fn called_back(
        &self,
        record: &TaskRecord,
        sent: Task,
    ) -> Result<(), StoreError> {
        for _ in 0..MAX_MERGES {
            let record = self
                .hub()
                .record(&record.key)
                .await?
                .ok_or(StoreError::NotFound)?;
            let task = outcome(&record.task, sent.clone());
            let observed = self.merge_whole(&record, task, record.last_seq).await?;
            if observed.state.is_terminal() {
                // Nothing is left to be learnt of it.
                self.forget(&record.key);
                return Ok(());
            }
        }
        Err(StoreError::Conflict)
    }

    /// Notes the address at which a turn of a task that is kept already is called back.
    pub(super) async fn expect_at(
        &self,
        key: &TaskKey,
        webhook: Option<&OwnWebhook>,
    ) -> Result<(), StoreError> {
        let Some(webhook) = webhook else {
            return Ok(());
        };
        let hash = Some(webhook.token_hash);
        self.hub()
            .relink(key, |link| link.push_token_hash = hash)
            .await
    }
}

/// The task with what was sent back as its outcome. The task that was sent is a new one: its id, history and message are
/// the requester's own words, and its state only counts where it says more than that it was sent.
fn outcome(task: &Task, sent: Task) -> Task {
    let mut task = task.clone();
    for artifact in sent.artifacts {
        let known = task
            .artifacts
            .iter_mut()
            .find(|known| known.artifact_id == artifact.artifact_id);
        match known {
            Some(known) => *known = artifact,
            None => task.artifacts.push(artifact),
        }
    }
    let state = if sent.status.state.is_terminal() {
        sent.status.state
    } else {
        TaskState::Completed
    };
    task.status = TaskStatus {
        message: sent.status.message,
        ..status_now(state)
    };
    task
}

impl Watch {
    /// Waits to be called back, and looks at the task beside it as polling does, as long as the worker has something to
    /// show.
    pub(super) async fn callback(&mut self) -> Left {
        self.note_source(Mode::Callback).await;
        let upstream = Arc::clone(&self.upstream);
        let policy = &upstream.policy.poll;
        let limit = upstream.policy.answer_timeout;
        let mut schedule = Schedule::new(policy);
        let mut retry_after = None;
        let mut seen = self.demand.last_seq();
        let mut since = Instant::now();
        loop {
            let wait = schedule.wait(policy, retry_after.take());
            let reads = self.can_read() && self.not_found < policy.not_found_limit;
            let looking = async {
                self.demand.wait().await;
                sleep(wait).await;
                self.upstream.poll_allowed().await;
            };
            tokio::select! {
                () = self.stop.cancelled() => return Left::Done,
                () = self.demand.wait_past(seen) => {
                    seen = self.demand.last_seq();
                    since = Instant::now();
                    if self.is_over().await {
                        return Left::Done;
                    }
                    continue;
                }
                () = sleep_until(since + limit) => {
                    self.fail(&format!(
                        "The worker has neither called back nor told anything new for {} s.",
                        limit.as_secs()
                    ))
                    .await;
                    return Left::Done;
                }
                () = looking, if reads => {}
            }
            match self.look().await {
                Ok(state) if state.is_terminal() => return Left::Done,
                Ok(_) => {
                    self.failing_since = None;
                    self.not_found = 0;
                }
                // It may call back all the same: it is asked no more.
                Err(Look::Worker(error)) if error.is_task_not_found() => self.not_found += 1,
                Err(Look::Worker(error)) if error.is_refused_operation() => {}
                Err(Look::Worker(error)) => {
                    retry_after = error.retry_after();
                    if self.trouble(&error).await {
                        return Left::Done;
                    }
                }
                Err(Look::Store(error)) => return self.store_failed(&error, Way::Callback).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_below_the_path_and_nowhere_else() {
        let under = "/team/.a2a-sidecar/callback/abc";
        assert_eq!(token(under), Some(("abc", "")));
        let sent = format!("{under}/a2a/tasks/send");
        assert_eq!(token(&sent), Some(("abc", "/a2a/tasks/send")));
        assert_eq!(token("/a2a/tasks/send"), None);
    }

    #[test]
    fn the_address_that_a_worker_is_given_is_cut_where_it_should_be() {
        let address = format!("http://sidecar:8080/base{PATH}abc");
        let order = order(&address);
        let endpoint = order["endpoint"].as_str().unwrap_or_default();
        assert_eq!(endpoint.split("/a2a/").next(), Some(address.as_str()));
        assert!(!is_cut("http://sidecar:8080/base"));
        assert!(is_cut("http://sidecar:8080/a2a"));
        assert!(is_cut("http://sidecar:8080/a2a/base"));
    }

    #[test]
    fn what_is_sent_back_ends_the_task_with_its_artifacts() {
        let sent = |body: Value| {
            let body = body.to_string();
            outcome(&Task::default(), decode_callback(body.as_bytes()).unwrap())
        };
        let artifacts = json!([{ "parts": [{ "type": "text", "text": "done" }] }]);
        let done = sent(
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/send", "params": {
                "id": "theirs", "status": { "state": "submitted" }, "artifacts": artifacts,
                "message": { "role": "system", "content": { "type": "text", "text": "words of ours" } },
            }}),
        );
        assert_eq!(done.status.state, TaskState::Completed);
        assert_eq!((done.id.as_str(), done.history.len()), ("", 0));
        assert_eq!(done.artifacts.len(), 1);
        let failed = sent(
            json!({ "id": "theirs", "status": { "state": "failed" }, "artifacts": artifacts }),
        );
        assert_eq!(failed.status.state, TaskState::Failed);
    }

    #[test]
    fn what_is_no_task_is_refused() {
        for body in [
            "",
            "nonsense",
            "[]",
            "{}",
            r#"{"jsonrpc":"2.0","params":[]}"#,
        ] {
            assert!(decode_callback(body.as_bytes()).is_err(), "{body}");
        }
    }
}
