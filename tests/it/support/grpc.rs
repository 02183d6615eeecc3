//! gRPC as the tests need it: a client of one call per connection, and a worker that answers each call as it is told.
//! The messages are written out here by hand from the protocol's own definition.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::within;

pub mod worker;

/// The messages that the tests use, in 1.0 and, where the fields differ, in 0.3.
pub mod pb {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Part {
        #[prost(string, optional, tag = "1")]
        pub text: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Message {
        #[prost(string, tag = "1")]
        pub message_id: String,
        #[prost(string, tag = "2")]
        pub context_id: String,
        #[prost(string, tag = "3")]
        pub task_id: String,
        /// 1: the user, 2: the agent.
        #[prost(int32, tag = "4")]
        pub role: i32,
        #[prost(message, repeated, tag = "5")]
        pub parts: Vec<Part>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Configuration {
        /// In 0.3 this is `blocking`.
        #[prost(bool, tag = "4")]
        pub return_immediately: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Send {
        #[prost(string, tag = "1")]
        pub tenant: String,
        #[prost(message, optional, tag = "2")]
        pub message: Option<Message>,
        #[prost(message, optional, tag = "3")]
        pub configuration: Option<Configuration>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct SendV03 {
        #[prost(message, optional, tag = "1")]
        pub request: Option<Message>,
        #[prost(message, optional, tag = "2")]
        pub configuration: Option<Configuration>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Status {
        #[prost(int32, tag = "1")]
        pub state: i32,
        #[prost(message, optional, tag = "2")]
        pub message: Option<Message>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Artifact {
        #[prost(string, tag = "1")]
        pub artifact_id: String,
        #[prost(message, repeated, tag = "4")]
        pub parts: Vec<Part>,
        /// The parts in 0.3.
        #[prost(message, repeated, tag = "5")]
        pub parts_v03: Vec<Part>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Task {
        #[prost(string, tag = "1")]
        pub id: String,
        #[prost(string, tag = "2")]
        pub context_id: String,
        #[prost(message, optional, tag = "3")]
        pub status: Option<Status>,
        #[prost(message, repeated, tag = "4")]
        pub artifacts: Vec<Artifact>,
        #[prost(message, repeated, tag = "5")]
        pub history: Vec<Message>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct StatusUpdate {
        #[prost(string, tag = "1")]
        pub task_id: String,
        #[prost(string, tag = "2")]
        pub context_id: String,
        #[prost(message, optional, tag = "3")]
        pub status: Option<Status>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct StatusUpdateV03 {
        #[prost(string, tag = "1")]
        pub task_id: String,
        #[prost(message, optional, tag = "3")]
        pub status: Option<Status>,
        #[prost(bool, tag = "4")]
        pub last: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ArtifactUpdate {
        #[prost(string, tag = "1")]
        pub task_id: String,
        #[prost(message, optional, tag = "3")]
        pub artifact: Option<Artifact>,
        #[prost(bool, tag = "4")]
        pub append: bool,
    }

    /// The answer to a send, and an event of a stream.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Event {
        #[prost(message, optional, tag = "1")]
        pub task: Option<Task>,
        #[prost(message, optional, tag = "2")]
        pub message: Option<Message>,
        #[prost(message, optional, tag = "3")]
        pub status_update: Option<StatusUpdate>,
        #[prost(message, optional, tag = "4")]
        pub artifact_update: Option<ArtifactUpdate>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct EventV03 {
        #[prost(message, optional, tag = "1")]
        pub task: Option<Task>,
        #[prost(message, optional, tag = "2")]
        pub message: Option<Message>,
        #[prost(message, optional, tag = "3")]
        pub status_update: Option<StatusUpdateV03>,
        #[prost(message, optional, tag = "4")]
        pub artifact_update: Option<ArtifactUpdate>,
    }

    /// Reads, cancels and subscriptions of 1.0.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ById {
        #[prost(string, tag = "1")]
        pub tenant: String,
        #[prost(string, tag = "2")]
        pub id: String,
    }

    /// The same of 0.3.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ByName {
        #[prost(string, tag = "1")]
        pub name: String,
    }

    /// A registration of 1.0, and with less in it the reads of one.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Config {
        #[prost(string, tag = "2")]
        pub id: String,
        #[prost(string, tag = "3")]
        pub task_id: String,
        #[prost(string, tag = "4")]
        pub url: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ConfigById {
        #[prost(string, tag = "2")]
        pub task_id: String,
        #[prost(string, tag = "3")]
        pub id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ConfigsOf {
        #[prost(string, tag = "1")]
        pub task_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Configs {
        #[prost(message, repeated, tag = "1")]
        pub configs: Vec<Config>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ConfigV03 {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "2")]
        pub inner: Option<InnerConfigV03>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct InnerConfigV03 {
        #[prost(string, tag = "1")]
        pub id: String,
        #[prost(string, tag = "2")]
        pub url: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CreateV03 {
        #[prost(string, tag = "1")]
        pub parent: String,
        #[prost(string, tag = "2")]
        pub config_id: String,
        #[prost(message, optional, tag = "3")]
        pub config: Option<ConfigV03>,
    }

    /// `google.rpc.Status`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RpcStatus {
        #[prost(int32, tag = "1")]
        pub code: i32,
        #[prost(string, tag = "2")]
        pub message: String,
        #[prost(message, repeated, tag = "3")]
        pub details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Any {
        #[prost(string, tag = "1")]
        pub type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        pub value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ErrorInfo {
        #[prost(string, tag = "1")]
        pub reason: String,
        #[prost(string, tag = "2")]
        pub domain: String,
    }
}

/// The services.
pub const V1: &str = "/lf.a2a.v1.A2AService/";
pub const V03: &str = "/a2a.v1.A2AService/";

/// The numbers of states that the tests look for.
pub const WORKING: i32 = 2;
pub const COMPLETED: i32 = 3;
pub const CANCELED: i32 = 5;
pub const INPUT_REQUIRED: i32 = 6;

/// A message with what stands before it.
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// Takes the messages out of a body, which must hold nothing else.
#[track_caller]
fn unframed(mut body: &[u8]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let [0, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        messages.push(Bytes::copy_from_slice(&rest[..length]));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "{body:?}");
    messages
}

/// An answer to its end.
#[derive(Debug)]
pub struct Answer {
    pub http: StatusCode,
    pub headers: HeaderMap,
    pub messages: Vec<Bytes>,
    /// None where the answer has none, or where they are its only headers.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    fn last(&self) -> &HeaderMap {
        self.trailers.as_ref().unwrap_or(&self.headers)
    }

    /// The status that it ends with.
    #[track_caller]
    pub fn status(&self) -> u32 {
        match self.last().get("grpc-status") {
            Some(status) => status.to_str().unwrap().parse().unwrap(),
            None => panic!("no status: {self:?}"),
        }
    }

    pub fn text(&self) -> &str {
        let text = self.last().get("grpc-message");
        text.map_or("", |text| text.to_str().unwrap())
    }

    /// The reason in the details.
    pub fn reason(&self) -> Option<String> {
        use base64::Engine as _;
        let details = self.last().get("grpc-status-details-bin")?.as_bytes();
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
            .decode(details)
            .unwrap();
        let status = pb::RpcStatus::decode(&*bytes).unwrap();
        assert_eq!(status.code, i32::try_from(self.status()).unwrap());
        let any = status
            .details
            .iter()
            .find(|any| any.type_url == "type.googleapis.com/google.rpc.ErrorInfo")?;
        let info = pb::ErrorInfo::decode(&*any.value).unwrap();
        assert_eq!(info.domain, "a2a-protocol.org");
        Some(info.reason)
    }

    /// The one message of an answer that went well.
    #[track_caller]
    pub fn one<M: prost::Message + Default>(&self) -> M {
        assert_eq!(self.status(), 0, "{self:?}");
        assert_eq!(self.messages.len(), 1, "{self:?}");
        M::decode(&*self.messages[0]).unwrap()
    }

    /// All messages.
    #[track_caller]
    pub fn all<M: prost::Message + Default>(&self) -> Vec<M> {
        self.messages
            .iter()
            .map(|message| M::decode(&**message).unwrap())
            .collect()
    }
}

/// A call of one message.
pub async fn call(url: &str, path: &str, message: &impl prost::Message) -> Answer {
    call_raw(url, path, framed(&message.encode_to_vec()), &[]).await
}

/// A call with this body.
pub async fn call_raw(url: &str, path: &str, body: Bytes, headers: &[(&str, &str)]) -> Answer {
    within("an answer of gRPC", String::new, async {
        read(send(url, path, body, headers).await).await
    })
    .await
}

async fn send(url: &str, path: &str, body: Bytes, headers: &[(&str, &str)]) -> Response<Incoming> {
    let authority = url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let stream = TcpStream::connect(&authority).await.unwrap();
    send_over(stream, &format!("http://{authority}{path}"), body, headers).await
}

/// Sends a call over a connection of its own, as HTTP/2 without asking.
async fn send_over<S>(
    stream: S,
    url: &str,
    body: Bytes,
    headers: &[(&str, &str)],
) -> Response<Incoming>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender
        .send_request(request.body(Full::new(body)).unwrap())
        .await
        .unwrap()
}

/// A call of one message over TLS, answered by whoever listens at `addr` as `localhost` with this certificate. Gives
/// the answer and what the handshake agreed on as well.
pub async fn call_over_tls(
    addr: SocketAddr,
    certificate: CertificateDer<'static>,
    path: &str,
    message: &impl prost::Message,
) -> (Answer, Option<Vec<u8>>) {
    let body = framed(&message.encode_to_vec());
    // Boxed: a handshake is large.
    let exchange = Box::pin(async {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        // As gRPC's own clients: they take no connection on which nothing else was agreed.
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let url = format!("https://localhost:{}{path}", addr.port());
        (read(send_over(stream, &url, body, &[]).await).await, agreed)
    });
    within("an answer of gRPC over TLS", String::new, exchange).await
}

async fn read(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    Answer {
        http: parts.status,
        headers: parts.headers,
        messages: unframed(&collected.to_bytes()),
        trailers,
    }
}

/// An answer as it comes in.
pub struct Stream {
    body: Incoming,
    rest: BytesMut,
}

impl Stream {
    /// The next message; none at the end.
    pub async fn next<M: prost::Message + Default>(&mut self) -> Option<M> {
        within("a message of a stream", String::new, async {
            loop {
                if self.rest.len() >= 5 {
                    let length = u32::from_be_bytes(self.rest[1..5].try_into().unwrap()) as usize;
                    if self.rest.len() >= 5 + length {
                        let message = self.rest.split_to(5 + length);
                        return Some(M::decode(&message[5..]).unwrap());
                    }
                }
                match self.body.frame().await?.unwrap().into_data() {
                    Ok(data) => self.rest.extend_from_slice(&data),
                    Err(_) => return None,
                }
            }
        })
        .await
    }
}

/// A call that is answered with a stream.
pub async fn open(url: &str, path: &str, message: &impl prost::Message) -> Stream {
    let body = framed(&message.encode_to_vec());
    let response = within("an answer's head", String::new, send(url, path, body, &[])).await;
    Stream {
        body: response.into_body(),
        rest: BytesMut::new(),
    }
}
