//! Measures operations through the binding, beside the same calls in C++ and in Python: building the node and freeing it,
//! since MLX computes later.
//!
//! `cargo bench -p grad-tests --bench binding` compiles `binding.cpp` against the MLX that the build downloaded, or the
//! one in `MLX_DIR`, fetches Python MLX with pip once, and times all in turn. It prints the median of each and of the
//! ratios.
//!
//! With `-- instructions` it counts instructions under valgrind instead, in C++ and in Rust, and fails if a case takes more than
//! [`MOST`] times those of C++.

use std::env;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use grad_runtime::{Dtype, Result, mlx, no_grad};

#[allow(dead_code, reason = "another benchmark uses the rest")]
mod callgrind;
mod python_mlx;

/// The most instructions that a case may take in Rust, in those of C++.
const MOST: f64 = 1.03;

const ROUNDS_COUNTED: u32 = 1000;
const ROUNDS_TIMED: u32 = 100_000;
const TURNS: usize = 15;

struct Inputs {
    x: mlx::Array,
    mask: mlx::Array,
    weight: mlx::Array,
    bias: mlx::Array,
    parts: Vec<mlx::Array>,
}

impl Inputs {
    fn new() -> Result<Self> {
        let x = mlx::Array::ones(&[32, 32], Dtype::Float32)?;
        let mask = mlx::Array::ones(&[32, 32], Dtype::Bool)?;
        let weight = mlx::Array::ones(&[32], Dtype::Float32)?;
        let bias = mlx::Array::zeros(&[32], Dtype::Float32)?;
        let parts = vec![x.clone(); 3];
        let inputs = Self { x, mask, weight, bias, parts };
        mlx::eval(&[&inputs.x, &inputs.mask, &inputs.weight, &inputs.bias].map(Clone::clone))?;
        Ok(inputs)
    }
}

/// Runs so many rounds.
type Case = fn(&Inputs, u32) -> Result<()>;

macro_rules! cases {
    ($($name:literal: |$inputs:ident| $call:expr;)*) => {
        [$(($name, |$inputs: &Inputs, rounds: u32| {
            for _ in 0..rounds {
                drop($call);
            }
            Ok(())
        })),*]
    };
}

// The same in binding.cpp and binding.py, but that Python has no `clone`.
const CASES: [(&str, Case); 13] = cases! {
    "add": |inputs| inputs.x.add(&inputs.x)?;
    "exp": |inputs| inputs.x.exp()?;
    "sum": |inputs| inputs.x.sum(&[0], true)?;
    "matmul": |inputs| inputs.x.matmul(&inputs.x)?;
    "reshape": |inputs| inputs.x.reshape(&[16, 64])?;
    "transpose": |inputs| inputs.x.transpose(&[1, 0])?;
    "astype": |inputs| inputs.x.astype(Dtype::Float16)?;
    "where_cond": |inputs| inputs.mask.where_cond(&inputs.x, &inputs.x)?;
    "softmax": |inputs| inputs.x.softmax(1)?;
    "layer_norm": |inputs| mlx::fast::layer_norm(&inputs.x, Some(&inputs.weight), Some(&inputs.bias), 1e-5)?;
    "concatenate": |inputs| mlx::Array::concatenate(&inputs.parts, 0)?;
    "split": |inputs| inputs.x.split(4, 0)?;
    "clone": |inputs| inputs.x.clone();
};

fn main() -> Result<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match &env::args().collect::<Vec<_>>()[1..] {
        [what, rounds, rest @ ..] if what == "count" || what == "time" => {
            let rounds = rounds.parse().expect("a number of rounds");
            let run = if what == "count" { count } else { time };
            if rest.is_empty() { run(rounds) } else { no_grad!(run(rounds)) }
        }
        [what, ..] if what == "instructions" => {
            print_instructions(&compile(target));
            Ok(())
        }
        _ => {
            print_times(&compile(target), target);
            Ok(())
        }
    }
}

/// Runs each case once, with a mark before and after its rounds.
fn count(rounds: u32) -> Result<()> {
    let inputs = Inputs::new()?;
    for (_, run) in CASES {
        run(&inputs, 10)?;
        callgrind_mark();
        run(&inputs, rounds)?;
        callgrind_mark();
    }
    Ok(())
}

/// Prints the nanoseconds of each case.
fn time(rounds: u32) -> Result<()> {
    let inputs = Inputs::new()?;
    for (_, run) in CASES {
        run(&inputs, rounds)?; // A new process is slower at first.
        let start = Instant::now();
        run(&inputs, rounds)?;
        println!("{}", start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    }
    Ok(())
}

#[inline(never)]
fn callgrind_mark() {
    black_box(());
}

fn print_instructions(cpp: &Path) {
    let this = env::current_exe().expect("a running program has a file");
    let counts = |program: &Path, rest: &[&str]| {
        let rounds = ROUNDS_COUNTED.to_string();
        let counts = callgrind::between_marks(program, [&["count", &rounds], rest].concat());
        // Every other one is of the rounds that precede the next mark.
        let counts: Vec<f64> = counts.iter().skip(1).step_by(2).map(|&count| per_round(count)).collect();
        assert_eq!(counts.len(), CASES.len(), "each program has the same cases");
        counts
    };
    let (cpp, rust, scope) = (counts(cpp, &[]), counts(&this, &[]), counts(&this, &["scope"]));
    println!("{:<12}{:>8}{:>8}{:>8}{:>8}{:>8}", "", "C++", "Rust", "ratio", "scope", "ratio");
    let mut exceeded = Vec::new();
    for (at, (name, _)) in CASES.iter().enumerate() {
        let (cpp, rust, scope) = (cpp[at], rust[at], scope[at]);
        println!("{name:<12}{cpp:>8.0}{rust:>8.0}{:>8.3}{scope:>8.0}{:>8.3}", rust / cpp, scope / cpp);
        let found = rust.max(scope) / cpp;
        if found > MOST {
            exceeded.push(format!("{name} takes {found:.3} times those of C++, and may take {MOST}"));
        }
    }
    assert!(exceeded.is_empty(), "{}", exceeded.join("; "));
}

fn per_round(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("no operation takes millions")) / f64::from(ROUNDS_COUNTED)
}

fn print_times(cpp_program: &Path, target: &Path) {
    let rounds = ROUNDS_TIMED.to_string();
    let python =
        || python_mlx::python(include_str!("binding.py"), target.parent().expect("a folder of Cargo's target"));
    let this = env::current_exe().expect("a running program has a file");
    let (mut cpp, mut rust, mut scoped, mut py) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        cpp.push(times(Command::new(cpp_program).args(["time", &rounds])));
        rust.push(times(Command::new(&this).args(["time", &rounds])));
        scoped.push(times(Command::new(&this).args(["time", &rounds, "scope"])));
        py.push(times(python().arg(&rounds)));
    }
    println!("{:<12}{:>32}{:>26}{:>26}", "", "ns", "times C++", "times Python");
    println!(
        "{:<12}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "", "C++", "Rust", "scope", "Python", "Rust", "scope", "Python", "Rust", "scope"
    );
    for (at, (name, _)) in CASES.iter().enumerate() {
        print!("{name:<12}");
        for turns in [&cpp, &rust, &scoped, &py] {
            print!("{:>8}", rounded(median(turns.iter().filter_map(|turn| turn.get(at).copied())), 0));
        }
        for (of, to) in [(&rust, &cpp), (&scoped, &cpp), (&py, &cpp), (&rust, &py), (&scoped, &py)] {
            let ratios = of.iter().zip(to).filter_map(|(of, to)| Some(of.get(at)? / to.get(at)?));
            print!("{:>8}", rounded(median(ratios), 2));
        }
        println!();
    }
}

/// Runs a program that times the cases, and returns its times.
fn times(program: &mut Command) -> Vec<f64> {
    let output = program.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.split_whitespace().map(|number| number.parse().expect("it prints numbers")).collect()
}

fn compile(target: &Path) -> PathBuf {
    let downloaded = target.parent().expect("a folder of Cargo's target").join("mlx-cpu-0.32.4/mlx");
    let mlx = env::var_os("MLX_DIR").map_or(downloaded, PathBuf::from);
    let program = target.join("binding");
    let library = mlx.join("lib");
    let status = Command::new(env::var("CXX").unwrap_or_else(|_| "c++".into()))
        .args([
            "-O2",
            "-DNDEBUG",
            "-std=c++20",
            "-w",
            concat!(env!("CARGO_MANIFEST_DIR"), "/benches/binding.cpp"),
            "-I",
        ])
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

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn rounded(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| "-".into(), |number| format!("{number:.decimals$}"))
}
