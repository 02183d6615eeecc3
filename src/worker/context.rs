//! Who a call is made for: the headers that go along with it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use crate::a2a::extension;

/// The headers that go along with calls to the worker: the requester's own for its own calls, and of those the
/// credentials and service parameters for what the sidecar does for it later. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct CallContext {
    headers: HeaderMap,
}

impl std::fmt::Debug for CallContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.headers.keys()).finish()
    }
}

/// Whether a header belongs to one connection and not to the request (RFC 9110 §7.6.1).
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Headers that describe the requester's body or its way of reading the answer, neither of which the worker sees.
fn is_about_this_exchange(name: &HeaderName) -> bool {
    // Those of gRPC: timeouts, which are the requester's and not the task's, and compressions.
    name.as_str().starts_with("grpc-")
        || matches!(
            name.as_str(),
            "host"
                | "content-length"
                | "content-type"
                | "content-encoding"
                | "accept"
                | "accept-encoding"
                | "cache-control"
                | "expect"
                | "last-event-id"
                | "prefer"
                | "a2a-version"
                | "x-request-id"
        )
}

impl CallContext {
    /// For a call of the requester's own: everything that it sent and that is not about this one exchange.
    #[must_use]
    pub fn of_request(parts: &Parts) -> Self {
        let mut headers = parts
            .headers
            .iter()
            .filter(|(name, _)| !is_hop_by_hop(name) && !is_about_this_exchange(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        extension::remove_own(&mut headers);
        Self { headers }
    }

    /// What the sidecar keeps of it for calls of its own: credentials, and the service parameters (§3.2.6) without which
    /// a worker that requires an extension would refuse.
    #[must_use]
    pub fn for_later(&self, identity: &[HeaderName]) -> Self {
        let headers = self
            .headers
            .iter()
            .filter(|(name, _)| {
                **name == header::AUTHORIZATION
                    || **name == header::COOKIE
                    || name.as_str().starts_with("a2a-")
                    || name.as_str() == "x-a2a-extensions"
                    || identity.contains(name)
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self { headers }
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// As bytes, to be sealed: pairs of lines.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in &self.headers {
            // A header's value holds no line feed, so one ends it.
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.push(b'\n');
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    /// Reads what [`CallContext::to_bytes`] wrote; what cannot be read is left out.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut headers = HeaderMap::new();
        let mut lines = bytes.split(|byte| *byte == b'\n');
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            if let (Ok(name), Ok(mut value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        Self { headers }
    }
}
