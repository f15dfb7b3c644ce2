//! Measures the effect of a BLAS on MLX on Linux: a 1024³ float32 matrix product, with the BLAS that the loader puts ahead and
//! with the wheel's own.
//!
//! `cargo bench -p grad-tests --bench matmul`: a process for each, in turn.

use std::env;
use std::process::Command;
use std::time::Instant;

use grad_runtime::{Dtype, mlx};

const LENGTH: u16 = 1024;

fn main() {
    if env::args().any(|argument| argument == "measure") {
        println!("{}", measure().expect("this benchmark needs MLX"));
        return;
    }
    let mut fast: Vec<f64> = Vec::new();
    let mut reference: Vec<f64> = Vec::new();
    for _ in 0..5 {
        fast.push(in_a_process(None));
        reference.push(in_a_process(Some("off")));
    }
    let (fast, reference) = (median(fast), median(reference));
    println!("{fast:>8.1} GFLOP/s as loaded");
    println!("{reference:>8.1} GFLOP/s with GRAD_MLX_BLAS=off");
    println!("{:>8.1} times", fast / reference);
}

/// GFLOP/s, the best of five.
fn measure() -> grad_runtime::Result<f64> {
    let x = mlx::Array::ones(&[LENGTH.into(); 2], Dtype::Float32)?;
    x.matmul(&x)?.eval()?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        x.matmul(&x)?.eval()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * f64::from(LENGTH).powi(3) / best / 1e9)
}

fn in_a_process(blas: Option<&str>) -> f64 {
    let mut program = Command::new(env::current_exe().expect("a running program has a file"));
    program.arg("measure").env_remove("GRAD_MLX_BLAS").envs(blas.map(|blas| ("GRAD_MLX_BLAS", blas)));
    let output = program.output().expect("this program runs itself");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("it prints a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
