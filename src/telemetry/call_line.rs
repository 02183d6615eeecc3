//! The line of a finished call as JSON, written straight: there is one for each request, and the general way of writing
//! events costs several times as much. Any other event goes that way.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::event::CALL_TARGET;

/// Writes finished calls by itself and everything else by `others`.
pub struct CallLines<F> {
    others: F,
}

impl<F> CallLines<F> {
    /// Beside this format, whose lines those of calls resemble: members `timestamp`, `level`, the event's own, `target`.
    pub fn beside(others: F) -> Self {
        Self { others }
    }
}

/// Kept by each thread, so that a line allocates nothing.
#[derive(Default)]
struct Scratch {
    line: String,
    /// The date and time of `second`, up to the second.
    date: String,
    second: i64,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<S, N, F> FormatEvent<S, N> for CallLines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != CALL_TARGET {
            return self.others.format_event(context, writer, event);
        }
        SCRATCH.with(|scratch| {
            // Borrowed already only if a field's value logs while it is formatted.
            let Ok(mut scratch) = scratch.try_borrow_mut() else {
                return self.others.format_event(context, writer, event);
            };
            scratch.begin(SystemTime::now());
            let line = &mut scratch.line;
            line.push_str(",\"level\":\"");
            line.push_str(event.metadata().level().as_str());
            line.push('"');
            event.record(&mut Members(line));
            line.push_str(",\"target\":\"");
            line.push_str(CALL_TARGET);
            line.push_str("\"}\n");
            writer.write_str(line)
        })
    }
}

impl Scratch {
    /// Empties the line and writes the time.
    fn begin(&mut self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        if self.second != second || self.date.is_empty() {
            self.date.clear();
            let date = jiff::Timestamp::from_second(second).unwrap_or_default();
            // A string takes whatever is written to it, here and below.
            let _ = write!(self.date, "{}", date.strftime("%Y-%m-%dT%H:%M:%S"));
            self.second = second;
        }
        self.line.clear();
        self.line.push_str("{\"timestamp\":\"");
        self.line.push_str(&self.date);
        self.line.push('.');
        push_micros(&mut self.line, since.subsec_micros());
        self.line.push_str("Z\"");
    }
}

/// Six digits. By hand, here and below: the general way of formatting a number costs as much as all else in a line.
fn push_micros(line: &mut String, micros: u32) {
    let mut unit = 100_000;
    while unit > 0 {
        line.push(char::from(b'0' + (micros / unit % 10) as u8));
        unit /= 10;
    }
}

fn push_number(line: &mut String, mut number: u64) {
    // As many digits as the largest has.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// Adds each field as a member.
struct Members<'a>(&'a mut String);

impl Members<'_> {
    fn name(&mut self, field: &Field) {
        self.0.push_str(",\"");
        self.0.push_str(field.name());
        self.0.push_str("\":");
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // Durations in seconds are what there is; to the microsecond.
        let micros = (value * 1e6).round();
        if (0.0..1e15).contains(&micros) {
            let micros = micros as u64;
            self.name(field);
            push_number(self.0, micros / 1_000_000);
            self.0.push('.');
            push_micros(self.0, (micros % 1_000_000) as u32);
        } else if value.is_finite() {
            self.plain(field, value);
        } else {
            self.plain(field, "null");
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        push_number(self.0, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.0.push('"');
        let _ = Escaped(self.0).write_str(value);
        self.0.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.0.push('"');
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push('"');
    }
}

/// Writes what stands inside a JSON string.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        // All of them, since nearly no text has one: without a way out in the middle, many bytes are looked at at once.
        if !text
            .bytes()
            .fold(false, |found, byte| found | special(byte))
        {
            self.0.push_str(text);
            return Ok(());
        }
        for char in text.chars() {
            match char {
                '"' | '\\' => {
                    self.0.push('\\');
                    self.0.push(char);
                }
                '\n' => self.0.push_str("\\n"),
                '\0'..'\x20' => write!(self.0, "\\u{:04x}", u32::from(char))?,
                _ => self.0.push(char),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_would_break_the_string_is_escaped() {
        let text = "plain \"quoted\" back\\slash\nline\ttab\u{1}é";
        let mut line = String::from("\"");
        Escaped(&mut line).write_str(text).unwrap();
        line.push('"');
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn the_time_is_in_utc_to_the_microsecond_and_moves_on() {
        let mut scratch = Scratch::default();
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_767_225_599_000_042, "2025-12-31T23:59:59.000042Z"),
            (1_767_225_599_999_999, "2025-12-31T23:59:59.999999Z"),
            (1_767_225_600_000_000, "2026-01-01T00:00:00.000000Z"),
        ] {
            scratch.begin(UNIX_EPOCH + Duration::from_micros(micros));
            assert_eq!(scratch.line, format!("{{\"timestamp\":\"{expected}\""));
        }
    }
}
