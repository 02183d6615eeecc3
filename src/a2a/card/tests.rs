//! What a card says, and what its rewriting keeps, changes and hides.
