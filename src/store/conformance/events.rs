//! What `create`, `append`, `events`, `trim` and `expire` promise.

use std::sync::Arc;

use serde_json::json;

use super::{
    Subject, Writer, assert_conflict, assert_not_found, chunk, config, key, numbers, status,
};
use crate::a2a::{StreamResponse, Task, TaskState};
use crate::store::{Principal, Sealed, WorkerLink};
use crate::task::Seq;

/// Events given to `create` are numbered 1, 2, ... and carry the record's time.
pub async fn create_numbers_the_events_from_one(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000);
    let mut events = writer.first();
    events.push(Arc::new(chunk("t", "x")));
    writer.record.last_seq = Seq(2);
    store
        .create(writer.record.clone(), events.clone(), Vec::new())
        .await
        .expect("create");
    let log = writer.log().await;
    assert_eq!(numbers(&log), [1, 2]);
    for (entry, event) in log.iter().zip(&events) {
        assert_eq!(entry.event, *event);
        assert_eq!(entry.observed_at, 1000);
    }
    assert_eq!(writer.stored().await, writer.record);
}

/// The second `create` of a key is a `Conflict` and leaves events, configs and deliveries as they were.
pub async fn create_refuses_a_key_that_exists_and_changes_nothing(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    let mut again = Writer::draft(&store, "t", 2000);
    again.record.epoch = 8;
    let push = vec![config(again.key(), "b", 2000)];
    let result = store.create(again.record.clone(), again.first(), push);
    assert_conflict(&result.await);
    assert_eq!(writer.stored().await, writer.record);
    assert_eq!(numbers(&writer.log().await), [1]);
    let kept = store.registrations(writer.key()).await.expect("configs");
    assert_eq!(kept.len(), 1);
    assert_eq!(writer.ledger().await.len(), 1);
    // The same id elsewhere is another task.
    for (route, tenant) in [("other", ""), ("route", "tenant")] {
        let mut key = key("t");
        key.route = route.into();
        key.tenant = tenant.into();
        Writer::draft_at(&store, key, 1000).create(&[]).await;
    }
}

/// Every field of a record survives, at the edges of its type.
pub async fn a_record_comes_back_as_it_was_given(store: Subject) {
    let mut writer = Writer::draft(&store, "t", -5);
    writer.record.epoch = u64::MAX;
    writer.record.owner = Principal([0xfe; 32]);
    writer.record.created_at = -6;
    writer.record.link = Arc::new(WorkerLink {
        task_id: Some("w".to_owned()),
        context_id: Some("c".to_owned()),
        worker: "http://worker/".to_owned(),
        source: "stream".to_owned(),
        requester: "praisonai".to_owned(),
        push_token_hash: Some([9; 32]),
        credentials: Some(Sealed(vec![0, 1, 255])),
    });
    let writer = writer.create(&[]).await;
    assert_eq!(writer.stored().await, writer.record);
}

/// Members outside the model, empty texts, Unicode, zero bytes and large numbers survive in tasks and events.
pub async fn unknown_members_and_odd_texts_come_back(store: Subject) {
    let mut writer = Writer::draft(&store, "t\u{0}\u{1F980}' \"", 1000);
    let mut task = (*writer.record.task).clone();
    task.context_id = String::new();
    let odd = json!({"null": null, "big": u64::MAX, "deep": [[{"": "\u{0}\u{FFFF}"}]], "text": "line\nline"});
    task.extra.insert("vendor".to_owned(), odd.clone());
    task.metadata = odd.as_object().cloned().map(Box::new);
    writer.record.task = Arc::new(task);
    let mut writer = writer.create(&[]).await;
    assert_eq!(writer.stored().await, writer.record);
    let id = writer.id().to_owned();
    let mut event = status(&id, TaskState::InputRequired);
    if let StreamResponse::StatusUpdate(update) = &mut event {
        update.metadata = odd.as_object().cloned().map(Box::new);
        update.extra.insert("vendor".to_owned(), odd);
    }
    writer.append(vec![event.clone()], 1001).await;
    let log = writer.log().await;
    assert_eq!(log.last().map(|entry| (*entry.event).clone()), Some(event));
    assert_eq!(writer.stored().await, writer.record);
}

/// Appends of one and of several events continue the numbering, each with its time.
pub async fn append_numbers_without_gaps(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    writer.chunks(&["a"], 1001).await;
    writer.chunks(&["b", "c", "d"], 1002).await;
    writer.end(1003).await;
    let log = writer.log().await;
    assert_eq!(numbers(&log), [1, 2, 3, 4, 5, 6]);
    let times: Vec<_> = log.iter().map(|entry| entry.observed_at).collect();
    assert_eq!(times, [1000, 1001, 1002, 1002, 1002, 1003]);
    assert_eq!(*log[3].event, chunk("t", "c"));
    assert_eq!(writer.stored().await, writer.record);
}

/// An append on an older or a later number than the record's is a `Conflict`; nothing of it is kept.
pub async fn append_on_another_number_is_a_conflict_and_changes_nothing(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    writer.chunks(&["x"], 1001).await;
    let ledger = writer.ledger().await;
    for expect in [0, 1, 3, u64::MAX] {
        let mut append = writer.append_of(vec![status("t", TaskState::Failed)], 1002);
        append.expect = Seq(expect);
        append.link = Some(Arc::new(WorkerLink {
            task_id: Some("w".to_owned()),
            ..WorkerLink::default()
        }));
        assert_conflict(&store.append(append).await);
    }
    let mut link_only = writer.append_of(Vec::new(), 1002);
    link_only.expect = Seq(1);
    link_only.link = Some(Arc::default());
    assert_conflict(&store.append(link_only).await);
    assert_eq!(writer.stored().await, writer.record);
    assert_eq!(numbers(&writer.log().await), [1, 2]);
    assert_eq!(writer.ledger().await, ledger);
}

/// There is nothing to append to.
pub async fn append_to_an_unknown_task_is_not_found(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000);
    let append = writer.append_of(vec![chunk("t", "x")], 1001);
    assert_not_found(&store.append(append).await);
    assert_eq!(store.task(&key("t")).await.expect("task"), None);
    assert!(writer.log().await.is_empty());
}

/// Without events the link and `updated_at` change, the task and the numbers do not.
pub async fn append_without_events_changes_the_link_only(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    let ledger = writer.ledger().await;
    let mut append = writer.append_of(Vec::new(), 1001);
    append.task = Arc::new(Task::default());
    let link = WorkerLink {
        source: "poll".to_owned(),
        requester: "v0.3/jsonrpc".to_owned(),
        credentials: Some(Sealed(vec![1])),
        ..WorkerLink::default()
    };
    append.link = Some(Arc::new(link.clone()));
    store.append(append).await.expect("append");
    writer.record.link = Arc::new(link);
    writer.record.updated_at = 1001;
    assert_eq!(writer.stored().await, writer.record);
    assert_eq!(numbers(&writer.log().await), [1]);
    assert_eq!(writer.ledger().await, ledger);
    // With neither events nor a link nothing is left to change.
    let nothing = writer.append_of(Vec::new(), 1002);
    store.append(nothing).await.expect("append nothing");
    assert_eq!(writer.stored().await, writer.record);
    // An event leaves the link alone.
    writer.chunks(&["x"], 1003).await;
    assert_eq!(writer.stored().await, writer.record);
}

/// A task that grows by many small and some large pieces is read as its events make it, at every moment.
pub async fn the_task_is_the_fold_of_its_events_however_many(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    let large = "x".repeat(3000);
    for round in 0_i64..120 {
        let now = 1001 + round;
        match round % 10 {
            3 => {
                let event = status("t", TaskState::InputRequired);
                writer.append(vec![event], now).await;
            }
            7 => writer.chunks(&[&large, "b"], now).await,
            _ => writer.chunks(&["a"], now).await,
        }
        assert_eq!(writer.stored().await, writer.record);
    }
    let listed = store.tasks(crate::store::TaskFilter {
        limit: 1,
        ..Default::default()
    });
    assert_eq!(listed.await.expect("tasks"), [writer.record.clone()]);
    writer.end(2000).await;
    assert_eq!(writer.stored().await, writer.record);
}

/// `events` gives those after a number, oldest first, at most the limit.
pub async fn events_are_read_in_pages(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    writer.chunks(&["a", "b", "c", "d"], 1001).await;
    let page = async |after, limit| {
        let log = store.events(writer.key(), Seq(after), limit).await;
        numbers(&log.expect("events"))
    };
    assert_eq!(page(0, 2).await, [1, 2]);
    assert_eq!(page(2, 2).await, [3, 4]);
    assert_eq!(page(4, 2).await, [5]);
    assert!(page(5, 2).await.is_empty());
    assert!(page(u64::MAX, 2).await.is_empty());
    assert!(page(0, 0).await.is_empty());
    let other = store.events(&key("other"), Seq(0), 9).await;
    assert!(other.expect("events").is_empty());
}

/// Credentials are gone once the task is over, whichever call says so, and do not come back with a later link.
pub async fn credentials_go_when_the_task_ends(store: Subject) {
    let link = WorkerLink {
        source: "poll".to_owned(),
        credentials: Some(Sealed(vec![1])),
        ..WorkerLink::default()
    };
    let mut writer = Writer::draft(&store, "t", 1000);
    writer.record.link = Arc::new(link.clone());
    let mut writer = writer.create(&[]).await;
    assert_eq!(writer.stored().await.link, Arc::new(link.clone()));
    writer.end(1001).await;
    Arc::make_mut(&mut writer.record.link).credentials = None;
    assert_eq!(writer.stored().await, writer.record);
    writer.link(link.clone(), 1002).await;
    assert_eq!(writer.stored().await.link.credentials, None);

    let mut over = Writer::draft(&store, "over", 1000);
    let mut task = (*over.record.task).clone();
    task.status.state = TaskState::Failed;
    over.record.task = Arc::new(task);
    over.record.link = Arc::new(link);
    let over = over.create(&[]).await;
    assert_eq!(over.stored().await.link.credentials, None);
}

/// `trim` takes events from the front; the task stays whole, the numbering goes on, and `first_seq` tells.
pub async fn trim_removes_old_events_and_nothing_else(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    writer.chunks(&["first", &"x".repeat(2000)], 1001).await;
    writer.chunks(&["c"], 1002).await;
    writer.chunks(&["d"], 1003).await;
    for (keep_from, first, left) in [
        (0, 1, vec![1, 2, 3, 4, 5]),
        (3, 3, vec![3, 4, 5]),
        // Never back.
        (2, 3, vec![3, 4, 5]),
        (5, 5, vec![5]),
        // Not beyond the next event.
        (100, 6, vec![]),
    ] {
        store
            .trim(writer.key(), Seq(keep_from))
            .await
            .expect("trim");
        writer.record.first_seq = Seq(first);
        assert_eq!(writer.stored().await, writer.record);
        assert_eq!(numbers(&writer.log().await), left);
    }
    writer.chunks(&["e"], 1004).await;
    assert_eq!(numbers(&writer.log().await), [6]);
    assert_eq!(writer.stored().await, writer.record);
    assert_not_found(&store.trim(&key("other"), Seq(1)).await);
}

/// `expire` takes tasks that ended before the time, with everything; the key is free again.
pub async fn expire_removes_what_ended_long_ago_and_all_that_hangs_on_it(store: Subject) {
    let working = Writer::draft(&store, "working", 1000).create(&[]).await;
    let mut recent = Writer::draft(&store, "recent", 1000).create(&[]).await;
    recent.end(2000).await;
    let mut old = Writer::draft(&store, "old", 1000).create(&["a"]).await;
    let link = WorkerLink {
        task_id: Some("w".to_owned()),
        context_id: Some("c".to_owned()),
        push_token_hash: Some([3; 32]),
        ..WorkerLink::default()
    };
    old.link(link, 1001).await;
    old.end(1999).await;
    for _ in 0..2 {
        for row in super::deliveries::claim(&store, 3000, 4000, 10).await {
            super::deliver(&store, row.id, 3000).await;
        }
    }
    // A change of the link after the end does not make the task younger.
    let link = old.stored().await.link;
    old.link(link, 5000).await;

    assert_eq!(store.expire(1999, 10).await.expect("expire"), 0);
    assert_eq!(store.expire(2000, 10).await.expect("expire"), 1);
    assert_eq!(store.task(old.key()).await.expect("task"), None);
    assert!(old.log().await.is_empty());
    assert!(old.ledger().await.is_empty());
    let configs = store.registrations(old.key()).await;
    assert!(configs.expect("registrations").is_empty());
    let by_worker = store.task_by_worker_id("route", "", "w").await;
    assert_eq!(by_worker.expect("by worker id"), None);
    let by_token = store.task_by_push_token(&[3; 32]).await;
    assert_eq!(by_token.expect("by token"), None);
    let context = store.worker_context_id("route", "", "context of old").await;
    assert_eq!(context.expect("context"), None);
    assert_eq!(working.stored().await, working.record);
    assert_eq!(recent.stored().await, recent.record);
    assert_eq!(store.expire(2000, 10).await.expect("expire"), 0);
    let again = Writer::draft(&store, "old", 6000).create(&[]).await;
    assert_eq!(numbers(&again.log().await), [1]);
}

/// A task with a pending delivery stays until that is done; no more tasks go than asked for, the oldest end first.
pub async fn expire_leaves_pending_deliveries_and_respects_its_limit(store: Subject) {
    let mut held = Writer::draft(&store, "held", 1000).create(&["a"]).await;
    held.end(1001).await;
    for (id, at) in [("t1", 1030), ("t2", 1010), ("t3", 1020)] {
        let mut writer = Writer::draft(&store, id, 1000).create(&[]).await;
        writer.end(at).await;
    }
    assert_eq!(store.expire(9000, 0).await.expect("expire"), 0);
    assert_eq!(store.expire(9000, 2).await.expect("expire"), 2);
    let left = async |id| store.task(&key(id)).await.expect("task").is_some();
    assert!(left("t1").await && !left("t2").await && !left("t3").await);
    assert_eq!(store.expire(9000, 10).await.expect("expire"), 1);
    assert!(left("held").await);
    assert_eq!(held.ledger().await.len(), 2);
    for round in 0..2 {
        let rows = super::deliveries::claim(&store, 2000, 3000, 10).await;
        assert_eq!(rows.len(), 1, "round {round}");
        super::deliver(&store, rows[0].id, 2000).await;
    }
    assert_eq!(store.expire(9000, 10).await.expect("expire"), 1);
    assert!(!left("held").await);
}

/// `remove` takes one task that is over and has told its receivers all, with everything; the key is free again.
pub async fn remove_takes_a_task_that_is_over_and_nothing_else(store: Subject) {
    let mut told = Writer::draft(&store, "told", 1000).create(&["a"]).await;
    let other = Writer::draft(&store, "other", 1000).create(&[]).await;
    assert_conflict(&store.remove(told.key()).await);
    told.end(1001).await;
    // The end is still to be delivered.
    assert_conflict(&store.remove(told.key()).await);
    assert_eq!(told.stored().await, told.record);
    for _ in 0..2 {
        for row in super::deliveries::claim(&store, 3000, 4000, 10).await {
            super::deliver(&store, row.id, 3000).await;
        }
    }
    store.remove(told.key()).await.expect("remove");
    assert_eq!(store.task(told.key()).await.expect("task"), None);
    assert!(told.log().await.is_empty());
    assert!(told.ledger().await.is_empty());
    assert_not_found(&store.remove(told.key()).await);
    assert_eq!(other.stored().await, other.record);
    let again = Writer::draft(&store, "told", 6000).create(&[]).await;
    assert_eq!(numbers(&again.log().await), [1]);
}
