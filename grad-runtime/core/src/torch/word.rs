//! Words that a library's load sets, and pointers to the one that is watched.

use std::ffi::c_void;
use std::ptr;

use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::const_fn;

/// A word that is null until a library is loaded.
pub type Word = AtomicPtr<c_void>;

/// A pointer to a word, which several threads read and replace.
pub struct WatchedWord(AtomicPtr<Word>);

impl WatchedWord {
    const_fn! {
        pub fn new(word: &'static Word) -> Self {
            Self(AtomicPtr::new(pointer_to(word)))
        }
    }

    #[inline]
    pub fn get(&self) -> &'static Word {
        word_at(self.0.load(Ordering::Acquire))
    }

    /// Returns whether the word is null: nothing was loaded since it was taken.
    #[inline]
    pub fn is_null(&self) -> bool {
        self.get().load(Ordering::Relaxed).is_null()
    }

    pub fn set(&self, word: &'static Word) {
        self.0.store(pointer_to(word), Ordering::Release);
    }

    /// Replaces the word `read` with `word`; if another thread has replaced it, that thread's word stays.
    pub fn replace(&self, read: &'static Word, word: &'static Word) {
        let _ = self.0.compare_exchange(pointer_to(read), pointer_to(word), Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Replaces the word, and returns the one that was there.
    #[cfg(target_os = "macos")]
    pub fn swap(&self, word: &'static Word) -> &'static Word {
        word_at(self.0.swap(pointer_to(word), Ordering::AcqRel))
    }
}

const fn pointer_to(word: &'static Word) -> *mut Word {
    ptr::from_ref(word).cast_mut()
}

#[inline]
fn word_at(pointer: *mut Word) -> &'static Word {
    // SAFETY: `WatchedWord` stores nothing but pointers made of a `&'static Word`.
    unsafe { &*pointer }
}
