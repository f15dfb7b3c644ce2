//! Loads libmlx and the shim.

use std::env;
use std::error::Error;
use std::ffi::{CStr, OsStr, OsString, c_char};
use std::fmt::Display;
use std::fs;

use libloading::Library;

use crate::{Api, Array};

pub fn load() -> Result<Api, String> {
    let mlx = load_mlx()?;
    // SAFETY: the symbol is `const char* mlx::core::version()` as Linux and macOS mangle it. The function takes no arguments
    // and returns a static string.
    let found = unsafe {
        let version =
            mlx.get::<unsafe extern "C" fn() -> *const c_char>(b"_ZN3mlx4core7versionEv\0").map_err(|error| {
                format!("the loaded library is not libmlx: {}; name libmlx in GRAD_MLX_LIBRARY", reason(&error))
            })?;
        CStr::from_ptr(version()).to_string_lossy().into_owned()
    };
    // MLX's C++ interface may differ from one version to the next.
    let wanted = env!("GRAD_MLX_VERSION");
    if found.split(".dev").next() != Some(wanted) {
        return Err(format!(
            "libmlx is version {found}, and this program was built for {wanted}; rebuild it with MLX {found} in place \
             (or named in MLX_DIR), or name a libmlx of version {wanted} in GRAD_MLX_LIBRARY"
        ));
    }
    #[cfg(target_os = "linux")]
    turn_cuda_graphs_off(&mlx);
    let shim = load_shim()?;
    // SAFETY: the shim defines the symbol as a constant of the type that build/bindings.rs wrote from that of `Api`: the same
    // fields in the same order.
    let api = unsafe { shim.get::<*const Api>(b"grad_mlx_api\0").map(|api| **api) };
    let api = api.map_err(|error| format!("the shim is not the one that was built: {}", reason(&error)))?;
    let (size, align) = (size_of::<Array>(), align_of::<Array>());
    if (api.array_size, api.array_align) != (size, align) {
        return Err(format!(
            "the shim has arrays of {} bytes aligned to {}, and this program arrays of {size} aligned to {align}; rebuild it",
            api.array_size, api.array_align
        ));
    }
    // The functions stay valid as long as the libraries stay loaded.
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
        // SAFETY: libmlx's initializers only create its own tables.
        match unsafe { open(&candidate) } {
            Ok(library) => return Ok(library),
            Err(error) => failures.push(format!("{}: {}", candidate.display(), reason(&error))),
        }
    }
    Err(format!("cannot load libmlx ({}); name it in GRAD_MLX_LIBRARY", failures.join("; ")))
}

/// Loads a fast BLAS, globally and before libmlx, which then uses it in place of the reference BLAS in MLX's Linux wheels.
/// Matrix products run 10 to 35 times as fast.
#[cfg(target_os = "linux")]
fn load_blas() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    // SAFETY: a BLAS's initializers only create its own threads and buffers.
    let load = |name: &OsString| unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) };
    let library = match env::var_os("GRAD_MLX_BLAS") {
        Some(off) if off == "off" => None,
        Some(path) => Some(load(&path).map_err(|error| {
            format!(
                "cannot load GRAD_MLX_BLAS: {}: {}; name another BLAS, or `off`",
                path.display(),
                reason(&error)
            )
        })?),
        None => ["libopenblas.so.0", "libopenblas.so"].iter().find_map(|name| load(&name.into()).ok()),
    };
    std::mem::forget(library);
    Ok(())
}

/// Has MLX launch CUDA kernels one by one, unless the environment decides.
///
/// MLX can also record them as graphs. While it does, a second thread that computes, or ends, can make the recording fail, in a
/// destructor, which ends the process (MLX 0.32.4). Graphs are slower, too, in `tests/gpu`.
#[cfg(target_os = "linux")]
fn turn_cuda_graphs_off(mlx: &Library) {
    const VARIABLE: &str = "MLX_USE_CUDA_GRAPHS";

    // SAFETY: the symbol is `bool mlx::core::cu::is_available()` as Linux mangles it. It returns a constant.
    let has_cuda = unsafe {
        mlx.get::<unsafe extern "C" fn() -> bool>(b"_ZN3mlx4core2cu12is_availableEv\0")
            .is_ok_and(|is_available| is_available())
    };
    if has_cuda && env::var_os(VARIABLE).is_none() {
        // SAFETY: std makes other Rust code that uses the environment wait. C code may read it meanwhile since glibc 2.41. Before, it
        // may if nothing has set a variable yet, since the list that this replaces is then the kernel's, which is not freed; for
        // other programs, the guide says to set the variable before they start.
        unsafe { env::set_var(VARIABLE, "0") };
    }
}

/// Loads the shim, which is part of this program. The loader takes files only, so the shim becomes one for a moment, in a
/// new folder that no other user may enter.
fn load_shim() -> Result<Library, String> {
    const SHIM: &[u8] = include_bytes!(env!("GRAD_MLX_SHIM"));

    let cannot = |reason: &dyn Display| {
        let folder = env::temp_dir();
        format!("cannot load the shim from {}: {reason}; set TMPDIR to another folder", folder.display())
    };
    let folder = tempfile::Builder::new().prefix("grad-mlx-").tempdir().map_err(|error| cannot(&error))?;
    let path = folder.path().join(format!("shim{}", env::consts::DLL_SUFFIX));
    fs::write(&path, SHIM).map_err(|error| cannot(&error))?;
    // SAFETY: the file is the shim of this build, just written where only this user can write. Its initializers touch
    // nothing outside of it.
    unsafe { open(path.as_os_str()) }.map_err(|error| cannot(&reason(&error)))
}

/// Loads a library and binds all its symbols: one that were bound later and is missing would end the process.
///
/// # Safety
///
/// The library's initializers must be safe to run.
unsafe fn open(path: &OsStr) -> Result<Library, libloading::Error> {
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: the caller guarantees it.
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
    }
    #[cfg(not(unix))]
    // SAFETY: the caller guarantees it.
    unsafe {
        Library::new(path)
    }
}

/// Returns the loader's message, which `libloading` keeps as the source of its error.
fn reason(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
