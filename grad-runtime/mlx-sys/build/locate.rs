//! Finds an installed MLX.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, pip, target_os};

const HEADER: &str = "include/mlx/mlx.h";

/// An MLX, laid out as its wheels and Homebrew do.
pub struct Mlx {
    /// The folder with its headers.
    pub include: PathBuf,
    /// The shared library.
    pub library: PathBuf,
}

impl Mlx {
    /// Finds MLX in `MLX_DIR`, else in an installed Python package, else in Homebrew's prefix, else downloads it.
    pub fn find() -> Result<Self> {
        if let Some(dir) = env::var_os("MLX_DIR") {
            let dir = PathBuf::from(dir);
            return Self::at(&dir).or_else(|| Self::at(&dir.join("mlx"))).ok_or_else(|| {
                let (header, library) = (HEADER, library_name());
                format!("MLX_DIR is {}, where {header} or lib/{library} is missing", dir.display()).into()
            });
        }
        if let Some(mlx) = python_package().iter().find_map(|dir| Self::at(dir)) {
            return Ok(mlx);
        }
        let homebrew = env::var_os("HOMEBREW_PREFIX").map(PathBuf::from);
        let prefixes = ["/opt/homebrew", "/usr/local"].map(PathBuf::from);
        if let Some(mlx) = homebrew.iter().chain(&prefixes).find_map(|dir| Self::at(dir)) {
            return Ok(mlx);
        }
        if cfg!(feature = "download") {
            let dir = pip::download()?;
            return Self::at(&dir.join("mlx"))
                .ok_or_else(|| format!("the package in {} has no {HEADER}", dir.display()).into());
        }
        Err("no MLX was found. Install it (`python3 -m pip install mlx-cpu`, `mlx-cuda-13`, or `mlx` on macOS), \
             or name its folder in MLX_DIR, or build with the feature `download-mlx`"
            .into())
    }

    fn at(dir: &Path) -> Option<Self> {
        let mlx = Self { include: dir.join("include"), library: dir.join("lib").join(library_name()) };
        (dir.join(HEADER).is_file() && mlx.library.is_file()).then_some(mlx)
    }

    /// Returns the version that the headers state.
    pub fn version(&self) -> Result<String> {
        let header = fs::read_to_string(self.include.join("mlx/version.h"))?;
        let part = |name| {
            let line = header.lines().find(|line| line.starts_with(&format!("#define MLX_VERSION_{name} ")));
            line.and_then(|line| line.split_whitespace().nth(2))
                .ok_or_else(|| format!("mlx/version.h defines no MLX_VERSION_{name}"))
        };
        Ok(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
    }
}

fn library_name() -> &'static str {
    if target_os() == "macos" { "libmlx.dylib" } else { "libmlx.so" }
}

/// Returns the folders that Python would import `mlx` from. `find_spec` finds them without running any of it.
fn python_package() -> Vec<PathBuf> {
    let program = "import importlib.util as u; s = u.find_spec('mlx'); \
                   print('\\n'.join(s.submodule_search_locations if s else []))";
    let Ok(found) = Command::new("python3").args(["-c", program]).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&found.stdout).lines().map(PathBuf::from).collect()
}
