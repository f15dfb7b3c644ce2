//! Guarantee 13: an MLX that has a switch of its own. There is none yet, so the test builds the shim with an additional header,
//! as ml-explore/mlx#2455 proposed it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::processes::run;

/// The header of the switch: two functions on a thread-local.
const SWITCH: &str = "#pragma once
namespace mlx::core {
inline thread_local bool grad_enabled = true;
inline bool is_grad_enabled() { return grad_enabled; }
inline void set_grad_enabled(bool enabled) { grad_enabled = enabled; }
}
";

/// Makes a folder with the MLX that these tests are built with and the header of the switch.
fn mlx_with_a_switch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let downloaded = folder.parent().unwrap().join("mlx-cpu-0.32.4/mlx");
    let real = std::env::var_os("MLX_DIR").map_or(downloaded, PathBuf::from);
    let with_switch = folder.join("mlx-with-a-switch");
    let _ = fs::remove_dir_all(&with_switch);
    let headers = with_switch.join("include/mlx");
    fs::create_dir_all(&headers).unwrap();
    symlink(real.join("lib"), with_switch.join("lib")).unwrap();
    for entry in fs::read_dir(real.join("include/mlx")).unwrap() {
        let entry = entry.unwrap();
        symlink(entry.path(), headers.join(entry.file_name())).unwrap();
    }
    // mlx.h, which includes every header, includes the new one too.
    let all = fs::read_to_string(headers.join("mlx.h")).unwrap();
    fs::remove_file(headers.join("mlx.h")).unwrap();
    fs::write(headers.join("mlx.h"), all + "#include \"mlx/grad_mode.h\"\n").unwrap();
    fs::write(headers.join("grad_mode.h"), SWITCH).unwrap();
    with_switch
}

#[test]
fn guarantee_13_scopes_use_a_switch_of_mlx() {
    // The target folder of this build, whose dependencies need not be built again.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--package", "grad-tests", "--no-default-features", "--features", "mlx"]);
    cargo.args(["--bin", "mlx-switch", "--target-dir"]).arg(target).env("MLX_DIR", mlx_with_a_switch());
    assert_eq!(run(&mut cargo), "[9.0]");
}

#[test]
fn mlx_has_no_switch_yet() {
    grad_runtime::mlx::check_available().unwrap();
    assert!(grad_runtime::installed().all(|backend| backend.name() != "mlx-switch"));
}
