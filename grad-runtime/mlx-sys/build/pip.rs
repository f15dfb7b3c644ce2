//! Downloads MLX's wheel.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

use crate::{Result, out_dir, target_os};

/// The version to download.
const VERSION: &str = "0.32.4";

/// Downloads the wheel with pip, once for each package, into Cargo's target folder. Returns where it is.
pub fn download() -> Result<PathBuf> {
    let default = match &*target_os() {
        "macos" => "mlx-metal", // The library and its headers; the package `mlx` is the Python side.
        _ => "mlx-cpu",
    };
    let package = env::var("GRAD_MLX_PACKAGE").unwrap_or_else(|_| default.to_owned());
    let package = if package.contains("==") { package } else { format!("{package}=={VERSION}") };
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE-HASH/out.
    let out = out_dir()?;
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where Cargo puts it")?;
    let place = target.join(package.replace("==", "-"));
    if place.is_dir() {
        return Ok(place);
    }
    // Under another name until it is complete.
    let unfinished = target.join(format!("{package}.{}", process::id()));
    let pip = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(&unfinished)
        .arg(&package)
        .output()
        .map_err(|error| format!("feature `download-mlx` needs `python3 -m pip`: {error}"))?;
    if !pip.status.success() {
        let _ = fs::remove_dir_all(&unfinished);
        let message = String::from_utf8_lossy(&pip.stderr);
        return Err(format!("`python3 -m pip install {package}` failed: {message}").into());
    }
    if let Err(error) = fs::rename(&unfinished, &place) {
        let _ = fs::remove_dir_all(&unfinished);
        // Another build may have been faster.
        if !place.is_dir() {
            return Err(format!("cannot create {}: {error}", place.display()).into());
        }
    }
    Ok(place)
}
