//! The composition root: from a checked configuration to running parts, and their end in the right order. What each
//! part does is in its own folder.

mod build;
mod describe;
mod error;
mod serve;
mod signals;

pub use build::{Built, build};
pub use error::StartError;
pub use serve::{Running, start, start_with};
pub use signals::{Asked, Signals};
