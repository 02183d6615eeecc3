//! The A2A client's half: one worker, what it offers, and calls to it in its own dialect.
//!
//! Knows nothing of logs, requesters or modes; errors say whether a call may have arrived, so that callers can keep the
//! rule that a send is never repeated once it may have.

mod abilities;
mod call;
mod context;
mod error;
mod grpc;
mod names;
mod stream;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

pub use abilities::{Abilities, Ability};
pub use call::{Opened, Reply};
pub use context::{CallContext, is_hop_by_hop};
pub use error::CallError;
pub use names::is_crash_page;
pub use stream::{EventStream, WorkerEvent};

use crate::a2a::card::WorkerCard;
use crate::a2a::{Binding, Dialect};
use crate::net::client::WorkerClient;
use crate::wire::Body;
use crate::wire::collect::collect;

/// The header that names the protocol version of a call (specification §3.6.1).
pub const A2A_VERSION: HeaderName = HeaderName::from_static("a2a-version");

/// The most bytes of an agent card: real ones have a few KiB.
const MAX_CARD_BYTES: usize = 1 << 20;

/// How long a card is believed before it is asked for again, behind the requests that go on with the old one.
const CARD_FRESH: Duration = Duration::from_secs(300);

/// How long after a failed request for the card the next one waits: a worker that is not up yet is asked again by the
/// next request, but not by a thousand requests at once.
const CARD_RETRY: Duration = Duration::from_millis(500);

/// How a worker is reached and what is said of it in the configuration.
#[derive(Clone, Debug)]
pub struct Target {
    /// The base address: the card is looked for below it.
    pub base: Url,
    /// The dialect, where the operator names it.
    pub dialect: Option<Dialect>,
    /// Headers of the sidecar's own calls: its own credentials.
    pub headers: HeaderMap,
    /// The longest wait for the card.
    pub card_timeout: Duration,
    /// The most bytes of one answer.
    pub max_answer_bytes: usize,
    /// The most bytes of one event of a stream.
    pub max_event_bytes: usize,
}

/// One worker.
pub struct Worker {
    target: Target,
    /// The base address, read once; none if it is no address of HTTP.
    base_uri: Option<Uri>,
    client: WorkerClient,
    /// The pool for gRPC, which is HTTP/2 without asking.
    http2: WorkerClient,
    known: ArcSwapOption<Known>,
    asking: tokio::sync::Mutex<Option<Failed>>,
    learned: abilities::Learned,
    asked_in_vain: names::AskedInVain,
    next_id: AtomicU64,
}

struct Failed {
    at: Instant,
    what: String,
}

/// What is known of a worker from its card.
#[derive(Debug)]
pub struct Known {
    /// The card.
    pub card: Option<WorkerCard>,
    /// The dialect that the worker is spoken to in.
    pub dialect: Dialect,
    /// Where its calls go.
    pub endpoint: Uri,
    /// The tenant that its interface names; it is put into every call (§4.4.6).
    pub tenant: Option<String>,
    asked_at: Instant,
}

impl Known {
    /// How long ago the card was asked for.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.asked_at.elapsed()
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("base", &self.target.base.as_str())
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker that has not been spoken to yet. `http2`: a client that speaks nothing but HTTP/2, for gRPC.
    #[must_use]
    pub fn new(target: Target, client: WorkerClient, http2: WorkerClient) -> Self {
        Self {
            base_uri: as_uri(&target.base),
            target,
            client,
            http2,
            known: ArcSwapOption::empty(),
            asking: tokio::sync::Mutex::new(None),
            learned: abilities::Learned::default(),
            asked_in_vain: names::AskedInVain::default(),
            next_id: AtomicU64::new(1),
        }
    }

    /// Its base address.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.target.base
    }

    /// Whether the operator gave the sidecar credentials of its own for it.
    #[must_use]
    pub fn has_own_headers(&self) -> bool {
        !self.target.headers.is_empty()
    }

    /// The connection pool, for requests that pass.
    #[must_use]
    pub fn client(&self) -> &WorkerClient {
        &self.client
    }

    /// The connection pool for gRPC.
    #[must_use]
    pub fn http2(&self) -> &WorkerClient {
        &self.http2
    }

    /// Where it speaks gRPC, as far as is known: whichever binding it is called over.
    #[must_use]
    pub fn grpc_address(&self) -> Option<Uri> {
        let known = self.known.load();
        let known = known.as_ref()?;
        if known.dialect.binding == Binding::Grpc {
            return Some(known.endpoint.clone());
        }
        let is_grpc = |dialect: Dialect| dialect.binding == Binding::Grpc;
        let interfaces = &known.card.as_ref()?.interfaces;
        let interface = interfaces
            .iter()
            .find(|interface| interface.dialect.is_some_and(is_grpc))?;
        let address = Url::parse(&interface.url).ok()?;
        as_uri(&reachable(&self.target.base, &address, Binding::Grpc))
    }

    fn max_answer_bytes(&self) -> usize {
        self.target.max_answer_bytes
    }

    fn max_event_bytes(&self) -> usize {
        self.target.max_event_bytes
    }

    /// What is known of it without asking.
    #[must_use]
    pub fn known_now(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// What is known of it; asks for its card if need be. A stale card is used while a fresh one is fetched.
    ///
    /// # Errors
    /// The worker cannot be reached or has no readable card, and the operator has named no dialect.
    pub async fn known(self: &Arc<Self>) -> Result<Arc<Known>, CallError> {
        if let Some(known) = self.known.load_full() {
            if known.asked_at.elapsed() > CARD_FRESH && self.asking.try_lock().is_ok() {
                let worker = Arc::clone(self);
                tokio::spawn(async move {
                    let _ = worker.ask(true).await;
                });
            }
            return Ok(known);
        }
        // Boxed: that is for the first call, and each later one would carry it.
        Box::pin(self.ask(false)).await
    }

    /// What it can do, as far as is known.
    #[must_use]
    pub fn abilities(&self, known: &Known) -> Abilities {
        self.learned.abilities(known)
    }

    /// Notes what the wire has shown. The card is believed only until then.
    pub fn learn(&self, ability: Ability, can: bool) {
        if self.learned.set(ability, can) {
            tracing::info!(
                worker = %self.target.base,
                ability = ability.name(),
                can,
                "the worker has shown what it can do"
            );
        }
    }

    async fn ask(self: &Arc<Self>, again: bool) -> Result<Arc<Known>, CallError> {
        let mut failed = self.asking.lock().await;
        if let Some(known) = self.known.load_full()
            && (!again || known.asked_at.elapsed() <= CARD_FRESH)
        {
            return Ok(known);
        }
        if let Some(failed) = failed.as_ref()
            && failed.at.elapsed() < CARD_RETRY
        {
            return Err(CallError::NoCard(failed.what.clone()));
        }
        match self.fetch_card().await {
            Ok(known) => {
                *failed = None;
                let known = Arc::new(self.with_names_found(known));
                self.known.store(Some(known.clone()));
                self.learned.forget();
                Ok(known)
            }
            Err(error) => {
                if let Some(dialect) = self.target.dialect
                    && let Some(endpoint) = as_uri(&self.target.base)
                    && !error.is_unreachable()
                {
                    // The operator knows what it is, and it answers: a card is not needed to speak with it.
                    let known = Arc::new(Known {
                        card: None,
                        dialect,
                        endpoint,
                        tenant: None,
                        asked_at: Instant::now(),
                    });
                    self.known.store(Some(known.clone()));
                    return Ok(known);
                }
                *failed = Some(Failed {
                    at: Instant::now(),
                    what: error.to_string(),
                });
                Err(error)
            }
        }
    }

    async fn fetch_card(&self) -> Result<Known, CallError> {
        let mut last = CallError::NoCard("it was not asked".to_owned());
        for path in ["/.well-known/agent-card.json", "/.well-known/agent.json"] {
            match self.get_card(path, &self.target.headers).await {
                Ok(bytes) => match WorkerCard::parse(&bytes, &self.target.base) {
                    Ok(card) => return self.choose(card),
                    // Some answer every path with a page of their own.
                    Err(error) => last = CallError::NoCard(format!("{path}: {error}")),
                },
                // A worker that is down is down for both paths.
                Err(error) if error.is_unreachable() => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The card at a path below the base address, as this requester is shown it: the extended card of 0.2.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn card_at(
        &self,
        path: &str,
        context: &CallContext,
    ) -> Result<WorkerCard, CallError> {
        let bytes = self.get_card(path, context.headers()).await?;
        WorkerCard::parse(&bytes, &self.target.base)
            .map_err(|error| CallError::BadAnswer(error.to_string()))
    }

    async fn get_card(&self, path: &str, headers: &HeaderMap) -> Result<Bytes, CallError> {
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self
            .below_base(path)
            .ok_or_else(|| CallError::NoCard(format!("{path} makes no address")))?;
        request.headers_mut().clone_from(headers);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(A2A_VERSION, HeaderValue::from_static("1.0"));
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(CallError::from_client)?;
            let status = response.status();
            if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                let headers = response.headers().clone();
                return Err(CallError::Http {
                    status,
                    headers: Box::new(headers),
                    body: Bytes::new(),
                });
            }
            if status != StatusCode::OK {
                return Err(CallError::NoCard(format!("{path} answered {status}")));
            }
            collect(response.into_body(), MAX_CARD_BYTES)
                .await
                .map_err(|error| CallError::NoCard(format!("{path}: {error}")))
        };
        tokio::time::timeout(self.target.card_timeout, exchange)
            .await
            .map_err(|_| CallError::Timeout {
                waited: self.target.card_timeout,
            })?
    }

    fn choose(&self, card: WorkerCard) -> Result<Known, CallError> {
        let wanted = self.target.dialect;
        let interface = card
            .interfaces
            .iter()
            .filter(|interface| match (interface.dialect, wanted) {
                (Some(dialect), Some(wanted)) => dialect == wanted,
                (Some(_), None) => true,
                (None, _) => false,
            })
            // The newest version that it speaks loses least.
            .max_by_key(|interface| interface.dialect);
        let (dialect, address, tenant) = match interface {
            Some(interface) => (
                interface.dialect,
                Some(interface.url.clone()),
                interface.tenant.clone(),
            ),
            // The operator's word outweighs a card that does not list the dialect.
            None => (wanted, None, None),
        };
        let Some(dialect) = dialect else {
            return Err(CallError::NoCard(
                "the card lists no interface that the sidecar speaks".to_owned(),
            ));
        };
        let endpoint = address
            // Its clients only know the address that they were given, so that what such a card says was never tried.
            .filter(|_| dialect.binding != Binding::Paths)
            .map_or_else(
                || as_uri(&self.target.base),
                |address| {
                    let address = Url::parse(&address).ok()?;
                    as_uri(&reachable(&self.target.base, &address, dialect.binding))
                },
            )
            .ok_or_else(|| CallError::NoCard("the interface's address is not usable".to_owned()))?;
        Ok(Known {
            card: Some(card),
            dialect,
            endpoint,
            tenant,
            asked_at: Instant::now(),
        })
    }

    /// The address of a path and query below the base.
    #[must_use]
    pub fn below_base(&self, path_and_query: &str) -> Option<Uri> {
        self.beside_base(&path_and_query.parse().ok()?)
    }

    /// The same of one that has been read already.
    #[must_use]
    pub fn beside_base(&self, path_and_query: &PathAndQuery) -> Option<Uri> {
        let base = self.base_uri.as_ref()?;
        let prefix = base.path().trim_end_matches('/');
        let mut parts = base.clone().into_parts();
        parts.path_and_query = Some(if prefix.is_empty() {
            path_and_query.clone()
        } else {
            format!("{prefix}{path_and_query}").parse().ok()?
        });
        Uri::from_parts(parts).ok()
    }
}

/// The address of a path and query below another address.
#[must_use]
pub fn below(address: &Uri, path_and_query: &str) -> Option<Uri> {
    let prefix = address.path().trim_end_matches('/');
    let mut parts = address.clone().into_parts();
    parts.path_and_query = Some(format!("{prefix}{path_and_query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn as_uri(url: &Url) -> Option<Uri> {
    url.as_str().parse().ok()
}

/// Where an interface that the card announces is reached from here. A card often names the worker's public address,
/// which may well lead back to this sidecar, or nowhere from beside the worker: so unless it is the host of the base
/// address or a loopback one, only its path is taken; over gRPC, which has a port instead, that.
fn reachable(base: &Url, announced: &Url, binding: Binding) -> Url {
    let local = match announced.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if (local && is_local(base)) || announced.host() == base.host() {
        return announced.clone();
    }
    let mut url = base.clone();
    if binding == Binding::Grpc {
        url.set_path("/");
        // Fails for addresses without a host alone, which `base` is none of.
        let _ = url.set_port(announced.port_or_known_default());
        return url;
    }
    url.set_path(announced.path());
    url.set_query(announced.query());
    url
}

fn is_local(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
