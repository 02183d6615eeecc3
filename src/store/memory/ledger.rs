//! Push configs and the ledger of deliveries in memory. What keeps the queues in order is in the parent.

use async_trait::async_trait;

use super::{MemoryStore, keep};
use crate::store::{
    AttemptOutcome, Claimed, Claims, Deliveries, Delivery, DeliveryId, DeliveryKind, DeliveryState,
    Millis, PushRegistration, RegistrationKind, StoreError, Subscriptions, bounded_line,
};
use crate::task::TaskKey;

#[async_trait]
impl Subscriptions for MemoryStore {
    async fn register(&self, push: PushRegistration) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let (key, config_id, now) = (push.key.clone(), push.id.clone(), push.created_at);
        let end_only = push.kind == RegistrationKind::Callback;
        let (seq, over) = inner
            .requeue(&key, &config_id, |entry| {
                keep(&mut entry.push, push);
                for id in entry.pending.get(&config_id).into_iter().flatten() {
                    if let Some(delivery) = entry.deliveries.get_mut(id) {
                        delivery.next_attempt_at = delivery.next_attempt_at.min(now);
                    }
                }
                let over = entry.record.task.status.state.is_terminal();
                (entry.record.last_seq, over)
            })
            .ok_or(StoreError::NotFound)?;
        if over || !end_only {
            inner.enqueue(&key, config_id, seq, DeliveryKind::Snapshot, now);
        }
        Ok(())
    }

    async fn registrations(&self, key: &TaskKey) -> Result<Vec<PushRegistration>, StoreError> {
        let inner = self.lock();
        let mut found = match inner.tasks.get(key) {
            Some(entry) => entry.push.clone(),
            None => Vec::new(),
        };
        found.sort_by_key(|push| push.created_at);
        Ok(found)
    }

    async fn unregister(&self, key: &TaskKey, id: &str) -> Result<bool, StoreError> {
        let mut inner = self.lock();
        let removed = inner.requeue(key, id, |entry| {
            let before = entry.push.len();
            entry.push.retain(|push| push.id != id);
            let pending = entry.pending.remove(id).unwrap_or_default();
            for id in &pending {
                entry.deliveries.remove(id);
            }
            (entry.push.len() < before, pending)
        });
        let Some((found, gone)) = removed else {
            return Ok(false);
        };
        for id in gone {
            inner.homes.remove(&id);
        }
        Ok(found)
    }
}

#[async_trait]
impl Deliveries for MemoryStore {
    async fn claim(&self, now: Millis, until: Millis, limit: usize) -> Result<Claims, StoreError> {
        let mut inner = self.lock();
        let ready: Vec<DeliveryId> = inner
            .due
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, id)| *id)
            .take(limit)
            .collect();
        let mut taken: Vec<Claimed> = Vec::with_capacity(ready.len());
        for id in ready {
            let Some(key) = inner.homes.get(&id).cloned() else {
                continue;
            };
            let config_id = inner
                .tasks
                .get(&key)
                .and_then(|entry| Some(entry.deliveries.get(&id)?.config_id.clone()));
            let Some(config_id) = config_id else { continue };
            let row = inner.requeue(&key, &config_id, |entry| {
                let delivery = entry.deliveries.get_mut(&id)?;
                delivery.claimed_until = until;
                Some(Claimed {
                    delivery: delivery.clone(),
                    push: entry.push.iter().find(|push| push.id == config_id).cloned(),
                })
            });
            taken.extend(row.flatten());
        }
        taken.sort_by_key(|claimed| (claimed.delivery.next_attempt_at, claimed.delivery.id));
        Ok(Claims {
            taken,
            next_due: inner.due.first().map(|(at, _)| *at),
        })
    }

    async fn finish(
        &self,
        id: DeliveryId,
        outcome: AttemptOutcome,
        line: String,
        _now: Millis,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let key = inner.homes.get(&id).cloned().ok_or(StoreError::NotFound)?;
        let config_id = inner
            .tasks
            .get(&key)
            .and_then(|entry| entry.deliveries.get(&id))
            .map(|delivery| delivery.config_id.clone())
            .ok_or(StoreError::NotFound)?;
        inner.requeue(&key, &config_id, |entry| {
            let Some(delivery) = entry.deliveries.get_mut(&id) else {
                return;
            };
            if delivery.state != DeliveryState::Pending {
                return;
            }
            delivery.attempts = delivery.attempts.saturating_add(1);
            delivery.claimed_until = 0;
            delivery.last_outcome = Some(bounded_line(line));
            match outcome {
                AttemptOutcome::Retry { at } => {
                    delivery.next_attempt_at = at;
                    return;
                }
                AttemptOutcome::Delivered => delivery.state = DeliveryState::Delivered,
                AttemptOutcome::Dead => delivery.state = DeliveryState::Dead,
            }
            if let Some(queue) = entry.pending.get_mut(&config_id) {
                queue.remove(&id);
                if queue.is_empty() {
                    entry.pending.remove(&config_id);
                }
            }
        });
        Ok(())
    }

    async fn redeliver(&self, id: DeliveryId, now: Millis) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let key = inner.homes.get(&id).cloned().ok_or(StoreError::NotFound)?;
        let found = inner.tasks.get(&key).and_then(|entry| {
            let delivery = entry.deliveries.get(&id)?;
            let registered = entry.push.iter().any(|push| push.id == delivery.config_id);
            registered.then(|| delivery.config_id.clone())
        });
        let config_id = found.ok_or(StoreError::NotFound)?;
        inner.requeue(&key, &config_id, |entry| {
            let Some(delivery) = entry.deliveries.get_mut(&id) else {
                return;
            };
            if delivery.state == DeliveryState::Dead {
                delivery.state = DeliveryState::Pending;
                delivery.next_attempt_at = now;
                let queue = entry.pending.entry(config_id.clone()).or_default();
                queue.insert(id);
            }
        });
        Ok(())
    }

    async fn deliveries(&self, key: &TaskKey, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let inner = self.lock();
        let Some(entry) = inner.tasks.get(key) else {
            return Ok(Vec::new());
        };
        Ok(entry.deliveries.values().take(limit).cloned().collect())
    }
}
