//! Tests of the TLS side of a listener.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[path = "../../tests/it/support/identity.rs"]
mod identity;

pub(crate) use identity::Identity;

use super::*;
use crate::net::client::{Roots, WorkerClient, WorkerOptions, worker_client};
use crate::net::listen::{ListenOptions, Served, serve};
use crate::wire::{Body, collect};

impl Identity {
    fn client(&self) -> WorkerClient {
        let roots = Roots::Only(vec![self.der.clone()]);
        worker_client(&WorkerOptions {
            roots,
            ..WorkerOptions::default()
        })
        .unwrap()
    }
}

async fn get(client: &WorkerClient, port: u16) -> Option<(Version, bytes::Bytes)> {
    let request = http::Request::get(format!("https://localhost:{port}/"));
    let request = request.body(crate::wire::Body::empty()).unwrap();
    let response = client.request(request).await.ok()?;
    let version = response.version();
    Some((version, collect(response.into_body(), 100).await.unwrap()))
}

#[tokio::test]
async fn a_reloaded_certificate_serves_the_next_connection() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (Identity::new(), Identity::new());
    let (certificate, key) = old.write(&folder);
    let tls = ServerTls::load(&certificate, &key).unwrap();

    let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let answer = tower::service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(Body::full("hello")))
    });
    let server = tokio::spawn(serve(
        listener,
        Some(tls.clone()),
        ListenOptions::default(),
        move |peer| {
            assert!(peer.tls);
            answer
        },
        stop.clone(),
        Duration::from_secs(10),
    ));

    let hello = Some((Version::HTTP_2, bytes::Bytes::from_static(b"hello")));
    assert_eq!(get(&old.client(), port).await, hello);
    assert_eq!(
        get(&new.client(), port).await,
        None,
        "a stranger's certificate is not trusted"
    );
    let standing = old.client();
    assert_eq!(get(&standing, port).await, hello);

    new.write(&folder);
    tls.reload().unwrap();
    assert_eq!(get(&new.client(), port).await, hello);
    assert_eq!(get(&old.client(), port).await, None);
    assert_eq!(
        get(&standing, port).await,
        hello,
        "a standing connection is not disturbed"
    );

    // A reload that fails leaves the certificate in place.
    std::fs::write(&key, &old.key_pem).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Unusable { .. })));
    assert_eq!(get(&new.client(), port).await, hello);

    stop.cancel();
    assert_eq!(server.await.unwrap(), Served { aborted: 0 });
}

#[test]
fn every_fault_names_its_file() {
    let folder = TempDir::new().unwrap();
    let identity = Identity::new();
    let (certificate, key) = identity.write(&folder);
    let missing = folder.path().join("missing.pem");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let empty = file("empty.pem", "");
    let broken = file(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    );
    let not_der = file(
        "not_der.pem",
        &identity::pem_block("PRIVATE KEY", b"not a key"),
    );
    let other = file("other.pem", &Identity::new().key_pem);

    let fault = |certificate: &Path, key: &Path| ServerTls::load(certificate, key).unwrap_err();
    type Expected = fn(&TlsError) -> bool;
    let cases: [(TlsError, &Path, Expected); 8] = [
        (fault(&missing, &key), &missing, |e| {
            matches!(e, TlsError::Read { .. })
        }),
        (fault(&certificate, &missing), &missing, |e| {
            matches!(e, TlsError::Read { .. })
        }),
        (fault(&empty, &key), &empty, |e| {
            matches!(e, TlsError::NoCertificate { .. })
        }),
        (fault(&key, &key), &key, |e| {
            matches!(e, TlsError::NoCertificate { .. })
        }),
        (fault(&certificate, &certificate), &certificate, |e| {
            matches!(e, TlsError::NoKey { .. })
        }),
        (fault(&broken, &key), &broken, |e| {
            matches!(e, TlsError::Pem { .. })
        }),
        (fault(&certificate, &not_der), &not_der, |e| {
            matches!(e, TlsError::Unusable { .. })
        }),
        (fault(&certificate, &other), &other, |e| {
            matches!(
                e,
                TlsError::Unusable {
                    source: rustls::Error::InconsistentKeys(_),
                    ..
                }
            )
        }),
    ];
    for (error, path, expected) in cases {
        assert!(expected(&error), "{error:?}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
    let both = file(
        "both.pem",
        &format!("{}{}", identity.key_pem, identity.certificate_pem),
    );
    assert!(
        ServerTls::load(&both, &both).is_ok(),
        "one file may hold both"
    );
}

#[test]
fn debug_shows_paths_and_no_key() {
    let folder = TempDir::new().unwrap();
    let (certificate, key) = Identity::new().write(&folder);
    let text = format!("{:?}", ServerTls::load(certificate, key).unwrap());
    assert!(
        text.contains("tls.key") && !text.contains("PRIVATE"),
        "{text}"
    );
}
