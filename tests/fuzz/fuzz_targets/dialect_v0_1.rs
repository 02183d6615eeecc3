//! Everything that is read in A2A 0.1: calls, answers, events, webhooks, errors, cards.
#![no_main]

use a2a_sidecar::a2a::{Dialect, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| a2a_sidecar_fuzz::dialect(Dialect::jsonrpc(Version::V0_1), data));
