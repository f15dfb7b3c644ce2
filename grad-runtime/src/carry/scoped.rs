//! `Scoped`: work, and a way to enter its scope.

use std::fmt;
use std::pin::Pin;

use crate::carry::Modes;
use crate::guard::GradGuard;

/// A way to enter a scope: what the macros write is a closure, what the carriers hold is [`Modes`].
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

impl Enter for Modes {
    #[inline]
    fn enter(&self) -> GradGuard {
        Self::enter(*self)
    }
}

pin_project_lite::pin_project! {
    struct Running<T, E> {
        #[pin]
        work: T,
        enter: E,
    }
}

pin_project_lite::pin_project! {
    /// A future, stream or iterator that enters its scope each time it is polled or advanced, and while it is dropped.
    ///
    /// [`Carry`](crate::Carry) makes it, and so do the attributes. It is `Send`, `Sync` and `Unpin` where the wrapped
    /// value is, and it is one word larger at most (as much as the alignment of the value).
    ///
    /// ```
    /// use grad_runtime::{Scoped, prelude::*};
    ///
    /// let mut modes: Scoped<_> = std::iter::repeat_with(grad_runtime::grad_mode).with_grad_mode(GradMode::NoGrad);
    /// assert_eq!(modes.next(), Some(GradMode::NoGrad));
    /// assert!(is_grad_enabled());
    /// ```
    #[must_use = "it does nothing until it is polled, advanced or called"]
    pub struct Scoped<T, E = Modes>
    where
        E: Enter,
    {
        // Empty only while it is dropped or consumed: a pinned value can be dropped early only by replacing it.
        #[pin]
        running: Option<Running<T, E>>,
    }

    impl<T, E> PinnedDrop for Scoped<T, E>
    where
        E: Enter,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut running = this.project().running;
            if let Some(found) = running.as_ref().as_pin_ref() {
                let _guard = found.project_ref().enter.enter();
                running.set(None);
            }
        }
    }
}

/// Runs `work` in the scope that `enter` enters.
#[inline]
pub fn scoped<T, E>(enter: E, work: T) -> Scoped<T, E>
where
    E: Enter,
{
    Scoped { running: Some(Running { work, enter }) }
}

#[cold]
fn gone() -> ! {
    unreachable!("the work is taken out only to be dropped or consumed")
}

impl<T, E> Scoped<T, E>
where
    E: Enter,
{
    /// Enters the scope, for as long as the guard lives.
    #[inline]
    pub fn inside(&self) -> (GradGuard, &T) {
        match &self.running {
            Some(running) => (running.enter.enter(), &running.work),
            None => gone(),
        }
    }

    /// As [`inside`](Self::inside).
    #[inline]
    pub fn inside_mut(&mut self) -> (GradGuard, &mut T) {
        match &mut self.running {
            Some(running) => (running.enter.enter(), &mut running.work),
            None => gone(),
        }
    }

    /// As [`inside`](Self::inside).
    #[inline]
    pub fn inside_pinned(self: Pin<&mut Self>) -> (GradGuard, Pin<&mut T>) {
        match self.project().running.as_pin_mut() {
            Some(running) => {
                let running = running.project();
                (running.enter.enter(), running.work)
            }
            None => gone(),
        }
    }

    /// As [`inside`](Self::inside). The work must be dropped before the guard, so it stands after it.
    #[inline]
    pub fn into_inside(mut self) -> (GradGuard, T) {
        match self.running.take() {
            Some(Running { work, enter }) => (enter.enter(), work),
            None => gone(),
        }
    }

    /// The work, to look at.
    pub(crate) fn work(&self) -> &T {
        match &self.running {
            Some(running) => &running.work,
            None => gone(),
        }
    }
}

impl<T, E> Clone for Scoped<T, E>
where
    T: Clone,
    E: Enter + Clone,
{
    fn clone(&self) -> Self {
        match &self.running {
            Some(Running { work, enter }) => {
                let _guard = enter.enter();
                scoped(enter.clone(), work.clone())
            }
            None => gone(),
        }
    }
}

impl<T, E> fmt::Debug for Scoped<T, E>
where
    T: fmt::Debug,
    E: Enter,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(self.work()).finish()
    }
}
