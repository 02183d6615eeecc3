//! The binding of `python_a2a`: a path for each operation (`/tasks/send`, `/a2a/tasks/send` and so on), and in the body a
//! JSON-RPC call whose method says nothing, or the bare parameters, which are answered by a bare result.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Dialect, jsonrpc, python_a2a};
use crate::a2a::error::ErrorKind;
use crate::a2a::{A2aError, Object, Operation, Request};

/// What some callers put before the path of an operation, and others do not.
const PREFIX: &str = "/a2a";

/// The last words with which the library's own stream route refuses a bare task.
const WANTS_ENVELOPE: &str = "Expected JSON-RPC format";

/// A call.
#[derive(Debug)]
pub struct PathCall {
    /// What it asks for.
    pub operation: Operation,
    /// How it is answered.
    pub form: Form,
    /// The parameters.
    pub params: Object,
}

/// The form of a call, which is that of its answer.
#[derive(Clone, Debug)]
pub enum Form {
    /// JSON-RPC, with this id.
    Envelope(Option<Box<RawValue>>),
    /// The bare parameters.
    Bare,
}

/// How much of a path stands before the binding's own part of it; none if the path is no operation's.
#[must_use]
pub fn lead(path: &str) -> Option<usize> {
    python_a2a::operation(path, None)?;
    let mut lead = path.rfind("/tasks/")?;
    while path.get(..lead)?.ends_with(PREFIX) {
        lead -= PREFIX.len();
    }
    Some(lead)
}

/// Reads a call to a path of which [`lead`] knows.
///
/// # Errors
/// [`ErrorKind::Parse`] where the body is not JSON, [`ErrorKind::InvalidRequest`] where it is no object or its
/// parameters are none; with the form that the answer has.
pub fn decode_call(path: &str, body: &[u8]) -> Result<PathCall, Box<(Form, A2aError)>> {
    let invalid = |what: &str| A2aError::new(ErrorKind::InvalidRequest, what);
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let error = A2aError::new(ErrorKind::Parse, format!("The body is not JSON: {error}"));
        // Nobody can know in which form it was meant; the library's client always means this one.
        Box::new((Form::Envelope(None), error))
    })?;
    let Value::Object(mut object) = value else {
        return Err(Box::new((
            Form::Bare,
            invalid("The body must be an object"),
        )));
    };
    let (form, method, params) = if object.contains_key("jsonrpc") {
        let id = jsonrpc::id_of(body).map(ToOwned::to_owned);
        let form = Form::Envelope(id);
        let method = object.get("method").and_then(Value::as_str);
        let method = method.map(ToOwned::to_owned);
        match object.remove("params") {
            Some(Value::Object(params)) => (form, method, params),
            None | Some(Value::Null) => (form, method, Object::new()),
            Some(_) => return Err(Box::new((form, invalid("params must be an object")))),
        }
    } else {
        (Form::Bare, None, object)
    };
    let Some(operation) = python_a2a::operation(path, method.as_deref()) else {
        let error = A2aError::new(ErrorKind::MethodNotFound, "There is no such operation.");
        return Err(Box::new((form, error)));
    };
    Ok(PathCall {
        operation,
        form,
        params,
    })
}

/// The path of a call to a worker, below its address, and its body. `id`: the caller's own number for it.
#[must_use]
pub fn encode_call(id: u64, request: &Request) -> (String, bytes::Bytes) {
    let operation = request.operation();
    let dialect = Dialect::PYTHON_A2A;
    let (method, params) = dialect.encode_request(request);
    let body = if operation == Operation::SendStreamingMessage {
        // A worker's own route takes a task; the library's, which does harm, takes only an envelope.
        params.to_string().into()
    } else {
        jsonrpc::encode_call(id, method, &params)
    };
    (format!("/{}", python_a2a::path(operation)), body)
}

/// An error in the form of the call that it answers.
#[must_use]
pub fn encode_error(form: &Form, error: &A2aError) -> bytes::Bytes {
    let error = &with_words(error);
    match form {
        Form::Envelope(id) => jsonrpc::encode_error(Dialect::PYTHON_A2A, id.as_deref(), error),
        Form::Bare => json!({ "error": error.message }).to_string().into(),
    }
}

/// The words by which the library tells what its one code means.
fn with_words(error: &A2aError) -> A2aError {
    let mut error = error.clone();
    if error.kind == ErrorKind::TaskNotFound
        && python_a2a::error_kind(-32000, &error.message) != ErrorKind::TaskNotFound
    {
        error.message = format!("Task not found: {}", error.message);
    }
    error
}

/// An error that comes when the answer has begun already. In an answer that is no HTTP error the library's client takes
/// it for a task that has just been submitted, so that it is told as a task that has failed. `id`: the task's.
#[must_use]
pub fn encode_late_error(form: &Form, id: Option<&str>, error: &A2aError) -> bytes::Bytes {
    let mut task = json!({
        "status": { "state": "failed", "message": { "error": error.message } },
        // The form in which the library writes errors of its own; without an artifact it would send the message again.
        "artifacts": [{ "parts": [{ "type": "data", "data": { "error": error.message } }] }],
    });
    if let Some(id) = id {
        task["id"] = Value::from(id);
    }
    match form {
        Form::Envelope(id) => jsonrpc::encode_result(id.as_deref(), &task),
        Form::Bare => task.to_string().into(),
    }
}

/// What a worker's error says: in an envelope, or bare as `{"error": "words"}`. None where it says nothing that can be
/// understood. `operation`: that of the call.
#[must_use]
pub fn decode_error(operation: Operation, body: &[u8]) -> Option<A2aError> {
    let value: Value = serde_json::from_slice(body).ok()?;
    match value.get("error")? {
        error @ Value::Object(_) => Some(jsonrpc::decode_error(Dialect::PYTHON_A2A, error)),
        Value::String(words) => {
            let kind = if operation == Operation::SendStreamingMessage
                && words.starts_with(WANTS_ENVELOPE)
            {
                ErrorKind::UnsupportedOperation
            } else {
                match python_a2a::error_kind(-32000, words) {
                    ErrorKind::Other(_) => ErrorKind::Internal,
                    kind => kind,
                }
            };
            Some(A2aError::new(kind, words.as_str()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(path: &str, body: &str) -> PathCall {
        decode_call(path, body.as_bytes()).unwrap()
    }

    #[test]
    fn the_path_decides_and_not_the_method() {
        let body = r#"{"jsonrpc":"2.0","id":7,"method":"message/send","params":{"id":"t"}}"#;
        for path in ["/tasks/get", "/a2a/tasks/get", "/route/a2a/a2a/tasks/get"] {
            let call = opened(path, body);
            assert_eq!(call.operation, Operation::GetTask);
            assert_eq!(call.params["id"], "t");
            assert!(matches!(call.form, Form::Envelope(Some(id)) if id.get() == "7"));
        }
        let resubscribe = r#"{"jsonrpc":"2.0","id":7,"method":"tasks/resubscribe","params":{}}"#;
        let call = opened("/tasks/stream", resubscribe);
        assert_eq!(call.operation, Operation::SubscribeToTask);
        let call = opened("/a2a/tasks/stream", r#"{"id":"t"}"#);
        assert_eq!(call.operation, Operation::SendStreamingMessage);
    }

    #[test]
    fn a_body_without_an_envelope_is_the_parameters_and_is_answered_without_one() {
        let call = opened("/a2a/tasks/get", r#"{"id":"t","jsonrpcs":1}"#);
        assert!(matches!(call.form, Form::Bare));
        assert_eq!(call.params["id"], "t");
        let error = A2aError::task_not_found("t");
        assert_eq!(
            encode_error(&Form::Bare, &error),
            r#"{"error":"Task not found: t"}"#
        );
    }

    #[test]
    fn a_task_that_is_not_there_is_known_by_the_words() {
        let error = A2aError::new(ErrorKind::TaskNotFound, "no such thing");
        for form in [Form::Bare, Form::Envelope(None)] {
            let read = decode_error(Operation::GetTask, &encode_error(&form, &error)).unwrap();
            assert_eq!(read.kind, ErrorKind::TaskNotFound);
        }
    }

    #[test]
    fn what_stands_before_the_path_is_the_route_s() {
        assert_eq!(lead("/tasks/send"), Some(0));
        assert_eq!(lead("/a2a/tasks/send"), Some(0));
        assert_eq!(lead("/one/a2a/a2a/tasks/send"), Some(4));
        assert_eq!(lead("/xa2a/tasks/send"), Some(5));
        assert_eq!(lead("/tasks/other"), None);
        assert_eq!(lead("/a2a"), None);
    }

    #[test]
    fn what_is_wrong_is_said_in_the_form_of_the_call() {
        let (form, error) = *decode_call("/tasks/send", b"{\"jsonrpc\":").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Parse);
        assert!(matches!(form, Form::Envelope(None)));
        let (form, error) = *decode_call("/tasks/send", b"[1]").unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(matches!(form, Form::Bare));
        let body = br#"{"jsonrpc":"2.0","id":"a","params":[]}"#;
        let (form, error) = *decode_call("/tasks/send", body).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(matches!(form, Form::Envelope(Some(_))));
    }

    #[test]
    fn the_library_s_own_stream_route_is_known_by_its_refusal() {
        let body = br#"{"error":"Expected JSON-RPC format for streaming requests"}"#;
        let error = decode_error(Operation::SendStreamingMessage, body).unwrap();
        assert_eq!(error.kind, ErrorKind::UnsupportedOperation);
        let error = decode_error(Operation::GetTask, br#"{"error":"Task not found: x"}"#).unwrap();
        assert_eq!(error.kind, ErrorKind::TaskNotFound);
        let body = br#"{"error":{"code":-32000,"message":"Task not found: x"},"id":1}"#;
        let error = decode_error(Operation::GetTask, body).unwrap();
        assert_eq!(error.kind, ErrorKind::TaskNotFound);
        assert_eq!(decode_error(Operation::GetTask, b"<html>"), None);
    }

    #[test]
    fn a_late_error_is_a_task_that_has_failed() {
        let error = A2aError::new(ErrorKind::Internal, "the worker is gone");
        let bytes = encode_late_error(&Form::Bare, Some("t"), &error);
        let task: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(task["id"], "t");
        assert_eq!(task["status"]["state"], "failed");
        assert_eq!(
            task["artifacts"][0]["parts"][0]["data"]["error"],
            "the worker is gone"
        );
    }
}
