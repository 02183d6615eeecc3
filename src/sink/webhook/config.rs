//! A push config as the sender of webhooks sees it: kept sealed, checked, and turned into an address with headers.
//!
//! What a host name resolves to is not judged here: it is at every attempt, on the address connected to.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::NOTIFICATION_TOKEN;
use crate::a2a::PushConfig;
use crate::net::guard::{AddressPolicy, Refused};

/// The longest address: room for long signed queries, and nothing that a server would refuse anyway.
const MAX_URL_BYTES: usize = 4096;

/// The longest token, scheme or credentials: room for a JWT; common servers refuse header lines beyond this.
const MAX_HEADER_BYTES: usize = 8192;

/// Why a push config cannot be served. The texts are for requesters and name no value of the config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// No address that can be posted to.
    #[error("the URL is not an absolute http or https URL")]
    Url,
    /// A password in a URL ends in the logs of everything that it passes.
    #[error("the URL contains a user name or password; use `authentication` instead")]
    UserInfo,
    /// Too long.
    #[error("the {what} is longer than {max} bytes")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// Line breaks or other characters that cannot be part of a header.
    #[error("the {what} contains characters that an HTTP header cannot carry")]
    Header {
        /// Which part.
        what: &'static str,
    },
    /// More than anybody needs.
    #[error("there are more than {max} headers")]
    TooManyHeaders {
        /// The bound.
        max: usize,
    },
    /// The operator does not allow webhooks there.
    #[error("webhooks to this address are not allowed: {0}")]
    Refused(#[from] Refused),
}

/// Checks what can be checked of a push config before it is kept.
///
/// # Errors
/// [`InvalidConfig`]: the first fault. `Ok` for a host name says nothing of its addresses.
pub fn validate(config: &PushConfig, policy: &AddressPolicy) -> Result<(), InvalidConfig> {
    let target = Target::of(config)?;
    policy.check_url(&target.url)?;
    Ok(())
}

/// Where to post, and the headers that come from the config. No `Debug`: it is made of secrets.
pub(in crate::sink) struct Target {
    pub url: Url,
    pub headers: HeaderMap,
}

impl Target {
    /// With the token in a header of this name as well, where a dialect's receivers look for it there.
    pub fn with_token_as(mut self, name: Option<&'static str>) -> Self {
        if let Some(name) = name
            && let Some(token) = self.headers.get(NOTIFICATION_TOKEN).cloned()
        {
            self.headers.insert(HeaderName::from_static(name), token);
        }
        self
    }

    /// An address, without headers.
    pub fn at(url: &str) -> Result<Self, InvalidConfig> {
        if url.len() > MAX_URL_BYTES {
            return Err(InvalidConfig::TooLong {
                what: "URL",
                max: MAX_URL_BYTES,
            });
        }
        let url = Url::parse(url).map_err(|_| InvalidConfig::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidConfig::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidConfig::UserInfo);
        }
        Ok(Self {
            url,
            headers: HeaderMap::new(),
        })
    }

    /// The same with a header that the requester chose.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, InvalidConfig> {
        let what = "header";
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| InvalidConfig::Header { what })?;
        self.headers.insert(name, secret(what, value)?);
        Ok(self)
    }

    pub fn of(config: &PushConfig) -> Result<Self, InvalidConfig> {
        let Self { url, mut headers } = Self::at(&config.url)?;
        if let Some(token) = config.token.as_deref().filter(|token| !token.is_empty()) {
            headers.insert(NOTIFICATION_TOKEN, secret("token", token)?);
        }
        if let Some(authentication) = &config.authentication {
            // Version 1.0 has exactly one scheme; of an older list the first is the requester's choice.
            let scheme = authentication.schemes.first().map_or("", String::as_str);
            let credentials = authentication.credentials.as_deref().unwrap_or_default();
            if !scheme.is_empty() && !credentials.is_empty() {
                if !scheme.bytes().all(is_token_byte) {
                    return Err(InvalidConfig::Header {
                        what: "authentication scheme",
                    });
                }
                let value = format!("{scheme} {credentials}");
                headers.insert(AUTHORIZATION, secret("credentials", &value)?);
            }
        }
        Ok(Self { url, headers })
    }
}

fn secret(what: &'static str, value: &str) -> Result<HeaderValue, InvalidConfig> {
    if value.len() > MAX_HEADER_BYTES {
        return Err(InvalidConfig::TooLong {
            what,
            max: MAX_HEADER_BYTES,
        });
    }
    // Refuses CR, LF and every other control character: a header cannot be smuggled in.
    let mut value =
        HeaderValue::from_bytes(value.as_bytes()).map_err(|_| InvalidConfig::Header { what })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A `tchar` of RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
