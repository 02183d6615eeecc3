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
        self.drawn = lines.iter().map(Line::width).collect();
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
