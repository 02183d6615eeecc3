//! The requesters: four ways to ask, all in A2A 1.0 over JSON-RPC. They know nothing of the sidecar, and read only what
//! comes over the wire, with no code of the proxy's but its parser of event streams.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::board::{Mode, News, Place, Wrong};
use super::receiver::TOKEN;
use crate::a2a::TaskState;
use crate::wire::headers::is_event_stream;
use crate::wire::sse::{SseError, SseLimits, SseParser};

/// How often a polling requester asks.
const POLL_EVERY: Duration = Duration::from_millis(400);

/// The most bytes of an answer: those of the demo have a few thousand.
const MAX_ANSWER: usize = 1 << 20;

/// The question. Whatever it is, the answer is the same.
const QUESTION: &str = "What is six times seven?";

/// What a requester tells the table.
#[derive(Debug)]
pub enum Update {
    /// It has heard something, so long after the start.
    Heard(Place, Duration, News),
    /// It has come to its end.
    Ended(Place, Result<(), Wrong>),
}

/// Why a requester comes to no good end.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer has the status {0}")]
    Status(http::StatusCode),
    #[error("the answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("the answer is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("the stream is broken: {0}")]
    Stream(#[from] SseError),
    #[error("refused: {0}")]
    Refused(String),
    #[error("the answer holds no task")]
    NoTask,
    #[error("the receiver is gone")]
    NoReceiver,
}

/// One requester.
pub struct Requester {
    /// What it is.
    pub place: Place,
    /// The address that it asks.
    pub url: String,
    /// Its inbox for webhooks: the address, and what arrives.
    pub inbox: (String, mpsc::Receiver<Value>),
    /// The client that it uses.
    pub client: reqwest::Client,
    /// When the demo began.
    pub started: Instant,
    /// The table.
    pub table: mpsc::Sender<Update>,
}

impl Requester {
    /// Asks, and hears what there is to be heard until its end.
    pub async fn run(mut self) {
        let ended = match self.place.mode {
            Mode::Blocking => self.block().await,
            Mode::Poll => self.poll().await,
            Mode::Stream => self.stream().await,
            Mode::Push => self.push().await,
        };
        let ended = ended.map_err(|error| Wrong::Failed(error.to_string()));
        // Without a table nobody wants to know.
        let _ = self.table.send(Update::Ended(self.place, ended)).await;
    }

    async fn block(&self) -> Result<(), Error> {
        let result = self.call("SendMessage", send(json!({}))).await?;
        let mut ear = Ear::default();
        self.tell(ear.task(task(&result)?)).await;
        Ok(())
    }

    async fn poll(&self) -> Result<(), Error> {
        let mut ear = Ear::default();
        let result = self
            .call("SendMessage", send(json!({"returnImmediately": true})))
            .await?;
        let first = task(&result)?;
        let id = first["id"].clone();
        self.tell(ear.task(first)).await;
        let mut ticks = interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !ear.ended {
            ticks.tick().await;
            let standing = self.call("GetTask", json!({"id": id})).await?;
            self.tell(ear.task(&standing)).await;
        }
        Ok(())
    }

    async fn stream(&self) -> Result<(), Error> {
        let mut response = self.post("SendStreamingMessage", send(json!({}))).await?;
        let mut parser = SseParser::new(SseLimits::default());
        let mut ear = Ear::default();
        if !is_event_stream(response.headers()) {
            return Err(match result(&read(response).await?) {
                Err(refused) => refused,
                Ok(_) => Error::Refused("not a stream".to_owned()),
            });
        }
        // To the end of the stream and not of the task: nothing may come after that, and the stream must close.
        while let Some(chunk) = response.chunk().await? {
            parser.push(chunk);
            while let Some(event) = parser.next_event()? {
                let event = result(&event.data)?;
                self.tell(ear.event(&event)).await;
            }
        }
        Ok(())
    }

    async fn push(&mut self) -> Result<(), Error> {
        let config = json!({"url": self.inbox.0, "token": TOKEN});
        let configuration =
            json!({"returnImmediately": true, "taskPushNotificationConfig": config});
        // The answer is only looked at for an error: here counts what the webhooks say.
        self.call("SendMessage", send(configuration)).await?;
        let mut ear = Ear::default();
        while !ear.ended {
            let event = self.inbox.1.recv().await.ok_or(Error::NoReceiver)?;
            self.tell(ear.event(&event)).await;
        }
        Ok(())
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, Error> {
        let response = self.post(method, params).await?;
        result(&read(response).await?)
    }

    async fn post(&self, method: &str, params: Value) -> Result<reqwest::Response, Error> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let response = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("a2a-version", "1.0")
            .body(call.to_string())
            .send()
            .await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(Error::Status(response.status()))
        }
    }

    async fn tell(&self, news: Vec<News>) {
        let at = self.started.elapsed();
        for news in news {
            // Without a table nobody wants to know.
            let _ = self.table.send(Update::Heard(self.place, at, news)).await;
        }
    }
}

fn send(configuration: Value) -> Value {
    json!({
        "message": {
            "messageId": Uuid::new_v4().to_string(),
            "role": "ROLE_USER",
            "parts": [{"text": QUESTION}],
        },
        "configuration": configuration,
    })
}

async fn read(mut response: reqwest::Response) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The result in a JSON-RPC answer.
fn result(answer: &[u8]) -> Result<Value, Error> {
    let mut answer: Value = serde_json::from_slice(answer)?;
    match answer.get("error") {
        Some(error) => Err(Error::Refused(
            error["message"]
                .as_str()
                .unwrap_or("without a reason")
                .to_owned(),
        )),
        None => Ok(answer["result"].take()),
    }
}

fn task(result: &Value) -> Result<&Value, Error> {
    result.get("task").ok_or(Error::NoTask)
}

/// Turns what comes over the wire into news.
#[derive(Debug, Default)]
pub struct Ear {
    status: Option<(TaskState, Option<String>)>,
    artifact: String,
    /// Whether the task is over.
    pub ended: bool,
}

impl Ear {
    /// The news in one event of a stream or of a webhook.
    pub fn event(&mut self, event: &Value) -> Vec<News> {
        if let Some(task) = event.get("task") {
            return self.task(task);
        }
        if let Some(update) = event.get("statusUpdate") {
            return vec![self.stands(status(&update["status"]))];
        }
        if let Some(update) = event.get("artifactUpdate") {
            let text = text(&update["artifact"]);
            if update["append"] == true {
                self.artifact.push_str(&text);
            } else {
                self.artifact = text;
            }
            return vec![News::Artifact(self.artifact.clone())];
        }
        Vec::new()
    }

    /// The news in a task as it stands. What has been heard already is no news: a task is told again and again.
    pub fn task(&mut self, task: &Value) -> Vec<News> {
        let mut news = Vec::new();
        let artifact: String = task["artifacts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        if artifact != self.artifact {
            self.artifact.clone_from(&artifact);
            news.push(News::Artifact(artifact));
        }
        let status = status(&task["status"]);
        if self.status.as_ref() != Some(&status) {
            news.push(self.stands(status));
        }
        news
    }

    fn stands(&mut self, status: (TaskState, Option<String>)) -> News {
        self.ended = status.0.is_terminal();
        self.status = Some(status.clone());
        News::Status(status.0, status.1)
    }
}

fn status(status: &Value) -> (TaskState, Option<String>) {
    let state = TaskState::from_value(&status["state"]).unwrap_or_default();
    (state, status.get("message").map(text))
}

/// The text in the parts of a message or an artifact.
fn text(of: &Value) -> String {
    let parts = of["parts"].as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_told_twice_is_news_once() {
        let task = json!({
            "status": {"state": "TASK_STATE_WORKING", "message": {"parts": [{"text": "a"}]}},
            "artifacts": [{"parts": [{"text": "x"}, {"text": "y"}]}],
        });
        let mut ear = Ear::default();
        let working = News::Status(TaskState::Working, Some("a".to_owned()));
        assert_eq!(
            ear.task(&task),
            [News::Artifact("xy".to_owned()), working.clone()]
        );
        assert_eq!(ear.event(&json!({"task": task})), []);
        assert!(!ear.ended);
        // An event is news each time that it comes: a stream that repeats itself must show.
        let update = json!({"statusUpdate": {"status": task["status"]}});
        for _ in 0..2 {
            assert_eq!(ear.event(&update), std::slice::from_ref(&working));
        }
    }

    #[test]
    fn chunks_add_up_and_a_new_artifact_replaces() {
        let mut ear = Ear::default();
        let chunk = |text: &str, append: bool| json!({"artifactUpdate": {"artifact": {"parts": [{"text": text}]}, "append": append}});
        ear.event(&chunk("4", false));
        assert_eq!(
            ear.event(&chunk("2", true)),
            [News::Artifact("42".to_owned())]
        );
        assert_eq!(
            ear.event(&chunk("7", false)),
            [News::Artifact("7".to_owned())]
        );
        let done = json!({"statusUpdate": {"status": {"state": "TASK_STATE_COMPLETED"}}});
        assert_eq!(ear.event(&done), [News::Status(TaskState::Completed, None)]);
        assert!(ear.ended);
    }

    #[test]
    fn an_error_is_no_result() {
        let error =
            br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}"#;
        assert_eq!(
            result(error).unwrap_err().to_string(),
            "refused: no such method"
        );
    }
}
