//! The guard against server-side request forgery: which addresses a URL given by a stranger may lead
//! to.
//!
//! What is judged is the address that is connected to, not the name: [`GuardedResolver`] filters every
//! answer of the resolver, at every attempt, so a name that changes its address between a check and a
//! connection (DNS rebinding) gains nothing. Hosts written as addresses never reach a resolver; they
//! are judged by [`AddressPolicy::check_url`]. Redirects and proxies are not handled here: the client
//! that uses the guard has both switched off.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Most addresses of one name that are tried: a name with thousands of addresses must not turn one
/// delivery into a scan.
const MAX_ADDRESSES: usize = 16;

/// Addresses at which clouds hand out credentials to whoever asks, in each its own range. They are
/// opened only by an entry that names exactly that address, never by a wider net or by a host name.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, GCP, Azure, OpenStack and others
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's host agent: a public address, never routed
];

/// The same for IPv6.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // AWS EKS pod identity
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // GCP
];

/// Why an address is not reached without being allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// This host: 127/8, ::1.
    Loopback,
    /// Private networks: RFC 1918, and 64:ff9b:1::/48 (RFC 8215).
    Private,
    /// The own link: 169.254/16, fe80::/10, and the old site-local fec0::/10.
    LinkLocal,
    /// fc00::/7.
    UniqueLocal,
    /// Carrier-grade NAT, 100.64/10.
    Shared,
    /// A cloud's metadata service.
    Metadata,
    /// 224/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// 0/8, ::.
    Unspecified,
    /// Documentation nets.
    Documentation,
    /// Benchmark nets.
    Benchmark,
    /// Whatever else is not handed out for hosts on the Internet.
    Reserved,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::UniqueLocal => "unique-local",
            Self::Shared => "carrier-grade NAT",
            Self::Metadata => "metadata-service",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unspecified => "unspecified",
            Self::Documentation => "documentation",
            Self::Benchmark => "benchmark",
            Self::Reserved => "reserved",
        })
    }
}

/// A destination that the policy does not permit. Find it in an error of a client with
/// [`Refused::in_chain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The address is of a class that must be allowed by name.
    #[error("{ip} is a {class} address")]
    Address {
        /// The address, as it would be connected to.
        ip: IpAddr,
        /// Why it is refused.
        class: Class,
    },
    /// The host is allowed, but on other ports.
    #[error("the host is not allowed on port {port}")]
    Port {
        /// The port of the URL.
        port: u16,
    },
    /// The URL is not `http` or `https`, or has no host.
    #[error("not an http or https URL with a host")]
    NotHttp,
}

impl Refused {
    /// The refusal behind `error`: itself or, as an HTTP client wraps what its resolver says, one of
    /// its sources.
    pub fn in_chain<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| error.source())
            .find_map(|error| error.downcast_ref::<Self>())
    }
}

/// An entry of an allow list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is not an address, a network (10.0.0.0/8) or a host name with an optional port")]
pub struct InvalidEntry {
    /// The entry as given.
    pub entry: String,
}

/// Which addresses may be connected to. By default those handed out to hosts on the Internet.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    nets: Vec<IpNet>,
    hosts: Vec<AllowedHost>,
    everything: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AllowedHost {
    name: String,
    port: Option<u16>,
}

impl AddressPolicy {
    /// The default policy and, on top of it, what `allow` names. An entry is one of
    /// - an address (`10.1.2.3`, `fd00::7`) or a network (`10.0.0.0/8`), on every port;
    /// - a host name (`receiver.internal`): whatever that name resolves to is permitted, except
    ///   link-local, multicast and unspecified addresses and metadata services;
    /// - a host name with a port (`localhost:8080`): the same, and the name is then refused on every
    ///   port that is not listed, even at a public address.
    ///
    /// A metadata service is opened only by an entry that is exactly its address.
    ///
    /// # Errors
    /// For the first entry that is none of these. Ports are not accepted behind addresses: the guard
    /// sees an address once its port is out of sight.
    pub fn allowing<S: AsRef<str>>(
        allow: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidEntry> {
        let mut policy = Self::default();
        for entry in allow {
            let entry = entry.as_ref().trim();
            if let Ok(net) = entry.parse::<IpNet>() {
                policy.nets.push(net.trunc());
            } else if let Ok(ip) = entry.parse::<IpAddr>() {
                policy.nets.push(IpNet::from(ip));
            } else {
                let host = allowed_host(entry);
                policy.hosts.push(host.ok_or_else(|| InvalidEntry {
                    entry: entry.to_owned(),
                })?);
            }
        }
        Ok(policy)
    }

    /// Permits every address. For destinations that the operator wrote into the configuration.
    pub fn unguarded() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// Whether `ip` may be connected to. An address that carries an IPv4 address (mapped, compatible,
    /// translated, 6to4, NAT64, Teredo, ISATAP) is judged as that one.
    ///
    /// # Errors
    /// [`Refused::Address`].
    pub fn permits(&self, ip: IpAddr) -> Result<(), Refused> {
        self.judge(ip, false)
    }

    /// Judges what can be judged of a URL before its name is resolved: scheme, port, and a host that
    /// is written as an address.
    ///
    /// # Errors
    /// [`Refused`], of any kind. `Ok` for a host name says nothing about its addresses.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::NotHttp);
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => self.permits(ip.into()),
            Some(Host::Ipv6(ip)) => self.permits(ip.into()),
            Some(Host::Domain(name)) => {
                let port = url.port_or_known_default().unwrap_or_default();
                let mut entries = self.entries(name).peekable();
                let bound = entries.peek().is_some();
                let open = entries.any(|entry| entry.port.is_none_or(|allowed| allowed == port));
                if bound && !open && !self.everything {
                    return Err(Refused::Port { port });
                }
                Ok(())
            }
            None => Err(Refused::NotHttp),
        }
    }

    fn entries<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a AllowedHost> {
        let name = normal(name);
        self.hosts.iter().filter(move |entry| entry.name == name)
    }

    /// `named`: the address is the answer for a host name on the list.
    fn judge(&self, ip: IpAddr, named: bool) -> Result<(), Refused> {
        if self.everything {
            return Ok(());
        }
        for inner in Embedded::of(ip) {
            let Some(class) = classify(inner) else {
                continue;
            };
            let narrow = class == Class::Metadata;
            let allowed = [ip, inner].iter().any(|ip| {
                self.nets.iter().any(|net| {
                    net.contains(ip) && (!narrow || net.prefix_len() == net.max_prefix_len())
                })
            });
            let by_name = named
                && matches!(
                    class,
                    Class::Loopback | Class::Private | Class::UniqueLocal | Class::Shared
                );
            if !allowed && !by_name {
                return Err(Refused::Address { ip, class });
            }
        }
        Ok(())
    }
}

/// Host names compare without case and without the dot of the root.
fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn allowed_host(entry: &str) -> Option<AllowedHost> {
    let (name, port) = match entry.split_once(':') {
        Some((name, port)) => (
            name,
            Some(port.parse::<u16>().ok().filter(|port| *port != 0)?),
        ),
        None => (entry, None),
    };
    // The parser of URLs decides what a host is; what it reads as an address is none.
    match Host::parse(name) {
        // A wildcard would be a legal name that never matches: better refused than without effect.
        Ok(Host::Domain(name)) if !name.is_empty() && !name.contains('*') => Some(AllowedHost {
            name: normal(&name),
            port,
        }),
        _ => None,
    }
}

/// The addresses that `ip` stands for: itself, or the IPv4 addresses inside it.
struct Embedded([Option<IpAddr>; 2], usize);

impl Embedded {
    fn of(ip: IpAddr) -> Self {
        let IpAddr::V6(v6) = ip else {
            return Self([Some(ip), None], 0);
        };
        let s = v6.segments();
        let at = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        };
        let last = at(s[6], s[7]);
        Self(
            match s {
                // ::ffff:a.b.c.d mapped, ::ffff:0:a.b.c.d translated (RFC 2765).
                [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [last, None],
                // ::a.b.c.d compatible (RFC 4291); :: and ::1 are addresses of their own.
                [0, 0, 0, 0, 0, 0, high, low] if (high, low) != (0, 0) && (high, low) != (0, 1) => {
                    [last, None]
                }
                // 64:ff9b::a.b.c.d, the well-known prefix of NAT64 (RFC 6052).
                [0x64, 0xff9b, 0, 0, 0, 0, ..] => [last, None],
                // 2002:a.b.c.d::/48, 6to4 (RFC 3056).
                [0x2002, high, low, ..] => [at(high, low), None],
                // 2001:0:server:flags:port:client, Teredo (RFC 4380); the client's bits are inverted.
                [0x2001, 0, high, low, ..] => [at(high, low), at(!s[6], !s[7])],
                // …:0:5efe:a.b.c.d, ISATAP (RFC 5214): inside any net, so the net is judged too.
                [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [Some(ip), last],
                _ => [Some(ip), None],
            },
            0,
        )
    }
}

impl Iterator for Embedded {
    type Item = IpAddr;

    fn next(&mut self) -> Option<IpAddr> {
        let next = self.0.get(self.1).copied().flatten();
        self.1 += 1;
        next
    }
}

/// Why an address is not one of a host on the Internet; `None` if it is. By the special-purpose
/// registries of IANA.
fn classify(ip: IpAddr) -> Option<Class> {
    match ip {
        IpAddr::V4(ip) => classify_v4(ip),
        IpAddr::V6(ip) => classify_v6(ip),
    }
}

fn classify_v4(ip: Ipv4Addr) -> Option<Class> {
    if METADATA_V4.contains(&ip) {
        return Some(Class::Metadata);
    }
    if ip == Ipv4Addr::BROADCAST {
        return Some(Class::Broadcast);
    }
    const NETS: [(Ipv4Net, Class); 15] = [
        (v4(0, 0, 0, 8), Class::Unspecified),
        (v4(10, 0, 0, 8), Class::Private),
        (v4(100, 64, 0, 10), Class::Shared),
        (v4(127, 0, 0, 8), Class::Loopback),
        (v4(169, 254, 0, 16), Class::LinkLocal),
        (v4(172, 16, 0, 12), Class::Private),
        (v4(192, 0, 0, 24), Class::Reserved),
        (v4(192, 0, 2, 24), Class::Documentation),
        (v4(192, 88, 99, 24), Class::Reserved),
        (v4(192, 168, 0, 16), Class::Private),
        (v4(198, 18, 0, 15), Class::Benchmark),
        (v4(198, 51, 100, 24), Class::Documentation),
        (v4(203, 0, 113, 24), Class::Documentation),
        (v4(224, 0, 0, 4), Class::Multicast),
        (v4(240, 0, 0, 4), Class::Reserved),
    ];
    NETS.iter()
        .find(|(net, _)| net.contains(&ip))
        .map(|(_, class)| *class)
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

fn classify_v6(ip: Ipv6Addr) -> Option<Class> {
    if METADATA_V6.contains(&ip) {
        return Some(Class::Metadata);
    }
    if ip == Ipv6Addr::LOCALHOST {
        return Some(Class::Loopback);
    }
    if ip == Ipv6Addr::UNSPECIFIED {
        return Some(Class::Unspecified);
    }
    // The longest prefixes first, where nets lie inside each other.
    const NETS: [(Ipv6Net, Class); 10] = [
        (v6(0x64, 0xff9b, 1, 48), Class::Private),
        (v6(0x2001, 2, 0, 48), Class::Benchmark),
        (v6(0x2001, 0xdb8, 0, 32), Class::Documentation),
        (v6(0x3fff, 0, 0, 20), Class::Documentation),
        // IETF protocol assignments: nothing in it is a host that takes webhooks. Teredo, which lies
        // inside, has been taken apart before.
        (v6(0x2001, 0, 0, 23), Class::Reserved),
        (v6(0xfc00, 0, 0, 7), Class::UniqueLocal),
        (v6(0xfe80, 0, 0, 10), Class::LinkLocal),
        (v6(0xfec0, 0, 0, 10), Class::LinkLocal),
        (v6(0xff00, 0, 0, 8), Class::Multicast),
        // All that is handed out so far; handled below as the exception.
        (v6(0x2000, 0, 0, 3), Class::Reserved),
    ];
    let (internet, special) = NETS.split_last()?;
    match special.iter().find(|(net, _)| net.contains(&ip)) {
        Some((_, class)) => Some(*class),
        None if internet.0.contains(&ip) => None,
        None => Some(Class::Reserved),
    }
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// A resolver for `reqwest` that hands out only addresses that the policy permits.
#[derive(Clone)]
pub struct GuardedResolver {
    policy: Arc<AddressPolicy>,
    inner: Arc<dyn Resolve>,
}

impl GuardedResolver {
    /// Filters the answers of the system's resolver.
    pub fn new(policy: Arc<AddressPolicy>) -> Self {
        Self::over(policy, Arc::new(SystemResolver))
    }

    /// Filters the answers of another resolver.
    pub fn over(policy: Arc<AddressPolicy>, inner: Arc<dyn Resolve>) -> Self {
        Self { policy, inner }
    }
}

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedResolver")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        let named = policy.entries(name.as_str()).next().is_some();
        let answer = self.inner.resolve(name);
        Box::pin(async move {
            let mut refused = None;
            let mut permitted = Vec::new();
            for address in answer.await?.take(MAX_ADDRESSES) {
                match policy.judge(address.ip(), named) {
                    Ok(()) => permitted.push(address),
                    Err(reason) => refused = refused.or(Some(reason)),
                }
            }
            match refused {
                Some(reason) if permitted.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(permitted.into_iter()) as Addrs),
            }
        })
    }
}

/// The system's resolver, on the blocking pool. The client's connect timeout bounds it.
#[derive(Debug, Clone, Copy)]
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
pub(crate) mod tests;
