//! Who speaks: the order in which the forms are asked whether a call or a card is theirs.
//!
//! Systems that took their own way from a version look much like it, so they are asked before it. What neither a call nor a
//! card tells, the configuration can say.

use http::HeaderMap;

use super::{Dialect, Version, jsonrpc, python_a2a};
use crate::a2a::{Object, Operation};

/// What a call over JSON-RPC shows of who made it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The path that it was posted to.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its method.
    pub method: &'a str,
    /// Its parameters, unread.
    pub params: &'a [u8],
    /// Whether its id is `null`, which is no id.
    pub null_id: bool,
}

/// Which dialect a call over JSON-RPC is in, and what it asks for. None: the method is nobody's here.
#[must_use]
pub fn of_call(seen: &Seen<'_>) -> Option<(Dialect, Operation)> {
    let (version, operation) = jsonrpc::classify(seen.method)?;
    Some((Dialect::jsonrpc(version), operation))
}

/// Which system a card is of, where it is none of the versions' own.
#[must_use]
pub fn of_card(card: &Object) -> Option<Version> {
    // A card that lists its interfaces, as a sidecar's in front of such a worker does, means them.
    if card.contains_key("supportedInterfaces") {
        return None;
    }
    python_a2a::is_card(card).then_some(Version::PythonA2a)
}
