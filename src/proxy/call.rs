//! What a request is, once it has been read: after this no code sees a method's name or a path's meaning.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

use super::note::Note;
use crate::a2a::dialect::recognise;
use crate::a2a::{A2aError, Dialect, Object, Operation, Request, Version};
use crate::sink::render::Renderer;
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

impl Classified {
    /// One whose body is in the call, or has been read.
    #[inline]
    #[must_use]
    pub fn whole(parts: Parts, call: Call) -> Self {
        Self::new(parts, call, Body::empty())
    }

    /// A request that nothing is known about yet but what it is.
    #[inline]
    #[must_use]
    pub fn new(parts: Parts, call: Call, body: Body) -> Self {
        Self {
            parts,
            call,
            body,
            note: Note::default(),
        }
    }
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
    /// A worker that calls the sidecar back.
    Callback {
        /// The token in its address.
        token: String,
        /// The body; none where the worker only looks at what is there (its client asks for a card first).
        body: Option<Bytes>,
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
    /// How it is answered.
    pub renderer: Renderer,
    /// The whole body as it came, for passing.
    pub body: Bytes,
    /// The parameters.
    pub params: Params,
    /// Where the path says what is asked for.
    pub place: Option<Place>,
}

/// Where in a path the binding's own part of it begins.
#[derive(Debug)]
pub struct Place {
    /// How many bytes stand before it: the route's, and possibly a tenant's.
    pub lead: usize,
    /// Whether the request says by more than its path that it is a call of the protocol: a worker's own pages may well
    /// lie at `/somewhere/tasks`.
    pub sure: bool,
}

/// The parameters of a call.
#[derive(Debug)]
pub enum Params {
    /// As they are in the body.
    Raw(Bytes),
    /// Put together of path, query and body.
    Read(Object),
}

impl A2aCall {
    /// Whether taking it for one of this dialect changes nothing.
    #[must_use]
    pub fn is_of(&self, other: Dialect) -> bool {
        recognise::by_task(self.dialect, self.operation, other) == self.dialect
    }

    /// Takes it for one of another dialect: of that in which the task was sent, or of the worker's, where the call itself
    /// could be of several.
    #[must_use]
    pub fn taken_for(self, other: Dialect) -> Self {
        let dialect = recognise::by_task(self.dialect, self.operation, other);
        Self {
            dialect,
            renderer: self.renderer.in_dialect(dialect),
            ..self
        }
    }

    /// The parameters, read.
    ///
    /// # Errors
    /// As [`Dialect::decode_request`].
    pub fn decode(&self) -> Result<Request, A2aError> {
        let mut request = match &self.params {
            Params::Raw(bytes) => self.dialect.decode_request(self.operation, bytes),
            Params::Read(object) => self.dialect.read_request(self.operation, object.clone()),
        }?;
        // Who writes a bare task has written it by hand, and looks for the outcome by itself.
        if self.renderer.is_bare()
            && let Request::SendMessage(send) = &mut request
        {
            send.at_once();
        }
        Ok(request)
    }

    /// The tenant that it names (§4.4.6); empty without one.
    #[must_use]
    pub fn tenant(&self) -> Arc<str> {
        let named = match &self.params {
            _ if !self.dialect.traits().tenants => None,
            Params::Raw(bytes) if !may_name_a_tenant(bytes) => None,
            Params::Raw(bytes) => crate::wire::probe::find(bytes, [&["tenant"]])
                .ok()
                .and_then(|[tenant]| tenant?.string().map(|tenant| Arc::from(&*tenant))),
            Params::Read(object) => object.get("tenant").and_then(Value::as_str).map(Arc::from),
        };
        named.unwrap_or_else(|| Arc::clone(&NO_TENANT))
    }
}

/// The tenant of nearly every call.
static NO_TENANT: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

/// Whether it is worth while to look for one, by its name, which may be written with escapes.
fn may_name_a_tenant(params: &[u8]) -> bool {
    memchr::memchr(b'\\', params).is_some() || memchr::memmem::find(params, b"tenant").is_some()
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
            Call::Callback { .. } => "Callback",
            Call::Other => "Other",
        }
    }

    /// The dialect's name, for logs and metrics.
    #[must_use]
    pub fn dialect_name(&self) -> &'static str {
        match self {
            Call::A2a(call) => call.dialect.name(),
            Call::Card { .. }
            | Call::ExtendedCard
            | Call::Webhook { .. }
            | Call::Callback { .. }
            | Call::Other => "http",
        }
    }
}
