//! PraisonAI's parts, from and to those of 0.3, in place.

use serde_json::{Value, json};

use crate::a2a::Object;
use crate::a2a::dialect::kept;

/// Their member for the content, with that of a file in 0.3. Bytes before a link, as in 0.3.
const FILES: [(&str, &str); 2] = [("fileWithBytes", "bytes"), ("fileWithUri", "uri")];
/// Their other members, with those of a file in 0.3.
const NAMES: [(&str, &str); 2] = [("name", "name"), ("mediaType", "mimeType")];
/// What marks a link that was bytes.
const BYTES: &str = "bytes";
/// The media type of bytes of which nobody says what they are.
const UNKNOWN_BYTES: &str = "application/octet-stream";

/// From 0.3's part.
pub(super) fn down(part: &mut Object) {
    match part.get("kind").and_then(Value::as_str) {
        // Only where the content says the same.
        Some(kind @ ("text" | "data")) if part.contains_key(kind) => {
            part.shift_remove("kind");
        }
        Some("file") => file_down(part),
        // A kind of somebody's own.
        _ => {}
    }
}

fn file_down(part: &mut Object) {
    let Some(Value::Object(file)) = part.get_mut("file") else {
        return;
    };
    let Some((theirs, ours)) = FILES
        .into_iter()
        .find(|(_, ours)| file.get(*ours).is_some_and(Value::is_string))
    else {
        return;
    };
    let mut moved = Object::new();
    for (theirs, ours) in std::iter::once((theirs, ours)).chain(NAMES) {
        if let Some(value) = file.shift_remove(ours) {
            moved.insert(theirs.to_owned(), value);
        }
    }
    if file.is_empty() {
        part.shift_remove("file");
    }
    part.shift_remove("kind");
    part.extend(moved);
}

/// To 0.3's part, `kind` left out.
pub(super) fn up(part: &mut Object) {
    let Some((theirs, ours)) = FILES
        .into_iter()
        .find(|(theirs, _)| part.get(*theirs).is_some_and(Value::is_string))
    else {
        return;
    };
    // In 0.3 a part that says its kind is read as that kind alone.
    if part
        .get("kind")
        .is_some_and(|kind| kind == "text" || kind == "data")
    {
        return;
    }
    let mut file = match part.shift_remove("file") {
        Some(Value::Object(file)) => file,
        _ => Object::new(),
    };
    for (theirs, ours) in std::iter::once((theirs, ours)).chain(NAMES) {
        if let Some(value) = part.shift_remove(theirs) {
            file.insert(ours.to_owned(), value);
        }
    }
    if let Some(Value::Bool(true)) = kept::take_one(part, BYTES)
        && let Some((_, bytes)) = file
            .get("uri")
            .and_then(Value::as_str)
            .and_then(|link| link.split_once(";base64,"))
    {
        let bytes = json!(bytes);
        file.shift_remove("uri");
        file.insert("bytes".to_owned(), bytes);
    }
    part.insert("file".to_owned(), Value::Object(file));
}

/// Makes bytes a link: out of a message its server takes links alone.
pub(super) fn link_bytes(part: &mut Object) {
    if part.contains_key("fileWithUri") {
        return;
    }
    let Some(Value::String(bytes)) = part.shift_remove("fileWithBytes") else {
        return;
    };
    let media_type = part
        .get("mediaType")
        .and_then(Value::as_str)
        .unwrap_or(UNKNOWN_BYTES);
    let link = format!("data:{media_type};base64,{bytes}");
    part.insert("fileWithUri".to_owned(), Value::String(link));
    kept::keep_one(part, BYTES, Value::Bool(true));
}
