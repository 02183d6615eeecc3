//! The signals that a serving process listens to. What they do is in [`super::serve`].

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals of a serving process, kept from the moment of [`Signals::catch`] until somebody asks.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT: stop in good order.
    Stop,
    /// SIGHUP: read the configuration anew.
    Reread,
}

impl Signals {
    /// Catches them from now on. Before anything is served: a stop that came earlier would cut what is under way, and
    /// the first process of a container would not hear of it at all, because the kernel drops what that one does not
    /// catch, and the engine kills it when its patience is over.
    ///
    /// # Errors
    /// If signals cannot be received.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Cancel-safe: none is lost if this is dropped while it waits.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reread,
        }
    }
}
