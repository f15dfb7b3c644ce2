//! `Scoped`: a value that runs later, and a way to enter its scope.

#![allow(unsafe_code, reason = "the value is dropped in its scope, and pinned")]

use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;

use grad_core::{GradGuard, ModeSnapshot, Scope};

/// A way to enter a scope: a closure or one of the types below in the output of the macros, a [`ModeSnapshot`] in what
/// [`Carry`](crate::Carry) returns.
pub trait Enter {
    fn enter(&self) -> GradGuard;
}

impl<F> Enter for F
where
    F: Fn() -> GradGuard,
{
    #[inline]
    fn enter(&self) -> GradGuard {
        self()
    }
}

impl Enter for ModeSnapshot {
    #[inline]
    fn enter(&self) -> GradGuard {
        Self::enter(*self)
    }
}

/// Defines ways to enter a scope from the place where a function is called, which wraps a value for it.
///
/// The attributes of async functions use them where no more is needed, since the compiler takes longer for a closure.
macro_rules! scopes {
    ($($(#[$doc:meta])* $function:ident $name:ident: $scope:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name(&'static Location<'static>);

        impl Enter for $name {
            #[inline]
            fn enter(&self) -> GradGuard {
                $scope.enter_at(self.0)
            }
        }

        $(#[$doc])*
        #[inline]
        #[track_caller]
        pub fn $function<T>(inner: T) -> Scoped<T, $name> {
            // Not through `scoped`, which would be one more function for each future in a debug build.
            Scoped { inner: ManuallyDrop::new(inner), enter: $name(Location::caller()) }
        }
    )*};
}
scopes! {
    /// Enters a no-grad scope.
    scoped_no_grad InNoGrad: Scope::NoGrad;
    /// Enters a scope that enables recording.
    scoped_enable_grad InEnableGrad: Scope::EnableGrad;
    /// Enters inference mode.
    scoped_inference_mode InInferenceMode: Scope::InferenceMode(true);
}

/// A future, stream or iterator that enters its scope each time it is polled or advanced, and while it is dropped.
///
/// [`Carry`](crate::Carry) and the attributes return it. It is `Send`, `Sync` and `Unpin` if the wrapped value is, and
/// larger than that value by eight bytes, or by its alignment if that is more.
///
/// ```
/// use grad_runtime::{Scoped, prelude::*};
///
/// let mut modes: Scoped<_> = std::iter::repeat_with(grad_runtime::grad_mode).with_grad_mode(GradMode::NoGrad);
/// assert_eq!(modes.next(), Some(GradMode::NoGrad));
/// assert!(is_grad_enabled());
/// ```
#[must_use = "it does nothing until it is polled, advanced or called"]
pub struct Scoped<T, E = ModeSnapshot>
where
    E: Enter,
{
    // Pinned where the whole is. Dropped by the destructor, which enters the scope first.
    inner: ManuallyDrop<T>,
    // Never pinned.
    enter: E,
}

impl<T, E> Unpin for Scoped<T, E>
where
    T: Unpin,
    E: Enter,
{
}

impl<T, E> Drop for Scoped<T, E>
where
    E: Enter,
{
    #[inline]
    fn drop(&mut self) {
        let _guard = self.enter.enter();
        // SAFETY: this is the only place that drops it, and nothing uses it afterwards. It is not moved, in case it is pinned.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
    }
}

/// Wraps `inner`, to run in the scope that `enter` enters.
#[inline]
pub fn scoped<T, E>(enter: E, inner: T) -> Scoped<T, E>
where
    E: Enter,
{
    Scoped { inner: ManuallyDrop::new(inner), enter }
}

impl<T, E> Scoped<T, E>
where
    E: Enter,
{
    /// Enters the scope for as long as the guard lives.
    #[doc(hidden)]
    #[inline]
    pub fn enter(&self) -> (GradGuard, &T) {
        (self.enter.enter(), &self.inner)
    }

    /// As [`enter`](Self::enter).
    #[doc(hidden)]
    #[inline]
    pub fn enter_mut(&mut self) -> (GradGuard, &mut T) {
        (self.enter.enter(), &mut self.inner)
    }

    /// Returns the way to enter the scope, and the wrapped value.
    #[inline]
    pub(crate) fn project(self: Pin<&mut Self>) -> (&E, Pin<&mut T>) {
        // SAFETY: nothing moves out of `this`. `inner` is pinned with it: it is lent as `&mut T` only where `self` is not pinned,
        // `Scoped` is `Unpin` only if `T` is, and the destructor does not move it.
        unsafe {
            let this = self.get_unchecked_mut();
            (&this.enter, Pin::new_unchecked(&mut this.inner))
        }
    }

    /// As [`enter`](Self::enter). The value must be dropped before the guard, so it comes second.
    #[doc(hidden)]
    #[inline]
    pub fn into_entered(self) -> (GradGuard, T) {
        let (enter, inner) = self.into_parts();
        (enter.enter(), inner)
    }

    /// Returns the way to enter the scope, and the wrapped value.
    #[inline]
    pub(crate) fn into_parts(self) -> (E, T) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped afterwards, so each of the two has one owner.
        unsafe { (ptr::read(&raw const this.enter), ptr::read(&raw const *this.inner)) }
    }

    /// Returns a reference to the wrapped value, without entering the scope.
    ///
    /// ```
    /// use grad_runtime::prelude::*;
    ///
    /// let numbers = (0..3).with_grad_mode(GradMode::NoGrad);
    /// assert_eq!(numbers.inner().end, 3);
    /// ```
    #[must_use]
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the wrapped value, without entering the scope.
    ///
    /// ```
    /// use grad_runtime::prelude::*;
    ///
    /// let mut numbers = (0..3).with_grad_mode(GradMode::NoGrad);
    /// numbers.inner_mut().start = 2;
    /// assert!(numbers.eq([2]));
    /// ```
    pub fn inner_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Returns the wrapped value, which leaves its scope behind.
    ///
    /// ```
    /// use grad_runtime::prelude::*;
    ///
    /// let modes = std::iter::repeat_with(is_grad_enabled).with_grad_mode(GradMode::NoGrad);
    /// assert_eq!(modes.into_inner().next(), Some(true));
    /// ```
    #[must_use]
    pub fn into_inner(self) -> T {
        self.into_parts().1
    }
}

impl<T, E> Clone for Scoped<T, E>
where
    T: Clone,
    E: Enter + Clone,
{
    fn clone(&self) -> Self {
        let (_guard, inner) = self.enter();
        scoped(self.enter.clone(), inner.clone())
    }
}

impl<T, E> fmt::Debug for Scoped<T, E>
where
    T: fmt::Debug,
    E: Enter,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(self.inner()).finish()
    }
}
