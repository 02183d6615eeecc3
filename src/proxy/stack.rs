//! The stack, outermost first: a request goes down this list and its answer comes up.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, HeaderName, SET_COOKIE};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};
use tower_http::sensitive_headers::{
    SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer,
};

use super::admit::AdmitLayer;
use super::body_limit::BodyLimitLayer;
use super::bridge::{BridgeLayer, Shared};
use super::classify::ClassifyLayer;
use super::deadline::DeadlineLayer;
use super::record::RecordLayer;
use super::request_id::RequestIdLayer;
use super::rescue::RescueLayer;
use super::route_layer::RouteLayer;
use super::trace::TraceLayer;
use super::upstream::Upstream;
use crate::wire::Body;

/// The bounds of the stack.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The most requests at once, streams counted as long as they are open.
    pub max_in_flight: usize,
    /// The most bytes of a request's body.
    pub max_body_bytes: usize,
}

/// The whole proxy as one service.
#[must_use]
pub fn stack(
    shared: &Arc<Shared>,
    bounds: &Bounds,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    ServiceBuilder::new()
        // One box, so that the type of the stack does not reach every connection's code.
        .layer_fn(BoxCloneSyncService::new)
        // First, so that everything below can name the request.
        .layer(RequestIdLayer)
        // Around everything that logs.
        .layer(TraceLayer)
        // Above everything that might print headers. Those of requests and those of answers apart: each is looked for in
        // every message.
        .layer(SetSensitiveRequestHeadersLayer::new([
            AUTHORIZATION,
            COOKIE,
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("x-a2a-notification-token"),
        ]))
        .layer(SetSensitiveResponseHeadersLayer::new([SET_COOKIE]))
        // Before a byte of a body is read: what is too much costs nothing. The permit goes with the answer's body.
        .layer(AdmitLayer::new(bounds.max_in_flight))
        // Above everything that reads a body.
        .layer(BodyLimitLayer::new(bounds.max_body_bytes))
        // Reads as much as tells what the request is, and answers what is malformed.
        .layer(ClassifyLayer)
        // Above the rescue, so that what is counted is what the requester gets.
        .layer(RecordLayer::default())
        // Above everything that can fail, below everything that needs the dialect.
        .layer(RescueLayer)
        // Above everything that waits for the worker.
        .layer(DeadlineLayer)
        .layer(RouteLayer::new(Arc::clone(&shared.routes)))
        // Answers from the log, starts a source, or lets pass.
        .layer(BridgeLayer::new(Arc::clone(shared)))
        .service(Upstream)
}
