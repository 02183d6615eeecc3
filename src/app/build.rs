//! Routes from their configuration: workers, clients, policies.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::StartError;
use crate::config::{Checked, RouteConfig, push_base_url};
use crate::hub::Hub;
use crate::net::client::{WorkerClient, WorkerOptions, worker_client};
use crate::net::guard::AddressPolicy;
use crate::proxy::access::Access;
use crate::proxy::bridge::{Repeats, Shared};
use crate::proxy::probes::Probes;
use crate::proxy::route::{Route, Routes};
use crate::source::{Sources, Upstream};
use crate::store::Store;
use crate::store::seal::Sealer;
use crate::wire::Drainer;
use crate::worker::{Target, Worker};

/// The parts that a stack is made of.
pub struct Built {
    /// What all calls share.
    pub shared: Arc<Shared>,
    /// The sealer, for the dispatcher.
    pub sealer: Arc<Sealer>,
    /// The hub, for admin and dispatcher.
    pub hub: Hub,
}

/// Builds the parts over a store. `listen` is the address that the listener has got.
///
/// # Errors
/// If a client cannot be made, or an allowed address is none.
pub fn build(
    checked: &Checked,
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    listen: std::net::SocketAddr,
    closing: CancellationToken,
) -> Result<Built, StartError> {
    let hub = Hub::new(store);
    let sources = Sources::new(hub.clone(), Arc::clone(&sealer));
    let addresses = Arc::new(
        AddressPolicy::allowing(checked.webhooks.allow.iter())
            .map_err(|error| StartError::Setting(error.to_string()))?,
    );
    let routes = Arc::new(Routes::new(routes(checked, listen)?));
    let shared = Arc::new(Shared {
        sources,
        routes,
        repeats: Repeats::default(),
        access: Access::default(),
        addresses,
        max_push_configs: checked.webhooks.delivery.max_per_task,
        probes: Probes::default(),
        drainer: Drainer::default(),
        closing,
        tls: checked.server.tls.is_some(),
    });
    Ok(Built {
        shared,
        sealer,
        hub,
    })
}

/// All routes.
///
/// # Errors
/// If the client for the workers cannot be made.
pub fn routes(
    checked: &Checked,
    listen: std::net::SocketAddr,
) -> Result<Vec<Arc<Route>>, StartError> {
    let client = |http2_only| {
        let options = WorkerOptions {
            http2_only,
            ..WorkerOptions::default()
        };
        worker_client(&options).map_err(|error| StartError::Setting(error.to_string()))
    };
    let clients = (client(false)?, client(true)?);
    Ok(checked
        .routes
        .iter()
        .map(|config| Arc::new(route(config, &clients, checked, listen)))
        .collect())
}

fn route(
    config: &RouteConfig,
    (client, http2): &(WorkerClient, WorkerClient),
    checked: &Checked,
    listen: std::net::SocketAddr,
) -> Route {
    let mut source = config.source.clone();
    if !config.push_base_given {
        source.push.base_url = push_base_url(
            &config.worker,
            listen,
            checked.server.tls.is_some(),
            checked.server.public_url.as_deref(),
        )
        .unwrap_or_default();
    }
    let worker = Arc::new(Worker::new(
        Target {
            base: config.worker.clone(),
            dialect: config.dialect,
            headers: config.headers.clone(),
            card_timeout: source.call_timeout,
            max_answer_bytes: source.max_answer_bytes,
            max_event_bytes: source.stream.max_event_bytes,
        },
        client.separate(),
        http2.clone(),
    ));
    let name: Arc<str> = Arc::from(config.name.as_str());
    Route {
        upstream: Arc::new(Upstream::new(Arc::clone(&name), worker, source)),
        name,
        prefix: config.prefix.clone(),
        host: config.host.clone(),
        public_url: config.public_url.clone(),
        observe: config.observe,
        offer: config.offer.clone(),
        serve: config.serve.clone(),
        delivery: config.delivery,
        strict_card: config.strict_card,
        identity_headers: config.identity_headers.clone(),
        sink: config.sink.clone(),
    }
}
