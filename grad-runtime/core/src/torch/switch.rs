//! libtorch's switch, `c10::GradMode`, and the word that says when to probe for it.

use std::ffi::c_void;
use std::ptr;

use super::loader;
use super::word::{WatchedWord, Word};
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::{OnceLock, shared};

/// The two functions of `c10::GradMode`, which concern the calling thread.
struct Switch {
    is_enabled: extern "C" fn() -> bool,
    set_enabled: extern "C" fn(bool),
}

/// Stands in for the switch while libtorch is not found.
static ALWAYS_ENABLED: Switch = {
    extern "C" fn is_enabled() -> bool {
        true
    }
    extern "C" fn set_enabled(_: bool) {}
    Switch { is_enabled, set_enabled }
};

shared! {
    static FOUND: OnceLock<Switch> = OnceLock::new();

    /// `FOUND`, or `ALWAYS_ENABLED`: one load where a scope must be fast.
    static CURRENT: AtomicPtr<Switch> = AtomicPtr::new(ptr::from_ref(&ALWAYS_ENABLED).cast_mut());
}

#[inline]
fn current() -> &'static Switch {
    // SAFETY: `CURRENT` stores nothing but pointers made of a `&'static Switch`.
    unsafe { &*CURRENT.load(Ordering::Acquire) }
}

shared! {
    /// The word before the first probe: not null, because libtorch may have come with the program.
    pub static INITIAL_WORD: Word = Word::new(ptr::dangling_mut());

    /// The word that says whether a library was loaded since the last probe.
    pub static LOAD_WORD: WatchedWord = WatchedWord::new(&INITIAL_WORD);
}

/// Returns whether libtorch records on this thread; true if it is not found yet.
#[inline]
pub fn is_enabled() -> bool {
    (current().is_enabled)()
}

/// Turns libtorch's switch on this thread, if it is found.
#[inline]
pub fn set_enabled(enabled: bool) {
    (current().set_enabled)(enabled);
}

/// Returns whether libtorch's switch is in the process by now; after that, it is found.
#[inline]
pub fn find() -> bool {
    #[cold]
    fn probe() -> bool {
        if LOAD_WORD.is_null() {
            return false;
        }
        // Taken before the search, so a library that is loaded meanwhile sets it, and published after it, so a thread that comes
        // meanwhile searches too. If nothing can be watched now, the old word stays, which is not null.
        let word = loader::watch();
        let Some([is_enabled, set_enabled]) = loader::find([
            c"_ZN3c108GradMode10is_enabledEv",  // bool c10::GradMode::is_enabled()
            c"_ZN3c108GradMode11set_enabledEb", // void c10::GradMode::set_enabled(bool)
        ]) else {
            if let Some(word) = word {
                LOAD_WORD.set(word);
            }
            return false;
        };
        // SAFETY: the mangled name of a C++ function contains its parameters. These are static member functions, which return a
        // bool and nothing, as they have since libtorch 1.0, and throw nothing; a C++ bool is a Rust bool. `find` returns
        // functions that stay loaded.
        let switch = unsafe {
            Switch {
                is_enabled: std::mem::transmute::<*mut c_void, extern "C" fn() -> bool>(is_enabled.as_ptr()),
                set_enabled: std::mem::transmute::<*mut c_void, extern "C" fn(bool)>(set_enabled.as_ptr()),
            }
        };
        CURRENT.store(ptr::from_ref(FOUND.get_or_init(|| switch)).cast_mut(), Ordering::Release);
        true
    }

    // Not `FOUND`: a thread sets that first, and one that came here in between would turn `ALWAYS_ENABLED`.
    !ptr::eq(current(), &raw const ALWAYS_ENABLED) || probe()
}

/// Takes these functions for libtorch's.
#[cfg(all(test, not(loom)))]
pub fn take(is_enabled: extern "C" fn() -> bool, set_enabled: extern "C" fn(bool)) {
    let switch = FOUND.get_or_init(|| Switch { is_enabled, set_enabled });
    CURRENT.store(ptr::from_ref(switch).cast_mut(), Ordering::Release);
}
