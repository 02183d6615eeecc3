//! What the strings of the configuration mean: addresses, URLs, modes, dialects, secrets. One function each, used for
//! the file and for the flags alike.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use toml::de::DeValue;
use url::Url;

use super::fault::{Wrong, quoted};
use super::walk::{nearest, string, wrong_type};
use crate::a2a::Dialect;
use crate::net::guard::AddressPolicy;
use crate::proxy::route::Observe;
use crate::source::Mode;
use crate::store::Sealer;

/// Looks up an environment variable; a parameter, so that a test has its own environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The most bytes of a file that holds a secret: a key or a token is far smaller, and the path may be wrong.
const MAX_SECRET_FILE: u64 = 64 << 10;

/// The key that webhooks are signed with, in the form of the Standard Webhooks scheme.
#[derive(Clone)]
pub struct SigningKey(SecretSlice<u8>);

impl SigningKey {
    /// The key's bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The key that secrets in the store are sealed with, in base64.
#[derive(Clone)]
pub struct SealingKey(SecretString);

impl SealingKey {
    /// The key, as `store::Sealer::from_base64` takes it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for SealingKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for SealingKey {}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// 32 bytes in base64.
pub(super) fn sealing_key(secret: SecretString) -> Result<SealingKey, Wrong> {
    match Sealer::from_base64(secret.expose_secret()) {
        Ok(_) => Ok(SealingKey(secret)),
        Err(_) => Err(Wrong::new(
            "is not a sealing key",
            "32 bytes in base64, as made by: openssl rand -base64 32",
        )),
    }
}

/// A file that can be read, or made: it is not there, and its folder is.
pub(super) fn readable_or_new(path: &str) -> Result<PathBuf, Wrong> {
    let file = PathBuf::from(path);
    if path.is_empty() || file.exists() {
        return readable(path);
    }
    // The parent of a bare name is the empty path: the working directory.
    let folder = file.parent().unwrap_or(&file);
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(file);
    }
    Err(Wrong::bare(format!(
        "{} cannot be made: its folder is missing",
        quoted(path)
    )))
}

/// An address and a port.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        Wrong::new(
            format!("{} is not an address to listen on", quoted(text)),
            "an IP address and a port, such as \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::]:8080\"",
        )
    })
}

/// An address and a port, or nothing: off.
pub(super) fn listen_or_off(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    listen(text).map(Some).map_err(|wrong| {
        let allowed = wrong.allowed.unwrap_or_default();
        Wrong::new(wrong.what, format!("{allowed}, or \"\" for none"))
    })
}

/// The worker's address.
pub(super) fn worker_url(text: &str) -> Result<Url, Wrong> {
    let url = http_url(text, "http://127.0.0.1:9999")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new(
            "holds a user name or password",
            "the URL without them; put credentials into `headers`, such as \
             headers = { authorization = { env = \"WORKER_AUTHORIZATION\" } }",
        ));
    }
    Ok(url)
}

/// An address at which others reach the sidecar, without a slash at the end.
pub(super) fn public_url(text: &str) -> Result<String, Wrong> {
    let url = http_url(text, "https://agents.example.com")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new(
            "holds a user name or password",
            "the URL without them: it is published in agent cards",
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The URL itself is not repeated in a fault: it may hold credentials.
fn http_url(text: &str, example: &str) -> Result<Url, Wrong> {
    let allowed = || format!("an http or https URL, such as \"{example}\"");
    let url = Url::parse(text)
        .map_err(|error| Wrong::new(format!("is not a URL ({error})"), allowed()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Wrong::new("is not an http or https URL", allowed()));
    }
    if url.query().is_some() {
        return Err(Wrong::new("holds a query", "the URL up to the `?`"));
    }
    if url.fragment().is_some() {
        return Err(Wrong::new("holds a fragment", "the URL up to the `#`"));
    }
    Ok(url)
}

/// Where a store is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// In memory: gone with the process.
    Memory,
    /// In an SQLite file. Its folder is made when it is opened.
    Sqlite(PathBuf),
}

/// `memory:` or `sqlite:PATH`.
pub(super) fn store_url(text: &str) -> Result<StoreUrl, Wrong> {
    if text == "memory:" {
        return Ok(StoreUrl::Memory);
    }
    match text.strip_prefix("sqlite:") {
        // A double slash would be read as the start of a host by habit, and is a path by the letter: neither is meant
        // for sure.
        Some(path) if !path.is_empty() && !path.starts_with("//") => {
            Ok(StoreUrl::Sqlite(PathBuf::from(path)))
        }
        _ => Err(Wrong::new(
            "is not a store",
            "\"sqlite:PATH\", such as \"sqlite:/var/lib/a2a-sidecar/tasks.db\", or \"memory:\"",
        )),
    }
}

/// An entry of the list of hosts and nets that webhooks may go to.
pub(super) fn webhook_target(text: &str) -> Result<String, Wrong> {
    AddressPolicy::allowing([text])
        .map(|_| text.trim().to_owned())
        .map_err(|_| {
            Wrong::new(
                format!("{} is no address, net or host", quoted(text)),
                "an address (10.1.2.3), a net (10.0.0.0/8), or a host name with an optional port \
                 (receiver.internal:8443)",
            )
        })
}

/// A mode's name.
pub(super) fn mode(text: &str) -> Result<Mode, Wrong> {
    Mode::from_name(text).ok_or_else(|| unknown(text, "a mode", &Mode::ALL.map(Mode::name)))
}

/// A dialect's name.
pub(super) fn dialect(text: &str) -> Result<Dialect, Wrong> {
    Dialect::from_name(text)
        .ok_or_else(|| unknown(text, "a dialect", &Dialect::ALL.map(Dialect::name)))
}

/// A dialect's name, or `auto`: none.
pub(super) fn dialect_or_auto(text: &str) -> Result<Option<Dialect>, Wrong> {
    if text == "auto" {
        return Ok(None);
    }
    dialect(text).map(Some).map_err(|_| {
        let mut names = vec!["auto"];
        names.extend(Dialect::ALL.map(Dialect::name));
        unknown(text, "a dialect", &names)
    })
}

/// A truth value.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, Wrong> {
    match value {
        DeValue::Boolean(value) => Ok(*value),
        other => Err(wrong_type(other, "true or false")),
    }
}

/// `all`, or dialects in order of preference.
pub(super) fn serve(value: &DeValue<'_>) -> Result<Vec<Dialect>, Wrong> {
    const ALLOWED: &str = "\"all\", or a list of dialects";
    match value {
        DeValue::String(text) if text == "all" => Ok(Dialect::ALL.to_vec()),
        DeValue::Array(items) if items.is_empty() => {
            Err(Wrong::new("is empty", "\"all\", or at least one dialect"))
        }
        DeValue::Array(items) => {
            let dialects = items
                .iter()
                .map(|item| dialect(string(item.get_ref())?))
                .collect::<Result<Vec<_>, _>>()?;
            distinct(dialects)
        }
        DeValue::String(text) => Err(Wrong::new(format!("{text:?} is no list"), ALLOWED)),
        other => Err(wrong_type(other, ALLOWED)),
    }
}

/// `auto`, `off`, or modes in order of preference; in a flag they are separated by commas.
pub(super) fn observe_text(text: &str) -> Result<(Observe, Vec<Mode>), Wrong> {
    match text {
        "auto" => Ok((Observe::Auto, Vec::new())),
        "off" => Ok((Observe::Off, Vec::new())),
        _ => {
            let modes = text
                .split(',')
                .map(|name| mode(name.trim()).map_err(|_| observe_unknown(name.trim())))
                .collect::<Result<Vec<_>, _>>()?;
            Ok((Observe::Auto, distinct(modes)?))
        }
    }
}

/// The same in the file: a string or a list.
pub(super) fn observe(value: &DeValue<'_>) -> Result<(Observe, Vec<Mode>), Wrong> {
    match value {
        DeValue::String(text) => observe_text(text),
        DeValue::Array(items) if items.is_empty() => Err(Wrong::new(
            "is empty",
            "\"auto\", \"off\", or at least one mode",
        )),
        DeValue::Array(items) => {
            let modes = items
                .iter()
                .map(|item| {
                    let name = string(item.get_ref())?;
                    mode(name).map_err(|_| observe_unknown(name))
                })
                .collect::<Result<Vec<_>, _>>()?;
            Ok((Observe::Auto, distinct(modes)?))
        }
        other => Err(wrong_type(other, "\"auto\", \"off\", or a list of modes")),
    }
}

fn observe_unknown(name: &str) -> Wrong {
    let [a, b, c, d, e] = Mode::ALL.map(Mode::name);
    unknown(name, "a mode", &["auto", "off", a, b, c, d, e])
}

/// The list, if nothing is in it twice.
pub(super) fn distinct<T: PartialEq>(list: Vec<T>) -> Result<Vec<T>, Wrong> {
    let twice = (1..list.len()).any(|index| list[..index].contains(&list[index]));
    if twice {
        return Err(Wrong::new("names the same thing twice", "each name once"));
    }
    Ok(list)
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, Wrong> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            unknown(text, "a choice", &names)
        })
}

fn unknown(text: &str, kind: &str, names: &[&str]) -> Wrong {
    let allowed = names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let mut what = format!("{} is not {kind}", quoted(text));
    if let Some(near) = nearest(text, names) {
        what.push_str(&format!("; did you mean \"{near}\"?"));
    }
    Wrong::new(what, allowed)
}

/// A secret: the text itself, `{ env = "NAME" }` or `{ file = "PATH" }`. White space around what a file holds is
/// dropped, since editors end files with a line break.
pub(super) fn secret(value: &DeValue<'_>, env: Env<'_>) -> Result<SecretString, Wrong> {
    const ALLOWED: &str = "a string, { env = \"VARIABLE\" } or { file = \"PATH\" }";
    let table = match value {
        DeValue::String(text) => return Ok(SecretString::from(text.to_string())),
        DeValue::Table(table) => table,
        other => return Err(wrong_type(other, ALLOWED)),
    };
    let mut entries = table.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        return Err(Wrong::new("does not say where the secret is", ALLOWED));
    };
    let Some(text) = value.get_ref().as_str() else {
        return Err(Wrong::new("does not say where the secret is", ALLOWED));
    };
    match key.get_ref().as_ref() {
        "env" => match env(text) {
            Some(secret) if !secret.trim().is_empty() => Ok(SecretString::from(secret)),
            _ => Err(Wrong::bare(format!(
                "the environment variable {} is not set",
                quoted(text)
            ))),
        },
        "file" => secret_file(text),
        _ => Err(Wrong::new("does not say where the secret is", ALLOWED)),
    }
}

/// The secret in a file.
pub(super) fn secret_file(path: &str) -> Result<SecretString, Wrong> {
    use std::io::Read as _;

    let unreadable = |reason: String| Wrong::bare(format!("{} {reason}", quoted(path)));
    let mut held = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE + 1).read_to_string(&mut held))
        .map_err(|error| unreadable(format!("cannot be read: {}", error.kind())))?;
    if held.len() as u64 > MAX_SECRET_FILE {
        return Err(unreadable("is too large for a secret".to_owned()));
    }
    let held = SecretString::from(held.trim());
    if held.expose_secret().is_empty() {
        return Err(unreadable("is empty".to_owned()));
    }
    Ok(held)
}

/// A file that can be read now; what is in it is the reader's matter.
pub(super) fn readable(path: &str) -> Result<PathBuf, Wrong> {
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(meta) if meta.is_file() => Ok(PathBuf::from(path)),
        Ok(_) => Err(Wrong::bare(format!("{} is not a file", quoted(path)))),
        Err(error) => Err(Wrong::bare(format!(
            "{} cannot be read: {}",
            quoted(path),
            error.kind()
        ))),
    }
}

/// `whsec_` and the key in base64.
pub(super) fn signing_key(secret: &SecretString) -> Result<SigningKey, Wrong> {
    /// The bounds of the Standard Webhooks scheme.
    const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
    secret
        .expose_secret()
        .trim()
        .strip_prefix("whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .filter(|bytes| BYTES.contains(&bytes.len()))
        .map(|bytes| SigningKey(SecretSlice::from(bytes)))
        .ok_or_else(|| {
            Wrong::new(
                "is not a signing key",
                "`whsec_` and 24 to 64 bytes in base64, as made by: echo \"whsec_$(openssl rand -base64 32)\"",
            )
        })
}
