//! The statements on push configs and deliveries.
//!
//! Of each config's pending deliveries only the oldest has a `due_at` (see the schema). Whatever makes or ends one
//! keeps that true.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::{
    AttemptOutcome, Claimed, Claims, Delivery, DeliveryId, DeliveryKind, DeliveryState, Millis,
    PushRegistration, RegistrationKind, Sealed, StoreError,
};
use crate::task::{Seq, TaskKey};

use super::log::{Rowid, count, key, rowid};

pub(super) const EVENT: i64 = 0;
pub(super) const SNAPSHOT: i64 = 1;

// Written into the statements too, because a partial index is used only where its condition is spelled out.
const PENDING: i64 = 0;
const DELIVERED: i64 = 1;
const DEAD: i64 = 2;

const WEBHOOK: i64 = 0;
const CALLBACK: i64 = 1;

fn kind_number(kind: RegistrationKind) -> i64 {
    match kind {
        RegistrationKind::Webhook => WEBHOOK,
        RegistrationKind::Callback => CALLBACK,
    }
}

pub(super) fn keep(
    conn: &Connection,
    task: Rowid,
    push: &PushRegistration,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO push_configs (task, id, dialect, config, created_at, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (task, id) DO UPDATE
         SET dialect = excluded.dialect, config = excluded.config, created_at = excluded.created_at,
             kind = excluded.kind",
    )?
    .execute(params![
        task,
        push.id,
        push.dialect,
        push.config.0,
        push.created_at,
        kind_number(push.kind)
    ])?;
    Ok(())
}

/// The ids of a task's configs, and whether each gets only the end.
pub(super) fn config_ids(
    conn: &Connection,
    task: Rowid,
) -> Result<Vec<(String, bool)>, StoreError> {
    let ids = conn
        .prepare_cached("SELECT id, kind FROM push_configs WHERE task = ?1 ORDER BY n")?
        .query_map([task], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)? == CALLBACK))
        })?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

/// Puts a delivery at the end of a config's queue.
pub(super) fn enqueue(
    conn: &Connection,
    task: Rowid,
    config: &str,
    seq: i64,
    kind: i64,
    now: Millis,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO deliveries (task, config_id, seq, kind, state, attempts, next_attempt_at, claimed_until,
            created_at, due_at)
         VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, 0, ?5, CASE WHEN NOT EXISTS
            (SELECT 1 FROM deliveries WHERE task = ?1 AND config_id = ?2 AND state = 0) THEN ?5 END)",
    )?
    .execute(params![task, config, seq, kind, now])?;
    Ok(())
}

/// Gives `due_at` to the oldest pending delivery of a config, and to no other.
fn set_head(conn: &Connection, task: Rowid, config: &str) -> Result<(), StoreError> {
    let head: Option<i64> = conn
        .prepare_cached(
            "SELECT min(id) FROM deliveries WHERE task = ?1 AND config_id = ?2 AND state = 0",
        )?
        .query_row(params![task, config], |row| row.get(0))?;
    conn.prepare_cached(
        "UPDATE deliveries SET due_at = NULL
         WHERE task = ?1 AND config_id = ?2 AND state = 0 AND due_at IS NOT NULL AND id IS NOT ?3",
    )?
    .execute(params![task, config, head])?;
    conn.prepare_cached(
        "UPDATE deliveries SET due_at = max(next_attempt_at, claimed_until) WHERE id = ?1",
    )?
    .execute([head])?;
    Ok(())
}

pub(super) fn register(conn: &Connection, push: &PushRegistration) -> Result<(), StoreError> {
    let task = rowid(conn, &push.key)?.ok_or(StoreError::NotFound)?;
    let (last, over): (i64, bool) = conn
        .prepare_cached("SELECT last_seq, ended_at IS NOT NULL FROM tasks WHERE task = ?1")?
        .query_row([task], |row| Ok((row.get(0)?, row.get(1)?)))?;
    keep(conn, task, push)?;
    let hurried = conn
        .prepare_cached(
            "UPDATE deliveries SET next_attempt_at = ?3
             WHERE task = ?1 AND config_id = ?2 AND state = 0 AND next_attempt_at > ?3",
        )?
        .execute(params![task, push.id, push.created_at])?;
    if hurried > 0 {
        set_head(conn, task, &push.id)?;
    }
    if push.kind == RegistrationKind::Callback && !over {
        return Ok(());
    }
    enqueue(conn, task, &push.id, last, SNAPSHOT, push.created_at)
}

pub(super) fn registrations(
    conn: &Connection,
    key: &TaskKey,
) -> Result<Vec<PushRegistration>, StoreError> {
    let Some(task) = rowid(conn, key)? else {
        return Ok(Vec::new());
    };
    let found = conn
        .prepare_cached(
            "SELECT id, dialect, config, created_at, kind FROM push_configs WHERE task = ?1 ORDER BY created_at, n",
        )?
        .query_map([task], |row| registration(row, key))?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

fn registration(row: &Row<'_>, key: &TaskKey) -> rusqlite::Result<PushRegistration> {
    Ok(PushRegistration {
        key: key.clone(),
        kind: match row.get(4)? {
            WEBHOOK => RegistrationKind::Webhook,
            CALLBACK => RegistrationKind::Callback,
            other => return Err(rusqlite::Error::IntegralValueOutOfRange(4, other)),
        },
        id: row.get(0)?,
        dialect: row.get(1)?,
        config: Sealed(row.get(2)?),
        created_at: row.get(3)?,
    })
}

pub(super) fn unregister(conn: &Connection, key: &TaskKey, id: &str) -> Result<bool, StoreError> {
    let Some(task) = rowid(conn, key)? else {
        return Ok(false);
    };
    conn.prepare_cached("DELETE FROM deliveries WHERE task = ?1 AND config_id = ?2 AND state = 0")?
        .execute(params![task, id])?;
    let gone = conn
        .prepare_cached("DELETE FROM push_configs WHERE task = ?1 AND id = ?2")?
        .execute(params![task, id])?;
    Ok(gone > 0)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let bad = |column, value| rusqlite::Error::IntegralValueOutOfRange(column, value);
    let seq: i64 = row.get(5)?;
    Ok(Delivery {
        key: key(row)?,
        id: DeliveryId(row.get(3)?),
        config_id: row.get(4)?,
        seq: Seq(u64::try_from(seq).map_err(|_| bad(5, seq))?),
        kind: match row.get(6)? {
            EVENT => DeliveryKind::Event,
            SNAPSHOT => DeliveryKind::Snapshot,
            other => return Err(bad(6, other)),
        },
        state: match row.get(7)? {
            PENDING => DeliveryState::Pending,
            DELIVERED => DeliveryState::Delivered,
            DEAD => DeliveryState::Dead,
            other => return Err(bad(7, other)),
        },
        attempts: row.get(8)?,
        next_attempt_at: row.get(9)?,
        claimed_until: row.get(10)?,
        last_outcome: row.get(11)?,
        created_at: row.get(12)?,
    })
}

/// Lets go of every claim. Whoever held one is gone: the file is one process's at a time, and this one has just begun.
/// A delivery that was under way when the last one was killed is not left to its claim's end.
pub(super) fn release_claims(conn: &Connection) -> Result<(), StoreError> {
    conn.execute(
        "UPDATE deliveries SET claimed_until = 0, due_at = next_attempt_at
         WHERE due_at IS NOT NULL AND claimed_until > 0",
        [],
    )?;
    Ok(())
}

pub(super) fn claim(
    conn: &Connection,
    now: Millis,
    until: Millis,
    limit: usize,
) -> Result<Claims, StoreError> {
    let taken = if limit == 0 {
        Vec::new()
    } else {
        take(conn, now, until, limit)?
    };
    Ok(Claims {
        taken,
        next_due: next_due(conn)?,
    })
}

fn take(
    conn: &Connection,
    now: Millis,
    until: Millis,
    limit: usize,
) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed: Vec<(Rowid, Delivery)> = conn
        .prepare_cached(
            "UPDATE deliveries SET claimed_until = ?2, due_at = max(next_attempt_at, ?2)
             WHERE id IN (SELECT id FROM deliveries WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?3)
             RETURNING (SELECT t.route FROM tasks t WHERE t.task = deliveries.task),
                (SELECT t.tenant FROM tasks t WHERE t.task = deliveries.task),
                (SELECT t.id FROM tasks t WHERE t.task = deliveries.task),
                id, config_id, seq, kind, state, attempts, next_attempt_at, claimed_until, last_outcome, created_at,
                task",
        )?
        .query_map(params![now, until, count(limit)], |row| {
            Ok((row.get(13)?, delivery(row)?))
        })?
        .collect::<Result<_, _>>()?;
    // RETURNING keeps no order.
    claimed.sort_by_key(|(_, delivery)| (delivery.next_attempt_at, delivery.id));
    let mut config = conn.prepare_cached(
        "SELECT id, dialect, config, created_at, kind FROM push_configs WHERE task = ?1 AND id = ?2",
    )?;
    claimed
        .into_iter()
        .map(|(task, delivery)| {
            let push = config
                .query_row(params![task, delivery.config_id], |row| {
                    registration(row, &delivery.key)
                })
                .optional()?;
            Ok(Claimed { delivery, push })
        })
        .collect()
}

fn place(conn: &Connection, id: DeliveryId) -> Result<Option<(Rowid, String, i64)>, StoreError> {
    let found = conn
        .prepare_cached("SELECT task, config_id, state FROM deliveries WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(found)
}

pub(super) fn finish(
    conn: &Connection,
    id: DeliveryId,
    outcome: &AttemptOutcome,
    line: &str,
) -> Result<(), StoreError> {
    let (task, config, state) = place(conn, id)?.ok_or(StoreError::NotFound)?;
    if state != PENDING {
        return Ok(());
    }
    let (state, next) = match outcome {
        AttemptOutcome::Retry { at } => (PENDING, Some(*at)),
        AttemptOutcome::Delivered => (DELIVERED, None),
        AttemptOutcome::Dead => (DEAD, None),
    };
    conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, next_attempt_at = coalesce(?3, next_attempt_at), claimed_until = 0,
            attempts = attempts + 1, last_outcome = ?4, due_at = NULL
         WHERE id = ?1",
    )?
    .execute(params![id.0, state, next, line])?;
    set_head(conn, task, &config)
}

pub(super) fn redeliver(conn: &Connection, id: DeliveryId, now: Millis) -> Result<(), StoreError> {
    let (task, config, state) = place(conn, id)?.ok_or(StoreError::NotFound)?;
    let registered = conn
        .prepare_cached("SELECT 1 FROM push_configs WHERE task = ?1 AND id = ?2")?
        .exists(params![task, config])?;
    if !registered {
        return Err(StoreError::NotFound);
    }
    if state != DEAD {
        return Ok(());
    }
    conn.prepare_cached("UPDATE deliveries SET state = 0, next_attempt_at = ?2 WHERE id = ?1")?
        .execute(params![id.0, now])?;
    set_head(conn, task, &config)
}

fn next_due(conn: &Connection) -> Result<Option<Millis>, StoreError> {
    let due = conn
        .prepare_cached("SELECT min(due_at) FROM deliveries WHERE due_at IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(due)
}

pub(super) fn deliveries(
    conn: &Connection,
    key: &TaskKey,
    limit: usize,
) -> Result<Vec<Delivery>, StoreError> {
    let Some(task) = rowid(conn, key)? else {
        return Ok(Vec::new());
    };
    let found = conn
        .prepare_cached(
            "SELECT t.route, t.tenant, t.id, d.id, config_id, seq, kind, d.state, attempts, next_attempt_at,
                claimed_until, last_outcome, d.created_at
             FROM deliveries d JOIN tasks t ON t.task = d.task WHERE d.task = ?1 ORDER BY d.id LIMIT ?2",
        )?
        .query_map(params![task, count(limit)], delivery)?
        .collect::<Result<_, _>>()?;
    Ok(found)
}
