//! The configuration as its users meet it: every file in the repository loads, what keys mean, what a
//! reload changes. What is refused, and how, is in `config/faults.rs`.

#[path = "config/faults.rs"]
mod faults;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use a2a_sidecar::a2a::{Dialect, Version};
use a2a_sidecar::config::reload::{Reload, reload};
use a2a_sidecar::config::{
    Checked, DEFAULT, Faults, Overrides, StoreUrl, keys, load, parse, push_base_url,
};
use a2a_sidecar::proxy::route::{Delivery, Observe};
use a2a_sidecar::source::Mode;
use a2a_sidecar::telemetry::LogFormat;
use a2a_sidecar::{sink, source, store};

/// An environment in which nothing of this machine shows.
fn env(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/me".to_owned()),
        "TOKEN" => Some("Bearer t0ken".to_owned()),
        "KEY" => Some("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned()),
        "SEAL" => Some("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned()),
        "BLANK" => Some(" ".to_owned()),
        _ => None,
    }
}

fn check(text: &str) -> Result<Checked, Faults> {
    parse("sidecar.toml", text, &Overrides::default(), &env)
}

/// A file with one good route and this before it.
fn with_route(text: &str) -> String {
    format!("{text}\n[[routes]]\nworker = \"http://127.0.0.1:9999\"\n")
}

/// A file with this in its only route.
fn in_route(text: &str) -> String {
    format!("[[routes]]\nworker = \"http://127.0.0.1:9999\"\n{text}\n")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

// ---- files and defaults ---------------------------------------------------------------------------------------------

#[test]
fn every_file_in_the_repository_loads() {
    let mut files = Vec::new();
    let mut folders = vec![folder("config"), folder("examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        // A secret may come from a variable that is set where the example runs.
        let env = |name: &str| env(name).or_else(|| Some(format!("value-of-{name}")));
        if let Err(faults) = load(Some(&file), &Overrides::default(), &env) {
            panic!("{faults}");
        }
    }
}

#[test]
fn the_default_file_says_what_the_policies_say() {
    let checked = check(DEFAULT).unwrap();
    let route = &checked.routes[0];
    assert_eq!(checked.webhooks.delivery, sink::DeliveryPolicy::default());
    assert_eq!(route.sink, sink::Policy::default());
    assert_eq!(route.source, source::Policy::default());
    let options = store::SqliteOptions::default();
    assert_eq!(checked.store.sync, options.sync);
    assert_eq!(checked.store.max_queue, options.max_queue);
    assert_eq!(checked.store.max_bytes, options.max_bytes);
}

#[test]
fn a_route_that_says_only_its_worker_has_every_default() {
    let from_default = check(DEFAULT).unwrap();
    let smallest = check(&with_route("")).unwrap();
    assert_eq!(smallest, from_default);
}

#[test]
fn a_worker_needs_no_file() {
    let overrides = Overrides {
        worker: Some("http://127.0.0.1:9999".to_owned()),
        ..Overrides::default()
    };
    let checked = load(None, &overrides, &env).unwrap();
    assert_eq!(checked, check(DEFAULT).unwrap());
    assert_eq!(checked.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(checked.server.drain, Duration::from_secs(25));
    assert_eq!(
        checked.admin.listen.map(|address| address.to_string()),
        Some("127.0.0.1:9901".to_owned())
    );
    assert_eq!(checked.log.format, LogFormat::Text);
    assert_eq!(checked.log.level, "info");
    assert_eq!(checked.store.retention, Duration::from_secs(24 * 3600));
    assert!(checked.webhooks.allow.is_empty());
    assert!(checked.webhooks.signing_key.is_none());
    let [route] = checked.routes.as_slice() else {
        panic!("one route: {:?}", checked.routes);
    };
    assert_eq!(route.name, "default");
    assert_eq!(route.prefix, "/");
    assert_eq!(route.host, None);
    assert_eq!(route.dialect, None);
    assert_eq!(route.observe, Observe::Auto);
    assert_eq!(route.offer, Mode::ALL);
    assert_eq!(route.serve, Dialect::ALL);
    assert_eq!(route.delivery, Delivery::Own);
    assert!(!route.strict_card);
    assert!(route.headers.is_empty());
    assert!(
        route
            .identity_headers
            .contains(&"x-api-key".parse().unwrap())
    );
}

/// Every key that the code asks for stands in the default file: in force, or commented out as an example.
#[test]
fn the_default_file_has_every_key() {
    let mut described = BTreeSet::new();
    let mut table = String::new();
    for line in DEFAULT.lines() {
        // What is commented out begins with `# ` and is a key or a table's head; anything else there is prose.
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') && line.ends_with(']') {
            table = line.trim_matches(['[', ']']).to_owned();
            described.insert(table.clone());
        } else if let Some((key, _)) = line.split_once(" = ")
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            described.insert(format!("{table}.{key}"));
        }
    }
    let keys = keys();
    assert!(keys.len() > 60, "{keys:?}");
    let missing: Vec<&String> = keys
        .iter()
        .filter(|key| !described.contains(*key))
        .collect();
    assert!(
        missing.is_empty(),
        "not in config/default.toml: {missing:?}"
    );
    let known: BTreeSet<&String> = keys.iter().collect();
    let stale: Vec<&String> = described
        .iter()
        // The keys of this table are the user's own.
        .filter(|key| !key.starts_with("routes.headers."))
        .filter(|key| !known.contains(key))
        .collect();
    assert!(stale.is_empty(), "in config/default.toml only: {stale:?}");
}

#[test]
fn every_example_in_the_default_file_is_right() {
    let mut text = String::new();
    for line in DEFAULT.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key = bare.split_once(" = ").map_or("", |(key, _)| key);
        let is_key = !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        // Files that are not on this machine, and what excludes another key.
        let leave_out = ["cert", "key", "signing_key_file", "key_file"].contains(&key)
            || bare == "[server.tls]";
        if line.starts_with('#') && is_key && !leave_out {
            text.push_str(bare);
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    let env = |name: &str| match name {
        "A2A_SIDECAR_SIGNING_KEY" => env("KEY"),
        "WORKER_AUTHORIZATION" => env("TOKEN"),
        _ => env(name),
    };
    let checked = parse("default.toml", &text, &Overrides::default(), &env)
        .unwrap_or_else(|faults| panic!("{faults}"));
    assert!(checked.webhooks.signing_key.is_some());
    assert_eq!(
        checked.routes[0].host.as_deref(),
        Some("agents.example.com")
    );
}

// ---- what keys mean -------------------------------------------------------------------------------------------------

#[test]
fn a_full_route_is_read_as_written() {
    let checked = check(
        r#"
[server]
listen = "0.0.0.0:8443"
public_url = "https://agents.example.com/"

[[routes]]
name = "one"
match = { path = "/agents/one", host = "Agents.Example.com" }
worker = "http://worker.internal:9999/base"
dialect = "v0.3/jsonrpc"
observe = ["poll", "stream"]
offer = ["stream"]
serve = ["v0.3/jsonrpc", "v1.0/jsonrpc"]
delivery = "native"
card = "strict"
identity_headers = ["X-Tenant"]
headers = { Authorization = { env = "TOKEN" } }
keep_alive = "0s"
keep_alive_http_json = true
announce_after = "250ms"

[routes.poll]
first = "1s"
factor = 2

[routes.stream]
max_life = "5m"

[routes.blocking]
max = "50s"

[[routes]]
match = { path = "/agents/two" }
worker = "https://two.internal"
observe = "off"
public_url = "https://two.example.com"
"#,
    )
    .unwrap();
    let [one, two] = checked.routes.as_slice() else {
        panic!("two routes");
    };
    assert_eq!(one.name, "one");
    assert_eq!(one.prefix, "/agents/one");
    assert_eq!(one.host.as_deref(), Some("agents.example.com"));
    assert_eq!(one.worker.as_str(), "http://worker.internal:9999/base");
    assert_eq!(one.dialect, Some(Dialect::jsonrpc(Version::V0_3)));
    assert_eq!(one.observe, Observe::Auto);
    assert_eq!(one.source.prefer, [Mode::Poll, Mode::Stream]);
    assert_eq!(one.offer, [Mode::Stream]);
    assert_eq!(one.serve[0], Dialect::jsonrpc(Version::V0_3));
    assert_eq!(one.delivery, Delivery::Native);
    assert!(one.strict_card);
    assert_eq!(one.identity_headers, ["x-tenant"]);
    assert_eq!(one.headers["authorization"], "Bearer t0ken");
    assert_eq!(one.sink.keep_alive, Duration::ZERO);
    assert!(one.sink.keep_alive_http_json);
    assert_eq!(one.sink.stream_max_life, Duration::from_secs(300));
    assert_eq!(one.sink.blocking_max, Duration::from_secs(50));
    assert_eq!(one.source.announce_after, Duration::from_millis(250));
    assert_eq!(one.source.poll.first, Duration::from_secs(1));
    assert!((one.source.poll.factor - 2.0).abs() < f64::EPSILON);
    assert_eq!(
        one.public_url.as_deref(),
        Some("https://agents.example.com/agents/one")
    );
    assert_eq!(two.name, "agents-two");
    assert_eq!(two.observe, Observe::Off);
    assert_eq!(two.public_url.as_deref(), Some("https://two.example.com"));
    // Neither worker is on this host, and the listener is everywhere: the public address it is.
    assert_eq!(one.source.push.base_url, "https://agents.example.com");
}

#[test]
fn flags_win_over_the_file() {
    let text = with_route(
        "[server]\nlisten = \"127.0.0.1:1\"\n[webhooks]\nallow = [\"10.0.0.0/8\"]\n[log]\nformat = \"text\"",
    );
    let overrides = Overrides {
        worker: Some("http://other:1".to_owned()),
        listen: Some("0.0.0.0:2".to_owned()),
        admin: Some(String::new()),
        public_url: Some("https://p".to_owned()),
        store: Some("memory:".to_owned()),
        webhook_allow: vec!["localhost:3000".to_owned()],
        observe: Some("poll, push".to_owned()),
        log_format: Some(LogFormat::Json),
    };
    let checked = parse("sidecar.toml", &text, &overrides, &env).unwrap();
    assert_eq!(checked.server.listen.to_string(), "0.0.0.0:2");
    assert_eq!(checked.admin.listen, None);
    assert_eq!(checked.store.url, StoreUrl::Memory);
    assert_eq!(checked.webhooks.allow, ["10.0.0.0/8", "localhost:3000"]);
    assert_eq!(checked.log.format, LogFormat::Json);
    let route = &checked.routes[0];
    assert_eq!(route.worker.as_str(), "http://other:1/");
    assert_eq!(route.public_url.as_deref(), Some("https://p"));
    assert_eq!(route.source.prefer, [Mode::Poll, Mode::Push]);
}

#[test]
fn the_store_goes_where_the_platform_keeps_state() {
    let place = |vars: &[(&str, &str)]| {
        let env = |name: &str| {
            vars.iter()
                .find(|(var, _)| *var == name)
                .map(|(_, value)| (*value).to_owned())
        };
        parse("sidecar.toml", &with_route(""), &Overrides::default(), &env)
            .unwrap()
            .store
            .url
    };
    let sqlite = |path: &str| StoreUrl::Sqlite(PathBuf::from(path));
    assert_eq!(
        place(&[("STATE_DIRECTORY", "/var/lib/x:/var/lib/y"), ("HOME", "/h")]),
        sqlite("/var/lib/x/tasks.db")
    );
    assert_eq!(
        place(&[("XDG_STATE_HOME", "/state"), ("HOME", "/h")]),
        sqlite("/state/a2a-sidecar/tasks.db")
    );
    let home = if cfg!(target_os = "macos") {
        "/h/Library/Application Support/a2a-sidecar/tasks.db"
    } else {
        "/h/.local/state/a2a-sidecar/tasks.db"
    };
    assert_eq!(
        place(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]),
        sqlite(home)
    );
}

#[test]
fn a_worker_posts_to_where_it_can_reach_the_sidecar() {
    let base = |worker: &str, listen: &str, tls, public| {
        push_base_url(
            &worker.parse().unwrap(),
            listen.parse().unwrap(),
            tls,
            public,
        )
    };
    let public = Some("https://p");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        base("http://localhost:1", "0.0.0.0:8", false, public),
        some("http://127.0.0.1:8")
    );
    assert_eq!(
        base("http://127.0.0.1:1", "127.0.0.1:8", false, None),
        some("http://127.0.0.1:8")
    );
    assert_eq!(
        base("http://[::1]:1", "[::1]:8", false, None),
        some("http://[::1]:8")
    );
    assert_eq!(
        base("http://w:1", "10.0.0.1:8", false, public),
        some("http://10.0.0.1:8")
    );
    assert_eq!(
        base("http://localhost:1", "10.0.0.1:8", false, None),
        some("http://10.0.0.1:8")
    );
    assert_eq!(
        base("http://w:1", "0.0.0.0:8", false, public),
        some("https://p")
    );
    assert_eq!(base("http://w:1", "127.0.0.1:8", false, None), None);
    assert_eq!(
        base("http://localhost:1", "127.0.0.1:8", true, public),
        some("https://p")
    );
    assert_eq!(base("http://localhost:1", "127.0.0.1:8", true, None), None);
}

#[test]
fn secrets_come_from_a_string_a_variable_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, format!("{}\n", env("KEY").unwrap())).unwrap();
    let key = env("KEY").unwrap();
    let forms = [
        format!("signing_key = \"{key}\""),
        "signing_key = { env = \"KEY\" }".to_owned(),
        format!("signing_key = {{ file = '{}' }}", file.display()),
        format!("signing_key_file = '{}'", file.display()),
    ];
    for form in forms {
        let checked = check(&with_route(&format!("[webhooks]\n{form}"))).unwrap();
        let key = checked.webhooks.signing_key.expect("a key");
        assert_eq!(key.expose(), b"01234567890123456789012345678901", "{form}");
    }
}

#[test]
fn nothing_prints_a_secret() {
    let checked = check(&format!(
        "[store]\nkey = {{ env = \"SEAL\" }}\n[webhooks]\nsigning_key = {{ env = \"KEY\" }}\n{}",
        in_route("headers = { authorization = { env = \"TOKEN\" }, x-api-key = \"hush-hush\" }")
    ))
    .unwrap();
    assert_eq!(
        checked
            .store
            .key
            .as_ref()
            .map(|key| key.expose().to_owned()),
        env("SEAL")
    );
    let printed = format!("{checked:?}");
    for secret in ["t0ken", "hush", "MDEyMzQ1", "0123456789", "[48, 49"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }

    let wrong = check(
        "[store]\nkey = \"s3cret\"\n[webhooks]\nsigning_key = \"s3cret\"\n[[routes]]\n\
         worker = \"http://user:s3cret@host\"\npublic_url = \"https://a/?s3cret\"\n\
         headers = { a = \"s3cret\\n\", b = { env = [\"s3cret\"] }, c = { s3cret = \"x\" }, d = [\"s3cret\"] }\n",
    )
    .unwrap_err();
    assert_eq!(wrong.0.len(), 8, "{wrong}");
    assert!(!wrong.to_string().contains("s3cret"), "{wrong}");
}

// ---- reload ---------------------------------------------------------------------------------------------------------

#[test]
fn a_reload_swaps_routes() {
    let old = check(&with_route("")).unwrap();
    assert!(reload("sidecar.toml", &old, &old.clone()).is_nothing());
    let new = check(&in_route("keep_alive = \"1s\"")).unwrap();
    assert_eq!(
        reload("sidecar.toml", &old, &new),
        Reload {
            routes_changed: true,
            refused: Vec::new()
        }
    );
    // The server's public address is in the routes' own.
    let new = check(&with_route("[server]\npublic_url = \"https://a\"")).unwrap();
    assert!(reload("sidecar.toml", &old, &new).routes_changed);
    // A secret that was replaced is a change.
    let new = check(&in_route("headers = { x-api-key = \"new\" }")).unwrap();
    assert!(reload("sidecar.toml", &old, &new).routes_changed);
}

#[test]
fn a_reload_refuses_what_takes_a_restart_and_then_changes_nothing() {
    let old = check(&with_route("")).unwrap();
    for (key, text) in [
        ("server.listen", "[server]\nlisten = \"127.0.0.1:8081\""),
        ("server.max_in_flight", "[server]\nmax_in_flight = 1"),
        ("server.max_connections", "[server]\nmax_connections = 1"),
        (
            "server.max_body_bytes",
            "[server]\nmax_body_bytes = \"1MiB\"",
        ),
        (
            "server.header_read_timeout",
            "[server]\nheader_read_timeout = \"1s\"",
        ),
        ("server.drain", "[server]\ndrain = \"1s\""),
        ("admin", "[admin]\nlisten = \"\""),
        ("log", "[log]\nlevel = \"debug\""),
        ("store", "[store]\nurl = \"memory:\""),
        ("webhooks", "[webhooks]\nsigning_key = { env = \"KEY\" }"),
    ] {
        let new = check(&with_route(text)).unwrap();
        // A changed listener changes the routes too (push.base_url): still nothing may be swapped.
        let reload = reload("sidecar.toml", &old, &new);
        assert!(!reload.routes_changed, "{key}");
        let refused: Vec<String> = reload.refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            [format!(
                "sidecar.toml: {key}: has changed, which takes a restart; nothing of the new configuration is used \
                 until then"
            )]
        );
    }
}
