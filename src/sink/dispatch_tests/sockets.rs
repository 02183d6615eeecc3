//! Tests of deliveries to a receiver on a real socket, through the real client.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::support::*;
use super::*;
use crate::a2a::{AuthenticationInfo, PushConfig};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn config(url: &str) -> PushConfig {
    PushConfig {
        url: url.to_owned(),
        token: Some("tok-3n".to_owned()),
        authentication: Some(AuthenticationInfo {
            schemes: vec!["Bearer".to_owned()],
            credentials: Some("cred-3ntials".to_owned()),
            ..AuthenticationInfo::default()
        }),
        ..PushConfig::default()
    }
}

/// HMAC-SHA256 by RFC 2104, so that the signature is not checked by what has made it.
fn hmac_sha256(key: &[u8], content: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let pad = |with: u8| -> Vec<u8> {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block.to_vec()
    };
    let inner = Sha256::digest([pad(0x36), content.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

#[tokio::test]
async fn a_webhook_has_exactly_these_headers() {
    let world = World::new();
    let mut receiver = Receiver::start(|_| ok()).await;
    let dispatcher = Dispatcher::new(
        world.hub.clone(),
        world.sealer.clone(),
        client(false),
        quick(),
        vec![SigningKey::parse(KEY).unwrap()],
    );
    let _running = Running::start(dispatcher);
    let key = world
        .task(
            "t1",
            vec![world.push("t1", "a", "v1.0/jsonrpc", &config(&receiver.url()))],
        )
        .await;
    let seen = receiver.next().await;
    world.settled(&key).await;

    assert_eq!(seen.path, "/hook");
    let mut headers: BTreeMap<_, _> = seen
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let id = headers.remove("webhook-id").unwrap();
    let timestamp = headers.remove("webhook-timestamp").unwrap();
    let signature = headers.remove("webhook-signature").unwrap();
    let length = seen.body.len().to_string();
    let host = receiver.address.to_string();
    let expected = BTreeMap::from([
        ("accept", "*/*"),
        ("authorization", "Bearer cred-3ntials"),
        ("content-length", length.as_str()),
        ("content-type", "application/a2a+json"),
        ("host", host.as_str()),
        (
            "user-agent",
            concat!("a2a-sidecar/", env!("CARGO_PKG_VERSION")),
        ),
        ("x-a2a-notification-token", "tok-3n"),
    ]);
    assert_eq!(headers, expected);

    let parts: Vec<_> = id.split('_').collect();
    assert_eq!(
        (parts.len(), parts[0], parts[1].len(), parts[2]),
        (3, "0000000000000abc", 16, "1")
    );
    let age = hub::now() / 1000 - timestamp.parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "{age}");
    let secret = STANDARD
        .decode(KEY.strip_prefix("whsec_").unwrap())
        .unwrap();
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &seen.body].concat();
    assert_eq!(
        signature,
        format!("v1,{}", STANDARD.encode(hmac_sha256(&secret, &signed)))
    );
}

#[tokio::test]
async fn without_token_credentials_and_key_their_headers_are_absent() {
    let world = World::new();
    let mut receiver = Receiver::start(|_| ok()).await;
    let _running = Running::start(world.dispatcher(client(false), quick()));
    world
        .task(
            "t1",
            vec![world.push("t1", "a", "v0.3/jsonrpc", &address(&receiver.url()))],
        )
        .await;
    let seen = receiver.next().await;
    for name in [
        "authorization",
        "x-a2a-notification-token",
        "webhook-signature",
    ] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    assert_eq!(seen.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_burst_of_a_hundred_events_arrives_in_order() {
    let world = World::new();
    let mut receiver = Receiver::start(|_| ok()).await;
    let _running = Running::start(world.dispatcher(client(false), quick()));
    let key = world
        .task("t1", vec![world.plain("t1", "a", &receiver.url())])
        .await;
    receiver.next().await;
    for number in 2..102 {
        world.append(&key, vec![working(number)]).await;
    }
    let mut ids = Vec::new();
    for number in 2..102 {
        let seen = receiver.next().await;
        assert_eq!(seen.text(), number.to_string());
        ids.push(seen.header("webhook-id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    world.settled(&key).await;
    assert_eq!(
        receiver.connections.load(Ordering::SeqCst),
        1,
        "the connection is used again"
    );
}

#[tokio::test]
async fn after_500s_it_is_delivered_and_the_ledger_says_so() {
    let world = World::new();
    let mut receiver = Receiver::start(|n| Some((if n < 3 { 500 } else { 202 }, vec![]))).await;
    let _running = Running::start(world.dispatcher(client(false), quick()));
    let key = world
        .task("t1", vec![world.plain("t1", "a", &receiver.url())])
        .await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(receiver.next().await.header("webhook-id").to_owned());
    }
    world.settled(&key).await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(
        world.rows(&key).await,
        [(1, DeliveryState::Delivered, 4, "202 Accepted".to_owned())]
    );
}

#[tokio::test]
async fn retry_after_is_read_from_the_answer() {
    let world = World::new();
    let mut receiver = Receiver::start(|n| match n {
        0 => Some((429, vec![("retry-after", "1".to_owned())])),
        _ => ok(),
    })
    .await;
    let _running = Running::start(world.dispatcher(client(false), quick()));
    let key = world
        .task("t1", vec![world.plain("t1", "a", &receiver.url())])
        .await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    let waited = second.at - first.at;
    // The policy's own wait would be 5 ms.
    assert!(waited >= Duration::from_millis(990), "{waited:?}");
    world.settled(&key).await;
}

#[tokio::test]
async fn after_410_it_is_dead() {
    let world = World::new();
    let mut receiver = Receiver::start(|_| Some((410, vec![]))).await;
    let _running = Running::start(world.dispatcher(client(false), quick()));
    let key = world
        .task("t1", vec![world.plain("t1", "a", &receiver.url())])
        .await;
    receiver.next().await;
    world.settled(&key).await;
    assert_eq!(
        world.rows(&key).await,
        [(1, DeliveryState::Dead, 1, "410 Gone".to_owned())]
    );
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let world = World::new();
    let elsewhere = Receiver::start(|_| ok()).await;
    let target = elsewhere.url();
    let mut receiver = Receiver::start(move |n| match n {
        0 => Some((307, vec![("location", target.clone())])),
        _ => ok(),
    })
    .await;
    let _running = Running::start(world.dispatcher(client(false), quick()));
    let key = world
        .task("t1", vec![world.plain("t1", "a", &receiver.url())])
        .await;
    receiver.next().await;
    receiver.next().await;
    world.settled(&key).await;
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
    assert_eq!(world.rows(&key).await[0].2, 2);
}

#[tokio::test]
async fn private_addresses_get_no_connection_by_number_or_by_name() {
    let receiver = Receiver::start(|_| ok()).await;
    let port = receiver.address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://2130706433:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let world = World::new();
        let _running = Running::start(world.dispatcher(client(true), quick()));
        let key = world.task("t1", vec![world.plain("t1", "a", &url)]).await;
        world.settled(&key).await;
        let rows = world.rows(&key).await;
        assert_eq!((rows[0].1, rows[0].2), (DeliveryState::Dead, 1), "{url}");
        assert!(rows[0].3.starts_with("refused: "), "{url}: {}", rows[0].3);
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_no_other() {
    let world = World::new();
    let mut hanging = Receiver::start(|_| None).await;
    let mut receiver = Receiver::start(|_| ok()).await;
    let _running = Running::start(world.dispatcher(client(false), quick()));
    let key = world
        .task(
            "t1",
            vec![
                world.plain("t1", "a", &hanging.url()),
                world.plain("t1", "b", &receiver.url()),
            ],
        )
        .await;
    world.append(&key, (2..22).map(working).collect()).await;
    hanging.next().await;
    receiver.next().await;
    for number in 2..22 {
        assert_eq!(receiver.next().await.text(), number.to_string());
    }
    assert!(
        hanging.seen.try_recv().is_err(),
        "its second event waits for its first"
    );
}

#[tokio::test]
async fn timeouts_and_refused_connections_are_told_apart() {
    let world = World::new();
    let hanging = Receiver::start(|_| None).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let policy = DeliveryPolicy {
        attempt_timeout: Duration::from_millis(50),
        give_up_after: Duration::ZERO,
        ..quick()
    };
    let _running = Running::start(world.dispatcher(client(false), policy));
    let key = world
        .task(
            "t1",
            vec![
                world.plain("t1", "a", &hanging.url()),
                world.plain("t1", "b", &closed),
            ],
        )
        .await;
    world.settled(&key).await;
    let lines: Vec<_> = world
        .rows(&key)
        .await
        .into_iter()
        .map(|row| row.3)
        .collect();
    assert_eq!(lines, ["no answer in time", "no connection"]);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_logged_or_kept_in_clear() {
    // With a single subscriber in the process, a line that another test's thread comes to first is switched off for
    // good, as that thread has none; with two, tracing asks both.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let world = World::new();
    let receiver = Receiver::start(|n| Some((if n == 0 { 500 } else { 200 }, vec![]))).await;
    let url = format!("http://{}/hook-path?sig=query-s3cret", receiver.address);
    let push = |id: &str, url: &str| world.push("t1", id, "v1.0/jsonrpc", &config(url));
    let dispatcher = Dispatcher::new(
        world.hub.clone(),
        world.sealer.clone(),
        client(false),
        quick(),
        vec![SigningKey::parse(KEY).unwrap()],
    );
    let running = Running::start(dispatcher);
    let key = world
        .task(
            "t1",
            vec![
                push("a", &url),
                push("b", "http://user:passw0rd@receiver.example/hook-path"),
                push("c", "http://127.0.0.1:1/hook-path?sig=query-s3cret"),
            ],
        )
        .await;
    world
        .append(&key, vec![status(TaskState::Completed, "payload-s3cret")])
        .await;
    let mut finished = world.store.finished.subscribe();
    // `a` three times, `b` twice (dead), `c` at least twice.
    finished.wait_for(|count| *count >= 7).await.unwrap();
    running.stop().await;
    let refusing = Running::start(world.dispatcher(client(true), quick()));
    world.settled(&key).await;
    refusing.stop().await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for word in [
        "delivery.attempted",
        "outcome=\"delivered\"",
        "outcome=\"retry\"",
        "outcome=\"dead\"",
        "stage=\"refused\"",
        "status=500",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let rows = format!("{:?}", world.store.deliveries(&key, 100).await.unwrap());
    for secret in [
        "tok-3n",
        "cred-3ntials",
        "query-s3cret",
        "passw0rd",
        "hook-path",
        "payload-s3cret",
        "MfKQ9r8G",
    ] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
        assert!(!rows.contains(secret), "{secret} is in {rows}");
    }
}
