//! Ids for what 0.1 leaves without: messages and artifacts. They follow from the content or the place, so that the same
//! thing read twice has the same id: snapshots of a task are compared by it.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::a2a::{Artifact, Object};

/// What made-up ids of messages begin with.
const MESSAGE: &str = "message-";
/// What made-up ids of artifacts begin with.
const ARTIFACT: &str = "artifact-";
/// Bytes of the digest in an id: enough that no two messages of a task ever share one.
const DIGEST: usize = 12;
/// The highest index that is read out of an id: a bound for arithmetic, far above what any task has.
const MAX_INDEX: u64 = 1 << 32;

/// The id of a message with this content, which is its `nth` occurrence (from 0) in the list where it stands.
pub(in crate::a2a::dialect) fn message_id(content: &Object, nth: usize) -> String {
    let mut hash = Sha256::new();
    digest_object(content, &mut hash);
    let digest = hash.finalize();
    let mut id = MESSAGE.to_owned();
    for byte in digest.iter().take(DIGEST) {
        id.push_str(&format!("{byte:02x}"));
    }
    if nth > 0 {
        id.push_str(&format!("-{}", nth + 1));
    }
    id
}

/// Whether an id is the made-up one of this content, whichever occurrence.
pub(in crate::a2a::dialect) fn is_message_id(id: &str, content: &Object) -> bool {
    id.starts_with(MESSAGE)
        && id
            .strip_prefix(&message_id(content, 0))
            .is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix('-')
                        .is_some_and(|nth| nth.parse::<usize>().is_ok_and(|nth| nth > 1))
            })
}

/// The id of an artifact with this index.
pub(in crate::a2a::dialect) fn artifact_id(index: u64) -> String {
    format!("{ARTIFACT}{index}")
}

/// The index in a made-up id; `None` for an id that somebody gave.
pub(in crate::a2a::dialect) fn artifact_index(id: &str) -> Option<u64> {
    let index = id.strip_prefix(ARTIFACT)?.parse().ok()?;
    // Only the spelling that `artifact_id` gives: `artifact-07` is somebody's own.
    (index < MAX_INDEX && artifact_id(index) == id).then_some(index)
}

/// The index of each artifact of a task: that in its id, or else its place, or the next one that is free. An artifact's
/// index does not change when others come after it.
pub(in crate::a2a::dialect) fn indices(artifacts: &[Artifact]) -> Vec<u64> {
    let mut taken = Vec::with_capacity(artifacts.len());
    for (place, artifact) in (0..).zip(artifacts) {
        let mut index = artifact_index(&artifact.artifact_id)
            .filter(|index| !taken.contains(index))
            .unwrap_or(place);
        while taken.contains(&index) {
            index += 1;
        }
        taken.push(index);
    }
    taken
}

/// Members in the order of their names: the order on the wire means nothing.
fn digest_object(object: &Object, hash: &mut Sha256) {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    hash.update(b"{");
    for (name, value) in members {
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        digest(value, hash);
    }
    hash.update(b"}");
}

fn digest(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(object) => digest_object(object, hash),
        Value::Array(values) => {
            hash.update(b"[");
            for value in values {
                digest(value, hash);
            }
            hash.update(b"]");
        }
        other => {
            let text = other.to_string();
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_message_has_the_same_id_however_its_members_are_ordered() {
        let one = object(json!({"role": "agent", "parts": [{"type": "text", "text": "a"}]}));
        let two = object(json!({"parts": [{"text": "a", "type": "text"}], "role": "agent"}));
        assert_eq!(message_id(&one, 0), message_id(&two, 0));
        let other = object(json!({"role": "agent", "parts": [{"type": "text", "text": "b"}]}));
        assert_ne!(message_id(&one, 0), message_id(&other, 0));
        assert_ne!(message_id(&one, 0), message_id(&one, 1));
        assert!(is_message_id(&message_id(&one, 3), &two));
        assert!(!is_message_id(&message_id(&one, 0), &other));
        assert!(!is_message_id("m-1", &one));
    }

    #[test]
    fn an_artifact_s_index_stays_when_others_follow() {
        let artifact = |id: &str| Artifact {
            artifact_id: id.to_owned(),
            ..Artifact::default()
        };
        let all = ["artifact-1", "report", "artifact-2", "artifact-07"].map(artifact);
        assert_eq!(indices(&all), [1, 2, 3, 4]);
        for end in 0..all.len() {
            assert_eq!(indices(&all[..end]), indices(&all)[..end]);
        }
        assert_eq!(artifact_index("artifact-07"), None);
        assert_eq!(artifact_index("artifact-7"), Some(7));
        assert_eq!(artifact_index(&format!("artifact-{}", u64::MAX)), None);
    }
}
