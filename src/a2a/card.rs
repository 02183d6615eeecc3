//! Agent cards (specification §4.4 and §8): the facts that a proxy needs, and the rewritten card that its
//! requesters see. Everything that the worker says of itself stays, unknown members too; addresses, capabilities
//! and signatures do not. Verifying and making signatures is not done here.

use serde_json::{Value, json};
use url::Url;

use super::dialect::recognise;
use super::{Binding, Dialect, Object, Version, callback, extension};

mod complete;
mod security;

/// What a worker's card says, as far as a proxy needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerCard {
    /// Where and how the worker can be reached, in its order of preference.
    pub interfaces: Vec<Interface>,
    /// Whether it streams.
    pub streaming: bool,
    /// Whether it posts to webhooks.
    pub push: bool,
    /// Whether there is an extended card for those who authenticate.
    pub extended_card: bool,
    /// URIs of the extensions without which it refuses calls.
    pub required_extensions: Vec<String>,
    /// The card as it came.
    pub raw: Value,
}

/// One address of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// How to talk to it; `None` where this program cannot.
    pub dialect: Option<Dialect>,
    /// The binding as the card names it, such as `JSONRPC` or `GRPC`.
    pub binding: String,
    /// The protocol version as the card names it; empty where it does not.
    pub version: String,
    /// The address: absolute where this program can use it (gRPC's `host:port` as that of HTTP/2), else as it stands in
    /// the card.
    pub url: String,
    /// What to put into `tenant` of every request.
    pub tenant: Option<String>,
}

/// Why a card cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Not JSON at all.
    #[error("the agent card is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// JSON, but no card.
    #[error("the agent card is no JSON object")]
    NotAnObject,
}

impl WorkerCard {
    /// Reads a card. `base`: where it was fetched, against which relative addresses are resolved.
    ///
    /// A card without any usable interface is a card all the same: whether that matters is the caller's to say.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn parse(body: &[u8], base: &Url) -> Result<WorkerCard, CardError> {
        let raw: Value = serde_json::from_slice(body)?;
        let Value::Object(card) = &raw else {
            return Err(CardError::NotAnObject);
        };
        let mut interfaces = Vec::new();
        for entry in list(card, "supportedInterfaces") {
            add(
                &mut interfaces,
                base,
                text(entry, "protocolBinding"),
                text(entry, "protocolVersion"),
                text(entry, "url"),
                text(entry, "tenant"),
            );
        }
        let version = v0_version(card);
        let transport = match text(&raw, "preferredTransport") {
            "" => Binding::JsonRpc.card_name(),
            transport => transport,
        };
        add(
            &mut interfaces,
            base,
            transport,
            version,
            text(&raw, "url"),
            "",
        );
        for entry in list(card, "additionalInterfaces") {
            let transport = text(entry, "transport");
            add(
                &mut interfaces,
                base,
                transport,
                version,
                text(entry, "url"),
                "",
            );
        }
        if let Some(system) = recognise::of_card(card) {
            let dialect = Dialect::of_system(system);
            for interface in &mut interfaces {
                interface.dialect = interface.dialect.and(dialect);
            }
        }
        let capabilities = card.get("capabilities").unwrap_or(&Value::Null);
        let required_extensions = capabilities
            .as_object()
            .map_or(&[][..], |capabilities| list(capabilities, "extensions"))
            .iter()
            .filter(|extension| flag(extension, "required"))
            .map(|extension| text(extension, "uri").to_owned())
            .filter(|uri| !uri.is_empty())
            .collect();
        Ok(WorkerCard {
            streaming: flag(capabilities, "streaming"),
            push: flag(capabilities, "pushNotifications"),
            extended_card: flag(capabilities, "extendedAgentCard")
                || flag(&raw, "supportsAuthenticatedExtendedCard"),
            interfaces,
            required_extensions,
            raw,
        })
    }

    /// The first interface that this program can use.
    #[must_use]
    pub fn preferred(&self) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.dialect.is_some())
    }
}

/// Writes a card's security in the way of 1.0 alone, from whichever way it is in. (0.3's protobuf writes it so, too.)
pub(super) fn to_v1_security(card: &mut Object) {
    security::translate(card, true, false);
}

/// Writes a card's security in the way of 0.x alone.
pub(super) fn to_v0_security(card: &mut Object) {
    security::translate(card, false, true);
}

/// The version of a card's 0.x part: as it says, else by the members that it has. Empty for one that no module
/// here speaks.
fn v0_version(card: &Object) -> &str {
    match card.get("protocolVersion").and_then(Value::as_str) {
        Some(version) if !version.is_empty() => version,
        // 0.1 alone had `authentication`, and nothing of what came later.
        _ if card.contains_key("authentication") && !card.contains_key("securitySchemes") => "0.1",
        // 0.3 requires the version, so a card without one is older.
        _ => "0.2",
    }
}

fn add(
    interfaces: &mut Vec<Interface>,
    base: &Url,
    binding: &str,
    version: &str,
    url: &str,
    tenant: &str,
) {
    if url.is_empty() {
        return;
    }
    let known = Binding::from_card_name(binding);
    let resolved = match known {
        Some(Binding::Grpc) => grpc_address(base, url),
        _ => base.join(url).ok(),
    }
    .filter(|url| matches!(url.scheme(), "http" | "https"));
    let dialect = Version::parse(version)
        .filter(|_| resolved.is_some())
        .and_then(|version| Dialect::of(version, known?));
    let interface = Interface {
        dialect,
        binding: binding.to_owned(),
        version: version.to_owned(),
        // A gRPC address must not become a path of the card's host.
        url: match resolved {
            Some(resolved) if known.is_some() || url.contains("://") => resolved.into(),
            _ => url.to_owned(),
        },
        tenant: (!tenant.is_empty()).then(|| tenant.to_owned()),
    };
    // Hybrid cards name each interface twice, once in each version's way.
    let same = |other: &Interface| {
        other.url == interface.url
            && other.tenant == interface.tenant
            && other.binding.eq_ignore_ascii_case(&interface.binding)
            && match (other.dialect, interface.dialect) {
                (Some(a), Some(b)) => a == b,
                _ => other.version == interface.version,
            }
    };
    if !interfaces.iter().any(same) {
        interfaces.push(interface);
    }
}

/// Where a gRPC interface is: cards give `host:port` (specification §4.4.6), some a URL. Whether it is encrypted
/// `host:port` does not say: it is where the card itself came so, and on the port that stands for it.
fn grpc_address(base: &Url, address: &str) -> Option<Url> {
    let (scheme, rest) = match address.split_once("://") {
        Some(("grpc", rest)) => ("http", rest),
        Some(("grpcs", rest)) => ("https", rest),
        // A name for gRPC's own resolver: `dns:///host:port`.
        Some(("dns", rest)) => ("", rest.trim_start_matches('/')),
        Some(_) => return Url::parse(address).ok(),
        None => ("", address),
    };
    let scheme = match scheme {
        "" if base.scheme() == "https" || rest.ends_with(":443") => "https",
        "" => "http",
        scheme => scheme,
    };
    Url::parse(&format!("{scheme}://{rest}")).ok()
}

/// One dialect that the sidecar serves, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The dialect.
    pub dialect: Dialect,
    /// The address at which the requester reaches it.
    pub url: String,
    /// The tenant that a 1.0 requester is to name.
    pub tenant: Option<String>,
}

/// What the requester's card is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardPlan {
    /// The dialects, in order of preference. Those that no card lists ([`Version::is_listed`]) are passed over.
    pub served: Vec<Served>,
    /// Whether a requester can stream.
    pub streaming: bool,
    /// Whether a requester can register webhooks.
    pub push: bool,
    /// Whether a requester can be called back.
    pub callback: bool,
    /// Whether there is an extended card.
    pub extended: bool,
    /// Whether tasks and events are numbered for requesters that ask for it ([`extension::GENERATION`]).
    pub generations: bool,
    /// Exactly this version's card; `None` for one that clients of every version can read. (The old path
    /// `agent.json` is asked for by clients of 0.2 alone.)
    pub for_version: Option<Version>,
}

/// The card that requesters see.
#[must_use]
pub fn rewrite(card: &WorkerCard, plan: &CardPlan) -> Value {
    let Value::Object(raw) = &card.raw else {
        // `parse` lets nothing else through; a card built by hand is its maker's.
        return card.raw.clone();
    };
    let listed: Vec<&Served> = plan
        .served
        .iter()
        .filter(|served| served.dialect.version.is_listed())
        .collect();
    let mut out = raw.clone();
    for name in ADDRESSES {
        out.remove(name);
    }
    let serves_v0 = listed.iter().any(|served| served.dialect.version.is_v0());
    let serves_v1 = listed.iter().any(|served| !served.dialect.version.is_v0());
    let (v1, v0) = match plan.for_version {
        Some(version) => (!version.is_v0(), version.is_v0()),
        None => (serves_v1, serves_v0),
    };
    if v1 {
        let interfaces = listed.iter().copied().map(interface).collect();
        out.insert("supportedInterfaces".to_owned(), Value::Array(interfaces));
    }
    if v0 {
        v0_addresses(&mut out, &listed, plan.for_version);
    }
    capabilities(&mut out, plan, v1, v0);
    security::translate(&mut out, v1, v0);
    if plan.for_version == Some(Version::V0_2) {
        security::without_mutual_tls(&mut out);
    }
    // A signature that holds is worth more to its readers than what could be filled in.
    if !(raw.contains_key("signatures") && same_but_signatures(&out, raw)) {
        complete::card(&mut out, plan.for_version.is_none());
        out.remove("signatures");
    }
    Value::Object(out)
}

/// The members that hold the worker's own addresses.
const ADDRESSES: [&str; 5] = [
    "url",
    "preferredTransport",
    "additionalInterfaces",
    "supportedInterfaces",
    "protocolVersion",
];

fn interface(served: &Served) -> Value {
    let mut interface = json!({
        "url": served.url,
        "protocolBinding": served.dialect.binding.card_name(),
        "protocolVersion": served.dialect.version.number(),
    });
    if let Some(tenant) = &served.tenant {
        interface["tenant"] = Value::from(tenant.as_str());
    }
    interface
}

/// `url` and its companions, for the 0.x version that is asked for, else for the newest that is served.
fn v0_addresses(out: &mut Object, listed: &[&Served], version: Option<Version>) {
    let version = version.filter(|version| version.is_v0());
    let of_v0 = || {
        listed
            .iter()
            .filter(|served| served.dialect.version.is_v0())
    };
    let main = match version {
        Some(version) => of_v0().find(|served| served.dialect.version == version),
        // Of the newest the first: of several that are largest `max` takes the last.
        None => of_v0().rev().max_by_key(|served| served.dialect.version),
    }
    // 0.2 and 0.3 say the same over JSON-RPC, so that the other's address serves as well.
    .or_else(|| of_v0().next());
    let Some(main) = main else {
        return;
    };
    let card_version = version.unwrap_or(main.dialect.version);
    let dialect = Dialect {
        version: card_version,
        ..main.dialect
    };
    let transport = main.dialect.binding.card_name();
    out.insert("url".to_owned(), Value::from(main.url.as_str()));
    out.insert(
        "protocolVersion".to_owned(),
        Value::from(dialect.protocol_version()),
    );
    out.insert("preferredTransport".to_owned(), Value::from(transport));
    if card_version > Version::V0_2 {
        let all = of_v0()
            .filter(|served| served.dialect.version == main.dialect.version)
            .map(|served| json!({ "url": served.url, "transport": served.dialect.binding.card_name() }));
        out.insert("additionalInterfaces".to_owned(), all.collect());
    }
}

fn capabilities(out: &mut Object, plan: &CardPlan, v1: bool, v0: bool) {
    let capabilities = out
        .entry("capabilities")
        .or_insert_with(|| Value::Object(Object::new()));
    if !capabilities.is_object() {
        *capabilities = Value::Object(Object::new());
    }
    if let Value::Object(capabilities) = capabilities {
        capabilities.insert("streaming".to_owned(), Value::Bool(plan.streaming));
        capabilities.insert("pushNotifications".to_owned(), Value::Bool(plan.push));
        set(capabilities, "extendedAgentCard", v1, plan.extended);
        let (uri, description) = (extension::GENERATION, extension::GENERATION_DESCRIPTION);
        if plan.generations && v1 {
            offer(capabilities, uri, description, true);
        }
        // One that is the worker's (there may be another sidecar) is not what requesters get here.
        let (uri, description) = (callback::EXTENSION, callback::EXTENSION_DESCRIPTION);
        offer(capabilities, uri, description, plan.callback);
        if !v0 {
            // 1.0 has dropped it, and its strict readers refuse the card for it.
            capabilities.remove("stateTransitionHistory");
        }
    }
    set(out, "supportsAuthenticatedExtendedCard", v0, plan.extended);
}

/// Puts an extension of the sidecar's own beside the worker's, in place of one of the same name; or leaves it out.
fn offer(capabilities: &mut Object, uri: &str, description: &str, offered: bool) {
    let mut extensions = match capabilities.remove("extensions") {
        Some(Value::Array(extensions)) => extensions,
        _ => Vec::new(),
    };
    extensions.retain(|known| text(known, "uri") != uri);
    if offered {
        extensions.push(json!({ "uri": uri, "description": description, "required": false }));
    }
    if !extensions.is_empty() {
        capabilities.insert("extensions".to_owned(), Value::Array(extensions));
    }
}

/// A flag of one family of versions only: not there in the other's cards, and left out where it is off and the
/// worker has not written it either.
fn set(object: &mut Object, name: &str, applies: bool, on: bool) {
    if !applies {
        object.remove(name);
    } else if on || object.contains_key(name) {
        object.insert(name.to_owned(), Value::Bool(on));
    }
}

fn same_but_signatures(a: &Object, b: &Object) -> bool {
    let rest = |object: &Object| object.len() - usize::from(object.contains_key("signatures"));
    rest(a) == rest(b)
        && a.iter()
            .all(|(name, value)| name == "signatures" || b.get(name) == Some(value))
}

fn list<'a>(object: &'a Object, name: &str) -> &'a [Value] {
    object
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests;
