//! a2a-sidecar: beside any A2A worker, every requester gets every mode.
pub mod a2a;
pub mod store;
pub mod task;
