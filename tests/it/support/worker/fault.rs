//! What can go wrong between a worker and whoever calls it, and how answers are put on the wire: whole or in
//! splinters, to their end or not. Which call meets which fault is decided in `rpc.rs`.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::http::{Body, Cut};

/// A fault of one method, or with `Worker::fault_all` of all.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers this and does nothing.
    Status {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// Answers this JSON-RPC error and does nothing.
    Rpc(i64, String),
    /// Never answers and does nothing.
    Hang,
    /// Does the work and never answers.
    DoAndHang,
    /// Closes the connection and does nothing.
    Close,
    /// Does the work and closes the connection without an answer.
    DoAndClose,
    /// Breaks off after so many bytes of the answer's body.
    CloseAfter(usize),
    /// Ends a stream in good order after so many events.
    EndAfter(usize),
    /// Does the work and answers this in place of the JSON, or as the whole stream.
    Garbage(Vec<u8>),
    /// Another content type on the right body.
    ContentType(String),
    /// Stream lines end with CRLF.
    Crlf,
    /// Every byte of the body is a write of its own.
    SplitWrites,
    /// The JSON of a frame is spread over many `data:` lines.
    MultiLine,
    /// A comment before every frame.
    Comments,
    /// The first frame, or the answer, is this many MiB larger than it needs to be.
    Huge(usize),
}

impl Fault {
    /// An HTTP status with a plain body.
    pub fn status(status: u16) -> Self {
        Fault::Status {
            status,
            headers: Vec::new(),
            body: format!("status {status} on purpose"),
        }
    }

    /// An HTTP status that asks to come back later.
    pub fn retry_after(status: u16, after: Duration) -> Self {
        Fault::Status {
            status,
            headers: vec![("retry-after".to_owned(), after.as_secs().to_string())],
            body: String::new(),
        }
    }
}

/// How the bytes of one answer go out: the sum of its faults.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    close_after: Option<usize>,
    end_after: Option<usize>,
    garbage: Option<Vec<u8>>,
    content_type: Option<String>,
    crlf: bool,
    split: bool,
    multi_line: bool,
    comments: bool,
    huge_bytes: usize,
}

impl Shape {
    /// Adds a fault that concerns the bytes alone.
    pub(super) fn add(&mut self, fault: Fault) {
        match fault {
            Fault::CloseAfter(bytes) => self.close_after = Some(bytes),
            Fault::EndAfter(events) => self.end_after = Some(events),
            Fault::Garbage(bytes) => self.garbage = Some(bytes),
            Fault::ContentType(kind) => self.content_type = Some(kind),
            Fault::Crlf => self.crlf = true,
            Fault::SplitWrites => self.split = true,
            Fault::MultiLine => self.multi_line = true,
            Fault::Comments => self.comments = true,
            Fault::Huge(mebibytes) => self.huge_bytes = mebibytes << 20,
            Fault::Status { .. }
            | Fault::Rpc(..)
            | Fault::Hang
            | Fault::DoAndHang
            | Fault::Close
            | Fault::DoAndClose => {}
        }
    }

    fn plain(&self) -> bool {
        self.close_after.is_none() && !self.split
    }

    fn response(&self, status: StatusCode, content_type: &str, body: Body) -> Response<Body> {
        let content_type = self.content_type.as_deref().unwrap_or(content_type);
        Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(body)
            .unwrap()
    }

    /// Answers with JSON.
    pub(super) fn json(self, status: StatusCode, mut value: Value) -> Response<Body> {
        self.pad(&mut value);
        let bytes = match &self.garbage {
            Some(garbage) => Bytes::from(garbage.clone()),
            None => Bytes::from(value.to_string()),
        };
        if self.plain() {
            return self.response(status, "application/json", Body::whole(bytes));
        }
        let (sender, body) = Body::channel();
        let response = self.response(status, "application/json", body);
        let mut writer = FrameWriter::new(sender, self);
        tokio::spawn(async move {
            let _ = writer.bytes(bytes).await;
        });
        response
    }

    /// Answers with a stream; the writer takes its frames.
    pub(super) fn stream(self) -> (Response<Body>, FrameWriter) {
        let (sender, body) = Body::channel();
        let mut response = self.response(StatusCode::OK, "text/event-stream", body);
        response
            .headers_mut()
            .insert("cache-control", "no-store".parse().unwrap());
        (response, FrameWriter::new(sender, self))
    }

    /// A member that no reader knows, and all ignore, makes the JSON as large as it is to be.
    fn pad(&self, value: &mut Value) {
        if self.huge_bytes > 0 {
            value["padding"] = json!("x".repeat(self.huge_bytes));
        }
    }
}

/// The stream is over: cut or ended on purpose, or nobody reads it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    OnPurpose,
    ReaderGone,
}

/// Writes frames as the shape says.
pub(super) struct FrameWriter {
    sender: mpsc::Sender<Result<Bytes, Cut>>,
    shape: Shape,
    written: usize,
    events: usize,
}

impl FrameWriter {
    fn new(sender: mpsc::Sender<Result<Bytes, Cut>>, shape: Shape) -> Self {
        Self {
            sender,
            shape,
            written: 0,
            events: 0,
        }
    }

    /// Waits until the reader goes away.
    pub(super) async fn reader_gone(&self) {
        self.sender.closed().await;
    }

    /// Writes one event.
    pub(super) async fn event(&mut self, mut value: Value) -> Result<(), Over> {
        if let Some(garbage) = self.shape.garbage.clone() {
            self.bytes(garbage.into()).await?;
            return Err(Over::OnPurpose);
        }
        if self.shape.end_after == Some(self.events) {
            return Err(Over::OnPurpose);
        }
        if self.events == 0 {
            self.shape.pad(&mut value);
        }
        self.events += 1;
        let line_end = if self.shape.crlf { "\r\n" } else { "\n" };
        let mut frame = String::new();
        if self.shape.comments {
            frame.push_str(&format!(": comment {}{line_end}{line_end}", self.events));
        }
        let text = if self.shape.multi_line {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        for line in text.lines() {
            frame.push_str(&format!("data: {line}{line_end}"));
        }
        frame.push_str(line_end);
        self.bytes(frame.into()).await?;
        if self.shape.end_after == Some(self.events) {
            return Err(Over::OnPurpose);
        }
        Ok(())
    }

    async fn bytes(&mut self, mut bytes: Bytes) -> Result<(), Over> {
        let left = self.shape.close_after.map(|limit| limit - self.written);
        if let Some(left) = left {
            bytes.truncate(left);
        }
        self.written += bytes.len();
        if self.shape.split {
            for at in 0..bytes.len() {
                self.chunk(Ok(bytes.slice(at..=at))).await?;
            }
        } else if !bytes.is_empty() {
            self.chunk(Ok(bytes)).await?;
        }
        if self.shape.close_after == Some(self.written) {
            self.chunk(Err(Cut)).await?;
            return Err(Over::OnPurpose);
        }
        Ok(())
    }

    async fn chunk(&mut self, chunk: Result<Bytes, Cut>) -> Result<(), Over> {
        self.sender.send(chunk).await.map_err(|_| Over::ReaderGone)
    }
}
