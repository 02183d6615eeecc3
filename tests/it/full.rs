//! A store that is full: what cannot be kept is not acknowledged, and what is kept is served.

use crate::scene::{Conf, only};
use crate::support::client::SendOptions;
use crate::support::protocol::Version;
use crate::support::proxy::{Sidecar, Store};
use crate::support::worker::Mode;

#[tokio::test]
async fn new_work_is_refused_with_503_while_the_store_is_full_and_what_is_kept_is_served() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let conf = Conf::before(&worker.url).head("[store]\nurl = \"memory:\"\nmax_tasks = 1");
    let sidecar: Sidecar = conf.builder().store(Store::Memory).start().await;
    let client = sidecar.client(Version::V1);
    let first = client.send("job", SendOptions::wait()).await;
    assert_eq!(first.answer.status, 200);
    let id = first.heard().task_id.expect("a task");

    let full = client.send("job", SendOptions::wait()).await;
    assert_eq!(full.answer.status, 503, "{}", full.answer.text());

    // What is kept is still served.
    let kept = client.get(&id).await;
    assert_eq!(kept.answer.status, 200);
}
