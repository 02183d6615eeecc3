//! A directory for the demo's stores that goes with the demo.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A directory of one's own; dropping it removes it with everything in it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in the system's place for such (`$TMPDIR`), which only this user may read: stores hold what was said.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> io::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("a2a-sidecar-demo-{}", Uuid::new_v4().simple()));
        // Not recursive: a directory that is there already would be somebody else's.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // There is nothing left to be done about a directory that cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
