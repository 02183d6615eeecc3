//! gRPC: frames however they are split, and every message of both versions in them. Nothing panics, and what was read is
//! written and read again the same.
//!
//! The first byte says how to split, the rest is the body.
#![no_main]

use a2a_sidecar::a2a::dialect::grpc;
use a2a_sidecar::a2a::{Operation, Version};
use a2a_sidecar::wire::grpc::{FrameError, Messages};
use libfuzzer_sys::fuzz_target;

/// Small, so that the bound is met too.
const MAX_BYTES: usize = 4000;

fn messages(body: &[u8], step: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let mut decoder = Messages::new(MAX_BYTES);
    let mut found = Vec::new();
    for piece in body.chunks(step) {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => found.push(message.to_vec()),
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
    }
    (found, decoder.finish())
}

fn read(version: Version, operation: Operation, message: &[u8]) {
    if let Ok(params) = grpc::decode_request(version, operation, message) {
        let written = grpc::encode_request(version, operation, &params)
            .expect("a request that was read can be written");
        let again = grpc::decode_request(version, operation, &written)
            .expect("a request that was written can be read");
        assert_eq!(again, params);
    }
    // A card's security is rewritten on its way, and settles once it is in one form.
    if let Ok(mut answer) = grpc::decode_answer(version, operation, message) {
        if operation == Operation::GetExtendedAgentCard {
            let settled = grpc::encode_answer(version, operation, answer);
            answer = grpc::decode_answer(version, operation, &settled)
                .expect("a card that was written can be read");
        }
        let written = grpc::encode_answer(version, operation, answer.clone());
        let again = grpc::decode_answer(version, operation, &written)
            .expect("an answer that was written can be read");
        assert_eq!(again, answer);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((split, body)) = data.split_first() else {
        return;
    };
    let (found, end) = messages(body, usize::from(*split).max(1));
    assert_eq!((found.clone(), end), messages(body, body.len().max(1)));
    // Without a frame too, so that a mutation need not keep its length right.
    for message in found.iter().map(Vec::as_slice).chain([body]) {
        for version in [Version::V0_3, Version::V1_0] {
            for operation in Operation::ALL {
                read(version, operation, message);
            }
            let error = grpc::decode_error(version, 3, "InvalidParamsError: no", message);
            let _ = grpc::encode_error(version, &error);
        }
    }
});
