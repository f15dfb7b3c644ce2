//! Iterators: in the scope while they are advanced.
//!
//! A closure passed to a consuming method is the caller's code and runs in the caller's modes, whatever it does to them; so does
//! the arithmetic of `sum` and `product`. Every method equals a `for` loop over the iterator.

use std::iter::{FusedIterator, Product, Sum};
use std::ops::ControlFlow;

use grad_core::__private::ThreadStamp;
use grad_core::ModeSnapshot;

use crate::carry::scoped::{Enter, Scoped};

/// Folds with `$f` in the caller's modes and the iterator in its scope.
///
/// If the scope changes no mode, neither has to be entered, until `$f` changes a mode of this thread. From then on, or if the
/// scope does change a mode, it is entered for each item and left for each call of `$f`.
macro_rules! fold {
    ($scoped:expr, $init:expr, $f:expr, $fold:ident, $try_fold:ident) => {{
        let (mut scoped, mut accumulated, mut f) = ($scoped, $init, $f);
        if let Some(stamp) = unchanged_by(&scoped) {
            let folded = scoped.inner_mut().$try_fold(accumulated, |accumulated, item| {
                let accumulated = f(accumulated, item);
                if stamp.is_current() { ControlFlow::Continue(accumulated) } else { ControlFlow::Break(accumulated) }
            });
            match folded {
                ControlFlow::Continue(result) => return result,
                ControlFlow::Break(so_far) => accumulated = so_far,
            }
        }
        let (enter, iterator) = scoped.into_parts();
        let mut guard = Some(enter.enter());
        iterator.$fold(accumulated, |accumulated, item| {
            guard = None; // Dropped before `f` runs, and entered anew after it: never nested in a scope of the caller.
            let accumulated = f(accumulated, item);
            guard = Some(enter.enter());
            accumulated
        })
    }};
}

/// Returns a stamp of this thread's modes if entering the scope would change none of them.
fn unchanged_by<I, E: Enter>(scoped: &Scoped<I, E>) -> Option<ThreadStamp> {
    let stamp = ThreadStamp::now()?;
    let found = ModeSnapshot::current();
    let _guard = scoped.enter().0;
    (ModeSnapshot::current() == found).then_some(stamp)
}

/// Returns whether a sum or product of `T`s into an `S` is arithmetic of the standard library, which records nothing in any mode.
fn is_primitive<S, T>() -> bool {
    macro_rules! is_one_of {
        ($($number:ty)*) => {
            $(typeid::of::<S>() == typeid::of::<$number>()
                && [typeid::of::<$number>(), typeid::of::<&$number>()].contains(&typeid::of::<T>()))||*
        };
    }
    is_one_of!(f32 f64 i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize)
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
    fn sum<S>(self) -> S
    where
        S: Sum<I::Item>,
    {
        if is_primitive::<S, I::Item>() {
            let (_guard, iterator) = self.into_entered();
            return iterator.sum();
        }
        S::sum(self)
    }

    #[inline]
    fn product<P>(self) -> P
    where
        P: Product<I::Item>,
    {
        if is_primitive::<P, I::Item>() {
            let (_guard, iterator) = self.into_entered();
            return iterator.product();
        }
        P::product(self)
    }

    #[inline]
    fn fold<B, F>(self, init: B, f: F) -> B
    where
        F: FnMut(B, I::Item) -> B,
    {
        fold!(self, init, f, fold, try_fold)
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
        fold!(self, init, f, rfold, try_rfold)
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
