//! The hub over the reference store.

mod gated;

use super::*;
use crate::a2a::{TaskStatus, TaskStatusUpdateEvent};
use crate::store::{MemoryStore, Principal};

fn record(id: &str) -> TaskRecord {
    TaskRecord {
        key: TaskKey {
            route: "r".into(),
            tenant: "".into(),
            id: id.into(),
        },
        epoch: 1,
        task: Arc::new(Task {
            id: id.to_owned(),
            context_id: "c".to_owned(),
            status: TaskStatus {
                state: TaskState::Submitted,
                ..TaskStatus::default()
            },
            ..Task::default()
        }),
        last_seq: Seq(1),
        first_seq: Seq(1),
        owner: Principal([0; 32]),
        link: Arc::default(),
        created_at: 1,
        updated_at: 1,
    }
}

fn status(id: &str, state: TaskState) -> StreamResponse {
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: id.to_owned(),
        status: TaskStatus {
            state,
            ..TaskStatus::default()
        },
        ..TaskStatusUpdateEvent::default()
    })
}

fn hub(max_tasks: usize) -> Hub {
    Hub::new(Arc::new(MemoryStore::new(max_tasks)))
}

#[tokio::test(start_paused = true)]
async fn after_a_refused_write_new_work_is_refused_but_for_a_probe_now_and_then() {
    let hub = hub(1);
    hub.create(record("a"), Vec::new()).await.unwrap();
    hub.check_store().unwrap();
    hub.create(record("b"), Vec::new()).await.unwrap_err();
    hub.check_store().unwrap_err();
    tokio::time::advance(REFUSING).await;
    hub.check_store().unwrap();
    hub.check_store().unwrap_err();
    // A write that the store takes ends it.
    let key = record("a").key;
    hub.observe(&key, status("a", TaskState::Working), Some(Seq(1)))
        .await
        .unwrap();
    hub.check_store().unwrap();
}

#[tokio::test]
async fn a_follower_gets_every_event_once_whether_it_reads_the_ring_or_the_store() {
    const EVENTS: u64 = 200;
    let hub = hub(10);
    let key = record("a").key;
    hub.create(record("a"), Vec::new()).await.unwrap();
    let mut early = hub.follow(&key, Seq(0)).await.unwrap().unwrap();
    for number in 0..EVENTS {
        let event = StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: "a".to_owned(),
            status: TaskStatus {
                state: TaskState::Working,
                message: Some(crate::a2a::Message {
                    message_id: number.to_string(),
                    role: crate::a2a::Role::Agent,
                    ..crate::a2a::Message::default()
                }),
                ..TaskStatus::default()
            },
            ..TaskStatusUpdateEvent::default()
        });
        let observed = hub
            .observe(&key, event, Some(Seq(number + 1)))
            .await
            .unwrap();
        assert_eq!(observed.added, 1);
    }
    let mut late = hub.follow(&key, Seq(0)).await.unwrap().unwrap();
    for follow in [&mut early, &mut late] {
        for expected in 1..=EVENTS + 1 {
            match follow.next().await.unwrap() {
                Next::Event(entry) => assert_eq!(entry.seq, Seq(expected)),
                Next::Trimmed(_) => panic!("nothing was trimmed"),
            }
        }
        assert!(!follow.behind());
    }
    // By pages too, as long as somebody holds the recent ones in memory and after that.
    for held in [Some((early, late)), None] {
        let mut at = Seq(0);
        while at < Seq(EVENTS + 1) {
            let page = hub.events(&key, at, 7).await.unwrap();
            assert!((1..=7).contains(&page.len()));
            for entry in page {
                assert_eq!(entry.seq, at.next());
                at = entry.seq;
            }
        }
        assert!(hub.events(&key, at, 7).await.unwrap().is_empty());
        drop(held);
    }
}

#[tokio::test]
async fn an_end_is_held_back_until_it_is_published_and_nothing_follows_it() {
    let hub = hub(10);
    let key = record("a").key;
    hub.create(record("a"), Vec::new()).await.unwrap();
    let observed = hub
        .observe(&key, status("a", TaskState::Completed), Some(Seq(1)))
        .await
        .unwrap();
    let end = observed.end.expect("an end");
    assert_eq!((observed.added, observed.last_seq), (0, Seq(1)));
    hub.end(&key, end.clone(), None).await.unwrap();
    hub.end(&key, end, None).await.unwrap();
    let late = hub
        .observe(&key, status("a", TaskState::Working), None)
        .await
        .unwrap();
    assert!(late.dropped);
    assert_eq!(hub.record(&key).await.unwrap().unwrap().last_seq, Seq(2));
}

#[tokio::test]
async fn a_reader_past_what_is_kept_continues_from_the_task_as_it_stands() {
    let hub = hub(10);
    let key = record("a").key;
    hub.create(record("a"), Vec::new()).await.unwrap();
    hub.observe(&key, status("a", TaskState::Working), Some(Seq(1)))
        .await
        .unwrap();
    hub.store().trim(&key, Seq(2)).await.unwrap();
    let mut follow = hub.follow(&key, Seq(0)).await.unwrap().unwrap();
    match follow.next().await.unwrap() {
        Next::Trimmed(record) => assert_eq!(record.last_seq, Seq(2)),
        Next::Event(entry) => panic!("{entry:?}"),
    }
    assert!(!follow.behind());
}

#[tokio::test]
async fn demand_is_there_as_long_as_somebody_follows() {
    let hub = hub(10);
    let key = record("a").key;
    hub.create(record("a"), Vec::new()).await.unwrap();
    let demand = hub.demand(&key).await.unwrap();
    assert!(!demand.is_some());
    let follow = hub.follow(&key, Seq(0)).await.unwrap().unwrap();
    assert!(demand.is_some());
    demand.wait().await;
    drop(follow);
    assert!(!demand.is_some());
}
