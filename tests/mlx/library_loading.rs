//! Loading libmlx at run time: each failure is an error that says what was found and what to do.

use std::path::{Path, PathBuf};
use std::process::Command;
#[cfg(target_os = "linux")]
use std::sync::LazyLock;

use support::processes::{Compiler, compile_library, run};

/// Returns what `mlx-status` prints, with these variables set.
fn status(environment: &[(&str, &str)]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mlx-status"));
    for variable in ["GRAD_MLX_LIBRARY", "GRAD_MLX_BLAS", "MLX_USE_CUDA_GRAPHS"] {
        program.env_remove(variable);
    }
    run(program.envs(environment.iter().copied()))
}

const AVAILABLE: &str = "available, and the identity times 2 is Ok([2.0, 2.0, 2.0, 2.0])";

/// Compiles a library with one function, `mlx::core::version()`, that returns `version`.
fn libmlx_of_version(version: &str) -> PathBuf {
    library(&format!("libmlx-{version}"), &version_function(version), &[])
}

fn version_function(version: &str) -> String {
    format!(r#"namespace mlx::core {{ const char* version() {{ return "{version}"; }} }}"#)
}

/// The version that the program was built for. Tests run at once, so only one of them compiles the library that shows it.
#[cfg(target_os = "linux")]
static WANTED_VERSION: LazyLock<String> = LazyLock::new(|| {
    let other = status(&[("GRAD_MLX_LIBRARY", libmlx_of_version("0.0.8").to_str().unwrap())]);
    other.split("was built for ").nth(1).and_then(|rest| rest.split(';').next()).unwrap().to_owned()
});

fn library(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let file = format!("{name}-of-a-test.so");
    compile_library(Compiler::Cxx, Path::new(env!("CARGO_TARGET_TMPDIR")), &file, source, flags)
}

#[test]
fn the_library_loads() {
    assert_eq!(status(&[]), AVAILABLE);
}

#[test]
fn the_library_loads_with_its_bundled_blas() {
    assert_eq!(status(&[("GRAD_MLX_BLAS", "off")]), AVAILABLE);
}

#[test]
fn guarantee_12_loading_switched_off() {
    assert_eq!(status(&[("GRAD_MLX_LIBRARY", "off")]), "cannot use mlx: GRAD_MLX_LIBRARY is `off`");
}

#[test]
fn a_library_that_is_missing() {
    let status = status(&[("GRAD_MLX_LIBRARY", "/nowhere/libmlx.so")]);
    assert!(status.starts_with("cannot use mlx: cannot load libmlx (/nowhere/libmlx.so: "), "{status}");
    assert!(status.ends_with("); name it in GRAD_MLX_LIBRARY"), "{status}");
}

#[test]
fn a_library_that_is_not_mlx() {
    let status = status(&[("GRAD_MLX_LIBRARY", "libm.so.6")]);
    assert!(status.starts_with("cannot use mlx: the loaded library is not libmlx: "), "{status}");
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

/// The library has the right version and name, and no other function of MLX.
#[test]
#[cfg(target_os = "linux")]
fn a_library_without_a_symbol() {
    let library = library("without-symbols", &version_function(&WANTED_VERSION), &["-Wl,-soname,libmlx.so"]);
    let status = status(&[("GRAD_MLX_LIBRARY", library.to_str().unwrap())]);
    assert!(status.starts_with("cannot use mlx: cannot load the shim from "), "{status}");
    assert!(status.contains("undefined symbol: "), "{status}");
}

/// MLX ends the process if threads compute at once with CUDA graphs, so they are off where the environment does not say otherwise.
/// A library stands in for MLX's build for CUDA, which this machine may not have: it prints the variable when it is unloaded.
#[test]
#[cfg(target_os = "linux")]
fn cuda_graphs_are_off_unless_the_environment_decides() {
    let version = version_function(&WANTED_VERSION);
    let with_cuda = |has_cuda: bool| {
        let source = format!(
            r#"#include <cstdio>
            #include <cstdlib>
            {version}
            namespace mlx::core::cu {{ bool is_available() {{ return {has_cuda}; }} }}
            __attribute__((destructor)) void report() {{
                const char* graphs = std::getenv("MLX_USE_CUDA_GRAPHS");
                std::printf("graphs: %s\n", graphs ? graphs : "unset");
                std::fflush(stdout);
            }}"#
        );
        library(&format!("with-cuda-{has_cuda}"), &source, &["-Wl,-soname,libmlx.so"]).to_str().unwrap().to_owned()
    };
    let graphs = |library: &str, environment: &[(&str, &str)]| {
        let report = status(&[environment, &[("GRAD_MLX_LIBRARY", library)]].concat());
        report.lines().find_map(|line| line.strip_prefix("graphs: ").map(str::to_owned))
    };
    let (cuda, cpu) = (with_cuda(true), with_cuda(false));
    assert_eq!(graphs(&cuda, &[]).as_deref(), Some("0"));
    assert_eq!(graphs(&cuda, &[("MLX_USE_CUDA_GRAPHS", "1")]).as_deref(), Some("1"));
    assert_eq!(graphs(&cpu, &[]).as_deref(), Some("unset"));
}

/// A BLAS that fills every product with 42 shows that MLX calls the BLAS named in the environment.
#[test]
fn the_blas_in_the_environment_is_used() {
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
    assert!(status.starts_with("cannot use mlx: cannot load GRAD_MLX_BLAS: /nowhere/libblas.so: "), "{status}");
}

/// The shim is written to a temporary file to be loaded.
#[test]
fn a_temporary_folder_that_does_not_exist() {
    let status = status(&[("TMPDIR", "/nowhere")]);
    assert!(status.starts_with("cannot use mlx: cannot load the shim from /nowhere: "), "{status}");
    assert!(status.ends_with("set TMPDIR to another folder"), "{status}");
}
