//! Checks that a worker offers just the one mode that it is restricted to: otherwise the grid would prove nothing.
//!
//! Asks for every operation by hand, over the worker's own binding; `by_hand` knows how that is said.

use crate::by_hand::{Answer, Asker};
use crate::grid::Pair;

/// An operation that the workers offer under some restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Send,
    Stream,
    Get,
    Subscribe,
    SetPush,
    Cancel,
}

/// Every operation with the restrictions under which it is offered; all are where there is none.
const OFFERED: [(Operation, &[&str]); 6] = [
    (Operation::Send, &["blocking", "poll", "push"]),
    (Operation::Stream, &["stream"]),
    (Operation::Get, &["poll", "stream", "push"]),
    (Operation::Subscribe, &["stream"]),
    (Operation::SetPush, &["push"]),
    (Operation::Cancel, &["blocking", "poll", "stream", "push"]),
];

/// Asks the worker for every operation.
pub(crate) async fn check(url: &str, pair: &Pair) -> Result<(), String> {
    let asker = Asker::find(url, pair.worker).await?;
    let unrestricted = pair.restriction == "any";
    for (operation, under) in OFFERED {
        let answer = asker.ask(operation).await?;
        let expected = unrestricted || under.contains(&pair.restriction);
        if matches!(answer, Answer::Refused(_)) == expected {
            return Err(format!(
                "the worker's answer to {operation:?} is not that of a {} worker: {answer:?}",
                pair.restriction
            ));
        }
        // The asked-for task ends at once, so that only a worker which does not wait shows it unfinished. Whether one
        // waits that is not restricted is the requester's to say.
        if let Answer::Sent { over } = answer
            && !unrestricted
            && over != (pair.restriction == "blocking")
        {
            return Err(format!(
                "a {} worker waits, or does not: {answer:?}",
                pair.restriction
            ));
        }
    }
    Ok(())
}
