//! Which dialect somebody speaks who does not say so: by the card of a worker. Requesters are told by their paths (see
//! [`super::paths`]) and methods (see [`super::jsonrpc::classify`]).

use super::{Dialect, python_a2a};
use crate::a2a::Object;

/// The dialect of a worker whose card does not name it: cards of some systems name a version that they do not speak.
#[must_use]
pub fn of_card(card: &Object) -> Option<Dialect> {
    // A card that lists its interfaces, as a sidecar's in front of such a worker does, means them.
    if card.contains_key("supportedInterfaces") {
        return None;
    }
    python_a2a::is_card(card).then_some(Dialect::PYTHON_A2A)
}
