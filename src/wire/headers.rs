//! Headers of HTTP that more than one layer reads. Which headers matter to whom is not said here.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName};

/// The media type of event streams.
pub const EVENT_STREAM: &str = "text/event-stream";

/// What a requester would like (RFC 7240).
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Whether the body is said to be an event stream.
#[must_use]
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .trim_ascii_start()
            .get(..EVENT_STREAM.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM.as_bytes()))
    })
}

/// Whether the body is said to be plain text: a page of the server's own, where an answer in JSON belongs.
#[must_use]
pub fn is_plain_text(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/plain"))
}

/// The elements of a header that is a list (RFC 9110 §5.6.1), over all its lines; lines that are no text are passed over.
pub fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// What the requester prefers (RFC 7240 §2): the names, and their values where they have one, else an empty one. Parameters
/// are left out.
pub fn preferences(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    elements(headers, &PREFER).map(|preference| {
        let preference = preference.split(';').next().unwrap_or_default();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        (name.trim(), value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_event_stream_is_told_by_its_type_whatever_follows() {
        for (value, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            (" text/event-stream", true),
            ("text/event", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers = headers(&[("content-type", value)]);
            assert_eq!(is_event_stream(&headers), expected, "{value}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
    }

    #[test]
    fn preferences_are_read_over_all_lines() {
        let headers = headers(&[
            ("prefer", "respond-async, Wait=\"7\"; x=1"),
            ("accept", "a=b"),
            ("prefer", " handling = lenient,"),
        ]);
        assert_eq!(
            preferences(&headers).collect::<Vec<_>>(),
            [
                ("respond-async", ""),
                ("Wait", "7"),
                ("handling", "lenient"),
                ("", "")
            ]
        );
    }
}
