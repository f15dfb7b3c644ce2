//! macOS: dyld tells when it adds an image.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::is_libc10;
use super::symbols::{Library, global_functions};
use crate::torch::switch::Word;

pub const WHY_NOT: &str = "no libc10.dylib of libtorch is loaded in this process: link or load libtorch, \
                           and scopes will find it";

// From <mach-o/dyld.h>; the `libc` crate sends its readers elsewhere for them.
unsafe extern "C" {
    fn _dyld_image_count() -> u32;
    fn _dyld_get_image_name(image: u32) -> *const c_char;
    fn _dyld_register_func_for_add_image(tell: extern "C" fn(*const c_void, isize));
}

/// Where to leave the news: not null from the next image on.
static LATEST: AtomicPtr<Word> = AtomicPtr::new(ptr::null_mut());

/// dyld holds its lock here, so this asks it nothing.
extern "C" fn tell(_header: *const c_void, _slide: isize) {
    // SAFETY: null, or made of a `&'static Word` by `watch`.
    if let Some(word) = unsafe { LATEST.load(Ordering::Acquire).as_ref() } {
        word.store(ptr::dangling_mut(), Ordering::Release);
    }
}

/// A word that is null until something is loaded, or until there is a newer one.
#[expect(clippy::unnecessary_wraps, reason = "on Linux there may be none")]
pub fn watch() -> Option<&'static Word> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::AcqRel) {
        // SAFETY: `tell` is called for the images that are there, now, and for others when they come; dyld never unloads
        // the image that it is in.
        unsafe { _dyld_register_func_for_add_image(tell) };
    }
    // For good: scopes may read it at any time. There is one for each time that something was loaded.
    let word: &'static Word = Box::leak(Box::default());
    let older = LATEST.swap(ptr::from_ref(word).cast_mut(), Ordering::AcqRel);
    // SAFETY: as in `tell`.
    if let Some(older) = unsafe { older.as_ref() } {
        older.store(ptr::dangling_mut(), Ordering::Release);
    }
    Some(word)
}

/// The functions of these names in libtorch, which stays loaded.
pub fn find<const N: usize>(names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    global_functions(names).or_else(|| {
        // SAFETY: no arguments.
        let images = unsafe { _dyld_image_count() };
        (0..images).find_map(|image| {
            // SAFETY: null where there are fewer images by now; else a string that lives as long as the image is loaded.
            // If another thread unloads it in this very moment, the path may be gone: dyld offers nothing better.
            let path = unsafe { NonNull::new(_dyld_get_image_name(image).cast_mut())? };
            // SAFETY: as above.
            let path = unsafe { CStr::from_ptr(path.as_ptr()) };
            if !is_libc10(path) {
                return None;
            }
            let found = Library::pinned(path).and_then(|library| library.functions(names));
            if found.is_none() {
                // Another thread is just loading it: there will be something to see.
                tell(ptr::null(), 0);
            }
            found
        })
    })
}
