//! a2a-sidecar: beside any A2A worker, every requester gets every mode.
pub mod a2a;
pub mod hub;
pub mod net;
pub mod source;
pub mod store;
pub mod task;
pub mod wire;
pub mod worker;
pub mod telemetry { pub mod names { #![allow(missing_docs)] pub const POLLS_TOTAL: &str = "a2a_sidecar_polls_total"; } }
