//! Listings for requesters.

use super::{Subject, Writer, chunk, key, status};
use crate::a2a::{StreamResponse, TaskState, TaskStatus, TaskStatusUpdateEvent};
use crate::store::list::to_nanos;
use crate::store::{ListFilter, ListPage, Principal, Sealed, WorkerLink};

/// All of the first principal's, on one page.
fn all() -> ListFilter {
    let key = key("");
    ListFilter {
        route: key.route,
        tenant: key.tenant,
        owner: Principal([1; 32]),
        context_id: None,
        state: None,
        since: None,
        after: None,
        limit: 100,
    }
}

async fn list(store: &Subject, filter: ListFilter) -> ListPage {
    store.list(filter).await.expect("list")
}

fn ids(page: &ListPage) -> String {
    let ids = page.records.iter().map(|record| record.key.id.to_string());
    ids.collect::<Vec<_>>().join(" ")
}

/// A status of this second of the first minute of 1970.
fn status_of(id: &str, state: TaskState, second: &str) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: id.to_owned(),
        status: TaskStatus {
            state,
            timestamp: Some(format!("1970-01-01T00:00:{second}Z")),
            ..TaskStatus::default()
        },
        ..TaskStatusUpdateEvent::default()
    })
}

/// Tasks of other routes, tenants and principals are not in it; what is over is.
pub async fn lists_hold_one_principal_s_tasks_newest_status_first(store: Subject) {
    Writer::draft(&store, "a", 1000).create(&[]).await;
    let mut b = Writer::draft(&store, "b", 2000).create(&[]).await;
    Writer::draft(&store, "c", 3000).create(&[]).await;
    let mut elsewhere = key("d");
    elsewhere.route = "other".into();
    Writer::draft_at(&store, elsewhere, 1000).create(&[]).await;
    let mut of_a_tenant = key("e");
    of_a_tenant.tenant = "tenant".into();
    Writer::draft_at(&store, of_a_tenant.clone(), 1000)
        .create(&[])
        .await;
    let mut of_another = Writer::draft(&store, "f", 1000);
    of_another.record.owner = Principal([2; 32]);
    of_another.create(&[]).await;

    let page = list(&store, all()).await;
    assert_eq!(ids(&page), "c b a");
    assert_eq!((page.total, page.next), (3, None));
    assert_eq!(page.records[1], b.stored().await);
    b.end(4000).await;
    assert_eq!(ids(&list(&store, all()).await), "b c a");
    let tenant = ListFilter {
        tenant: of_a_tenant.tenant,
        ..all()
    };
    assert_eq!(ids(&list(&store, tenant).await), "e");
    let other = ListFilter {
        owner: Principal([2; 32]),
        ..all()
    };
    assert_eq!(ids(&list(&store, other).await), "f");
    store.expire(5000, 10).await.expect("expire");
    assert_eq!(ids(&list(&store, all()).await), "c a");
}

/// Each condition narrows the list and the total.
pub async fn lists_filter_by_context_state_and_time(store: Subject) {
    let mut a = Writer::draft(&store, "a", 1000).create(&[]).await;
    Writer::draft(&store, "b", 2000).create(&[]).await;
    Writer::draft(&store, "c", 3000).create(&[]).await;
    a.end(2500).await;
    let context = ListFilter {
        context_id: Some("context of b".to_owned()),
        ..all()
    };
    let page = list(&store, context).await;
    assert_eq!((ids(&page).as_str(), page.total), ("b", 1));
    let state = ListFilter {
        state: Some(TaskState::Working),
        ..all()
    };
    let page = list(&store, state).await;
    assert_eq!((ids(&page).as_str(), page.total), ("c b", 2));
    let since = |millis: i64| ListFilter {
        since: Some(millis * 1_000_000),
        ..all()
    };
    let page = list(&store, since(2500)).await;
    assert_eq!((ids(&page).as_str(), page.total), ("c a", 2));
    let page = list(&store, since(2501)).await;
    assert_eq!((ids(&page).as_str(), page.total), ("c", 1));
    let nothing = ListFilter {
        state: Some(TaskState::Failed),
        ..all()
    };
    let page = list(&store, nothing).await;
    assert_eq!((ids(&page).as_str(), page.total), ("", 0));
    assert_eq!(page.next, None);
}

/// To the nanosecond, and whatever else changes.
pub async fn the_time_of_a_status_is_its_own_or_else_that_of_the_write(store: Subject) {
    let mut a = Writer::draft(&store, "a", 1000).create(&[]).await;
    let mut b = Writer::draft(&store, "b", 2000).create(&[]).await;
    // Neither an artifact nor a change of the link is one of the status.
    a.append(vec![chunk("a", "x")], 3000).await;
    let link = WorkerLink {
        credentials: Some(Sealed(vec![1])),
        ..WorkerLink::default()
    };
    a.link(link, 3000).await;
    assert_eq!(ids(&list(&store, all()).await), "b a");
    a.append(vec![status("a", TaskState::InputRequired)], 4000)
        .await;
    assert_eq!(ids(&list(&store, all()).await), "a b");
    b.append(
        vec![
            status_of("b", TaskState::Working, "04.000000001"),
            chunk("b", "x"),
        ],
        1,
    )
    .await;
    assert_eq!(ids(&list(&store, all()).await), "b a");
    let time = "1970-01-01T00:00:04.000000001Z".parse().expect("a time");
    let since = |nanos| ListFilter {
        since: Some(nanos),
        ..all()
    };
    assert_eq!(ids(&list(&store, since(to_nanos(time))).await), "b");
    assert_eq!(ids(&list(&store, since(to_nanos(time) + 1)).await), "");
}

/// A task that does not change is on exactly one page, whatever others do; one that does is not on two of them.
pub async fn lists_are_paged_while_tasks_change(store: Subject) {
    let mut writers = Vec::new();
    for id in ["a", "B", "\u{e4}", "d", "e", "f"] {
        // Two at a time.
        let at = 1000 * (1 + writers.len() as i64 / 2);
        writers.push(Writer::draft(&store, id, at).create(&[]).await);
    }
    for limit in 1..=7 {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let filter = ListFilter {
                after,
                limit,
                ..all()
            };
            let page = list(&store, filter).await;
            assert!(page.records.len() <= limit);
            assert_eq!(page.total, 6);
            seen.extend(page.records.iter().map(|record| record.key.id.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(
            seen,
            ["e", "f", "d", "\u{e4}", "B", "a"],
            "pages of {limit}"
        );
    }

    let first = ListFilter { limit: 2, ..all() };
    let first = list(&store, first).await;
    assert_eq!(ids(&first), "e f");
    // One that was seen, the next to be seen, and a new one.
    writers[5]
        .append(vec![status("f", TaskState::Working)], 9000)
        .await;
    writers[3]
        .append(vec![status("d", TaskState::Working)], 9000)
        .await;
    Writer::draft(&store, "g", 9500).create(&[]).await;
    let rest = ListFilter {
        after: first.next,
        ..all()
    };
    assert_eq!(ids(&list(&store, rest).await), "\u{e4} B a");
    let again = ListFilter {
        since: Some(9_000_000_000),
        ..all()
    };
    assert_eq!(ids(&list(&store, again).await), "g d f");
}
