//! Event streams: nothing panics, and how the bytes were split over reads changes nothing.
//!
//! The first byte says how to split, the rest is the stream.
#![no_main]

use a2a_sidecar::wire::sse::{
    self, FrameBoundary, KEEP_ALIVE, SseError, SseEvent, SseLimits, SseParser,
};
use libfuzzer_sys::fuzz_target;

/// Small, so that the limits are met too.
const LIMITS: SseLimits = SseLimits {
    max_line_bytes: 200,
    max_event_bytes: 300,
};

#[derive(Debug, PartialEq)]
struct Read {
    events: Vec<SseEvent>,
    error: Option<SseError>,
    last_event_id: String,
    retry: Option<u64>,
    cut: bool,
}

fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut parser = SseParser::new(LIMITS);
    let mut events = Vec::new();
    let mut error = None;
    'stream: for chunk in chunks {
        parser.push(chunk);
        loop {
            match parser.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(wrong) => {
                    error = Some(wrong);
                    break 'stream;
                }
            }
        }
    }
    let cut = parser.finish();
    Read {
        events,
        error,
        last_event_id: parser.last_event_id().to_owned(),
        retry: parser.retry(),
        cut,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&seed, stream)) = data.split_first() else {
        return;
    };
    let whole = read(std::iter::once(stream));

    // Byte by byte, and in pieces of pseudo-random length.
    assert_eq!(read(stream.chunks(1)), whole);
    let mut rest = stream;
    let mut state = u32::from(seed);
    let pieces: Vec<&[u8]> = std::iter::from_fn(|| {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state >> 24) as usize % (usize::from(seed) + 1) + 1;
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        Some(piece)
    })
    .collect();
    assert_eq!(read(pieces.iter().copied()), whole);

    // A comment at any boundary is not seen; but before a byte order mark it would be: that must come first.
    if !stream.starts_with(&[0xEF]) {
        let mut boundary = FrameBoundary::new();
        let mut with_comments: Vec<&[u8]> = Vec::new();
        for piece in &pieces {
            if boundary.at_boundary() {
                with_comments.push(&KEEP_ALIVE);
            }
            with_comments.push(piece);
            boundary.feed(piece);
        }
        assert_eq!(read(with_comments.into_iter()), whole);
    }

    // What was read can be written, and is read as the same. Only a NUL in a name cannot: the standard lets it pass,
    // our frames do not.
    for event in &whole.events {
        let name = event.event.as_deref();
        if name.is_some_and(|name| name.contains('\0')) {
            continue;
        }
        let frame = sse::encode(event.id.as_deref(), name, &event.text());
        let frame = frame.expect("what was read in fields can be written in fields");
        let mut parser = SseParser::new(SseLimits::default());
        parser.push(&frame);
        let again = parser.next_event().expect("within the limits");
        let wanted = SseEvent {
            retry: None,
            ..event.clone()
        };
        assert_eq!(again, Some(wanted));
        assert_eq!(parser.next_event(), Ok(None));
    }
});
