//! Compares a scope with tch's own guards, which turn the same switch.

use std::hint::black_box;

use grad_runtime::no_grad;
use tch::Tensor;

#[path = "../../benches/callgrind.rs"]
mod callgrind;

#[inline(never)]
fn ours() {
    let _guard = no_grad();
    black_box(());
}
#[inline(never)]
fn theirs() {
    let _guard = tch::no_grad_guard();
    black_box(());
}
#[inline(never)]
fn theirs_closure() {
    tch::no_grad(|| black_box(()));
}
#[inline(never)]
fn nothing() {}

const CASES: [fn(); 4] = [nothing, ours, theirs, theirs_closure];

fn main() {
    let _ = Tensor::from(1.0);
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, case, rounds] = &arguments[..]
        && let (Ok(case), Ok(rounds)) = (case.parse::<usize>(), rounds.parse::<u32>())
    {
        for _ in 0..rounds {
            black_box(CASES[case])();
        }
        return;
    }
    for case in 0..4 {
        let this = std::env::current_exe().unwrap();
        let count = |rounds: u32| callgrind::instructions(&this, [case.to_string(), rounds.to_string()]);
        println!("{case} {}", (count(20_000) - count(10_000)) as f64 / 10_000.);
    }
}
