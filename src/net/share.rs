//! A tower service as hyper asks for it: by shared reference.
//!
//! The usual way clones the service for each request, and a stack of layers is many counters to go up and down by. This
//! lends the one service of the connection out for the moment of the call.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

/// A connection's service.
#[derive(Debug)]
pub(super) struct Share<S> {
    service: Mutex<S>,
}

impl<S> Share<S> {
    pub(super) fn new(service: S) -> Self {
        Self {
            service: Mutex::new(service),
        }
    }
}

impl<S, R> hyper::service::Service<R> for Share<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Called<S, R>;

    fn call(&self, request: R) -> Called<S, R> {
        // Held for the call, which only makes a future; HTTP/2 may ask for several at once. A panic in it leaves nothing
        // that the next call relies on.
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Called::Now {
                future: service.call(request),
            },
            // It waits, or says why it cannot, with a waker that is heard. The one that was asked goes on waiting: it may
            // stand in a line that a clone would stand behind. The clone is the connection's from here on.
            Poll::Pending | Poll::Ready(Err(_)) => {
                let clone = service.clone();
                let asked = std::mem::replace(&mut *service, clone);
                Called::Later {
                    future: Box::pin(Oneshot::new(asked, request)),
                }
            }
        }
    }
}

pin_project! {
    /// The answer.
    #[project = CalledProj]
    pub(super) enum Called<S: Service<R>, R> {
        Now { #[pin] future: S::Future },
        Later { future: Pin<Box<Oneshot<S, R>>> },
    }
}

impl<S, R> Future for Called<S, R>
where
    S: Service<R>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CalledProj::Now { future } => future.poll(cx),
            CalledProj::Later { future } => future.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tower::limit::ConcurrencyLimit;
    use tower::service_fn;

    /// Counts its clones.
    struct Counting(std::sync::Arc<()>);

    impl Clone for Counting {
        fn clone(&self) -> Self {
            Self(std::sync::Arc::clone(&self.0))
        }
    }

    impl Service<u32> for Counting {
        type Response = usize;
        type Error = Infallible;
        type Future = std::future::Ready<Result<usize, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: u32) -> Self::Future {
            std::future::ready(Ok(std::sync::Arc::strong_count(&self.0)))
        }
    }

    #[tokio::test]
    async fn a_service_that_is_ready_is_not_cloned() {
        let share = Share::new(Counting(std::sync::Arc::new(())));
        for request in 0..3 {
            assert_eq!(hyper::service::Service::call(&share, request).await, Ok(1));
        }
    }

    #[tokio::test]
    async fn a_service_that_is_not_ready_is_waited_for() {
        let (release, held) = tokio::sync::watch::channel(false);
        let service = service_fn(move |request: u32| {
            let mut held = held.clone();
            async move {
                let _ = held.wait_for(|held| *held).await;
                Ok::<_, Infallible>(request)
            }
        });
        let share = Share::new(ConcurrencyLimit::new(service, 1));
        let first = hyper::service::Service::call(&share, 1);
        let second = hyper::service::Service::call(&share, 2);
        let mut both = std::pin::pin!(async { tokio::join!(first, second) });
        assert!(futures_util::poll!(both.as_mut()).is_pending());
        release.send_replace(true);
        assert_eq!(both.await, (Ok(1), Ok(2)));
    }
}
