//! Who may see what (design: the worker decides). A task's log is served to the principal that created it, or to one
//! whom the worker, asked with that principal's own credentials, lets see the task.

use std::time::Duration;

use dashmap::DashMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::route::Route;
use crate::source::Sources;
use crate::store::{Principal, TaskRecord};
use crate::task::TaskKey;
use crate::worker::CallContext;

/// How long the worker's word on a principal is believed: a poller must not double the worker's load, and who lost the
/// right to a task must not keep it for long.
const BELIEVED_FOR: Duration = Duration::from_secs(30);

/// How many of the worker's words are remembered; beyond that, all are forgotten and asked for anew.
const MAX_REMEMBERED: usize = 10_000;

/// The worker's words on who may see which task.
#[derive(Debug, Default)]
pub struct Access {
    allowed: DashMap<(TaskKey, Principal), Instant>,
}

/// Who sends a request with these headers: a digest of the credentials in them.
#[must_use]
pub fn principal(route: &str, headers: &HeaderMap, identity: &[HeaderName]) -> Principal {
    let mut digest = Sha256::new();
    digest.update(route.as_bytes());
    let named = [&AUTHORIZATION, &COOKIE].into_iter().chain(identity);
    for name in named {
        for value in headers.get_all(name) {
            // Lengths keep apart what concatenation would run together.
            digest.update([0]);
            digest.update(name.as_str().as_bytes());
            digest.update((value.len() as u64).to_be_bytes());
            digest.update(value.as_bytes());
        }
    }
    Principal(digest.finalize().into())
}

impl Access {
    /// Whether this principal may see the task.
    pub async fn allows(
        &self,
        sources: &Sources,
        route: &Route,
        record: &TaskRecord,
        principal: Principal,
        context: &CallContext,
    ) -> bool {
        if record.owner == principal {
            return true;
        }
        let question = (record.key.clone(), principal);
        if let Some(at) = self.allowed.get(&question)
            && at.elapsed() < BELIEVED_FOR
        {
            return true;
        }
        let timeout = route.upstream.policy.call_timeout;
        let seen = sources
            .read_as(record, &route.upstream, context, timeout)
            .await
            .is_ok();
        if seen {
            if self.allowed.len() >= MAX_REMEMBERED {
                self.allowed.clear();
            }
            self.allowed.insert(question, Instant::now());
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Principal {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        principal("route", &headers, &[HeaderName::from_static("x-api-key")])
    }

    #[test]
    fn credentials_make_the_principal_and_other_headers_do_not() {
        let alice = of(&[("authorization", "Bearer a")]);
        assert_eq!(
            alice,
            of(&[("authorization", "Bearer a"), ("user-agent", "x")])
        );
        assert_ne!(alice, of(&[("authorization", "Bearer b")]));
        assert_ne!(alice, of(&[]));
        assert_ne!(of(&[("x-api-key", "k")]), of(&[]));
        assert_ne!(of(&[("x-api-key", "k")]), of(&[("cookie", "k")]));
    }

    #[test]
    fn what_two_headers_say_cannot_be_said_by_one() {
        assert_ne!(
            of(&[("authorization", "a"), ("cookie", "b")]),
            of(&[("authorization", "acookieb"), ("cookie", "")]),
        );
    }
}
