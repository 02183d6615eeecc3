//! Push configs and callbacks as the store keeps them: sealed, each bound to its row, so that one row's config is of no
//! use in another.

use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::seal::{SealError, Sealer};
use super::{Millis, PushRegistration, RegistrationKind, Sealed, StoreError};
use crate::a2a::{Callback, Dialect, PushConfig};
use crate::task::TaskKey;

/// What a requester has asked to be told by.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// A webhook.
    Webhook(PushConfig),
    /// A callback.
    Callback(Callback),
}

/// A registration for this config.
///
/// # Errors
/// `Unavailable` if it cannot be sealed.
pub fn seal(
    sealer: &Sealer,
    key: &TaskKey,
    id: &str,
    dialect: Dialect,
    config: &Config,
    now: Millis,
) -> Result<PushRegistration, StoreError> {
    let (kind, config) = match config {
        Config::Webhook(config) => (RegistrationKind::Webhook, bytes(sealer, key, id, config)),
        Config::Callback(config) => (RegistrationKind::Callback, bytes(sealer, key, id, config)),
    };
    Ok(PushRegistration {
        key: key.clone(),
        kind,
        id: id.to_owned(),
        dialect: dialect.name().to_owned(),
        config: config?,
        created_at: now,
    })
}

fn bytes(
    sealer: &Sealer,
    key: &TaskKey,
    id: &str,
    config: &impl Serialize,
) -> Result<Sealed, StoreError> {
    serde_json::to_vec(config)
        .map_err(|error| StoreError::Corrupt(error.to_string()))
        .and_then(|plain| {
            sealer
                .seal(&bound_to(key, id), &plain)
                .map_err(|error| StoreError::Unavailable(error.to_string()))
        })
}

/// The config of a registration.
///
/// # Errors
/// If it was sealed with another key, for another row, or is damaged.
pub fn open(sealer: &Sealer, registration: &PushRegistration) -> Result<Config, SealError> {
    Ok(match registration.kind {
        RegistrationKind::Webhook => Config::Webhook(read(sealer, registration)?),
        RegistrationKind::Callback => Config::Callback(read(sealer, registration)?),
    })
}

fn read<T: DeserializeOwned>(
    sealer: &Sealer,
    registration: &PushRegistration,
) -> Result<T, SealError> {
    let plain = sealer.open(
        &bound_to(&registration.key, &registration.id),
        &registration.config,
    )?;
    serde_json::from_slice(plain.expose_secret()).map_err(|_| SealError::Unknown)
}

fn bound_to(key: &TaskKey, id: &str) -> Vec<u8> {
    let mut bound = b"push-config".to_vec();
    for part in [&key.route, &key.tenant, &key.id] {
        bound.push(0);
        bound.extend_from_slice(part.as_bytes());
    }
    bound.push(0);
    bound.extend_from_slice(id.as_bytes());
    bound
}
