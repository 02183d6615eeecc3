//! The Ruby project's agent: A2A 1.0 over JSON-RPC, so there is no form of JSON here, only what its workers do in a way of
//! their own and where that is dealt with.
//!
//! - It streams only to who subscribes: `SendStreamingMessage` is refused (-32004) although the card says `streaming`. The
//!   refusal is taken as news of the send alone (`worker::Ability::Stream`); tasks go on being watched by `SubscribeToTask`
//!   (`worker::Ability::Subscribe`), after a send with `returnImmediately`.
//! - A subscription to a task that is over is answered with an error in plain JSON: the task is then read.
//! - Its streams need not carry artifacts, and its last message is in the history alone: the task is read once more before
//!   its end is told (`source::stream`). A published version does send an `artifactUpdate`; either is taken.
//! - A cancel does not stick: it goes on to work and to complete. The first end holds (`task::fold`).
//! - Push configs are refused (-32004): they are the sidecar's.
//!
//! Its transcripts are among the golden files of 1.0 (`tests/fixtures/v1_0/ruby.*`), an agent made after them among the
//! workers of the tests with real peers.
