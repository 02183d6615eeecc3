//! A store one answer of which can be held back, and what the hub promises about tasks whose entry is being made while
//! the store takes its time.

use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::*;
use crate::store::{
    AttemptOutcome, Claims, Deliveries, Delivery, DeliveryId, ListFilter, ListPage, LogEntry,
    RegistrationKind, Sealed, Subscriptions, TaskFilter, TaskLog,
};

/// The answers that can be held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Task,
    Registrations,
}

/// A gate: whose answer it holds back, how it says that it does, and what opens it.
type Gate = (Answer, oneshot::Sender<()>, oneshot::Receiver<()>);

/// A memory store that holds back the next answer of a kind: it is read from the store, and reaches the caller when the
/// gate opens. Others of the kind pass meanwhile.
#[derive(Default)]
struct Gated {
    inner: MemoryStore,
    gate: Mutex<Option<Gate>>,
}

impl Gated {
    /// Holds back the next answer of this kind. The first end says when it is held, the second lets it go.
    fn hold(&self, answer: Answer) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let (reached, held) = oneshot::channel();
        let (release, released) = oneshot::channel();
        *self.gate.lock().unwrap() = Some((answer, reached, released));
        (held, release)
    }

    async fn pass(&self, answer: Answer) {
        let gate = self
            .gate
            .lock()
            .unwrap()
            .take_if(|(held, ..)| *held == answer);
        if let Some((_, reached, released)) = gate {
            reached.send(()).unwrap();
            released.await.unwrap();
        }
    }
}

#[async_trait]
impl TaskLog for Gated {
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
        let found = self.inner.task(key).await;
        self.pass(Answer::Task).await;
        found
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
        self.inner.events(key, after, limit).await
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
impl Subscriptions for Gated {
    async fn register(&self, push: PushRegistration) -> Result<(), StoreError> {
        self.inner.register(push).await
    }
    async fn registrations(&self, key: &TaskKey) -> Result<Vec<PushRegistration>, StoreError> {
        let found = self.inner.registrations(key).await;
        self.pass(Answer::Registrations).await;
        found
    }
    async fn unregister(&self, key: &TaskKey, id: &str) -> Result<bool, StoreError> {
        self.inner.unregister(key, id).await
    }
}

#[async_trait]
impl Deliveries for Gated {
    async fn claim(&self, now: Millis, until: Millis, limit: usize) -> Result<Claims, StoreError> {
        self.inner.claim(now, until, limit).await
    }
    async fn finish(
        &self,
        id: DeliveryId,
        outcome: AttemptOutcome,
        line: String,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.inner.finish(id, outcome, line, now).await
    }
    async fn redeliver(&self, id: DeliveryId, now: Millis) -> Result<(), StoreError> {
        self.inner.redeliver(id, now).await
    }
    async fn deliveries(&self, key: &TaskKey, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.inner.deliveries(key, limit).await
    }
}

async fn gated() -> (Hub, Arc<Gated>, TaskKey) {
    let store = Arc::new(Gated::default());
    let hub = Hub::new(store.clone());
    hub.create(record("a"), Vec::new()).await.unwrap();
    (hub, store, record("a").key)
}

#[tokio::test]
async fn a_push_config_registered_while_a_tasks_entry_is_made_is_demand() {
    // Whichever look at the store is the slow one.
    for answer in [Answer::Task, Answer::Registrations] {
        let (hub, store, key) = gated().await;
        let (held, release) = store.hold(answer);
        let mut demand = tokio_test::task::spawn(hub.demand(&key));
        assert!(demand.poll().is_pending());
        held.await.unwrap();
        // It goes as far as it can now: through an entry of its own, which is gone when it is done, or up to the lock
        // of the one that is being made.
        let mut register = tokio_test::task::spawn(hub.register(PushRegistration {
            key: key.clone(),
            kind: RegistrationKind::Webhook,
            id: "p".to_owned(),
            dialect: "v1.0/jsonrpc".to_owned(),
            config: Sealed(Vec::new()),
            created_at: 1,
        }));
        let registered = match register.poll() {
            std::task::Poll::Ready(registered) => Some(registered),
            std::task::Poll::Pending => None,
        };
        release.send(()).unwrap();
        let demand = demand.await.unwrap();
        match registered {
            Some(registered) => registered.unwrap(),
            None => register.await.unwrap(),
        }
        assert!(demand.is_some(), "{answer:?} was slow");
    }
}

#[tokio::test]
async fn an_event_appended_while_a_tasks_entry_is_made_is_in_it() {
    let (hub, store, key) = gated().await;
    let (held, release) = store.hold(Answer::Task);
    let mut follow = tokio_test::task::spawn(hub.follow(&key, Seq(1)));
    assert!(follow.poll().is_pending());
    held.await.unwrap();
    hub.observe(&key, status("a", TaskState::Working), Some(Seq(1)))
        .await
        .unwrap();
    release.send(()).unwrap();
    let mut follow = follow.await.unwrap().unwrap();
    assert!(follow.behind());
    match follow.next().await.unwrap() {
        Next::Event(entry) => assert_eq!(entry.seq, Seq(2)),
        Next::Trimmed(_) => panic!("nothing was trimmed"),
    }
}
