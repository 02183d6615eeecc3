//! When two messages are one, and how the messages that somebody reports fit between those already known.
//!
//! A task's *timeline* is its history followed by the message of its status. Workers differ in when a status's message
//! enters the history (at once, when it is superseded, never), so timelines are compared, not histories.

use crate::a2a::{Message, Role, Task};

/// Whether two messages are the same one: by speaker (some agents answer under the id of the request) and id, or where
/// neither has an id, by speaker and content.
pub(super) fn same(a: &Message, b: &Message) -> bool {
    a.role == b.role
        && a.message_id == b.message_id
        && (!a.message_id.is_empty() || a.parts == b.parts)
}

/// Whether the history holds this message. Without an id a message may rightly be said twice ("Thinking"), so only the
/// speaker's latest is compared then.
pub(super) fn is_recorded(history: &[Message], message: &Message) -> bool {
    said_before(history.iter(), message)
}

/// Whether the task holds this message, in its history or its status.
pub(super) fn is_known(task: &Task, message: &Message) -> bool {
    is_recorded(&task.history, message)
        || task
            .status
            .message
            .as_ref()
            .is_some_and(|known| same(known, message))
}

/// Whether the history holds the message of the status. Only an agent says the same anew as a status: another's, without
/// an id, may have been put into the history before others of its speaker, and is not said again by being superseded.
pub(super) fn is_settled(history: &[Message], status: &Message) -> bool {
    is_recorded(history, status)
        || (status.role != Role::Agent
            && status.message_id.is_empty()
            && history.iter().any(|known| same(known, status)))
}

/// The history, then the status's message where the history does not hold it.
pub(super) fn timeline(task: &Task) -> Vec<&Message> {
    let status = task
        .status
        .message
        .as_ref()
        .filter(|message| !is_settled(&task.history, message));
    task.history.iter().chain(status).collect()
}

/// What the speaker sees of messages that are not known when nothing comes after them in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanchored {
    /// They come after everything known.
    Newest,
    /// They come after everything known if the report goes as far as that, else before what it does not know of.
    NewestIfComplete,
    /// They come before what the report does not know of.
    Old,
}

/// Messages that were not known, by where they belong.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Merged<'a> {
    /// Before the known message of this index (its count: after all of them), in order.
    pub(super) earlier: Vec<(usize, &'a Message)>,
    /// After all that is known, in order.
    pub(super) newer: Vec<&'a Message>,
    /// There are older ones of which nothing says where they belong.
    pub(super) misplaced: bool,
}

/// Fits the reported messages between the known ones: those that both have are the anchors, and between two anchors what
/// was known comes first. Nothing known is ever moved or removed: reports may be cut short (`historyLength`).
///
/// `status` is the message of the report's status. Where among the others a worker lists it says nothing, so it does not
/// come between a message without an id and its repeat, nor is it an anchor where what it would pass over is reported
/// after it: or these would be one message in a report that brings the status, and two when the same report comes again.
pub(super) fn merge<'a>(
    known: &[&Message],
    reported: &[&'a Message],
    status: Option<&Message>,
    unanchored: Unanchored,
) -> Merged<'a> {
    let aside = status.filter(|status| !status.message_id.is_empty() || status.role != Role::Agent);
    let mut merged = Merged::default();
    let mut gap: Vec<&'a Message> = Vec::new();
    // What is known up to the last anchor, with the new messages at their places.
    let mut woven: Vec<&Message> = Vec::with_capacity(known.len());
    let mut next = 0;
    let mut found = vec![false; known.len()];
    let mut previous: Option<&Message> = None;
    for (index, &message) in reported.iter().enumerate() {
        let is_aside = aside.is_some_and(|aside| same(aside, message));
        // Said twice in a row, whatever is known.
        let repeats = message.message_id.is_empty() && previous.is_some_and(|p| same(p, message));
        if !is_aside {
            previous = Some(message);
        }
        let ahead = known[next..].iter().position(|k| same(k, message));
        if let Some(offset) = ahead {
            let anchor = next + offset;
            if is_aside && shares(&known[next..anchor], &reported[index + 1..]) {
                found[anchor] = true;
                continue;
            }
            woven.extend(&known[next..anchor]);
            let placed = place(&mut woven, std::mem::take(&mut gap), aside);
            merged.earlier.extend(placed.map(|m| (anchor, m)));
            woven.push(known[anchor]);
            next = anchor + 1;
            found[anchor] = true;
        } else if let Some(out_of_order) =
            (0..next).find(|&at| !found[at] && same(known[at], message))
        {
            found[out_of_order] = true;
        } else if !repeats {
            gap.push(message);
        }
    }
    let newest = match unanchored {
        Unanchored::Newest => true,
        Unanchored::NewestIfComplete => next == known.len(),
        Unanchored::Old => false,
    };
    if newest {
        woven.extend(&known[next..]);
    }
    let placed = place(&mut woven, gap, aside);
    if newest {
        merged.newer = placed.collect();
    } else if next > 0 {
        merged.earlier.extend(placed.map(|m| (next, m)));
    } else {
        merged.misplaced = placed.len() > 0;
    }
    merged
}

/// Whether some message is in both.
fn shares(known: &[&Message], reported: &[&Message]) -> bool {
    reported
        .iter()
        .any(|message| known.iter().any(|known| same(known, message)))
}

/// Adds the messages to what comes before them, and gives those that are not said there already. Whether one is a repeat
/// can be told only at its place: between it and the message that it follows in the report, others may be known.
fn place<'k, 'a: 'k>(
    before: &mut Vec<&'k Message>,
    gap: Vec<&'a Message>,
    aside: Option<&Message>,
) -> std::vec::IntoIter<&'a Message> {
    let is_aside = |known: &Message| aside.is_some_and(|aside| same(aside, known));
    let mut placed = gap;
    placed.retain(|&message| {
        let named = !message.message_id.is_empty();
        let earlier = before.iter().copied();
        let counts = |known: &&Message| named || !is_aside(known) || same(known, message);
        let repeats = said_before(earlier.filter(counts), message);
        if !repeats {
            before.push(message);
        }
        !repeats
    });
    placed.into_iter()
}

/// Whether a message that has an earlier counterpart is that one again. Without an id only what the speaker said last is.
fn said_before<'a>(
    mut earlier: impl DoubleEndedIterator<Item = &'a Message>,
    message: &Message,
) -> bool {
    if message.message_id.is_empty() {
        earlier
            .rfind(|known| known.role == message.role)
            .is_some_and(|known| same(known, message))
    } else {
        earlier.any(|known| is_again(known, message))
    }
}

/// Requesters reuse ids, so only what says the same is a user's message again.
fn is_again(known: &Message, message: &Message) -> bool {
    same(known, message) && (message.role != Role::User || known.parts == message.parts)
}
