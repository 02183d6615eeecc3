//! A requester: every operation of A2A over JSON-RPC, in the version that it is made for. It does what it is
//! told and no more: it reads no card, keeps no connection and tries nothing twice.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::Method;
use serde_json::{Value, json};

use super::events::EventReader;
use super::heard::Heard;
use super::http::{self, Answer};
use super::protocol::{Op, Version, message};

/// Where and how to ask.
#[derive(Debug)]
pub struct Client {
    /// The address that JSON-RPC goes to; the card's well-known path is relative to its root.
    pub url: String,
    pub version: Version,
    headers: Vec<(String, String)>,
    ids: AtomicU64,
}

/// What a send carries beside its text.
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// Whether to wait for the end; `None` leaves it out.
    pub blocking: Option<bool>,
    /// The task that this continues.
    pub task_id: Option<String>,
    pub context_id: Option<String>,
    /// Made up when `None`.
    pub message_id: Option<String>,
    pub push: Option<Push>,
    pub history_length: Option<u64>,
    /// Headers of this request alone.
    pub headers: Vec<(String, String)>,
}

impl SendOptions {
    /// Asks for an answer at once.
    pub fn at_once() -> Self {
        Self {
            blocking: Some(false),
            ..Self::default()
        }
    }

    /// Asks to wait for the end.
    pub fn wait() -> Self {
        Self {
            blocking: Some(true),
            ..Self::default()
        }
    }

    /// Continues a task.
    pub fn on_task(mut self, id: &str) -> Self {
        self.task_id = Some(id.to_owned());
        self
    }

    /// Registers a webhook with the send.
    pub fn push(mut self, push: Push) -> Self {
        self.push = Some(push);
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A webhook registration, whatever the version calls its parts.
#[derive(Clone, Debug, Default)]
pub struct Push {
    pub url: String,
    pub id: Option<String>,
    pub token: Option<String>,
    /// Scheme and credentials.
    pub auth: Option<(String, String)>,
}

impl Push {
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub fn auth(mut self, scheme: &str, credentials: &str) -> Self {
        self.auth = Some((scheme.to_owned(), credentials.to_owned()));
        self
    }

    fn wire(&self, version: Version) -> Value {
        let mut config = json!({ "url": self.url });
        if let Some(id) = &self.id {
            config["id"] = json!(id);
        }
        if let Some(token) = &self.token {
            config["token"] = json!(token);
        }
        if let Some((scheme, credentials)) = &self.auth {
            config["authentication"] = if version.is_v1() {
                json!({ "scheme": scheme, "credentials": credentials })
            } else {
                json!({ "schemes": [scheme], "credentials": credentials })
            };
        }
        config
    }
}

/// An answer to a JSON-RPC call, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    pub answer: Answer,
    /// The body as JSON; null where it is none.
    pub json: Value,
    /// White space before the JSON: the keep-alives of a blocking answer.
    pub leading_spaces: usize,
}

impl Reply {
    fn of(answer: Answer) -> Self {
        let leading_spaces = answer
            .body
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();
        Self {
            answer,
            json,
            leading_spaces,
        }
    }

    /// The result; anything else is unexpected.
    pub fn result(&self) -> &Value {
        self.json
            .get("result")
            .unwrap_or_else(|| panic!("no result: {} {}", self.answer.status, self.answer.text()))
    }

    /// The code of the error, if it is one.
    pub fn error_code(&self) -> Option<i64> {
        self.json["error"]["code"].as_i64()
    }

    /// What the result tells.
    pub fn heard(&self) -> Heard {
        Heard::of(self.result())
    }
}

impl Client {
    pub fn new(url: impl Into<String>, version: Version) -> Self {
        Self {
            url: url.into(),
            version,
            headers: Vec::new(),
            ids: AtomicU64::new(1),
        }
    }

    /// A header on every request.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends a message and reads the answer.
    pub async fn send(&self, text: &str, options: SendOptions) -> Reply {
        let params = self.send_params(text, &options);
        self.call_with(Op::Send, params, &options.headers).await
    }

    /// Sends a message and gives the answer as soon as its headers are there; its body is still to be read.
    pub async fn send_open(&self, text: &str, options: SendOptions) -> http::Exchange {
        let params = self.send_params(text, &options);
        self.open(Op::Send, params, &options.headers)
            .await
            .unwrap_or_else(|error| panic!("no answer to a send: {error}"))
    }

    /// Reads what [`Client::send_open`] began.
    pub async fn finish(&self, exchange: http::Exchange) -> Reply {
        Reply::of(exchange.whole().await)
    }

    /// Opens a stream; anything but an event stream is unexpected.
    pub async fn stream(&self, text: &str) -> EventReader {
        self.stream_with(text, SendOptions::default()).await
    }

    pub async fn stream_with(&self, text: &str, options: SendOptions) -> EventReader {
        expect_stream(self.try_stream(text, options).await)
    }

    /// Opens a stream, or gives the answer that came instead of one.
    pub async fn try_stream(&self, text: &str, options: SendOptions) -> Result<EventReader, Reply> {
        let params = self.send_params(text, &options);
        self.open_stream(Op::Stream, params, &options.headers).await
    }

    /// Subscribes to a task; anything but an event stream is unexpected.
    pub async fn subscribe(&self, task: &str) -> EventReader {
        expect_stream(self.try_subscribe(task, None).await)
    }

    /// Subscribes to a task from the event with this id on.
    pub async fn resume(&self, task: &str, last_event_id: &str) -> EventReader {
        expect_stream(self.try_subscribe(task, Some(last_event_id)).await)
    }

    pub async fn try_subscribe(
        &self,
        task: &str,
        last_event_id: Option<&str>,
    ) -> Result<EventReader, Reply> {
        let headers: Vec<_> = last_event_id
            .map(|id| ("last-event-id".to_owned(), id.to_owned()))
            .into_iter()
            .collect();
        self.open_stream(Op::Subscribe, json!({ "id": task }), &headers)
            .await
    }

    /// As [`Client::try_stream`] and [`Client::try_subscribe`], where no answer at all is a possible outcome.
    pub async fn open_stream_maybe(
        &self,
        op: Op,
        params: Value,
        last_event_id: Option<&str>,
    ) -> Result<Result<EventReader, Reply>, String> {
        let headers: Vec<_> = last_event_id
            .map(|id| ("last-event-id".to_owned(), id.to_owned()))
            .into_iter()
            .collect();
        let exchange = self.open(op, params, &headers).await?;
        Ok(read_stream(exchange).await)
    }

    /// What a send of this text carries.
    pub fn params(&self, text: &str, options: &SendOptions) -> Value {
        self.send_params(text, options)
    }

    pub async fn get(&self, task: &str) -> Reply {
        self.call(Op::Get, json!({ "id": task })).await
    }

    /// GetTask with `Prefer: wait=N`.
    pub async fn get_waiting(&self, task: &str, seconds: u64) -> Reply {
        let prefer = ("prefer".to_owned(), format!("wait={seconds}"));
        self.call_with(Op::Get, json!({ "id": task }), &[prefer])
            .await
    }

    /// Asks again and again until `enough`, as a polling requester does, but without pause.
    pub async fn poll(&self, task: &str, enough: impl Fn(&Heard) -> bool) -> Heard {
        let mut last = None;
        let asking = async {
            loop {
                let heard = self.get(task).await.heard();
                if enough(&heard) {
                    return heard;
                }
                last = Some(heard);
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(super::DEADLINE, asking).await {
            Ok(heard) => heard,
            Err(_) => panic!("polling saw nothing better than {last:?}"),
        }
    }

    pub async fn cancel(&self, task: &str) -> Reply {
        self.call(Op::Cancel, json!({ "id": task })).await
    }

    pub async fn push_set(&self, task: &str, push: &Push) -> Reply {
        let mut config = push.wire(self.version);
        let params = if self.version.is_v1() {
            config["taskId"] = json!(task);
            config
        } else {
            json!({ "taskId": task, "pushNotificationConfig": config })
        };
        self.call(Op::PushSet, params).await
    }

    pub async fn push_get(&self, task: &str, config: &str) -> Reply {
        self.call(Op::PushGet, self.config_params(task, config))
            .await
    }

    pub async fn push_list(&self, task: &str) -> Reply {
        let params = if self.version.is_v1() {
            json!({ "taskId": task })
        } else {
            json!({ "id": task })
        };
        self.call(Op::PushList, params).await
    }

    pub async fn push_delete(&self, task: &str, config: &str) -> Reply {
        self.call(Op::PushDelete, self.config_params(task, config))
            .await
    }

    /// The agent card, from where this version looks for it.
    pub async fn card(&self) -> Answer {
        let url = url::Url::parse(&self.url)
            .unwrap()
            .join(self.version.card_path())
            .unwrap();
        self.get_url(url.as_str()).await
    }

    /// A plain GET with this client's headers.
    pub async fn get_url(&self, url: &str) -> Answer {
        http::request(Method::GET, url, &self.common_headers(), "")
            .await
            .unwrap_or_else(|error| panic!("no answer from {url}: {error}"))
            .whole()
            .await
    }

    /// Calls any operation with any params.
    pub async fn call(&self, op: Op, params: Value) -> Reply {
        self.call_with(op, params, &[]).await
    }

    pub async fn call_with(&self, op: Op, params: Value, headers: &[(String, String)]) -> Reply {
        self.try_call(op, params, headers)
            .await
            .unwrap_or_else(|error| panic!("no answer to {}: {error}", op.name()))
    }

    /// The same, where no answer at all is a possible outcome.
    pub async fn try_call(
        &self,
        op: Op,
        params: Value,
        headers: &[(String, String)],
    ) -> Result<Reply, String> {
        let exchange = self.open(op, params, headers).await?;
        Ok(Reply::of(exchange.whole().await))
    }

    /// Posts any bytes with any headers, nothing added.
    pub async fn post_raw(&self, body: impl Into<bytes::Bytes>, headers: &[(&str, &str)]) -> Reply {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let exchange = http::request(Method::POST, &self.url, &headers, body)
            .await
            .unwrap_or_else(|error| panic!("no answer to a raw post: {error}"));
        Reply::of(exchange.whole().await)
    }

    async fn open(
        &self,
        op: Op,
        params: Value,
        headers: &[(String, String)],
    ) -> Result<http::Exchange, String> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": op.method(self.version),
            "params": params,
        });
        let mut all = self.common_headers();
        all.push(("content-type".to_owned(), "application/json".to_owned()));
        if matches!(op, Op::Stream | Op::Subscribe) {
            all.push(("accept".to_owned(), "text/event-stream".to_owned()));
        }
        all.extend_from_slice(headers);
        http::request(Method::POST, &self.url, &all, body.to_string()).await
    }

    async fn open_stream(
        &self,
        op: Op,
        params: Value,
        headers: &[(String, String)],
    ) -> Result<EventReader, Reply> {
        let exchange = self
            .open(op, params, headers)
            .await
            .unwrap_or_else(|error| panic!("no answer to {}: {error}", op.name()));
        read_stream(exchange).await
    }

    fn common_headers(&self) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        if self.version.is_v1() {
            headers.push(("a2a-version".to_owned(), "1.0".to_owned()));
        }
        headers
    }

    fn config_params(&self, task: &str, config: &str) -> Value {
        if self.version.is_v1() {
            json!({ "taskId": task, "id": config })
        } else {
            json!({ "id": task, "pushNotificationConfigId": config })
        }
    }

    fn send_params(&self, text: &str, options: &SendOptions) -> Value {
        let fresh;
        let id = match &options.message_id {
            Some(id) => id,
            None => {
                fresh = uuid::Uuid::new_v4().to_string();
                &fresh
            }
        };
        let ids = (options.task_id.as_deref(), options.context_id.as_deref());
        let mut params = json!({ "message": message(self.version, true, id, text, ids) });
        let mut configuration = json!({});
        if let Some(blocking) = options.blocking {
            if self.version.is_v1() {
                configuration["returnImmediately"] = json!(!blocking);
            } else {
                configuration["blocking"] = json!(blocking);
            }
        }
        if let Some(length) = options.history_length {
            configuration["historyLength"] = json!(length);
        }
        if let Some(push) = &options.push {
            let member = if self.version.is_v1() {
                "taskPushNotificationConfig"
            } else {
                "pushNotificationConfig"
            };
            configuration[member] = push.wire(self.version);
        }
        if configuration != json!({}) {
            params["configuration"] = configuration;
        }
        params
    }
}

async fn read_stream(exchange: http::Exchange) -> Result<EventReader, Reply> {
    let is_stream = exchange
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    if is_stream {
        Ok(EventReader::new(exchange))
    } else {
        Err(Reply::of(exchange.whole().await))
    }
}

fn expect_stream(opened: Result<EventReader, Reply>) -> EventReader {
    opened.unwrap_or_else(|reply| {
        panic!(
            "no event stream but {} {}",
            reply.answer.status,
            reply.answer.text()
        )
    })
}
