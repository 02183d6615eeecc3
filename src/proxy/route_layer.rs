//! The route layer: finds the route of a request and hands both on.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::bridge::Routed;
use super::call::{Call, Classified};
use super::error::Error;
use super::route::Routes;
use crate::wire::Body;

/// Makes [`FindRoute`] services.
#[derive(Clone, Debug)]
pub struct RouteLayer {
    routes: Arc<Routes>,
}

impl RouteLayer {
    /// Over this table.
    #[must_use]
    pub fn new(routes: Arc<Routes>) -> Self {
        Self { routes }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = FindRoute<S>;

    fn layer(&self, inner: S) -> FindRoute<S> {
        FindRoute {
            inner,
            routes: Arc::clone(&self.routes),
        }
    }
}

/// Finds routes.
#[derive(Clone, Debug)]
pub struct FindRoute<S> {
    inner: S,
    routes: Arc<Routes>,
}

impl<S> Service<Classified> for FindRoute<S>
where
    S: Service<Routed, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Classified) -> Self::Future {
        let found = self.routes.find(&request.parts).or_else(|| {
            // A worker's webhook or callback names its task by its token: any route's answer is the same.
            matches!(request.call, Call::Webhook { .. } | Call::Callback { .. })
                .then(|| self.routes.all().first().cloned())
                .flatten()
        });
        let kind = match found {
            Some(route) => {
                request.note.route(&route.name);
                Kind::Found {
                    future: self.inner.call(Routed {
                        parts: request.parts,
                        call: request.call,
                        body: request.body,
                        note: request.note,
                        route,
                    }),
                }
            }
            None => Kind::None {
                error: ready(Error::NoRoute),
            },
        };
        ResponseFuture { kind }
    }
}

pin_project! {
    /// The answer.
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<F> {
        Found { #[pin] future: F },
        None { #[pin] error: Ready<Error> },
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Found { future } => future.poll(cx),
            KindProj::None { error } => error.poll(cx).map(Err),
        }
    }
}
