//! What travels on the wire, without knowing what it means: bodies, server-sent events, partial JSON.
//!
//! A leaf: nothing here knows A2A, and nothing here opens a socket.

pub mod bell;
pub mod body;
pub mod bounded;
pub mod collect;
pub mod drain;
pub mod grpc;
pub mod headers;
pub mod keepalive;
pub mod probe;
pub mod sse;

pub use body::{Body, BodyError, BoxError};
pub use bounded::Bounded;
pub use collect::collect;
pub use drain::{DrainOnDrop, Drainer};
pub use keepalive::{KeepAliveJson, KeepAliveSse};
