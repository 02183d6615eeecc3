//! The upstream service, the bottom of the stack: a request on its way to the worker, without what belongs to the
//! connection that it came on, and the worker's answer without what belongs to its own.

use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::Map;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE};
use http::request::Parts;
use http::{Request, Response, Uri};
use tower::Service;

use super::error::Error;
use crate::net::client::{AnswerFuture, TransportError, WorkerClient};
use crate::net::pool::Answer;
use crate::wire::grpc::is_grpc;
use crate::wire::{Body, BodyError};
use crate::worker::{CallError, is_hop_by_hop};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A request on its way to a worker.
pub struct Outgoing<'a> {
    /// Over whose connections.
    pub client: &'a WorkerClient,
    /// Its head, as it came.
    pub parts: Parts,
    /// Its body.
    pub body: Body,
    /// Where it goes.
    pub uri: Uri,
}

/// Sends requests to workers as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upstream;

impl Service<Outgoing<'_>> for Upstream {
    type Response = Response<Answer>;
    type Error = Error;
    type Future = Map<AnswerFuture<Answer>, fn(Answered) -> Result<Response<Answer>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // How many are under way is bounded above; each has its own connection or stream.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, outgoing: Outgoing<'_>) -> Self::Future {
        let Outgoing {
            client,
            mut parts,
            body,
            uri,
        } = outgoing;
        strip_hop_by_hop(&mut parts.headers);
        if is_grpc(&parts.headers) {
            // It belongs to one connection, and each of them needs it.
            parts
                .headers
                .insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(host) = parts.headers.remove(HOST) {
            parts.headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = parts.headers;
        client.request(request).map(incoming)
    }
}

type Answered = Result<Response<Answer>, TransportError>;

fn incoming(answered: Answered) -> Result<Response<Answer>, Error> {
    let mut response = answered.map_err(|error| match CallError::from_client(error) {
        CallError::Broken(cause) => match past_the_bound(&*cause) {
            Some(limit) => Error::BodyTooLarge { limit },
            None => Error::Worker(CallError::Broken(cause)),
        },
        error => Error::Worker(error),
    })?;
    strip_hop_by_hop(response.headers_mut());
    Ok(response)
}

/// The bound, if it was the request's own body that broke the exchange off, because it is larger than allowed.
fn past_the_bound(error: &(dyn std::error::Error + 'static)) -> Option<usize> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| {
        match error.downcast_ref() {
            Some(BodyError::TooLarge { limit }) => Some(*limit),
            _ => None,
        }
    })
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of them: one look at each header, and nothing is allocated.
    if let Some(named) = headers.remove(CONNECTION) {
        for name in named.to_str().unwrap_or_default().split(',') {
            headers.remove(name.trim());
        }
    }
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        headers.remove(name);
    }
}
