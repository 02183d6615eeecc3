//! PraisonAI, fasta2a and the Ruby agent: their clients as requesters before their workers, in every mode, each seeing
//! what its own library sees, and what the sidecar makes of their habits. The real libraries are for the tests with
//! real peers.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::scene::Conf;
use crate::support::client::SendOptions;
use crate::support::http::{Answer, Exchange, request};
use crate::support::protocol::Version;
use crate::support::proxy::Sidecar;
use crate::support::receiver::Receiver;
use crate::support::systems::{Kind, RESULT, System};
use crate::support::within;

/// Between two questions of a requester that polls.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What a worker is called by when the sidecar sends it a message.
const SENDS: [&str; 4] = [
    "message/send",
    "message/stream",
    "SendMessage",
    "SendStreamingMessage",
];

/// One of the systems' own clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    PraisonAi,
    FastA2a,
}

impl Client {
    const ALL: [Client; 2] = [Client::PraisonAi, Client::FastA2a];

    async fn open(self, sidecar: &Sidecar, method: &str, params: Value) -> Exchange {
        self.open_with(sidecar, method, params, &[]).await
    }

    async fn open_with(
        self,
        sidecar: &Sidecar,
        method: &str,
        params: Value,
        headers: &[(&str, &str)],
    ) -> Exchange {
        let (path, id) = match self {
            Client::PraisonAi => ("/a2a", json!("23a7614d")),
            // A read comes without an id, and an answer is expected all the same.
            Client::FastA2a if method == "tasks/get" => ("/", Value::Null),
            Client::FastA2a => ("/", json!("b9700167")),
        };
        let call = json!({ "jsonrpc": "2.0", "method": method, "id": id, "params": params });
        let headers: Vec<_> = std::iter::once(&("content-type", "application/json"))
            .chain(headers)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let url = format!("{}{path}", sidecar.url.trim_end_matches('/'));
        request(Method::POST, &url, &headers, call.to_string())
            .await
            .unwrap()
    }

    /// A call and its whole answer, which has the id of the call and no HTTP error.
    async fn call(self, sidecar: &Sidecar, method: &str, params: Value) -> Value {
        let exchange = async { self.open(sidecar, method, params).await.whole().await };
        let answer = within(method, String::new, exchange).await;
        assert!(
            answer.status.is_success(),
            "{method}: {} {}",
            answer.status,
            answer.text()
        );
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let id = match self {
            Client::FastA2a if method == "tasks/get" => Value::Null,
            Client::FastA2a => json!("b9700167"),
            Client::PraisonAi => json!("23a7614d"),
        };
        assert_eq!(answer.get("id"), Some(&id), "{method}: {answer}");
        answer
    }

    fn send_params(self, configuration: Value) -> Value {
        let mut params = json!({
            "message": { "messageId": "m-1", "role": "user", "parts": [{ "text": "please sleep" }] },
        });
        if !configuration.is_null() {
            params["configuration"] = configuration;
        }
        params
    }

    /// What it sends so that it is answered with the outcome.
    fn blocking(self) -> Value {
        self.send_params(match self {
            Client::PraisonAi => Value::Null,
            Client::FastA2a => json!({ "acceptedOutputModes": ["text/plain"], "blocking": true }),
        })
    }

    /// What it sends so that it is answered at once.
    fn at_once(self) -> Value {
        self.send_params(match self {
            Client::PraisonAi => json!({ "returnImmediately": true }),
            Client::FastA2a => json!({ "acceptedOutputModes": ["text/plain"] }),
        })
    }

    /// The task in the answer to a send.
    fn sent(self, answer: &Value) -> Value {
        match self {
            Client::PraisonAi => answer["result"].clone(),
            Client::FastA2a => answer["result"]["task"].clone(),
        }
    }

    /// Sends, without waiting; the task's id.
    async fn begin(self, sidecar: &Sidecar) -> String {
        let answer = self.call(sidecar, "message/send", self.at_once()).await;
        let task = self.sent(&answer);
        let state = &task["status"]["state"];
        assert!(*state == "submitted" || *state == "working", "{answer}");
        task["id"].as_str().unwrap().to_owned()
    }

    async fn poll(self, sidecar: &Sidecar, id: &str) -> Value {
        let polling = async {
            loop {
                let answer = self.call(sidecar, "tasks/get", json!({ "id": id })).await;
                let task = answer["result"].clone();
                let state = task["status"]["state"].as_str().unwrap_or_default();
                // What their loops wait for, spelled as they do.
                if ["completed", "failed", "cancelled", "canceled"].contains(&state) {
                    return task;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        within("the end of a polled task", String::new, polling).await
    }

    #[track_caller]
    fn assert_done(self, task: &Value) {
        assert_eq!(task["status"]["state"], "completed", "{task}");
        assert_eq!(task["artifacts"][0]["parts"][0]["text"], RESULT, "{task}");
        assert_eq!(task["artifacts"][0]["parts"][0].get("kind"), None, "{task}");
        assert_eq!(task.get("kind"), None, "{task}");
    }
}

/// The frames of a stream: event names and data.
fn frames(answer: &Answer) -> Vec<(Option<String>, Value)> {
    answer
        .text()
        .split("\n\n")
        .filter_map(|frame| {
            let line = |name: &str| {
                frame
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::to_owned)
            };
            Some((
                line("event: "),
                serde_json::from_str(&line("data: ")?).unwrap(),
            ))
        })
        .collect()
}

async fn before(kind: Kind) -> (System, Sidecar) {
    let system = System::start(kind);
    let sidecar = Conf::before(&system.url).start().await;
    (system, sidecar)
}

#[tokio::test]
async fn who_waits_is_answered_with_the_result() {
    for kind in Kind::ALL {
        let (system, sidecar) = before(kind).await;
        for (n, client) in Client::ALL.into_iter().enumerate() {
            let open = client.open(&sidecar, "message/send", client.blocking());
            let release = async {
                system.wait_calls(&SENDS, n + 1).await;
                system.release();
            };
            let (exchange, ()) = tokio::join!(open, release);
            let answer: Value = serde_json::from_slice(&exchange.whole().await.body).unwrap();
            client.assert_done(&client.sent(&answer));
        }
        assert_eq!(system.tasks(), Client::ALL.len(), "{kind:?}");
    }
}

#[tokio::test]
async fn who_polls_reads_the_task_in_its_own_form() {
    for kind in Kind::ALL {
        let (system, sidecar) = before(kind).await;
        for client in Client::ALL {
            let id = client.begin(&sidecar).await;
            system.release();
            let task = client.poll(&sidecar, &id).await;
            assert_eq!(task["id"], id);
            client.assert_done(&task);
        }
        assert_eq!(system.tasks(), Client::ALL.len(), "{kind:?}");
    }
}

#[tokio::test]
async fn who_streams_hears_the_result_in_frames_of_its_own() {
    for kind in Kind::ALL {
        let (system, sidecar) = before(kind).await;
        for (n, client) in Client::ALL.into_iter().enumerate() {
            let exchange = client
                .open(&sidecar, "message/stream", client.send_params(Value::Null))
                .await;
            system.wait_calls(&SENDS, n + 1).await;
            system.release();
            let answer = exchange.whole().await;
            assert_eq!(answer.header("content-type"), Some("text/event-stream"));
            let mut frames = frames(&answer);
            match client {
                Client::PraisonAi => {
                    let (done, end) = (frames.pop().unwrap(), frames.pop().unwrap());
                    assert_eq!(done, (Some("done".to_owned()), json!({})));
                    assert_eq!(end.0.as_deref(), Some("task.status"));
                    assert_eq!(end.1["status"]["state"], "completed", "{kind:?}");
                    assert_eq!(end.1["final"], true);
                    let artifact = frames.pop().unwrap();
                    assert_eq!(artifact.0.as_deref(), Some("task.artifact"), "{kind:?}");
                    assert_eq!(artifact.1["artifact"]["parts"][0]["text"], RESULT);
                    assert!(artifact.1["taskId"].is_string());
                }
                Client::FastA2a => {
                    assert!(frames.iter().all(|(name, frame)| {
                        name.is_none() && frame["id"] == "b9700167" && frame["jsonrpc"] == "2.0"
                    }));
                    let first = &frames.first().unwrap().1["result"]["task"];
                    assert!(first["contextId"].is_string(), "{kind:?}: {first}");
                    let end = &frames.pop().unwrap().1["result"]["statusUpdate"];
                    assert_eq!(end["status"]["state"], "completed", "{kind:?}");
                    let artifact = &frames.pop().unwrap().1["result"]["artifactUpdate"];
                    assert_eq!(artifact["artifact"]["parts"][0]["text"], RESULT, "{kind:?}");
                }
            }
        }
        assert_eq!(system.tasks(), Client::ALL.len(), "{kind:?}");
    }
}

#[tokio::test]
async fn who_registers_a_webhook_is_told_as_its_receiver_expects() {
    for kind in Kind::ALL {
        let (system, sidecar) = before(kind).await;
        for client in Client::ALL {
            let receiver = Receiver::start().await;
            let id = client.begin(&sidecar).await;
            let set = match client {
                Client::PraisonAi => "tasks/pushNotificationConfig/set",
                Client::FastA2a => "tasks/pushNotification/set",
            };
            let url = receiver.url("/webhooks/a2a");
            let config = json!({
                "taskId": id, "url": url, "token": "webhook-secret",
                "authentication": { "scheme": "Bearer", "credentials": "my-auth-token" },
            });
            let answer = client.call(&sidecar, set, config).await;
            for (member, value) in [("taskId", &id), ("url", &url)] {
                assert_eq!(answer["result"][member], **value, "{answer}");
            }
            system.release();
            let state = |body: &Value| match client {
                Client::PraisonAi => body["status"]["state"].clone(),
                Client::FastA2a => body["statusUpdate"]["status"]["state"].clone(),
            };
            let hooks = receiver
                .wait_until(|hooks| hooks.iter().any(|hook| state(&hook.json) == "completed"))
                .await;
            let last = hooks.last().unwrap();
            assert_eq!(last.header("authorization"), Some("Bearer my-auth-token"));
            assert_eq!(
                last.header("x-a2a-notification-token"),
                Some("webhook-secret")
            );
            if client == Client::PraisonAi {
                assert_eq!(last.header("x-webhook-token"), Some("webhook-secret"));
                assert_eq!(last.json["taskId"], id);
                assert_eq!(last.json["id"], id);
                assert_eq!(last.json["artifacts"][0]["parts"][0]["text"], RESULT);
            }
            client.assert_done(&client.poll(&sidecar, &id).await);
        }
    }
}

#[tokio::test]
async fn praisonais_probe_is_accepted_and_kept_for_nobody() {
    let (_system, sidecar) = before(Kind::PraisonAi).await;
    let call = |verb: &str, params: Value| {
        let method = format!("tasks/pushNotificationConfig/{verb}");
        let sidecar = &sidecar;
        async move { Client::PraisonAi.call(sidecar, &method, params).await }
    };
    let probe = json!({ "taskId": "test", "url": "https://test.example.com" });
    assert_eq!(call("set", probe.clone()).await["result"], probe);
    let test = json!({ "taskId": "test" });
    assert_eq!(call("get", test.clone()).await["result"], probe);
    assert_eq!(
        call("list", test.clone()).await["result"],
        json!({ "configs": [probe] })
    );
    assert_eq!(
        call("delete", test.clone()).await["result"],
        json!({ "deleted": true })
    );
    assert_eq!(call("get", test).await["error"]["code"], -32000);
    let unknown = json!({ "taskId": "task-9", "url": "https://test.example.com" });
    assert_eq!(call("set", unknown).await["error"]["code"], -32000);
    assert_eq!(
        call("set", json!({ "taskId": "test" })).await["error"]["code"],
        -32602
    );
}

#[tokio::test]
async fn a_praisonai_task_has_one_webhook() {
    let (_system, sidecar) = before(Kind::PraisonAi).await;
    let id = Client::PraisonAi.begin(&sidecar).await;
    let call = |verb: &str, params: Value| {
        let method = format!("tasks/pushNotificationConfig/{verb}");
        let sidecar = &sidecar;
        async move { Client::PraisonAi.call(sidecar, &method, params).await }
    };
    let receiver = Receiver::start().await;
    for path in ["/one", "/two"] {
        call("set", json!({ "taskId": id, "url": receiver.url(path) })).await;
    }
    let listed = call("list", json!({ "taskId": id })).await;
    let configs = listed["result"]["configs"].as_array().unwrap();
    assert_eq!(configs.len(), 1, "{listed}");
    assert_eq!(configs[0]["url"], receiver.url("/two"));
    let deleted = call("delete", json!({ "taskId": id })).await;
    assert_eq!(deleted["result"], json!({ "deleted": true }));
    assert_eq!(
        call("get", json!({ "taskId": id })).await["error"]["code"],
        -32000
    );
}

#[tokio::test]
async fn who_deletes_the_one_webhook_is_called_back_all_the_same() {
    const CALLBACK: &str = "urn:a2a-sidecar:callback:v1";
    let (system, sidecar) = before(Kind::PraisonAi).await;
    let receiver = Receiver::start().await;
    let client = Client::PraisonAi;
    let mut params = client.at_once();
    params["metadata"] = json!({ CALLBACK: { "url": receiver.url("/rpc") } });
    let headers = [("x-a2a-extensions", CALLBACK)];
    let sent = client
        .open_with(&sidecar, "message/send", params, &headers)
        .await;
    let sent: Value = serde_json::from_slice(&sent.whole().await.body).unwrap();
    let id = client.sent(&sent)["id"].as_str().unwrap().to_owned();
    for (verb, params) in [
        ("set", json!({ "taskId": id, "url": receiver.url("/hook") })),
        ("delete", json!({ "taskId": id })),
    ] {
        let method = format!("tasks/pushNotificationConfig/{verb}");
        let answer = client.call(&sidecar, &method, params).await;
        assert!(answer.get("error").is_none(), "{answer}");
    }
    system.release();
    // The webhook may have been told something before it was taken back.
    receiver
        .wait_until(|hooks| hooks.iter().any(|hook| hook.path == "/rpc"))
        .await;
}

#[tokio::test]
async fn errors_are_those_that_each_client_can_read() {
    let (_system, sidecar) = before(Kind::FastA2a).await;
    let unknown = json!({ "id": "nope" });
    let answer = Client::FastA2a.call(&sidecar, "tasks/get", unknown).await;
    // Its client compares the words.
    assert_eq!(
        answer["error"],
        json!({ "code": -32001, "message": "Task not found" })
    );
    let no_parts = json!({ "message": { "messageId": "m", "role": "user", "parts": [] } });
    let answer = Client::PraisonAi
        .call(&sidecar, "message/send", no_parts)
        .await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

/// A requester of 1.0 cancels, and that is the end of it, whatever the worker does.
#[tokio::test]
async fn a_cancel_is_answered_and_holds() {
    for kind in Kind::ALL {
        let (system, sidecar) = before(kind).await;
        let client = sidecar.client(Version::V1);
        let sent = client.send("please sleep", SendOptions::at_once()).await;
        let id = sent.result()["task"]["id"].as_str().unwrap().to_owned();
        let canceled = client.cancel(&id).await;
        let state = |reply: &Value| reply["status"]["state"].clone();
        assert_eq!(state(canceled.result()), "TASK_STATE_CANCELED", "{kind:?}");
        system.wait_calls(&["tasks/cancel", "CancelTask"], 1).await;
        // The job goes on, and ends as completed.
        system.release();
        let again = client.get(&id).await;
        assert_eq!(state(again.result()), "TASK_STATE_CANCELED", "{kind:?}");
        let read = client.get(&id).await;
        assert_eq!(state(read.result()), "TASK_STATE_CANCELED", "{kind:?}");
    }
}

#[tokio::test]
async fn praisonai_reads_a_cancel_in_its_own_spelling() {
    let (_system, sidecar) = before(Kind::PraisonAi).await;
    let id = Client::PraisonAi.begin(&sidecar).await;
    let params = json!({ "id": id });
    let answer = Client::PraisonAi
        .call(&sidecar, "tasks/cancel", params)
        .await;
    assert_eq!(answer["result"]["status"]["state"], "cancelled", "{answer}");
    let task = Client::PraisonAi.poll(&sidecar, &id).await;
    assert_eq!(task["status"]["state"], "cancelled");
    let params = json!({ "id": id });
    let again = Client::PraisonAi
        .call(&sidecar, "tasks/cancel", params)
        .await;
    assert_eq!(again["error"]["code"], -32002, "{again}");
}

/// Its stream would hold up its whole server, and lose the task.
#[tokio::test]
async fn praisonais_own_stream_is_never_asked_for() {
    let (system, sidecar) = before(Kind::PraisonAi).await;
    let client = sidecar.client(Version::V1);
    let mut events = client.stream("please sleep").await;
    system.wait_calls(&["message/send"], 1).await;
    system.release();
    events.complete().await;
    let methods = system.methods();
    assert!(
        methods
            .iter()
            .all(|name| name == "message/send" || name == "tasks/get"),
        "{methods:?}"
    );
    let sends = system.params_of("message/send");
    assert_eq!(sends[0]["configuration"]["returnImmediately"], true);
    assert_eq!(sends[0]["message"]["role"], "user");
}

/// The queue has no room: the second send is answered by the worker when the first job is done, and by the sidecar
/// before.
#[tokio::test]
async fn a_send_behind_another_job_is_answered_before_its_turn() {
    for kind in [Kind::FastA2a, Kind::FastA2aV0] {
        let (system, sidecar) = before(kind).await;
        let first = Client::FastA2a.begin(&sidecar).await;
        let second = Client::FastA2a.begin(&sidecar).await;
        assert_eq!(system.tasks(), 1, "{kind:?}");
        system.release();
        system.release();
        for id in [first, second] {
            let task = Client::FastA2a.poll(&sidecar, &id).await;
            assert_eq!(task["id"], id);
            Client::FastA2a.assert_done(&task);
        }
        assert_eq!(system.tasks(), 2, "{kind:?}");
    }
}

/// It answers no send with a stream, but can be watched, and its stream has no artifact.
#[tokio::test]
async fn the_ruby_agent_is_watched_by_subscription_and_read_at_the_end() {
    let (system, sidecar) = before(Kind::Ruby).await;
    let client = sidecar.client(Version::V1);
    let mut events = client.stream("please sleep").await;
    system.wait_calls(&["SubscribeToTask"], 1).await;
    system.release();
    events.complete().await;
    let methods = system.methods();
    let place = |name: &str| methods.iter().position(|method| method == name).unwrap();
    assert!(
        place("SendStreamingMessage") < place("SendMessage"),
        "{methods:?}"
    );
    assert!(
        place("SendMessage") < place("SubscribeToTask"),
        "{methods:?}"
    );
    assert_eq!(methods.last().unwrap(), "GetTask", "{methods:?}");
    assert_eq!(events.heard.artifact("a"), Some(RESULT));
}

/// Under the names that servers before 2.1 know, with what they insist on and without what they cannot bear.
#[tokio::test]
async fn a_worker_named_as_fasta2as_is_spoken_to_under_its_old_names() {
    let system = System::start(Kind::FastA2a);
    let sidecar = Conf::before(&system.url)
        .text("dialect", "fasta2a")
        .start()
        .await;
    let client = sidecar.client(Version::V1);
    let mut options = SendOptions::at_once();
    options.history_length = Some(3);
    let sent = client.send("please sleep", options).await;
    let id = sent.result()["task"]["id"].as_str().unwrap().to_owned();
    system.release();
    client.poll(&id, |heard| heard.ended).await;
    let methods = system.methods();
    assert!(methods.iter().all(|name| name.contains('/')), "{methods:?}");
    for method in SENDS {
        for params in system.params_of(method) {
            assert_eq!(params["configuration"]["acceptedOutputModes"], json!([]));
            assert_eq!(params["configuration"].get("historyLength"), None);
        }
    }
}

async fn card(sidecar: &Sidecar, path: &str) -> Value {
    let url = format!("{}{path}", sidecar.url.trim_end_matches('/'));
    let answer = request(Method::GET, &url, &[], "")
        .await
        .unwrap()
        .whole()
        .await;
    serde_json::from_slice(&answer.body).unwrap()
}

/// Each client's own checks, on the card that it asks for.
#[tokio::test]
async fn every_client_can_read_the_card_of_every_worker() {
    for kind in Kind::ALL {
        let (_system, sidecar) = before(kind).await;
        let text = |value: &Value| assert!(value.is_string(), "{kind:?}: {value}");
        let texts = |value: &Value| {
            let all = value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_string));
            assert!(all, "{kind:?}: {value}");
        };

        let old = card(&sidecar, "/.well-known/agent.json").await;
        for member in ["name", "url", "version"] {
            text(&old[member]);
        }
        assert_eq!(old["capabilities"]["streaming"], true, "{kind:?}");
        assert_eq!(old["capabilities"]["pushNotifications"], true, "{kind:?}");

        let hybrid = card(&sidecar, "/.well-known/agent-card.json").await;
        for member in ["name", "description", "version", "url", "protocolVersion"] {
            text(&hybrid[member]);
        }
        for member in ["defaultInputModes", "defaultOutputModes"] {
            texts(&hybrid[member]);
        }
        // fasta2a's client takes the first, and what the sidecar's other clients read besides is not in its way.
        let first = &hybrid["supportedInterfaces"][0];
        assert_eq!(first["protocolBinding"], "JSONRPC", "{kind:?}");
        assert!(
            first["url"]
                .as_str()
                .unwrap()
                .starts_with(sidecar.url.trim_end_matches('/'))
        );
        for interface in hybrid["supportedInterfaces"].as_array().unwrap() {
            text(&interface["protocolVersion"]);
        }
        for skill in hybrid["skills"].as_array().unwrap() {
            for member in ["id", "name", "description"] {
                text(&skill[member]);
            }
            for member in ["tags", "inputModes", "outputModes"] {
                texts(&skill[member]);
            }
        }
        if let Some(provider) = hybrid.get("provider") {
            text(&provider["organization"]);
            text(&provider["url"]);
        }
    }
}
