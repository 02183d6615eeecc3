//! The table as lines of text for a terminal of any width. Pure: what a terminal does with them is in [`super::screen`].

use std::fmt::Write as _;
use std::time::Duration;

use super::board::{Board, Cell, Mode, News, Place, short};
use super::worker::{ANSWER, Ability, JOB, PROGRESS};
use crate::a2a::TaskState;

/// Lines do not grow wider than this: the eye has to find its way from the name of a row to its cells.
const WIDEST: usize = 116;

/// A cell narrower than this cannot show one piece of news; the workers then stand one below the other.
const NARROWEST_CELL: usize = 28;

/// The names of the rows and the space behind them.
const LABEL: usize = 11;

/// The name of a row, and what it means.
const LABEL_LINES: usize = 2;

/// The space before everything.
const MARGIN: usize = 1;

/// The space between two cells.
const GAP: usize = 2;

/// The sign at the start of a cell and the space behind it.
const SIGN: usize = 2;

/// Between two pieces of news on one line.
const BETWEEN: &str = " · ";

/// The sign of a cell that goes on: these in turn.
const SPINNER: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇", "⠏", "⠙"];

/// How long each is shown.
const SPIN: Duration = Duration::from_millis(100);

/// How text is shown where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Of less importance.
    Dim,
    /// Headings.
    Bold,
    /// Under way.
    Cyan,
    /// Good.
    Green,
    /// Wrong.
    Red,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Cyan => "\x1b[36m",
            Self::Green => "\x1b[32m",
            Self::Red => "\x1b[31m",
        }
    }
}

/// Text in styles. Every character is taken to be one column wide; the demo says nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// Text in one style.
    pub fn of(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    /// The same with more text behind it.
    #[must_use]
    pub fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// Adds text behind it.
    pub fn extend(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// The columns that it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    fn padded(mut self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        if missing > 0 {
            self.0.push((Style::Plain, " ".repeat(missing)));
        }
        self
    }

    /// At most so many columns of it, with a sign that there was more.
    fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut left = width.saturating_sub(1);
        let mut cut = Self::default();
        for (style, text) in self.0 {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            cut.0.push((style, text));
        }
        if width > 0 {
            cut.0.push((Style::Dim, "…".to_owned()));
        }
        cut
    }

    /// The text as a terminal takes it, without spaces at the end.
    #[must_use]
    pub fn paint(&self, colours: bool) -> String {
        let mut painted = String::new();
        for (style, text) in &self.0 {
            let code = style.code();
            if colours && !code.is_empty() {
                // It cannot fail: a string grows.
                let _ = write!(painted, "{code}{text}\x1b[0m");
            } else {
                painted.push_str(text);
            }
        }
        painted.truncate(painted.trim_end().len());
        painted
    }
}

/// One thing heard, without its time.
#[must_use]
pub fn told(news: &News) -> Line {
    match news {
        News::Status(state, said) => {
            let style = match state {
                TaskState::Completed => Style::Green,
                TaskState::Failed | TaskState::Rejected | TaskState::Canceled => Style::Red,
                TaskState::Working => Style::Cyan,
                _ => Style::Plain,
            };
            let line = Line::of(style, short(*state));
            match said {
                Some(said) => line.and(Style::Plain, format!(" {said:?}")),
                None => line,
            }
        }
        News::Artifact(text) => Line::of(Style::Plain, format!("artifact {text:?}")),
    }
}

/// The table, in lines of less than `width` columns. `now` moves the signs of the cells that go on. Its height is what it
/// will be at the end from the start on, so that nothing jumps, unless something unexpected is heard.
#[must_use]
pub fn table(board: &Board, now: Duration, width: usize) -> Vec<Line> {
    // A line that fills its terminal leaves the cursor in a place that terminals do not agree on.
    let width = width.saturating_sub(1).min(WIDEST);
    let room = width.saturating_sub(MARGIN + LABEL);
    let cell = room.saturating_sub(GAP) / 2;
    if cell >= NARROWEST_CELL {
        return columns(board, now, &Ability::ALL, cell);
    }
    let mut lines = Vec::new();
    for worker in Ability::ALL {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(columns(board, now, &[worker], room));
    }
    lines.into_iter().map(|line| line.cut(width)).collect()
}

fn columns(board: &Board, now: Duration, workers: &[Ability], cell: usize) -> Vec<Line> {
    let start = |style, label: &str| Line::of(style, format!("{:MARGIN$}{label:LABEL$}", ""));
    let mut head = start(Style::Bold, "");
    let mut speaks = start(Style::Dim, "");
    for worker in workers {
        let name = format!("a worker that only {}", worker.name());
        head.extend(Line::of(Style::Bold, name).cut(cell).padded(cell + GAP));
        let version = format!("and speaks A2A {}", worker.version());
        speaks.extend(Line::of(Style::Dim, version).cut(cell).padded(cell + GAP));
    }
    let across = LABEL + workers.len() * (cell + GAP) - GAP;
    let rule = Line::of(Style::Dim, format!("{:MARGIN$}{}", "", "─".repeat(across)));
    let mut lines = vec![head, speaks, rule.clone()];
    for mode in Mode::ALL {
        let cells: Vec<_> = workers
            .iter()
            .map(|worker| {
                lines_of(
                    board.cell(Place {
                        mode,
                        worker: *worker,
                    }),
                    now,
                    cell,
                )
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for index in 0..height.max(expected_height(mode, cell)).max(LABEL_LINES) {
            let mut line = match index {
                0 => start(Style::Bold, mode.name()),
                1 => start(Style::Dim, mode.means()),
                _ => start(Style::Plain, ""),
            };
            for cell_lines in &cells {
                let part = cell_lines.get(index).cloned().unwrap_or_default();
                line.extend(part.padded(cell + GAP));
            }
            lines.push(line);
        }
        lines.push(Line::default());
    }
    lines.pop();
    lines.push(rule);
    lines
}

/// A cell's lines, its sign before the first.
fn lines_of(cell: &Cell, now: Duration, width: usize) -> Vec<Line> {
    let sign = match &cell.outcome {
        Some(Ok(())) => Line::of(Style::Green, "✓ "),
        Some(Err(_)) => Line::of(Style::Red, "✗ "),
        None => {
            let turn = now.as_millis() / SPIN.as_millis();
            let turn = usize::try_from(turn).unwrap_or(0) % SPINNER.len();
            Line::of(Style::Dim, format!("{} ", SPINNER[turn]))
        }
    };
    let mut pieces = pieces(cell);
    if let Some(Err(wrong)) = &cell.outcome {
        pieces.push(Line::of(Style::Red, wrong.to_string()));
    } else if pieces.is_empty() {
        pieces.push(Line::of(Style::Dim, "waiting"));
    }
    let flowed = flow(pieces, width.saturating_sub(SIGN));
    let mut sign = Some(sign);
    flowed
        .into_iter()
        .map(|rest| {
            let mut line = sign
                .take()
                .unwrap_or_else(|| Line::of(Style::Plain, " ".repeat(SIGN)));
            line.extend(rest);
            line
        })
        .collect()
}

/// What was heard, piece by piece. A time that is that of the piece before is left out, and an artifact stands with the
/// end that came right after it.
fn pieces(cell: &Cell) -> Vec<Line> {
    let mut pieces = Vec::new();
    let mut last_time = String::new();
    let mut heard = cell.heard.iter().peekable();
    while let Some((at, news)) = heard.next() {
        let (at, what) = match (news, heard.peek()) {
            (
                News::Artifact(text),
                Some((end, next @ News::Status(TaskState::Completed, None))),
            ) => {
                heard.next();
                (end, told(next).and(Style::Plain, format!(" {text:?}")))
            }
            _ => (at, told(news)),
        };
        let time = seconds(*at);
        let mut piece = Line::default();
        if time != last_time {
            piece.extend(Line::of(Style::Dim, format!("{time} ")));
        }
        last_time = time;
        piece.extend(what);
        pieces.push(piece);
    }
    pieces
}

/// Pieces on as few lines as they take; none is broken, but one that is too wide alone is cut.
fn flow(pieces: Vec<Line>, width: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for piece in pieces {
        let piece = piece.cut(width);
        match lines.last_mut() {
            Some(line) if line.width() + BETWEEN.chars().count() + piece.width() <= width => {
                line.extend(Line::of(Style::Dim, BETWEEN));
                line.extend(piece);
            }
            _ => lines.push(piece),
        }
    }
    lines
}

/// The lines that a cell takes when all goes as it should.
fn expected_height(mode: Mode, width: usize) -> usize {
    let mut cell = Cell::default();
    if mode != Mode::Blocking {
        cell.heard
            .push((Duration::ZERO, News::Status(TaskState::Submitted, None)));
        // Times of their own: the wider case.
        cell.heard.extend((1..).zip(PROGRESS).map(|(second, said)| {
            let news = News::Status(TaskState::Working, Some(said.to_owned()));
            (Duration::from_secs(second), news)
        }));
    }
    cell.heard.push((JOB, News::Artifact(ANSWER.to_owned())));
    cell.heard
        .push((JOB, News::Status(TaskState::Completed, None)));
    cell.outcome = Some(Ok(()));
    lines_of(&cell, JOB, width).len()
}

/// A time as it stands in the table.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
