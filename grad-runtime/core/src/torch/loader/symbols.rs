//! Functions looked up by name in libraries that are loaded already, by `dlopen` and `dlsym`.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use libc::{RTLD_DEFAULT, RTLD_LAZY, RTLD_NODELETE, RTLD_NOLOAD};

/// The loader's handle of a library that is never unloaded.
#[derive(Clone, Copy)]
pub struct Library(NonNull<c_void>);

impl Library {
    /// Returns the library at `path` if it is loaded, and keeps it loaded for good. Loads nothing.
    pub fn pinned(path: &CStr) -> Option<Self> {
        // SAFETY: `path` ends with a nul. The library is loaded already, so no initializer runs.
        let handle = unsafe { libc::dlopen(path.as_ptr(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) };
        NonNull::new(handle).map(Self)
    }

    /// Returns the program itself; `None` if it is linked statically, without a loader.
    #[cfg(target_os = "linux")]
    pub fn program() -> Option<Self> {
        // SAFETY: null stands for the program.
        NonNull::new(unsafe { libc::dlopen(std::ptr::null(), RTLD_LAZY) }).map(Self)
    }

    #[cfg(target_os = "linux")]
    pub fn handle(self) -> *mut c_void {
        self.0.as_ptr()
    }

    pub fn functions<const N: usize>(self, names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
        functions_of(self.0.as_ptr(), names)
    }
}

/// Returns the functions of these names among the global symbols; their library stays loaded.
pub fn global_functions<const N: usize>(names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    let [first, ..] = functions_of(RTLD_DEFAULT, names)?[..] else { return None };
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` fills `info` if it does not return 0. `first` may be unloaded by another thread at this moment: then its
    // address belongs to no library, and `dladdr` says so.
    let path = unsafe {
        if libc::dladdr(first.as_ptr(), info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init().dli_fname
    };
    if path.is_null() {
        return None;
    }
    // SAFETY: the string is the loader's and lives as long as the library is loaded.
    Library::pinned(unsafe { CStr::from_ptr(path) })?.functions(names)
}

fn functions_of<const N: usize>(handle: *mut c_void, names: [&CStr; N]) -> Option<[NonNull<c_void>; N]> {
    let mut found = [NonNull::dangling(); N];
    for (place, name) in found.iter_mut().zip(names) {
        // SAFETY: the handle is one of the loader's and `name` ends with a nul.
        *place = NonNull::new(unsafe { libc::dlsym(handle, name.as_ptr()) })?;
    }
    Some(found)
}
