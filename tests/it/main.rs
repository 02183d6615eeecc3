//! The integration tests: the sidecar as a process between requesters and workers made for the purpose.

mod cancel;
mod faults;
mod limits;
mod matrix;
mod restart;
mod resume;
mod scene;
mod smoke;
mod support;
