//! Law 13: an MLX that ships a switch of its own. There is none today, so this builds the shim with headers that have one
//! more, as ml-explore/mlx#2455 proposed it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The switch, complete in its header: two functions about the calling thread.
const SWITCH: &str = "#pragma once
namespace mlx::core {
inline thread_local bool grad_enabled = true;
inline bool is_grad_enabled() { return grad_enabled; }
inline void set_grad_enabled(bool enabled) { grad_enabled = enabled; }
}
";

/// The MLX that this was built with, the switch added to its headers.
fn mlx_with_a_switch() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let downloaded = place.parent().unwrap().join("mlx-cpu-0.32.4/mlx");
    let real = std::env::var_os("MLX_DIR").map_or(downloaded, PathBuf::from);
    let with_switch = place.join("mlx-with-a-switch");
    let _ = fs::remove_dir_all(&with_switch);
    let headers = with_switch.join("include/mlx");
    fs::create_dir_all(&headers).unwrap();
    symlink(real.join("lib"), with_switch.join("lib")).unwrap();
    for entry in fs::read_dir(real.join("include/mlx")).unwrap() {
        let entry = entry.unwrap();
        symlink(entry.path(), headers.join(entry.file_name())).unwrap();
    }
    // The header of all headers names the new one too.
    let all = fs::read_to_string(headers.join("mlx.h")).unwrap();
    fs::remove_file(headers.join("mlx.h")).unwrap();
    fs::write(headers.join("mlx.h"), all + "#include \"mlx/grad_mode.h\"\n").unwrap();
    fs::write(headers.join("grad_mode.h"), SWITCH).unwrap();
    with_switch
}

#[test]
fn law_13_scopes_turn_a_switch_that_mlx_has() {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "grad-tests", "--no-default-features", "--features", "mlx"])
        .args(["--bin", "mlx-switch", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("with-a-switch"))
        .env("MLX_DIR", mlx_with_a_switch())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.trim_end(), "[9.0]");
}

#[test]
fn an_mlx_without_a_switch() {
    grad_runtime::Mlx::available().unwrap();
    assert!(grad_runtime::installed().all(|backend| backend.name() != "mlx-switch"));
}
