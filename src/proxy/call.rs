//! What a request is, once it has been read: after this no code sees a method's name or a path's meaning.

use bytes::Bytes;
use http::request::Parts;
use serde_json::value::RawValue;

use super::record::Note;
use crate::a2a::{Dialect, Operation, Version};
use crate::wire::Body;

/// A request and what it is.
pub struct Classified {
    /// The request's head.
    pub parts: Parts,
    /// What it is.
    pub call: Call,
    /// The body. Empty where `call` holds it.
    pub body: Body,
    /// For what the services below find out about it.
    pub note: Note,
}

/// What a request is.
#[derive(Debug)]
pub enum Call {
    /// An operation of the protocol.
    A2a(A2aCall),
    /// A request for the agent card.
    Card {
        /// The version that only asks by this path, or that the request names.
        version: Option<Version>,
    },
    /// A request for the extended card by the path of 0.2; later versions have a method for it.
    ExtendedCard,
    /// A worker's webhook for the sidecar itself.
    Webhook {
        /// The token in its address.
        token: String,
        /// The body.
        body: Bytes,
    },
    /// Anything else: it passes.
    Other,
}

/// An operation in a dialect.
#[derive(Debug)]
pub struct A2aCall {
    /// The requester's dialect.
    pub dialect: Dialect,
    /// What it asks for.
    pub operation: Operation,
    /// The JSON-RPC id, echoed as it came.
    pub id: Option<Box<RawValue>>,
    /// The whole body as it came, for passing.
    pub body: Bytes,
    /// The parameters in it.
    pub params: Bytes,
}

impl Call {
    /// The operation's name, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Call::A2a(call) => call.operation.name(),
            Call::Card { .. } => "AgentCard",
            Call::ExtendedCard => Operation::GetExtendedAgentCard.name(),
            Call::Webhook { .. } => "Webhook",
            Call::Other => "Other",
        }
    }

    /// The dialect's name, for logs and metrics.
    #[must_use]
    pub fn dialect_name(&self) -> &'static str {
        match self {
            Call::A2a(call) => call.dialect.name(),
            Call::Card { .. } | Call::ExtendedCard | Call::Webhook { .. } | Call::Other => "http",
        }
    }
}
