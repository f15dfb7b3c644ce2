//! Iterators: in the scope while they are advanced.
//!
//! Methods that consume the iterator enter the scope once for all items. A closure given to such a method is the
//! caller's own code, so it runs in the caller's modes; where those are the scope's, that costs nothing.

use std::iter::{FusedIterator, Product, Sum};

use crate::carry::Modes;
use crate::carry::scoped::{Enter, Scoped};

/// Folds with `$f` in the caller's modes: at once where they are the scope's, or else item by item. Not by a fold with a
/// closure of ours, since each scope around another would double the code.
macro_rules! fold {
    ($scoped:expr, $init:expr, $f:expr, $next:ident, $fold:ident) => {{
        let (mut scoped, mut f) = ($scoped, $f);
        let outside = Modes::current();
        let same = {
            let _guard = scoped.inside().0;
            Modes::current() == outside
        };
        if same {
            let (_guard, iterator) = scoped.into_inside();
            return iterator.$fold($init, f);
        }
        let mut accumulated = $init;
        while let Some(item) = scoped.$next() {
            accumulated = f(accumulated, item);
        }
        accumulated
    }};
}

/// Whether `S` is a number of Rust's, whose sums nobody records.
fn is_primitive<S>() -> bool {
    matches!(
        std::any::type_name::<S>(),
        "f32"
            | "f64"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "i128"
            | "isize"
            | "u8"
            | "u16"
            | "u32"
            | "u64"
            | "u128"
            | "usize"
    )
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
        if !is_primitive::<S>() {
            return S::sum(self); // The consumer's own arithmetic.
        }
        let (_guard, iterator) = self.into_inside();
        iterator.sum()
    }

    #[inline]
    fn product<P>(self) -> P
    where
        P: Product<I::Item>,
    {
        if !is_primitive::<P>() {
            return P::product(self);
        }
        let (_guard, iterator) = self.into_inside();
        iterator.product()
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
        let (_guard, iterator) = self.inside_mut();
        iterator.next_back()
    }

    #[inline]
    fn nth_back(&mut self, n: usize) -> Option<I::Item> {
        let (_guard, iterator) = self.inside_mut();
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
