//! a2a-sidecar: one program beside any A2A worker that gives every requester every mode (blocking, polling, streaming,
//! push, callback), in the version of A2A that the requester speaks.
//!
//! ```text
//! request ── classify ── rescue ── record ── route ──┬── pass (bytes untouched) ─────────────────────► worker
//!            [proxy]                                 └── bridge ── source ══► hub (task log) ── wake ──┐
//!                                                                 [source]    [hub, task, store]       │
//! requester ◄── dialect ◄── sink reads the log from its own cursor (block, long-poll, SSE, webhook) ◄──┘
//!               [a2a]       [sink]
//! ```
//!
//! Reading order: [`proxy::stack`] is the way of a request from top to bottom; [`proxy::decide`] says what passes and what
//! is bridged; [`source`] learns of a task from the worker, by whichever way works; [`hub`] keeps one numbered log per
//! task, by the rules in [`task`], in a [`store`]; [`sink`] serves it. [`a2a`] is the protocol and its dialects, pure.
//! [`app`] puts the parts together.
//!
//! The layers can be put into another tower stack: see `examples/embed_layer.rs`.

pub mod a2a;
pub mod admin;
pub mod app;
pub mod cli;
pub mod commands;
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
