//! Libraries for tests to load.

use std::env::consts::DLL_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::Command;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_LOCAL};

use crate::process::folder;

/// The two functions of `c10::GradMode`, under the names that C++ gives them.
pub const GRAD_MODE: &str = "
    static __thread _Bool enabled = 1;
    _Bool _ZN3c108GradMode10is_enabledEv(void) { return enabled; }
    void _ZN3c108GradMode11set_enabledEb(_Bool to) { enabled = to; }
";

/// Nothing of interest.
pub const NOTHING: &str = "int grad_test_nothing;";

/// Compiles `text` to a library called `name`, without its ending.
pub fn compile(name: &str, text: &str) -> PathBuf {
    let folder = folder();
    std::fs::create_dir_all(&folder).unwrap();
    let (source, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}{DLL_SUFFIX}")));
    std::fs::write(&source, text).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let done = Command::new(compiler).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(done.unwrap().success());
    library
}

pub fn load_globally(path: &Path) -> Library {
    load(path, RTLD_LAZY | RTLD_GLOBAL)
}

/// As Python loads libtorch.
pub fn load_locally(path: &Path) -> Library {
    load(path, RTLD_LAZY | RTLD_LOCAL)
}

fn load(path: &Path, flags: i32) -> Library {
    // SAFETY: what the tests compile has no initializers, or such as the test wants.
    unsafe { Library::open(Some(path), flags) }.unwrap()
}

/// The framework's own view of its switch.
#[derive(Clone, Copy)]
pub struct Theirs {
    pub is_enabled: extern "C" fn() -> bool,
    pub set_enabled: extern "C" fn(bool),
}

impl Theirs {
    /// Of a library made of `GRAD_MODE`, which must stay loaded.
    pub fn of(library: &Library) -> Self {
        // SAFETY: the types are those of `GRAD_MODE`.
        unsafe {
            Self {
                is_enabled: *library.get(b"_ZN3c108GradMode10is_enabledEv").unwrap(),
                set_enabled: *library.get(b"_ZN3c108GradMode11set_enabledEb").unwrap(),
            }
        }
    }

    /// Loaded for good, as scopes find it.
    pub fn loaded() -> Self {
        let library = load_locally(&compile("libc10", GRAD_MODE));
        let theirs = Self::of(&library);
        std::mem::forget(library);
        theirs
    }

    pub fn on(self) -> bool {
        (self.is_enabled)()
    }

    pub fn set(self, enabled: bool) {
        (self.set_enabled)(enabled);
    }

    /// Runs `f` as the framework's `no_grad` (false) or `enable_grad` (true) does.
    pub fn scope<T>(self, enabled: bool, f: impl FnOnce() -> T) -> T {
        let found = self.on();
        self.set(enabled);
        let result = f();
        self.set(found);
        result
    }
}
