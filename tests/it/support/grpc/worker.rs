//! A worker that speaks gRPC and answers each call as it is told, rightly or wrongly.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{framed, unframed};
use crate::support::http::{Cut, Port};

/// How the worker answers a call.
#[derive(Clone, Debug)]
pub enum Say {
    /// These messages, then the status 0.
    Messages(Vec<Bytes>),
    /// These messages, then this status with this text.
    Ends(Vec<Bytes>, u32, &'static str),
    /// This status and text alone, with these other headers.
    Refuses(u32, &'static str, Vec<(&'static str, &'static str)>),
    /// A status of HTTP.
    Http(u16),
    /// These bytes as they are, and then no trailers.
    Raw(Bytes),
    /// These bytes as they are, and then, once the worker is told so, the stream breaks: what has not been sent by then
    /// would be lost with it.
    Breaks(Bytes),
}

/// One call, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub message: Bytes,
}

type Script = Arc<dyn Fn(&Asked, usize) -> Say + Send + Sync>;

/// A worker that speaks gRPC, with its card on the same port.
pub struct Worker {
    pub url: String,
    _port: Port,
    asked: Arc<Mutex<Vec<Asked>>>,
    breaks: Arc<Semaphore>,
    _tasks: JoinSet<()>,
}

impl Worker {
    /// One of this version that answers by this script; it is told how many calls of the same path came before.
    pub async fn start(
        version: &'static str,
        script: impl Fn(&Asked, usize) -> Say + Send + Sync + 'static,
    ) -> Self {
        let port = Port::take();
        let addr = port.addr;
        let listener = TcpListener::bind(addr).await.unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let breaks = Arc::new(Semaphore::new(0));
        let mut tasks = JoinSet::new();
        let seen = asked.clone();
        let broken = breaks.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen, broken) = (script.clone(), seen.clone(), broken.clone());
                let service = service_fn(move |request| {
                    let (script, seen) = (script.clone(), seen.clone());
                    answer(addr, version, script, seen, broken.clone(), request)
                });
                connections.spawn(async move {
                    let builder =
                        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A test that breaks an answer off breaks the connection.
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            url: format!("http://{addr}/"),
            _port: port,
            asked,
            breaks,
            _tasks: tasks,
        }
    }

    /// Lets streams break that are to break, these and later ones.
    pub fn break_streams(&self) {
        self.breaks.close();
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

type Out = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Cut>>>;

async fn answer(
    addr: SocketAddr,
    version: &'static str,
    script: Script,
    seen: Arc<Mutex<Vec<Asked>>>,
    broken: Arc<Semaphore>,
    request: Request<Incoming>,
) -> Result<Response<Out>, Cut> {
    let (parts, body) = request.into_parts();
    if parts.method == hyper::Method::GET {
        let card = card(addr, version).to_string();
        return Ok(Response::new(out(vec![Ok(Frame::data(card.into()))])));
    }
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let asked = Asked {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        message: unframed(&body).remove(0),
    };
    let before = {
        let mut seen = seen.lock().unwrap();
        let before = seen
            .iter()
            .filter(|other: &&Asked| other.path == asked.path)
            .count();
        seen.push(asked.clone());
        before
    };
    let mut response = Response::new(());
    response
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let ending = |messages: Vec<Bytes>, code: u32, text: &str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.into());
        trailers.insert("grpc-message", text.parse().unwrap());
        let mut frames: Vec<_> = messages
            .into_iter()
            .map(|message| Ok(Frame::data(framed(&message))))
            .collect();
        frames.push(Ok(Frame::trailers(trailers)));
        frames
    };
    let frames = match script(&asked, before) {
        Say::Messages(messages) => ending(messages, 0, ""),
        Say::Ends(messages, code, text) => ending(messages, code, text),
        Say::Refuses(code, text, more) => {
            let headers = response.headers_mut();
            headers.insert("grpc-status", code.into());
            headers.insert("grpc-message", text.parse().unwrap());
            for (name, value) in more {
                headers.insert(name, value.parse().unwrap());
            }
            Vec::new()
        }
        Say::Http(status) => {
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.headers_mut().remove("content-type");
            Vec::new()
        }
        Say::Raw(bytes) => vec![Ok(Frame::data(bytes))],
        Say::Breaks(bytes) => {
            let breaking = stream::once(async move {
                // An error is how a closed one answers.
                let _ = broken.acquire().await;
                Err(Cut)
            });
            let frames = stream::iter([Ok(Frame::data(bytes))]).chain(breaking);
            return Ok(response.map(|()| StreamBody::new(frames.boxed())));
        }
    };
    Ok(response.map(|()| out(frames)))
}

fn out(frames: Vec<Result<Frame<Bytes>, Cut>>) -> Out {
    StreamBody::new(stream::iter(frames).boxed())
}

fn card(addr: SocketAddr, version: &str) -> Value {
    let mut card = json!({
        "name": "scripted worker", "description": "Does as it is told.", "version": "1",
        "capabilities": {"streaming": true},
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"], "skills": [],
    });
    // As the specification has it: no scheme.
    let url = addr.to_string();
    if version == "1.0" {
        card["supportedInterfaces"] =
            json!([{"url": url, "protocolBinding": "GRPC", "protocolVersion": "1.0"}]);
    } else {
        card["url"] = json!(url);
        card["preferredTransport"] = json!("GRPC");
        card["protocolVersion"] = json!("0.3.0");
    }
    card
}
