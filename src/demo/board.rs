//! What the requesters have heard so far, and whether it is what they should hear. Pure: no I/O, no clock.

use std::time::Duration;

use super::worker::{ANSWER, Ability, PROGRESS};
use crate::a2a::TaskState;

/// How a requester asks: the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends and waits for the one answer.
    Blocking,
    /// Sends, and asks again and again.
    Poll,
    /// Sends and reads a stream.
    Stream,
    /// Sends an address along, and is called there.
    Push,
}

impl Mode {
    /// All, in the order of the rows.
    pub const ALL: [Self; 4] = [Self::Blocking, Self::Poll, Self::Stream, Self::Push];

    /// The row's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Poll => "poll",
            Self::Stream => "stream",
            Self::Push => "push",
        }
    }

    /// By what the requester hears, in a word or two.
    #[must_use]
    pub fn means(self) -> &'static str {
        match self {
            Self::Blocking => "one answer",
            Self::Poll => "GetTask",
            Self::Stream => "SSE",
            Self::Push => "webhooks",
        }
    }
}

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The row.
    pub mode: Mode,
    /// The column.
    pub worker: Ability,
}

impl Place {
    /// All cells, row by row.
    pub fn all() -> impl Iterator<Item = Self> {
        Mode::ALL
            .into_iter()
            .flat_map(|mode| Ability::ALL.map(|worker| Self { mode, worker }))
    }

    fn index(self) -> usize {
        self.mode as usize * Ability::ALL.len() + self.worker as usize
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, worker {}", self.mode.name(), self.worker.name())
    }
}

/// One thing that a requester has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// How the task stands, and what the worker says with it.
    Status(TaskState, Option<String>),
    /// An artifact's text, as far as it is known.
    Artifact(String),
}

/// A state's name as people say it, which is that of A2A 0.3: `input-required`.
#[must_use]
pub fn short(state: TaskState) -> String {
    let name = state.name();
    name.strip_prefix("TASK_STATE_")
        .unwrap_or(name)
        .to_lowercase()
        .replace('_', "-")
}

/// What went wrong in a cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The requester met an error.
    #[error("{0}")]
    Failed(String),
    /// The requester had not come to its end when the demo's time was over.
    #[error("still waiting after {} s", .0.as_secs())]
    Late(Duration),
    /// The last status is not that of a task that was done.
    #[error("ended {}, not completed", .0.map_or_else(|| "without a status".to_owned(), short))]
    NotCompleted(Option<TaskState>),
    /// There was news behind the end.
    #[error("heard more after the end")]
    AfterTheEnd,
    /// The first news was the end, for a requester that is to have a task at once.
    #[error("heard nothing before the end")]
    NothingBefore,
    /// Not the right content.
    #[error("the artifact is {0:?}, not {ANSWER:?}")]
    Artifact(String),
    /// Progress is missing, doubled or out of order.
    #[error("the progress heard is {0:?}, not {PROGRESS:?}")]
    Progress(Vec<String>),
}

/// What one requester has heard.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What, and when after the start.
    pub heard: Vec<(Duration, News)>,
    /// How it came out; none while it goes on.
    pub outcome: Option<Result<(), Wrong>>,
}

/// All cells.
#[derive(Clone, Debug)]
pub struct Board {
    cells: Vec<Cell>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            cells: Place::all().map(|_| Cell::default()).collect(),
        }
    }
}

impl Board {
    /// A cell.
    #[must_use]
    pub fn cell(&self, place: Place) -> &Cell {
        &self.cells[place.index()]
    }

    /// A requester has heard something.
    pub fn hear(&mut self, place: Place, at: Duration, news: News) {
        self.cells[place.index()].heard.push((at, news));
    }

    /// A requester has come to its end: by itself, or by an error.
    pub fn end(&mut self, place: Place, ended: Result<(), Wrong>) {
        let cell = &mut self.cells[place.index()];
        let outcome = ended.and_then(|()| judge(place.mode, &cell.heard));
        cell.outcome = Some(outcome);
    }

    /// The time is over: who has not come to an end is wrong.
    pub fn close(&mut self, after: Duration) {
        for cell in &mut self.cells {
            cell.outcome.get_or_insert(Err(Wrong::Late(after)));
        }
    }

    /// Whether every requester has come to its end.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.cells.iter().all(|cell| cell.outcome.is_some())
    }

    /// The cells that came out wrong, and those that have not come out.
    #[must_use]
    pub fn wrong(&self) -> Vec<(Place, Option<Wrong>)> {
        Place::all()
            .filter_map(|place| match &self.cell(place).outcome {
                Some(Ok(())) => None,
                Some(Err(wrong)) => Some((place, Some(wrong.clone()))),
                None => Some((place, None)),
            })
            .collect()
    }
}

/// Whether a requester of this mode has heard what it should: both workers tell all their progress, one of them at the
/// end, so that the column makes no difference.
fn judge(mode: Mode, heard: &[(Duration, News)]) -> Result<(), Wrong> {
    let last = heard.iter().rev().find_map(|(_, news)| match news {
        News::Status(state, _) => Some(*state),
        News::Artifact(_) => None,
    });
    if last != Some(TaskState::Completed) {
        return Err(Wrong::NotCompleted(last));
    }
    let end = heard
        .iter()
        .position(|(_, news)| matches!(news, News::Status(state, _) if state.is_terminal()));
    if end.is_some_and(|end| end + 1 < heard.len()) {
        return Err(Wrong::AfterTheEnd);
    }
    if mode != Mode::Blocking
        && !matches!(heard.first(), Some((_, News::Status(state, _))) if !state.is_terminal())
    {
        return Err(Wrong::NothingBefore);
    }
    let artifact = heard.iter().rev().find_map(|(_, news)| match news {
        News::Artifact(text) => Some(text.as_str()),
        News::Status(..) => None,
    });
    if artifact != Some(ANSWER) {
        return Err(Wrong::Artifact(artifact.unwrap_or_default().to_owned()));
    }
    // Who waits or looks now and then need not see every step.
    if matches!(mode, Mode::Stream | Mode::Push) {
        let said: Vec<_> = heard
            .iter()
            .filter_map(|(_, news)| match news {
                News::Status(_, said) => said.clone(),
                News::Artifact(_) => None,
            })
            .collect();
        if said != PROGRESS {
            return Err(Wrong::Progress(said));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: TaskState, says: Option<&str>) -> News {
        News::Status(state, says.map(str::to_owned))
    }

    fn right() -> Vec<News> {
        let mut news = vec![status(TaskState::Submitted, None)];
        news.extend(PROGRESS.map(|says| status(TaskState::Working, Some(says))));
        news.push(News::Artifact(ANSWER.to_owned()));
        news.push(status(TaskState::Completed, None));
        news
    }

    fn judged(mode: Mode, news: Vec<News>) -> Result<(), Wrong> {
        let heard: Vec<_> = news
            .into_iter()
            .map(|news| (Duration::ZERO, news))
            .collect();
        judge(mode, &heard)
    }

    #[test]
    fn who_hears_everything_is_right_in_every_mode() {
        for mode in Mode::ALL {
            assert_eq!(judged(mode, right()), Ok(()));
        }
    }

    #[test]
    fn the_outcome_alone_is_enough_for_blocking_only() {
        let outcome = || right().split_off(1 + PROGRESS.len());
        assert_eq!(judged(Mode::Blocking, outcome()), Ok(()));
        for mode in [Mode::Poll, Mode::Stream, Mode::Push] {
            assert_eq!(judged(mode, outcome()), Err(Wrong::NothingBefore));
        }
    }

    #[test]
    fn a_poller_may_miss_a_step_and_a_stream_or_a_webhook_may_not() {
        let mut news = right();
        news.remove(1);
        assert_eq!(judged(Mode::Poll, news.clone()), Ok(()));
        for mode in [Mode::Stream, Mode::Push] {
            assert!(matches!(
                judged(mode, news.clone()),
                Err(Wrong::Progress(_))
            ));
        }
        let mut doubled = right();
        doubled.insert(1, doubled[1].clone());
        assert!(matches!(
            judged(Mode::Stream, doubled),
            Err(Wrong::Progress(_))
        ));
        let mut swapped = right();
        swapped.swap(1, 2);
        assert!(matches!(
            judged(Mode::Push, swapped),
            Err(Wrong::Progress(_))
        ));
    }

    #[test]
    fn the_end_is_the_right_one_the_only_one_and_the_last() {
        let mut failed = right();
        failed.pop();
        assert_eq!(
            judged(Mode::Poll, failed.clone()),
            Err(Wrong::NotCompleted(Some(TaskState::Working)))
        );
        failed.push(status(TaskState::Failed, None));
        assert_eq!(
            judged(Mode::Blocking, failed),
            Err(Wrong::NotCompleted(Some(TaskState::Failed)))
        );
        assert_eq!(
            judged(Mode::Blocking, Vec::new()),
            Err(Wrong::NotCompleted(None))
        );
        let mut twice = right();
        twice.push(status(TaskState::Completed, None));
        assert_eq!(judged(Mode::Stream, twice), Err(Wrong::AfterTheEnd));
    }

    #[test]
    fn the_artifact_has_the_right_content() {
        let mut news = right();
        news[1 + PROGRESS.len()] = News::Artifact("41".to_owned());
        assert_eq!(
            judged(Mode::Blocking, news.clone()),
            Err(Wrong::Artifact("41".to_owned()))
        );
        news.remove(1 + PROGRESS.len());
        assert_eq!(
            judged(Mode::Blocking, news),
            Err(Wrong::Artifact(String::new()))
        );
    }

    #[test]
    fn a_cell_without_an_end_is_wrong_when_the_time_is_over() {
        let mut board = Board::default();
        for place in Place::all().skip(1) {
            for news in right() {
                board.hear(place, Duration::ZERO, news);
            }
            board.end(place, Ok(()));
        }
        assert!(!board.ended());
        let first = Place {
            mode: Mode::Blocking,
            worker: Ability::Blocks,
        };
        assert_eq!(board.wrong(), [(first, None)]);
        board.close(Duration::from_secs(9));
        assert!(board.ended());
        let [(place, Some(wrong))] = &board.wrong()[..] else {
            panic!("{:?}", board.wrong());
        };
        assert_eq!(
            format!("{place}: {wrong}"),
            "blocking, worker blocks: still waiting after 9 s"
        );
    }
}
