//! The sidecar is killed (-9) and started again on the same store: every requester hears everything once, every
//! receiver is told everything at least once, and what was promised before holds after.

mod chaos;

use futures_util::future::join_all;

use crate::scene::{Conf, check_job, half, only};
use crate::support::client::{Push, SendOptions};
use crate::support::protocol::{State, Version};
use crate::support::receiver::Receiver;
use crate::support::worker::{Mode, ask, done};

#[tokio::test]
async fn an_announced_task_whose_only_answer_was_lost_ends_as_failed_and_says_so() {
    join_all(Version::ALL.map(lost_answer)).await;
}

async fn lost_answer(version: Version) {
    let worker = only(Mode::Blocking, version).start().await;
    let mut sidecar = Conf::before(&worker.url)
        // A delivery that was under way at the kill is made again when its time is over.
        .head("[webhooks]\nattempt_timeout = \"1s\"")
        .text("announce_after", "100ms")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let receiver = Receiver::start().await;
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
    let sent = client.send("go", options).await.heard();
    worker.wait_at("half").await;
    sidecar.restart().await;
    // The announced id is known, and nobody waits for ever.
    let after = client.poll(sent.id(), |heard| heard.ended).await;
    assert_eq!(after.id(), sent.id());
    assert_eq!(after.state(), Some(State::Failed), "{version:?}");
    let said = after.messages.last().cloned().unwrap_or_default();
    assert!(said.contains("restarted"), "{said}");
    assert_eq!(receiver.wait_ended().await.state(), Some(State::Failed));
    assert_eq!(worker.calls("SendMessage"), 1, "it was not sent again");
    // Whatever the worker answers now comes too late.
    worker.release("half");
    let still = client.get(sent.id()).await.heard();
    assert_eq!(still.states, [State::Failed]);
}

#[tokio::test]
async fn an_alias_holds_after_a_restart_in_both_directions() {
    for version in Version::ALL {
        let worker = only(Mode::Blocking, version)
            .get_task(true)
            .script([
                crate::support::worker::wait("slow"),
                ask("which?"),
                done("done"),
            ])
            .start()
            .await;
        let mut sidecar = Conf::before(&worker.url)
            .text("announce_after", "100ms")
            .text("poll.slow", "100ms")
            .start()
            .await;
        let client = sidecar.client(Version::V1);
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        worker.wait_at("slow").await;
        worker.release("slow");
        let interrupted =
            |heard: &crate::support::heard::Heard| heard.state() == Some(State::InputRequired);
        client.poll(sent.id(), interrupted).await;
        assert_ne!(sent.id(), worker.only_task(), "it is an alias");
        sidecar.restart().await;
        let asked = client.get(sent.id()).await.heard();
        assert!(interrupted(&asked), "{asked:?}");
        assert_eq!(asked.id(), sent.id());
        let reply = client
            .send("this", SendOptions::wait().on_task(sent.id()))
            .await;
        assert_eq!(
            reply.heard().outcome(),
            (Some(State::Completed), Some("done"))
        );
        assert_eq!(reply.heard().id(), sent.id());
        let ids = crate::scene::task_ids(&[reply.result().clone()]);
        assert_eq!(ids.len(), 1, "{ids:?}");
        let forwarded = worker.requests_of("SendMessage").pop().unwrap();
        assert_eq!(
            forwarded.params()["message"]["taskId"],
            worker.only_task().as_str()
        );
    }
}

#[tokio::test]
async fn configs_epochs_and_event_numbers_are_as_before() {
    for mode in [Mode::Stream, Mode::Poll, Mode::Push] {
        let worker = only(mode, Version::V1).start().await;
        let mut sidecar = Conf::before(&worker.url)
            .text("poll.slow", "200ms")
            .start()
            .await;
        let receiver = Receiver::start().await;
        let client = sidecar.client(Version::V1);
        let mut stream = client.stream("go").await;
        stream.until(half).await;
        let id = stream.heard.id().to_owned();
        let push = Push::to(receiver.url("/hook"))
            .id("mine")
            .token("t0k")
            .auth("Bearer", "cred");
        client.push_set(&id, &push).await.result();
        receiver.wait_until(|hooks| !hooks.is_empty()).await;
        let configs = client.push_list(&id).await.result().clone();
        let last = stream.last_id().unwrap();

        sidecar.restart().await;
        assert_eq!(client.push_list(&id).await.result(), &configs, "{mode:?}");
        let mut resumed = client.resume(&id, &last).await;
        worker.release("half");
        resumed.complete().await;
        let mut ids: Vec<String> = stream
            .events
            .iter()
            .filter_map(|event| event.id.clone())
            .collect();
        ids.extend(resumed.events.iter().filter_map(|event| event.id.clone()));
        let (epoch, _) = last.split_once('.').unwrap();
        let expected: Vec<String> = (1..=ids.len())
            .map(|number| format!("{epoch}.{number}"))
            .collect();
        assert_eq!(ids, expected, "{mode:?}: one count, one epoch");
        let mut heard = stream.heard.clone();
        for event in &resumed.events {
            heard.feed(event.result());
        }
        check_job(&heard, &format!("{mode:?} across a restart"));
        check_job(&receiver.wait_ended().await, &format!("{mode:?} hooks"));
        let last = receiver.hooks().pop().unwrap();
        assert_eq!(last.header("x-a2a-notification-token"), Some("t0k"));
        assert_eq!(last.header("authorization"), Some("Bearer cred"));
    }
}

#[tokio::test]
async fn a_delivery_that_was_pending_is_made_after_a_restart() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let mut sidecar = Conf::before(&worker.url)
        .head("[webhooks]\nretry_first = \"50ms\"\nretry_max = \"100ms\"")
        .start()
        .await;
    let receiver = Receiver::start().await;
    receiver.respond_with(503);
    let client = sidecar.client(Version::V1);
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
    let sent = client.send("go", options).await.heard();
    client.poll(sent.id(), |heard| heard.ended).await;
    receiver.wait_for(2).await;
    sidecar.kill9().await;
    let before = receiver.hooks().len();
    receiver.respond_with(200);
    sidecar.restart().await;
    let hooks = receiver
        .wait_until(|hooks| hooks[before..].iter().any(|hook| hook.heard().ended))
        .await;
    // The first event had never been accepted: all of them come now, in order.
    let mut heard = crate::support::heard::Heard::default();
    for hook in &hooks[before..] {
        heard.feed(&hook.json);
    }
    check_job(&heard, "after the restart");
}
