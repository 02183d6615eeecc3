//! Tests of both clients, against real sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::net::guard::Class;
use crate::net::guard::tests::Scripted;
use crate::net::listen::{ListenOptions, serve};
use crate::wire::collect;

type Seen = Arc<Mutex<Vec<Request<()>>>>;

/// A receiver that redirects `/away` to itself and notes what it gets. Every connection carries one
/// request, so every request resolves and connects anew.
async fn receiver() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let (parts, _) = request.into_parts();
        let mut response = Response::new(Body::full("ok"));
        if parts.uri.path() == "/away" {
            *response.status_mut() = StatusCode::FOUND;
            response
                .headers_mut()
                .insert(header::LOCATION, "/elsewhere".parse().unwrap());
        }
        response
            .headers_mut()
            .insert(header::SET_COOKIE, "a=b".parse().unwrap());
        response
            .headers_mut()
            .insert(header::CONNECTION, "close".parse().unwrap());
        noted.lock().unwrap().push(Request::from_parts(parts, ()));
        async move { Ok::<_, Infallible>(response) }
    });
    tokio::spawn(serve(
        listener,
        None,
        ListenOptions::default(),
        move |_| service.clone(),
        CancellationToken::new(),
        Duration::ZERO,
    ));
    (address, seen)
}

fn delivery(allow: &[&str], answers: &[&[&str]]) -> DeliveryClient {
    let policy = Arc::new(AddressPolicy::allowing(allow).unwrap());
    let resolver = GuardedResolver::over(Arc::clone(&policy), Scripted::new(answers));
    DeliveryClient::with_resolver(resolver, policy, &DeliveryOptions::default()).unwrap()
}

async fn post(client: &DeliveryClient, url: &str) -> Result<reqwest::Response, DeliveryError> {
    let request = client
        .request(http::Method::POST, url.parse().unwrap())
        .body("{}");
    client.execute(request.build().unwrap()).await
}

#[tokio::test]
async fn a_permitted_receiver_is_reached() {
    let (address, seen) = receiver().await;
    let client = delivery(&["127.0.0.1"], &[&["10.0.0.1", "127.0.0.1"]]);
    let url = format!("http://hook.test:{}/in", address.port());
    assert_eq!(
        post(&client, &url).await.unwrap().text().await.unwrap(),
        "ok"
    );
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen[0].headers()[header::HOST],
        format!("hook.test:{}", address.port())
    );
    let agent = seen[0].headers()[header::USER_AGENT].to_str().unwrap();
    assert!(agent.starts_with("a2a-sidecar/"), "{agent}");
}

#[tokio::test]
async fn a_name_that_moves_inside_between_two_attempts_is_refused() {
    let (address, seen) = receiver().await;
    let client = delivery(&["127.0.0.1"], &[&["127.0.0.1"], &["127.0.0.2"]]);
    let url = format!("http://hook.test:{}/in", address.port());
    post(&client, &url).await.unwrap();
    let error = post(&client, &url).await.unwrap_err();
    assert!(
        matches!(
            &error,
            DeliveryError::Refused(Refused::Address {
                class: Class::Loopback,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_address_in_the_url_is_judged_without_a_resolver() {
    let (address, seen) = receiver().await;
    let client = delivery(&[], &[]);
    for url in [
        format!("http://{address}/"),
        format!("http://0x7f000001:{}/", address.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", address.port()),
    ] {
        let error = post(&client, &url).await.unwrap_err();
        assert!(
            matches!(error, DeliveryError::Refused(Refused::Address { .. })),
            "{url}"
        );
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_real_resolver_is_guarded() {
    let (address, seen) = receiver().await;
    let url = format!("http://localhost:{}/", address.port());
    let options = DeliveryOptions::default();
    let closed = DeliveryClient::new(Arc::default(), &options).unwrap();
    assert!(matches!(
        post(&closed, &url).await,
        Err(DeliveryError::Refused(_))
    ));
    assert!(seen.lock().unwrap().is_empty());

    let entry = format!("localhost:{}", address.port());
    let open = AddressPolicy::allowing([entry]).unwrap();
    let open = DeliveryClient::new(Arc::new(open), &options).unwrap();
    assert_eq!(post(&open, &url).await.unwrap().status(), 200);
    let error = post(&open, "http://localhost:1/").await.unwrap_err();
    assert!(matches!(
        error,
        DeliveryError::Refused(Refused::Port { port: 1 })
    ));
}

#[tokio::test]
async fn redirects_are_answers_and_cookies_are_not_kept() {
    let (address, seen) = receiver().await;
    let client = delivery(&["127.0.0.1"], &[&["127.0.0.1"], &["127.0.0.1"]]);
    for _ in 0..2 {
        let url = format!("http://hook.test:{}/away", address.port());
        assert_eq!(post(&client, &url).await.unwrap().status(), 302);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for request in seen.iter() {
        assert_eq!(request.uri().path(), "/away");
        assert!(!request.headers().contains_key(header::COOKIE));
        assert!(!request.headers().contains_key(header::REFERER));
    }
}

#[tokio::test]
async fn a_failed_delivery_does_not_tell_its_url() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = delivery(&["127.0.0.1"], &[]);
    let error = post(&client, &format!("http://{address}/hook?token=s3cret"))
        .await
        .unwrap_err();
    let DeliveryError::Http(inner) = &error else {
        panic!("{error:?}")
    };
    assert!(inner.is_connect());
    assert!(!format!("{error:?} {error} {inner}").contains("s3cret"));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_costs_no_more_than_the_timeout() {
    // Accepted by the system, never by us.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = delivery(&["127.0.0.1"], &[]);
    tokio::time::pause();
    let started = Instant::now();
    let error = post(&client, &format!("http://{address}/"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Http(inner) if inner.is_timeout()),
        "{error:?}"
    );
    assert!(started.elapsed() <= DeliveryOptions::default().timeout + Duration::from_secs(1));
}

#[tokio::test]
async fn https_only_refuses_http() {
    let options = DeliveryOptions {
        https_only: true,
        ..DeliveryOptions::default()
    };
    let client = DeliveryClient::new(Arc::new(AddressPolicy::unguarded()), &options).unwrap();
    let error = post(&client, "http://127.0.0.1:1/").await.unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Http(inner) if inner.is_builder()),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_worker_is_reached_without_a_guard() {
    let (address, seen) = receiver().await;
    let client = worker_client(&WorkerOptions::default()).unwrap();
    let request = Request::post(format!("http://{address}/rpc"))
        .body(Body::full("{}"))
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(collect(response.into_body(), 10).await.unwrap(), "ok");
    assert_eq!(
        seen.lock().unwrap()[0].headers()[header::CONTENT_LENGTH],
        "2"
    );
}

#[tokio::test]
async fn a_worker_that_does_not_shake_hands_costs_no_more_than_the_connect_timeout() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = WorkerOptions {
        roots: Roots::Only(vec![]),
        ..WorkerOptions::default()
    };
    let client = worker_client(&options).unwrap();
    tokio::time::pause();
    let started = Instant::now();
    let request = Request::get(format!("https://{address}/"))
        .body(Body::empty())
        .unwrap();
    let error = client.request(request).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(
        started.elapsed().as_secs(),
        options.connect_timeout.as_secs()
    );
}

#[test]
fn a_root_that_is_no_certificate_is_refused() {
    let roots = Roots::Only(vec![CertificateDer::from(vec![1, 2, 3])]);
    let options = WorkerOptions {
        roots,
        ..WorkerOptions::default()
    };
    assert!(matches!(worker_client(&options), Err(ClientError::Root(_))));
}
