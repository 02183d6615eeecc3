//! Why the sidecar does not start, in words for its operator.

use std::net::SocketAddr;

/// Why the sidecar does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(String),
    /// Something in the configuration that only shows when it is used.
    #[error("{0}")]
    Setting(String),
}

impl StartError {
    /// The error with its cause and what to do, for the operator.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            StartError::Listen { address, source } => match source.kind() {
                std::io::ErrorKind::AddrInUse => format!(
                    "cannot listen on {address}: the address is in use; choose another with --listen (or --admin)"
                ),
                _ => format!("cannot listen on {address}: {source}"),
            },
            StartError::Store(_) | StartError::Setting(_) => self.to_string(),
        }
    }
}
