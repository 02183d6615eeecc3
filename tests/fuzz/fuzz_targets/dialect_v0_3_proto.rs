//! Everything that is read in 0.3's ProtoJSON: calls, answers, events, webhooks, errors, cards.
#![no_main]

use a2a_sidecar::a2a::{Dialect, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| a2a_sidecar_fuzz::dialect(Dialect::http_json(Version::V0_3), data));
