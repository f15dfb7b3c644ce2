//! Finding libmlx when the program runs: each way to fail says what was found and what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What `mlx-status` prints in an environment of its own.
fn status(environment: &[(&str, &str)]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mlx-status"));
    program.env_remove("GRAD_MLX_LIBRARY").env_remove("GRAD_MLX_BLAS");
    let output = program.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

const AVAILABLE: &str = "available, and the identity times 2 is Ok([2.0, 2.0, 2.0, 2.0])";

/// A library with one function, `mlx::core::version()`, that answers `version`.
fn libmlx_of_version(version: &str) -> PathBuf {
    library(&format!("libmlx-{version}"), &version_function(version), &[])
}

fn version_function(version: &str) -> String {
    format!(r#"namespace mlx::core {{ const char* version() {{ return "{version}"; }} }}"#)
}

fn library(name: &str, text: &str, flags: &[&str]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, library) = (dir.join(format!("{name}.cpp")), dir.join(format!("{name}-of-a-test.so")));
    std::fs::write(&source, text).unwrap();
    let mut compiler = Command::new(std::env::var("CXX").unwrap_or_else(|_| "c++".into()));
    compiler.args(["-std=c++17", "-shared", "-fPIC"]).args(flags).arg("-o").arg(&library).arg(&source);
    assert!(compiler.status().unwrap().success());
    library
}

#[test]
fn it_loads() {
    assert_eq!(status(&[]), AVAILABLE);
}

#[test]
fn it_loads_with_the_blas_that_came_with_it() {
    assert_eq!(status(&[("GRAD_MLX_BLAS", "off")]), AVAILABLE);
}

#[test]
fn switched_off() {
    assert_eq!(status(&[("GRAD_MLX_LIBRARY", "off")]), "cannot use mlx: GRAD_MLX_LIBRARY is `off`");
}

#[test]
fn a_library_that_is_missing() {
    let status = status(&[("GRAD_MLX_LIBRARY", "/nowhere/libmlx.so")]);
    assert!(status.starts_with("cannot use mlx: libmlx did not load (/nowhere/libmlx.so: "), "{status}");
    assert!(status.ends_with("): name it in GRAD_MLX_LIBRARY"), "{status}");
}

#[test]
fn a_library_that_is_not_mlx() {
    let status = status(&[("GRAD_MLX_LIBRARY", "libm.so.6")]);
    assert!(status.starts_with("cannot use mlx: the library that was loaded is not libmlx: "), "{status}");
}

#[test]
fn a_library_of_another_version() {
    let library = libmlx_of_version("0.0.7");
    let status = status(&[("GRAD_MLX_LIBRARY", library.to_str().unwrap())]);
    assert!(
        status.starts_with("cannot use mlx: libmlx is version 0.0.7, and this program was built for "),
        "{status}"
    );
    assert!(status.contains("rebuild it with MLX 0.0.7"), "{status}");
}

/// It has the right version and the right name, and none of MLX's functions.
#[test]
#[cfg(target_os = "linux")]
fn a_library_without_a_symbol() {
    let other = status(&[("GRAD_MLX_LIBRARY", libmlx_of_version("0.0.8").to_str().unwrap())]);
    let wanted = other.split("was built for ").nth(1).and_then(|rest| rest.split(':').next()).unwrap();
    let library = library("without-symbols", &version_function(wanted), &["-Wl,-soname,libmlx.so"]);
    let status = status(&[("GRAD_MLX_LIBRARY", library.to_str().unwrap())]);
    assert!(status.starts_with("cannot use mlx: the shim cannot be loaded from "), "{status}");
    assert!(status.contains("undefined symbol: "), "{status}");
}

/// A BLAS whose every product is 42 shows that the one which is named is the one that MLX calls.
#[test]
fn the_blas_that_is_named_is_used() {
    let blas = library(
        "blas",
        "extern \"C\" void cblas_sgemm(int, int, int, int m, int n, int, float, const float*, int, const float*, int, \
         float, float* c, int ldc) { for (int i = 0; i < m; ++i) for (int j = 0; j < n; ++j) c[i * ldc + j] = 42; }",
        &[],
    );
    let status = status(&[("GRAD_MLX_BLAS", blas.to_str().unwrap())]);
    assert_eq!(status, "available, and the identity times 2 is Ok([42.0, 42.0, 42.0, 42.0])");
}

#[test]
fn a_blas_that_is_missing() {
    let status = status(&[("GRAD_MLX_BLAS", "/nowhere/libblas.so")]);
    assert!(
        status.starts_with("cannot use mlx: GRAD_MLX_BLAS is /nowhere/libblas.so, which did not load: "),
        "{status}"
    );
}

/// The shim becomes a file for a moment; where none can be made, that is what the error says.
#[test]
fn no_place_for_the_shim() {
    let status = status(&[("TMPDIR", "/nowhere")]);
    assert!(status.starts_with("cannot use mlx: the shim cannot be loaded from /nowhere: "), "{status}");
    assert!(status.ends_with("TMPDIR names another folder for it"), "{status}");
}
