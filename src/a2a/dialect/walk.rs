//! Going through the JSON of a task, message or update in place. Knows no dialect.

use serde_json::Value;

use super::kept;
use super::shape::Shape;
use crate::a2a::{Object, TaskState};

/// The `status` of a task or status update.
pub(super) fn status(object: &mut Object) -> Option<&mut Object> {
    object.get_mut("status")?.as_object_mut()
}

/// Writes the state of a task or status update by this name; gives the status and its state, for what else there is to do.
pub(super) fn lower_state(
    object: &mut Object,
    name: fn(TaskState) -> &'static str,
) -> Option<(&mut Object, TaskState)> {
    let status = status(object)?;
    let state = status
        .get("state")
        .and_then(TaskState::from_value)
        .unwrap_or_default();
    status.insert("state".to_owned(), Value::from(name(state)));
    Some((status, state))
}

/// Every message in an object of this shape, itself included where it is one.
pub(super) fn messages(shape: Shape, object: &mut Object, change: &mut dyn FnMut(&mut Object)) {
    if shape == Shape::Message {
        return change(object);
    }
    if let Some(Value::Object(message)) =
        status(object).and_then(|status| status.get_mut("message"))
    {
        change(message);
    }
    objects(object, "history").for_each(change);
}

/// Every artifact in an object of this shape.
pub(super) fn artifacts(object: &mut Object, change: &mut dyn FnMut(&mut Object)) {
    if let Some(Value::Object(artifact)) = object.get_mut("artifact") {
        change(artifact);
    }
    objects(object, "artifacts").for_each(change);
}

/// Every part of a message or artifact.
pub(super) fn parts(holder: &mut Object, change: &mut dyn FnMut(&mut Object)) {
    objects(holder, "parts").for_each(change);
}

/// The objects in a list.
pub(super) fn objects<'a>(
    object: &'a mut Object,
    name: &str,
) -> impl Iterator<Item = &'a mut Object> {
    object
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Gives a status the state that was kept because the dialect has no name for it.
pub(super) fn restore_state(object: &mut Object) {
    let Some(Value::String(name)) = kept::take_one(object, STATE) else {
        return;
    };
    // Only what `name_state` writes: anything else is a stranger's.
    if TaskState::ALL.into_iter().any(|state| state.name() == name)
        && let Some(status) = status(object)
    {
        status.insert("state".to_owned(), Value::String(name));
    }
}

/// Writes the state of a task or status update the dialect's way. `name`: its name for the state, and whether that is
/// also another state's, so that the right one has to be kept.
pub(super) fn name_state(
    object: &mut Object,
    state: TaskState,
    name: fn(TaskState) -> (&'static str, bool),
) {
    let (name, ambiguous) = name(state);
    if let Some(status) = status(object) {
        status.insert("state".to_owned(), Value::from(name));
    }
    if ambiguous {
        kept::keep_one(object, STATE, Value::from(state.name()));
    }
}

/// What a state is kept as.
const STATE: &str = "state";
