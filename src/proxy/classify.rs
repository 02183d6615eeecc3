//! The classify layer: reads as much of a request as tells what it is, and no more.
//!
//! Total: every request becomes a [`Call`], and what is no call of the protocol passes. HTTP+JSON is told by verb and path,
//! JSON-RPC by its body, which is read whole and walked over once; other bodies are not touched.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use pin_project_lite::pin_project;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use tower::{Layer, Service};

use super::call::{A2aCall, Call, Classified, Params, Place};
use super::error::Error;
use crate::a2a::dialect::http_json::{self, HttpCall};
use crate::a2a::dialect::recognise::{self, Seen};
use crate::a2a::dialect::{grpc, jsonrpc, paths};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Dialect, Object, Operation, Version};
use crate::sink::render::Renderer;
use crate::source::{callback, webhook};
use crate::wire::grpc::is_grpc;
use crate::wire::probe::{Kind, ProbeError, RpcRequest};
use crate::wire::{Body, BodyError, collect};
use crate::worker::A2A_VERSION;

mod message;

/// What all of the sidecar's own addresses have in them.
const OWN_PATH: &str = "/.a2a-sidecar/";

/// Where clients of 0.3 and 1.0 look for the card.
const CARD_PATH: &str = "/.well-known/agent-card.json";

/// Where clients of 0.2 look for it.
const OLD_CARD_PATH: &str = "/.well-known/agent.json";

/// Where clients of `python_a2a` look for it, by itself or below `/a2a`.
const PYTHON_A2A_CARD_PATH: &str = "/agent.json";

/// Where clients of 0.2 look for the extended card.
const EXTENDED_CARD_PATH: &str = "/agent/authenticatedExtendedCard";

/// Makes [`Classify`] services.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassifyLayer;

impl<S> Layer<S> for ClassifyLayer {
    type Service = Classify<S>;

    fn layer(&self, inner: S) -> Classify<S> {
        Classify { inner }
    }
}

/// Tells what a request is.
#[derive(Clone, Debug)]
pub struct Classify<S> {
    inner: S,
}

impl<S, E> Service<Request<Body>> for Classify<S>
where
    S: Service<Classified, Response = Response<Body>, Error = E> + Clone + Send + 'static,
    S::Future: Send,
    E: Send + 'static,
{
    type Response = Response<Body>;
    type Error = E;
    type Future = ResponseFuture<S::Future, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let told_by = told_by(&request);
        if told_by == Told::Head {
            return ResponseFuture::Known {
                future: self.inner.call(by_head(request)),
            };
        }
        let clone = self.inner.clone();
        // The one that was polled ready is the one to call.
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (parts, body) = request.into_parts();
        ResponseFuture::Reading {
            future: if let Told::Message(version, operation) = told_by {
                Box::pin(async move {
                    match message::call(&parts, body, version, operation).await {
                        Ok(call) => inner.call(Classified::whole(parts, Call::A2a(call))).await,
                        Err(response) => Ok(*response),
                    }
                })
            } else {
                Box::pin(async move {
                    let read = read(body).await;
                    // In one expression: a name for any part of it is room in the future, and a copy.
                    match by_body(parts, read) {
                        Ok(classified) => inner.call(classified),
                        Err(response) => return Ok(*response),
                    }
                    .await
                })
            },
        }
    }
}

pin_project! {
    /// The answer. Reading a body takes a state machine of its own, and one box is its price; requests that are known
    /// by their head alone do not pay it.
    #[project = ResponseFutureProj]
    #[allow(missing_docs)]
    pub enum ResponseFuture<F, E> {
        Known { #[pin] future: F },
        Reading { future: Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>> },
    }
}

impl<F, E> Future for ResponseFuture<F, E>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            ResponseFutureProj::Known { future } => future.poll(cx),
            ResponseFutureProj::Reading { future } => future.as_mut().poll(cx),
        }
    }
}

/// What it takes to know what a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Its head.
    Head,
    /// Its body too.
    Body,
    /// The message of gRPC in its body; the head says of which version and operation, if it is one.
    Message(Version, Option<Operation>),
}

fn told_by(request: &Request<Body>) -> Told {
    let (path, headers) = (request.uri().path(), request.headers());
    if request.method() != Method::POST {
        Told::Head
    } else if is_grpc(headers)
        && let Some((version, operation)) = grpc::find(path)
    {
        Told::Message(version, operation)
    } else if is_json(headers)
        || is_own(path) && (callback::token(path).is_some() || path.contains(webhook::PATH))
    {
        Told::Body
    } else {
        Told::Head
    }
}

/// What a request is whose head tells.
fn by_head(request: Request<Body>) -> Classified {
    let (method, path) = (request.method(), request.uri().path());
    let call = if is_own(path)
        && let Some((token, _)) = callback::token(path)
    {
        Call::Callback {
            token: token.to_owned(),
            body: None,
        }
    } else if method == Method::GET || method == Method::HEAD {
        if path.ends_with(OLD_CARD_PATH) {
            Call::Card {
                version: Some(Version::V0_2),
            }
        } else if path.ends_with(CARD_PATH) {
            let (parts, body) = request.into_parts();
            let version = named_version(&parts).and_then(Version::parse);
            return Classified::new(parts, Call::Card { version }, body);
        } else if path.ends_with(PYTHON_A2A_CARD_PATH) {
            Call::Card {
                version: Some(Version::PythonA2a),
            }
        } else if path.ends_with(EXTENDED_CARD_PATH) {
            Call::ExtendedCard
        } else {
            return by_path(request);
        }
    } else if method == Method::DELETE {
        return by_path(request);
    } else {
        Call::Other
    };
    let (parts, body) = request.into_parts();
    Classified::new(parts, call, body)
}

/// Whether a path may be one of the sidecar's own addresses: one look for all of them, at every request.
fn is_own(path: &str) -> bool {
    memchr::memmem::find(path.as_bytes(), OWN_PATH.as_bytes()).is_some()
}

/// A request without a body of its own, which is a call of HTTP+JSON if its path is one's.
fn by_path(request: Request<Body>) -> Classified {
    let (parts, body) = request.into_parts();
    let named = named_version(&parts);
    let version = named.and_then(Version::parse);
    let (method, path) = (&parts.method, parts.uri.path());
    let call = match http_json::decode_head(method, path, parts.uri.query(), version) {
        Some(mut head) => {
            let params = std::mem::take(&mut head.params);
            Call::A2a(of_head(&parts, named.is_some(), &head, params))
        }
        None => Call::Other,
    };
    Classified::new(parts, call, body)
}

/// A call over HTTP+JSON with these parameters.
fn of_head(parts: &Parts, named: bool, head: &HttpCall<'_>, params: Object) -> A2aCall {
    let dialect = Dialect::http_json(head.version);
    let says = |name, text: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .is_some_and(|value| value.contains(text))
    };
    // 1.0.0 spoke of `application/json`: who does is answered so.
    let plain_json = says(CONTENT_TYPE, "application/json")
        || (says(ACCEPT, "application/json") && !says(ACCEPT, "a2a+json"));
    A2aCall {
        dialect,
        operation: head.operation,
        renderer: Renderer::http_json(dialect, plain_json),
        body: Bytes::new(),
        params: Params::Read(params),
        place: Some(Place {
            lead: head.lead.len(),
            sure: named || parts.method != Method::GET,
        }),
    }
}

/// A whole body. Its bound is the body-limit layer's.
async fn read(body: Body) -> Result<Bytes, Error> {
    collect(body, usize::MAX)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge { limit } => Error::BodyTooLarge { limit },
            BodyError::Incoming(_) | BodyError::Producer(_) => Error::Body,
        })
}

/// What a request is whose body tells, or the answer to one that is wrong.
fn by_body(parts: Parts, read: Result<Bytes, Error>) -> Result<Classified, Box<Response<Body>>> {
    let bytes = read.map_err(|error| Box::new(error.to_http()))?;
    let path = parts.uri.path();
    let own = is_own(path);
    if own && let Some(at) = path.find(webhook::PATH) {
        let token = path[at + webhook::PATH.len()..].to_owned();
        let call = Call::Webhook { token, body: bytes };
        return Ok(Classified::whole(parts, call));
    }
    if own && let Some(token) = callback::token(path).map(|(token, _)| token.to_owned()) {
        let body = Some(bytes);
        return Ok(Classified::whole(parts, Call::Callback { token, body }));
    }
    if let Some(lead) = paths::lead(path) {
        let call = of_path(path, lead, &bytes)?;
        return Ok(Classified::whole(parts, Call::A2a(call)));
    }
    let named = named_version(&parts);
    let version = named.and_then(Version::parse);
    let head = http_json::decode_head(&parts.method, path, parts.uri.query(), version);
    if let Some(head) = head {
        let mut call = of_head(&parts, named.is_some(), &head, Object::new());
        call.params = match http_json::with_body(head.params, &bytes) {
            Ok(params) => Params::Read(params),
            Err(error) => {
                let answer = Error::A2a(error).to_rpc(&call.renderer, call.operation);
                return Err(Box::new(answer));
            }
        };
        call.body = bytes;
        return Ok(Classified::whole(parts, Call::A2a(call)));
    }
    match of_rpc(&parts, named, version, &bytes) {
        Ok(Some(call)) => Ok(Classified::whole(parts, Call::A2a(call))),
        Ok(None) => Ok(Classified::new(parts, Call::Other, Body::full(bytes))),
        Err(wrong) => {
            let (dialect, id, error) = *wrong;
            let renderer = Renderer::new(dialect, id);
            Err(Box::new(
                Error::A2a(error).to_rpc(&renderer, Operation::SendMessage),
            ))
        }
    }
}

fn not_served(version: &str) -> String {
    format!("A2A version {version} is not served here; the agent card lists those that are.")
}

/// A call to the path of an operation.
fn of_path(path: &str, lead: usize, bytes: &Bytes) -> Result<A2aCall, Box<Response<Body>>> {
    let dialect = Dialect::PYTHON_A2A;
    match paths::decode_call(path, bytes) {
        Ok(call) => {
            let task = call.params.get("id").and_then(Value::as_str);
            Ok(A2aCall {
                dialect,
                operation: call.operation,
                renderer: Renderer::path(dialect, call.form, task.map(ToOwned::to_owned)),
                body: bytes.clone(),
                params: Params::Read(call.params),
                place: Some(Place { lead, sure: false }),
            })
        }
        Err(wrong) => {
            let (form, error) = *wrong;
            let renderer = Renderer::path(dialect, form, None);
            Err(Box::new(
                Error::A2a(error).to_rpc(&renderer, Operation::SendMessage),
            ))
        }
    }
}

/// Which error to answer with, and in which words.
type Wrong = Box<(Dialect, Option<Box<RawValue>>, A2aError)>;

/// The call that a JSON body is; none if it is no business of the protocol's.
fn of_rpc(
    parts: &Parts,
    named: Option<&str>,
    version: Option<Version>,
    bytes: &Bytes,
) -> Result<Option<A2aCall>, Wrong> {
    let default = Dialect::jsonrpc(version.unwrap_or(Version::V0_3));
    let envelope = match RpcRequest::probe(bytes) {
        Ok(envelope) => envelope,
        Err(ProbeError::Batch) => {
            // A batch is refused, as every SDK refuses it; any other array is no call.
            return match jsonrpc::decode_call(bytes) {
                Err(error) if looks_like_batch(bytes) => Err(Box::new((default, None, error))),
                _ => Ok(None),
            };
        }
        // A body that does not say that it is JSON need not be; one that says so must.
        Err(_) if !parts.headers.contains_key(CONTENT_TYPE) => return Ok(None),
        Err(ProbeError::NotAnObject) if serde_json::from_slice::<IgnoredAny>(bytes).is_ok() => {
            return Ok(None);
        }
        Err(_) => {
            let error = jsonrpc::decode_call(bytes)
                .err()
                .unwrap_or_else(|| A2aError::new(ErrorKind::Parse, "The body is not JSON"));
            return Err(Box::new((default, None, error)));
        }
    };
    let Some(method) = envelope.method.and_then(|method| method.string()) else {
        return Ok(None);
    };
    let params = envelope
        .params
        .map_or_else(Bytes::new, |params| bytes.slice_ref(params.bytes()));
    let seen = Seen {
        path: parts.uri.path(),
        headers: &parts.headers,
        method: &method,
        params: &params,
        null_id: envelope.id.is_some_and(|id| id.kind() == Kind::Null),
    };
    let Some((dialect, operation)) = recognise::of_call(&seen) else {
        // A method of an extension, or of an agent that speaks something else: it passes.
        return Ok(None);
    };
    let id = match envelope.id.map(|id| (id.kind(), id)) {
        Some((Kind::String | Kind::Number, id)) => std::str::from_utf8(id.bytes())
            .ok()
            .and_then(|id| RawValue::from_string(id.to_owned()).ok()),
        _ => None,
    };
    let sound = envelope
        .jsonrpc
        .and_then(|version| version.string())
        .is_some_and(|version| version == "2.0")
        && envelope
            .id
            .is_none_or(|id| matches!(id.kind(), Kind::String | Kind::Number | Kind::Null));
    if !sound {
        let error = jsonrpc::decode_call(bytes).err().unwrap_or_else(|| {
            A2aError::new(
                ErrorKind::InvalidRequest,
                "The envelope is no JSON-RPC 2.0 request",
            )
        });
        return Err(Box::new((dialect, id, error)));
    }
    if let Some(name) = named
        && version.is_none()
    {
        let error = A2aError::new(ErrorKind::VersionNotSupported, not_served(name));
        return Err(Box::new((dialect, id, error)));
    }
    Ok(Some(A2aCall {
        dialect,
        operation,
        body: bytes.clone(),
        renderer: Renderer::new(dialect, id),
        params: Params::Raw(params),
        place: None,
    }))
}

fn looks_like_batch(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\"jsonrpc\"").is_some()
}

/// The version that the request names, by header or query parameter (§3.6.1); an empty one names none.
fn named_version(parts: &Parts) -> Option<&str> {
    let header = parts
        .headers
        .get(A2A_VERSION)
        .and_then(|value| value.to_str().ok());
    let query = || {
        parts
            .uri
            .query()?
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("a2a-version"))
            .map(|(_, value)| value)
    };
    header
        .or_else(query)
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn is_json(headers: &HeaderMap) -> bool {
    // A body that says nothing of itself is looked at: some clients are that simple.
    headers.get(CONTENT_TYPE).is_none_or(|value| {
        value
            .as_bytes()
            .windows(4)
            .any(|word| word.eq_ignore_ascii_case(b"json"))
    })
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
