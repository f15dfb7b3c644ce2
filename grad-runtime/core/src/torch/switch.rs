//! libtorch's switch, `c10::GradMode`, and the word that says when to probe for it.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use super::loader;
use super::word::{WatchedWord, Word};

/// The two functions of `c10::GradMode`, which concern the calling thread.
pub struct Switch {
    is_enabled: extern "C" fn() -> bool,
    set_enabled: extern "C" fn(bool),
}

impl Switch {
    #[inline]
    pub fn is_enabled(&self) -> bool {
        (self.is_enabled)()
    }

    #[inline]
    pub fn set_enabled(&self, enabled: bool) {
        (self.set_enabled)(enabled);
    }
}

/// The word before the first probe: not null, because libtorch may have come with the program.
pub static INITIAL_WORD: Word = Word::new(ptr::dangling_mut());

/// The word that says whether a library was loaded since the last probe.
pub static LOAD_WORD: WatchedWord = WatchedWord::new(&INITIAL_WORD);

/// Returns libtorch's switch, if it is in the process by now.
#[inline]
pub fn find() -> Option<&'static Switch> {
    static FOUND: OnceLock<Switch> = OnceLock::new();

    #[cold]
    fn probe() -> Option<&'static Switch> {
        if LOAD_WORD.is_null() {
            return None;
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
            return None;
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
        Some(FOUND.get_or_init(|| switch))
    }

    FOUND.get().or_else(probe)
}
