//! A tower service as hyper asks for it: by shared reference. It also counts the calls of its connection.
//!
//! The usual way clones the service for each request, and a stack of layers is many counters to go up and down by. This
//! lends the one service of the connection out for the moment of the call.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use http::Response;
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

use super::heads::{CallBody, Calls, OpenCall};

/// A connection's service.
#[derive(Debug)]
pub(super) struct Share<S> {
    service: Mutex<S>,
    calls: Calls,
}

impl<S> Share<S> {
    pub(super) fn new(service: S, calls: Calls) -> Self {
        Self {
            service: Mutex::new(service),
            calls,
        }
    }
}

impl<S, R, B> hyper::service::Service<R> for Share<S>
where
    S: Service<R, Response = Response<B>> + Clone,
{
    type Response = Response<CallBody<B>>;
    type Error = S::Error;
    type Future = Called<S, R>;

    fn call(&self, request: R) -> Called<S, R> {
        let call = Some(self.calls.begin());
        // Held for the call, which only makes a future; HTTP/2 may ask for several at once. A panic in it leaves nothing
        // that the next call relies on.
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Answering::Now {
                future: service.call(request),
            },
            // It waits, or says why it cannot, with a waker that is heard. The one that was asked goes on waiting: it may
            // stand in a line that a clone would stand behind. The clone is the connection's from here on.
            Poll::Pending | Poll::Ready(Err(_)) => {
                let clone = service.clone();
                let asked = std::mem::replace(&mut *service, clone);
                Answering::Later {
                    future: Box::pin(Oneshot::new(asked, request)),
                }
            }
        };
        Called { answer, call }
    }
}

pin_project! {
    /// The answer.
    pub(super) struct Called<S: Service<R>, R> {
        #[pin]
        answer: Answering<S, R>,
        call: Option<OpenCall>,
    }
}

pin_project! {
    #[project = AnsweringProj]
    enum Answering<S: Service<R>, R> {
        Now { #[pin] future: S::Future },
        Later { future: Pin<Box<Oneshot<S, R>>> },
    }
}

impl<S, R, B> Future for Called<S, R>
where
    S: Service<R, Response = Response<B>>,
{
    type Output = Result<Response<CallBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(match this.answer.project() {
            AnsweringProj::Now { future } => future.poll(cx),
            AnsweringProj::Later { future } => future.as_mut().poll(cx),
        });
        let call = this.call.take();
        Poll::Ready(answer.map(|answer| answer.map(|body| CallBody::new(body, call))))
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
        type Response = Response<usize>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<usize>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: u32) -> Self::Future {
            let clones = std::sync::Arc::strong_count(&self.0);
            std::future::ready(Ok(Response::new(clones)))
        }
    }

    /// The body of the answer.
    fn answered<S, B>(share: &Share<S>, request: u32) -> impl Future<Output = B>
    where
        S: Service<u32, Response = Response<B>, Error = Infallible> + Clone,
    {
        let answer = hyper::service::Service::call(share, request);
        async { answer.await.unwrap().into_body().into_inner() }
    }

    #[tokio::test]
    async fn a_service_that_is_ready_is_not_cloned() {
        let share = Share::new(Counting(std::sync::Arc::new(())), Calls::default());
        for request in 0..3 {
            assert_eq!(answered(&share, request).await, 1);
        }
    }

    #[tokio::test]
    async fn a_service_that_is_not_ready_is_waited_for() {
        let (release, held) = tokio::sync::watch::channel(false);
        let service = service_fn(move |request: u32| {
            let mut held = held.clone();
            async move {
                let _ = held.wait_for(|held| *held).await;
                Ok::<_, Infallible>(Response::new(request))
            }
        });
        let share = Share::new(ConcurrencyLimit::new(service, 1), Calls::default());
        let first = answered(&share, 1);
        let second = answered(&share, 2);
        let mut both = std::pin::pin!(async { tokio::join!(first, second) });
        assert!(futures_util::poll!(both.as_mut()).is_pending());
        release.send_replace(true);
        assert_eq!(both.await, (1, 2));
    }
}
