//! The proxy: a tower stack that tells what a request is and answers it, from the log, from the worker, or both.

pub mod access;
pub mod admit;
pub mod body_limit;
pub mod bridge;
pub mod call;
pub mod classify;
pub mod deadline;
pub mod decide;
pub mod error;
pub mod note;
pub mod probes;
pub mod record;
pub mod request_id;
pub mod rescue;
pub mod route;
pub mod route_layer;
pub mod stack;
pub mod trace;
pub mod upstream;
