//! Configuration: the compiled-in defaults, below the file, below the flags and the environment.
//!
//! What comes out is checked and typed ([`Checked`]); [`crate::app`] builds the running parts from it. `run`, `check` and
//! SIGHUP all come through [`load`], so what `check` accepts does start. All faults are reported at once, each with
//! its key and line. Nothing here opens a socket or a store; files that hold keys are read or probed.

mod check;
pub mod fault;
pub mod reload;
mod route;
mod units;
mod values;
mod walk;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use toml::de::DeTable;
use url::Url;

pub use fault::{Fault, Faults};
pub use values::{Env, SealingKey, SigningKey, StoreUrl};

use crate::a2a::Dialect;
use crate::proxy::route::{Delivery, Observe};
use crate::sink::{self, DeliveryPolicy};
use crate::source::{self, Mode};
use crate::store::SqliteOptions;

/// Every key with its default and its reason: the bottom layer, and the documentation.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

/// The most bytes of a configuration file: thousands of routes fit, and a wrong path does not fill the memory.
const MAX_FILE: u64 = 4 << 20;

/// What the flags and the environment say; it wins over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--worker`: the worker of the only route.
    pub worker: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--admin`; empty: none.
    pub admin: Option<String>,
    /// `--public-url`
    pub public_url: Option<String>,
    /// `--store`
    pub store: Option<String>,
    /// `--webhook-allow`; added to what the file allows.
    pub webhook_allow: Vec<String>,
    /// `--observe`, for every route.
    pub observe: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
}

/// A configuration that holds together.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[store]`
    pub store: StoreConfig,
    /// `[webhooks]`
    pub webhooks: Webhooks,
    /// `[[routes]]`, in the file's order; at least one.
    pub routes: Vec<RouteConfig>,
}

/// The listener for requesters.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The base address for requesters, without a slash at the end.
    pub public_url: Option<String>,
    /// The most requests under way at once; more are refused with 503.
    pub max_in_flight: usize,
    /// The most connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// The most bytes of a request's body.
    pub max_body_bytes: usize,
    /// The longest wait for a request's head.
    pub header_read_timeout: Duration,
    /// How long a stopping sidecar waits for what is under way.
    pub drain: Duration,
    /// Certificate and key, where the listener speaks TLS.
    pub tls: Option<Tls>,
}

/// A certificate and its key: PEM files that could be read when they were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The operators' listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where to listen; none: there is no such listener.
    pub listen: Option<SocketAddr>,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// In which form.
    pub format: LogFormat,
    /// A level or a filter of levels by module, as in `RUST_LOG`.
    pub level: String,
}

pub use crate::store::sqlite::Sync as StoreSync;
pub use crate::telemetry::LogFormat;

/// Where and how long tasks are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where.
    pub url: StoreUrl,
    /// What a commit waits for.
    pub sync: StoreSync,
    /// The most requests that wait for the SQLite store's writer, and as many for its readers.
    pub max_queue: usize,
    /// The size in bytes beyond which the SQLite file does not grow.
    pub max_bytes: Option<u64>,
    /// The most tasks of a store in memory.
    pub max_tasks: usize,
    /// The sealing key itself; there is no `key_file` then.
    pub key: Option<SealingKey>,
    /// The file with the sealing key, made when it is missing; none (and no `key`): beside the store.
    pub key_file: Option<PathBuf>,
    /// How long tasks are kept after their end.
    pub retention: Duration,
    /// The most events kept of one task; the oldest go first.
    pub max_events_per_task: usize,
}

impl StoreConfig {
    /// The options of an SQLite store.
    #[must_use]
    pub fn sqlite_options(&self) -> SqliteOptions {
        SqliteOptions {
            sync: self.sync,
            max_queue: self.max_queue,
            max_bytes: self.max_bytes,
        }
    }
}

/// Delivery of webhooks.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhooks {
    /// The times and bounds.
    pub delivery: DeliveryPolicy,
    /// What may be posted to beside public addresses: entries that `net::guard::AddressPolicy::allowing` accepts.
    pub allow: Vec<String>,
    /// The key that deliveries are signed with; none: they are not.
    pub signing_key: Option<SigningKey>,
}

/// One route, before its worker is there.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// Its name: unique.
    pub name: String,
    /// The path below which it answers: `/` or `/name` without a slash at the end.
    pub prefix: String,
    /// The host that it answers for, lower case; any if none.
    pub host: Option<String>,
    /// The worker's address: http or https, without credentials, query or fragment.
    pub worker: Url,
    /// The worker's dialect; none: found out.
    pub dialect: Option<Dialect>,
    /// Whether tasks are watched. Which modes may be used for it is in `source.prefer`.
    pub observe: Observe,
    /// The modes that requesters are offered.
    pub offer: Vec<Mode>,
    /// The dialects that requesters are offered, the route's own first.
    pub serve: Vec<Dialect>,
    /// Who delivers webhooks where the worker could.
    pub delivery: Delivery,
    /// `card = "strict"`
    pub strict_card: bool,
    /// The route's own base address for requesters with the prefix, without a slash at the end; made from the
    /// server's where the route has none.
    pub public_url: Option<String>,
    /// Header names, lower case, that say who a requester is, beside `authorization` and `cookie`.
    pub identity_headers: Vec<HeaderName>,
    /// Headers of the sidecar's own calls to the worker; values are marked as sensitive.
    pub headers: HeaderMap,
    /// The sources' policy. `push.base_url` is empty where no address is known at which the worker could reach the
    /// sidecar: push is no source then.
    pub source: source::Policy,
    /// Whether `push.base_url` was given; else it was made by [`push_base_url`], to be made again where the listener's
    /// port was chosen by the system.
    pub push_base_given: bool,
    /// The sinks' policy.
    pub sink: sink::Policy,
}

/// Loads and checks: the defaults, below `file`, below `overrides`.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(file: Option<&Path>, overrides: &Overrides, env: Env<'_>) -> Result<Checked, Faults> {
    let Some(path) = file else {
        return parse("", "", overrides, env);
    };
    let name = path.display().to_string();
    let text = read(path).map_err(|what| {
        Faults(vec![Fault {
            file: Some(name.clone()),
            line: None,
            column: None,
            path: String::new(),
            what,
            allowed: None,
        }])
    })?;
    parse(&name, &text, overrides, env)
}

/// Checks a file's text. `name` is what faults call the file.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(
    name: &str,
    text: &str,
    overrides: &Overrides,
    env: Env<'_>,
) -> Result<Checked, Faults> {
    walk(name, text, overrides, env).map(|(checked, _)| checked)
}

/// Every key that a configuration may hold: `routes.poll.max` and the like, in alphabetical order.
#[must_use]
pub fn keys() -> Vec<String> {
    // Any home will do: it is only named, and nothing is opened there.
    walk("", DEFAULT, &Overrides::default(), &|name| {
        (name == "HOME").then(|| "/".to_owned())
    })
    .map(|(_, known)| known.into_iter().collect())
    .unwrap_or_default()
}

/// The base of the sidecar's address as this worker reaches it, where none is configured: over loopback for a worker on
/// the same host, else at the listener's own address, else at the public one. None if there is none.
#[must_use]
pub fn push_base_url(
    worker: &Url,
    listen: SocketAddr,
    tls: bool,
    public_url: Option<&str>,
) -> Option<String> {
    let local = match worker.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    let ip = listen.ip();
    let port = listen.port();
    // With TLS an address in numbers is rarely in the certificate: only the public name will do.
    if tls {
        return public_url.map(str::to_owned);
    }
    if local && (ip.is_unspecified() || ip.is_loopback()) {
        return Some(match ip {
            std::net::IpAddr::V6(ip) if ip.is_loopback() => format!("http://[::1]:{port}"),
            _ => format!("http://127.0.0.1:{port}"),
        });
    }
    if !ip.is_unspecified() && !ip.is_loopback() {
        return Some(format!("http://{listen}"));
    }
    public_url.map(str::to_owned)
}

fn walk(
    name: &str,
    text: &str,
    overrides: &Overrides,
    env: Env<'_>,
) -> Result<(Checked, BTreeSet<String>), Faults> {
    let user = document(name, text)?;
    let default = document("config/default.toml", DEFAULT)?;
    let walk = walk::Walk::new(name, text);
    let checked = check::check(&walk, &user, &default, overrides, env);
    let (faults, known) = walk.end();
    match checked {
        Some(checked) if faults.is_empty() => Ok((checked, known)),
        _ => Err(Faults(faults)),
    }
}

fn document<'t>(name: &str, text: &'t str) -> Result<DeTable<'t>, Faults> {
    DeTable::parse(text)
        .map(toml::Spanned::into_inner)
        .map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let before = &text.as_bytes()[..start];
            let line_start = before
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            Faults(vec![Fault {
                file: Some(name.to_owned()),
                line: Some(1 + before.iter().filter(|byte| **byte == b'\n').count()),
                column: Some(
                    1 + String::from_utf8_lossy(&before[line_start..])
                        .chars()
                        .count(),
                ),
                path: String::new(),
                what: format!("not TOML: {}", error.message()),
                allowed: None,
            }])
        })
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;

    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot be read: {}", error.kind()))?;
    if text.len() as u64 > MAX_FILE {
        return Err("is too large for a configuration".to_owned());
    }
    Ok(text)
}
