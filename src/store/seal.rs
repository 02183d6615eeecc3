//! Sealing what must not lie about in clear: credentials and push configs, before the store sees them.
//!
//! A sealed value is `version (1) ‖ key id (4) ‖ nonce (12) ‖ AES-256-GCM ciphertext and tag`. The nonce is random (a
//! key is good for 2^32 values), and the caller's context (which task, which config) is authenticated with the value,
//! so that one copied into another row does not open there. What this does not protect against: somebody who has the
//! key file too.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretSlice};
use sha2::{Digest, Sha256};

use super::Sealed;

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 32;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;

/// Why something could not be sealed, opened or prepared for it. Never says what the content or the key is.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file cannot be made or read.
    #[error("the key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others than the owner can read the key file.
    #[error(
        "the key file {} can be read by others (mode {mode:03o}): run `chmod 600` on it, and replace it if they may \
         have read it",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file does not hold a key.
    #[error(
        "the key file {} does not hold exactly {KEY_BYTES} bytes: restore it, or remove it to start with a new key, \
         which cannot open what the old one sealed",
        path.display()
    )]
    BadKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// The secret is not a key.
    #[error(
        "the secret is not the base64 of {KEY_BYTES} bytes (make one with `openssl rand -base64 32`)"
    )]
    BadSecret,
    /// The value is too short, or of a version that this binary does not know.
    #[error("the sealed value is not one of this version of the sidecar")]
    Unknown,
    /// The value was sealed with another key.
    #[error("the value was sealed with another key")]
    OtherKey,
    /// The value or its context is not what was sealed.
    #[error("the sealed value has been changed, or belongs elsewhere")]
    Forged,
    /// The system gives no random bytes, or the value is larger than the cipher takes.
    #[error("sealing failed")]
    Failed,
}

/// Seals and opens with one key.
pub struct Sealer {
    key: LessSafeKey,
    id: [u8; KEY_ID_BYTES],
    random: SystemRandom,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

type Key = SecretBox<[u8; KEY_BYTES]>;

impl Sealer {
    /// A sealer with the key in this file, which is made (mode 0600, in an existing folder) if it is not there.
    ///
    /// # Errors
    ///
    /// `Exposed` for a file that others can read, `BadKeyFile` for one that holds no key, `Io`.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Sealer, SealError> {
        let path = path.as_ref();
        let io = |source| SealError::Io {
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create_key_file(path)?;
                File::open(path).map_err(io)?
            }
            Err(error) => return Err(io(error)),
        };
        refuse_exposed(path, &file)?;
        Sealer::new(&read_key(path, file)?)
    }

    /// A sealer with a key that nobody will ever see again: for stores that end with the process.
    ///
    /// # Errors
    ///
    /// `Failed` when the system gives no random bytes.
    pub fn ephemeral() -> Result<Sealer, SealError> {
        Sealer::new(&random_key()?)
    }

    /// A sealer with a key given in base64 (standard or URL-safe, with or without padding; white space around it is
    /// no part of it).
    ///
    /// # Errors
    ///
    /// `BadSecret`.
    pub fn from_base64(secret: &str) -> Result<Sealer, SealError> {
        let secret = secret.trim();
        let mut bytes = SecretSlice::from(vec![0; secret.len()]);
        let length = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|alphabet| {
                alphabet
                    .decode_slice(secret, bytes.expose_secret_mut())
                    .ok()
            });
        if length != Some(KEY_BYTES) {
            return Err(SealError::BadSecret);
        }
        let mut key = Key::init_with_mut(|_| {});
        key.expose_secret_mut()
            .copy_from_slice(&bytes.expose_secret()[..KEY_BYTES]);
        Sealer::new(&key)
    }

    fn new(key: &Key) -> Result<Sealer, SealError> {
        let mut digest = Sha256::new();
        digest.update(b"a2a-sidecar key id");
        digest.update(key.expose_secret());
        let mut id = [0; KEY_ID_BYTES];
        for (to, from) in id.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        let key =
            UnboundKey::new(&AES_256_GCM, key.expose_secret()).map_err(|_| SealError::Failed)?;
        Ok(Sealer {
            key: LessSafeKey::new(key),
            id,
            random: SystemRandom::new(),
        })
    }

    /// Seals a value. The same context must be given to [`Sealer::open`].
    ///
    /// # Errors
    ///
    /// `Failed`.
    pub fn seal(&self, context: &[u8], value: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| SealError::Failed)?;
        let mut sealed = Vec::with_capacity(HEADER_BYTES + value.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                &mut sealed[HEADER_BYTES..],
            )
            .map_err(|_| SealError::Failed)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(Sealed(sealed))
    }

    /// Opens a value sealed with the same key and context.
    ///
    /// # Errors
    ///
    /// `Unknown`, `OtherKey`, `Forged`.
    pub fn open(&self, context: &[u8], sealed: &Sealed) -> Result<SecretSlice<u8>, SealError> {
        let (header, body) = sealed
            .0
            .split_at_checked(HEADER_BYTES)
            .ok_or(SealError::Unknown)?;
        let (version, header) = header.split_first().ok_or(SealError::Unknown)?;
        let (id, nonce) = header.split_at(KEY_ID_BYTES);
        if *version != VERSION {
            return Err(SealError::Unknown);
        }
        if id != self.id {
            return Err(SealError::OtherKey);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Unknown)?;
        // Each copy is exactly as long as its allocation, so that none is left behind in freed memory.
        let mut body = SecretSlice::from(body.to_vec());
        let value = self
            .key
            .open_in_place(nonce, Aad::from(context), body.expose_secret_mut())
            .map_err(|_| SealError::Forged)?;
        Ok(SecretSlice::from(value.to_vec()))
    }
}

fn random_key() -> Result<Key, SealError> {
    let mut key = Key::init_with_mut(|_| {});
    SystemRandom::new()
        .fill(key.expose_secret_mut())
        .map_err(|_| SealError::Failed)?;
    Ok(key)
}

/// Makes the file whole or not at all: a kill in between must not leave half a key, nor may two starts at once make
/// two keys of which one is lost.
fn create_key_file(path: &Path) -> Result<(), SealError> {
    let io = |source| SealError::Io {
        path: path.to_owned(),
        source,
    };
    let key = random_key()?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", uuid::Uuid::new_v4().simple()));
    let draft = PathBuf::from(draft);
    let made = write_draft(&draft, &key).and_then(|()| {
        // A link, unlike a rename, does not replace the key of whoever was quicker.
        match std::fs::hard_link(&draft, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    });
    let removed = std::fs::remove_file(&draft);
    made.and(removed).map_err(io)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        // So that the name, too, survives a power cut: without the key everything sealed is lost.
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
    }
    Ok(())
}

fn write_draft(draft: &Path, key: &Key) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(key.expose_secret())?;
    file.sync_all()
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, file: &File) -> Result<(), SealError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|source| SealError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(SealError::Exposed {
            path: path.to_owned(),
            mode,
        })
    }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &File) -> Result<(), SealError> {
    Ok(())
}

fn read_key(path: &Path, mut file: File) -> Result<Key, SealError> {
    let io = |source| SealError::Io {
        path: path.to_owned(),
        source,
    };
    if file.metadata().map_err(io)?.len() != KEY_BYTES as u64 {
        return Err(SealError::BadKeyFile {
            path: path.to_owned(),
        });
    }
    let mut key = Key::init_with_mut(|_| {});
    file.read_exact(key.expose_secret_mut()).map_err(io)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(sealer: &Sealer, context: &[u8], sealed: &Sealed) -> Vec<u8> {
        let value = sealer.open(context, sealed).expect("open");
        value.expose_secret().to_vec()
    }

    #[test]
    fn what_is_sealed_opens_again_and_never_looks_the_same_twice() {
        let sealer = Sealer::ephemeral().expect("a sealer");
        for value in [&b""[..], b"x", &[7; 100_000]] {
            let one = sealer.seal(b"task 1", value).expect("seal");
            let two = sealer.seal(b"task 1", value).expect("seal");
            assert_ne!(one, two);
            assert_eq!(opened(&sealer, b"task 1", &one), value);
            assert_eq!(opened(&sealer, b"task 1", &two), value);
        }
    }

    #[test]
    fn a_value_does_not_open_in_another_context() {
        let sealer = Sealer::ephemeral().expect("a sealer");
        let sealed = sealer.seal(b"task 1", b"secret").expect("seal");
        let result = sealer.open(b"task 2", &sealed);
        assert!(matches!(result, Err(SealError::Forged)));
    }

    #[test]
    fn no_changed_or_shortened_value_opens() {
        let sealer = Sealer::ephemeral().expect("a sealer");
        let sealed = sealer.seal(b"", b"secret").expect("seal");
        for at in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1;
            assert!(sealer.open(b"", &changed).is_err(), "byte {at} changed");
            let short = Sealed(sealed.0[..at].to_vec());
            assert!(sealer.open(b"", &short).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_key_and_another_version_are_told_from_forgery() {
        let sealer = Sealer::ephemeral().expect("a sealer");
        let other = Sealer::ephemeral().expect("a sealer");
        let mut sealed = sealer.seal(b"", b"secret").expect("seal");
        let result = other.open(b"", &sealed);
        assert!(matches!(result, Err(SealError::OtherKey)));
        sealed.0[0] = 2;
        let result = sealer.open(b"", &sealed);
        assert!(matches!(result, Err(SealError::Unknown)));
    }

    #[test]
    fn every_spelling_of_a_base64_secret_is_the_same_key() {
        let key = [0xfb; KEY_BYTES];
        let sealed = Sealer::from_base64(&STANDARD.encode(key))
            .and_then(|sealer| sealer.seal(b"", b"x"))
            .expect("seal");
        for secret in [
            STANDARD_NO_PAD.encode(key),
            URL_SAFE.encode(key),
            format!(" {}\n", URL_SAFE_NO_PAD.encode(key)),
        ] {
            let sealer = Sealer::from_base64(&secret).expect("a key");
            assert_eq!(opened(&sealer, b"", &sealed), b"x");
        }
        for bad in [
            "",
            "short",
            &STANDARD.encode([1; 31]),
            &STANDARD.encode([1; 33]),
        ] {
            let result = Sealer::from_base64(bad);
            assert!(matches!(result, Err(SealError::BadSecret)), "{bad}");
        }
    }

    #[test]
    fn neither_key_nor_content_is_in_debug_or_errors() {
        let secret = STANDARD.encode([b'k'; KEY_BYTES]);
        let sealer = Sealer::from_base64(&secret).expect("a key");
        let sealed = sealer.seal(b"context", b"content").expect("seal");
        let value = sealer.open(b"context", &sealed).expect("open");
        let error = sealer.open(b"other", &sealed).expect_err("another context");
        let bad = Sealer::from_base64("not-a-good-secret").expect_err("no key");
        let shown = format!("{sealer:?} {sealed:?} {value:?} {error:?} {error} {bad:?} {bad}");
        for hidden in ["kkk", "content", "107, 107", "not-a-good-secret"] {
            assert!(!shown.contains(hidden), "{hidden} is in {shown}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let first = Sealer::open_or_create(&path).expect("made");
        let sealed = first.seal(b"", b"x").expect("seal");
        let second = Sealer::open_or_create(&path).expect("read");
        assert_eq!(opened(&second, b"", &sealed), b"x");
        let left = std::fs::read_dir(folder.path()).expect("list").count();
        assert_eq!(left, 1, "no draft stays behind");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| {
                let metadata = std::fs::metadata(path).expect("metadata");
                metadata.permissions().mode() & 0o777
            };
            assert_eq!(mode(&path), 0o600);
            let readable = std::fs::Permissions::from_mode(0o640);
            std::fs::set_permissions(&path, readable).expect("chmod");
            let result = Sealer::open_or_create(&path);
            assert!(matches!(
                result,
                Err(SealError::Exposed { mode: 0o640, .. })
            ));
        }
    }

    #[test]
    fn starts_at_once_end_up_with_one_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let sealers: Vec<Sealer> = std::thread::scope(|scope| {
            let start = || Sealer::open_or_create(&path).expect("a sealer");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join();
            threads.into_iter().map(join).collect::<Result<_, _>>()
        })
        .expect("threads");
        let sealed = sealers[0].seal(b"", b"x").expect("seal");
        for sealer in &sealers {
            assert_eq!(opened(sealer, b"", &sealed), b"x");
        }
    }

    #[test]
    fn a_file_that_is_not_a_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        for length in [0, KEY_BYTES - 1, KEY_BYTES + 1] {
            let path = folder.path().join(length.to_string());
            std::fs::write(&path, vec![1; length]).expect("write");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let private = std::fs::Permissions::from_mode(0o600);
                std::fs::set_permissions(&path, private).expect("chmod");
            }
            let result = Sealer::open_or_create(&path);
            assert!(matches!(result, Err(SealError::BadKeyFile { .. })));
            assert_eq!(std::fs::read(&path).expect("read").len(), length);
        }
        let missing = folder.path().join("no/folder/key");
        let result = Sealer::open_or_create(missing);
        assert!(matches!(result, Err(SealError::Io { .. })));
    }
}
