//! Python MLX of the version we build with, for the benchmarks that stand beside it: this one file serves them all.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "0.32.4";

/// Python that runs `program`, a text, where `import mlx.core` finds MLX in `GRAD_MLX_PYTHON`, or else in a folder of
/// Cargo's target, into which pip fetches it once.
pub fn python(program: &str, target: &Path) -> Command {
    let named = env::var_os("GRAD_MLX_PYTHON").map(PathBuf::from);
    let packages = named.unwrap_or_else(|| fetched(target));
    let mut python = Command::new("python3");
    python.args(["-c", program]).env("PYTHONPATH", packages);
    // MLX as users of Python have it: in this process the variable is set when MLX is loaded.
    python.env_remove("MLX_USE_CUDA_GRAPHS");
    python
}

fn fetched(target: &Path) -> PathBuf {
    let folder = target.join(format!("mlx-python-{VERSION}"));
    if folder.is_dir() {
        return folder;
    }
    // Under another name until it is whole.
    let unfinished = target.join(format!("mlx-python-{VERSION}.{}", std::process::id()));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(&unfinished);
    pip.arg(format!("mlx=={VERSION}"));
    if cfg!(target_os = "linux") {
        pip.arg(format!("mlx-cpu=={VERSION}"));
    }
    let status = pip.status();
    assert!(status.is_ok_and(|status| status.success()), "`{pip:?}` failed: name Python MLX in GRAD_MLX_PYTHON");
    std::fs::rename(&unfinished, &folder).expect("Cargo's target can be written to");
    folder
}
