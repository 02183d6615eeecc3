//! The canonical protocol model: what A2A means, whatever version and binding it is said in.
//!
//! Its shape is that of the A2A 1.0 specification (JSON names included), so the 1.0 dialect is nearly the
//! identity and every older dialect is a translation at the edge. Pure: no I/O, no runtime. Members that the
//! model does not know travel in `extra` and come out again, so that a bridge loses nothing.

pub mod callback;
pub mod card;
pub mod dialect;
pub mod error;
pub mod event;
pub mod extension;
pub mod fields;
pub mod message;
pub mod operation;
pub mod push;
pub mod request;
pub mod task;

pub use callback::Callback;
pub use dialect::{Binding, Dialect, Version};
pub use error::A2aError;
pub use event::{StreamResponse, TaskArtifactUpdateEvent, TaskStatusUpdateEvent};
pub use message::{Artifact, Message, Part, PartContent, Role};
pub use operation::Operation;
pub use push::{AuthenticationInfo, PushConfig};
pub use request::{Answer, Request, SendConfiguration, SendMessageRequest};
pub use task::{Task, TaskState, TaskStatus};

/// A JSON object: metadata and the carrier of members that the model does not know.
pub type Object = serde_json::Map<String, serde_json::Value>;
