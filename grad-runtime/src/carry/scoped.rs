//! `Scoped`: a value that runs later, and a way to enter its scope.

use std::fmt;
use std::panic::Location;
use std::pin::Pin;

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
            scoped($name(Location::caller()), inner)
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

pin_project_lite::pin_project! {
    // An enum, not an `Option` of a struct: each type around a future counts towards the recursion limit.
    #[project = StateProjection]
    #[project_ref = StateReference]
    enum State<T, E> {
        Whole {
            #[pin]
            inner: T,
            enter: E,
        },
        Consumed,
    }
}

pin_project_lite::pin_project! {
    /// A future, stream or iterator that enters its scope each time it is polled or advanced, and while it is dropped.
    ///
    /// [`Carry`](crate::Carry) and the attributes return it. It is `Send`, `Sync` and `Unpin` if the wrapped value is, and it is
    /// larger than that value by at most one word, or by the value's alignment if that is more.
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
        // Consumed only while it is dropped or taken apart: a pinned value can be dropped early only by replacing it.
        #[pin]
        state: State<T, E>,
    }

    impl<T, E> PinnedDrop for Scoped<T, E>
    where
        E: Enter,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut state = this.project().state;
            if let StateReference::Whole { enter, .. } = state.as_ref().project_ref() {
                let _guard = enter.enter();
                state.set(State::Consumed);
            }
        }
    }
}

/// Wraps `inner`, to run in the scope that `enter` enters.
#[inline]
pub fn scoped<T, E>(enter: E, inner: T) -> Scoped<T, E>
where
    E: Enter,
{
    Scoped { state: State::Whole { inner, enter } }
}

// Not the Rust ABI, by which it could unwind: each poll would keep a register for the cleanup that follows.
#[cold]
extern "C" fn consumed() -> ! {
    unreachable!("the value is taken out only when this is dropped or consumed")
}

impl<T, E> Scoped<T, E>
where
    E: Enter,
{
    /// Enters the scope for as long as the guard lives.
    #[doc(hidden)]
    #[inline]
    pub fn enter(&self) -> (GradGuard, &T) {
        match &self.state {
            State::Whole { inner, enter } => (enter.enter(), inner),
            State::Consumed => consumed(),
        }
    }

    /// As [`enter`](Self::enter).
    #[doc(hidden)]
    #[inline]
    pub fn enter_mut(&mut self) -> (GradGuard, &mut T) {
        match &mut self.state {
            State::Whole { inner, enter } => (enter.enter(), inner),
            State::Consumed => consumed(),
        }
    }

    /// As [`enter`](Self::enter).
    #[doc(hidden)]
    #[inline]
    pub fn enter_pinned(self: Pin<&mut Self>) -> (GradGuard, Pin<&mut T>) {
        match self.project().state.project() {
            StateProjection::Whole { inner, enter } => (enter.enter(), inner),
            StateProjection::Consumed => consumed(),
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
    pub(crate) fn into_parts(mut self) -> (E, T) {
        match std::mem::replace(&mut self.state, State::Consumed) {
            State::Whole { inner, enter } => (enter, inner),
            State::Consumed => consumed(),
        }
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
        match &self.state {
            State::Whole { inner, .. } => inner,
            State::Consumed => consumed(),
        }
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
        match &mut self.state {
            State::Whole { inner, .. } => inner,
            State::Consumed => consumed(),
        }
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
        match &self.state {
            State::Whole { inner, enter } => {
                let _guard = enter.enter();
                scoped(enter.clone(), inner.clone())
            }
            State::Consumed => consumed(),
        }
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
