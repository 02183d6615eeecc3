//! The operators' listener: `/live`, `/ready`, `/metrics`, `/tasks`. Metadata only: no content of messages, no
//! credentials, no address of a receiver leaves here, so it can be shown to whoever runs the sidecar.
//!
//! A plain service function; the listener is the application's. It reads the hub and changes nothing.

pub mod health;
pub mod ready;
mod tasks;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

pub use health::{HealthError, healthcheck};
pub use ready::{Part, Readiness};

use crate::hub::Hub;
use crate::telemetry::Metrics;

/// What there is to see.
const PAGES: [&str; 5] = [
    "/live",
    "/ready",
    "/metrics",
    "/tasks?route=&state=&limit=&after=",
    "/tasks/{id}?route=&tenant=",
];

/// Gives the names of the routes as they are now: they change when the configuration is read anew.
pub type RouteNames = Arc<dyn Fn() -> Vec<Arc<str>> + Send + Sync>;

/// What the pages are made from. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    hub: Hub,
    readiness: Readiness,
    metrics: Metrics,
    routes: RouteNames,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// The pages over these.
    #[must_use]
    pub fn new(hub: Hub, readiness: Readiness, metrics: Metrics, routes: RouteNames) -> Self {
        Self {
            hub,
            readiness,
            metrics,
            routes,
        }
    }

    /// Answers a request. The body is not read.
    pub async fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = json(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({"error": "these pages can be read only: use GET", "pages": PAGES}),
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let query = request.uri().query().unwrap_or_default();
        // A slash at the end is a slip, not another page.
        let path = request.uri().path();
        match path.strip_suffix('/').unwrap_or(path) {
            "/live" => json(StatusCode::OK, &json!({"live": true})),
            "/ready" => self.ready(),
            "/metrics" => self.metrics(),
            "/tasks" => tasks::list(&self.hub, query).await,
            path => match path.strip_prefix("/tasks/") {
                Some(id) => tasks::one(&self.hub, &(self.routes)(), id, query).await,
                None => json(
                    StatusCode::NOT_FOUND,
                    &json!({"error": "there is no such page", "pages": PAGES}),
                ),
            },
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let reasons = self.readiness.reasons();
        let status = if reasons.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let reasons: Vec<Value> = reasons
            .into_iter()
            .map(|(part, reason)| json!({"part": part.name(), "reason": reason}))
            .collect();
        json(
            status,
            &json!({"ready": reasons.is_empty(), "reasons": reasons}),
        )
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        response(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            self.metrics.render(),
        )
    }
}

fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    // Laid out for people: these pages are read with curl.
    response(status, "application/json", format!("{value:#}\n"))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
