//! ListTasks: from the log where the worker has none, else the worker's own with the ids that the requester knows.

use serde_json::{Value, json};

use crate::scene::Conf;
use crate::support::client::{Client, Reply, SendOptions};
use crate::support::protocol::{Op, State, Version, code};
use crate::support::proxy::Sidecar;
use crate::support::worker::{Fault, Mode, Worker, artifact, done, status, wait};

/// A worker of 0.3, which has no such call; each of its jobs ends when the gate of its text opens.
async fn worker(jobs: &[&str]) -> Worker {
    let worker = Worker::builder()
        .version(Version::V03)
        .modes(&[Mode::Poll])
        .start()
        .await;
    for job in jobs {
        script(&worker, job);
    }
    worker
}

fn script(worker: &Worker, job: &str) {
    worker.script_for(
        job,
        [
            status(State::Working),
            wait(job),
            artifact("report", job),
            done("done"),
        ],
    );
}

/// Sends the jobs, one after the other, and waits until each stands at its gate: their ids.
async fn send(worker: &Worker, client: &Client, jobs: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for job in jobs {
        let sent = client.send(job, SendOptions::at_once()).await;
        ids.push(sent.heard().id().to_owned());
        worker.wait_at(job).await;
    }
    ids
}

async fn list(client: &Client, params: Value) -> Value {
    client.call(Op::List, params).await.result().clone()
}

fn ids(list: &Value) -> Vec<&str> {
    let tasks = list["tasks"].as_array().expect("tasks");
    tasks
        .iter()
        .map(|task| task["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_worker_without_lists_gets_one_from_the_log() {
    let jobs = ["a", "b", "c"];
    let worker = worker(&jobs).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = send(&worker, &client, &jobs).await;
    let [a, b, c] = [&*sent[0], &*sent[1], &*sent[2]];

    // Nobody watches these tasks: the list itself asks how they are.
    let all = list(&client, json!({})).await;
    assert_eq!(ids(&all), [c, b, a], "the newest status first");
    for task in all["tasks"].as_array().unwrap() {
        assert_eq!(task["status"]["state"], "TASK_STATE_WORKING", "{task}");
    }
    assert_eq!(all["nextPageToken"], "");
    assert_eq!(all["pageSize"], 50);
    assert_eq!(all["totalSize"], 3);
    assert_eq!(worker.calls("ListTasks"), 0);

    worker.release("a");
    worker.wait_state(a, State::Completed).await;
    let all = list(&client, json!({ "includeArtifacts": true })).await;
    assert_eq!(ids(&all), [a, c, b]);
    assert_eq!(all["tasks"][0]["artifacts"][0]["parts"][0]["text"], "a");
    let bare = list(&client, json!({ "historyLength": 0 })).await;
    assert_eq!(ids(&bare), [a, c, b]);
    assert!(bare["tasks"][0].get("artifacts").is_none(), "{bare}");
    assert!(bare["tasks"][0].get("history").is_none(), "{bare}");
    assert!(all["tasks"][0].get("history").is_some(), "{all}");
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let jobs = ["a", "b"];
    let worker = worker(&jobs).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = send(&worker, &client, &jobs).await;
    worker.release("a");
    worker.wait_state(&sent[0], State::Completed).await;
    let all = list(&client, json!({})).await;
    assert_eq!(ids(&all), [&*sent[0], &*sent[1]]);

    let over = list(&client, json!({ "status": "TASK_STATE_COMPLETED" })).await;
    assert_eq!(ids(&over), [&*sent[0]]);
    assert_eq!(over["totalSize"], 1);
    let context = all["tasks"][1]["contextId"].as_str().unwrap();
    let of_context = list(&client, json!({ "contextId": context })).await;
    assert_eq!(ids(&of_context), [&*sent[1]]);
    // At this time or later.
    let time = all["tasks"][0]["status"]["timestamp"].as_str().unwrap();
    let since = list(&client, json!({ "statusTimestampAfter": time })).await;
    assert_eq!(ids(&since), [&*sent[0]]);
    let later = json!({ "statusTimestampAfter": "2999-01-01T00:00:00Z" });
    let none = list(&client, later).await;
    assert_eq!(none["tasks"], json!([]));
    assert_eq!(
        (&none["nextPageToken"], &none["totalSize"]),
        (&json!(""), &json!(0))
    );
}

#[tokio::test]
async fn a_bad_value_is_refused_by_its_name() {
    let worker = worker(&[]).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    for (member, value) in [
        ("pageSize", json!(0)),
        ("pageSize", json!(101)),
        ("pageToken", json!("of somebody else")),
        ("status", json!("TASK_STATE_BUSY")),
        ("statusTimestampAfter", json!("yesterday")),
        ("historyLength", json!(-1)),
        ("includeArtifacts", json!("maybe")),
        ("contextId", json!({})),
    ] {
        let reply = client.call(Op::List, json!({ member: value })).await;
        assert_eq!(reply.error_code(), Some(code::INVALID_PARAMS), "{member}");
        let message = reply.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(member), "{message}");
    }
}

#[tokio::test]
async fn pages_hold_every_task_once_while_tasks_change() {
    let jobs = ["a", "b", "c", "d", "e"];
    let worker = worker(&jobs).await;
    let mut sidecar = Conf::before(&worker.url).start().await;
    let client = sidecar.client(Version::V1);
    let sent = send(&worker, &client, &jobs).await;
    let first = list(&client, json!({ "pageSize": 2 })).await;
    assert_eq!(ids(&first), [&*sent[4], &*sent[3]]);
    assert_eq!(
        (&first["pageSize"], &first["totalSize"]),
        (&json!(2), &json!(5))
    );

    // One of the first page ends, one that would be next ends too, and there is a new one; and a restart.
    for (job, id) in [("d", &sent[3]), ("c", &sent[2])] {
        worker.release(job);
        worker.wait_state(id, State::Completed).await;
        client.poll(id, |heard| heard.ended).await;
    }
    script(&worker, "f");
    let new = send(&worker, &client, &["f"]).await;
    sidecar.restart().await;
    let next = |token: &Value| json!({ "pageSize": 1, "pageToken": token });
    let second = list(&client, next(&first["nextPageToken"])).await;
    assert_eq!(ids(&second), [&*sent[1]]);
    let third = list(&client, next(&second["nextPageToken"])).await;
    assert_eq!(ids(&third), [&*sent[0]]);
    assert_eq!(third["nextPageToken"], "");
    // What moved is at the front of the next list.
    let since = &first["tasks"][0]["status"]["timestamp"];
    let again = list(&client, json!({ "statusTimestampAfter": since })).await;
    assert_eq!(ids(&again), [&*new[0], &*sent[2], &*sent[3], &*sent[4]]);
}

#[tokio::test]
async fn each_principal_lists_its_own_tasks_only() {
    let jobs = ["a", "b"];
    let worker = worker(&jobs).await;
    let sidecar = Conf::before(&worker.url).start().await;
    let as_principal = |name: &str| {
        sidecar
            .client(Version::V1)
            .with_header("authorization", &format!("Bearer {name}"))
    };
    let (alice, bob) = (as_principal("alice"), as_principal("bob"));
    let hers = send(&worker, &alice, &["a"]).await;
    let his = send(&worker, &bob, &["b"]).await;
    let list_of = async |client: &Client| list(client, json!({})).await;
    assert_eq!(ids(&list_of(&alice).await), [&*hers[0]]);
    assert_eq!(ids(&list_of(&bob).await), [&*his[0]]);
    for stranger in [as_principal("mallory"), sidecar.client(Version::V1)] {
        let nothing = list_of(&stranger).await;
        assert_eq!(nothing["tasks"], json!([]));
        assert_eq!(
            nothing["totalSize"], 0,
            "how many there are is nobody's business either"
        );
    }
    // Nor does a place in somebody else's list open it.
    let token = {
        send_again(&worker, &alice).await;
        list(&alice, json!({ "pageSize": 1 })).await["nextPageToken"].clone()
    };
    let behind = list(&bob, json!({ "pageToken": token })).await;
    assert!(!ids(&behind).contains(&&*hers[0]), "{behind}");
    // She is asked for with her own credentials.
    for seen in worker.requests_of("GetTask") {
        let owner = if seen.params()["id"] == *his[0] {
            "Bearer bob"
        } else {
            "Bearer alice"
        };
        assert_eq!(seen.headers["authorization"], owner);
    }
}

async fn send_again(worker: &Worker, client: &Client) {
    script(worker, "again");
    send(worker, client, &["again"]).await;
}

/// A worker of 1.0 that only blocks, so that the sidecar names its tasks.
async fn blocking() -> (Worker, Sidecar) {
    let worker = Worker::builder()
        .modes(&[Mode::Blocking])
        .script([status(State::Working), wait("go"), done("done")])
        .start()
        .await;
    let sidecar = Conf::before(&worker.url)
        .text("announce_after", "20ms")
        .start()
        .await;
    (worker, sidecar)
}

/// Sends and has the worker finish and so name the task: the answer to the send, in which the sidecar named it.
async fn sent_and_named(worker: &Worker, client: &Client) -> Reply {
    let sent = client.send("go", SendOptions::at_once()).await;
    worker.wait_at("go").await;
    worker.release("go");
    client.poll(sent.heard().id(), |heard| heard.ended).await;
    sent
}

#[tokio::test]
async fn the_worker_s_own_list_names_tasks_and_contexts_as_the_requester_knows_them() {
    let (worker, sidecar) = blocking().await;
    let client = sidecar.client(Version::V1);
    let sent = sent_and_named(&worker, &client).await.heard();
    let context = sent.context_id.clone().expect("a context");
    assert_ne!(worker.only_task(), sent.id());
    // One that did not come through here keeps its ids.
    let direct = Client::new(&worker.url, Version::V1);
    let other = direct.send("go", SendOptions::wait()).await.heard();

    let all = list(&client, json!({})).await;
    assert_eq!(ids(&all), [other.id(), sent.id()]);
    let task = &all["tasks"][1];
    assert_eq!(task["contextId"], *context);
    assert_eq!(task["history"][0]["taskId"], sent.id());
    assert_eq!(task["status"]["message"]["taskId"], sent.id());
    let of_context = list(&client, json!({ "contextId": context })).await;
    assert_eq!(ids(&of_context), [sent.id()]);
    assert_eq!(worker.calls("ListTasks"), 2);
    let asked = worker.requests_of("ListTasks").pop().unwrap();
    assert_ne!(asked.params()["contextId"], *context);
}

#[tokio::test]
async fn a_worker_that_turns_out_to_have_no_list_is_asked_once() {
    for refusal in [code::METHOD_NOT_FOUND, code::UNSUPPORTED] {
        let (worker, sidecar) = blocking().await;
        worker.fault("ListTasks", Fault::Rpc(refusal, "no lists".to_owned()));
        let client = sidecar.client(Version::V1);
        // Announced, and not yet named by the worker: only the log knows of it.
        let sent = client.send("go", SendOptions::at_once()).await.heard();
        for _ in 0..2 {
            let all = list(&client, json!({})).await;
            assert_eq!(ids(&all), [sent.id()]);
        }
        assert_eq!(worker.calls("ListTasks"), 1);
    }
}

#[tokio::test]
async fn another_error_of_the_worker_s_list_is_the_answer() {
    let (worker, sidecar) = blocking().await;
    worker.fault_times(
        "ListTasks",
        1,
        Fault::Rpc(code::INVALID_PARAMS, "no".to_owned()),
    );
    let client = sidecar.client(Version::V1);
    let refused = client.call(Op::List, json!({})).await;
    assert_eq!(refused.error_code(), Some(code::INVALID_PARAMS));
    list(&client, json!({})).await;
    assert_eq!(worker.calls("ListTasks"), 2);
}
