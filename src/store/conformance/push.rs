//! What push configs promise, and which deliveries come of them.

use super::{Subject, Writer, assert_not_found, config, key};
use crate::store::DeliveryState::Pending;
use crate::store::{AttemptOutcome, DeliveryKind, RegistrationKind, Sealed};
use crate::task::Seq;

fn row(seq: u64, config: &str) -> (u64, String, crate::store::DeliveryState) {
    (seq, config.to_owned(), Pending)
}

/// Configs given to `create` get every first event.
pub async fn create_makes_a_delivery_per_event_and_config(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000);
    let mut events = writer.first();
    events.push(super::chunk("t", "x").into());
    writer.record.last_seq = Seq(2);
    let push = vec![
        config(writer.key(), "a", 1000),
        config(writer.key(), "b", 1000),
    ];
    let created = store.create(writer.record.clone(), events, push.clone());
    created.await.expect("create");
    let expected = [row(1, "a"), row(1, "b"), row(2, "a"), row(2, "b")];
    assert_eq!(writer.ledger().await, expected);
    let rows = store.deliveries(writer.key(), 9).await.expect("rows");
    for delivery in rows {
        assert_eq!(delivery.key, *writer.key());
        assert_eq!(delivery.kind, DeliveryKind::Event);
        assert_eq!((delivery.attempts, delivery.claimed_until), (0, 0));
        assert_eq!(delivery.next_attempt_at, 1000);
        assert_eq!(delivery.created_at, 1000);
        assert_eq!(delivery.last_outcome, None);
    }
    let kept = store.registrations(writer.key()).await;
    assert_eq!(kept.expect("registrations"), push);
}

/// Later events are queued for each config of their own task only.
pub async fn append_makes_a_delivery_per_event_and_config(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a", "b"]).await;
    let other = Writer::draft(&store, "other", 1000).create(&["a"]).await;
    let mut without = Writer::draft(&store, "without", 1000).create(&[]).await;
    writer.chunks(&["x", "y"], 1001).await;
    without.chunks(&["x"], 1001).await;
    let expected = [
        row(1, "a"),
        row(1, "b"),
        row(2, "a"),
        row(2, "b"),
        row(3, "a"),
        row(3, "b"),
    ];
    assert_eq!(writer.ledger().await, expected);
    assert_eq!(other.ledger().await, [row(1, "a")]);
    assert!(without.ledger().await.is_empty());
    let rows = store.deliveries(writer.key(), 3).await.expect("rows");
    assert_eq!(rows.len(), 3);
    assert_eq!((rows[2].created_at, rows[2].next_attempt_at), (1001, 1001));
}

/// A config registered late gets a snapshot of now, then each later event, also when the task is over.
pub async fn register_brings_the_task_as_it_stands_then_later_events(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    writer.chunks(&["x", "y"], 1001).await;
    let push = config(writer.key(), "a", 1002);
    store.register(push.clone()).await.expect("register");
    writer.end(1003).await;
    let rows = store.deliveries(writer.key(), 9).await.expect("rows");
    let found: Vec<_> = rows.iter().map(|row| (row.seq.0, row.kind)).collect();
    assert_eq!(
        found,
        [(3, DeliveryKind::Snapshot), (4, DeliveryKind::Event)]
    );
    assert_eq!(rows[0].next_attempt_at, 1002);
    let later = config(writer.key(), "b", 1001);
    store.register(later.clone()).await.expect("register");
    let rows = store.deliveries(writer.key(), 9).await.expect("rows");
    assert_eq!(
        (rows[2].seq, rows[2].kind),
        (Seq(4), DeliveryKind::Snapshot)
    );
    // Oldest first.
    let kept = store.registrations(writer.key()).await;
    assert_eq!(kept.expect("registrations"), [later, push]);
    let unknown = store.register(config(&key("other"), "a", 1)).await;
    assert_not_found(&unknown);
}

/// The same id replaces: one config is left, with one more snapshot; what waited for the old one's backoff is due.
pub async fn register_replaces_and_hurries_what_was_pending(store: Subject) {
    let writer = Writer::draft(&store, "t", 1000).create(&["a"]).await;
    let rows = super::deliveries::claim(&store, 1000, 1500, 9).await;
    let retry = AttemptOutcome::Retry { at: 90_000 };
    let finished = store.finish(rows[0].id, retry, "503".to_owned(), 1100);
    finished.await.expect("finish");
    let mut push = config(writer.key(), "a", 2000);
    push.config = Sealed(b"other".to_vec());
    push.dialect = "v0.3/jsonrpc".to_owned();
    store.register(push.clone()).await.expect("register");
    let kept = store.registrations(writer.key()).await;
    assert_eq!(kept.expect("registrations"), [push]);
    assert_eq!(writer.ledger().await, [row(1, "a"), row(1, "a")]);
    assert_eq!(super::deliveries::next_due(&store).await, Some(2000));
    let rows = super::deliveries::claim(&store, 2000, 2500, 9).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].kind, rows[0].attempts), (DeliveryKind::Event, 1));
    super::deliver(&store, rows[0].id, 2001).await;
    let rows = super::deliveries::claim(&store, 2001, 2500, 9).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].kind, DeliveryKind::Snapshot);
}

/// Without its config nothing is pending, what is done stays listed, and other configs go on.
pub async fn unregister_drops_what_was_pending(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&["a", "b"]).await;
    let rows = super::deliveries::claim(&store, 1000, 2000, 1).await;
    assert_eq!(rows[0].config_id, "a");
    super::deliver(&store, rows[0].id, 1000).await;
    writer.chunks(&["x"], 1001).await;
    let gone = store.unregister(writer.key(), "a").await;
    assert!(gone.expect("unregister"));
    let again = store.unregister(writer.key(), "a").await;
    assert!(!again.expect("unregister"));
    writer.chunks(&["y"], 1002).await;
    let delivered = crate::store::DeliveryState::Delivered;
    let expected = [
        (1, "a".to_owned(), delivered),
        row(1, "b"),
        row(2, "b"),
        row(3, "b"),
    ];
    assert_eq!(writer.ledger().await, expected);
    let rows = super::deliveries::claim(&store, 5000, 6000, 9).await;
    assert_eq!(rows.len(), 1);
    let left = store.unregister(writer.key(), "b").await;
    assert!(left.expect("unregister"));
    assert_eq!(super::deliveries::next_due(&store).await, None);
    assert!(
        super::deliveries::claim(&store, 9000, 9999, 9)
            .await
            .is_empty()
    );
}

/// Of all events a callback is queued for the one after which the task is over, beside webhooks that get every one.
pub async fn a_callback_gets_nothing_but_the_end(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000);
    let mut back = config(writer.key(), "back", 1000);
    back.kind = RegistrationKind::Callback;
    let push = vec![config(writer.key(), "hook", 1000), back.clone()];
    let first = writer.first();
    let created = store.create(writer.record.clone(), first, push.clone());
    created.await.expect("create");
    let kept = store.registrations(writer.key()).await;
    assert_eq!(kept.expect("registrations"), push);
    // Registered while the task goes on, it waits too, and an append of several events is no end.
    let mut late = back;
    late.id = "late".to_owned();
    store.register(late).await.expect("register");
    writer.chunks(&["x", "y"], 1001).await;
    assert_eq!(
        writer.ledger().await,
        [row(1, "hook"), row(2, "hook"), row(3, "hook")]
    );
    let events = vec![
        super::chunk("t", "z"),
        super::status("t", crate::a2a::TaskState::Completed),
    ];
    writer.append(events, 1002).await;
    let expected = [
        row(4, "hook"),
        row(5, "hook"),
        row(5, "back"),
        row(5, "late"),
    ];
    assert_eq!(writer.ledger().await[3..], expected);
    let claims = store.claim(1002, 2000, 9).await.expect("claim").taken;
    let claimed = claims
        .into_iter()
        .find(|claimed| claimed.delivery.config_id == "back")
        .expect("the callback is due");
    assert_eq!(claimed.delivery.kind, DeliveryKind::Event);
    let kind = claimed.push.map(|push| push.kind);
    assert_eq!(kind, Some(RegistrationKind::Callback));
}

/// Registered with the end, or after it, a callback is queued at once.
pub async fn a_callback_registered_after_the_end_gets_the_task_as_it_stands(store: Subject) {
    let mut writer = Writer::draft(&store, "t", 1000).create(&[]).await;
    writer.end(1001).await;
    let mut back = config(writer.key(), "back", 1002);
    back.kind = RegistrationKind::Callback;
    store.register(back).await.expect("register");
    let rows = store.deliveries(writer.key(), 9).await.expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].seq, rows[0].kind),
        (Seq(2), DeliveryKind::Snapshot)
    );
}
