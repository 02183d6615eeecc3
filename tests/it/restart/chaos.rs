//! Some hundred tasks while the sidecar is killed again and again, each time at a random moment of their news.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::scene::Conf;
use crate::support::client::{Client, Push, SendOptions};
use crate::support::heard::Heard;
use crate::support::protocol::{Op, State, Version, code};
use crate::support::proxy::{Sidecar, Store};
use crate::support::receiver::{Hook, Receiver};
use crate::support::worker::{Mode, Step, Worker, chunk, done, wait, working};
use crate::support::{Changes, within};

/// Kills, and waves of tasks.
const ROUNDS: usize = 6;

/// Tasks of one wave: every route, way of asking and requester's version as often as any other.
const WAVE: usize = 40;

/// Between two attempts to reach a sidecar that is being started. It is the requester's patience.
const RETRY: Duration = Duration::from_millis(20);

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn seed() -> u64 {
    match std::env::var("A2A_IT_SEED") {
        Ok(seed) => seed.parse().expect("A2A_IT_SEED is a number"),
        Err(_) => u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().unwrap()) | 1,
    }
}

/// The job of a wave: each half of it behind a gate.
fn steps(wave: usize) -> Vec<Step> {
    vec![
        working("one"),
        wait(&format!("{wave} first")),
        chunk("report", "a", false, false),
        working("two"),
        wait(&format!("{wave} second")),
        chunk("report", "b", true, true),
        working("three"),
        done("end"),
    ]
}

/// What all requesters together have heard, and who waits for more of it.
struct Progress {
    news: AtomicUsize,
    changes: Changes,
}

impl Progress {
    fn note(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
        self.changes.note();
    }

    async fn wait_for(&self, more: usize) {
        let target = self.news.load(Ordering::SeqCst) + more;
        let reached = || (self.news.load(Ordering::SeqCst) >= target).then_some(());
        within("news", String::new, self.changes.until(reached)).await;
    }
}

/// What became of a requester: none if its send broke off, so that it was promised nothing.
type Outcome = Option<Heard>;

#[track_caller]
fn check(heard: &Heard, who: &str) {
    assert_eq!(
        heard.outcome(),
        (Some(State::Completed), Some("end")),
        "{who}: {heard:?}"
    );
    assert_eq!(
        heard.messages,
        ["one", "two", "three", "end"],
        "{who}: {heard:?}"
    );
    assert_eq!(
        heard.artifacts,
        [("report".to_owned(), "ab".to_owned())],
        "{who}: {heard:?}"
    );
    assert_eq!(heard.endings, 1, "{who}: {heard:?}");
}

/// A requester with a stream, which takes it up again wherever it was.
async fn watch_stream(
    client: Client,
    text: String,
    progress: Arc<Progress>,
    who: String,
) -> Outcome {
    let params = client.params(&text, &SendOptions::default());
    let mut stream = loop {
        match client
            .open_stream_maybe(Op::Stream, params.clone(), None)
            .await
        {
            Ok(Ok(stream)) => break stream,
            // Being stopped is told before anything is sent; anything else may have been sent.
            Ok(Err(_)) => return None,
            Err(error) if error.starts_with("connecting") => tokio::time::sleep(RETRY).await,
            Err(_) => return None,
        }
    };
    let mut heard = Heard::default();
    let mut last: Option<String> = None;
    loop {
        while let Some(event) = stream.next().await {
            let id = event
                .id
                .clone()
                .unwrap_or_else(|| panic!("{who}: no id: {}", event.text));
            let (epoch, number) = id.split_once('.').unwrap();
            let number: u64 = number.parse().unwrap();
            match &last {
                None => assert_eq!(number, 1, "{who}"),
                Some(last) => {
                    let (known, before) = last.split_once('.').unwrap();
                    assert_eq!(epoch, known, "{who}: another life");
                    assert_eq!(
                        number,
                        before.parse::<u64>().unwrap() + 1,
                        "{who}: a gap or a repeat"
                    );
                }
            }
            last = Some(id);
            heard.feed(event.result());
            progress.note();
        }
        if heard.ended {
            check(&heard, &who);
            return Some(heard);
        }
        // Never acknowledged: the requester has no id to come back with.
        let last_id = last.clone()?;
        stream = loop {
            let params = json!({ "id": heard.id() });
            match client
                .open_stream_maybe(Op::Subscribe, params, Some(&last_id))
                .await
            {
                Ok(Ok(stream)) => break stream,
                Ok(Err(reply)) if reply.error_code() == Some(code::UNSUPPORTED) => {
                    panic!(
                        "{who}: over before its end was told: {}",
                        reply.answer.text()
                    )
                }
                // Cut while it answered.
                Ok(Err(_)) | Err(_) => tokio::time::sleep(RETRY).await,
            }
        };
    }
}

/// What the deliveries to this path tell, those of the same id once.
fn told(hooks: &[Hook], path: &str) -> Heard {
    let mut heard = Heard::default();
    let mut ids = HashSet::new();
    for hook in hooks.iter().filter(|hook| hook.path == path) {
        let id = hook.header("webhook-id").expect("every delivery has an id");
        if ids.insert(id.to_owned()) {
            heard.feed(&hook.json);
        }
    }
    heard
}

/// A requester with a webhook.
async fn watch_hooks(
    client: Client,
    text: String,
    progress: Arc<Progress>,
    who: String,
) -> Outcome {
    let receiver = Receiver::start().await;
    // A port may have been another receiver's before, whose send broke off and whose task goes on.
    let path = format!("/{}", uuid::Uuid::new_v4().simple());
    let options = SendOptions::at_once().push(Push::to(receiver.url(&path)));
    let params = client.params(&text, &options);
    loop {
        match client.try_call(Op::Send, params.clone(), &[]).await {
            Ok(reply) if reply.json["result"].is_object() => break,
            Ok(_) => return None,
            Err(error) if error.starts_with("connecting") => tokio::time::sleep(RETRY).await,
            Err(_) => return None,
        }
    }
    let mut known = 0;
    loop {
        let hooks = receiver.wait_for(known + 1).await;
        (known..hooks.len()).for_each(|_| progress.note());
        known = hooks.len();
        let heard = told(&hooks, &path);
        if heard.ended {
            check(&heard, &who);
            return Some(heard);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_it_forgets_and_repeats_nothing() {
    let seed = seed();
    println!("A2A_IT_SEED={seed}");
    let mut random = Random(seed);
    let builders = [
        Worker::builder()
            .version(Version::V1)
            .modes(&[Mode::Stream, Mode::Poll]),
        Worker::builder().version(Version::V03).modes(&[Mode::Poll]),
    ];
    let workers = join_all(builders.map(|builder| {
        (0..ROUNDS)
            .fold(builder, |builder, wave| {
                builder.script_for(&format!("wave {wave}"), steps(wave))
            })
            .start()
    }))
    .await;
    let routes: Vec<String> = workers
        .iter()
        .zip(["/stream", "/poll"])
        .map(|(worker, path)| Conf::before(&worker.url).text("match.path", path).route())
        .collect();
    let head =
        "[webhooks]\nattempt_timeout = \"1s\"\nretry_first = \"20ms\"\nretry_max = \"100ms\"\n";
    let mut sidecar = Sidecar::builder()
        .config(&format!("{head}{}", routes.join("\n")))
        .store(Store::Sqlite)
        .start()
        .await;
    let progress = Arc::new(Progress {
        news: AtomicUsize::new(0),
        changes: Changes::new(),
    });
    let mut requesters: Vec<JoinHandle<Outcome>> = Vec::new();
    for wave in 0..ROUNDS {
        for n in 0..WAVE {
            let path = if n % 2 == 0 { "stream" } else { "poll" };
            let version = if n / 2 % 2 == 0 {
                Version::V1
            } else {
                Version::V03
            };
            let client = Client::new(format!("{}{path}", sidecar.url), version);
            let who = format!("seed {seed}: wave {wave}, requester {n}, {version:?} at {path}");
            let (text, progress) = (format!("wave {wave}"), progress.clone());
            requesters.push(if n / 4 % 2 == 0 {
                tokio::spawn(watch_stream(client, text, progress, who))
            } else {
                tokio::spawn(watch_hooks(client, text, progress, who))
            });
        }
        for worker in &workers {
            worker.release(&format!("{wave} first"));
            if wave > 0 {
                worker.release(&format!("{} second", wave - 1));
            }
        }
        // One wave of three is killed while it is still being sent, the others when most requesters have heard of their
        // tasks. Each hears of at least three things before its second gate, so what is waited for always comes.
        let news = match wave % 3 {
            0 => 1 + random.below(WAVE),
            _ => WAVE * 2 + random.below(WAVE),
        };
        progress.wait_for(news).await;
        sidecar.kill9().await;
        sidecar.restart().await;
    }
    for worker in &workers {
        worker.release(&format!("{} second", ROUNDS - 1));
    }
    let mut acknowledged = 0;
    for requester in requesters {
        // A requester's own panic says what was wrong; its deadline is that of each of its waits.
        let outcome = requester
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        acknowledged += usize::from(outcome.is_some());
    }
    println!(
        "{acknowledged} of {} tasks were acknowledged",
        ROUNDS * WAVE
    );
    assert!(
        acknowledged >= ROUNDS * WAVE / 4,
        "the kills came too early to show anything"
    );
    // What the workers were given is what requesters sent: nothing was sent a second time by the sidecar.
    let made: usize = workers.iter().map(|worker| worker.task_ids().len()).sum();
    assert!(
        made <= ROUNDS * WAVE,
        "{made} tasks for {} messages",
        ROUNDS * WAVE
    );
}
