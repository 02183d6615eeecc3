//! The sidecar's own webhook: where workers that push natively tell of their tasks.
//!
//! The address holds an unguessable token per task, of which only a digest is kept. Bodies of every version are taken.

use sha2::{Digest, Sha256};

use super::{Sources, Upstream};
use crate::a2a::dialect::decode_webhook;
use crate::a2a::{StreamResponse, Task};
use crate::store::{StoreError, TaskRecord};
use std::sync::Arc;

/// The path below which the sidecar's own webhooks are; the token follows.
pub const PATH: &str = "/.a2a-sidecar/webhook/";

/// What comes to an address of the sidecar's own.
pub(super) enum News {
    /// An event, in the worker's ids.
    Event(StreamResponse),
    /// A callback: what came of the task, in a task that is not the one that it is about.
    Outcome(Task),
}

/// What became of a webhook.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// No task has this token (any more).
    #[error("no task has this address")]
    Unknown,
    /// The body is no event.
    #[error("the body is neither a task nor an event of one: {0}")]
    Malformed(String),
    /// More webhooks came before the answer to the send than are kept.
    #[error("too many webhooks before the answer to the send")]
    TooEarly,
    /// The store's fault: it was not kept, and is to be sent again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The digest by which a token is known.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Sources {
    /// Takes in one webhook of a worker. What it says is in the log when this returns.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn receive(
        &self,
        token: &str,
        body: &[u8],
        upstream: impl Fn(&str) -> Option<Arc<Upstream>>,
    ) -> Result<(), ReceiveError> {
        let event = decode_webhook(body).map_err(|error| ReceiveError::Malformed(error.message))?;
        self.take_in(token, News::Event(event), upstream).await
    }

    /// Takes in what came to the address that has this token.
    pub(super) async fn take_in(
        &self,
        token: &str,
        event: News,
        upstream: impl Fn(&str) -> Option<Arc<Upstream>>,
    ) -> Result<(), ReceiveError> {
        let token_hash = token_hash(token);
        if let Some(mut early) = self.inner.early.get_mut(&token_hash) {
            // The send is not answered yet. It must not be made to wait for the webhook's acknowledgement: some workers
            // post before they answer.
            if early.events.len() >= early.bound {
                return Err(ReceiveError::TooEarly);
            }
            early.events.push_back(event);
            return Ok(());
        }
        let record = self
            .hub()
            .store()
            .task_by_push_token(&token_hash)
            .await?
            .ok_or(ReceiveError::Unknown)?;
        let upstream = upstream(&record.key.route).ok_or(ReceiveError::Unknown)?;
        self.receive_for(&record, &upstream, event).await?;
        Ok(())
    }

    /// Merges the webhooks that came before the record was made. The store's index knows the token by now.
    pub(super) async fn take_early(
        &self,
        record: &TaskRecord,
        upstream: &Arc<Upstream>,
        token_hash: &[u8; 32],
    ) -> Result<(), StoreError> {
        loop {
            // Those that come meanwhile wait behind the ones before them: the entry goes only when it is empty.
            let next = self
                .inner
                .early
                .get_mut(token_hash)
                .and_then(|mut early| early.events.pop_front());
            match next {
                Some(event) => self.receive_for(record, upstream, event).await?,
                None => {
                    let gone = self
                        .inner
                        .early
                        .remove_if(token_hash, |_, early| early.events.is_empty());
                    if gone.is_some() || !self.inner.early.contains_key(token_hash) {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn receive_for(
        &self,
        record: &TaskRecord,
        upstream: &Arc<Upstream>,
        news: News,
    ) -> Result<(), StoreError> {
        let event = match news {
            News::Event(event) => event,
            News::Outcome(task) => return self.called_back(record, task).await,
        };
        // 0.x bodies are the whole task: nothing would be learnt by reading it once more.
        let whole = matches!(event, StreamResponse::Task(_));
        self.merge(&record.key, upstream, event, None, whole)
            .await?;
        Ok(())
    }
}
