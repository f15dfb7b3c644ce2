//! macOS: dyld calls back when it adds an image.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use super::is_libc10;
use super::symbols::{Library, global_functions};
use crate::torch::switch::INITIAL_WORD;
use crate::torch::word::{WatchedWord, Word};

pub const WHY_NOT: &str = "no libc10.dylib of libtorch is loaded in this process; link or load libtorch, \
                           and scopes will find it";

// From <mach-o/dyld.h>; the `libc` crate has deprecated them.
unsafe extern "C" {
    fn _dyld_image_count() -> u32;
    fn _dyld_get_image_name(image: u32) -> *const c_char;
    fn _dyld_register_func_for_add_image(on_image_added: extern "C" fn(*const c_void, isize));
}

/// The word that the next image sets.
static LATEST: WatchedWord = WatchedWord::new(&INITIAL_WORD);

/// dyld holds its lock here, so this asks it nothing.
extern "C" fn on_image_added(_header: *const c_void, _slide: isize) {
    LATEST.get().store(ptr::dangling_mut(), Ordering::Release);
}

/// Returns a word that is null until an image is added, or until there is a newer word.
#[expect(clippy::unnecessary_wraps, reason = "on Linux there may be none")]
pub fn watch() -> Option<&'static Word> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::AcqRel) {
        // SAFETY: `on_image_added` is called for the images that are there, now, and for others when they come; dyld never unloads
        // the image that it is in.
        unsafe { _dyld_register_func_for_add_image(on_image_added) };
    }
    // Leaked, because scopes may read it at any time. There is one for each time that an image was added.
    let word: &'static Word = Box::leak(Box::default());
    LATEST.swap(word).store(ptr::dangling_mut(), Ordering::Release);
    Some(word)
}

/// Returns the functions of these names in libtorch, which stays loaded.
pub fn find<const N: usize>(names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    global_functions(names).or_else(|| {
        // SAFETY: no arguments.
        let images = unsafe { _dyld_image_count() };
        (0..images).find_map(|image| {
            // SAFETY: null where there are fewer images by now; else a string that lives as long as the image is loaded.
            // If another thread unloads it at this moment, the path is gone: dyld offers no safer call.
            let path = unsafe { NonNull::new(_dyld_get_image_name(image).cast_mut())? };
            // SAFETY: as above.
            let path = unsafe { CStr::from_ptr(path.as_ptr()) };
            if !is_libc10(path) {
                return None;
            }
            let found = Library::pinned(path).and_then(|library| library.functions(names));
            if found.is_none() {
                // Another thread is loading it now: probe again.
                on_image_added(ptr::null(), 0);
            }
            found
        })
    })
}
