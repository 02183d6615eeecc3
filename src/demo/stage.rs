//! Everything that listens: two workers, a sidecar before each, a receiver of webhooks; all on free loopback ports.

use std::net::SocketAddr;

use futures_util::future::{join, join_all};

use super::receiver::Receiver;
use super::scratch::Scratch;
use super::worker::{Ability, Worker};
use crate::app::{self, Running, StartError};
use crate::config::{self, Faults, Overrides};
use crate::telemetry::Metrics;

/// Why the demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory for the stores.
    #[error("no directory can be made for the tasks: {0}")]
    Scratch(#[source] std::io::Error),
    /// A worker or the receiver got no port.
    #[error("no port can be had: {0}")]
    Port(#[source] std::io::Error),
    /// A sidecar's configuration.
    #[error("{0}")]
    Config(#[from] Faults),
    /// A sidecar.
    #[error("{}", .0.told())]
    Sidecar(#[from] StartError),
}

/// Everything that listens.
pub struct Stage {
    workers: [Worker; 2],
    sidecars: [Running; 2],
    /// The receiver of webhooks.
    pub receiver: Receiver,
    // Last, so that it goes last.
    scratch: Scratch,
}

impl Stage {
    /// Starts everything.
    ///
    /// # Errors
    /// See [`Error`]. What has been started by then ends with the runtime.
    pub async fn start(metrics: &Metrics) -> Result<Self, Error> {
        let scratch = Scratch::new().map_err(Error::Scratch)?;
        let receiver = Receiver::start().await.map_err(Error::Port)?;
        let (blocks, before_blocks) = pair(Ability::Blocks, &scratch, metrics).await?;
        let (polls, before_polls) = pair(Ability::Polls, &scratch, metrics).await?;
        Ok(Self {
            workers: [blocks, polls],
            sidecars: [before_blocks, before_polls],
            receiver,
            scratch,
        })
    }

    /// The address at which requesters reach the sidecar before a worker.
    #[must_use]
    pub fn url(&self, ability: Ability) -> String {
        let [blocks, polls] = &self.sidecars;
        let sidecar = match ability {
            Ability::Blocks => blocks,
            Ability::Polls => polls,
        };
        format!("http://{}", sidecar.listen())
    }

    /// Where the stores are.
    #[cfg(test)]
    pub(super) fn folder(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// Stops everything and removes the stores.
    pub async fn stop(self) {
        // While the receiver still answers: it takes the last webhooks.
        join_all(self.sidecars.into_iter().map(Running::stop)).await;
        join(
            join_all(self.workers.into_iter().map(Worker::stop)),
            self.receiver.stop(),
        )
        .await;
        drop(self.scratch);
    }
}

/// A worker and the sidecar before it.
async fn pair(
    ability: Ability,
    scratch: &Scratch,
    metrics: &Metrics,
) -> Result<(Worker, Running), Error> {
    let worker = Worker::start(ability).await.map_err(Error::Port)?;
    let checked = configuration(ability, worker.address(), scratch)?;
    let sidecar = app::start_with(checked, metrics.clone()).await?;
    Ok((worker, sidecar))
}

/// What a user writes, but for the ports and the pace.
fn configuration(
    ability: Ability,
    worker: SocketAddr,
    scratch: &Scratch,
) -> Result<config::Checked, Faults> {
    // The end of the demo is short. And it looks at its worker twice a second: a job of seconds is to be watched as it
    // goes, while the usual pace is made for jobs of minutes.
    let text = format!(
        r#"
        [server]
        drain = "1s"
        [[routes]]
        worker = "http://{worker}"
        [routes.poll]
        max = "500ms"
        "#
    );
    let store = scratch.path().join(format!("{}.db", ability.name()));
    let overrides = Overrides {
        listen: Some("127.0.0.1:0".to_owned()),
        admin: Some(String::new()),
        store: Some(format!("sqlite:{}", store.display())),
        webhook_allow: vec!["127.0.0.1".to_owned()],
        ..Overrides::default()
    };
    config::parse("the demo's configuration", &text, &overrides, &|_| None)
}
