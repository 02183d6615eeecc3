//! Answers on their way out: whole, held open with white space, or streamed.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use http::{HeaderMap, Response, StatusCode};

use super::Asked;
use crate::a2a::request::Answer;
use crate::a2a::{Binding, Dialect, Operation, Task, extension};
use crate::proxy::error::Error;
use crate::sink::long_poll;
use crate::sink::render::{EventId, Rendered};
use crate::store::TaskRecord;
use crate::task::fold::trim_history;
use crate::wire::{Body, BoxError, KeepAliveJson};

/// An answer that is ready.
pub(super) struct Ready {
    pub(super) rendered: Rendered,
    pub(super) headers: HeaderMap,
}

impl Ready {
    pub(super) fn new(asked: &Asked, answer: &Answer) -> Self {
        Self {
            rendered: asked.renderer().answer(asked.call.operation, answer),
            headers: HeaderMap::new(),
        }
    }

    /// Names the extensions that the worker says are active, as the requester's version names that header.
    pub(super) fn with_extensions(
        mut self,
        asked: &Asked,
        extensions: Option<HeaderValue>,
    ) -> Self {
        add_extensions(&mut self.headers, asked, extensions);
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = self.rendered.into_response();
        response.headers_mut().extend(self.headers);
        if response.status() == StatusCode::NOT_MODIFIED {
            // What it would describe is not there.
            response.headers_mut().remove(CONTENT_TYPE);
        }
        response
    }
}

/// Names the extensions that are active: those that the worker says are, and the sidecar's own.
pub(super) fn add_extensions(
    headers: &mut HeaderMap,
    asked: &Asked,
    extensions: Option<HeaderValue>,
) {
    let active = if asked.renderer().shows_generations() {
        Some(extension::with_own(extensions.as_ref()))
    } else {
        extensions
    };
    if let Some(active) = active {
        headers.insert(extension::header(asked.call.dialect.version), active);
    }
}

/// Names one more active extension, beside those of the worker.
pub(super) fn name_extension(headers: &mut HeaderMap, dialect: Dialect, uri: &'static str) {
    let name = extension::header(dialect.version);
    let value = match headers.get(&name).and_then(|value| value.to_str().ok()) {
        Some(others) => HeaderValue::from_str(&format!("{others}, {uri}")),
        None => Ok(HeaderValue::from_static(uri)),
    };
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// The task as the requester asked for it, with a validator by which it can wait for the next change.
pub(super) fn task(asked: &Asked, record: &TaskRecord, history_length: Option<u32>) -> Ready {
    let mut task = Task::clone(&record.task);
    trim_history(&mut task, history_length);
    asked
        .renderer()
        .stamp_task(record.epoch, record.last_seq, &mut task);
    let mut ready = Ready::new(asked, &Answer::Task(task));
    let at = EventId {
        epoch: record.epoch,
        seq: record.last_seq,
    };
    if let Ok(value) = HeaderValue::from_str(&format!("\"{at}\"")) {
        ready.headers.insert(ETAG, value);
    }
    // Over JSON-RPC a status says nothing, and a POST has no validators.
    if asked.call.operation == Operation::GetTask
        && asked.call.dialect.binding == Binding::HttpJson
        && long_poll::has_state(asked.headers(), at)
    {
        ready.rendered.status = StatusCode::NOT_MODIFIED;
        ready.rendered.body = Bytes::new();
    }
    ready.with_extensions(asked, None)
}

/// Answers when `answer` is ready. Until `keep_alive` the status is still open; after that the answer's head goes out,
/// and a space from time to time, which may stand before any JSON text: so that clients and middleboxes that give up on
/// silence wait (the Python SDKs do after 5 s).
pub(super) async fn held_open<F>(
    asked: Arc<Asked>,
    keep_alive: Duration,
    answer: F,
) -> Result<Response<Body>, Error>
where
    F: Future<Output = Result<Ready, Error>> + Send + 'static,
{
    let renderer = asked.renderer();
    let given_up =
        asked.route.sink.keep_alive_http_json && renderer.dialect().binding == Binding::HttpJson;
    if keep_alive.is_zero() || !(renderer.status_is_free() || given_up) {
        return answer.await.map(Ready::into_response);
    }
    let mut answer = Box::pin(answer);
    if let Ok(ready) = tokio::time::timeout(keep_alive, pin!(&mut answer)).await {
        return ready.map(Ready::into_response);
    }
    let named = Arc::clone(&asked);
    let body = async move {
        Ok::<_, BoxError>(match answer.await {
            Ok(ready) => ready.rendered.body,
            // The head has said 200, which is what JSON-RPC says with most errors anyway.
            Err(error) => {
                asked.note.failed(error.failure(Some(asked.call.dialect)));
                error.to_rpc_body(asked.renderer())
            }
        })
    };
    // One space at once: a whole interval of silence has gone by already.
    let first = futures_util::stream::once(async { Ok::<_, BoxError>(Bytes::from_static(b" ")) });
    let rest = http_body_util::BodyDataStream::new(KeepAliveJson::new(Box::pin(body), keep_alive));
    let mut response = Response::new(Body::from_stream(futures_util::StreamExt::chain(
        first,
        futures_util::TryStreamExt::map_err(rest, BoxError::from),
    )));
    let headers = response.headers_mut();
    let media_type = named.renderer().media_type();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    // A proxy that waits for the end of the answer would undo it all.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    add_extensions(headers, &named, None);
    Ok(response)
}

/// An event stream's head.
pub(super) fn event_stream(asked: &Asked, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let media_type = asked.renderer().stream_media_type();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    add_extensions(headers, asked, None);
    response
}
