//! Tests of the dispatcher: here without sockets and with paused time; those with a real receiver are in `sockets.rs`.

#[path = "dispatch_tests/faulty.rs"]
mod faulty;
#[path = "dispatch_tests/payloads.rs"]
mod payloads;
#[path = "dispatch_tests/sockets.rs"]
mod sockets;
#[path = "dispatch_tests/support.rs"]
mod support;

use std::sync::atomic::Ordering;

use super::*;
use crate::a2a::TaskState;
use crate::net::guard::{Class, Refused};
use crate::store::{Deliveries, DeliveryState, Subscriptions, TaskLog};
use crate::task::Seq;
use support::{Running, START, Script, Step, World, address, code, key, next, working};

fn policy() -> DeliveryPolicy {
    DeliveryPolicy {
        retry_jitter: 0.0,
        ..DeliveryPolicy::default()
    }
}

const URL: &str = "https://receiver.example/hook";

/// How often a test steps back so that what is ready goes on: more than there are tasks in it.
const TURNS: usize = 100;

#[tokio::test(start_paused = true)]
async fn an_event_is_posted_at_once_and_not_at_the_next_look() {
    let world = World::paused();
    let (script, mut seen) = Script::new([]);
    let running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    next(&mut seen).await;
    world.settled(&key).await;
    for number in 2..10 {
        // The dispatcher is idle, with the next timer far off.
        sleep(Duration::from_millis(1234)).await;
        let appended = Instant::now();
        world.append(&key, vec![working(number)]).await;
        let posted = next(&mut seen).await;
        assert_eq!(posted.at, appended, "no timer lies between");
        assert_eq!(posted.text(), number.to_string());
    }
    assert_eq!(running.stop().await, 0);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_doubling_waits_under_one_id() {
    let world = World::paused();
    let failures = [
        code(500),
        AttemptResult::Connect,
        AttemptResult::TimedOut,
        AttemptResult::Broken,
        code(404),
        code(302),
    ];
    let (script, mut seen) = Script::new(failures.map(Step::Give));
    let _running = Running::start(world.dispatcher(script, policy()));
    let start = Instant::now();
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    let mut at = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..7 {
        let posted = next_in_days(&mut seen).await;
        at.push((posted.at - start).as_secs());
        ids.push(posted.header("webhook-id").to_owned());
        let timestamp: u64 = posted.header("webhook-timestamp").parse().unwrap();
        assert_eq!(
            timestamp,
            START as u64 / 1000 + (posted.at - start).as_secs()
        );
    }
    assert_eq!(at, [0, 1, 3, 7, 15, 31, 63]);
    ids.dedup();
    assert_eq!(ids.len(), 1);
    world.settled(&key).await;
    assert_eq!(
        world.rows(&key).await,
        [(1, DeliveryState::Delivered, 7, "200 OK".to_owned())]
    );
}

/// As [`next`], where the wait is virtual and long.
async fn next_in_days(
    seen: &mut tokio::sync::mpsc::UnboundedReceiver<support::Seen>,
) -> support::Seen {
    timeout(Duration::from_secs(3 * 86_400), seen.recv())
        .await
        .expect("a webhook in time")
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_failure_waits_for_it() {
    let world = World::paused();
    let (script, mut seen) = Script::new([
        Step::Give(code(200)),
        Step::Give(code(500)),
        Step::Give(code(500)),
    ]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    world.append(&key, vec![working(2), working(3)]).await;
    world.settled(&key).await;
    let mut texts = Vec::new();
    while let Ok(posted) = seen.try_recv() {
        texts.push(posted.text());
    }
    assert_eq!(texts, ["", "2", "2", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_decides_when() {
    let world = World::paused();
    let asked = AttemptResult::Answered {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: Some(Duration::from_secs(77)),
    };
    let (script, mut seen) = Script::new([Step::Give(asked)]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    let first = next_in_days(&mut seen).await;
    let second = next_in_days(&mut seen).await;
    assert_eq!((second.at - first.at).as_secs(), 77);
    world.settled(&key).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_dead_after_the_time_to_give_up_and_the_next_goes_on() {
    let world = World::paused();
    let policy = DeliveryPolicy {
        give_up_after: Duration::from_secs(10),
        ..policy()
    };
    // At 0, 1, 3, 7 and, cut to the end of the time, at 10 seconds.
    let (script, mut seen) = Script::new(vec![Step::Give(code(503)); 5]);
    let running = Running::start(world.dispatcher(script, policy));
    let start = Instant::now();
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    world.append(&key, vec![working(2)]).await;
    world.settled(&key).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(
        world.rows(&key).await,
        [
            (
                1,
                DeliveryState::Dead,
                5,
                "503 Service Unavailable".to_owned()
            ),
            (2, DeliveryState::Delivered, 1, "200 OK".to_owned()),
        ]
    );
    for _ in 0..6 {
        next(&mut seen).await;
    }

    // Someone redelivers the dead one.
    let dead = world.store.deliveries(&key, 1).await.unwrap()[0].id;
    world.store.redeliver(dead, (world.clock)()).await.unwrap();
    world.hub.wake_deliveries();
    assert_eq!(next(&mut seen).await.json()["task"]["id"], "t1");
    world.settled(&key).await;
    assert_eq!(world.rows(&key).await[0].1, DeliveryState::Delivered);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn gone_and_refused_are_dead_at_once() {
    for (result, line) in [
        (code(410), "410 Gone"),
        (
            AttemptResult::Refused(Refused::Address {
                ip: "10.0.0.1".parse().unwrap(),
                class: Class::Private,
            }),
            "refused: 10.0.0.1 is a private address",
        ),
    ] {
        let world = World::paused();
        let (script, _seen) = Script::new([Step::Give(result)]);
        let _running = Running::start(world.dispatcher(script, policy()));
        let start = Instant::now();
        let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
        world.settled(&key).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(
            world.rows(&key).await,
            [(1, DeliveryState::Dead, 1, line.to_owned())]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_claim_runs_out_and_the_attempt_is_made_again() {
    let world = World::paused();
    let (script, mut seen) = Script::new([Step::Hang]);
    let running = Running::start(world.dispatcher(script, policy()));
    let start = Instant::now();
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    let first = next(&mut seen).await;
    running.kill().await;

    let (script, mut seen) = Script::new([]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let again = timeout(PATIENCE_FOR_CLAIM, seen.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(again.body, first.body);
    assert_eq!(again.at - start, policy().attempt_timeout + CLAIM_MARGIN);
    world.settled(&key).await;
    assert_eq!(world.rows(&key).await[0].1, DeliveryState::Delivered);
}

const PATIENCE_FOR_CLAIM: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_made_again() {
    let world = World::paused();
    let (script, mut seen) = Script::new([Step::Panic]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    next(&mut seen).await;
    timeout(PATIENCE_FOR_CLAIM, seen.recv())
        .await
        .unwrap()
        .unwrap();
    world.settled(&key).await;
    assert_eq!(world.rows(&key).await[0].1, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_than_allowed_are_under_way() {
    let world = World::paused();
    let policy = DeliveryPolicy {
        max_in_flight: 3,
        ..policy()
    };
    let (script, mut seen) = Script::new(vec![Step::Take(Duration::from_secs(1)); 10]);
    let most = script.most_under_way.clone();
    let _running = Running::start(world.dispatcher(script, policy));
    let start = Instant::now();
    for number in 0..10 {
        let id = format!("t{number}");
        let url = format!("https://receiver{number}.example/hook");
        world.task(&id, vec![world.plain(&id, "a", &url)]).await;
    }
    for _ in 0..10 {
        next(&mut seen).await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_with_many_tasks_holds_up_no_other() {
    const MANY: usize = 2 * lanes::MAX_WAITING;
    let world = World::paused();
    let (script, mut seen) = Script::hanging_at("/hang");
    let _running = Running::start(world.dispatcher(script, policy()));
    let hanging = "https://hanging.example/hang";
    for number in 0..MANY {
        let id = format!("h{number}");
        world.task(&id, vec![world.plain(&id, "a", hanging)]).await;
    }
    let other = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    let start = Instant::now();
    world.append(&other, (2..50).map(working).collect()).await;
    world.settled(&other).await;
    assert!(
        start.elapsed() < Duration::from_millis(10),
        "{:?}",
        start.elapsed()
    );
    let mut hung = 0;
    while let Ok(posted) = seen.try_recv() {
        hung += usize::from(posted.path == "/hang");
    }
    assert_eq!(hung, policy().max_in_flight / 4, "its share");
}

#[tokio::test(start_paused = true)]
async fn what_a_busy_receiver_puts_off_is_delivered_in_the_end() {
    const MANY: usize = 1500;
    let world = World::paused();
    let (script, _seen) = Script::new(vec![Step::Take(Duration::from_secs(1)); MANY]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let mut keys = Vec::new();
    for number in 0..MANY {
        let id = format!("h{number}");
        keys.push(world.task(&id, vec![world.plain(&id, "a", URL)]).await);
    }
    for key in &keys {
        world.settled(key).await;
        let rows = world.rows(key).await;
        assert_eq!(
            rows,
            [(1, DeliveryState::Delivered, 1, "200 OK".to_owned())]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_it_lets_attempts_end_and_starts_no_more() {
    let world = World::paused();
    let (script, mut seen) = Script::new([Step::Take(Duration::from_secs(2))]);
    let running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    world.append(&key, vec![working(2)]).await;
    next(&mut seen).await;
    assert_eq!(running.stop().await, 0);
    let rows = world.rows(&key).await;
    assert_eq!(
        (rows[0].1, rows[1].1),
        (DeliveryState::Delivered, DeliveryState::Pending)
    );
    assert!(seen.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_the_drain_is_cut_and_stays_pending() {
    let world = World::paused();
    let (script, mut seen) = Script::new([Step::Hang]);
    let dispatcher = world
        .dispatcher(script, policy())
        .with_drain(Duration::from_secs(3));
    let running = Running::start(dispatcher);
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    next(&mut seen).await;
    let start = Instant::now();
    assert_eq!(running.stop().await, 1);
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(
        world.rows(&key).await,
        [(1, DeliveryState::Pending, 0, String::new())]
    );
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_store_delay_and_lose_nothing() {
    let world = World::paused();
    let (script, mut seen) = Script::new([]);
    world.store.fail_claims.store(5, Ordering::SeqCst);
    world.store.fail_reads.store(3, Ordering::SeqCst);
    world.store.fail_finishes.store(4, Ordering::SeqCst);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    world.append(&key, vec![working(2)]).await;
    world.settled(&key).await;
    let rows = world.rows(&key).await;
    assert!(
        rows.iter()
            .all(|row| row.1 == DeliveryState::Delivered && row.2 == 1),
        "{rows:?}"
    );
    // Each was posted once: an outcome that could not be written at once is no reason to post again.
    next(&mut seen).await;
    next(&mut seen).await;
    assert!(seen.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_outlasts_its_claim_is_not_posted_twice() {
    let world = World::paused();
    let (script, mut seen) = Script::new([]);
    // Far beyond the claim's 25 seconds at one try every two seconds.
    world.store.fail_finishes.store(40, Ordering::SeqCst);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    let start = Instant::now();
    world.settled(&key).await;
    assert!(start.elapsed() > Duration::from_secs(60));
    next(&mut seen).await;
    assert!(seen.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_costs_no_attempt() {
    let world = World::paused();
    let (script, mut seen) = Script::new([]);
    world.store.fail_reads.store(20, Ordering::SeqCst);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    timeout(PATIENCE_FOR_CLAIM, seen.recv())
        .await
        .unwrap()
        .unwrap();
    world.settled(&key).await;
    assert_eq!(
        world.rows(&key).await,
        [(1, DeliveryState::Delivered, 1, "200 OK".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_dispatcher_asks_the_store_seldom() {
    let world = World::paused();
    let (script, _seen) = Script::new([]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    world.settled(&key).await;
    let before = world.store.claims.load(Ordering::SeqCst);
    sleep(MAX_IDLE * 10).await;
    let asked = world.store.claims.load(Ordering::SeqCst) - before;
    assert!((9..=12).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn while_a_delivery_hangs_the_store_is_not_asked_without_end() {
    let world = World::paused();
    let (script, mut seen) = Script::new([Step::Take(Duration::from_secs(14))]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    next(&mut seen).await;
    world.settled(&key).await;
    let asked = world.store.claims.load(Ordering::SeqCst);
    assert!(asked <= 6, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn when_others_are_quicker_the_store_is_not_asked_without_a_pause() {
    let world = World::paused();
    let (script, mut seen) = Script::new([]);
    world.store.stolen_claims.store(50, Ordering::SeqCst);
    let start = Instant::now();
    world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    let _running = Running::start(world.dispatcher(script, policy()));
    let posted = next(&mut seen).await;
    // One of them may be asked for at once, as the bell has rung.
    assert!(posted.at - start >= CONTENDED_WAIT * 49);
}

#[tokio::test(start_paused = true)]
async fn a_config_removed_meanwhile_gets_nothing_more() {
    let world = World::paused();
    let (script, mut seen) = Script::new([Step::Take(Duration::from_secs(1))]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    world.append(&key, vec![working(2)]).await;
    next(&mut seen).await;
    assert!(world.store.unregister(&key, "a").await.unwrap());
    sleep(Duration::from_secs(100)).await;
    assert!(seen.try_recv().is_err());
    assert_eq!(world.rows(&key).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_a_request_is_dead_or_waits_by_its_reason() {
    let world = World::paused();
    let (script, mut seen) = Script::new([]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let mut foreign = world.plain("t2", "foreign", URL);
    foreign.key = key("t1");
    world
        .task(
            "t1",
            vec![
                world.plain("t1", "bad-url", "ftp://receiver.example/"),
                world.push("t1", "unknown-dialect", "v9.9/smoke", &address(URL)),
                foreign,
            ],
        )
        .await;
    world.tried(&key("t1")).await;
    let rows = world.store.deliveries(&key("t1"), 10).await.unwrap();
    let of = |id: &str| {
        let row = rows.iter().find(|row| row.config_id == id).unwrap();
        (row.state, row.attempts, row.last_outcome.clone().unwrap())
    };
    assert_eq!(
        of("bad-url"),
        (
            DeliveryState::Dead,
            1,
            "the push config cannot be used in HTTP".to_owned()
        )
    );
    assert_eq!(of("unknown-dialect").0, DeliveryState::Pending);
    assert_eq!(
        of("foreign"),
        (
            DeliveryState::Pending,
            1,
            "the push config was sealed with another key".to_owned()
        )
    );
    assert!(seen.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_by_outcome() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::paused();
    let (script, _seen) = Script::new([
        Step::Give(code(500)),
        Step::Give(code(200)),
        Step::Give(code(410)),
    ]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let key = world.task("t1", vec![world.plain("t1", "a", URL)]).await;
    world.append(&key, vec![working(2)]).await;
    world.settled(&key).await;
    // The last attempt is counted behind its record, by a task that is ready to go on: a few turns are its.
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    let text = handle.render();
    for line in [
        "a2a_sidecar_webhook_attempts_total{outcome=\"delivered\"} 1",
        "a2a_sidecar_webhook_attempts_total{outcome=\"retry\"} 1",
        "a2a_sidecar_webhook_attempts_total{outcome=\"dead\"} 1",
        "a2a_sidecar_webhook_dead_total 1",
        "a2a_sidecar_webhook_attempt_seconds_count 3",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
