//! Iterators: in the scope while they are advanced.
//!
//! Methods that consume the iterator without running code of the caller enter the scope once for all items. A closure given to
//! such a method is the caller's code, and so is the arithmetic of `sum` and `product`: they run in the caller's modes.

use std::iter::FusedIterator;

use crate::carry::scoped::{Enter, Scoped};
use grad_core::ModeSnapshot;

/// Folds with `$f` in the caller's modes: in one pass if they equal the scope's, otherwise item by item. Not by wrapping `$f` in
/// another closure, because nested scopes would then double the code with each level.
macro_rules! fold {
    ($scoped:expr, $init:expr, $f:expr, $next:ident, $fold:ident) => {{
        let (mut scoped, mut f) = ($scoped, $f);
        let outside = ModeSnapshot::current();
        let same = {
            let _guard = scoped.enter().0;
            ModeSnapshot::current() == outside
        };
        if same {
            let (_guard, iterator) = scoped.into_entered();
            return iterator.$fold($init, f);
        }
        let mut accumulated = $init;
        while let Some(item) = scoped.$next() {
            accumulated = f(accumulated, item);
        }
        accumulated
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
        let (_guard, iterator) = self.enter_mut();
        iterator.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let (_guard, iterator) = self.enter();
        iterator.size_hint()
    }

    #[inline]
    fn nth(&mut self, n: usize) -> Option<I::Item> {
        let (_guard, iterator) = self.enter_mut();
        iterator.nth(n)
    }

    #[inline]
    fn count(self) -> usize {
        let (_guard, iterator) = self.into_entered();
        iterator.count()
    }

    #[inline]
    fn last(self) -> Option<I::Item> {
        let (_guard, iterator) = self.into_entered();
        iterator.last()
    }

    #[inline]
    fn fold<B, F>(self, init: B, f: F) -> B
    where
        F: FnMut(B, I::Item) -> B,
    {
        fold!(self, init, f, next, fold)
    }
}

impl<I, E> DoubleEndedIterator for Scoped<I, E>
where
    I: DoubleEndedIterator,
    E: Enter,
{
    #[inline]
    fn next_back(&mut self) -> Option<I::Item> {
        let (_guard, iterator) = self.enter_mut();
        iterator.next_back()
    }

    #[inline]
    fn nth_back(&mut self, n: usize) -> Option<I::Item> {
        let (_guard, iterator) = self.enter_mut();
        iterator.nth_back(n)
    }

    #[inline]
    fn rfold<B, F>(self, init: B, f: F) -> B
    where
        F: FnMut(B, I::Item) -> B,
    {
        fold!(self, init, f, next_back, rfold)
    }
}

impl<I, E> ExactSizeIterator for Scoped<I, E>
where
    I: ExactSizeIterator,
    E: Enter,
{
    #[inline]
    fn len(&self) -> usize {
        let (_guard, iterator) = self.enter();
        iterator.len()
    }
}

impl<I, E> FusedIterator for Scoped<I, E>
where
    I: FusedIterator,
    E: Enter,
{
}
