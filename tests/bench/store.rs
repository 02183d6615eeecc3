//! Appends per second through the hub: reconciled, folded, kept and rung for, one event each, by one writer and by many
//! on tasks of their own, which the SQLite store groups into common commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use a2a_sidecar::a2a::{StreamResponse, Task, TaskState, TaskStatus, TaskStatusUpdateEvent};
use a2a_sidecar::hub::{Hub, now};
use a2a_sidecar::store::sqlite::Sync;
use a2a_sidecar::store::{MemoryStore, Principal, SqliteOptions, SqliteStore, Store, TaskRecord};
use a2a_sidecar::task::{Seq, TaskKey};

use crate::process;
use crate::table::Table;

/// How long each setting runs.
const WINDOW: Duration = Duration::from_secs(2);

/// Fills the table.
pub async fn measure(table: &mut Table) {
    for writers in [1, 64] {
        let memory = rate(Arc::new(MemoryStore::default()), writers).await;
        for (sync, name) in [(Sync::Normal, "normal"), (Sync::Full, "full")] {
            let folder = process::scratch().join(format!("store-{name}-{writers}"));
            let _ = std::fs::remove_dir_all(&folder);
            let options = SqliteOptions {
                sync,
                ..SqliteOptions::default()
            };
            let store = SqliteStore::open(folder.join("tasks.db"), options).expect("a store");
            let store = Arc::new(store);
            let sqlite = rate(store.clone(), writers).await;
            let _ = store.close().await;
            table.row(
                format!("Appends per second, SQLite, sync {name}, {writers} at once"),
                format!("{sqlite:.0}"),
                format!("{memory:.0} (memory)"),
                format!("{:.2}", sqlite / memory),
                "",
            );
        }
    }
}

async fn rate(store: Arc<dyn Store>, writers: usize) -> f64 {
    let hub = Hub::new(store);
    let mut keys = Vec::new();
    for number in 0..writers {
        let id = format!("task-{number}");
        let key = TaskKey {
            route: "bench".into(),
            tenant: "".into(),
            id: id.as_str().into(),
        };
        let task = Task {
            id,
            context_id: "bench".to_owned(),
            ..Task::default()
        };
        let record = TaskRecord {
            key: key.clone(),
            epoch: 1,
            task: Arc::new(task),
            last_seq: Seq(1),
            first_seq: Seq(1),
            owner: Principal([0; 32]),
            link: Arc::default(),
            created_at: now(),
            updated_at: now(),
        };
        hub.create(record, Vec::new()).await.expect("a new task");
        keys.push(key);
    }
    let begun = Instant::now();
    let writing: Vec<_> = keys
        .into_iter()
        .map(|key| tokio::spawn(write(hub.clone(), key, begun)))
        .collect();
    let mut appends = 0;
    for writing in writing {
        appends += writing.await.expect("appends are kept");
    }
    appends as f64 / begun.elapsed().as_secs_f64()
}

async fn write(hub: Hub, key: TaskKey, begun: Instant) -> usize {
    // Held, as a source holds it, so that the record is in memory.
    let _demand = hub.demand(&key).await.expect("the task is there");
    let mut appends = 0;
    while begun.elapsed() < WINDOW {
        let event = said(&key.id, appends);
        let since = Some(Seq(appends as u64 + 1));
        let observed = hub.observe(&key, event, since).await.expect("it is kept");
        assert_eq!(observed.added, 1, "each is new");
        appends += 1;
    }
    appends
}

/// A status update that differs from the last one by its time only: what is measured is an append, and a history that
/// grew with it would make each one dearer than the last.
fn said(task: &str, number: usize) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: task.to_owned(),
        context_id: "bench".to_owned(),
        status: TaskStatus {
            state: TaskState::Working,
            timestamp: Some(format!("2026-01-01T00:00:00.{number:09}Z")),
            ..TaskStatus::default()
        },
        ..TaskStatusUpdateEvent::default()
    })
}
