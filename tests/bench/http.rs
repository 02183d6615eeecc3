//! Requesters that cost little: HTTP/1.1 by hand, one connection each, answers looked at as far as their length. Only
//! for servers that are known: the sidecar, the bare proxy.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for any answer: beyond that the bench is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request as bytes.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nhost: sidecar.example\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A call of A2A 1.0 as bytes.
pub fn call(method: &str, params: &serde_json::Value, headers: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": method, "params": params,
    });
    request(
        "POST",
        "/",
        &format!("content-type: application/json\r\na2a-version: 1.0\r\n{headers}"),
        body.to_string().as_bytes(),
    )
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            buffer: Vec::with_capacity(1024),
        }
    }

    /// Sends a request without waiting for its answer.
    pub async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("it reads");
    }

    /// Sends a request and reads the answer, whose length must be known, to its end. Gives the status.
    pub async fn exchange(&mut self, request: &[u8]) -> u16 {
        self.send(request).await;
        let head = timeout(PATIENCE, self.head()).await.expect("an answer");
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let length: usize = text
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or_else(|| panic!("an answer of known length, not {text}"));
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_default();
        let mut missing = (head + length).saturating_sub(self.buffer.len());
        let mut chunk = [0; 16 * 1024];
        while missing > 0 {
            let read = self.stream.read(&mut chunk).await.expect("it answers");
            assert!(read > 0, "an answer was cut");
            missing = missing.saturating_sub(read);
        }
        self.buffer.clear();
        status
    }

    /// Reads to the end of the head; gives its length. What was read beyond it stays in the buffer.
    async fn head(&mut self) -> usize {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|at| at == b"\r\n\r\n") {
                return end + 4;
            }
            assert!(self.more().await > 0, "closed within a head");
        }
    }

    /// Reads what is there; gives its length, 0 at the end.
    async fn more(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let read = self.stream.read(&mut chunk).await.unwrap_or_default();
        self.buffer.extend_from_slice(&chunk[..read]);
        read
    }

    /// Reads until these bytes have been seen and forgets what was read up to them.
    pub async fn read_until(&mut self, bytes: &[u8]) {
        let reading = async {
            loop {
                let found = self.buffer.windows(bytes.len()).position(|at| at == bytes);
                if let Some(at) = found {
                    self.buffer.drain(..at + bytes.len());
                    return;
                }
                assert!(
                    self.more().await > 0,
                    "the answer ended without {}: {}",
                    String::from_utf8_lossy(bytes),
                    String::from_utf8_lossy(&self.buffer)
                );
            }
        };
        if timeout(PATIENCE, reading).await.is_err() {
            panic!(
                "no {} in {}",
                String::from_utf8_lossy(bytes),
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Reads up to the next occurrence of the mark and gives the number behind it, once the byte after the number is
    /// there.
    pub async fn number_after(&mut self, mark: &[u8]) -> usize {
        self.read_until(mark).await;
        loop {
            let digits = self
                .buffer
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits < self.buffer.len() {
                return std::str::from_utf8(&self.buffer[..digits])
                    .ok()
                    .and_then(|digits| digits.parse().ok())
                    .expect("a number behind the mark");
            }
            assert!(self.more().await > 0, "closed within a number");
        }
    }
}

/// The status of a GET, none if nobody listens.
pub async fn get_status(address: SocketAddr, path: &str) -> Option<u16> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut connection = Connection {
        stream,
        buffer: Vec::new(),
    };
    Some(connection.exchange(&request("GET", path, "", b"")).await)
}
