//! Configuration: no text makes it panic, and every fault says where it is.
#![no_main]

use a2a_sidecar::config::{self, Overrides};
use libfuzzer_sys::fuzz_target;

/// Some devices never end a read.
const DEVICES: [&str; 2] = ["/dev", "/proc"];

fuzz_target!(|text: &str| {
    if DEVICES.iter().any(|folder| text.contains(folder)) {
        return;
    }
    let env = |name: &str| (name == "HOME").then(|| "/nonexistent".to_owned());
    match config::parse("fuzz.toml", text, &Overrides::default(), &env) {
        Ok(checked) => assert!(!checked.routes.is_empty()),
        Err(faults) => {
            assert!(!faults.0.is_empty(), "refused without a fault");
            let lines = text.split('\n').count();
            for fault in &faults.0 {
                let said = fault.to_string();
                assert!(!said.contains('\n'), "a fault on several lines: {said:?}");
                assert!(
                    !fault.what.is_empty() && (fault.line.is_some() || !fault.path.is_empty()),
                    "{said:?} is nowhere"
                );
                if let Some(line) = fault.line {
                    assert!((1..=lines).contains(&line), "{said:?} is beyond the end");
                }
            }
        }
    }
});
