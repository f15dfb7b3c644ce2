//! Saved grad modes of backends with a switch of their own, restored when guards are dropped.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;

use crate::backend::Backend;
use crate::mode::GradMode;
use crate::sync::thread_local;
use crate::thread_state::{self, Slot, too_many_guards};

#[cfg_attr(test, derive(Clone))]
pub(crate) struct SavedMode {
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

/// The highest number of a guard, which `thread_state` stores beside other bits.
pub(crate) const MAX_GUARD: NonZeroU32 = NonZeroU32::new((1 << 26) - 1).unwrap();

thread_local! {
    // Outermost guard first. No destructor, as for the thread state: scopes work while a thread is torn down.
    static SAVED: RefCell<ManuallyDrop<Vec<SavedMode>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Returns a number for a guard that is about to switch backends: higher than that of every guard alive that has saved a mode.
pub(crate) fn next_guard() -> NonZeroU32 {
    SAVED.with_borrow(|saved| {
        let last = saved.last().map_or(0, |mode| mode.guard.get());
        NonZeroU32::new(last + 1).filter(|next| *next <= MAX_GUARD).unwrap_or_else(|| too_many_guards())
    })
}

/// Sets `backend` to what `change` makes of the mode in force, for the innermost guard, and saves the mode that it finds. Where
/// `change` returns `None`, the backend stays as it is.
pub(crate) fn switch(
    guard: NonZeroU32,
    backend: &'static dyn Backend,
    change: impl FnOnce(GradMode) -> Option<GradMode>,
) {
    let (name, found) = (backend.name(), backend.grad_mode());
    let in_force = asked_mode(name, found);
    let Some(asked) = change(in_force) else { return };
    let mode = SavedMode { guard, backend, name, found, asked, reported: found };
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

/// Restores the modes that a guard has saved.
pub(crate) fn restore(guard: NonZeroU32) {
    // Nothing is borrowed while a backend is called, because it may use scopes itself.
    while let Some(mode) = pop_saved(guard) {
        mode.backend.set_grad_mode(mode.found);
    }
}

/// Removes and returns the last mode that `guard` saved. If a later guard has switched the backend too, the mode stays as that
/// guard left it, and that guard restores it instead.
fn pop_saved(guard: NonZeroU32) -> Option<SavedMode> {
    SAVED.with_borrow_mut(|saved| {
        // The numbers of guards only grow along the list.
        while let Some(at) = saved.partition_point(|mode| mode.guard <= guard).checked_sub(1)
            && saved[at].guard == guard
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

/// Returns the mode in force on a backend with a switch of its own: the one that our innermost scope asked for, unless the switch
/// has been turned by other code since.
pub(crate) fn mode_in_force(backend: &dyn Backend) -> GradMode {
    match backend.slot() {
        Some(Slot::Torch) => thread_state::torch_mode_in_force(),
        _ => asked_mode(backend.name(), backend.grad_mode()),
    }
}

/// Returns whether `guard` has saved a mode.
pub(crate) fn has_saved(guard: NonZeroU32) -> bool {
    SAVED.with_borrow(|saved| saved.iter().any(|mode| mode.guard == guard))
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

/// For tests that store and load the state of a thread.
#[cfg(all(test, not(loom)))]
pub(crate) mod stored {
    use std::hash::{Hash, Hasher};

    use super::{SAVED, SavedMode};

    impl Hash for SavedMode {
        fn hash<H: Hasher>(&self, state: &mut H) {
            (self.guard, self.name, self.found, self.asked, self.reported).hash(state);
        }
    }

    pub fn all() -> Vec<SavedMode> {
        SAVED.with_borrow(|saved| (**saved).clone())
    }

    pub fn set_all(modes: &[SavedMode]) {
        SAVED.with_borrow_mut(|saved| **saved = modes.to_vec());
    }
}
