//! gRPC over TLS, on both sides: HTTP/2 is what the handshake agrees on, and the certificate is looked at.

use tempfile::TempDir;

use super::{go, message, state};
use crate::scene::Conf;
use crate::support::client::SendOptions;
use crate::support::grpc::{Answer, COMPLETED, V1, call_over_tls, pb};
use crate::support::identity::Identity;
use crate::support::protocol::{State, Version};
use crate::support::proxy::Sidecar;
use crate::support::worker::{Worker, artifact, done, working};

/// A sidecar before the worker that serves TLS with the identity.
async fn behind_tls(worker: &str, identity: &Identity, folder: &TempDir) -> Sidecar {
    let (certificate, key) = identity.write(folder);
    let (certificate, key) = (certificate.display(), key.display());
    Conf::before(worker)
        .head(&format!(
            "[server.tls]\ncert = '{certificate}'\nkey = '{key}'"
        ))
        .start()
        .await
}

async fn call(
    sidecar: &Sidecar,
    identity: &Identity,
    method: &str,
    message: &impl prost::Message,
) -> Answer {
    let path = format!("{V1}{method}");
    let certificate = identity.der.clone();
    let (answer, agreed) = call_over_tls(sidecar.addr, certificate, &path, message).await;
    assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
    answer
}

async fn worker() -> Worker {
    Worker::builder()
        .script(vec![
            working("on it"),
            artifact("a", "result"),
            done("it is done"),
        ])
        .start()
        .await
}

#[tokio::test]
async fn a_requester_that_speaks_grpc_over_tls_is_served() {
    let worker = worker().await;
    let (identity, folder) = (Identity::new(), TempDir::new().unwrap());
    let sidecar = behind_tls(&worker.url, &identity, &folder).await;

    let sent = call(&sidecar, &identity, "SendMessage", &go(false)).await;
    let task = sent.one::<pb::Event>().task.unwrap();
    assert_eq!(state(&task), COMPLETED);
    assert_eq!(task.artifacts[0].parts[0].text.as_deref(), Some("result"));

    let streamed = call(&sidecar, &identity, "SendStreamingMessage", &go(false)).await;
    assert_eq!(streamed.status(), 0, "{streamed:?}");
    let last = streamed.all::<pb::Event>().pop().unwrap();
    let status = last.status_update.unwrap().status.unwrap();
    assert_eq!(status.state, COMPLETED);
    assert!(streamed.trailers.is_some(), "{streamed:?}");

    let mut unknown = go(false);
    let mut of_nobody = message("go");
    of_nobody.task_id = "nobody".to_owned();
    unknown.message = Some(of_nobody);
    let refused = call(&sidecar, &identity, "SendMessage", &unknown).await;
    assert_eq!(refused.status(), 5, "{refused:?}");
}

/// The worker is another sidecar, which serves TLS; its card lists the address of gRPC without a scheme.
#[tokio::test]
async fn a_worker_that_speaks_grpc_over_tls_is_spoken_to() {
    let worker = worker().await;
    let (identity, folder) = (Identity::new(), TempDir::new().unwrap());
    let behind = behind_tls(&worker.url, &identity, &folder).await;
    let before = Conf::before(&format!("https://localhost:{}/", behind.addr.port()))
        .text("dialect", "v1.0/grpc")
        .builder()
        .env(
            "SSL_CERT_FILE",
            &folder.path().join("tls.crt").display().to_string(),
        )
        .start()
        .await;
    let client = before.client(Version::V1);
    let answer = client.send("go", SendOptions::wait()).await;
    let heard = answer.heard();
    assert_eq!(
        heard.outcome(),
        (Some(State::Completed), Some("it is done"))
    );
    assert_eq!(heard.artifact("a"), Some("result"));
    let mut events = client.stream("go").await;
    let heard = events.complete().await;
    assert_eq!(
        heard.outcome(),
        (Some(State::Completed), Some("it is done"))
    );
    assert_eq!(heard.artifact("a"), Some("result"));
    let served = behind.metrics().await;
    for operation in ["SendMessage", "SendStreamingMessage"] {
        let labels = [("dialect", "v1.0/grpc"), ("operation", operation)];
        let calls = served.sum_with("a2a_sidecar_calls_total", &labels);
        assert!((calls - 1.0).abs() < f64::EPSILON, "{operation}: {calls}");
    }
}

/// Nobody has vouched for the worker: it is told nothing.
#[tokio::test]
async fn a_worker_with_a_stranger_s_certificate_is_not_spoken_to() {
    let worker = Worker::builder()
        .script(vec![done("it is done")])
        .start()
        .await;
    let (identity, folder) = (Identity::new(), TempDir::new().unwrap());
    let behind = behind_tls(&worker.url, &identity, &folder).await;
    let stranger = TempDir::new().unwrap();
    let (trusted, _) = Identity::new().write(&stranger);
    let before = Conf::before(&format!("https://localhost:{}/", behind.addr.port()))
        .text("dialect", "v1.0/grpc")
        .builder()
        .env("SSL_CERT_FILE", &trusted.display().to_string())
        .without_ready()
        .start()
        .await;
    let client = before.client(Version::V1);
    let refused = client.send("go", SendOptions::wait()).await;
    assert!(refused.error_code().is_some(), "{}", refused.json);
    assert_eq!(
        worker.calls("SendMessage") + worker.calls("SendStreamingMessage"),
        0
    );
}
