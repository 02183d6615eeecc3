//! Calls: one request in the worker's dialect, one answer or stream in the canonical model.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body::Body as _;
use serde_json::Value;

use super::{A2A_VERSION, CallContext, CallError, EventStream, Known, Worker, is_hop_by_hop};
use crate::a2a::dialect::{http_json, jsonrpc, paths};
use crate::a2a::request::Answer;
use crate::a2a::{A2aError, Binding, Dialect, Operation, Request, extension};
use crate::net::held::Held;
use crate::wire::Body;
use crate::wire::collect::collect;
use crate::wire::headers::{EVENT_STREAM, is_event_stream};
use crate::wire::sse::SseLimits;

/// The header of RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The most bytes of an HTTP error's body that are kept to be passed on.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// An answer, and the service parameters that came with it.
#[derive(Debug)]
pub struct Reply<T> {
    /// The answer.
    pub value: T,
    /// The extensions that the worker says are active.
    pub extensions: Option<HeaderValue>,
}

/// What a worker made of a call for a stream.
#[expect(
    clippy::large_enum_variant,
    reason = "one for each call, taken apart where it arrives"
)]
pub enum Opened {
    /// A stream.
    Stream(Box<EventStream>),
    /// A plain answer: some workers give one when they have nothing to stream.
    Answer(Answer),
}

impl Worker {
    /// Makes a call and reads the one answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        self: &Arc<Self>,
        request: &Request,
        context: &CallContext,
        timeout: Duration,
    ) -> Result<Reply<Answer>, CallError> {
        let known = self.known().await?;
        let exchange = async {
            let error = match self.call_as(&known, request, context).await {
                Err(error) if self.may_lack_names(&known, &error) => error,
                done => return done,
            };
            // Boxed: no other call should carry what happens to a worker once.
            match Box::pin(self.find_out_names(&known, context)).await {
                Some(known) => Box::pin(self.call_as(&known, request, context)).await,
                None => Err(error),
            }
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| CallError::Timeout { waited: timeout })?
    }

    async fn call_as(
        &self,
        known: &Known,
        request: &Request,
        context: &CallContext,
    ) -> Result<Reply<Answer>, CallError> {
        let accept = match known.dialect.binding {
            Binding::JsonRpc | Binding::Paths => "application/json",
            // The names of 1.0.1 and of 1.0.0.
            Binding::HttpJson => "application/a2a+json, application/json",
            // Boxed, here and below: a call costs what its own binding needs while it waits.
            Binding::Grpc => return Box::pin(self.call_grpc(known, request, context)).await,
        };
        let response = self.exchange(known, request, context, accept, None).await?;
        let extensions = extensions_of(response.headers());
        let value = self
            .read_answer(known, request.operation(), response)
            .await?;
        Ok(Reply { value, extensions })
    }

    /// Makes a call that is answered with a stream. The timeout is for the answer's head only.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn open(
        self: &Arc<Self>,
        request: &Request,
        context: &CallContext,
        timeout: Duration,
    ) -> Result<Reply<Opened>, CallError> {
        let known = self.known().await?;
        let exchange = async {
            let error = match self.open_as(&known, request, context).await {
                Err(error) if self.may_lack_names(&known, &error) => error,
                done => return done,
            };
            match Box::pin(self.find_out_names(&known, context)).await {
                Some(known) => Box::pin(self.open_as(&known, request, context)).await,
                None => Err(error),
            }
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| CallError::Timeout { waited: timeout })?
    }

    async fn open_as(
        &self,
        known: &Known,
        request: &Request,
        context: &CallContext,
    ) -> Result<Reply<Opened>, CallError> {
        if known.dialect.binding == Binding::Grpc {
            return Box::pin(self.open_grpc(known, request, context)).await;
        }
        let mut response = self
            .exchange(known, request, context, EVENT_STREAM, None)
            .await?;
        if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && known.dialect.binding == Binding::HttpJson
            && request.operation() == Operation::SubscribeToTask
        {
            // The text of 1.0 says POST and its proto GET: some servers know only the latter.
            let get = self.exchange(known, request, context, EVENT_STREAM, Some(Method::GET));
            response = Box::pin(get).await?;
        }
        let extensions = extensions_of(response.headers());
        let value = if is_event_stream(response.headers()) {
            Opened::Stream(Box::new(EventStream::new(
                known.dialect,
                response.into_body(),
                SseLimits {
                    max_event_bytes: self.target.max_event_bytes,
                    ..SseLimits::default()
                },
            )))
        } else {
            // An answer to the send is one task or message, whichever way it was asked for.
            let operation = match request.operation() {
                // Its answers are no different, and its refusals are known by it.
                operation if known.dialect.binding == Binding::Paths => operation,
                Operation::SendStreamingMessage => Operation::SendMessage,
                _ => Operation::GetTask,
            };
            Opened::Answer(Box::pin(self.read_answer(known, operation, response)).await?)
        };
        Ok(Reply { value, extensions })
    }

    pub(super) async fn exchange(
        &self,
        known: &Known,
        request: &Request,
        context: &CallContext,
        accept: &'static str,
        verb: Option<Method>,
    ) -> Result<http::Response<Held>, CallError> {
        let call = self.http_call(known, request, context, accept, verb)?;
        let answer = if accept == EVENT_STREAM {
            self.client.request_long(call).await
        } else {
            let answer = self.client.request(call).await;
            answer.map(|response| response.map(Held::Body))
        };
        answer.map_err(CallError::from_client)
    }

    /// The call as it goes out. Apart from sending it, so that nothing it is made of outlives the making.
    fn http_call(
        &self,
        known: &Known,
        request: &Request,
        context: &CallContext,
        accept: &'static str,
        verb: Option<Method>,
    ) -> Result<http::Request<Body>, CallError> {
        let (method, params) = self.params(known, request);
        let tenant = known.tenant.as_deref();
        let mut call = match known.dialect.binding {
            Binding::JsonRpc => {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                let body = jsonrpc::encode_call(id, method, &params);
                let mut call = http::Request::new(Body::full(body));
                *call.method_mut() = Method::POST;
                *call.uri_mut() = known.endpoint.clone();
                call
            }
            Binding::Paths => {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                let (path, body) = paths::encode_call(id, request);
                let mut call = http::Request::new(Body::full(body));
                *call.method_mut() = Method::POST;
                *call.uri_mut() = super::below(&known.endpoint, &path).ok_or_else(|| {
                    CallError::BadAnswer("the worker's address is not usable".to_owned())
                })?;
                call
            }
            // Calls over gRPC are made elsewhere.
            Binding::HttpJson | Binding::Grpc => {
                let operation = request.operation();
                let version = known.dialect.version;
                let out = http_json::encode_call(version, operation, params, tenant);
                let body = out.body.map(|body| body.to_string()).unwrap_or_default();
                let mut call = http::Request::new(Body::full(body));
                *call.method_mut() = verb.unwrap_or(out.method);
                *call.uri_mut() = super::below(&known.endpoint, &out.path).ok_or_else(|| {
                    CallError::BadAnswer("the interface's address is not usable".to_owned())
                })?;
                call
            }
        };
        let bodyless = call.body().is_end_stream();
        let headers = call.headers_mut();
        self.put_headers(headers, known, context);
        if !bodyless {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if accept == EVENT_STREAM {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if known.dialect.traits().client_ids && wants_no_wait(request) {
            // These forms have no word for it, but HTTP has; another sidecar knows it (RFC 7240 §4.1).
            headers.insert(PREFER, HeaderValue::from_static("respond-async"));
        }
        Ok(call)
    }

    /// A call's method and parameters, with the tenant that the worker's interface names.
    pub(super) fn params(&self, known: &Known, request: &Request) -> (&'static str, Value) {
        let (method, mut params) = known.dialect.encode_request(request);
        if let (Some(tenant), Some(params)) = (&known.tenant, params.as_object_mut())
            && known.dialect.traits().tenants
        {
            params.insert("tenant".to_owned(), tenant.as_str().into());
        }
        (method, params)
    }

    /// The headers that a call has in every binding: the requester's, the sidecar's own where they are missing, and the
    /// service parameters as the worker's version names them.
    pub(super) fn put_headers(
        &self,
        headers: &mut HeaderMap,
        known: &Known,
        context: &CallContext,
    ) {
        headers.clone_from(context.headers());
        for (name, value) in &self.target.headers {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        extension::rename(headers, known.dialect.version);
        if let Some(version) = known.dialect.traits().a2a_version {
            headers.insert(A2A_VERSION, HeaderValue::from_static(version));
        }
    }

    pub(super) async fn read_answer(
        &self,
        known: &Known,
        operation: Operation,
        response: http::Response<Held>,
    ) -> Result<Answer, CallError> {
        let (parts, body) = response.into_parts();
        let limit = if parts.status.is_success() {
            self.target.max_answer_bytes
        } else {
            MAX_ERROR_BYTES
        };
        let bytes = collect(body, limit).await.map_err(|error| {
            if parts.status.is_success() {
                CallError::Broken(Box::new(error))
            } else {
                CallError::Http {
                    status: parts.status,
                    headers: Box::new(end_to_end(&parts.headers)),
                    body: Bytes::new(),
                }
            }
        })?;
        // Some workers answer a stream call with an error in an event stream (0.2 and 0.3 Python servers).
        let bytes = if is_event_stream(&parts.headers) {
            first_event(&bytes).unwrap_or(bytes)
        } else {
            bytes
        };
        let http_error = |bytes: Bytes| CallError::Http {
            status: parts.status,
            headers: Box::new(end_to_end(&parts.headers)),
            body: bytes,
        };
        if known.dialect.binding == Binding::Paths && !parts.status.is_success() {
            return Err(match paths::decode_error(operation, &bytes) {
                Some(error) if parts.status != StatusCode::UNAUTHORIZED => CallError::Rpc(error),
                _ => http_error(bytes),
            });
        }
        if known.dialect.binding == Binding::HttpJson {
            return http_answer(known.dialect, operation, parts.status, &bytes)
                .unwrap_or_else(|| Err(http_error(bytes)));
        }
        match jsonrpc::decode_response(&bytes) {
            Ok(Ok(result)) if parts.status.is_success() => known
                .dialect
                .decode_answer(operation, result)
                .map_err(CallError::Rpc),
            Ok(Err(error)) if parts.status != StatusCode::UNAUTHORIZED => {
                Err(CallError::Rpc(jsonrpc::decode_error(known.dialect, &error)))
            }
            _ if parts.status == StatusCode::INTERNAL_SERVER_ERROR
                && let Some(kind) = known.dialect.crash(operation) =>
            {
                Err(CallError::Rpc(A2aError::new(
                    kind,
                    "The agent cannot read this call, or does not know it.",
                )))
            }
            _ if !parts.status.is_success() => Err(http_error(bytes)),
            Ok(_) => Err(CallError::BadAnswer("an error with status 401".to_owned())),
            Err(error) => Err(CallError::BadAnswer(error.message)),
        }
    }
}

/// An answer over HTTP+JSON; none where its status is all that it says.
fn http_answer(
    dialect: Dialect,
    operation: Operation,
    status: StatusCode,
    body: &[u8],
) -> Option<Result<Answer, CallError>> {
    let value = if body.trim_ascii().is_empty() {
        // Answers without a word: 204 to a delete.
        Ok(Value::Null)
    } else {
        serde_json::from_slice::<Value>(body)
    };
    if !status.is_success() {
        let error = http_json::decode_error(dialect, operation, Some(status), &value.ok()?)?;
        return Some(Err(CallError::Rpc(error)));
    }
    Some(match value {
        Ok(value) => dialect
            .decode_answer(operation, value)
            .map_err(CallError::Rpc),
        Err(_) => Err(CallError::BadAnswer(
            "The agent's answer is not JSON".to_owned(),
        )),
    })
}

fn wants_no_wait(request: &Request) -> bool {
    matches!(
        request,
        Request::SendMessage(send) if send
            .configuration
            .as_ref()
            .is_some_and(|configuration| configuration.return_immediately == Some(true))
    )
}

/// The extensions that a worker says are active (§3.2.6), by either name of the header.
pub(super) fn extensions_of(headers: &HeaderMap) -> Option<HeaderValue> {
    extension::HEADERS
        .iter()
        .find_map(|name| headers.get(name))
        .cloned()
}

fn first_event(bytes: &[u8]) -> Option<Bytes> {
    let mut parser = crate::wire::sse::SseParser::new(SseLimits::default());
    parser.push(bytes);
    let event = parser.next_event().ok()??;
    Some(Bytes::copy_from_slice(event.text().as_bytes()))
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| {
            !is_hop_by_hop(name) && !matches!(name.as_str(), "content-length" | "date" | "server")
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
