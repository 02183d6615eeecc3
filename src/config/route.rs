//! From the document to [`RouteConfig`]s, and what must hold between them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::check::{DAY, HOUR, MINUTE, NONE, SECOND, from_flag};
use super::fault::{Wrong, quoted};
use super::values::{self, Env};
use super::walk::{Table, Walk, string};
use super::{Overrides, RouteConfig, Server, push_base_url};
use crate::a2a::Dialect;
use crate::proxy::route::{Delivery, Observe};
use crate::sink;
use crate::source::{self, Mode, PollPolicy, PushPolicy, StreamPolicy, callback};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The most characters of a route's name: it is part of every task's key and every metric.
const MAX_NAME: usize = 64;

/// All routes. Faults are noted on the way; a route that lacks what it cannot be without is left out.
pub(super) fn routes<'a>(
    root: &Table<'a>,
    walk: &'a Walk<'a>,
    server: &Server,
    overrides: &Overrides,
    env: Env<'_>,
) -> Vec<RouteConfig> {
    let tables = root.tables("routes");
    let given = tables.len();
    let worker = from_flag(
        walk,
        "--worker",
        overrides.worker.as_deref(),
        values::worker_url,
    );
    let observe = from_flag(
        walk,
        "--observe",
        overrides.observe.as_deref(),
        values::observe_text,
    );
    if overrides.worker.is_some() && given > 1 {
        walk.flag_fault(
            "--worker",
            Wrong::new(
                format!("the file has {given} routes"),
                "a file with at most one route, or no --worker",
            ),
        );
    }
    let none = !root.has("routes") || root.has_empty_list("routes");
    if none && overrides.worker.is_none() {
        walk.fault(
            "routes",
            root.line_of("routes"),
            Wrong::new(
                "is missing: there is no worker",
                "at least one [[routes]] with a `worker`, or --worker URL",
            ),
        );
    }
    let tables = if tables.is_empty() {
        // The only route, all of it by default.
        vec![root.only("routes")]
    } else {
        tables
    };
    let mut routes: Vec<RouteConfig> = Vec::new();
    let mut seen: Vec<(usize, String, (String, Option<String>))> = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        let flags = Flags {
            worker: worker.clone(),
            worker_given: overrides.worker.is_some() || given == 0,
            observe: observe.clone(),
        };
        let name_line = table.line_of("name");
        let match_line = table.line_of("match");
        let path = format!("routes[{index}]");
        let head = head(&table);
        for (other, name, matched) in &seen {
            if *name == head.name && head.name_sound {
                walk.fault(
                    &format!("{path}.name"),
                    name_line,
                    Wrong::new(
                        format!("{} is the name of routes[{other}] too", quoted(name)),
                        "a name of its own",
                    ),
                );
            }
            if head.match_sound && *matched == (head.prefix.clone(), head.host.clone()) {
                walk.fault(
                    &format!("{path}.match"),
                    match_line,
                    Wrong::new(
                        format!(
                            "is the path and host of routes[{other}] ({}) too",
                            quoted(name)
                        ),
                        "another path or host",
                    ),
                );
            }
        }
        if head.name_sound && head.match_sound {
            seen.push((
                index,
                head.name.clone(),
                (head.prefix.clone(), head.host.clone()),
            ));
        }
        routes.extend(route(table, head, server, flags, env));
    }
    routes
}

/// What flags say about a route.
struct Flags {
    worker: Option<url::Url>,
    worker_given: bool,
    observe: Option<(Observe, Vec<Mode>)>,
}

/// What tells a route from the others.
struct Head {
    name: String,
    prefix: String,
    host: Option<String>,
    /// Whether the name is what was meant, and not what stands in for a wrong one: else comparing it with the other
    /// routes' makes a second fault of one mistake.
    name_sound: bool,
    /// The same of path and host.
    match_sound: bool,
}

fn head(table: &Table<'_>) -> Head {
    let matched = table.table("match");
    let path = matched.read_own("path", |value| prefix(string(value)?));
    let host = matched.read_own("host", |value| host(string(value)?));
    let match_sound =
        path.is_some() == matched.has("path") && host.is_some() == matched.has("host");
    let prefix = path.unwrap_or_else(|| "/".to_owned());
    matched.end();
    let given = table.read_own("name", |value| name(string(value)?));
    let name_sound = match_sound && given.is_some() == table.has("name");
    let name = given.unwrap_or_else(|| match prefix.as_str() {
        "/" => "default".to_owned(),
        path => path[1..].replace('/', "-"),
    });
    Head {
        name,
        prefix,
        host,
        name_sound,
        match_sound,
    }
}

fn route(
    table: Table<'_>,
    head: Head,
    server: &Server,
    flags: Flags,
    env: Env<'_>,
) -> Option<RouteConfig> {
    let worker = table.read_own("worker", |value| values::worker_url(string(value)?));
    if !table.has("worker") && !flags.worker_given {
        table.fault(
            "worker",
            Wrong::new(
                "is missing",
                "the worker's URL, such as \"http://127.0.0.1:9999\"",
            ),
        );
    }
    let worker = flags.worker.or(worker);
    let dialect = table.text("dialect", values::dialect_or_auto).flatten();
    let from_file = table.read("observe", values::observe);
    let (observe, prefer) = flags
        .observe
        .or(from_file)
        .unwrap_or((Observe::Auto, Vec::new()));
    let offer = some_of(&table, "offer", values::mode).unwrap_or_else(|| Mode::ALL.to_vec());
    let serve = table
        .read("serve", values::serve)
        .unwrap_or_else(|| Dialect::ALL.to_vec());
    const DELIVERY: [(&str, Delivery); 2] = [("own", Delivery::Own), ("native", Delivery::Native)];
    const CARD: [(&str, bool); 2] = [("hybrid", false), ("strict", true)];
    let delivery = table
        .text("delivery", |text| values::one_of(text, &DELIVERY))
        .unwrap_or(Delivery::Own);
    let strict_card = table
        .text("card", |text| values::one_of(text, &CARD))
        .unwrap_or(false);
    let public_url = table.text("public_url", values::public_url).or_else(|| {
        let base = server.public_url.as_deref()?;
        Some(match head.prefix.as_str() {
            "/" => base.to_owned(),
            prefix => format!("{base}{prefix}"),
        })
    });
    let identity_headers = table
        .list("identity_headers", header_name)
        .unwrap_or_default();
    let headers = headers(table.table("headers"), env);
    let mut sink = sink::Policy::default();
    let mut source = source(&table, prefer, &mut sink);
    sink.keep_alive = table.duration("keep_alive", NONE..=HOUR, sink.keep_alive);
    sink.keep_alive_http_json = table
        .read("keep_alive_http_json", values::truth)
        .unwrap_or(sink.keep_alive_http_json);

    let push = table.table("push");
    let given = push.text("base_url", values::public_url);
    let push_base_given = given.is_some();
    let made = worker.as_ref().and_then(|worker| {
        push_base_url(
            worker,
            server.listen,
            server.tls.is_some(),
            server.public_url.as_deref(),
        )
    });
    let wanted = [Mode::Push, Mode::Callback]
        .into_iter()
        .find(|mode| source.prefer.contains(mode));
    if let Some(wanted) = wanted
        && made.is_none()
        && !push_base_given
        && !push.has("base_url")
        && worker.is_some()
    {
        push.fault(
            "base_url",
            Wrong::new(
                format!(
                    "is missing: `observe` names {}, and it is not known at which address the worker reaches the sidecar",
                    wanted.name()
                ),
                "a URL, such as \"http://sidecar.internal:8080\", or a server.public_url",
            ),
        );
    }
    let base_url = given.or(made).unwrap_or_default();
    if source.prefer.contains(&Mode::Callback) && callback::is_cut(&base_url) {
        push.fault(
            "base_url",
            Wrong::new(
                format!("{} has a segment \"a2a\"", quoted(&base_url)),
                "an address without one where `observe` names callback: workers that call back cut the address there",
            ),
        );
    }
    source.push = PushPolicy {
        base_url,
        max_early: push.count("max_early", 1..=10_000, PushPolicy::default().max_early),
    };
    push.end();
    table.end();
    Some(RouteConfig {
        name: head.name,
        prefix: head.prefix,
        host: head.host,
        worker: worker?,
        dialect,
        observe,
        offer,
        serve,
        delivery,
        strict_card,
        public_url,
        identity_headers,
        headers,
        source,
        push_base_given,
        sink,
    })
}

fn source(table: &Table<'_>, prefer: Vec<Mode>, sink: &mut sink::Policy) -> source::Policy {
    let base = source::Policy::default();

    let blocking = table.table("blocking");
    sink.blocking_max = blocking.duration("max", NONE..=7 * DAY, sink.blocking_max);
    blocking.end();

    let table_poll = table.table("poll");
    sink.long_poll_max = table_poll.duration("long_poll_max", NONE..=HOUR, sink.long_poll_max);
    let poll = PollPolicy {
        first: table_poll.duration("first", 10 * MILLISECOND..=HOUR, base.poll.first),
        max: table_poll.duration("max", 10 * MILLISECOND..=DAY, base.poll.max),
        factor: table_poll.number("factor", 1.0..=10.0, base.poll.factor),
        jitter: table_poll.number("jitter", 0.0..=1.0, base.poll.jitter),
        budget_per_second: table_poll.number(
            "budget_per_second",
            0.01..=100_000.0,
            base.poll.budget_per_second,
        ),
        slow: table_poll.duration("slow", 10 * MILLISECOND..=DAY, base.poll.slow),
        not_found_limit: u32::try_from(table_poll.count(
            "not_found_limit",
            1..=1000,
            base.poll.not_found_limit as usize,
        ))
        .unwrap_or(base.poll.not_found_limit),
    };
    if poll.first > poll.max {
        table_poll.fault(
            "first",
            Wrong::new("is longer than poll.max", "at most poll.max"),
        );
    }
    table_poll.end();

    let table_stream = table.table("stream");
    sink.stream_max_life = table_stream
        .text("max_life", stream_life)
        .unwrap_or(sink.stream_max_life);
    let stream = StreamPolicy {
        resubscribe_limit: u32::try_from(table_stream.count(
            "resubscribe_limit",
            0..=1000,
            base.stream.resubscribe_limit as usize,
        ))
        .unwrap_or(base.stream.resubscribe_limit),
        resubscribe_wait: table_stream.duration(
            "resubscribe_wait",
            10 * MILLISECOND..=MINUTE,
            base.stream.resubscribe_wait,
        ),
        max_event_bytes: table_stream.size(
            "max_event_bytes",
            1024..=1 << 30,
            base.stream.max_event_bytes,
        ),
    };
    table_stream.end();

    source::Policy {
        prefer,
        announce_after: table.duration(
            "announce_after",
            10 * MILLISECOND..=HOUR,
            base.announce_after,
        ),
        first_event_after: table.duration(
            "first_event_after",
            10 * MILLISECOND..=HOUR,
            base.first_event_after,
        ),
        answer_timeout: table.duration("answer_timeout", SECOND..=7 * DAY, base.answer_timeout),
        call_timeout: table.duration("call_timeout", 100 * MILLISECOND..=HOUR, base.call_timeout),
        give_up_after: table.duration("give_up_after", NONE..=7 * DAY, base.give_up_after),
        poll,
        stream,
        push: base.push,
        max_answer_bytes: table.size("max_answer_bytes", 1024..=4 << 30, base.max_answer_bytes),
    }
}

/// A stream's longest life: none, or long enough that reconnecting is not most of what the requester does.
fn stream_life(text: &str) -> Result<Duration, Wrong> {
    let life = super::units::duration(text)?;
    if life == NONE || (SECOND..=7 * DAY).contains(&life) {
        return Ok(life);
    }
    Err(super::units::out_of_range(
        text,
        "1s",
        "7d, or 0s for no limit",
    ))
}

/// A list that is not empty and names nothing twice.
fn some_of<T: PartialEq>(
    table: &Table<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<Vec<T>> {
    let list = table.list(key, parse)?;
    if table.has_empty_list(key) {
        table.fault(key, Wrong::new("is empty", "at least one"));
        return None;
    }
    match values::distinct(list) {
        Ok(list) => Some(list),
        Err(wrong) => {
            table.fault(key, wrong);
            None
        }
    }
}

fn name(text: &str) -> Result<String, Wrong> {
    let good = (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if good {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("{} is not a name", quoted(text)),
        format!("1 to {MAX_NAME} letters, digits, `-`, `_` and `.`"),
    ))
}

fn prefix(text: &str) -> Result<String, Wrong> {
    let good = text == "/"
        || text.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|segment| {
                !segment.is_empty()
                    && segment != "."
                    && segment != ".."
                    && segment
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
            })
        });
    if good {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("{} is not a path", quoted(text)),
        "\"/\", or segments of letters, digits, `-`, `_`, `.` and `~` without a slash at the end, such as \"/agents/one\"",
    ))
}

fn host(text: &str) -> Result<String, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("{} is not a host", quoted(text)),
            "a host name or address without scheme, port and path, such as \"agents.example.com\"",
        )
    };
    // An address of version 6 stands in brackets, as it does in the `Host` header that it is compared with.
    let bare = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    let bracketed = text.starts_with('[') && text.ends_with(']');
    if text.is_empty() || !(bare || bracketed) {
        return Err(wrong());
    }
    url::Host::parse(text)
        .map(|host| host.to_string())
        .map_err(|_| wrong())
}

fn header_name(text: &str) -> Result<HeaderName, Wrong> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Wrong::new(
            format!("{} is not a header name", quoted(text)),
            "a header name, such as \"x-api-key\"",
        )
    })
}

/// Headers that are made for each call: a fixed one would break the call.
const NOT_OURS: [HeaderName; 6] = [
    http::header::HOST,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_TYPE,
    http::header::TRANSFER_ENCODING,
    http::header::CONNECTION,
    http::header::UPGRADE,
];

fn headers(table: Table<'_>, env: Env<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (key, line, value) in table.entries() {
        let read = header_name(&key).and_then(|name| {
            if NOT_OURS.contains(&name) {
                return Err(Wrong::bare("is made by the sidecar for each call"));
            }
            let secret = values::secret(value, env)?;
            let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
                Wrong::new(
                    "holds what a header cannot",
                    "visible characters on one line",
                )
            })?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        match read {
            Ok((name, value)) => {
                if headers.insert(name, value).is_some() {
                    table.entry_fault(
                        &key,
                        line,
                        Wrong::bare("is there twice (upper and lower case are the same)"),
                    );
                }
            }
            Err(wrong) => table.entry_fault(&key, line, wrong),
        }
    }
    headers
}
