//! From the document to [`Checked`]: the tables of the server. Routes are in `route.rs`.
//!
//! A fault is noted and the walk goes on with the default, so that one run finds every fault.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use super::fault::{Wrong, quoted};
use super::values::{self, Env, SigningKey, StoreUrl};
use super::walk::{Table, Walk, string};
use super::{
    Admin, Checked, Log, LogFormat, Overrides, Server, StoreConfig, Tls, Webhooks, route, units,
};
use crate::sink::DeliveryPolicy;
use crate::store::SqliteOptions;
use crate::store::sqlite::Sync;

pub(super) const NONE: Duration = Duration::ZERO;
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The forms of a log line.
pub(super) const LOG_FORMATS: [(&str, LogFormat); 2] =
    [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// None where something is wrong that no default can stand in for; the walk has the faults.
pub(super) fn check<'a>(
    walk: &'a Walk<'a>,
    user: &'a DeTable<'a>,
    default: &'a DeTable<'a>,
    overrides: &Overrides,
    env: Env<'_>,
) -> Option<Checked> {
    let root = Table::root(walk, user, default);
    let server = server(root.table("server"), walk, overrides);
    let admin = admin(root.table("admin"), walk, overrides, &server);
    let log = log(root.table("log"), overrides);
    let store = store(root.table("store"), walk, overrides, env);
    let webhooks = webhooks(root.table("webhooks"), walk, overrides, env);
    let routes = route::routes(&root, walk, &server, overrides, env);
    root.end();
    Some(Checked {
        server,
        admin,
        log,
        store: store?,
        webhooks,
        routes,
    })
}

/// What a flag says, if it says something and that is right.
pub(super) fn from_flag<T>(
    walk: &Walk<'_>,
    flag: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<T> {
    match parse(text?) {
        Ok(value) => Some(value),
        Err(wrong) => {
            walk.flag_fault(flag, wrong);
            None
        }
    }
}

fn server(table: Table<'_>, walk: &Walk<'_>, overrides: &Overrides) -> Server {
    let listen = table.text("listen", values::listen);
    let listen = from_flag(
        walk,
        "--listen",
        overrides.listen.as_deref(),
        values::listen,
    )
    .or(listen)
    .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    let public_url = table.text("public_url", values::public_url);
    let public_url = from_flag(
        walk,
        "--public-url",
        overrides.public_url.as_deref(),
        values::public_url,
    )
    .or(public_url);
    let server = Server {
        listen,
        public_url,
        max_in_flight: table.count("max_in_flight", 1..=1_000_000, 10_000),
        max_connections: table.count("max_connections", 1..=1_000_000, 10_000),
        max_body_bytes: table.size("max_body_bytes", 1024..=1 << 30, 16 << 20),
        header_read_timeout: table.duration("header_read_timeout", SECOND..=HOUR, 10 * SECOND),
        drain: table.duration("drain", NONE..=HOUR, 25 * SECOND),
        tls: tls(table.table("tls")),
    };
    table.end();
    server
}

fn tls(table: Table<'_>) -> Option<Tls> {
    let cert = table.text("cert", values::readable);
    let key = table.text("key", values::readable);
    if table.given() {
        for name in ["cert", "key"] {
            if !table.has(name) {
                table.fault(
                    name,
                    Wrong::new("is missing", "both `cert` and `key`: PEM files"),
                );
            }
        }
    }
    table.end();
    Some(Tls {
        cert: cert?,
        key: key?,
    })
}

fn admin(table: Table<'_>, walk: &Walk<'_>, overrides: &Overrides, server: &Server) -> Admin {
    let listen = table.text("listen", values::listen_or_off);
    let flag = from_flag(
        walk,
        "--admin",
        overrides.admin.as_deref(),
        values::listen_or_off,
    );
    let listen = match flag {
        Some(listen) => listen,
        None => listen.flatten(),
    };
    if listen == Some(server.listen) && server.listen.port() != 0 {
        let wrong = Wrong::new(
            format!(
                "{} is the requesters' address (server.listen) too",
                server.listen
            ),
            "another port, or \"\" for none",
        );
        if overrides.admin.is_some() {
            walk.flag_fault("--admin", wrong);
        } else {
            table.fault("listen", wrong);
        }
    }
    table.end();
    Admin { listen }
}

fn log(table: Table<'_>, overrides: &Overrides) -> Log {
    let format = table.text("format", |text| values::one_of(text, &LOG_FORMATS));
    let level = table.text("level", |text| {
        if crate::telemetry::is_filter(text) {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new(
                format!("{} is not a level", quoted(text)),
                "\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\", or levels by module, such as \
                 \"info,a2a_sidecar::sink=debug\"",
            ))
        }
    });
    table.end();
    Log {
        format: overrides.log_format.or(format).unwrap_or(LogFormat::Text),
        level: level.unwrap_or_else(|| "info".to_owned()),
    }
}

fn store(
    table: Table<'_>,
    walk: &Walk<'_>,
    overrides: &Overrides,
    env: Env<'_>,
) -> Option<StoreConfig> {
    let url = table.text("url", values::store_url);
    let url = from_flag(
        walk,
        "--store",
        overrides.store.as_deref(),
        values::store_url,
    )
    .or(url);
    // Where one was given and is wrong, the platform's place is not looked for: that would be a second fault for one
    // mistake.
    let url = match url {
        Some(url) => Some(url),
        None if table.has("url") || overrides.store.is_some() => None,
        None => {
            let place = state_directory(env);
            if place.is_none() {
                table.fault(
                    "url",
                    Wrong::new(
                        "is missing, and none of $STATE_DIRECTORY, $XDG_STATE_HOME and $HOME says where state goes",
                        "\"sqlite:PATH\" or \"memory:\"",
                    ),
                );
            }
            place.map(|folder| StoreUrl::Sqlite(folder.join("tasks.db")))
        }
    };
    const SYNC: [(&str, Sync); 2] = [("normal", Sync::Normal), ("full", Sync::Full)];
    let sync = table.text("sync", |text| values::one_of(text, &SYNC));
    let base = SqliteOptions::default();
    let max_queue = table.count("max_queue", 1..=1_000_000, base.max_queue);
    let max_bytes = table.text("max_bytes", |text| {
        units::ranged_size(text, 1 << 20..=1 << 44)
    });
    let max_tasks = table.count("max_tasks", 1..=10_000_000, 10_000);
    let key = table.read("key", |value| {
        values::sealing_key(values::secret(value, env)?)
    });
    let key_file = table.text("key_file", values::readable_or_new);
    if table.has("key") && table.has("key_file") {
        table.fault(
            "key_file",
            Wrong::new("is given beside key", "one of the two"),
        );
    }
    let retention = table.duration("retention", MINUTE..=3650 * DAY, DAY);
    let max_events_per_task = table.count("max_events_per_task", 16..=10_000_000, 10_000);
    table.end();
    Some(StoreConfig {
        url: url?,
        sync: sync.unwrap_or(base.sync),
        max_queue,
        max_bytes: max_bytes.map(|bytes| bytes as u64),
        max_tasks,
        key,
        key_file,
        retention,
        max_events_per_task,
    })
}

/// Where a program keeps what it must not lose, by the platform's custom.
fn state_directory(env: Env<'_>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    // systemd's `StateDirectory=` may name several, separated by colons.
    if let Some(directories) = set("STATE_DIRECTORY") {
        return directories.split(':').next().map(PathBuf::from);
    }
    // The specification of these folders has relative ones ignored.
    if let Some(base) = set("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|base| base.is_absolute())
    {
        return Some(base.join("a2a-sidecar"));
    }
    let home = PathBuf::from(set("HOME")?);
    Some(if cfg!(target_os = "macos") {
        home.join("Library/Application Support/a2a-sidecar")
    } else {
        home.join(".local/state/a2a-sidecar")
    })
}

fn webhooks(table: Table<'_>, walk: &Walk<'_>, overrides: &Overrides, env: Env<'_>) -> Webhooks {
    let mut allow = table
        .list("allow", values::webhook_target)
        .unwrap_or_default();
    for entry in &overrides.webhook_allow {
        allow.extend(from_flag(
            walk,
            "--webhook-allow",
            Some(entry),
            values::webhook_target,
        ));
    }
    let signing_key = signing_key(&table, env);
    let base = DeliveryPolicy::default();
    let delivery = DeliveryPolicy {
        attempt_timeout: table.duration("attempt_timeout", SECOND..=HOUR, base.attempt_timeout),
        retry_first: table.duration(
            "retry_first",
            Duration::from_millis(10)..=HOUR,
            base.retry_first,
        ),
        retry_max: table.duration("retry_max", Duration::from_millis(10)..=DAY, base.retry_max),
        retry_jitter: table.number("retry_jitter", 0.0..=1.0, base.retry_jitter),
        give_up_after: table.duration("give_up_after", NONE..=30 * DAY, base.give_up_after),
        max_in_flight: table.count("max_in_flight", 1..=10_000, base.max_in_flight),
        retry_after_max: table.duration("retry_after_max", NONE..=DAY, base.retry_after_max),
        max_per_task: table.count("max_per_task", 1..=1000, base.max_per_task),
    };
    if delivery.retry_first > delivery.retry_max {
        table.fault(
            "retry_first",
            Wrong::new("is longer than retry_max", "at most retry_max"),
        );
    }
    table.end();
    Webhooks {
        delivery,
        allow,
        signing_key,
    }
}

fn signing_key(table: &Table<'_>, env: Env<'_>) -> Option<SigningKey> {
    let direct = table.read("signing_key", |value| {
        values::signing_key(&values::secret(value, env)?)
    });
    let from_file = table.read("signing_key_file", |value| {
        values::signing_key(&values::secret_file(string(value)?)?)
    });
    if table.has("signing_key") && table.has("signing_key_file") {
        table.fault(
            "signing_key_file",
            Wrong::new("is given beside signing_key", "one of the two"),
        );
    }
    direct.or(from_file)
}
