//! How a log ends, by example.

use super::reconcile::{with, working};
use super::*;
use crate::task::reconcile::reconcile_final;
use TaskState::{Completed, Failed, Working};

#[test]
fn the_end_waits_for_what_the_stream_did_not_carry() {
    let end = status_event(status_at(9, Completed, Some(agent("m2"))));
    // The store of the worker is behind: its status is of no account.
    let read = with(
        &[artifact("a", &["1"])],
        task(status(Working, Some(agent("m1"))), &[user("u1")]),
    );
    let all = reconcile_final(Some(&submitted()), end.clone(), Some(read));
    check(Some(&submitted()), &all);
    assert_eq!(briefs(&all), ["Working m1", "a=1.", "Completed m2"]);
    assert_eq!(all.events.last(), Some(&end));
}

#[test]
fn the_ends_own_message_is_told_with_it_only() {
    let end = status_event(status(Completed, Some(agent("m2"))));
    let read = task(
        status(Completed, None),
        &[user("u1"), agent("m1"), agent("m2")],
    );
    let all = reconcile_final(Some(&submitted()), end, Some(read));
    assert_eq!(briefs(&all), ["Working m1", "Completed m2"]);
}

#[test]
fn an_end_without_words_takes_those_of_the_task_that_was_read() {
    let end = status_event(status(Completed, None));
    let read = task(status(Completed, Some(agent("m1"))), &[user("u1")]);
    assert_eq!(
        briefs(&reconcile_final(
            Some(&submitted()),
            end.clone(),
            Some(read)
        )),
        ["Completed m1"]
    );
    let read = task(status(Failed, Some(agent("m1"))), &[user("u1")]);
    let all = reconcile_final(Some(&submitted()), end, Some(read));
    assert_eq!(briefs(&all), ["Completed -"]);
}

#[test]
fn an_end_that_is_a_whole_task_brings_its_content() {
    let end = with(
        &[artifact("a", &["1"])],
        task(
            status(Failed, Some(agent("m2"))),
            &[user("u1"), agent("m1")],
        ),
    );
    let all = reconcile_final(Some(&submitted()), StreamResponse::Task(end.clone()), None);
    check(Some(&submitted()), &all);
    assert_eq!(briefs(&all), ["Working m1", "a=1.", "Failed m2"]);
    assert_eq!(all.events.last(), Some(&status_event(end.status.clone())));
    assert_eq!(all.task, Some(end));
}

#[test]
fn an_end_before_any_task_announces_it_ended() {
    let end = status_event(status(Completed, Some(agent("m1"))));
    let read = with(
        &[artifact("a", &["1"])],
        task(status(Working, None), &[user("u1")]),
    );
    let all = reconcile_final(None, end.clone(), Some(read));
    assert_eq!(briefs(&all), ["task Completed m1 [u1]"]);
    assert_eq!(
        all.task.map(|task| task.artifacts),
        Some(vec![artifact("a", &["1"])])
    );
    assert_eq!(
        briefs(&reconcile_final(None, end, None)),
        ["task Completed m1 []"]
    );
}

#[test]
fn the_end_takes_nothing_from_another_task() {
    let mut other = with(
        &[artifact("a", &["1"])],
        working(&[user("u1"), agent("m1")]),
    );
    other.id = "x".to_owned();
    let end = status_event(status(Completed, None));
    let all = reconcile_final(Some(&submitted()), end, Some(other));
    assert_eq!(briefs(&all), ["Completed -"]);
}
