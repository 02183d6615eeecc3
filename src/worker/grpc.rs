//! Calls over gRPC: the same calls, in messages with trailers. What the messages say is `a2a`'s.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;

use super::call::{Opened, Reply, extensions_of};
use super::{CallContext, CallError, EventStream, Known, Worker, below};
use crate::a2a::dialect::grpc;
use crate::a2a::request::Answer;
use crate::a2a::{Request, Version};
use crate::net::pool;
use crate::wire::Body;
use crate::wire::grpc::{GRPC_ACCEPT_ENCODING, MEDIA_TYPE, Messages, Status, code, frame, is_grpc};

impl Worker {
    /// Makes a call and reads the one answer.
    pub(super) async fn call_grpc(
        &self,
        known: &Known,
        request: &Request,
        context: &CallContext,
    ) -> Result<Reply<Answer>, CallError> {
        let response = self.exchange_grpc(known, request, context).await?;
        let (parts, body) = response.into_parts();
        let mut answer = Incomings::new(body, self.max_answer_bytes());
        let message = answer.message().await?;
        // Nothing comes after the one message but the trailers.
        if message.is_some() && answer.message().await?.is_some() {
            let what = "more than one message where one belongs";
            return Err(CallError::BadAnswer(what.to_owned()));
        }
        let version = known.dialect.version;
        let trailers = answer.trailers(version)?;
        let Some(message) = message else {
            let what = "no message where one belongs";
            return Err(CallError::BadAnswer(what.to_owned()));
        };
        let operation = request.operation();
        let value = grpc::decode_answer(version, operation, &message)
            .and_then(|value| known.dialect.decode_answer(operation, value))
            .map_err(|error| CallError::BadAnswer(error.message))?;
        Ok(Reply {
            value,
            extensions: extensions_of(&parts.headers).or_else(|| extensions_of(&trailers)),
        })
    }

    /// Makes a call that is answered with a stream.
    pub(super) async fn open_grpc(
        &self,
        known: &Known,
        request: &Request,
        context: &CallContext,
    ) -> Result<Reply<Opened>, CallError> {
        let response = self.exchange_grpc(known, request, context).await?;
        let extensions = extensions_of(response.headers());
        let incoming = Incomings::new(response.into_body(), self.max_event_bytes());
        let stream = EventStream::of_messages(known.dialect, incoming);
        Ok(Reply {
            value: Opened::Stream(Box::new(stream)),
            extensions,
        })
    }

    /// The answer's head; one that says already that the call has failed is that error.
    async fn exchange_grpc(
        &self,
        known: &Known,
        request: &Request,
        context: &CallContext,
    ) -> Result<Response<pool::Answer>, CallError> {
        let (version, operation) = (known.dialect.version, request.operation());
        let (_, params) = self.params(known, request);
        let message = grpc::encode_request(version, operation, &params).map_err(CallError::Rpc)?;
        let mut call = http::Request::new(Body::full(frame(&message)));
        *call.method_mut() = Method::POST;
        *call.uri_mut() = below(&known.endpoint, &grpc::path(version, operation))
            .ok_or_else(|| CallError::NoCard("the interface's address is not usable".to_owned()))?;
        let headers = call.headers_mut();
        self.put_headers(headers, known, context);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // Some proxies drop the trailers of who does not ask for them, and servers refuse who does not.
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let response = self
            .http2()
            .request(call)
            .await
            .map_err(CallError::from_client)?;
        if let Some(status) = Status::read(response.headers()) {
            check(version, &status, response.headers())?;
        } else if response.status() != StatusCode::OK {
            return Err(http_error(
                response.status(),
                Bytes::new(),
                response.headers(),
            ));
        } else if !is_grpc(response.headers()) {
            let what = "it is no answer of gRPC";
            return Err(CallError::BadAnswer(what.to_owned()));
        }
        Ok(response)
    }
}

/// The messages of an answer, as they come in, and what comes behind them.
pub(super) struct Incomings {
    body: pool::Answer,
    messages: Messages,
    trailers: Option<HeaderMap>,
}

impl Incomings {
    fn new(body: pool::Answer, max_bytes: usize) -> Self {
        Self {
            body,
            messages: Messages::new(max_bytes),
            trailers: None,
        }
    }

    /// The next message; none at the end. Cancel-safe.
    pub(super) async fn message(&mut self) -> Result<Option<Bytes>, CallError> {
        let broken = |error| CallError::Broken(Box::new(error));
        loop {
            if let Some(message) = self.messages.next_message().map_err(broken)? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.messages.push(&data),
                    Err(other) => self.trailers = other.into_trailers().ok(),
                },
                Some(Err(error)) => return Err(CallError::Broken(Box::new(error))),
                None => {
                    self.messages.finish().map_err(broken)?;
                    return Ok(None);
                }
            }
        }
    }

    /// What came behind the last message.
    ///
    /// # Errors
    /// The error that it is; `Broken` where nothing came, which is how an answer ends that was cut off.
    pub(super) fn trailers(&mut self, version: Version) -> Result<HeaderMap, CallError> {
        let trailers = self.trailers.take().unwrap_or_default();
        let Some(status) = Status::read(&trailers) else {
            return Err(CallError::Broken(
                "the answer ended without a status".into(),
            ));
        };
        check(version, &status, &trailers)?;
        Ok(trailers)
    }
}

/// A status that is not good is an error: one of the protocol's, or one for which HTTP has a status that callers know
/// what to do with.
fn check(version: Version, status: &Status, headers: &HeaderMap) -> Result<(), CallError> {
    let of_http = match status.code {
        code::OK => return Ok(()),
        code::UNAUTHENTICATED => Some(StatusCode::UNAUTHORIZED),
        code::PERMISSION_DENIED => Some(StatusCode::FORBIDDEN),
        code::RESOURCE_EXHAUSTED => Some(StatusCode::TOO_MANY_REQUESTS),
        code::UNAVAILABLE => Some(StatusCode::SERVICE_UNAVAILABLE),
        code::DEADLINE_EXCEEDED => Some(StatusCode::GATEWAY_TIMEOUT),
        _ => None,
    };
    if let Some(http) = of_http
        && status.details.is_empty()
    {
        let text = Bytes::from(status.message.clone());
        return Err(http_error(http, text, headers));
    }
    let code = i32::try_from(status.code).unwrap_or_default();
    let error = grpc::decode_error(version, code, &status.message, &status.details);
    Err(CallError::Rpc(error))
}

/// An HTTP error with what of the headers says how to mend it.
fn http_error(status: StatusCode, text: Bytes, from: &HeaderMap) -> CallError {
    let mut headers = HeaderMap::new();
    for name in [http::header::WWW_AUTHENTICATE, http::header::RETRY_AFTER] {
        for value in from.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    CallError::Http {
        status,
        headers: Box::new(headers),
        body: text,
    }
}
