//! The two HTTP clients: one for the worker, on the data path, and one for deliveries to addresses
//! that requesters name.
//!
//! Neither retries, follows redirects or reads bodies; who calls decides on all three.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::uri::{Scheme, Uri};
use http::{Request, Response};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Timeout, timeout};
use tower::Service;

use super::crypto_provider;
use super::guard::{AddressPolicy, GuardedResolver, Refused};
use super::held::Held;
use super::pool::{Answer, Pool};
use crate::wire::{Body, BoxError};

/// The client for the worker: pooled, HTTP/1.1, and HTTP/2 where TLS agrees on it. Clones share their connections.
#[derive(Clone, Debug)]
pub struct WorkerClient {
    /// For plain HTTP/1.1, which is what a worker speaks that stands beside; none where nothing but HTTP/2 is spoken.
    pub(super) plain: Option<Pool>,
    /// For everything else, hyper's pool, whose connections have tasks of their own.
    others: Client<BoundedConnector<HttpsConnector<HttpConnector>>, Body>,
}

impl WorkerClient {
    /// With the same settings and plain connections of its own.
    #[must_use]
    pub fn separate(&self) -> Self {
        Self {
            plain: self.plain.as_ref().map(Pool::separate),
            others: self.others.clone(),
        }
    }

    /// Sends a request to an absolute address. The answer's head is waited for without limit; dropped before it has come,
    /// the future closes the connection.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn request(&self, request: Request<Body>) -> AnswerFuture<Answer> {
        match self.plain_for(request.uri()) {
            Some(plain) => plain.request(request),
            None => {
                let answer = self.others.request(request);
                Box::pin(async move {
                    Ok(answer
                        .await
                        .map_err(TransportError::Client)?
                        .map(Answer::driven))
                })
            }
        }
    }

    /// The same for an answer that is likely to be long.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn request_long(&self, request: Request<Body>) -> AnswerFuture<Held> {
        match self.plain_for(request.uri()) {
            Some(plain) => Box::pin(plain.request_long(request)),
            None => {
                let answer = self.request(request);
                Box::pin(async move { Ok(answer.await?.map(Held::Body)) })
            }
        }
    }

    /// The plain connections, if a request to this address goes over one.
    fn plain_for(&self, uri: &Uri) -> Option<Pool> {
        self.plain
            .as_ref()
            .filter(|_| uri.scheme() == Some(&Scheme::HTTP))
            .cloned()
    }
}

/// An answer still to come. In a box: it is handed through several functions, and each would copy all that an exchange
/// takes.
pub type AnswerFuture<B> =
    Pin<Box<dyn Future<Output = Result<Response<B>, TransportError>> + Send>>;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection came about, or none can: nothing was sent.
    #[error("no connection")]
    Connect(#[source] BoxError),
    /// The address names no host: nothing was sent.
    #[error("the address names no host")]
    NoAuthority,
    /// The connection failed: the request may have arrived.
    #[error("the connection failed")]
    Exchange(#[source] hyper::Error),
    /// The same of a connection that only this request was for.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// The same of a connection that has a task of its own.
    #[error(transparent)]
    Client(hyper_util::client::legacy::Error),
}

impl TransportError {
    /// Whether nothing was sent.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Connect(_) | Self::NoAuthority => true,
            Self::Exchange(_) | Self::Io(_) => false,
            Self::Client(error) => error.is_connect(),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A root certificate that was given is none.
    #[error("a root certificate cannot be used")]
    Root(#[source] rustls::Error),
    /// The TLS library refuses its own protocol versions.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The delivery client cannot be built.
    #[error("the delivery client cannot be built")]
    Build(#[source] reqwest::Error),
}

/// Which certificate authorities a client trusts.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// The system's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. A system without any is
    /// no error: `http` works, and every `https` connection fails.
    #[default]
    System,
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// How the worker is connected to.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Longest a connection may take, with name resolution and TLS.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Unused connections kept per worker.
    pub pool_max_idle: usize,
    /// How long a connection is silent before the system probes it (TCP keep-alive).
    pub tcp_keepalive: Duration,
    /// Speak HTTP/2 without asking, also over plain TCP ("prior knowledge").
    pub http2_only: bool,
    /// How often an HTTP/2 connection with open streams is probed; it is closed when no answer comes
    /// for as long again.
    pub http2_keep_alive: Duration,
    /// Whom to trust.
    pub roots: Roots,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            // The worker stands beside us; what takes longer is down.
            connect_timeout: Duration::from_secs(5),
            // Node and uvicorn close idle connections after five seconds. A send that meets the close on
            // its way may have arrived, so it cannot be repeated: the connection must be let go first.
            pool_idle_timeout: Duration::from_secs(4),
            pool_max_idle: 256,
            tcp_keepalive: Duration::from_secs(30),
            http2_only: false,
            http2_keep_alive: Duration::from_secs(30),
            roots: Roots::System,
        }
    }
}

/// Makes the client for the worker. Proxies from the environment are not used.
///
/// # Errors
/// When the roots given cannot be used.
pub fn worker_client(options: &WorkerOptions) -> Result<WorkerClient, ClientError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    // Also the share of each address, where a name has several.
    http.set_connect_timeout(Some(options.connect_timeout));
    http.set_keepalive(Some(options.tcp_keepalive));
    let plain = (!options.http2_only).then(|| {
        let connector = BoundedConnector {
            inner: http.clone(),
            limit: options.connect_timeout,
        };
        Pool::new(connector, options.pool_idle_timeout, options.pool_max_idle)
    });
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(&options.roots)?)
        .https_or_http();
    let connector = if options.http2_only {
        https.enable_http2().wrap_connector(http)
    } else {
        https.enable_all_versions().wrap_connector(http)
    };
    let connector = BoundedConnector {
        inner: connector,
        limit: options.connect_timeout,
    };
    let others = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.pool_idle_timeout)
        .pool_max_idle_per_host(options.pool_max_idle)
        .http2_only(options.http2_only)
        .http2_keep_alive_interval(options.http2_keep_alive)
        .http2_keep_alive_timeout(options.http2_keep_alive)
        .build(connector);
    Ok(WorkerClient { plain, others })
}

/// A connector that gives up after a while, at whatever stage it is: hyper's own limit ends with TCP,
/// so a peer that takes the connection and never shakes hands would hold the request for ever.
#[derive(Debug, Clone)]
pub struct BoundedConnector<C> {
    inner: C,
    limit: Duration,
}

impl<C> Service<http::Uri> for BoundedConnector<C>
where
    C: Service<http::Uri>,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoundedConnect<C::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        BoundedConnect {
            connecting: Box::pin(timeout(self.limit, self.inner.call(uri))),
        }
    }
}

/// The future of [`BoundedConnector`]. Boxed because hyper moves it; once per connection, not request.
#[derive(Debug)]
pub struct BoundedConnect<F> {
    connecting: Pin<Box<Timeout<F>>>,
}

impl<F, T, E> Future for BoundedConnect<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.connecting.as_mut().poll(cx)) {
            Ok(connected) => connected.map_err(Into::into),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        })
    }
}

/// How deliveries are connected.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// Longest a connection may take, with name resolution and TLS.
    pub connect_timeout: Duration,
    /// Longest a whole exchange may take, with its body; a request can set its own.
    pub timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Unused connections kept per receiver.
    pub pool_max_idle: usize,
    /// Refuse `http`.
    pub https_only: bool,
    /// The `User-Agent` sent.
    pub user_agent: String,
    /// Whom to trust.
    pub roots: Roots,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            pool_idle_timeout: Duration::from_secs(30),
            // Deliveries of one task go one after the other; few receivers see many at once.
            pool_max_idle: 8,
            https_only: false,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            roots: Roots::System,
        }
    }
}

/// Why a delivery got no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The policy does not permit the destination. No byte was sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The exchange failed. The URL, which may hold a secret, is not part of the error.
    #[error("the delivery failed")]
    Http(#[source] reqwest::Error),
}

/// The client for addresses that requesters name. Redirects are not followed (a `3xx` is an answer
/// like any other), cookies are not kept, and proxies from the environment are not used: behind a
/// proxy the address that is connected to would be the proxy's, and the guard would judge nothing.
#[derive(Debug, Clone)]
pub struct DeliveryClient {
    http: reqwest::Client,
    policy: Arc<AddressPolicy>,
}

impl DeliveryClient {
    /// A client that connects only to what `policy` permits.
    ///
    /// # Errors
    /// When the roots given cannot be used, or the client cannot be built.
    pub fn new(policy: Arc<AddressPolicy>, options: &DeliveryOptions) -> Result<Self, ClientError> {
        Self::with_resolver(GuardedResolver::new(Arc::clone(&policy)), policy, options)
    }

    fn with_resolver(
        resolver: GuardedResolver,
        policy: Arc<AddressPolicy>,
        options: &DeliveryOptions,
    ) -> Result<Self, ClientError> {
        let mut tls = tls_config(&options.roots)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(resolver)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // A delivery's receiver sees it as often as the ledger says, not as the client likes.
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .https_only(options.https_only)
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .pool_idle_timeout(options.pool_idle_timeout)
            .pool_max_idle_per_host(options.pool_max_idle)
            .user_agent(&options.user_agent)
            .build()
            .map_err(ClientError::Build)?;
        Ok(Self { http, policy })
    }

    /// Starts a request; send it with [`execute`](Self::execute), which is where the guard stands.
    pub fn request(&self, method: http::Method, url: url::Url) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request, if its destination is permitted. Any status is an answer.
    ///
    /// # Errors
    /// [`DeliveryError::Refused`] if the destination is not permitted, at whichever stage it showed.
    pub async fn execute(
        &self,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, DeliveryError> {
        self.policy.check_url(request.url())?;
        self.http
            .execute(request)
            .await
            .map_err(|error| match Refused::in_chain(&error) {
                Some(refused) => DeliveryError::Refused(refused.clone()),
                None => DeliveryError::Http(error.without_url()),
            })
    }
}

fn tls_config(roots: &Roots) -> Result<ClientConfig, ClientError> {
    let builder = || {
        ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()
            .map_err(ClientError::Tls)
    };
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => match builder()?.with_native_roots() {
            Ok(config) => return Ok(config.with_no_client_auth()),
            Err(error) => {
                tracing::warn!(%error, "no certificate authorities on this system: https will fail");
            }
        },
        Roots::Only(certificates) => {
            for certificate in certificates {
                store.add(certificate.clone()).map_err(ClientError::Root)?;
            }
        }
    }
    Ok(builder()?
        .with_root_certificates(store)
        .with_no_client_auth())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
