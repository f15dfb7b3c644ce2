//! The probe for backends that are loaded while the program runs: libtorch, with the feature `torch`.
//!
//! A probe asks the dynamic loader, which takes microseconds; a scope takes nanoseconds. So a universal scope reads one word
//! that says whether a probe is due: whether a library was loaded since the last one, or a backend is installed.

#[cfg(feature = "torch")]
pub(crate) use with_torch::{EXISTS, is_due, mark_found, mark_installed, run};
#[cfg(not(feature = "torch"))]
pub(crate) use without::{EXISTS, is_due, mark_found, mark_installed, run};

#[cfg(feature = "torch")]
mod with_torch {
    use std::ptr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::backend::Backend;
    use crate::torch::Torch;
    use crate::torch::switch::{self, INITIAL_WORD, LOAD_WORD};
    use crate::torch::word::{WatchedWord, Word};

    pub(crate) const EXISTS: bool = true;

    /// Never null: with a backend installed, every universal scope has something to switch.
    static INSTALLED_WORD: Word = Word::new(ptr::dangling_mut());

    /// The word that universal scopes read: `INSTALLED_WORD` once a backend is installed, and before that the loader's word as of
    /// the last probe.
    static PROBE_WORD: WatchedWord = WatchedWord::new(&INITIAL_WORD);

    /// Returns whether a universal scope has to call [`run`]: false while nothing was loaded since the last call and no backend
    /// is installed.
    #[inline]
    pub(crate) fn is_due() -> bool {
        !PROBE_WORD.is_null()
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
        let read = PROBE_WORD.get();
        if switch::find().is_some() {
            return Some(&Torch);
        }
        if !ptr::eq(read, &raw const INSTALLED_WORD) {
            // If a backend was installed meanwhile, its word stays; if another thread was faster, one of the two words is older
            // and no longer null, so the next scope probes again.
            PROBE_WORD.replace(read, LOAD_WORD.get());
        }
        None
    }

    /// Records that the backend which the probe found is installed: there is nothing more to look for.
    pub(crate) fn mark_found() {
        FOUND.store(true, Ordering::Release);
    }

    /// Records that a backend is installed: from now on every universal scope has a backend to switch.
    pub(crate) fn mark_installed() {
        PROBE_WORD.set(&INSTALLED_WORD);
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
