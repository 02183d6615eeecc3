//! Tests of the event-stream parser, encoder and boundary tracker.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

fn parse_split(input: &[u8], size: usize, limits: SseLimits) -> Result<Vec<SseEvent>, SseError> {
    let mut parser = SseParser::new(limits);
    let mut events = Vec::new();
    for chunk in input.chunks(size.max(1)) {
        parser.push(chunk);
        while let Some(event) = parser.next_event()? {
            events.push(event);
        }
    }
    Ok(events)
}

fn parse(input: &str) -> Vec<SseEvent> {
    let whole = parse_split(input.as_bytes(), input.len(), SseLimits::default()).unwrap();
    for size in [1, 2, 3, 7] {
        let split = parse_split(input.as_bytes(), size, SseLimits::default()).unwrap();
        assert_eq!(split, whole, "in pieces of {size}");
    }
    whole
}

fn data(input: &str) -> Vec<String> {
    parse(input)
        .iter()
        .map(|event| event.text().into_owned())
        .collect()
}

#[test]
fn the_examples_of_the_standard() {
    assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    let events = parse(
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
    );
    let seen: Vec<_> = events
        .iter()
        .map(|e| (e.text().into_owned(), e.id.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            ("first event".into(), Some("1".into())),
            ("second event".into(), Some(String::new())),
            (" third event".into(), None),
        ]
    );
    // The last block has no blank line behind it and is discarded.
    assert_eq!(data("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
    assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn every_line_end_ends_a_line() {
    for end in ["\n", "\r", "\r\n"] {
        let input = format!("event: a{end}data: 1{end}data: 2{end}{end}data: 3{end}{end}");
        let events = parse(&input);
        assert_eq!(events.len(), 2, "{end:?}");
        assert_eq!(events[0].event.as_deref(), Some("a"));
        assert_eq!(events[0].text(), "1\n2");
        assert_eq!(
            (events[1].event.as_deref(), &*events[1].text()),
            (None, "3")
        );
    }
    assert_eq!(
        data("data: 1\r\n\rdata: 2\n\r\ndata: 3\r\r"),
        ["1", "2", "3"]
    );
}

#[test]
fn an_event_ended_by_cr_comes_without_waiting_for_a_lf() {
    let mut parser = SseParser::new(SseLimits::default());
    parser.push("data: 1\r\n\r");
    assert_eq!(parser.next_event().unwrap().unwrap().text(), "1");
    parser.push("\ndata: 2\n\n");
    assert_eq!(parser.next_event().unwrap().unwrap().text(), "2");
    assert_eq!(parser.next_event().unwrap(), None);
}

#[test]
fn one_byte_order_mark_is_dropped_at_the_start_only() {
    assert_eq!(data("\u{feff}data: 1\n\n"), ["1"]);
    assert_eq!(data("\u{feff}\u{feff}data: 1\n\n"), [""; 0]);
    assert_eq!(data("data: 1\n\n\u{feff}data: 2\n\n"), ["1"]);
    assert_eq!(data("\u{feff}\ndata: 1\n\n"), ["1"]);
}

#[test]
fn fields_without_meaning_are_ignored() {
    assert_eq!(
        data("foo: x\nDATA: y\ndataset: z\n data: w\ndata: 1\n\n"),
        ["1"]
    );
    assert_eq!(data("event: lonely\nid: 4\n\ndata: 1\n\n"), ["1"]);
    assert_eq!(parse("event: lonely\n\ndata: 1\n\n")[0].event, None);
    assert_eq!(parse("event: a\nevent:\ndata: 1\n\n")[0].event, None);
}

#[test]
fn an_id_with_nul_is_ignored_and_the_last_id_outlives_its_frame() {
    let mut parser = SseParser::new(SseLimits::default());
    parser.push("id: 7\ndata: 1\n\nid: 8\0\ndata: 2\n\n");
    assert_eq!(
        parser.next_event().unwrap().unwrap().id.as_deref(),
        Some("7")
    );
    assert_eq!(parser.next_event().unwrap().unwrap().id, None);
    assert_eq!(parser.last_event_id(), "7");
    // A frame without data dispatches nothing, but its id counts, as the standard says.
    parser.push("id: 9\n\n");
    assert_eq!(parser.next_event().unwrap(), None);
    assert_eq!(parser.last_event_id(), "9");
    // An unfinished frame changes nothing.
    parser.push("id: 10\n");
    assert_eq!(parser.next_event().unwrap(), None);
    assert_eq!(parser.last_event_id(), "9");
}

#[test]
fn retry_takes_digits_only() {
    let mut parser = SseParser::new(SseLimits::default());
    parser
        .push("retry: 10\nretry: 1x\nretry: -3\nretry:\nretry: 99999999999999999999\ndata: 1\n\n");
    assert_eq!(parser.next_event().unwrap().unwrap().retry, Some(10));
    assert_eq!(parser.retry(), Some(10));
    parser.push("data: 2\n\n");
    assert_eq!(parser.next_event().unwrap().unwrap().retry, None);
}

#[test]
fn comments_are_counted_and_dispatch_nothing() {
    let mut parser = SseParser::new(SseLimits::default());
    parser.push(&KEEP_ALIVE);
    parser.push(":\n\n: x\ndata: 1\n:y\n\n");
    assert_eq!(parser.next_event().unwrap().unwrap().text(), "1");
    assert_eq!(parser.next_event().unwrap(), None);
    assert_eq!(parser.comments_seen(), 4);
}

#[test]
fn bad_utf8_is_replaced() {
    let events = parse_split(
        b"event: \xff\ndata: a\xc3\nid: \xe2\x82\n\n",
        1,
        SseLimits::default(),
    );
    let event = events.unwrap().remove(0);
    assert_eq!(&event.data[..], "a\u{fffd}".as_bytes());
    assert_eq!(
        (event.event.as_deref(), event.id.as_deref()),
        (Some("\u{fffd}"), Some("\u{fffd}"))
    );
}

#[test]
fn an_unfinished_event_is_discarded_and_said_so() {
    for (input, cut) in [
        ("", false),
        ("data: 1\n\n", false),
        ("data: 1\n\n: x\n", false),
        ("data: 1\n", true),
        ("dat", true),
        ("data\n", true),
    ] {
        let mut parser = SseParser::new(SseLimits::default());
        parser.push(input);
        while parser.next_event().unwrap().is_some() {}
        assert_eq!(parser.finish(), cut, "{input:?}");
        assert_eq!(parser.next_event().unwrap(), None);
    }
}

#[test]
fn limits_hold_at_the_byte_and_the_error_stays() {
    let limits = SseLimits {
        max_line_bytes: 10,
        max_event_bytes: 15,
    };
    for size in [1, 4, 100] {
        let run = |input: &str| parse_split(input.as_bytes(), size, limits);
        assert_eq!(run("data: 1234\n\n").unwrap().len(), 1);
        assert_eq!(
            run("data: 12345\n\n"),
            Err(SseError::LineTooLong { limit: 10 })
        );
        assert_eq!(run(": 123456789"), Err(SseError::LineTooLong { limit: 10 }));
        // Four, a break, five, a break, four: fifteen bytes.
        assert_eq!(
            run("data:1234\ndata:12345\ndata:1234\n\n").unwrap().len(),
            1
        );
        assert_eq!(
            run("data:1234\ndata:12345\ndata:12345\n\n"),
            Err(SseError::EventTooLarge { limit: 15 })
        );
        assert_eq!(
            run("data:12345\nevent:1234\ndata:12345\ndata:\n\n"),
            Err(SseError::EventTooLarge { limit: 15 })
        );
        // Events and comments do not add up.
        assert_eq!(
            run(&"data:12345\n\n: 1234567\n".repeat(50)).unwrap().len(),
            50
        );
    }
    let mut parser = SseParser::new(limits);
    parser.push("data: 12345\n\n");
    assert!(parser.next_event().is_err());
    parser.push("\n\ndata: 1\n\n");
    assert_eq!(
        parser.next_event(),
        Err(SseError::LineTooLong { limit: 10 })
    );
}

#[test]
fn no_byte_is_scanned_twice_while_a_line_grows() {
    let mut parser = SseParser::new(SseLimits::default());
    parser.push("data: ");
    for n in 0..200_000usize {
        parser.push("x");
        assert_eq!(parser.next_event().unwrap(), None);
        assert_eq!(parser.scanned, n + "data: x".len());
    }
    parser.push("\n\n");
    assert_eq!(parser.next_event().unwrap().unwrap().data.len(), 200_000);
}

#[test]
fn frames_are_written_as_the_standard_reads_them() {
    assert_eq!(encode(None, None, "{}").unwrap(), "data: {}\n\n");
    assert_eq!(
        encode(Some("3"), Some("update"), "a\nb\r\nc\rd").unwrap(),
        "id: 3\nevent: update\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
    );
    assert_eq!(encode(Some(""), None, "").unwrap(), "id: \ndata: \n\n");
}

#[test]
fn a_field_that_would_break_the_frame_is_refused() {
    for bad in ["a\nb", "a\r", "\0"] {
        assert_eq!(encode(Some(bad), None, ""), Err(SseError::IdNotEncodable));
        assert_eq!(
            encode(None, Some(bad), ""),
            Err(SseError::EventNotEncodable)
        );
    }
}

#[test]
fn a_boundary_is_behind_a_blank_line() {
    for (input, at) in [
        ("", true),
        ("data: 1", false),
        ("data: 1\n", false),
        ("data: 1\r\n", false),
        ("data: 1\r", false),
        ("data: 1\n\n", true),
        ("data: 1\r\r", true),
        ("data: 1\r\n\r\n", true),
        ("data: 1\r\n\r", true),
        ("data: 1\n\r\n", true),
        ("data: 1\n\ndata: 2\n", false),
        ("data: 1\n\n\n\n", true),
        ("\n", true),
        (": x\n\n", true),
    ] {
        for size in [1, 2, 3, 100] {
            let mut boundary = FrameBoundary::new();
            for chunk in input.as_bytes().chunks(size) {
                boundary.feed(chunk);
                boundary.feed(b"");
            }
            assert_eq!(boundary.at_boundary(), at, "{input:?} in pieces of {size}");
        }
    }
}

fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    let piece = prop::sample::select(vec![
        "data", "data:", "data: ", "id", "id: ", "event: ", "retry: ", ":", "x", "é", "1", "\n",
        "\n\n", "\r", "\r\n", "\r\n\r\n", "\u{feff}", "\0", " ",
    ]);
    prop::collection::vec(piece, 0..40)
}

proptest! {
    // The same cases on every run; PROPTEST_RNG_SEED and PROPTEST_CASES search wider.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_split_of_the_input_changes_nothing(parts in pieces(), size in 1usize..9) {
        let input = parts.concat();
        let whole = parse_split(input.as_bytes(), input.len(), SseLimits::default()).unwrap();
        let split = parse_split(input.as_bytes(), size, SseLimits::default()).unwrap();
        prop_assert_eq!(split, whole);
    }

    #[test]
    fn what_is_encoded_is_read_back(
        id in prop::option::of("[^\r\n\0]{0,8}"),
        event in prop::option::of("[^\r\n\0]{1,8}"),
        data in any::<String>(),
    ) {
        let frame = encode(id.as_deref(), event.as_deref(), &data).unwrap();
        let events = parse_split(&frame, 3, SseLimits::default()).unwrap();
        prop_assert_eq!(events.len(), 1);
        let expected = data.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(&*events[0].text(), expected.as_str());
        prop_assert_eq!(&events[0].id, &id);
        prop_assert_eq!(&events[0].event, &event);
        let mut boundary = FrameBoundary::new();
        boundary.feed(&frame);
        prop_assert!(boundary.at_boundary());
    }

    #[test]
    fn a_comment_at_a_boundary_changes_no_event(parts in pieces(), size in 1usize..9) {
        let input = parts.concat();
        // A byte order mark behind a comment is no longer at the start; the body wrapper sees to that.
        prop_assume!(!input.starts_with('\u{feff}'));
        let mut boundary = FrameBoundary::new();
        let mut with = Vec::new();
        for chunk in input.as_bytes().chunks(size) {
            if boundary.at_boundary() {
                with.extend_from_slice(&KEEP_ALIVE);
            }
            boundary.feed(chunk);
            with.extend_from_slice(chunk);
        }
        let plain = parse_split(input.as_bytes(), 64, SseLimits::default()).unwrap();
        prop_assert_eq!(parse_split(&with, 64, SseLimits::default()).unwrap(), plain);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(input in prop::collection::vec(any::<u8>(), 0..400), size in 1usize..9) {
        let limits = SseLimits { max_line_bytes: 50, max_event_bytes: 60 };
        let _ = parse_split(&input, size, limits);
    }
}
