//! The bridge: answers a call from the log, starts a source, or lets the call pass to the upstream service below.

mod callback;
mod card;
mod list;
mod pass;
mod push;
mod repeats;
mod respond;
mod send;
mod task;

use std::future::{Future, ready};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use percent_encoding::percent_decode_str;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use super::access::{Access, principal};
use super::call::{A2aCall, Call, Params};
use super::decide::Situation;
use super::error::Error;
use super::note::Note;
use super::probes::Probes;
use super::route::{Route, Routes};
use super::upstream::Upstream;
use crate::a2a::Request as A2aRequest;
use crate::a2a::error::ErrorKind;
use crate::a2a::extension;
use crate::a2a::{A2aError, Dialect};
use crate::net::guard::AddressPolicy;
use crate::sink::render::Renderer;
use crate::source::webhook::ReceiveError;
use crate::source::{self, Mode, Sources, Want};
use crate::store::{Principal, TaskRecord};
use crate::task::TaskKey;
use crate::telemetry::event::Plan;
use crate::wire::{Body, Drainer};
use crate::worker::{CallContext, Known};
pub use repeats::Repeats;

/// A request that has found its route.
pub struct Routed {
    /// The request's head.
    pub parts: Parts,
    /// What it is.
    pub call: Call,
    /// The body, where `call` does not hold it.
    pub body: Body,
    /// For what is found out about it.
    pub note: Note,
    /// Its route.
    pub route: Arc<Route>,
}

impl Routed {
    /// With the tenant that the path names, now that the route's part of the path is known. What only looks like a call
    /// of the protocol, or is one that the route does not serve, passes.
    fn settled(mut self) -> Self {
        let Call::A2a(call) = &mut self.call else {
            return self;
        };
        let Some(place) = &call.place else {
            return self;
        };
        let lead = self.parts.uri.path().get(..place.lead).unwrap_or_default();
        let known = self.route.upstream.worker.known_now();
        let own = known
            .as_ref()
            .map_or("", |known| known.endpoint.path().trim_end_matches('/'));
        let inner = self.route.inner_path(lead).trim_end_matches('/');
        let rest = inner.strip_prefix(own).unwrap_or(inner);
        let tenant = match rest.strip_prefix('/') {
            None if rest.is_empty() => None,
            Some(tenant) if place.sure && !tenant.contains('/') => Some(tenant),
            _ => return self.passing(),
        };
        if !self.route.serve.contains(&call.dialect) {
            return self.passing();
        }
        if let (Some(tenant), Params::Read(params)) = (tenant, &mut call.params) {
            let tenant = percent_decode_str(tenant).decode_utf8_lossy();
            params.insert("tenant".to_owned(), tenant.into());
        }
        self
    }

    fn passing(mut self) -> Self {
        if let Call::A2a(call) = std::mem::replace(&mut self.call, Call::Other)
            && !call.body.is_empty()
        {
            self.body = Body::full(call.body);
        }
        self
    }
}

/// What all calls share.
pub struct Shared {
    /// The sources, and the hub behind them.
    pub sources: Sources,
    /// All routes, for what arrives without one of its own (webhooks name a task).
    pub routes: Arc<Routes>,
    /// Sends that their requesters may send again by themselves.
    pub repeats: Repeats,
    /// Who may see what.
    pub access: Access,
    /// Where webhooks may go.
    pub addresses: Arc<AddressPolicy>,
    /// The most push configs of one task.
    pub max_push_configs: usize,
    /// Webhooks that were registered to find out whether any are taken.
    pub probes: Probes,
    /// Reads on what requesters have left.
    pub drainer: Drainer,
    /// Ends streams cleanly when the sidecar stops.
    pub closing: CancellationToken,
    /// Whether the public side speaks TLS, for addresses in cards.
    pub tls: bool,
}

/// An answer still to come.
type AnswerFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// Makes [`Bridge`] services.
#[derive(Clone)]
pub struct BridgeLayer {
    shared: Arc<Shared>,
}

impl BridgeLayer {
    /// Over what all calls share.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Layer<Upstream> for BridgeLayer {
    type Service = Bridge;

    fn layer(&self, upstream: Upstream) -> Bridge {
        Bridge {
            shared: Arc::clone(&self.shared),
            upstream,
        }
    }
}

/// The bridge.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
    /// For what passes.
    upstream: Upstream,
}

impl Service<Routed> for Bridge {
    type Response = Response<Body>;
    type Error = Error;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Routed) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let request = request.settled();
        match request.call {
            // The pass-through path has its own future, small and without the bridge's state.
            Call::Other => {
                request.note.plan(Plan::Pass);
                match shared.pass(self.upstream, request.parts, request.body, request.route) {
                    Ok(answer) => Box::pin(answer),
                    Err(error) => Box::pin(ready(Err(error))),
                }
            }
            Call::Card { version } => Box::pin(async move {
                shared
                    .agent_card(&request.parts, version, &request.route)
                    .await
            }),
            Call::ExtendedCard => Box::pin(async move {
                shared
                    .extended_card_by_path(request.parts, &request.route)
                    .await
            }),
            Call::Webhook { token, body } => {
                Box::pin(async move { shared.receive(&token, &body).await })
            }
            Call::Callback { token, body } => {
                Box::pin(async move { shared.called_back(&token, body).await })
            }
            Call::A2a(mut call) => {
                if extension::asks_for_generations(&request.parts.headers) {
                    call.renderer.show_generations();
                }
                shared.answer(Asked(Box::new(Facts {
                    upstream: self.upstream,
                    principal: OnceLock::new(),
                    known: OnceLock::new(),
                    tenant: call.tenant(),
                    parts: request.parts,
                    route: request.route,
                    note: request.note,
                    call,
                })))
            }
        }
    }
}

/// A call of the protocol, with all that is known of it. On the heap: it is handed from one function to the next, and
/// each of them would copy it into its own state.
struct Asked(Box<Facts>);

struct Facts {
    upstream: Upstream,
    parts: Parts,
    route: Arc<Route>,
    call: A2aCall,
    note: Note,
    /// What is known of the worker, once it has been asked for.
    known: OnceLock<Arc<Known>>,
    /// A digest, made when it is asked for: what is not kept here needs none.
    principal: OnceLock<Principal>,
    tenant: Arc<str>,
}

impl Deref for Asked {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Asked {
    fn key(&self, id: &str) -> TaskKey {
        TaskKey {
            route: self.route.name.clone(),
            tenant: self.tenant.clone(),
            id: id.into(),
        }
    }

    /// Who asks.
    fn principal(&self) -> Principal {
        *self.principal.get_or_init(|| {
            principal(
                &self.route.name,
                &self.parts.headers,
                &self.route.identity_headers,
            )
        })
    }

    fn context(&self) -> CallContext {
        CallContext::of_request(&self.parts)
    }

    /// The same call, known for what it is by the task that it names: see [`A2aCall::taken_for`].
    fn about(self, record: Option<&TaskRecord>) -> Self {
        match record.and_then(|record| Dialect::from_name(&record.link.requester)) {
            Some(sent) => self.taken_for(sent),
            None => self,
        }
    }

    /// The same of a task that only the worker has: who asks for it here is most likely of the worker's own kind.
    async fn about_workers_own(self) -> Result<Self, Error> {
        let dialect = self.known().await?.dialect;
        Ok(self.taken_for(dialect))
    }

    fn taken_for(self, other: Dialect) -> Self {
        if self.call.is_of(other) {
            return self;
        }
        let facts = *self.0;
        Asked(Box::new(Facts {
            call: facts.call.taken_for(other),
            ..facts
        }))
    }

    fn renderer(&self) -> &Renderer {
        &self.call.renderer
    }

    fn upstream(&self) -> &Arc<source::Upstream> {
        &self.route.upstream
    }

    fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What is known of the worker. Not asked for before it is needed: what the log can answer, it answers for a worker
    /// that is down as well.
    async fn known(&self) -> Result<&Arc<Known>, Error> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let known = self.upstream().worker.known().await?;
        Ok(self.known.get_or_init(|| known))
    }

    async fn situation(
        &self,
        want: Want,
        inline_push: bool,
        kept: bool,
    ) -> Result<Situation<'_>, Error> {
        let known = self.known().await?;
        Ok(Situation {
            operation: self.call.operation,
            want,
            inline_push,
            requester: self.call.dialect,
            worker: known.dialect,
            can: self.upstream().worker.abilities(known),
            reachable: !self.route.upstream.policy.push.base_url.is_empty(),
            kept,
            observe: self.route.observe,
            delivery: self.route.delivery,
            prefer: &self.upstream().policy.prefer,
        })
    }
}

impl Shared {
    /// Each operation has its own future, as large as it needs.
    fn answer(self: Arc<Self>, asked: Asked) -> AnswerFuture {
        let request = match asked.call.decode() {
            Ok(request) => request,
            Err(error) => return Box::pin(ready(Err(error.into()))),
        };
        if request.operation().streams() && !asked.route.offers(Mode::Stream) {
            let error = unsupported("Streaming is not offered on this route.");
            return Box::pin(ready(Err(error.into())));
        }
        match request {
            A2aRequest::SendMessage(send) => {
                Box::pin(async move { self.send(asked, send, false).await })
            }
            A2aRequest::SendStreamingMessage(send) => {
                Box::pin(async move { self.send(asked, send, true).await })
            }
            A2aRequest::GetTask(get) => Box::pin(async move { self.get_task(asked, get).await }),
            A2aRequest::CancelTask(cancel) => {
                Box::pin(async move { self.cancel_task(asked, cancel).await })
            }
            A2aRequest::SubscribeToTask(subscribe) => {
                Box::pin(async move { self.subscribe(asked, subscribe).await })
            }
            A2aRequest::CreatePushConfig(config) => {
                Box::pin(async move { self.create_push(asked, config).await })
            }
            A2aRequest::GetPushConfig(get) => {
                Box::pin(async move { self.get_push(asked, get).await })
            }
            A2aRequest::ListPushConfigs(list) => {
                Box::pin(async move { self.list_push(asked, list).await })
            }
            A2aRequest::DeletePushConfig(delete) => {
                Box::pin(async move { self.delete_push(asked, delete).await })
            }
            A2aRequest::ListTasks(filter) => {
                Box::pin(async move { self.list_tasks(asked, filter).await })
            }
            A2aRequest::GetExtendedAgentCard(params) => {
                Box::pin(async move { self.extended_card(asked, params).await })
            }
        }
    }

    /// The record of a task that the requester names, if it is kept here and may be seen by it. A requester may know a
    /// task by the worker's own id (from a list, say) as well as by the sidecar's.
    async fn record(&self, asked: &Asked, id: &str) -> Result<Option<TaskRecord>, Error> {
        let hub = self.sources.hub();
        let record = match hub.record(&asked.key(id)).await? {
            Some(record) => record,
            None => {
                match hub
                    .store()
                    .task_by_worker_id(&asked.route.name, &asked.tenant, id)
                    .await?
                {
                    Some(record) => record,
                    None => return Ok(None),
                }
            }
        };
        // Boxed: the worker is seldom asked, and a call that has no record at all would carry what asking takes.
        let allowed = record.owner == asked.principal()
            || Box::pin(async {
                let context = asked.context();
                self.access
                    .allows(
                        &self.sources,
                        &asked.route,
                        &record,
                        asked.principal(),
                        &context,
                    )
                    .await
            })
            .await;
        if allowed {
            asked.note.task(&record.key.id);
            Ok(Some(record))
        } else {
            // Not found and not allowed look the same (§13.1), also beside the worker's own words for a task that is not
            // kept here: to this requester it is none.
            Ok(None)
        }
    }

    async fn receive(&self, token: &str, body: &[u8]) -> Result<Response<Body>, Error> {
        let received = self
            .sources
            .receive(token, body, |route| {
                self.routes.named(route).map(|route| route.upstream.clone())
            })
            .await;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status_of(received)?;
        Ok(response)
    }
}

/// What a worker is told that has sent something to the sidecar's own address.
fn status_of(received: Result<(), ReceiveError>) -> Result<StatusCode, Error> {
    Ok(match received {
        Ok(()) => StatusCode::OK,
        Err(ReceiveError::Unknown) => StatusCode::NOT_FOUND,
        Err(ReceiveError::Malformed(what)) => {
            tracing::debug!(%what, "what a worker sent cannot be read");
            StatusCode::BAD_REQUEST
        }
        Err(ReceiveError::TooEarly) => StatusCode::SERVICE_UNAVAILABLE,
        Err(ReceiveError::Store(error)) => return Err(error.into()),
    })
}

fn unsupported(message: &str) -> A2aError {
    A2aError::new(ErrorKind::UnsupportedOperation, message)
}
