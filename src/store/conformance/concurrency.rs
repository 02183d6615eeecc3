//! What holds when many call at once, or stop waiting.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Subject, Writer, chunk, key, numbers};
use crate::store::StoreError;
use crate::task::Seq;

/// Tasks that are written to at once.
const TASKS: usize = 50;
/// Writers of each of them.
const WRITERS: usize = 3;
/// Events that each writer gets in.
const EVENTS: usize = 4;

/// Writers that race for the same tasks and try again on a conflict all get their events in, once each, in an order
/// without gaps, and the task is what that order makes.
pub async fn concurrent_appends_leave_no_gap(store: Subject) {
    let mut writers = JoinSet::new();
    let start = Arc::new(Barrier::new(TASKS * WRITERS));
    for task in 0..TASKS {
        let id = format!("t{task}");
        Writer::draft(&store, &id, 1000).create(&["a"]).await;
        for writer in 0..WRITERS {
            let (store, id, start) = (store.clone(), id.clone(), start.clone());
            writers.spawn(async move {
                start.wait().await;
                for event in 0..EVENTS {
                    let text = format!("{writer}.{event}");
                    while !append_once(&store, &id, &text).await {}
                }
            });
        }
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer");
    }
    for task in 0..TASKS {
        let mut writer = Writer::draft(&store, &format!("t{task}"), 1000);
        let log = writer.log().await;
        let expected: Vec<u64> = (1..=1 + (WRITERS * EVENTS) as u64).collect();
        assert_eq!(numbers(&log), expected);
        for entry in &log[1..] {
            let append = writer.append_of(vec![(*entry.event).clone()], 1001);
            writer.record.task = append.task;
        }
        writer.record.last_seq = Seq(expected.len() as u64);
        writer.record.updated_at = 1001;
        assert_eq!(writer.stored().await, writer.record);
        let texts: HashSet<String> = log
            .iter()
            .map(|entry| serde_json::to_string(&entry.event).expect("JSON"))
            .collect();
        assert_eq!(texts.len(), log.len(), "no event twice");
        assert_eq!(writer.ledger().await.len(), log.len());
    }
}

/// Whether the append got in; a conflict is the only way in which it may not.
async fn append_once(store: &Subject, id: &str, text: &str) -> bool {
    let record = store.task(&key(id)).await.expect("task");
    let writer = Writer {
        store: store.clone(),
        record: record.expect("the task is there"),
    };
    let append = writer.append_of(vec![chunk(id, text)], 1001);
    match store.append(append).await {
        Ok(()) => true,
        Err(StoreError::Conflict) => false,
        Err(error) => panic!("append: {error}"),
    }
}

/// Claimers at once share the rows out: none is given twice, none is left.
pub async fn concurrent_claims_share_nothing(store: Subject) {
    const ROWS: usize = 60;
    const CLAIMERS: usize = 12;
    for task in 0..ROWS {
        Writer::draft(&store, &format!("t{task}"), 1000)
            .create(&["a"])
            .await;
    }
    let start = Arc::new(Barrier::new(CLAIMERS));
    let mut claimers = JoinSet::new();
    for _ in 0..CLAIMERS {
        let (store, start) = (store.clone(), start.clone());
        claimers.spawn(async move {
            start.wait().await;
            let mut mine = Vec::new();
            loop {
                let taken = store.claim(1000, 2000, 3).await.expect("claim").taken;
                if taken.is_empty() {
                    return mine;
                }
                mine.extend(taken.into_iter().map(|claimed| claimed.delivery.id));
            }
        });
    }
    let all: Vec<_> = claimers.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (ROWS, ROWS));
}

/// While a log grows, every read of it is the log as it was at one moment: no gap, and never fewer events than the
/// record read before promised.
pub async fn readers_see_a_prefix(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let (store, over) = (store.clone(), over.clone());
        readers.spawn(async move {
            let key = key("t");
            loop {
                let last = over.load(Ordering::SeqCst);
                let record = store.task(&key).await.expect("task").expect("there");
                let log = store.events(&key, Seq(0), usize::MAX).await;
                let log = numbers(&log.expect("events"));
                assert!(log.iter().copied().eq(1..=log.len() as u64), "{log:?}");
                assert!(log.len() as u64 >= record.last_seq.0);
                let parts = record.task.artifacts.first().map_or(0, |a| a.parts.len());
                assert_eq!(parts as u64 + 1, record.last_seq.0);
                if last {
                    return log.len();
                }
            }
        });
    }
    for now in 1001..1101 {
        writer.chunks(&["a", "b"], now).await;
    }
    over.store(true, Ordering::SeqCst);
    for seen in readers.join_all().await {
        assert_eq!(seen, 201);
    }
}

/// A call that is dropped after any number of polls leaves all of its effects or none, and the task usable.
pub async fn a_dropped_append_has_happened_whole_or_not_at_all(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    for polls in 0..20 {
        let events = vec![chunk("t", "x"), chunk("t", "y"), chunk("t", "z")];
        let append = writer.append_of(events, 1001);
        let mut call = store.append(append);
        for _ in 0..polls {
            let done = tokio::select! {
                biased;
                result = &mut call => Some(result),
                () = tokio::task::yield_now() => None,
            };
            if let Some(result) = done {
                result.expect("append");
                break;
            }
        }
        drop(call);
        // The dropped call may still happen, but before this one, which asks for the same number.
        let append = writer.append_of(vec![chunk("t", "own")], 1002);
        match store.append(append).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => panic!("append: {error}"),
        }
        let before = writer.record.last_seq;
        writer.record = writer.stored().await;
        let new = store.events(writer.key(), before, 9).await;
        let new = new.expect("events").len();
        assert!(new == 1 || new == 3, "{new} events came");
        assert_eq!(writer.record.last_seq.0, before.0 + new as u64);
        let rows = writer.ledger().await;
        assert_eq!(rows.len() as u64, writer.record.last_seq.0);
    }
}
