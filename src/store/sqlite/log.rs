//! The statements on tasks and their events.
//!
//! A task's snapshot is not rewritten by every append: a task that grows by small pieces to a mebibyte would write
//! that mebibyte thousands of times. It is rewritten once the events after it weigh as much as it does, so a task
//! writes about twice its events in all; a reader folds the events that the snapshot lacks, which weigh less than it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params, params};

use crate::a2a::{StreamResponse, Task};
use crate::store::{
    LogEntry, Millis, Nanos, Principal, PushRegistration, Sealed, StoreError, TaskFilter,
    TaskRecord, WorkerLink, list,
};
use crate::task::fold::fold;
use crate::task::{Seq, TaskKey};

use super::ledger;

/// A task's number in the database.
pub(super) type Rowid = i64;

pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seq(value: i64) -> Result<Seq, StoreError> {
    u64::try_from(value)
        .map(Seq)
        .map_err(|_| StoreError::Corrupt(format!("a negative event number: {value}")))
}

/// Writes JSON. What cannot be written is the caller's mistake and stays so, hence an error that is not retried.
pub(super) fn encode<T: serde::Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    // serde_json's message may quote the content: only its kind is passed on.
    serde_json::to_string(value)
        .map_err(|_| StoreError::Corrupt(format!("the {what} has no form in JSON")))
}

fn decode<T: serde::de::DeserializeOwned>(
    key: &TaskKey,
    what: &str,
    json: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| {
        StoreError::Corrupt(format!(
            "{what} of {key}: {:?} error at column {}",
            error.classify(),
            error.column()
        ))
    })
}

/// Events as they are written.
pub(super) fn encode_events(events: &[Arc<StreamResponse>]) -> Result<Vec<String>, StoreError> {
    events
        .iter()
        .map(|event| encode("event", &**event))
        .collect()
}

pub(super) fn weight(events: &[String]) -> usize {
    events.iter().map(String::len).sum()
}

pub(super) fn create(
    conn: &Connection,
    record: &TaskRecord,
    events: &[String],
    push: &[PushRegistration],
) -> Result<(), StoreError> {
    let (key, link, now) = (&record.key, &record.link, record.updated_at);
    let over = record.task.status.state.is_terminal();
    let last = count(events.len());
    let json = encode("task", &*record.task)?;
    let made = conn
        .prepare_cached(
            "INSERT INTO tasks (route, tenant, id, epoch, owner, state, context_id, first_seq, last_seq, created_at,
                updated_at, ended_at, snapshot_seq, snapshot_bytes, tail_bytes, worker_task_id, worker_context_id,
                worker, source, push_token_hash, credentials, status_at, requester)
             VALUES (:route, :tenant, :id, :epoch, :owner, :state, :context_id, 1, :last, :created_at,
                :now, :ended_at, :last, :bytes, 0, :worker_task_id, :worker_context_id,
                :worker, :source, :push_token_hash, :credentials, :status_at, :requester)
             ON CONFLICT (route, tenant, id) DO NOTHING",
        )?
        .execute(named_params! {
            ":route": &*key.route,
            ":tenant": &*key.tenant,
            ":id": &*key.id,
            ":epoch": record.epoch.cast_signed(),
            ":owner": record.owner.0,
            ":state": record.task.status.state.name(),
            ":context_id": record.task.context_id,
            ":last": last,
            ":created_at": record.created_at,
            ":now": now,
            ":ended_at": over.then_some(now),
            ":bytes": count(json.len()),
            ":worker_task_id": link.task_id,
            ":worker_context_id": link.context_id,
            ":worker": link.worker,
            ":source": link.source,
            ":requester": link.requester,
            ":push_token_hash": link.push_token_hash,
            ":credentials": link.credentials.as_ref().filter(|_| !over).map(|sealed| &sealed.0),
            ":status_at": list::status_at(&record.task, now),
        })?;
    if made == 0 {
        return Err(StoreError::Conflict);
    }
    let task = conn.last_insert_rowid();
    conn.prepare_cached("INSERT INTO snapshots (task, json) VALUES (?1, ?2)")?
        .execute(params![task, json])?;
    for config in push {
        ledger::keep(conn, task, config)?;
    }
    extend(conn, task, 0, events, over, now)
}

pub(super) struct Append<'a> {
    pub(super) key: &'a TaskKey,
    pub(super) expect: Seq,
    pub(super) events: &'a [String],
    pub(super) task: &'a Task,
    /// The time of the status, where the events say something of it.
    pub(super) status_at: Option<Nanos>,
    pub(super) link: Option<&'a WorkerLink>,
    pub(super) now: Millis,
}

pub(super) fn append(conn: &Connection, append: &Append<'_>) -> Result<(), StoreError> {
    let (events, now) = (append.events, append.now);
    let found = conn
        .prepare_cached(
            "SELECT task, last_seq, snapshot_seq, snapshot_bytes, tail_bytes, ended_at IS NOT NULL FROM tasks
             WHERE route = ?1 AND tenant = ?2 AND id = ?3",
        )?
        .query_row(key_params(append.key), |row| {
            Ok((
                row.get::<_, Rowid>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, i64>(4)?,
                row.get::<_, bool>(5)?,
            ))
        })
        .optional()?;
    let (task, last, snapshot_seq, snapshot_bytes, tail_bytes, was_over) =
        found.ok_or(StoreError::NotFound)?;
    if last != int(append.expect.0) {
        return Err(StoreError::Conflict);
    }
    if !events.is_empty() {
        let over = append.task.status.state.is_terminal();
        let new_last = last.saturating_add(count(events.len()));
        let tail = tail_bytes.saturating_add(count(weight(events)));
        let (snapshot_seq, snapshot_bytes, tail_bytes) = if tail >= snapshot_bytes {
            let json = encode("task", append.task)?;
            conn.prepare_cached("UPDATE snapshots SET json = ?2 WHERE task = ?1")?
                .execute(params![task, json])?;
            (new_last, count(json.len()), 0)
        } else {
            (snapshot_seq, snapshot_bytes, tail)
        };
        conn.prepare_cached(
            "UPDATE tasks SET last_seq = :last, updated_at = :now, state = :state, context_id = :context_id,
                ended_at = CASE WHEN :over THEN coalesce(ended_at, :now) END,
                credentials = CASE WHEN :over THEN NULL ELSE credentials END,
                status_at = coalesce(:status_at, status_at), snapshot_seq = :snapshot_seq, snapshot_bytes = :snapshot_bytes, tail_bytes = :tail_bytes
             WHERE task = :task",
        )?
        .execute(named_params! {
            ":task": task,
            ":last": new_last,
            ":now": now,
            ":state": append.task.status.state.name(),
            ":context_id": append.task.context_id,
            ":over": over,
            ":status_at": append.status_at,
            ":snapshot_seq": snapshot_seq,
            ":snapshot_bytes": snapshot_bytes,
            ":tail_bytes": tail_bytes,
        })?;
        extend(conn, task, last, events, over, now)?;
    }
    if let Some(link) = append.link {
        let over = if events.is_empty() {
            was_over
        } else {
            append.task.status.state.is_terminal()
        };
        conn.prepare_cached(
            "UPDATE tasks SET updated_at = :now, worker_task_id = :worker_task_id,
                worker_context_id = :worker_context_id, worker = :worker, source = :source,
                push_token_hash = :push_token_hash, credentials = :credentials, requester = :requester
             WHERE task = :task",
        )?
        .execute(named_params! {
            ":task": task,
            ":now": now,
            ":worker_task_id": link.task_id,
            ":worker_context_id": link.context_id,
            ":worker": link.worker,
            ":source": link.source,
            ":requester": link.requester,
            ":push_token_hash": link.push_token_hash,
            ":credentials": link.credentials.as_ref().filter(|_| !over).map(|sealed| &sealed.0),
        })?;
    }
    Ok(())
}

/// Writes events after the number `last`, and a delivery of each for every push config: for a callback only of the one
/// after which the task is over.
fn extend(
    conn: &Connection,
    task: Rowid,
    last: i64,
    events: &[String],
    over: bool,
    now: Millis,
) -> Result<(), StoreError> {
    let configs = if events.is_empty() {
        Vec::new()
    } else {
        ledger::config_ids(conn, task)?
    };
    let mut insert = conn.prepare_cached(
        "INSERT INTO events (task, seq, observed_at, json) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let end = over.then(|| last.saturating_add(count(events.len())));
    for (seq, event) in (last.saturating_add(1)..).zip(events) {
        insert.execute(params![task, seq, now, event])?;
        for (config, end_only) in &configs {
            if !end_only || end == Some(seq) {
                ledger::enqueue(conn, task, config, seq, ledger::EVENT, now)?;
            }
        }
    }
    Ok(())
}

fn key_params(key: &TaskKey) -> [&str; 3] {
    [&key.route, &key.tenant, &key.id]
}

pub(super) fn rowid(conn: &Connection, key: &TaskKey) -> Result<Option<Rowid>, StoreError> {
    let found = conn
        .prepare_cached("SELECT task FROM tasks WHERE route = ?1 AND tenant = ?2 AND id = ?3")?
        .query_row(key_params(key), |row| row.get(0))
        .optional()?;
    Ok(found)
}

pub(super) const RECORD: &str = "SELECT t.route, t.tenant, t.id, t.task, t.epoch, t.owner, t.first_seq, t.last_seq, t.created_at,
    t.updated_at, t.snapshot_seq, t.worker_task_id, t.worker_context_id, t.worker, t.source, t.push_token_hash,
    t.credentials, s.json, t.status_at, t.requester FROM tasks t JOIN snapshots s ON s.task = t.task ";

/// A row as it was read: the JSON is looked at once the statement is over.
pub(super) struct Raw {
    pub(super) key: TaskKey,
    task: Rowid,
    epoch: i64,
    owner: [u8; 32],
    first_seq: i64,
    last_seq: i64,
    created_at: Millis,
    updated_at: Millis,
    snapshot_seq: i64,
    link: WorkerLink,
    pub(super) json: String,
}

impl Raw {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Raw> {
        Ok(Raw {
            key: key(row)?,
            task: row.get(3)?,
            epoch: row.get(4)?,
            owner: row.get(5)?,
            first_seq: row.get(6)?,
            last_seq: row.get(7)?,
            created_at: row.get(8)?,
            updated_at: row.get(9)?,
            snapshot_seq: row.get(10)?,
            link: WorkerLink {
                task_id: row.get(11)?,
                context_id: row.get(12)?,
                worker: row.get(13)?,
                source: row.get(14)?,
                requester: row.get(19)?,
                push_token_hash: row.get(15)?,
                credentials: row.get::<_, Option<Vec<u8>>>(16)?.map(Sealed),
            },
            json: row.get(17)?,
        })
    }

    pub(super) fn record(self, conn: &Connection) -> Result<TaskRecord, StoreError> {
        let mut task: Task = decode(&self.key, "the task", &self.json)?;
        if self.last_seq > self.snapshot_seq {
            let tail = read_events(conn, &self.key, self.task, self.snapshot_seq, i64::MAX)?;
            let missing = self.last_seq.saturating_sub(self.snapshot_seq);
            if count(tail.len()) != missing {
                return Err(StoreError::Corrupt(format!(
                    "{} events of {} are missing",
                    missing.saturating_sub(count(tail.len())),
                    self.key
                )));
            }
            for entry in tail {
                task = fold(Some(task), &entry.event).map_err(|_| {
                    StoreError::Corrupt(format!(
                        "event {} of {} does not follow the task before it",
                        entry.seq, self.key
                    ))
                })?;
            }
        }
        Ok(TaskRecord {
            epoch: self.epoch.cast_unsigned(),
            task: Arc::new(task),
            last_seq: seq(self.last_seq)?,
            first_seq: seq(self.first_seq)?,
            owner: Principal(self.owner),
            link: Arc::new(self.link),
            created_at: self.created_at,
            updated_at: self.updated_at,
            key: self.key,
        })
    }
}

/// The key in the first three columns.
pub(super) fn key(row: &Row<'_>) -> rusqlite::Result<TaskKey> {
    Ok(TaskKey {
        route: row.get(0)?,
        tenant: row.get(1)?,
        id: row.get(2)?,
    })
}

fn record(
    conn: &Connection,
    condition: &str,
    by: &[&dyn ToSql],
) -> Result<Option<TaskRecord>, StoreError> {
    let raw = conn
        .prepare_cached(&format!("{RECORD}{condition}"))?
        .query_row(by, Raw::read)
        .optional()?;
    raw.map(|raw| raw.record(conn)).transpose()
}

pub(super) fn task(conn: &Connection, key: &TaskKey) -> Result<Option<TaskRecord>, StoreError> {
    record(
        conn,
        "WHERE t.route = ?1 AND t.tenant = ?2 AND t.id = ?3",
        &[&&*key.route, &&*key.tenant, &&*key.id],
    )
}

pub(super) fn task_by_worker_id(
    conn: &Connection,
    route: &str,
    tenant: &str,
    worker_task_id: &str,
) -> Result<Option<TaskRecord>, StoreError> {
    record(
        conn,
        "WHERE t.route = ?1 AND t.tenant = ?2 AND t.worker_task_id = ?3 ORDER BY t.task DESC LIMIT 1",
        &[&route, &tenant, &worker_task_id],
    )
}

pub(super) fn task_by_push_token(
    conn: &Connection,
    hash: &[u8; 32],
) -> Result<Option<TaskRecord>, StoreError> {
    record(
        conn,
        "WHERE t.push_token_hash = ?1 ORDER BY t.task DESC LIMIT 1",
        &[hash],
    )
}

pub(super) fn worker_context_id(
    conn: &Connection,
    route: &str,
    tenant: &str,
    context_id: &str,
) -> Result<Option<String>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT worker_context_id FROM tasks
             WHERE route = ?1 AND tenant = ?2 AND context_id = ?3 AND worker_context_id <> context_id
             ORDER BY task DESC LIMIT 1",
        )?
        .query_row([route, tenant, context_id], |row| row.get(0))
        .optional()?;
    Ok(found)
}

pub(super) fn events(
    conn: &Connection,
    key: &TaskKey,
    after: Seq,
    limit: usize,
) -> Result<Vec<LogEntry>, StoreError> {
    match rowid(conn, key)? {
        Some(task) => read_events(conn, key, task, int(after.0), count(limit)),
        None => Ok(Vec::new()),
    }
}

fn read_events(
    conn: &Connection,
    key: &TaskKey,
    task: Rowid,
    after: i64,
    limit: i64,
) -> Result<Vec<LogEntry>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, observed_at, json FROM events WHERE task = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = statement.query(params![task, after, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let number = seq(row.get(0)?)?;
        let json = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        events.push(LogEntry {
            seq: number,
            event: Arc::new(decode(key, &format!("event {number}"), json)?),
            observed_at: row.get(1)?,
        });
    }
    Ok(events)
}

pub(super) fn tasks(conn: &Connection, filter: &TaskFilter) -> Result<Vec<TaskRecord>, StoreError> {
    let mut sql = format!("{RECORD}WHERE true");
    let mut by: Vec<(&str, &dyn ToSql)> = Vec::new();
    let state = filter.state.map(crate::a2a::TaskState::name);
    if let Some(route) = &filter.route {
        sql.push_str(" AND t.route = :route");
        by.push((":route", route));
    }
    if let Some(owner) = &filter.owner {
        sql.push_str(" AND t.owner = :owner");
        by.push((":owner", &owner.0));
    }
    if let Some(state) = &state {
        sql.push_str(" AND t.state = :state");
        by.push((":state", state));
    }
    if filter.unfinished {
        sql.push_str(" AND t.ended_at IS NULL");
    }
    let after = filter
        .after
        .as_ref()
        .map(|(at, key)| (*at, key_params(key)));
    if let Some((at, [route, tenant, id])) = &after {
        sql.push_str(
            " AND t.updated_at <= :at AND (t.updated_at < :at
                OR (t.route, t.tenant, t.id) > (:after_route, :after_tenant, :after_id))",
        );
        by.push((":at", at));
        by.push((":after_route", route));
        by.push((":after_tenant", tenant));
        by.push((":after_id", id));
    }
    let limit = count(filter.limit);
    sql.push_str(" ORDER BY t.updated_at DESC, t.route, t.tenant, t.id LIMIT :limit");
    by.push((":limit", &limit));
    let raw: Vec<Raw> = conn
        .prepare_cached(&sql)?
        .query_map(by.as_slice(), Raw::read)?
        .collect::<Result<_, _>>()?;
    raw.into_iter().map(|raw| raw.record(conn)).collect()
}

pub(super) fn trim(conn: &Connection, key: &TaskKey, keep_from: Seq) -> Result<(), StoreError> {
    let (task, first, last, snapshot_seq) = conn
        .prepare_cached(
            "SELECT task, first_seq, last_seq, snapshot_seq FROM tasks
             WHERE route = ?1 AND tenant = ?2 AND id = ?3",
        )?
        .query_row(key_params(key), |row| {
            Ok((
                row.get::<_, Rowid>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        })
        .optional()?
        .ok_or(StoreError::NotFound)?;
    let keep_from = int(keep_from.0).min(last.saturating_add(1)).max(first);
    // The snapshot may need the events that are about to go.
    let whole = if keep_from > snapshot_seq.saturating_add(1) {
        let record = self::task(conn, key)?.ok_or(StoreError::NotFound)?;
        Some(encode("task", &*record.task)?)
    } else {
        None
    };
    // Removing comes first: on a full disk the snapshot finds its room where the events were.
    conn.prepare_cached("DELETE FROM events WHERE task = ?1 AND seq < ?2")?
        .execute(params![task, keep_from])?;
    if let Some(json) = whole {
        conn.prepare_cached("UPDATE snapshots SET json = ?2 WHERE task = ?1")?
            .execute(params![task, json])?;
        conn.prepare_cached(
            "UPDATE tasks SET snapshot_seq = ?2, snapshot_bytes = ?3, tail_bytes = 0 WHERE task = ?1",
        )?
        .execute(params![task, last, count(json.len())])?;
    }
    conn.prepare_cached("UPDATE tasks SET first_seq = ?2 WHERE task = ?1")?
        .execute(params![task, keep_from])?;
    Ok(())
}

pub(super) fn remove(conn: &Connection, key: &TaskKey) -> Result<(), StoreError> {
    let task = rowid(conn, key)?.ok_or(StoreError::NotFound)?;
    let removed = conn
        .prepare_cached(
            "DELETE FROM tasks WHERE task = ?1 AND ended_at IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.task = ?1 AND d.state = 0)",
        )?
        .execute([task])?;
    if removed == 0 {
        return Err(StoreError::Conflict);
    }
    Ok(())
}

pub(super) fn expire(
    conn: &Connection,
    ended_before: Millis,
    limit: usize,
) -> Result<usize, StoreError> {
    let gone: Vec<Rowid> = conn
        .prepare_cached(
            "SELECT task FROM tasks WHERE ended_at < ?1
                AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.task = tasks.task AND d.state = 0)
             ORDER BY ended_at, task LIMIT ?2",
        )?
        .query_map(params![ended_before, count(limit)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut delete = conn.prepare_cached("DELETE FROM tasks WHERE task = ?1")?;
    for task in &gone {
        delete.execute([task])?;
    }
    Ok(gone.len())
}
