//! `/tasks` and `/tasks/{id}`: where tasks stand, without what is said in them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::json as answer;
use crate::a2a::{StreamResponse, TaskState};
use crate::hub::Hub;
use crate::store::{
    Delivery, DeliveryKind, DeliveryState, LogEntry, Millis, StoreError, TaskFilter, TaskRecord,
};
use crate::task::{Seq, TaskKey};

/// How many tasks a page has unless asked otherwise.
const PAGE: usize = 50;
/// How many it has at most: a page is made in memory.
const MAX_PAGE: usize = 500;
/// How many of a task's newest events are shown.
const LAST_EVENTS: u64 = 20;
/// How many of a task's deliveries are shown, oldest first.
const MAX_DELIVERIES: usize = 100;

/// `/tasks`
pub(super) async fn list(hub: &Hub, query: &str) -> Response<Full<Bytes>> {
    let filter = match filter(query) {
        Ok(filter) => filter,
        Err(message) => return answer(StatusCode::BAD_REQUEST, &json!({"error": message})),
    };
    let limit = filter.limit;
    match hub.store().tasks(filter).await {
        Ok(records) => {
            // A full page may be followed by another.
            let next = records
                .last()
                .filter(|_| records.len() == limit)
                .map(cursor);
            let tasks: Vec<Value> = records.iter().map(summary).collect();
            answer(StatusCode::OK, &json!({"tasks": tasks, "next": next}))
        }
        Err(error) => failed(&error),
    }
}

/// `/tasks/{id}`: looked for on the route that the query names, else on all.
pub(super) async fn one(
    hub: &Hub,
    routes: &[Arc<str>],
    id: &str,
    query: &str,
) -> Response<Full<Bytes>> {
    let id: Arc<str> = decoded(id).into();
    let mut tenant: Arc<str> = Arc::default();
    let mut routes = routes.to_vec();
    for (name, value) in pairs(query) {
        match name.as_str() {
            "route" => routes = vec![value.into()],
            "tenant" => tenant = value.into(),
            _ => {
                return answer(
                    StatusCode::BAD_REQUEST,
                    &json!({"error": format!("unknown parameter {name:?}"), "parameters": ["route", "tenant"]}),
                );
            }
        }
    }
    let mut found = Vec::new();
    for route in routes {
        let key = TaskKey {
            route,
            tenant: tenant.clone(),
            id: id.clone(),
        };
        match hub.store().task(&key).await {
            Ok(record) => found.extend(record),
            Err(error) => return failed(&error),
        }
    }
    match found.as_slice() {
        [] => answer(
            StatusCode::NOT_FOUND,
            &json!({"error": "there is no such task; a route that is configured no more, and a tenant, must be named: \
                              /tasks/{id}?route=NAME&tenant=NAME"}),
        ),
        [record] => match detail(hub, record).await {
            Ok(value) => answer(StatusCode::OK, &value),
            Err(error) => failed(&error),
        },
        several => {
            let routes: Vec<&str> = several.iter().map(|record| &*record.key.route).collect();
            answer(
                StatusCode::CONFLICT,
                &json!({"error": "several routes have a task of this id: add ?route=NAME", "routes": routes}),
            )
        }
    }
}

fn summary(record: &TaskRecord) -> Value {
    let over = record.task.status.state.is_terminal();
    json!({
        "id": &*record.key.id,
        "route": &*record.key.route,
        "tenant": &*record.key.tenant,
        "state": record.task.status.state.name(),
        "source": (!over).then_some(&record.link.source),
        "first_seq": record.first_seq.0,
        "last_seq": record.last_seq.0,
        "created_at": time(record.created_at),
        "updated_at": time(record.updated_at),
        "worker_task_id": record.link.task_id,
    })
}

async fn detail(hub: &Hub, record: &TaskRecord) -> Result<Value, StoreError> {
    let store = hub.store();
    let configs = store.registrations(&record.key).await?;
    let deliveries = store.deliveries(&record.key, MAX_DELIVERIES).await?;
    let after = Seq(record.last_seq.0.saturating_sub(LAST_EVENTS));
    let events = store
        .events(
            &record.key,
            after,
            usize::try_from(LAST_EVENTS).unwrap_or(usize::MAX),
        )
        .await?;
    let mut value = summary(record);
    if let Some(members) = value.as_object_mut() {
        members.insert(
            "worker_context_id".to_owned(),
            json!(record.link.context_id),
        );
        members.insert("messages".to_owned(), json!(record.task.history.len()));
        members.insert("artifacts".to_owned(), json!(record.task.artifacts.len()));
        members.insert(
            "push_configs".to_owned(),
            configs
                .iter()
                .map(|config| {
                    json!({
                        "id": config.id,
                        "dialect": config.dialect,
                        "created_at": time(config.created_at),
                    })
                })
                .collect(),
        );
        members.insert(
            "deliveries".to_owned(),
            deliveries.iter().map(delivery).collect(),
        );
        members.insert("last_events".to_owned(), events.iter().map(event).collect());
    }
    Ok(value)
}

fn delivery(delivery: &Delivery) -> Value {
    let pending = delivery.state == DeliveryState::Pending;
    json!({
        "id": delivery.id.0,
        "push_config": delivery.config_id,
        "seq": delivery.seq.0,
        "kind": match delivery.kind {
            DeliveryKind::Event => "event",
            DeliveryKind::Snapshot => "snapshot",
        },
        "state": match delivery.state {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
        },
        "attempts": delivery.attempts,
        "next_attempt_at": pending.then(|| time(delivery.next_attempt_at)),
        "last_outcome": delivery.last_outcome,
    })
}

fn event(entry: &LogEntry) -> Value {
    json!({
        "seq": entry.seq.0,
        "kind": match &*entry.event {
            StreamResponse::Task(_) => "task",
            StreamResponse::Message(_) => "message",
            StreamResponse::StatusUpdate(_) => "status",
            StreamResponse::ArtifactUpdate(_) => "artifact",
        },
        "state": entry.event.status().map(|status| status.state.name()),
        "observed_at": time(entry.observed_at),
    })
}

fn time(millis: Millis) -> Value {
    Timestamp::from_millisecond(millis).map_or(Value::Null, |time| json!(time.to_string()))
}

/// Where the next page begins; opaque to whoever reads it.
fn cursor(record: &TaskRecord) -> String {
    let key = &record.key;
    let place = json!([record.updated_at, &*key.route, &*key.tenant, &*key.id]);
    URL_SAFE_NO_PAD.encode(place.to_string())
}

fn from_cursor(text: &str) -> Option<(Millis, TaskKey)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (updated_at, route, tenant, id): (Millis, String, String, String) =
        serde_json::from_slice(&bytes).ok()?;
    let key = TaskKey {
        route: route.into(),
        tenant: tenant.into(),
        id: id.into(),
    };
    Some((updated_at, key))
}

fn filter(query: &str) -> Result<TaskFilter, String> {
    let mut filter = TaskFilter {
        limit: PAGE,
        ..TaskFilter::default()
    };
    for (name, value) in pairs(query) {
        // `?route=&state=` is a form that was not filled in.
        if value.is_empty() {
            continue;
        }
        match name.as_str() {
            "route" => filter.route = Some(value),
            "state" => filter.state = Some(state(&value)?),
            "limit" => {
                filter.limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_PAGE).contains(limit))
                    .ok_or_else(|| format!("limit is a number from 1 to {MAX_PAGE}"))?;
            }
            "after" => {
                let after = from_cursor(&value)
                    .ok_or("after is the `next` of the page before, as it was given")?;
                filter.after = Some(after);
            }
            _ => {
                return Err(format!(
                    "unknown parameter {name:?}: there are route, state, limit and after"
                ));
            }
        }
    }
    Ok(filter)
}

/// A state by its name in 1.0 (`TASK_STATE_INPUT_REQUIRED`) or in 0.x (`input-required`).
fn state(text: &str) -> Result<TaskState, String> {
    let upper = text.to_ascii_uppercase().replace('-', "_");
    let full = if upper.starts_with("TASK_STATE_") {
        upper
    } else {
        format!("TASK_STATE_{upper}")
    };
    TaskState::ALL
        .into_iter()
        .find(|state| state.name() == full)
        .ok_or_else(|| {
            let names: Vec<&str> = TaskState::ALL.into_iter().map(TaskState::name).collect();
            format!("{text:?} is not a state: there are {}", names.join(", "))
        })
}

fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// A path's segment without its percent signs. What is special in a query only is kept as it is.
fn decoded(segment: &str) -> String {
    let query = segment
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    pairs(&query).map(|(name, _)| name).collect()
}

fn failed(error: &StoreError) -> Response<Full<Bytes>> {
    let status = if error.retryable() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    answer(status, &json!({"error": error.to_string()}))
}
