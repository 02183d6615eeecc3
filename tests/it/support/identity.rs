//! A self-signed certificate, made on the spot, so that no key lies in the repository. Uses nothing of the crate under
//! test; its own unit tests use it too.

use std::path::PathBuf;

use base64::Engine as _;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

/// A self-signed certificate for `localhost`, and its key.
pub struct Identity {
    pub der: CertificateDer<'static>,
    pub certificate_pem: String,
    pub key_pem: String,
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

/// A block of PEM.
pub fn pem_block(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

impl Identity {
    pub fn new() -> Self {
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

    pub fn write(&self, folder: &TempDir) -> (PathBuf, PathBuf) {
        let paths = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&paths.0, &self.certificate_pem).unwrap();
        std::fs::write(&paths.1, &self.key_pem).unwrap();
        paths
    }
}
