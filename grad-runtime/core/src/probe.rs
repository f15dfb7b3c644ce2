//! The probe for backends that are loaded while the program runs: libtorch, with the feature `torch`.
//!
//! A probe asks the dynamic loader, which takes microseconds; a scope takes nanoseconds. So a universal scope reads one word
//! that says whether a probe is due: whether a library was loaded since the last one.

/// Returns whether a universal scope has to call [`run_if_due`]: false while nothing was loaded since the last call.
#[inline]
pub(crate) fn is_due() -> bool {
    #[cfg(feature = "torch")]
    return torch::is_due();
    #[cfg(not(feature = "torch"))]
    false
}

/// Installs libtorch's backend if a library was loaded since the last call and libtorch is found.
#[inline]
pub(crate) fn run_if_due() {
    #[cfg(feature = "torch")]
    if torch::is_due() {
        torch::run();
    }
}

#[cfg(feature = "torch")]
mod torch {
    use std::ptr;

    use crate::registry::install_found;
    use crate::sync::shared;
    use crate::torch::Torch;
    use crate::torch::switch::{self, INITIAL_WORD, LOAD_WORD};
    use crate::torch::word::{WatchedWord, Word};

    shared! {
        /// The word after libtorch was found: there is nothing more to look for.
        static FOUND_WORD: Word = Word::new(ptr::null_mut());

        /// The word that universal scopes read: the loader's as of the last probe.
        static PROBE_WORD: WatchedWord = WatchedWord::new(&INITIAL_WORD);
    }

    #[inline]
    pub(super) fn is_due() -> bool {
        !PROBE_WORD.is_null()
    }

    /// Looks for libtorch, and installs its backend. While it is not found, scopes watch the loader.
    ///
    /// There is no lock: the loader has one, and a thread may arrive here from the initializer of a library, holding it. Two
    /// threads that probe at once find the same, and the slower one changes nothing.
    #[cold]
    #[inline(never)]
    pub(super) fn run() {
        let read = PROBE_WORD.get();
        if switch::find() {
            install_found(&Torch);
            PROBE_WORD.set(&FOUND_WORD);
        } else {
            // If another thread was faster, one of the two words is older and no longer null, so the next scope probes again.
            PROBE_WORD.replace(read, LOAD_WORD.get());
        }
    }
}
