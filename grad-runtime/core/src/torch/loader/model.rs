//! A model of Linux's loader, for tests with loom and for Miri, which has no loader. It has the locks of glibc's: one that is held
//! while a library is loaded, and one that is held while the list of libraries is read or grows.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use crate::sync::atomic::Ordering;
use crate::sync::{Mutex, shared, thread_local};
use crate::torch::word::Word;

pub const WHY_NOT: &str = "the model has not loaded libtorch";

/// What can be loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Library {
    Libtorch,
    Other,
}

shared! {
    /// Held while a library is loaded.
    static LOADING: Mutex<()> = Mutex::new(());

    /// The libraries, in the order in which they were loaded after the program.
    static LIBRARIES: Mutex<Vec<Library>> = Mutex::new(Vec::new());

    /// The link from the record of the program, and of each library, to the next one.
    static NEXT: [Word; 3] =
        [Word::new(ptr::null_mut()), Word::new(ptr::null_mut()), Word::new(ptr::null_mut())];
}

/// Loads a library.
pub fn load(library: Library) {
    let _loading = LOADING.lock().unwrap();
    let mut libraries = LIBRARIES.lock().unwrap();
    // The loader stores without an order.
    NEXT[libraries.len()].store(ptr::dangling_mut(), Ordering::Relaxed);
    libraries.push(library);
}

/// See `watch` of linux.rs.
pub fn watch() -> Option<&'static Word> {
    loop {
        let last = LIBRARIES.lock().unwrap().len();
        // To pin a library, it takes this lock.
        drop(LOADING.lock().unwrap());
        let word = NEXT.get(last)?;
        if word.load(Ordering::Relaxed).is_null() {
            return Some(word);
        }
    }
}

/// See `find` of linux.rs.
pub fn find<const N: usize>(names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    if !LIBRARIES.lock().unwrap().contains(&Library::Libtorch) {
        return None;
    }
    drop(LOADING.lock().unwrap());
    Some(names.map(|name| {
        let function = match name.to_str() {
            Ok(name) if name.contains("is_enabled") => {
                libtorch::is_enabled as extern "C" fn() -> bool as *mut c_void
            }
            _ => libtorch::set_enabled as extern "C" fn(bool) as *mut c_void,
        };
        NonNull::new(function).expect("a function")
    }))
}

/// libtorch's switch of a thread, as libtorch itself sees it.
pub mod libtorch {
    use super::{Cell, thread_local};

    thread_local! {
        static ENABLED: Cell<bool> = const { Cell::new(true) };
    }

    pub extern "C" fn is_enabled() -> bool {
        ENABLED.get()
    }

    pub extern "C" fn set_enabled(enabled: bool) {
        ENABLED.set(enabled);
    }
}
