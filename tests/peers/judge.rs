//! Judges one cell: does what the requester heard say what the worker did?
//!
//! One rule for each mode. A rule gives every fault that it finds, in words.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::grid::Cell;
use crate::heard::{Known, News};
use crate::script::{Artifact, Script};

/// Answers that a long poll may take beyond one for each event: the send's own, and one that a change overtook.
const LONG_POLL_SLACK: usize = 3;

/// Seconds after which the sidecar announces a task for a worker that has not answered yet (`first_event_after`).
const FIRST_EVENT_AFTER: f64 = 1.0;

/// One thing that came to the requester, with how it came.
struct Item<'a> {
    via: &'a str,
    raw: &'a Value,
    news: News,
}

/// The faults of a cell, given the line that the client process wrote for it.
pub(crate) fn faults(cell: &Cell, line: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(error) = line["error"].as_str() {
        faults.push(error.to_owned());
    }
    let mut items = Vec::new();
    let mut streams: Vec<Vec<usize>> = vec![Vec::new()];
    for raw in line["heard"].as_array().into_iter().flatten() {
        let via = raw["via"].as_str().unwrap_or_default();
        if matches!(via, "dropped" | "follow-up") {
            streams.push(Vec::new());
            continue;
        }
        if let Some(problem) = raw["problem"].as_str() {
            faults.push(problem.to_owned());
            continue;
        }
        match News::read(&raw["body"]) {
            Ok(news) => {
                if via == "event"
                    && let Some(stream) = streams.last_mut()
                {
                    stream.push(items.len());
                }
                items.push(Item { via, raw, news });
            }
            Err(problem) => faults.push(problem),
        }
    }
    let script = Script::of(&cell.scenario);
    let judge = Judge {
        cell,
        script: &script,
        items: &items,
        streams: &streams,
    };
    faults.extend(judge.run());
    faults
}

struct Judge<'a> {
    cell: &'a Cell,
    script: &'a Script,
    items: &'a [Item<'a>],
    /// For each stream that was opened, which items came over it.
    streams: &'a [Vec<usize>],
}

impl Judge<'_> {
    fn run(&self) -> Vec<String> {
        if let Some(text) = &self.script.bare_message {
            return self.bare_message(text);
        }
        match self.cell.mode.as_str() {
            "blocking" => self.whole("answer"),
            "poll" => [self.unfinished_at_first(), self.whole("answer")].concat(),
            "long-poll" => [
                self.unfinished_at_first(),
                self.waits(),
                self.whole("answer"),
            ]
            .concat(),
            "stream" if self.cell.scenario == "cancel" => {
                [self.stream_form(), self.canceled()].concat()
            }
            "stream" | "resubscribe" => [
                self.stream_form(),
                self.every_state("event"),
                self.whole("event"),
            ]
            .concat(),
            "resume" => [
                self.stream_form(),
                self.event_ids(),
                self.every_state("event"),
                self.whole("event"),
            ]
            .concat(),
            "push-inline" => [self.webhook_form(), self.whole("webhook")].concat(),
            "push-set" => [self.webhook_form(), self.rest()].concat(),
            "cancel" => self.canceled(),
            other => vec![format!("no rule for mode {other}")],
        }
    }

    fn news(&self, via: &str) -> Vec<News> {
        self.items
            .iter()
            .filter(|item| item.via == via)
            .map(|item| item.news.clone())
            .collect()
    }

    /// All that the task did: every message once and in order, every artifact with its content, the end.
    fn whole(&self, via: &str) -> Vec<String> {
        let known = Known::from(&self.news(via));
        let mut faults = self.states_in_order(&known);
        faults.extend(different(
            "messages",
            &self.script.messages,
            &known.messages,
        ));
        faults.extend(different(
            "artifacts",
            &self.script.artifacts,
            &known.artifacts,
        ));
        faults.extend(
            known
                .bare_messages
                .iter()
                .map(|text| format!("a bare message: {text}")),
        );
        faults
    }

    /// States that were heard come in the script's order and end with its end; some may have been too short to see.
    fn states_in_order(&self, known: &Known) -> Vec<String> {
        let mut rest = self.script.states.iter();
        let in_order = known
            .states
            .iter()
            .all(|state| rest.any(|expected| expected == state));
        let ended = known.states.last().map(String::as_str) == Some(self.script.end());
        if in_order && ended {
            return Vec::new();
        }
        vec![format!(
            "states {:?}, expected {:?}",
            known.states, self.script.states
        )]
    }

    /// Over a stream every state is heard, not only some.
    fn every_state(&self, via: &str) -> Vec<String> {
        different(
            "states",
            &self.script.states,
            &Known::from(&self.news(via)).states,
        )
        .into_iter()
        .collect()
    }

    /// Just the message; or, when the worker took so long that a task had been announced already, that task with the
    /// message as its outcome.
    fn bare_message(&self, text: &str) -> Vec<String> {
        if let [
            Item {
                news: News::Message(heard),
                ..
            },
        ] = self.items
            && heard == text
        {
            return Vec::new();
        }
        let late = self.items.last().and_then(|item| item.raw["at"].as_f64());
        if late.is_none_or(|at| at < FIRST_EVENT_AFTER) {
            return vec![format!("expected just the message {text:?}")];
        }
        let all: Vec<News> = self.items.iter().map(|item| item.news.clone()).collect();
        let known = Known::from(&all);
        let parts: Vec<&Value> = known
            .artifacts
            .values()
            .flat_map(|artifact| &artifact.parts)
            .collect();
        let mut faults = Vec::new();
        faults.extend(different(
            "messages",
            &vec![text.to_owned()],
            &known.messages,
        ));
        faults.extend(different(
            "parts of artifacts",
            &vec![&json!({"text": text})],
            &parts,
        ));
        faults.extend(different(
            "the end",
            &Some("completed"),
            &known.states.last().map(String::as_str),
        ));
        faults
    }

    fn unfinished_at_first(&self) -> Vec<String> {
        match self.items.first() {
            Some(item) if !item.news.is_end_of_turn() || !self.script.gated => Vec::new(),
            Some(item) => vec![format!(
                "the send's answer is already {:?}",
                item.news.state()
            )],
            None => vec!["no answer".to_owned()],
        }
    }

    /// A long poll answers when something has changed, not over and over.
    fn waits(&self) -> Vec<String> {
        let (answers, most) = (self.items.len(), self.script.events + LONG_POLL_SLACK);
        if answers <= most {
            Vec::new()
        } else {
            vec![format!(
                "{answers} answers for {} events",
                self.script.events
            )]
        }
    }

    /// A send's stream starts with the task; each stream but a dropped one ends with the end of the turn, once.
    fn stream_form(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let first = self.streams[0].first().map(|&at| &self.items[at].news);
        if !matches!(first, Some(News::Task { .. })) {
            faults.push("the stream does not start with the task".to_owned());
        }
        let dropped = matches!(self.cell.mode.as_str(), "resubscribe" | "resume");
        for (index, stream) in self.streams.iter().enumerate() {
            let Some((&last, earlier)) = stream.split_last() else {
                faults.push("an empty stream".to_owned());
                continue;
            };
            let is_dropped = dropped && index == 0;
            if !is_dropped && !self.items[last].news.is_end_of_turn() {
                faults.push("a stream does not end with the end of the turn".to_owned());
            }
            // A snapshot that starts a follow-up's stream may still say what the last turn ended with.
            for &at in earlier.iter().skip(1) {
                if self.items[at].news.is_end_of_turn() {
                    faults.push("a stream goes on after the end of the turn".to_owned());
                }
            }
            for &at in stream {
                if let News::Status {
                    is_final: Some(is_final),
                    ..
                } = self.items[at].news
                    && is_final != self.items[at].news.is_end_of_turn()
                {
                    faults.push(format!(
                        "final: {is_final} on {:?}",
                        self.items[at].news.state()
                    ));
                }
            }
        }
        faults
    }

    fn event_ids(&self) -> Vec<String> {
        let ids: Vec<&str> = self
            .items
            .iter()
            .filter_map(|item| item.raw["id"].as_str())
            .collect();
        let distinct: HashSet<&str> = ids.iter().copied().collect();
        if ids.len() == self.items.len() && distinct.len() == ids.len() {
            return Vec::new();
        }
        vec![format!(
            "{} events have {} ids, {} of them distinct",
            self.items.len(),
            ids.len(),
            distinct.len()
        )]
    }

    /// Every webhook has the token; the last one, and only that, tells the end.
    fn webhook_form(&self) -> Vec<String> {
        let hooks: Vec<&Item<'_>> = self
            .items
            .iter()
            .filter(|item| item.via == "webhook")
            .collect();
        let mut faults = Vec::new();
        let token = format!("token-{}", self.cell.id);
        for wrong in hooks
            .iter()
            .map(|hook| &hook.raw["token"])
            .filter(|heard| **heard != token.as_str())
        {
            faults.push(format!("a webhook with the token {wrong}"));
        }
        let ends = hooks.iter().filter(|hook| hook.news.is_end()).count();
        if ends != 1 || !hooks.last().is_some_and(|hook| hook.news.is_end()) {
            faults.push(format!(
                "{ends} of {} webhooks tell the end, expected just the last one",
                hooks.len()
            ));
        }
        faults
    }

    /// What a config set midway must bring: all that came after it, and of what came before nothing or the last of it.
    fn rest(&self) -> Vec<String> {
        let known = Known::from(&self.news("webhook"));
        let mut faults = self.states_in_order(&known);
        let all = &self.script.messages;
        if !all.ends_with(&known.messages)
            || known.messages.len() < all.len() - self.script.messages_before_gate
        {
            faults.push(format!(
                "messages {:?}, expected the rest of {all:?}",
                known.messages
            ));
        }
        let none = Artifact {
            name: String::new(),
            parts: Vec::new(),
        };
        for (id, &after) in &self.script.parts_after_gate {
            let whole = &self.script.artifacts[id].parts;
            let heard = &known.artifacts.get(id).unwrap_or(&none).parts;
            if !whole.ends_with(heard) || heard.len() < after {
                faults.push(format!(
                    "artifact {id} {heard:?}, expected the rest of {whole:?}"
                ));
            }
        }
        faults
    }

    fn canceled(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let after_cancel = self.items.iter().skip_while(|item| item.via != "cancel");
        let states: Vec<_> = after_cancel.map(|item| item.news.state()).collect();
        if states.is_empty() || states.iter().any(|state| *state != Some("canceled")) {
            faults.push(format!("states {states:?} from the cancel on"));
        }
        let all: Vec<News> = self.items.iter().map(|item| item.news.clone()).collect();
        let known = Known::from(&all);
        let mut script = self.script.messages.iter();
        if !known
            .messages
            .iter()
            .all(|heard| script.any(|said| said == heard))
        {
            faults.push(format!(
                "messages {:?}, expected some of {:?}",
                known.messages, self.script.messages
            ));
        }
        faults.extend(self.states_in_order(&known));
        faults
    }
}

fn different<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    heard: &T,
) -> Option<String> {
    (expected != heard).then(|| format!("{what} {heard:?}, expected {expected:?}"))
}
