//! a2a-sidecar: beside any A2A worker, every requester gets every mode.
pub mod a2a;
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod hub;
pub mod net;
pub mod proxy;
pub mod sink;
pub mod source;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod wire;
pub mod worker;
