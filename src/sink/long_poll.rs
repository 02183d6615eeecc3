//! The long-poll sink: GetTask with `Prefer: wait=N` (RFC 7240 §4.3) answers as soon as something changes.

use std::time::Duration;

use http::HeaderMap;
use http::header::IF_NONE_MATCH;

use super::render::EventId;
use crate::hub::Follow;
use crate::store::StoreError;
use crate::wire::headers::{elements, preferences};

/// How long the requester would wait, bounded.
#[must_use]
pub fn preferred_wait(headers: &HeaderMap, max: Duration) -> Option<Duration> {
    preferences(headers)
        .filter(|(name, _)| name.eq_ignore_ascii_case("wait"))
        .find_map(|(_, seconds)| seconds.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(max))
        .filter(|wait| !wait.is_zero())
}

/// The state that the requester has already (`If-None-Match` with the `ETag` of an earlier answer).
#[must_use]
pub fn known_state(headers: &HeaderMap) -> Option<EventId> {
    let value = headers.get(IF_NONE_MATCH)?.to_str().ok()?;
    EventId::parse(value.trim().trim_start_matches("W/").trim_matches('"'))
}

/// Whether the requester has this state already: `If-None-Match` names it, alone or among others (RFC 9110 §13.1.2).
#[must_use]
pub fn has_state(headers: &HeaderMap, state: EventId) -> bool {
    elements(headers, &IF_NONE_MATCH).any(|tag| {
        let id = tag.trim_start_matches("W/").trim_matches('"');
        tag == "*" || EventId::parse(id) == Some(state)
    })
}

/// Waits until there is an event after the follower's cursor, at most `wait`; whether there is.
///
/// # Errors
/// The store's own.
pub async fn changed(follow: &mut Follow, wait: Duration) -> Result<bool, StoreError> {
    match tokio::time::timeout(wait, follow.next()).await {
        Ok(next) => next.map(|_| true),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefer(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", value.parse().unwrap());
        preferred_wait(&headers, Duration::from_secs(60)).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_state_is_found_among_the_tags_of_a_requester() {
        let state = EventId {
            epoch: 1,
            seq: crate::task::Seq(2),
        };
        let other = EventId { epoch: 2, ..state };
        let has = |value: String| {
            let mut headers = HeaderMap::new();
            headers.insert("if-none-match", value.parse().unwrap());
            has_state(&headers, state)
        };
        assert!(has(format!("\"{state}\"")));
        assert!(has(format!("\"x\", W/\"{state}\"")));
        assert!(has("*".to_owned()));
        assert!(!has(format!("\"{other}\"")));
        assert!(!has_state(&HeaderMap::new(), state));
    }

    #[test]
    fn the_wait_is_read_among_other_preferences_and_bounded() {
        assert_eq!(prefer("wait=10"), Some(10));
        assert_eq!(prefer("respond-async, Wait=\"7\"; x=1"), Some(7));
        assert_eq!(prefer("wait=100000"), Some(60));
        assert_eq!(prefer("wait=0"), None);
        assert_eq!(prefer("wait=soon"), None);
        assert_eq!(prefer("handling=lenient"), None);
    }
}
