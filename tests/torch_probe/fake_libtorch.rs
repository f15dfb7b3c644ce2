//! Libraries for the tests to load, one of which looks like libtorch.

use std::env::consts::DLL_SUFFIX;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_LOCAL};
use support::processes::{Compiler, compile_library};

use crate::process::folder;

/// The source of the two functions of `c10::GradMode`, under their mangled names.
pub const GRAD_MODE: &str = "
    static __thread _Bool enabled = 1;
    _Bool _ZN3c108GradMode10is_enabledEv(void) { return enabled; }
    void _ZN3c108GradMode11set_enabledEb(_Bool to) { enabled = to; }
";

/// A library without them.
pub const NOTHING: &str = "int grad_test_nothing;";

/// Compiles a library called `name`, without the platform's suffix.
pub fn compile(name: &str, source: &str) -> PathBuf {
    compile_library(Compiler::C, &folder(), &format!("{name}{DLL_SUFFIX}"), source, &[])
}

pub fn load_globally(path: &Path) -> Library {
    load(path, RTLD_LAZY | RTLD_GLOBAL)
}

/// Loads a library as Python loads libtorch.
pub fn load_locally(path: &Path) -> Library {
    load(path, RTLD_LAZY | RTLD_LOCAL)
}

fn load(path: &Path, flags: i32) -> Library {
    // SAFETY: the libraries are compiled here; the one with an initializer calls a function of its test.
    unsafe { Library::open(Some(path), flags) }.unwrap()
}

/// The two functions of a loaded library made from [`GRAD_MODE`]: the switch as libtorch itself sees it.
#[derive(Clone, Copy)]
pub struct FakeLibtorch {
    pub is_enabled: extern "C" fn() -> bool,
    pub set_enabled: extern "C" fn(bool),
}

impl FakeLibtorch {
    /// Finds the functions in the library, which must stay loaded.
    pub fn of(library: &Library) -> Self {
        // SAFETY: the types are those of `GRAD_MODE`.
        unsafe {
            Self {
                is_enabled: *library.get(b"_ZN3c108GradMode10is_enabledEv").unwrap(),
                set_enabled: *library.get(b"_ZN3c108GradMode11set_enabledEb").unwrap(),
            }
        }
    }

    /// Compiles and loads a library that stays loaded, with the name and visibility of libtorch's.
    pub fn loaded() -> Self {
        let library = load_locally(&compile("libc10", GRAD_MODE));
        let libtorch = Self::of(&library);
        std::mem::forget(library);
        libtorch
    }

    pub fn is_on(self) -> bool {
        (self.is_enabled)()
    }

    pub fn set(self, enabled: bool) {
        (self.set_enabled)(enabled);
    }

    /// Runs `f` in a scope of libtorch: `torch.no_grad` (false) or `torch.enable_grad` (true).
    pub fn scope<T>(self, enabled: bool, f: impl FnOnce() -> T) -> T {
        let found = self.is_on();
        self.set(enabled);
        let result = f();
        self.set(found);
        result
    }
}
