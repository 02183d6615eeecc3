//! The one suite that every store passes: a named check for each clause of the traits' documentation.
//!
//! A backend's tests call [`store_conformance!`](crate::store_conformance) with a function that makes an empty store
//! (and whatever has to live as long), and get one test per clause. What only one backend promises (surviving a kill,
//! say) is tested beside that backend.

mod concurrency;
mod deliveries;
mod events;
mod listing;
mod lookup;
mod push;

pub use concurrency::*;
pub use deliveries::*;
pub use events::*;
pub use listing::*;
pub use lookup::*;
pub use push::*;

use std::sync::Arc;

use super::{
    Append, DeliveryState, LogEntry, Millis, Principal, PushRegistration, RegistrationKind, Sealed,
    Store, StoreError, TaskRecord, WorkerLink,
};
use crate::a2a::{
    Artifact, Part, PartContent, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus, TaskStatusUpdateEvent,
};
use crate::task::fold::fold;
use crate::task::{Seq, TaskKey};

/// Makes one test of each clause. The argument names an async function without arguments that returns an
/// `Arc<dyn Store>`, empty, and a guard that is kept until the clause has ended.
#[macro_export]
macro_rules! store_conformance {
    ($make:path) => {
        $crate::store_conformance!(@each $make:
            create_numbers_the_events_from_one,
            create_refuses_a_key_that_exists_and_changes_nothing,
            a_record_comes_back_as_it_was_given,
            unknown_members_and_odd_texts_come_back,
            append_numbers_without_gaps,
            append_on_another_number_is_a_conflict_and_changes_nothing,
            append_to_an_unknown_task_is_not_found,
            append_without_events_changes_the_link_only,
            the_task_is_the_fold_of_its_events_however_many,
            events_are_read_in_pages,
            credentials_go_when_the_task_ends,
            trim_removes_old_events_and_nothing_else,
            expire_removes_what_ended_long_ago_and_all_that_hangs_on_it,
            expire_leaves_pending_deliveries_and_respects_its_limit,
            remove_takes_a_task_that_is_over_and_nothing_else,
            what_is_not_there_is_none,
            a_task_is_found_by_its_workers_id,
            a_task_is_found_by_its_push_token,
            a_context_of_the_worker_is_found,
            listings_filter_and_go_from_the_newest_change,
            listings_are_paged_without_loss,
            lists_hold_one_principal_s_tasks_newest_status_first,
            lists_filter_by_context_state_and_time,
            the_time_of_a_status_is_its_own_or_else_that_of_the_write,
            lists_are_paged_while_tasks_change,
            create_makes_a_delivery_per_event_and_config,
            append_makes_a_delivery_per_event_and_config,
            register_brings_the_task_as_it_stands_then_later_events,
            register_replaces_and_hurries_what_was_pending,
            unregister_drops_what_was_pending,
            a_callback_gets_nothing_but_the_end,
            a_callback_registered_after_the_end_gets_the_task_as_it_stands,
            a_claim_takes_the_oldest_of_each_config,
            a_claim_brings_the_push_config,
            a_claim_holds_until_it_runs_out,
            claims_go_oldest_due_first_within_the_limit,
            a_retry_holds_up_its_own_config_only,
            finish_counts_attempts_and_bounds_the_line,
            finish_of_what_was_removed_is_not_found,
            a_late_finish_changes_nothing,
            a_dead_delivery_makes_way_and_can_be_redelivered,
            next_due_is_the_earliest_that_can_be_claimed,
            concurrent_appends_leave_no_gap,
            concurrent_claims_share_nothing,
            readers_see_a_prefix,
            a_dropped_append_has_happened_whole_or_not_at_all,
        );
    };
    (@each $make:path: $($clause:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                let (store, _guard) = $make().await;
                $crate::store::conformance::$clause(store).await;
            }
        )+
    };
}

/// Runs against an empty store.
type Subject = Arc<dyn Store>;

fn key(id: &str) -> TaskKey {
    TaskKey {
        route: "route".into(),
        tenant: "".into(),
        id: id.into(),
    }
}

fn status(id: &str, state: TaskState) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: id.to_owned(),
        context_id: format!("context of {id}"),
        status: TaskStatus {
            state,
            ..TaskStatus::default()
        },
        ..TaskStatusUpdateEvent::default()
    })
}

fn chunk(id: &str, text: &str) -> StreamResponse {
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
        task_id: id.to_owned(),
        artifact: Artifact {
            artifact_id: "a".to_owned(),
            parts: vec![Part {
                content: PartContent::Text(text.to_owned()),
                ..Part::default()
            }],
            ..Artifact::default()
        },
        append: true,
        ..TaskArtifactUpdateEvent::default()
    })
}

fn config(key: &TaskKey, id: &str, created_at: Millis) -> PushRegistration {
    PushRegistration {
        kind: RegistrationKind::Webhook,
        key: key.clone(),
        id: id.to_owned(),
        dialect: "v1.0/jsonrpc".to_owned(),
        config: Sealed(format!("sealed {id}").into_bytes()),
        created_at,
    }
}

/// A task as its only writer sees it.
struct Writer {
    store: Subject,
    record: TaskRecord,
}

impl Writer {
    /// What `create` would be given for a new task that is working.
    fn draft(store: &Subject, id: &str, now: Millis) -> Writer {
        Writer::draft_at(store, key(id), now)
    }

    fn draft_at(store: &Subject, key: TaskKey, now: Millis) -> Writer {
        let task = Task {
            id: key.id.to_string(),
            context_id: format!("context of {}", key.id),
            status: TaskStatus {
                state: TaskState::Working,
                ..TaskStatus::default()
            },
            ..Task::default()
        };
        Writer {
            store: store.clone(),
            record: TaskRecord {
                key,
                epoch: 7,
                task: Arc::new(task),
                last_seq: Seq(1),
                first_seq: Seq(1),
                owner: Principal([1; 32]),
                link: Arc::default(),
                created_at: now,
                updated_at: now,
            },
        }
    }

    /// Creates it, with its first event and these push configs.
    async fn create(self, push: &[&str]) -> Writer {
        let key = &self.record.key;
        let push = push
            .iter()
            .map(|id| config(key, id, self.record.created_at))
            .collect();
        self.store
            .create(self.record.clone(), self.first(), push)
            .await
            .expect("create");
        self
    }

    fn first(&self) -> Vec<Arc<StreamResponse>> {
        let task = (*self.record.task).clone();
        vec![Arc::new(StreamResponse::Task(task))]
    }

    fn key(&self) -> &TaskKey {
        &self.record.key
    }

    fn id(&self) -> &str {
        &self.record.key.id
    }

    fn append_of(&self, events: Vec<StreamResponse>, now: Millis) -> Append {
        let mut task = (*self.record.task).clone();
        for event in &events {
            task = fold(Some(task), event).expect("the event follows");
        }
        Append {
            key: self.record.key.clone(),
            expect: self.record.last_seq,
            events: events.into_iter().map(Arc::new).collect(),
            task: Arc::new(task),
            link: None,
            now,
        }
    }

    async fn append(&mut self, events: Vec<StreamResponse>, now: Millis) {
        let append = self.append_of(events, now);
        self.record.task = append.task.clone();
        self.record.last_seq = Seq(append.expect.0 + append.events.len() as u64);
        self.record.updated_at = now;
        self.store.append(append).await.expect("append");
    }

    async fn chunks(&mut self, texts: &[&str], now: Millis) {
        let events = texts.iter().map(|text| chunk(self.id(), text)).collect();
        self.append(events, now).await;
    }

    async fn end(&mut self, now: Millis) {
        self.append(vec![status(self.id(), TaskState::Completed)], now)
            .await;
    }

    async fn link(&mut self, link: impl Into<Arc<WorkerLink>>, now: Millis) {
        let link = link.into();
        let mut append = self.append_of(Vec::new(), now);
        append.link = Some(link.clone());
        self.store.append(append).await.expect("append a link");
        self.record.link = link;
        self.record.updated_at = now;
    }

    /// What the store has of it.
    async fn stored(&self) -> TaskRecord {
        let record = self.store.task(self.key()).await.expect("task");
        record.expect("the task is there")
    }

    async fn log(&self) -> Vec<LogEntry> {
        self.store
            .events(self.key(), Seq(0), usize::MAX)
            .await
            .expect("events")
    }

    /// Number, config and state of each delivery.
    async fn ledger(&self) -> Vec<(u64, String, DeliveryState)> {
        let rows = self.store.deliveries(self.key(), usize::MAX).await;
        rows.expect("deliveries")
            .into_iter()
            .map(|row| (row.seq.0, row.config_id, row.state))
            .collect()
    }
}

fn numbers(log: &[LogEntry]) -> Vec<u64> {
    log.iter().map(|entry| entry.seq.0).collect()
}

#[track_caller]
fn assert_conflict(result: &Result<(), StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Conflict)),
        "expected a conflict, got {result:?}"
    );
}

#[track_caller]
fn assert_not_found(result: &Result<(), StoreError>) {
    assert!(
        matches!(result, Err(StoreError::NotFound)),
        "expected not found, got {result:?}"
    );
}
