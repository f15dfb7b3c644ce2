//! `Detached`: deferred work whose results are detached.

use std::future::Future;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pin_project! {
    /// A future, stream or iterator that passes its output or items through a function that detaches them.
    ///
    /// The attributes with `detach` return it:
    ///
    /// ```
    /// use grad_runtime::attr::no_grad;
    ///
    /// #[no_grad(detach = f32::abs)]
    /// fn distances() -> impl ExactSizeIterator<Item = f32> {
    ///     [1.0, -2.0].into_iter()
    /// }
    ///
    /// assert_eq!(distances().len(), 2);
    /// assert!(distances().eq([1.0, 2.0]));
    /// ```
    #[derive(Clone, Debug)]
    #[must_use = "it does nothing unless it is polled or advanced"]
    pub struct Detached<T, F> {
        #[pin]
        inner: T,
        detach: F,
    }
}

/// Returns a future that passes the output of `inner` through `detach`.
#[inline]
pub fn detached_future<T, F>(inner: T, detach: F) -> Detached<T, F>
where
    T: Future,
    F: FnMut(T::Output) -> T::Output,
{
    Detached { inner, detach }
}

/// Returns an iterator that passes each item of `inner` through `detach`.
#[inline]
pub fn detached_iterator<T, F>(inner: T, detach: F) -> Detached<T, F>
where
    T: Iterator,
    F: FnMut(T::Item) -> T::Item,
{
    Detached { inner, detach }
}

/// Returns a stream that passes each item of `inner` through `detach`.
#[cfg(feature = "stream")]
#[inline]
pub fn detached_stream<T, F>(inner: T, detach: F) -> Detached<T, F>
where
    T: futures_core::Stream,
    F: FnMut(T::Item) -> T::Item,
{
    Detached { inner, detach }
}

/// Returns `inner`: without the feature `stream`, the call of `scoped_stream` around this one is the compile error.
#[cfg(not(feature = "stream"))]
pub fn detached_stream<T, F>(inner: T, _detach: F) -> T {
    inner
}

impl<T, F> Future for Detached<T, F>
where
    T: Future,
    F: FnMut(T::Output) -> T::Output,
{
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let this = self.project();
        let output = ready!(this.inner.poll(cx));
        Poll::Ready((this.detach)(output))
    }
}

impl<T, F> Iterator for Detached<T, F>
where
    T: Iterator,
    F: FnMut(T::Item) -> T::Item,
{
    type Item = T::Item;

    #[inline]
    fn next(&mut self) -> Option<T::Item> {
        self.inner.next().map(&mut self.detach)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }

    // A skipped item need not be detached.
    #[inline]
    fn nth(&mut self, n: usize) -> Option<T::Item> {
        self.inner.nth(n).map(&mut self.detach)
    }

    #[inline]
    fn count(self) -> usize {
        self.inner.count()
    }

    #[inline]
    fn last(self) -> Option<T::Item> {
        self.inner.last().map(self.detach)
    }

    #[inline]
    fn fold<B, G>(self, init: B, f: G) -> B
    where
        G: FnMut(B, T::Item) -> B,
    {
        self.inner.map(self.detach).fold(init, f)
    }
}

impl<T, F> DoubleEndedIterator for Detached<T, F>
where
    T: DoubleEndedIterator,
    F: FnMut(T::Item) -> T::Item,
{
    #[inline]
    fn next_back(&mut self) -> Option<T::Item> {
        self.inner.next_back().map(&mut self.detach)
    }

    #[inline]
    fn nth_back(&mut self, n: usize) -> Option<T::Item> {
        self.inner.nth_back(n).map(&mut self.detach)
    }

    #[inline]
    fn rfold<B, G>(self, init: B, f: G) -> B
    where
        G: FnMut(B, T::Item) -> B,
    {
        self.inner.map(self.detach).rfold(init, f)
    }
}

impl<T, F> ExactSizeIterator for Detached<T, F>
where
    T: ExactSizeIterator,
    F: FnMut(T::Item) -> T::Item,
{
    #[inline]
    fn len(&self) -> usize {
        self.inner.len()
    }
}

impl<T, F> FusedIterator for Detached<T, F>
where
    T: FusedIterator,
    F: FnMut(T::Item) -> T::Item,
{
}

#[cfg(feature = "stream")]
impl<T, F> futures_core::Stream for Detached<T, F>
where
    T: futures_core::Stream,
    F: FnMut(T::Item) -> T::Item,
{
    type Item = T::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let this = self.project();
        let item = ready!(this.inner.poll_next(cx));
        Poll::Ready(item.map(this.detach))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

#[cfg(feature = "stream")]
impl<T, F> futures_core::FusedFuture for Detached<T, F>
where
    T: futures_core::FusedFuture,
    F: FnMut(T::Output) -> T::Output,
{
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

#[cfg(feature = "stream")]
impl<T, F> futures_core::FusedStream for Detached<T, F>
where
    T: futures_core::FusedStream,
    F: FnMut(T::Item) -> T::Item,
{
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}
