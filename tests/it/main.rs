//! The integration tests: the sidecar as a process between requesters and workers made for the purpose.

mod access;
mod bindings;
mod callback;
mod cancel;
mod cards;
mod faults;
mod full;
mod generation;
mod grpc;
mod limits;
mod list;
mod matrix;
mod old_names;
mod python_a2a;
mod restart;
mod resume;
mod scene;
mod shutdown;
mod smoke;
mod support;
mod systems;
mod v0_1;
mod webhooks;
