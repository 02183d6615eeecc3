//! The yardstick: a reverse proxy that does nothing but forward, of the same crates as the sidecar (hyper's server and
//! hyper-util's pooled client), on the same runtime.

use std::convert::Infallible;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

type Pool = Client<HttpConnector, Incoming>;

/// Serves until it is killed; says where on standard output.
pub fn main(worker: &str) {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(serve(worker));
}

async fn serve(worker: &str) {
    let worker: Authority = worker.parse().expect("the worker's address");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Pool = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(256)
        .build(connector);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (client, worker, builder) = (client.clone(), worker.clone(), builder.clone());
        tokio::spawn(async move {
            let service =
                service_fn(move |request| forward(client.clone(), worker.clone(), request));
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn forward(
    client: Pool,
    worker: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Either<Incoming, Empty<Bytes>>>, Infallible> {
    let mut to = std::mem::take(request.uri_mut()).into_parts();
    to.scheme = Some(Scheme::HTTP);
    to.authority = Some(worker);
    if let Ok(to) = Uri::from_parts(to) {
        *request.uri_mut() = to;
    }
    request.headers_mut().remove(http::header::HOST);
    Ok(match client.request(request).await {
        Ok(response) => response.map(Either::Left),
        Err(_) => {
            let mut response = Response::new(Empty::new()).map(Either::Right);
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    })
}
