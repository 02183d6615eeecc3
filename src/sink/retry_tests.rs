//! Tests of the schedule of retries.

use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::net::guard::Class;

fn policy() -> DeliveryPolicy {
    DeliveryPolicy {
        retry_first: Duration::from_secs(1),
        retry_max: Duration::from_secs(60),
        retry_jitter: 0.0,
        give_up_after: Duration::from_secs(3600),
        retry_after_max: Duration::from_secs(600),
        ..DeliveryPolicy::default()
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn status(code: u16) -> AttemptResult {
    AttemptResult::Answered {
        status: StatusCode::from_u16(code).unwrap(),
        retry_after: None,
    }
}

fn asking(code: u16, seconds: u64) -> AttemptResult {
    AttemptResult::Answered {
        status: StatusCode::from_u16(code).unwrap(),
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

fn wait_ms(policy: &DeliveryPolicy, attempts: u32, result: &AttemptResult) -> Millis {
    match next(policy, attempts, 0, 0, result, &mut rng()) {
        AttemptOutcome::Retry { at } => at,
        other => panic!("expected a retry, got {other:?}"),
    }
}

#[test]
fn only_a_2xx_delivers() {
    for code in 200..300 {
        let outcome = next(&policy(), 0, 0, 0, &status(code), &mut rng());
        assert_eq!(outcome, AttemptOutcome::Delivered, "{code}");
    }
    for code in [
        301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 409, 422, 429, 500, 502, 503, 504,
    ] {
        let outcome = next(&policy(), 0, 0, 0, &status(code), &mut rng());
        assert_eq!(outcome, AttemptOutcome::Retry { at: 1000 }, "{code}");
    }
}

#[test]
fn a_2xx_delivers_even_after_the_time_is_over() {
    let outcome = next(&policy(), 9, 0, 1 << 40, &status(204), &mut rng());
    assert_eq!(outcome, AttemptOutcome::Delivered);
}

#[test]
fn what_cannot_change_is_dead_at_once() {
    let refused = AttemptResult::Refused(Refused::Address {
        ip: "10.0.0.1".parse().unwrap(),
        class: Class::Private,
    });
    for result in [
        status(410),
        asking(410, 5),
        refused,
        AttemptResult::Unprepared(Unprepared::Config),
        AttemptResult::Unprepared(Unprepared::Gone),
    ] {
        let outcome = next(&policy(), 0, 0, 0, &result, &mut rng());
        assert_eq!(outcome, AttemptOutcome::Dead, "{result:?}");
    }
    for result in [
        AttemptResult::Connect,
        AttemptResult::TimedOut,
        AttemptResult::Broken,
        AttemptResult::Unprepared(Unprepared::Unseal),
        AttemptResult::Unprepared(Unprepared::Encode),
    ] {
        assert_eq!(wait_ms(&policy(), 0, &result), 1000, "{result:?}");
    }
}

#[test]
fn waits_double_up_to_the_longest() {
    let waits: Vec<_> = (0..9)
        .map(|attempts| wait_ms(&policy(), attempts, &status(500)))
        .collect();
    assert_eq!(
        waits,
        [
            1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000
        ]
    );
    assert_eq!(wait_ms(&policy(), u32::MAX, &status(500)), 60_000);
}

#[test]
fn the_last_attempt_falls_on_the_end_of_the_time_and_then_it_is_dead() {
    let policy = policy();
    let due = 10_000;
    let end = due + 3_600_000;
    let late = next(&policy, 20, due, end - 5_000, &status(500), &mut rng());
    assert_eq!(late, AttemptOutcome::Retry { at: end });
    let over = next(&policy, 21, due, end, &status(500), &mut rng());
    assert_eq!(over, AttemptOutcome::Dead);
    let asked = next(&policy, 20, due, end - 5_000, &asking(503, 60), &mut rng());
    assert_eq!(asked, AttemptOutcome::Retry { at: end });
}

#[test]
fn retry_after_is_honoured_on_every_failure_and_capped() {
    for code in [302, 404, 429, 500, 503] {
        assert_eq!(wait_ms(&policy(), 0, &asking(code, 120)), 120_000, "{code}");
        // It may also be shorter than the backoff would be.
        assert_eq!(wait_ms(&policy(), 6, &asking(code, 5)), 5_000, "{code}");
        assert_eq!(
            wait_ms(&policy(), 0, &asking(code, 86_400)),
            600_000,
            "{code}"
        );
        assert_eq!(wait_ms(&policy(), 6, &asking(code, 0)), 1_000, "{code}");
        assert_eq!(
            wait_ms(&policy(), 0, &asking(code, u64::MAX)),
            600_000,
            "{code}"
        );
    }
}

#[test]
fn retry_after_reads_seconds_and_dates() {
    let read = |value| retry_after(value, 784_111_777_000);
    assert_eq!(read("120"), Some(Duration::from_secs(120)));
    assert_eq!(read(" 0 "), Some(Duration::ZERO));
    assert_eq!(
        read("Sun, 06 Nov 1994 08:49:47 GMT"),
        Some(Duration::from_secs(10))
    );
    assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
    assert_eq!(
        read("99999999999999999999999"),
        Some(Duration::from_secs(u64::MAX))
    );
    for value in ["", "soon", "-5", "1.5", "+3", "10 s"] {
        assert_eq!(read(value), None, "{value}");
    }
}

proptest! {
    // The same cases on every run; PROPTEST_RNG_SEED and PROPTEST_CASES search wider.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_wait_is_within_its_bounds(
        seed: u64,
        attempts in 0u32..40,
        jitter in 0.0f64..=1.0,
        asked in proptest::option::of(0u64..100_000),
    ) {
        let policy = DeliveryPolicy { retry_jitter: jitter, give_up_after: Duration::from_secs(1 << 30), ..policy() };
        let mut rng = StdRng::seed_from_u64(seed);
        let result = match asked {
            Some(seconds) => asking(503, seconds),
            None => status(503),
        };
        let AttemptOutcome::Retry { at } = next(&policy, attempts, 0, 0, &result, &mut rng) else {
            return Err(TestCaseError::fail("expected a retry"));
        };
        match asked {
            Some(seconds) => {
                let asked = (seconds * 1000).clamp(1000, 600_000) as Millis;
                prop_assert!(at >= asked && at <= 600_000, "{at}");
            }
            None => {
                let base = (1000.0 * 2f64.powi(attempts as i32)).min(60_000.0);
                prop_assert!(at <= 60_000, "{at}");
                prop_assert!(at as f64 + 1.0 >= base * (1.0 - jitter), "{at}");
            }
        }
    }

    #[test]
    fn retry_after_never_panics(value in ".*", now: i64) {
        let _ = retry_after(&value, now);
    }
}

#[test]
fn jitter_spreads_the_waits_also_at_the_longest() {
    let policy = DeliveryPolicy {
        retry_jitter: 0.2,
        ..policy()
    };
    let mut rng = rng();
    let mut waits: Vec<_> = (0..100)
        .map(|_| match next(&policy, 10, 0, 0, &status(500), &mut rng) {
            AttemptOutcome::Retry { at } => at,
            other => panic!("{other:?}"),
        })
        .collect();
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 80, "{} different waits", waits.len());
}
