//! Where the table is shown: drawn again and again on a terminal, or line by line where there is none.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use super::board::{Board, Place};
use super::table::{Line, Style, seconds, table, told};

/// What is assumed of a terminal that does not tell its size, and of a file.
const USUAL: (usize, usize) = (80, 24);

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Terminals that know these show a frame only when it is whole; the others ignore them.
const FRAME_BEGINS: &str = "\x1b[?2026h";
const FRAME_ENDS: &str = "\x1b[?2026l";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// How to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether the table is drawn anew at its place.
    pub live: bool,
    /// Whether there are colours.
    pub colours: bool,
}

impl Look {
    /// The look for standard output. `plain` is the flag; `variable` reads the environment.
    #[must_use]
    pub fn choose(plain: bool, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let dumb = variable("TERM").is_some_and(|value| value == "dumb");
        let capable = terminal && !plain && !dumb;
        Self {
            // A log on the same terminal would run through the table.
            live: capable && !set("RUST_LOG"),
            colours: capable && !set("NO_COLOR"),
        }
    }
}

/// Shows the table; dropping it gives the terminal its cursor back.
pub struct Screen<W: Write> {
    out: W,
    look: Look,
    size: fn() -> (usize, usize),
    /// The widths of the lines that are on the terminal, the cursor being below the last.
    drawn: Vec<usize>,
    /// How much of each cell has been told.
    told: Vec<(usize, bool)>,
    cursor_hidden: bool,
}

impl Screen<io::Stdout> {
    /// A screen on standard output.
    #[must_use]
    pub fn new(plain: bool) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let look = Look::choose(plain, io::stdout().is_terminal(), variable);
        Self::on(io::stdout(), look, size)
    }
}

/// The columns and lines of the terminal.
fn size() -> (usize, usize) {
    match terminal_size::terminal_size_of(io::stdout()) {
        Some((terminal_size::Width(width), terminal_size::Height(height)))
            if width > 0 && height > 0 =>
        {
            (width.into(), height.into())
        }
        _ => {
            let columns = std::env::var("COLUMNS").ok();
            let columns = columns.and_then(|columns| columns.parse().ok());
            (columns.unwrap_or(USUAL.0), USUAL.1)
        }
    }
}

impl<W: Write> Screen<W> {
    /// A screen on anything.
    pub fn on(out: W, look: Look, size: fn() -> (usize, usize)) -> Self {
        Self {
            out,
            look,
            size,
            drawn: Vec::new(),
            told: vec![(0, false); Place::all().count()],
            cursor_hidden: false,
        }
    }

    /// Prints lines, below everything else.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub fn say(&mut self, lines: &[Line]) -> io::Result<()> {
        for line in lines {
            writeln!(self.out, "{}", line.paint(self.look.colours))?;
        }
        self.out.flush()
    }

    /// Shows what is new.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub fn show(&mut self, board: &Board, now: Duration) -> io::Result<()> {
        if self.look.live {
            let (width, height) = (self.size)();
            let mut lines = table(board, now, width);
            lines.push(Line::of(Style::Dim, format!(" {}", seconds(now))));
            // What scrolls out of a terminal cannot be drawn again; all of it comes at the end.
            lines.truncate(height.saturating_sub(1));
            self.draw(&lines, width)
        } else {
            self.tell(board)
        }
    }

    /// Shows how it ended: the whole table, for the last time.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub fn finish(&mut self, board: &Board, now: Duration) -> io::Result<()> {
        let (width, _) = (self.size)();
        let lines = table(board, now, width);
        if self.look.live {
            self.draw(&lines, width)?;
            self.drawn.clear();
            self.show_cursor()
        } else {
            self.tell(board)?;
            writeln!(self.out)?;
            self.say(&lines)
        }
    }

    /// Over what was drawn before, in one write, with nothing cleared before there is something in its place: so nothing
    /// flickers.
    fn draw(&mut self, lines: &[Line], width: usize) -> io::Result<()> {
        let mut frame = FRAME_BEGINS.to_owned();
        if !self.cursor_hidden {
            frame.push_str(HIDE_CURSOR);
            self.cursor_hidden = true;
        }
        // A terminal that has become narrower has broken the lines that it has.
        let up: usize = self
            .drawn
            .iter()
            .map(|drawn| drawn.div_ceil(width.max(1)).max(1))
            .sum();
        frame.push('\r');
        if up > 0 {
            frame.push_str(&format!("\x1b[{up}A"));
        }
        for line in lines {
            frame.push_str(&line.paint(self.look.colours));
            frame.push_str(CLEAR_LINE);
            frame.push('\n');
        }
        frame.push_str(CLEAR_BELOW);
        frame.push_str(FRAME_ENDS);
        // As painted: spaces at the end are not on the terminal.
        self.drawn = lines
            .iter()
            .map(|line| line.paint(false).chars().count())
            .collect();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    /// One line for each thing that has not been told.
    fn tell(&mut self, board: &Board) -> io::Result<()> {
        let mut new = Vec::new();
        for (place, told_of) in Place::all().zip(&mut self.told) {
            let cell = board.cell(place);
            let start = |time: String| {
                Line::of(Style::Plain, format!("{time:>6}  {:31}", place.to_string()))
            };
            for (at, news) in &cell.heard[told_of.0..] {
                let mut line = start(seconds(*at));
                line.extend(told(news));
                new.push((*at, line));
            }
            told_of.0 = cell.heard.len();
            let last = cell.heard.last().map_or(Duration::ZERO, |(at, _)| *at);
            if let Some(outcome) = &cell.outcome
                && !std::mem::replace(&mut told_of.1, true)
            {
                let line = match outcome {
                    Ok(()) => start(String::new()).and(Style::Green, "ok"),
                    Err(wrong) => start(String::new()).and(Style::Red, format!("WRONG: {wrong}")),
                };
                new.push((last, line));
            }
        }
        // In the order in which it was heard; of two heard at once, in that of the table.
        new.sort_by_key(|(at, _)| *at);
        let lines: Vec<_> = new.into_iter().map(|(_, line)| line).collect();
        self.say(&lines)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.cursor_hidden) {
            self.out.write_all(SHOW_CURSOR.as_bytes())?;
        }
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        // A terminal that has gone needs no cursor.
        let _ = self.show_cursor();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::a2a::TaskState;
    use crate::demo::board::News;

    const LIVE: Look = Look {
        live: true,
        colours: false,
    };

    fn heard(board: &mut Board, tenths: u64, state: TaskState) {
        let Some(place) = Place::all().last() else {
            panic!("there are cells");
        };
        let at = Duration::from_millis(100 * tenths);
        board.hear(place, at, News::Status(state, None));
    }

    /// What a terminal of 80 columns and 24 lines shows after these bytes: it knows what the screen uses.
    fn terminal(bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut lines = vec![String::new()];
        let mut at = 0;
        let mut rest = text.as_str();
        while let Some(char) = rest.chars().next() {
            rest = &rest[char.len_utf8()..];
            match char {
                '\r' => {}
                '\n' => {
                    at += 1;
                    if lines.len() <= at {
                        lines.push(String::new());
                    }
                }
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    let (code, after) = rest.split_at(end + 1);
                    rest = after;
                    match code {
                        "[K" => {}
                        "[J" => lines.truncate(at + 1),
                        _ if code.ends_with('A') => {
                            at -= code[1..end].parse::<usize>().unwrap();
                            lines.iter_mut().skip(at).for_each(String::clear);
                        }
                        _ => assert!(code.starts_with("[?"), "{code:?}"),
                    }
                }
                _ => lines[at].push(char),
            }
        }
        lines
    }

    #[test]
    fn a_live_table_stays_in_its_place_and_gives_the_cursor_back() {
        let mut out = Vec::new();
        let mut board = Board::default();
        let mut screen = Screen::on(&mut out, LIVE, || (80, 24));
        screen.say(&[Line::of(Style::Plain, "before")]).unwrap();
        for tenths in 0..3 {
            heard(&mut board, tenths, TaskState::Working);
            screen
                .show(&board, Duration::from_millis(100 * tenths))
                .unwrap();
        }
        heard(&mut board, 4, TaskState::Completed);
        screen.finish(&board, Duration::from_secs(1)).unwrap();
        screen.say(&[Line::of(Style::Plain, "after")]).unwrap();
        drop(screen);
        let shown = terminal(&out);
        let mut expected = vec!["before".to_owned()];
        let last = table(&board, Duration::from_secs(1), 80);
        expected.extend(last.iter().map(|line| line.paint(false)));
        expected.extend(["after".to_owned(), String::new()]);
        assert_eq!(shown, expected);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches(HIDE_CURSOR).count(), 1);
        assert!(text.rfind(SHOW_CURSOR) > text.rfind(HIDE_CURSOR));
    }

    #[test]
    fn a_screen_that_is_dropped_half_way_gives_the_cursor_back() {
        let mut out = Vec::new();
        let mut screen = Screen::on(&mut out, LIVE, || (80, 24));
        screen.show(&Board::default(), Duration::ZERO).unwrap();
        drop(screen);
        assert!(String::from_utf8(out).unwrap().ends_with(SHOW_CURSOR));
    }

    #[test]
    fn a_frame_is_never_higher_than_its_terminal() {
        let mut out = Vec::new();
        let mut screen = Screen::on(&mut out, LIVE, || (80, 10));
        screen.show(&Board::default(), Duration::ZERO).unwrap();
        drop(screen);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 9);
    }

    #[test]
    fn a_file_gets_each_thing_once_and_nothing_but_text() {
        let mut out = Vec::new();
        let look = Look {
            live: false,
            colours: false,
        };
        let mut board = Board::default();
        let mut screen = Screen::on(&mut out, look, || (80, 24));
        heard(&mut board, 1, TaskState::Submitted);
        screen.show(&board, Duration::ZERO).unwrap();
        screen.show(&board, Duration::ZERO).unwrap();
        heard(&mut board, 12, TaskState::Working);
        screen.show(&board, Duration::ZERO).unwrap();
        board.close(Duration::from_secs(20));
        screen.show(&board, Duration::ZERO).unwrap();
        drop(screen);
        let text = String::from_utf8(out).unwrap();
        let of_place: Vec<_> = text
            .lines()
            .filter(|line| line.contains("push, worker polls"))
            .collect();
        assert_eq!(
            of_place,
            [
                "  0.1s  push, worker polls             submitted",
                "  1.2s  push, worker polls             working",
                "        push, worker polls             WRONG: still waiting after 20 s",
            ]
        );
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn the_look_follows_the_flag_the_terminal_and_the_environment() {
        let look = |plain, terminal, name: &str, value: &str| {
            let look = Look::choose(plain, terminal, |asked| {
                (asked == name).then(|| value.to_owned())
            });
            (look.live, look.colours)
        };
        assert_eq!(look(false, true, "TERM", "xterm"), (true, true));
        assert_eq!(look(true, true, "TERM", "xterm"), (false, false));
        assert_eq!(look(false, false, "TERM", "xterm"), (false, false));
        assert_eq!(look(false, true, "TERM", "dumb"), (false, false));
        assert_eq!(look(false, true, "NO_COLOR", "1"), (true, false));
        assert_eq!(look(false, true, "NO_COLOR", ""), (true, true));
        assert_eq!(look(false, true, "RUST_LOG", "debug"), (false, true));
    }
}
