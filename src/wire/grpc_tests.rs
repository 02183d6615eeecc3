//! What goes into frames and trailers comes out of them, however it is cut, and nothing else does.

use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_frame_is_a_flag_a_length_and_the_message() {
    assert_eq!(frame(b"ab"), &b"\0\0\0\0\x02ab"[..]);
    assert_eq!(frame(b""), &b"\0\0\0\0\0"[..]);
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
        cut in 1_usize..9,
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        let mut decoder = Messages::new(20);
        let mut found = Vec::new();
        for piece in stream.chunks(cut) {
            decoder.push(piece);
            while let Some(message) = decoder.next_message().unwrap() {
                found.push(message.to_vec());
            }
        }
        prop_assert_eq!(found, messages);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn a_status_comes_back_from_its_trailers(
        code in 0_u32..17,
        message in ".{0,60}",
        details in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let status = Status { code, message, details: details.into() };
        prop_assert_eq!(Status::read(&status.trailers()), Some(status));
    }
}

#[test]
fn a_message_past_the_bound_is_refused_before_its_bytes_come() {
    let mut decoder = Messages::new(10);
    decoder.push(b"\0\0\0\0\x0b");
    assert_eq!(
        decoder.next_message(),
        Err(FrameError::TooLarge { limit: 10 })
    );
}

#[test]
fn a_compressed_message_is_refused() {
    let mut decoder = Messages::new(10);
    decoder.push(b"\x01\0\0\0\x01x");
    assert_eq!(decoder.next_message(), Err(FrameError::Compressed));
}

#[test]
fn a_stream_that_ends_within_a_message_is_cut_off() {
    let mut decoder = Messages::new(10);
    for (pushed, finished) in [
        (&b"\0\0"[..], Err(FrameError::Truncated)),
        (&b"\0\0\x01"[..], Err(FrameError::Truncated)),
    ] {
        decoder.push(pushed);
        assert_eq!(decoder.next_message(), Ok(None));
        assert_eq!(decoder.finish(), finished);
    }
    decoder.push(b"x");
    assert_eq!(decoder.next_message(), Ok(Some(Bytes::from_static(b"x"))));
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn a_message_of_a_status_is_percent_encoded() {
    let trailers = Status::new(code::NOT_FOUND, "100% \n\u{fc}").trailers();
    assert_eq!(trailers[GRPC_STATUS], "5");
    assert_eq!(trailers[GRPC_MESSAGE], "100%25 %0A%C3%BC");
    assert!(!trailers.contains_key(GRPC_STATUS_DETAILS));
}

#[test]
fn what_is_encoded_wrongly_stays_as_it_is() {
    let read = |message| {
        Status::read(&headers(&[("grpc-status", "2"), ("grpc-message", message)]))
            .unwrap()
            .message
    };
    assert_eq!(read("50% %zz %4"), "50% %zz %4");
    assert_eq!(read("%41%"), "A%");
}

#[test]
fn a_status_that_is_too_long_for_headers_is_cut() {
    let status = Status {
        code: code::INTERNAL,
        message: "\u{fc}".repeat(10_000),
        details: vec![0; 10_000].into(),
    };
    let trailers = status.trailers();
    assert!(trailers[GRPC_MESSAGE].len() <= MAX_MESSAGE);
    assert!(!trailers.contains_key(GRPC_STATUS_DETAILS));
    let read = Status::read(&trailers).unwrap();
    assert!(status.message.starts_with(&read.message) && !read.message.is_empty());
}

#[test]
fn a_status_is_read_with_padding_and_without() {
    for details in ["AQ", "AQ=="] {
        let headers = headers(&[("grpc-status", "3"), ("grpc-status-details-bin", details)]);
        assert_eq!(Status::read(&headers).unwrap().details, &b"\x01"[..]);
    }
}

#[test]
fn an_answer_without_a_status_has_none() {
    assert_eq!(Status::read(&HeaderMap::new()), None);
    let read = Status::read(&headers(&[("grpc-status", "x")])).unwrap();
    assert_eq!(read.code, code::UNKNOWN);
    assert_eq!(
        Status::of_http(StatusCode::SERVICE_UNAVAILABLE).code,
        code::UNAVAILABLE
    );
}

#[test]
fn grpc_is_told_by_its_media_type() {
    for (value, wanted) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("Application/GRPC;charset=x", true),
        ("application/grpc-web", false),
        ("application/json", false),
        ("application/grp", false),
    ] {
        assert_eq!(
            is_grpc(&headers(&[("content-type", value)])),
            wanted,
            "{value}"
        );
    }
    assert!(!is_grpc(&HeaderMap::new()));
}

#[test]
fn a_timeout_has_a_unit_and_at_most_eight_digits() {
    for (value, wanted) in [
        ("1H", Some(Duration::from_secs(3600))),
        ("2M", Some(Duration::from_secs(120))),
        ("3S", Some(Duration::from_secs(3))),
        ("250m", Some(Duration::from_millis(250))),
        ("7u", Some(Duration::from_micros(7))),
        ("99999999n", Some(Duration::from_nanos(99_999_999))),
        ("999999999n", None),
        ("S", None),
        ("", None),
        ("-1S", None),
        ("1x", None),
    ] {
        assert_eq!(
            timeout(&headers(&[("grpc-timeout", value)])),
            wanted,
            "{value}"
        );
    }
}
