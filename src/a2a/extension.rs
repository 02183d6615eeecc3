//! Extensions of the protocol that the sidecar offers to requesters by itself (specification §4.6), and how a requester
//! asks for one: by its URI in the service parameter `A2A-Extensions` (`X-A2A-Extensions` in 0.3).
//!
//! There are two. One, **callbacks**, has a module of its own ([`super::callback`]). The other is **generations**, which
//! A2A 1.1 brings as members of its own, for versions before that. A task's generation rises with every change; events
//! carry that which they led to, and a requester that has seen one can ask for the task as soon as it is newer. What 1.0
//! has no members for goes into `metadata`, so that every binding and every client can carry it; a number alone does not
//! tell one life of a task from another, so the epoch goes with it.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::fields::Fault;
use super::request::GetTaskRequest;
use super::{Object, StreamResponse, Task, Version, callback};

/// The URI of the extension.
pub const GENERATION: &str = "urn:a2a-sidecar:generation:v1";

/// What the card says of it.
pub const GENERATION_DESCRIPTION: &str =
    "Generation numbers on tasks and events, and GetTask that waits for a newer one.";

/// The keys in `metadata`.
const NUMBER_KEY: &str = "urn:a2a-sidecar:generation:v1/generation";
const EPOCH_KEY: &str = "urn:a2a-sidecar:generation:v1/epoch";

/// The service parameter (§3.2.6), by its name in 1.0 and before.
pub const HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("a2a-extensions"),
    HeaderName::from_static("x-a2a-extensions"),
];

/// The name of the service parameter in this version.
#[must_use]
pub fn header(version: Version) -> HeaderName {
    let [new, old] = HEADERS;
    if version.is_v0() { old } else { new }
}

fn uris(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    HEADERS
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Whether a requester asks for generations.
#[must_use]
pub fn asks_for_generations(headers: &HeaderMap) -> bool {
    uris(headers).any(|uri| uri == GENERATION)
}

/// Whether a requester asks for callbacks.
#[must_use]
pub fn asks_for_callbacks(headers: &HeaderMap) -> bool {
    uris(headers).any(|uri| uri == callback::EXTENSION)
}

fn is_own(uri: &str) -> bool {
    uri == GENERATION || uri == callback::EXTENSION
}

/// Takes the sidecar's own extensions out of what goes on to a worker. Another sidecar there would else number the tasks as
/// well, and each of its numbers would be news; and it would call back too.
pub fn remove_own(headers: &mut HeaderMap) {
    if !uris(headers).any(is_own) {
        return;
    }
    for name in HEADERS {
        let others: Vec<HeaderValue> = headers
            .get_all(&name)
            .iter()
            .filter_map(|value| {
                let Ok(text) = value.to_str() else {
                    return Some(value.clone());
                };
                let kept: Vec<&str> = text
                    .split(',')
                    .map(str::trim)
                    .filter(|uri| !uri.is_empty() && !is_own(uri))
                    .collect();
                HeaderValue::from_str(&kept.join(", "))
                    .ok()
                    .filter(|kept| !kept.is_empty())
            })
            .collect();
        headers.remove(&name);
        for value in others {
            headers.append(name.clone(), value);
        }
    }
}

/// Gives the header the one name that it has in this version; the one of 1.0 counts where both are there.
pub fn rename(headers: &mut HeaderMap, version: Version) {
    let mut names = HEADERS.into_iter();
    let Some(found) = names.find(|name| headers.contains_key(name)) else {
        return;
    };
    let lines: Vec<HeaderValue> = headers.get_all(found).iter().cloned().collect();
    for name in &HEADERS {
        headers.remove(name);
    }
    for line in lines {
        headers.append(header(version), line);
    }
}

/// The extensions that are active: the worker's word, and the sidecar's own.
#[must_use]
pub fn with_own(workers: Option<&HeaderValue>) -> HeaderValue {
    workers
        .and_then(|value| value.to_str().ok())
        .and_then(|value| HeaderValue::from_str(&format!("{value}, {GENERATION}")).ok())
        .unwrap_or_else(|| HeaderValue::from_static(GENERATION))
}

/// A task's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Which life of the task.
    pub epoch: u64,
    /// The number.
    pub number: u64,
}

impl Generation {
    /// Notes it in a task.
    pub fn stamp_task(self, task: &mut Task) {
        self.note(task.metadata.get_or_insert_default());
    }

    /// Notes it in an event. A message belongs to no generation.
    pub fn stamp(self, event: &mut StreamResponse) {
        match event {
            StreamResponse::Task(task) => self.stamp_task(task),
            StreamResponse::StatusUpdate(update) => {
                self.note(update.metadata.get_or_insert_default());
            }
            StreamResponse::ArtifactUpdate(update) => {
                self.note(update.metadata.get_or_insert_default());
            }
            StreamResponse::Message(_) => {}
        }
    }

    fn note(self, metadata: &mut Object) {
        metadata.insert(NUMBER_KEY.to_owned(), self.number.into());
        metadata.insert(EPOCH_KEY.to_owned(), format!("{:016x}", self.epoch).into());
    }
}

/// The generation that a requester has: the task is to be answered when it is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which life of the task, if it says so.
    pub epoch: Option<u64>,
    /// The number.
    pub number: u64,
}

impl Known {
    /// Reads `currentGeneration` and `currentEpoch` of a GetTask.
    ///
    /// # Errors
    /// When one of them has the wrong form.
    pub fn of(get: &GetTaskRequest) -> Result<Option<Known>, Fault> {
        let member = |name: &str, alias: &str| {
            let value = get.extra.get(name).or_else(|| get.extra.get(alias));
            value.filter(|value| !value.is_null())
        };
        let number = match member("currentGeneration", "current_generation") {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            // As ProtoJSON writes numbers of 64 bits.
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        }
        .ok_or_else(|| Fault::new("currentGeneration", "must be a whole number of at least 0"))?;
        let epoch = member("currentEpoch", "current_epoch")
            .map(|epoch| {
                // A query does not say that it is a text.
                let text = match epoch {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                u64::from_str_radix(&text, 16).map_err(|_| {
                    Fault::new("currentEpoch", "must be the epoch of an earlier answer")
                })
            })
            .transpose()?;
        Ok(Some(Known { epoch, number }))
    }

    /// Whether a requester that has this is to wait for what comes after `now`. One that has a later number, or one of
    /// another life of the task, has something else.
    #[must_use]
    pub fn waits_at(self, now: Generation) -> bool {
        self.number == now.number && self.epoch.is_none_or(|epoch| epoch == now.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn it_is_asked_for_by_either_header_among_others() {
        for (asked, expected) in [
            (headers(&[("a2a-extensions", GENERATION)]), true),
            (
                headers(&[("x-a2a-extensions", &format!("urn:a,{GENERATION} ,urn:b"))]),
                true,
            ),
            (
                headers(&[("a2a-extensions", "urn:a"), ("a2a-extensions", GENERATION)]),
                true,
            ),
            (
                headers(&[("a2a-extensions", "urn:a2a-sidecar:generation")]),
                false,
            ),
            (headers(&[]), false),
        ] {
            assert_eq!(asks_for_generations(&asked), expected, "{asked:?}");
        }
    }

    #[test]
    fn a_worker_is_asked_for_the_others_only() {
        let mut asked = headers(&[
            ("a2a-extensions", &format!("urn:a, {GENERATION}, urn:b")),
            ("a2a-extensions", GENERATION),
            ("a2a-extensions", "urn:c"),
            ("authorization", "x"),
        ]);
        remove_own(&mut asked);
        let left = headers(&[
            ("a2a-extensions", "urn:a, urn:b"),
            ("a2a-extensions", "urn:c"),
            ("authorization", "x"),
        ]);
        assert_eq!(asked, left);
        let mut none = headers(&[
            ("x-a2a-extensions", GENERATION),
            ("a2a-extensions", callback::EXTENSION),
        ]);
        remove_own(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn the_header_has_one_name_in_each_version_and_keeps_its_lines() {
        let asked = headers(&[("a2a-extensions", "urn:a"), ("a2a-extensions", "urn:b")]);
        let old = headers(&[("x-a2a-extensions", "urn:a"), ("x-a2a-extensions", "urn:b")]);
        let renamed = |headers: &HeaderMap, version| {
            let mut headers = headers.clone();
            rename(&mut headers, version);
            headers
        };
        assert_eq!(renamed(&asked, Version::V0_3), old);
        assert_eq!(renamed(&old, Version::V1_0), asked);
        assert_eq!(renamed(&asked, Version::V1_0), asked);
        let both = headers(&[("x-a2a-extensions", "urn:c"), ("a2a-extensions", "urn:a")]);
        let one = headers(&[("x-a2a-extensions", "urn:a")]);
        assert_eq!(renamed(&both, Version::V0_2), one);
        assert!(renamed(&headers(&[]), Version::V1_0).is_empty());
    }

    #[test]
    fn what_a_requester_has_is_read_and_compared() {
        let known = |params: Value| {
            let get: GetTaskRequest = serde_json::from_value(params).unwrap();
            Known::of(&get).map_err(|fault| fault.path)
        };
        assert_eq!(known(json!({"id": "t"})), Ok(None));
        let five = Known {
            epoch: None,
            number: 5,
        };
        let in_this_life = Known {
            epoch: Some(0xfeed),
            ..five
        };
        assert_eq!(
            known(json!({"id": "t", "currentGeneration": 5})),
            Ok(Some(five))
        );
        assert_eq!(
            known(
                json!({"id": "t", "current_generation": "5", "currentEpoch": "000000000000feed"})
            ),
            Ok(Some(in_this_life))
        );
        for (member, value) in [
            ("currentGeneration", json!(-1)),
            ("currentGeneration", json!("new")),
            ("currentGeneration", json!([])),
        ] {
            assert_eq!(
                known(json!({"id": "t", member: value})),
                Err(member.to_owned())
            );
        }
        let epoch = json!({"id": "t", "currentGeneration": 1, "currentEpoch": "yesterday"});
        assert_eq!(known(epoch), Err("currentEpoch".to_owned()));

        let now = |epoch, number| Generation { epoch, number };
        assert!(five.waits_at(now(1, 5)));
        assert!(!five.waits_at(now(1, 6)), "newer already");
        assert!(!five.waits_at(now(1, 4)), "the number is of another life");
        assert!(in_this_life.waits_at(now(0xfeed, 5)));
        assert!(!in_this_life.waits_at(now(1, 5)));
    }
}
