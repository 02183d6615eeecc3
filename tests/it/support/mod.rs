//! The tools of the integration tests: a worker that does as it is told, requesters in every dialect, a
//! webhook receiver and the sidecar as a child process. They speak A2A by themselves, from plain JSON and
//! HTTP, and use nothing of the crate under test: a mistake in it can't hide behind the same mistake here.

// Each test uses the part of the tools that it needs; the binary as a whole need not use every one yet.
#![allow(dead_code)]

pub mod client;
pub mod events;
pub mod grpc;
pub mod heard;
pub mod http;
pub mod identity;
pub mod protocol;
pub mod proxy;
pub mod python_worker;
pub mod receiver;
pub mod systems;
pub mod worker;

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

/// The longest that anything in a test may take before it counts as never happening. Generous, because it
/// is only ever spent by a failing test, and a loaded machine with two cores must not make one.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Awaits `future` for at most [`DEADLINE`]; the panic says what was waited for, and `context()` adds what
/// was seen instead.
pub async fn within<T>(
    what: &str,
    context: impl Fn() -> String,
    future: impl Future<Output = T>,
) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {} s: {what}\n{}", DEADLINE.as_secs(), context()),
    }
}

/// Something that tests wait on: a count of changes. Whoever changes shared state calls [`Changes::note`]
/// after it; whoever waits looks at the state again after every change, and can't miss one.
#[derive(Debug)]
pub struct Changes(watch::Sender<u64>);

impl Changes {
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Wakes all who wait.
    pub fn note(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Waits until `look` finds something.
    pub async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.0.subscribe();
        loop {
            // Marked as seen before looking: a change in between leads to another look.
            changes.borrow_and_update();
            if let Some(found) = look() {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender is `self`, which outlives this borrow.
                unreachable!("the sender of changes is gone");
            }
        }
    }
}
