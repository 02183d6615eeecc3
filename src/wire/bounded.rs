//! A body that ends with an error instead of being longer than a bound.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::body::{Body, BodyError};

/// A body of at most so many bytes. One whose length is told and is larger ends before its first byte.
#[derive(Debug)]
pub struct Bounded {
    body: Body,
    limit: usize,
    left: usize,
}

impl Bounded {
    /// At most `limit` bytes of this one.
    #[must_use]
    pub fn new(body: Body, limit: usize) -> Self {
        Self {
            body,
            limit,
            left: limit,
        }
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.body.size_hint().lower() <= this.left as u64 {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            let length = match &frame {
                Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => 0,
            };
            if let Some(left) = this.left.checked_sub(length) {
                this.left = left;
                return Poll::Ready(frame);
            }
        }
        // What it was is let go: nothing more is read of it.
        this.body = Body::empty();
        let limit = this.limit;
        Poll::Ready(Some(Err(BodyError::TooLarge { limit })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
