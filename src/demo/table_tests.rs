//! The table at the widths that terminals have.

use super::*;
use crate::demo::board::Wrong;

/// A board on which everything has been heard as it should.
fn whole() -> Board {
    let mut board = Board::default();
    for place in Place::all() {
        let polls = place.worker == Ability::Polls;
        let mut tenths = 0;
        let mut hear = |wait, news| {
            tenths += wait;
            board.hear(place, Duration::from_millis(100 * tenths), news);
        };
        if place.mode != Mode::Blocking {
            hear(0, News::Status(TaskState::Submitted, None));
            for said in PROGRESS {
                hear(
                    if polls { 11 } else { 0 },
                    News::Status(TaskState::Working, Some(said.to_owned())),
                );
            }
        }
        hear(11, News::Artifact(ANSWER.to_owned()));
        hear(0, News::Status(TaskState::Completed, None));
        board.end(place, Ok(()));
    }
    board
}

fn shown(board: &Board, width: usize) -> Vec<String> {
    let lines = table(board, Duration::ZERO, width);
    lines.iter().map(|line| line.paint(false)).collect()
}

#[test]
fn at_80_columns_each_thing_has_its_line() {
    let expected = r#"
            a worker that only blocks         a worker that only polls
            and speaks A2A 1.0                and speaks A2A 0.3
 ─────────────────────────────────────────────────────────────────────────────
 blocking   ✓ 1.1s completed "42"             ✓ 1.1s completed "42"
 one answer

 poll       ✓ 0.0s submitted                  ✓ 0.0s submitted
 GetTask      working "reading"                 1.1s working "reading"
              working "computing"               2.2s working "computing"
              1.1s completed "42"               3.3s completed "42"

 stream     ✓ 0.0s submitted                  ✓ 0.0s submitted
 SSE          working "reading"                 1.1s working "reading"
              working "computing"               2.2s working "computing"
              1.1s completed "42"               3.3s completed "42"

 push       ✓ 0.0s submitted                  ✓ 0.0s submitted
 webhooks     working "reading"                 1.1s working "reading"
              working "computing"               2.2s working "computing"
              1.1s completed "42"               3.3s completed "42"
 ─────────────────────────────────────────────────────────────────────────────"#;
    assert_eq!(format!("\n{}", shown(&whole(), 80).join("\n")), expected);
}

#[test]
fn at_120_columns_several_things_share_a_line() {
    let lines = shown(&whole(), 120);
    let stream = lines
        .iter()
        .position(|line| line.starts_with(" stream "))
        .unwrap();
    assert_eq!(
        lines[stream..=stream + 1],
        [
            r#" stream     ✓ 0.0s submitted · working "reading"                 ✓ 0.0s submitted · 1.1s working "reading""#,
            r#" SSE          working "computing" · 1.1s completed "42"            2.2s working "computing" · 3.3s completed "42""#,
        ]
    );
    assert_eq!(lines.len(), 3 + 4 * 2 + 3 + 1);
}

#[test]
fn a_narrow_terminal_gets_the_workers_one_below_the_other() {
    for width in [40, 60] {
        let lines = shown(&whole(), width);
        let heads: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("a worker that only"))
            .collect();
        assert_eq!(heads.len(), 2, "{lines:#?}");
        let pushes = lines
            .iter()
            .filter(|line| line.starts_with(" push "))
            .count();
        assert_eq!(pushes, 2, "{lines:#?}");
        let ends = lines
            .iter()
            .filter(|line| line.contains(r#"completed "42""#))
            .count();
        assert_eq!(ends, 8, "{lines:#?}");
    }
}

#[test]
fn no_line_is_as_wide_as_its_terminal() {
    let mut board = whole();
    let place = Place::all().last().unwrap();
    let wrong = "a reason that is longer than a cell of any table can be ".repeat(4);
    board.hear(
        place,
        Duration::from_secs(1000),
        News::Artifact(wrong.clone()),
    );
    board.end(place, Err(Wrong::Failed(wrong)));
    for width in 0..200 {
        for line in table(&board, Duration::ZERO, width) {
            assert!(
                line.paint(false).chars().count() < width.max(1),
                "{width}: {line:?}"
            );
        }
    }
}

#[test]
fn the_height_does_not_change_while_all_goes_well() {
    for width in [50, 80, 100, 120, 160] {
        let heights =
            [Board::default(), whole()].map(|board| table(&board, Duration::ZERO, width).len());
        assert_eq!(heights[0], heights[1], "{width}");
    }
    // On the usual terminal, with the clock below it and a line for the cursor.
    assert!(table(&whole(), Duration::ZERO, 80).len() + 2 <= 24);
}

#[test]
fn a_cell_shows_how_it_came_out() {
    let mut board = Board::default();
    let mut places = Place::all();
    let (first, second) = (places.next().unwrap(), places.next().unwrap());
    board.end(first, Err(Wrong::Failed("refused".to_owned())));
    let row = |board: &Board| shown(board, 80)[3].clone();
    assert_eq!(
        row(&board),
        " blocking   ✗ refused                         ⠋ waiting"
    );
    board.hear(
        second,
        Duration::ZERO,
        News::Status(TaskState::InputRequired, None),
    );
    assert!(
        row(&board).ends_with("⠋ 0.0s input-required"),
        "{}",
        row(&board)
    );
}

#[test]
fn colours_are_told_only_to_who_wants_them() {
    let line = Line::of(Style::Green, "ok").and(Style::Plain, " now");
    assert_eq!(line.paint(false), "ok now");
    assert_eq!(line.paint(true), "\x1b[32mok\x1b[0m now");
}
