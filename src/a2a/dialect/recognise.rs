//! Who speaks: the order in which the forms are asked whether a call or a card is theirs.
//!
//! Systems that took their own way from a version look much like it, so they are asked before it. What neither a call nor a
//! card tells, the configuration can say.

use http::HeaderMap;

use super::{Binding, Dialect, Version, fasta2a, jsonrpc, praisonai, python_a2a};
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
    if let Some(operation) = praisonai::is_request(seen.path, seen.method, seen.params) {
        return Some((Dialect::jsonrpc(Version::PraisonAi), operation));
    }
    if let Some(operation) = fasta2a::is_request(seen.method, seen.params) {
        return Some((Dialect::jsonrpc(Version::FastA2a), operation));
    }
    let (version, operation) = jsonrpc::classify(seen.method)?;
    let version = match version {
        // Nobody else expects an answer to a call without an id.
        Version::V0_3 if seen.null_id && names_a_task_only(operation) => Version::FastA2a,
        version => version,
    };
    Some((Dialect::jsonrpc(version), operation))
}

/// The dialect of a call that came in `called`, once it is known which task it names: one that was sent in `sent`, or
/// that is the worker's own and therefore most likely in its dialect. A call that names nothing else looks the same in
/// all forms that have the method names of 0.2; the answers differ.
#[must_use]
pub fn by_task(called: Dialect, operation: Operation, sent: Dialect) -> Dialect {
    let old_names = |dialect: Dialect| {
        dialect.binding == Binding::JsonRpc
            && matches!(
                dialect.version,
                Version::V0_1
                    | Version::V0_2
                    | Version::V0_3
                    | Version::PraisonAi
                    | Version::FastA2a
                    | Version::FastA2aV0
            )
    };
    if !names_a_task_only(operation) || !old_names(called) || !old_names(sent) {
        return called;
    }
    match (called.version, sent.version) {
        // Told by its missing id: of the two that leave it out, that of 0.3's objects.
        (Version::FastA2a, Version::V0_2 | Version::V0_3 | Version::FastA2aV0) => {
            Dialect::jsonrpc(Version::FastA2aV0)
        }
        (Version::V0_2 | Version::V0_3, Version::V0_1 | Version::PraisonAi | Version::FastA2a) => {
            sent
        }
        _ => called,
    }
}

fn names_a_task_only(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::GetTask | Operation::CancelTask | Operation::SubscribeToTask
    )
}

/// Which system a card is of, where it is none of the versions' own.
#[must_use]
pub fn of_card(card: &Object) -> Option<Version> {
    // A card that lists its interfaces, as a sidecar's in front of such a worker does, means them.
    if card.contains_key("supportedInterfaces") {
        return None;
    }
    if python_a2a::is_card(card) {
        return Some(Version::PythonA2a);
    }
    if praisonai::is_card(card) {
        return Some(Version::PraisonAi);
    }
    fasta2a::is_card_of_v0(card).then_some(Version::FastA2aV0)
}

#[cfg(test)]
#[path = "recognise_tests.rs"]
mod tests;
