//! Durations and sizes as the configuration writes them: a whole number and a unit, nothing else, so that no one reads
//! `30` as seconds where minutes were meant.

use std::time::Duration;

use super::fault::{Wrong, quoted};

const DURATION: &str =
    "a whole number and a unit (ms, s, m, h, d), such as \"250ms\", \"4s\", \"10m\" or \"24h\"";
const SIZE: &str = "a whole number and a unit (B, KiB, MiB, GiB), such as \"64KiB\" or \"16MiB\"";

/// Milliseconds of each unit, largest first.
const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Bytes of each unit, largest first.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads `250ms`, `4s`, `10m`, `1h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    scaled(text, &DURATION_UNITS)
        .map(Duration::from_millis)
        .ok_or_else(|| Wrong::new(format!("{} is not a duration", quoted(text)), DURATION))
}

/// Reads `512B`, `64KiB`, `16MiB`, `1GiB`.
pub(super) fn size(text: &str) -> Result<usize, Wrong> {
    scaled(text, &SIZE_UNITS)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| Wrong::new(format!("{} is not a size", quoted(text)), SIZE))
}

/// A duration as [`duration`] reads it, in the largest unit that needs no fraction.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    show(millis, &DURATION_UNITS)
}

/// A size as [`size`] reads it.
pub(super) fn show_size(bytes: usize) -> String {
    show(bytes as u64, &SIZE_UNITS)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    // An empty number, and one too large, are no numbers.
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| amount != 0 && amount % factor == 0)
        .map_or_else(
            || format!("{amount}{}", units[units.len() - 1].0),
            |(name, factor)| format!("{}{name}", amount / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("4s", 4000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(show_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("16MiB", 16 << 20),
            ("0B", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "4",
            "s",
            " 4s",
            "4 s",
            "4s ",
            "-4s",
            "4.5s",
            "1h30m",
            "4S",
            "4sec",
            "99999999999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "16", "16MB", "16 MiB", "16mib", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
