//! What a new configuration changes in a running sidecar (SIGHUP): routes are swapped, the rest needs a restart.
//!
//! Pure: it compares, it changes nothing.

use super::{Checked, Fault};

/// What is to be done about a new configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Whether the routes are to be swapped. Only if nothing is refused: half a configuration is none.
    pub routes_changed: bool,
    /// What cannot change without a restart. Empty: the new configuration can be taken over.
    pub refused: Vec<Fault>,
}

impl Reload {
    /// Whether the new configuration differs in nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.routes_changed && self.refused.is_empty()
    }
}

/// Compares. `file` is what the faults call the configuration file.
#[must_use]
pub fn reload(file: &str, old: &Checked, new: &Checked) -> Reload {
    let mut refused = Vec::new();
    let mut fixed = |path: &str, changed: bool| {
        if changed {
            refused.push(Fault {
                file: Some(file.to_owned()),
                line: None,
                column: None,
                path: path.to_owned(),
                what: "has changed, which takes a restart; nothing of the new configuration is used until then"
                    .to_owned(),
                allowed: None,
            });
        }
    };
    // Taken apart whole, so that a new key cannot be forgotten here.
    let super::Server {
        listen,
        public_url: _, // in the routes' own addresses
        max_in_flight,
        max_connections,
        max_body_bytes,
        header_read_timeout,
        drain,
        tls,
    } = &old.server;
    let server = &new.server;
    fixed("server.listen", *listen != server.listen);
    fixed(
        "server.max_in_flight",
        *max_in_flight != server.max_in_flight,
    );
    fixed(
        "server.max_connections",
        *max_connections != server.max_connections,
    );
    fixed(
        "server.max_body_bytes",
        *max_body_bytes != server.max_body_bytes,
    );
    fixed(
        "server.header_read_timeout",
        *header_read_timeout != server.header_read_timeout,
    );
    fixed("server.drain", *drain != server.drain);
    fixed("server.tls", *tls != server.tls);
    fixed("admin", old.admin != new.admin);
    fixed("log", old.log != new.log);
    fixed("store", old.store != new.store);
    fixed("webhooks", old.webhooks != new.webhooks);
    Reload {
        routes_changed: refused.is_empty() && old.routes != new.routes,
        refused,
    }
}
