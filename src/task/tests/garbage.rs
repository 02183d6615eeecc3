//! Properties of any input at all: nothing panics, everything folds, the end stays the end.

use proptest::prelude::*;

use super::{
    artifact_event, check, message, messages, object, observe, part, replay, status_event, task,
};
use crate::a2a::{
    Artifact, Message, Role, StreamResponse, Task, TaskState, TaskStatus, TaskStatusUpdateEvent,
};
use crate::task::fold::fold;
use crate::task::reconcile::{Dropped, Observation, Order, reconcile_final};

fn any_message() -> impl Strategy<Value = Message> {
    let roles = prop_oneof![
        Just(Role::User),
        Just(Role::Agent),
        Just(Role::Agent),
        Just(Role::Unspecified)
    ];
    (roles, 0..5_usize, 0..3_usize).prop_map(|(role, id, text)| Message {
        // The first is the empty id.
        message_id: ["", "1", "2", "3", "4"][id].to_owned(),
        parts: vec![part(&text.to_string())],
        context_id: (text == 0).then(|| "other".to_owned()),
        ..message(role, "")
    })
}

fn any_status() -> impl Strategy<Value = TaskStatus> {
    let times = prop_oneof![
        Just(None),
        Just(Some("2026-01-01T00:00:01Z")),
        Just(Some("2026-01-01T00:00:02Z")),
        Just(Some("2026-01-01T00:00:02.5+00:00")),
        Just(Some("2026-01-01T00:00:03")),
        Just(Some("yesterday")),
    ];
    // Ends are rare, or little would happen.
    let states = prop_oneof![
        8 => prop::sample::select(vec![
            TaskState::Unspecified,
            TaskState::Submitted,
            TaskState::Working,
            TaskState::InputRequired,
            TaskState::AuthRequired,
        ]),
        1 => prop::sample::select(TaskState::ALL.to_vec()),
    ];
    (states, prop::option::of(any_message()), times).prop_map(|(state, message, time)| TaskStatus {
        state,
        message,
        timestamp: time.map(str::to_owned),
        ..TaskStatus::default()
    })
}

fn any_artifact() -> impl Strategy<Value = Artifact> {
    (0..3_usize, prop::collection::vec(0..2_u8, 0..4), 0..3_usize).prop_map(|(id, parts, name)| {
        Artifact {
            artifact_id: ["", "a", "b"][id].to_owned(),
            name: [None, Some("n"), Some("m")][name].map(str::to_owned),
            parts: parts.iter().map(|text| part(&text.to_string())).collect(),
            ..Artifact::default()
        }
    })
}

fn any_task() -> impl Strategy<Value = Task> {
    (
        any_status(),
        prop::collection::vec(any_message(), 0..5),
        prop::collection::vec(any_artifact(), 0..3),
        0..4_usize,
    )
        .prop_map(|(status, history, artifacts, odd)| Task {
            id: ["t", "t", "t", ""][odd].to_owned(),
            context_id: ["c", "", "other", "c"][odd].to_owned(),
            artifacts,
            metadata: (odd > 0).then(|| Box::new(object("odd", &odd.to_string()))),
            extra: object("kept", &odd.to_string()).into(),
            ..task(status, &history)
        })
}

fn any_event() -> impl Strategy<Value = StreamResponse> {
    prop_oneof![
        2 => any_task().prop_map(StreamResponse::Task),
        3 => any_status().prop_map(status_event),
        3 => (any_artifact(), any::<bool>(), any::<bool>())
            .prop_map(|(artifact, append, last)| artifact_event(artifact, append, last)),
        1 => any_message().prop_map(StreamResponse::Message),
        1 => any_status().prop_map(|status| StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: "another".to_owned(),
            status,
            ..TaskStatusUpdateEvent::default()
        })),
    ]
}

/// The same with each id saying one thing only, as ids should.
fn said_once_under_each_id(mut task: Task) -> Task {
    for message in task.history.iter_mut().chain(&mut task.status.message) {
        if !message.message_id.is_empty() {
            message.parts = vec![part(&message.message_id)];
        }
    }
    task
}

/// Who says what under which id.
fn lines(task: &Task) -> Vec<String> {
    let line = |m: &Message| format!("{:?} {} {:?}", m.role, m.message_id, m.parts[0].content);
    messages::timeline(task).into_iter().map(line).collect()
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Latest), Just(Order::Unknown)]
}

proptest! {
    #![proptest_config(super::seeded(500))]

    #[test]
    fn whatever_comes_folds_and_ends_at_most_once(
        seen in prop::collection::vec((any_event(), any_order()), 0..30),
    ) {
        let mut log: Vec<StreamResponse> = Vec::new();
        let mut state: Option<Task> = None;
        for (event, order) in seen {
            let ended = state.as_ref().is_some_and(|task| task.status.state.is_terminal());
            let reconciled = observe(state.as_ref(), Observation::Event { event, order });
            if ended {
                prop_assert_eq!(reconciled.dropped, Some(Dropped::Ended));
                prop_assert!(reconciled.events.is_empty());
            }
            if order == Order::Latest {
                prop_assert!(!reconciled.needs_snapshot);
            }
            log.extend(reconciled.events);
            state = reconciled.task.or(state);
        }
        prop_assert_eq!(replay(&log), state);
        let ends = log.iter().filter(|event| event.is_terminal()).count();
        prop_assert!(ends <= 1);
        if ends == 1 {
            prop_assert!(log[log.len() - 1].is_terminal());
        }
        prop_assert!(!log.iter().any(|event| matches!(event, StreamResponse::Message(_))));
    }

    #[test]
    fn the_same_snapshot_twice_is_one_piece_of_news(
        before in any_task(),
        snapshot in any_task(),
        order in any_order(),
    ) {
        let (before, snapshot) = (said_once_under_each_id(before), said_once_under_each_id(snapshot));
        let state = observe(None, super::snapshot(&before, Order::Latest)).task.expect("announced");
        let first = observe(Some(&state), super::snapshot(&snapshot, order));
        let after = first.task.clone().unwrap_or(state);
        let second = observe(Some(&after), super::snapshot(&snapshot, order));
        prop_assert!(
            second.events.is_empty(),
            "first {:?}, then {:?}, of {} {:?} after {:?} {:?}",
            super::briefs(&first),
            super::briefs(&second),
            super::brief(&StreamResponse::Task(snapshot.clone())),
            lines(&snapshot), lines(&before), order,
        );
    }

    #[test]
    fn a_snapshot_over_and_over_comes_to_rest_even_if_its_ids_are_wrong(
        before in any_task(),
        snapshot in any_task(),
        order in any_order(),
    ) {
        let mut state = observe(None, super::snapshot(&before, Order::Latest)).task.expect("announced");
        for _ in 0..3 {
            state = observe(Some(&state), super::snapshot(&snapshot, order)).task.unwrap_or(state);
        }
        let last = observe(Some(&state), super::snapshot(&snapshot, order));
        prop_assert_eq!(last.events, vec![]);
    }

    #[test]
    fn an_end_that_is_reported_ends_the_log(
        before in prop::option::of(any_task()),
        end in any_event(),
        read in prop::option::of(any_task()),
    ) {
        let before = before.and_then(|task| fold(None, &StreamResponse::Task(task)).ok());
        let ended = before.as_ref().is_some_and(|task| task.status.state.is_terminal());
        let about_this = end.task_id().is_none_or(|id| id == "t" || id.is_empty())
            && before.as_ref().is_none_or(|task| task.id == "t");
        let is_end = end.is_terminal();
        let reconciled = reconcile_final(before.as_ref(), end.clone(), read);
        check(before.as_ref(), &reconciled);
        if is_end && about_this && !ended {
            let ends: Vec<bool> = reconciled.events.iter().map(StreamResponse::is_terminal).collect();
            prop_assert_eq!(ends.iter().filter(|&&is| is).count(), 1);
            prop_assert_eq!(ends.last(), Some(&true));
            prop_assert_eq!(
                reconciled.task.map(|task| task.status.state),
                end.status().map(|status| status.state)
            );
        }
    }
}
