//! A body that ends with an error instead of being longer than a bound.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::body::BodyError;

pin_project! {
    /// A body of at most so many bytes. One whose length is told and is larger ends before its first byte.
    #[derive(Debug)]
    pub struct Bounded<B> {
        #[pin]
        body: B,
        limit: usize,
        left: usize,
    }
}

impl<B> Bounded<B> {
    /// At most `limit` bytes of this one.
    #[must_use]
    pub fn new(body: B, limit: usize) -> Self {
        Self {
            body,
            limit,
            left: limit,
        }
    }

    /// So many bytes more, which the bound does not speak of.
    #[must_use]
    pub fn and_room_for(mut self, bytes: usize) -> Self {
        self.left = self.left.saturating_add(bytes);
        self
    }
}

impl<B> HttpBody for Bounded<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        let over = BodyError::TooLarge { limit: *this.limit };
        if this.body.size_hint().lower() > *this.left as u64 {
            return Poll::Ready(Some(Err(over)));
        }
        let Some(frame) = ready!(this.body.poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?;
        match this
            .left
            .checked_sub(frame.data_ref().map_or(0, Bytes::len))
        {
            Some(left) => *this.left = left,
            None => return Poll::Ready(Some(Err(over))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
