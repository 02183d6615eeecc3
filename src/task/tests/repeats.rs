//! Messages without ids that are said twice, by example: which of them is the same one again.

use super::*;
use crate::a2a::TaskState::{AuthRequired, Working};

fn polled(current: &Task, seen: &Task) -> Reconciled {
    observe(Some(current), snapshot(seen, Order::Latest))
}

fn working(history: &[Message]) -> Task {
    task(status(Working, None), history)
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_repeat_without_an_id_stays_one_wherever_the_history_has_the_status() {
    let m = || agent("m");
    let orders = [
        [m(), nameless("a"), nameless("a")],
        [nameless("a"), m(), nameless("a")],
    ];
    for history in orders {
        let seen = task(status(Working, Some(m())), &history);
        let all = polled(&submitted(), &seen);
        assert_eq!(briefs(&all), ["Working a", "Working m"]);
        assert_eq!(briefs(&polled(&all.task.expect("news"), &seen)), NOTHING);
    }
}

#[test]
fn a_repeat_without_an_id_is_judged_at_its_place_and_not_where_the_report_has_it() {
    let question = || Message {
        message_id: String::new(),
        ..user("and?")
    };
    // The worker's last words are not in the report, so what comes after the requester's message repeats nothing.
    let current = working(&[nameless("1"), nameless("0")]);
    let seen = working(&[nameless("1"), question(), nameless("1")]);
    let all = polled(&current, &seen);
    assert_eq!(briefs(&all), ["task Working - [  ]", "Working 1"]);
    assert_eq!(briefs(&polled(&all.task.expect("news"), &seen)), NOTHING);
}

#[test]
fn words_said_twice_in_a_row_are_one_message_wherever_they_belong() {
    let current = task(status(AuthRequired, Some(nameless("1"))), &[]);
    let seen = task(status(AuthRequired, None), &[nameless("0"), nameless("0")]);
    let all = polled(&current, &seen);
    assert_eq!(briefs(&all), ["task AuthRequired 1 [ ]"]);
    assert_eq!(briefs(&polled(&all.task.expect("news"), &seen)), NOTHING);
}

#[test]
fn words_of_the_status_that_were_said_before_as_well_are_told_twice() {
    let seen = task(
        status(Working, Some(nameless("2"))),
        &[nameless("2"), nameless("1"), nameless("1")],
    );
    let all = polled(&working(&[]), &seen);
    assert_eq!(briefs(&all), ["Working 2", "Working 1", "Working 2"]);
    assert_eq!(briefs(&polled(&all.task.expect("news"), &seen)), NOTHING);
}

#[test]
fn a_status_within_the_history_does_not_part_a_message_from_its_repeat() {
    let hello = || Message {
        message_id: String::new(),
        ..user("hello")
    };
    let m = || agent("m");
    let seen = task(
        status(Working, Some(m())),
        &[hello(), m(), hello(), user("u1")],
    );
    let all = polled(&working(&[]), &seen);
    assert_eq!(briefs(&all), ["task Working - [ u1]", "Working m"]);
    assert_eq!(briefs(&polled(&all.task.expect("news"), &seen)), NOTHING);
}

#[test]
fn a_status_of_nobody_does_not_part_a_message_from_its_repeat_either() {
    let said = || Message {
        message_id: String::new(),
        ..message(Role::Unspecified, "0")
    };
    let seen = task(
        status(Working, Some(said())),
        &[nameless("0"), said(), nameless("0"), agent("m")],
    );
    let all = polled(&working(&[]), &seen);
    assert_eq!(briefs(&all), ["Working 0", "Working m", "Working 0"]);
    assert_eq!(briefs(&polled(&all.task.expect("news"), &seen)), NOTHING);
}
