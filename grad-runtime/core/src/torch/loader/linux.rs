//! Linux: the loader's list of libraries, which grows at its end in glibc and in musl.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

use libc::dl_phdr_info;

use super::is_libc10;
use super::symbols::{Library, global_functions};
use crate::torch::word::Word;

pub const WHY_NOT: &str = "no libc10.so of libtorch is loaded in this process; link or load libtorch, and scopes \
                           will find it";

/// The public part of the loader's record of a library.
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const c_void,
    /// The library that was loaded next.
    next: Word,
}

const RTLD_DI_LINKMAP: c_int = 2;

unsafe extern "C" {
    // Not in the `libc` crate for musl.
    fn dlinfo(handle: *mut c_void, request: c_int, answer: *mut c_void) -> c_int;
}

/// Returns a word that is null until a library is loaded: the link from the last library's record to the next one. Returns `None`
/// if libraries come and go too fast.
pub fn watch() -> Option<&'static Word> {
    static NEVER_LOADED: Word = Word::new(ptr::null_mut());
    for _ in 0..8 {
        let mut path = Path::default();
        let mut last = None;
        for_each_library(&mut |number, name| {
            last = Some(number);
            path.set(name);
        });
        // The first one is the program, whatever its name.
        let library = if last == Some(0) { Library::program() } else { path.get().and_then(Library::pinned) };
        if let Some(word) = library.and_then(next_of)
            && word.load(Ordering::Relaxed).is_null()
        {
            return Some(word);
        }
    }
    if Library::program().is_none() { Some(&NEVER_LOADED) } else { None }
}

fn next_of(library: Library) -> Option<&'static Word> {
    let mut answer = MaybeUninit::<*const LinkMap>::uninit();
    // SAFETY: the handle is of a library that stays loaded, and so do the loader's record and the handle. The loader
    // writes the field `next` of that record under its lock, which is not held here, by one store of an aligned pointer; on
    // every Linux that is what an atomic store is. This side never writes it.
    unsafe {
        if dlinfo(library.handle(), RTLD_DI_LINKMAP, answer.as_mut_ptr().cast()) != 0 {
            return None;
        }
        Some(&(*answer.assume_init()).next)
    }
}

/// Returns the functions of these names in libtorch, which stays loaded.
pub fn find<const N: usize>(names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    global_functions(names).or_else(|| {
        let mut path = Path::default();
        for_each_library(&mut |_, name| {
            if is_libc10(name) && path.get().is_none() {
                path.set(name);
            }
        });
        Library::pinned(path.get()?)?.functions(names)
    })
}

/// The path of a library, not on the heap: an allocator may wait for a thread that waits for the loader's lock.
struct Path {
    bytes: [u8; Self::MAX],
    length: usize,
}

impl Default for Path {
    fn default() -> Self {
        Self { bytes: [0; Self::MAX], length: 0 }
    }
}

impl Path {
    const MAX: usize = libc::PATH_MAX as usize;

    /// Stores the path, or none if it is too long.
    fn set(&mut self, path: &CStr) {
        let path = path.to_bytes_with_nul();
        self.length = 0;
        if let Some(place) = self.bytes.get_mut(..path.len()) {
            place.copy_from_slice(path);
            self.length = path.len();
        }
    }

    fn get(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(&self.bytes[..self.length]).ok()
    }
}

/// Calls `visit` with the number and the path of each library, in the order in which they were loaded, while the loader
/// holds a lock: nothing is loaded or unloaded meanwhile.
fn for_each_library(visit: &mut dyn FnMut(usize, &CStr)) {
    struct Visit<'a> {
        visit: &'a mut dyn FnMut(usize, &CStr),
        number: usize,
    }

    unsafe extern "C" fn call(library: *mut dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
        // SAFETY: `data` points to the state passed to `dl_iterate_phdr` below, which outlives that call.
        let state = unsafe { &mut *data.cast::<Visit<'_>>() };
        // SAFETY: the loader's record and string are valid as long as it holds the lock.
        let name = unsafe {
            let name = (*library).dlpi_name;
            if name.is_null() { c"" } else { CStr::from_ptr(name) }
        };
        (state.visit)(state.number, name);
        state.number += 1;
        0
    }

    let mut state = Visit { visit, number: 0 };
    // SAFETY: `call` gets the state that it expects, and does not unwind: a panic in an `extern "C"` function aborts.
    unsafe { libc::dl_iterate_phdr(Some(call), (&raw mut state).cast()) };
}
