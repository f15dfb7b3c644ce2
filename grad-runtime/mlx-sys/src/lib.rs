//! Finds Apple's MLX and loads it: the raw interface under [`grad_runtime::mlx`], which is the one to use.
//!
//! MLX's interface is C++. A shim, compiled against MLX's headers when this crate is built, gives it a plain C one. The
//! program contains the shim and loads it, and libmlx before it, when [`load`] is called, so that one program runs with
//! MLX and without.
//!
//! | | |
//! | --- | --- |
//! | `build/` | finds MLX, or downloads it, and compiles the shim |
//! | `shim/` | the C++ side |
//! | `src/ops.rs` | [`for_each_op!`]: the list of MLX's operations |
//! | `src/abi.rs` | the interface to the shim: types, functions, and how the list's types cross |
//! | `src/library.rs` | [`load`] |
//!
//! # Finding MLX
//!
//! The build looks for MLX in `MLX_DIR`, in an installed Python package `mlx`, and in Homebrew's prefix. With the feature
//! `download` it then downloads a wheel with pip and verifies its SHA-256: `mlx-cpu` on Linux and `mlx-metal` on macOS, or the
//! one that `GRAD_MLX_PACKAGE` names. A build that finds no MLX succeeds with a warning.
//!
//! At run time `GRAD_MLX_LIBRARY` names the libmlx to load, or is `off`. On Linux `GRAD_MLX_BLAS` names the BLAS that takes
//! the place of the wheel's reference one, by default an installed OpenBLAS, or is `off`.
//!
//! [`grad_runtime::mlx`]: https://docs.rs/grad-runtime/latest/grad_runtime/mlx/index.html
#![allow(unsafe_code, reason = "this is the interface to C++")]

#[macro_use]
mod ops;
mod abi;
#[cfg(mlx_shim)]
mod library;

pub use abi::*;

/// Loads libmlx and the shim. They stay loaded as long as the process runs.
///
/// Each call loads them anew: call it once and keep the result.
///
/// # Errors
///
/// Why MLX is not available and what to do: this crate was built without MLX, or libmlx is missing, of another version than
/// the headers that the shim was compiled with, or switched off.
///
/// ```
/// match grad_mlx_sys::load() {
///     // SAFETY: the function takes no arguments.
///     Ok(api) => println!("MLX uses {} bytes", unsafe { (api.active_memory)() }),
///     Err(reason) => println!("MLX is not available: {reason}"),
/// }
/// ```
pub fn load() -> Result<Api, String> {
    #[cfg(mlx_shim)]
    return library::load();
    #[cfg(not(mlx_shim))]
    return Err(format!(
        "this program was built without MLX: {}",
        option_env!("GRAD_MLX_MISSING").unwrap_or("the build gave no reason")
    ));
}
