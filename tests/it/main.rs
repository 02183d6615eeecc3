//! The integration tests: the sidecar as a process between requesters and workers made for the purpose.

mod smoke;
mod support;
