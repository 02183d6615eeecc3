//! Every fault has its exact text, key and line, and all faults come at once.

use a2a_sidecar::a2a::Dialect;
use a2a_sidecar::config::{Overrides, load, parse};

use super::{check, env, in_route, with_route};

#[track_caller]
fn faults(text: &str, expected: &[&str]) {
    let faults = check(text).expect_err("the file is wrong").to_string();
    assert_eq!(faults.lines().collect::<Vec<_>>(), expected, "\n{faults}\n");
}

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
             \"off\", \"blocking\", \"poll\", \"stream\", \"push\", \"callback\"",
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
fn a_dialect_that_there_is_not_is_named_beside_those_that_there_are() {
    let names = Dialect::ALL.map(|dialect| format!("{:?}", dialect.name()));
    let fault = format!(
        "sidecar.toml:3: routes[0].dialect: \"v1.1/jsonrpc\" is not a dialect; did you mean \"v1.0/jsonrpc\"?; \
         allowed: \"auto\", {}",
        names.join(", ")
    );
    faults(&in_route("dialect = \"v1.1/jsonrpc\""), &[&fault]);
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
          \"blocking\", \"poll\", \"stream\", \"push\", \"callback\"",
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
        &text("[\"callback\"]", "base_url = \"http://sidecar/a2a\""),
        &[
            "sidecar.toml:5: routes[0].push.base_url: \"http://sidecar/a2a\" has a segment \"a2a\"; allowed: an address \
             without one where `observe` names callback: workers that call back cut the address there",
        ],
    );
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

#[test]
fn a_wrong_path_is_one_fault_and_not_a_twin_of_another_route() {
    faults(
        &format!(
            "{}[[routes]]\nworker = \"http://b\"\nmatch = {{ path = \"b\" }}\n",
            in_route("")
        ),
        &[
            "sidecar.toml:6: routes[1].match.path: \"b\" is not a path; allowed: \"/\", or segments of letters, digits, \
           `-`, `_`, `.` and `~` without a slash at the end, such as \"/agents/one\"",
        ],
    );
}
