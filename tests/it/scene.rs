//! What the tests share beside the tools: quick configurations, the standard job, requesters of every mode, and
//! what each of them must have heard when the job is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::client::{Client, Push, Reply, SendOptions};
use crate::support::events::EventReader;
use crate::support::heard::Heard;
use crate::support::protocol::{Op, State, Version};
use crate::support::proxy::{Builder, Sidecar, Store};
use crate::support::receiver::Receiver;
use crate::support::within;
use crate::support::worker::{Mode, Step, Worker, artifact, chunk, done, status, wait, working};

/// Between two questions of a requester that polls. It is part of the requester and not of a test's logic.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The versions that requesters of these tests speak.
pub const REQUESTERS: [Version; 2] = [Version::V03, Version::V1];

/// A configuration with one route whose waits are short, so that tests are.
#[derive(Clone, Debug)]
pub struct Conf {
    head: String,
    keys: BTreeMap<String, String>,
    own_store: bool,
}

impl Conf {
    /// A route before this worker.
    pub fn before(worker: &str) -> Self {
        let conf = Self {
            head: String::new(),
            keys: BTreeMap::new(),
            own_store: false,
        };
        conf.text("worker", worker)
            .text("poll.first", "20ms")
            .text("poll.max", "100ms")
            .key("poll.budget_per_second", "1000.0")
            .text("stream.resubscribe_wait", "10ms")
    }

    /// A key of the route with a value in TOML; a dot makes a table.
    pub fn key(mut self, name: &str, value: &str) -> Self {
        self.keys.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A key of the route with a text.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.key(name, &format!("{value:?}"))
    }

    /// Tables that stand before the route.
    pub fn head(mut self, toml: &str) -> Self {
        self.head.push_str(toml);
        self.head.push('\n');
        self
    }

    /// The route alone.
    pub fn route(&self) -> String {
        let mut toml = "[[routes]]\n".to_owned();
        for (name, value) in &self.keys {
            toml.push_str(&format!("{name} = {value}\n"));
        }
        toml
    }

    pub fn toml(&self) -> String {
        format!("{}{}", self.head, self.route())
    }

    /// The store is what the configuration says; otherwise it is a file.
    pub fn on_its_own_store(mut self) -> Self {
        self.own_store = true;
        self
    }

    pub fn builder(&self) -> Builder {
        let builder = Sidecar::builder().config(&self.toml());
        if self.own_store {
            builder
        } else {
            builder.store(Store::Sqlite)
        }
    }

    pub async fn start(&self) -> Sidecar {
        self.builder().start().await
    }
}

/// A job with every kind of news: half of it before the gate `half`, the rest behind it.
pub fn job() -> Vec<Step> {
    vec![
        status(State::Working),
        working("half way"),
        chunk("report", "one ", false, false),
        wait("half"),
        chunk("report", "two", true, true),
        artifact("summary", "short"),
        done("all done"),
    ]
}

/// Whether the first half of [`job`] has been heard.
pub fn half(heard: &Heard) -> bool {
    heard.messages == ["half way"] && heard.artifact("report") == Some("one ")
}

/// What whoever heard of the whole [`job`] must know: everything, once, in order.
#[track_caller]
pub fn check_job(heard: &Heard, who: &str) {
    assert_eq!(
        heard.outcome(),
        (Some(State::Completed), Some("all done")),
        "{who}"
    );
    assert_eq!(heard.messages, ["half way", "all done"], "{who}");
    let artifacts = [
        ("report".to_owned(), "one two".to_owned()),
        ("summary".to_owned(), "short".to_owned()),
    ];
    assert_eq!(heard.artifacts, artifacts, "{who}");
    assert_eq!(heard.endings, 1, "{who}");
    assert!(heard.bare.is_none(), "{who}");
}

/// The states without repeats in a row.
pub fn steps(heard: &Heard) -> Vec<State> {
    let mut states = heard.states.clone();
    states.dedup();
    states
}

/// A worker restricted to one mode, the job as its script for every message.
pub fn only(mode: Mode, version: Version) -> crate::support::worker::Builder {
    Worker::builder()
        .version(version)
        .modes(&[mode])
        // Whoever pushes can be asked as well, as the servers of all SDKs can; a worker that blocks cannot.
        .get_task(matches!(mode, Mode::Poll | Mode::Push))
        .script(job())
}

/// These modes of workers, each in every version.
pub fn in_every_version(modes: &[Mode]) -> Vec<(Mode, Version)> {
    modes
        .iter()
        .flat_map(|mode| Version::ALL.map(|version| (*mode, version)))
        .collect()
}

/// How a requester wants to hear of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    Blocking,
    Poll,
    LongPoll,
    Stream,
    Resubscribe,
    PushInline,
    PushAfter,
}

impl Ask {
    pub const ALL: [Ask; 7] = [
        Ask::Blocking,
        Ask::Poll,
        Ask::LongPoll,
        Ask::Stream,
        Ask::Resubscribe,
        Ask::PushInline,
        Ask::PushAfter,
    ];
}

/// A requester that has sent its message and waits for news in its way.
pub struct Watcher {
    pub ask: Ask,
    client: Client,
    heard: Heard,
    etag: Option<String>,
    stream: Option<EventReader>,
    hooks: Option<Receiver>,
    answer: Option<JoinHandle<Reply>>,
    /// Everything that came, for checks on the wire's form.
    pub seen: Vec<Value>,
}

impl Watcher {
    /// Sends `text` in this way.
    pub async fn send(ask: Ask, client: Client, text: &str) -> Self {
        let mut watcher = Self {
            ask,
            client,
            heard: Heard::default(),
            etag: None,
            stream: None,
            hooks: None,
            answer: None,
            seen: Vec::new(),
        };
        watcher.begin(text).await;
        watcher
    }

    async fn begin(&mut self, text: &str) {
        match self.ask {
            Ask::Blocking => {
                let client = Client::new(&self.client.url, self.client.version);
                let text = text.to_owned();
                self.answer = Some(tokio::spawn(async move {
                    client.send(&text, SendOptions::wait()).await
                }));
            }
            Ask::Stream => self.stream = Some(self.client.stream(text).await),
            Ask::Poll | Ask::LongPoll => {
                let reply = self.client.send(text, SendOptions::at_once()).await;
                self.take(&reply);
            }
            Ask::Resubscribe => {
                let reply = self.client.send(text, SendOptions::at_once()).await;
                let id = reply.heard().id().to_owned();
                self.stream = Some(self.client.subscribe(&id).await);
            }
            Ask::PushInline | Ask::PushAfter => {
                let receiver = Receiver::start().await;
                let push = Push::to(receiver.url("/hook")).id("mine");
                let inline = self.ask == Ask::PushInline;
                let options = if inline {
                    SendOptions::at_once().push(push.clone())
                } else {
                    SendOptions::at_once()
                };
                let sent = self.client.send(text, options).await.heard();
                if !inline {
                    self.client.push_set(sent.id(), &push).await.result();
                }
                self.hooks = Some(receiver);
            }
        }
    }

    fn take(&mut self, reply: &Reply) {
        self.seen.push(reply.result().clone());
        self.heard.feed(reply.result());
        self.etag = reply.answer.header("etag").map(str::to_owned);
    }

    /// Listens until `enough` was heard.
    pub async fn until(&mut self, enough: impl Fn(&Heard) -> bool) {
        match self.ask {
            Ask::Blocking => {
                if let Some(answer) = self.answer.take() {
                    let reply = answer.await.unwrap();
                    self.take(&reply);
                }
                assert!(enough(&self.heard), "{:?}", self.heard);
            }
            Ask::Stream | Ask::Resubscribe => {
                if let Some(stream) = &mut self.stream {
                    stream.until(&enough).await;
                }
            }
            Ask::PushInline | Ask::PushAfter => {
                if let Some(hooks) = &self.hooks {
                    hooks
                        .wait_until(|seen| {
                            let mut heard = Heard::default();
                            for hook in seen {
                                heard.feed(&hook.json);
                            }
                            enough(&heard)
                        })
                        .await;
                }
            }
            Ask::Poll | Ask::LongPoll => {
                let id = self.heard.id().to_owned();
                let mut looks = tokio::time::interval(POLL_INTERVAL);
                while !enough(&self.heard) {
                    let mut headers = Vec::new();
                    if self.ask == Ask::LongPoll {
                        headers.push(("prefer".to_owned(), "wait=60".to_owned()));
                        let etag = self.etag.clone().unwrap_or_default();
                        headers.push(("if-none-match".to_owned(), etag));
                    } else {
                        looks.tick().await;
                    }
                    let asking = self
                        .client
                        .call_with(Op::Get, json!({ "id": id }), &headers);
                    let what = format!("{:?} of {id}", self.ask);
                    let heard = &self.heard;
                    let reply = within(&what, || format!("{heard:?}"), asking).await;
                    self.take(&reply);
                }
            }
        }
    }

    /// Listens to the end.
    pub async fn end(&mut self) -> Heard {
        let looking = async {
            self.until(|heard| heard.ended).await;
            if let Some(stream) = &mut self.stream {
                stream.complete().await;
            }
        };
        let end = tokio::time::timeout(crate::support::DEADLINE, looking).await;
        assert!(end.is_ok(), "no end but {:?}", self.heard());
        self.heard()
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        match (&self.stream, &self.hooks) {
            (Some(stream), _) => stream.heard.clone(),
            (_, Some(hooks)) => hooks.heard(),
            _ => self.heard.clone(),
        }
    }

    /// Every object that came.
    pub fn objects(&self) -> Vec<Value> {
        match (&self.stream, &self.hooks) {
            (Some(stream), _) => stream
                .events
                .iter()
                .map(|event| event.result().clone())
                .collect(),
            (_, Some(hooks)) => hooks.hooks().into_iter().map(|hook| hook.json).collect(),
            _ => self.seen.clone(),
        }
    }

    /// Whether this way hears of what happens before the end.
    pub fn hears_progress(&self) -> bool {
        self.ask != Ask::Blocking
    }
}

/// Every task id in these objects, wherever it stands.
pub fn task_ids(objects: &[Value]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for object in objects {
        collect(object, &mut ids);
    }
    ids
}

fn collect(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            // Only a task has a status and an id of its own.
            let id = if members.contains_key("status") && !members.contains_key("taskId") {
                members.get("id")
            } else {
                members.get("taskId")
            };
            ids.extend(id.and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, ids));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, ids)),
        _ => {}
    }
}
