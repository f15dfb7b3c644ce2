//! libtorch's switch, `c10::GradMode`, and when to look for it.
//!
//! A look asks the dynamic loader, which takes microseconds; a scope takes nanoseconds. So a scope reads one word that
//! says whether anything was loaded since somebody last looked.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{Torch, loader};
use crate::backend::install;

/// The two functions of `c10::GradMode`, which are about the calling thread.
pub struct Switch {
    is_enabled: extern "C" fn() -> bool,
    set_enabled: extern "C" fn(bool),
}

impl Switch {
    pub fn is_enabled(&self) -> bool {
        (self.is_enabled)()
    }

    pub fn set_enabled(&self, enabled: bool) {
        (self.set_enabled)(enabled);
    }
}

/// A word that is null while there is no news.
pub type Word = AtomicPtr<c_void>;

/// Nobody has looked so far.
static NOBODY_LOOKED: Word = AtomicPtr::new(ptr::dangling_mut());

/// A backend with a switch is there, for every universal scope to turn.
static INSTALLED: Word = AtomicPtr::new(ptr::dangling_mut());

/// Says whether anything was loaded since somebody last looked for libtorch.
static NEWS: AtomicPtr<Word> = AtomicPtr::new(pointer_to(&NOBODY_LOOKED));

/// What universal scopes read. It is `INSTALLED` from the time that there is one, and before that, `NEWS` or older.
static WATCHED: AtomicPtr<Word> = AtomicPtr::new(pointer_to(&NOBODY_LOOKED));

const fn pointer_to(word: &'static Word) -> *mut Word {
    ptr::from_ref(word).cast_mut()
}

/// Whether the word that `watched` points to is not null.
#[inline]
fn has_news(watched: &AtomicPtr<Word>) -> bool {
    // SAFETY: both pointers are made of a `&'static Word` whenever they are written.
    let word = unsafe { &*watched.load(Ordering::Acquire) };
    !word.load(Ordering::Relaxed).is_null()
}

/// Whether a universal scope has to call [`notice`]: false as long as nothing was loaded since the last call and no
/// backend has been installed.
#[inline]
pub fn worth_a_look() -> bool {
    has_news(&WATCHED)
}

/// Installs `Torch` if libtorch has been loaded; if not, makes scopes watch for it.
///
/// There is no lock of ours: the loader has one, and a thread may come here from the initializer of a library, holding
/// it. Two threads that look at once find the same, and the slower one changes nothing.
pub fn notice() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Acquire) {
        return;
    }
    let watched = WATCHED.load(Ordering::Acquire);
    if find().is_some() {
        // A program that has done it by hand, or has a backend of its own under that name, keeps that one.
        let _ = install(&Torch);
        DONE.store(true, Ordering::Release);
    } else if watched != pointer_to(&INSTALLED) {
        let news = NEWS.load(Ordering::Acquire);
        // Where something was installed meanwhile, that stays; where another thread was faster, one of the two words is
        // older and has news, so that the next scope looks again.
        let _ = WATCHED.compare_exchange(watched, news, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// From now on every universal scope has a backend to switch.
pub fn somebody_is_installed() {
    WATCHED.store(pointer_to(&INSTALLED), Ordering::Release);
}

/// libtorch's switch, if it is in the process by now.
#[inline]
pub fn find() -> Option<&'static Switch> {
    static FOUND: OnceLock<Switch> = OnceLock::new();

    #[cold]
    fn look() -> Option<&'static Switch> {
        if !has_news(&NEWS) {
            return None;
        }
        // Made before the look, so that what is loaded during it is news, and published after it, so that a thread which
        // comes meanwhile looks for itself. Where nothing can be watched now, there still is news.
        let word = loader::watch();
        let Some([is_enabled, set_enabled]) = loader::find([
            c"_ZN3c108GradMode10is_enabledEv",  // bool c10::GradMode::is_enabled()
            c"_ZN3c108GradMode11set_enabledEb", // void c10::GradMode::set_enabled(bool)
        ]) else {
            if let Some(word) = word {
                NEWS.store(pointer_to(word), Ordering::Release);
            }
            return None;
        };
        // SAFETY: the name of a C++ function has its parameters in it. These are static member functions, which return a
        // bool and nothing, as they have since libtorch 1.0, and throw nothing; a bool is C's and Rust's. `find` answers
        // with functions that stay loaded.
        let switch = unsafe {
            Switch {
                is_enabled: std::mem::transmute::<*mut c_void, extern "C" fn() -> bool>(is_enabled.as_ptr()),
                set_enabled: std::mem::transmute::<*mut c_void, extern "C" fn(bool)>(set_enabled.as_ptr()),
            }
        };
        Some(FOUND.get_or_init(|| switch))
    }

    FOUND.get().or_else(look)
}
