//! Where log lines go: to one writer, many lines in one write. A line for each call, written by itself, would cost about
//! as much as passing the call.
//!
//! Warnings and errors, and whatever came before them, are written before the program goes on. The rest waits for a
//! moment, so a kill of the process may lose that moment's lines of level `info` and below, and nothing else.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for company: too short for a person to notice, long enough to make one write of the lines of
/// a busy sidecar.
const GATHER: Duration = Duration::from_millis(20);

/// How much waits at most. Whoever says more writes it out first: a slow reader of the log slows the sidecar down, as it
/// does without this, and no line is lost.
const MAX_WAITING: usize = 64 * 1024;

/// The log's writer. Clones are one.
#[derive(Clone)]
pub struct LogWriter {
    shared: Arc<Shared>,
}

/// Keeps the log going: dropped, it writes out what waits. From then on each line is written by itself.
#[must_use = "the log is written line by line once this is dropped"]
pub struct LogGuard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    /// Rung when the first line comes, and at the end.
    begun: Condvar,
    /// Locked before `waiting` is emptied, so that what was said first is written first.
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// The last full buffer, to be used again.
    spare: Vec<u8>,
    closed: bool,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Lines are added whole; a panic leaves nothing half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogWriter {
    /// A writer over `out`, and what keeps it going. If no thread can be had, lines are written one by one.
    pub fn new(out: impl Write + Send + 'static) -> (Self, LogGuard) {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            begun: Condvar::new(),
            out: Mutex::new(Box::new(out)),
        });
        let gathering = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || gathering.gather());
        let thread = thread.ok();
        lock(&shared.waiting).closed = thread.is_none();
        let guard = LogGuard {
            shared: Arc::clone(&shared),
            thread,
        };
        (Self { shared }, guard)
    }
}

impl Shared {
    fn say(&self, line: &[u8], at_once: bool) {
        let write = {
            let mut waiting = lock(&self.waiting);
            if waiting.lines.is_empty() && !at_once {
                self.begun.notify_one();
            }
            waiting.lines.extend_from_slice(line);
            at_once || waiting.closed || waiting.lines.len() >= MAX_WAITING
        };
        if write {
            self.write_out();
        }
    }

    fn write_out(&self) {
        let mut out = lock(&self.out);
        let mut lines = {
            let mut waiting = lock(&self.waiting);
            let spare = std::mem::take(&mut waiting.spare);
            std::mem::replace(&mut waiting.lines, spare)
        };
        // Standard error may be closed; there is nowhere else to say so.
        let _ = out.write_all(&lines).and_then(|()| out.flush());
        lines.clear();
        lock(&self.waiting).spare = lines;
    }

    /// Writes out what waits, a moment after its first line came, until the end.
    fn gather(&self) {
        loop {
            {
                let mut waiting = lock(&self.waiting);
                while waiting.lines.is_empty() && !waiting.closed {
                    waiting = self
                        .begun
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                if !waiting.closed {
                    // Wakes for the end only; lines may come meanwhile.
                    let closed = |waiting: &mut Waiting| !waiting.closed;
                    let (ended, _) = self
                        .begun
                        .wait_timeout_while(waiting, GATHER, closed)
                        .unwrap_or_else(PoisonError::into_inner);
                    waiting = ended;
                }
                if waiting.closed {
                    return;
                }
            }
            self.write_out();
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        lock(&self.shared.waiting).closed = true;
        self.shared.begun.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.write_out();
    }
}

/// One line on its way.
pub struct Line<'a> {
    shared: &'a Shared,
    at_once: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.say(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            shared: &self.shared,
            at_once: true,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line {
            shared: &self.shared,
            at_once: *meta.level() <= Level::WARN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

    /// Says what was written, write by write; a write waits until the one before was looked at, where it is bounded.
    struct Told(SyncSender<String>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer() -> (LogWriter, LogGuard, Receiver<String>) {
        let (told, heard) = sync_channel(1024);
        let (writer, guard) = LogWriter::new(Told(told));
        (writer, guard, heard)
    }

    #[test]
    fn lines_are_written_soon_and_in_order_by_themselves() {
        let (writer, _guard, heard) = writer();
        for round in 0..3 {
            for line in 0..100 {
                writer
                    .shared
                    .say(format!("{round}.{line}\n").as_bytes(), false);
            }
            let mut got = String::new();
            while got.lines().count() < 100 {
                got += &heard.recv_timeout(Duration::from_secs(10)).unwrap();
            }
            let expected: String = (0..100).map(|line| format!("{round}.{line}\n")).collect();
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_warning_is_out_when_it_has_been_said_and_brings_what_came_before() {
        let (writer, _guard, heard) = writer();
        writer.shared.say(b"before\n", false);
        writer.shared.say(b"warning\n", true);
        let got: String = heard.try_iter().collect();
        assert_eq!(got, "before\nwarning\n");
    }

    #[test]
    fn no_more_than_the_bound_waits() {
        let (writer, _guard, heard) = writer();
        let line = vec![b'x'; MAX_WAITING / 2];
        writer.shared.say(&line, false);
        writer.shared.say(&line, false);
        let got: usize = heard.try_iter().map(|written| written.len()).sum();
        assert_eq!(got, MAX_WAITING);
    }

    #[test]
    fn the_end_writes_what_waits_and_later_lines_at_once() {
        let (writer, guard, heard) = writer();
        writer.shared.say(b"last words\n", false);
        drop(guard);
        assert_eq!(heard.try_iter().collect::<String>(), "last words\n");
        writer.shared.say(b"afterwards\n", false);
        assert_eq!(heard.try_iter().collect::<String>(), "afterwards\n");
    }

    #[test]
    fn silence_writes_nothing() {
        let (_writer, _guard, heard) = writer();
        let silence = heard.recv_timeout(GATHER * 3);
        assert_eq!(silence, Err(RecvTimeoutError::Timeout));
    }
}
