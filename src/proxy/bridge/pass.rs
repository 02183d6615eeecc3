//! What passes: bytes go to the worker and come back as they are, streamed both ways. A requester that goes away is not
//! heard of at the worker, and silence is filled where the answer's form allows it.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::request::Parts;
use http::uri::Uri;
use http::{Request, Response};
use tower::Service as _;

use super::{Asked, Facts, Shared};
use crate::a2a::Operation;
use crate::a2a::dialect::http_json;
use crate::net::pool::Answer;
use crate::proxy::error::Error;
use crate::proxy::route::Route;
use crate::proxy::upstream::{Outgoing, Upstream};
use crate::sink::render::Rendered;
use crate::telemetry::event::Plan;
use crate::wire::grpc::is_grpc;
use crate::wire::headers::is_event_stream;
use crate::wire::{Body, KeepAliveSse, collect};
use crate::worker::{CallError, Worker, below, is_crash_page};

use super::respond::{Ready, held_open};

impl Shared {
    /// Anything that is no call of the protocol: to the same path below the worker's base address. The request is made
    /// before there is a future, which then need not carry it.
    pub(super) fn pass(
        self: Arc<Self>,
        mut upstream: Upstream,
        parts: Parts,
        body: Body,
        route: Arc<Route>,
    ) -> Result<impl Future<Output = Result<Response<Body>, Error>> + Send + use<>, Error> {
        let worker = &route.upstream.worker;
        let path = route.inner_path(parts.uri.path());
        let uri = match (parts.uri.path_and_query(), parts.uri.query()) {
            (Some(whole), _) if path.len() == whole.path().len() => worker.beside_base(whole),
            (_, Some(query)) => worker.below_base(&format!("{path}?{query}")),
            (_, None) => worker.below_base(path),
        };
        let uri = uri.ok_or(Error::NoRoute)?;
        let (client, uri) = match grpc_target(worker, &parts.headers, path) {
            Some(uri) => (worker.http2(), uri),
            None => (worker.client(), uri),
        };
        let answer = upstream.call(Outgoing {
            client,
            parts,
            body,
            uri,
        });
        Ok(async move { Ok(self.passing(answer.await?, &route)) })
    }

    /// A call of the protocol that needs no conversion: to the worker's own endpoint, the body as it came.
    pub(super) async fn pass_call(&self, asked: Asked) -> Result<Response<Body>, Error> {
        asked.note.plan(Plan::Pass);
        let endpoint = self.target_of(&asked).await?;
        if asked.call.operation == Operation::SendMessage {
            return Box::pin(self.pass_send(asked, endpoint)).await;
        }
        let Facts {
            parts,
            route,
            call,
            mut upstream,
            ..
        } = *asked.0;
        let answer = upstream.call(Outgoing {
            client: route.upstream.worker.client(),
            parts,
            body: Body::full(call.body),
            uri: endpoint,
        });
        let response = answer.await?;
        if is_crash_page(response.status(), response.headers()) {
            // The requester gets an answer that it can read.
            Box::pin(route.upstream.worker.note_refusal()).await;
            return Err(Error::Worker(CallError::Http {
                status: response.status(),
                headers: Box::default(),
                body: Bytes::new(),
            }));
        }
        Ok(self.passing(response, &route))
    }

    /// Where a call goes that passes: to the worker's endpoint, and over HTTP+JSON to the same path below it.
    async fn target_of(&self, asked: &Asked) -> Result<Uri, Error> {
        let known = asked.known().await?;
        let Some(place) = &asked.call.place else {
            return Ok(known.endpoint.clone());
        };
        let uri = &asked.parts.uri;
        let path = uri
            .path_and_query()
            .and_then(|whole| whole.as_str().get(place.lead..))
            .unwrap_or_default();
        let tenant = known.tenant.as_deref().unwrap_or(&asked.tenant);
        let tenant = if tenant.is_empty() {
            String::new()
        } else {
            http_json::tenant_path(tenant)
        };
        below(&known.endpoint, &format!("{tenant}{path}")).ok_or(Error::NoRoute)
    }

    /// The one call whose answer may take as long as the task: it is read to its end whatever the requester does.
    async fn pass_send(&self, asked: Asked, endpoint: Uri) -> Result<Response<Body>, Error> {
        let Facts {
            parts, route, call, ..
        } = &*asked;
        let body = Body::full(call.body.clone());
        let (worker, mut upstream) = (route.upstream.worker.clone(), asked.upstream);
        let limit = route.upstream.policy.max_answer_bytes;
        let keep_alive = route.sink.keep_alive;
        let head = clone_head(parts);
        let (answered, answer) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let answer = async {
                let outgoing = Outgoing {
                    client: worker.client(),
                    parts: head,
                    body,
                    uri: endpoint,
                };
                let (parts, body) = upstream.call(outgoing).await?.into_parts();
                let bytes = collect(body, limit)
                    .await
                    .map_err(|error| CallError::Broken(Box::new(error)))?;
                if is_crash_page(parts.status, &parts.headers) {
                    Box::pin(worker.note_refusal()).await;
                }
                Ok::<_, Error>((parts, bytes))
            };
            let _ = answered.send(answer.await);
        });
        let answer = async move {
            let (parts, bytes) = answer.await.map_err(|_| Error::Stopping)??;
            if !parts.status.is_success() {
                return Err(Error::Worker(CallError::Http {
                    status: parts.status,
                    headers: Box::new(parts.headers),
                    body: bytes,
                }));
            }
            let mut headers = parts.headers;
            headers.remove(CONTENT_LENGTH);
            Ok(Ready {
                rendered: Rendered {
                    status: parts.status,
                    media_type: "application/json",
                    body: bytes,
                    outcome: None,
                },
                headers,
            })
        };
        held_open(Arc::new(asked), keep_alive, answer).await
    }

    /// The worker's answer on its way to the requester.
    fn passing(&self, response: Response<Answer>, route: &Route) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        if !is_event_stream(&parts.headers) {
            return Response::from_parts(parts, Body::boxed(body));
        }
        let drained = self.drainer.wrap(Body::boxed(body));
        let keep_alive = route.sink.keep_alive;
        let body = if keep_alive.is_zero() {
            Body::boxed(drained)
        } else {
            parts.headers.remove(CONTENT_LENGTH);
            Body::boxed(KeepAliveSse::new(drained, keep_alive))
        };
        Response::from_parts(parts, body)
    }
}

/// Where a request goes that is one of gRPC's other services, health among them: to where the worker speaks gRPC, which it
/// does over HTTP/2 alone. None for all other requests.
fn grpc_target(worker: &Worker, headers: &HeaderMap, path: &str) -> Option<Uri> {
    if !is_grpc(headers) {
        return None;
    }
    below(&worker.grpc_address()?, path)
}

fn clone_head(parts: &Parts) -> Parts {
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    request.into_parts().0
}
