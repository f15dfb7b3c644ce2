//! Finding and loading libmlx and the shim, in a program that was built with them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;

use libloading::Library;

use super::ffi::Api;

/// Loads libmlx and the shim, or says why that cannot be.
pub fn load() -> Result<Api, String> {
    let mlx = load_mlx()?;
    // SAFETY: the symbol is `const char* mlx::core::version()` as Linux and macOS mangle it; it takes nothing and returns
    // a static string.
    let found = unsafe {
        let version = mlx
            .get::<unsafe extern "C" fn() -> *const std::ffi::c_char>(b"_ZN3mlx4core7versionEv\0")
            .map_err(|error| format!("the library that was loaded is not libmlx: {}", reason(&error)))?;
        std::ffi::CStr::from_ptr(version()).to_string_lossy().into_owned()
    };
    // MLX's C++ interface promises nothing from one version to the next.
    let wanted = env!("GRAD_MLX_VERSION");
    if found.split(".dev").next() != Some(wanted) {
        return Err(format!(
            "libmlx is version {found}, and this program was built for {wanted}: rebuild it with MLX {found} in place \
             (or named in MLX_DIR), or name a libmlx of version {wanted} in GRAD_MLX_LIBRARY"
        ));
    }
    let shim = load_shim()?;
    let api =
        Api::load(&shim).map_err(|error| format!("the shim is not the one that was built: {}", reason(&error)))?;
    // Their code runs as long as the process does.
    std::mem::forget((mlx, shim));
    Ok(api)
}

fn load_mlx() -> Result<Library, String> {
    let candidates: Vec<OsString> = match env::var_os("GRAD_MLX_LIBRARY") {
        Some(off) if off == "off" => return Err("GRAD_MLX_LIBRARY is `off`".into()),
        Some(path) => vec![path],
        None => vec![env!("GRAD_MLX_BUILT_WITH").into(), format!("libmlx{}", env::consts::DLL_SUFFIX).into()],
    };
    #[cfg(target_os = "linux")]
    load_blas()?;
    let mut failures = Vec::new();
    for candidate in candidates {
        // SAFETY: libmlx's initializers set up tables of its own and nothing else.
        match unsafe { open(&candidate) } {
            Ok(library) => return Ok(library),
            Err(error) => failures.push(format!("{}: {}", candidate.display(), reason(&error))),
        }
    }
    Err(format!("libmlx did not load ({}): name it in GRAD_MLX_LIBRARY", failures.join("; ")))
}

/// Puts a fast BLAS ahead of the reference one that MLX's Linux wheels carry: what is loaded first, and globally,
/// is what libmlx binds to. It is worth 10 to 35 times on matrix products.
#[cfg(target_os = "linux")]
fn load_blas() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    // SAFETY: a BLAS sets up its threads and buffers when it is loaded and nothing else.
    let load = |name: &OsString| unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) };
    match env::var_os("GRAD_MLX_BLAS") {
        Some(off) if off == "off" => {}
        Some(path) => {
            let library = load(&path).map_err(|error| {
                format!("GRAD_MLX_BLAS is {}, which did not load: {}", path.display(), reason(&error))
            })?;
            std::mem::forget(library);
        }
        None => {
            let names = ["libopenblas.so.0", "libopenblas.so"].map(OsString::from);
            if let Some(library) = names.iter().find_map(|name| load(name).ok()) {
                std::mem::forget(library);
            }
        }
    }
    Ok(())
}

/// Loads the shim, which travels inside this program: a loader takes files only, so it becomes one for a moment, in a
/// folder of its own that nobody else may enter.
fn load_shim() -> Result<Library, String> {
    const SHIM: &[u8] = include_bytes!(env!("GRAD_MLX_SHIM"));

    let cannot = |reason: &dyn Display| {
        let folder = env::temp_dir();
        format!("the shim cannot be loaded from {}: {reason}; TMPDIR names another folder for it", folder.display())
    };
    let folder = tempfile::Builder::new().prefix("grad-mlx-").tempdir().map_err(|error| cannot(&error))?;
    let path = folder.path().join(format!("shim{}", env::consts::DLL_SUFFIX));
    fs::write(&path, SHIM).map_err(|error| cannot(&error))?;
    // SAFETY: the file is the shim of this build, written just now where only this user can; it has no initializers that
    // reach outside of it.
    unsafe { open(path.as_os_str()) }.map_err(|error| cannot(&reason(&error)))
}

/// Loads a library with all the symbols it needs: bound later, a missing one would end the process.
///
/// # Safety
///
/// The library's initializers run.
unsafe fn open(path: &OsStr) -> Result<Library, libloading::Error> {
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: the caller says so.
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
    }
    #[cfg(not(unix))]
    // SAFETY: the caller says so.
    unsafe {
        Library::new(path)
    }
}

/// The loader's own words; `libloading` keeps them as the source of its error.
fn reason(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}
