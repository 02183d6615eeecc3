//! A store for tests of deliveries, whose next calls can be made to fail.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::super::*;
use crate::a2a::StreamResponse;
use crate::store::{
    Append, Claims, Deliveries, ListFilter, ListPage, LogEntry, MemoryStore, PushRegistration,
    Store, Subscriptions, TaskFilter, TaskLog, TaskRecord,
};
use crate::task::{Seq, TaskKey};

/// A memory store whose next calls can be made to fail.
pub struct Faulty {
    inner: MemoryStore,
    pub fail_claims: AtomicUsize,
    /// Claims that another process is taken to have been quicker at.
    pub stolen_claims: AtomicUsize,
    pub fail_reads: AtomicUsize,
    pub fail_finishes: AtomicUsize,
    pub events_read: AtomicUsize,
    pub claims: AtomicUsize,
    pub finished: tokio::sync::watch::Sender<usize>,
}

impl Default for Faulty {
    fn default() -> Self {
        Self {
            inner: MemoryStore::default(),
            fail_claims: AtomicUsize::new(0),
            stolen_claims: AtomicUsize::new(0),
            fail_reads: AtomicUsize::new(0),
            fail_finishes: AtomicUsize::new(0),
            events_read: AtomicUsize::new(0),
            claims: AtomicUsize::new(0),
            finished: tokio::sync::watch::Sender::new(0),
        }
    }
}

fn fail(counter: &AtomicUsize) -> Result<(), StoreError> {
    let left = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    match left {
        Ok(_) => Err(StoreError::Busy("told to".to_owned())),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl TaskLog for Faulty {
    async fn create(
        &self,
        record: TaskRecord,
        events: Vec<Arc<StreamResponse>>,
        push: Vec<PushRegistration>,
    ) -> Result<(), StoreError> {
        self.inner.create(record, events, push).await
    }
    async fn append(&self, append: Append) -> Result<(), StoreError> {
        self.inner.append(append).await
    }
    async fn task(&self, key: &TaskKey) -> Result<Option<TaskRecord>, StoreError> {
        self.inner.task(key).await
    }
    async fn task_by_worker_id(
        &self,
        route: &str,
        tenant: &str,
        id: &str,
    ) -> Result<Option<TaskRecord>, StoreError> {
        self.inner.task_by_worker_id(route, tenant, id).await
    }
    async fn task_by_push_token(&self, hash: &[u8; 32]) -> Result<Option<TaskRecord>, StoreError> {
        self.inner.task_by_push_token(hash).await
    }
    async fn worker_context_id(
        &self,
        route: &str,
        tenant: &str,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        self.inner.worker_context_id(route, tenant, id).await
    }
    async fn events(
        &self,
        key: &TaskKey,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        fail(&self.fail_reads)?;
        let events = self.inner.events(key, after, limit).await?;
        self.events_read.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }
    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<TaskRecord>, StoreError> {
        self.inner.tasks(filter).await
    }
    async fn list(&self, filter: ListFilter) -> Result<ListPage, StoreError> {
        self.inner.list(filter).await
    }
    async fn trim(&self, key: &TaskKey, keep_from: Seq) -> Result<(), StoreError> {
        self.inner.trim(key, keep_from).await
    }
    async fn remove(&self, key: &TaskKey) -> Result<(), StoreError> {
        self.inner.remove(key).await
    }
    async fn expire(&self, before: Millis, limit: usize) -> Result<usize, StoreError> {
        self.inner.expire(before, limit).await
    }
}

#[async_trait]
impl Subscriptions for Faulty {
    async fn register(&self, push: PushRegistration) -> Result<(), StoreError> {
        self.inner.register(push).await
    }
    async fn registrations(&self, key: &TaskKey) -> Result<Vec<PushRegistration>, StoreError> {
        self.inner.registrations(key).await
    }
    async fn unregister(&self, key: &TaskKey, id: &str) -> Result<bool, StoreError> {
        self.inner.unregister(key, id).await
    }
}

#[async_trait]
impl Deliveries for Faulty {
    async fn claim(&self, now: Millis, until: Millis, limit: usize) -> Result<Claims, StoreError> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        fail(&self.fail_claims)?;
        if fail(&self.stolen_claims).is_err() {
            return self.inner.claim(now, until, 0).await;
        }
        self.inner.claim(now, until, limit).await
    }
    async fn finish(
        &self,
        id: DeliveryId,
        outcome: AttemptOutcome,
        line: String,
        now: Millis,
    ) -> Result<(), StoreError> {
        fail(&self.fail_finishes)?;
        let finished = self.inner.finish(id, outcome, line, now).await;
        self.finished.send_modify(|count| *count += 1);
        finished
    }
    async fn redeliver(&self, id: DeliveryId, now: Millis) -> Result<(), StoreError> {
        self.inner.redeliver(id, now).await
    }
    async fn deliveries(&self, key: &TaskKey, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.inner.deliveries(key, limit).await
    }
}

/// Proves at compile time that the store is one.
const _: fn(&Faulty) -> &dyn Store = |store| store;
