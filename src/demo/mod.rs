//! `a2a-sidecar demo`: the sidecar at work, for whoever has no agent at hand.
//!
//! Two workers that can do little each get a sidecar, and requesters ask both in every mode at once; a table shows what
//! each hears and when, and in the end it is judged. Everything runs in this process, on loopback ports, and leaves
//! nothing behind. Nothing of the proxy is special here: it is started as `run` starts it.

mod board;
mod by_hand;
mod receiver;
mod requester;
mod scratch;
mod screen;
mod server;
mod stage;
mod table;
mod worker;

use std::io::{self, Stdout, Write as _};
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::cli::{DemoArgs, exit};
use crate::telemetry::{self, LogFormat, Metrics};
use board::{Board, Place};
use requester::{Ear, Requester, Update};
use screen::Screen;
use stage::Stage;
use table::{Line, Style, told};
use worker::Ability;

/// The longest that the demo may take: six times the job that it shows, for slow machines.
const DEADLINE: Duration = Duration::from_secs(20);

/// How often the table is drawn: as often as its spinners turn.
const FRAME: Duration = Duration::from_millis(100);

/// The most news on their way to the table; requesters wait beyond that. More than all of them ever hear.
const NEWS: usize = 128;

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Stage(#[from] stage::Error),
    #[error("{0}")]
    Telemetry(#[from] telemetry::Error),
    #[error("no client can be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    #[error("nobody reads what the demo says: {0}")]
    Output(#[from] io::Error),
}

/// Runs the demo; gives the process's exit code: [`exit::OK`] only if every requester heard what it should.
#[must_use]
pub fn run(args: &DemoArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            // Standard error may be closed; there is nowhere else to say so.
            let _ = writeln!(io::stderr(), "a2a-sidecar: no threads can be had: {error}");
            return exit::FAILED;
        }
    };
    let code = runtime.block_on(demo(args)).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "a2a-sidecar: {error}");
        exit::FAILED
    });
    // Everything has been stopped by now, or has failed to start.
    runtime.shutdown_background();
    code
}

async fn demo(args: &DemoArgs) -> Result<u8, Error> {
    // First, so that from now on no signal ends the process before it has cleaned up.
    let mut signals = Signals::new().map_err(Error::Signals)?;
    let _log = telemetry::init_log(LogFormat::Text, "off")?;
    crate::net::install_crypto_provider();
    let metrics = Metrics::install()?;
    let stage = Stage::start(&metrics).await?;
    let mut screen = Screen::new(args.plain);
    let code = tokio::select! {
        () = signals.next() => Ok(exit::FAILED),
        code = perform(&stage, &mut screen, args.hold) => code,
    };
    let code = match code {
        Ok(exit::OK) if args.hold => hold(&stage, &mut screen, &mut signals).await,
        code => code,
    };
    // It may have been left half-way; this gives the cursor back.
    drop(screen);
    stage.stop().await;
    code
}

/// The signals that end the demo.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            // The terminal has been closed.
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Lets all requesters ask at once and shows what they hear, until all have come to their end.
async fn perform(stage: &Stage, screen: &mut Screen<Stdout>, hold: bool) -> Result<u8, Error> {
    screen.say(&title())?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let started = Instant::now();
    let (table, mut news) = mpsc::channel(NEWS);
    let mut requesters = JoinSet::new();
    for place in Place::all() {
        let name = format!("{}-{}", place.mode.name(), place.worker.name());
        let requester = Requester {
            place,
            url: stage.url(place.worker),
            inbox: stage.receiver.open(&name),
            client: client.clone(),
            started,
            table: table.clone(),
        };
        requesters.spawn(requester.run());
    }
    // So that the news end with the last requester, even with one that panics.
    drop(table);

    let mut board = Board::default();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let watching = async {
        while !board.ended() {
            tokio::select! {
                update = news.recv() => match update {
                    Some(Update::Heard(place, at, news)) => board.hear(place, at, news),
                    Some(Update::Ended(place, ended)) => board.end(place, ended),
                    None => break,
                },
                _ = frames.tick() => screen.show(&board, started.elapsed())?,
            }
        }
        Ok::<_, io::Error>(())
    };
    let in_time = timeout_at(started + DEADLINE, watching).await;
    if let Ok(shown) = in_time {
        shown?;
    }
    let took = started.elapsed();
    board.close(took);
    screen.finish(&board, took)?;
    let (lines, code) = verdict(&board, took, hold);
    screen.say(&lines)?;
    Ok(code)
}

fn title() -> [Line; 3] {
    [
        Line::of(Style::Bold, " a2a-sidecar demo").and(
            Style::Dim,
            ": two workers that can do little, each behind a sidecar,",
        ),
        Line::of(
            Style::Dim,
            " and requesters that ask both in every mode at once (A2A 1.0).",
        ),
        Line::default(),
    ]
}

/// What to say in the end, and the exit code.
fn verdict(board: &Board, took: Duration, hold: bool) -> (Vec<Line>, u8) {
    let wrong = board.wrong();
    if wrong.is_empty() {
        let count = Place::all().count();
        let right = format!("all {count} cells ok");
        let mut lines = vec![Line::of(Style::Green, format!(" {right}")).and(
            Style::Plain,
            format!(
                " in {}: every mode, from workers that offer one.",
                table::seconds(took)
            ),
        )];
        if !hold {
            lines.push(Line::default());
            lines.push(Line::of(Style::Plain, " a2a-sidecar demo --hold").and(
                Style::Dim,
                "           keeps them running, to try with curl",
            ));
            lines.push(
                Line::of(Style::Plain, " a2a-sidecar --worker http://...")
                    .and(Style::Dim, "   does the same for your own agent"),
            );
        }
        return (lines, exit::OK);
    }
    let lines = wrong
        .into_iter()
        .map(|(place, wrong)| {
            let what = wrong.map_or_else(|| "no outcome".to_owned(), |wrong| wrong.to_string());
            Line::of(Style::Red, format!(" wrong: {place}")).and(Style::Plain, format!(": {what}"))
        })
        .collect();
    (lines, exit::FAILED)
}

/// Goes on until a signal, and shows the webhooks that somebody has ordered by hand.
async fn hold(
    stage: &Stage,
    screen: &mut Screen<Stdout>,
    signals: &mut Signals,
) -> Result<u8, Error> {
    let (webhook, mut inbox) = stage.receiver.open("by-hand");
    let [blocks, polls] = Ability::ALL.map(|ability| stage.url(ability));
    let commands = by_hand::commands(&blocks, &polls, &webhook);
    screen.say(&[
        Line::default(),
        Line::of(Style::Bold, " Try it by hand").and(Style::Dim, "; Ctrl-C ends it."),
        Line::default(),
    ])?;
    let lines: Vec<_> = commands
        .lines()
        .map(|line| {
            let comment = line.trim_start().starts_with('#');
            Line::of(if comment { Style::Dim } else { Style::Plain }, line)
        })
        .collect();
    screen.say(&lines)?;
    loop {
        tokio::select! {
            () = signals.next() => return Ok(exit::OK),
            event = inbox.recv() => match event {
                Some(event) => screen.say(&arrived(&event))?,
                // It stays open as long as the receiver.
                None => return Ok(exit::FAILED),
            },
        }
    }
}

fn arrived(event: &Value) -> Vec<Line> {
    let news = Ear::default().event(event);
    news.iter()
        .map(|news| {
            let mut line = Line::of(Style::Dim, " webhook: ");
            line.extend(told(news));
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::a2a::TaskState;
    use board::{News, Wrong};
    use worker::{ANSWER, PROGRESS};

    /// A board on which every cell heard everything, but for this one, whose answer is `answer`.
    fn board(odd: Place, answer: &str) -> Board {
        let mut board = Board::default();
        for place in Place::all() {
            let mut hear = |news| board.hear(place, Duration::ZERO, news);
            hear(News::Status(TaskState::Submitted, None));
            for said in PROGRESS {
                hear(News::Status(TaskState::Working, Some(said.to_owned())));
            }
            let answer = if place == odd { answer } else { ANSWER };
            hear(News::Artifact(answer.to_owned()));
            hear(News::Status(TaskState::Completed, None));
            board.end(place, Ok(()));
        }
        board
    }

    fn text(lines: &[Line]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| line.paint(false)).collect();
        lines.join("\n")
    }

    #[test]
    fn the_exit_code_is_0_only_if_every_cell_came_out_right() {
        for place in Place::all() {
            let (lines, code) = verdict(&board(place, ANSWER), Duration::ZERO, false);
            assert_eq!(code, exit::OK);
            assert!(text(&lines).contains("all 8 cells ok"));

            let (lines, code) = verdict(&board(place, "41"), Duration::ZERO, false);
            assert_eq!(code, exit::FAILED);
            assert_eq!(
                text(&lines),
                format!(" wrong: {place}: the artifact is \"41\", not \"42\"")
            );
        }
    }

    #[test]
    fn each_wrong_cell_is_named_with_its_fault() {
        let mut board = Board::default();
        for place in Place::all() {
            let refused = Wrong::Failed("refused: no".to_owned());
            board.end(place, Err(refused));
        }
        let (lines, code) = verdict(&board, Duration::ZERO, true);
        assert_eq!((code, lines.len()), (exit::FAILED, 8));
        let expected = " wrong: push, worker polls: refused: no";
        assert!(text(&lines).ends_with(expected), "{}", text(&lines));
    }

    #[tokio::test]
    async fn the_stage_leaves_nothing_behind() {
        crate::net::install_crypto_provider();
        let (_, metrics) = Metrics::recorder();
        let stage = Stage::start(&metrics).await.unwrap();
        let folder = stage.folder().to_owned();
        let addresses: Vec<_> = Ability::ALL.map(|ability| stage.url(ability)).to_vec();
        assert!(folder.join("blocks.db").exists());
        stage.stop().await;
        assert!(!folder.exists());
        for address in addresses {
            let address = address.trim_start_matches("http://");
            let listening = tokio::net::TcpStream::connect(address).await;
            assert!(listening.is_err(), "{address} still listens");
        }
    }
}
