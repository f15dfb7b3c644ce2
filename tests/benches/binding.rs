//! What an operation costs through the binding, beside the same call in C++ and in Python: building the node and freeing
//! it, since MLX computes later.
//!
//! `cargo bench -p grad-tests --bench binding` compiles `binding.cpp` against the MLX that the build downloaded, or the
//! one in `MLX_DIR`, fetches Python MLX with pip once, and runs all in turn. It prints the median of each and of the
//! ratios.

use std::env;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use grad_runtime::{Array, Dtype, mlx, no_grad};

mod python_mlx;

const NAMES: [&str; 4] = ["add", "exp", "sum", "matmul"];
const ROUNDS: u32 = 100_000;
const TURNS: usize = 15;

type Nanoseconds = [f64; NAMES.len()];

fn main() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = compile(target);
    let python =
        || python_mlx::python(include_str!("binding.py"), target.parent().expect("a folder of Cargo's target"));
    let (mut cpp, mut rust, mut scoped, mut py) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        cpp.push(elsewhere(Command::new(&program)));
        rust.push(in_rust());
        scoped.push(no_grad!(in_rust()));
        py.push(elsewhere(python()));
    }
    println!("{:<8}{:>32}{:>26}{:>26}", "", "ns", "times C++", "times Python");
    println!(
        "{:<8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "", "C++", "Rust", "scope", "Python", "Rust", "scope", "Python", "Rust", "scope"
    );
    for (at, name) in NAMES.iter().enumerate() {
        let time = |turns: &[Nanoseconds]| median(turns.iter().map(|turn| turn[at]));
        let ratio =
            |of: &[Nanoseconds], to: &[Nanoseconds]| median(of.iter().zip(to).map(|(of, to)| of[at] / to[at]));
        print!("{name:<8}");
        for turns in [&cpp, &rust, &scoped, &py] {
            print!("{:>8.0}", time(turns));
        }
        for turns in [&rust, &scoped, &py] {
            print!("{:>8.2}", ratio(turns, &cpp));
        }
        for turns in [&rust, &scoped] {
            print!("{:>8.2}", ratio(turns, &py));
        }
        println!();
    }
}

fn in_rust() -> Nanoseconds {
    let x = mlx::Array::ones(&[32, 32], Dtype::Float32).expect("this benchmark needs MLX");
    x.eval().expect("ones can be computed");
    [time(|| x.add(&x)), time(|| x.exp()), time(|| x.sum(&[0], true)), time(|| x.matmul(&x))]
}

fn time(operation: impl Fn() -> grad_runtime::Result<mlx::Array>) -> f64 {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let _ = black_box(operation());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
}

/// What a program prints that times the same operations.
fn elsewhere(mut program: Command) -> Nanoseconds {
    let output = program.arg(ROUNDS.to_string()).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = printed.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    numbers.try_into().expect("it prints a number for each operation")
}

fn compile(target: &Path) -> PathBuf {
    let downloaded = target.parent().expect("a folder of Cargo's target").join("mlx-cpu-0.32.4/mlx");
    let mlx = env::var_os("MLX_DIR").map_or(downloaded, PathBuf::from);
    let program = target.join("binding");
    let library = mlx.join("lib");
    let status = Command::new(env::var("CXX").unwrap_or_else(|_| "c++".into()))
        .args(["-O2", "-std=c++20", "-w", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/binding.cpp"), "-I"])
        .arg(mlx.join("include"))
        .arg("-L")
        .arg(&library)
        .args(["-lmlx", "-o"])
        .arg(&program)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "binding.cpp did not compile against {}", mlx.display());
    program
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
