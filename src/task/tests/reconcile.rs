//! What observations add to the log, by example.

use super::*;
use crate::task::reconcile::{Dropped, reconcile_final};
use TaskState::{AuthRequired, Completed, Failed, InputRequired, Submitted, Working};

fn polled(current: &Task, seen: &Task) -> Reconciled {
    observe(Some(current), snapshot(seen, Order::Latest))
}

fn posted(current: &Task, seen: &Task) -> Reconciled {
    observe(Some(current), snapshot(seen, Order::Unknown))
}

fn streamed(current: &Task, seen: &StreamResponse) -> Reconciled {
    observe(Some(current), event(seen, Order::Latest))
}

fn hooked(current: &Task, seen: &StreamResponse) -> Reconciled {
    observe(Some(current), event(seen, Order::Unknown))
}

pub(super) fn with(artifacts: &[Artifact], task: Task) -> Task {
    Task {
        artifacts: artifacts.to_vec(),
        ..task
    }
}

pub(super) fn working(history: &[Message]) -> Task {
    task(status(Working, None), history)
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_first_snapshot_is_announced_as_it_stands() {
    let seen = with(
        &[artifact("a", &["1"])],
        task(
            status(Completed, Some(agent("m2"))),
            &[user("u1"), agent("m1")],
        ),
    );
    let first = observe(None, snapshot(&seen, Order::Unknown));
    assert_eq!(first.events, [StreamResponse::Task(seen)]);
}

#[test]
fn the_one_answer_of_a_blocking_worker_tells_all_it_did() {
    let seen = with(
        &[artifact("a", &["1"])],
        task(
            status(Completed, Some(agent("m3"))),
            &[user("u1"), agent("m1"), agent("m2")],
        ),
    );
    let all = polled(&submitted(), &seen);
    assert_eq!(
        briefs(&all),
        ["Working m1", "Working m2", "a=1.", "Completed m3"]
    );
    assert_eq!(all.task, Some(seen));
}

#[test]
fn a_requesters_message_gets_a_task_event_at_its_place() {
    let current = task(status(InputRequired, Some(agent("m1"))), &[user("u1")]);
    let seen = task(
        status(Completed, Some(agent("m4"))),
        &[
            user("u1"),
            agent("m1"),
            user("u2"),
            agent("m2"),
            user("u3"),
            agent("m3"),
        ],
    );
    let all = polled(&current, &seen);
    assert_eq!(
        briefs(&all),
        [
            "task InputRequired m1 [u1 m1 u2]",
            "Working m2",
            "task Working m2 [u1 m1 u2 m2 u3]",
            "Working m3",
            "Completed m4"
        ]
    );
    assert_eq!(all.task, Some(seen));
}

#[test]
fn metadata_and_unknown_members_get_a_task_event_first() {
    let mut seen = task(status(Working, Some(agent("m1"))), &[user("u1")]);
    seen.metadata = Some(Box::new(object("k", "v")));
    seen.extra = object("x", "y").into();
    let all = polled(&submitted(), &seen);
    assert_eq!(briefs(&all), ["task Submitted - [u1]", "Working m1"]);
    assert_eq!(all.task, Some(seen));
}

#[test]
fn what_a_snapshot_lacks_is_not_removed() {
    let mut current = with(
        &[artifact("a", &["1"])],
        working(&[user("u1"), agent("m1")]),
    );
    current.metadata = Some(Box::new(object("k", "v")));
    let bare = task(status(Working, None), &[]);
    assert_eq!(briefs(&polled(&current, &bare)), NOTHING);
    let done = polled(&current, &task(status(Completed, None), &[]))
        .task
        .expect("news");
    assert_eq!(
        done,
        Task {
            status: status(Completed, None),
            ..current
        }
    );
}

#[test]
fn a_cleared_status_message_is_no_news_but_another_interruption_is() {
    let asked = task(
        status_at(1, InputRequired, Some(agent("m1"))),
        &[user("u1")],
    );
    let answered = task(
        status_at(1, InputRequired, None),
        &[user("u1"), agent("m1"), user("u2")],
    );
    assert_eq!(
        briefs(&polled(&asked, &answered)),
        ["task InputRequired m1 [u1 m1 u2]"]
    );
    let asks_again = task(
        status_at(2, InputRequired, None),
        &[user("u1"), agent("m1"), user("u2")],
    );
    assert_eq!(
        briefs(&polled(&asked, &asks_again)),
        ["task InputRequired m1 [u1 m1 u2]", "InputRequired -"]
    );
}

#[test]
fn asking_the_same_again_without_ids_is_heard() {
    let current = task(
        status(Working, None),
        &[user("u1"), nameless("which colour?"), user("u2")],
    );
    let seen = status_event(status(InputRequired, Some(nameless("which colour?"))));
    assert_eq!(
        briefs(&streamed(&current, &seen)),
        ["InputRequired which colour?"]
    );
}

#[test]
fn new_parts_are_appended_and_other_parts_replace() {
    let current = with(
        &[artifact("a", &["1"]), artifact("b", &["1"])],
        working(&[]),
    );
    let seen = with(
        &[
            artifact("a", &["1", "2", "3"]),
            artifact("b", &["2"]),
            artifact("c", &[]),
        ],
        working(&[]),
    );
    let all = polled(&current, &seen);
    assert_eq!(briefs(&all), ["a+2.", "b=1.", "c=0."]);
    assert_eq!(all.task, Some(seen));
}

#[test]
fn a_poll_in_order_may_shorten_an_artifact() {
    let current = with(&[artifact("a", &["1", "2"])], working(&[]));
    let seen = with(&[artifact("a", &["1"])], working(&[]));
    assert_eq!(polled(&current, &seen).task, Some(seen));
}

#[test]
fn an_artifact_described_anew_is_sent_again_whole() {
    let current = with(&[artifact("a", &["1"])], working(&[]));
    let named = Artifact {
        name: Some("n".to_owned()),
        ..artifact("a", &["1", "2"])
    };
    let all = polled(&current, &with(&[named], working(&[])));
    assert_eq!(briefs(&all), ["a=2."]);
}

#[test]
fn an_older_webhook_shortens_nothing() {
    let current = with(
        &[artifact("a", &["1", "2"])],
        task(
            status_at(5, Working, Some(agent("m2"))),
            &[user("u1"), agent("m1")],
        ),
    );
    let older = with(
        &[artifact("a", &["1"])],
        task(status_at(3, Working, Some(agent("m1"))), &[user("u1")]),
    );
    assert_eq!(posted(&current, &older), Reconciled::default());
}

#[test]
fn a_late_webhook_gives_what_was_missed_but_not_its_status() {
    let current = task(status_at(5, Working, Some(agent("m3"))), &[user("u1")]);
    let late = with(
        &[artifact("a", &["1"])],
        task(
            status_at(3, Working, Some(agent("m2"))),
            &[user("u1"), agent("m1")],
        ),
    );
    let all = posted(&current, &late);
    assert_eq!(briefs(&all), ["task Working m3 [u1 m1 m2]", "a=1."]);
    assert_eq!(all.task.map(|task| task.status), Some(current.status));
}

#[test]
fn a_late_status_whose_message_has_no_place_asks_for_a_snapshot() {
    let current = task(
        status_at(5, Working, Some(agent("m3"))),
        &[user("u1"), agent("m1")],
    );
    let late = hooked(
        &current,
        &status_event(status_at(3, Working, Some(agent("m2")))),
    );
    assert_eq!((late.events.len(), late.needs_snapshot), (0, true));
    let known = hooked(
        &current,
        &status_event(status_at(2, Working, Some(agent("m1")))),
    );
    assert_eq!(known, Reconciled::default());
}

#[test]
fn submitted_follows_interruptions_only() {
    let begun = status_event(status(Submitted, None));
    for order in [Order::Latest, Order::Unknown] {
        let seen = observe(Some(&working(&[])), event(&begun, order));
        assert_eq!(seen, Reconciled::default());
    }
    for state in [InputRequired, AuthRequired] {
        let waiting = task(status(state, None), &[user("u1")]);
        assert_eq!(briefs(&streamed(&waiting, &begun)), ["Submitted -"]);
    }
}

#[test]
fn a_turn_that_began_unseen_may_be_submitted() {
    let seen = task(
        status(Submitted, None),
        &[user("u1"), agent("m1"), user("u2")],
    );
    let all = polled(&working(&[user("u1")]), &seen);
    assert_eq!(
        briefs(&all),
        ["Working m1", "task Working m1 [u1 m1 u2]", "Submitted -"]
    );
}

#[test]
fn a_status_whose_message_was_superseded_is_stale() {
    let current = task(
        status(Working, Some(agent("m2"))),
        &[user("u1"), agent("m1")],
    );
    let stale = status_event(status(InputRequired, Some(agent("m1"))));
    assert_eq!(streamed(&current, &stale), Reconciled::default());
    assert_eq!(hooked(&current, &stale), Reconciled::default());
}

#[test]
fn what_cannot_be_placed_asks_for_a_snapshot_and_appends_nothing() {
    let current = task(status(Working, Some(agent("m1"))), &[user("u1")]);
    for seen in [
        status_event(status(Working, Some(agent("m2")))),
        status_event(status(InputRequired, None)),
        StreamResponse::Task(task(status(Working, Some(agent("m2"))), &[user("u1")])),
        artifact_event(artifact("a", &["1"]), true, false),
    ] {
        let result = hooked(&current, &seen);
        assert_eq!(
            (result.events, result.needs_snapshot),
            (vec![], true),
            "{seen:?}"
        );
    }
}

#[test]
fn a_history_that_holds_the_current_message_is_newer() {
    let current = task(status(Working, Some(agent("m1"))), &[user("u1")]);
    let seen = task(
        status(Working, Some(agent("m2"))),
        &[user("u1"), agent("m1")],
    );
    assert_eq!(briefs(&posted(&current, &seen)), ["Working m2"]);
}

#[test]
fn a_newer_time_is_newer_whatever_its_zone() {
    let current = task(status_at(1, Working, None), &[]);
    let mut later = status(InputRequired, None);
    later.timestamp = Some("2026-01-01T01:00:02+01:00".to_owned());
    assert_eq!(
        briefs(&hooked(&current, &status_event(later.clone()))),
        ["InputRequired -"]
    );
    later.timestamp = Some("2026-01-01T01:00:00+01:00".to_owned());
    assert_eq!(
        hooked(&current, &status_event(later.clone())),
        Reconciled::default()
    );
    // A time without a zone cannot be compared with one that has it.
    let zoned = task(later, &[]);
    let mut local = status(InputRequired, None);
    local.timestamp = Some("2026-01-01T00:59:59".to_owned());
    local.state = Working;
    assert!(hooked(&zoned, &status_event(local.clone())).needs_snapshot);
    // Two without one can.
    let unzoned = task(local.clone(), &[]);
    local.state = InputRequired;
    local.timestamp = Some("2026-01-01T01:00:01".to_owned());
    assert_eq!(
        briefs(&hooked(&unzoned, &status_event(local))),
        ["InputRequired -"]
    );
}

#[test]
fn a_repeated_status_is_dropped_and_one_with_another_time_or_metadata_is_not() {
    let current = task(status_at(1, Working, None), &[]);
    assert_eq!(
        streamed(&current, &status_event(status_at(1, Working, None))),
        Reconciled::default()
    );
    let ticked = status_event(status_at(2, Working, None));
    assert_eq!(streamed(&current, &ticked).events, [ticked]);
    let mut progress = TaskStatusUpdateEvent {
        task_id: "t".to_owned(),
        context_id: "c".to_owned(),
        status: current.status.clone(),
        ..TaskStatusUpdateEvent::default()
    };
    progress.metadata = Some(Box::new(object("progress", "1")));
    let progress = StreamResponse::StatusUpdate(progress);
    assert_eq!(streamed(&current, &progress).events, [progress]);
}

#[test]
fn a_webhook_repeated_adds_nothing() {
    let current = with(
        &[artifact("a", &["1", "2"])],
        task(status_at(3, Working, Some(agent("m1"))), &[]),
    );
    for seen in [
        status_event(current.status.clone()),
        artifact_event(artifact("a", &["1", "2"]), false, true),
        artifact_event(artifact("a", &["1"]), false, false),
    ] {
        assert_eq!(hooked(&current, &seen), Reconciled::default());
    }
    let differs = hooked(
        &current,
        &artifact_event(artifact("a", &["2"]), false, true),
    );
    assert_eq!((differs.events, differs.needs_snapshot), (vec![], true));
}

#[test]
fn chunks_of_a_stream_in_order_pass_as_they_are() {
    let current = with(&[artifact("a", &["ha"])], working(&[]));
    for seen in [
        artifact_event(artifact("a", &["ha"]), true, false),
        artifact_event(artifact("a", &[]), true, true),
        artifact_event(artifact("new", &["1"]), true, false),
    ] {
        assert_eq!(streamed(&current, &seen).events, [seen]);
    }
}

#[test]
fn an_agents_message_becomes_a_status_and_a_requesters_a_task_event() {
    let told = streamed(&submitted(), &StreamResponse::Message(agent("m1")));
    assert_eq!(briefs(&told), ["Working m1"]);
    let current = task(status(InputRequired, Some(agent("m1"))), &[user("u1")]);
    let answered = streamed(&current, &StreamResponse::Message(user("u2")));
    assert_eq!(briefs(&answered), ["task InputRequired m1 [u1 m1 u2]"]);
    assert_eq!(
        streamed(&current, &StreamResponse::Message(agent("m1"))),
        Reconciled::default()
    );
}

#[test]
fn after_the_end_everything_is_dropped() {
    let ended = task(status(Completed, None), &[user("u1")]);
    let more = task(status(Failed, Some(agent("m1"))), &[user("u1")]);
    assert_eq!(polled(&ended, &more).dropped, Some(Dropped::Ended));
    let end = status_event(status(Completed, None));
    assert_eq!(
        reconcile_final(Some(&ended), end, Some(more)).dropped,
        Some(Dropped::Ended)
    );
}

#[test]
fn another_tasks_events_are_dropped() {
    let mut other = submitted();
    other.id = "x".to_owned();
    assert_eq!(
        polled(&submitted(), &other).dropped,
        Some(Dropped::OtherTask)
    );
}

#[test]
fn the_context_stays_as_it_was_announced() {
    let mut said = agent("m1");
    said.context_id = Some("new".to_owned());
    let mut seen = task(status(Working, Some(said)), &[user("u1")]);
    seen.context_id = "new".to_owned();
    let all = polled(&submitted(), &seen);
    assert_eq!(briefs(&all), ["Working m1"]);
    let after = all.task.expect("news");
    assert_eq!(after.context_id, "c");
    assert_eq!(
        after.status.message.and_then(|m| m.context_id).as_deref(),
        Some("c")
    );
}

#[test]
fn updates_under_another_context_are_given_the_logs() {
    let mut said = agent("m1");
    said.context_id = Some("new".to_owned());
    let StreamResponse::StatusUpdate(mut update) = status_event(status(Working, Some(said))) else {
        unreachable!()
    };
    update.context_id = "new".to_owned();
    let mut expected = update.clone();
    expected.context_id = "c".to_owned();
    expected.status.message.as_mut().expect("said").context_id = Some("c".to_owned());
    let all = streamed(&submitted(), &StreamResponse::StatusUpdate(update.clone()));
    assert_eq!(all.events, [StreamResponse::StatusUpdate(expected.clone())]);
    update.status.state = Completed;
    expected.status.state = Completed;
    let all = reconcile_final(
        Some(&submitted()),
        StreamResponse::StatusUpdate(update),
        None,
    );
    assert_eq!(all.events, [StreamResponse::StatusUpdate(expected)]);
    let mut chunk = TaskArtifactUpdateEvent {
        context_id: "new".to_owned(),
        artifact: artifact("a", &["1"]),
        ..TaskArtifactUpdateEvent::default()
    };
    let all = streamed(&submitted(), &StreamResponse::ArtifactUpdate(chunk.clone()));
    chunk.task_id = "t".to_owned();
    chunk.context_id = "c".to_owned();
    assert_eq!(all.events, [StreamResponse::ArtifactUpdate(chunk)]);
}

#[test]
fn an_update_that_comes_before_its_task_announces_it() {
    let seen = status_event(status(Working, Some(agent("m1"))));
    let first = observe(None, event(&seen, Order::Unknown));
    assert_eq!(briefs(&first), ["task Working m1 []"]);
    assert!(first.needs_snapshot);
    let whole = task(status(Working, Some(agent("m1"))), &[user("u1")]);
    let then = polled(&first.task.expect("announced"), &whole);
    assert_eq!(then.task, Some(whole));
    let chunk = artifact_event(artifact("a", &["2"]), true, false);
    let first = observe(None, event(&chunk, Order::Unknown));
    assert_eq!(
        (briefs(&first), first.needs_snapshot),
        (vec!["task Submitted - []".to_owned()], true)
    );
    let message = StreamResponse::Message(agent("m"));
    assert_eq!(
        observe(None, event(&message, Order::Latest)).dropped,
        Some(Dropped::NoTask)
    );
}

#[test]
fn artifacts_of_one_id_are_one_artifact() {
    let seen = with(
        &[artifact("", &["1"]), artifact("", &["2"])],
        working(&[user("u1")]),
    );
    let all = polled(&submitted(), &seen);
    assert_eq!(briefs(&all), ["=2.", "Working -"]);
    assert_eq!(briefs(&polled(&all.task.expect("news"), &seen)), NOTHING);
}

#[test]
fn a_reused_message_id_of_the_requester_is_another_message() {
    let mut again = user("u1");
    again.parts = vec![part("something else")];
    let current = task(status(InputRequired, Some(agent("m1"))), &[user("u1")]);
    let seen = task(status(Working, None), &[user("u1"), agent("m1"), again]);
    let all = polled(&current, &seen);
    assert_eq!(all.task.as_ref(), Some(&seen));
    assert_eq!(briefs(&polled(&seen, &seen)), NOTHING);
}

#[test]
fn who_waits_says_nothing() {
    let current = task(status_at(1, InputRequired, None), &[user("u1")]);
    let seen = task(
        status_at(1, InputRequired, None),
        &[user("u1"), agent("m1")],
    );
    assert_eq!(
        briefs(&polled(&current, &seen)),
        ["task InputRequired - [u1 m1]"]
    );
}

#[test]
fn the_newest_of_a_history_has_the_time_of_the_status_it_stands_for() {
    let current = task(status_at(1, Working, None), &[user("u1")]);
    let seen = task(
        status_at(2, Working, None),
        &[user("u1"), agent("m1"), agent("m2")],
    );
    assert_eq!(
        polled(&current, &seen).events,
        [
            status_event(status(Working, Some(agent("m1")))),
            status_event(status_at(2, Working, Some(agent("m2")))),
        ]
    );
}

#[test]
fn what_the_worker_forgot_stays_before_what_it_adds() {
    let current = task(
        status(Working, Some(agent("m2"))),
        &[user("u1"), agent("m1")],
    );
    let seen = task(
        status(Working, Some(agent("m2"))),
        &[user("u1"), user("u2")],
    );
    assert_eq!(
        briefs(&polled(&current, &seen)),
        ["task Working m2 [u1 m1 u2]"]
    );
}

#[test]
fn a_late_snapshot_without_a_history_asks_for_one_in_order() {
    let current = task(
        status_at(5, Working, Some(agent("m3"))),
        &[user("u1"), agent("m1")],
    );
    let late = posted(
        &current,
        &task(status_at(3, Working, Some(agent("m2"))), &[]),
    );
    assert_eq!((late.events, late.needs_snapshot), (vec![], true));
}
