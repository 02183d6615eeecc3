//! From parts to a running sidecar, and its end: first no new work, then clean ends of streams, then the drain.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::build::{self, Built, build};
use super::error::StartError;
use super::signals::{Asked, Signals};
use crate::admin::{Admin, Part, Readiness};
use crate::config::reload::reload;
use crate::config::{Checked, Faults, StoreConfig, StoreUrl};
use crate::net::client::{DeliveryClient, DeliveryOptions};
use crate::net::listen::{ListenOptions, Served, serve};
use crate::net::tls::ServerTls;
use crate::proxy::stack::{Bounds, stack};
use crate::sink::dispatch::Dispatcher;
use crate::sink::webhook::SigningKey;
use crate::store::{MemoryStore, Sealer, SqliteStore, Store};
use crate::telemetry::Metrics;
use crate::telemetry::event::ConfigReloaded;
use crate::wire::Body;

/// How long sources and reads behind requesters that have gone may take to come to rest, after the drain.
const REST: Duration = Duration::from_secs(1);

/// How long the admin listener goes on after everything else has stopped: for the request that is under way.
const ADMIN_DRAIN: Duration = Duration::from_millis(200);

/// A running sidecar.
pub struct Running {
    checked: Checked,
    built: Built,
    store: Kept,
    readiness: Readiness,
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    tls: Option<ServerTls>,
    /// No new work.
    shutdown: CancellationToken,
    /// Streams end cleanly.
    closing: CancellationToken,
    admin_shutdown: CancellationToken,
    serving: JoinHandle<Served>,
    admin_serving: Option<JoinHandle<Served>>,
    delivering: JoinHandle<usize>,
    keeping: JoinHandle<()>,
}

/// The store as it was opened, to be closed at the end.
enum Kept {
    Memory,
    Sqlite(Arc<SqliteStore>),
}

/// Starts everything.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub async fn start(checked: Checked) -> Result<Running, StartError> {
    crate::net::install_crypto_provider();
    let metrics = Metrics::install().map_err(|error| StartError::Setting(error.to_string()))?;
    start_with(checked, metrics).await
}

/// As [`start`], with metrics that are set up already: for several sidecars in one process.
///
/// # Errors
/// See [`StartError`].
pub async fn start_with(checked: Checked, metrics: Metrics) -> Result<Running, StartError> {
    let listener = bind(checked.server.listen).await?;
    let listen = address_of(&listener, checked.server.listen);
    let admin_listener = match checked.admin.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let admin = admin_listener
        .as_ref()
        .zip(checked.admin.listen)
        .map(|(listener, asked)| address_of(listener, asked));
    let tls = checked
        .server
        .tls
        .as_ref()
        .map(|tls| ServerTls::load(&tls.cert, &tls.key))
        .transpose()
        .map_err(|error| StartError::Setting(error.to_string()))?;
    let (kept, store, sealer) = open_store(&checked.store)?;
    if let Kept::Sqlite(store) = &kept {
        store
            .release_claims()
            .await
            .map_err(|error| StartError::Store(error.to_string()))?;
    }
    let readiness = Readiness::new();
    readiness.ready(Part::Store);
    let closing = CancellationToken::new();
    let shutdown = CancellationToken::new();
    let admin_shutdown = CancellationToken::new();
    let built = build(&checked, store, sealer, listen, closing.clone())?;

    let admin_serving = admin_listener.map(|listener| {
        let routes = Arc::clone(&built.shared.routes);
        let pages = Admin::new(
            built.hub.clone(),
            readiness.clone(),
            metrics.clone(),
            Arc::new(move || {
                routes
                    .all()
                    .iter()
                    .map(|route| route.name.clone())
                    .collect()
            }),
        );
        tokio::spawn(serve_admin(listener, pages, admin_shutdown.clone()))
    });

    let client = DeliveryClient::new(
        Arc::clone(&built.shared.addresses),
        &DeliveryOptions::default(),
    )
    .map_err(|error| StartError::Setting(error.to_string()))?;
    let signing = checked
        .webhooks
        .signing_key
        .iter()
        .map(|key| SigningKey::from_bytes(key.expose()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StartError::Setting(error.to_string()))?;
    let dispatcher = Dispatcher::new(
        built.hub.clone(),
        Arc::clone(&built.sealer),
        client,
        checked.webhooks.delivery.clone(),
        signing,
    )
    .with_drain(checked.server.drain);
    let delivering = {
        let cancel = shutdown.clone();
        tokio::spawn(async move { dispatcher.run(cancel).await })
    };
    let keeping = tokio::spawn(crate::hub::retention::run(
        built.hub.clone(),
        crate::hub::retention::Policy {
            retention: checked.store.retention,
            max_events_per_task: checked.store.max_events_per_task,
        },
        move || metrics.upkeep(),
        shutdown.clone(),
    ));

    let routes = Arc::clone(&built.shared.routes);
    let resumed = built
        .shared
        .sources
        .resume(|name| routes.named(name).map(|route| route.upstream.clone()))
        .await
        .map_err(|error| StartError::Store(error.to_string()))?;
    if resumed > 0 {
        tracing::info!(
            tasks = resumed,
            "watching the unfinished tasks of the last run again"
        );
    }
    readiness.ready(Part::Recovery);

    let bounds = Bounds {
        max_in_flight: checked.server.max_in_flight,
        max_body_bytes: checked.server.max_body_bytes,
    };
    let service = stack(&built.shared, &bounds);
    let service = service.map_request(|request: Request<Incoming>| request.map(Body::from));
    let options = ListenOptions {
        max_connections: checked.server.max_connections,
        header_read_timeout: checked.server.header_read_timeout,
        ..ListenOptions::default()
    };
    let serving = tokio::spawn(serve(
        listener,
        tls.clone(),
        options,
        move |_| service.clone(),
        shutdown.clone(),
        checked.server.drain,
    ));
    readiness.ready(Part::Listener);
    Ok(Running {
        checked,
        built,
        store: kept,
        readiness,
        listen,
        admin,
        tls,
        shutdown,
        closing,
        admin_shutdown,
        serving,
        admin_serving,
        delivering,
        keeping,
    })
}

impl Running {
    /// Where requesters connect.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where operators connect.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What the operator reads first: where it listens, what each worker offers and what is added, a text for each. A
    /// worker that is not up yet is no fault: it is asked again with the first request.
    pub fn greeting(&self) -> impl Future<Output = Vec<String>> + use<> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut texts = vec![format!("listening on {scheme}://{}", self.listen)];
        if let Some(admin) = self.admin {
            texts.push(format!("admin on http://{admin}"));
        }
        let routes = self.built.shared.routes.all();
        async move {
            for route in routes.iter() {
                texts.push(super::describe::route(route).await);
            }
            texts
        }
    }

    /// Runs until SIGTERM or SIGINT, reads the configuration anew at SIGHUP, and stops. `greet` is given
    /// [`Running::greeting`] once, unless a worker takes so long to say what it offers that the stop comes first.
    pub async fn until_stopped(
        mut self,
        mut signals: Signals,
        greet: impl FnOnce(Vec<String>),
        read: impl Fn() -> Option<Result<Checked, Faults>>,
    ) {
        let mut greeting = pin!(self.greeting());
        let mut greet = Some(greet);
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => break,
                    Asked::Reread => self.reread(read()),
                },
                texts = &mut greeting, if greet.is_some() => {
                    if let Some(greet) = greet.take() {
                        greet(texts);
                    }
                }
            }
        }
        tracing::info!(drain = ?self.checked.server.drain, "stopping");
        self.stop().await;
    }

    /// Takes over a new configuration, or says why not; the old one holds then.
    fn reread(&mut self, read: Option<Result<Checked, Faults>>) {
        if let Some(tls) = &self.tls
            && let Err(error) = tls.reload()
        {
            tracing::error!(%error, "the certificate was not read anew; the old one holds");
        }
        let new = match read {
            None => return,
            Some(Ok(new)) => new,
            Some(Err(faults)) => return refuse(&faults.to_string()),
        };
        let change = reload("", &self.checked, &new);
        if !change.refused.is_empty() {
            return refuse(&Faults(change.refused).to_string());
        }
        if !change.routes_changed {
            return ConfigReloaded::Unchanged.emit();
        }
        match build::routes(&new, self.listen) {
            Ok(routes) => {
                self.built.shared.routes.replace(routes);
                self.checked = new.clone();
                ConfigReloaded::Taken {
                    routes: new.routes.len(),
                }
                .emit();
            }
            Err(error) => refuse(&error.to_string()),
        }
    }

    /// No new work; streams end cleanly, so that their requesters resume elsewhere; blocking waits and deliveries get
    /// the drain time; then sources stop and the store is closed.
    pub async fn stop(self) {
        self.readiness.drain();
        self.shutdown.cancel();
        self.closing.cancel();
        let served = self.serving.await;
        if let Ok(served) = served
            && served.aborted > 0
        {
            tracing::warn!(
                connections = served.aborted,
                "the drain time was not enough for all answers under way"
            );
        }
        let _ = self.delivering.await;
        self.built.shared.sources.stop(REST).await;
        self.built.shared.drainer.close(REST).await;
        self.keeping.abort();
        if let Kept::Sqlite(store) = &self.store
            && let Err(error) = store.close().await
        {
            tracing::error!(%error, "the store was not closed cleanly; the next start mends it");
        }
        self.admin_shutdown.cancel();
        if let Some(serving) = self.admin_serving {
            let _ = serving.await;
        }
    }
}

fn refuse(faults: &str) {
    ConfigReloaded::Refused { faults }.emit();
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

async fn serve_admin(listener: TcpListener, pages: Admin, shutdown: CancellationToken) -> Served {
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let pages = pages.clone();
        async move { Ok::<_, std::convert::Infallible>(pages.respond(&request).await) }
    });
    serve(
        listener,
        None,
        ListenOptions {
            // Scrapers and a few people.
            max_connections: 64,
            ..ListenOptions::default()
        },
        move |_| service.clone(),
        shutdown,
        ADMIN_DRAIN,
    )
    .await
}

type Opened = (Kept, Arc<dyn Store>, Arc<Sealer>);

fn open_store(config: &StoreConfig) -> Result<Opened, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Store(error.to_string());
    match &config.url {
        StoreUrl::Memory => {
            let sealer = match (&config.key, &config.key_file) {
                (Some(key), _) => Sealer::from_base64(key.expose()),
                (None, Some(path)) => Sealer::open_or_create(path),
                (None, None) => Sealer::ephemeral(),
            }
            .map_err(|error| failed(&error))?;
            Ok((
                Kept::Memory,
                Arc::new(MemoryStore::new(config.max_tasks)),
                Arc::new(sealer),
            ))
        }
        StoreUrl::Sqlite(path) => {
            let store = Arc::new(
                SqliteStore::open(path, config.sqlite_options()).map_err(|error| failed(&error))?,
            );
            let sealer = match (&config.key, &config.key_file) {
                (Some(key), _) => Sealer::from_base64(key.expose()),
                (None, Some(file)) => Sealer::open_or_create(file),
                (None, None) => Sealer::open_or_create(path.with_extension("key")),
            }
            .map_err(|error| failed(&error))?;
            Ok((Kept::Sqlite(store.clone()), store, Arc::new(sealer)))
        }
    }
}
