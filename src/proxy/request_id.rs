//! The request-id layer: gives each request an id, its own where it brings one, which goes to the worker and into the
//! answer.
//!
//! tower-http's two layers for it also put it into both messages' extensions, where nothing here looks for it: six
//! allocations for each request that passes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::HeaderName;
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use uuid::Uuid;

use crate::wire::Body;

/// The header that names a request in the logs of everything that it passes.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes [`RequestId`] services.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestIdLayer;

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> RequestId<S> {
        RequestId { inner }
    }
}

/// Names requests.
#[derive(Clone, Debug)]
pub struct RequestId<S> {
    inner: S,
}

impl<S, E> Service<Request<Body>> for RequestId<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = E>,
{
    type Response = Response<Body>;
    type Error = E;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        let id = match headers.get(&REQUEST_ID) {
            Some(id) => Some(id.clone()),
            None => {
                let id = new_id();
                if let Some(id) = &id {
                    headers.insert(REQUEST_ID, id.clone());
                }
                id
            }
        };
        ResponseFuture {
            future: self.inner.call(request),
            id,
        }
    }
}

fn new_id() -> Option<HeaderValue> {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
    // Hexadecimal digits and hyphens can always stand in a header.
    HeaderValue::from_str(text).ok()
}

pin_project! {
    /// The answer, with the request's id.
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        id: Option<HeaderValue>,
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.future.poll(cx));
        if let Ok(response) = &mut answer {
            let headers = response.headers_mut();
            // A worker that names its answer itself has its reasons.
            if let Some(id) = this.id.take()
                && !headers.contains_key(&REQUEST_ID)
            {
                headers.insert(REQUEST_ID, id);
            }
        }
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use std::convert::Infallible;
    use tower::{ServiceExt, service_fn};

    /// What the service below sees and what comes back, for a request with this head.
    async fn heads(request: &[(&'static str, &'static str)]) -> (HeaderMap, HeaderMap) {
        let (seen, heard) = std::sync::mpsc::sync_channel(1);
        let service = RequestIdLayer.layer(service_fn(move |request: Request<Body>| {
            let seen = seen.clone();
            async move {
                let mut answer = Response::new(Body::empty());
                let answered = answer.headers_mut();
                if let Some(id) = request.headers().get("x-worker-names-it") {
                    answered.insert(REQUEST_ID, id.clone());
                }
                let _ = seen.send(request.into_parts().0.headers);
                Ok::<_, Infallible>(answer)
            }
        }));
        let mut whole = Request::new(Body::empty());
        for (name, value) in request {
            whole
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        let answer = service.oneshot(whole).await.unwrap();
        (heard.recv().unwrap(), answer.into_parts().0.headers)
    }

    #[tokio::test]
    async fn a_request_without_an_id_gets_one_of_its_own() {
        let (first, answer) = heads(&[]).await;
        assert_eq!(first[REQUEST_ID], answer[REQUEST_ID]);
        let id = first[REQUEST_ID].to_str().unwrap().to_owned();
        assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        let (second, _) = heads(&[]).await;
        assert_ne!(second[REQUEST_ID], first[REQUEST_ID]);
    }

    #[tokio::test]
    async fn a_request_keeps_its_id_and_a_worker_may_name_its_answer() {
        let (below, answer) = heads(&[("x-request-id", "mine")]).await;
        assert_eq!(below[REQUEST_ID], "mine");
        assert_eq!(answer[REQUEST_ID], "mine");
        let head = [("x-request-id", "mine"), ("x-worker-names-it", "theirs")];
        let (below, answer) = heads(&head).await;
        assert_eq!(below[REQUEST_ID], "mine");
        assert_eq!(answer[REQUEST_ID], "theirs");
    }
}
