//! What only A2A 0.3 has of its own.

use crate::a2a::Operation;
use crate::a2a::error::ErrorKind;

/// `protocolVersion` of a card of this version.
pub(super) const PROTOCOL_VERSION: &str = "0.3.0";

/// Whether a JSON-RPC method exists.
pub(super) fn supports(operation: Operation) -> bool {
    operation != Operation::ListTasks
}

/// The nearest error that 0.3 has.
pub(super) fn nearest(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::ExtensionSupportRequired | ErrorKind::VersionNotSupported => {
            ErrorKind::UnsupportedOperation
        }
        other => other,
    }
}
