//! Finds MLX, compiles the shim against its headers, and tells `src/library.rs` where both are.
//!
//! Without MLX the build succeeds with a warning, and `load` says why MLX is not available.

#[macro_use]
#[path = "../src/ops.rs"]
mod ops;

#[allow(dead_code, reason = "the crate uses the rest")]
#[path = "../src/abi.rs"]
mod abi;
mod bindings;
mod locate;
mod pip;
mod shim;

use std::env;
use std::path::PathBuf;

use locate::Mlx;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(mlx_shim)");
    for path in ["build", "shim", "src/abi.rs", "src/ops.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    for variable in ["MLX_DIR", "GRAD_MLX_PACKAGE", "HOMEBREW_PREFIX", "CXX", "CXXFLAGS", "PATH", "PYTHONPATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Err(error) = build() {
        // One line, since it becomes a warning of Cargo and a message at run time.
        let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        println!("cargo::warning=built without MLX: {reason}");
        println!("cargo::rustc-env=GRAD_MLX_MISSING={reason}");
        // Cargo takes a missing file for a changed one, so that the next build looks for MLX again.
        println!("cargo::rerun-if-changed=until-there-is-an-mlx");
    }
}

fn build() -> Result<()> {
    let os = target_os();
    if !["linux", "macos"].contains(&&*os) {
        return Err(format!("MLX is supported on Linux and macOS, not on {os}; use the feature `cpu` there").into());
    }
    let mlx = Mlx::find()?;
    let version = mlx.version()?;
    let shim = shim::build(&mlx, &out_dir()?)?;
    println!("cargo::rerun-if-changed={}", mlx.library.display());
    println!("cargo::rustc-cfg=mlx_shim");
    println!("cargo::rustc-env=GRAD_MLX_SHIM={}", shim.display());
    println!("cargo::rustc-env=GRAD_MLX_BUILT_WITH={}", mlx.library.display());
    println!("cargo::rustc-env=GRAD_MLX_VERSION={version}");
    Ok(())
}

/// Returns the folder that this build may write to.
fn out_dir() -> Result<PathBuf> {
    Ok(PathBuf::from(env::var("OUT_DIR")?))
}

/// Returns the operating system that this is built for, as Cargo names it.
fn target_os() -> String {
    env::var("CARGO_CFG_TARGET_OS").unwrap_or_default()
}
