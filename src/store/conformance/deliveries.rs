//! What the ledger promises: order per config, claims, outcomes.

use super::{Subject, Writer, assert_not_found};
use crate::store::DeliveryState::{Dead, Delivered, Pending};
use crate::store::{AttemptOutcome, Delivery, DeliveryId, MAX_OUTCOME_LINE, Millis};

/// Ends a claim with a 2xx.
pub(super) async fn deliver(store: &Subject, id: DeliveryId, now: Millis) {
    finish(store, id, AttemptOutcome::Delivered, now).await;
}

async fn finish(store: &Subject, id: DeliveryId, outcome: AttemptOutcome, now: Millis) {
    let finished = store.finish(id, outcome, "HTTP 200".to_owned(), now).await;
    finished.expect("finish");
}

pub(super) async fn claim(
    store: &Subject,
    now: Millis,
    until: Millis,
    limit: usize,
) -> Vec<Delivery> {
    let claims = store.claim(now, until, limit).await.expect("claim");
    assert_eq!(claims.next_due, next_due(store).await);
    let rows = claims.taken.into_iter().map(|claimed| claimed.delivery);
    rows.collect()
}

/// When the next one can be claimed.
pub(super) async fn next_due(store: &Subject) -> Option<Millis> {
    let nothing = store.claim(Millis::MAX, Millis::MAX, 0).await;
    let claims = nothing.expect("a claim of nothing");
    assert_eq!(claims.taken, []);
    claims.next_due
}

fn names(rows: &[Delivery]) -> Vec<String> {
    let name = |row: &Delivery| format!("{} {} {}", row.key.id, row.config_id, row.seq);
    rows.iter().map(name).collect()
}

/// One row per config at a time, its oldest; the next one only after that has ended.
pub async fn a_claim_takes_the_oldest_of_each_config(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a", "b"]).await;
    writer.chunks(&["x", "y"], 1001).await;
    Writer::draft(&store, "u", 1002).create(&["a"]).await;
    let rows = claim(&store, 2000, 3000, 100).await;
    assert_eq!(names(&rows), ["t a 1", "t b 1", "u a 1"]);
    assert!(rows.iter().all(|row| row.claimed_until == 3000));
    assert!(claim(&store, 2001, 3000, 100).await.is_empty());
    deliver(&store, rows[1].id, 2002).await;
    let next = claim(&store, 2002, 3000, 100).await;
    assert_eq!(names(&next), ["t b 2"]);
    deliver(&store, rows[0].id, 2003).await;
    deliver(&store, next[0].id, 2003).await;
    let next = claim(&store, 2003, 3000, 100).await;
    assert_eq!(names(&next), ["t a 2", "t b 3"]);
}

/// A claim brings the config as it is at that moment.
pub async fn a_claim_brings_the_push_config(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000).create(&["a", "b"]).await;
    let mut newer = super::config(writer.key(), "a", 1001);
    newer.config = crate::store::Sealed(b"newer".to_vec());
    newer.dialect = "v0.3/jsonrpc".to_owned();
    store.register(newer.clone()).await.expect("register");
    let other = super::config(writer.key(), "b", 1000);
    let claims = store.claim(1001, 2000, 9).await.expect("claim");
    let taken: Vec<_> = claims
        .taken
        .into_iter()
        .map(|claimed| (claimed.delivery.config_id, claimed.push))
        .collect();
    let expected = [("a", newer), ("b", other)];
    assert_eq!(
        taken,
        expected.map(|(id, push)| (id.to_owned(), Some(push)))
    );
}

/// Before `until` nobody else gets the row, at `until` anybody does, and the row says what is.
pub async fn a_claim_holds_until_it_runs_out(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    assert!(claim(&store, 999, 2000, 9).await.is_empty());
    let first = claim(&store, 1000, 2000, 9).await;
    assert_eq!(names(&first), ["t a 1"]);
    assert!(claim(&store, 1999, 3000, 9).await.is_empty());
    let second = claim(&store, 2000, 3000, 9).await;
    assert_eq!(second[0].id, first[0].id);
    assert_eq!((second[0].attempts, second[0].claimed_until), (0, 3000));
    let rows = store.deliveries(writer.key(), 9).await.expect("rows");
    assert_eq!(rows, second);
}

/// The limit takes those that have been due longest, and leaves the others claimable.
pub async fn claims_go_oldest_due_first_within_the_limit(store: Subject) {
    for (id, at) in [("late", 1030), ("early", 1010), ("middle", 1020)] {
        Writer::draft(&store, id, at).create(&["a"]).await;
    }
    assert!(claim(&store, 2000, 3000, 0).await.is_empty());
    let rows = claim(&store, 2000, 3000, 2).await;
    assert_eq!(names(&rows), ["early a 1", "middle a 1"]);
    let rows = claim(&store, 2000, 3000, 2).await;
    assert_eq!(names(&rows), ["late a 1"]);
}

/// A delivery that is to be tried again keeps back the later ones of its config, and no others.
pub async fn a_retry_holds_up_its_own_config_only(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a", "b"]).await;
    writer.chunks(&["x"], 1001).await;
    let rows = claim(&store, 1001, 2000, 9).await;
    finish(&store, rows[0].id, AttemptOutcome::Retry { at: 5000 }, 1002).await;
    deliver(&store, rows[1].id, 1002).await;
    assert_eq!(names(&claim(&store, 4999, 6000, 9).await), ["t b 2"]);
    let again = claim(&store, 5000, 6000, 9).await;
    assert_eq!(names(&again), ["t a 1"]);
    assert_eq!(again[0].attempts, 1);
    deliver(&store, again[0].id, 5001).await;
    assert_eq!(names(&claim(&store, 5001, 6001, 9).await), ["t a 2"]);
}

/// Each end of an attempt is counted and described, in at most so many characters.
pub async fn finish_counts_attempts_and_bounds_the_line(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    let long = "ä".repeat(MAX_OUTCOME_LINE + 1);
    for attempt in 1..=3 {
        let rows = claim(&store, 1000, 2000, 9).await;
        let retry = AttemptOutcome::Retry { at: 1000 };
        let finished = store.finish(rows[0].id, retry, long.clone(), 1000).await;
        finished.expect("finish");
        let rows = store.deliveries(writer.key(), 9).await.expect("rows");
        assert_eq!(rows[0].attempts, attempt);
        assert_eq!((rows[0].state, rows[0].claimed_until), (Pending, 0));
        let line = rows[0].last_outcome.as_deref().expect("a line");
        assert_eq!(line, "ä".repeat(MAX_OUTCOME_LINE));
    }
    let rows = claim(&store, 1000, 2000, 9).await;
    let id = rows[0].id;
    deliver(&store, id, 1001).await;
    let rows = store.deliveries(writer.key(), 9).await.expect("rows");
    assert_eq!((rows[0].state, rows[0].attempts), (Delivered, 4));
    assert_eq!(rows[0].last_outcome.as_deref(), Some("HTTP 200"));
    assert!(claim(&store, 9000, 9999, 9).await.is_empty());
}

/// The config was removed while the delivery was under way.
pub async fn finish_of_what_was_removed_is_not_found(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    let rows = claim(&store, 1000, 2000, 9).await;
    let gone = store.unregister(writer.key(), "a").await;
    assert!(gone.expect("unregister"));
    let id = rows[0].id;
    let finished = store.finish(id, AttemptOutcome::Delivered, String::new(), 1001);
    assert_not_found(&finished.await);
    // The number is not given to another delivery, which the late caller would end.
    let push = super::config(writer.key(), "a", 1002);
    store.register(push).await.expect("register");
    let finished = store.finish(id, AttemptOutcome::Delivered, String::new(), 1003);
    assert_not_found(&finished.await);
    assert_not_found(&store.redeliver(id, 1003).await);
    assert_eq!(writer.ledger().await.len(), 1);
    assert_eq!(claim(&store, 1002, 2000, 9).await.len(), 1);
}

/// Whoever comes after the row has been ended by another changes nothing: what was delivered stays so.
pub async fn a_late_finish_changes_nothing(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    let slow = claim(&store, 1000, 2000, 9).await;
    let quick = claim(&store, 2000, 3000, 9).await;
    deliver(&store, quick[0].id, 2001).await;
    let before = store.deliveries(writer.key(), 9).await.expect("rows");
    for outcome in [AttemptOutcome::Retry { at: 2002 }, AttemptOutcome::Dead] {
        finish(&store, slow[0].id, outcome, 2002).await;
    }
    let after = store.deliveries(writer.key(), 9).await.expect("rows");
    assert_eq!(after, before);
    assert!(claim(&store, 9000, 9999, 9).await.is_empty());
}

/// A dead delivery lets the next one go, stays listed, and comes first again when it is redelivered.
pub async fn a_dead_delivery_makes_way_and_can_be_redelivered(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    writer.chunks(&["x", "y"], 1001).await;
    let first = claim(&store, 1001, 2000, 9).await;
    finish(&store, first[0].id, AttemptOutcome::Dead, 1002).await;
    let second = claim(&store, 1002, 2000, 9).await;
    assert_eq!(names(&second), ["t a 2"]);
    // Neither pending nor delivered ones are redelivered.
    store.redeliver(second[0].id, 0).await.expect("redeliver");
    assert!(claim(&store, 1002, 2000, 9).await.is_empty());
    deliver(&store, second[0].id, 1003).await;
    store.redeliver(second[0].id, 0).await.expect("redeliver");
    let states = async || {
        let rows = writer.ledger().await;
        rows.into_iter().map(|row| row.2).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [Dead, Delivered, Pending]);
    store.redeliver(first[0].id, 1500).await.expect("redeliver");
    assert_eq!(states().await, [Pending, Delivered, Pending]);
    assert_eq!(next_due(&store).await, Some(1500));
    assert!(claim(&store, 1499, 2000, 9).await.is_empty());
    let again = claim(&store, 1500, 2000, 9).await;
    assert_eq!(names(&again), ["t a 1"]);
    assert_eq!(again[0].attempts, 1);
    deliver(&store, again[0].id, 1501).await;
    let last = claim(&store, 1501, 2000, 9).await;
    assert_eq!(names(&last), ["t a 3"]);
    // Without its config there is nowhere to deliver to.
    finish(&store, last[0].id, AttemptOutcome::Dead, 1502).await;
    let gone = store.unregister(writer.key(), "a").await;
    assert!(gone.expect("unregister"));
    assert_not_found(&store.redeliver(last[0].id, 1503).await);
    assert_eq!(states().await, [Delivered, Delivered, Dead]);
}

/// The time to wake at: the earliest first-of-its-config's, claims and backoff included.
pub async fn next_due_is_the_earliest_that_can_be_claimed(store: Subject) {
    let due = async || next_due(&store).await;
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    writer.chunks(&["x"], 1001).await;
    assert_eq!(due().await, Some(1000));
    let rows = claim(&store, 1000, 2000, 9).await;
    assert_eq!(due().await, Some(2000));
    Writer::draft(&store, "u", 1500).create(&["a"]).await;
    assert_eq!(due().await, Some(1500));
    finish(&store, rows[0].id, AttemptOutcome::Retry { at: 1200 }, 1100).await;
    assert_eq!(due().await, Some(1200));
    let rows = claim(&store, 1500, 1600, 9).await;
    assert_eq!(rows.len(), 2);
    deliver(&store, rows[0].id, 1501).await;
    assert_eq!(due().await, Some(1001));
    let rows = claim(&store, 1600, 1700, 9).await;
    assert_eq!(names(&rows), ["t a 2", "u a 1"]);
    for row in rows {
        deliver(&store, row.id, 1601).await;
    }
    assert_eq!(due().await, None);
}
