//! Routes: which worker answers which path and host, and with which policies. Matching is by longest path prefix, and
//! among equals by host before no host.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::request::Parts;

use crate::a2a::Dialect;
use crate::sink;
use crate::source::{Mode, Upstream};

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Its name: in task keys, logs and metrics.
    pub name: Arc<str>,
    /// The path below which it answers: `/` or `/name` without a slash at the end.
    pub prefix: String,
    /// The host that it answers for; any if none.
    pub host: Option<String>,
    /// The worker behind it, and how it is watched.
    pub upstream: Arc<Upstream>,
    /// The public base address with the prefix, without a slash at the end; where none is set, it is taken from each
    /// request's `Host`.
    pub public_url: Option<String>,
    /// Whether tasks are watched: see [`Observe`].
    pub observe: Observe,
    /// The modes that requesters are offered.
    pub offer: Vec<Mode>,
    /// The dialects that requesters are offered, the first one being the route's own.
    pub serve: Vec<Dialect>,
    /// Who delivers webhooks where the worker could.
    pub delivery: Delivery,
    /// Whether a requester that names no version gets exactly the first served version's card.
    pub strict_card: bool,
    /// Header names, lower case, that say who a requester is, beside `authorization` and `cookie`.
    pub identity_headers: Vec<http::HeaderName>,
    /// The sinks' policy.
    pub sink: sink::Policy,
}

/// Whether a route watches its worker's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observe {
    /// Whatever a task's requester may need later is kept: the default.
    Auto,
    /// What the worker offers by itself in the requester's version passes, bytes as they are, nothing kept.
    Off,
}

/// Who delivers webhooks where the worker could do it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The sidecar: with retries, signatures, the address guard and the ledger.
    Own,
    /// The worker.
    Native,
}

impl Route {
    /// Whether requesters are offered this mode.
    #[must_use]
    pub fn offers(&self, mode: Mode) -> bool {
        self.offer.contains(&mode)
    }

    fn matches(&self, path: &str, host: Option<&str>) -> bool {
        let below = self.prefix == "/"
            || path
                .strip_prefix(self.prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below
            && self
                .host
                .as_deref()
                .is_none_or(|wanted| host.is_some_and(|host| wanted.eq_ignore_ascii_case(host)))
    }

    /// The path as the worker knows it.
    #[must_use]
    pub fn inner_path<'a>(&self, path: &'a str) -> &'a str {
        if self.prefix == "/" {
            return path;
        }
        match path.strip_prefix(self.prefix.as_str()) {
            Some("") | None => "/",
            Some(rest) => rest,
        }
    }
}

/// All routes; replaced as a whole when the configuration is read anew.
#[derive(Debug)]
pub struct Routes {
    table: ArcSwap<Vec<Arc<Route>>>,
}

impl Routes {
    /// A table of these routes.
    #[must_use]
    pub fn new(routes: Vec<Arc<Route>>) -> Self {
        Self {
            table: ArcSwap::from_pointee(sorted(routes)),
        }
    }

    /// Replaces the table. Requests under way keep the route that they found.
    pub fn replace(&self, routes: Vec<Arc<Route>>) {
        self.table.store(Arc::new(sorted(routes)));
    }

    /// The route for a request.
    #[must_use]
    pub fn find(&self, parts: &Parts) -> Option<Arc<Route>> {
        let host = parts.uri.host().or_else(|| {
            let value = parts.headers.get(http::header::HOST)?.to_str().ok()?;
            Some(host_of(value))
        });
        self.table
            .load()
            .iter()
            .find(|route| route.matches(parts.uri.path(), host))
            .cloned()
    }

    /// The route of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Route>> {
        self.table
            .load()
            .iter()
            .find(|route| &*route.name == name)
            .cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Arc<Vec<Arc<Route>>> {
        self.table.load_full()
    }
}

fn sorted(mut routes: Vec<Arc<Route>>) -> Vec<Arc<Route>> {
    routes.sort_by_key(|route| {
        let length = if route.prefix == "/" {
            0
        } else {
            route.prefix.len()
        };
        (std::cmp::Reverse(length), route.host.is_none())
    });
    routes
}

/// The host of a `Host` header, without the port.
fn host_of(value: &str) -> &str {
    if value.starts_with('[') {
        return value.find(']').map_or(value, |end| &value[..=end]);
    }
    value.rsplit_once(':').map_or(value, |(host, _)| host)
}
