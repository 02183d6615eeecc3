//! A receiver of webhooks: one inbox for each name, behind one token.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::mpsc;

use super::server::Server;
use crate::sink::webhook::NOTIFICATION_TOKEN;
use crate::wire::{Body, collect};

/// What webhooks must bring. No secret: the receiver is on the loopback address, and the demo prints it.
pub const TOKEN: &str = "demo";

/// The most webhooks that wait in an inbox: many times those of a task. More are refused with 503, and come again.
const INBOX: usize = 64;

/// The most bytes of a webhook: those of the demo have a few hundred.
const MAX_WEBHOOK: usize = 1 << 20;

type Inboxes = Arc<Mutex<HashMap<String, mpsc::Sender<Value>>>>;

/// A running receiver.
pub struct Receiver {
    server: Server,
    inboxes: Inboxes,
}

impl Receiver {
    /// Starts a receiver on a free port of the loopback address.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let inboxes = Inboxes::default();
        let known = Arc::clone(&inboxes);
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let known = Arc::clone(&known);
            async move {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = receive(&known, request).await;
                Ok::<_, Infallible>(response)
            }
        });
        let server = Server::start(|_| service).await?;
        Ok(Self { server, inboxes })
    }

    /// Opens an inbox: its address, and what arrives there.
    #[must_use]
    pub fn open(&self, name: &str) -> (String, mpsc::Receiver<Value>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.insert(name.to_owned(), sender);
        (format!("http://{}/{name}", self.server.address), inbox)
    }

    /// Stops it and frees its port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn receive(inboxes: &Inboxes, request: Request<Incoming>) -> StatusCode {
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    if request
        .headers()
        .get(NOTIFICATION_TOKEN)
        .is_none_or(|token| token != TOKEN)
    {
        return StatusCode::UNAUTHORIZED;
    }
    let name = request.uri().path().trim_start_matches('/').to_owned();
    let Ok(body) = collect(Body::from(request.into_body()), MAX_WEBHOOK).await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let Ok(event) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let inboxes = inboxes.lock().unwrap_or_else(PoisonError::into_inner);
    match inboxes.get(&name).map(|inbox| inbox.try_send(event)) {
        Some(Ok(())) => StatusCode::NO_CONTENT,
        Some(Err(mpsc::error::TrySendError::Full(_))) => StatusCode::SERVICE_UNAVAILABLE,
        // Whoever waited here has heard all that it wanted to.
        Some(Err(mpsc::error::TrySendError::Closed(_))) => StatusCode::GONE,
        None => StatusCode::NOT_FOUND,
    }
}
