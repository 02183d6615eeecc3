//! Tests of the address guard.

use std::sync::Mutex;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn class_of(text: &str) -> Option<Class> {
    match AddressPolicy::default().permits(ip(text)) {
        Ok(()) => None,
        Err(Refused::Address { ip: refused, class }) => {
            assert_eq!(refused, ip(text), "the address as connected to is named");
            Some(class)
        }
        Err(other) => panic!("{other}"),
    }
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

#[test]
fn hosts_on_the_internet_are_permitted() {
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ] {
        assert_eq!(class_of(text), None, "{text}");
    }
}

#[test]
fn every_other_address_is_refused_with_its_class() {
    use Class::*;
    for (text, class) in [
        ("127.0.0.1", Loopback),
        ("127.255.255.254", Loopback),
        ("::1", Loopback),
        ("10.0.0.1", Private),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("192.168.1.1", Private),
        ("64:ff9b:1::1", Private),
        ("169.254.1.1", LinkLocal),
        ("fe80::1", LinkLocal),
        ("febf::1", LinkLocal),
        ("fec0::1", LinkLocal),
        ("fc00::1", UniqueLocal),
        ("fdff::1", UniqueLocal),
        ("100.64.0.1", Shared),
        ("100.127.255.255", Shared),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("100.100.100.200", Metadata),
        ("192.0.0.192", Metadata),
        ("168.63.129.16", Metadata),
        ("fd00:ec2::254", Metadata),
        ("fd20:ce::254", Metadata),
        ("224.0.0.1", Multicast),
        ("239.255.255.255", Multicast),
        ("ff02::1", Multicast),
        ("255.255.255.255", Broadcast),
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("::", Unspecified),
        ("192.0.2.1", Documentation),
        ("198.51.100.1", Documentation),
        ("203.0.113.1", Documentation),
        ("2001:db8::1", Documentation),
        ("3fff::1", Documentation),
        ("198.18.0.1", Benchmark),
        ("198.19.255.255", Benchmark),
        ("2001:2::1", Benchmark),
        ("192.0.0.1", Reserved),
        ("192.88.99.1", Reserved),
        ("240.0.0.1", Reserved),
        ("2001:20::1", Reserved),
        ("100::1", Reserved),
        ("4000::1", Reserved),
        ("5f00::1", Reserved),
    ] {
        assert_eq!(class_of(text), Some(class), "{text}");
    }
}

#[test]
fn an_address_inside_an_address_is_judged() {
    use Class::*;
    for (text, class) in [
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:169.254.169.254", Metadata),
        ("::ffff:0:10.0.0.1", Private),
        ("::10.0.0.1", Private),
        ("::2", Unspecified),
        ("64:ff9b::192.168.0.1", Private),
        ("2002:7f00:1::", Loopback),
        ("2002:a9fe:a9fe::1", Metadata),
        // Teredo: the server in the clear, the client inverted.
        ("2001:0:a00:1::f7f7:f7f7", Private),
        ("2001:0:808:808:0:0:80ff:fffe", Loopback),
        // ISATAP under a public net and under a link-local one.
        ("2606:4700::5efe:10.0.0.1", Private),
        ("2606:4700::200:5efe:127.0.0.1", Loopback),
        ("fe80::5efe:8.8.8.8", LinkLocal),
    ] {
        assert_eq!(class_of(text), Some(class), "{text}");
    }
    assert_eq!(class_of("2001:0:808:808:0:0:f7f7:f7f7"), None);
}

#[test]
fn allowed_nets_open_what_they_name_and_no_more() {
    let policy = AddressPolicy::allowing(["10.0.0.0/8", "127.0.0.1", "fd00::/8"]).unwrap();
    for text in [
        "10.9.8.7",
        "127.0.0.1",
        "fd12::1",
        "::ffff:10.1.1.1",
        "64:ff9b::10.1.1.1",
        "8.8.8.8",
    ] {
        assert_eq!(policy.permits(ip(text)), Ok(()), "{text}");
    }
    for text in ["192.168.0.1", "127.0.0.2", "fc00::1", "::1"] {
        assert!(policy.permits(ip(text)).is_err(), "{text}");
    }
}

#[test]
fn a_metadata_service_is_opened_by_its_exact_address_only() {
    let wide = AddressPolicy::allowing(["0.0.0.0/0", "::/0", "169.254.0.0/16"]).unwrap();
    assert_eq!(wide.permits(ip("169.254.1.1")), Ok(()));
    for text in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "168.63.129.16",
    ] {
        assert!(matches!(
            wide.permits(ip(text)),
            Err(Refused::Address {
                class: Class::Metadata,
                ..
            })
        ));
    }
    let exact = AddressPolicy::allowing(["169.254.169.254", "fd00:ec2::254/128"]).unwrap();
    assert_eq!(exact.permits(ip("169.254.169.254")), Ok(()));
    assert_eq!(exact.permits(ip("fd00:ec2::254")), Ok(()));
    assert!(exact.permits(ip("fd00:ec2::23")).is_err());
}

#[test]
fn entries_that_mean_nothing_are_refused() {
    for entry in [
        "",
        " ",
        "10.0.0.0/33",
        "10.0.0",
        "127.1",
        "127.0.0.1:80",
        "[::1]:80",
        "::1:x",
        "host:",
        "host:0",
        "host:99999",
        "a/b",
        "http://a",
        "*.example.com",
        "a b",
    ] {
        let error = AddressPolicy::allowing(["10.0.0.0/8", entry]).unwrap_err();
        assert_eq!(error.entry, entry.trim());
    }
    for entry in [
        "10.0.0.0/8",
        "fd00::/8",
        "::1",
        "localhost",
        "Host.Internal.:8080",
        " spaced ",
    ] {
        assert!(AddressPolicy::allowing([entry]).is_ok(), "{entry}");
    }
}

#[test]
fn urls_are_judged_as_far_as_they_can_be() {
    let policy = AddressPolicy::allowing(["localhost:8080", "inner", "10.0.0.1"]).unwrap();
    for good in [
        "http://example.com/",
        "https://8.8.8.8:444/",
        "http://localhost:8080/",
        "http://LOCALHOST.:8080/",
        "http://inner:99/",
        "http://10.0.0.1/",
    ] {
        assert_eq!(policy.check_url(&url(good)), Ok(()), "{good}");
    }
    assert_eq!(
        policy.check_url(&url("http://localhost/")),
        Err(Refused::Port { port: 80 })
    );
    assert_eq!(
        policy.check_url(&url("https://localhost/")),
        Err(Refused::Port { port: 443 })
    );
    for bad in [
        "file:///etc/passwd",
        "ftp://example.com/",
        "unix:/run/x",
        "data:,x",
    ] {
        assert_eq!(policy.check_url(&url(bad)), Err(Refused::NotHttp), "{bad}");
    }
    // Every way to write an address that the parser of URLs knows.
    for bad in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://user@127.0.0.1/",
        "http://１２７.0.0.1/",
    ] {
        assert!(
            matches!(
                policy.check_url(&url(bad)),
                Err(Refused::Address {
                    class: Class::Loopback,
                    ..
                })
            ),
            "{bad}"
        );
    }
}

#[test]
fn unguarded_means_all() {
    let policy = AddressPolicy::unguarded();
    assert_eq!(policy.permits(ip("169.254.169.254")), Ok(()));
    assert_eq!(policy.check_url(&url("http://127.0.0.1:1/")), Ok(()));
}

/// A resolver that gives one prepared answer after the other.
pub(crate) struct Scripted(Mutex<Vec<Vec<SocketAddr>>>);

impl Scripted {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let socket = |text: &&str| SocketAddr::new(ip(text), 0);
        let answers = answers
            .iter()
            .rev()
            .map(|answer| answer.iter().map(socket).collect());
        Arc::new(Self(Mutex::new(answers.collect())))
    }
}

impl Resolve for Scripted {
    fn resolve(&self, _: Name) -> Resolving {
        let answer = self
            .0
            .lock()
            .unwrap()
            .pop()
            .expect("one more lookup than was prepared");
        Box::pin(std::future::ready(
            Ok(Box::new(answer.into_iter()) as Addrs),
        ))
    }
}

async fn lookup(resolver: &GuardedResolver, name: &str) -> Result<Vec<IpAddr>, Option<Refused>> {
    match resolver.resolve(name.parse().unwrap()).await {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        Err(error) => Err(Refused::in_chain(error.as_ref()).cloned()),
    }
}

#[tokio::test]
async fn every_answer_is_filtered_anew() {
    let answers = Scripted::new(&[&["8.8.8.8"], &["127.0.0.1"], &["10.0.0.1", "8.8.4.4"], &[]]);
    let resolver = GuardedResolver::over(Arc::default(), answers);
    assert_eq!(lookup(&resolver, "a.test").await, Ok(vec![ip("8.8.8.8")]));
    let refused = Refused::Address {
        ip: ip("127.0.0.1"),
        class: Class::Loopback,
    };
    assert_eq!(lookup(&resolver, "a.test").await, Err(Some(refused)));
    assert_eq!(lookup(&resolver, "a.test").await, Ok(vec![ip("8.8.4.4")]));
    assert_eq!(lookup(&resolver, "a.test").await, Ok(vec![]));
}

#[tokio::test]
async fn an_allowed_name_may_be_inside_but_not_at_the_metadata_service() {
    let policy = Arc::new(AddressPolicy::allowing(["inner.test:80"]).unwrap());
    let all: &[&str] = &[
        "10.0.0.1",
        "127.0.0.1",
        "fd00::1",
        "100.64.0.1",
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "224.0.0.1",
    ];
    let resolver = GuardedResolver::over(policy, Scripted::new(&[all, all]));
    let inside = ["10.0.0.1", "127.0.0.1", "fd00::1", "100.64.0.1"]
        .map(ip)
        .to_vec();
    assert_eq!(lookup(&resolver, "INNER.test.").await, Ok(inside));
    assert!(lookup(&resolver, "other.test").await.is_err());
}

#[tokio::test]
async fn a_name_with_very_many_addresses_is_cut() {
    let many: Vec<String> = (0..100).map(|n| format!("8.8.8.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let resolver = GuardedResolver::over(Arc::default(), Scripted::new(&[&many]));
    assert_eq!(
        lookup(&resolver, "a.test").await.unwrap().len(),
        MAX_ADDRESSES
    );
}

#[tokio::test]
async fn the_systems_resolver_is_filtered_too() {
    let resolver = GuardedResolver::new(Arc::default());
    let refused = lookup(&resolver, "localhost").await.unwrap_err().unwrap();
    assert!(matches!(
        refused,
        Refused::Address {
            class: Class::Loopback,
            ..
        }
    ));
}

proptest! {
    // The same cases on every run; PROPTEST_RNG_SEED and PROPTEST_CASES search wider.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_ipv4_address_is_judged_alike_in_every_dress(bits: u32) {
        let plain = Ipv4Addr::from(bits);
        // These two are addresses of their own as `::` and `::1`.
        prop_assume!(bits > 1);
        let policy = AddressPolicy::default();
        let [a, b, c, d] = plain.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        let expected = policy.permits(plain.into()).is_ok();
        for dress in [
            plain.to_ipv6_mapped(),
            plain.to_ipv6_compatible(),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2606, 0, 0, 0, 0, 0x5efe, high, low),
            Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
        ] {
            prop_assert_eq!(policy.permits(dress.into()).is_ok(), expected, "{}", dress);
        }
    }
}
