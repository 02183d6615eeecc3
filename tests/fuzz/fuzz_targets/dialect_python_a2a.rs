//! Everything that is read in the dialect of python_a2a: calls to a path, bare or not, answers, events, errors, cards.
#![no_main]

use a2a_sidecar::a2a::Dialect;
use a2a_sidecar::a2a::dialect::paths;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for path in ["/tasks/send", "/a2a/tasks/get", "/tasks/stream"] {
        if let Ok(call) = paths::decode_call(path, data) {
            let _ = Dialect::PYTHON_A2A.read_request(call.operation, call.params);
        }
    }
    a2a_sidecar_fuzz::dialect(Dialect::PYTHON_A2A, data);
});
