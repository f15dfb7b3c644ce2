//! Measures an operation through the binding, beside the same call in C++ and in Python: building the node and freeing
//! it, since MLX computes later.
//!
//! `cargo bench -p grad-tests --bench binding` compiles `binding.cpp` against the MLX that the build downloaded, or the
//! one in `MLX_DIR`, fetches Python MLX with pip once, and runs all in turn. It prints the median of each and of the
//! ratios. With `-- instructions` it counts those instead, under valgrind.

use std::env;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use grad_runtime::{Dtype, mlx, no_grad};

mod callgrind;
mod python_mlx;

const NAMES: [&str; 4] = ["add", "exp", "sum", "matmul"];
const ROUNDS: u32 = 100_000;
const TURNS: usize = 15;

type Nanoseconds = [f64; NAMES.len()];

fn main() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = compile(target);
    match &env::args().collect::<Vec<_>>()[1..] {
        [rounds, name, rest @ ..] if NAMES.contains(&name.as_str()) => {
            let rounds = rounds.parse().expect("a number of rounds");
            return if rest.is_empty() { run(name, rounds) } else { no_grad!(run(name, rounds)) };
        }
        [what, ..] if what == "instructions" => return print_instructions(&program),
        _ => {}
    }
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
    NAMES.map(|name| {
        let start = Instant::now();
        run(name, ROUNDS);
        start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
    })
}

fn run(name: &str, rounds: u32) {
    let x = mlx::Array::ones(&[32, 32], Dtype::Float32).expect("this benchmark needs MLX");
    x.eval().expect("ones can be computed");
    match name {
        "add" => repeat(rounds, || x.add(&x)),
        "exp" => repeat(rounds, || x.exp()),
        "sum" => repeat(rounds, || x.sum(&[0], true)),
        _ => repeat(rounds, || x.matmul(&x)),
    }
}

fn repeat(rounds: u32, operation: impl Fn() -> grad_runtime::Result<mlx::Array>) {
    for _ in 0..rounds {
        let _ = black_box(operation());
    }
}

/// For each operation, the difference between two numbers of rounds.
fn print_instructions(cpp: &Path) {
    let this = env::current_exe().expect("a running program has a file");
    println!("{:<8}{:>8}{:>8}{:>8}{:>8}{:>8}", "", "C++", "Rust", "ratio", "scope", "ratio");
    for name in NAMES {
        let each = |program: &Path, rest: &[&str]| {
            let count = |rounds: u32| {
                callgrind::instructions(program, [&[rounds.to_string().as_str(), name], rest].concat())
            };
            let extra = u32::try_from(count(3000) - count(1000)).expect("no operation takes millions");
            f64::from(extra) / 2000.0
        };
        let (cpp, rust, scope) = (each(cpp, &[]), each(&this, &[]), each(&this, &["scope"]));
        println!("{name:<8}{cpp:>8.0}{rust:>8.0}{:>8.2}{scope:>8.0}{:>8.2}", rust / cpp, scope / cpp);
    }
}

/// Runs a program that times the same operations, and returns its times.
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
