//! Going through the JSON of a task, message or update in place, and the place where the dialects of single systems
//! keep what their form has no room for. Knows no dialect.
//!
//! What is kept lies in the `metadata` of the task, message, artifact, update or part that it belongs to, under
//! [`KEPT`]: every system passes `metadata` on, few pass members on that they do not know.

use serde_json::{Value, json};

use super::shape::Shape;
use super::v0::KEPT;
use crate::a2a::{Object, TaskState};

/// The `status` of a task or status update.
pub(super) fn status(object: &mut Object) -> Option<&mut Object> {
    object.get_mut("status")?.as_object_mut()
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

/// Keeps a value beside the object.
pub(super) fn keep(object: &mut Object, name: &str, value: Value) {
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    // Metadata of another form is somebody's mistake, and not ours to mend.
    if let Value::Object(metadata) = metadata
        && let Value::Object(kept) = metadata.entry(KEPT).or_insert_with(|| json!({}))
    {
        kept.insert(name.to_owned(), value);
    }
}

/// Takes back what [`keep`] has put there; metadata that holds nothing else goes with it.
pub(super) fn take_kept(object: &mut Object, name: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let kept = metadata.get_mut(KEPT)?.as_object_mut()?;
    let value = kept.shift_remove(name)?;
    if kept.is_empty() {
        metadata.shift_remove(KEPT);
    }
    if metadata.is_empty() {
        object.shift_remove("metadata");
    }
    Some(value)
}

/// Gives a status the state that was kept because the dialect has no name for it.
pub(super) fn restore_state(object: &mut Object) {
    let Some(Value::String(name)) = take_kept(object, STATE) else {
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
        keep(object, STATE, Value::from(state.name()));
    }
}

/// What a state is kept as.
const STATE: &str = "state";
