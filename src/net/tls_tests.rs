//! Tests of the TLS side of a listener. Certificates are made here, so no key lies in the repository.

use std::convert::Infallible;
use std::time::Duration;

use base64::Engine as _;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::net::client::{Roots, WorkerClient, WorkerOptions, worker_client};
use crate::net::listen::{ListenOptions, Served, serve};
use crate::wire::{Body, collect};

/// A self-signed certificate for `localhost`, and its key.
pub(crate) struct Identity {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(len @ 0..=0x7f) => out.push(len),
        Ok(len) => out.extend([0x81, len]),
        Err(_) => {
            out.push(0x82);
            out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    out.extend(content);
    out
}

fn pem_block(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

impl Identity {
    pub(crate) fn new() -> Self {
        const SEQUENCE: u8 = 0x30;
        const SET: u8 = 0x31;
        const OID: u8 = 0x06;
        const INTEGER: u8 = 0x02;
        const BITS: u8 = 0x03;
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random)
                .unwrap();
        let ecdsa_sha256 = der(
            SEQUENCE,
            &[&der(OID, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])],
        );
        let common_name = der(OID, &[&[0x55, 4, 3]]);
        let attribute = der(SEQUENCE, &[&common_name, &der(0x0c, &[b"localhost"])]);
        let name = der(SEQUENCE, &[&der(SET, &[&attribute])]);
        let validity = der(
            SEQUENCE,
            &[
                &der(0x17, &[b"200101000000Z"]),
                &der(0x17, &[b"491231235959Z"]),
            ],
        );
        let algorithm = der(
            SEQUENCE,
            &[
                &der(OID, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]]),
                &der(OID, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]]),
            ],
        );
        let public = der(BITS, &[&[0], pair.public_key().as_ref()]);
        let alternative = der(SEQUENCE, &[&der(0x82, &[b"localhost"])]);
        let extension = der(
            SEQUENCE,
            &[
                &der(OID, &[&[0x55, 0x1d, 0x11]]),
                &der(0x04, &[&alternative]),
            ],
        );
        let body = der(
            SEQUENCE,
            &[
                &der(0xa0, &[&der(INTEGER, &[&[2]])]),
                &der(INTEGER, &[&[1]]),
                &ecdsa_sha256,
                &name,
                &validity,
                &name,
                &der(SEQUENCE, &[&algorithm, &public]),
                &der(0xa3, &[&der(SEQUENCE, &[&extension])]),
            ],
        );
        let signature = pair.sign(&random, &body).unwrap();
        let certificate = der(
            SEQUENCE,
            &[
                &body,
                &ecdsa_sha256,
                &der(BITS, &[&[0], signature.as_ref()]),
            ],
        );
        Self {
            certificate_pem: pem_block("CERTIFICATE", &certificate),
            key_pem: pem_block("PRIVATE KEY", pkcs8.as_ref()),
            der: certificate.into(),
        }
    }

    pub(crate) fn write(&self, folder: &TempDir) -> (PathBuf, PathBuf) {
        let paths = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&paths.0, &self.certificate_pem).unwrap();
        std::fs::write(&paths.1, &self.key_pem).unwrap();
        paths
    }

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
    let not_der = file("not_der.pem", &pem_block("PRIVATE KEY", b"not a key"));
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
