//! The probe for backends that are loaded while the program runs: libtorch, with the feature `torch`.
//!
//! A probe asks the dynamic loader, which takes microseconds; a scope takes nanoseconds. So a universal scope reads one word
//! that says whether a probe is due: whether a library was loaded since the last one, or a backend is installed.

#[cfg(feature = "torch")]
pub(crate) use with_torch::{EXISTS, is_due, mark_found, mark_installed, run};
#[cfg(not(feature = "torch"))]
pub(crate) use without::{EXISTS, is_due, mark_found, mark_installed, run};

#[cfg(feature = "torch")]
#[allow(unsafe_code, reason = "it reads through a pointer to a static word")]
mod with_torch {
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

    use crate::backend::Backend;
    use crate::torch::Torch;
    use crate::torch::switch::{self, Word};

    pub(crate) const EXISTS: bool = true;

    /// Never null: with a backend installed, every universal scope has something to switch.
    static INSTALLED_WORD: Word = Word::new(ptr::dangling_mut());

    /// The word that universal scopes read: `INSTALLED_WORD` once a backend is installed, and before that the loader's word as of
    /// the last probe.
    static PROBE_WORD: AtomicPtr<Word> = AtomicPtr::new(pointer_to(&switch::INITIAL_WORD));

    const fn pointer_to(word: &'static Word) -> *mut Word {
        ptr::from_ref(word).cast_mut()
    }

    /// Returns whether a universal scope has to call [`run`]: false while nothing was loaded since the last call and no backend
    /// is installed.
    #[inline]
    pub(crate) fn is_due() -> bool {
        // SAFETY: the pointer is made of a `&'static Word` whenever it is written.
        let word = unsafe { &*PROBE_WORD.load(Ordering::Acquire) };
        !word.load(Ordering::Relaxed).is_null()
    }

    /// Set when libtorch's backend is installed.
    static FOUND: AtomicBool = AtomicBool::new(false);

    /// Looks for libtorch. Returns its backend until [`mark_found`] was called; while it is not found, scopes watch the loader.
    ///
    /// There is no lock: the loader has one, and a thread may arrive here from the initializer of a library, holding it. Two
    /// threads that probe at once find the same, and the slower one changes nothing.
    pub(crate) fn run() -> Option<&'static dyn Backend> {
        if FOUND.load(Ordering::Acquire) {
            return None;
        }
        let read = PROBE_WORD.load(Ordering::Acquire);
        if switch::find().is_some() {
            return Some(&Torch);
        }
        if read != pointer_to(&INSTALLED_WORD) {
            // If a backend was installed meanwhile, its word stays; if another thread was faster, one of the two words is older
            // and no longer null, so the next scope probes again.
            let current = pointer_to(switch::load_word());
            let _ = PROBE_WORD.compare_exchange(read, current, Ordering::AcqRel, Ordering::Relaxed);
        }
        None
    }

    /// Records that the backend which the probe found is installed: there is nothing more to look for.
    pub(crate) fn mark_found() {
        FOUND.store(true, Ordering::Release);
    }

    /// Records that a backend is installed: from now on every universal scope has a backend to switch.
    pub(crate) fn mark_installed() {
        PROBE_WORD.store(pointer_to(&INSTALLED_WORD), Ordering::Release);
    }
}

#[cfg(not(feature = "torch"))]
mod without {
    use crate::backend::Backend;

    pub(crate) const EXISTS: bool = false;

    #[inline]
    pub(crate) fn is_due() -> bool {
        false
    }

    pub(crate) fn run() -> Option<&'static dyn Backend> {
        None
    }

    pub(crate) fn mark_found() {}

    pub(crate) fn mark_installed() {}
}
