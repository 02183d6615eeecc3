//! What a worker's card lacks of what requesters insist on: filled in with what it means to leave it out.
//!
//! The specification requires these members (§4.4.1), the official SDKs refuse a card without them, and some systems write
//! cards without. What a card has is left as it is.

use serde_json::{Value, json};

use crate::a2a::Object;

/// The media type of those that name none: every agent can be spoken to in words.
const WORDS: &str = "text/plain";

/// Completes a card. `for_all`: for requesters of any kind, of which some want more of a skill than the specification
/// (fasta2a's client).
pub(super) fn card(card: &mut Object, for_all: bool) {
    for name in ["name", "description", "version"] {
        fill(card, name, || json!(""));
    }
    for name in MODES {
        fill(card, name, || json!([WORDS]));
    }
    fill(card, "skills", || json!([]));
    provider(card);
    if for_all {
        skills(card);
    }
}

/// What a card says of all skills, and a skill of itself.
const MODES: [&str; 2] = ["defaultInputModes", "defaultOutputModes"];
const SKILL_MODES: [&str; 2] = ["inputModes", "outputModes"];

fn skills(card: &mut Object) {
    let modes = MODES.map(|name| card.get(name).cloned());
    let skills = card.get_mut("skills").and_then(Value::as_array_mut);
    for skill in skills
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        for name in ["id", "name", "description"] {
            fill(skill, name, || json!(""));
        }
        fill(skill, "tags", || json!([]));
        for (name, modes) in SKILL_MODES.into_iter().zip(&modes) {
            if let Some(modes) = modes {
                fill(skill, name, || modes.clone());
            }
        }
    }
}

/// Whose it is: an organization with an address, or nothing.
fn provider(card: &mut Object) {
    let Some(Value::Object(provider)) = card.get_mut("provider") else {
        return;
    };
    let name = provider.get("name").and_then(Value::as_str);
    if !provider.contains_key("organization") {
        let Some(name) = name.map(str::to_owned) else {
            card.shift_remove("provider");
            return;
        };
        provider.insert("organization".to_owned(), Value::String(name));
    }
    fill(provider, "url", || json!(""));
}

/// A member that is not there, or `null`, which most readers take for the same and some refuse.
fn fill(object: &mut Object, name: &str, value: impl FnOnce() -> Value) {
    if object.get(name).is_none_or(Value::is_null) {
        object.insert(name.to_owned(), value());
    }
}
