//! The configuration as its users meet it: every file in the repository loads, every fault has its exact text, key and
//! line, and all faults come at once.

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

#[track_caller]
fn faults(text: &str, expected: &[&str]) {
    let faults = check(text).expect_err("the file is wrong").to_string();
    assert_eq!(faults.lines().collect::<Vec<_>>(), expected, "\n{faults}\n");
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

// ---- files and defaults ---------------------------------------------------------------------------------------------

#[test]
fn every_file_in_the_repository_loads() {
    let mut files = Vec::new();
    for name in ["config", "examples"] {
        let Ok(entries) = std::fs::read_dir(folder(name)) else {
            assert_ne!(name, "config", "the folder is there");
            continue;
        };
        files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        }));
    }
    assert!(files.len() >= 2, "{files:?}");
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
    assert_eq!(
        route.serve,
        [Version::V1_0, Version::V0_3, Version::V0_2].map(Dialect::jsonrpc)
    );
    assert_eq!(route.delivery, Delivery::Own);
    assert!(!route.strict_card);
    assert!(!route.idempotent);
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
idempotent = true
keep_alive = "0s"
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
    assert!(one.idempotent);
    assert_eq!(one.identity_headers, ["x-tenant"]);
    assert_eq!(one.headers["authorization"], "Bearer t0ken");
    assert_eq!(one.sink.keep_alive, Duration::ZERO);
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

// ---- faults ---------------------------------------------------------------------------------------------------------

const DURATION: &str = "allowed: a whole number and a unit (ms, s, m, h, d), such as \"250ms\", \"4s\", \"10m\" or \"24h\"";

#[test]
fn all_faults_come_at_once_in_the_order_of_the_lines() {
    let duration =
        format!("sidecar.toml:5: server.drain: \"5 minutes\" is not a duration; {DURATION}");
    faults(
        r#"[server]
listn = "127.0.0.1:8080"
listen = "localhost:80"
max_in_flight = 0
drain = "5 minutes"

[[routes]]
worker = "ftp://host"
observe = ["poll", "pol"]

[routes.poll]
first = "20s"
max = "10s"
jitter = "x"

[[routes]]
name = "default"
"#,
        &[
            "sidecar.toml:2: server.listn: unknown key; did you mean `listen`?; allowed: listen, public_url, \
             max_in_flight, max_connections, max_body_bytes, header_read_timeout, drain, tls",
            "sidecar.toml:3: server.listen: \"localhost:80\" is not an address to listen on; allowed: an IP address \
             and a port, such as \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::]:8080\"",
            "sidecar.toml:4: server.max_in_flight: 0 is out of range; allowed: 1 to 1000000",
            &duration,
            "sidecar.toml:8: routes[0].worker: is not an http or https URL; allowed: an http or https URL, such as \
             \"http://127.0.0.1:9999\"",
            "sidecar.toml:9: routes[0].observe: \"pol\" is not a mode; did you mean \"poll\"?; allowed: \"auto\", \
             \"off\", \"blocking\", \"poll\", \"stream\", \"push\"",
            "sidecar.toml:12: routes[0].poll.first: is longer than poll.max; allowed: at most poll.max",
            "sidecar.toml:14: routes[0].poll.jitter: is a string; allowed: a number",
            "sidecar.toml:16: routes[1].match: is the path and host of routes[0] (\"default\") too; allowed: another \
             path or host",
            "sidecar.toml:16: routes[1].worker: is missing; allowed: the worker's URL, such as \
             \"http://127.0.0.1:9999\"",
            "sidecar.toml:17: routes[1].name: \"default\" is the name of routes[0] too; allowed: a name of its own",
        ],
    );
}

#[test]
fn what_is_no_toml_is_one_fault_with_line_and_column() {
    faults(
        "[server]\nlisten = = \"x\"\n[admin\n",
        &["sidecar.toml:2:10: not TOML: extra `=`, expected nothing"],
    );
    faults(
        "[log]\nlevel = \"info\"\nlevel = \"warn\"\n",
        &["sidecar.toml:3:1: not TOML: duplicate key"],
    );
}

#[test]
fn a_file_that_is_not_there_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let error = load(Some(&path), &Overrides::default(), &env).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: cannot be read: entity not found", path.display())
    );
}

#[test]
fn without_a_worker_there_is_nothing_to_do() {
    let missing = "routes: is missing: there is no worker; allowed: at least one [[routes]] with a `worker`, or \
                   --worker URL";
    faults("", &[&format!("sidecar.toml: {missing}")]);
    faults("routes = []", &[&format!("sidecar.toml:1: {missing}")]);
    let error = load(None, &Overrides::default(), &env).unwrap_err();
    assert_eq!(error.to_string(), missing);
}

#[test]
fn a_value_of_another_type_is_named_with_what_was_expected() {
    for (text, fault) in [
        (
            "[server]\nlisten = 8080",
            "2: server.listen: is an integer; allowed: a string in quotes",
        ),
        (
            "[server]\nmax_in_flight = \"many\"",
            "2: server.max_in_flight: is a string; allowed: a whole number",
        ),
        (
            "[server]\nmax_in_flight = 1.5",
            "2: server.max_in_flight: is a float; allowed: a whole number",
        ),
        (
            "[server]\nmax_in_flight = -1",
            "2: server.max_in_flight: -1 is out of range; allowed: 1 to 1000000",
        ),
        (
            "[server]\ndrain = 30",
            "2: server.drain: is an integer; allowed: a string in quotes",
        ),
        ("server = 1", "1: server: is an integer; allowed: a table"),
        (
            "[webhooks]\nallow = \"10.0.0.0/8\"",
            "2: webhooks.allow: is a string; allowed: a list of strings",
        ),
        (
            "[webhooks]\nallow = [\n  \"a\",\n  1,\n]",
            "4: webhooks.allow[1]: is an integer; allowed: a string in quotes",
        ),
        (
            "[webhooks]\nsigning_key = 1",
            "2: webhooks.signing_key: is an integer; allowed: a string, { env = \
          \"VARIABLE\" } or { file = \"PATH\" }",
        ),
        (
            "extra = 1",
            "1: extra: unknown key; allowed: server, admin, log, store, webhooks, routes",
        ),
    ] {
        faults(&with_route(text), &[&format!("sidecar.toml:{fault}")]);
    }
    faults(
        "routes = 1",
        &["sidecar.toml:1: routes: is an integer; allowed: tables that begin with [[routes]]"],
    );
    faults(
        "routes = [1]",
        &["sidecar.toml:1: routes[0]: is an integer; allowed: a table"],
    );
    for (text, fault) in [
        (
            "idempotent = \"yes\"",
            "3: routes[0].idempotent: is a string; allowed: true or false",
        ),
        (
            "observe = true",
            "3: routes[0].observe: is a boolean; allowed: \"auto\", \"off\", or a list of modes",
        ),
        (
            "poll = \"1s\"",
            "3: routes[0].poll: is a string; allowed: a table",
        ),
    ] {
        faults(&in_route(text), &[&format!("sidecar.toml:{fault}")]);
    }
}

#[test]
fn servers_faults() {
    for (text, fault) in [
        (
            "[server]\nmax_body_bytes = \"16MB\"",
            "2: server.max_body_bytes: \"16MB\" is not a size; allowed: a whole \
          number and a unit (B, KiB, MiB, GiB), such as \"64KiB\" or \"16MiB\"",
        ),
        (
            "[server]\nmax_body_bytes = \"1B\"",
            "2: server.max_body_bytes: 1B is out of range; allowed: 1KiB to 1GiB",
        ),
        (
            "[server]\ndrain = \"2h\"",
            "2: server.drain: 2h is out of range; allowed: 0s to 1h",
        ),
        (
            "[server]\npublic_url = \"https://a/?x=1\"",
            "2: server.public_url: holds a query; allowed: the URL up to \
          the `?`",
        ),
        (
            "[server]\npublic_url = \"https://a/#x\"",
            "2: server.public_url: holds a fragment; allowed: the URL up to \
          the `#`",
        ),
        (
            "[server]\npublic_url = \"agents.example.com\"",
            "2: server.public_url: is not a URL (relative URL without \
          a base); allowed: an http or https URL, such as \"https://agents.example.com\"",
        ),
        (
            "[server]\npublic_url = \"https://me:pw@a\"",
            "2: server.public_url: holds a user name or password; \
          allowed: the URL without them: it is published in agent cards",
        ),
        (
            "[admin]\nlisten = \"9901\"",
            "2: admin.listen: \"9901\" is not an address to listen on; allowed: an IP \
          address and a port, such as \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::]:8080\", or \"\" for none",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:8080\"",
            "2: admin.listen: 127.0.0.1:8080 is the requesters' address \
          (server.listen) too; allowed: another port, or \"\" for none",
        ),
        (
            "[log]\nformat = \"jsn\"",
            "2: log.format: \"jsn\" is not a choice; did you mean \"json\"?; allowed: \
          \"text\", \"json\"",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "2: log.level: \"loud\" is not a level; allowed: \"error\", \"warn\", \"info\", \
          \"debug\", \"trace\", \"off\", or levels by module, such as \"info,a2a_sidecar::sink=debug\"",
        ),
        (
            "[store]\nurl = \"postgres://x\"",
            "2: store.url: is not a store; allowed: \"sqlite:PATH\", such as \
          \"sqlite:/var/lib/a2a-sidecar/tasks.db\", or \"memory:\"",
        ),
        (
            "[store]\nsync = \"ful\"",
            "2: store.sync: \"ful\" is not a choice; did you mean \"full\"?; allowed: \
          \"normal\", \"full\"",
        ),
        (
            "[store]\nkey_file = \"/nowhere/at/all\"",
            "2: store.key_file: \"/nowhere/at/all\" cannot be made: its \
          folder is missing",
        ),
        (
            "[store]\nkey = \"short\"",
            "2: store.key: is not a sealing key; allowed: 32 bytes in base64, as made by: \
          openssl rand -base64 32",
        ),
        (
            "[store]\nretention = \"1s\"",
            "2: store.retention: 1s is out of range; allowed: 1m to 3650d",
        ),
        (
            "[webhooks]\nallow = [\"http://x\"]",
            "2: webhooks.allow[0]: \"http://x\" is no address, net or host; \
          allowed: an address (10.1.2.3), a net (10.0.0.0/8), or a host name with an optional port \
          (receiver.internal:8443)",
        ),
        (
            "[webhooks]\nsigning_key = \"abc\"",
            "2: webhooks.signing_key: is not a signing key; allowed: `whsec_` and \
          24 to 64 bytes in base64, as made by: echo \"whsec_$(openssl rand -base64 32)\"",
        ),
        (
            "[webhooks]\nsigning_key_file = \"/nowhere\"",
            "2: webhooks.signing_key_file: \"/nowhere\" cannot be read: \
          entity not found",
        ),
        (
            "[webhooks]\nsigning_key = { env = \"KEY\" }\nsigning_key_file = \"/nowhere\"",
            "3: \
          webhooks.signing_key_file: \"/nowhere\" cannot be read: entity not found\nsidecar.toml:3: \
          webhooks.signing_key_file: is given beside signing_key; allowed: one of the two",
        ),
        (
            "[webhooks]\nsigning_key = { env = \"BLANK\" }",
            "2: webhooks.signing_key: the environment variable \
          \"BLANK\" is not set",
        ),
        (
            "[webhooks]\nsigning_key = { environment = \"KEY\" }",
            "2: webhooks.signing_key: does not say where the \
          secret is; allowed: a string, { env = \"VARIABLE\" } or { file = \"PATH\" }",
        ),
        (
            "[webhooks]\nretry_first = \"1h\"\nretry_max = \"1m\"",
            "2: webhooks.retry_first: is longer than retry_max; \
          allowed: at most retry_max",
        ),
        (
            "[webhooks]\nretry_jitter = 2",
            "2: webhooks.retry_jitter: 2 is out of range; allowed: 0 to 1",
        ),
    ] {
        let fault = format!("sidecar.toml:{fault}");
        faults(&with_route(text), &fault.lines().collect::<Vec<_>>());
    }
}

#[test]
fn tls_needs_both_files() {
    let dir = tempfile::tempdir().unwrap();
    let cert = dir.path().join("tls.crt");
    std::fs::write(&cert, "x").unwrap();
    let (cert, dir) = (cert.display(), dir.path().display());
    faults(
        &with_route(&format!("[server.tls]\ncert = '{cert}'")),
        &["sidecar.toml:1: server.tls.key: is missing; allowed: both `cert` and `key`: PEM files"],
    );
    faults(
        &with_route(&format!("[server.tls]\ncert = '{dir}'\nkey = '{dir}/none'")),
        &[
            &format!("sidecar.toml:2: server.tls.cert: \"{dir}\" is not a file"),
            &format!(
                "sidecar.toml:3: server.tls.key: \"{dir}/none\" cannot be read: entity not found"
            ),
        ],
    );
    let checked = check(&with_route(&format!(
        "[server.tls]\ncert = '{cert}'\nkey = '{cert}'"
    )))
    .unwrap();
    assert!(checked.server.tls.is_some());
}

#[test]
fn a_key_beside_a_key_file_is_contradictory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new.key");
    let text = format!(
        "[store]\nkey = {{ env = \"SEAL\" }}\nkey_file = '{}'",
        file.display()
    );
    faults(
        &with_route(&text),
        &["sidecar.toml:3: store.key_file: is given beside key; allowed: one of the two"],
    );
    // A key file that is not there yet is made at the first start.
    let text = format!("[store]\nkey_file = '{}'", file.display());
    assert_eq!(
        check(&with_route(&text)).unwrap().store.key_file,
        Some(file)
    );
}

#[test]
fn routes_faults() {
    for (text, fault) in [
        (
            "name = \"my route\"",
            "3: routes[0].name: \"my route\" is not a name; allowed: 1 to 64 letters, digits, \
          `-`, `_` and `.`",
        ),
        (
            "match = { path = \"/a/\" }",
            "3: routes[0].match.path: \"/a/\" is not a path; allowed: \"/\", or segments \
          of letters, digits, `-`, `_`, `.` and `~` without a slash at the end, such as \"/agents/one\"",
        ),
        (
            "match = { host = \"https://a\" }",
            "3: routes[0].match.host: \"https://a\" is not a host; allowed: a host \
          name or address without scheme, port and path, such as \"agents.example.com\"",
        ),
        (
            "match = { pat = \"/a\" }",
            "3: routes[0].match.pat: unknown key; did you mean `path`?; allowed: path, host",
        ),
        (
            "dialect = \"v1.1/jsonrpc\"",
            "3: routes[0].dialect: \"v1.1/jsonrpc\" is not a dialect; did you mean \
          \"v1.0/jsonrpc\"?; allowed: \"auto\", \"v1.0/jsonrpc\", \"v0.3/jsonrpc\", \"v0.2/jsonrpc\"",
        ),
        (
            "observe = []",
            "3: routes[0].observe: is empty; allowed: \"auto\", \"off\", or at least one mode",
        ),
        (
            "observe = [\"poll\", \"poll\"]",
            "3: routes[0].observe: names the same thing twice; allowed: each name once",
        ),
        (
            "offer = []",
            "3: routes[0].offer: is empty; allowed: at least one",
        ),
        (
            "offer = [\"pull\"]",
            "3: routes[0].offer[0]: \"pull\" is not a mode; did you mean \"poll\"?; allowed: \
          \"blocking\", \"poll\", \"stream\", \"push\"",
        ),
        (
            "serve = [\"v1.0/jsonrpc\", \"v1.0/jsonrpc\"]",
            "3: routes[0].serve: names the same thing twice; allowed: \
          each name once",
        ),
        (
            "delivery = \"mine\"",
            "3: routes[0].delivery: \"mine\" is not a choice; allowed: \"own\", \"native\"",
        ),
        (
            "card = \"Strict\"",
            "3: routes[0].card: \"Strict\" is not a choice; did you mean \"strict\"?; allowed: \
          \"hybrid\", \"strict\"",
        ),
        (
            "identity_headers = [\"x y\"]",
            "3: routes[0].identity_headers[0]: \"x y\" is not a header name; allowed: a \
          header name, such as \"x-api-key\"",
        ),
        (
            "headers = { host = \"x\" }",
            "3: routes[0].headers.host: is made by the sidecar for each call",
        ),
        (
            "headers = { a = { env = \"NONE\" } }",
            "3: routes[0].headers.a: the environment variable \"NONE\" is not \
          set",
        ),
        (
            "headers = { a = \"x\\ny\" }",
            "3: routes[0].headers.a: holds what a header cannot; allowed: visible \
          characters on one line",
        ),
        (
            "headers = { A = \"x\", a = \"y\" }",
            "3: routes[0].headers.a: is there twice (upper and lower case are the \
          same)",
        ),
        (
            "poll = { mx = \"1s\" }",
            "3: routes[0].poll.mx: unknown key; did you mean `max`?; allowed: long_poll_max, first, max, factor, \
          jitter, budget_per_second, slow, not_found_limit",
        ),
        (
            "poll = { factor = 0.5 }",
            "3: routes[0].poll.factor: 0.5 is out of range; allowed: 1 to 10",
        ),
        (
            "poll = { factor = nan }",
            "3: routes[0].poll.factor: nan is out of range; allowed: 1 to 10",
        ),
        (
            "stream = { max_life = \"10ms\" }",
            "3: routes[0].stream.max_life: 10ms is out of range; allowed: 1s to 7d, \
          or 0s for no limit",
        ),
        (
            "push = { base_url = \"10.0.0.1\" }",
            "3: routes[0].push.base_url: is not a URL (relative URL without a \
          base); allowed: an http or https URL, such as \"https://agents.example.com\"",
        ),
        (
            "call_timeout = \"0s\"",
            "3: routes[0].call_timeout: 0s is out of range; allowed: 100ms to 1h",
        ),
    ] {
        faults(&in_route(text), &[&format!("sidecar.toml:{fault}")]);
    }
}

#[test]
fn credentials_in_the_workers_url_are_refused_with_the_way_out() {
    let expected = "routes[0].worker: holds a user name or password; allowed: the URL without them; put credentials \
                    into `headers`, such as headers = { authorization = { env = \"WORKER_AUTHORIZATION\" } }";
    faults(
        "[[routes]]\nworker = \"http://user:pw@host\"",
        &[&format!("sidecar.toml:2: {expected}")],
    );
    faults(
        "[[routes]]\nworker = \"http://user@host\"",
        &[&format!("sidecar.toml:2: {expected}")],
    );
}

#[test]
fn push_needs_an_address_for_the_worker() {
    let text = |observe: &str, push: &str| {
        format!(
            "[[routes]]\nworker = \"http://worker.internal\"\nobserve = {observe}\n[routes.push]\n{push}\n"
        )
    };
    faults(
        &text("[\"push\", \"poll\"]", ""),
        &[
            "sidecar.toml:4: routes[0].push.base_url: is missing: `observe` names push, and it is not known at which \
           address the worker reaches the sidecar; allowed: a URL, such as \"http://sidecar.internal:8080\", or a \
           server.public_url",
        ],
    );
    // Left to choose, the sidecar does without.
    assert_eq!(
        check(&text("\"auto\"", "")).unwrap().routes[0]
            .source
            .push
            .base_url,
        ""
    );
    let given = check(&text("[\"push\"]", "base_url = \"http://sidecar:8080/\"")).unwrap();
    assert_eq!(given.routes[0].source.push.base_url, "http://sidecar:8080");
    assert!(given.routes[0].push_base_given);
}

#[test]
fn the_same_path_on_another_host_is_another_match() {
    let two = |first: &str, second: &str| {
        format!(
            "[[routes]]\nname = \"a\"\nworker = \"http://a\"\nmatch = {first}\n\
             [[routes]]\nname = \"b\"\nworker = \"http://b\"\nmatch = {second}\n"
        )
    };
    assert!(check(&two("{ host = \"x\" }", "{ host = \"y\" }")).is_ok());
    assert!(check(&two("{ path = \"/a\" }", "{ path = \"/b\" }")).is_ok());
    faults(
        &two("{ host = \"x\" }", "{ path = \"/\", host = \"X\" }"),
        &[
            "sidecar.toml:8: routes[1].match: is the path and host of routes[0] (\"a\") too; allowed: another path or \
           host",
        ],
    );
}

#[test]
fn flags_are_refused_with_the_same_words() {
    let overrides = Overrides {
        worker: Some("localhost:9999".to_owned()),
        listen: Some("8080".to_owned()),
        admin: Some("x".to_owned()),
        public_url: Some("x".to_owned()),
        store: Some("redis:".to_owned()),
        webhook_allow: vec!["10.0.0.0/8".to_owned(), "a b".to_owned()],
        observe: Some("polling".to_owned()),
        log_format: None,
    };
    let faults = load(None, &overrides, &env).unwrap_err();
    let mut paths: Vec<&str> = faults.0.iter().map(|fault| fault.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "--admin",
            "--listen",
            "--observe",
            "--public-url",
            "--store",
            "--webhook-allow",
            "--worker"
        ]
    );
    assert!(
        faults.to_string().contains(
            "--worker: is not an http or https URL; allowed: an http or https URL, such as \"http://127.0.0.1:9999\""
        ),
        "{faults}"
    );

    let two = "[[routes]]\nworker = \"http://a\"\n[[routes]]\nworker = \"http://b\"\nmatch.path = \"/b\"\n";
    let overrides = Overrides {
        worker: Some("http://c".to_owned()),
        ..Overrides::default()
    };
    let faults = parse("sidecar.toml", two, &overrides, &env).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "--worker: the file has 2 routes; allowed: a file with at most one route, or no --worker"
    );
}

#[test]
fn without_a_home_the_store_must_be_named() {
    let error = parse(
        "sidecar.toml",
        &with_route(""),
        &Overrides::default(),
        &|_| None,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sidecar.toml: store.url: is missing, and none of $STATE_DIRECTORY, $XDG_STATE_HOME and $HOME says where \
         state goes; allowed: \"sqlite:PATH\" or \"memory:\""
    );
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
