//! Streams: in the scope at each poll. Needs the feature `stream`, for the trait.

use crate::carry::scoped::Enter;
#[cfg(feature = "stream")]
use crate::carry::scoped::{Scoped, scoped};

/// Wraps a stream that an annotated function returns; see [`scoped`].
#[cfg(feature = "stream")]
pub fn scoped_stream<S, E>(enter: E, stream: S) -> Scoped<S, E>
where
    E: Enter,
{
    scoped(enter, stream)
}

/// The bound on a returned stream while the feature `stream` is off, for its error message.
#[cfg(not(feature = "stream"))]
#[diagnostic::on_unimplemented(
    message = "grad-runtime is built without its feature `stream`, so it cannot carry the scope of a returned stream",
    label = "this function returns a stream",
    note = "in Cargo.toml, write `grad-runtime = {{ version = \"…\", features = [\"stream\"] }}`",
    note = "or write `#[no_grad(eager)]` if only making the stream belongs to the scope, not advancing it"
)]
pub trait FeatureStream {}

/// Fails to compile with a message about the missing feature, and no other: the stream stays a stream.
#[cfg(not(feature = "stream"))]
pub fn scoped_stream<S, E>(_enter: E, stream: S) -> S
where
    S: FeatureStream,
    E: Enter,
{
    stream
}

#[cfg(feature = "stream")]
mod implementations {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_core::{FusedFuture, FusedStream, Stream};

    use super::{Enter, Scoped};

    impl<S, E> Stream for Scoped<S, E>
    where
        S: Stream,
        E: Enter,
    {
        type Item = S::Item;

        #[inline]
        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let (enter, stream) = self.project();
            let _guard = enter.enter();
            stream.poll_next(cx)
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            let (_guard, stream) = self.enter();
            stream.size_hint()
        }
    }

    impl<F, E> FusedFuture for Scoped<F, E>
    where
        F: FusedFuture,
        E: Enter,
    {
        fn is_terminated(&self) -> bool {
            self.inner().is_terminated()
        }
    }

    impl<S, E> FusedStream for Scoped<S, E>
    where
        S: FusedStream,
        E: Enter,
    {
        fn is_terminated(&self) -> bool {
            self.inner().is_terminated()
        }
    }
}
