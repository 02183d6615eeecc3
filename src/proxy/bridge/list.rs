//! ListTasks (specification §3.1.4): by the worker where it has it, else from the log.
//!
//! The worker's own list is the truer one: it knows tasks that did not come through here. It is asked with the requester's
//! own credentials, and ids that the sidecar gave are mapped both ways. The log stands in where the worker has no such
//! call: its list holds what this requester sent through this route, and before its first page the unfinished tasks that
//! nobody watches are read from the worker, as GetTask would.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use http::{Response, StatusCode};
use serde_json::Value;

use super::respond::Ready;
use super::{Asked, Shared};
use crate::a2a::dialect::{invalid_params, json};
use crate::a2a::error::ErrorKind;
use crate::a2a::fields::{self, Fault, Model};
use crate::a2a::request::Answer;
use crate::a2a::task::parse_time;
use crate::a2a::{A2aError, Binding, Object, Request, Task, TaskState};
use crate::proxy::decide::{Plan, decide};
use crate::proxy::error::Error;
use crate::source::{Want, id_map};
use crate::store::list::to_nanos;
use crate::store::{ListCursor, ListFilter, Nanos, StoreError, TaskFilter};
use crate::task::fold::trim_history;
use crate::wire::Body;
use crate::worker::{Ability, CallError};

/// The page where none is asked for, and the largest (§3.1.4).
const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 100;

/// How many unfinished tasks are read from the worker for one list, the latest changed first: who has more of them under
/// way at once watches them by other means, and a list must not become a storm of polls.
const MAX_READ: usize = 20;

/// How many of them at once.
const READ_AT_ONCE: usize = 5;

/// How long the list waits for them. What comes later is in the next one.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Query {
    context_id: Option<String>,
    state: Option<TaskState>,
    since: Option<Nanos>,
    history_length: Option<u32>,
    include_artifacts: bool,
    page_size: u32,
    after: Option<ListCursor>,
}

impl Query {
    fn read(mut params: Object) -> Result<Query, Fault> {
        let context_id = match fields::take(&mut params, "contextId", "context_id") {
            // A query string does not say that it is a text.
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::String(id)) => Some(id).filter(|id| !id.is_empty()),
            Some(_) => return Err(Fault::new("contextId", "must be a string")),
            None => None,
        };
        let since = fields::id(
            &mut params,
            "statusTimestampAfter",
            "status_timestamp_after",
        )?
        .map(|time| {
            parse_time(&time)
                .map(to_nanos)
                .ok_or_else(|| Fault::new("statusTimestampAfter", "must be a time of RFC 3339"))
        })
        .transpose()?;
        let page_size =
            fields::count(&mut params, "pageSize", "page_size")?.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&page_size) {
            return Err(Fault::new("pageSize", "must be between 1 and 100"));
        }
        let after = fields::id(&mut params, "pageToken", "page_token")?
            .map(|token| {
                read_token(&token).ok_or_else(|| {
                    Fault::new(
                        "pageToken",
                        "must be the nextPageToken of an earlier answer",
                    )
                })
            })
            .transpose()?;
        Ok(Query {
            context_id,
            state: state(&mut params)?,
            since,
            history_length: fields::count(&mut params, "historyLength", "history_length")?,
            include_artifacts: fields::boolean(
                &mut params,
                "includeArtifacts",
                "include_artifacts",
            )?
            .unwrap_or(false),
            page_size,
            after,
        })
    }
}

/// A state by its name of 1.0 or of 0.x; the unspecified one, which is the default in the proto, is none.
fn state(params: &mut Object) -> Result<Option<TaskState>, Fault> {
    let fault = || Fault::new("status", "must be the name of a state");
    let state = match fields::take(params, "status", "") {
        None => return Ok(None),
        Some(Value::String(name)) if name.is_empty() => return Ok(None),
        Some(Value::String(name)) if !name.starts_with("TASK_STATE_") => {
            let name = name.to_ascii_uppercase().replace('-', "_");
            Value::String(format!("TASK_STATE_{name}"))
        }
        Some(other) => other,
    };
    let is_none = state == "TASK_STATE_UNSPECIFIED" || state == 0;
    match TaskState::from_value(&state) {
        Some(TaskState::Unspecified) if is_none => Ok(None),
        None | Some(TaskState::Unspecified) => Err(fault()),
        state => Ok(state),
    }
}

/// A place in the list, for a requester to bring back. It names a task of its own and so needs no seal: what it brings
/// back is looked up among its own tasks only.
fn token(cursor: &ListCursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", cursor.status_at, cursor.id))
}

fn read_token(token: &str) -> Option<ListCursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (status_at, id) = text.split_once('.')?;
    Some(ListCursor {
        status_at: status_at.parse().ok()?,
        id: id.into(),
    })
}

impl Shared {
    pub(super) async fn list_tasks(
        &self,
        asked: Asked,
        filter: Object,
    ) -> Result<Response<Body>, Error> {
        let situation = asked.situation(Want::AtOnce, false, false).await?;
        match decide(&situation) {
            Plan::Pass => return self.pass_call(asked).await,
            Plan::Translate => {
                if let Some(ready) = self.list_at_worker(&asked, filter.clone()).await? {
                    return Ok(ready.into_response());
                }
            }
            Plan::Log | Plan::Send(_) => {}
        }
        let query = Query::read(filter).map_err(|fault| invalid_params(&fault))?;
        let ready = self.list_from_log(&asked, query, situation.can.get).await?;
        Ok(ready.into_response())
    }

    /// The worker's own list; none if it turns out to have none.
    async fn list_at_worker(
        &self,
        asked: &Asked,
        mut filter: Object,
    ) -> Result<Option<Ready>, Error> {
        let store = self.sources.hub().store();
        for name in ["contextId", "context_id"] {
            if let Some(Value::String(id)) = filter.get_mut(name)
                && let Some(theirs) = store
                    .worker_context_id(&asked.route.name, &asked.tenant, id)
                    .await?
            {
                *id = theirs;
            }
        }
        let worker = &asked.upstream().worker;
        let timeout = asked.upstream().policy.call_timeout;
        let context = asked.context();
        let request = Request::ListTasks(filter);
        let call = worker.call(&request, &context, timeout);
        let reply = match Box::pin(call).await {
            Ok(reply) => reply,
            Err(error) if has_no_list(&error, asked) => {
                worker.learn(Ability::List, false);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let Answer::Tasks(mut list) = reply.value else {
            return Err(A2aError::new(
                ErrorKind::InvalidAgentResponse,
                "The worker answered ListTasks with something else than a list.",
            )
            .into());
        };
        if let Some(tasks) = list.get_mut("tasks").and_then(Value::as_array_mut) {
            for task in tasks {
                self.map_listed(asked, task).await?;
            }
        }
        Ok(Some(
            Ready::new(asked, &Answer::Tasks(list)).with_extensions(asked, reply.extensions),
        ))
    }

    /// Gives a task of the worker's list the ids by which the requester knows it.
    async fn map_listed(&self, asked: &Asked, listed: &mut Value) -> Result<(), StoreError> {
        let Some(id) = listed.get("id").and_then(Value::as_str) else {
            return Ok(());
        };
        let kept = self
            .sources
            .hub()
            .store()
            .task_by_worker_id(&asked.route.name, &asked.tenant, id)
            .await?;
        let Some(map) = kept.map(|record| id_map(&record)) else {
            return Ok(());
        };
        if !map.is_identity()
            && let Ok(mut task) = Task::from_value(listed.clone())
        {
            map.map_task(&mut task);
            *listed = json(&task);
        }
        Ok(())
    }

    async fn list_from_log(
        &self,
        asked: &Asked,
        query: Query,
        worker_can_be_read: bool,
    ) -> Result<Ready, Error> {
        // Once a list, and not for each of its pages: tasks that change in between move to the front of it.
        if query.after.is_none() && worker_can_be_read {
            self.read_unwatched(asked).await?;
        }
        let page = self
            .sources
            .hub()
            .store()
            .list(ListFilter {
                route: asked.route.name.clone(),
                tenant: asked.tenant.clone(),
                owner: asked.principal(),
                context_id: query.context_id,
                state: query.state,
                since: query.since,
                after: query.after,
                limit: usize::try_from(query.page_size).unwrap_or(usize::MAX),
            })
            .await?;
        let tasks = page.records.into_iter().map(|record| {
            let mut task = Arc::unwrap_or_clone(record.task);
            trim_history(&mut task, query.history_length);
            if !query.include_artifacts {
                task.artifacts.clear();
            }
            asked
                .renderer()
                .stamp_task(record.epoch, record.last_seq, &mut task);
            json(&task)
        });
        let list = Object::from_iter([
            ("tasks".to_owned(), tasks.collect()),
            (
                "nextPageToken".to_owned(),
                page.next.as_ref().map(token).unwrap_or_default().into(),
            ),
            ("pageSize".to_owned(), query.page_size.into()),
            ("totalSize".to_owned(), page.total.into()),
        ]);
        Ok(Ready::new(asked, &Answer::Tasks(list)).with_extensions(asked, None))
    }

    /// Makes the log as new as the requester's own questions to the worker would: nobody polls a task for which nobody
    /// waits.
    async fn read_unwatched(&self, asked: &Asked) -> Result<(), StoreError> {
        let filter = TaskFilter {
            route: Some(asked.route.name.to_string()),
            owner: Some(asked.principal()),
            unfinished: true,
            limit: MAX_READ,
            ..TaskFilter::default()
        };
        let mut records = self.sources.hub().store().tasks(filter).await?;
        records.retain(|record| record.key.tenant == asked.tenant && !self.is_current(record));
        if records.is_empty() {
            return Ok(());
        }
        let sources = self.sources.clone();
        let upstream = Arc::clone(asked.upstream());
        let context = asked.context();
        // By itself, so that what takes longer than the list waits is finished and not wasted.
        let reading = tokio::spawn(async move {
            futures_util::stream::iter(records)
                .for_each_concurrent(READ_AT_ONCE, async |record| {
                    if let Err(error) = sources.refresh(&record, &upstream, &context).await {
                        tracing::debug!(task = %record.key, %error, "the worker could not be asked for a task");
                    }
                })
                .await;
        });
        // Late or panicked: the log is the answer as it is.
        let _ = tokio::time::timeout(READ_PATIENCE, reading).await;
        Ok(())
    }
}

/// Whether the worker says with this that it has no such call at all.
fn has_no_list(error: &CallError, asked: &Asked) -> bool {
    match error {
        CallError::Rpc(error) => matches!(
            error.kind,
            ErrorKind::MethodNotFound | ErrorKind::UnsupportedOperation
        ),
        // Where the path is the method, a status says it. Elsewhere it says something of the whole address.
        CallError::Http { status, .. } => {
            let by_path = asked
                .upstream()
                .worker
                .known_now()
                .is_some_and(|known| known.dialect.binding != Binding::JsonRpc);
            by_path
                && matches!(
                    *status,
                    StatusCode::NOT_FOUND
                        | StatusCode::METHOD_NOT_ALLOWED
                        | StatusCode::NOT_IMPLEMENTED
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(params: Value) -> Result<Query, String> {
        let Value::Object(params) = params else {
            panic!("not an object")
        };
        Query::read(params).map_err(|fault| fault.path)
    }

    #[test]
    fn what_is_not_asked_for_has_its_default() {
        let none = Query {
            context_id: None,
            state: None,
            since: None,
            history_length: None,
            include_artifacts: false,
            page_size: 50,
            after: None,
        };
        assert_eq!(read(json!({})), Ok(none));
        let empty = json!({ "contextId": "", "status": "TASK_STATE_UNSPECIFIED", "pageToken": "", "historyLength": null });
        assert_eq!(read(empty), read(json!({})));
    }

    #[test]
    fn every_member_is_read() {
        let cursor = ListCursor {
            status_at: -5,
            id: "a.ä".into(),
        };
        let asked = json!({
            "contextId": 12, "status": "input-required", "statusTimestampAfter": "1970-01-01T00:00:01Z",
            "history_length": "3", "includeArtifacts": true, "pageSize": 100, "pageToken": token(&cursor),
        });
        let expected = Query {
            context_id: Some("12".to_owned()),
            state: Some(TaskState::InputRequired),
            since: Some(1_000_000_000),
            history_length: Some(3),
            include_artifacts: true,
            page_size: 100,
            after: Some(cursor),
        };
        assert_eq!(read(asked), Ok(expected));
        let read_state = |status: Value| read(json!({ "status": status })).map(|query| query.state);
        assert_eq!(
            read_state(json!("TASK_STATE_FAILED")),
            Ok(Some(TaskState::Failed))
        );
        assert_eq!(
            read_state(json!("cancelled")),
            Ok(Some(TaskState::Canceled))
        );
        assert_eq!(read_state(json!(2)), Ok(Some(TaskState::Working)));
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_name() {
        for (member, values) in [
            ("contextId", vec![json!(true), json!([])]),
            (
                "status",
                vec![json!("busy"), json!(99), json!({}), json!("TASK_STATE_X")],
            ),
            ("statusTimestampAfter", vec![json!("yesterday"), json!(1)]),
            ("historyLength", vec![json!(-1), json!("many")]),
            ("includeArtifacts", vec![json!("yes"), json!(1)]),
            ("pageSize", vec![json!(0), json!(101), json!(-1)]),
            ("pageToken", vec![json!("?"), json!("eA"), json!(7)]),
        ] {
            for value in values {
                let asked = json!({ member: value });
                assert_eq!(read(asked.clone()), Err(member.to_owned()), "{asked}");
            }
        }
    }
}
