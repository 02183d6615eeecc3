//! Signatures by the Standard Webhooks scheme (symmetric, `v1`).

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ring::hmac;

/// What a serialised key begins with.
const PREFIX: &str = "whsec_";

/// The scheme's bounds of a key: 192 to 512 bits.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Padding is often lost when a key is copied.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that webhooks are signed with. Its `Debug` does not show it.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

/// Why a key cannot be used. The texts do not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It has not the usual prefix: perhaps it is no signing key at all.
    #[error("a webhook signing key begins with `whsec_`")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows `whsec_` is not base64")]
    Base64,
    /// Too short to be safe, or longer than receivers accept.
    #[error("a webhook signing key has 24 to 64 bytes, this one has {bytes}")]
    Length {
        /// How long it is.
        bytes: usize,
    },
}

impl SigningKey {
    /// Reads `whsec_<base64>`.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(InvalidKey::Prefix)?;
        let key = LENIENT.decode(encoded).map_err(|_| InvalidKey::Base64)?;
        Self::from_bytes(&key)
    }

    /// From the key's own bytes.
    ///
    /// # Errors
    /// [`InvalidKey::Length`].
    pub fn from_bytes(key: &[u8]) -> Result<Self, InvalidKey> {
        if !KEY_BYTES.contains(&key.len()) {
            return Err(InvalidKey::Length { bytes: key.len() });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// The header's value: one `v1,<base64>` for each key, with spaces between.
pub(super) fn signatures(keys: &[SigningKey], id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut value = String::new();
    for SigningKey(key) in keys {
        let mut content = hmac::Context::with_key(key);
        for piece in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            content.update(piece);
        }
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str("v1,");
        STANDARD.encode_string(content.sign(), &mut value);
    }
    value
}
