//! What wakes a connection: a waker of its own, which stays the same while the tasks that drive the connection change, and
//! which can be kept from waking a task that knows already.
//!
//! Whoever takes a part of a body from a connection of hyper's wakes that connection's task for more, even where no more
//! can come. In one task with the connection that is a turn of everything in it, for nothing.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// What a connection rings when it is to be driven.
#[derive(Debug, Default)]
pub struct Bell {
    /// Whom it wakes.
    task: AtomicWaker,
    rung: AtomicBool,
}

impl Bell {
    /// From here on it wakes this task, once.
    pub fn wakes(&self, task: &Waker) {
        self.task.register(task);
    }

    /// From here on it wakes nobody.
    pub fn wakes_nobody(&self) {
        self.task.take();
    }

    /// Whether it has rung since this was last asked.
    pub fn take_rung(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Whether it has rung.
    pub fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Says that the connection is to be driven, to whoever drives it already.
    pub fn note(&self) {
        self.rung.store(true, Ordering::Release);
    }

    fn ring(&self) {
        self.note();
        self.task.wake();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let hushed = HUSHED.with_borrow_mut(|hushed| match hushed {
            Some(rung) => {
                *rung = Some(Arc::clone(self));
                true
            }
            None => false,
        });
        if hushed {
            self.note();
        } else {
            self.ring();
        }
    }
}

thread_local! {
    /// While this thread is to be quiet: the bell that it would have rung.
    static HUSHED: RefCell<Option<Option<Arc<Bell>>>> = const { RefCell::new(None) };
}

/// While something is taken from a connection: no bell wakes anybody on this thread.
#[derive(Debug)]
pub struct Quiet {
    outer: Option<Option<Arc<Bell>>>,
}

impl Quiet {
    /// Begins.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            outer: HUSHED.replace(Some(None)),
        }
    }

    /// Ends, and lets the bell be heard that has rung meanwhile, if one has. Dropped, it is for whoever drives the
    /// connection to look whether its bell has rung.
    pub fn end_aloud(self) {
        let rung = HUSHED.with_borrow_mut(|hushed| hushed.as_mut().and_then(Option::take));
        drop(self);
        if let Some(bell) = rung {
            bell.ring();
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        HUSHED.replace(self.outer.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A bell that wakes this task, and the bell's waker.
    fn bell() -> (Arc<Bell>, Waker, Arc<Task>) {
        let (bell, task) = (Arc::new(Bell::default()), Arc::new(Task::default()));
        bell.wakes(&Waker::from(Arc::clone(&task)));
        (Arc::clone(&bell), Waker::from(bell), task)
    }

    fn woken(task: &Task) -> usize {
        task.0.load(Ordering::SeqCst)
    }

    #[test]
    fn a_bell_wakes_the_latest_task_once() {
        let (bell, waker, first) = bell();
        let second = Arc::new(Task::default());
        bell.wakes(&Waker::from(Arc::clone(&second)));
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!((woken(&first), woken(&second)), (0, 1));
        assert!(bell.take_rung());
        assert!(!bell.has_rung());
        bell.wakes(&Waker::from(Arc::clone(&second)));
        bell.wakes_nobody();
        waker.wake();
        assert_eq!((woken(&second), bell.has_rung()), (1, true));
    }

    #[test]
    fn in_the_quiet_it_is_only_noted() {
        let (bell, waker, task) = bell();
        let quiet = Quiet::begin();
        waker.wake_by_ref();
        drop(quiet);
        assert_eq!((woken(&task), bell.has_rung()), (0, true));
        waker.wake();
        assert_eq!(woken(&task), 1, "the quiet is over");
    }

    #[test]
    fn what_ends_aloud_is_heard_if_there_was_anything() {
        let (_bell, waker, task) = bell();
        Quiet::begin().end_aloud();
        assert_eq!(woken(&task), 0);
        let quiet = Quiet::begin();
        waker.wake_by_ref();
        quiet.end_aloud();
        assert_eq!(woken(&task), 1);
    }

    #[test]
    fn the_quiet_of_one_thread_is_not_anothers() {
        let (_bell, waker, task) = bell();
        let quiet = Quiet::begin();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        assert_eq!(woken(&task), 1);
        drop(quiet);
    }

    #[test]
    fn a_quiet_within_another_leaves_it_as_it_was() {
        let (_bell, waker, task) = bell();
        let outer = Quiet::begin();
        drop(Quiet::begin());
        waker.wake_by_ref();
        assert_eq!(woken(&task), 0);
        outer.end_aloud();
        assert_eq!(woken(&task), 1);
    }
}
