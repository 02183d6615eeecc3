//! What a form has no place for, in the `metadata` of the task, message, artifact, update or part that it belongs to: every
//! system passes `metadata` on, few pass members on that they do not know. Knows no dialect.
//!
//! `key` is the member of the metadata under which it lies, mostly [`KEPT`].

use serde_json::{Value, json};

use super::v0::KEPT;
use crate::a2a::Object;

/// The object in the metadata in which is kept, made where there is none. None where somebody has something else there,
/// which is not ours to mend.
pub(super) fn place<'a>(object: &'a mut Object, key: &str) -> Option<&'a mut Object> {
    object
        .entry("metadata")
        .or_insert_with(|| json!({}))
        .as_object_mut()?
        .entry(key)
        .or_insert_with(|| json!({}))
        .as_object_mut()
}

/// Keeps these members; none leave the object as it is.
pub(super) fn keep(object: &mut Object, key: &str, members: Object) {
    if !members.is_empty()
        && let Some(kept) = place(object, key)
    {
        kept.extend(members);
    }
}

/// Keeps one value under [`KEPT`].
pub(super) fn keep_one(object: &mut Object, name: &str, value: Value) {
    if let Some(kept) = place(object, KEPT) {
        kept.insert(name.to_owned(), value);
    }
}

/// Moves these members out of the object, to be kept under [`KEPT`].
pub(super) fn move_kept(object: &mut Object, names: &[&str]) {
    let members = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), object.remove(*name)?)))
        .collect();
    keep(object, KEPT, members);
}

/// Takes out what was kept; empty where nothing was. Metadata that holds nothing else goes with it.
pub(super) fn take(object: &mut Object, key: &str) -> Object {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return Object::new();
    };
    // What is no object is somebody else's, by chance of the same name.
    let Some(Value::Object(kept)) = metadata.get_mut(key) else {
        return Object::new();
    };
    let kept = std::mem::take(kept);
    metadata.shift_remove(key);
    if metadata.is_empty() {
        object.shift_remove("metadata");
    }
    kept
}

/// Takes back what [`keep_one`] has kept; what was kept beside it stays.
pub(super) fn take_one(object: &mut Object, name: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let kept = metadata.get_mut(KEPT)?.as_object_mut()?;
    let value = kept.shift_remove(name)?;
    if kept.is_empty() {
        take(object, KEPT);
    }
    Some(value)
}

/// Puts kept members back, but for those whose place is taken.
pub(super) fn restore(object: &mut Object, kept: Object) {
    for (name, value) in kept {
        object.entry(name).or_insert(value);
    }
}
