//! Saved grad modes of backends with a switch of their own, restored when guards are dropped.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;

use crate::backend::Backend;
use crate::mode::{GradMode, Scope};
use crate::registry::installed_switches;
use crate::thread_state::too_many_guards;

/// A guard that has switched backends: dropping it restores their modes. Its number is higher than that of every guard that was
/// alive when it was made.
#[derive(Debug)]
pub(crate) struct RestoreGuard(NonZeroU32);

struct SavedMode {
    guard: NonZeroU32,
    backend: &'static dyn Backend,
    /// The backend's name, which identifies it.
    name: &'static str,
    /// The mode that was found, and will be restored.
    found: GradMode,
    /// The mode that the scope asked for.
    asked: GradMode,
    /// The mode that the backend reported then: one that only knows on and off reports `NoGrad` where `Inference` was asked.
    reported: GradMode,
}

thread_local! {
    // Outermost guard first. No destructor, as for the thread state: scopes work while a thread is torn down.
    static SAVED: RefCell<ManuallyDrop<Vec<SavedMode>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

impl RestoreGuard {
    /// Switches every installed backend.
    #[cold] // Most processes have none, and `Scope::enter` is inlined everywhere.
    pub(crate) fn for_installed(scope: Scope) -> Self {
        let guard = Self::new();
        installed_switches().for_each(|backend| guard.switch(backend, |found| scope.applied_to(found)));
        guard
    }

    /// Switches one backend.
    pub(crate) fn for_backend(scope: Scope, backend: &'static dyn Backend) -> Self {
        let guard = Self::new();
        guard.switch(backend, |found| scope.applied_to(found));
        guard
    }

    /// Sets each backend to the mode beside it.
    pub(crate) fn for_each(modes: impl Iterator<Item = (&'static dyn Backend, GradMode)>) -> Self {
        let guard = Self::new();
        modes.for_each(|(backend, mode)| guard.switch(backend, |_| mode));
        guard
    }

    /// Returns the number of this guard, which no other guard alive that has saved a mode has.
    #[inline]
    pub(crate) fn number(&self) -> NonZeroU32 {
        self.0
    }

    fn new() -> Self {
        SAVED.with_borrow(|saved| {
            let last = saved.last().map_or(0, |mode| mode.guard.get());
            let next = last.checked_add(1).and_then(NonZeroU32::new);
            Self(next.unwrap_or_else(|| too_many_guards()))
        })
    }

    fn switch(&self, backend: &'static dyn Backend, change: impl FnOnce(GradMode) -> GradMode) {
        let (name, found) = (backend.name(), backend.grad_mode());
        let in_force = asked_mode(name, found);
        let asked = change(in_force);
        let mode = SavedMode { guard: self.0, backend, name, found, asked, reported: found };
        SAVED.with_borrow_mut(|saved| saved.push(mode));
        if asked == in_force {
            return;
        }
        backend.set_grad_mode(asked);
        let reported = backend.grad_mode();
        SAVED.with_borrow_mut(|saved| {
            if let Some(mode) = saved.iter_mut().rfind(|mode| mode.name == name) {
                mode.reported = reported;
            }
        });
    }

    /// Removes and returns the last mode that this guard saved. If a later guard has switched the backend too, the mode stays as
    /// that guard left it, and that guard restores it instead.
    fn pop_saved(&self) -> Option<SavedMode> {
        SAVED.with_borrow_mut(|saved| {
            // The numbers of guards only grow along the list.
            while let Some(at) = saved.partition_point(|mode| mode.guard <= self.0).checked_sub(1)
                && saved[at].guard == self.0
            {
                let mode = saved.remove(at);
                let mut later = saved[at..].iter_mut();
                if let Some(heir) = later.find(|other| other.name == mode.name) {
                    heir.found = mode.found;
                    continue;
                }
                if saved.is_empty() {
                    **saved = Vec::new(); // Frees the memory: the thread-local has no destructor.
                }
                return Some(mode);
            }
            None
        })
    }
}

/// Returns the mode in force on a backend with a switch of its own: the one that our innermost scope asked for, unless the switch
/// has been turned by other code since.
pub(crate) fn mode_in_force(backend: &dyn Backend) -> GradMode {
    asked_mode(backend.name(), backend.grad_mode())
}

/// Returns whether the last mode saved on this thread is that of `guard`.
pub(crate) fn is_last(guard: NonZeroU32) -> bool {
    SAVED.with_borrow(|saved| saved.last().is_some_and(|mode| mode.guard == guard))
}

/// Returns, for each mode saved on this thread, the number of the guard, the backend's name and the mode that the scope asked
/// for; outermost guard first.
pub(crate) fn asked_modes() -> Vec<(NonZeroU32, &'static str, GradMode)> {
    SAVED.with_borrow(|saved| saved.iter().map(|mode| (mode.guard, mode.name, mode.asked)).collect())
}

fn asked_mode(name: &str, found: GradMode) -> GradMode {
    SAVED.with_borrow(|saved| {
        let innermost = saved.iter().rfind(|mode| mode.name == name);
        innermost.filter(|mode| mode.reported == found).map_or(found, |mode| mode.asked)
    })
}

impl Drop for RestoreGuard {
    fn drop(&mut self) {
        // Nothing is borrowed while a backend is called, because it may use scopes itself.
        while let Some(mode) = self.pop_saved() {
            mode.backend.set_grad_mode(mode.found);
        }
    }
}
