//! Webhooks registered to find out whether any are taken: for a task that there is not, by clients that know no other
//! way. They are kept for a while so that their owner can read and delete them, and nothing is ever posted to them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::a2a::PushConfig;
use crate::store::Principal;
use crate::task::TaskKey;

/// How long one is kept: a client probes and, if it is tidy, deletes within the same second.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// How many are kept at once, the newest: enough for many clients that start together, and bounded, since anybody may
/// make one.
const MOST: usize = 256;

/// The probes of all requesters.
#[derive(Default)]
pub struct Probes {
    kept: Mutex<Vec<Probe>>,
}

struct Probe {
    key: TaskKey,
    owner: Principal,
    config: PushConfig,
    at: Instant,
}

impl Probe {
    fn is(&self, key: &TaskKey, owner: Principal) -> bool {
        self.key == *key && self.owner == owner
    }
}

impl Probes {
    /// Keeps a probe, in the place of its owner's last one for this task.
    pub fn keep(&self, key: TaskKey, owner: Principal, config: PushConfig) {
        let mut kept = self.fresh();
        kept.retain(|probe| !probe.is(&key, owner));
        if kept.len() >= MOST {
            // In the order in which they came.
            kept.remove(0);
        }
        kept.push(Probe {
            key,
            owner,
            config,
            at: Instant::now(),
        });
    }

    /// The owner's probe for this task.
    #[must_use]
    pub fn get(&self, key: &TaskKey, owner: Principal) -> Option<PushConfig> {
        self.fresh()
            .iter()
            .find(|probe| probe.is(key, owner))
            .map(|probe| probe.config.clone())
    }

    /// Forgets it; whether there was one.
    pub fn forget(&self, key: &TaskKey, owner: Principal) -> bool {
        let mut kept = self.fresh();
        let before = kept.len();
        kept.retain(|probe| !probe.is(key, owner));
        kept.len() < before
    }

    /// Those that are not too old. (Nothing panics while it holds the lock.)
    fn fresh(&self) -> MutexGuard<'_, Vec<Probe>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|probe| probe.at.elapsed() < KEPT_FOR);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(route: &str) -> TaskKey {
        TaskKey {
            route: route.into(),
            tenant: "".into(),
            id: "test".into(),
        }
    }

    fn config(url: &str) -> PushConfig {
        PushConfig {
            url: url.to_owned(),
            ..PushConfig::default()
        }
    }

    const ONE: Principal = Principal([1; 32]);
    const OTHER: Principal = Principal([2; 32]);

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_its_owners_alone_and_for_a_while() {
        let probes = Probes::default();
        probes.keep(key("a"), ONE, config("http://one/"));
        probes.keep(key("a"), ONE, config("http://two/"));
        let url = |key: &TaskKey, owner| probes.get(key, owner).map(|config| config.url);
        assert_eq!(url(&key("a"), ONE).as_deref(), Some("http://two/"));
        assert_eq!(url(&key("a"), OTHER), None);
        assert_eq!(url(&key("b"), ONE), None);
        assert!(!probes.forget(&key("a"), OTHER));
        tokio::time::advance(KEPT_FOR).await;
        assert_eq!(url(&key("a"), ONE), None);
        assert!(!probes.forget(&key("a"), ONE));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room() {
        let probes = Probes::default();
        for route in 0..=MOST {
            probes.keep(key(&route.to_string()), ONE, config("http://x/"));
        }
        assert!(probes.get(&key("0"), ONE).is_none());
        assert!(probes.get(&key("1"), ONE).is_some());
        assert!(probes.forget(&key(&MOST.to_string()), ONE));
        assert!(probes.get(&key(&MOST.to_string()), ONE).is_none());
    }
}
