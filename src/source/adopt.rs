//! Tasks that are read on a requester's behalf: one that was not sent through here is taken in, and one that is kept is
//! looked at once for all who ask at the same time.

use std::sync::Arc;

use super::{Sources, Upstream, seal_context};
use crate::a2a::request::{Answer, GetTaskRequest};
use crate::a2a::{PushConfig, Request};
use crate::hub;
use crate::store::{Principal, PushRegistration, StoreError, TaskRecord, WorkerLink, push};
use crate::task::{Seq, TaskKey};
use crate::worker::{CallContext, CallError};

use tokio::time::Instant;

use super::open::OpenError;

impl Sources {
    /// Begins to keep a task that the worker shows this requester.
    ///
    /// # Errors
    /// The worker's, above all that it does not know the task; the store's.
    pub async fn adopt(
        &self,
        key: &TaskKey,
        upstream: &Arc<Upstream>,
        owner: Principal,
        context: &CallContext,
        later: &CallContext,
    ) -> Result<TaskRecord, OpenError> {
        let request = Request::GetTask(GetTaskRequest {
            id: key.id.to_string(),
            ..GetTaskRequest::default()
        });
        let reply = upstream
            .worker
            .call(&request, context, upstream.policy.call_timeout)
            .await?;
        let Answer::Task(task) = reply.value else {
            return Err(CallError::BadAnswer("GetTask brought no task".to_owned()).into());
        };
        let credentials = later.to_bytes();
        let credentials = (!credentials.is_empty() && !task.status.state.is_terminal())
            .then(|| self.inner.sealer.seal(&seal_context(key), &credentials))
            .transpose()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let now = hub::now();
        let record = TaskRecord {
            key: key.clone(),
            epoch: rand::random(),
            last_seq: Seq(1),
            first_seq: Seq(1),
            owner,
            link: Arc::new(WorkerLink {
                task_id: Some(key.id.to_string()),
                context_id: Some(task.context_id.clone()).filter(|id| !id.is_empty()),
                worker: upstream.worker.base().to_string(),
                source: super::Mode::Poll.name().to_owned(),
                credentials,
                ..WorkerLink::default()
            }),
            task: Arc::new(task),
            created_at: now,
            updated_at: now,
        };
        match self.hub().create(record.clone(), Vec::new()).await {
            Ok(()) => Ok(record),
            // Somebody was quicker; the worker has just shown this requester the task, so it may see that log.
            Err(StoreError::Conflict) => {
                Ok(self.hub().record(key).await?.ok_or(StoreError::NotFound)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a kept task with a requester's own credentials and merges it. Requesters of one task who ask at the same
    /// time wait for one reading; the log has it then for all of them.
    ///
    /// # Errors
    /// The worker's, the store's.
    pub async fn refresh(
        &self,
        record: &TaskRecord,
        upstream: &Arc<Upstream>,
        context: &CallContext,
    ) -> Result<(), OpenError> {
        let reading = self
            .inner
            .reading
            .entry(record.key.clone())
            .or_default()
            .clone();
        let asked = Instant::now();
        let mut began = reading.lock().await;
        // A reading that began after this one asked is as new as its own would have been.
        let result = if began.is_some_and(|began| began >= asked) {
            Ok(())
        } else {
            let begins = Instant::now();
            let result = self.read_and_merge(record, upstream, context).await;
            if result.is_ok() {
                *began = Some(begins);
            }
            result
        };
        drop(began);
        drop(reading);
        self.inner
            .reading
            .remove_if(&record.key, |_, reading| Arc::strong_count(reading) == 1);
        result
    }

    async fn read_and_merge(
        &self,
        record: &TaskRecord,
        upstream: &Arc<Upstream>,
        context: &CallContext,
    ) -> Result<(), OpenError> {
        let (task, since) = self
            .read_as(record, upstream, context, upstream.policy.call_timeout)
            .await?;
        self.merge_whole(record, task, since).await?;
        Ok(())
    }

    /// The config of a registration, opened; none if it is a callback, which is no push config to anybody.
    ///
    /// # Errors
    /// `Corrupt` if the key that it was sealed with is not the one in use.
    pub fn open_push(
        &self,
        registration: &PushRegistration,
    ) -> Result<Option<PushConfig>, StoreError> {
        match push::open(&self.inner.sealer, registration) {
            Ok(push::Config::Webhook(config)) => Ok(Some(config)),
            Ok(push::Config::Callback(_)) => Ok(None),
            Err(error) => Err(StoreError::Corrupt(error.to_string())),
        }
    }
}
