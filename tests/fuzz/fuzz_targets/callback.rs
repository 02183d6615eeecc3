//! Callbacks: what a worker sends back when it is done, and what a requester asks to be called back with. What was read
//! survives being written and read again.
#![no_main]

use a2a_sidecar::a2a::callback::Callback;
use a2a_sidecar::a2a::dialect::decode_callback;
use a2a_sidecar::a2a::request::Answer;
use a2a_sidecar::a2a::{Dialect, Operation, Task};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fn written(task: &Task) -> Value {
    Dialect::PYTHON_A2A.encode_answer(Operation::GetTask, &Answer::Task(task.clone()))
}

/// What is kept of it until the task is over.
fn kept(callback: &Callback) {
    let sealed = serde_json::to_vec(callback).expect("what was read can be kept");
    let again: Callback = serde_json::from_slice(&sealed).expect("what was kept can be read");
    assert!(again == *callback);
}

fuzz_target!(|data: &[u8]| {
    if let Ok(task) = decode_callback(data) {
        let bare = written(&task);
        let again =
            decode_callback(bare.to_string().as_bytes()).expect("a task that was written is one");
        assert_eq!(written(&again), bare);
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/send", "params": bare });
        let called = decode_callback(call.to_string().as_bytes()).expect("so it is in an envelope");
        assert_eq!(written(&called), bare);
    }
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(callback) = Callback::of_task(value.clone()) {
        kept(&callback);
    }
    if let Ok((callback, _)) = Callback::of_extension(value) {
        kept(&callback);
    }
});
