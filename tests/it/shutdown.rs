//! SIGTERM: no new work, clean ends for streams, the drain time for answers under way, exit 0.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::scene::{Conf, REQUESTERS, check_job, half, only};
use crate::support::client::{Push, SendOptions};
use crate::support::protocol::Version;
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::worker::Mode;

#[tokio::test]
async fn an_idle_sidecar_ends_at_once_with_0() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let mut sidecar = Conf::before(&worker.url).start().await;
    let began = Instant::now();
    assert_eq!(sidecar.sigterm().await, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn streams_end_cleanly_and_are_resumed_at_the_next_start() {
    let worker = only(Mode::Stream, Version::V1).get_task(true).start().await;
    let mut sidecar = Conf::before(&worker.url).start().await;
    let mut streams = join_all(REQUESTERS.map(async |requester| {
        let mut stream = sidecar.client(requester).stream("go").await;
        stream.until(half).await;
        stream
    }))
    .await;
    sidecar.send_sigterm().await;
    for stream in &mut streams {
        // The chunked body has its proper end.
        let heard = stream.complete().await;
        assert!(!heard.ended);
    }
    assert_eq!(sidecar.exited().await.code(), Some(0));
    worker.release("half");
    sidecar.restart().await;
    for (stream, requester) in streams.iter_mut().zip(REQUESTERS) {
        let client = sidecar.client(requester);
        let mut resumed = client
            .resume(stream.heard.id(), &stream.last_id().unwrap())
            .await;
        resumed.complete().await;
        for event in &resumed.events {
            stream.heard.feed(event.result());
        }
        check_job(&stream.heard, &format!("{requester:?} across a stop"));
    }
}

#[tokio::test]
async fn blocking_answers_get_the_drain_time_and_nobody_else_gets_in() {
    for mode in [Mode::Blocking, Mode::Poll] {
        let worker = only(mode, Version::V1).start().await;
        let mut sidecar = Conf::before(&worker.url).start().await;
        let client = sidecar.client(Version::V1);
        let mut stream = client.stream("go").await;
        stream.next().await.unwrap();
        let waiting = sidecar.client(Version::V03);
        let waiting = tokio::spawn(async move { waiting.send("go", SendOptions::wait()).await });
        worker.wait_at_with("half", 2).await;
        sidecar.send_sigterm().await;
        // The stream's end shows that the stop has begun.
        stream.complete().await;
        // Whoever connects in the moment of the stop may still be served; from the first refusal on, nobody is.
        crate::support::within("the first refusal", String::new, async {
            let params = serde_json::json!({ "id": "none" });
            while let Ok(reply) = client
                .try_call(crate::support::protocol::Op::Get, params.clone(), &[])
                .await
                && reply.answer.status != 503
            {}
        })
        .await;
        let sent = worker.calls("SendMessage");
        match client
            .try_call(
                crate::support::protocol::Op::Send,
                client.params("late", &SendOptions::wait()),
                &[],
            )
            .await
        {
            Ok(reply) => assert_eq!(reply.answer.status, 503, "{}", reply.answer.text()),
            Err(error) => assert!(!error.is_empty()),
        }
        assert_eq!(worker.calls("SendMessage"), sent, "{mode:?}: no new work");
        worker.release("half");
        let reply = waiting.await.unwrap();
        check_job(&reply.heard(), &format!("{mode:?} during the drain"));
        assert_eq!(sidecar.exited().await.code(), Some(0), "{mode:?}");
    }
}

#[tokio::test]
async fn the_drain_time_is_a_bound() {
    let worker = only(Mode::Blocking, Version::V1).start().await;
    let mut sidecar = Conf::before(&worker.url)
        .head("[server]\ndrain = \"1s\"")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let waiting = tokio::spawn(async move {
        let params = client.params("go", &SendOptions::wait());
        client
            .try_call(crate::support::protocol::Op::Send, params, &[])
            .await
    });
    worker.wait_at("half").await;
    let began = Instant::now();
    assert_eq!(sidecar.sigterm().await, Some(0));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(950), "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let cut = match waiting.await.unwrap() {
        Ok(reply) => reply.answer.cut.is_some() || reply.error_code().is_some(),
        Err(_) => true,
    };
    assert!(cut, "it was not told of an end that there was not");
}

#[tokio::test]
async fn a_delivery_under_way_gets_the_drain_time_and_one_that_is_due_comes_after_the_next_start() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let mut sidecar = Conf::before(&worker.url)
        .head("[server]\ndrain = \"2s\"\n[webhooks]\nattempt_timeout = \"1s\"\nretry_first = \"20ms\"\nretry_max = \"50ms\"")
        .start()
        .await;
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Hang);
    let client = sidecar.client(Version::V1);
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
    client.send("go", options).await.result();
    receiver.wait_for(1).await;
    worker.release("half");
    assert_eq!(sidecar.sigterm().await, Some(0));
    let before = receiver.hooks().len();
    receiver.respond_with(200);
    sidecar.restart().await;
    receiver
        .wait_until(|hooks| hooks[before..].iter().any(|hook| hook.heard().ended))
        .await;
    let mut heard = crate::support::heard::Heard::default();
    for hook in &receiver.hooks()[before..] {
        heard.feed(&hook.json);
    }
    check_job(&heard, "after the next start");
}
