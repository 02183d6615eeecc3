//! From the moment at which the worker says something to the moment at which the requester's stream and the webhook's
//! receiver have it: kept in the store first, so the store is part of it. The same stream through the bare proxy is
//! what the two hops alone cost.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::http::{Connection, call};
use crate::process;
use crate::table::{Table, median, quantile};
use crate::worker::Worker;

/// Events measured in each setting.
const EVENTS: usize = 400;

/// Those before them that are not.
const FIRST: usize = 40;

/// Between two events: longer than any lag, so that none waits for another.
const PACE: Duration = Duration::from_millis(8);

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fills the table.
pub async fn measure(table: &mut Table) {
    let beside = {
        let worker = Worker::start(true).await;
        let bare = process::bare(worker.address);
        lags(&worker, bare.address, None).await.0
    };
    let file = process::scratch().join("lag.db");
    for suffix in ["db", "db-wal", "db-shm", "db.lock", "key"] {
        let _ = std::fs::remove_file(file.with_extension(suffix));
    }
    let sqlite = format!("sqlite:{}", file.display());
    for (store, name) in [
        ("memory:", "memory"),
        (sqlite.as_str(), "SQLite, sync normal"),
    ] {
        let worker = Worker::start(true).await;
        let sidecar = process::sidecar(worker.address, store, "").await;
        let alone = lags(&worker, sidecar.address, None).await.0;
        row(
            table,
            &format!("worker's event to requester's, {name}"),
            &alone,
            &beside,
        );
        let receiver = Receiver::start().await;
        let (stream, webhook) = lags(&worker, sidecar.address, Some(receiver)).await;
        row(
            table,
            &format!("the same, with a webhook beside it, {name}"),
            &stream,
            &beside,
        );
        row(
            table,
            &format!("worker's event to webhook, {name}"),
            &webhook,
            &beside,
        );
    }
}

fn row(table: &mut Table, what: &str, lags: &[f64], beside: &[f64]) {
    table.row(
        format!("Lag, {what}: median (99 %)"),
        format!("{:.2} ms ({:.2})", median(lags), quantile(lags, 0.99)),
        format!(
            "{:.2} ms ({:.2}) (bare proxy's stream)",
            median(beside),
            quantile(beside, 0.99)
        ),
        format!("{:.2}", median(lags) / median(beside)),
        "< 1 ms",
    );
}

/// The lags in milliseconds: of the stream, and of the webhooks if there is a receiver.
async fn lags(
    worker: &Worker,
    proxy: SocketAddr,
    mut receiver: Option<Receiver>,
) -> (Vec<f64>, Vec<f64>) {
    let known = worker.tasks();
    let mut connection = Connection::open(proxy).await;
    let mut params = json!({ "message": {
        "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "work for long" }],
    }});
    if let Some(receiver) = &receiver {
        params["configuration"] = json!({ "taskPushNotificationConfig": {
            "url": format!("http://{}/", receiver.address),
        }});
    }
    connection
        .send(&call(
            "SendStreamingMessage",
            &params,
            "accept: text/event-stream\r\n",
        ))
        .await;
    connection.read_until(b"\"task\"").await;
    let task = worker
        .tasks()
        .into_iter()
        .find(|task| !known.contains(task))
        .expect("a new task");
    let said: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        for number in 0..FIRST + EVENTS {
            let got = connection.number_after(b"n=").await;
            // The message's id and its text both hold the number.
            let again = connection.number_after(b"n=").await;
            assert_eq!((got, again), (number, number), "events come in order");
            heard.push(Instant::now());
        }
        heard
    });
    for number in 0..FIRST + EVENTS {
        tokio::time::sleep(PACE).await;
        said.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
        worker.say(&task, number);
    }
    let heard = heard.await.expect("all events come");
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let millis = |at: &Instant, number: usize| (*at - said[number]).as_secs_f64() * 1e3;
    let stream = heard
        .iter()
        .enumerate()
        .skip(FIRST)
        .map(|(number, at)| millis(at, number))
        .collect();
    let mut webhooks = Vec::new();
    if let Some(receiver) = &mut receiver {
        loop {
            let (number, at) = tokio::time::timeout(PATIENCE, receiver.heard.recv())
                .await
                .expect("all webhooks come")
                .expect("the receiver runs");
            if number >= FIRST {
                webhooks.push(millis(&at, number));
            }
            if number + 1 == FIRST + EVENTS {
                break;
            }
        }
    }
    (stream, webhooks)
}

/// Takes webhooks and says when which came.
struct Receiver {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<(usize, Instant)>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let sender = sender.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| take(sender.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, heard }
    }
}

async fn take(
    sender: mpsc::UnboundedSender<(usize, Instant)>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    if let Ok(body) = request.into_body().collect().await {
        let at = Instant::now();
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let number = text
            .split_once("n=")
            .and_then(|(_, rest)| rest.split_once('.')?.0.parse().ok());
        if let Some(number) = number {
            let _ = sender.send((number, at));
        }
    }
    Ok(Response::new(Empty::new()))
}
