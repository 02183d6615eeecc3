//! Agent cards: the worker's, rewritten so that it is true of worker and sidecar together (design §7).

use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use std::time::SystemTime;
use url::Url;

use super::respond::Ready;
use super::{Asked, Shared};
use crate::a2a::card::{CardPlan, Served, WorkerCard, rewrite};
use crate::a2a::request::Answer;
use crate::a2a::{Binding, Object, Request, Version};
use crate::proxy::error::Error;
use crate::proxy::route::{Observe, Route};
use crate::source::Mode;
use crate::wire::Body;
use crate::worker::{CallContext, CallError, Known};

/// For how long a requester may keep the card, in seconds: as long as the sidecar itself believes the worker's.
const MAX_AGE: &str = "public, max-age=300";

impl Shared {
    pub(super) async fn agent_card(
        &self,
        parts: &Parts,
        version: Option<Version>,
        route: &Route,
    ) -> Result<Response<Body>, Error> {
        let known = route.upstream.worker.known().await?;
        let Some(card) = &known.card else {
            return Err(CallError::NoCard("the worker has none".to_owned()).into());
        };
        let plan = self.card_plan(parts, version, route, &known);
        let body = rewrite(card, &plan).to_string();
        let etag = format!("\"{}\"", short_digest(body.as_bytes()));
        let modified = SystemTime::now() - known.age();
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(MAX_AGE));
        headers.insert(VARY, HeaderValue::from_static("a2a-version, host"));
        if let Ok(value) = HeaderValue::from_str(&etag) {
            headers.insert(ETAG, value);
        }
        if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(modified)) {
            headers.insert(LAST_MODIFIED, value);
        }
        if is_fresh(parts, &etag, modified) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else if parts.method != Method::HEAD {
            *response.body_mut() = Body::full(body);
        }
        Ok(response)
    }

    /// The extended card is the worker's answer to this requester alone; it is rewritten like the public one.
    pub(super) async fn extended_card(
        &self,
        asked: Asked,
        params: Object,
    ) -> Result<Response<Body>, Error> {
        let (card, extensions) = self
            .fetch_extended(&asked.route, params, &asked.context())
            .await?;
        let plan = self.card_plan(
            &asked.parts,
            Some(asked.call.dialect.version),
            &asked.route,
            asked.known().await?,
        );
        let answer = Answer::Card(rewrite(&card, &plan));
        Ok(Ready::new(&asked, &answer)
            .with_extensions(&asked, extensions)
            .into_response())
    }

    /// The same for a client of 0.2, which asks by a path.
    pub(super) async fn extended_card_by_path(
        &self,
        parts: Parts,
        route: &Route,
    ) -> Result<Response<Body>, Error> {
        let known = route.upstream.worker.known().await?;
        let context = CallContext::of_request(&parts);
        let card = if known.dialect.version == Version::V0_2 {
            let path = route.inner_path(parts.uri.path());
            route.upstream.worker.card_at(path, &context).await?
        } else {
            self.fetch_extended(route, Object::new(), &context).await?.0
        };
        let plan = self.card_plan(&parts, Some(Version::V0_2), route, &known);
        let mut response = Response::new(Body::full(rewrite(&card, &plan).to_string()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        Ok(response)
    }

    async fn fetch_extended(
        &self,
        route: &Route,
        params: Object,
        context: &CallContext,
    ) -> Result<(WorkerCard, Option<HeaderValue>), Error> {
        let upstream = &route.upstream;
        let reply = upstream
            .worker
            .call(
                &Request::GetExtendedAgentCard(params),
                context,
                upstream.policy.call_timeout,
            )
            .await?;
        let Answer::Card(raw) = reply.value else {
            return Err(CallError::BadAnswer("no card".to_owned()).into());
        };
        let card = WorkerCard::parse(raw.to_string().as_bytes(), upstream.worker.base())
            .map_err(|error| CallError::BadAnswer(error.to_string()))?;
        Ok((card, reply.extensions))
    }

    fn card_plan(
        &self,
        parts: &Parts,
        version: Option<Version>,
        route: &Route,
        known: &Known,
    ) -> CardPlan {
        let base = self.public_base(parts, route);
        // The worker's own path is kept: an agent that is known at /a2a stays there.
        let path = known.endpoint.path();
        let url = format!("{base}{path}");
        let version = version.or_else(|| {
            route
                .strict_card
                .then(|| route.serve.first().map(|dialect| dialect.version))
                .flatten()
        });
        CardPlan {
            served: route
                .serve
                .iter()
                .filter_map(|dialect| {
                    let url = match dialect.binding {
                        Binding::Grpc => grpc_address(&base)?,
                        Binding::JsonRpc | Binding::HttpJson | Binding::Paths => url.clone(),
                    };
                    Some(Served {
                        dialect: *dialect,
                        url,
                        // The tenant is between the sidecar and the worker.
                        tenant: None,
                    })
                })
                .collect(),
            streaming: route.offers(Mode::Stream),
            push: route.offers(Mode::Push),
            callback: route.offers(Mode::Callback),
            extended: known.card.as_ref().is_some_and(|card| card.extended_card),
            // What is numbered is the log's events.
            generations: route.observe != Observe::Off,
            for_version: version,
        }
    }

    /// The address at which the requester reaches the route: as configured, else as it has just reached it.
    fn public_base(&self, parts: &Parts, route: &Route) -> String {
        if let Some(url) = &route.public_url {
            return url.clone();
        }
        let host = parts
            .headers
            .get(HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| parts.uri.authority().map(|authority| authority.as_str()))
            .unwrap_or("localhost");
        let scheme = if self.tls { "https" } else { "http" };
        let prefix = route.prefix.trim_end_matches('/');
        format!("{scheme}://{host}{prefix}")
    }
}

/// gRPC's address is `host:port` (specification §4.4.6). Its paths begin with the service's name, so that there is none
/// for a route below a path.
fn grpc_address(base: &str) -> Option<String> {
    let base = Url::parse(base).ok()?;
    if base.path() != "/" {
        return None;
    }
    Some(format!(
        "{}:{}",
        base.host_str()?,
        base.port_or_known_default()?
    ))
}

fn is_fresh(parts: &Parts, etag: &str, modified: SystemTime) -> bool {
    if let Some(known) = parts.headers.get(IF_NONE_MATCH) {
        // If-None-Match outweighs If-Modified-Since (RFC 9110 §13.1.3).
        return known.to_str().is_ok_and(|known| {
            known
                .split(',')
                .map(|tag| tag.trim().trim_start_matches("W/"))
                .any(|tag| tag == etag || tag == "*")
        });
    }
    parts
        .headers
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok())
        .is_some_and(|since| since >= modified)
}

fn short_digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
