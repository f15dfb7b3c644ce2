//! Compiles the shim.

use std::fs;
use std::path::{Path, PathBuf};

use crate::locate::Mlx;
use crate::{Result, bindings};

/// Compiles the shim against MLX's headers into a shared library in `out`. Returns its path.
pub fn build(mlx: &Mlx, out: &Path) -> Result<PathBuf> {
    fs::write(out.join("abi.h"), bindings::header()?)?;
    fs::write(out.join("operations.inc"), bindings::operations()?)?;
    let mut compiler = cc::Build::new();
    compiler
        .cpp(true)
        .std("c++20")
        .include(&mlx.include)
        .include(out)
        .file("shim/shim.cpp")
        .flag("-fvisibility=hidden")
        .define("NDEBUG", None)
        // Calls MLX through its table of addresses, without the stubs for symbols that are bound late.
        .flag_if_supported("-fno-plt")
        .opt_level(2)
        .debug(false)
        .warnings(false) // MLX's headers cause some.
        .cargo_metadata(false);
    let objects = compiler.try_compile_intermediates()?;
    let shim = out.join("grad_mlx_shim");
    let folder = mlx.library.parent().expect("a library is in a folder");
    let linked = compiler
        .try_get_compiler()?
        .to_command()
        .arg("-shared")
        .args(&objects)
        .arg("-o")
        .arg(&shim)
        .arg("-L")
        .arg(folder)
        .arg("-lmlx")
        .output()?;
    if linked.status.success() {
        Ok(shim)
    } else {
        Err(format!("the shim did not link: {}", String::from_utf8_lossy(&linked.stderr)).into())
    }
}
