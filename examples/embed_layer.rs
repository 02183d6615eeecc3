//! The sidecar inside another program: its stack as one service among others, below layers of one's own, in a plain
//! hyper server. `cargo run --example embed_layer -- http://127.0.0.1:9999`, and the agent is at
//! <http://127.0.0.1:8080/agent>.
//!
//! Single layers can be had too: here the one that bounds the requests at once stands before a page of the program's.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use a2a_sidecar::app;
use a2a_sidecar::config::{self, Overrides};
use a2a_sidecar::net::client::{DeliveryClient, DeliveryOptions};
use a2a_sidecar::proxy::admit::AdmitLayer;
use a2a_sidecar::proxy::stack::{Bounds, stack};
use a2a_sidecar::sink::dispatch::Dispatcher;
use a2a_sidecar::store::{MemoryStore, Sealer};
use a2a_sidecar::wire::{Body, BoxError};
use http::header::{HeaderValue, SERVER};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::set_header::SetResponseHeaderLayer;

/// The most requests at once for the program's own page.
const OWN_REQUESTS: usize = 100;

/// How long a stopping server waits for what is under way.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let worker = std::env::args()
        .nth(1)
        .ok_or("usage: embed_layer WORKER-URL")?;
    let listener = TcpListener::bind(("127.0.0.1", 8080)).await?;
    println!("the agent is at http://{}/agent", listener.local_addr()?);
    let stop = CancellationToken::new();
    let at_interrupt = stop.clone();
    tokio::spawn(async move {
        // Without it the program is ended by the system, which is as good here.
        let _ = tokio::signal::ctrl_c().await;
        at_interrupt.cancel();
    });
    serve(&worker, listener, stop).await
}

/// Serves the program until `stop`, with the sidecar of this worker in it.
pub async fn serve(
    worker: &str,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    a2a_sidecar::net::install_crypto_provider();
    // The configuration is that of the binary; what concerns its listeners is not looked at.
    let text = format!(
        r#"
        [store]
        url = "memory:"
        [[routes]]
        worker = "{worker}"
        [routes.match]
        path = "/agent"
        "#
    );
    let variable = |name: &str| std::env::var(name).ok();
    let checked = config::parse("embed_layer.rs", &text, &Overrides::default(), &variable)?;

    // The parts. Any store will do that passes the suite in `store::conformance`.
    let store = Arc::new(MemoryStore::new(checked.store.max_tasks));
    let sealer = Arc::new(Sealer::ephemeral()?);
    let address = listener.local_addr()?;
    let built = app::build(&checked, store, sealer, address, stop.clone())?;

    // The stack answers requests. Webhooks go out without one, so they have a loop of their own.
    let bounds = Bounds {
        max_in_flight: checked.server.max_in_flight,
        max_body_bytes: checked.server.max_body_bytes,
    };
    let agent = stack(&built.shared, &bounds);
    let client = DeliveryClient::new(
        Arc::clone(&built.shared.addresses),
        &DeliveryOptions::default(),
    )?;
    let policy = checked.webhooks.delivery.clone();
    let dispatcher = Dispatcher::new(
        built.hub.clone(),
        Arc::clone(&built.sealer),
        client,
        policy,
        Vec::new(),
    );
    let delivering = tokio::spawn(dispatcher.run(stop.clone()));

    // The program's own page, below one of the sidecar's layers.
    let page = ServiceBuilder::new()
        .layer(AdmitLayer::new(OWN_REQUESTS))
        .service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::full("An agent lives at /agent.\n")))
        });

    // All of it below a layer of somebody else's.
    let service = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::overriding(
            SERVER,
            HeaderValue::from_static("embed-layer"),
        ))
        .service_fn(move |request: Request<Incoming>| {
            let (agent, page) = (agent.clone(), page.clone());
            let request = request.map(Body::from);
            async move {
                match request.uri().path().starts_with("/agent") {
                    true => agent.oneshot(request).await,
                    false => page.oneshot(request).await,
                }
            }
        });

    let server = auto::Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, _) = accepted?;
        let service = TowerToHyperService::new(service.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that goes away is no fault of the server's.
            let _ = connection.await;
        });
    }
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    delivering.await?;
    built.shared.sources.stop(DRAIN).await;
    Ok(())
}
