//! Looks into a JSON text without building a value: finds members and hands out their raw slices.
//!
//! What is walked over is checked against RFC 8259's grammar, so a text that a strict parser would
//! refuse is refused here too, with two exceptions: UTF-8 and lone surrogates are only checked in what
//! is decoded (object keys, and [`Raw::string`]). Nothing is allocated, except to decode a string that
//! has escapes. It does not know what the members mean, beyond the envelope of JSON-RPC 2.0.

use std::borrow::Cow;

use memchr::memchr2;

/// Deepest nesting walked over. serde_json stops at the same depth, so nothing that could be parsed
/// later is refused here; a bit per level must fit the `u128` that is the walker's stack.
pub const MAX_DEPTH: u32 = 128;

/// Bytes of a string that are looked at one by one.
const SHORT: usize = 24;

/// Why a text cannot be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The text is an array: with JSON-RPC, a batch.
    #[error("a JSON array stands where an object is expected")]
    Batch,
    /// The text is a string, a number, a boolean or null.
    #[error("the JSON text is not an object")]
    NotAnObject,
    /// The text is not JSON.
    #[error("malformed JSON at byte {at}")]
    Malformed {
        /// Offset in bytes of what cannot stand there, from the start of the text looked into.
        at: usize,
    },
    /// The text is nested deeper than [`MAX_DEPTH`].
    #[error("JSON nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A member that was looked for stands there twice. Parsers differ in which of the two they take,
    /// so nothing decided here would bind the next reader.
    #[error("a JSON member stands there twice")]
    Duplicate,
}

/// What kind of value a raw slice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// A JSON value as it stands in the text, without white space around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a [u8]);

impl<'a> Raw<'a> {
    /// The bytes of the value.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The kind, told by the first byte.
    pub fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The decoded text of a string; `None` for another kind, and for a string that is not Unicode
    /// (bad UTF-8, a lone surrogate).
    pub fn string(self) -> Option<Cow<'a, str>> {
        if self.kind() == Kind::String {
            decode(self.0)
        } else {
            None
        }
    }
}

impl std::fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the content: it may be what a user wrote, or a credential.
        write!(f, "Raw({:?}, {} bytes)", self.kind(), self.0.len())
    }
}

/// The members of a JSON-RPC 2.0 request, each as it stands in the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RpcRequest<'a> {
    /// `jsonrpc`
    pub jsonrpc: Option<Raw<'a>>,
    /// `method`
    pub method: Option<Raw<'a>>,
    /// `id`; absent for a notification.
    pub id: Option<Raw<'a>>,
    /// `params`
    pub params: Option<Raw<'a>>,
}

impl<'a> RpcRequest<'a> {
    /// Reads the envelope of a request. The whole text is walked over and checked.
    ///
    /// # Errors
    /// [`ProbeError::Batch`] for an array; see [`ProbeError`] for the rest.
    pub fn probe(json: &'a [u8]) -> Result<Self, ProbeError> {
        let [jsonrpc, method, id, params] =
            find(json, [&["jsonrpc"], &["method"], &["id"], &["params"]])?;
        Ok(Self {
            jsonrpc,
            method,
            id,
            params,
        })
    }
}

/// Finds the members at `paths` (each a list of keys from the outermost in) in one walk over the text,
/// and hands them back in the same order. A path that leads through something other than an object
/// finds nothing. Objects on the way are walked over once more.
///
/// # Errors
/// When the text is not an object, not JSON, too deep, or one of the members stands there twice.
pub fn find<'a, const N: usize>(
    json: &'a [u8],
    paths: [&[&str]; N],
) -> Result<[Option<Raw<'a>>; N], ProbeError> {
    const {
        assert!(
            N <= u64::BITS as usize,
            "a set of paths is kept in the bits of a u64"
        )
    };
    let mut found = [None; N];
    descend(json, &paths, 0, u64::MAX, &mut found)?;
    Ok(found)
}

/// Fills the paths of the set `wanted`, which all share their first `depth` keys: those led to `json`.
fn descend<'a>(
    json: &'a [u8],
    paths: &[&[&str]],
    depth: usize,
    wanted: u64,
    found: &mut [Option<Raw<'a>>],
) -> Result<(), ProbeError> {
    let mut members = members(json)?;
    while let Some((key, value)) = members.advance()? {
        let key = members.name(key)?;
        for index in (0..paths.len()).filter(|index| wanted >> index & 1 == 1) {
            if paths[index]
                .get(depth)
                .is_some_and(|name| name.as_bytes() == &*key)
                && found[index].replace(value).is_some()
            {
                return Err(ProbeError::Duplicate);
            }
        }
    }
    let mut longer = (0..paths.len())
        .filter(|index| wanted >> index & 1 == 1 && paths[*index].len() > depth + 1)
        .fold(0u64, |set, index| set | 1 << index);
    while longer != 0 {
        let first = longer.trailing_zeros() as usize;
        let object = found[first].filter(|value| value.kind() == Kind::Object);
        // All that go through the same member, so that it is walked over only once.
        let mut group = 0u64;
        for index in first..paths.len() {
            if longer >> index & 1 == 1 && paths[index][depth] == paths[first][depth] {
                group |= 1 << index;
                found[index] = None;
            }
        }
        longer &= !group;
        if let Some(object) = object {
            descend(object.0, paths, depth + 1, group, found)?;
        }
    }
    Ok(())
}

/// Walks over the members of the object that `json` is, in order. Each is yielded as soon as it has
/// been walked over; that the whole text is sound is known only when the iterator has ended.
///
/// # Errors
/// When the text is not an object. The iterator yields at most one error, last.
pub fn members(json: &[u8]) -> Result<Members<'_>, ProbeError> {
    let mut walker = Walker { json, at: 0 };
    match walker.peek_token() {
        Some(b'{') => {
            walker.at += 1;
            Ok(Members {
                walker,
                state: State::First,
            })
        }
        Some(b'[') => Err(ProbeError::Batch),
        Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Err(ProbeError::NotAnObject),
        _ => Err(walker.malformed()),
    }
}

/// The iterator of [`members`].
#[derive(Debug)]
pub struct Members<'a> {
    walker: Walker<'a>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Next,
    Done,
}

impl<'a> Members<'a> {
    /// The next member, its key as it is written.
    fn advance(&mut self) -> Result<Option<(Raw<'a>, Raw<'a>)>, ProbeError> {
        let walker = &mut self.walker;
        match (walker.peek_token(), self.state) {
            (Some(b'}'), _) => {
                walker.at += 1;
                return match walker.peek_token() {
                    None => Ok(None),
                    Some(_) => Err(walker.malformed()),
                };
            }
            (Some(b','), State::Next) => {
                walker.at += 1;
                walker.peek_token();
            }
            (_, State::First) => {}
            _ => return Err(walker.malformed()),
        }
        self.state = State::Next;
        let start = walker.at;
        walker.string()?;
        let key = Raw(&walker.json[start..walker.at]);
        walker.colon()?;
        let value = walker.value()?;
        Ok(Some((key, value)))
    }

    /// The bytes of a key that has just been walked over: as it is written, but for the few that have escapes or more
    /// than ASCII.
    fn name(&self, key: Raw<'a>) -> Result<Cow<'a, [u8]>, ProbeError> {
        let written = &key.0[1..key.0.len() - 1];
        if written.is_ascii() && !written.contains(&b'\\') {
            return Ok(Cow::Borrowed(written));
        }
        Ok(Cow::Owned(self.decoded(key)?.into_owned().into_bytes()))
    }

    /// The text of a key that has just been walked over.
    fn decoded(&self, key: Raw<'a>) -> Result<Cow<'a, str>, ProbeError> {
        let at = key.0.as_ptr().addr() - self.walker.json.as_ptr().addr();
        decode(key.0).ok_or(ProbeError::Malformed { at })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Cow<'a, str>, Raw<'a>), ProbeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        let item = self
            .advance()
            .and_then(|member| {
                member
                    .map(|(key, value)| Ok((self.decoded(key)?, value)))
                    .transpose()
            })
            .transpose();
        if !matches!(item, Some(Ok(_))) {
            self.state = State::Done;
        }
        item
    }
}

/// A place in a text, and the moves over it.
#[derive(Debug)]
struct Walker<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Walker<'a> {
    fn malformed(&self) -> ProbeError {
        ProbeError::Malformed { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    /// The next byte that is not white space; stops in front of it.
    fn peek_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn colon(&mut self) -> Result<(), ProbeError> {
        if self.peek_token() != Some(b':') {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    /// Walks over the key of a nested object and its colon.
    fn key(&mut self) -> Result<(), ProbeError> {
        self.peek_token();
        self.string()?;
        self.colon()
    }

    /// Walks over one value of any kind. Does not recurse: the open containers are bits of a stack,
    /// set for an object.
    fn value(&mut self) -> Result<Raw<'a>, ProbeError> {
        let mut open: u128 = 0;
        let mut depth: u32 = 0;
        let Some(_) = self.peek_token() else {
            return Err(self.malformed());
        };
        let start = self.at;
        loop {
            match self.peek_token() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(ProbeError::TooDeep);
                    }
                    let object = bracket == b'{';
                    self.at += 1;
                    depth += 1;
                    open = open << 1 | u128::from(object);
                    if self.peek_token() != Some(bracket + 2) {
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.malformed()),
            }
            // Behind a value: close what ends here, until the next one begins.
            loop {
                if depth == 0 {
                    return Ok(Raw(&self.json[start..self.at]));
                }
                let object = open & 1 == 1;
                match self.peek_token() {
                    Some(b',') => {
                        self.at += 1;
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(self.malformed()),
                }
                self.at += 1;
                depth -= 1;
                open >>= 1;
            }
        }
    }

    fn literal(&mut self, text: &[u8]) -> Result<(), ProbeError> {
        if !self.json[self.at..].starts_with(text) {
            return Err(self.malformed());
        }
        self.at += text.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ProbeError> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.malformed());
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ProbeError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Walks over a string, from its opening quote to behind the closing one.
    fn string(&mut self) -> Result<(), ProbeError> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed());
        }
        self.at += 1;
        // Most strings of an envelope are short: for those, finding out how to search costs more than looking.
        for &byte in self.json[self.at..].iter().take(SHORT) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' | ..0x20 => break,
                _ => self.at += 1,
            }
        }
        loop {
            let rest = &self.json[self.at..];
            let Some(len) = memchr2(b'"', b'\\', rest) else {
                self.at = self.json.len();
                return Err(self.malformed());
            };
            if has_control(&rest[..len]) {
                return Err(self.malformed());
            }
            self.at += len + 1;
            if rest[len] == b'"' {
                return Ok(());
            }
            match self.peek() {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                Some(b'u') => {
                    let digits = self.json.get(self.at + 1..self.at + 5);
                    if !digits.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                        return Err(self.malformed());
                    }
                    self.at += 5;
                }
                _ => return Err(self.malformed()),
            }
        }
    }
}

/// Whether a control character, which a string must escape, is among the bytes. By blocks without an
/// early way out of a block, which the compiler turns into vector instructions.
fn has_control(bytes: &[u8]) -> bool {
    bytes
        .chunks(64)
        .any(|block| block.iter().fold(false, |any, &byte| any | (byte < 0x20)))
}

/// The text of a string literal, given with its quotes and known to be sound but for its Unicode.
fn decode(literal: &[u8]) -> Option<Cow<'_, str>> {
    let inner = literal.get(1..literal.len().checked_sub(1)?)?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(literal)
        .ok()
        .map(Cow::Owned)
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
