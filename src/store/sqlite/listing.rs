//! The statements on listings for requesters.

use rusqlite::{Connection, Row, ToSql};

use super::log::{RECORD, Raw, count};
use crate::a2a::TaskState;
use crate::store::{ListCursor, ListFilter, ListPage, Nanos, StoreError};

/// The bytes of tasks after which a page ends, however many were asked for: a hundred tasks of some megabytes each would
/// else be in memory at once.
const PAGE_BYTES: usize = 8 << 20;

/// A page, and how many there are in all.
pub(super) fn list(conn: &Connection, filter: &ListFilter) -> Result<ListPage, StoreError> {
    let (route, tenant) = (&*filter.route, &*filter.tenant);
    let mut matching =
        "WHERE t.route = :route AND t.tenant = :tenant AND t.owner = :owner".to_owned();
    let mut by: Vec<(&str, &dyn ToSql)> = vec![
        (":route", &route),
        (":tenant", &tenant),
        (":owner", &filter.owner.0),
    ];
    let state = filter.state.map(TaskState::name);
    if let Some(context_id) = &filter.context_id {
        matching.push_str(" AND t.context_id = :context_id");
        by.push((":context_id", context_id));
    }
    if let Some(state) = &state {
        matching.push_str(" AND t.state = :state");
        by.push((":state", state));
    }
    if let Some(since) = &filter.since {
        matching.push_str(" AND t.status_at >= :since");
        by.push((":since", since));
    }
    let total: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM tasks t {matching}"))?
        .query_row(by.as_slice(), |row| row.get(0))?;

    let mut sql = format!("{RECORD}{matching}");
    let after = filter
        .after
        .as_ref()
        .map(|after| (after.status_at, &*after.id));
    if let Some((at, id)) = &after {
        sql.push_str(" AND t.status_at <= :at AND (t.status_at < :at OR t.id > :id)");
        by.push((":at", at));
        by.push((":id", id));
    }
    // One more than asked for tells whether there is a next page.
    let limit = count(filter.limit).saturating_add(1);
    sql.push_str(" ORDER BY t.status_at DESC, t.id LIMIT :limit");
    by.push((":limit", &limit));
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(by.as_slice())?;
    let mut found: Vec<Raw> = Vec::new();
    let mut last = None;
    let mut next = None;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if found.len() == filter.limit || bytes >= PAGE_BYTES {
            next = last;
            break;
        }
        let raw = Raw::read(row)?;
        bytes += raw.json.len();
        last = Some(ListCursor {
            status_at: status_at(row)?,
            id: raw.key.id.clone(),
        });
        found.push(raw);
    }
    let records = found.into_iter().map(|raw| raw.record(conn));
    Ok(ListPage {
        records: records.collect::<Result<_, _>>()?,
        next,
        total: u64::try_from(total).unwrap_or_default(),
    })
}

/// The column behind those of a record.
fn status_at(row: &Row<'_>) -> rusqlite::Result<Nanos> {
    row.get("status_at")
}
