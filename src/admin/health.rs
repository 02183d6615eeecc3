//! The `healthcheck` command: asks a running sidecar's `/ready`. It needs neither a runtime nor a client, so that an image
//! needs no curl.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// The longest wait for each step: connecting, writing, reading. Container runtimes give up after 30 s by default.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of an answer; `/ready` is far shorter.
const MAX_ANSWER: u64 = 64 << 10;

/// Why a sidecar is not known to be ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address means nothing.
    #[error("{0:?} is not an address with a port, such as 127.0.0.1:9901")]
    Address(String),
    /// Nobody answers there.
    #[error("no answer from {address}: {source}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// What answers is not a sidecar.
    #[error("what answers at {0} does not speak HTTP")]
    NotHttp(SocketAddr),
    /// It says that it is not ready.
    #[error("not ready (status {status}): {body}")]
    NotReady {
        /// The HTTP status.
        status: u16,
        /// What it says.
        body: String,
    },
}

/// Asks the sidecar whose operators' listener is at `admin`.
///
/// # Errors
/// Whenever it does not say that it is ready.
pub fn healthcheck(admin: &str, timeout: Duration) -> Result<(), HealthError> {
    let wrong = || HealthError::Address(admin.to_owned());
    let address = reachable(
        admin
            .to_socket_addrs()
            .map_err(|_| wrong())?
            .next()
            .ok_or_else(wrong)?,
    );
    let unreachable = |source| HealthError::Unreachable { address, source };
    let answer = ask(address, timeout).map_err(unreachable)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(HealthError::NotHttp(address))?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok())
        .ok_or(HealthError::NotHttp(address))?;
    if status == 200 {
        return Ok(());
    }
    Err(HealthError::NotReady {
        status,
        body: body.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// An address that one listens on, as one that can be connected to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn ask(address: SocketAddr, timeout: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(
        stream,
        "GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
