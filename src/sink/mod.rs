//! Sinks: how a requester learns of a task from the sidecar. They read the log through the hub, each from its own
//! cursor, and know nothing of sources or workers.

pub mod block;
pub mod callback;
pub mod dispatch;
pub mod long_poll;
mod policy;
pub mod render;
pub mod retry;
pub mod sse;
pub mod webhook;

pub use policy::{DeliveryPolicy, Policy};
