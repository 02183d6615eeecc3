//! Tests of what is posted when the log has gone on, or is no longer whole.

use std::sync::atomic::Ordering;

use super::support::*;
use super::*;

#[tokio::test(start_paused = true)]
async fn version_0_posts_the_task_as_it_stood_and_reads_the_log_once() {
    const EVENTS: usize = 300;
    for dialect in ["v0.3/jsonrpc", "v0.2/jsonrpc"] {
        let world = World::paused();
        let key = world
            .task("t1", vec![world.push("t1", "a", dialect, &address(URL))])
            .await;
        // All of them are in the log before the first is posted: none is the newest but the last.
        let mut events: Vec<_> = (1..EVENTS).map(artifact).collect();
        events.push(status(TaskState::Completed, "done"));
        world.append(&key, events).await;
        let (script, mut seen) = Script::new([]);
        let _running = Running::start(world.dispatcher(script, policy()));
        for number in 0..=EVENTS {
            let json = next(&mut seen).await.json();
            let artifacts = json["artifacts"].as_array().map_or(0, Vec::len);
            assert_eq!(artifacts, number.min(EVENTS - 1), "event {number}");
            let state = if number == EVENTS {
                "completed"
            } else {
                "submitted"
            };
            assert_eq!(json["status"]["state"], state);
            assert_eq!(json["kind"], "task");
        }
        let read = world.store.events_read.load(Ordering::SeqCst);
        assert!(read <= 2 * EVENTS, "{read} events read");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_may_be_ahead_of_the_hubs_memory() {
    for (dialect, text) in [
        ("v1.0/jsonrpc", "/statusUpdate/status/message/parts/0/text"),
        ("v0.3/jsonrpc", "/status/message/parts/0/text"),
    ] {
        let world = World::paused();
        let push = world.push("t1", "a", dialect, &address(URL));
        let key = world.task("t1", vec![push]).await;
        // Keeps the hub's memory of the task, which an append to the store alone does not reach.
        let _demand = world.hub.demand(&key).await.unwrap();
        world.append(&key, vec![working(2)]).await;
        assert_eq!(
            world.hub.record(&key).await.unwrap().unwrap().last_seq,
            Seq(1)
        );
        let (script, mut seen) = Script::new([]);
        let _running = Running::start(world.dispatcher(script, policy()));
        next(&mut seen).await;
        let json = next(&mut seen).await.json();
        assert_eq!(json.pointer(text).unwrap(), "2", "{json}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_config_gets_the_task_as_it_stood_and_then_the_events() {
    let world = World::paused();
    let key = world.task("t1", vec![]).await;
    world.append(&key, vec![working(2)]).await;
    world
        .hub
        .register(world.plain("t1", "a", URL))
        .await
        .unwrap();
    world.append(&key, vec![working(3)]).await;
    let (script, mut seen) = Script::new([]);
    let _running = Running::start(world.dispatcher(script, policy()));
    let snapshot = next(&mut seen).await;
    // As it stood when the config came, though it has gone on since.
    assert_eq!(
        snapshot.json()["task"]["status"]["message"]["parts"][0]["text"],
        "2"
    );
    assert!(snapshot.header("webhook-id").ends_with("_2s"));
    let event = next(&mut seen).await;
    assert_eq!(event.text(), "3");
    assert!(event.header("webhook-id").ends_with("_3"));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_trimmed_is_replaced_by_the_task_as_it_stands() {
    for (dialect, state) in [
        ("v1.0/jsonrpc", "/task/status/state"),
        ("v0.3/jsonrpc", "/status/state"),
    ] {
        let world = World::paused();
        let key = world
            .task("t1", vec![world.push("t1", "a", dialect, &address(URL))])
            .await;
        world.append(&key, vec![working(2), artifact(3)]).await;
        world.store.trim(&key, Seq(4)).await.unwrap();
        let (script, mut seen) = Script::new([]);
        let _running = Running::start(world.dispatcher(script, policy()));
        for _ in 0..3 {
            let json = next(&mut seen).await.json();
            assert!(
                json.pointer(state).is_some_and(|state| state
                    .as_str()
                    .unwrap()
                    .to_lowercase()
                    .ends_with("working")),
                "{json}"
            );
        }
    }
}
