//! Calls over gRPC: the one message in their body, once the path has said what it is.

use http::Response;
use http::header::HeaderValue;
use http::request::Parts;
use serde_json::Value;

use super::{named_version, not_served, read};
use crate::a2a::dialect::grpc;
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Dialect, Object, Operation, Version};
use crate::proxy::call::{A2aCall, Params};
use crate::proxy::error::Error;
use crate::sink::render::Renderer;
use crate::wire::Body;
use crate::wire::grpc::{FrameError, GRPC_ACCEPT_ENCODING, Messages};

/// A call over gRPC: the one message in its body.
pub(super) async fn call(
    parts: &Parts,
    body: Body,
    version: Version,
    operation: Option<Operation>,
) -> Result<A2aCall, Box<Response<Body>>> {
    let renderer = Renderer::grpc(Dialect::grpc(version));
    let refused = |error: Error| {
        let mut answer = error.to_rpc(&renderer, Operation::SendMessage);
        // Where it is the compression that is wrong, this says what would be right.
        answer
            .headers_mut()
            .insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Box::new(answer)
    };
    let wrong = |kind, message: String| refused(Error::A2a(A2aError::new(kind, message)));
    let Some(operation) = operation else {
        let message = format!("There is no method {}", parts.uri.path());
        return Err(wrong(ErrorKind::MethodNotFound, message));
    };
    if let Some(name) = named_version(parts)
        && Version::parse(name).is_none()
    {
        return Err(wrong(ErrorKind::VersionNotSupported, not_served(name)));
    }
    let bytes = read(body).await.map_err(refused)?;
    // All there is has come, and is bounded.
    let mut messages = Messages::new(usize::MAX);
    messages.push(&bytes);
    let message = match messages.next_message() {
        Ok(Some(message)) if messages.finish().is_ok() => message,
        Ok(_) => {
            let message = "The body must be one message".to_owned();
            return Err(wrong(ErrorKind::InvalidRequest, message));
        }
        // "Not implemented" is how a server says that it cannot read a compression.
        Err(FrameError::Compressed) => {
            let message = "Compressed messages are not taken here".to_owned();
            return Err(wrong(ErrorKind::MethodNotFound, message));
        }
        Err(error) => return Err(wrong(ErrorKind::InvalidRequest, error.to_string())),
    };
    let params = match grpc::decode_request(version, operation, &message) {
        Ok(Value::Object(params)) => params,
        Ok(_) => Object::new(),
        Err(error) => return Err(refused(Error::A2a(error))),
    };
    Ok(A2aCall {
        dialect: renderer.dialect(),
        operation,
        renderer,
        body: bytes,
        params: Params::Read(params),
        place: None,
    })
}
