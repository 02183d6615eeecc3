//! What each event makes of the task.

use super::*;
use crate::task::fold::{Rejected, fold_mut, trim_history};

fn folded(task: Task, event: &StreamResponse) -> Task {
    fold(Some(task), event).expect("the event is accepted")
}

#[test]
fn a_log_begins_with_a_task() {
    let working = status_event(status(TaskState::Working, None));
    assert_eq!(fold(None, &working), Err(Rejected::NoTask));
    let task = submitted();
    assert_eq!(fold(None, &StreamResponse::Task(task.clone())), Ok(task));
}

#[test]
fn nothing_follows_an_end() {
    for end in TaskState::ALL
        .into_iter()
        .filter(|state| state.is_terminal())
    {
        let ended = folded(submitted(), &status_event(status(end, None)));
        for event in [
            StreamResponse::Task(submitted()),
            StreamResponse::Message(agent("m")),
            status_event(status(TaskState::Working, None)),
            status_event(status(end, None)),
            artifact_event(artifact("a", &["1"]), false, false),
        ] {
            let mut task = ended.clone();
            assert_eq!(fold_mut(&mut task, &event), Err(Rejected::Ended(end)));
            assert_eq!(task, ended);
        }
    }
}

#[test]
fn an_interruption_is_no_end() {
    let asked = folded(
        submitted(),
        &status_event(status(TaskState::InputRequired, None)),
    );
    let task = folded(asked, &status_event(status(TaskState::Submitted, None)));
    assert_eq!(task.status.state, TaskState::Submitted);
}

#[test]
fn an_event_of_another_task_is_refused() {
    let mut other = submitted();
    other.id = "x".to_owned();
    assert_eq!(
        fold(Some(submitted()), &StreamResponse::Task(other)),
        Err(Rejected::OtherTask {
            expected: "t".to_owned(),
            found: "x".to_owned()
        })
    );
}

#[test]
fn a_superseded_status_message_moves_to_the_end_of_the_history() {
    let task = folded(
        submitted(),
        &status_event(status(TaskState::Working, Some(agent("m1")))),
    );
    assert_eq!(task.history, [user("u1")]);
    let task = folded(
        task,
        &status_event(status(TaskState::Working, Some(agent("m2")))),
    );
    assert_eq!(task.history, [user("u1"), agent("m1")]);
    let task = folded(task, &status_event(status(TaskState::Completed, None)));
    assert_eq!(task.history, [user("u1"), agent("m1"), agent("m2")]);
    assert_eq!(task.status, status(TaskState::Completed, None));
}

#[test]
fn a_status_message_that_is_no_agents_and_has_no_id_is_added_once() {
    let unsigned = |text| Message {
        role: Role::Unspecified,
        ..nameless(text)
    };
    let history = [unsigned("a"), unsigned("b")];
    let current = task(status(TaskState::Working, Some(unsigned("a"))), &history);
    let next = status_event(status(TaskState::Working, Some(agent("m"))));
    assert_eq!(folded(current, &next).history, history);
}

#[test]
fn a_superseded_message_that_the_history_has_is_not_added_again() {
    let asked = status(TaskState::InputRequired, Some(agent("m1")));
    let task = task(asked, &[user("u1"), agent("m1"), user("u2")]);
    let task = folded(task, &status_event(status(TaskState::Working, None)));
    assert_eq!(said(&task), ["u1", "m1", "u2"]);
}

#[test]
fn a_message_that_grows_under_its_id_is_one_message() {
    let mut longer = agent("m1");
    longer.parts.push(part("more"));
    let task = folded(
        submitted(),
        &status_event(status(TaskState::Working, Some(agent("m1")))),
    );
    let task = folded(
        task,
        &status_event(status(TaskState::Working, Some(longer.clone()))),
    );
    assert_eq!(task.history, [user("u1")]);
    assert_eq!(task.status.message, Some(longer));
}

#[test]
fn the_same_words_without_an_id_are_kept_each_time() {
    let mut state = submitted();
    for text in ["Thinking", "Searching", "Thinking", "Done"] {
        state = folded(
            state,
            &status_event(status(TaskState::Working, Some(nameless(text)))),
        );
    }
    assert_eq!(
        state.history[1..],
        [
            nameless("Thinking"),
            nameless("Searching"),
            nameless("Thinking")
        ]
    );
}

#[test]
fn an_artifact_is_created_extended_and_replaced_in_place() {
    let log = [
        StreamResponse::Task(submitted()),
        artifact_event(artifact("a", &["1"]), false, false),
        artifact_event(artifact("b", &["x"]), false, true),
        artifact_event(artifact("a", &["2", "3"]), true, true),
    ];
    let task = replay(&log).expect("a task");
    assert_eq!(
        task.artifacts,
        [artifact("a", &["1", "2", "3"]), artifact("b", &["x"])]
    );
    let task = folded(task, &artifact_event(artifact("a", &["9"]), false, true));
    assert_eq!(
        task.artifacts,
        [artifact("a", &["9"]), artifact("b", &["x"])]
    );
}

#[test]
fn parts_for_an_unknown_artifact_create_it() {
    let task = folded(
        submitted(),
        &artifact_event(artifact("a", &["1"]), true, false),
    );
    assert_eq!(task.artifacts, [artifact("a", &["1"])]);
}

#[test]
fn an_extension_merges_what_it_says_and_keeps_the_rest() {
    let known = Artifact {
        name: Some("old".to_owned()),
        description: Some("kept".to_owned()),
        metadata: Some(Box::new(object("kept", "1"))),
        extensions: vec!["e1".to_owned()],
        extra: object("kept", "2").into(),
        ..artifact("a", &["1"])
    };
    let more = Artifact {
        name: Some("new".to_owned()),
        metadata: Some(Box::new(object("added", "3"))),
        extensions: vec!["e1".to_owned(), "e2".to_owned()],
        extra: object("added", "4").into(),
        ..artifact("a", &["2"])
    };
    let task = folded(submitted(), &artifact_event(known, false, false));
    let task = folded(task, &artifact_event(more, true, false));
    let mut metadata = object("kept", "1");
    metadata.extend(object("added", "3"));
    let mut extra = object("kept", "2");
    extra.extend(object("added", "4"));
    assert_eq!(
        task.artifacts,
        [Artifact {
            name: Some("new".to_owned()),
            description: Some("kept".to_owned()),
            metadata: Some(Box::new(metadata)),
            extensions: vec!["e1".to_owned(), "e2".to_owned()],
            extra: extra.into(),
            ..artifact("a", &["1", "2"])
        }]
    );
}

#[test]
fn a_task_event_replaces_the_state() {
    let mut new = task(status(TaskState::Working, None), &[user("u1"), user("u2")]);
    new.metadata = Some(Box::new(object("k", "v")));
    assert_eq!(folded(submitted(), &StreamResponse::Task(new.clone())), new);
}

#[test]
fn metadata_of_an_update_stays_with_the_event() {
    let mut event = TaskStatusUpdateEvent {
        task_id: "t".to_owned(),
        status: status(TaskState::Working, None),
        ..TaskStatusUpdateEvent::default()
    };
    event.metadata = Some(Box::new(object("progress", "1")));
    let task = folded(submitted(), &StreamResponse::StatusUpdate(event));
    assert_eq!(task.metadata, None);
}

#[test]
fn a_message_comes_after_the_status_message_that_it_answers() {
    let asked = task(
        status(TaskState::InputRequired, Some(agent("m1"))),
        &[user("u1")],
    );
    let answered = folded(asked, &StreamResponse::Message(user("u2")));
    assert_eq!(answered.history, [user("u1"), agent("m1"), user("u2")]);
    let again = folded(answered.clone(), &StreamResponse::Message(user("u2")));
    assert_eq!(again, answered);
}

#[test]
fn a_context_is_taken_where_there_is_none_and_kept_where_there_is() {
    let mut task = submitted();
    let event = status_event(status(TaskState::Working, None));
    task.context_id.clear();
    assert_eq!(folded(task.clone(), &event).context_id, "c");
    task.context_id = "mine".to_owned();
    assert_eq!(folded(task, &event).context_id, "mine");
}

#[test]
fn history_length_keeps_the_newest() {
    let messages = [user("u1"), agent("m1"), user("u2")];
    for (length, kept) in [
        (None, &messages[..]),
        (Some(0), &[]),
        (Some(2), &messages[1..]),
        (Some(3), &messages[..]),
        (Some(u32::MAX), &messages[..]),
    ] {
        let mut task = task(TaskStatus::default(), &messages);
        trim_history(&mut task, length);
        assert_eq!(task.history, kept);
    }
}
