//! The classify layer, below the bound of bodies: whatever comes becomes a call, passes, or is answered with an error; nothing panics.
//!
//! The input is a request: `METHOD target`, lines of `name: value`, an empty line, the body. What the layer says is
//! held against the strict decoder, since the two read the same bytes in different ways.
#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use a2a_sidecar::a2a::dialect::jsonrpc;
use a2a_sidecar::a2a::{Binding, Operation};
use a2a_sidecar::proxy::body_limit::BodyLimitLayer;
use a2a_sidecar::proxy::call::{A2aCall, Call, Classified, Params};
use a2a_sidecar::proxy::classify::ClassifyLayer;
use a2a_sidecar::wire::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use tower::{Layer as _, ServiceExt as _, service_fn};

/// Small, so that the limit is met too.
const MAX_BODY_BYTES: usize = 2048;

fn request(data: &[u8]) -> Option<Request<Bytes>> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let head = std::str::from_utf8(&data[..end]).ok()?;
    let mut lines = head.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        request = request.header(name, value);
    }
    request.body(Bytes::copy_from_slice(&data[end + 2..])).ok()
}

fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else {
        return;
    };
    let body = request.body().clone();
    let seen: Arc<Mutex<Option<Call>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let inner = service_fn(move |classified: Classified| {
        *keep.lock().expect("one thread") = Some(classified.call);
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    let Ok(response) = BodyLimitLayer::new(MAX_BODY_BYTES)
        .layer(ClassifyLayer.layer(inner))
        .oneshot(request.map(Body::full))
        .now_or_never()
        .expect("nothing to wait for: the body is there");
    let call = seen.lock().expect("one thread").take();
    match call {
        None => assert!(response.status().is_client_error() || response.status().is_success()),
        Some(Call::A2a(call)) => understood(&call, &body),
        Some(Call::Webhook { body: read, .. }) => assert_eq!(read, body),
        Some(_) => {}
    }
});

fn understood(call: &A2aCall, body: &Bytes) {
    // A call that its verb and path tell has no body of its own: what came with it is left where it is.
    let by_head = call.dialect.binding == Binding::HttpJson && call.body.is_empty();
    assert!(by_head || call.body == body);
    if let Some(id) = call.renderer.id() {
        assert!(
            id.get()
                .starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
        );
    }
    let _ = call.decode();
    if call.dialect.binding != Binding::JsonRpc {
        // The path says what is asked for, whatever the body looks like.
        return;
    }
    // Where the strict decoder understands the body it must have understood the same.
    if let Ok(strict) = jsonrpc::decode_call(body) {
        let operation = Operation::ALL
            .into_iter()
            .find(|operation| call.dialect.method(*operation) == strict.method);
        assert_eq!(operation, Some(call.operation), "of {}", call.dialect);
        assert!(matches!(&call.params, Params::Raw(params) if params == strict.params));
        assert_eq!(
            call.renderer.id().map(|id| id.get()),
            strict.id.map(|id| id.get())
        );
    }
}
