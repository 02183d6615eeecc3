//! Webhooks that the sidecar delivers: in order, again until they are taken, with the headers that receivers check, and
//! to nobody that the operator has not allowed.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use futures_util::future::join_all;
use serde_json::json;

use crate::scene::{Conf, REQUESTERS, check_job, half, in_every_version, only};
use crate::support::client::{Push, SendOptions};
use crate::support::heard::Heard;
use crate::support::protocol::{State, Version, code};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::within;
use crate::support::worker::{Mode, Worker};

const QUICK: &str =
    "[webhooks]\nretry_first = \"20ms\"\nretry_max = \"100ms\"\nattempt_timeout = \"1s\"";

#[tokio::test]
async fn every_event_is_one_delivery_in_order_in_the_form_of_the_requester_s_version() {
    for requester in REQUESTERS {
        let worker = only(Mode::Stream, Version::V1).start().await;
        let sidecar = Conf::before(&worker.url).start().await;
        let receiver = Receiver::start().await;
        let client = sidecar.client(requester);
        let push = Push::to(receiver.url("/hook?a=b"));
        let sent = client
            .send("go", SendOptions::at_once().push(push))
            .await
            .heard();
        let mut stream = client.subscribe(sent.id()).await;
        worker.release("half");
        stream.complete().await;
        let heard = receiver.wait_ended().await;
        check_job(&heard, &format!("{requester:?}"));
        let hooks = receiver.hooks();
        let ids: HashSet<_> = hooks
            .iter()
            .map(|hook| hook.header("webhook-id").unwrap().to_owned())
            .collect();
        assert_eq!(
            ids.len(),
            hooks.len(),
            "each once, each with an id of its own"
        );
        for hook in &hooks {
            assert_eq!(
                (hook.method.as_str(), hook.path.as_str()),
                ("POST", "/hook?a=b")
            );
            let kind = hook.header("content-type").unwrap_or_default();
            assert!(
                kind.starts_with("application/") && kind.ends_with("json"),
                "{kind}"
            );
            assert!(
                hook.header("webhook-timestamp")
                    .is_some_and(|time| time.parse::<u64>().is_ok())
            );
            if requester.is_v1() {
                let members = hook.json.as_object().unwrap();
                assert_eq!(members.len(), 1, "one event: {}", hook.json);
                let kinds = ["task", "message", "statusUpdate", "artifactUpdate"];
                assert!(
                    kinds.iter().any(|kind| members.contains_key(*kind)),
                    "{}",
                    hook.json
                );
            } else {
                assert_eq!(
                    hook.json["kind"], "task",
                    "the whole task each time: {}",
                    hook.json
                );
                assert_eq!(hook.json["id"], sent.id());
            }
        }
        assert_eq!(
            hooks.last().unwrap().heard().state(),
            Some(State::Completed)
        );
        // Beside the events of the log there is nothing.
        let events = stream.last_id().unwrap();
        let (_, last) = events.split_once('.').unwrap();
        assert_eq!(hooks.len(), last.parse::<usize>().unwrap());
    }
}

#[tokio::test]
async fn what_is_not_taken_is_posted_again_and_nothing_overtakes_it() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).head(QUICK).start().await;
    for requester in REQUESTERS {
        let receiver = Receiver::start().await;
        receiver.then_statuses(&[500, 404, 301, 503]);
        receiver.then([Behaviour::Close, Behaviour::Hang, Behaviour::Status(202)]);
        receiver.then_statuses(&[200, 500]);
        let client = sidecar.client(requester);
        let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
        client.send("go", options).await.result();
        check_job(&receiver.wait_ended().await, "in the end");
        let hooks = receiver.hooks();
        let ids: Vec<_> = hooks
            .iter()
            .map(|hook| hook.header("webhook-id").unwrap().to_owned())
            .collect();
        assert!(
            ids[..7].iter().all(|id| *id == ids[0]),
            "seven attempts at the first: {ids:?}"
        );
        assert!(
            hooks[..7].iter().all(|hook| hook.body == hooks[0].body),
            "the same each time"
        );
        assert_ne!(ids[7], ids[0]);
        assert_ne!(ids[8], ids[7]);
        assert_eq!(ids[8], ids[9], "and two at the third: {ids:?}");
        let mut order = ids.clone();
        order.dedup();
        let unique: HashSet<_> = order.iter().collect();
        assert_eq!(unique.len(), order.len(), "none comes back later: {ids:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_is_given_it() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).head(QUICK).start().await;
    let receiver = Receiver::start().await;
    let later = vec![("retry-after".to_owned(), "1".to_owned())];
    receiver.then([Behaviour::StatusWith(429, later)]);
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
    sidecar
        .client(Version::V1)
        .send("go", options)
        .await
        .result();
    let hooks = receiver.wait_for(2).await;
    let gap = hooks[1].at - hooks[0].at;
    assert!(gap >= Duration::from_millis(990), "{gap:?}");
    check_job(&receiver.wait_ended().await, "later");
}

#[tokio::test]
async fn a_receiver_that_is_slow_holds_up_no_other_and_no_stream() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.behave(Behaviour::Hang);
    let client = sidecar.client(Version::V1);
    let options = SendOptions::at_once().push(Push::to(slow.url("/hook")).id("slow"));
    let sent = client.send("go", options).await.heard();
    client
        .push_set(sent.id(), &Push::to(quick.url("/hook")).id("quick"))
        .await
        .result();
    slow.wait_for(1).await;
    let mut stream = client.subscribe(sent.id()).await;
    worker.release("half");
    check_job(stream.complete().await, "the stream");
    check_job(&quick.wait_ended().await, "the quick one");
    assert_eq!(slow.hooks().len(), 1, "the slow one is still at its first");
}

#[tokio::test]
async fn the_token_and_the_credentials_of_the_config_are_sent_along() {
    let worker = only(Mode::Poll, Version::V03).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).start().await;
    for requester in REQUESTERS {
        let receiver = Receiver::start().await;
        let push = Push::to(receiver.url("/hook"))
            .token("t0k")
            .auth("Bearer", "cred");
        let client = sidecar
            .client(requester)
            .with_header("authorization", "Bearer mine");
        client
            .send("go", SendOptions::at_once().push(push))
            .await
            .result();
        receiver.wait_ended().await;
        for hook in receiver.hooks() {
            assert_eq!(
                hook.header("x-a2a-notification-token"),
                Some("t0k"),
                "{requester:?}"
            );
            assert_eq!(
                hook.header("authorization"),
                Some("Bearer cred"),
                "{requester:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_signing_key_signs_every_delivery() {
    let key = [7u8; 32];
    let secret = format!(
        "whsec_{}",
        base64::engine::general_purpose::STANDARD.encode(key)
    );
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url)
        .head(&format!("[webhooks]\nsigning_key = {secret:?}"))
        .start()
        .await;
    let receiver = Receiver::start().await;
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")));
    sidecar
        .client(Version::V1)
        .send("go", options)
        .await
        .result();
    receiver.wait_ended().await;
    let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    for hook in receiver.hooks() {
        let (id, at) = (
            hook.header("webhook-id").unwrap(),
            hook.header("webhook-timestamp").unwrap(),
        );
        let signed = [format!("{id}.{at}.").as_bytes(), &hook.body].concat();
        let expected =
            base64::engine::general_purpose::STANDARD.encode(ring::hmac::sign(&hmac, &signed));
        assert_eq!(
            hook.header("webhook-signature"),
            Some(format!("v1,{expected}").as_str())
        );
    }
}

#[tokio::test]
async fn a_config_for_a_task_that_is_over_is_answered_with_its_end_once() {
    for mode in [Mode::Stream, Mode::Poll, Mode::Blocking] {
        let worker = only(mode, Version::V1).start().await;
        worker.release("half");
        let sidecar = Conf::before(&worker.url).start().await;
        for requester in REQUESTERS {
            let client = sidecar.client(requester);
            let done = client.send("go", SendOptions::wait()).await.heard();
            let receiver = Receiver::start().await;
            client
                .push_set(done.id(), &Push::to(receiver.url("/late")).id("late"))
                .await
                .result();
            receiver.wait_for(1).await;
            // A second config, and its delivery, come after everything that the first can bring.
            client
                .push_set(done.id(), &Push::to(receiver.url("/later")).id("later"))
                .await
                .result();
            let hooks = receiver
                .wait_until(|hooks| hooks.iter().any(|hook| hook.path == "/later"))
                .await;
            let late: Vec<_> = hooks.iter().filter(|hook| hook.path == "/late").collect();
            assert_eq!(late.len(), 1, "{requester:?} {mode:?}");
            check_job(&late[0].heard(), "all in one");
        }
    }
}

#[tokio::test]
async fn the_four_operations_work_whatever_the_worker_offers() {
    let runs = in_every_version(&Mode::ALL)
        .into_iter()
        .map(async |(mode, version)| {
            let worker = only(mode, version).start().await;
            let sidecar = Conf::before(&worker.url)
                .text("announce_after", "200ms")
                .start()
                .await;
            for requester in REQUESTERS {
                worker.shut("half");
                let who = format!("{requester:?} of {version:?} {mode:?}");
                let receiver = Receiver::start().await;
                let client = sidecar.client(requester);
                let sent = client.send("go", SendOptions::at_once()).await.heard();
                let id = sent.id();
                for name in ["one", "two"] {
                    let push = Push::to(receiver.url(&format!("/{name}")))
                        .id(name)
                        .token("t0k");
                    let set = client.push_set(id, &push).await.result().to_string();
                    assert!(
                        set.contains(&receiver.url(&format!("/{name}"))) && set.contains(id),
                        "{who}: {set}"
                    );
                }
                let one = client.push_get(id, "one").await.result().clone();
                let config = if requester.is_v1() {
                    &one
                } else {
                    &one["pushNotificationConfig"]
                };
                assert_eq!(config["url"], receiver.url("/one"), "{who}: {one}");
                assert_eq!(config["id"], "one", "{who}: {one}");
                assert_eq!(one["taskId"], id, "{who}: {one}");
                let list = client.push_list(id).await.result().clone();
                let list = if requester.is_v1() {
                    &list["configs"]
                } else {
                    &list
                };
                assert_eq!(list.as_array().map(Vec::len), Some(2), "{who}: {list}");
                // One of the same id takes its place.
                client
                    .push_set(id, &Push::to(receiver.url("/three")).id("two"))
                    .await
                    .result();
                client.push_delete(id, "one").await.result();
                let list = client.push_list(id).await.result().to_string();
                assert!(
                    list.contains("/three") && !list.contains("/one") && !list.contains("/two"),
                    "{who}: {list}"
                );
                assert!(
                    client.push_get(id, "one").await.error_code().is_some(),
                    "{who}"
                );
                // Gone is gone, however often.
                client.push_delete(id, "one").await.result();
                let before = receiver
                    .hooks()
                    .iter()
                    .filter(|hook| hook.path != "/three")
                    .count();
                worker.release("half");
                let three = receiver
                    .wait_until(|hooks| {
                        hooks
                            .iter()
                            .any(|hook| hook.path == "/three" && hook.heard().ended)
                    })
                    .await;
                let mut heard = Heard::default();
                for hook in three.iter().filter(|hook| hook.path == "/three") {
                    heard.feed(&hook.json);
                }
                check_job(&heard, &who);
                // An attempt that was under way when its config went may still arrive; no end does.
                let others: Vec<_> = three
                    .iter()
                    .filter(|hook| hook.path != "/three")
                    .skip(before)
                    .collect();
                assert!(others.iter().all(|hook| !hook.heard().ended), "{who}");
                let unknown = client
                    .push_set("nobody-s", &Push::to(receiver.url("/x")))
                    .await;
                assert!(
                    unknown.error_code().is_some(),
                    "{who}: {}",
                    unknown.answer.text()
                );
            }
        });
    join_all(runs).await;
}

#[tokio::test]
async fn a_config_without_an_id_is_given_one() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    let receiver = Receiver::start().await;
    for requester in REQUESTERS {
        let client = sidecar.client(requester);
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        let set = client
            .push_set(sent.id(), &Push::to(receiver.url("/hook")))
            .await
            .result()
            .clone();
        let config = if requester.is_v1() {
            &set
        } else {
            &set["pushNotificationConfig"]
        };
        let id = config["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id: {set}"));
        client.push_get(sent.id(), id).await.result();
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_unless_the_operator_allows_them() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    let sidecar = Conf::before(&worker.url)
        .builder()
        .no_webhooks_here()
        .start()
        .await;
    let receiver = Receiver::start().await;
    let port = receiver
        .url("/")
        .trim_end_matches('/')
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    let inside = [
        receiver.url("/hook"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://10.1.2.3/".to_owned(),
        "http://192.168.0.1/".to_owned(),
        "http://172.16.0.1/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00::1]/".to_owned(),
        "http://[fe80::1]/".to_owned(),
        "http://0.0.0.0/".to_owned(),
        "http://224.0.0.1/".to_owned(),
        "ftp://example.com/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "not a url".to_owned(),
    ];
    let mut accepted = 0;
    for requester in REQUESTERS {
        let client = sidecar.client(requester);
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        let before = worker.requests().len();
        for url in &inside {
            let refused = client.push_set(sent.id(), &Push::to(url)).await;
            assert_eq!(
                refused.error_code(),
                Some(code::INVALID_PARAMS),
                "{url}: {}",
                refused.answer.text()
            );
            let inline = client
                .send("go", SendOptions::at_once().push(Push::to(url)))
                .await;
            assert_eq!(
                inline.error_code(),
                Some(code::INVALID_PARAMS),
                "{url}: {}",
                inline.answer.text()
            );
        }
        let list = client.push_list(sent.id()).await.result().clone();
        let list = if requester.is_v1() {
            list["configs"].clone()
        } else {
            list
        };
        assert!(list.as_array().is_none_or(Vec::is_empty), "{list}");
        let sends = worker.requests()[before..]
            .iter()
            .filter(|seen| seen.method.contains("Send"))
            .count();
        assert_eq!(sends, 0, "nothing went upstream");
        // A name is judged by the address that it turns out to have: no delivery arrives.
        let name = format!("http://localhost:{port}/");
        let named = client.push_set(sent.id(), &Push::to(&name)).await;
        accepted += u32::from(named.error_code().is_none());
    }
    // Every attempt is counted when it is over.
    within("the attempts", || sidecar.log().join("\n"), async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            let metrics = sidecar.metrics().await;
            if metrics.sum("a2a_sidecar_webhook_attempts_total") >= f64::from(accepted) {
                return;
            }
        }
    })
    .await;
    assert_eq!(receiver.hooks().len(), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let worker = only(Mode::Stream, Version::V1).start().await;
    worker.release("half");
    let sidecar = Conf::before(&worker.url).head(QUICK).start().await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    receiver.then([Behaviour::Redirect(elsewhere.url("/hook"))]);
    let options = SendOptions::at_once().push(Push::to(receiver.url("/hook")).token("t0k"));
    sidecar
        .client(Version::V1)
        .send("go", options)
        .await
        .result();
    check_job(
        &receiver.wait_ended().await,
        "posted again to where it was to go",
    );
    assert_eq!(elsewhere.hooks().len(), 0);
}

#[tokio::test]
async fn native_delivery_is_the_worker_s_and_nothing_comes_twice() {
    for version in Version::ALL {
        let worker = Worker::builder()
            .version(version)
            .script(crate::scene::job())
            .start()
            .await;
        let sidecar = Conf::before(&worker.url)
            .text("delivery", "native")
            .start()
            .await;
        for requester in REQUESTERS {
            worker.shut("half");
            let who = format!("{requester:?} of {version:?}");
            let receiver = Receiver::start().await;
            let client = sidecar.client(requester);
            let push = Push::to(receiver.url("/hook")).id("mine").token("t0k");
            let sent = client
                .send("go", SendOptions::at_once().push(push))
                .await
                .heard();
            worker.wait_at("half").await;
            let native = version.is_v1() == requester.is_v1();
            let registered = worker
                .push_configs(sent.id())
                .iter()
                .any(|(_, url)| *url == receiver.url("/hook"));
            // Across versions the worker's bodies would be of the wrong one.
            assert_eq!(registered, native, "{who}");
            let mut stream = client.subscribe(sent.id()).await;
            worker.release("half");
            stream.complete().await;
            check_job(&receiver.wait_ended().await, &who);
            for hook in receiver.hooks() {
                assert_eq!(hook.header("webhook-id").is_none(), native, "{who}");
                assert_eq!(
                    hook.header("x-a2a-notification-token"),
                    Some("t0k"),
                    "{who}"
                );
            }
            let ends = receiver
                .hooks()
                .iter()
                .filter(|hook| hook.heard().ended)
                .count();
            assert_eq!(ends, 1, "{who}: one end");
        }
    }
}

#[tokio::test]
async fn a_task_that_was_not_sent_through_here_can_be_given_a_webhook() {
    let worker = only(Mode::Poll, Version::V03).start().await;
    let sidecar = Conf::before(&worker.url).start().await;
    // Sent to the worker itself.
    let direct = crate::support::client::Client::new(&worker.url, Version::V03);
    let sent = direct.send("go", SendOptions::at_once()).await.heard();
    worker.wait_at("half").await;
    for requester in REQUESTERS {
        worker.shut("half");
        let receiver = Receiver::start().await;
        let client = sidecar.client(requester);
        client
            .push_set(sent.id(), &Push::to(receiver.url("/hook")))
            .await
            .result();
        let hooks = receiver.wait_for(1).await;
        assert!(half(&hooks[0].heard()), "how it stands: {}", hooks[0].json);
    }
    let receiver = Receiver::start().await;
    sidecar
        .client(Version::V1)
        .push_set(sent.id(), &Push::to(receiver.url("/hook")))
        .await
        .result();
    worker.release("half");
    check_job(&receiver.wait_ended().await, "adopted");
    assert_eq!(
        json!(
            sidecar
                .client(Version::V1)
                .get(sent.id())
                .await
                .heard()
                .id()
        ),
        json!(sent.id())
    );
}
