//! What the ways to find a task promise.

use super::{Subject, Writer, key};
use crate::a2a::TaskState;
use crate::store::{Principal, TaskFilter, WorkerLink};
use crate::task::TaskKey;

/// Nothing in an empty store is found, listed, due or removed, and none of that is an error.
pub async fn what_is_not_there_is_none(store: Subject) {
    assert_eq!(store.task(&key("t")).await.expect("task"), None);
    let found = store.task_by_worker_id("route", "", "w").await;
    assert_eq!(found.expect("by worker id"), None);
    let found = store.task_by_push_token(&[0; 32]).await;
    assert_eq!(found.expect("by token"), None);
    let found = store.worker_context_id("route", "", "c").await;
    assert_eq!(found.expect("context"), None);
    let all = TaskFilter {
        limit: 10,
        ..TaskFilter::default()
    };
    assert!(store.tasks(all).await.expect("tasks").is_empty());
    assert_eq!(store.expire(i64::MAX, 10).await.expect("expire"), 0);
    let configs = store.registrations(&key("t")).await;
    assert!(configs.expect("registrations").is_empty());
    assert!(!store.unregister(&key("t"), "a").await.expect("unregister"));
    assert!(super::deliveries::claim(&store, 1, 2, 10).await.is_empty());
    assert_eq!(super::deliveries::next_due(&store).await, None);
    let rows = store.deliveries(&key("t"), 10).await;
    assert!(rows.expect("deliveries").is_empty());
}

fn link(task_id: &str) -> WorkerLink {
    WorkerLink {
        task_id: Some(task_id.to_owned()),
        ..WorkerLink::default()
    }
}

/// The worker's id finds the task within its route and tenant, follows a change, and means the newest of several.
pub async fn a_task_is_found_by_its_workers_id(store: Subject) {
    let find = async |route, tenant, id| {
        let found = store.task_by_worker_id(route, tenant, id).await;
        found.expect("by worker id").map(|record| record.key)
    };
    let mut first = Writer::draft(&store, "t1", 1000);
    first.record.link = link("w").into();
    let mut first = first.create(&[]).await;
    assert_eq!(find("route", "", "w").await, Some(key("t1")));
    assert_eq!(find("other", "", "w").await, None);
    assert_eq!(find("route", "tenant", "w").await, None);
    assert_eq!(find("route", "", "t1").await, None);
    let mut second = Writer::draft(&store, "t0", 1000).create(&[]).await;
    second.link(link("w"), 1001).await;
    first.chunks(&["x"], 1002).await;
    assert_eq!(find("route", "", "w").await, Some(key("t0")));
    second.link(link("w2"), 1003).await;
    assert_eq!(find("route", "", "w").await, Some(key("t1")));
    assert_eq!(find("route", "", "w2").await, Some(key("t0")));
    second.link(WorkerLink::default(), 1004).await;
    assert_eq!(find("route", "", "w2").await, None);
    let found = store.task_by_worker_id("route", "", "w").await;
    assert_eq!(found.expect("by worker id"), Some(first.record));
}

/// The hash of the push token finds the task, whatever its route, and follows a change.
pub async fn a_task_is_found_by_its_push_token(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    let token = |byte| WorkerLink {
        push_token_hash: Some([byte; 32]),
        ..WorkerLink::default()
    };
    let find = async |byte| {
        let found = store.task_by_push_token(&[byte; 32]).await;
        found.expect("by token").map(|record| record.key)
    };
    writer.link(token(1), 1001).await;
    assert_eq!(find(1).await, Some(key("t")));
    writer.link(token(2), 1002).await;
    assert_eq!(find(1).await, None);
    assert_eq!(find(2).await, Some(key("t")));
}

/// The worker's id of a context is found where a task of the route and tenant has given it another.
pub async fn a_context_of_the_worker_is_found(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    let find = async |route, tenant, id| {
        let found = store.worker_context_id(route, tenant, id).await;
        found.expect("context")
    };
    let context = |id: &str| WorkerLink {
        context_id: Some(id.to_owned()),
        ..WorkerLink::default()
    };
    assert_eq!(find("route", "", "context of t").await, None);
    writer.link(context("context of t"), 1001).await;
    assert_eq!(find("route", "", "context of t").await, None);
    writer.link(context("theirs"), 1002).await;
    let found = find("route", "", "context of t").await;
    assert_eq!(found.as_deref(), Some("theirs"));
    assert_eq!(find("other", "", "context of t").await, None);
    assert_eq!(find("route", "tenant", "context of t").await, None);
    assert_eq!(find("route", "", "theirs").await, None);
    writer.end(1003).await;
    let found = find("route", "", "context of t").await;
    assert_eq!(found.as_deref(), Some("theirs"));
}

/// Each condition of a listing narrows it; the order is the newest change first, then the key.
pub async fn listings_filter_and_go_from_the_newest_change(store: Subject) {
    let mut a = Writer::draft(&store, "a", 1000).create(&[]).await;
    Writer::draft(&store, "b", 3000).create(&[]).await;
    let mut elsewhere = key("c");
    elsewhere.route = "other".into();
    Writer::draft_at(&store, elsewhere, 2000).create(&[]).await;
    let mut d = Writer::draft(&store, "d", 3000);
    d.record.owner = Principal([2; 32]);
    let mut d = d.create(&[]).await;
    d.end(3000).await;

    let all = TaskFilter {
        limit: 10,
        ..TaskFilter::default()
    };
    let list = async |filter: TaskFilter| {
        let found = store.tasks(filter).await.expect("tasks");
        let ids = found.iter().map(|record| record.key.id.to_string());
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(all.clone()).await, "b d c a");
    let route = TaskFilter {
        route: Some("route".to_owned()),
        ..all.clone()
    };
    assert_eq!(list(route.clone()).await, "b d a");
    let owner = TaskFilter {
        owner: Some(Principal([1; 32])),
        ..route.clone()
    };
    assert_eq!(list(owner).await, "b a");
    let state = TaskFilter {
        state: Some(TaskState::Completed),
        ..all.clone()
    };
    assert_eq!(list(state).await, "d");
    let unfinished = TaskFilter {
        unfinished: true,
        ..all.clone()
    };
    assert_eq!(list(unfinished).await, "b c a");
    let few = TaskFilter { limit: 2, ..route };
    assert_eq!(list(few).await, "b d");
    let none = TaskFilter {
        limit: 0,
        ..all.clone()
    };
    assert_eq!(list(none).await, "");
    a.chunks(&["x"], 4000).await;
    assert_eq!(list(all).await, "a b d c");
}

/// Pages joined by `after` give every task once, also among those of the same time.
pub async fn listings_are_paged_without_loss(store: Subject) {
    let mut expected = Vec::new();
    for at in [1000, 2000] {
        for tenant in ["", "x"] {
            for id in ["a", "B", "ä"] {
                let key = TaskKey {
                    route: "route".into(),
                    tenant: tenant.into(),
                    id: format!("{id}{at}").into(),
                };
                let writer = Writer::draft_at(&store, key, at).create(&[]).await;
                expected.push((at, writer.record.key));
            }
        }
    }
    expected.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for limit in [1, 5, 12] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let filter = TaskFilter {
                after: after.clone(),
                limit,
                ..TaskFilter::default()
            };
            let page = store.tasks(filter).await.expect("tasks");
            seen.extend(
                page.into_iter()
                    .map(|record| (record.updated_at, record.key)),
            );
            if seen.last() == after.as_ref() {
                break;
            }
            after = seen.last().cloned();
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}
