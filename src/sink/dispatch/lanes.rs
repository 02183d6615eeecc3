//! Shares of the attempts: one receiver that hangs, with however many tasks, must not take every place.
//!
//! Each receiver (host and port) has a lane with a bounded number of places. Who finds the lane full waits in it, and
//! the number that waits is bounded for all lanes together; beyond that an attempt is turned away and made later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The most attempts that wait in all lanes together. What waits is small (an opened push config, no payload), so that
/// this is some megabytes; a burst to one quick receiver of as many tasks is delivered without a detour.
pub(super) const MAX_WAITING: usize = 1024;

/// One receiver may take this fraction of all attempts under way: four that hang at once leave no room to others, three
/// do.
const SHARE: usize = 4;

pub(super) struct Lanes {
    places: usize,
    open: Mutex<HashMap<String, Lane>>,
    waiting: AtomicUsize,
    /// Rung when one more waits.
    steps_aside: Notify,
    /// Of all lanes together.
    all: Arc<Semaphore>,
}

struct Lane {
    places: Arc<Semaphore>,
    /// How many hold or wait for a place; the lane goes with the last.
    users: usize,
}

/// A place in a lane, held for one attempt.
pub(super) struct Place<'a> {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _user: User<'a>,
}

impl Lanes {
    pub fn new(max_in_flight: usize) -> Self {
        Self {
            places: max_in_flight.div_ceil(SHARE).max(1),
            open: Mutex::default(),
            waiting: AtomicUsize::new(0),
            steps_aside: Notify::new(),
            all: Arc::new(Semaphore::new(max_in_flight.max(1))),
        }
    }

    /// How many wait in their lane, and so hold up nobody else.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until one more has begun to wait since the last call returned.
    pub async fn stepped_aside(&self) {
        self.steps_aside.notified().await;
    }

    /// A place in the receiver's lane; none if there is none until `latest`, or too many wait already.
    pub async fn enter(&self, receiver: String, latest: Instant) -> Option<Place<'_>> {
        let (user, places) = self.join(receiver);
        let own = match places.clone().try_acquire_owned() {
            Ok(own) => own,
            Err(_) => {
                let _waiting = Waiting::one_more(&self.waiting)?;
                self.steps_aside.notify_one();
                timeout_at(latest, places.acquire_owned())
                    .await
                    .ok()?
                    .ok()?
            }
        };
        let all = timeout_at(latest, self.all.clone().acquire_owned())
            .await
            .ok()?
            .ok()?;
        Some(Place {
            _all: all,
            _own: own,
            _user: user,
        })
    }

    fn join(&self, receiver: String) -> (User<'_>, Arc<Semaphore>) {
        let mut open = self.lock();
        let lane = open.entry(receiver.clone()).or_insert_with(|| Lane {
            places: Arc::new(Semaphore::new(self.places)),
            users: 0,
        });
        lane.users += 1;
        let user = User {
            lanes: self,
            receiver,
        };
        (user, lane.places.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        // Nothing that is held under this lock can be left half-changed by a panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct User<'a> {
    lanes: &'a Lanes,
    receiver: String,
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        let mut open = self.lanes.lock();
        if let Some(lane) = open.get_mut(&self.receiver) {
            lane.users -= 1;
            if lane.users == 0 {
                open.remove(&self.receiver);
            }
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn one_more(waiting: &'a AtomicUsize) -> Option<Self> {
        let more = |now| (now < MAX_WAITING).then_some(now + 1);
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_is_a_share_and_goes_with_its_last_user() {
        let lanes = Lanes::new(8);
        let soon = Instant::now() + Duration::from_secs(1);
        let first = lanes.enter("a".to_owned(), soon).await.unwrap();
        let _second = lanes.enter("a".to_owned(), soon).await.unwrap();
        assert!(lanes.enter("a".to_owned(), soon).await.is_none());
        assert_eq!(Instant::now(), soon, "it waited for a place");
        let later = soon + Duration::from_secs(1);
        let _other = lanes.enter("b".to_owned(), later).await.unwrap();
        drop(first);
        let _third = lanes.enter("a".to_owned(), later).await.unwrap();
        assert_eq!(lanes.waiting(), 0);
        drop((_second, _third, _other));
        assert!(lanes.lock().is_empty());
    }
}
