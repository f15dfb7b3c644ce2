//! Work that runs later, and whose results are detached.

use std::future::Future;
use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pin_project! {
    /// A future, stream or iterator whose output or items go through a function that detaches them.
    ///
    /// The attributes make it, with `detach`:
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
    #[must_use = "it does nothing until it is polled or advanced"]
    pub struct Detached<T, F> {
        #[pin]
        work: T,
        detach: F,
    }
}

/// `work`, with its output put through `detach`.
#[inline]
pub fn detached_future<T, F>(work: T, detach: F) -> Detached<T, F>
where
    T: Future,
    F: FnMut(T::Output) -> T::Output,
{
    Detached { work, detach }
}

/// `work`, with each item put through `detach`.
#[inline]
pub fn detached_iterator<T, F>(work: T, detach: F) -> Detached<T, F>
where
    T: Iterator,
    F: FnMut(T::Item) -> T::Item,
{
    Detached { work, detach }
}

/// `work`, with each item put through `detach`.
#[cfg(feature = "stream")]
#[inline]
pub fn detached_stream<T, F>(work: T, detach: F) -> Detached<T, F>
where
    T: futures_core::Stream,
    F: FnMut(T::Item) -> T::Item,
{
    Detached { work, detach }
}

/// Where streams are unknown, `scoped_stream` is the error.
#[cfg(not(feature = "stream"))]
pub fn detached_stream<T, F>(work: T, _detach: F) -> T {
    work
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
        let output = ready!(this.work.poll(cx));
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
        self.work.next().map(&mut self.detach)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.work.size_hint()
    }

    // An item that nobody sees need not be detached.
    #[inline]
    fn nth(&mut self, n: usize) -> Option<T::Item> {
        self.work.nth(n).map(&mut self.detach)
    }

    #[inline]
    fn count(self) -> usize {
        self.work.count()
    }

    #[inline]
    fn last(self) -> Option<T::Item> {
        self.work.last().map(self.detach)
    }

    #[inline]
    fn fold<B, G>(self, init: B, f: G) -> B
    where
        G: FnMut(B, T::Item) -> B,
    {
        self.work.map(self.detach).fold(init, f)
    }
}

impl<T, F> DoubleEndedIterator for Detached<T, F>
where
    T: DoubleEndedIterator,
    F: FnMut(T::Item) -> T::Item,
{
    #[inline]
    fn next_back(&mut self) -> Option<T::Item> {
        self.work.next_back().map(&mut self.detach)
    }

    #[inline]
    fn nth_back(&mut self, n: usize) -> Option<T::Item> {
        self.work.nth_back(n).map(&mut self.detach)
    }

    #[inline]
    fn rfold<B, G>(self, init: B, f: G) -> B
    where
        G: FnMut(B, T::Item) -> B,
    {
        self.work.map(self.detach).rfold(init, f)
    }
}

impl<T, F> ExactSizeIterator for Detached<T, F>
where
    T: ExactSizeIterator,
    F: FnMut(T::Item) -> T::Item,
{
    #[inline]
    fn len(&self) -> usize {
        self.work.len()
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
        let item = ready!(this.work.poll_next(cx));
        Poll::Ready(item.map(this.detach))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.work.size_hint()
    }
}

#[cfg(feature = "stream")]
impl<T, F> futures_core::FusedFuture for Detached<T, F>
where
    T: futures_core::FusedFuture,
    F: FnMut(T::Output) -> T::Output,
{
    fn is_terminated(&self) -> bool {
        self.work.is_terminated()
    }
}

#[cfg(feature = "stream")]
impl<T, F> futures_core::FusedStream for Detached<T, F>
where
    T: futures_core::FusedStream,
    F: FnMut(T::Item) -> T::Item,
{
    fn is_terminated(&self) -> bool {
        self.work.is_terminated()
    }
}
