//! Tests of push configs and signatures; whole requests are tested with the dispatcher.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::sign::signatures;
use super::*;
use crate::a2a::{AuthenticationInfo, PushConfig};
use crate::net::guard::{AddressPolicy, Refused};
use crate::store::{DeliveryId, DeliveryState};

fn to(url: &str) -> PushConfig {
    PushConfig {
        url: url.to_owned(),
        ..PushConfig::default()
    }
}

fn authenticated(scheme: &str, credentials: &str) -> PushConfig {
    PushConfig {
        authentication: Some(AuthenticationInfo {
            schemes: vec![scheme.to_owned()],
            credentials: Some(credentials.to_owned()),
            ..AuthenticationInfo::default()
        }),
        ..to("https://receiver.example/")
    }
}

fn token(token: &str) -> PushConfig {
    PushConfig {
        token: Some(token.to_owned()),
        ..to("https://receiver.example/")
    }
}

fn check(config: &PushConfig) -> Result<(), InvalidConfig> {
    validate(config, &AddressPolicy::default())
}

#[test]
fn addresses_that_can_be_posted_to_are_accepted() {
    for url in [
        "https://receiver.example/hook?x=1#part",
        "http://receiver.example:8080",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://bücher.example/",
    ] {
        assert_eq!(check(&to(url)), Ok(()), "{url}");
    }
}

#[test]
fn addresses_that_cannot_be_posted_to_are_refused() {
    for url in [
        "",
        "/hook",
        "receiver.example/hook",
        "ftp://receiver.example/",
        "file:///etc/passwd",
        "http://",
        "javascript:x",
        "http://[::1",
    ] {
        assert_eq!(check(&to(url)), Err(InvalidConfig::Url), "{url}");
    }
    for url in [
        "http://user@receiver.example/",
        "http://user:word@receiver.example/",
        "http://:word@receiver.example/",
    ] {
        assert_eq!(check(&to(url)), Err(InvalidConfig::UserInfo), "{url}");
    }
    let long = format!("https://receiver.example/{}", "x".repeat(5000));
    assert!(matches!(
        check(&to(&long)),
        Err(InvalidConfig::TooLong { what: "URL", .. })
    ));
}

#[test]
fn addresses_that_the_operator_does_not_allow_are_refused() {
    for url in [
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://[::1]/",
        "http://169.254.169.254/",
        "http://0x7f.1/",
        "http://[::ffff:10.0.0.1]/",
    ] {
        assert!(
            matches!(
                check(&to(url)),
                Err(InvalidConfig::Refused(Refused::Address { .. }))
            ),
            "{url}"
        );
        assert_eq!(
            validate(&to(url), &AddressPolicy::unguarded()),
            Ok(()),
            "{url}"
        );
    }
}

#[test]
fn line_breaks_cannot_smuggle_in_a_header() {
    for bad in ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\x7fb"] {
        assert_eq!(
            check(&token(bad)),
            Err(InvalidConfig::Header { what: "token" }),
            "{bad:?}"
        );
        assert_eq!(
            check(&authenticated("Bearer", bad)),
            Err(InvalidConfig::Header {
                what: "credentials"
            }),
            "{bad:?}"
        );
        let scheme = Err(InvalidConfig::Header {
            what: "authentication scheme",
        });
        assert_eq!(check(&authenticated(bad, "x")), scheme, "{bad:?}");
    }
    let long = "x".repeat(9000);
    assert!(matches!(
        check(&token(&long)),
        Err(InvalidConfig::TooLong { what: "token", .. })
    ));
    assert!(matches!(
        check(&authenticated("Bearer", &long)),
        Err(InvalidConfig::TooLong {
            what: "credentials",
            ..
        })
    ));
}

#[test]
fn no_message_shows_a_value_of_the_config() {
    for config in [
        to("http://user:s3cret@receiver.example/"),
        to("s3cret"),
        token("s3cret\n"),
        authenticated("Bearer", "s3cret\n"),
        authenticated("s3cret\n", "x"),
    ] {
        let error = check(&config).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[test]
fn the_first_scheme_and_the_credentials_make_the_header() {
    let mut config = authenticated("Basic", "dTpw");
    config
        .authentication
        .as_mut()
        .unwrap()
        .schemes
        .push("Bearer".to_owned());
    let headers = Target::of(&config).unwrap().headers;
    let value = &headers[http::header::AUTHORIZATION];
    assert_eq!(value, "Basic dTpw");
    assert!(value.is_sensitive());
    for config in [
        authenticated("", "x"),
        authenticated("Bearer", ""),
        token(""),
    ] {
        assert!(Target::of(&config).unwrap().headers.is_empty());
    }
}

/// The example of the Standard Webhooks libraries.
#[test]
fn the_signature_is_that_of_the_published_example() {
    let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(
        signatures(std::slice::from_ref(&key), id, "1614265330", body),
        expected
    );
    let both = signatures(&[key.clone(), key], id, "1614265330", body);
    assert_eq!(both, format!("{expected} {expected}"));
}

#[test]
fn signing_keys_are_checked_and_not_shown() {
    assert!(SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").is_ok());
    // Without its padding.
    assert!(SigningKey::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").is_ok());
    assert_eq!(
        SigningKey::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap_err(),
        InvalidKey::Prefix
    );
    assert_eq!(
        SigningKey::parse("whsec_?").unwrap_err(),
        InvalidKey::Base64
    );
    assert_eq!(
        SigningKey::parse("whsec_AAAA").unwrap_err(),
        InvalidKey::Length { bytes: 3 }
    );
    let long = format!("whsec_{}", "AAAA".repeat(22));
    assert_eq!(
        SigningKey::parse(&long).unwrap_err(),
        InvalidKey::Length { bytes: 66 }
    );
    let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey");
}

fn delivery(task: &str, seq: u64, kind: DeliveryKind) -> Delivery {
    Delivery {
        id: DeliveryId(1),
        key: TaskKey {
            route: "r".into(),
            tenant: "".into(),
            id: task.into(),
        },
        config_id: "a".to_owned(),
        seq: Seq(seq),
        kind,
        state: DeliveryState::Pending,
        attempts: 0,
        next_attempt_at: 0,
        claimed_until: 0,
        last_outcome: None,
        created_at: 0,
    }
}

proptest! {
    // The same cases on every run; PROPTEST_RNG_SEED and PROPTEST_CASES search wider.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_id_is_stable_safe_and_its_own(epoch: u64, task in ".*", seq: u64) {
        let id = message_id(epoch, &delivery(&task, seq, DeliveryKind::Event));
        prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{id}");
        let mut again = delivery(&task, seq, DeliveryKind::Event);
        again.attempts = 7;
        again.id = DeliveryId(2);
        prop_assert_eq!(&id, &message_id(epoch, &again));
        let others = [
            message_id(epoch.wrapping_add(1), &delivery(&task, seq, DeliveryKind::Event)),
            message_id(epoch, &delivery(&task, seq.wrapping_add(1), DeliveryKind::Event)),
            message_id(epoch, &delivery(&task, seq, DeliveryKind::Snapshot)),
            message_id(epoch, &delivery(&format!("{task}x"), seq, DeliveryKind::Event)),
        ];
        prop_assert!(!others.contains(&id));
    }

    #[test]
    fn no_config_panics(url in ".*", token in ".*", scheme in ".*", credentials in ".*") {
        let config = PushConfig { url, token: Some(token), ..authenticated(&scheme, &credentials) };
        let _ = check(&config);
    }
}
