//! Iterators: in the scope while they are advanced.
//!
//! Methods that consume the iterator enter the scope once for all items. A closure given to such a method is the
//! caller's own code, so it runs in the caller's modes; where those are the scope's, that costs nothing.

use std::iter::{FusedIterator, Product, Sum};

use crate::carry::Modes;
use crate::carry::scoped::{Enter, Scoped};

/// Evaluates `$consume` with `$work` in the scope, and with `$f` in the caller's modes.
macro_rules! consume {
    ($scoped:expr, $f:ident, |$work:ident| $consume:expr) => {{
        let outside = Modes::current();
        let (_guard, $work) = $scoped.into_inside();
        if Modes::current() == outside {
            $consume
        } else {
            let $f = |accumulated, item| {
                let _guard = outside.enter();
                $f(accumulated, item)
            };
            $consume
        }
    }};
}

impl<I, E> Iterator for Scoped<I, E>
where
    I: Iterator,
    E: Enter,
{
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        let (_guard, iterator) = self.inside_mut();
        iterator.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let (_guard, iterator) = self.inside();
        iterator.size_hint()
    }

    #[inline]
    fn nth(&mut self, n: usize) -> Option<I::Item> {
        let (_guard, iterator) = self.inside_mut();
        iterator.nth(n)
    }

    #[inline]
    fn count(self) -> usize {
        let (_guard, iterator) = self.into_inside();
        iterator.count()
    }

    #[inline]
    fn last(self) -> Option<I::Item> {
        let (_guard, iterator) = self.into_inside();
        iterator.last()
    }

    #[inline]
    fn sum<S>(self) -> S
    where
        S: Sum<I::Item>,
    {
        let (_guard, iterator) = self.into_inside();
        iterator.sum()
    }

    #[inline]
    fn product<P>(self) -> P
    where
        P: Product<I::Item>,
    {
        let (_guard, iterator) = self.into_inside();
        iterator.product()
    }

    #[inline]
    fn fold<B, F>(self, init: B, mut f: F) -> B
    where
        F: FnMut(B, I::Item) -> B,
    {
        consume!(self, f, |iterator| iterator.fold(init, f))
    }
}

impl<I, E> DoubleEndedIterator for Scoped<I, E>
where
    I: DoubleEndedIterator,
    E: Enter,
{
    #[inline]
    fn next_back(&mut self) -> Option<I::Item> {
        let (_guard, iterator) = self.inside_mut();
        iterator.next_back()
    }

    #[inline]
    fn nth_back(&mut self, n: usize) -> Option<I::Item> {
        let (_guard, iterator) = self.inside_mut();
        iterator.nth_back(n)
    }

    #[inline]
    fn rfold<B, F>(self, init: B, mut f: F) -> B
    where
        F: FnMut(B, I::Item) -> B,
    {
        consume!(self, f, |iterator| iterator.rfold(init, f))
    }
}

impl<I, E> ExactSizeIterator for Scoped<I, E>
where
    I: ExactSizeIterator,
    E: Enter,
{
    #[inline]
    fn len(&self) -> usize {
        let (_guard, iterator) = self.inside();
        iterator.len()
    }
}

impl<I, E> FusedIterator for Scoped<I, E>
where
    I: FusedIterator,
    E: Enter,
{
}
