//! Dialects: one wire form of A2A each, a protocol version over a binding.
//!
//! Decoding turns the wire into the canonical model, encoding turns it back. Nothing outside this folder knows
//! how a version spells things.

use std::fmt;

/// A protocol version, by `Major.Minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 0.2.x
    V0_2,
    /// 0.3.x
    V0_3,
    /// 1.0.x
    V1_0,
}

impl Version {
    /// `Major.Minor`, as in `A2A-Version` and in cards.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Version::V0_2 => "0.2",
            Version::V0_3 => "0.3",
            Version::V1_0 => "1.0",
        }
    }

    /// Reads a version number; patch numbers are ignored (§3.6.1), an unknown one is `None`.
    #[must_use]
    pub fn parse(number: &str) -> Option<Version> {
        let mut numbers = number.trim().split('.');
        match (numbers.next()?, numbers.next().unwrap_or("0")) {
            ("0", "2") => Some(Version::V0_2),
            ("0", "3") => Some(Version::V0_3),
            ("1", "0") => Some(Version::V1_0),
            _ => None,
        }
    }

    /// Whether it is a 0.x version: lower-case names, `kind`, `final`.
    #[must_use]
    pub fn is_v0(self) -> bool {
        self != Version::V1_0
    }
}

/// A protocol binding (specification §9 to §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// JSON-RPC 2.0 over HTTP.
    JsonRpc,
}

/// A version over a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dialect {
    /// The version.
    pub version: Version,
    /// The binding.
    pub binding: Binding,
}

impl Dialect {
    /// JSON-RPC of this version.
    #[must_use]
    pub const fn jsonrpc(version: Version) -> Self {
        Self {
            version,
            binding: Binding::JsonRpc,
        }
    }

    /// The name used in the configuration, logs and metrics, such as `v1.0/jsonrpc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.version, self.binding) {
            (Version::V0_2, Binding::JsonRpc) => "v0.2/jsonrpc",
            (Version::V0_3, Binding::JsonRpc) => "v0.3/jsonrpc",
            (Version::V1_0, Binding::JsonRpc) => "v1.0/jsonrpc",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
