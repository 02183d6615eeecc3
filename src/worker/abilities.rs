//! What a worker offers: its card's word, corrected by what is known of its kind and by what the wire has shown.

use std::sync::atomic::{AtomicU8, Ordering};

use super::Known;
use crate::a2a::Operation;

/// Something that a worker can or cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Take a plain send.
    Send,
    /// Answer a send at once when asked to.
    ReturnImmediately,
    /// Answer GetTask.
    Get,
    /// Stream.
    Stream,
    /// Post webhooks.
    Push,
    /// Answer ListTasks.
    List,
    /// Answer SubscribeToTask: some do who answer no send with a stream (the Ruby agent).
    Subscribe,
}

impl Ability {
    const COUNT: usize = 7;

    /// For logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Ability::Send => "send",
            Ability::ReturnImmediately => "return_immediately",
            Ability::Get => "get",
            Ability::Stream => "stream",
            Ability::Push => "push",
            Ability::List => "list",
            Ability::Subscribe => "subscribe",
        }
    }

    fn index(self) -> usize {
        match self {
            Ability::Send => 0,
            Ability::ReturnImmediately => 1,
            Ability::Get => 2,
            Ability::Stream => 3,
            Ability::Push => 4,
            Ability::List => 5,
            Ability::Subscribe => 6,
        }
    }
}

/// What a worker offers, as far as is known now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// A plain send is taken.
    pub send: bool,
    /// A send that asks for it is answered at once.
    pub return_immediately: bool,
    /// GetTask is answered.
    pub get: bool,
    /// Streams.
    pub stream: bool,
    /// Webhooks.
    pub push: bool,
    /// Calls to an address that comes with the send, when it is done: whether this one does, only time tells.
    pub callback: bool,
    /// A task that is under way can be watched.
    pub subscribe: bool,
    /// A stream is the best way for every send.
    pub streams_first: bool,
    /// ListTasks is answered.
    pub list: bool,
}

/// What the wire has shown: 0 nothing yet, 1 it can, 2 it cannot.
#[derive(Debug, Default)]
pub(super) struct Learned([AtomicU8; Ability::COUNT]);

impl Learned {
    /// Whether this is news.
    pub(super) fn set(&self, ability: Ability, can: bool) -> bool {
        let value = if can { 1 } else { 2 };
        let before = self.0[ability.index()].swap(value, Ordering::Relaxed);
        // That it can is only news where the opposite was believed.
        before != value && !(can && before == 0)
    }

    /// A new card may be that of a new worker.
    pub(super) fn forget(&self) {
        for slot in &self.0 {
            slot.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn abilities(&self, known: &Known) -> Abilities {
        let can = |ability: Ability, believed: bool| match self.0[ability.index()]
            .load(Ordering::Relaxed)
        {
            1 => true,
            2 => false,
            _ => believed,
        };
        let card = known.card.as_ref();
        let of_kind = &known.dialect.traits().worker;
        let streams = || card.is_some_and(|card| card.streaming);
        let pushes = || card.is_some_and(|card| card.push);
        let stream = can(Ability::Stream, of_kind.stream.unwrap_or_else(streams));
        Abilities {
            send: can(Ability::Send, true),
            return_immediately: can(
                Ability::ReturnImmediately,
                of_kind.return_immediately.unwrap_or(true),
            ),
            get: can(Ability::Get, of_kind.get.unwrap_or(true)),
            stream,
            callback: of_kind.callback.unwrap_or(false),
            subscribe: can(
                Ability::Subscribe,
                of_kind.subscribe.unwrap_or_else(|| {
                    of_kind.stream.unwrap_or_else(streams)
                        && known.dialect.supports(Operation::SubscribeToTask)
                }),
            ),
            streams_first: stream && of_kind.streams_first,
            push: can(Ability::Push, of_kind.push.unwrap_or_else(pushes)),
            list: can(Ability::List, known.dialect.supports(Operation::ListTasks)),
        }
    }
}
