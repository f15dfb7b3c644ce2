//! macOS: dyld tells when it adds an image.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Not null where an image was added.
static ADDED: Word = Word::new(ptr::null_mut());

/// dyld holds its lock here, so this asks it nothing.
extern "C" fn tell(_header: *const c_void, _slide: isize) {
    ADDED.store(ptr::dangling_mut(), Ordering::Release);
}

/// A word that is null until something is loaded.
#[expect(clippy::unnecessary_wraps, reason = "on Linux there may be none")]
pub fn watch() -> Option<&'static Word> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::AcqRel) {
        // SAFETY: `tell` is called for the images that are there, now, and for others when they come; dyld never unloads
        // the image that it is in.
        unsafe { _dyld_register_func_for_add_image(tell) };
    }
    ADDED.store(ptr::null_mut(), Ordering::Release);
    Some(&ADDED)
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
                ADDED.store(ptr::dangling_mut(), Ordering::Release);
            }
            found
        })
    })
}
