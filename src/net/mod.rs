//! Sockets: what is listened on, what is connected to, and which addresses may be.
//!
//! A leaf: nothing here knows A2A.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

mod apart;
pub mod client;
pub mod guard;
mod heads;
pub mod held;
mod line;
pub mod listen;
pub mod pool;
mod share;
pub mod tls;

/// The one TLS provider of the process, named in every configuration built here, so that nothing
/// depends on which provider happens to be installed as the process's default.
pub(crate) fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes that provider the default of the process too, for libraries that ask for the default.
/// Call it once at start; later calls change nothing.
pub fn install_crypto_provider() {
    // `Err` says that one is installed already, which is all that is asked for.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
