//! What a form has no place for, in the metadata of the object that it belongs to.

use serde_json::Value;

use crate::a2a::Object;
use crate::a2a::dialect::v0::KEPT;

/// Keeps these members in the object's metadata; none leave it as it is.
pub(in crate::a2a::dialect) fn keep(object: &mut Object, key: &str, members: Object) {
    if members.is_empty() {
        return;
    }
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Object::new()));
    if let Value::Object(metadata) = metadata {
        let kept = metadata
            .entry(key)
            .or_insert_with(|| Value::Object(Object::new()));
        if let Value::Object(kept) = kept {
            kept.extend(members);
        }
    }
}

/// Moves these members out of the object, to be kept.
pub(in crate::a2a::dialect) fn move_kept(object: &mut Object, names: &[&str]) {
    let members = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), object.remove(*name)?)))
        .collect();
    keep(object, KEPT, members);
}

/// Takes out what was kept; empty where nothing was. A metadata that held nothing else goes with it.
pub(in crate::a2a::dialect) fn take(object: &mut Object, key: &str) -> Object {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return Object::new();
    };
    match metadata.remove(key) {
        Some(Value::Object(kept)) => {
            if metadata.is_empty() {
                object.remove("metadata");
            }
            kept
        }
        // Somebody else's, by chance of the same name.
        Some(other) => {
            metadata.insert(key.to_owned(), other);
            Object::new()
        }
        None => Object::new(),
    }
}

/// Puts kept members back, but for those whose place is taken.
pub(in crate::a2a::dialect) fn restore(object: &mut Object, kept: Object) {
    for (name, value) in kept {
        object.entry(name).or_insert(value);
    }
}
