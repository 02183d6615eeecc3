//! Single calls to a worker without any SDK, over each binding: what is needed to see what it offers, and no more.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::grid::binding;
use crate::heard::News;
use crate::restriction::Operation;

/// A worker that has not answered one of these calls by now hangs.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// "Task not found": the answer of a method that is offered, asked for a task that does not exist.
const TASK_NOT_FOUND: i64 = -32001;
const GRPC_NOT_FOUND: &str = "5";
/// The states that end a task, as protobuf numbers them.
const GRPC_ENDS: [u8; 4] = [3, 4, 5, 7];

/// What a worker said to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It did the operation, or would have done it for a task that exists.
    Offered,
    /// It took a send; `over`: and answered with a task that has ended.
    Sent { over: bool },
    /// It does not offer the operation; what it said.
    Refused(String),
}

/// A worker as it is spoken to.
pub(crate) struct Asker {
    v1: bool,
    binding: &'static str,
    /// `host:port`
    address: String,
}

impl Asker {
    /// Finds the worker's address in its card.
    pub(crate) async fn find(url: &str, worker: &str) -> Result<Asker, String> {
        let v1 = !worker.starts_with("py-v0");
        let binding = binding(worker);
        let mut address = host_of(url);
        if binding == "grpc" {
            let path = "/.well-known/agent-card.json";
            let (_, card) = exchange(&address, "GET", path, v1, None).await?;
            let card: Value = serde_json::from_str(&card).map_err(|error| error.to_string())?;
            let listed = if v1 {
                &card["supportedInterfaces"][0]["url"]
            } else {
                &card["url"]
            };
            address = listed.as_str().ok_or("the card has no address")?.to_owned();
        }
        Ok(Asker {
            v1,
            binding,
            address,
        })
    }

    /// Asks for one operation: sends start a task that fails at once, all else is asked of a task that does not exist.
    pub(crate) async fn ask(&self, operation: Operation) -> Result<Answer, String> {
        let asked = async {
            match self.binding {
                "http" => self.ask_http(operation).await,
                "grpc" => self.ask_grpc(operation).await,
                _ => self.ask_jsonrpc(operation).await,
            }
        };
        timeout(CALL_LIMIT, asked)
            .await
            .map_err(|_| format!("no answer to {operation:?}"))?
    }

    async fn ask_jsonrpc(&self, operation: Operation) -> Result<Answer, String> {
        let (v1_name, v0_name) = match operation {
            Operation::Send => ("SendMessage", "message/send"),
            Operation::Stream => ("SendStreamingMessage", "message/stream"),
            Operation::Get => ("GetTask", "tasks/get"),
            Operation::Subscribe => ("SubscribeToTask", "tasks/resubscribe"),
            Operation::SetPush => (
                "CreateTaskPushNotificationConfig",
                "tasks/pushNotificationConfig/set",
            ),
            Operation::Cancel => ("CancelTask", "tasks/cancel"),
        };
        let params = match (operation, self.v1) {
            (Operation::Send | Operation::Stream, true) => json!({"message": {
                "messageId": "m", "role": "ROLE_USER", "parts": [{"text": "fail"}]}}),
            (Operation::Send | Operation::Stream, false) => json!({"message": {"kind": "message",
                "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "fail"}]}}),
            (Operation::SetPush, true) => json!({"taskId": "none", "url": "http://127.0.0.1:1/"}),
            (Operation::SetPush, false) => json!({
                "taskId": "none", "pushNotificationConfig": {"url": "http://127.0.0.1:1/"}}),
            _ => json!({"id": "none"}),
        };
        let method = if self.v1 { v1_name } else { v0_name };
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (_, content) = exchange(&self.address, "POST", "/", self.v1, Some(&call)).await?;
        let answer: Value = serde_json::from_str(&content).map_err(|error| error.to_string())?;
        match operation {
            _ if answer["error"]["code"] == TASK_NOT_FOUND => Ok(Answer::Offered),
            _ if answer.get("result").is_none() => Ok(Answer::Refused(content)),
            Operation::Send => sent(&answer["result"]),
            _ => Ok(Answer::Offered),
        }
    }

    async fn ask_http(&self, operation: Operation) -> Result<Answer, String> {
        let message = if self.v1 {
            json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "fail"}]}})
        } else {
            let message =
                json!({"messageId": "m", "role": "ROLE_USER", "content": [{"text": "fail"}]});
            json!({"message": message, "configuration": {"blocking": true}})
        };
        let config = if self.v1 {
            json!({"url": "http://127.0.0.1:1/"})
        } else {
            let config = json!({"id": "c", "url": "http://127.0.0.1:1/"});
            let name = "tasks/none/pushNotificationConfigs/c";
            json!({"parent": "tasks/none", "configId": "c",
                "config": {"name": name, "pushNotificationConfig": config}})
        };
        let (verb, path, body) = match operation {
            Operation::Send => ("POST", "/message:send", Some(message)),
            Operation::Stream => ("POST", "/message:stream", Some(message)),
            Operation::Get => ("GET", "/tasks/none", None),
            Operation::Subscribe if self.v1 => ("POST", "/tasks/none:subscribe", Some(json!({}))),
            Operation::Subscribe => ("GET", "/tasks/none:subscribe", None),
            Operation::SetPush => ("POST", "/tasks/none/pushNotificationConfigs", Some(config)),
            Operation::Cancel => ("POST", "/tasks/none:cancel", Some(json!({}))),
        };
        let path = if self.v1 {
            path.to_owned()
        } else {
            format!("/v1{path}")
        };
        let (status, content) =
            exchange(&self.address, verb, &path, self.v1, body.as_ref()).await?;
        match (status, operation) {
            (200, Operation::Send) => {
                let answer = serde_json::from_str(&content).map_err(|error| error.to_string())?;
                sent(&answer)
            }
            (200 | 404, _) => Ok(Answer::Offered),
            _ => Ok(Answer::Refused(format!("{status} {content}"))),
        }
    }

    async fn ask_grpc(&self, operation: Operation) -> Result<Answer, String> {
        let (v1_name, v0_name) = match operation {
            Operation::Send => ("SendMessage", "SendMessage"),
            Operation::Stream => ("SendStreamingMessage", "SendStreamingMessage"),
            Operation::Get => ("GetTask", "GetTask"),
            Operation::Subscribe => ("SubscribeToTask", "TaskSubscription"),
            Operation::SetPush => (
                "CreateTaskPushNotificationConfig",
                "CreateTaskPushNotificationConfig",
            ),
            Operation::Cancel => ("CancelTask", "CancelTask"),
        };
        // message_id, role (an enum's 1), one part with a text: the same numbers in both versions.
        let text = field(5, &field(1, b"fail"));
        let message = [field(1, b"m"), vec![4 << 3, 1], text].concat();
        let config = "tasks/none/pushNotificationConfigs/c";
        let request = match (operation, self.v1) {
            (Operation::Send | Operation::Stream, true) => field(2, &message),
            // With `configuration.blocking`, which does not wait by default.
            (Operation::Send | Operation::Stream, false) => {
                [field(1, &message), field(2, &[4 << 3, 1])].concat()
            }
            (Operation::SetPush, true) => {
                [field(3, b"none"), field(4, b"http://127.0.0.1:1/")].concat()
            }
            (Operation::SetPush, false) => {
                let inner = [field(1, b"c"), field(2, b"http://127.0.0.1:1/")].concat();
                let named = [field(1, config.as_bytes()), field(2, &inner)].concat();
                [field(1, b"tasks/none"), field(2, b"c"), field(3, &named)].concat()
            }
            (_, true) => field(2, b"none"),
            (_, false) => field(1, b"tasks/none"),
        };
        let path = if self.v1 {
            format!("/lf.a2a.v1.A2AService/{v1_name}")
        } else {
            format!("/a2a.v1.A2AService/{v0_name}")
        };
        let (status, answer) = unary(&self.address, &path, self.v1, &request).await?;
        match operation {
            Operation::Send if status == "0" => {
                // The response's task, its status, its state.
                let state = within(&answer, 1)
                    .and_then(|task| within(task, 3))
                    .and_then(|status| within(status, 1))
                    .and_then(|state| state.first());
                Ok(Answer::Sent {
                    over: state.is_some_and(|state| GRPC_ENDS.contains(state)),
                })
            }
            _ if status == "0" || status == GRPC_NOT_FOUND => Ok(Answer::Offered),
            _ => Ok(Answer::Refused(format!("grpc-status {status}"))),
        }
    }
}

fn sent(answer: &Value) -> Result<Answer, String> {
    let over = News::read(answer)?.is_end();
    Ok(Answer::Sent { over })
}

fn host_of(url: &str) -> String {
    url.trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned()
}

/// One HTTP exchange; gives the status and the content, of a stream that of its first event.
async fn exchange(
    address: &str,
    verb: &str,
    path: &str,
    v1: bool,
    body: Option<&Value>,
) -> Result<(u16, String), String> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let version = if v1 { "A2A-Version: 1.0\r\n" } else { "" };
    // HTTP/1.0, so that the answer comes in one piece and ends with the connection.
    let head = format!(
        "{verb} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n{version}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let whole = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = whole.await.map_err(|error| error.to_string())?;
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let event = content.lines().find_map(|line| line.strip_prefix("data:"));
    Ok((
        status.ok_or_else(|| format!("no status in {answer}"))?,
        event.unwrap_or(content).to_owned(),
    ))
}

/// One gRPC call with one message; gives `grpc-status` and the first message of the answer.
async fn unary(
    address: &str,
    path: &str,
    v1: bool,
    message: &[u8],
) -> Result<(String, Vec<u8>), String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let length = u32::try_from(message.len()).map_err(|error| error.to_string())?;
    let body = [&[0][..], &length.to_be_bytes(), message].concat();
    let mut request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if v1 {
        request = request.header("a2a-version", "1.0");
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answer = client
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?;
    connection.abort();
    // An answer without any message has its status among the headers.
    let status = body
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"));
    let status = status
        .or_else(|| head.headers.get("grpc-status"))
        .and_then(|status| status.to_str().ok())
        .unwrap_or("none");
    let status = status.to_owned();
    // Before each message: whether it is compressed, and its length.
    let bytes = body.to_bytes();
    Ok((status, bytes.get(5..).unwrap_or_default().to_vec()))
}

/// A protobuf field of bytes; all that is sent here is short.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len())
        .ok()
        .filter(|length| *length < 128);
    let length = length.expect("a field of a call by hand is short");
    [&[number << 3 | 2, length][..], content].concat()
}

/// The first field of this number in a protobuf message: its bytes, or from where its number starts.
fn within(mut message: &[u8], number: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let (tag, rest) = varint(message)?;
        let (content, after) = match tag & 7 {
            0 => {
                let (_, after) = varint(rest)?;
                (rest, after)
            }
            2 => {
                let (length, rest) = varint(rest)?;
                rest.split_at_checked(usize::try_from(length).ok()?)?
            }
            _ => return None, // nothing that is looked for lies behind one
        };
        if tag >> 3 == number {
            return Some(content);
        }
        message = after;
    }
    None
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at(length);
    let value = number
        .iter()
        .rev()
        .fold(0, |value: u64, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, rest))
}
