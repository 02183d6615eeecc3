//! Everything that is read in fasta2a's two forms: calls, answers, frames, errors.
#![no_main]

use a2a_sidecar::a2a::{Dialect, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    a2a_sidecar_fuzz::system(Dialect::jsonrpc(Version::FastA2a), data);
    a2a_sidecar_fuzz::system(Dialect::jsonrpc(Version::FastA2aV0), data);
});
