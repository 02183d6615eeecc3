//! Reads a body to its end, up to a bound. A body of one frame is not copied.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;

use super::body::BodyError;
use super::bounded::Bounded;

/// Most memory that a declared length alone can make us reserve, in bytes: a peer that announces much
/// and sends nothing must not cost much.
const MAX_RESERVED_AHEAD: usize = 256 * 1024;

/// Reads `body` to its end; trailers are dropped. A body whose declared length exceeds `limit` bytes
/// is refused before a byte is read.
///
/// # Errors
/// [`BodyError::TooLarge`] as soon as more than `limit` bytes are known to come, or the body's own. What was read is lost.
pub async fn collect<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    let mut body = pin!(Bounded::new(body, limit));
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if first.is_empty() && all.is_empty() {
            first = data;
            if body.is_end_stream() {
                break;
            }
            continue;
        }
        if !first.is_empty() {
            let rest = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
            all.reserve(first.len() + data.len() + rest.min(MAX_RESERVED_AHEAD));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::wire::body::{Body, BoxError};

    fn chunks(parts: &[&'static str]) -> Body {
        let parts: Vec<_> = parts
            .iter()
            .map(|p| Ok::<_, BoxError>(Bytes::from_static(p.as_bytes())))
            .collect();
        Body::from_stream(stream::iter(parts))
    }

    #[tokio::test]
    async fn one_frame_is_handed_over_without_a_copy() {
        let bytes = Bytes::from(vec![7u8; 1024]);
        let out = collect(Body::full(bytes.clone()), 1024).await.unwrap();
        assert_eq!(out.as_ptr(), bytes.as_ptr());
        assert_eq!(out, bytes);
    }

    #[tokio::test]
    async fn many_frames_are_joined_in_order() {
        assert_eq!(
            collect(chunks(&["ab", "", "cd", "e"]), 5).await.unwrap(),
            "abcde"
        );
        assert_eq!(collect(chunks(&["", "x"]), 5).await.unwrap(), "x");
        assert_eq!(collect(Body::empty(), 0).await.unwrap(), "");
    }

    #[tokio::test]
    async fn the_bound_holds_at_the_byte() {
        assert!(collect(chunks(&["ab", "cd"]), 4).await.is_ok());
        for body in [chunks(&["ab", "cd"]), chunks(&["abcd"]), Body::full("abcd")] {
            let error = collect(body, 3).await.unwrap_err();
            assert!(matches!(error, BodyError::TooLarge { limit: 3 }));
        }
    }

    #[tokio::test]
    async fn a_declared_length_over_the_bound_is_refused_unread() {
        let unread = std::sync::Arc::new(());
        let body = Body::full("abcd").with_guard(unread.clone());
        assert!(matches!(
            collect(body, 1).await,
            Err(BodyError::TooLarge { .. })
        ));
        assert_eq!(std::sync::Arc::strong_count(&unread), 1);
    }

    #[tokio::test]
    async fn a_broken_body_is_an_error_of_the_body() {
        let parts = [
            Ok(Bytes::from_static(b"a")),
            Err::<_, BoxError>("cut".into()),
        ];
        let error = collect(Body::from_stream(stream::iter(parts)), 9)
            .await
            .unwrap_err();
        assert!(matches!(error, BodyError::Producer(_)));
    }
}
