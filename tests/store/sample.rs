//! What the tests beside the suite write.

use std::sync::Arc;

use a2a_sidecar::a2a::{
    Artifact, Part, PartContent, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus, TaskStatusUpdateEvent,
};
use a2a_sidecar::store::{
    Append, Principal, PushRegistration, RegistrationKind, Sealed, Store, StoreError, TaskRecord,
};
use a2a_sidecar::task::fold::fold;
use a2a_sidecar::task::{Seq, TaskKey};

pub fn key(id: &str) -> TaskKey {
    TaskKey {
        route: "route".into(),
        tenant: "".into(),
        id: id.into(),
    }
}

/// Creates a task with one event and one push config.
pub async fn create(store: &dyn Store, id: &str) -> Result<(), StoreError> {
    let task = Task {
        id: id.to_owned(),
        ..Task::default()
    };
    let first = Arc::new(StreamResponse::Task(task.clone()));
    let record = TaskRecord {
        key: key(id),
        epoch: 1,
        task: Arc::new(task),
        last_seq: Seq(1),
        first_seq: Seq(1),
        owner: Principal([0; 32]),
        link: Arc::default(),
        created_at: 1000,
        updated_at: 1000,
    };
    let push = PushRegistration {
        kind: RegistrationKind::Webhook,
        key: key(id),
        id: "push".to_owned(),
        dialect: "v1.0/jsonrpc".to_owned(),
        config: Sealed(vec![1]),
        created_at: 1000,
    };
    let push = if id.starts_with("push") {
        vec![push]
    } else {
        Vec::new()
    };
    store.create(record, vec![first], push).await
}

pub fn chunk(id: &str, text: &str) -> StreamResponse {
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

pub fn ended(id: &str) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: id.to_owned(),
        status: TaskStatus {
            state: TaskState::Completed,
            ..TaskStatus::default()
        },
        ..TaskStatusUpdateEvent::default()
    })
}

/// What an append of these events to the task as it stands would be.
pub async fn append_of(store: &dyn Store, id: &str, events: Vec<StreamResponse>) -> Append {
    let record = store.task(&key(id)).await.expect("task");
    let record = record.expect("the task is there");
    let mut task = (*record.task).clone();
    for event in &events {
        task = fold(Some(task), event).expect("the event follows");
    }
    Append {
        key: record.key,
        expect: record.last_seq,
        events: events.into_iter().map(Arc::new).collect(),
        task: Arc::new(task),
        link: None,
        now: 1001,
    }
}

pub async fn append(
    store: &dyn Store,
    id: &str,
    events: Vec<StreamResponse>,
) -> Result<(), StoreError> {
    let append = append_of(store, id, events).await;
    store.append(append).await
}

/// The numbers of the events that the store has of the task.
pub async fn numbers(store: &dyn Store, id: &str) -> Vec<u64> {
    let log = store.events(&key(id), Seq(0), usize::MAX).await;
    log.expect("events")
        .iter()
        .map(|entry| entry.seq.0)
        .collect()
}
