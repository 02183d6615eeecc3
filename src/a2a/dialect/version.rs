//! The versions of the protocol, and the ways that single systems took from them. How each is written is not said here:
//! that is the modules'.

/// A protocol version, by `Major.Minor`, or the way that one system took from one. Ordered by how much gets lost when
/// a worker is spoken to in it: the last loses least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// That of the library `python_a2a`.
    PythonA2a,
    /// 0.1.x
    V0_1,
    /// PraisonAI's.
    PraisonAi,
    /// fasta2a 0.x's, which is that of pydantic-ai's `to_a2a`.
    FastA2aV0,
    /// 0.2.x
    V0_2,
    /// 0.3.x
    V0_3,
    /// fasta2a 2.x's.
    FastA2a,
    /// 1.0.x
    V1_0,
}

impl Version {
    /// `Major.Minor`, as in `A2A-Version` and in cards.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Version::PythonA2a | Version::V0_1 => "0.1",
            Version::V0_2 => "0.2",
            Version::PraisonAi | Version::FastA2aV0 => "0.3",
            Version::V0_3 => "0.3",
            Version::V1_0 | Version::FastA2a => "1.0",
        }
    }

    /// Reads a version number; patch numbers are ignored (§3.6.1), an unknown one is `None`.
    #[must_use]
    pub fn parse(number: &str) -> Option<Version> {
        let number = number.trim();
        let (major, rest) = number.split_once('.').unwrap_or((number, "0"));
        let minor = rest.split_once('.').map_or(rest, |(minor, _)| minor);
        match (major, minor) {
            ("0", "1") => Some(Version::V0_1),
            ("0", "2") => Some(Version::V0_2),
            ("0", "3") => Some(Version::V0_3),
            ("1", "0") => Some(Version::V1_0),
            _ => None,
        }
    }

    /// Whether cards list it. The way that one system took is no news to its clients, and unknown to all others; clients of
    /// 0.1 only know the address that they were given.
    #[must_use]
    pub fn is_listed(self) -> bool {
        matches!(self, Version::V0_2 | Version::V0_3 | Version::V1_0)
    }

    /// Whether it is older than 1.0: cards with one `url`, `X-A2A-Extensions`.
    #[must_use]
    pub fn is_v0(self) -> bool {
        !matches!(self, Version::V1_0 | Version::FastA2a)
    }
}
