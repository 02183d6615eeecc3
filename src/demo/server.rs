//! What the demo's worker and its receiver of webhooks have in common: a server on a free port of the loopback address.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::net::listen::{HttpService, ListenOptions, serve};

/// How long a stopping server goes on answering: who talks to it has been stopped before.
const DRAIN: Duration = Duration::from_millis(100);

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts one; `service` is made when its address is known.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start<S>(service: impl FnOnce(SocketAddr) -> S) -> std::io::Result<Self>
    where
        S: HttpService,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let service = service(address);
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move {
            let options = ListenOptions::default();
            let service = move |_| service.clone();
            serve(listener, None, options, service, stop, DRAIN).await;
        });
        Ok(Self {
            address,
            shutdown,
            serving,
        })
    }

    /// Stops it and frees its port.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // It only fails by a panic, which has been reported.
        let _ = self.serving.await;
    }
}
