//! What only A2A 0.2 has of its own: fewer errors and no method for the extended card.

use crate::a2a::Operation;
use crate::a2a::error::ErrorKind;

/// `protocolVersion` of a card of this version; the last patch of 0.2.
pub(super) const PROTOCOL_VERSION: &str = "0.2.6";

/// Whether a JSON-RPC method exists. The extended card of 0.2 is a plain GET.
pub(super) fn supports(operation: Operation) -> bool {
    !matches!(
        operation,
        Operation::ListTasks | Operation::GetExtendedAgentCard
    )
}

/// The nearest error that 0.2 has.
pub(super) fn nearest(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::ExtendedAgentCardNotConfigured
        | ErrorKind::ExtensionSupportRequired
        | ErrorKind::VersionNotSupported => ErrorKind::UnsupportedOperation,
        other => other,
    }
}
