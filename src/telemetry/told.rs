//! What is logged in a test.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::{LogFormat, subscriber};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged on this thread by the way, in this format and from this level on.
pub(crate) fn logged(format: LogFormat, filter: &str, tell: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = subscriber(format, filter, false, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(log, tell);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}
