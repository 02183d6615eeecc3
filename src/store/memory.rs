//! The store in memory: the reference implementation, for tests and for `store = "memory"`.
//!
//! It keeps every promise of the traits but durability: it ends with the process. One mutex guards everything and is
//! held for map operations only, never over an `.await`; every lookup that a running sidecar does is by index, so the
//! lock is short even with many tasks.

mod ledger;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Append, Delivery, DeliveryId, DeliveryKind, DeliveryState, ListCursor, ListFilter, ListPage,
    LogEntry, Millis, Nanos, Principal, PushRegistration, RegistrationKind, StoreError, TaskFilter,
    TaskLog, TaskRecord, list,
};
use crate::a2a::StreamResponse;
use crate::task::{Seq, TaskKey};

/// How many tasks a [`MemoryStore`] holds unless it is told otherwise: at some ten kilobytes each that is 100 MB, which
/// a sidecar may take. Expiry makes room; a task is never evicted for a newer one.
pub const DEFAULT_MAX_TASKS: usize = 10_000;

/// A store that lives as long as the process.
pub struct MemoryStore {
    inner: Mutex<Inner>,
    max_tasks: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new(DEFAULT_MAX_TASKS)
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("max_tasks", &self.max_tasks)
            .finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// A store for at most `max_tasks` tasks; `create` answers `Busy` beyond that.
    #[must_use]
    pub fn new(max_tasks: usize) -> Self {
        MemoryStore {
            inner: Mutex::default(),
            max_tasks,
        }
    }

    // No operation leaves the maps half-changed at a point that can panic, so a poisoned lock holds whole data.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose list: route, tenant, owner.
type Lister = (Arc<str>, Arc<str>, Principal);

/// Where in it: the newest status first, then by id.
type Place = (Reverse<Nanos>, Arc<str>);

#[derive(Default)]
struct Inner {
    /// In boxes: a table has room for twice as many as it holds.
    tasks: HashMap<TaskKey, Box<Entry>>,
    /// By (route, tenant, worker's task id).
    by_worker: Index<(Arc<str>, Arc<str>, String)>,
    /// By the hash of the push token.
    by_token: Index<[u8; 32]>,
    /// By (route, tenant, context id), only tasks whose worker calls the context by another id.
    by_context: Index<(Arc<str>, Arc<str>, String)>,
    /// By (route, tenant, owner), in the order of listings.
    listed: HashMap<Lister, BTreeSet<Place>>,
    /// By the time of the end.
    ended: BTreeSet<(Millis, u64, TaskKey)>,
    /// The delivery that each push config's queue begins with, by the time at which it can be claimed.
    due: BTreeSet<(Millis, DeliveryId)>,
    /// Which task a delivery belongs to.
    homes: HashMap<DeliveryId, TaskKey>,
    made: u64,
    last_delivery: i64,
}

struct Entry {
    record: TaskRecord,
    /// The order of creation, which decides between records that an index finds together.
    made: u64,
    ended_at: Option<Millis>,
    status_at: Nanos,
    events: VecDeque<LogEntry>,
    push: Vec<PushRegistration>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// The pending deliveries of each config, by number: the first is the one to be claimed.
    pending: HashMap<String, BTreeSet<DeliveryId>>,
}

/// Keys of tasks by something that several tasks may share, oldest first. Mostly one does: a tree for each would cost
/// more than the task's own record.
struct Index<K>(HashMap<K, Vec<(u64, TaskKey)>>);

impl<K> Default for Index<K> {
    fn default() -> Self {
        Index(HashMap::new())
    }
}

impl<K: Eq + Hash> Index<K> {
    fn insert(&mut self, by: K, made: u64, key: &TaskKey) {
        let found = self.0.entry(by).or_insert_with(|| Vec::with_capacity(1));
        match found.binary_search_by_key(&made, |(made, _)| *made) {
            Ok(at) => found[at].1 = key.clone(),
            Err(at) => found.insert(at, (made, key.clone())),
        }
    }

    fn remove(&mut self, by: &K, made: u64) {
        if let Some(found) = self.0.get_mut(by) {
            if let Ok(at) = found.binary_search_by_key(&made, |(made, _)| *made) {
                found.remove(at);
            }
            if found.is_empty() {
                self.0.remove(by);
            }
        }
    }

    fn newest(&self, by: &K) -> Option<&TaskKey> {
        self.0.get(by)?.last().map(|(_, key)| key)
    }
}

fn claimable_at(delivery: &Delivery) -> Millis {
    delivery.next_attempt_at.max(delivery.claimed_until)
}

impl Entry {
    /// Whose listing it is in, and where.
    fn listed(&self) -> (Lister, Place) {
        let TaskRecord { key, owner, .. } = &self.record;
        (
            (key.route.clone(), key.tenant.clone(), *owner),
            (Reverse(self.status_at), key.id.clone()),
        )
    }

    /// The first pending delivery of a config and when it can be claimed.
    fn head(&self, config_id: &str) -> Option<(Millis, DeliveryId)> {
        let id = *self.pending.get(config_id)?.first()?;
        Some((claimable_at(self.deliveries.get(&id)?), id))
    }
}

impl Inner {
    fn index(&mut self, key: &TaskKey) {
        let Some(entry) = self.tasks.get(key) else {
            return;
        };
        let (made, link) = (entry.made, &entry.record.link);
        if let Some(id) = &link.task_id {
            let by = (key.route.clone(), key.tenant.clone(), id.clone());
            self.by_worker.insert(by, made, key);
        }
        if let Some(hash) = link.push_token_hash {
            self.by_token.insert(hash, made, key);
        }
        let context_id = &entry.record.task.context_id;
        if link.context_id.as_ref().is_some_and(|id| id != context_id) {
            let by = (key.route.clone(), key.tenant.clone(), context_id.clone());
            self.by_context.insert(by, made, key);
        }
        if let Some(at) = entry.ended_at {
            self.ended.insert((at, made, key.clone()));
        }
        let (by, place) = entry.listed();
        self.listed.entry(by).or_default().insert(place);
    }

    fn unindex(&mut self, key: &TaskKey) {
        let Some(entry) = self.tasks.get(key) else {
            return;
        };
        let (made, link) = (entry.made, &entry.record.link);
        if let Some(id) = &link.task_id {
            let by = (key.route.clone(), key.tenant.clone(), id.clone());
            self.by_worker.remove(&by, made);
        }
        if let Some(hash) = &link.push_token_hash {
            self.by_token.remove(hash, made);
        }
        let context_id = entry.record.task.context_id.clone();
        let by = (key.route.clone(), key.tenant.clone(), context_id);
        self.by_context.remove(&by, made);
        if let Some(at) = entry.ended_at {
            self.ended.remove(&(at, made, key.clone()));
        }
        let (by, place) = entry.listed();
        if let Some(places) = self.listed.get_mut(&by) {
            places.remove(&place);
            if places.is_empty() {
                self.listed.remove(&by);
            }
        }
    }

    fn record(&self, key: Option<&TaskKey>) -> Option<TaskRecord> {
        Some(self.tasks.get(key?)?.record.clone())
    }

    /// Puts events at the end of a task's log and a delivery of each at the end of each config's queue; in a callback's
    /// only the last one, if the task (which is the one after them already) is over.
    fn extend(&mut self, key: &TaskKey, events: Vec<Arc<StreamResponse>>, now: Millis) {
        let mut left = events.len();
        for event in events {
            left -= 1;
            let Some(entry) = self.tasks.get_mut(key) else {
                return;
            };
            let seq = entry.record.last_seq.next();
            entry.record.last_seq = seq;
            entry.events.push_back(LogEntry {
                seq,
                event,
                observed_at: now,
            });
            let end = left == 0 && entry.record.task.status.state.is_terminal();
            let configs: Vec<String> = entry
                .push
                .iter()
                .filter(|push| end || push.kind == RegistrationKind::Webhook)
                .map(|push| push.id.clone())
                .collect();
            for config_id in configs {
                self.enqueue(key, config_id, seq, DeliveryKind::Event, now);
            }
        }
    }

    fn enqueue(
        &mut self,
        key: &TaskKey,
        config_id: String,
        seq: Seq,
        kind: DeliveryKind,
        now: Millis,
    ) {
        let Some(entry) = self.tasks.get_mut(key) else {
            return;
        };
        self.last_delivery += 1;
        let id = DeliveryId(self.last_delivery);
        let queue = entry.pending.entry(config_id.clone()).or_default();
        queue.insert(id);
        if queue.len() == 1 {
            self.due.insert((now, id));
        }
        self.homes.insert(id, key.clone());
        let delivery = Delivery {
            id,
            key: key.clone(),
            config_id,
            seq,
            kind,
            state: DeliveryState::Pending,
            attempts: 0,
            next_attempt_at: now,
            claimed_until: 0,
            last_outcome: None,
            created_at: now,
        };
        entry.deliveries.insert(id, delivery);
    }

    /// Changes a task's deliveries while `due` keeps showing the first of the config's queue.
    fn requeue<T>(
        &mut self,
        key: &TaskKey,
        config_id: &str,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let entry = self.tasks.get_mut(key)?;
        if let Some(head) = entry.head(config_id) {
            self.due.remove(&head);
        }
        let changed = change(entry);
        if let Some(head) = entry.head(config_id) {
            self.due.insert(head);
        }
        Some(changed)
    }

    fn remove(&mut self, key: &TaskKey) {
        self.unindex(key);
        if let Some(entry) = self.tasks.remove(key) {
            for id in entry.deliveries.keys() {
                self.homes.remove(id);
            }
        }
    }
}

#[async_trait]
impl TaskLog for MemoryStore {
    async fn create(
        &self,
        mut record: TaskRecord,
        events: Vec<Arc<StreamResponse>>,
        push: Vec<PushRegistration>,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.tasks.contains_key(&record.key) {
            return Err(StoreError::Conflict);
        }
        if inner.tasks.len() >= self.max_tasks {
            return Err(StoreError::Busy(format!(
                "{} tasks are held in memory",
                self.max_tasks
            )));
        }
        let (key, now) = (record.key.clone(), record.updated_at);
        let over = record.task.status.state.is_terminal();
        record.last_seq = Seq(0);
        record.first_seq = Seq(1);
        if over {
            Arc::make_mut(&mut record.link).credentials = None;
        }
        inner.made += 1;
        let mut entry = Entry {
            status_at: list::status_at(&record.task, now),
            record,
            made: inner.made,
            ended_at: over.then_some(now),
            events: VecDeque::new(),
            push: Vec::new(),
            deliveries: BTreeMap::new(),
            pending: HashMap::new(),
        };
        for config in push {
            keep(&mut entry.push, config);
        }
        inner.tasks.insert(key.clone(), Box::new(entry));
        inner.index(&key);
        inner.extend(&key, events, now);
        Ok(())
    }

    async fn append(&self, append: Append) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let entry = inner.tasks.get(&append.key).ok_or(StoreError::NotFound)?;
        if entry.record.last_seq != append.expect {
            return Err(StoreError::Conflict);
        }
        if append.events.is_empty() && append.link.is_none() {
            return Ok(());
        }
        let key = append.key;
        inner.unindex(&key);
        if let Some(entry) = inner.tasks.get_mut(&key) {
            if let Some(at) = list::status_at_after(&append.task, &append.events, append.now) {
                entry.status_at = at;
            }
            if !append.events.is_empty() {
                entry.record.task = append.task;
            }
            if let Some(link) = append.link {
                entry.record.link = link;
            }
            entry.record.updated_at = append.now;
            if entry.record.task.status.state.is_terminal() {
                entry.ended_at.get_or_insert(append.now);
                Arc::make_mut(&mut entry.record.link).credentials = None;
            } else {
                entry.ended_at = None;
            }
        }
        inner.index(&key);
        inner.extend(&key, append.events, append.now);
        Ok(())
    }

    async fn task(&self, key: &TaskKey) -> Result<Option<TaskRecord>, StoreError> {
        Ok(self.lock().record(Some(key)))
    }

    async fn task_by_worker_id(
        &self,
        route: &str,
        tenant: &str,
        worker_task_id: &str,
    ) -> Result<Option<TaskRecord>, StoreError> {
        let inner = self.lock();
        let by = (route.into(), tenant.into(), worker_task_id.to_owned());
        Ok(inner.record(inner.by_worker.newest(&by)))
    }

    async fn task_by_push_token(
        &self,
        token_hash: &[u8; 32],
    ) -> Result<Option<TaskRecord>, StoreError> {
        let inner = self.lock();
        Ok(inner.record(inner.by_token.newest(token_hash)))
    }

    async fn worker_context_id(
        &self,
        route: &str,
        tenant: &str,
        context_id: &str,
    ) -> Result<Option<String>, StoreError> {
        let inner = self.lock();
        let by = (route.into(), tenant.into(), context_id.to_owned());
        let record = inner.record(inner.by_context.newest(&by));
        Ok(record.and_then(|record| record.link.context_id.clone()))
    }

    async fn events(
        &self,
        key: &TaskKey,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let inner = self.lock();
        let Some(entry) = inner.tasks.get(key) else {
            return Ok(Vec::new());
        };
        // The log has no gaps, so the place follows from the number.
        let skip = entry.events.partition_point(|kept| kept.seq <= after);
        Ok(entry.events.range(skip..).take(limit).cloned().collect())
    }

    async fn tasks(&self, filter: TaskFilter) -> Result<Vec<TaskRecord>, StoreError> {
        let inner = self.lock();
        let matches = |record: &TaskRecord| {
            let state = record.task.status.state;
            filter
                .route
                .as_ref()
                .is_none_or(|route| **route == *record.key.route)
                && filter.owner.is_none_or(|owner| owner == record.owner)
                && filter.state.is_none_or(|wanted| wanted == state)
                && !(filter.unfinished && state.is_terminal())
                && filter.after.as_ref().is_none_or(|(at, key)| {
                    record.updated_at < *at || (record.updated_at == *at && record.key > *key)
                })
        };
        let mut found: Vec<&TaskRecord> = inner
            .tasks
            .values()
            .map(|entry| &entry.record)
            .filter(|record| matches(record))
            .collect();
        found.sort_unstable_by(|a, b| {
            b.updated_at
                .cmp(&a.updated_at)
                .then_with(|| a.key.cmp(&b.key))
        });
        Ok(found.into_iter().take(filter.limit).cloned().collect())
    }

    async fn list(&self, filter: ListFilter) -> Result<ListPage, StoreError> {
        let inner = self.lock();
        let mut page = ListPage {
            records: Vec::new(),
            next: None,
            total: 0,
        };
        let by = (filter.route.clone(), filter.tenant.clone(), filter.owner);
        let after = filter
            .after
            .as_ref()
            .map(|after| (Reverse(after.status_at), &after.id));
        let mut last = None;
        for (Reverse(at), id) in inner.listed.get(&by).into_iter().flatten() {
            if filter.since.is_some_and(|since| *at < since) {
                break;
            }
            let key = TaskKey {
                route: filter.route.clone(),
                tenant: filter.tenant.clone(),
                id: id.clone(),
            };
            let Some(record) = inner.tasks.get(&key).map(|entry| &entry.record) else {
                continue;
            };
            let task = &record.task;
            if filter
                .context_id
                .as_ref()
                .is_some_and(|id| *id != task.context_id)
                || filter.state.is_some_and(|state| state != task.status.state)
            {
                continue;
            }
            page.total += 1;
            if after.is_some_and(|after| (Reverse(*at), id) <= after) {
                continue;
            }
            if page.records.len() < filter.limit {
                page.records.push(record.clone());
                last = Some(ListCursor {
                    status_at: *at,
                    id: id.clone(),
                });
            } else if page.next.is_none() {
                page.next = last.take();
            }
        }
        Ok(page)
    }

    async fn trim(&self, key: &TaskKey, keep_from: Seq) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let entry = inner.tasks.get_mut(key).ok_or(StoreError::NotFound)?;
        let first = keep_from
            .min(entry.record.last_seq.next())
            .max(entry.record.first_seq);
        let gone = entry.events.partition_point(|kept| kept.seq < first);
        entry.events.drain(..gone);
        entry.record.first_seq = first;
        Ok(())
    }

    async fn remove(&self, key: &TaskKey) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let entry = inner.tasks.get(key).ok_or(StoreError::NotFound)?;
        if entry.ended_at.is_none() || !entry.pending.values().all(BTreeSet::is_empty) {
            return Err(StoreError::Conflict);
        }
        inner.remove(key);
        Ok(())
    }

    async fn expire(&self, ended_before: Millis, limit: usize) -> Result<usize, StoreError> {
        let mut inner = self.lock();
        let gone: Vec<TaskKey> = inner
            .ended
            .iter()
            .take_while(|(at, ..)| *at < ended_before)
            .map(|(.., key)| key)
            .filter(|key| {
                let entry = inner.tasks.get(key);
                entry.is_some_and(|entry| entry.pending.values().all(BTreeSet::is_empty))
            })
            .take(limit)
            .cloned()
            .collect();
        for key in &gone {
            inner.remove(key);
        }
        Ok(gone.len())
    }
}

/// Adds a config to a task's, or replaces the one of the same id.
fn keep(push: &mut Vec<PushRegistration>, config: PushRegistration) {
    match push.iter_mut().find(|kept| kept.id == config.id) {
        Some(kept) => *kept = config,
        None => push.push(config),
    }
}
