//! `Mapped`: deferred work whose output or items pass through a function.

use std::future::Future;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pin_project! {
    /// A future, stream or iterator that passes its output or items through a function.
    ///
    /// The attributes return it where an output or an item is itself run later, or is detached:
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
    pub struct Mapped<T, F> {
        #[pin]
        inner: T,
        f: F,
    }
}

/// Returns a future that passes the output of `inner` through `f`.
#[inline]
pub fn map_future<T, F, R>(inner: T, f: F) -> Mapped<T, F>
where
    T: Future,
    F: FnMut(T::Output) -> R,
{
    Mapped { inner, f }
}

/// Returns an iterator that passes each item of `inner` through `f`.
#[inline]
pub fn map_iterator<T, F, R>(inner: T, f: F) -> Mapped<T, F>
where
    T: Iterator,
    F: FnMut(T::Item) -> R,
{
    Mapped { inner, f }
}

/// Returns a stream that passes each item of `inner` through `f`.
#[cfg(feature = "stream")]
#[inline]
pub fn map_stream<T, F, R>(inner: T, f: F) -> Mapped<T, F>
where
    T: futures_core::Stream,
    F: FnMut(T::Item) -> R,
{
    Mapped { inner, f }
}

/// Returns `inner`: without the feature `stream`, the call of `scoped_stream` around this one is the compile error.
#[cfg(not(feature = "stream"))]
pub fn map_stream<T, F>(inner: T, _f: F) -> T {
    inner
}

impl<T, F, R> Future for Mapped<T, F>
where
    T: Future,
    F: FnMut(T::Output) -> R,
{
    type Output = R;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        let output = ready!(this.inner.poll(cx));
        Poll::Ready((this.f)(output))
    }
}

impl<T, F, R> Iterator for Mapped<T, F>
where
    T: Iterator,
    F: FnMut(T::Item) -> R,
{
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        self.inner.next().map(&mut self.f)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }

    // A skipped item does not pass through the function.
    #[inline]
    fn nth(&mut self, n: usize) -> Option<R> {
        self.inner.nth(n).map(&mut self.f)
    }

    #[inline]
    fn count(self) -> usize {
        self.inner.count()
    }

    #[inline]
    fn last(self) -> Option<R> {
        self.inner.last().map(self.f)
    }

    #[inline]
    fn fold<B, G>(self, init: B, f: G) -> B
    where
        G: FnMut(B, R) -> B,
    {
        self.inner.map(self.f).fold(init, f)
    }
}

impl<T, F, R> DoubleEndedIterator for Mapped<T, F>
where
    T: DoubleEndedIterator,
    F: FnMut(T::Item) -> R,
{
    #[inline]
    fn next_back(&mut self) -> Option<R> {
        self.inner.next_back().map(&mut self.f)
    }

    #[inline]
    fn nth_back(&mut self, n: usize) -> Option<R> {
        self.inner.nth_back(n).map(&mut self.f)
    }

    #[inline]
    fn rfold<B, G>(self, init: B, f: G) -> B
    where
        G: FnMut(B, R) -> B,
    {
        self.inner.map(self.f).rfold(init, f)
    }
}

impl<T, F, R> ExactSizeIterator for Mapped<T, F>
where
    T: ExactSizeIterator,
    F: FnMut(T::Item) -> R,
{
    #[inline]
    fn len(&self) -> usize {
        self.inner.len()
    }
}

impl<T, F, R> FusedIterator for Mapped<T, F>
where
    T: FusedIterator,
    F: FnMut(T::Item) -> R,
{
}

#[cfg(feature = "stream")]
impl<T, F, R> futures_core::Stream for Mapped<T, F>
where
    T: futures_core::Stream,
    F: FnMut(T::Item) -> R,
{
    type Item = R;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let this = self.project();
        let item = ready!(this.inner.poll_next(cx));
        Poll::Ready(item.map(this.f))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

#[cfg(feature = "stream")]
impl<T, F, R> futures_core::FusedFuture for Mapped<T, F>
where
    T: futures_core::FusedFuture,
    F: FnMut(T::Output) -> R,
{
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

#[cfg(feature = "stream")]
impl<T, F, R> futures_core::FusedStream for Mapped<T, F>
where
    T: futures_core::FusedStream,
    F: FnMut(T::Item) -> R,
{
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}
