//! Ids in every payload, in both directions.

use super::*;
use crate::a2a::request::{GetTaskRequest, PushConfigRequest, TaskRequest};
use crate::a2a::{PushConfig, Request, SendConfiguration, SendMessageRequest};
use crate::task::ids::{Alias, IdMap};

fn map() -> IdMap {
    IdMap::new(Alias::new("wt", "t"), Alias::new("wc", "c"))
}

/// A message that carries ids everywhere.
fn bound(task: &str, context: &str) -> Message {
    Message {
        task_id: Some(task.to_owned()),
        context_id: Some(context.to_owned()),
        reference_task_ids: vec!["elsewhere".to_owned(), task.to_owned()],
        ..agent("m")
    }
}

fn full(id: &str, context: &str) -> Task {
    Task {
        id: id.to_owned(),
        context_id: context.to_owned(),
        ..task(
            status(TaskState::Working, Some(bound(id, context))),
            &[bound(id, context), bound(id, context)],
        )
    }
}

fn events(id: &str, context: &str) -> Vec<StreamResponse> {
    vec![
        StreamResponse::Task(full(id, context)),
        StreamResponse::Message(bound(id, context)),
        StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: id.to_owned(),
            context_id: context.to_owned(),
            status: status(TaskState::Working, Some(bound(id, context))),
            ..TaskStatusUpdateEvent::default()
        }),
        StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
            task_id: id.to_owned(),
            context_id: context.to_owned(),
            ..TaskArtifactUpdateEvent::default()
        }),
    ]
}

fn requests(id: &str, context: &str) -> Vec<Request> {
    let named = || TaskRequest {
        id: id.to_owned(),
        extra: object("id", "wt"),
    };
    let push = || PushConfig {
        id: Some("wt".to_owned()),
        task_id: id.to_owned(),
        ..PushConfig::default()
    };
    let config = || PushConfigRequest {
        task_id: id.to_owned(),
        id: Some("wt".to_owned()),
        ..PushConfigRequest::default()
    };
    let send = || {
        Box::new(SendMessageRequest {
            message: bound(id, context),
            configuration: Some(SendConfiguration {
                task_push_notification_config: Some(push()),
                ..SendConfiguration::default()
            }),
            metadata: Some(Box::new(object("taskId", "wt"))),
            ..SendMessageRequest::default()
        })
    };
    vec![
        Request::SendMessage(send()),
        Request::SendStreamingMessage(send()),
        Request::GetTask(GetTaskRequest {
            id: id.to_owned(),
            ..GetTaskRequest::default()
        }),
        Request::ListTasks(object("contextId", context)),
        Request::ListTasks(object("context_id", context)),
        Request::CancelTask(named()),
        Request::SubscribeToTask(named()),
        Request::CreatePushConfig(push()),
        Request::GetPushConfig(config()),
        Request::ListPushConfigs(named()),
        Request::DeletePushConfig(config()),
        Request::GetExtendedAgentCard(object("id", "wt")),
    ]
}

#[test]
fn every_id_of_every_event_is_mapped() {
    for (mut event, expected) in events("wt", "wc").into_iter().zip(events("t", "c")) {
        map().map_event(&mut event);
        assert_eq!(event, expected);
    }
}

#[test]
fn every_id_of_every_request_is_mapped_back() {
    for (mut request, expected) in requests("t", "c").into_iter().zip(requests("wt", "wc")) {
        map().inverse().map_request(&mut request);
        assert_eq!(request, expected);
    }
}

#[test]
fn there_and_back_is_the_same() {
    for event in events("wt", "wc") {
        let mut mapped = event.clone();
        map().map_event(&mut mapped);
        map().inverse().map_event(&mut mapped);
        assert_eq!(mapped, event);
    }
}

#[test]
fn what_is_absent_stays_absent() {
    let bare = [
        StreamResponse::Message(agent("m")),
        StreamResponse::StatusUpdate(TaskStatusUpdateEvent::default()),
        StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent::default()),
        StreamResponse::Task(Task::default()),
    ];
    for event in bare {
        let mut mapped = event.clone();
        map().map_event(&mut mapped);
        assert_eq!(mapped, event);
    }
}

#[test]
fn ids_of_other_tasks_pass() {
    let other = StreamResponse::Task(full("other", "theirs"));
    let mut mapped = other.clone();
    map().map_event(&mut mapped);
    assert_eq!(mapped, other);
}

#[test]
fn an_alias_between_equal_or_empty_names_is_none() {
    assert_eq!(Alias::new("t", "t"), None);
    assert_eq!(Alias::new("", "t"), None);
    assert_eq!(Alias::new("t", ""), None);
    assert!(IdMap::new(Alias::new("t", "t"), None).is_identity());
    assert!(!map().is_identity());
}
