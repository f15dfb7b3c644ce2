//! Futures: in the scope at each poll.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::carry::scoped::{Enter, Scoped};

impl<F, E> Future for Scoped<F, E>
where
    F: Future,
    E: Enter,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (enter, future) = self.project();
        let _guard = enter.enter();
        future.poll(cx)
    }
}
